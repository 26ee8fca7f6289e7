//! Engines as the server holds them: what may be repeated is repeated, what cannot be done now is refused before it is
//! begun, and what they answer tells everybody how storage stands ([`Storage`]).
//!
//! Whoever writes beside the log (a log-in, an upload, a marker) goes through here. A write whose outcome is not known
//! is repeated a few times, since writes are idempotent; after that, or when a try has no answer for long, storage is
//! away, and is asked in the background until it works. Commits are repeated by the log's owner, which knows what the
//! records are.
//!
//! Whatever else has no answer for long (a read, a delete of a file, a trim) may be a trouble of its own: a scan over
//! very much is slow and no more. So storage is asked then, and is away when that has no answer either.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{
    Appended, Batch, Claimant, EngineError, Engines, Journal, KeyRange, NewRecord, NewTerm, Object, ObjectMeta,
    Objects, Offset, Order, Page, Partition, Position, Replaced, Row, RowKey, Table, Tables, Trimmed, Turn, Unique,
};

use super::storage::{Storage, StoragePart, awaited};
use super::{families, tables};
use crate::base::limits::{OBJECT_BYTES_PER_S_MIN, STORAGE_SILENT_MS};

/// Tries of one write before its caller hears that the outcome is not known, or that nothing was done.
const WRITE_TRIES: u32 = 4;
/// Milliseconds before the first repetition; doubled each time.
const AGAIN_MS: u64 = 20;
/// Milliseconds between two questions whether storage works again: the first, and the most, doubled in between.
const ASK_MS: u64 = 50;
const ASK_MS_MAX: u64 = 2_000;
/// The row and the object that are written to ask; always the same.
const META_ASKED: Bytes = Bytes::from_static(b"storage_asked");
const OBJECT_ASKED: &str = "storage-asked";

/// `engines`, whose writes are repeated and told of to `storage`.
#[must_use]
pub fn watched(engines: Engines, storage: &Storage) -> Engines {
    storage.watch_room(&engines.room);
    let watched = Arc::new_cyclic(|me| Watched {
        inner: engines.clone(),
        storage: storage.clone(),
        me: Weak::clone(me),
        doubted: AtomicU8::new(0),
    });
    Engines { tables: watched.clone(), journal: watched.clone(), objects: watched, ..engines }
}

struct Watched {
    inner: Engines,
    storage: Storage,
    me: Weak<Watched>,
    /// Bits of the parts that are being asked because a call has no answer.
    doubted: AtomicU8,
}

/// Whether a batch takes away only, but for the few rows that the server keeps for itself.
fn frees(batch: &Batch) -> bool {
    batch.rows.iter().all(|row| row.value.is_none() || families::is_own_table(row.key.table))
}

impl Watched {
    /// Looks at what an engine answered.
    fn heard<T>(&self, answer: Result<T, EngineError>) -> Result<T, EngineError> {
        match &answer {
            Err(EngineError::Closed(cause)) => self.storage.fail(cause),
            Err(EngineError::Corrupt(cause)) => self.storage.is_damaged(cause),
            _ => {}
        }
        answer
    }

    /// The answer of a `call` that is not repeated here; `part` is asked when it is long in coming.
    async fn call<T>(
        &self,
        part: StoragePart,
        call: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let bound = Duration::from_millis(STORAGE_SILENT_MS);
        self.heard(awaited(call, bound, |_| self.doubts(part)).await)
    }

