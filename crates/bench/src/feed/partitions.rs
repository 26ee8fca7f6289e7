//! People divided among several partitions of one process over the embedded engine, beside one partition: durable
//! posts, feed pages, bytes a post, and how far the horizon is behind what is acknowledged, and behind the time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::id::unix_ms_of;
use fanfare::config::Settings;
use fanfare::feed::PageQuery;
use fanfare_protocol::Id;
use tokio::task::JoinSet;

use super::report::{Goal, Row};
use super::world::{self, World};
use super::{Bench, BenchError, Result, percentile};
use crate::svg::Bars;

/// Partitions that are compared; the first is what the others stand beside.
const PARTITIONS: [u16; 3] = [1, 3, 12];
/// People who post, and who read; each reader follows so many.
const AUTHORS: usize = 600;
const READERS: usize = 32;
const FOLLOWEES: usize = 60;
/// Posts on their way at once.
const AT_ONCE: usize = 256;
/// Entries of a page.
const PAGE: usize = 20;
/// Looks at the horizon while nothing happens.
const LOOKS: usize = 500;
/// Time between two looks at the horizon.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Milliseconds that the horizon may be behind the newest post that was acknowledged, and behind the time.
const BUSY_MS: f64 = 150.0;
const IDLE_MS: f64 = 300.0;

/// Figures of one number of partitions.
#[derive(Default)]
struct Figures {
    posts_per_s: f64,
    post_ms: [f64; 2],
    page_us: [f64; 2],
    bytes: f64,
    /// Horizon behind the newest post that was acknowledged, while all post, and behind the time while nobody does.
    busy_ms: f64,
    idle_ms: f64,
}

/// Posts that are being made, as those who make them share it.
struct Posting {
    app: App,
    authors: Vec<Id>,
    next: AtomicUsize,
    /// The highest id that was acknowledged.
    newest: AtomicU64,
}

/// Rows and bars of each number of partitions.
pub fn run(bench: &mut Bench) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(measure(bench))
}

async fn measure(bench: &mut Bench) -> Result<()> {
    let mut all = Vec::new();
    for partitions in PARTITIONS {
        bench.say(&format!("partitions: {partitions}"));
        all.push((partitions, figures(bench, partitions).await?));
    }
    add(bench, &all, &format!("durable posts, {AT_ONCE} at once"), ("posts/s", None), |one| one.posts_per_s);
    add(bench, &all, "a durable post: p50", ("ms", None), |one| one.post_ms[0]);
    add(bench, &all, "a durable post: p99", ("ms", None), |one| one.post_ms[1]);
    add(bench, &all, &format!("feed page of {PAGE}, in process: p50"), ("µs", None), |one| one.page_us[0]);
    add(bench, &all, &format!("feed page of {PAGE}, in process: p99"), ("µs", None), |one| one.page_us[1]);
    add(bench, &all, "disk of a post", ("bytes", None), |one| one.bytes);
    let busy = ("ms", Some(Goal::at_most(BUSY_MS)));
    add(bench, &all, "horizon behind the newest acknowledged post, busy: p99", busy, |one| one.busy_ms);
    let idle = ("ms", Some(Goal::at_most(IDLE_MS)));
    add(bench, &all, "horizon behind the time, idle: p99", idle, |one| one.idle_ms);
    Ok(())
}

