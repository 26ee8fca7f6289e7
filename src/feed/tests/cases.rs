//! Hand-written cases: what the random stories cannot count or are too unlikely to reach.

use std::sync::atomic::Ordering;

use fanfare_protocol::Id;

use super::harness::{Harness, tiny_settings};
use crate::feed::authors::Absorbed;
use crate::feed::relations::ReaderRelations;
use crate::feed::timelines::{TimelineBounds, Timelines};
use crate::feed::{FeedSettings, PageQuery, UNREAD_MAX};
use crate::log::events::Policy;

fn roomy_settings() -> FeedSettings {
    FeedSettings {
        timeline_cap: 50,
        timelines_max: 100,
        recents_per_author: 20,
        recents_age_ms: u64::MAX,
        ..FeedSettings::default()
    }
}

fn settle(harness: &mut Harness) {
    harness.apply_all_but(0);
    while harness.feed.turn() {}
}

#[test]
fn a_hot_page_reads_no_author_rows() {
    let mut harness = Harness::new(roomy_settings());
    (2..6).for_each(|followee| harness.follow(1, followee));
    for turn in 0..200 {
        harness.post(2 + turn % 4, None, None);
    }
    settle(&mut harness);
    harness.page(1, None, None, 20);
    harness.source.table_reads.store(0, Ordering::Relaxed);
    for turn in 0..40 {
        harness.pin(2, Some(if turn % 2 == 0 { Policy::Pull } else { Policy::Push }));
        harness.post(2, None, None);
        settle(&mut harness);
        let expected = harness.source.world.lock().feed(1)[..20].to_vec();
        assert_eq!(harness.page(1, None, None, 20).0, expected);
    }
    assert_eq!(harness.source.table_reads.load(Ordering::Relaxed), 0);
}

#[test]
fn a_rebuild_reads_rows_only_of_authors_whose_recents_are_used_up() {
    let settings = FeedSettings { timeline_cap: 12, recents_per_author: 8, ..roomy_settings() };
    let mut harness = Harness::new(settings);
    (2..6).for_each(|followee| harness.follow(1, followee));
    // 3, 4 and 5 posted all they ever will long ago; 2 fills the page alone.
    for turn in 0..30 {
        harness.post(if turn < 12 { 3 + turn % 3 } else { 2 }, None, None);
    }
    settle(&mut harness);
    harness.page(1, None, None, 10);
    assert_eq!(harness.source.table_reads.load(Ordering::Relaxed), 1);
}

#[test]
fn a_failed_or_cancelled_build_leaves_nothing_behind() {
    let mut harness = Harness::new(tiny_settings());
    harness.follow(1, 2);
    harness.post(2, None, None);
    settle(&mut harness);
    for calls in 0..2 {
        // The n-th call of the tables fails, then a reader hangs up at the n-th.
        harness.source.failing_calls.store(1, Ordering::Relaxed);
        let feed = harness.feed.clone();
        let page = harness.run(feed.page(Id(1), PageQuery { limit: 5, ..PageQuery::default() }));
        assert!(page.is_err());
        harness.begin_read(1, 5);
        (0..calls).for_each(|_| harness.poll(0));
        harness.cancel(0);
        harness.feed.evict(Id(1));
        assert_eq!(harness.feed.stats().timelines, 0);
    }
    harness.check_quiet(3);
}

#[test]
fn own_posts_show_before_fan_out_has_run() {
    let mut harness = Harness::new(roomy_settings());
    harness.page(1, None, None, 5);
    for policy in [Policy::Push, Policy::PushLate, Policy::Pull] {
        harness.pin(1, Some(policy));
        let id = harness.post(1, None, None);
        harness.apply_all_but(0);
        assert_eq!(harness.page(1, None, None, 1).0, [id.0]);
    }
}

#[test]
fn an_unread_count_stops_at_its_bound() {
    let mut harness = Harness::new(roomy_settings());
    harness.follow(1, 2);
    for _ in 0..UNREAD_MAX + 20 {
        harness.post(2, None, None);
    }
    let newest = harness.post(2, None, None);
    settle(&mut harness);
    assert_eq!(harness.unread(1, 0), (UNREAD_MAX, Some(newest.0)));
    assert_eq!(harness.unread(1, newest.0), (0, Some(newest.0)));
}

#[test]
fn a_late_fan_out_is_sliced_between_ordinary_ones() {
    let mut harness = Harness::new(FeedSettings { push_slice: 1, ..roomy_settings() });
    for reader in 2..6 {
        harness.follow(reader, 1);
        harness.follow(reader, 6);
        settle(&mut harness);
        harness.page(reader, None, None, 5);
    }
    harness.pin(1, Some(Policy::PushLate));
    harness.pin(6, Some(Policy::Push));
    harness.post(1, None, None);
    harness.apply_all_but(0);
    harness.turn(1);
    let ordinary = harness.post(6, None, None);
    harness.apply_all_but(0);
    harness.turn(4);
    // The late job has three slices to go; the ordinary one, queued after it, is everywhere.
    assert_eq!((2..6).filter(|reader| harness.page(*reader, None, None, 1).0 == [ordinary.0]).count(), 4);
    assert_eq!(harness.feed.stats().late_queue, 1);
    settle(&mut harness);
    let stats = harness.feed.stats();
    assert_eq!((stats.deliveries.push, stats.deliveries.push_late, stats.late_lag.jobs), (4, 4, 1));
}

