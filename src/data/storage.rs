//! Whether storage works, as everybody sees it: engines that repeat what may be repeated, and one latch for the end of
//! it.
//!
//! Whoever writes (a commit, a log-in, an upload) goes through [`watched`]. A write whose outcome is not known is
//! repeated a few times, since writes are idempotent. Once an engine says that it takes no more, the latch falls: it is
//! logged once, and readiness, status and the owner ask here.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{
    Appended, Batch, Claimant, EngineError, Engines, Journal, KeyRange, NewRecord, Object, ObjectMeta, Objects, Offset,
    Order, Page, Partition, Position, Replaced, Row, RowKey, Table, Tables, Term, Turn, Unique,
};

/// Tries of one write before its caller hears that the outcome is not known, or that nothing was done.
const WRITE_TRIES: u32 = 4;
/// Milliseconds before the first repetition; doubled each time.
const AGAIN_MS: u64 = 20;

/// The latch: once storage has failed, nothing can be kept until a restart. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Storage {
    failed: Arc<AtomicBool>,
}

impl Storage {
    /// Storage failed for good. Said once, whoever notices and however many do.
    pub fn fail(&self, cause: &dyn std::fmt::Display) {
        if !self.failed.swap(true, Ordering::AcqRel) {
            tracing::error!(%cause, "storage failed: every write is refused until a restart");
        }
    }

    /// Whether [`fail`](Self::fail) was called.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// Looks at what an engine answered.
    fn heard<T>(&self, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(EngineError::Closed(cause)) = &answer {
            self.fail(cause);
        }
        answer
    }

    /// Repeats a write while its outcome is not known, or nothing was done.
    async fn write<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        work: impl Fn() -> F,
    ) -> Result<T, EngineError> {
        let mut unknown: Option<EngineError> = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let error = match self.heard(work().await) {
                Err(error @ (EngineError::Unknown(_) | EngineError::Unavailable(_))) if tries < WRITE_TRIES => error,
                // An earlier try may have done it all the same.
                Err(EngineError::Unavailable(_) | EngineError::Closed(_)) if unknown.is_some() => {
                    return unknown.map_or_else(|| Err(EngineError::Unknown(String::new())), Err);
                }
                answer => return answer,
            };
            tracing::debug!(%error, tries, "a write is tried again");
            if matches!(error, EngineError::Unknown(_)) {
                unknown.get_or_insert(error);
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS << tries)).await;
        }
    }
}

/// `engines`, whose writes are repeated and whose end is seen by `storage`.
#[must_use]
pub fn watched(engines: Engines, storage: &Storage) -> Engines {
    let watched = Arc::new(Watched { inner: engines.clone(), storage: storage.clone() });
    Engines { tables: watched.clone(), journal: watched.clone(), objects: watched, ..engines }
}

struct Watched {
    inner: Engines,
    storage: Storage,
}

#[async_trait]
impl Tables for Watched {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.storage.write(|| self.inner.tables.write(batch.clone())).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        self.storage.heard(self.inner.tables.get(key).await)
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.storage.heard(self.inner.tables.get_many(keys).await)
    }

    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.storage.heard(self.inner.tables.scan(table, partition, range, order, limit).await)
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        let insert = || self.inner.tables.insert_unique(key.clone(), value.clone(), token);
        self.storage.write(insert).await
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.storage.heard(self.inner.tables.forget(tables, upto).await)
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        let replace = || self.inner.tables.replace_unique(key.clone(), value.clone(), held, new);
        self.storage.write(replace).await
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        self.storage.write(|| self.inner.tables.release_unique(key, token)).await
    }
}

