//! Durable messages end to end: a frame in, an fsync, and frames out to everybody in the conversation who is connected.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use super::load::{self, NUMBER, Request};
use super::realtime::bare::BareWriter;
use super::realtime::client::protocol::{Kind, Report};
use super::realtime::client::talk::Talk;
use super::realtime::client::wire;
use super::realtime::fleet::{Fleet, Wanted};
use super::realtime::http::request;
use super::report::{Goal, Row};
use super::scene::{LARGE, Talkers};
use super::serve::Server;
use super::{Bench, BenchError, CHARS, Result, machine, percentile};

/// Messages under way at once, where as many are sent as go.
pub const UNDER_WAY: usize = 512;
/// Messages a second of the quieter run.
const RATE: f64 = 3_000.0;
const RATE_QUICK: f64 = 300.0;
/// Connections that send over HTTP.
const CONNECTIONS: usize = 64;
/// Longest wait for the last frames.
pub const LATE_MAX: Duration = Duration::from_secs(30);
/// Bytes that the bare writer writes to each socket: about what a message's frame has.
const FRAME_BYTES: usize = 900;
/// Goals.
const SENDS_MIN: f64 = 10_000.0;
const P95_MS_MAX: f64 = 200.0;
const P99_MS_MAX: f64 = 400.0;
const QUIET_P99_MS_MAX: f64 = 30.0;
const CPU_US_MAX: f64 = 100.0;

/// Rows of sends.
pub fn run(bench: &mut Bench, talkers: &Talkers) -> Result<()> {
    let folder = bench.folder()?;
    let server = talkers.scene.serve(None)?;
    talkers.scene.greet(&server)?;
    bench.say("chat sends: connecting");
    let mut fleet = Fleet::connected(&sessions(talkers, &server))?;
    let talk = |rate: f64, seconds: u64| Talk {
        lines: talkers.all.clone(),
        rate,
        under_way: UNDER_WAY,
        time_ms: seconds * 1_000,
        chars: CHARS,
    };
    let what = format!("{} sessions, {} conversations, 30 % groups", talkers.sessions, talkers.conversations);
    bench.say("chat sends: as many as go");
    fleet.talk(&talk(0.0, bench.size(5, 1)), LATE_MAX)?;
    let before = threads(&server);
    let seconds = bench.size(60, 4);
    let full = whole(fleet.talk(&talk(0.0, seconds), LATE_MAX)?)?;
    let after = threads(&server);
    let rate = full.talked.answered as f64 / seconds as f64;
    let mut syncs = machine::fsync_us(folder.path())?;
    let fsyncs = 1e6 / percentile(&mut syncs, 50.0);
    let name = format!("durable messages of {CHARS} characters, {what}");
    let row = Row::new(name.clone(), rate, "messages/s").beside("fsyncs one after the other", fsyncs);
    bench.report.add(row.goal(Goal::at_least(SENDS_MIN)));
    bench.report.add(
        Row::new(format!("{name}: until a member has it, p95"), full.p95_us / 1e3, "ms")
            .goal(Goal::at_most(P95_MS_MAX)),
    );
    bench.report.add(Row::new(format!("{name}: p99"), full.p99_us / 1e3, "ms").goal(Goal::at_most(P99_MS_MAX)));
    counted(bench, &full);
    deliveries(bench, &full, rate, talkers.sessions)?;
    processor(bench, &before, &after, full.talked.answered);
    quiet(bench, &mut fleet, &talk, folder.path())?;
    drop(fleet);
    over_http(bench, talkers, &server)
}

/// Connections of those who talk in pairs and small groups.
pub fn sessions(talkers: &Talkers, server: &Server) -> Wanted {
    Wanted { first_user: LARGE, ..Wanted::new(server.address, Kind::Websocket, talkers.sessions) }
}

/// The report, if all that was sent is where it must be.
pub fn whole(report: Report) -> Result<Report> {
    let talked = &report.talked;
    let is_whole = talked.sent == talked.answered + talked.refused && report.events == talked.owed;
    if is_whole && talked.refused + talked.disordered + talked.broken == 0 {
        return Ok(report);
    }
    Err(BenchError::Wrong(format!("{} frames came of {talked:?}; {:?}", report.events, report.error)))
}

/// Rows of what was counted: without it the run has failed.
fn counted(bench: &mut Bench, report: &Report) {
    let talked = &report.talked;
    let name =
        format!("of {} messages and {} frames to others: lost, doubled or out of order", talked.answered, talked.owed);
    bench.report.add(Row::new(name, (talked.disordered + talked.broken) as f64, "").goal(Goal::at_most(0.0)));
}

