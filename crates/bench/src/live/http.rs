//! First pages over HTTP, beside pages of the home feed with as many items, and while sessions change state.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fanfare_protocol::{Id, LiveSession, Page, Session};

use super::load::{self, Request};
use super::realtime::http::{Calls, request};
use super::realtime::publish::paced;
use super::report::{Goal, Row};
use super::scene::TITLE;
use super::serve::Server;
use super::svg::Bars;
use super::{Bench, BenchError, PAGE, Result, median, percentile};

/// Connections, each of a reader.
const CONNECTIONS: usize = 64;
/// Hosts whom every reader follows: two are live, five have announced.
const HOSTS: usize = 10;
/// Replays of each.
const REPLAYS: usize = 2;
/// Alternations.
const ROUNDS: usize = 5;
/// Changes of state a second, and connections that make them.
const CHANGES: f64 = 1_000.0;
const CHANGERS: usize = 8;
/// Goals. The first is what was published of a list that is stored a reader.
const RATE_MIN: f64 = 15_000.0;
const FEED_RATIO_MIN: f64 = 0.7;
const P99_MS_MAX: f64 = 20.0;
const CHANGING_RATIO_MIN: f64 = 0.8;

struct Person {
    id: Id,
    authorization: String,
}

/// Rows of pages over HTTP.
pub fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    bench.say("live http: starting a server, making people");
    let server = Server::start(folder.path(), None, &[])?;
    let (readers, changers) = people(server.address)?;
    let pages = |path: &str| -> Vec<Request> {
        let one = |reader: &Person| request("GET", path, &reader.authorization, "");
        readers.iter().map(|reader| Request { bytes: one(reader), status: 200, body_bytes: None }).collect()
    };
    let (ours, feed) = (pages(&format!("/v1/live/feed?limit={PAGE}")), pages(&format!("/v1/feed?limit={PAGE}")));
    let (warm_up, time) = bench.size((1.0, 4.0), (0.3, 1.0));
    let (warm_up, time) = (Duration::from_secs_f64(warm_up), Duration::from_secs_f64(time));
    let (mut rates, mut feed_rates, mut changing, mut latencies) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut changes = Vec::new();
    bench.say("live http: reading pages");
    for _ in 0..bench.size(ROUNDS, 3) {
        let load = load::run(server.address, &ours, warm_up, time)?;
        rates.push(load.rate);
        latencies.extend(load.latencies_ms);
        feed_rates.push(load::run(server.address, &feed, warm_up, time)?.rate);
        let (load, made) =
            while_changing(server.address, &changers, || load::run(server.address, &ours, warm_up, time))?;
        changing.push(load.rate);
        changes.push(made as f64 / (warm_up + time).as_secs_f64());
    }
    let name = format!("first page of {PAGE}, follower of {HOSTS} hosts, over HTTP, {CONNECTIONS} connections");
    let goal = Goal { at_least: Some(RATE_MIN), ratio_at_least: Some(FEED_RATIO_MIN), ..Goal::default() };
    let (quiet, feed, while_changing) = (median(&mut rates), median(&mut feed_rates), median(&mut changing));
    let beside = format!("GET /v1/feed?limit={PAGE}");
    bench.report.add(Row::new(name.clone(), quiet, "pages/s").beside(beside, feed).goal(goal));
    let bars = [("live", quiet, true), ("live, while changing", while_changing, true), ("home feed", feed, false)];
    bench.bars.push(Bars::of("First page over HTTP, pages a second", &bars));
    let p99 = Row::new(format!("{name}: p99"), percentile(&mut latencies, 99.0), "ms");
    bench.report.add(p99.goal(Goal::at_most(P99_MS_MAX)));
    let row = Row::new(
        format!("{name}, while {:.0} sessions a second change state", median(&mut changes)),
        while_changing,
        "pages/s",
    );
    bench.report.add(row.beside("quiet", quiet).goal(Goal::ratio(CHANGING_RATIO_MIN)));
    Ok(())
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| BenchError::Wrong(format!("{error} in {text}")))
}

