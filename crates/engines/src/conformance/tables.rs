//! Single rows and batches.

use bytes::Bytes;

use super::{OTHER_TABLE, TABLE, get, refused, sure, text, write};
use crate::Engines;
use crate::limits::{CLUSTERING_KEY_BYTES_MAX, PARTITION_KEY_BYTES_MAX, VALUE_BYTES_MAX};
use crate::ports::{Batch, KeyRange, Order, RowKey, RowWrite, Table};

pub(super) async fn reads_what_was_written(engines: Engines) {
    let longest = RowKey::new(TABLE, vec![255; PARTITION_KEY_BYTES_MAX], vec![255; CLUSTERING_KEY_BYTES_MAX]);
    let rows = [
        (RowKey::single(TABLE, "one"), text("1")),
        (RowKey::new(TABLE, "one", "clustered"), text("2")),
        (RowKey::new(TABLE, vec![0], vec![0]), Bytes::new()),
        (longest, Bytes::from(vec![7; VALUE_BYTES_MAX])),
    ];
    let mut batch = Batch::default();
    for (key, value) in &rows {
        batch.put(key.clone(), value.clone());
    }
    write(&engines, batch.clone()).await;
    write(&engines, batch).await; // a repeat changes nothing
    let mut keys: Vec<RowKey> = rows.iter().map(|(key, _)| key.clone()).collect();
    keys.push(RowKey::single(TABLE, "absent"));
    let mut expected: Vec<_> = rows.iter().map(|(_, value)| Some(value.clone())).collect();
    expected.push(None);
    for (key, value) in keys.iter().zip(&expected) {
        assert!(get(&engines, key).await == *value, "{key:?}");
    }
    assert!(sure(|| engines.tables.get_many(&keys)).await == expected, "get_many differs from get");
    assert_eq!(sure(|| engines.tables.get_many(&[])).await, Vec::new());
    write(&engines, Batch::default()).await;
}

/// A put that was answered with an error may arrive after the delete, so keys are tried until one is acknowledged at
/// once.
pub(super) async fn unversioned_rows_can_be_deleted(engines: Engines) {
    for attempt in 0_u32.. {
        let key = RowKey::single(TABLE, attempt.to_be_bytes().to_vec());
        let mut put = Batch::default();
        put.put(key.clone(), "value");
        if engines.tables.write(put).await.is_err() {
            continue;
        }
        let mut delete = Batch::default();
        delete.delete(key.clone());
        write(&engines, delete).await;
        assert_eq!(get(&engines, &key).await, None);
        return;
    }
}

pub(super) async fn the_highest_version_wins_in_every_order(engines: Engines) {
    let history = [(1, Some("old")), (2, None), (3, Some("new")), (u64::MAX, None)];
    for (case, order) in permutations(history.len()).into_iter().enumerate() {
        for highest in 1..=history.len() {
            let key = RowKey::new(TABLE, "versions", text(format!("{case} {highest}")));
            for &write_at in order.iter().filter(|&&index| index < highest) {
                let (version, value) = history[write_at];
                let mut batch = Batch::default();
                batch.rows.push(RowWrite { key: key.clone(), value: value.map(text), version });
                write(&engines, batch).await;
            }
            let expected = history[highest - 1].1.map(text);
            assert_eq!(get(&engines, &key).await, expected, "order {order:?}, {highest} writes");
        }
    }
}

const FORGOTTEN: u64 = 10;

fn numbered(table: Table, number: u8) -> RowKey {
    RowKey::new(table, "forgotten", vec![number])
}

async fn put(engines: &Engines, key: &RowKey, value: &str, version: u64) {
    let mut batch = Batch::default();
    batch.put_versioned(key.clone(), text(value), version);
    write(engines, batch).await;
}

async fn delete(engines: &Engines, keys: impl Iterator<Item = RowKey>, version: u64) {
    let mut batch = Batch::default();
    keys.for_each(|key| batch.delete_versioned(key, version));
    write(engines, batch).await;
}

