//! The server as a process of its own, over HTTP: feed pages beside nginx, and durable posts.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare_protocol::{Id, Page, Post, Session};

use super::child::installed;
use super::load::{self, Connection, Request};
use super::nginx::{self, Nginx};
use super::report::{Goal, Row};
use super::serve::Server;
use super::world::{TEXT_CHARS, text};
use super::{Bench, BenchError, Result, machine, median, percentile};

/// Connections.
pub const CONNECTIONS: usize = 64;
/// Posts of a page.
const PAGE: usize = 20;
/// Authors whom every reader follows, and posts of each: more than a page.
const AUTHORS: usize = 4;
const POSTS_EACH: usize = 10;
/// Alternations of the two servers.
const ROUNDS: usize = 5;
/// Goals.
const PAGES_RATIO_MIN: f64 = 0.5;
const POSTS_RATE_MIN: f64 = 7_000.0;
const POSTS_P99_MS_MAX: f64 = 30.0;

/// Rows of pages and posts.
pub fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    bench.say("http: starting a server, making people");
    let server = Server::start(folder.path(), None, &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let people = runtime.block_on(people(server.address))?;
    pages(bench, &server, &people)?;
    posts(bench, &server, &people)
}

fn pages(bench: &mut Bench, server: &Server, people: &People) -> Result<()> {
    let ours: Vec<Request> = people.readers.iter().map(|reader| get("/v1/feed", Some(&reader.token), people)).collect();
    let name = format!("feed page of {PAGE} posts of {TEXT_CHARS} characters over HTTP, {CONNECTIONS} connections");
    let (warm_up, time) = bench.size((1.0, 4.0), (0.3, 1.0));
    let (warm_up, time) = (Duration::from_secs_f64(warm_up), Duration::from_secs_f64(time));
    let nginx = match installed("nginx") {
        Some(program) => Some(Nginx::start(&program, bench.folder()?, people.page.as_bytes())?),
        None => None,
    };
    let theirs = vec![get(&format!("/{}", nginx::FILE), None, people); CONNECTIONS];
    let (mut rates, mut peer_rates, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
    let (mut costs, mut peer_costs) = (Vec::new(), Vec::new());
    bench.say("http: reading pages");
    for _ in 0..bench.size(ROUNDS, 3) {
        let (load, cost) = measured(server.address, &[server.process.id()], &ours, warm_up, time)?;
        rates.push(load.rate);
        costs.push(cost);
        latencies.extend(load.latencies_ms);
        if let Some(nginx) = &nginx {
            let (load, cost) = measured(nginx.address, &nginx.processes(), &theirs, warm_up, time)?;
            peer_rates.push(load.rate);
            peer_costs.push(cost);
        }
    }
    let row = Row::new(name.clone(), median(&mut rates), "pages/s").goal(Goal::ratio(PAGES_RATIO_MIN));
    let cost = Row::new("of it: processor time of the server for a page", median(&mut costs), "µs");
    let (row, cost) = match &nginx {
        Some(nginx) => {
            let peer = format!("{}, the same {} bytes as a file", nginx.version, people.page.len());
            (row.beside(peer.clone(), median(&mut peer_rates)), cost.beside(peer, median(&mut peer_costs)))
        }
        None => (row.without_peer("nginx is not installed: scripts/peers installs it"), cost),
    };
    bench.report.add(row);
    bench.report.add(cost);
    bench.report.add(Row::new(format!("{name}: p50"), percentile(&mut latencies, 50.0), "ms"));
    bench.report.add(Row::new(format!("{name}: p99"), percentile(&mut latencies, 99.0), "ms"));
    Ok(())
}

fn posts(bench: &mut Bench, server: &Server, people: &People) -> Result<()> {
    bench.say("http: posting");
    let post = |reader: &Person| Request {
        bytes: request("POST", "/v1/posts", Some(&reader.token), &new_post()),
        status: 201,
        body_bytes: None,
    };
    let requests: Vec<Request> = people.readers.iter().map(post).collect();
    let (warm_up, time) = bench.size((2, 10), (1, 3));
    let mut syncs = machine::fsync_us(bench.folder.path())?;
    let (mut load, cost) = measured(
        server.address,
        &[server.process.id()],
        &requests,
        Duration::from_secs(warm_up),
        Duration::from_secs(time),
    )?;
    let name = format!("durable posts over HTTP, {CONNECTIONS} connections");
    bench.report.add(Row::new(name.clone(), load.rate, "posts/s").goal(Goal::at_least(POSTS_RATE_MIN)));
    bench.report.add(Row::new(format!("{name}: p50"), percentile(&mut load.latencies_ms, 50.0), "ms"));
    let p99 = Row::new(format!("{name}: p99"), percentile(&mut load.latencies_ms, 99.0), "ms");
    bench.report.add(p99.goal(Goal::at_most(POSTS_P99_MS_MAX)));
    bench.report.add(Row::new("of it: processor time of the server for a post", cost, "µs"));
    for percent in [50.0, 99.0] {
        let name = format!("beside it, just before: fsync of 4 KiB, p{percent}");
        bench.report.add(Row::new(name, percentile(&mut syncs, percent), "µs"));
    }
    Ok(())
}

/// A run of load, and the processor time in microseconds that `processes` took for each answer of it.
pub fn measured(
    address: SocketAddr,
    processes: &[u32],
    requests: &[Request],
    warm_up: Duration,
    time: Duration,
) -> Result<(load::Load, f64)> {
    let used = || processes.iter().filter_map(|process| machine::cpu_time(*process)).sum::<Duration>();
    let before = used();
    let load = load::run(address, requests, warm_up, time)?;
    // The warm-up is in the time but not in the count.
    let share = time.as_secs_f64() / (warm_up + time).as_secs_f64();
    let cost = (used() - before).as_secs_f64() * 1e6 * share / load.latencies_ms.len().max(1) as f64;
    Ok((load, cost))
}

/// Person of the bench.
pub struct Person {
    id: Id,
    /// Token of a log-in.
    pub token: String,
}

/// People who use the server, and what every reader's page is like.
pub struct People {
    /// Readers; their handles are `reader` and a number.
    pub readers: Vec<Person>,
    page: String,
}

/// Makes the people, their follows and posts.
pub async fn people(address: SocketAddr) -> Result<People> {
    let mut connection = Connection::open(address).await?;
    let mut readers = Vec::new();
    for number in 0..CONNECTIONS {
        readers.push(register(&mut connection, number).await?);
    }
    // The first of the readers are the authors: their own posts are in their feeds as well.
    for author in &readers[..AUTHORS] {
        for reader in readers.iter().filter(|reader| reader.id != author.id) {
            let path = format!("/v1/users/{}/follow", author.id);
            ask(&mut connection, "PUT", &path, &reader.token, "", 200).await?;
        }
    }
    for number in 0..AUTHORS * POSTS_EACH {
        let token = &readers[number % AUTHORS].token;
        ask(&mut connection, "POST", "/v1/posts", token, &new_post(), 201).await?;
    }
    let mut page = String::new();
    for reader in &readers {
        let read = ask(&mut connection, "GET", "/v1/feed", &reader.token, "", 200).await?;
        let parsed: Page<Post> = parse(&read)?;
        let right = parsed.items.len() == PAGE && parsed.items.iter().all(|post| post.text.len() == TEXT_CHARS);
        if !right || !(page.is_empty() || page.len() == read.len()) {
            return Err(BenchError::Wrong(format!("not the page that was expected: {read}")));
        }
        page = read;
    }
    Ok(People { readers, page })
}

async fn register(connection: &mut Connection, number: usize) -> Result<Person> {
    let body = format!(r#"{{"handle":"reader{number}","password":"correct horse {number}"}}"#);
    let answer = connection.ask(&request("POST", "/v1/users", None, &body)).await?;
    let said = connection.last_body(answer);
    if answer.status != 201 {
        return Err(BenchError::Wrong(format!("registration answered {said}")));
    }
    let session: Session = parse(&said)?;
    Ok(Person { id: session.user.id, token: session.token })
}

async fn ask(
    connection: &mut Connection,
    method: &str,
    path: &str,
    token: &str,
    body: &str,
    status: u16,
) -> Result<String> {
    let answer = connection.ask(&request(method, path, Some(token), body)).await?;
    let said = connection.last_body(answer);
    if answer.status == status {
        Ok(said)
    } else {
        Err(BenchError::Wrong(format!("{method} {path} answered {}: {said}", answer.status)))
    }
}

fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| BenchError::Wrong(format!("{error} in {text}")))
}

/// Body of a plain post.
pub fn new_post() -> String {
    format!(r#"{{"text":"{}"}}"#, text())
}

/// A request that a page of these people answers.
pub fn get(path: &str, token: Option<&str>, people: &People) -> Request {
    Request { bytes: request("GET", path, token, ""), status: 200, body_bytes: Some(people.page.len()) }
}

/// A request of these parts.
pub fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    if let Some(token) = token {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}
