//! A quick look at speed while working on the feed; `fanfare bench feed` is the real one. Run with
//! `cargo test --release -p fanfare-server --lib feed::tests::bench -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::model::ModelInputs;
use super::threads::Random;
use crate::base::slot_list::Slot;
use crate::feed::{AuthorEntry, Feed, FeedSettings, FeedSource, PageQuery, Relations};
use crate::log::events::{Event, Policy, PostRecord, Record};

/// Mean followees of a reader.
const FOLLOWEES: u64 = 200;
/// Deliveries measured in each run.
const DELIVERIES: usize = 8_000_000;
/// Runs of which the best counts.
const ROUNDS: usize = 5;

/// Tables that know posts by number and one reader's follows.
#[derive(Default)]
struct BenchSource {
    posts: parking_lot::RwLock<Vec<Arc<PostRecord>>>,
    followees: Vec<Id>,
}

#[async_trait]
impl FeedSource for BenchSource {
    async fn author_entries(&self, _author: Id, _before: Id, _limit: usize) -> Result<Vec<AuthorEntry>, EngineError> {
        panic!("recents have everything here");
    }

    async fn relations(&self, _reader: Id) -> Result<Relations, EngineError> {
        Ok(Relations { followees: self.followees.clone(), ..Relations::default() })
    }

    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>, EngineError> {
        let posts = self.posts.read();
        Ok(ids.iter().map(|id| posts.get(id.0 as usize - 1).cloned()).collect())
    }
}

/// Skewed: the cube of a uniform number, so that the first per cent of authors has a fifth of all followers.
fn skewed(random: &mut Random, authors: u64) -> u64 {
    let uniform = random.below(1 << 20) as f64 / f64::from(1 << 20);
    1 + (uniform * uniform * uniform * authors as f64) as u64
}

fn feed_over(source: BenchSource, settings: FeedSettings) -> Feed {
    let feed = Feed::new(settings, Arc::new(source), Arc::new(ModelInputs), || 0);
    feed.warmed();
    feed
}

fn fan_out(timelines: u64, cap: usize) {
    let feed = feed_over(BenchSource::default(), FeedSettings { timeline_cap: cap, ..FeedSettings::default() });
    let mut random = Random(7);
    let started = Instant::now();
    for reader in 1..=timelines {
        let followees: Vec<Id> = (0..FOLLOWEES).map(|_| Id(skewed(&mut random, timelines))).collect();
        let entries: Vec<(Id, Id)> =
            (1..=cap).map(|post| (Id(post as u64), followees[post % followees.len()])).collect();
        feed.bench_seed(Id(reader), &followees, &entries);
    }
    let usage = feed.bench_usage(Id(1)).expect("seeded");
    println!("{timelines} timelines of {cap}: seeded in {:.1} s, {usage:?}", started.elapsed().as_secs_f64());

    // The bare loop: the same lists, flat rings, nothing else.
    let shards = FeedSettings::default().timeline_shards as u32;
    let mut lists: Vec<Vec<Slot>> = Vec::new();
    for author in 1..=timelines {
        let mut list = Vec::new();
        feed.bench_slots(Id(author), &mut list);
        lists.push(list.iter().map(|slot| (slot & 0x03ff_ffff) * shards + (slot >> 26)).collect());
    }
    let mut rings = vec![[1_u32; 3]; (timelines as usize + 64) * cap];
    let mut heads = vec![0_u32; timelines as usize + 64];
    let mut slots: Vec<Slot> = Vec::new();
    let (mut post, mut best) = (1_000_000, (0.0_f64, 0.0_f64));
    // In turns, and the best of each: other work on the machine touches both alike.
    for _ in 0..ROUNDS {
        let (mut delivered, started) = (0, on_cpu_s());
        while delivered < DELIVERIES {
            post += 1;
            delivered += feed.bench_fan_out(Id(1 + random.below(timelines)), Id(post), &mut slots);
        }
        best.0 = best.0.max(delivered as f64 / (on_cpu_s() - started) / 1e6);
        let (mut delivered, started) = (0, on_cpu_s());
        while delivered < DELIVERIES {
            let author = random.below(timelines) as u32;
            for slot in &lists[author as usize] {
                let head = &mut heads[*slot as usize];
                rings[*slot as usize * cap + *head as usize] = [delivered as u32, 0, author];
                *head = if *head as usize + 1 == cap { 0 } else { *head + 1 };
            }
            delivered += lists[author as usize].len();
        }
        best.1 = best.1.max(delivered as f64 / (on_cpu_s() - started) / 1e6);
    }
    println!("  {:.1} M deliveries/s; bare loop {:.1} M/s; ratio {:.2}", best.0, best.1, best.0 / best.1);
}

/// Seconds that this thread has run, without what others ran on its core.
fn on_cpu_s() -> f64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    schedstat.split(' ').next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

fn percentiles(name: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    println!(
        "{name}: p50 {:?}, p99 {:?}, max {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100],
        times[times.len() - 1]
    );
}

fn reads(followees: u64, pulled: u64) {
    let source = BenchSource { followees: (2..2 + followees).map(Id).collect(), ..BenchSource::default() };
    let number = AtomicU64::new(0);
    let source = Arc::new(source);
    let feed = Feed::new(FeedSettings::default(), source.clone(), Arc::new(ModelInputs), || 0);
    feed.warmed();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let post = |author: u64| {
        let id = Id(number.fetch_add(1, Ordering::Relaxed) + 1);
        let policy = if author < 2 + pulled { Policy::Pull } else { Policy::Push };
        let post = PostRecord {
            id,
            author: Id(author),
            text: "words".into(),
            mentions: vec![],
            links: vec![],
            media: vec![],
            reply_to: None,
            repost_of: None,
            policy,
            deleted: false,
            ..PostRecord::default()
        };
        source.posts.write().push(Arc::new(post.clone()));
        feed.apply(&Record {
            id,
            event: Event::Posted { post, notify: vec![] },
            idempotency: None,
            import_line: None,
            audit: None,
        });
        feed.settle(id);
    };
    let mut random = Random(3);
    (0..followees * 40).for_each(|_| post(2 + random.below(followees)));
    feed.quiesce();
    let page = || runtime.block_on(feed.page(Id(1), PageQuery { limit: 20, ..PageQuery::default() })).expect("a page");
    let (mut cold, mut hot, mut after) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..200 {
        feed.evict(Id(1));
        let started = Instant::now();
        assert_eq!(page().entries.len(), 20);
        cold.push(started.elapsed());
    }
    for _ in 0..20_000 {
        let started = Instant::now();
        page();
        hot.push(started.elapsed());
    }
    for _ in 0..2_000 {
        (2..2 + pulled).for_each(&post);
        post(2 + random.below(followees));
        feed.quiesce();
        let started = Instant::now();
        page();
        after.push(started.elapsed());
    }
    println!("{followees} followees, {pulled} pulled:");
    percentiles("  cold", cold);
    percentiles("  hot", hot);
    percentiles("  after each pulled one posted", after);
}

#[test]
#[ignore = "a measurement, for release builds"]
fn how_fast_is_the_feed() {
    let timelines = std::env::var("TIMELINES").ok().and_then(|count| count.parse().ok()).unwrap_or(100_000);
    reads(200, 50);
    reads(2_000, 50);
    fan_out(timelines, 64);
    fan_out(timelines, 800);
}
