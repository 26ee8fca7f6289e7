//! Pages in process: first ones beside sorted sets in Redis, second ones after an hour's changes, and first ones of a
//! reader who follows very many.

use std::time::{Duration, Instant};

use fanfare::live::order::LivePosition;
use fanfare_protocol::Id;

use super::child::installed;
use super::feed::redis::Redis;
use super::report::{Goal, Row};
use super::scene::{announce, begin, end, ten_hosts};
use super::svg::Bars;
use super::world::World;
use super::{Bench, BenchError, PAGE, Result, machine, median, percentile};

/// Readers, each with ten hosts of their own.
const READERS: usize = 64;
/// Hosts of a reader.
const HOSTS: usize = 10;
/// Alternations.
const ROUNDS: usize = 5;
/// People whom one reader follows, and those of them who have open sessions.
const MANY: usize = 2_000;
const OPEN: usize = 200;
/// Goals.
const PAGES_RATE_MIN: f64 = 200_000.0;
const REDIS_RATIO_MIN: f64 = 10.0;
const SECOND_RATIO_MAX: f64 = 2.0;
const MANY_P99_MS_MAX: f64 = 2.0;

/// Rows of pages.
pub fn run(bench: &mut Bench) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(bench))
}

async fn measure(bench: &mut Bench) -> Result<()> {
    bench.say("live pages: making hosts and sessions");
    let mut world = World::start(bench.folder()?).await?;
    let now_ms = world.app.core().clock.now_ms();
    let readers = world.people(READERS).await?;
    let hosts = world.people(READERS * HOSTS).await?;
    ten_hosts(&world, &hosts, now_ms).await?;
    for (reader, hosts) in readers.iter().zip(hosts.chunks(HOSTS)) {
        world.follow(*reader, hosts).await?;
    }
    first(bench, &world, &readers).await?;
    second(bench, &world, &readers, &hosts).await?;
    many(bench, &mut world).await?;
    world.stop().await;
    Ok(())
}

async fn page(world: &World, reader: Id, at: Option<LivePosition>) -> Result<Option<LivePosition>> {
    let page = world.app.live().feed(reader, PAGE, at).await?;
    if page.sessions.len() != PAGE {
        return Err(BenchError::Wrong(format!("a page of {PAGE} has {} sessions", page.sessions.len())));
    }
    Ok(page.next)
}

/// Processor time of this thread for a page, in microseconds.
async fn first_pages(world: &World, readers: &[Id], count: usize) -> Result<f64> {
    let before = machine::on_cpu();
    for number in 0..count {
        page(world, readers[number % readers.len()], None).await?;
    }
    Ok((machine::on_cpu() - before).as_secs_f64() * 1e6 / count as f64)
}

