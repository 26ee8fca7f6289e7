//! The write path as services see it: events go in, durable records come out.

use std::sync::{Arc, Weak};

use fanfare_engines::{Claimant, Engines, Partition};
use fanfare_protocol::Id;

use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::base::written;
use crate::data::audit::Act;
use crate::data::layout::Layout;
use crate::data::locks::{Held, LockKey, Locks};
use crate::data::storage::Storage;
use crate::log::events::{Event, IdempotencyKey, Record, Weight, weight};
use crate::log::family::Family;
use crate::log::hearing::Hearing;
use crate::log::horizon::Horizon;
use crate::log::living::Living;
use crate::log::mint::{Mint, Numbers};
use crate::log::owner::OwnerThreads;
use crate::log::owners::{FamilyLog, PendingIn, Taken, Together};
use crate::log::pace::LogTime;
use crate::log::product::Product;
use crate::log::roster::{Assigned, Roster};
use crate::log::social::Social;
use crate::log::spread::Spread;
use crate::log::taken::Crossing;
use crate::log::takers;

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

/// A proposal that was handed in, not yet durable.
pub type Pending = PendingIn<Social>;

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

/// Handle of the write path; clones share it. The owners' threads end when every one of them is dropped.
#[derive(Clone)]
pub struct Log {
    owners: FamilyLog<Social>,
    mint: Mint,
    locks: Locks,
    /// Name of this node in the log.
    claimant: Claimant,
    /// Partitions of people, and what takers look at of each.
    spread: Spread,
    crossings: Arc<[Crossing]>,
}

impl Log {
    /// Takes the social partitions over and starts their owners. Storage that is away is waited for. A clock by hand is
    /// an import's, whose ids are of any time: its claim says so.
    ///
    /// # Errors
    /// When the engines fail for good.
    pub async fn open(engines: &Engines, products: Vec<Product>, setup: LogSetup) -> Result<(Self, OwnerThreads)> {
        let (log, taken) = Self::take_over(engines, &products, setup).await?;
        let (_, threads) = taken.start(&log.mint)?;
        Ok((log, threads))
    }

    /// Takes the partitions over; the owners are to be run with their queues.
    pub(super) async fn take_over(
        engines: &Engines,
        products: &[Product],
        setup: LogSetup,
    ) -> Result<(Self, Taken<Social>)> {
        let LogSetup { clock, numbers, storage, roster, horizon } = setup;
        let time = LogTime::from(clock.clone());
        let claimant = Claimant { node: numbers.node_name(), is_import: clock.is_by_hand() };
        let living = Arc::new(Living::new(Arc::clone(&engines.tables)));
        let layout = Layout::default();
        let spread = Spread::of(&engines.families)?;
        let crossings: Arc<[Crossing]> = spread.partitions().map(|_| Crossing::default()).collect();
        let make = |partition| {
            let place = spread.partitions().position(|one| one == partition);
            let crossing = place.and_then(|place| crossings.get(place)).cloned().unwrap_or_default();
            Social::new(products, &engines.tables, (&layout, &living), (spread, crossing))
        };
        let (locks, horizon_of_all) = (Locks::new(storage.clone()), horizon.clone());
        let together = Together { claimant: claimant.clone(), time: time.clone(), storage, roster, horizon };
        let taken = FamilyLog::take_over(engines, make, together).await?;
        if !taken.owners.storage().has_failed() {
            // Every row so far is of an id below, and those of new records are above.
            taken.patience.until_done(|| layout.begin(&*engines.tables, taken.last)).await?;
        }
        let is_alone = taken.owners.roster().is_alone();
        let open = || Mint::open(Arc::clone(&engines.tables), time.clone(), numbers, taken.last, is_alone);
        let mint = taken.patience.until_done(open).await?;
        if !is_alone && !spread.is_one() {
            // What follows may not be settled of records that were not looked at.
            for (partition, crossing) in spread.partitions().zip(&*crossings) {
                let looked_at = || async { Ok(engines.journal.checkpoint_of(takers::CONSUMER, partition).await?) };
                let upto = taken.patience.until_done(looked_at).await?;
                let settled = crossing.settled();
                if settled > Id(upto.last_id) {
                    horizon_of_all.hold(partition, (Id(upto.last_id + 1), settled));
                }
            }
        }
        let views: Vec<_> = products.iter().filter_map(|one| one.listener.as_ref().map(Arc::downgrade)).collect();
        horizon_of_all.tells(move |horizon| {
            views.iter().filter_map(Weak::upgrade).for_each(|view| view.settled(horizon));
        });
        horizon_of_all.open(mint.clone(), taken.last);
        let owners = taken.owners.clone();
        Ok((Self { owners, mint, locks, claimant, spread, crossings }, taken))
    }

