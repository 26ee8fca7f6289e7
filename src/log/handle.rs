//! The write path as services see it: events go in, durable records come out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_engines::{Claimant, EngineError, Engines, Partition, Term};
use fanfare_protocol::Id;
use tokio::sync::oneshot;

use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::base::written;
use crate::data::audit::Act;
use crate::data::locks::{Held, LockKey, Locks};
use crate::data::storage::{Storage, StoragePart};
use crate::log::events::{Event, IdempotencyKey, Record, Weight, weight};
use crate::log::folder::queue::{Door, Queue, queue};
use crate::log::follower::Settled;
use crate::log::horizon::Horizon;
use crate::log::mint::{Mint, Numbers};
use crate::log::owner::{Around, Owner, OwnerThread, PARTITION};
use crate::log::pace::LogTime;
use crate::log::patience::Patience;
use crate::log::product::Product;
use crate::log::roster::{Assigned, Roster};

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
}

impl Proposal {
    /// Bound of what its record takes.
    pub(super) fn weight(&self) -> Weight {
        weight(&self.event, self.idempotency.as_ref(), self.audit.as_ref())
    }
}

impl From<Event> for Proposal {
    fn from(event: Event) -> Self {
        Self { event, at_ms: None, idempotency: None, import_line: None, audit: None }
    }
}

/// A proposal at the owner's door.
pub(super) struct Proposed {
    pub(super) proposal: Proposal,
    /// Term under which it was decided.
    pub(super) term: u64,
    /// Way back to who handed it in.
    pub(super) answer: Answer,
}

/// Way back to who handed a proposal in. Until it is gone the decision's locks are held, also when nobody waits any
/// more: whoever decides about the same next must see what comes of this one.
pub(super) struct Answer {
    to: oneshot::Sender<Result<Arc<Record>>>,
    _held: Option<Arc<Held>>,
}

impl Answer {
    /// Way back through `to`, with the locks that are held until then.
    pub(super) const fn new(to: oneshot::Sender<Result<Arc<Record>>>, held: Option<Arc<Held>>) -> Self {
        Self { to, _held: held }
    }

    /// Answers; gives back what a caller who went away does not take.
    pub(super) fn send(self, record: Result<Arc<Record>>) -> Result<(), Result<Arc<Record>>> {
        self.to.send(record)
    }
}

/// Right to write records of one decision: locks on what it reads, and the term under which it was begun. What was
/// decided under another term than the one in which it arrives is refused, for somebody else may have written between.
/// What was handed in under it keeps the locks until it is answered, however its caller ends.
#[must_use]
pub struct Guard {
    partition: Partition,
    term: u64,
    /// Locks, which go with each record until it is answered.
    held: Option<Arc<Held>>,
}

/// Term of a partition's owner, as this node knows it.
#[derive(Debug, Clone)]
pub(super) struct CurrentTerm(Arc<AtomicU64>);

impl CurrentTerm {
    /// Term of the claim with which the partition was taken over. A claim of the same owner after an outcome that was
    /// not known changes nothing: nobody else wrote between.
    pub(super) fn new(term: Term) -> Self {
        Self(Arc::new(AtomicU64::new(term.0)))
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    /// The partition was taken over again: what is decided from now on reads all that others wrote.
    pub(super) fn set(&self, term: Term) {
        self.0.store(term.0, Ordering::Release);
    }
}

/// A proposal that was handed in, not yet durable.
pub struct Pending(oneshot::Receiver<Result<Arc<Record>>>);

impl Pending {
    /// The record, once it is durable and visible. Waits while storage is away.
    ///
    /// # Errors
    /// When it was refused, as the error says: nothing was done then. `Unknown` where nobody can say what was.
    pub async fn durable(self) -> Result<Arc<Record>> {
        let answer = self.0.await;
        let answer =
            answer.unwrap_or_else(|_| Err(EngineError::Unknown("the log's owner has stopped".to_owned()).into()));
        answer.inspect(|_| written::note())
    }
}

/// Surroundings of a log.
pub struct LogSetup {
    /// Time that ids follow.
    pub clock: Clock,
    /// Numbers in ids.
    pub numbers: Numbers,
    /// Whether storage works.
    pub storage: Storage,
    /// Assignment of partitions to nodes.
    pub roster: Arc<dyn Roster>,
    /// Horizon, which views may have from before the log is open.
    pub horizon: Horizon,
}

/// Handle of the write path; clones share it. The owner's thread ends when every one of them is dropped.
#[derive(Clone)]
pub struct Log {
    door: Door,
    mint: Mint,
    storage: Storage,
    settled: Settled,
    term: CurrentTerm,
    locks: Locks,
    roster: Arc<dyn Roster>,
    horizon: Horizon,
}

impl Log {
    /// Takes the partition over and starts its owner. Storage that is away is waited for. A clock by hand is an
    /// import's, whose ids are of any time: its claim says so.
    ///
    /// # Errors
    /// When the engines fail for good.
    pub async fn open(engines: &Engines, products: Vec<Product>, setup: LogSetup) -> Result<(Self, OwnerThread)> {
        let (log, owner, queue) = Self::take_over(engines, products, setup).await?;
        let thread = owner.start(queue, log.minting().clone(), log.storage.clone())?;
        Ok((log, thread))
    }

