//! Group commit: the one place where records get their ids and become durable.
//!
//! Services propose events; one thread takes what has gathered, mints ids in that order, stamps policies, folds, and
//! commits records and rows together. Then the views hear of them, in the same order, and only then the callers: id
//! order is commit order is the order every view sees, and what was acknowledged is durable and visible.

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
use crate::data::rows::{Counters, UserRow, from_json, to_json};
use crate::data::storage::Storage;
use crate::data::tables;
use crate::log::events::{Event, IdempotencyKey, Policy, Record};
use crate::log::living;
use crate::log::projection::{self, Folds, Notified};
use crate::notifications::fold::is_trimmed;

/// The journal partition that this node writes; a single node has one.
const PARTITION: Partition = Partition(0);
/// Consumer name of the rows' projection.
pub const PROJECTOR: &str = "projector";
/// Tries of one commit before the sequencer gives up and refuses writes.
const COMMIT_TRIES: u32 = 5;

/// What hears of committed records, in commit order, before callers do. Must be quick and must not block.
pub trait Views: Send + Sync + 'static {
    /// The policy to stamp on a post of `author`, who has `followers`.
    fn stamp(&self, author: Id, followers: u64) -> Policy;
    /// A record is durable; `rows` are the fold rows it changed.
    fn committed(&self, record: &Arc<Record>);
    /// The counters of a row changed.
    fn counted(&self, key: &RowKey, counters: Counters);
    /// Somebody got a notification.
    fn notified(&self, notified: &Notified);
}