    /// Takes the partitions of another family over and starts their owners; `make` makes what folds the records of one.
    /// Ids are of the one mint of this node. Storage that is away is waited for. Where somebody asks for the family's
    /// horizon, time is to be [kept reserved](Horizon::keep_reserved) for it, as for the social one.
    ///
    /// # Errors
    /// When the engines fail for good, or have no such family.
    pub async fn open_family<F: Family>(
        &self,
        engines: &Engines,
        make: impl Fn(Partition) -> F,
    ) -> Result<(FamilyLog<F>, OwnerThreads)> {
        self.take_over_family(engines, make).await?.start(&self.mint)
    }

    /// Takes the partitions of another family over; the owners are to be run with their queues.
    pub(super) async fn take_over_family<F: Family>(
        &self,
        engines: &Engines,
        make: impl Fn(Partition) -> F,
    ) -> Result<Taken<F>> {
        let (horizon, storage) = (Horizon::default(), self.owners.storage().clone());
        let together = Together {
            claimant: self.claimant.clone(),
            time: self.mint.time().clone(),
            storage,
            roster: Arc::clone(self.owners.roster()),
            horizon: horizon.clone(),
        };
        let taken = FamilyLog::take_over(engines, make, together).await?;
        taken.patience.until_done(|| self.mint.go_on_above(taken.last)).await?;
        horizon.open(self.mint.clone(), taken.last);
        Ok(taken)
    }

    /// Partition of a person, for ever.
    #[must_use]
    pub fn partition_of(&self, person: Id) -> Partition {
        self.owners.partition_of(person)
    }

    /// Begins a decision of `actor`, whose records go to the partition of theirs, about what `keys` lock. To be held
    /// from before the first row is read until the record is durable.
    ///
    /// # Errors
    /// 503 when another node decides for `actor`, or storage is away: nothing was begun.
    pub async fn decide(&self, actor: Id, keys: &[LockKey]) -> Result<Guard> {
        let partition = self.here(actor)?;
        let held = if keys.is_empty() { None } else { Some(Arc::new(self.locks.hold(keys).await?)) };
        let guard = Guard { partition, term: self.owners.term(partition)?, held };
        // Whoever finds done what is asked for answers as whoever did it: when all that follows is there.
        written::record(self.settled_in(&guard)?);
        Ok(guard)
    }

    /// The last record of the partition of `guard` that is settled, where there are several partitions.
    ///
    /// # Errors
    /// When it is no partition of people.
    pub fn settled_in(&self, guard: &Guard) -> Result<Id> {
        if self.spread.is_one() { Ok(Id(0)) } else { Ok(self.crossing(guard.partition)?.settled()) }
    }

    /// Partitions of people.
    #[must_use]
    pub const fn spread(&self) -> Spread {
        self.spread
    }

    /// Part of a partition that takers look at.
    ///
    /// # Errors
    /// When it is no partition of people.
    pub(super) fn crossing(&self, partition: Partition) -> Result<&Crossing> {
        let place = self.spread.partitions().position(|one| one == partition);
        let unknown = || Error::Internal(format!("{} is no partition of people", partition.0));
        place.and_then(|place| self.crossings.get(place)).ok_or_else(unknown)
    }