    /// Takes the partition over; the owner is to be run with the queue.
    pub(super) async fn take_over(
        engines: &Engines,
        products: Vec<Product>,
        setup: LogSetup,
    ) -> Result<(Self, Owner, Queue)> {
        let LogSetup { clock, numbers, storage, roster, horizon } = setup;
        let (door, queue) = queue();
        let handles = door.handles();
        let patience = Patience::new(storage.clone(), move || handles.are_gone());
        let time = LogTime::from(clock.clone());
        let claimant = Claimant { node: numbers.node_name(), is_import: clock.is_by_hand() };
        let around = Around { claimant, time: time.clone(), horizon: horizon.clone(), roster: Arc::clone(&roster) };
        let (owner, last) = Owner::take_over(engines, products, around, patience.clone(), &storage).await?;
        let (settled, term, locks) = (owner.settled(), owner.term(), Locks::new(storage.clone()));
        let open = || Mint::open(Arc::clone(&engines.tables), time.clone(), numbers, last);
        let mint = patience.until_done(open).await?;
        horizon.open(mint.clone(), last);
        Ok((Self { door, mint, storage, settled, term, locks, roster, horizon }, owner, queue))
    }

    /// Begins a decision of `actor`, whose records go to the partition of theirs, about what `keys` lock. To be held
    /// from before the first row is read until the record is durable.
    ///
    /// # Errors
    /// 503 when another node decides for `actor`, or storage is away: nothing was begun.
    pub async fn decide(&self, actor: Id, keys: &[LockKey]) -> Result<Guard> {
        let partition = self.here(actor)?;
        let held = if keys.is_empty() { None } else { Some(Arc::new(self.locks.hold(keys).await?)) };
        Ok(Guard { partition, term: self.term.get(), held })
    }

    /// Begins one decision of several `actors`, as [`decide`](Self::decide) does; answers a guard for each.
    ///
    /// # Errors
    /// 503 when another node decides for one of them, or storage is away.
    pub async fn decide_all(&self, actors: &[Id], keys: &[LockKey]) -> Result<Vec<Guard>> {
        let partitions: Vec<Partition> = actors.iter().map(|actor| self.here(*actor)).collect::<Result<_>>()?;
        let held = Some(Arc::new(self.locks.hold(keys).await?));
        let term = self.term.get();
        Ok(partitions.into_iter().map(|partition| Guard { partition, term, held: held.clone() }).collect())
    }

    /// Partition of `actor`, for whom this node decides.
    fn here(&self, actor: Id) -> Result<Partition> {
        let partition = partition_of(actor);
        match self.roster.owner_of(partition) {
            Assigned::There(node) => Err(Error::Elsewhere(node)),
            Assigned::Here => {
                // Before the locks: whoever holds them may be waiting for storage.
                self.storage.admit(&[StoragePart::Rows, StoragePart::Log], None)?;
                Ok(partition)
            }
        }
    }

    /// Locks of decisions, for those that end in no record.
    #[must_use]
    pub fn locks(&self) -> &Locks {
        &self.locks
    }

