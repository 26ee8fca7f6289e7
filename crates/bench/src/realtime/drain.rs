//! A server is told to stop, and a successor starts on its folder and port: how soon everybody is back, and how whole.

use std::time::{Duration, Instant};

use super::super::report::{Goal, Row};
use super::client::protocol::{Kind, Report, Until};
use super::client::{now_ns, wire};
use super::fleet::{Fleet, Wanted};
use super::publish::Author;
use super::scene::Scene;
use super::{Bench, BenchError, Result};

/// Goals: seconds until everybody is back, and the part of sessions that go on without a reset.
const BACK_S_MAX: f64 = 30.0;
const WHOLE_MIN: f64 = 99.9;
/// Longest wait.
const WAIT_MAX: Duration = Duration::from_secs(90);
/// Longest wait for a post, once everybody is back.
const TOLD_MAX: Duration = Duration::from_secs(20);
/// Pause between two looks whether the server has ended.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Rows of the way over.
pub fn run(bench: &mut Bench, scene: &Scene) -> Result<()> {
    let server = scene.serve(None)?;
    scene.greet(&server)?;
    bench.say("drain: connecting");
    let readers = scene.readers;
    let wanted = Wanted { comes_back: true, ..Wanted::new(server.address, Kind::Websocket, readers) };
    let mut fleet = Fleet::connected(&wanted)?;
    Author::new(scene, server.address, scene.star())?.post("before the drain")?;
    std::thread::sleep(Duration::from_secs(bench.size(12, 3)));
    fleet.mark(true)?;
    let (began, began_ns, address) = (Instant::now(), now_ns(), server.address);
    server.process.terminate()?;
    while !server.process.has_ended()? {
        if began.elapsed() > WAIT_MAX {
            return Err(BenchError::Wrong("the server did not end".to_owned()));
        }
        std::thread::sleep(LOOK_EVERY);
    }
    let ended = began.elapsed().as_secs_f64();
    let successor = scene.serve(Some(address))?;
    let started = began.elapsed().as_secs_f64();
    // Some are back by now, others not: both must get it.
    Author::new(scene, successor.address, scene.star())?.post(&format!(
        "while they come back, {}{}",
        wire::SENT,
        now_ns()
    ))?;
    let report = fleet.wait(Until::Hellos, readers as u64, WAIT_MAX)?;
    let back_s = report.last_hello_ns.saturating_sub(began_ns) as f64 / 1e9;
    bench.say(&format!("drain: ended after {ended:.1} s, successor after {started:.1} s, {report:?}"));
    let back = report.hellos.min(readers as u64);
    let name = format!("drain of {readers} sessions to a successor process: until all are back");
    let row = Row::new(name, if back == readers as u64 { back_s } else { f64::INFINITY }, "s");
    bench.report.add(row.goal(Goal::at_most(BACK_S_MAX)));
    bench.report.add(Row::new("of it: until the old process had ended", ended, "s"));
    let whole = report.resumed.min(back).saturating_sub(report.resets) as f64 / readers as f64 * 100.0;
    bench
        .report
        .add(Row::new("of it: sessions that went on without a reset", whole, "%").goal(Goal::at_least(WHOLE_MIN)));
    let report = told(&mut fleet, readers as u64)?;
    let told = report.reached as f64 / readers as f64 * 100.0;
    let name = "of it: sessions that got a post made while they came back";
    bench.report.add(Row::new(name, told, "%").goal(Goal::at_least(100.0)));
    Ok(())
}

/// Waits until every session has the post, or it takes too long.
fn told(fleet: &mut Fleet, readers: u64) -> Result<Report> {
    let began = Instant::now();
    loop {
        let report = fleet.report()?;
        if report.reached >= readers || began.elapsed() > TOLD_MAX {
            return Ok(report);
        }
        std::thread::sleep(LOOK_EVERY * 20);
    }
}
