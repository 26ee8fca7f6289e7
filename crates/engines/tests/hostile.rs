//! The hostile engine is as bad as it may be, and no worse.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashSet;

use bytes::Bytes;
use fanfare_engines::admission::{ID_BELOW_MS_BITS, ID_EPOCH_MS};
use fanfare_engines::claim::Claim;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, NewRecord, Offset, Partition, Position, RowKey, Table, Turn,
};

const TABLE: Table = Table { id: 1, name: "test" };
const P: Partition = Partition(0);
/// Enough worlds for every fault to be seen.
const SEEDS: u64 = 300;

fn key(name: &'static str) -> RowKey {
    RowKey::single(TABLE, name)
}

fn two_partitions() -> Batch {
    let mut batch = Batch::default();
    batch.put_versioned(key("a"), "new", 2);
    batch.put_versioned(key("b"), "new", 2);
    batch
}

fn always_unknown() -> Faults {
    Faults { unknown: 100, ..Faults::NONE }
}

async fn both(engines: &Engines) -> Vec<Option<Bytes>> {
    engines.tables.get_many(&[key("a"), key("b")]).await.unwrap()
}

#[tokio::test]
async fn an_error_leaves_a_batch_whole_torn_or_undone_and_parts_arrive_later() {
    let mut seen = HashSet::new();
    for seed in 0..SEEDS {
        let world = Hostile::new(seed, 1, always_unknown()).unwrap();
        let engines = world.engines();
        assert!(matches!(engines.tables.write(two_partitions()).await, Err(EngineError::Unknown(_))));
        let at_once = both(&engines).await.iter().flatten().count();
        world.settle();
        let later = both(&engines).await.iter().flatten().count();
        seen.insert((at_once, later));
    }
    assert_eq!(seen.len(), 6, "of 0, 1 or 2 partitions at once, and as many or more later: {seen:?}");
}

#[tokio::test]
async fn a_late_write_does_not_undo_a_newer_version() {
    for seed in 0..SEEDS {
        let world = Hostile::new(seed, 1, always_unknown()).unwrap();
        let engines = world.engines();
        let _ = engines.tables.write(two_partitions()).await;
        world.set_faults(Faults::NONE);
        let mut batch = Batch::default();
        batch.put_versioned(key("a"), "newer", 3);
        batch.delete_versioned(key("b"), 3);
        engines.tables.write(batch).await.unwrap();
        world.settle();
        assert_eq!(both(&engines).await, [Some(Bytes::from_static(b"newer")), None], "seed {seed}");
    }
}

fn records(ids: std::ops::RangeInclusive<u64>) -> Vec<NewRecord> {
    ids.map(|id| NewRecord { id, payload: Bytes::from(vec![id as u8]) }).collect()
}

async fn claim(engines: &Engines) -> Turn {
    let claimant = Claimant { node: "owner".to_owned(), is_import: false };
    Turn::first(engines.journal.claim(P, &claimant).await.unwrap().term)
}

async fn read_ids(engines: &Engines) -> Vec<u64> {
    let page = engines.journal.read(P, Position::START, 10_000).await.unwrap();
    page.records.iter().map(|record| record.id.unwrap()).collect()
}

/// Entries of the log, whether they count or not.
async fn entries(engines: &Engines) -> u64 {
    let (first, next) = engines.journal.bounds(P).await.unwrap();
    next.0 - first.0
}

#[tokio::test]
async fn an_unknown_commit_lies_in_the_log_up_to_twice_and_counts_once_and_rows_never_without_records() {
    let (mut copies, mut counted) = (HashSet::new(), HashSet::new());
    for seed in 0..SEEDS {
        let world = Hostile::new(seed, 1, Faults::NONE).unwrap();
        let engines = world.engines();
        let turn = claim(&engines).await;
        world.set_faults(always_unknown());
        engines.journal.commit(P, turn, &records(1..=2), &two_partitions()).await.unwrap_err();
        for _ in 0..2 {
            let found = read_ids(&engines).await;
            let rows = both(&engines).await.iter().flatten().count();
            assert!(rows == 0 || found.len() == 2, "seed {seed}: rows without records");
            counted.insert(found.len());
            copies.insert(entries(&engines).await - 1);
            world.settle();
        }
    }
    assert_eq!(copies, HashSet::from([0, 1, 2, 3, 4]));
    assert_eq!(counted, HashSet::from([0, 1, 2]));
}

#[tokio::test]
async fn an_append_that_wakes_after_another_claim_lies_in_the_log_and_never_counts() {
    let mut seen = HashSet::new();
    for seed in 0..SEEDS {
        let world = Hostile::new(seed, 1, Faults::NONE).unwrap();
        let engines = world.engines();
        let turn = claim(&engines).await;
        world.set_faults(always_unknown());
        engines.journal.commit(P, turn, &records(1..=2), &two_partitions()).await.unwrap_err();
        world.set_faults(Faults::NONE);
        let before = read_ids(&engines).await;
        let turn = claim(&engines).await;
        let (known, rows) = (read_ids(&engines).await, both(&engines).await);
        assert!(known.len() >= before.len());
        engines.journal.commit(P, turn, &records(3..=3), &Batch::default()).await.unwrap();
        let lies = entries(&engines).await;
        world.settle();
        seen.insert(entries(&engines).await - lies);
        let now: Vec<u64> = known.iter().copied().chain([3]).collect();
        assert_eq!(read_ids(&engines).await, now, "seed {seed}: what was known changed");
        assert!(known.len() == 2 || both(&engines).await == rows, "seed {seed}: rows of what does not count");
    }
    assert_eq!(seen, HashSet::from([0, 2]), "appends that come too late");
}

