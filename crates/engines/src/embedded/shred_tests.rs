//! Shredded rows: what is deleted is nowhere in the folder, also after a kill, and what is there reads as it was
//! written.

use super::super::{Settings, open};
use super::*;
use crate::Engines;
use crate::ports::{KeyRange, Order, Unique};

const SECRETS: Table = Table { id: 7, name: "secrets" };
const OTHER: Table = Table { id: 8, name: "other" };
const SECRET: &[u8] = b"a secret that nobody is to find";

fn opened(folder: &Path, shredded: &'static [Table]) -> Engines {
    open(folder, &Settings { shredded, ..Settings::default() }).unwrap()
}

fn key(clustering: &[u8]) -> RowKey {
    RowKey::new(SECRETS, "all", clustering.to_vec())
}

/// Whether a file below `folder` holds these bytes.
fn holds(folder: &Path, bytes: &[u8]) -> bool {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).any(|path| match path.is_dir() {
        true => holds(&path, bytes),
        false => fs::read(&path).unwrap().windows(bytes.len()).any(|window| window == bytes),
    })
}

fn pads(folder: &Path) -> usize {
    fs::read_dir(folder.join(FOLDER)).map_or(0, Iterator::count)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_released_is_nowhere_and_what_is_there_reads_as_it_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let engines = opened(folder.path(), &[SECRETS]);
    let tables = &engines.tables;
    assert_eq!(tables.insert_unique(key(b"one"), SECRET.into(), 1).await.unwrap(), Unique::Mine);
    assert_eq!(tables.insert_unique(key(b"one"), SECRET.into(), 1).await.unwrap(), Unique::Mine, "a retry");
    let taken = tables.insert_unique(key(b"one"), "another".into(), 2).await.unwrap();
    assert_eq!(taken, Unique::Taken(SECRET.into()));
    tables.insert_unique(key(b"two"), "kept".into(), 3).await.unwrap();
    tables.insert_unique(RowKey::new(OTHER, "all", "x"), "plain".into(), 4).await.unwrap();
    assert_eq!(tables.get(&key(b"one")).await.unwrap().as_deref(), Some(SECRET));
    let pad = fs::read(Pads::new(folder.path(), &[SECRETS]).path(&key(b"one"))).unwrap();
    drop(engines);
    let engines = opened(folder.path(), &[SECRETS]);
    let tables = &engines.tables;
    let rows = tables.scan(SECRETS, b"all", KeyRange::ALL, Order::Ascending, 9).await.unwrap();
    let values: Vec<&[u8]> = rows.iter().map(|row| &row.value[..]).collect();
    assert_eq!(values, [SECRET, b"kept"]);
    tables.release_unique(&key(b"one"), 9).await.unwrap();
    assert_eq!(tables.get(&key(b"one")).await.unwrap().as_deref(), Some(SECRET), "not by another's token");
    tables.release_unique(&key(b"one"), 1).await.unwrap();
    let found = tables.get_many(&[key(b"one"), key(b"two"), RowKey::new(OTHER, "all", "x")]).await.unwrap();
    assert_eq!(found, [None, Some("kept".into()), Some("plain".into())]);
    assert!(!holds(folder.path(), SECRET) && !holds(folder.path(), &pad), "while the store has its log");
    assert!(holds(folder.path(), b"plain"), "the search finds what is there");
    assert_eq!(pads(folder.path()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pad_without_its_row_goes_with_the_next_start() {
    let folder = tempfile::tempdir().unwrap();
    let engines = opened(folder.path(), &[SECRETS]);
    engines.tables.insert_unique(key(b"one"), SECRET.into(), 1).await.unwrap();
    drop(engines);
    // Killed between the row and its pad, and while another pad was being made.
    let engines = opened(folder.path(), &[]);
    engines.tables.release_unique(&key(b"one"), 1).await.unwrap();
    drop(engines);
    fs::write(folder.path().join(FOLDER).join("7-61-62.new"), SECRET).unwrap();
    assert_eq!(pads(folder.path()), 2);
    drop(opened(folder.path(), &[SECRETS]));
    assert_eq!(pads(folder.path()), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_of_before_there_were_pads_are_read_and_go() {
    let folder = tempfile::tempdir().unwrap();
    let engines = opened(folder.path(), &[]);
    engines.tables.insert_unique(key(b"one"), SECRET.into(), 1).await.unwrap();
    drop(engines);
    let engines = opened(folder.path(), &[SECRETS]);
    let tables = &engines.tables;
    assert_eq!(tables.insert_unique(key(b"one"), "new".into(), 2).await.unwrap(), Unique::Taken(SECRET.into()));
    tables.release_unique(&key(b"one"), 1).await.unwrap();
    assert_eq!((tables.get(&key(b"one")).await.unwrap(), pads(folder.path())), (None, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_writes_to_such_tables() {
    let folder = tempfile::tempdir().unwrap();
    let engines = opened(folder.path(), &[SECRETS]);
    let mut batch = Batch::default();
    batch.put(key(b"one"), "v");
    assert!(matches!(engines.tables.write(batch).await, Err(EngineError::Limit(_))));
    let replaced = engines.tables.replace_unique(key(b"one"), "v".into(), 0, 1).await;
    assert!(matches!(replaced, Err(EngineError::Limit(_))));
}
