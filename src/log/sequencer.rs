//! Group commit: the one place where records get their ids and become durable.
//!
//! Services propose events; one thread takes what has gathered, mints ids in that order, lets products prepare and fold
//! the records, and commits records and rows together. Then listeners hear of them, in the same order, and only then
//! the callers: id order is commit order is the order every view sees, and what was acknowledged is durable and
//! visible.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, Engines, Offset, Partition, RowKey};
use fanfare_protocol::Id;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use tokio::sync::{mpsc, oneshot};

use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::id::IdMint;
use crate::base::limits;
use crate::data::audit::Act;
use crate::data::forgotten::Forgotten;
use crate::data::rows::{from_json, to_json};
use crate::data::storage::Storage;
use crate::log::events::{Event, IdempotencyKey, Record};
use crate::log::fold::{Folds, Keys, State};
use crate::log::living::Living;
use crate::log::product::{Committed, Listener, Prepare, Product};

/// The journal partition that this node writes; a single node has one.
const PARTITION: Partition = Partition(0);
/// Name of the journal's consumer that writes rows.
pub const CONSUMER: &str = "projector";
/// Tries of one commit before the sequencer gives up and refuses writes.
const COMMIT_TRIES: u32 = 5;

/// An event on its way to the journal.
#[derive(Debug)]
pub struct Proposal {
    /// Fact; products fill in what only the order of commits can tell.
    pub event: Event,
    /// Moment to mint the id for, in milliseconds; `None` is now. For imports.
    pub at_ms: Option<u64>,
    /// Stored with the effect.
    pub idempotency: Option<IdempotencyKey>,
    /// Import watermark, stored with the effect.
    pub import_line: Option<u64>,
    /// The operator whose act this is, stored with the effect.
    pub audit: Option<Act>,
    /// Rows of the same commit that do not follow from the record: secrets, which no journal holds. Few and small. A
    /// commit that tore and was never acknowledged can lose them.
    pub rows: Batch,
}

impl From<Event> for Proposal {
    fn from(event: Event) -> Self {
        Self { event, at_ms: None, idempotency: None, import_line: None, audit: None, rows: Batch::default() }
    }
}

type Answer = oneshot::Sender<Result<Arc<Record>>>;

/// Handle of the sequencer's thread; clones share it.
#[derive(Clone)]
pub struct Sequencer {
    proposals: mpsc::Sender<(Proposal, Answer)>,
    mint: Arc<Mutex<IdMint>>,
    clock: Clock,
    storage: Storage,
    passed: Arc<AtomicU64>,
}

/// A proposal that was handed in, not yet durable.
pub struct Pending(oneshot::Receiver<Result<Arc<Record>>>);

impl Pending {
    /// The record, once it is durable and visible.
    ///
    /// # Errors
    /// When storage failed, or the server is stopping; the outcome is then unknown.
    pub async fn durable(self) -> Result<Arc<Record>> {
        self.0.await.unwrap_or_else(|_| Err(EngineError::Unknown("the sequencer has stopped".to_owned()).into()))
    }
}

impl Sequencer {
    /// Starts the thread. Before that, rows are folded again from the records past their checkpoint, for
    /// engines whose commit can tear.
    ///
    /// # Errors
    /// When the engines fail.
    pub async fn start(
        engines: &Engines,
        products: Vec<Product>,
        clock: Clock,
        node: u16,
        storage: Storage,
    ) -> Result<(Self, SequencerThread)> {
        let mut committer = Committer {
            engines: engines.clone(),
            prepares: products.iter().filter_map(|product| product.prepare.clone()).collect(),
            folds: products.iter().filter_map(|product| product.fold.clone()).collect(),
            listeners: products.into_iter().filter_map(|product| product.listener).collect(),
            own: Cache::new(limits::FOLD_ROWS_MAX),
            commits: 0,
            next: Offset(0),
            passed: Arc::default(),
            living: Living::new(Arc::clone(&engines.tables)),
        };
        let last = committer.repair().await?;
        let passed = Arc::clone(&committer.passed);
        passed.store(last.0, Ordering::Release);
        let mint = Arc::new(Mutex::new(IdMint::new(node, last)));
        let (proposals, receiver) = mpsc::channel(limits::SEQUENCER_QUEUE_MAX);
        let handle =
            Self { proposals, mint: Arc::clone(&mint), clock: clock.clone(), storage: storage.clone(), passed };
        let runtime = tokio::runtime::Handle::current();
        let thread = std::thread::Builder::new()
            .name("sequencer".to_owned())
            .spawn(move || runtime.block_on(committer.run(receiver, &mint, &clock, &storage)))
            .map_err(|error| Error::Internal(format!("cannot start the sequencer thread: {error}")))?;
        Ok((handle, SequencerThread(thread)))
    }