#[tokio::test]
async fn the_log_stamps_by_its_own_clock_and_what_is_of_another_time_does_not_count() {
    let world = Hostile::new(1, 1, Faults::NONE).unwrap();
    let engines = world.engines();
    let now_ms = 1_800_000_000_000;
    let id_at = |unix_ms: u64| (unix_ms - ID_EPOCH_MS) << ID_BELOW_MS_BITS;
    let commit = async |turn: Turn, id: u64| {
        let record = NewRecord { id, payload: Bytes::new() };
        engines.journal.commit(P, turn, &[record], &two_partitions()).await
    };
    world.set_clock(now_ms);
    let turn = claim(&engines).await;
    assert!(matches!(commit(turn, id_at(now_ms - 5_001)).await, Err(EngineError::Fenced)));
    assert!(matches!(commit(turn, id_at(now_ms + 5_001)).await, Err(EngineError::Fenced)));
    assert_eq!(both(&engines).await, [None, None]);
    assert_eq!(commit(turn, id_at(now_ms - 5_000)).await.unwrap().appended_ms, now_ms);
    world.set_clock(now_ms + 3_600_000);
    let page = engines.journal.read(P, Position::START, 10).await.unwrap();
    assert_eq!((page.records.len(), page.records[0].appended_ms), (1, now_ms), "the time is stored, and counts on");
    let import = Claimant { node: "import".to_owned(), is_import: true };
    let term = engines.journal.claim(P, &import).await.unwrap().term;
    commit(Turn::first(term), id_at(now_ms - 4_000)).await.unwrap();
}

#[tokio::test]
async fn what_was_acknowledged_survives_crashes() {
    for seed in 0..50 {
        let world = Hostile::new(seed, 2, Faults::SOME).unwrap();
        let mut acknowledged = Vec::new();
        for life in 0..5_u8 {
            let engines = world.engines();
            let owner = Claimant { node: "owner".to_owned(), is_import: false };
            let mut claim = loop {
                if let Ok(claim) = Claim::take(engines.journal.clone(), P, owner.clone()).await {
                    break claim;
                }
            };
            for row in 0..20_u8 {
                let id = vec![life, row];
                let mut batch = Batch::default();
                batch.put(RowKey::new(TABLE, id.clone(), ""), id.clone());
                let record = NewRecord { id: 1 + u64::from(life) * 20 + u64::from(row), payload: id.clone().into() };
                // Now and then it is given up, and the next one finds it there: then it claims anew.
                match claim.append(&[record], &batch).await {
                    Ok(_) => acknowledged.push(Bytes::from(id)),
                    Err(EngineError::Fenced) => {
                        if let Ok(anew) = Claim::take(engines.journal.clone(), P, owner.clone()).await {
                            claim = anew;
                        }
                    }
                    Err(_) => {}
                }
            }
            let (stopped, last_words) =
                (engines.clone(), tokio::spawn(async move { engines.tables.write(two_partitions()).await }));
            tokio::task::yield_now().await;
            world.crash();
            let _ = last_words.await.unwrap();
            assert!(matches!(stopped.tables.get(&key("a")).await, Err(EngineError::Closed(_))));
        }
        world.set_faults(Faults::NONE);
        let engines = world.engines();
        let found = engines.journal.read(P, Position::START, 10_000).await.unwrap().records;
        let found: HashSet<Bytes> = found.into_iter().map(|record| record.payload).collect();
        for id in acknowledged {
            assert!(found.contains(&id), "seed {seed}: record {id:?} is lost");
            let row = engines.tables.get(&RowKey::new(TABLE, id.clone(), "")).await.unwrap();
            assert_eq!(row, Some(id), "seed {seed}");
        }
    }
}

#[tokio::test]
async fn a_crash_may_take_a_checkpoint_back_to_the_last_commit() {
    let mut seen = HashSet::new();
    for seed in 0..SEEDS {
        let world = Hostile::new(seed, 1, Faults::NONE).unwrap();
        let engines = world.engines();
        let turn = claim(&engines).await;
        engines.journal.checkpoint("consumer", P, Position::at(Offset(1))).await.unwrap();
        engines.journal.commit(P, turn, &records(1..=1), &Batch::default()).await.unwrap();
        engines.journal.checkpoint("consumer", P, Position::at(Offset(2))).await.unwrap();
        world.crash();
        seen.insert(world.engines().journal.checkpoint_of("consumer", P).await.unwrap().offset);
    }
    assert_eq!(seen, HashSet::from([Offset(1), Offset(2)]));
}
