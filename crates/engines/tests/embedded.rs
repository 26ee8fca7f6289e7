//! The embedded engine beyond the suite: what it keeps over restarts.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use bytes::Bytes;
use fanfare_engines::embedded::{self, Settings};
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, KeyRange, NewFamily, NewRecord, NewTerm, Offset, Order, Partition, Position,
    RowKey, Table, Turn, Unique,
};

const TABLE: Table = Table { id: 1, name: "test" };
const P: Partition = Partition(0);

fn open(folder: &tempfile::TempDir) -> Engines {
    let settings =
        Settings { cache_bytes: 8 * 1024 * 1024, families: vec![NewFamily::of_all(Some(2))], ..Settings::default() };
    embedded::open(folder.path(), &settings).unwrap()
}

fn owner() -> Claimant {
    Claimant { node: "owner".to_owned(), is_import: false }
}

async fn claim(engines: &Engines) -> Turn {
    Turn::first(engines.journal.claim(P, &owner()).await.unwrap().term)
}

/// Records of ten bytes each.
fn records(ids: std::ops::RangeInclusive<u64>) -> Vec<NewRecord> {
    ids.map(|id| NewRecord { id, payload: Bytes::from_static(&[7; 10]) }).collect()
}

/// A process that is killed while it makes its store leaves part of one, here or, by earlier versions, in its place.
#[tokio::test]
async fn a_store_that_was_cut_off_while_it_was_made_is_made_anew() {
    for left in ["store", "store.new"] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join(left).join("keyspaces")).unwrap();
        std::fs::write(folder.path().join(left).join("0.jnl"), "").unwrap();
        for round in 0..2_u8 {
            let engines = open(&folder);
            let key = RowKey::single(TABLE, vec![round]);
            let mut rows = Batch::default();
            rows.put(key, "v");
            engines.tables.write(rows).await.unwrap();
            let first = engines.tables.get(&RowKey::single(TABLE, vec![0])).await.unwrap();
            assert_eq!(first, Some(Bytes::from_static(b"v")), "{left}, round {round}");
        }
    }
}

#[tokio::test]
async fn everything_acknowledged_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    let mut rows = Batch::default();
    for row in 0..100_u8 {
        rows.put_versioned(RowKey::new(TABLE, "p", vec![row]), vec![row], u64::from(row) + 1);
    }
    let turn = claim(&engines).await;
    let next = engines.journal.commit(P, turn, &records(1..=2), &rows).await.unwrap().next;
    assert_eq!(next.offset, Offset(3));
    let key = RowKey::single(TABLE, "unique");
    assert_eq!(engines.tables.insert_unique(key.clone(), Bytes::from_static(b"v"), 7).await.unwrap(), Unique::Mine);
    engines.journal.checkpoint("consumer", P, next).await.unwrap();
    drop(engines);

    let engines = open(&folder);
    let rows = engines.tables.scan(TABLE, b"p", KeyRange::ALL, Order::Descending, 1_000).await.unwrap();
    assert_eq!(rows.len(), 100);
    assert_eq!(rows[0].value, Bytes::from_static(&[99]));
    assert_eq!(engines.journal.bounds(P).await.unwrap(), (Offset(0), Offset(3)));
    let page = engines.journal.read(P, Position::START, 10).await.unwrap();
    assert_eq!((page.records.len(), page.next), (2, next));
    assert_eq!(engines.journal.checkpoint_of("consumer", P).await.unwrap(), next);
    let taken = engines.tables.insert_unique(key, Bytes::new(), 8).await.unwrap();
    assert_eq!(taken, Unique::Taken(Bytes::from_static(b"v")));
}

#[tokio::test]
async fn a_trimmed_journal_stays_trimmed_and_counts_on() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    let mut turn = claim(&engines).await;
    for batch in 0..10 {
        let records = records(batch * 1_000 + 1..=batch * 1_000 + 1_000);
        turn.number = engines.journal.commit(P, turn, &records, &Batch::default()).await.unwrap().next.number;
    }
    assert_eq!(engines.journal.trim(P, 50_000, &[]).await.unwrap().records, 5_000);
    drop(engines);
    // The claim stands before the first record.
    let engines = open(&folder);
    assert_eq!(engines.journal.bounds(P).await.unwrap(), (Offset(5_001), Offset(10_001)));
    let from_before = engines.journal.read(P, Position::START, 1).await.unwrap();
    let next = from_before.next;
    assert_eq!((next.term, next.last_id, next.number), (Some(turn.term), 5_001, 5_001), "where it begins is known");
    assert_eq!(engines.journal.trim(P, 50_000, &[]).await.unwrap().records, 0);
    assert_eq!(engines.journal.trim(P, 49_991, &[]).await.unwrap().records, 1);
    assert_eq!(engines.journal.trim(P, 0, &[]).await.unwrap().records, 4_999);
    drop(engines);
    let engines = open(&folder);
    assert_eq!(engines.journal.bounds(P).await.unwrap(), (Offset(10_001), Offset(10_001)));
    let next = engines.journal.commit(P, turn, &records(10_001..=10_001), &Batch::default()).await.unwrap().next;
    assert_eq!((next.offset, next.number), (Offset(10_002), 10_001));
}