/// Forgotten deletes: writes from before, in whatever order they arrive, bring nothing back; later ones count.
pub(super) async fn forgotten_deletes_stay_deleted(engines: Engines) {
    for number in 0..20 {
        put(&engines, &numbered(TABLE, number), "old", 5).await;
    }
    delete(&engines, (10..20).map(|number| numbered(TABLE, number)), FORGOTTEN).await;
    for upto in [FORGOTTEN, 3, FORGOTTEN] {
        sure(|| engines.tables.forget(&[TABLE], upto)).await;
        // Time passes, and what was to arrive late arrives.
        for _ in 0..100 {
            let all = KeyRange::ALL;
            let rows = sure(|| engines.tables.scan(TABLE, b"forgotten", all.clone(), Order::Ascending, 30)).await;
            assert!(rows.iter().map(|row| row.clustering[0]).eq(0..10), "after forgetting up to {upto}: {rows:?}");
        }
    }
    put(&engines, &numbered(TABLE, 15), "new", FORGOTTEN + 1).await;
    assert_eq!(get(&engines, &numbered(TABLE, 15)).await, Some(text("new")));
    delete(&engines, std::iter::once(numbered(TABLE, 15)), FORGOTTEN + 2).await;
    assert_eq!(get(&engines, &numbered(TABLE, 15)).await, None);
}

/// Deletes above the version, and those of other tables.
pub(super) async fn what_is_not_forgotten_stands_against_older_writes(engines: Engines) {
    let newer = numbered(TABLE, 1);
    let other = numbered(OTHER_TABLE, 1);
    delete(&engines, std::iter::once(newer.clone()), FORGOTTEN + 5).await;
    delete(&engines, std::iter::once(other.clone()), FORGOTTEN).await;
    sure(|| engines.tables.forget(&[TABLE], FORGOTTEN)).await;
    put(&engines, &newer, "older", FORGOTTEN + 4).await;
    put(&engines, &other, "older", FORGOTTEN - 1).await;
    assert_eq!((get(&engines, &newer).await, get(&engines, &other).await), (None, None));
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let insert_everywhere = |shorter: Vec<usize>| {
        (0..count).map(move |place| {
            let mut longer = shorter.clone();
            longer.insert(place, count - 1);
            longer
        })
    };
    permutations(count - 1).into_iter().flat_map(insert_everywhere).collect()
}

pub(super) async fn later_entries_of_a_batch_win(engines: Engines) {
    let key = |name: &'static str| RowKey::new(TABLE, "batch", name);
    let mut batch = Batch::default();
    batch.put(key("plain"), "first");
    batch.put(key("plain"), "second");
    batch.put(key("gone"), "value");
    batch.delete(key("gone"));
    batch.put_versioned(key("versioned"), "high", 2);
    batch.put_versioned(key("versioned"), "low", 1);
    batch.put_versioned(key("deleted"), "value", 1);
    batch.delete_versioned(key("deleted"), 2);
    write(&engines, batch).await;
    assert_eq!(get(&engines, &key("plain")).await, Some(text("second")));
    assert_eq!(get(&engines, &key("gone")).await, None);
    assert_eq!(get(&engines, &key("versioned")).await, Some(text("high")), "versions go before the order in a batch");
    assert_eq!(get(&engines, &key("deleted")).await, None);
}