    /// Makes `proposal` durable and visible, and answers its record.
    ///
    /// # Errors
    /// When storage failed; the outcome is then unknown.
    pub async fn commit(&self, proposal: impl Into<Proposal>) -> Result<Arc<Record>> {
        self.submit(proposal.into()).await?.durable().await
    }

    /// Hands `proposal` in; those handed in earlier are committed earlier. Waits for a place in the queue.
    ///
    /// # Errors
    /// When storage failed before.
    pub async fn submit(&self, proposal: Proposal) -> Result<Pending> {
        let (answer, pending) = oneshot::channel();
        let handed_in = self.proposals.send((proposal, answer)).await;
        handed_in.map_err(|_| Error::Engine(EngineError::Closed("the sequencer has stopped".to_owned())))?;
        Ok(Pending(pending))
    }

    /// An id for something that is no record, such as media or an account.
    #[must_use]
    pub fn mint(&self) -> Id {
        self.mint_at(self.clock.now_ms())
    }

    /// An id that no record is above, now.
    #[must_use]
    pub fn newest(&self) -> Id {
        self.mint.lock().highest()
    }

    /// An id of a given moment (milliseconds), as [`mint`](Self::mint) gives one of now; for imports.
    #[must_use]
    pub fn mint_at(&self, at_ms: u64) -> Id {
        self.mint.lock().mint(at_ms)
    }

    /// The last record that was answered: no row is written from it or an earlier one again in the life of this
    /// process.
    #[must_use]
    pub fn passed(&self) -> Id {
        Id(self.passed.load(Ordering::Acquire))
    }

    /// Storage failed, and every write is refused until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.storage.has_failed()
    }
}

/// The thread; it ends when every [`Sequencer`] is dropped and all that was handed in is committed.
pub struct SequencerThread(JoinHandle<()>);

impl SequencerThread {
    /// Waits for the end of the thread.
    pub fn join(self) {
        if self.0.join().is_err() {
            tracing::error!("the sequencer thread panicked");
        }
    }
}

/// Number of the waiting proposals that fit one commit; at least one.
fn group_of(waiting: &[(Proposal, Answer)]) -> usize {
    let mut bytes = 0;
    let fits = waiting.iter().take_while(|(proposal, _)| {
        bytes += proposal.event.weight();
        bytes <= limits::SEQUENCER_GROUP_BYTES_MAX
    });
    fits.count().max(1)
}

struct Committer {
    engines: Engines,
    prepares: Vec<Arc<dyn Prepare>>,
    folds: Folds,
    listeners: Vec<Arc<dyn Listener>>,
    /// State rows that nobody but this thread writes.
    own: Cache<RowKey, Option<Bytes>>,
    commits: u64,
    /// Offset after the last commit.
    next: Offset,
    /// Id of the last record that was committed.
    passed: Arc<AtomicU64>,
    living: Living,
}