#[tokio::test]
async fn term_last_id_and_number_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    let old = claim(&engines).await;
    engines.journal.commit(P, old, &records(1..=3), &Batch::default()).await.unwrap();
    let turn = claim(&engines).await;
    engines.journal.commit(P, turn, &records(4..=5), &Batch::default()).await.unwrap();
    drop(engines);

    let fenced = async |engines: &Engines, turn: Turn, ids: std::ops::RangeInclusive<u64>| {
        let mut rows = Batch::default();
        rows.put(RowKey::single(TABLE, "fenced"), "row");
        let answer = engines.journal.commit(P, turn, &records(ids), &rows).await;
        assert!(matches!(answer, Err(EngineError::Fenced)), "{answer:?}");
        assert_eq!(engines.tables.get(&RowKey::single(TABLE, "fenced")).await.unwrap(), None);
    };
    let engines = open(&folder);
    fenced(&engines, Turn { number: 3, ..old }, 6..=6).await;
    fenced(&engines, turn, 6..=6).await;
    fenced(&engines, Turn { number: 2, ..turn }, 5..=6).await;
    engines.journal.commit(P, Turn { number: 2, ..turn }, &records(6..=6), &Batch::default()).await.unwrap();
    fenced(&engines, Turn { number: 4, ..turn }, 8..=8).await;
    drop(engines);

    let engines = open(&folder);
    fenced(&engines, Turn { number: 3, ..turn }, 7..=7).await;
    let NewTerm { term, next: position, .. } = engines.journal.claim(P, &owner()).await.unwrap();
    assert!(term > turn.term);
    assert_eq!((position.last_id, position.number), (6, 0));
    engines.journal.commit(P, Turn::first(term), &records(7..=7), &Batch::default()).await.unwrap();
    let page = engines.journal.read(P, Position::START, 100).await.unwrap();
    assert_eq!(page.records.iter().filter_map(|record| record.id).collect::<Vec<_>>(), [1, 2, 3, 4, 5, 6, 7]);
}

#[tokio::test]
async fn a_folder_in_use_is_refused_with_a_clear_message() {
    let folder = tempfile::tempdir().unwrap();
    let _engines = open(&folder);
    let second = embedded::open(folder.path(), &Settings::default());
    assert!(matches!(&second, Err(EngineError::Unavailable(why)) if why.contains("in use")), "{:?}", second.err());
}

/// Versioned rows of one partition, `number` → nothing, in batches.
async fn fill(engines: &Engines, numbers: std::ops::Range<u64>, version: u64, is_live: bool) {
    for some in numbers.collect::<Vec<_>>().chunks(10_000) {
        let mut batch = Batch::default();
        for number in some {
            let key = RowKey::new(TABLE, "p", number.to_be_bytes().to_vec());
            if is_live {
                batch.put_versioned(key, "", version);
            } else {
                batch.delete_versioned(key, version);
            }
        }
        engines.tables.write(batch).await.unwrap();
    }
}

async fn first(engines: &Engines, order: Order, limit: usize) -> Vec<u64> {
    let rows = engines.tables.scan(TABLE, b"p", KeyRange::ALL, order, limit).await.unwrap();
    rows.iter().map(|row| u64::from_be_bytes(row.clustering[..].try_into().unwrap())).collect()
}

/// Dead rows that were passed since the last call.
fn passed(engines: &Engines, before: &mut u64) -> u64 {
    let now = engines.scans.dead_rows_passed.load(std::sync::atomic::Ordering::Relaxed);
    now - std::mem::replace(before, now)
}