    /// Asks whether `part` works, of which a call has no answer; once at a time.
    fn doubts(&self, part: StoragePart) {
        let is_asked =
            self.storage.is_away(&[part]) || self.doubted.fetch_or(part as u8, Ordering::AcqRel) & part as u8 != 0;
        if !is_asked && let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(make_sure(Weak::clone(&self.me), part));
        }
    }

    /// Repeats a write to `part` while its outcome is unknown, or nothing was done.
    async fn write<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        part: StoragePart,
        work: impl Fn() -> F,
    ) -> Result<T, EngineError> {
        self.write_within(Duration::from_millis(STORAGE_SILENT_MS), part, work).await
    }

    /// Repeats a write to `part`, of which it is told when a try takes longer than `bound`.
    async fn write_within<T, F: Future<Output = Result<T, EngineError>>>(
        &self,
        bound: Duration,
        part: StoragePart,
        work: impl Fn() -> F,
    ) -> Result<T, EngineError> {
        let mut unknown: Option<EngineError> = None;
        let mut tries = 0;
        loop {
            tries += 1;
            let answer = self.heard(awaited(work(), bound, |cause| self.is_away(part, cause)).await);
            let error = match answer {
                Err(error @ (EngineError::Unknown(_) | EngineError::Unavailable(_))) => error,
                // An earlier try may have done it all the same.
                Err(error @ (EngineError::Closed(_) | EngineError::Full(_))) if unknown.is_some() => {
                    return Err(unknown.unwrap_or(error));
                }
                answer => {
                    if answer.is_ok() {
                        self.storage.works(part);
                    }
                    return answer;
                }
            };
            tracing::debug!(%error, tries, "a write is tried again");
            if tries == WRITE_TRIES {
                self.is_away(part, &error);
                return Err(unknown.unwrap_or(error));
            }
            if matches!(error, EngineError::Unknown(_)) {
                unknown.get_or_insert(error);
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS << tries)).await;
        }
    }

    /// `part` is away: it is asked until it works.
    fn is_away(&self, part: StoragePart, cause: &EngineError) {
        if self.storage.goes(part, cause)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(ask(Weak::clone(&self.me), part));
        }
    }

    /// Writes something that changes nothing, and reads it.
    async fn try_out(&self, part: StoragePart) -> Result<(), EngineError> {
        match part {
            StoragePart::Objects => {
                self.inner.objects.put(OBJECT_ASKED, Bytes::from_static(b"?")).await?;
                self.inner.objects.head(OBJECT_ASKED).await?;
                // One that stays is the same the next time.
                let _ = self.inner.objects.delete(OBJECT_ASKED).await;
                Ok(())
            }
            StoragePart::Rows | StoragePart::Log => {
                let row = RowKey::new(tables::META, tables::ONE, META_ASKED);
                let mut batch = Batch::default();
                batch.put(row.clone(), Bytes::from_static(b"?"));
                self.inner.tables.write(batch).await?;
                self.inner.tables.get(&row).await.map(|_| ())
            }
        }
    }
}

/// Asks whether `part` works until it does, or the server ends.
async fn ask(watched: Weak<Watched>, part: StoragePart) {
    let mut wait_ms = ASK_MS;
    loop {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        wait_ms = (wait_ms * 2).min(ASK_MS_MAX);
        let Some(watched) = watched.upgrade() else { return };
        if !watched.storage.is_away(&[part]) {
            return;
        }
        // It may hang as what it asks after does; whoever stops does not wait for it.
        let answer = tokio::select! {
            answer = watched.try_out(part) => answer,
            () = watched.storage.until_left() => return,
        };
        match watched.heard(answer) {
            // A full disk is another matter: it answers.
            Ok(()) | Err(EngineError::Full(_)) => return watched.storage.works(part),
            Err(error @ (EngineError::Corrupt(_) | EngineError::Closed(_))) => return watched.storage.fail(&error),
            Err(error) => tracing::debug!(%error, ?part, "storage does not work yet"),
        }
    }
}