async fn first(bench: &mut Bench, world: &World, readers: &[Id]) -> Result<()> {
    bench.say("live pages: first pages");
    let count = bench.size(200_000, 20_000);
    first_pages(world, readers, count / 10).await?;
    let mut redis = match installed("redis-server") {
        Some(program) => Some(filled(Redis::start(&program, bench.folder()?)?)?),
        None => None,
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let sets: Vec<String> = (0..count / 5 * HOSTS).map(|number| format!("h{}", number % (READERS * HOSTS))).collect();
    for _ in 0..bench.size(ROUNDS, 3) {
        ours.push(1e6 / first_pages(world, readers, count).await?);
        if let Some(redis) = &mut redis {
            let used = redis.highest(&sets, PAGE)?;
            theirs.push((sets.len() / HOSTS) as f64 / used.as_secs_f64());
        }
    }
    let name = format!("first page of {PAGE}, follower of {HOSTS} hosts, in process, pages a second of one core");
    let goal = Goal { at_least: Some(PAGES_RATE_MIN), ratio_at_least: Some(REDIS_RATIO_MIN), ..Goal::default() };
    let ours = median(&mut ours);
    let row = Row::new(name, ours, "pages/s").goal(goal);
    bench.report.add(match &redis {
        Some(redis) => {
            let bars = [("Fanfare", ours, true), (&*redis.version, median(&mut theirs), false)];
            bench.bars.push(Bars::of("First page in process, pages a second of one core", &bars));
            let peer =
                format!("{}, {HOSTS} sorted sets a page, pipelined, not merged: its processor time", redis.version);
            row.beside(peer, median(&mut theirs))
        }
        None => row.without_peer("redis-server is not installed: scripts/peers installs it"),
    });
    Ok(())
}

/// Sets with as many members as the hosts have sessions.
fn filled(mut redis: Redis) -> Result<Redis> {
    let mut members = Vec::new();
    for host in 0..READERS * HOSTS {
        for session in 0..5 {
            let score = (host * 5 + session) as f64;
            members.push((format!("h{host}"), score, format!("{score:019}:{host:019}")));
        }
    }
    redis.fill_sets(&members)?;
    Ok(redis)
}

async fn second(bench: &mut Bench, world: &World, readers: &[Id], hosts: &[Id]) -> Result<()> {
    bench.say("live pages: second pages, after many changes");
    let mut cursors = Vec::new();
    for reader in readers {
        cursors.push((*reader, page(world, *reader, None).await?));
    }
    // An hour's changes: each host holds a session from its beginning to its end.
    let now_ms = world.app.core().clock.now_ms();
    let sessions: Vec<(Id, Id)> = hosts.iter().copied().zip(announce(world, hosts, now_ms).await?).collect();
    begin(world, &sessions).await?;
    end(world, &sessions).await?;
    let count = bench.size(20_000, 2_000);
    let (mut firsts, mut seconds) = (Vec::new(), Vec::new());
    for number in 0..count {
        let (reader, cursor) = cursors[number % cursors.len()];
        let timed = |began: Instant| began.elapsed().as_secs_f64() * 1e6;
        let began = Instant::now();
        page(world, reader, None).await?;
        firsts.push(timed(began));
        let began = Instant::now();
        page(world, reader, cursor).await?;
        seconds.push(timed(began));
    }
    let row = Row::new("page two, an hour's changes later, in process: p50", median(&mut seconds), "µs");
    let goal = Goal { ratio_at_most: Some(SECOND_RATIO_MAX), ..Goal::default() };
    bench.report.add(row.beside("page one, after the same changes", median(&mut firsts)).goal(goal));
    Ok(())
}

async fn many(bench: &mut Bench, world: &mut World) -> Result<()> {
    bench.say("live pages: a reader who follows many");
    let now_ms = world.app.core().clock.now_ms();
    let hosts = world.people(MANY).await?;
    let reader = world.people(1).await?[0];
    world.follow(reader, &hosts).await?;
    announce(world, &hosts[..OPEN], now_ms).await?;
    page(world, reader, None).await?;
    let mut times = Vec::new();
    for _ in 0..bench.size(10_000, 1_000) {
        let began = Instant::now();
        page(world, reader, None).await?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    let name = format!("first page, {MANY} hosts followed, {OPEN} of them with open sessions, in process");
    bench.report.add(Row::new(format!("{name}: p50"), percentile(&mut times, 50.0), "ms"));
    let p99 = Row::new(format!("{name}: p99"), percentile(&mut times, 99.0), "ms");
    bench.report.add(p99.goal(Goal::at_most(MANY_P99_MS_MAX)));
    let mut cold = Vec::new();
    for _ in 0..bench.size(200, 20) {
        world.app.live().view().feed().evict(reader);
        let began = Instant::now();
        page(world, reader, None).await?;
        cold.push(began.elapsed());
    }
    let cold_ms = |times: &[Duration]| times.iter().map(Duration::as_secs_f64).sum::<f64>() * 1e3 / times.len() as f64;
    bench.report.add(Row::new(format!("{name}, whom nobody knew: mean"), cold_ms(&cold), "ms"));
    Ok(())
}
