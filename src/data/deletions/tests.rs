//! A kept folder of the version before, moved under kills.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use fanfare_engines::{EngineError, Engines, Replaced, RowKey, Table, Tables, Unique, embedded};

use super::old::bring_over;
use super::*;
use crate::base::clock::Clock;

/// A folder of the version before, as `tests/fixtures/make-deletions` made it.
fn old_folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/deletions.tar.gz");
    let unpacked = Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    folder
}

struct Story {
    bob: Id,
    carl: Id,
    gone: Id,
    at_ms: u64,
}

fn story(folder: &Path) -> Story {
    let text = std::fs::read_to_string(folder.join("deletions/story.json")).unwrap();
    let story: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = |name: &str| story[name].as_str().unwrap().parse().unwrap();
    Story { bob: id("bob"), carl: id("carl"), gone: id("gone"), at_ms: story["at_ms"].as_u64().unwrap() }
}

/// Tables whose writes fail from some moment on, as if the process were killed then.
struct Killed {
    tables: Arc<dyn Tables>,
    writes_left: AtomicUsize,
}

#[async_trait]
impl Tables for Killed {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        let lives = |left: usize| left.checked_sub(1);
        if self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, lives).is_err() {
            return Err(EngineError::Closed("killed".to_owned()));
        }
        self.tables.write(batch).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        self.tables.get(key).await
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.tables.get_many(keys).await
    }

    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<fanfare_engines::Row>, EngineError> {
        self.tables.scan(table, partition, range, order, limit).await
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        self.tables.insert_unique(key, value, token).await
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        self.tables.replace_unique(key, value, held, new).await
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        self.tables.release_unique(key, token).await
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.tables.forget(tables, upto).await
    }
}

/// Deletions that a follower of bob, and one of carl, is told of.
async fn told(store: &Store, story: &Story, newest: Id) -> (Vec<Id>, usize) {
    let of = async |author: Id| store.deletions_of(&[author], Id(0), newest, 5_000).await.unwrap().unwrap();
    let bobs = of(story.bob).await;
    assert!(bobs.iter().all(|one| one.author == story.bob));
    (bobs.iter().map(|one| one.post).collect(), of(story.carl).await.len())
}

#[tokio::test]
async fn old_rows_are_moved_in_steps_that_can_be_killed_anywhere_and_nothing_is_missed_meanwhile() {
    let folder = old_folder();
    let story = story(folder.path());
    let engines = embedded::open(&folder.path().join("deletions/store"), &embedded::Settings::default()).unwrap();
    let newest = first_id_at(story.at_ms + 60_000);
    let (mut kills, mut survived) = (0, false);
    while !survived {
        // One more write than the time before, until all is done: killed before and after every one of them.
        let tables = Arc::new(Killed { tables: Arc::clone(&engines.tables), writes_left: AtomicUsize::new(kills % 4) });
        let store = Store::new(Engines { tables, ..engines.clone() }, Clock::by_hand(story.at_ms));
        store.load_deletions(newest).await.unwrap();
        assert_eq!(told(&store, &story, newest).await, (vec![story.gone], 700), "after {kills} kills");
        survived = bring_over(&store, newest).await.is_ok();
        assert_eq!(
            told(&store, &story, newest).await,
            (vec![story.gone], 700),
            "after {kills} kills, before a restart"
        );
        kills += 1;
        assert!(kills < 40, "it never ends");
    }
    assert!(kills > 3, "700 rows are two steps of two writes");
    let bucket = tables::timeline_partition(bucket_of(newest));
    let old = engines.tables.scan(tables::DELETIONS, &bucket, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
    assert!(old.is_empty(), "{old:?}");
    let store = Store::new(engines, Clock::by_hand(story.at_ms));
    store.load_deletions(newest).await.unwrap();
    assert!(!store.deletions.has_old.load(Ordering::Acquire), "it does not look again");
    assert_eq!(told(&store, &story, newest).await, (vec![story.gone], 700));
}

#[tokio::test]
async fn old_rows_that_no_cursor_asks_for_any_more_are_dropped() {
    let folder = old_folder();
    let story = story(folder.path());
    let engines = embedded::open(&folder.path().join("deletions/store"), &embedded::Settings::default()).unwrap();
    let newest = first_id_at(story.at_ms + (CURSOR_DAYS_MAX + 1) * 86_400_000);
    let store = Store::new(engines, Clock::by_hand(story.at_ms));
    store.load_deletions(newest).await.unwrap();
    bring_over(&store, newest).await.unwrap();
    assert_eq!(told(&store, &story, newest).await, (vec![], 0));
}
