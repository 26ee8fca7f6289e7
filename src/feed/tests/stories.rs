//! Random histories, step by step: the worker's slices and the reads' waits for tables are steps like any other.

use proptest::prelude::*;

use super::harness::{Harness, USERS, tiny_settings};
use crate::feed::FeedSettings;
use crate::log::events::Policy;

/// Step of a story. `nth` counts posts from the newest.
#[derive(Debug, Clone)]
enum Step {
    Post { user: u64 },
    Reply { user: u64, nth: usize },
    Repost { user: u64, nth: usize },
    Quote { user: u64, nth: usize },
    ReplyAndRepost { user: u64, nth: usize },
    Delete { nth: usize },
    Follow { user: u64, other: u64 },
    Unfollow { user: u64, other: u64 },
    Block { user: u64, other: u64 },
    Unblock { user: u64, other: u64 },
    Mute { user: u64, other: u64, on: bool },
    DeleteUser { user: u64 },
    Thresholds { push_below: u64, pull_above: u64 },
    Pin { user: u64, policy: Option<Policy> },
    ApplyAllBut { kept: usize },
    Turn { count: usize },
    Read { user: u64, limit: usize },
    BeginRead { user: u64, limit: usize },
    Poll { which: usize },
    Cancel { which: usize },
    Evict { user: u64 },
    EvictIdle { ahead_ms: u64 },
    Restart,
    Warm { cut: Option<usize> },
    Quiet { limit: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let user = || 1..=USERS;
    let policy =
        prop_oneof![Just(None), Just(Some(Policy::Push)), Just(Some(Policy::PushLate)), Just(Some(Policy::Pull))];
    prop_oneof![
        14 => user().prop_map(|user| Step::Post { user }),
        4 => (user(), 0..6_usize).prop_map(|(user, nth)| Step::Reply { user, nth }),
        4 => (user(), 0..6_usize).prop_map(|(user, nth)| Step::Repost { user, nth }),
        4 => (user(), 0..6_usize).prop_map(|(user, nth)| Step::Quote { user, nth }),
        1 => (user(), 0..6_usize).prop_map(|(user, nth)| Step::ReplyAndRepost { user, nth }),
        4 => (0..12_usize).prop_map(|nth| Step::Delete { nth }),
        14 => (user(), user()).prop_map(|(user, other)| Step::Follow { user, other }),
        5 => (user(), user()).prop_map(|(user, other)| Step::Unfollow { user, other }),
        2 => (user(), user()).prop_map(|(user, other)| Step::Block { user, other }),
        2 => (user(), user()).prop_map(|(user, other)| Step::Unblock { user, other }),
        3 => (user(), user(), any::<bool>()).prop_map(|(user, other, on)| Step::Mute { user, other, on }),
        1 => user().prop_map(|user| Step::DeleteUser { user }),
        2 => (1..4_u64, 1..5_u64).prop_map(|(push_below, pull_above)| Step::Thresholds { push_below, pull_above }),
        4 => (user(), policy).prop_map(|(user, policy)| Step::Pin { user, policy }),
        24 => prop_oneof![3 => Just(0), 1 => 1..4_usize].prop_map(|kept| Step::ApplyAllBut { kept }),
        10 => (1..4_usize).prop_map(|count| Step::Turn { count }),
        8 => (user(), 1..5_usize).prop_map(|(user, limit)| Step::Read { user, limit }),
        8 => (user(), 1..5_usize).prop_map(|(user, limit)| Step::BeginRead { user, limit }),
        16 => (0..4_usize).prop_map(|which| Step::Poll { which }),
        2 => (0..4_usize).prop_map(|which| Step::Cancel { which }),
        3 => user().prop_map(|user| Step::Evict { user }),
        1 => (0..30_000_u64).prop_map(|ahead_ms| Step::EvictIdle { ahead_ms }),
        2 => Just(Step::Restart),
        4 => prop::option::of(0..3_usize).prop_map(|cut| Step::Warm { cut }),
        2 => (1..5_usize).prop_map(|limit| Step::Quiet { limit }),
    ]
}

fn settings() -> impl Strategy<Value = FeedSettings> {
    let sizes = (
        1..5_usize,
        prop_oneof![1..4_usize, Just(USERS as usize)],
        1..4_usize,
        1..3_usize,
        1..3_usize,
        0..3_usize,
        1..3_usize,
    );
    (sizes, prop_oneof![Just(5_000_u64), Just(60_000), Just(600_000)]).prop_map(|(sizes, recents_age_ms)| {
        let (timeline_cap, timelines_max, recents_per_author, push_slice, push_queue_max, late_queue_max, builds_max) =
            sizes;
        FeedSettings {
            timeline_cap,
            timelines_max,
            recents_per_author,
            recents_age_ms,
            push_slice,
            push_queue_max,
            late_queue_max,
            builds_max,
            ..tiny_settings()
        }
    })
}

fn take(harness: &mut Harness, step: &Step) {
    let nth = |harness: &Harness, nth: usize| harness.source.world.lock().posts.keys().rev().nth(nth).copied();
    match *step {
        Step::Post { user } => drop(harness.post(user, None, None)),
        Step::Reply { user, nth: n } => drop(harness.post(user, nth(harness, n), None)),
        Step::Repost { user, nth: n } => drop(harness.post(user, None, nth(harness, n))),
        Step::Quote { user, nth: n } => drop(harness.say(user, "look", None, nth(harness, n))),
        Step::ReplyAndRepost { user, nth: n } => drop(harness.post(user, nth(harness, n), nth(harness, n + 1))),
        Step::Delete { nth: n } => harness.delete(nth(harness, n).unwrap_or_default()),
        Step::Follow { user, other } => harness.follow(user, other),
        Step::Unfollow { user, other } => harness.unfollow(user, other),
        Step::Block { user, other } => harness.block(user, other),
        Step::Unblock { user, other } => harness.unblock(user, other),
        Step::Mute { user, other, on } => harness.mute(user, other, on),
        Step::DeleteUser { user } => harness.delete_user(user),
        Step::Thresholds { push_below, pull_above } => harness.thresholds(push_below, pull_above),
        Step::Pin { user, policy } => harness.pin(user, policy),
        Step::ApplyAllBut { kept } => harness.apply_all_but(kept),
        Step::Turn { count } => harness.turn(count),
        Step::Read { user, limit } => harness.check_busy(user, limit),
        Step::BeginRead { user, limit } => harness.begin_read(user, limit),
        Step::Poll { which } => harness.poll(which),
        Step::Cancel { which } => harness.cancel(which),
        Step::Evict { user } => drop(harness.feed.evict(fanfare_protocol::Id(user))),
        Step::EvictIdle { ahead_ms } => harness.evict_idle(ahead_ms),
        Step::Restart => harness.restart(),
        Step::Warm { cut } => harness.warm(cut),
        Step::Quiet { limit } => harness.check_quiet(limit),
    }
}

/// Cases of the big property; `FANFARE_FEED_CASES` asks for more.
fn cases() -> u32 {
    std::env::var("FANFARE_FEED_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(600)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 50_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn after_quiet_every_feed_equals_the_pull_query(settings in settings(), steps in prop::collection::vec(step(), 1..120)) {
        let mut harness = Harness::new(settings);
        for step in &steps {
            take(&mut harness, step);
        }
        harness.check_quiet(2);
    }
}
