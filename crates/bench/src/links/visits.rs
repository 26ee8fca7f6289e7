//! Visits of one link with a limit, durable creates beside durable posts, and memory with very many links.

use std::time::Duration;

use super::load::{self, Request};
use super::redirects::{CONNECTIONS, asked, made, registered, request};
use super::report::{Goal, Row};
use super::serve::Server;
use super::{Bench, Result, machine, percentile};

/// Connections that make links.
const MAKERS: usize = 256;
/// Goals.
const LIMITED_RATE_MIN: f64 = 5_000.0;
const CREATES_RATE_MIN: f64 = 10_000.0;
const MEMORY_MIB_MAX: f64 = 100.0;

/// Rows of all three.
pub(super) fn run(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (warm_up, time) = (Duration::from_secs_f64(bench.size(1.0, 0.3)), Duration::from_secs(bench.size(6, 1)));
    bench.say("visits: one link with a limit");
    let folder = bench.folder()?;
    let settings = [("FANFARE__LINKS__PER_USER_MAX", "100000000".to_owned())];
    let server = Server::start(folder.path(), None, &settings)?;
    let token = runtime.block_on(registered(server.address, "bench"))?;
    let limited = r#"{"url":"https://example.com/page","alias":"limited","max_visits":100000}"#;
    runtime.block_on(asked(server.address, "POST", "/v1/links", Some(&token), limited))?;
    let visit = Request { bytes: request("GET", "/s/limited", None, ""), status: 302, body_bytes: None };
    // No longer than the visits last: a link has 100,000 at most.
    let time_limited = time.min(Duration::from_secs(1));
    let mut load = load::run(server.address, &vec![visit; CONNECTIONS], Duration::from_millis(200), time_limited)?;
    let name = format!("limited visits of one link, {CONNECTIONS} connections");
    bench.report.add(Row::new(name.clone(), load.rate, "1/s").goal(Goal::at_least(LIMITED_RATE_MIN)));
    bench.report.add(Row::new(format!("{name}: p99"), percentile(&mut load.latencies_ms, 99.0), "ms"));

    bench.say("visits: creates");
    let make =
        |path, body: &str| Request { bytes: request("POST", path, Some(&token), body), status: 201, body_bytes: None };
    let link = make("/v1/links", r#"{"url":"https://example.com/articles/2026/11/30/0000000000"}"#);
    let post = make("/v1/posts", r#"{"text":"https://example.com/articles/2026/11/30/0000000000"}"#);
    let mut links = load::run(server.address, &vec![link; MAKERS], warm_up, time)?;
    let posts = load::run(server.address, &vec![post; MAKERS], warm_up, time)?;
    let name = format!("durable creates of links over HTTP, {MAKERS} connections");
    let row = Row::new(name.clone(), links.rate, "1/s").goal(Goal::at_least(CREATES_RATE_MIN));
    bench.report.add(row.beside(format!("durable posts, {MAKERS} connections"), posts.rate));
    bench.report.add(Row::new(format!("{name}: p99"), percentile(&mut links.latencies_ms, 99.0), "ms"));
    drop(server);
    memory(bench)
}

fn memory(bench: &mut Bench) -> Result<()> {
    let count = bench.size(1_000_000, 20_000);
    bench.say(&format!("visits: memory with {count} links"));
    let (empty, full) = (bench.folder()?, bench.folder()?);
    made(full.path(), count)?;
    let idle = |folder: &std::path::Path| -> Result<f64> {
        let server = Server::start(folder, None, &[])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            while asked(server.address, "GET", "/readyz", None, "").await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        });
        Ok(machine::resident_bytes_of(server.process.id()) as f64 / f64::from(1 << 20))
    };
    let (with, without) = (idle(full.path())?, idle(empty.path())?);
    let row = Row::new(format!("memory of a server with {count} links, above an empty one"), with - without, "MiB");
    bench.report.add(row.goal(Goal::at_most(MEMORY_MIB_MAX)));
    Ok(())
}