#[tokio::test]
async fn a_read_pays_only_for_what_died_since_the_last_one() {
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    fill(&engines, 0..20_010, 1, true).await;
    fill(&engines, 5..20_005, 2, false).await;
    let mut before = 0;
    let newest: Vec<u64> = [20_009, 20_008, 20_007, 20_006, 20_005, 4, 3].into();
    for (order, expected) in [
        (Order::Descending, newest.clone()),
        (Order::Ascending, (0..7).map(|n| if n < 5 { n } else { n + 20_000 }).collect()),
    ] {
        assert_eq!(first(&engines, order, 7).await, expected);
        passed(&engines, &mut before);
        assert_eq!(first(&engines, order, 7).await, expected);
        let again = passed(&engines, &mut before);
        assert!(again <= 2, "the second read stepped over {again} dead rows");
    }
    assert_eq!(engines.scans.long.load(std::sync::atomic::Ordering::Relaxed), 1, "only the first was long");

    // More die at both ends of what is known to be dead; the next read pays for these alone.
    fill(&engines, 20_005..20_010, 3, false).await;
    fill(&engines, 20_010..20_300, 3, true).await;
    fill(&engines, 20_010..20_290, 4, false).await;
    assert_eq!(first(&engines, Order::Descending, 11).await[9..], [20_290, 4]);
    let once = passed(&engines, &mut before);
    assert!((1..=310).contains(&once), "stepped over {once} dead rows");
    assert_eq!(first(&engines, Order::Descending, 11).await[9..], [20_290, 4]);
    let again = passed(&engines, &mut before);
    assert!(again <= 2, "stepped over {again} dead rows");

    // What comes to life in the middle is seen at once, and costs nothing.
    fill(&engines, 10_000..10_001, 5, true).await;
    assert_eq!(first(&engines, Order::Descending, 11).await[9..], [20_290, 10_000]);
    assert_eq!(first(&engines, Order::Ascending, 6).await, [0, 1, 2, 3, 4, 10_000]);
    let cut = passed(&engines, &mut before);
    assert!(cut <= 40, "stepped over {cut} dead rows");
}

/// Threads read and write at once: a read never misses a row that lived through it all, or one that its writer wrote
/// and was acknowledged for.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn gaps_hide_nothing_from_readers_beside_writers() {
    const ROWS: u64 = 600;
    let folder = tempfile::tempdir().unwrap();
    let engines = open(&folder);
    fill(&engines, 0..ROWS, 1, true).await;
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let mut readers = Vec::new();
    for order in [Order::Ascending, Order::Descending, Order::Ascending] {
        let (engines, stop) = (engines.clone(), stop.clone());
        readers.push(tokio::spawn(async move {
            let mut reads = 0;
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let found = first(&engines, order, usize::MAX).await;
                let pillars = found.iter().filter(|number| *number % 100 == 0).count() as u64;
                assert_eq!(pillars, ROWS / 100, "a row that nobody touches is missing: {found:?}");
                reads += 1;
                tokio::task::yield_now().await;
            }
            reads
        }));
    }
    // Each writer has rows of its own between the pillars, kills long runs of them and brings single ones back.
    let mut writers = Vec::new();
    for writer in 0..3_u64 {
        let engines = engines.clone();
        writers.push(tokio::spawn(async move {
            let mut version = 10;
            for round in 0..60_u64 {
                let start = (writer * 2 + round % 2) * 100;
                fill(&engines, start + 1..start + 100, version, false).await;
                first(&engines, Order::Ascending, usize::MAX).await;
                let back = start + 1 + (round * 37) % 99;
                fill(&engines, back..back + 1, version + 1, true).await;
                for order in [Order::Ascending, Order::Descending] {
                    let found = first(&engines, order, usize::MAX).await;
                    let mine: Vec<_> =
                        found.iter().filter(|number| (start + 1..start + 100).contains(number)).collect();
                    assert_eq!(mine, [&back], "round {round} of writer {writer}, {order:?}");
                }
                version += 2;
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
}

/// The first writes of an owner were refused, and no server came up over a full disk.
#[tokio::test]
async fn on_a_full_disk_an_owner_claims_writes_again_what_is_in_the_log_and_keeps_its_own_rows() {
    const OWN: Table = Table { id: 2, name: "own" };
    let folder = tempfile::tempdir().unwrap();
    let rows = |table| {
        let mut rows = Batch::default();
        rows.put(RowKey::single(table, "k"), "v");
        rows
    };
    let settings = Settings {
        free_bytes_min: u64::MAX,
        families: vec![NewFamily { own_table: Some(OWN), ..NewFamily::of_all(None) }],
        ..Settings::default()
    };
    let engines = embedded::open(folder.path(), &settings).unwrap();
    let turn = claim(&engines).await;
    engines.journal.commit(P, turn, &[], &rows(TABLE)).await.unwrap();
    engines.tables.write(rows(OWN)).await.unwrap();
    let refused = engines.tables.write(rows(TABLE)).await;
    assert!(matches!(refused, Err(EngineError::Full(_))), "{refused:?}");
    let refused = engines.journal.commit(P, turn, &records(1..=1), &rows(OWN)).await;
    assert!(matches!(refused, Err(EngineError::Full(_))), "{refused:?}");
}
