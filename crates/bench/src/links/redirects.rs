//! Redirects over HTTP, beside nginx, with everything on; by the door and through the router; and posts beside them.

use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::installed;
use super::load::{Connection, Request};
use super::nginx::Nginx;
use super::report::{Goal, Row};
use super::serve::Server;
use super::svg::Bars;
use super::{Bench, BenchError, Result, machine, median, percentile};

/// Connections.
pub(super) const CONNECTIONS: usize = 64;
/// Alternations.
const ROUNDS: usize = 5;
/// Requests that are drawn before the run; connections go through them from different places.
const DRAWN: usize = 1 << 18;
/// Target of nginx's redirect, as long as those of the links.
const TARGET: &str = "https://example.com/articles/2026/11/30/0000000000";

/// Somebody with links, and their codes.
pub(super) struct Links {
    pub(super) token: String,
    pub(super) codes: Vec<String>,
}

/// Rows of redirects.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let folder = bench.folder()?;
    let count = bench.size(1_000_000, 20_000);
    bench.say(&format!("redirects: making {count} links"));
    let links = made(folder.path(), count)?;
    let server = Server::start(folder.path(), None, &[])?;
    let requests = Arc::new(drawn(&links.codes));
    let warm_up = Duration::from_secs_f64(bench.size(3.0, 0.5));
    let time = Duration::from_secs_f64(bench.size(5.0, 1.0));
    let rounds = bench.size(ROUNDS, 2);
    bench.say("redirects: keep-alive");
    kept_alive(bench, &server, &requests, (warm_up, time, rounds))?;
    bench.say("redirects: a new connection each");
    new_each(bench, &server, &requests, (time, rounds))?;
    drop(server);
    bench.say("redirects: through the router");
    door(bench, folder.path(), &requests, (warm_up, time, rounds))?;
    bench.say("redirects: posts beside them");
    posts_beside(bench, folder.path(), &links.token, &requests, time)
}

/// Makes `count` links of a person in `folder`, as an import does, and reads their codes.
pub(super) fn made(folder: &Path, count: usize) -> Result<Links> {
    let server = Server::start(folder, None, &[])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let token = runtime.block_on(registered(server.address, "bench"))?;
    drop(server);
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    for number in 0..count {
        writeln!(file, "https://example.com/articles/2026/11/30/{number:010}")?;
    }
    file.flush()?;
    let mut import = Command::new(std::env::current_exe()?);
    import.args(["import", "--user", "bench", "--urls"]).arg(file.path()).arg("--data-dir").arg(folder);
    import.env("FANFARE__LINKS__PER_USER_MAX", "100000000").env("FANFARE__LOG__LEVEL", "error");
    if !import.stdout(Stdio::null()).stderr(Stdio::null()).status()?.success() {
        return Err(BenchError::Wrong("the links were not made".to_owned()));
    }
    let server = Server::start(folder, None, &[])?;
    let codes = runtime.block_on(codes(server.address, &token))?;
    if codes.len() != count {
        return Err(BenchError::Wrong(format!("{} links instead of {count}", codes.len())));
    }
    Ok(Links { token, codes })
}

/// Token of somebody new.
pub(super) async fn registered(address: SocketAddr, handle: &str) -> Result<String> {
    let body = format!(r#"{{"handle":"{handle}","password":"correct horse"}}"#);
    let said = asked(address, "POST", "/v1/users", None, &body).await?;
    let session: fanfare_protocol::Session =
        serde_json::from_str(&said).map_err(|error| BenchError::Wrong(format!("{error} in {said}")))?;
    Ok(session.token)
}

/// Body of an answer that must be a success.
pub(super) async fn asked(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: &str,
) -> Result<String> {
    let mut connection = Connection::open(address).await?;
    let answer = connection.ask(&request(method, path, token, body)).await?;
    let said = connection.last_body(answer);
    if (200..300).contains(&answer.status) {
        Ok(said)
    } else {
        Err(BenchError::Wrong(format!("{method} {path} answered {}: {said}", answer.status)))
    }
}

async fn codes(address: SocketAddr, token: &str) -> Result<Vec<String>> {
    let client = fanfare_client::Client::new(&format!("http://{address}")).with_token(token);
    let (mut codes, mut cursor) = (Vec::new(), None);
    loop {
        let paging = fanfare_client::Paging::at(100, cursor.as_deref());
        let page = client.links(paging).await.map_err(|error| BenchError::Wrong(error.to_string()))?;
        codes.extend(page.items.into_iter().map(|link| link.code));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return Ok(codes);
        }
    }
}

