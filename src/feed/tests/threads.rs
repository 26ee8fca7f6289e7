//! Feeds under real concurrency, against the model: one thread commits and applies, the worker fans out, several
//! threads read and evict. Which thread wins is not repeatable, so the seed names the history only.

use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_protocol::Id;

use super::harness::{Harness, USERS, tiny_settings};
use crate::feed::{Feed, FeedSettings, PageQuery};
use crate::log::events::Policy;

const SEEDS: u64 = 24;
const RECORDS: usize = 400;
const READERS: u64 = 3;
/// Rounds of the fight for one slot: checks, and reads of each reader between two checks.
const ROUNDS: usize = 300;
const READS: u64 = 8;

/// SplitMix64 (Steele, Lea, Flood, 2014).
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }

    pub fn user(&mut self) -> u64 {
        1 + self.below(USERS)
    }
}

fn write(harness: &mut Harness, random: &mut Random) {
    let (user, other) = (random.user(), random.user());
    let nth = random.below(8) as usize;
    let old = harness.source.world.lock().posts.keys().rev().nth(nth).copied();
    match random.below(20) {
        0..=6 => drop(harness.post(user, None, None)),
        7 => drop(harness.post(user, old, None)),
        8 if nth < 4 => drop(harness.post(user, None, old)),
        8 => drop(harness.say(user, "look", None, old)),
        9 => harness.delete(old.unwrap_or_default()),
        10..=13 => harness.follow(user, other),
        14 => harness.unfollow(user, other),
        15 => harness.mute(user, other, random.below(2) == 0),
        16 if random.below(3) == 0 => harness.block(user, other),
        16 => harness.unblock(user, other),
        17 => harness.thresholds(1 + random.below(4), 1 + random.below(4)),
        18 => harness.pin(user, [None, Some(Policy::Push), Some(Policy::PushLate), Some(Policy::Pull)][nth % 4]),
        _ => drop(harness.feed.evict(Id(user))),
    }
    harness.apply_all_but(0);
}

fn read_until(feed: &Feed, stop: &AtomicBool, seed: u64) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let mut random = Random(seed);
    while !stop.load(Ordering::Relaxed) {
        let limit = 1 + random.below(4) as usize;
        let mut query = PageQuery { before: None, since: None, limit };
        let reader = Id(random.user());
        for _ in 0..random.below(4) {
            let page = runtime.block_on(feed.page(reader, query)).expect("no table fails here");
            assert!(page.entries.windows(2).all(|pair| pair[0].id > pair[1].id), "seed {seed}: out of order");
            if page.next.is_none() {
                break;
            }
            query.before = page.next;
        }
        if random.below(8) == 0 {
            runtime.block_on(feed.unread(reader, Id(0))).expect("no table fails here");
            feed.evict(Id(random.user()));
        }
    }
}

fn story(seed: u64, settings: FeedSettings) {
    let mut harness = Harness::new(settings);
    harness.source.gives_way.store(true, Ordering::Relaxed);
    let feed = harness.feed.clone();
    let stop = AtomicBool::new(false);
    let worker = feed.start_worker().expect("a thread");
    std::thread::scope(|scope| {
        for reader in 0..READERS {
            let (feed, stop) = (&feed, &stop);
            scope.spawn(move || read_until(feed, stop, seed * READERS + reader));
        }
        let mut random = Random(seed);
        for _ in 0..RECORDS {
            write(&mut harness, &mut random);
        }
        stop.store(true, Ordering::Relaxed);
    });
    feed.quiesce();
    worker.stop();
    harness.check_quiet(1 + seed as usize % 3);
}

#[test]
fn feeds_equal_the_pull_query_after_threads_raced() {
    for seed in 0..SEEDS {
        let caught = std::panic::catch_unwind(|| {
            let timelines_max = [2, USERS as usize][seed as usize % 2];
            let big_queues = seed % 3 == 0;
            let queue = if big_queues { 1_000 } else { 2 };
            let settings = FeedSettings {
                timelines_max,
                push_queue_max: queue,
                late_queue_max: queue,
                builds_max: 2,
                ..tiny_settings()
            };
            story(seed, settings);
        });
        assert!(caught.is_ok(), "seed {seed}");
    }
}

#[test]
fn a_slot_is_handed_on_only_when_nobody_is_subscribed_by_it() {
    // One slot for three readers, who take it from each other all the time.
    let mut harness =
        Harness::new(FeedSettings { timelines_max: 1, timeline_shards: 1, builds_max: 3, ..tiny_settings() });
    for reader in 1..=READERS {
        (1..=USERS).for_each(|followee| harness.follow(reader, followee));
    }
    harness.apply_all_but(0);
    for round in 0..ROUNDS {
        std::thread::scope(|scope| {
            for reader in 1..=READERS {
                let feed = harness.feed.clone();
                scope.spawn(move || {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
                    for other in 0..READS {
                        feed.evict(Id(1 + (reader + other) % READERS));
                        let query = PageQuery { limit: 3, ..PageQuery::default() };
                        runtime.block_on(feed.page(Id(reader), query)).expect("no table fails here");
                    }
                });
            }
        });
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| harness.check_subscriptions()));
        assert!(checked.is_ok(), "round {round}");
    }
}
