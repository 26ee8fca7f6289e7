//! Deletes leave the store, and only those that may.

use super::super::{Embedded, Settings};
use super::*;
use crate::ports::{Batch, KeyRange, Order, RowKey, Tables};
use bytes::Bytes;

const FORGETFUL: Table = Table { id: 1, name: "forgetful" };
const OTHER: Table = Table { id: 2, name: "other" };

fn open(folder: &tempfile::TempDir) -> Embedded {
    Embedded::open(folder.path(), &Settings::default(), 1).unwrap()
}

/// Has the store rewrite everything that it has.
fn compact(engine: &Embedded) {
    engine.life(0).unwrap().store.rows.rotate_memtable_and_wait().unwrap();
    engine.life(0).unwrap().store.rows.major_compact().unwrap();
}

/// Cells that the store holds, dead ones too.
fn cells(engine: &Embedded) -> usize {
    engine.life(0).unwrap().store.rows.iter().count()
}

fn key(table: Table, number: u16) -> RowKey {
    RowKey::new(table, "p", number.to_be_bytes().to_vec())
}

async fn live(engine: &Embedded, table: Table) -> usize {
    engine.scan(table, b"p", KeyRange::ALL, Order::Ascending, usize::MAX).await.unwrap().len()
}

/// Rows of both tables at version 5, of which all but the first ten are deleted at version 10, and some without
/// versions.
async fn fill(engine: &Embedded) {
    let (mut rows, mut deletes) = (Batch::default(), Batch::default());
    for number in 0..100 {
        for table in [FORGETFUL, OTHER] {
            rows.put_versioned(key(table, number), "v", 5);
            if number >= 10 {
                deletes.delete_versioned(key(table, number), 10);
            }
        }
        rows.put(RowKey::new(OTHER, "plain", number.to_be_bytes().to_vec()), "v");
        deletes.delete(RowKey::new(OTHER, "plain", number.to_be_bytes().to_vec()));
    }
    engine.write(rows).await.unwrap();
    compact(engine);
    engine.write(deletes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_leaves_the_store_and_nothing_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder);
    fill(&engine).await;
    compact(&engine);
    assert_eq!(cells(&engine), 200, "versioned deletes stay for as long as a write may come; others go");
    engine.forget(&[FORGETFUL], 9).await.unwrap();
    compact(&engine);
    assert_eq!(cells(&engine), 200, "these deletes are newer than what is forgotten");
    engine.forget(&[FORGETFUL], 10).await.unwrap();
    engine.forget(&[FORGETFUL], 3).await.unwrap();
    compact(&engine);
    assert_eq!(cells(&engine), 110, "the other table keeps its own");
    assert_eq!((live(&engine, FORGETFUL).await, live(&engine, OTHER).await), (10, 10));

    // An older write to a table that forgets nothing is still undone, and a newer one is taken anywhere.
    let mut late = Batch::default();
    late.put_versioned(key(OTHER, 50), "late", 6);
    late.put_versioned(key(FORGETFUL, 50), "new", 11);
    engine.write(late).await.unwrap();
    compact(&engine);
    assert_eq!(engine.get(&key(OTHER, 50)).await.unwrap(), None);
    assert_eq!(engine.get(&key(FORGETFUL, 50)).await.unwrap(), Some(Bytes::from_static(b"new")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_view_that_is_open_keeps_what_it_saw_while_deletes_leave() {
    let folder = tempfile::tempdir().unwrap();
    let engine = open(&folder);
    let mut rows = Batch::default();
    for number in 0..100 {
        rows.put_versioned(key(FORGETFUL, number), "v", 5);
    }
    engine.write(rows).await.unwrap();
    let view = engine.life(0).unwrap().store.db.snapshot();
    let mut deletes = Batch::default();
    for number in 0..100 {
        deletes.delete_versioned(key(FORGETFUL, number), 10);
    }
    engine.write(deletes).await.unwrap();
    engine.forget(&[FORGETFUL], 10).await.unwrap();
    compact(&engine);
    let seen = fjall::Readable::iter(&view, &engine.life(0).unwrap().store.rows);
    let seen = seen.filter_map(|row| row.into_inner().ok()).filter(|(_, cell)| layout::is_live(cell)).count();
    assert_eq!(seen, 100);
    drop(view);
    assert_eq!(live(&engine, FORGETFUL).await, 0);
}