    /// Lets partitions take again what they have taken: for a test that must notice.
    #[cfg(test)]
    pub(super) fn take_twice(&self) {
        let on = |crossing: &Crossing| crossing.takes_twice.store(true, std::sync::atomic::Ordering::Relaxed);
        self.crossings.iter().for_each(on);
    }

    /// Begins a decision about what reaches `partition` from another, as [`decide`](Self::decide) does.
    ///
    /// # Errors
    /// As [`decide`](Self::decide).
    pub(super) async fn decide_in(&self, partition: Partition, keys: &[LockKey]) -> Result<Guard> {
        self.owners.here(partition)?;
        let held = if keys.is_empty() { None } else { Some(Arc::new(self.locks.hold(keys).await?)) };
        Ok(Guard { partition, term: self.owners.term(partition)?, held })
    }

    /// Waits until what follows from `record` in other partitions is settled, a second at most: for answers that show
    /// it. Nothing is waited for where there is one partition.
    pub async fn followed(&self, record: Id) {
        if !self.spread.is_one() {
            self.horizon().comes_to(record, limits::EFFECTS_WAIT).await;
        }
    }

    /// Waits as [`followed`](Self::followed) does, and until what follows from that in turn, from the partition of
    /// `person`, is settled.
    pub async fn followed_back(&self, record: Id, person: Id) {
        self.followed(record).await;
        if let Ok(crossing) = self.crossing(self.partition_of(person)) {
            self.followed(crossing.settled()).await;
        }
    }

    /// Begins one decision of several `actors`, as [`decide`](Self::decide) does; answers a guard for each.
    ///
    /// # Errors
    /// 503 when another node decides for one of them, or storage is away.
    pub async fn decide_all(&self, actors: &[Id], keys: &[LockKey]) -> Result<Vec<Guard>> {
        let partitions: Vec<Partition> = actors.iter().map(|actor| self.here(*actor)).collect::<Result<_>>()?;
        let held = Some(Arc::new(self.locks.hold(keys).await?));
        let guard = |partition| Ok(Guard { partition, term: self.owners.term(partition)?, held: held.clone() });
        partitions.into_iter().map(guard).collect()
    }

    /// An id for a person of the moment `at_ms` (milliseconds), for whom this node decides.
    ///
    /// # Errors
    /// [`Error::Elsewhere`] where it decides for nobody; as [`mint_at`](Self::mint_at).
    pub async fn mint_person_at(&self, at_ms: u64) -> Result<Id> {
        if self.is_alone() {
            return self.unless_away(self.mint.mint_at(at_ms)).await?;
        }
        let mut found = Ok(Id(0));
        // Of few partitions one is hit soon.
        for _ in 0..limits::nodes::PERSON_IDS_MAX {
            let id = self.unless_away(self.mint.mint_at(at_ms)).await??;
            match self.here(id) {
                Ok(_) => return Ok(id),
                Err(error @ Error::Elsewhere(_)) => found = Err(error),
                Err(error) => return Err(error),
            }
        }
        found
    }

    /// Whether no other node writes to the same engines.
    #[must_use]
    pub fn is_alone(&self) -> bool {
        self.owners.hearing().is_none()
    }

    /// Error of the first of `people` for whom another node decides; none where this one does for all.
    #[must_use]
    pub fn elsewhere(&self, people: impl IntoIterator<Item = Id>) -> Option<Error> {
        people.into_iter().find_map(|person| match self.owners.roster().owner_of(self.owners.partition_of(person)) {
            Assigned::There(node) => Some(Error::Elsewhere(node)),
            Assigned::Here => None,
        })
    }

    /// Whether this node should own `partition`.
    #[must_use]
    pub fn owns(&self, partition: Partition) -> bool {
        matches!(self.owners.roster().owner_of(partition), Assigned::Here)
    }

    /// Way to hear what other nodes settle, and to say what this one does; none on a node that is alone.
    #[must_use]
    pub fn hearing(&self) -> Option<&Hearing> {
        self.owners.hearing()
    }