/// Commits are repeated by the owner, which knows what the records are.
#[async_trait]
impl Journal for Watched {
    fn partitions(&self) -> u16 {
        self.inner.journal.partitions()
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<(Term, Position), EngineError> {
        self.storage.heard(self.inner.journal.claim(partition, claimant).await)
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: Vec<NewRecord>,
        rows: Batch,
    ) -> Result<Appended, EngineError> {
        self.storage.heard(self.inner.journal.commit(partition, turn, records, rows).await)
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        self.storage.heard(self.inner.journal.read(partition, from, limit).await)
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        self.storage.heard(self.inner.journal.bounds(partition).await)
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        self.storage.heard(self.inner.journal.checkpoint(consumer, partition, next).await)
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        self.storage.heard(self.inner.journal.checkpoint_of(consumer, partition).await)
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<u64, EngineError> {
        self.storage.heard(self.inner.journal.trim(partition, bytes_max, consumers).await)
    }
}

#[async_trait]
impl Objects for Watched {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        let answer = self.storage.write(|| self.inner.objects.put(key, data.clone())).await;
        // An object is not kept after all tries: the store of objects has no end of its own to tell of.
        if let Err(error @ (EngineError::Unknown(_) | EngineError::Unavailable(_))) = &answer {
            self.storage.fail(&format_args!("an object is not kept: {error}"));
        }
        answer
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        self.storage.heard(self.inner.objects.get(key, range).await)
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        self.storage.heard(self.inner.objects.head(key).await)
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        self.storage.write(|| self.inner.objects.delete(key)).await
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    fn unknown() -> EngineError {
        EngineError::Unknown("no space left".to_owned())
    }

    fn closed() -> EngineError {
        EngineError::Closed("an earlier commit failed".to_owned())
    }

    /// Answer to a write whose tries are answered so, and whether the latch fell.
    async fn told(mut answers: Vec<Result<(), EngineError>>) -> (Result<(), EngineError>, bool) {
        answers.reverse();
        let (storage, answers) = (Storage::default(), Mutex::new(answers));
        let told = storage.write(async || answers.lock().pop().unwrap_or_else(|| Err(unknown()))).await;
        (told, storage.has_failed())
    }

    #[tokio::test]
    async fn a_write_is_repeated_until_it_is_known_to_be_done() {
        let away = || Err(EngineError::Unavailable("away".to_owned()));
        assert!(matches!(told(vec![Err(unknown()), away(), Ok(())]).await, (Ok(()), false)));
        assert!(matches!(told(vec![]).await, (Err(EngineError::Unknown(_)), false)));
        assert!(matches!(told(vec![away(), away(), away(), away()]).await, (Err(EngineError::Unavailable(_)), false)));
        let limit = || Err(EngineError::Limit("too large".to_owned()));
        assert!(matches!(told(vec![limit(), Ok(())]).await, (Err(EngineError::Limit(_)), false)));
    }

    #[tokio::test]
    async fn what_may_have_happened_before_storage_ended_stays_unknown() {
        assert!(matches!(told(vec![Err(unknown()), Err(closed())]).await, (Err(EngineError::Unknown(_)), true)));
        assert!(matches!(told(vec![Err(closed())]).await, (Err(EngineError::Closed(_)), true)));
    }

    /// Objects of which so many writes fail.
    struct Failing {
        left: Mutex<u32>,
        kept: Arc<dyn Objects>,
    }

    #[async_trait]
    impl Objects for Failing {
        async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
            {
                let mut left = self.left.lock();
                if *left > 0 {
                    *left -= 1;
                    return Err(unknown());
                }
            }
            self.kept.put(key, data).await
        }

        async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
            self.kept.get(key, range).await
        }

        async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
            self.kept.head(key).await
        }

        async fn delete(&self, _: &str) -> Result<(), EngineError> {
            Err(unknown())
        }
    }

    #[tokio::test]
    async fn an_object_that_is_not_kept_is_the_end_of_storage_and_one_that_stays_is_not() {
        for (failures, ends) in [(WRITE_TRIES - 1, false), (WRITE_TRIES, true)] {
            let storage = Storage::default();
            let engines = fanfare_engines::memory::open(1).unwrap();
            let failing = Failing { left: Mutex::new(failures), kept: engines.objects.clone() };
            let engines = watched(Engines { objects: Arc::new(failing), ..engines }, &storage);
            assert!(engines.objects.delete("key").await.is_err());
            assert!(!storage.has_failed(), "a file that cannot be removed is its own trouble");
            assert_eq!(engines.objects.put("key", Bytes::from_static(b"x")).await.is_err(), ends);
            assert_eq!(storage.has_failed(), ends);
        }
    }

    #[test]
    fn the_end_of_storage_is_logged_once() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let written = Lines(Arc::clone(&lines));
        let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            let storage = Storage::default();
            for _ in 0..3 {
                let _ = storage.clone().heard::<()>(Err(closed()));
            }
        });
        let text = String::from_utf8(lines.lock().clone()).unwrap();
        assert_eq!(text.matches("storage failed").count(), 1, "{text}");
    }

    #[derive(Clone)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
