//! Engines whose writes are counted, and that end the process at one of them.

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use fanfare::data::tables;
use fanfare_engines::{
    Appended, Batch, Claimant, EngineError, Engines, Journal, KeyRange, NewRecord, NewTerm, Object, ObjectMeta,
    Objects, Offset, Order, Page, Partition, Position, Replaced, Row, RowKey, Table, Tables, Trimmed, Turn, Unique,
};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, MutexGuard, Semaphore};

use super::End;

/// Rows and objects.
pub type Written = (BTreeSet<RowKey>, BTreeSet<String>);

/// Sleep of somebody who was about to take a unique row.
#[derive(Clone)]
pub struct Sleeper {
    fell_asleep: Arc<Semaphore>,
    woken: Arc<Semaphore>,
}

impl Sleeper {
    /// Completes when somebody sleeps.
    pub async fn sleeps(&self) {
        drop(self.fell_asleep.acquire().await);
    }

    /// Whoever sleeps goes on.
    pub fn wake(&self) {
        self.woken.close();
    }
}

/// Blade that cuts the process off at a step.
#[derive(Default)]
pub struct Blade {
    plan: Mutex<Option<(End, usize)>>,
    dead: AtomicBool,
    reached: AtomicBool,
    /// Writes that answer that nobody knows whether they were done, and are not.
    lost: AtomicUsize,
    /// Writes that are done, and answer that nobody knows.
    hidden: AtomicUsize,
    /// Storage does no writes, and answers so.
    deaf: AtomicBool,
    /// Storage is not read from either.
    mute: AtomicBool,
    /// Batches of which nobody knows whether they are written, to come: late, or never.
    late: Mutex<Vec<Batch>>,
    /// Batches that come late.
    delayed: AtomicUsize,
    /// Reads of several rows that fail, and checkpoints.
    reads_failing: AtomicUsize,
    checkpoints_failing: AtomicUsize,
    /// Writes wait while this is held.
    slow: AsyncMutex<()>,
    /// Reads wait while this is held.
    frozen: AsyncMutex<()>,
    /// Writes that wait so.
    waiting: AtomicUsize,
    /// Every row and object that was ever put.
    pub written: Arc<Mutex<Written>>,
    /// Table at whose next unique row somebody falls asleep.
    asleep: Mutex<Option<(Table, Sleeper)>>,
    /// Open when the client is to hang up, and when it has.
    signals: Mutex<Option<(Arc<Semaphore>, Arc<Semaphore>)>>,
}

impl Blade {
    /// Notes down in `written` what is put.
    pub fn noting(written: &Arc<Mutex<Written>>) -> Self {
        Self { written: Arc::clone(written), ..Self::default() }
    }

