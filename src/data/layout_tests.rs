//! Rows that are brought under the keys of a layout.

use fanfare_engines::random::Random;
use fanfare_engines::{EngineError, memory};

use super::*;
use crate::base::id::{BELOW_MS_BITS, following};
use crate::data::rows::number_in;
use crate::data::tables::{bucket_of, bucket_row, expiring, expiry_row, handle_row, public_row, timeline_row};

/// Rows as products make them, about `post` and in a record of this id.
fn rows(record: Id, post: Id) -> Batch {
    let mut batch = Batch::default();
    batch.put_versioned(timeline_row(post), "kind", record.0);
    batch.put(bucket_row(bucket_of(record)), Bytes::new());
    batch.put_versioned(public_row(post), Bytes::new(), record.0);
    batch.put(expiry_row(7, &handle_row("ann")), Bytes::new());
    batch.put(handle_row("ann"), "1");
    batch
}

#[tokio::test]
async fn a_layout_begins_once_and_stays() {
    let engines = memory::open(1).unwrap();
    let (layout, other) = (Layout::default(), Layout::default());
    assert!(!layout.read(&*engines.tables).await.unwrap());
    assert_eq!(layout.first(), NEVER);
    layout.begin(&*engines.tables, Id(41)).await.unwrap();
    other.begin(&*engines.tables, Id(99)).await.unwrap();
    layout.begin(&*engines.tables, Id(99)).await.unwrap();
    let read = Layout::default();
    assert!(read.read(&*engines.tables).await.unwrap());
    assert_eq!([layout.first(), other.first(), read.first()], [Id(42); 3]);
}

#[tokio::test]
async fn a_damaged_row_is_named() {
    let engines = memory::open(1).unwrap();
    let mut batch = Batch::default();
    batch.put(row(), "x");
    engines.tables.write(batch).await.unwrap();
    let read = Layout::default().read(&*engines.tables).await;
    assert!(matches!(read, Err(EngineError::Corrupt(cause)) if cause.contains("layout")));
}

#[test]
fn what_is_below_the_first_id_stays_and_nothing_is_of_both() {
    let mut random = Random::new(1);
    for _ in 0..500 {
        let layout = Layout::default();
        let first = 1 + random.below(1 << 62);
        layout.0.store(first, Ordering::Release);
        let near =
            |random: &mut Random| Id((first + random.below(1 << 50)).saturating_sub(random.below(1 << 50)).max(1));
        let (one, another) = (near(&mut random), near(&mut random));
        let (post, record) = (one.min(another), one.max(another));
        let (before, mut after) = (rows(record, post), rows(record, post));
        layout.place(record, &mut after, 0);
        assert_eq!(before.rows.len(), after.rows.len());
        for (before, after) in before.rows.iter().zip(&after.rows) {
            let about = if before.key.table == tables::BUCKETS { record } else { post };
            let moves = match before.key.table {
                tables::EXPIRY => record.0 >= first,
                tables::HANDLES => false,
                _ => about.0 >= first,
            };
            assert_eq!(before.key != after.key, moves, "{:?} {record} {post} {first}", before.key);
            assert_eq!(
                (before.key.table, &before.value, before.version),
                (after.key.table, &after.value, after.version)
            );
            if moves {
                assert_ne!(before.key.partition.len(), after.key.partition.len(), "no key is of both");
            }
        }
        let again = &mut after.clone();
        layout.place(record, again, 0);
        assert_eq!((again.rows.len(), &again.rows), (after.rows.len(), &after.rows), "placed once");
    }
}

#[test]
fn that_a_span_holds_posts_is_said_once_by_posts_that_come_together() {
    let (layout, mut batch) = (Layout::default(), Batch::default());
    layout.0.store(1, Ordering::Release);
    let mut id = Id(1 << 50);
    for _ in 0..5 {
        id = following(id, 0, 3);
        let from = batch.rows.len();
        batch.rows.extend(rows(id, id).rows);
        layout.place(id, &mut batch, from);
    }
    let said = batch.rows.iter().filter(|row| row.key.table == tables::BUCKETS);
    // Once every few posts: nobody looks far.
    assert_eq!(said.map(|row| row.key.clone()).collect::<Vec<_>>(), vec![span_row(3, span_of(id)); 2]);
    let of = |table| batch.rows.iter().filter(move |row| row.key.table == table);
    assert!(of(tables::TIMELINE).all(|row| row.key.partition == span_partition(3, span_of(id))));
    assert_eq!(of(tables::PUBLIC).count(), 5);
}

#[test]
fn a_span_is_of_2_to_the_24_ms() {
    let at = |ms: u64| Id(ms << BELOW_MS_BITS);
    let end = 5 << 24;
    assert_eq!((span_of(at(end - 1)), span_of(at(end)), first_of_span(5)), (4, 5, at(end)));
}

#[test]
fn what_expires_is_found_in_one_of_the_partitions_of_its_hour() {
    let (layout, mut shards) = (Layout::default(), std::collections::BTreeSet::new());
    layout.0.store(1, Ordering::Release);
    for number in 0..1_000 {
        let key = handle_row(&format!("ann_{number}"));
        let mut batch = Batch::default();
        batch.put(expiry_row(500, &key), Bytes::new());
        batch.delete(expiry_row(500, &key));
        layout.place_written(&mut batch);
        let [put, delete] = &batch.rows[..] else { panic!("{batch:?}") };
        assert_eq!(expiring(&put.key.clustering), Some(key));
        assert_eq!(number_in(&put.key.partition), Some(500));
        assert_eq!(delete.key.partition.len(), 4, "a delete names the row that was read");
        assert!(expiry_partitions(500).any(|partition| partition == put.key.partition));
        shards.insert(put.key.partition.clone());
    }
    assert_eq!((shards.len(), expiry_partitions(500).count()), (64, 65));
}