impl Committer {
    async fn run(
        mut self,
        mut proposals: mpsc::Receiver<(Proposal, Answer)>,
        mint: &Mutex<IdMint>,
        clock: &Clock,
        storage: &Storage,
    ) {
        let mut waiting = Vec::with_capacity(limits::SEQUENCER_GROUP_MAX);
        while !waiting.is_empty() || proposals.recv_many(&mut waiting, limits::SEQUENCER_GROUP_MAX).await > 0 {
            let (group, answers) = self.number(&mut waiting, mint, clock);
            let outcome = if storage.has_failed() {
                Err(Error::Engine(EngineError::Closed("storage failed before; restart the server".to_owned())))
            } else {
                self.commit_group(group).await
            };
            match outcome {
                Ok(records) => {
                    for (record, answer) in records.into_iter().zip(answers) {
                        // A caller that went away needs no answer.
                        let _ = answer.send(record);
                    }
                }
                // Nothing was done, and nothing is wrong with the storage.
                Err(Error::Engine(EngineError::Limit(cause))) => {
                    for answer in answers {
                        let _ = answer.send(Err(Error::Internal(format!("a commit is too large: {cause}"))));
                    }
                }
                Err(error) => {
                    storage.fail(&error);
                    // Otherwise some of the group may stand.
                    let closed = matches!(error, Error::Engine(EngineError::Closed(_) | EngineError::Unavailable(_)));
                    for answer in answers {
                        let cause = format!("a commit failed: {error}");
                        let error = if closed { EngineError::Closed(cause) } else { EngineError::Unknown(cause) };
                        let _ = answer.send(Err(error.into()));
                    }
                }
            }
        }
        if let Err(error) = self.checkpoint().await {
            tracing::warn!(%error, "the last checkpoint was not written; the next start projects a little more again");
        }
    }

    /// Ids in the order of arrival, which is the order of commit.
    fn number(
        &self,
        waiting: &mut Vec<(Proposal, Answer)>,
        mint: &Mutex<IdMint>,
        clock: &Clock,
    ) -> (Vec<(Record, Batch)>, Vec<Answer>) {
        let now_ms = clock.now_ms();
        let mut mint = mint.lock();
        waiting
            .drain(..group_of(waiting))
            .map(|(proposal, answer)| {
                let id = mint.mint(proposal.at_ms.unwrap_or(now_ms));
                let Proposal { event, idempotency, import_line, audit, rows, .. } = proposal;
                ((Record { id, event, idempotency, import_line, audit }, rows), answer)
            })
            .unzip()
    }

    /// Commits what is admitted of a group, and answers for each of it the record as it was prepared, or the refusal.
    async fn commit_group(&mut self, group: Vec<(Record, Batch)>) -> Result<Vec<Result<Arc<Record>>>> {
        let (admitted, refusals) = self.living.admit(group).await?;
        let committed = if admitted.is_empty() { Vec::new() } else { self.commit_admitted(admitted).await? };
        let mut records = committed.into_iter().map(|committed| committed.record);
        let missing = || Error::Internal("a record was not committed".to_owned());
        let answer = |refusal: Option<Error>| refusal.map_or_else(|| records.next().ok_or_else(missing), Err);
        Ok(refusals.into_iter().map(answer).collect())
    }

    /// Commits records with their rows and tells the listeners.
    async fn commit_admitted(&mut self, group: Vec<(Record, Batch)>) -> Result<Vec<Committed>> {
        let mut state = self.load_state(group.iter().map(|(record, _)| record)).await?;
        let mut batch = Batch::default();
        let mut payloads = Vec::with_capacity(group.len());
        let mut committed = Vec::with_capacity(group.len());
        for (mut record, mut rows) in group {
            for product in &self.prepares {
                product.prepare(&mut record, &state)?;
            }
            payloads.push(to_json(&record)?);
            let outcome = self.folds.fold(&record, &mut state, &mut batch)?;
            batch.rows.append(&mut rows.rows);
            committed.push(Committed { record: Arc::new(record), outcome });
        }
        let next = self.commit_with_retries(payloads, batch).await?;
        self.keep(state);
        self.living.committed(&committed);
        for listener in &self.listeners {
            listener.committed(&committed);
        }
        self.commits += 1;
        self.next = next;
        if let Some(last) = committed.last() {
            self.passed.store(last.record.id.0, Ordering::Release);
        }
        if self.commits.is_multiple_of(limits::CHECKPOINT_EVERY) {
            self.checkpoint().await?;
        }
        Ok(committed)
    }