/// Asks `part`, of which a call has no answer, and tells that it is away unless it answers.
async fn make_sure(watched: Weak<Watched>, part: StoragePart) {
    let Some(watched) = watched.upgrade() else { return };
    let bound = Duration::from_millis(STORAGE_SILENT_MS);
    let answer = tokio::select! {
        answer = tokio::time::timeout(bound, watched.try_out(part)) => answer,
        () = watched.storage.until_left() => return,
    };
    watched.doubted.fetch_and(!(part as u8), Ordering::AcqRel);
    let silent = || Err(EngineError::Unavailable(format!("no answer for {STORAGE_SILENT_MS} ms")));
    match watched.heard(answer.unwrap_or_else(|_| silent())) {
        Ok(()) | Err(EngineError::Full(_)) => {
            tracing::warn!(?part, "a call has no answer for {STORAGE_SILENT_MS} ms, and others have: it is waited for");
        }
        Err(error @ (EngineError::Corrupt(_) | EngineError::Closed(_))) => watched.storage.fail(&error),
        Err(error) => watched.is_away(part, &error),
    }
}

#[async_trait]
impl Tables for Watched {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.storage.admit(&[StoragePart::Rows], (!frees(&batch)).then_some(0))?;
        self.write(StoragePart::Rows, || self.inner.tables.write(batch.clone())).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        self.call(StoragePart::Rows, self.inner.tables.get(key)).await
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.call(StoragePart::Rows, self.inner.tables.get_many(keys)).await
    }

    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.call(StoragePart::Rows, self.inner.tables.scan(table, partition, range, order, limit)).await
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        self.storage.admit(&[StoragePart::Rows], (key.table != tables::META).then_some(0))?;
        let insert = || self.inner.tables.insert_unique(key.clone(), value.clone(), token);
        self.write(StoragePart::Rows, insert).await
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        // It takes the place of what is there: a full disk keeps nobody from logging out everywhere.
        self.storage.admit(&[StoragePart::Rows], None)?;
        let replace = || self.inner.tables.replace_unique(key.clone(), value.clone(), held, new);
        self.write(StoragePart::Rows, replace).await
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.call(StoragePart::Rows, self.inner.tables.forget(tables, upto)).await
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        self.storage.admit(&[StoragePart::Rows], None)?;
        self.write(StoragePart::Rows, || self.inner.tables.release_unique(key, token)).await
    }
}

/// Calls beside the owner's commits, which the owner watches, are asked after as rows are.
#[async_trait]
impl Journal for Watched {
    fn partitions(&self) -> u16 {
        self.inner.journal.partitions()
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        self.heard(self.inner.journal.claim(partition, claimant).await)
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        self.heard(self.inner.journal.commit(partition, turn, records, rows).await)
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        self.call(StoragePart::Rows, self.inner.journal.read(partition, from, limit)).await
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        self.call(StoragePart::Rows, self.inner.journal.bounds(partition)).await
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        self.call(StoragePart::Rows, self.inner.journal.checkpoint(consumer, partition, next)).await
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        self.call(StoragePart::Rows, self.inner.journal.checkpoint_of(consumer, partition)).await
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
        self.call(StoragePart::Rows, self.inner.journal.trim(partition, bytes_max, consumers)).await
    }
}

#[async_trait]
impl Objects for Watched {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        self.storage.admit(&[StoragePart::Objects], Some(data.len() as u64))?;
        let bound_ms = STORAGE_SILENT_MS + data.len() as u64 * 1_000 / OBJECT_BYTES_PER_S_MIN;
        let put = || self.inner.objects.put(key, data.clone());
        self.write_within(Duration::from_millis(bound_ms), StoragePart::Objects, put).await
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        self.call(StoragePart::Objects, self.inner.objects.get(key, range)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        self.call(StoragePart::Objects, self.inner.objects.head(key)).await
    }

    /// A file that cannot be removed is its own trouble: nothing is away for it.
    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        let mut tries = 1;
        loop {
            match self.call(StoragePart::Objects, self.inner.objects.delete(key)).await {
                Err(EngineError::Unknown(_) | EngineError::Unavailable(_)) if tries < WRITE_TRIES => tries += 1,
                answer => return answer,
            }
            tokio::time::sleep(Duration::from_millis(AGAIN_MS << tries)).await;
        }
    }
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;