/// Partitions that begin like others, and bytes that could be mistaken for a boundary.
pub(super) async fn tables_and_partitions_are_apart(engines: Engines) {
    let places: [(_, &[u8], &[u8]); 8] = [
        (TABLE, b"a", b"bc"),
        (TABLE, b"ab", b"c"),
        (TABLE, b"abc", b""),
        (TABLE, b"a\0", b"bc"),
        (TABLE, b"a", b"\0bc"),
        (TABLE, b"\x01a", b"bc"),
        (TABLE, b"\xff", b"\xff"),
        (OTHER_TABLE, b"a", b"bc"),
    ];
    let mut batch = Batch::default();
    for (index, (table, partition, clustering)) in places.iter().enumerate() {
        batch.put(RowKey::new(*table, partition.to_vec(), clustering.to_vec()), index.to_string());
    }
    write(&engines, batch).await;
    for (index, (table, partition, clustering)) in places.iter().enumerate() {
        let key = RowKey::new(*table, partition.to_vec(), clustering.to_vec());
        assert_eq!(get(&engines, &key).await, Some(text(index.to_string())));
        let found = sure(|| engines.tables.scan(*table, partition, KeyRange::ALL, Order::Ascending, 10)).await;
        let here = places.iter().filter(|place| place.0 == *table && place.1 == *partition).count();
        assert_eq!(found.len(), here, "rows in {partition:?}");
    }
}

/// While one task rewrites two rows of a partition together, scans see them equal.
pub(super) async fn a_partition_is_written_as_a_whole(engines: Engines) {
    const ROUNDS: u64 = 300;
    let writer = engines.clone();
    let writing = tokio::spawn(async move {
        for round in 1..=ROUNDS {
            let mut batch = Batch::default();
            for row in ["a", "b"] {
                batch.put_versioned(RowKey::new(TABLE, "pair", row), round.to_be_bytes().to_vec(), round);
                batch.put_versioned(RowKey::new(TABLE, text(format!("other {row}")), ""), "", round);
            }
            write(&writer, batch).await;
        }
    });
    loop {
        let last = writing.is_finished();
        let rows = sure(|| engines.tables.scan(TABLE, b"pair", KeyRange::ALL, Order::Ascending, 10)).await;
        assert!(rows.is_empty() || rows.len() == 2 && rows[0].value == rows[1].value, "a torn partition: {rows:?}");
        if last {
            assert_eq!(rows[0].value, ROUNDS.to_be_bytes().as_slice());
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn limits_are_refused(engines: Engines) {
    let put = |key: RowKey, value: Vec<u8>| {
        let mut batch = Batch::default();
        batch.put(key, value);
        batch
    };
    let long_partition = RowKey::single(TABLE, vec![0; PARTITION_KEY_BYTES_MAX + 1]);
    let long_clustering = RowKey::new(TABLE, "p", vec![0; CLUSTERING_KEY_BYTES_MAX + 1]);
    let empty_partition = RowKey::single(TABLE, "");
    for bad in [&long_partition, &long_clustering, &empty_partition] {
        let batch = put(bad.clone(), Vec::new());
        refused("writing a bad key", || engines.tables.write(batch.clone())).await;
        refused("getting a bad key", || engines.tables.get(bad)).await;
        refused("getting a bad key among others", || engines.tables.get_many(std::slice::from_ref(bad))).await;
        refused("a bad unique key", || engines.tables.insert_unique(bad.clone(), Bytes::new(), 1)).await;
        refused("releasing a bad key", || engines.tables.release_unique(bad, 1)).await;
    }
    let scan = || engines.tables.scan(TABLE, b"", KeyRange::ALL, Order::Ascending, 1);
    refused("scanning a bad partition", scan).await;
    let large = put(RowKey::single(TABLE, "p"), vec![0; VALUE_BYTES_MAX + 1]);
    refused("a large value", || engines.tables.write(large.clone())).await;
    let repeated = |count: usize| {
        let row = RowWrite { key: RowKey::single(TABLE, "many"), value: Some(Bytes::new()), version: 0 };
        Batch { rows: vec![row; count] }
    };
    let many = repeated(Batch::ROWS_MAX + 1);
    refused("a large batch", || engines.tables.write(many.clone())).await;
    assert_eq!(get(&engines, &RowKey::single(TABLE, "many")).await, None, "a refused batch was written");
    write(&engines, repeated(Batch::ROWS_MAX)).await;
}