    /// The state rows that `records` need: from memory, or from the tables.
    async fn load_state(&self, records: impl Iterator<Item = &Record>) -> Result<State> {
        let mut keys = Keys::default();
        records.for_each(|record| self.folds.keys(record, &mut keys));
        let mut state = State::default();
        let mut missing = Vec::new();
        for (key, own) in keys {
            if state.has(&key) {
                continue;
            }
            let known = if own { self.own.get(&key) } else { None };
            if known.is_none() {
                missing.push((key.clone(), own));
            }
            state.load(key, known.flatten(), own);
        }
        if !missing.is_empty() {
            let keys: Vec<RowKey> = missing.iter().map(|(key, _)| key.clone()).collect();
            let values = self.engines.tables.get_many(&keys).await?;
            for ((key, own), value) in missing.into_iter().zip(values) {
                state.load(key, value, own);
            }
        }
        Ok(state)
    }

    /// Remembers state rows for the next commits.
    fn keep(&self, state: State) {
        state.into_own().for_each(|(key, value)| self.own.insert(key, value));
    }

    /// Repeats the commit while its outcome is unknown: records may then stand twice, which consumers see by their ids.
    async fn commit_with_retries(&self, payloads: Vec<Bytes>, batch: Batch) -> Result<Offset> {
        let count = payloads.len() as u64;
        let (mut tries, mut unknown) = (0, None);
        loop {
            tries += 1;
            match self.engines.journal.commit(PARTITION, payloads.clone(), batch.clone()).await {
                Ok(first) => return Ok(Offset(first.0 + count)),
                Err(error @ (EngineError::Unavailable(_) | EngineError::Unknown(_))) if tries < COMMIT_TRIES => {
                    tracing::warn!(%error, tries, "a commit is tried again");
                    if matches!(error, EngineError::Unknown(_)) {
                        unknown = Some(error);
                    }
                    tokio::time::sleep(Duration::from_millis(10 << tries)).await;
                }
                // What an earlier try may have done, a later refusal does not take back.
                Err(error) => return Err(unknown.unwrap_or(error).into()),
            }
        }
    }

    async fn checkpoint(&self) -> Result<()> {
        Ok(self.engines.journal.checkpoint(CONSUMER, PARTITION, self.next).await?)
    }

    /// Writes the rows of every record past the checkpoint again; answers the highest id in the journal. Those of which
    /// storage may have forgotten what followed are left out: they were answered, and a copy that came late would bring
    /// back what was deleted since.
    async fn repair(&mut self) -> Result<Id> {
        let forgotten = Forgotten::read(&*self.engines.tables).await?.upto;
        let journal = Arc::clone(&self.engines.journal);
        let (first, end) = journal.bounds(PARTITION).await?;
        let checkpoint = journal.checkpoint_of(CONSUMER, PARTITION).await?;
        let mut last = forgotten;
        let mut next = checkpoint.max(first).min(Offset(end.0.saturating_sub(1)));
        while next < end {
            let found = journal.read(PARTITION, next, limits::SEQUENCER_GROUP_MAX).await?;
            let Some(newest) = found.last() else { break };
            next = Offset(newest.offset.0 + 1);
            let mut records = Vec::with_capacity(found.len());
            for one in &found {
                let record: Record = from_json(&one.payload)?;
                last = last.max(record.id);
                if record.id > forgotten {
                    records.push(record);
                }
            }
            let mut state = self.load_state(records.iter()).await?;
            let mut batch = Batch::default();
            for record in &records {
                self.folds.fold(record, &mut state, &mut batch)?;
            }
            self.commit_with_retries(Vec::new(), batch).await?;
            self.keep(state);
        }
        self.next = end;
        self.checkpoint().await?;
        Ok(last)
    }
}