fn person(calls: &mut Calls, handle: &str) -> Result<Person> {
    let body = format!(r#"{{"handle":"{handle}","password":"correct horse {handle}"}}"#);
    let session: Session = parse(&calls.ask(&request("POST", "/v1/users", "x-nobody: 1", &body))?)?;
    Ok(Person { id: session.user.id, authorization: format!("authorization: Bearer {}", session.token) })
}

/// A moment in an hour, as JSON: sessions are announced for it.
fn soon() -> String {
    let now_ms = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    serde_json::to_string(&fanfare_protocol::Timestamp(now_ms as u64 + 3_600_000)).unwrap_or_default()
}

fn announce(calls: &mut Calls, host: &Person) -> Result<Id> {
    let body = format!(r#"{{"title":"{TITLE}","starts_at":{}}}"#, soon());
    let made: LiveSession = parse(&calls.ask(&request("POST", "/v1/live", &host.authorization, &body))?)?;
    Ok(made.id)
}

fn act(calls: &mut Calls, host: &Person, session: Id, what: &str) -> Result<()> {
    calls.ask(&request("POST", &format!("/v1/live/{session}/{what}"), &host.authorization, "")).map(drop)
}

/// Readers who all follow the same hosts, who have posted too; and people whose sessions change, whom the readers
/// follow as well.
fn people(address: SocketAddr) -> Result<(Vec<Person>, Vec<Person>)> {
    let mut calls = Calls::open(address)?;
    let mut all = |prefix: &str, count: usize| -> Result<Vec<Person>> {
        (0..count).map(|number| person(&mut calls, &format!("{prefix}{number}"))).collect()
    };
    let (hosts, readers, changers) = (all("host", HOSTS)?, all("reader", CONNECTIONS)?, all("changer", CHANGERS)?);
    for reader in &readers {
        // One of those who change is followed, so that pages do change; all of them would be all that pages show.
        for host in hosts.iter().chain(&changers[..1]) {
            calls.ask(&request("PUT", &format!("/v1/users/{}/follow", host.id), &reader.authorization, ""))?;
        }
    }
    for (number, host) in hosts.iter().enumerate() {
        for _ in 0..REPLAYS {
            let session = announce(&mut calls, host)?;
            act(&mut calls, host, session, "start")?;
            act(&mut calls, host, session, "end")?;
            let body = format!(r#"{{"text":"{TITLE}"}}"#);
            calls.ask(&request("POST", "/v1/posts", &host.authorization, &body))?;
        }
        if number < 7 {
            let session = announce(&mut calls, host)?;
            if number < 2 {
                act(&mut calls, host, session, "start")?;
            }
        }
    }
    let read = calls.ask(&request("GET", &format!("/v1/live/feed?limit={PAGE}"), &readers[0].authorization, ""))?;
    let page: Page<LiveSession> = parse(&read)?;
    match page.items.len() {
        PAGE => Ok((readers, changers)),
        other => Err(BenchError::Wrong(format!("a page of {PAGE} has {other} sessions"))),
    }
}

/// Sessions begin and end while `meanwhile` runs; answers what that does, and how often one changed its state.
fn while_changing<T>(
    address: SocketAddr,
    changers: &[Person],
    meanwhile: impl FnOnce() -> Result<T>,
) -> Result<(T, u64)> {
    let (stop, made) = (AtomicBool::new(false), AtomicU64::new(0));
    let changer = |host: &Person| -> Result<()> {
        let mut calls = Calls::open(address)?;
        // Each turn is three changes: announced, live, over.
        paced(CHANGES / 3.0 / CHANGERS as f64, &stop, || {
            let session = announce(&mut calls, host)?;
            act(&mut calls, host, session, "start")?;
            act(&mut calls, host, session, "end")?;
            made.fetch_add(3, Ordering::Relaxed);
            Ok(())
        })?;
        Ok(())
    };
    std::thread::scope(|scope| {
        let hands: Vec<_> = changers.iter().map(|host| scope.spawn(|| changer(host))).collect();
        let result = meanwhile();
        stop.store(true, Ordering::Relaxed);
        for hand in hands {
            hand.join().map_err(|_| BenchError::Wrong("a host panicked".to_owned()))??;
        }
        Ok((result?, made.load(Ordering::Relaxed)))
    })
}
