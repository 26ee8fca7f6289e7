//! Scans that are long: bounded, and never in vain.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::super::{Embedded, Settings};
use super::*;

const TABLE: Table = Table { id: 1, name: "test" };

/// An engine that lets so many long scans run or wait.
fn open(folder: &tempfile::TempDir, waiting: usize) -> Embedded {
    Embedded::open(folder.path(), &Settings::default(), waiting).unwrap()
}

/// A living row behind `dead` ones.
async fn fill(engine: &Embedded, dead: usize) {
    let key = |number: usize| RowKey::new(TABLE, "p", (number as u64).to_be_bytes().to_vec());
    let mut batch = Batch::default();
    for number in 0..dead {
        batch.delete_versioned(key(number), 1);
    }
    batch.put_versioned(key(dead), "v", 1);
    engine.write(batch).await.unwrap();
}

async fn first(engine: &Embedded) -> Result<usize, EngineError> {
    engine.scan(TABLE, b"p", KeyRange::ALL, Order::Ascending, 1).await.map(|rows| rows.len())
}

#[tokio::test]
async fn a_long_scan_that_is_turned_away_leaves_what_it_learned() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder, 0);
    fill(&engine, 3 * INLINE.dead).await;
    let mut refused = 0;
    while let Err(error) = first(&engine).await {
        assert!(matches!(error, EngineError::Unavailable(_)), "{error}");
        refused += 1;
        assert!(refused < 10, "it gets no further");
    }
    assert!(refused > 0, "there is a bound");
    assert_eq!(first(&engine).await.unwrap(), 1);
}

#[tokio::test]
async fn a_long_scan_leaves_its_callers_thread_and_waits_for_its_turn() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Arc::new(open(&folder, 8));
    fill(&engine, 10 * INLINE.dead).await;
    let turn = engine.life(0).unwrap().turns.clone().acquire_owned().await.unwrap();
    let waiting = tokio::spawn({
        let engine = engine.clone();
        async move { first(&engine).await }
    });
    // This thread is free although the scan is under way: it is the only one that runs tasks.
    while engine.life(0).unwrap().store.scans.long.load(Relaxed) == 0 {
        tokio::task::yield_now().await;
    }
    assert!(!waiting.is_finished());
    drop(turn);
    assert_eq!(waiting.await.unwrap().unwrap(), 1);
    let passed = engine.life(0).unwrap().store.scans.dead_rows_passed.load(Relaxed);
    assert_eq!(passed, 10 * INLINE.dead as u64, "it goes on from where it was");
}

#[tokio::test]
async fn a_scan_of_very_many_live_rows_is_whole_and_long() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder, 8);
    let mut batch = Batch::default();
    for number in 0..3 * INLINE.live as u64 {
        batch.put(RowKey::new(TABLE, "p", number.to_be_bytes().to_vec()), "v");
    }
    engine.write(batch).await.unwrap();
    for (limit, long) in [(INLINE.live, 0), (usize::MAX, 1)] {
        let rows = engine.scan(TABLE, b"p", KeyRange::ALL, Order::Descending, limit).await.unwrap();
        assert_eq!(rows.len(), limit.min(3 * INLINE.live));
        assert!(rows.windows(2).all(|pair| pair[0].clustering > pair[1].clustering));
        assert_eq!(engine.life(0).unwrap().store.scans.long.load(Relaxed), long);
    }
}
