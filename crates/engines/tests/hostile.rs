//! The hostile engine is as bad as it may be, and no worse.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::HashSet;

use bytes::Bytes;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::{Batch, EngineError, Engines, Offset, Partition, RowKey, Table};

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

#[tokio::test]
async fn records_stand_twice_after_an_error_and_rows_never_without_records() {
    let mut copies = HashSet::new();
    for seed in 0..SEEDS {
        let world = Hostile::new(seed, 1, always_unknown()).unwrap();
        let engines = world.engines();
        let records = vec![Bytes::from_static(b"1"), Bytes::from_static(b"2")];
        engines.journal.commit(P, records, two_partitions()).await.unwrap_err();
        for _ in 0..2 {
            let found = engines.journal.read(P, Offset(0), 10).await.unwrap();
            let rows = both(&engines).await.iter().flatten().count();
            assert!(rows == 0 || found.len() >= 2, "seed {seed}: rows without records");
            copies.insert(found.len());
            world.settle();
        }
    }
    assert_eq!(copies, HashSet::from([0, 1, 2, 3, 4]));
}

#[tokio::test]
async fn what_was_acknowledged_survives_crashes() {
    for seed in 0..50 {
        let world = Hostile::new(seed, 2, Faults::SOME).unwrap();
        let mut acknowledged = Vec::new();
        for life in 0..5_u8 {
            let engines = world.engines();
            for row in 0..20_u8 {
                let id = vec![life, row];
                let mut batch = Batch::default();
                batch.put(RowKey::new(TABLE, id.clone(), ""), id.clone());
                if engines.journal.commit(P, vec![id.clone().into()], batch).await.is_ok() {
                    acknowledged.push(Bytes::from(id));
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
        let found = engines.journal.read(P, Offset(0), 10_000).await.unwrap();
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
        engines.journal.checkpoint("consumer", P, Offset(1)).await.unwrap();
        engines.journal.commit(P, vec![Bytes::new()], Batch::default()).await.unwrap();
        engines.journal.checkpoint("consumer", P, Offset(2)).await.unwrap();
        world.crash();
        seen.insert(world.engines().journal.checkpoint_of("consumer", P).await.unwrap());
    }
    assert_eq!(seen, HashSet::from([Offset(1), Offset(2)]));
}