    /// Whether no partition that is owned here is behind those of other nodes.
    #[cfg(test)]
    pub(super) fn is_kept_up(&self) -> bool {
        self.owners.is_kept_up()
    }

    /// Keeps partitions that are owned here up with those of other nodes. Without end, where there are others.
    pub async fn keep_up(self) {
        self.owners.keep_up().await;
    }

    /// Partition of `actor`, for whom this node decides.
    fn here(&self, actor: Id) -> Result<Partition> {
        let partition = self.owners.partition_of(actor);
        // Before the locks: whoever holds them may be waiting for storage.
        self.owners.here(partition)?;
        Ok(partition)
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
        Ok(self.owners.storage().unless_away(wait).await?)
    }

    /// Makes `proposal`, which was decided under `guard`, durable and visible, and answers its record.
    ///
    /// # Errors
    /// As [`Self::submit`] and [`Pending::durable`]; 503 when the partition had another owner since the decision.
    pub async fn commit(&self, guard: &Guard, proposal: impl Into<Proposal>) -> Result<Arc<Record>> {
        let record = self.submit(guard, proposal).await?.durable().await?;
        written::record(record.id);
        Ok(record)
    }

    /// Hands in a `proposal` that was decided under `guard`; those handed in earlier are committed earlier. Waits for a
    /// place in the queue.
    ///
    /// # Errors
    /// When storage is away, has no room for it, or failed before: nothing was done; or when one record would make too
    /// many rows.
    pub async fn submit(&self, guard: &Guard, proposal: impl Into<Proposal>) -> Result<Pending> {
        let (term, held, proposal) = (Some(guard.term), guard.held.clone(), proposal.into());
        // A row is written from one partition only: a record of somebody else's would break that for ever.
        if !self.spread.is_one() && proposal.event.actor().is_some() {
            let partition = self.spread.share(&proposal.event).partition();
            if partition != guard.partition {
                let (asked, here) = (partition.0, guard.partition.0);
                return Err(Error::Internal(format!("a record of partition {asked} was decided in {here}")));
            }
        }
        self.owners.hand_in(guard.partition, proposal, term, held).await
    }

    /// The mint that records get their ids from.
    #[cfg(test)]
    pub(super) const fn minting(&self) -> &Mint {
        &self.mint
    }

    /// An id for something that is no record, such as media or an account. An id that is waited for is one that nobody
    /// has yet, so that waiting ends when storage goes away.
    ///
    /// # Errors
    /// As [`Mint::mint`]; 503 while storage is away and none is left: nothing was done.
    pub async fn mint(&self) -> Result<Id> {
        self.unless_away(self.mint.mint()).await?
    }

    /// A version above `floor`, which was read, as [`Mint::mint_above`] gives it.
    ///
    /// # Errors
    /// As [`mint`](Self::mint).
    pub async fn mint_above(&self, floor: Id) -> Result<Id> {
        self.unless_away(self.mint.mint_above(floor)).await?
    }

    /// The last id that was minted; the next is above it.
    #[must_use]
    pub fn last_minted(&self) -> Id {
        self.mint.last()
    }

    /// The id up to which everything was there when the log was opened: of a node that is alone, the last minted.
    #[must_use]
    pub fn shown(&self) -> Id {
        if self.is_alone() { self.mint.last() } else { self.horizon().reached() }
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
        self.owners.settled()
    }

    /// The id at or below which nothing can settle any more.
    #[must_use]
    pub fn horizon(&self) -> &Horizon {
        self.owners.horizon()
    }

    /// Whether writes are taken: storage is neither away nor has it failed.
    #[must_use]
    pub fn takes(&self) -> bool {
        self.owners.storage().serves()
    }

    /// Storage failed, and every write is refused until a restart.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.owners.storage().has_failed()
    }
}

#[cfg(test)]
#[path = "handle_tests.rs"]
mod tests;