/// A row and a bar of one figure for each number of partitions.
fn add(
    bench: &mut Bench,
    all: &[(u16, Figures)],
    what: &str,
    (unit, goal): (&'static str, Option<Goal>),
    of: impl Fn(&Figures) -> f64,
) {
    let name = |partitions: u16| match partitions {
        1 => "1 partition".to_owned(),
        more => format!("{more} partitions"),
    };
    let first = of(&all[0].1);
    for (partitions, figures) in all {
        let row = Row::new(format!("{what}, {}", name(*partitions)), of(figures), unit);
        let row = if let Some(goal) = goal { row.goal(goal) } else { row };
        bench.report.add(if *partitions == 1 { row } else { row.beside("1 partition", first) });
    }
    let bars = all.iter().map(|(partitions, figures)| (name(*partitions), of(figures), true)).collect();
    bench.bars.push(Bars { title: format!("{what}, {unit}"), bars });
}

async fn figures(bench: &Bench, partitions: u16) -> Result<Figures> {
    let mut settings = Settings::default();
    settings.cluster.partitions = partitions;
    let mut world = World::start_with(bench.folder()?, settings).await?;
    let authors = world.people(AUTHORS).await?;
    let readers = world.people(READERS).await?;
    for (number, reader) in readers.iter().enumerate() {
        let followees: Vec<Id> = (0..FOLLOWEES).map(|step| authors[(number * 17 + step) % AUTHORS]).collect();
        world.follow(*reader, &followees).await?;
    }
    let app = world.app.clone();
    let mut figures = Figures::default();
    let count = bench.size(60_000, 6_000);
    post(&app, &authors, count / 10).await?;
    let begun = Instant::now();
    let (mut times, mut behind) = post(&app, &authors, count).await?;
    figures.posts_per_s = count as f64 / begun.elapsed().as_secs_f64();
    figures.post_ms = [percentile(&mut times, 50.0), percentile(&mut times, 99.0)];
    figures.busy_ms = percentile(&mut behind, 99.0);
    let mut pages = pages(&app, &readers, bench.size(10_000, 1_000)).await?;
    figures.page_us = [percentile(&mut pages, 50.0), percentile(&mut pages, 99.0)];
    let mut behind = Vec::with_capacity(LOOKS);
    for _ in 0..LOOKS {
        let shown = unix_ms_of(app.core().log.horizon().now());
        behind.push(Clock::system().now_ms().saturating_sub(shown) as f64);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    figures.idle_ms = percentile(&mut behind, 99.0);
    drop(app);
    let folder = world.stop().await;
    figures.bytes = bytes_below(folder.path())? as f64 / (count + count / 10) as f64;
    Ok(figures)
}

/// Times of so many posts, some of them on their way at once, and how far the horizon was behind meanwhile; in
/// milliseconds.
async fn post(app: &App, authors: &[Id], count: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    let posting = Arc::new(Posting {
        app: app.clone(),
        authors: authors.to_vec(),
        next: AtomicUsize::new(0),
        newest: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    for _ in 0..AT_ONCE {
        tasks.spawn(some_posts(Arc::clone(&posting), count));
    }
    let mut behind = Vec::new();
    while posting.next.load(Ordering::Relaxed) < count {
        let newest = unix_ms_of(Id(posting.newest.load(Ordering::Acquire)));
        let shown = unix_ms_of(app.core().log.horizon().now());
        behind.push(newest.saturating_sub(shown) as f64);
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let each: Vec<Result<Vec<f64>>> = tasks.join_all().await;
    Ok((each.into_iter().collect::<Result<Vec<_>>>()?.concat(), behind))
}

/// Posts, one after the other, until there are `count` of all.
async fn some_posts(posting: Arc<Posting>, count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::new();
    loop {
        let number = posting.next.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return Ok::<_, BenchError>(times);
        }
        let begun = Instant::now();
        let made = world::post(&posting.app, posting.authors[number % posting.authors.len()]).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e3);
        posting.newest.fetch_max(made.0, Ordering::Release);
    }
}

/// Times of so many pages, in microseconds.
async fn pages(app: &App, readers: &[Id], count: usize) -> Result<Vec<f64>> {
    let mut times = Vec::with_capacity(count);
    for number in 0..count {
        let reader = readers[number % readers.len()];
        let begun = Instant::now();
        app.feed().page(reader, PageQuery { before: None, since: None, limit: PAGE }).await?;
        times.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times)
}

/// Bytes on disk of everything below a folder.
fn bytes_below(folder: &Path) -> Result<u64> {
    use std::os::unix::fs::MetadataExt as _;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let about = entry.metadata()?;
        bytes += if about.is_dir() { bytes_below(&entry.path())? } else { about.blocks() * 512 };
    }
    Ok(bytes)
}
