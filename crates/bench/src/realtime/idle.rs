//! Cost of a connection that has nothing to say: memory under each transport, and processor time, beside Centrifugo.

use std::time::Duration;

use super::super::report::{Goal, Row};
use super::super::svg::Bars;
use super::centrifugo::{Centrifugo, MISSING};
use super::client::protocol::Kind;
use super::fleet::{Fleet, Wanted};
use super::scene::{HEARTBEAT_S, Scene};
use super::{Bench, Result, machine};

/// Goals: bytes of a connection, and as a part of Centrifugo's.
const BYTES_MAX: [(Kind, f64); 3] = [(Kind::Websocket, 4_096.0), (Kind::Sse, 6_144.0), (Kind::LongPoll, 6_144.0)];
const PART_OF_PEER: f64 = 0.25;
/// Goal: microseconds of processor time a second and connection.
const CPU_US_MAX: f64 = 1.0;
/// Time for what connecting left to be given back.
const SETTLE: Duration = Duration::from_secs(4);

/// Cost of a connection to the server: resident bytes, the kernel's bytes for both ends, and processor time.
struct Cost {
    resident: f64,
    /// Resident bytes with what the first connections made the server allocate.
    grown: f64,
    kernel: f64,
    cpu_us: f64,
}

/// Rows of memory and processor time.
pub fn run(bench: &mut Bench, scene: &Scene) -> Result<()> {
    let theirs = match Centrifugo::start(bench)? {
        Some(peer) => {
            bench.say("idle: connecting to Centrifugo");
            let wanted = Wanted::new(peer.address, Kind::Centrifugo, scene.readers);
            Some((peer.version.clone(), cost(bench, peer.process.id(), &wanted, true)?))
        }
        None => None,
    };
    let mut bars = Bars { title: "Memory of an idle connection, bytes".to_owned(), bars: Vec::new() };
    let mut idle_cpu = None;
    for (kind, bytes_max) in BYTES_MAX {
        let server = scene.serve(None)?;
        scene.greet(&server)?;
        bench.say(&format!("idle: connecting, {kind:?}"));
        let wanted = Wanted::new(server.address, kind, scene.readers);
        let ours = cost(bench, server.process.id(), &wanted, kind == Kind::Websocket)?;
        let transport = name(kind);
        let what = format!("idle connection, {transport}, {} of them", scene.readers);
        let row = Row::new(format!("{what}: resident memory of the server"), ours.resident, "bytes");
        bench.report.add(match &theirs {
            Some((version, theirs)) => row
                .beside(format!("{version}, WebSocket"), theirs.resident)
                .goal(Goal { ratio_at_most: Some(PART_OF_PEER), ..Goal::at_most(bytes_max) }),
            None => row.without_peer(MISSING).goal(Goal::at_most(bytes_max)),
        });
        let grown = Row::new("of it: growth since the people were known, by connection", ours.grown, "bytes");
        bench.report.add(match &theirs {
            Some((version, theirs)) => grown.beside(version.clone(), theirs.grown),
            None => grown,
        });
        let kernel = Row::new("apart from it: the kernel's, both ends together", ours.kernel, "bytes");
        bench.report.add(match &theirs {
            Some((version, theirs)) => kernel.beside(version.clone(), theirs.kernel),
            None => kernel,
        });
        bars.bars.push((format!("Fanfare, {transport}"), ours.resident, true));
        if kind == Kind::Websocket {
            idle_cpu = Some(ours.cpu_us);
        }
    }
    if let Some((version, theirs)) = &theirs {
        bars.bars.push((version.clone(), theirs.resident, false));
    }
    bench.bars.push(bars);
    if let Some(cpu_us) = idle_cpu {
        let name = format!("idle connection, WebSocket, pings every {HEARTBEAT_S} s: processor time a second");
        let row = Row::new(name, cpu_us, "µs");
        let row = match &theirs {
            Some((version, theirs)) => row.beside(version.clone(), theirs.cpu_us),
            None => row,
        };
        bench.report.add(row.goal(Goal::at_most(CPU_US_MAX)));
    }
    Ok(())
}

/// The name of a transport in rows.
fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sse => "SSE",
        Kind::LongPoll => "long poll",
        _ => "WebSocket",
    }
}

/// The memory of a connection is taken between a third of them and all: what the server keeps ready, or has left from
/// greeting, is the same before and after.
fn cost(bench: &Bench, process: u32, wanted: &Wanted, with_cpu: bool) -> Result<Cost> {
    let first = Wanted { count: wanted.count / 3, ..*wanted };
    let others = Wanted { count: wanted.count - first.count, first_user: first.count, ..*wanted };
    std::thread::sleep(SETTLE);
    let known = machine::resident_bytes_of(process);
    let mut fleets = vec![Fleet::connected(&first)?];
    std::thread::sleep(SETTLE);
    let (resident, kernel) = (machine::resident_bytes_of(process), machine::kernel_bytes());
    fleets.push(Fleet::connected(&others)?);
    std::thread::sleep(SETTLE);
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / others.count as f64;
    let grown = machine::resident_bytes_of(process).saturating_sub(known) as f64 / wanted.count as f64;
    let resident = each(machine::resident_bytes_of(process), resident);
    let kernel = each(machine::kernel_bytes(), kernel);
    let mut cpu_us = 0.0;
    if with_cpu {
        let time = Duration::from_secs(bench.size(75, 10));
        bench.say(&format!("idle: {} s of silence", time.as_secs()));
        let before = machine::cpu_time_exact(process);
        std::thread::sleep(time);
        let spent = machine::cpu_time_exact(process).saturating_sub(before);
        cpu_us = spent.as_secs_f64() * 1e6 / time.as_secs_f64() / wanted.count as f64;
    }
    let mut alive = 0;
    for fleet in &mut fleets {
        alive += fleet.report()?.alive;
    }
    if alive != wanted.count as u64 {
        bench.say(&format!("idle: only {alive} of {} are still alive", wanted.count));
    }
    Ok(Cost { resident, grown, kernel, cpu_us })
}