/// A request.
pub(super) fn request(method: &str, path: &str, token: Option<&str>, body: &str) -> Vec<u8> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    if let Some(token) = token {
        head.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if !body.is_empty() {
        head.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    format!("{head}\r\n{body}").into_bytes()
}

/// Requests of browsers for codes, drawn by Zipf's law with exponent 1: the first of them is followed as often as the
/// second and third together, and so on.
fn drawn(codes: &[String]) -> Vec<Vec<u8>> {
    let weights = (1..=codes.len()).scan(0.0, |sum, rank| {
        *sum += 1.0 / rank as f64;
        Some(*sum)
    });
    let sums: Vec<f64> = weights.collect();
    let whole = sums.last().copied().unwrap_or(0.0);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let visit = |code: &str| {
        format!(
            "GET /s/{code} HTTP/1.1\r\nhost: bench\r\nuser-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) \
             Gecko/20100101 Firefox/140.0\r\naccept: text/html,*/*;q=0.8\r\naccept-language: en-GB,en;q=0.8\r\n\
             referer: https://news.example/\r\n\r\n"
        )
        .into_bytes()
    };
    let mut place = || {
        let at = draw() * whole;
        sums.partition_point(|sum| *sum < at).min(codes.len() - 1)
    };
    (0..DRAWN).map(|_| visit(&codes[place()])).collect()
}

/// Figures of a run.
struct Run {
    rate: f64,
    latencies_ms: Vec<f64>,
    /// Processor time of the server for an answer, in microseconds.
    cost_us: f64,
}

/// Loads `address` with keep-alive connections that go through `requests`.
fn run_of(
    address: SocketAddr,
    processes: &[u32],
    requests: &Arc<Vec<Vec<u8>>>,
    (warm_up, time): (Duration, Duration),
    is_new_each: bool,
) -> Result<Run> {
    let used = || processes.iter().filter_map(|process| machine::cpu_time(*process)).sum::<Duration>();
    let threads = machine::cores().min(CONNECTIONS);
    let (before, begin) = (used(), Instant::now() + warm_up);
    let end = begin + time;
    let handles: Vec<_> = (0..threads)
        .map(|thread| {
            let requests = Arc::clone(requests);
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let ask = |number| {
                        tokio::spawn(connection(address, Arc::clone(&requests), number, (begin, end), is_new_each))
                    };
                    let all: Vec<_> = (thread..CONNECTIONS).step_by(threads).map(ask).collect();
                    let (mut latencies, mut count) = (Vec::new(), 0_u64);
                    for one in all {
                        let (own, asked) = one.await.map_err(|error| BenchError::Wrong(error.to_string()))??;
                        latencies.extend(own);
                        count += asked;
                    }
                    Ok::<_, BenchError>((latencies, count))
                })
            })
        })
        .collect();
    let (mut latencies_ms, mut asked) = (Vec::new(), 0);
    for handle in handles {
        let joined = handle.join().map_err(|_| BenchError::Wrong("a thread of the load panicked".to_owned()))?;
        let (own, count) = joined?;
        latencies_ms.extend(own);
        asked += count;
    }
    let cost_us = (used() - before).as_secs_f64() * 1e6 / asked.max(1) as f64;
    Ok(Run { rate: latencies_ms.len() as f64 / time.as_secs_f64(), latencies_ms, cost_us })
}

