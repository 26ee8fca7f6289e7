//! Messages of pairs beside what may disturb them: posts at full rate, and a large group that talks.

use std::time::Duration;

use super::load::{self, Request};
use super::realtime::client::protocol::{Kind, Report};
use super::realtime::client::talk::Talk;
use super::realtime::fleet::{Fleet, Wanted};
use super::realtime::http::request;
use super::report::{Goal, Row};
use super::scene::{LARGE, Talkers};
use super::sends::{sessions, whole};
use super::world::text;
use super::{Bench, BenchError, CHARS, Result, median};

/// Messages a second of pairs, and of the large group.
const RATE: f64 = 1_000.0;
const RATE_QUICK: f64 = 100.0;
const LARGE_RATE: f64 = 100.0;
const LARGE_RATE_QUICK: f64 = 10.0;
/// Alternations.
const ROUNDS: usize = 5;
/// Connections that post.
const POSTERS: usize = 32;
/// Longest wait for the last frames.
const LATE_MAX: Duration = Duration::from_secs(30);
/// Goals.
const FLOOD_P99_MS_MAX: f64 = 100.0;
const BESIDE_RATIO_MAX: f64 = 1.25;
const LARGE_P99_MS_MAX: f64 = 50.0;

/// Rows of messages beside other traffic.
pub fn run(bench: &mut Bench, talkers: &Talkers) -> Result<()> {
    let server = talkers.scene.serve(None)?;
    talkers.scene.greet(&server)?;
    bench.say("chat beside: connecting");
    let mut pairs = Fleet::connected(&sessions(talkers, &server))?;
    let mut large = Fleet::connected(&Wanted::new(server.address, Kind::Websocket, LARGE))?;
    let seconds = bench.size(8, 2);
    let talk = |large: bool| Talk {
        lines: if large { talkers.large.clone() } else { talkers.pairs.clone() },
        rate: if large { bench.size(LARGE_RATE, LARGE_RATE_QUICK) } else { bench.size(RATE, RATE_QUICK) },
        under_way: 0,
        time_ms: seconds * 1_000,
        chars: CHARS,
    };
    let (of_pairs, of_large) = (talk(false), talk(true));
    bench.say("chat beside: the large group");
    let (mut quiet, mut beside, mut group, mut group_p99) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.size(ROUNDS, 3) {
        quiet.push(ms(whole(pairs.talk(&of_pairs, LATE_MAX)?)?.p95_us));
        large.begin_talk(&of_large, LATE_MAX)?;
        let both = whole(pairs.talk(&of_pairs, LATE_MAX)?)?;
        let of_group = whole(large.talked()?)?;
        beside.push(ms(both.p95_us));
        group.push(ms(of_group.p50_us));
        group_p99.push(ms(of_group.p99_us));
    }
    let name = format!("group of {LARGE}, all connected, {} messages a second, until a member has it", of_large.rate);
    bench.report.add(Row::new(format!("{name}: p50, median of rounds"), median(&mut group), "ms"));
    let row = Row::new(format!("{name}: p99, median of rounds"), median(&mut group_p99), "ms");
    bench.report.add(row.goal(Goal::at_most(LARGE_P99_MS_MAX)));
    let quiet = median(&mut quiet);
    let name = format!("{} messages of pairs a second beside that group: p95, median of rounds", of_pairs.rate);
    let goal = Goal { ratio_at_most: Some(BESIDE_RATIO_MAX), ..Goal::default() };
    let goal = if quiet * (BESIDE_RATIO_MAX - 1.0) < 3.0 { Goal::at_most(quiet + 3.0) } else { goal };
    bench.report.add(Row::new(name, median(&mut beside), "ms").beside("without the group", quiet).goal(goal));
    drop(large);
    flood(bench, talkers, &server, &mut pairs, &of_pairs)
}

fn ms(us: f64) -> f64 {
    us / 1e3
}

fn flood(
    bench: &mut Bench,
    talkers: &Talkers,
    server: &super::serve::Server,
    pairs: &mut Fleet,
    talk: &Talk,
) -> Result<()> {
    bench.say("chat beside: posts at full rate");
    let quiet = whole(pairs.talk(talk, LATE_MAX)?)?;
    let body = format!(r#"{{"text":"{}"}}"#, text());
    // Nobody follows them: what is measured is the write path beside the other, not a broadcast.
    let authorization = talkers.scene.authorization(talkers.scene.stranger())?;
    let post = Request { bytes: request("POST", "/v1/posts", &authorization, &body), status: 201, body_bytes: None };
    let posts = vec![post; POSTERS];
    let time = Duration::from_millis(talk.time_ms);
    let (loud, posted): (Report, f64) = std::thread::scope(|scope| {
        let posting = scope.spawn(|| load::run(server.address, &posts, Duration::ZERO, time));
        let loud = whole(pairs.talk(talk, LATE_MAX)?)?;
        let posted = posting.join().map_err(|_| BenchError::Wrong("an author panicked".to_owned()))??;
        Ok::<_, BenchError>((loud, posted.rate))
    })?;
    let name = format!("{} messages of pairs a second beside {posted:.0} posts a second over HTTP", talk.rate);
    bench.report.add(Row::new(format!("{name}: p50"), ms(loud.p50_us), "ms").beside("quiet", ms(quiet.p50_us)));
    let row = Row::new(format!("{name}: p99"), ms(loud.p99_us), "ms").beside("quiet", ms(quiet.p99_us));
    bench.report.add(row.goal(Goal::at_most(FLOOD_P99_MS_MAX)));
    Ok(())
}