/// An event on its way to the journal.
#[derive(Debug)]
pub struct Proposal {
    /// What happened; the id of a post is filled in here.
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
    /// Starts the thread. Before that, rows are projected again from the records past the projector's checkpoint, for
    /// engines whose commit can tear.
    ///
    /// # Errors
    /// When the engines fail.
    pub async fn start(
        engines: &Engines,
        views: Arc<dyn Views>,
        clock: Clock,
        node: u16,
        group_after: u64,
        storage: Storage,
    ) -> Result<(Self, SequencerThread)> {
        let mut committer = Committer {
            engines: engines.clone(),
            views,
            folds: Cache::new(limits::FOLD_ROWS_MAX),
            group_after,
            commits: 0,
            next: Offset(0),
            passed: Arc::default(),
            deleted: Cache::new(limits::USER_CACHE_MAX),
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

    /// The same for a given moment (milliseconds); for imports.
    #[must_use]
    pub fn mint_at(&self, at_ms: u64) -> Id {
        self.mint.lock().mint(at_ms)
    }

    /// The last record that was answered: no row is written from it or an earlier one again in the life of this process.
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

/// How many of the waiting proposals fit one commit; at least one.
fn group_of(waiting: &[(Proposal, Answer)]) -> usize {
    let mut bytes = 0;
    let fits = waiting.iter().take_while(|(proposal, _)| {
        bytes += estimated_bytes(&proposal.event);
        bytes <= limits::SEQUENCER_GROUP_BYTES_MAX
    });
    fits.count().max(1)
}

/// Bytes of a record and its rows, not too few: the text stands in both, and JSON may double it.
fn estimated_bytes(event: &Event) -> usize {
    const RECORD: usize = 4_096;
    const NOTICE: usize = 1_024;
    match event {
        Event::Posted { post, notify } => {
            let links: usize = post.links.iter().map(String::len).sum();
            RECORD * (1 + post.media.len()) + 4 * (post.text.len() + links) + NOTICE * notify.len()
        }
        _ => RECORD,
    }
}

struct Committer {
    engines: Engines,
    views: Arc<dyn Views>,
    /// Private to this thread, which is the only writer of these rows.
    folds: Cache<RowKey, Option<Bytes>>,
    group_after: u64,
    commits: u64,
    /// Offset after the last commit.
    next: Offset,
    /// Id of the last record that was committed.
    passed: Arc<AtomicU64>,
    /// Whose account was deleted, and whose was not; this thread is the only one that deletes.
    deleted: Cache<Id, bool>,
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
            .map(|(mut proposal, answer)| {
                let id = mint.mint(proposal.at_ms.unwrap_or(now_ms));
                if let Event::Posted { post, .. } = &mut proposal.event {
                    post.id = id;
                }
                let Proposal { event, idempotency, import_line, audit, rows, .. } = proposal;
                ((Record { id, event, idempotency, import_line, audit }, rows), answer)
            })
            .unzip()
    }

    /// Commits what is admitted of a group, and answers for each of it the record as it was stamped, or the refusal.
    async fn commit_group(&mut self, group: Vec<(Record, Batch)>) -> Result<Vec<Result<Arc<Record>>>> {
        let (admitted, refusals) = self.admit(group).await?;
        let mut stamped =
            if admitted.is_empty() { Vec::new() } else { self.commit_admitted(admitted).await? }.into_iter();
        let missing = || Error::Internal("a record was not stamped".to_owned());
        let answer = |refusal: Option<Error>| refusal.map_or_else(|| stamped.next().ok_or_else(missing), Err);
        Ok(refusals.into_iter().map(answer).collect())
    }

    /// The records of a group that happen, and for each of the group why it does not. In their order: what comes behind a
    /// deletion is refused.
    async fn admit(&self, group: Vec<(Record, Batch)>) -> Result<(Vec<(Record, Batch)>, Vec<Option<Error>>)> {
        self.load_deleted(&group).await?;
        let mut gone_now: Vec<Id> = Vec::new();
        let (mut admitted, mut refusals) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
        for (mut record, rows) in group {
            let is_gone = |person| gone_now.contains(&person) || self.deleted.get(&person) == Some(true);
            let refusal = living::refusal(&mut record.event, is_gone);
            if refusal.is_none() {
                if let Event::UserDeleted { user } = &record.event {
                    gone_now.push(user.id);
                }
                admitted.push((record, rows));
            }
            refusals.push(refusal);
        }
        Ok((admitted, refusals))
    }

    /// Learns who of those whom a group concerns was deleted.
    async fn load_deleted(&self, group: &[(Record, Batch)]) -> Result<()> {
        let concerned = group.iter().flat_map(|(record, _)| living::concerned(&record.event));
        let mut unknown: Vec<Id> = concerned.filter(|person| self.deleted.get(person).is_none()).collect();
        unknown.sort_unstable();
        unknown.dedup();
        if unknown.is_empty() {
            return Ok(());
        }
        let keys: Vec<RowKey> = unknown.iter().map(|person| tables::by_id(tables::USERS, *person)).collect();
        for (person, bytes) in unknown.iter().zip(self.engines.tables.get_many(&keys).await?) {
            let deleted = bytes.is_some_and(|bytes| from_json::<UserRow>(&bytes).is_ok_and(|row| row.deleted));
            self.deleted.insert(*person, deleted);
        }
        Ok(())
    }

    /// Commits records with their rows and tells the views; answers the records as they were stamped.
    async fn commit_admitted(&mut self, group: Vec<(Record, Batch)>) -> Result<Vec<Arc<Record>>> {
        let mut folds = self.load_folds(group.iter().map(|(record, _)| record)).await?;
        let mut batch = Batch::default();
        let mut payloads = Vec::with_capacity(group.len());
        let mut notified = Vec::new();
        let mut stamped = Vec::with_capacity(group.len());
        for (mut record, mut rows) in group {
            if let Event::Posted { post, notify } = &mut record.event {
                post.told = notify.iter().map(|notice| notice.user).collect();
                let key = tables::by_id(tables::USER_COUNTERS, post.author);
                let counters = folds.rows.get(&key).and_then(Option::as_ref);
                let followers = counters.map(|bytes| Counters::from_bytes(bytes)).transpose()?.unwrap_or_default();
                post.policy = self.views.stamp(post.author, followers.values[0]);
            }
            payloads.push(to_json(&record)?);
            notified.extend(projection::project(&record, &mut folds, &mut batch)?);
            batch.rows.append(&mut rows.rows);
            stamped.push(Arc::new(record));
        }
        let next = self.commit_with_retries(payloads, batch).await?;
        for record in &stamped {
            if let Event::UserDeleted { user } = &record.event {
                self.deleted.insert(user.id, true);
            }
        }
        self.tell(&stamped, folds, &notified)?;
        self.commits += 1;
        self.next = next;
        if let Some(last) = stamped.last() {
            self.passed.store(last.id.0, Ordering::Release);
        }
        if self.commits.is_multiple_of(limits::CHECKPOINT_EVERY) {
            self.checkpoint().await?;
        }
        Ok(stamped)
    }

    /// The fold rows that `records` need: from memory, or from the tables.
    async fn load_folds(&self, records: impl Iterator<Item = &Record>) -> Result<Folds> {
        let mut folds = Folds { group_after: self.group_after, ..Folds::default() };
        let mut missing = Vec::new();
        for key in records.flat_map(projection::fold_keys) {
            if folds.rows.contains_key(&key) {
                continue;
            }
            let known = self.folds.get(&key);
            if known.is_none() {
                missing.push(key.clone());
            }
            folds.rows.insert(key, known.flatten());
        }
        if !missing.is_empty() {
            let values = self.engines.tables.get_many(&missing).await?;
            folds.rows.extend(missing.into_iter().zip(values));
        }
        Ok(folds)
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

    fn tell(&self, records: &[Arc<Record>], folds: Folds, notified: &[Notified]) -> Result<()> {
        for (key, value) in folds.rows {
            if let (true, Some(bytes)) = (tables::holds_counters(key.table), &value) {
                self.views.counted(&key, Counters::from_bytes(bytes)?);
            }
            self.keep(key, value);
        }
        for record in records {
            self.views.committed(record);
        }
        for one in notified {
            self.views.notified(one);
        }
        Ok(())
    }

    fn keep(&self, key: RowKey, value: Option<Bytes>) {
        if !is_trimmed(&key) {
            self.folds.insert(key, value);
        }
    }

    async fn checkpoint(&self) -> Result<()> {
        Ok(self.engines.journal.checkpoint(PROJECTOR, PARTITION, self.next).await?)
    }

    /// Writes the rows of every record past the checkpoint again; answers the highest id in the journal. Those of which
    /// storage may have forgotten what followed are left out: they were answered, and a copy that came late would bring
    /// back what was deleted since.
    async fn repair(&mut self) -> Result<Id> {
        let forgotten = Forgotten::read(&*self.engines.tables).await?.upto;
        let journal = Arc::clone(&self.engines.journal);
        let (first, end) = journal.bounds(PARTITION).await?;
        let checkpoint = journal.checkpoint_of(PROJECTOR, PARTITION).await?;
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
            let mut folds = self.load_folds(records.iter()).await?;
            let mut batch = Batch::default();
            for record in &records {
                projection::project(record, &mut folds, &mut batch)?;
            }
            self.commit_with_retries(Vec::new(), batch).await?;
            for (key, value) in folds.rows {
                self.keep(key, value);
            }
        }
        self.next = end;
        self.checkpoint().await?;
        Ok(last)
    }
}