    pub fn arm(&self, end: End, step: usize) {
        self.reached.store(false, Ordering::SeqCst);
        *self.signals.lock() = Some((Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0))));
        *self.plan.lock() = Some((end, step));
    }

    /// Whether the step was reached; a step that waits for its client to hang up goes on.
    pub fn disarm(&self) -> bool {
        *self.plan.lock() = None;
        if let Some((_, gone)) = self.signals.lock().take() {
            gone.close();
        }
        self.reached.load(Ordering::SeqCst)
    }

    /// Nobody knows what became of the next `writes`.
    pub fn lose(&self, writes: usize) {
        self.lost.store(writes, Ordering::SeqCst);
    }

    /// The next `writes` are done, and nobody hears of it.
    pub fn hide(&self, writes: usize) {
        self.hidden.store(writes, Ordering::SeqCst);
    }

    /// Nothing is written from now on, and what is stored can be read; or all is as it was.
    pub fn be_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Ordering::SeqCst);
    }

    /// Storage is there again.
    pub fn come_back(&self) {
        self.deaf.store(false, Ordering::SeqCst);
        self.mute.store(false, Ordering::SeqCst);
    }

    /// The next `batches` are written when they [`arrive`], and nobody knows until then.
    pub fn delay(&self, batches: usize) {
        self.delayed.store(batches, Ordering::SeqCst);
    }

    /// The next `reads` of several rows fail.
    pub fn fail_reads(&self, reads: usize) {
        self.reads_failing.store(reads, Ordering::SeqCst);
    }

    /// The next `checkpoints` fail.
    pub fn fail_checkpoints(&self, checkpoints: usize) {
        self.checkpoints_failing.store(checkpoints, Ordering::SeqCst);
    }

    /// Whether all failures happened that were asked for.
    pub fn has_failed(&self) -> bool {
        let left = [&self.lost, &self.hidden, &self.reads_failing, &self.checkpoints_failing];
        left.iter().all(|left| left.load(Ordering::SeqCst) == 0)
    }

    /// Storage ends.
    pub fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
    }

    /// Writes wait until the answer is dropped.
    pub async fn hold(&self) -> MutexGuard<'_, ()> {
        self.slow.lock().await
    }

    /// Nothing is written or read until the answer is dropped.
    pub async fn freeze(&self) -> (MutexGuard<'_, ()>, MutexGuard<'_, ()>) {
        (self.slow.lock().await, self.frozen.lock().await)
    }

    /// Number of writes that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// Completes when the client is to hang up.
    pub async fn hang_up(&self) {
        let come = self.signals.lock().as_ref().map(|(come, _)| Arc::clone(come));
        match come {
            Some(come) => drop(come.acquire().await),
            None => pending().await,
        }
    }

    /// Whoever is the next to take a unique row of `table` sleeps first.
    pub fn sleep_at(&self, table: Table) -> Sleeper {
        let sleeper = Sleeper { fell_asleep: Arc::new(Semaphore::new(0)), woken: Arc::new(Semaphore::new(0)) };
        *self.asleep.lock() = Some((table, sleeper.clone()));
        sleeper
    }

    async fn doze(&self, table: Table) {
        let sleeper = self.asleep.lock().take_if(|(at, _)| *at == table);
        if let Some((_, sleeper)) = sleeper {
            sleeper.fell_asleep.close();
            drop(sleeper.woken.acquire().await);
        }
    }

    fn note(&self, batch: &Batch) {
        let put = batch.rows.iter().filter(|row| row.value.is_some());
        self.written.lock().0.extend(put.map(|row| row.key.clone()));
    }

    fn alive(&self) -> Result<(), EngineError> {
        match (self.dead.load(Ordering::SeqCst), self.mute.load(Ordering::SeqCst)) {
            (true, _) => Err(killed()),
            (false, true) => Err(unavailable()),
            (false, false) => Ok(()),
        }
    }

    /// Fate of the next write: whether it is done, and answered.
    fn next(&self) -> Option<End> {
        let mut plan = self.plan.lock();
        let (end, left) = plan.as_mut()?;
        if *left > 0 {
            *left -= 1;
            return None;
        }
        let end = *end;
        *plan = None;
        self.reached.store(true, Ordering::SeqCst);
        Some(end)
    }

    /// Whether a batch is no part of what somebody asked for: time that is reserved for ids.
    fn is_upkeep(&self, batch: &Batch) -> bool {
        let goes_away = matches!(*self.plan.lock(), Some((End::GoesAway, _)));
        goes_away && batch.rows.iter().all(|row| row.key.table == tables::META)
    }

    /// Takes a batch that comes late.
    fn takes_late(&self, batch: &Batch) -> bool {
        let is_late = takes(&self.delayed);
        if is_late {
            self.late.lock().push(batch.clone());
        }
        is_late
    }

    async fn write<T>(&self, work: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
        self.alive()?;
        self.waiting.fetch_add(1, Ordering::SeqCst);
        drop(self.slow.lock().await);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        if self.deaf.load(Ordering::SeqCst) {
            return Err(unavailable());
        }
        if takes(&self.lost) {
            return Err(EngineError::Unknown("lost".to_owned()));
        }
        if takes(&self.hidden) {
            work.await?;
            return Err(EngineError::Unknown("hidden".to_owned()));
        }
        match self.next() {
            None => work.await,
            Some(End::KilledBefore) => {
                self.dead.store(true, Ordering::SeqCst);
                Err(killed())
            }
            Some(End::KilledAfter) => {
                self.dead.store(true, Ordering::SeqCst);
                work.await?;
                Err(killed())
            }
            Some(End::GoesAway) => {
                let done = work.await;
                self.deaf.store(true, Ordering::SeqCst);
                self.mute.store(true, Ordering::SeqCst);
                done
            }
            Some(End::HungUp) => {
                let signals = self.signals.lock().clone();
                if let Some((come, gone)) = signals {
                    come.close();
                    drop(gone.acquire().await);
                }
                work.await
            }
        }
    }
}

