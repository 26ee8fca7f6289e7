//! Horizon: what moves it on, and what holds it back.

use super::*;
use crate::base::clock::Clock;
use crate::base::id::{EPOCH_MS, first_id_at};
use crate::log::mint::Numbers;

const P: Partition = Partition(0);

async fn opened(clock: &Clock) -> (Mint, Horizon) {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let mint = Mint::open(engines.tables, clock.clone(), Numbers::of_node(0), Id(0), true).await.unwrap();
    let horizon = Horizon::default();
    horizon.open(mint.clone(), Id(7));
    (mint, horizon)
}

#[tokio::test]
async fn it_moves_on_with_time_unless_something_is_on_its_way() {
    let start_ms = EPOCH_MS + 1_000_000;
    let clock = Clock::by_hand(start_ms);
    assert_eq!(Horizon::default().now(), Id(0), "before there is a log");
    let (mint, horizon) = opened(&clock).await;
    let number = || {
        mint.number(P, |next| {
            let first = next(None);
            horizon.numbered(P, first);
            first
        })
    };
    let first = horizon.now();
    assert!(first >= first_id_at(start_ms - 1));
    assert_eq!(horizon.now(), first, "no time has passed");

    clock.set(start_ms + 50);
    let record = number();
    assert!(record > first, "what is burnt is never minted");
    clock.set(start_ms + 90);
    assert_eq!(horizon.now(), first, "a record below now is not settled");
    horizon.reach(horizon.with(P, record));
    horizon.through(P, record);
    assert!(horizon.now() >= first_id_at(start_ms + 89));

    let after = horizon.now();
    clock.set(start_ms + 100);
    let refused = number();
    assert_eq!(horizon.now(), after);
    horizon.through(P, refused);
    assert!(horizon.now() > after, "what was refused holds nothing up");
}

/// Of two partitions one is slow: what the other settles meanwhile is told, and lies above the horizon.
#[tokio::test]
async fn it_stays_below_what_is_on_its_way_in_any_partition_and_waits_for_none_that_is_idle() {
    let clock = Clock::by_hand(EPOCH_MS + 1_000_000);
    let (mint, horizon) = opened(&clock).await;
    let number = |partition| {
        let number = mint.number(partition, |next| {
            let first = next(None);
            horizon.numbered(partition, first);
            first
        });
        clock.set(clock.now_ms() + 1);
        number
    };
    let settle = |partition, id| {
        horizon.reach(horizon.with(partition, id));
        horizon.through(partition, id);
        horizon.reached()
    };
    let (slow, other) = (Partition(3), Partition(4));
    let before = number(other);
    assert_eq!(settle(other, before), before, "the others have nothing on their way");
    let (held, fast) = (number(slow), number(other));
    assert_eq!(settle(other, fast), Id(held.0 - 1));
    assert!(horizon.now() < held, "nor does time move it on");
    let later = number(other);
    assert_eq!(settle(slow, held), Id(later.0 - 1).min(fast), "what was held back is free");
    assert_eq!(settle(other, later), later);
    let (early, next) = (number(slow), number(slow));
    let top = number(other);
    assert_eq!(settle(other, top), Id(early.0 - 1));
    assert_eq!(settle(slow, early), Id(next.0 - 1), "the next of the same partition is on its way");
    assert_eq!(settle(slow, next), top);
    let (refused, last) = (number(slow), number(other));
    assert_eq!(settle(other, last), Id(refused.0 - 1));
    horizon.through(slow, refused);
    assert_eq!(horizon.reached(), last, "what was refused holds nothing up");
    // What follows from a deletion is looked for up to there.
    assert_eq!(horizon.reached_by_records(), last);
}

/// Views heard of a record with the horizon below it, and would show it with the next record only.
#[tokio::test]
async fn views_hear_how_far_it_is_when_what_held_it_back_is_through_or_told() {
    let clock = Clock::by_hand(EPOCH_MS + 1_000_000);
    let (mint, horizon) = opened(&clock).await;
    let heard = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&heard);
    horizon.tells(move |upto| hears.store(upto.0, Ordering::SeqCst));
    let number = |partition| {
        let id = mint.number(partition, |next| {
            let first = next(None);
            horizon.numbered(partition, first);
            first
        });
        clock.set(clock.now_ms() + 1);
        id
    };
    let (slow, other) = (Partition(3), Partition(4));
    let (refused, shown) = (number(slow), number(other));
    horizon.reach(horizon.with(other, shown));
    horizon.through(other, shown);
    assert_eq!(heard.load(Ordering::SeqCst), 0, "that is told with the record");
    horizon.through(slow, refused);
    assert_eq!(heard.load(Ordering::SeqCst), shown.0);
    let source = number(other);
    horizon.hold(other, (source, source));
    horizon.reach(horizon.with(other, source));
    horizon.through(other, source);
    assert_eq!(heard.load(Ordering::SeqCst), shown.0, "that too");
    horizon.release(other, source);
    assert_eq!(heard.load(Ordering::SeqCst), source.0);
}

