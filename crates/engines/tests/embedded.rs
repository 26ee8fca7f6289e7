//! The embedded engine beyond the suite: what it keeps over restarts.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use fanfare_engines::embedded::{self, Settings};
use fanfare_engines::{Batch, EngineError, Engines, KeyRange, Offset, Order, Partition, RowKey, Table, Unique};

const TABLE: Table = Table { id: 1, name: "test" };
const P: Partition = Partition(0);

fn open(folder: &tempfile::TempDir) -> Engines {
    let settings = Settings { cache_bytes: 8 * 1024 * 1024, journal_partitions: 2, ..Settings::default() };
    embedded::open(folder.path(), &settings).unwrap()
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    let mut rows = Batch::default();
    for row in 0..100_u8 {
        rows.put_versioned(RowKey::new(TABLE, "p", vec![row]), vec![row], u64::from(row) + 1);
    }
    let first = engines.journal.commit(P, vec![Bytes::from_static(b"a"), Bytes::new()], rows).await.unwrap();
    assert_eq!(first, Offset(0));
    let key = RowKey::single(TABLE, "unique");
    assert_eq!(engines.tables.insert_unique(key.clone(), Bytes::from_static(b"v"), 7).await.unwrap(), Unique::Mine);
    engines.journal.checkpoint("consumer", P, Offset(2)).await.unwrap();
    drop(engines);

    let engines = open(&folder);
    let rows = engines.tables.scan(TABLE, b"p", KeyRange::ALL, Order::Descending, 1_000).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert_eq!(rows[0].value, Bytes::from_static(&[99]));
    assert_eq!(engines.journal.bounds(P).await.unwrap(), (Offset(0), Offset(2)));
    assert_eq!(engines.journal.read(P, Offset(0), 10).await.unwrap().len(), 2);
    assert_eq!(engines.journal.checkpoint_of("consumer", P).await.unwrap(), Offset(2));
    let taken = engines.tables.insert_unique(key, Bytes::new(), 8).await.unwrap();
    assert_eq!(taken, Unique::Taken(Bytes::from_static(b"v")));
}

#[tokio::test]
async fn a_trimmed_journal_stays_trimmed_and_counts_on() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    for _ in 0..10 {
        engines.journal.commit(P, vec![Bytes::from(vec![0; 10]); 1_000], Batch::default()).await.unwrap();
    }
    assert_eq!(engines.journal.trim(P, 50_000, &[]).await.unwrap(), 5_000);
    drop(engines);
    let engines = open(&folder);
    assert_eq!(engines.journal.bounds(P).await.unwrap(), (Offset(5_000), Offset(10_000)));
    assert_eq!(engines.journal.trim(P, 50_000, &[]).await.unwrap(), 0);
    assert_eq!(engines.journal.trim(P, 49_991, &[]).await.unwrap(), 1);
    assert_eq!(engines.journal.trim(P, 0, &[]).await.unwrap(), 4_999);
    drop(engines);
    let engines = open(&folder);
    assert_eq!(engines.journal.bounds(P).await.unwrap(), (Offset(10_000), Offset(10_000)));
    let next = engines.journal.commit(P, vec![Bytes::new()], Batch::default()).await.unwrap();
    assert_eq!(next, Offset(10_000));
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_a_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let _engines = open(&folder);
    let second = embedded::open(folder.path(), &Settings::default());
    assert!(matches!(&second, Err(EngineError::Unavailable(why)) if why.contains("in use")), "{:?}", second.err());
}
