//! Fan-out into materialised timelines, through the feed's own code and beside a bare loop.

use std::time::Duration;

use fanfare::feed::Feed;
use fanfare::log::events::{Event, Policy, PostRecord, Record};
use fanfare_protocol::Id;

use super::bare::BareRings;
use super::graph::{MEAN_FOLLOWEES, Posts, seeded_feed};
use super::report::{Goal, Row};
use super::{Bench, BenchError, Result, machine, median};

/// Times each side is measured; the median counts.
pub const ROUNDS: usize = 3;
/// Deliveries of one measurement.
const DELIVERIES: usize = 60_000_000;
const DELIVERIES_QUICK: usize = 10_000_000;
/// Memory that the bench takes at most, in bytes.
pub const MEMORY_MAX: u64 = 18 << 30;
/// Bytes of a timeline beside its ring: header, relations, places in slot lists, and what the allocator rounds up.
const TIMELINE_BYTES: u64 = 2_600;
/// Bytes that the allocator makes of an entry's twelve.
const ENTRY_BYTES: u64 = 13;
/// Posts applied before the queue is worked off.
const APPLIED_AT_ONCE: usize = 256;
/// Entries of a ring along the curve.
const CURVE_CAP: usize = 800;

/// Rates of one size of world, in deliveries a second.
struct Rates {
    timelines: usize,
    feed: f64,
    bare: f64,
    whole: f64,
}

/// Rows of rings of 64 and of 800, and the curve over the number of timelines.
pub fn run(bench: &mut Bench) -> Result<()> {
    for (cap, goal) in [(64, 50e6), (CURVE_CAP, 20e6)] {
        let wanted = bench.size(1_000_000, 50_000);
        let rates = measure(bench, wanted, cap)?;
        let size = format!("{} timelines, {MEAN_FOLLOWEES} followees, rings of {cap} full", thousands(rates.timelines));
        let scaled = if rates.timelines < wanted { " (fewer: too little memory)" } else { "" };
        let goal = Goal { at_least: Some(goal), ratio_at_least: Some(1.0 / 3.0), ..Goal::default() };
        let name = format!("fan-out, one core: {size}{scaled}");
        bench.report.add(Row::new(name, rates.feed, "deliveries/s").beside("bare scatter loop", rates.bare).goal(goal));
        let name = format!("the same with all a post costs (recents, queue, metrics): {size}");
        bench.report.add(Row::new(name, rates.whole, "deliveries/s").beside("bare scatter loop", rates.bare));
        if cap == CURVE_CAP {
            curve(bench, &rates)?;
        }
    }
    Ok(())
}

fn curve(bench: &mut Bench, largest: &Rates) -> Result<()> {
    let sizes: &[usize] = bench.size(&[10_000, 30_000, 100_000, 300_000], &[10_000, 20_000]);
    for timelines in sizes {
        let rates = measure(bench, *timelines, CURVE_CAP)?;
        bench.curves.deliveries.push((*timelines as f64, 1e9 / rates.feed, 1e9 / rates.bare));
    }
    bench.curves.deliveries.push((largest.timelines as f64, 1e9 / largest.feed, 1e9 / largest.bare));
    Ok(())
}

fn measure(bench: &Bench, wanted: usize, cap: usize) -> Result<Rates> {
    let deliveries = bench.size(DELIVERIES, DELIVERIES_QUICK);
    let timelines = affordable(wanted, cap, deliveries);
    bench.say(&format!("fan-out: seeding {timelines} timelines of {cap}"));
    let (feed, slots) = seeded_feed(timelines, cap)?;
    let mut posts = Posts::draw(&feed, &slots, timelines, deliveries);
    drop(slots);
    bench.say(&format!("fan-out: {} posts, {} deliveries", posts.len(), posts.deliveries()));
    let bare_bytes = timelines as u64 * (cap as u64 * 12 + 4);
    let (mut feeds, mut bares, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
    let rate = |took: Duration, posts: &Posts| posts.deliveries() as f64 / took.as_secs_f64();
    // Side by side while both fit into memory, else one after the other.
    let mut both = None;
    if machine::resident_bytes() + bare_bytes < MEMORY_MAX && bare_bytes < machine::available_bytes() {
        both = Some(BareRings::new(timelines, cap));
    }
    scatter(&feed, &mut posts)?;
    for _ in 0..ROUNDS {
        feeds.push(rate(scatter(&feed, &mut posts)?, &posts));
        wholes.push(rate(apply(&feed, &mut posts), &posts));
        if let Some(bare) = &mut both {
            bares.push(rate(bare.scatter(&posts), &posts));
        }
    }
    drop(feed);
    if both.is_none() {
        let mut bare = BareRings::new(timelines, cap);
        bares.extend((0..ROUNDS).map(|_| rate(bare.scatter(&posts), &posts)));
    }
    Ok(Rates { timelines, feed: median(&mut feeds), bare: median(&mut bares), whole: median(&mut wholes) })
}

/// Number of timelines: as many as wanted and as memory has room for.
fn affordable(wanted: usize, cap: usize, deliveries: usize) -> usize {
    let each = cap as u64 * ENTRY_BYTES + TIMELINE_BYTES;
    let free = MEMORY_MAX.min(machine::available_bytes() / 10 * 9).saturating_sub(deliveries as u64 * 5);
    wanted.min((free / each) as usize)
}

/// Every post into all its timelines, in this thread: what the fan-out worker does with its turns. Answers processor
/// time, as all times here: what else runs on the machine does not count.
pub fn scatter(feed: &Feed, posts: &mut Posts) -> Result<Duration> {
    let mut scratch = Vec::new();
    let mut delivered = 0;
    let started = machine::on_cpu();
    for number in 0..posts.len() {
        let id = posts.mint();
        delivered += feed.bench_fan_out(posts.author(number), id, &mut scratch);
    }
    let took = machine::on_cpu() - started;
    if delivered != posts.deliveries() {
        return Err(BenchError::Wrong(format!("{delivered} deliveries of {}", posts.deliveries())));
    }
    Ok(took)
}

/// Time of all posts from the committed record to the last delivery, with everything that a post costs the feed.
fn apply(feed: &Feed, posts: &mut Posts) -> Duration {
    let started = machine::on_cpu();
    for number in 0..posts.len() {
        let record = posted(posts.mint(), posts.author(number));
        feed.apply(&record);
        feed.settle(record.id);
        if number % APPLIED_AT_ONCE == 0 {
            feed.quiesce();
        }
    }
    feed.quiesce();
    machine::on_cpu() - started
}

fn posted(id: Id, author: Id) -> Record {
    let post = PostRecord { id, author, policy: Policy::Push, ..PostRecord::default() };
    Record { id, event: Event::Posted { post, notify: Vec::new() }, idempotency: None, import_line: None, audit: None }
}

/// A number of timelines as people say it.
pub fn thousands(count: usize) -> String {
    match count {
        millions if millions >= 1_000_000 && millions % 100_000 == 0 => format!("{} M", millions as f64 / 1e6),
        thousands if thousands >= 1_000 => format!("{} k", thousands / 1_000),
        few => few.to_string(),
    }
}
