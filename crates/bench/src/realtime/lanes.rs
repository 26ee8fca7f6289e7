//! The urgent lane while three times as many followed posts are offered as the machine carries.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use fanfare_engines::random::Random;

use super::super::report::{Goal, Row};
use super::client::protocol::{Kind, Report};
use super::fleet::{Fleet, Wanted};
use super::publish::{Author, Operator, data, paced, while_posting};
use super::scene::Scene;
use super::{Bench, BenchError, Result};

/// Readers whose urgent events are timed, in a process of connections of their own: its queue is short, so that what is
/// timed is the server's work and not that of the reader's end.
const TIMED: usize = 500;
/// Posts a second of the star while the load is searched that the machine carries; each step twice the one before.
/// The first is high enough that some come in every while, however they are gathered.
const FIRST_RATE: f64 = 16.0;
const STEPS: u32 = 6;
/// More posts than carried are offered when less than this part of them comes.
const CARRIED: f64 = 0.8;
/// Multiple of what it carries that is offered then.
const TIMES_OFFERED: f64 = 3.0;
/// Urgent events a second.
const URGENT_RATE: f64 = 50.0;
/// Longest wait for the last ones, and the pause between two looks.
const LATE_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Goal.
const P99_MS_MAX: f64 = 50.0;
/// Bytes of an urgent event's data.
const EVENT_BYTES: usize = 200;

/// Rows of the load and of the urgent lane.
pub fn run(bench: &mut Bench, scene: &Scene) -> Result<()> {
    let server = scene.serve(None)?;
    scene.greet(&server)?;
    bench.say("lanes: connecting");
    let many = scene.readers - TIMED.min(scene.readers / 2);
    let mut fleet = Fleet::connected(&Wanted::new(server.address, Kind::Websocket, many))?;
    let few = scene.readers - many;
    let mut timed =
        Fleet::connected(&Wanted { first_user: many, ..Wanted::new(server.address, Kind::Websocket, few) })?;
    let time = Duration::from_secs(bench.size(8, 3));
    let mut carried: f64 = 0.0;
    for step in 0..STEPS {
        let rate = FIRST_RATE * f64::from(1 << step);
        let (posts, made) = offered(&mut fleet, scene, &server, rate, time)?;
        let came = posts as f64 / time.as_secs_f64();
        let wanted = made as f64 * many as f64 / time.as_secs_f64();
        bench.say(&format!("lanes: {rate} posts a second offered: {came:.0} of {wanted:.0} came a second"));
        carried = carried.max(came);
        if came < wanted * CARRIED {
            break;
        }
    }
    let row = Row::new(format!("followed posts that {many} sessions are sent, at most"), carried, "posts/s");
    bench.report.add(row);
    let rate = TIMES_OFFERED * carried / many as f64;
    let what =
        format!("urgent event while {TIMES_OFFERED:.0} times as many posts are offered ({rate:.0} a second to all)");
    let quiet = urgent(bench, scene, &server, &mut timed, many)?;
    let ((loud, mention), made) = while_posting(scene, server.address, rate, || {
        // Queues fill first.
        std::thread::sleep(time / 2);
        let loud = urgent(bench, scene, &server, &mut timed, many)?;
        Ok((loud, mentions(bench, scene, &server, &mut timed, many)?))
    })?;
    bench.say(&format!("lanes: {made} posts were offered, {loud:?}"));
    bench.report.add(Row::new("urgent event to one session, nothing else going on: p99", quiet.p99_us / 1e3, "ms"));
    bench.report.add(Row::new(format!("{what}: p50"), loud.p50_us / 1e3, "ms"));
    bench.report.add(Row::new(format!("{what}: p99"), loud.p99_us / 1e3, "ms").goal(Goal::at_most(P99_MS_MAX)));
    let row = Row::new(
        "mention in a durable post, at the same load, until the other's session: p99",
        mention.p99_us / 1e3,
        "ms",
    );
    bench.report.add(row.goal(Goal::at_most(P99_MS_MAX)));
    Ok(())
}

fn offered(
    fleet: &mut Fleet,
    scene: &Scene,
    server: &super::super::serve::Server,
    rate: f64,
    time: Duration,
) -> Result<(u64, u64)> {
    let counted = while_posting(scene, server.address, rate, || {
        // What is gathered for a while has begun to flow.
        std::thread::sleep(time / 4);
        fleet.mark(false)?;
        std::thread::sleep(time);
        Ok(fleet.report()?.posts)
    });
    let (posts, made) = counted?;
    Ok((posts, made * 4 / 5))
}

/// Events of an operator to one reader each.
fn urgent(
    bench: &Bench,
    scene: &Scene,
    server: &super::super::serve::Server,
    timed: &mut Fleet,
    first: usize,
) -> Result<Report> {
    let mut operator = Operator::new(scene, server.address, 1)?;
    let mut random = Random::new(7);
    repeated(bench, timed, |_| {
        let user = first + random.index(scene.readers - first);
        operator.urgent(scene.ids[user], &data(EVENT_BYTES))
    })
}

/// Posts of a stranger that mention one reader each, of those from number `first` on.
pub fn mentions(
    bench: &Bench,
    scene: &Scene,
    server: &super::super::serve::Server,
    timed: &mut Fleet,
    first: usize,
) -> Result<Report> {
    let mut stranger = Author::new(scene, server.address, scene.stranger())?;
    let mut random = Random::new(8);
    repeated(bench, timed, |sent| {
        let user = first + random.index(scene.readers - first);
        stranger.post(&format!("@person{user} {sent}"))
    })
}

fn repeated(bench: &Bench, timed: &mut Fleet, mut act: impl FnMut(&str) -> Result<()>) -> Result<Report> {
    let stop = AtomicBool::new(false);
    let mut left = (URGENT_RATE * bench.size(20.0, 4.0)) as u64;
    let wanted = left;
    timed.mark(true)?;
    paced(URGENT_RATE, &stop, || {
        left -= 1;
        stop.store(left == 0, Ordering::Relaxed);
        act(&format!("{}{}", super::client::wire::SENT, super::client::now_ns()))
    })?;
    // The last ones are on their way, however late they are: they count.
    let began = Instant::now();
    let mut report = timed.report()?;
    while report.timed < wanted && began.elapsed() < LATE_MAX {
        std::thread::sleep(LOOK_EVERY);
        report = timed.report()?;
    }
    if report.timed < wanted {
        return Err(BenchError::Wrong(format!("{} of {wanted} urgent events came", report.timed)));
    }
    Ok(report)
}