/// Times of one connection's answers, and how many there were with the warm-up.
async fn connection(
    address: SocketAddr,
    requests: Arc<Vec<Vec<u8>>>,
    number: usize,
    (begin, end): (Instant, Instant),
    is_new_each: bool,
) -> Result<(Vec<f64>, u64)> {
    let (mut latencies, mut asked) = (Vec::new(), 0_u64);
    let mut at = number * (requests.len() / CONNECTIONS);
    let mut kept = None;
    loop {
        let started = Instant::now();
        if started >= end {
            return Ok((latencies, asked));
        }
        let mut open = match kept.take() {
            Some(open) => open,
            None if is_new_each => Connection::open_from(source(at), address).await?,
            None => Connection::open(address).await?,
        };
        let answer = open.ask(&requests[at % requests.len()]).await?;
        if answer.status != 302 {
            return Err(BenchError::Wrong(format!("answered {answer:?}: {}", open.last_body(answer))));
        }
        if !is_new_each {
            kept = Some(open);
        }
        let ended = Instant::now();
        (at, asked) = (at + 1, asked + 1);
        if started >= begin && ended <= end {
            latencies.push((ended - started).as_secs_f64() * 1e3);
        }
    }
}

/// Address of this machine for the connection `number`: one alone would run out of ports.
fn source(number: usize) -> SocketAddr {
    let host = Ipv4Addr::new(127, 0, 1 + (number / 200 % 200) as u8, 1 + (number % 200) as u8);
    SocketAddr::V4(SocketAddrV4::new(host, 0))
}

/// nginx twice, with its access log and without.
fn peers(bench: &Bench) -> Result<Option<[Nginx; 2]>> {
    let Some(program) = installed("nginx") else { return Ok(None) };
    let one = |logged| Nginx::redirecting(&program, bench.folder()?, TARGET, logged);
    Ok(Some([one(true)?, one(false)?]))
}

type Alternations = (Duration, Duration, usize);

fn kept_alive(
    bench: &mut Bench,
    server: &Server,
    requests: &Arc<Vec<Vec<u8>>>,
    (warm_up, time, rounds): Alternations,
) -> Result<()> {
    let peers = peers(bench)?;
    let (mut ours, mut theirs) = (Vec::new(), [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        ours.push(run_of(server.address, &[server.process.id()], requests, (warm_up, time), false)?);
        for (peer, runs) in peers.iter().flatten().zip(&mut theirs) {
            runs.push(run_of(peer.address, &peer.processes(), requests, (warm_up / 3, time), false)?);
        }
    }
    let rate = |runs: &[Run]| median(&mut runs.iter().map(|run| run.rate).collect::<Vec<_>>());
    let cost = |runs: &[Run]| median(&mut runs.iter().map(|run| run.cost_us).collect::<Vec<_>>());
    let p99 = |runs: &[Run]| {
        percentile(&mut runs.iter().flat_map(|run| run.latencies_ms.iter().copied()).collect::<Vec<_>>(), 99.0)
    };
    let name = format!("redirects over HTTP, {CONNECTIONS} keep-alive connections, Zipf");
    let [logged, silent] = &theirs;
    let version = peers.as_ref().map(|[peer, _]| peer.version.clone());
    let with = |row: Row, what: &str, value: f64| match &version {
        Some(version) => row.beside(format!("{version}, {what}"), value),
        None => row.without_peer("nginx is not installed: scripts/peers installs it"),
    };
    let (on, off) = ("return 302, access log on", "return 302, no log");
    let rows = [
        with(Row::new(name.clone(), rate(&ours), "1/s").goal(Goal::ratio(0.8)), on, rate(logged)),
        with(Row::new(name.clone(), rate(&ours), "1/s").goal(Goal::ratio(0.65)), off, rate(silent)),
        with(Row::new(format!("{name}: p99"), p99(&ours), "ms").goal(p99_goal()), on, p99(logged)),
        with(
            Row::new("of it: processor time of the whole server for a redirect", cost(&ours), "µs").goal(at_most(1.2)),
            on,
            cost(logged),
        ),
    ];
    rows.into_iter().for_each(|row| bench.report.add(row));
    if version.is_some() {
        let bars = |title, ours, logged, silent| {
            Bars::of(
                title,
                &[("Fanfare", ours, true), ("nginx, with log", logged, false), ("nginx, no log", silent, false)],
            )
        };
        bench.bars.push(bars("Redirects a second", rate(&ours), rate(logged), rate(silent)));
        bench.bars.push(bars("Processor time of a redirect, µs", cost(&ours), cost(logged), cost(silent)));
    }
    Ok(())
}

fn p99_goal() -> Goal {
    Goal { at_most: Some(50.0), ..at_most(2.0) }
}

fn at_most(ratio: f64) -> Goal {
    Goal { ratio_at_most: Some(ratio), ..Goal::default() }
}

fn new_each(
    bench: &mut Bench,
    server: &Server,
    requests: &Arc<Vec<Vec<u8>>>,
    (time, rounds): (Duration, usize),
) -> Result<()> {
    let peers = peers(bench)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        ours.push(run_of(server.address, &[server.process.id()], requests, (Duration::ZERO, time), true)?.rate);
        if let Some([peer, _]) = &peers {
            theirs.push(run_of(peer.address, &peer.processes(), requests, (Duration::ZERO, time), true)?.rate);
        }
    }
    let name = format!("redirects over HTTP, a new connection each, {CONNECTIONS} at once");
    let row = Row::new(name, median(&mut ours), "1/s").goal(Goal::ratio(0.7));
    bench.report.add(match peers {
        Some([peer, _]) => row.beside(format!("{}, return 302, access log on", peer.version), median(&mut theirs)),
        None => row.without_peer("nginx is not installed: scripts/peers installs it"),
    });
    Ok(())
}

