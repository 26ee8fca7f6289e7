//! Start of a star's session: until the last of very many followers has `live.changed`, beside a broadcast of as many
//! bytes; and mentions meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare_protocol::{Id, LiveSession};

use super::realtime::client::now_ns;
use super::realtime::client::protocol::{Kind, Until};
use super::realtime::fleet::{Fleet, Wanted};
use super::realtime::http::{Calls, request};
use super::realtime::lanes;
use super::realtime::publish::{Operator, data};
use super::realtime::scene::Scene;
use super::report::{Goal, Row};
use super::scene::TITLE;
use super::serve::Server;
use super::svg::Bars;
use super::{Bench, BenchError, Result, machine, median};

/// Followers of the star.
const FOLLOWERS: usize = 15_000;
const FOLLOWERS_QUICK: usize = 2_000;
/// Readers whose mentions are timed.
const TIMED: usize = 500;
/// Longest wait for a round.
const ROUND_MAX: Duration = Duration::from_secs(60);
/// Goals.
const LAST_MS_MAX: f64 = 300.0;
const BROADCAST_RATIO_MAX: f64 = 1.5;
const MENTION_P99_MS_MAX: f64 = 50.0;

/// The star and the calls of their sessions.
struct Star {
    calls: Calls,
    authorization: String,
}

impl Star {
    fn new(scene: &Scene, server: &Server) -> Result<Self> {
        Ok(Self { calls: Calls::open(server.address)?, authorization: scene.authorization(scene.star())? })
    }

    fn announce(&mut self) -> Result<Id> {
        let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
        let soon = serde_json::to_string(&fanfare_protocol::Timestamp(now_ms as u64 + 3_600_000)).unwrap_or_default();
        let body = format!(r#"{{"title":"{TITLE}","starts_at":{soon}}}"#);
        let made = self.calls.ask(&request("POST", "/v1/live", &self.authorization, &body))?;
        let made: LiveSession = serde_json::from_str(&made).map_err(|error| BenchError::Wrong(error.to_string()))?;
        Ok(made.id)
    }

    fn act(&mut self, session: Id, what: &str) -> Result<()> {
        self.calls.ask(&request("POST", &format!("/v1/live/{session}/{what}"), &self.authorization, "")).map(drop)
    }
}

/// Rows of starts.
pub fn run(bench: &mut Bench) -> Result<()> {
    machine::open_many_files();
    let scene = Scene::build(bench, bench.size(FOLLOWERS, FOLLOWERS_QUICK))?;
    let server = scene.serve(None)?;
    scene.greet(&server)?;
    bench.say("live start: connecting");
    let many = scene.readers - TIMED;
    let mut fleet = Fleet::connected(&Wanted::new(server.address, Kind::Websocket, many))?;
    let few = Wanted { first_user: many, ..Wanted::new(server.address, Kind::Websocket, TIMED) };
    let mut timed = Fleet::connected(&few)?;
    let mut star = Star::new(&scene, &server)?;
    let (mut starts, mut broadcasts) = (Vec::new(), Vec::new());
    for _ in 0..bench.size(15, 3) {
        let session = star.announce()?;
        // The announcement is told too: it must have come before the clock begins.
        round(&mut fleet, many, || star.act(session, "start"))?;
        fleet.mark(false)?;
        let (ms, bytes) = round(&mut fleet, many, || star.act(session, "end"))?;
        starts.push(ms);
        let text = data(bytes.saturating_sub(100).max(60));
        let mut operator = Operator::new(&scene, server.address, 1)?;
        broadcasts.push(round(&mut fleet, many, || operator.publish(&text, 1))?.0);
    }
    let what = format!("a change of a star's session: until the last of {many} followers has it");
    let goal = Goal { at_most: Some(LAST_MS_MAX), ratio_at_most: Some(BROADCAST_RATIO_MAX), ..Goal::default() };
    let (change, broadcast) = (median(&mut starts), median(&mut broadcasts));
    let row = Row::new(what, change, "ms");
    bench.report.add(row.beside("a broadcast of as many bytes", broadcast).goal(goal));
    let bars = [("live.changed", change, true), ("a broadcast", broadcast, false)];
    bench.bars.push(Bars::of("A change of a star's session until the last follower has it, ms", &bars));
    mentions(bench, &scene, &server, &mut timed, many)
}

/// Milliseconds from an act until everybody has an event of it, and bytes of one.
fn round(fleet: &mut Fleet, readers: usize, act: impl FnOnce() -> Result<()>) -> Result<(f64, usize)> {
    // What came late of an earlier act must not be taken for this one.
    let mut quiet = fleet.report()?.events;
    loop {
        std::thread::sleep(Duration::from_millis(50));
        let now = fleet.report()?.events;
        if now == quiet {
            break;
        }
        quiet = now;
    }
    fleet.mark(false)?;
    let began = now_ns();
    act()?;
    let report = fleet.wait(Until::Events, readers as u64, ROUND_MAX)?;
    if report.events < readers as u64 {
        return Err(BenchError::Wrong(format!("{} of {readers} heard of it", report.events)));
    }
    Ok((report.last_ns.saturating_sub(began) as f64 / 1e6, (report.bytes / report.events.max(1)) as usize))
}

fn mentions(bench: &mut Bench, scene: &Scene, server: &Server, timed: &mut Fleet, first: usize) -> Result<()> {
    let quiet = lanes::mentions(bench, scene, server, timed, first)?;
    let stop = AtomicBool::new(false);
    let loud = std::thread::scope(|scope| {
        let changing = scope.spawn(|| -> Result<()> {
            let mut star = Star::new(scene, server)?;
            while !stop.load(Ordering::Relaxed) {
                let session = star.announce()?;
                star.act(session, "start")?;
                star.act(session, "end")?;
                std::thread::sleep(Duration::from_millis(500));
            }
            Ok(())
        });
        let loud = lanes::mentions(bench, scene, server, timed, first);
        stop.store(true, Ordering::Relaxed);
        changing.join().map_err(|_| BenchError::Wrong("the star panicked".to_owned()))??;
        loud
    })?;
    let row = Row::new("mention while a star's sessions change: p99", loud.p99_us / 1e3, "ms");
    bench.report.add(row.beside("quiet", quiet.p99_us / 1e3).goal(Goal::at_most(MENTION_P99_MS_MAX)));
    Ok(())
}