#[test]
fn a_full_queue_turns_posts_into_pulled_ones() {
    let mut harness = Harness::new(FeedSettings { push_queue_max: 1, ..roomy_settings() });
    harness.follow(1, 2);
    settle(&mut harness);
    harness.page(1, None, None, 5);
    let ids: Vec<u64> = (0..3).map(|_| harness.post(2, None, None).0).collect();
    harness.apply_all_but(0);
    assert_eq!(harness.feed.stats().overflowed, 2);
    // The pulled ones are there already, the queued one follows.
    assert_eq!(harness.page(1, None, None, 5).0, [ids[2], ids[1]]);
    settle(&mut harness);
    assert_eq!(harness.page(1, None, None, 5).0, [ids[2], ids[1], ids[0]]);
}

#[test]
fn a_ranked_page_is_not_in_latest_order_and_ends_with_its_snapshot_or_goes_on() {
    let mut harness = Harness::new(FeedSettings { ranked_candidates: 8, ..roomy_settings() });
    harness.follow(1, 2);
    for _ in 0..12 {
        harness.post(2, None, None);
    }
    settle(&mut harness);
    let ranked = harness.ranked_feed(1, 5);
    let latest = harness.source.world.lock().feed(1);
    assert_ne!(ranked[..8], latest[..8]);
    assert_eq!(ranked[8..], latest[8..]);
}

#[test]
fn ended_blocks_and_mutes_show_again_on_the_next_read() {
    let mut harness = Harness::new(roomy_settings());
    harness.follow(1, 2);
    let original = harness.post(3, None, None);
    let repost = harness.post(2, None, Some(original.0));
    settle(&mut harness);
    assert_eq!(harness.page(1, None, None, 5).0, [repost.0]);
    harness.block(1, 3);
    harness.block(3, 1);
    settle(&mut harness);
    assert!(harness.page(1, None, None, 5).0.is_empty());
    harness.unblock(1, 3);
    settle(&mut harness);
    assert!(harness.page(1, None, None, 5).0.is_empty(), "the other direction still holds");
    harness.unblock(3, 1);
    harness.mute(1, 2, true);
    settle(&mut harness);
    assert!(harness.page(1, None, None, 5).0.is_empty());
    harness.mute(1, 2, false);
    settle(&mut harness);
    assert_eq!(harness.page(1, None, None, 5).0, [repost.0]);
}

#[test]
fn a_block_that_ends_during_a_build_is_not_built_in() {
    let mut harness = Harness::new(FeedSettings { recents_per_author: 1, ..tiny_settings() });
    harness.block(1, 2);
    harness.follow(1, 3);
    for _ in 0..3 {
        harness.post(3, None, None);
    }
    settle(&mut harness);
    for polls in 0..12 {
        harness.begin_read(1, 5);
        (0..polls).for_each(|_| harness.poll(0));
        harness.unblock(1, 2);
        harness.follow(1, 2);
        let id = harness.post(2, None, None);
        settle(&mut harness);
        (0..100).for_each(|_| harness.poll(0));
        assert_eq!(harness.page(1, None, None, 1).0, [id.0], "after {polls} polls");
        harness.block(1, 2);
        settle(&mut harness);
        harness.feed.evict(Id(1));
    }
}

#[test]
fn following_again_while_a_read_merges_the_first_follow_misses_nothing() {
    for polls in 0..12 {
        let mut harness = Harness::new(FeedSettings { recents_per_author: 1, ..tiny_settings() });
        harness.page(1, None, None, 5);
        harness.post(2, None, None);
        harness.post(2, None, None);
        harness.follow(1, 2);
        settle(&mut harness);
        harness.begin_read(1, 5);
        (0..polls).for_each(|_| harness.poll(0));
        harness.unfollow(1, 2);
        settle(&mut harness);
        let id = harness.post(2, None, None);
        settle(&mut harness);
        harness.follow(1, 2);
        settle(&mut harness);
        (0..100).for_each(|_| harness.poll(0));
        assert_eq!(harness.page(1, None, None, 1).0, [id.0], "after {polls} polls");
    }
}

#[test]
fn what_was_meant_for_an_evicted_timeline_does_not_reach_the_next_one_in_its_slot() {
    let bounds = TimelineBounds { pending_follows_max: 9, recorded_changes_max: 9 };
    let timelines = Timelines::new(5, 1, bounds);
    let first = timelines.allocate(1, 0);
    timelines.free(first);
    let second = timelines.allocate(2, 0);
    assert_eq!(first.slot, second.slot);
    timelines.subscribed(second, ReaderRelations::new(2, vec![], vec![], vec![]));
    assert!(timelines.finish(first, &[], 0, Absorbed::default()).is_none());
    assert!(timelines.finish(second, &[], 0, Absorbed::default()).is_some());
    assert!(timelines.absorb(first, &[], 0, &[], Absorbed::default()).is_none());
    assert!(timelines.view(second.slot, 1, 0).is_none() && timelines.view(second.slot, 2, 0).is_some());
    timelines.free(first);
    assert_eq!(timelines.count(), 1);
}

#[test]
fn recent_entries_answer_only_when_memory_has_them_all() {
    let mut harness = Harness::new(FeedSettings { recents_per_author: 2, ..roomy_settings() });
    let ids: Vec<Id> = (0..3).map(|_| harness.post(2, None, None)).collect();
    settle(&mut harness);
    let newest = |limit| harness.feed.recent_entries(Id(2), Id(u64::MAX), limit);
    assert_eq!(
        newest(2).map(|entries| entries.iter().map(|entry| entry.id).collect::<Vec<_>>()),
        Some(vec![ids[2], ids[1]])
    );
    assert_eq!(newest(3), None);
    assert_eq!(harness.feed.recent_entries(Id(77), Id(u64::MAX), 1), None);
}