/// Writes to `engines` what comes late by `blade`.
pub async fn arrive(engines: &Engines, blade: &Blade) {
    let late = std::mem::take(&mut *blade.late.lock());
    for batch in late {
        engines.tables.write(batch).await.unwrap();
    }
}

/// Takes one from a count, if there is one.
fn takes(count: &AtomicUsize) -> bool {
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}

fn unavailable() -> EngineError {
    EngineError::Unavailable("away, by the test".to_owned())
}

fn killed() -> EngineError {
    EngineError::Closed("killed".to_owned())
}

struct Cut {
    inner: Engines,
    blade: Arc<Blade>,
}

/// `inner`, as far as `blade` lets it.
pub fn cut(inner: Engines, blade: &Arc<Blade>) -> Engines {
    let engine = Arc::new(Cut { inner: inner.clone(), blade: Arc::clone(blade) });
    Engines { tables: engine.clone(), journal: engine.clone(), objects: engine, ..inner }
}

#[async_trait]
impl Tables for Cut {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.blade.note(&batch);
        if self.blade.is_upkeep(&batch) {
            return self.inner.tables.write(batch).await;
        }
        if self.blade.takes_late(&batch) {
            return Err(EngineError::Unknown("late".to_owned()));
        }
        self.blade.write(self.inner.tables.write(batch)).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        self.blade.alive()?;
        drop(self.blade.frozen.lock().await);
        self.inner.tables.get(key).await
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.blade.alive()?;
        if takes(&self.blade.reads_failing) {
            return Err(unavailable());
        }
        self.inner.tables.get_many(keys).await
    }

    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.blade.alive()?;
        drop(self.blade.frozen.lock().await);
        self.inner.tables.scan(table, partition, range, order, limit).await
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        self.blade.written.lock().0.insert(key.clone());
        self.blade.doze(key.table).await;
        self.blade.write(self.inner.tables.insert_unique(key, value, token)).await
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        self.blade.written.lock().0.insert(key.clone());
        self.blade.write(self.inner.tables.replace_unique(key, value, held, new)).await
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        self.blade.write(self.inner.tables.release_unique(key, token)).await
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.blade.alive()?;
        self.inner.tables.forget(tables, upto).await
    }
}

#[async_trait]
impl Journal for Cut {
    fn partitions(&self) -> u16 {
        self.inner.journal.partitions()
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        self.blade.alive()?;
        self.inner.journal.claim(partition, claimant).await
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        self.blade.note(rows);
        self.blade.write(self.inner.journal.commit(partition, turn, records, rows)).await
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        self.blade.alive()?;
        self.inner.journal.read(partition, from, limit).await
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        self.inner.journal.bounds(partition).await
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        self.blade.alive()?;
        if takes(&self.blade.checkpoints_failing) {
            return Err(unavailable());
        }
        self.inner.journal.checkpoint(consumer, partition, next).await
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        self.inner.journal.checkpoint_of(consumer, partition).await
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
        self.blade.alive()?;
        self.inner.journal.trim(partition, bytes_max, consumers).await
    }
}

#[async_trait]
impl Objects for Cut {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        self.blade.written.lock().1.insert(key.to_owned());
        self.blade.write(self.inner.objects.put(key, data)).await
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        self.blade.alive()?;
        self.inner.objects.get(key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        self.blade.alive()?;
        self.inner.objects.head(key).await
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        self.blade.write(self.inner.objects.delete(key)).await
    }
}