fn deliveries(bench: &mut Bench, report: &Report, rate: f64, sessions: usize) -> Result<()> {
    let (mut writer, _fleet) = BareWriter::start(sessions)?;
    let frame = wire::text_frame(" ".repeat(FRAME_BYTES).as_bytes());
    let (began, mut spent) = (std::time::Instant::now(), Duration::ZERO);
    let rounds = bench.size(100, 20);
    for _ in 0..rounds {
        spent += writer.write(&frame)?.1;
    }
    let bare = (rounds * sessions) as f64 / began.elapsed().as_secs_f64();
    let frames = rate * report.talked.owed as f64 / report.talked.answered.max(1) as f64;
    let row = Row::new("of it: frames to others", frames, "frames/s");
    bench.report.add(row.beside(format!("bare epoll writer, {FRAME_BYTES} bytes a frame"), bare));
    let name = "the bare writer: processor time of a frame";
    bench.report.add(Row::new(name, spent.as_secs_f64() * 1e6 / (rounds * sessions) as f64, "µs"));
    Ok(())
}

fn quiet(bench: &mut Bench, fleet: &mut Fleet, talk: &impl Fn(f64, u64) -> Talk, folder: &Path) -> Result<()> {
    let rate = bench.size(RATE, RATE_QUICK);
    bench.say(&format!("chat sends: {rate} a second"));
    let report = whole(fleet.talk(&talk(rate, bench.size(20, 3)), LATE_MAX)?)?;
    let mut syncs = machine::fsync_us(folder)?;
    let name = format!("at {rate} a second, until a member has it");
    bench.report.add(Row::new(format!("{name}: p50"), report.p50_us / 1e3, "ms"));
    let row = Row::new(format!("{name}: p99"), report.p99_us / 1e3, "ms").goal(Goal::at_most(QUIET_P99_MS_MAX));
    bench.report.add(row.beside("fsync of 4 KiB, p99", percentile(&mut syncs, 99.0) / 1e3));
    Ok(())
}

/// Processor time of the server's threads, in nanoseconds, by name.
fn threads(server: &Server) -> BTreeMap<String, u64> {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.process.id())).into_iter().flatten().flatten();
    let mut spent = BTreeMap::new();
    for task in tasks {
        let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
        let took = read("schedstat").split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        let name =
            read("comm").trim().trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '-').to_owned();
        *spent.entry(name).or_default() += took;
    }
    spent
}

fn processor(bench: &mut Bench, before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>, messages: u64) {
    let us = |name: &str| {
        let spent = after.get(name).copied().unwrap_or(0).saturating_sub(before.get(name).copied().unwrap_or(0));
        spent as f64 / 1e3 / messages.max(1) as f64
    };
    let mut split: Vec<(f64, &String)> = after.keys().map(|name| (us(name), name)).collect();
    split.sort_by(|one, other| other.0.total_cmp(&one.0));
    let name = "processor time of the server for a message with all its frames";
    let total = split.iter().map(|(us, _)| us).sum();
    bench.report.add(Row::new(name, total, "µs").goal(Goal::at_most(CPU_US_MAX)));
    for (us, name) in split.into_iter().filter(|(us, _)| *us >= 0.5) {
        bench.report.add(Row::new(format!("of it: threads `{name}`"), us, "µs"));
    }
}

/// Requests that each send a new message into a pair of its own.
pub fn requests(talkers: &Talkers) -> Result<Vec<Request>> {
    let filling: String = "words ".chars().cycle().take(CHARS).collect();
    let step = (talkers.direct.len() / CONNECTIONS).max(1);
    let pairs = talkers.direct.iter().step_by(step).take(CONNECTIONS);
    let made = pairs.map(|(sender, _, id)| {
        let body = format!(r#"{{"client_id":"{NUMBER}","kind":"text","text":"{filling}"}}"#);
        let path = format!("/v1/conversations/{id}/messages");
        let bytes = request("POST", &path, &talkers.scene.authorization(*sender)?, &body);
        Ok(Request { bytes, status: 201, body_bytes: None })
    });
    made.collect()
}

fn over_http(bench: &mut Bench, talkers: &Talkers, server: &Server) -> Result<()> {
    bench.say("chat sends: over HTTP");
    let (warm_up, time) = bench.size((2, 15), (1, 2));
    let requests = requests(talkers)?;
    let loaded = load::run(server.address, &requests, Duration::from_secs(warm_up), Duration::from_secs(time))?;
    let mut latencies = loaded.latencies_ms;
    let name = format!("durable messages over HTTP, {} connections", requests.len());
    bench.report.add(Row::new(name.clone(), loaded.rate, "messages/s"));
    bench.report.add(Row::new(format!("{name}: p99"), percentile(&mut latencies, 99.0), "ms"));
    Ok(())
}
