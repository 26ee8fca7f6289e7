//! Ids that are given out, over clocks that are turned and processes that end.

use std::sync::Arc;

use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Engines, Partition, memory};
use fanfare_protocol::Id;

use super::{Mint, Numbers};
use crate::base::clock::Clock;
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::{HEARTBEAT_MS, RESERVE_MS};
use crate::log::moments::Moments;

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: u64 = 3_600_000;

async fn open(engines: &Engines, clock: &Clock, last: Id) -> Mint {
    Mint::open(Arc::clone(&engines.tables), clock.clone(), Numbers::of_node(0), last, true).await.unwrap()
}

fn engines() -> Engines {
    memory::open(1).unwrap()
}

async fn stored(engines: &Engines) -> Moments {
    Moments::read(&*engines.tables).await.unwrap()
}

#[tokio::test]
async fn a_version_is_above_what_was_read_and_a_fast_one_does_not_take_the_mint_along() {
    let mint = open(&engines(), &Clock::stand_in(NOW_MS), Id(0)).await;
    let fast = first_id_at(NOW_MS + HOUR_MS);
    let above = mint.mint_above(fast).await.unwrap();
    assert!(above > fast && mint.mint_above(above).await.unwrap() > above);
    assert_eq!(unix_ms_of(mint.mint().await.unwrap()), NOW_MS, "posts keep the time");
    let read = mint.mint().await.unwrap();
    assert!(mint.mint_above(read).await.unwrap() > read);
}

#[tokio::test]
async fn a_start_begins_above_all_that_was_given_out_whatever_the_clock_does() {
    for seed in 0..40 {
        let (engines, mut random) = (engines(), Random::new(seed));
        let (mut given, mut last_record, mut now_ms) = (Id(0), Id(0), NOW_MS);
        for _ in 0..6 {
            let clock = Clock::stand_in(now_ms);
            let mint = open(&engines, &clock, last_record).await;
            for _ in 0..random.below(30) {
                match random.below(7) {
                    0 => clock.pass(random.below(4_000)),
                    1 => clock.step(-(random.below(HOUR_MS) as i64)),
                    2 => clock.step(random.below(HOUR_MS) as i64),
                    3 => {
                        let burnt = mint.burn_to_now(Id(0), || true).unwrap();
                        assert!(burnt >= given && burnt <= stored(&engines).await.reserved, "seed {seed}");
                        given = burnt;
                    }
                    4 => mint.keep_reserved().await.unwrap(),
                    5 => {
                        // A commit, which may be lost with all that is in it.
                        let (mut batch, records) = (Batch::default(), random.below(3));
                        let ids: Vec<Id> = mint.number(Partition(0), |next| (0..records).map(|_| next(None)).collect());
                        let reserving = mint.reserve_in(&mut batch);
                        assert!(ids.iter().all(|id| *id > given), "seed {seed}");
                        if random.percent(70) {
                            engines.tables.write(batch).await.unwrap();
                            mint.reserved(reserving.as_ref());
                            last_record = ids.last().copied().unwrap_or(last_record).max(last_record);
                            given = given.max(last_record);
                        }
                    }
                    _ => {
                        let id = mint.mint().await.unwrap();
                        assert!(id > given, "seed {seed}: {id:?} after {given:?}");
                        assert!(id <= stored(&engines).await.reserved, "seed {seed}: beyond what is reserved");
                        given = id;
                    }
                }
            }
            if random.percent(50) {
                mint.close().await.unwrap();
                assert!(mint.mint().await.is_err(), "nothing is given out any more");
            }
            // The next process finds another clock, at most as far back as is ordinary.
            now_ms = (clock.now_ms() + random.below(4 * HOUR_MS)).saturating_sub(2 * HOUR_MS);
        }
    }
}

#[tokio::test]
async fn a_busy_mint_writes_one_row_in_a_while_and_a_quiet_one_none() {
    let (engines, clock) = (engines(), Clock::stand_in(NOW_MS));
    let mint = open(&engines, &clock, Id(0)).await;
    for _ in 0..1_000 {
        let _ = mint.mint().await.unwrap();
        mint.keep_reserved().await.unwrap();
    }
    assert_eq!(stored(&engines).await.writes, 1);
    clock.pass(HOUR_MS - 1);
    assert!(
        mint.burn_to_now(Id(0), || true).unwrap() <= first_id_at(NOW_MS + RESERVE_MS),
        "never beyond what is reserved"
    );
    assert_eq!(stored(&engines).await.writes, 1);
    assert_eq!(unix_ms_of(mint.mint().await.unwrap()), NOW_MS + HOUR_MS - 1, "an id is of its moment");
    assert_eq!(stored(&engines).await.writes, 2);
}

#[tokio::test]
async fn a_clean_stop_leaves_the_exact_end_and_a_crash_what_was_reserved() {
    let (engines, clock) = (engines(), Clock::stand_in(NOW_MS));
    let mint = open(&engines, &clock, Id(0)).await;
    let last = mint.mint().await.unwrap();
    mint.close().await.unwrap();
    let mint = open(&engines, &clock, Id(0)).await;
    let next = mint.mint().await.unwrap();
    assert!(next > last && unix_ms_of(next) == NOW_MS);
    drop(mint);
    let mint = open(&engines, &clock, Id(0)).await;
    assert!(mint.mint().await.unwrap() > first_id_at(NOW_MS + RESERVE_MS));
}

#[tokio::test]
async fn a_heartbeat_is_left_only_by_who_has_run_for_an_hour() {
    let (engines, clock) = (engines(), Clock::stand_in(NOW_MS));
    let mint = open(&engines, &clock, Id(0)).await;
    clock.pass(HEARTBEAT_MS - 1);
    mint.beat().await.unwrap();
    assert_eq!(stored(&engines).await, Moments::default());
    clock.pass(1);
    mint.beat().await.unwrap();
    clock.pass(60_000);
    mint.beat().await.unwrap();
    let left = stored(&engines).await;
    assert_eq!((left.heartbeat_ms, left.writes), (NOW_MS + HEARTBEAT_MS, 1));

    let import = Clock::by_hand(NOW_MS / 2);
    let mint = open(&engines, &import, Id(0)).await;
    import.set(NOW_MS / 2 + 9 * HEARTBEAT_MS);
    mint.beat().await.unwrap();
    let _ = mint.mint().await.unwrap();
    mint.close().await.unwrap();
    assert_eq!(stored(&engines).await, left, "an import leaves the moments of the folder alone");
}

#[tokio::test]
async fn a_clock_that_is_accepted_is_believed_from_then_on() {
    let engines = engines();
    let ahead = first_id_at(NOW_MS + 250 * 24 * HOUR_MS);
    let (tables, numbers) = (&engines.tables, Numbers::of_node(0));
    let refused = Mint::open(Arc::clone(tables), Clock::stand_in(NOW_MS), numbers, ahead, true).await.err().unwrap();
    assert!(refused.to_string().contains("--accept-clock"), "{refused}");
    let system = Clock::accepted();
    let ahead = first_id_at(system.now_ms() + 250 * 24 * HOUR_MS);
    let mint = Mint::open(Arc::clone(tables), system, numbers, ahead, true).await.unwrap();
    let next = mint.mint().await.unwrap();
    assert!(next > ahead, "ids rise all the same");
    let later = open(&engines, &Clock::system(), next).await;
    assert!(later.mint().await.unwrap() > next);
}