    /// Outcome of `wait`, unless storage is away or goes meanwhile.
    ///
    /// # Errors
    /// 503 while storage is away, or when it has failed.
    pub async fn unless_away<T>(&self, wait: impl Future<Output = T>) -> Result<T> {
        Ok(self.storage.unless_away(wait).await?)
    }

    /// Makes `proposal`, which was decided under `guard`, durable and visible, and answers its record.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Pending::durable`]; 503 when the partition had another owner since the decision.
    pub async fn commit(&self, guard: &Guard, proposal: impl Into<Proposal>) -> Result<Arc<Record>> {
        self.submit(guard, proposal).await?.durable().await
    }

    /// Hands in a `proposal` that was decided under `guard`; those handed in earlier are committed earlier. Waits for a
    /// place in the queue.
    ///
    /// # Errors
    /// When storage is away, has no room for it, or failed before: nothing was done; or when one record would make too
    /// many rows.
    pub async fn submit(&self, guard: &Guard, proposal: impl Into<Proposal>) -> Result<Pending> {
        debug_assert_eq!(guard.partition, PARTITION, "a node has one partition");
        let proposal = proposal.into();
        let rows = proposal.weight().rows;
        if rows > limits::RECORD_ROWS_MAX {
            let what = format!("one record of {rows} rows; {} is the limit", limits::RECORD_ROWS_MAX);
            return Err(Error::Internal(what));
        }
        let adds = (!proposal.event.only_ends()).then_some(0);
        self.storage.admit(&[StoragePart::Rows, StoragePart::Log], adds)?;
        let (to, pending) = oneshot::channel();
        let answer = Answer::new(to, guard.held.clone());
        let proposed = Proposed { proposal, term: guard.term, answer };
        if !self.storage.unless_away(self.door.send(proposed)).await? {
            let error = EngineError::Closed("the log's owner has stopped".to_owned());
            self.storage.fail(&error);
            return Err(error.into());
        }
        Ok(Pending(pending))
    }

    /// The mint that records get their ids from.
    pub(super) const fn minting(&self) -> &Mint {
        &self.mint
    }

    /// An id for something that is no record, such as media or an account.
    ///
    /// # Errors
    /// As [`Mint::mint`].
    pub async fn mint(&self) -> Result<Id> {
        self.mint.mint().await
    }

    /// A version above `floor`, which was read, as [`Mint::mint_above`] gives it.
    ///
    /// # Errors
    /// As [`Mint::mint`].
    pub async fn mint_above(&self, floor: Id) -> Result<Id> {
        self.mint.mint_above(floor).await
    }

    /// The last id that was minted; the next is above it.
    #[must_use]
    pub fn last_minted(&self) -> Id {
        self.mint.last()
    }

    /// An id that no record is above, now.
    #[must_use]
    pub fn newest(&self) -> Id {
        self.mint.newest()
    }

    /// An id of a given moment (milliseconds), as [`mint`](Self::mint) gives one of now; for imports.
    ///
    /// # Errors
    /// As [`Mint::mint`].
    pub async fn mint_at(&self, at_ms: u64) -> Result<Id> {
        self.mint.mint_at(at_ms).await
    }

    /// Moment by which what has expired may be removed, in milliseconds since the Unix epoch: no clock that was set
    /// forward makes it run away.
    #[must_use]
    pub fn sweep_ms(&self) -> u64 {
        self.mint.sweep_ms()
    }

    /// Remembers now and then that somebody runs on this folder.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn beat(&self) -> Result<()> {
        self.mint.beat().await
    }

    /// The last record that was answered: no row is written from it or an earlier one again in the life of this
    /// process.
    #[must_use]
    pub fn settled(&self) -> Id {
        self.settled.get()
    }

    /// The id at or below which nothing can settle any more.
    #[must_use]
    pub fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// Whether writes are taken: storage is neither away nor has it failed.
    #[must_use]
    pub fn takes(&self) -> bool {
        self.storage.serves()
    }

    /// Storage failed, and every write is refused until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.storage.has_failed()
    }
}

/// Partition of a person: a node has one, and everybody is in it.
const fn partition_of(_person: Id) -> Partition {
    PARTITION
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
