//! Stalled readers, one of a hundred: what the others notice, and what it costs the server.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::report::{Goal, Row};
use super::super::{median, serve::Server};
use super::client::protocol::Kind;
use super::fleet::{Fleet, Wanted};
use super::publish::{Operator, data, paced};
use super::scene::Scene;
use super::{Bench, BenchError, Result, machine};

/// Every so manieth stops.
const STALLED_EVERY: usize = 100;
/// Alternations of reading and stalling.
const ROUNDS: usize = 5;
/// Events a second to everybody, and their size: enough to fill a stalled session's share in a round.
const RATE: f64 = 4.0;
const EVENT_BYTES: usize = 2_048;
/// Goals: the others' 99th percentile as a multiple, and bytes that the server may take for a stalled session: twice
/// `realtime.session_bytes_max`, which counts frames and not what the allocator makes of them.
const P99_RATIO_MAX: f64 = 1.25;
const BYTES_MAX: f64 = 512.0 * 1_024.0;

/// Events that each of those who stall is sent of its own in the end: four times what a session may hold.
const FLOOD_EVENTS: usize = 64;
const FLOOD_BYTES: usize = 16 << 10;

/// Rows of latency and memory.
pub fn run(bench: &mut Bench, scene: &Scene) -> Result<()> {
    let server = scene.serve(None)?;
    scene.greet(&server)?;
    bench.say("stalled: connecting");
    let wanted = Wanted { slow_every: STALLED_EVERY, ..Wanted::new(server.address, Kind::Websocket, scene.readers) };
    let mut fleet = Fleet::connected(&wanted)?;
    let stop = AtomicBool::new(false);
    let publisher = || -> Result<u64> {
        let mut operator = Operator::new(scene, server.address, 1)?;
        paced(RATE, &stop, || operator.publish(&data(EVENT_BYTES), 1))
    };
    let found = std::thread::scope(|scope| {
        let publisher = scope.spawn(publisher);
        let found = alternate(bench, &server, &mut fleet);
        stop.store(true, Ordering::Relaxed);
        publisher.join().map_err(|_| BenchError::Wrong("the operator panicked".to_owned()))??;
        found
    });
    let mut found = found?;
    let flooded = flood(scene, &server, &mut fleet)?;
    let report = fleet.report()?;
    if let Some(error) = &report.error {
        bench.say(&format!("stalled: {} of {} were lost: {error}", report.lost, scene.readers));
    }
    let stalled = scene.readers / STALLED_EVERY;
    let what = format!("{stalled} of {} readers stall, {RATE} events of {EVENT_BYTES} bytes a second", scene.readers);
    let row = Row::new(
        format!("{what}: the others' p99, median of {}", found.ratios.len()),
        median(&mut found.stalled),
        "ms",
    );
    bench.report.add(row.beside("all read", median(&mut found.reading)));
    let row =
        Row::new("of it: p99 while they stall by p99 before, median of the rounds", median(&mut found.ratios), "×");
    bench.report.add(row.goal(Goal::at_most(P99_RATIO_MAX)));
    let row =
        Row::new("of it: memory that the server took more, by stalled session", found.grown / stalled as f64, "bytes");
    bench.report.add(row.goal(Goal::at_most(BYTES_MAX)));
    let name = format!("{FLOOD_EVENTS} events of {FLOOD_BYTES} bytes of its own for each that stalls: the same");
    bench.report.add(Row::new(name, flooded / stalled as f64, "bytes").goal(Goal::at_most(BYTES_MAX)));
    Ok(())
}

#[derive(Default)]
struct Found {
    /// 99th percentiles, milliseconds.
    reading: Vec<f64>,
    stalled: Vec<f64>,
    ratios: Vec<f64>,
    /// Bytes.
    grown: f64,
}

fn alternate(bench: &Bench, server: &Server, fleet: &mut Fleet) -> Result<Found> {
    let time = Duration::from_secs(bench.size(12, 4));
    let mut found = Found::default();
    // Warm: everything has been allocated that everybody needs.
    std::thread::sleep(time / 2);
    let before = machine::resident_bytes_of(server.process.id());
    for round in 0..ROUNDS {
        let reading = window(fleet, time)?;
        fleet.stall(true)?;
        let stalled = window(fleet, time)?;
        let now = machine::resident_bytes_of(server.process.id());
        fleet.stall(false)?;
        found.grown = found.grown.max(now.saturating_sub(before) as f64);
        bench.say(&format!("stalled: round {round}: p99 {reading:.1} ms, then {stalled:.1} ms"));
        found.ratios.push(stalled / reading);
        found.reading.push(reading);
        found.stalled.push(stalled);
        // Those who stalled catch up, outside of the time that is measured.
        std::thread::sleep(time / 4);
    }
    Ok(found)
}

/// The 99th percentile of a while, in milliseconds.
fn window(fleet: &mut Fleet, time: Duration) -> Result<f64> {
    fleet.mark(true)?;
    std::thread::sleep(time);
    Ok(fleet.report()?.p99_us / 1e3)
}

/// Events for nobody but those who stall, each its own: nothing is shared, so all that waits takes memory. Answers the
/// bytes by which the server grew.
fn flood(scene: &Scene, server: &Server, fleet: &mut Fleet) -> Result<f64> {
    let mut operator = Operator::new(scene, server.address, 1)?;
    let before = machine::resident_bytes_of(server.process.id());
    fleet.stall(true)?;
    let stalled = scene.ids.iter().take(scene.readers).skip(STALLED_EVERY / 2).step_by(STALLED_EVERY);
    let mut most = before;
    for user in stalled {
        for _ in 0..FLOOD_EVENTS {
            operator.send_one(*user, "normal", &data(FLOOD_BYTES))?;
        }
        most = most.max(machine::resident_bytes_of(server.process.id()));
    }
    fleet.stall(false)?;
    Ok(most.saturating_sub(before) as f64)
}