/// A group that held it back is through, and views are about to hear so. Moved on by the time in between, it would be
/// above what they show, and they would not hear of it.
#[tokio::test]
async fn time_does_not_move_it_past_what_views_are_still_to_be_told_of() {
    let clock = Clock::by_hand(EPOCH_MS + 1_000_000);
    let (mint, horizon) = opened(&clock).await;
    let heard = Arc::new(AtomicU64::new(0));
    let hears = Arc::clone(&heard);
    horizon.tells(move |upto| hears.store(upto.0, Ordering::SeqCst));
    let number = |partition| {
        mint.number(partition, |next| {
            let first = next(None);
            horizon.numbered(partition, first);
            first
        })
    };
    let (slow, other) = (Partition(3), Partition(4));
    let (held, shown) = (number(slow), number(other));
    horizon.reach(horizon.with(other, shown));
    horizon.through(other, shown);
    horizon.0.under_way.lock().groups.retain(|(_, first)| *first != held);
    clock.set(clock.now_ms() + 50);
    assert!(horizon.now() < held);
    horizon.through(slow, held);
    assert_eq!(heard.load(Ordering::SeqCst), shown.0);
    assert!(horizon.now() > shown);
}

/// A log that cannot be read goes on.
#[tokio::test]
async fn a_partition_of_which_nothing_more_is_told_holds_nothing_back() {
    let clock = Clock::by_hand(EPOCH_MS + 1_000_000);
    let (mint, horizon) = opened(&clock).await;
    let settle = || {
        let id = mint.number(P, |next| {
            let first = next(None);
            horizon.numbered(P, first);
            first
        });
        horizon.hold(P, (id, id));
        horizon.reach(horizon.with(P, id));
        horizon.through(P, id);
        id
    };
    let before = settle();
    assert!(horizon.reached() < before);
    horizon.let_go(P);
    assert_eq!(horizon.reached(), before);
    assert_eq!(settle(), horizon.reached(), "nor does what comes after");
}

/// A page of the log may end within a group: what follows from the rest of it is not told then.
#[tokio::test]
async fn what_follows_from_a_part_of_a_group_lets_go_of_that_part_alone() {
    let clock = Clock::by_hand(EPOCH_MS + 1_000_000);
    let (mint, horizon) = opened(&clock).await;
    let ids = mint.number(P, |next| {
        let ids = [next(None), next(None), next(None)];
        horizon.numbered(P, ids[0]);
        ids
    });
    horizon.hold(P, (ids[0], ids[2]));
    horizon.reach(horizon.with(P, ids[2]));
    horizon.through(P, ids[0]);
    assert_eq!(horizon.reached(), Id(ids[0].0 - 1));
    horizon.release(P, ids[1]);
    assert_eq!(horizon.reached(), ids[1]);
    horizon.release(P, ids[1]);
    assert_eq!(horizon.reached(), ids[1]);
    horizon.release(P, ids[2]);
    assert!(horizon.reached() >= ids[2]);
}

#[tokio::test]
async fn it_stands_at_the_end_of_what_is_reserved_and_asks_for_more() {
    let start_ms = EPOCH_MS + 1_000_000;
    let clock = Clock::stand_in(start_ms);
    let (_, horizon) = opened(&clock).await;
    clock.pass(60_000);
    assert_eq!(horizon.now(), Id(7), "nothing is reserved");
    horizon.catch_up().await;
    assert!(horizon.now() >= first_id_at(start_ms + 60_000 - 1), "whoever connects waits for it");
    clock.pass(60_000);
    let keeping = tokio::spawn(horizon.clone().keep_reserved());
    while horizon.now() < first_id_at(start_ms + 120_000 - 1) {
        tokio::task::yield_now().await;
    }
    keeping.abort();
}