/// The door beside the router, of servers on the same links.
fn door(
    bench: &mut Bench,
    folder: &Path,
    requests: &Arc<Vec<Vec<u8>>>,
    (warm_up, time, rounds): Alternations,
) -> Result<()> {
    let (mut rates, mut costs) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
    for _ in 0..rounds {
        for (place, door) in ["false", "true"].into_iter().enumerate() {
            let server = Server::start(folder, None, &[("FANFARE__LINKS__DOOR", door.to_owned())])?;
            let run = run_of(server.address, &[server.process.id()], requests, (warm_up, time), false)?;
            rates[place].push(run.rate);
            costs[place].push(run.cost_us);
        }
    }
    let ([shut, open], [shut_cost, open_cost]) = (&mut rates, &mut costs);
    let name = format!("redirects through the router, {CONNECTIONS} keep-alive connections");
    bench.report.add(Row::new(name, median(shut), "1/s").beside("by the door", median(open)));
    let name = "of it: processor time for a redirect through the router";
    bench.report.add(Row::new(name, median(shut_cost), "µs").beside("by the door", median(open_cost)));
    Ok(())
}

/// Times of posts while redirects run flat out, and while another route does.
fn posts_beside(
    bench: &mut Bench,
    folder: &Path,
    token: &str,
    requests: &Arc<Vec<Vec<u8>>>,
    time: Duration,
) -> Result<()> {
    let server = Server::start(folder, None, &[])?;
    let warm_up = Duration::from_millis(300);
    let post = Request {
        bytes: request("POST", "/v1/posts", Some(token), r#"{"text":"Hello"}"#),
        status: 201,
        body_bytes: None,
    };
    let posts = |beside: Arc<Vec<Vec<u8>>>, status: u16| -> Result<f64> {
        let (address, post) = (server.address, post.clone());
        let loaded = std::thread::spawn(move || {
            let beside: Vec<Request> = (0..CONNECTIONS)
                .map(|number| Request { bytes: beside[number * 97 % beside.len()].clone(), status, body_bytes: None })
                .collect();
            super::load::run(address, &beside, warm_up, time + Duration::from_millis(300))
        });
        let mut found = super::load::run(address, &vec![post; 8], warm_up, time)?;
        loaded.join().map_err(|_| BenchError::Wrong("a thread of the load panicked".to_owned()))??;
        Ok(percentile(&mut found.latencies_ms, 99.0))
    };
    let other = Arc::new(vec![request("GET", "/v1/posts?scope=public&limit=1", None, "")]);
    let (mut beside, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..bench.size(3, 1) {
        beside.push(posts(Arc::clone(requests), 302)?);
        alone.push(posts(Arc::clone(&other), 200)?);
    }
    let row = Row::new("posts while redirects run flat out: p99", median(&mut beside), "ms").goal(at_most(1.5));
    bench.report.add(row.beside("while reads of the public timeline do", median(&mut alone)));
    Ok(())
}
