//! Writes beside the log over engines that fail.

use std::collections::VecDeque;

use fanfare_engines::delegate::{ObjectsDelegate, TablesDelegate};
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::*;

fn unknown() -> EngineError {
    EngineError::Unknown("no space left".to_owned())
}

fn away() -> EngineError {
    EngineError::Unavailable("away".to_owned())
}

fn closed() -> EngineError {
    EngineError::Closed("an earlier commit failed".to_owned())
}

/// Objects whose next writes are answered so; afterwards they are done.
struct Failing {
    answers: Mutex<VecDeque<EngineError>>,
    kept: Arc<dyn Objects>,
}

#[async_trait]
impl ObjectsDelegate for Failing {
    fn behind(&self) -> &dyn Objects {
        &*self.kept
    }

    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        let answer = self.answers.lock().pop_front();
        match answer {
            Some(error) => Err(error),
            None => self.kept.put(key, data).await,
        }
    }

    async fn delete(&self, _: &str) -> Result<(), EngineError> {
        Err(unknown())
    }
}

/// Engines whose objects answer so first.
fn failing(answers: impl IntoIterator<Item = EngineError>) -> (Engines, Storage) {
    let storage = Storage::default();
    let engines = fanfare_engines::memory::open(1).unwrap();
    let answers = Mutex::new(answers.into_iter().collect());
    let failing = Failing { answers, kept: engines.objects.clone() };
    (watched(Engines { objects: Arc::new(failing), ..engines }, &storage), storage)
}

/// Answer to an upload whose tries are answered so, and whether storage serves afterwards.
async fn told(answers: Vec<EngineError>) -> (Result<(), EngineError>, bool) {
    let (engines, storage) = failing(answers);
    let told = engines.objects.put("key", Bytes::from_static(b"x")).await;
    (told, storage.serves())
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_until_it_is_known_to_be_done() {
    assert!(matches!(told(vec![unknown(), away()]).await, (Ok(()), true)));
    assert!(matches!(told(vec![unknown(), unknown(), away(), unknown()]).await, (Err(EngineError::Unknown(_)), false)));
    assert!(matches!(told(vec![away(), away(), away(), away()]).await, (Err(EngineError::Unavailable(_)), false)));
    let limit = EngineError::Limit("too large".to_owned());
    assert!(matches!(told(vec![limit]).await, (Err(EngineError::Limit(_)), true)));
}

#[tokio::test(start_paused = true)]
async fn what_may_have_happened_before_storage_ended_stays_unknown() {
    assert!(matches!(told(vec![unknown(), closed()]).await, (Err(EngineError::Unknown(_)), false)));
    assert!(matches!(told(vec![closed()]).await, (Err(EngineError::Closed(_)), false)));
    let full = EngineError::Full("1 MiB".to_owned());
    assert!(matches!(told(vec![unknown(), full.clone()]).await, (Err(EngineError::Unknown(_)), true)));
    assert!(matches!(told(vec![full]).await, (Err(EngineError::Full(_)), true)));
}

/// Uploads that failed ended storage until a restart; now it is asked until it works, and then it is back.
#[tokio::test(start_paused = true)]
async fn what_is_away_is_refused_at_once_and_comes_back_by_itself() {
    let (engines, storage) = failing(std::iter::repeat_with(away).take(WRITE_TRIES as usize + 3));
    let put = async || engines.objects.put("key", Bytes::from_static(b"x")).await;
    assert!(matches!(put().await, Err(EngineError::Unavailable(_))));
    assert!(!storage.serves());
    let begun = tokio::time::Instant::now();
    assert!(matches!(put().await, Err(EngineError::Unavailable(_))));
    assert_eq!(begun.elapsed(), Duration::ZERO, "nothing is tried");
    let mut row = Batch::default();
    row.put(RowKey::single(tables::META, "x"), "v");
    engines.tables.write(row).await.unwrap();
    // The clock runs by itself: nobody writes, and it is back.
    while !storage.serves() {
        tokio::time::sleep(Duration::from_millis(ASK_MS)).await; // poll
        assert!(begun.elapsed() < Duration::from_secs(60));
    }
    put().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_removed_is_its_own_trouble() {
    let (engines, storage) = failing([]);
    assert!(engines.objects.delete("key").await.is_err());
    assert!(storage.serves());
}

/// Engines of which reads of one row, or all that is asked for, hang until they are let go on.
struct Hanging {
    engines: Engines,
    reads: Semaphore,
    others: Semaphore,
}

const SLOW: Bytes = Bytes::from_static(b"slow");

#[async_trait]
impl TablesDelegate for Hanging {
    fn behind(&self) -> &dyn Tables {
        &*self.engines.tables
    }

    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        drop(self.others.acquire().await);
        self.engines.tables.write(batch).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        let held = if key.clustering == SLOW { &self.reads } else { &self.others };
        drop(held.acquire().await);
        self.engines.tables.get(key).await
    }
}

#[async_trait]
impl ObjectsDelegate for Hanging {
    fn behind(&self) -> &dyn Objects {
        &*self.engines.objects
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        let held = if key == "key" { &self.reads } else { &self.others };
        drop(held.acquire().await);
        self.engines.objects.delete(key).await
    }

    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        drop(self.others.acquire().await);
        self.engines.objects.put(key, data).await
    }
}

/// Reads and deletes that hung were noticed by nobody, and each held whoever asked.
#[tokio::test(start_paused = true)]
async fn a_read_or_a_delete_that_hangs_is_asked_after() {
    for (call, all_hangs) in [("a read", false), ("a read", true), ("a delete", false), ("a delete", true)] {
        let (storage, engines) = (Storage::default(), fanfare_engines::memory::open(1).unwrap());
        let others = Semaphore::new(usize::from(!all_hangs));
        let hanging = Arc::new(Hanging { engines: engines.clone(), reads: Semaphore::new(0), others });
        let engines = watched(Engines { tables: hanging.clone(), objects: hanging.clone(), ..engines }, &storage);
        let waits = tokio::spawn(async move {
            match call {
                "a read" => engines.tables.get(&RowKey::new(tables::META, tables::ONE, SLOW)).await.map(|_| ()),
                _ => engines.objects.delete("key").await,
            }
        });
        // The clock runs by itself. Away only when all hangs.
        let begun = tokio::time::Instant::now();
        while storage.serves() && begun.elapsed() < Duration::from_millis(5 * STORAGE_SILENT_MS) {
            tokio::time::sleep(Duration::from_millis(ASK_MS)).await; // poll
        }
        assert_eq!(storage.serves(), !all_hangs, "{call}");
        assert!(begun.elapsed() >= Duration::from_millis(STORAGE_SILENT_MS), "{call}: not at once");
        hanging.others.add_permits(1);
        while !storage.serves() {
            tokio::time::sleep(Duration::from_millis(ASK_MS)).await; // poll
            assert!(begun.elapsed() < Duration::from_secs(60), "{call}: others are answered");
        }
        assert!(!waits.is_finished());
        hanging.reads.add_permits(1);
        waits.await.unwrap().unwrap();
    }
}
