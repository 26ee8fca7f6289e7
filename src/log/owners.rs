//! Owners of a family's partitions on this node, as those who hand in see them: one a partition, each with a queue and
//! a thread of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fanfare_engines::{Claimant, EngineError, Engines, Partition, Term};
use fanfare_protocol::Id;
use tokio::sync::oneshot;

use super::ending::Ending;
use super::folder::queue::{Door, Queue, queue};
use super::follower::Follower;
use super::hearing::Hearing;
use super::horizon::Horizon;
use super::owner::{Around, Owner, OwnerThreads};
use super::pace::LogTime;
use super::patience::Patience;
use super::roster::{Assigned, Roster};
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::base::written;
use crate::data::locks::Held;
use crate::data::storage::{Storage, StoragePart};
use crate::log::family::Family;
use crate::log::mint::Mint;
use crate::log::spread::Spread;

/// Pause between two looks at whether a partition is behind the others.
const BEAT_PAUSE: Duration = Duration::from_millis(50);

/// A proposal at an owner's door.
pub(super) struct Proposed<F: Family> {
    pub(super) proposal: F::Proposal,
    /// Term under which it was decided; `None` for one that the fold decides about.
    pub(super) term: Option<u64>,
    /// Way back to who handed it in.
    pub(super) answer: Answer<F>,
}

/// Way back to who handed a proposal in. Until it is gone the decision's locks are held, also when nobody waits any
/// more: whoever decides about the same next must see what comes of this one.
pub(super) struct Answer<F: Family> {
    to: oneshot::Sender<Result<F::Answer>>,
    _held: Option<Arc<Held>>,
}

impl<F: Family> Answer<F> {
    /// Way back through `to`, with the locks that are held until then.
    pub(super) const fn new(to: oneshot::Sender<Result<F::Answer>>, held: Option<Arc<Held>>) -> Self {
        Self { to, _held: held }
    }

    /// Answers; gives back what a caller who went away does not take.
    pub(super) fn send(self, answer: Result<F::Answer>) -> Result<(), Result<F::Answer>> {
        self.to.send(answer)
    }
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
pub struct PendingIn<F: Family>(oneshot::Receiver<Result<F::Answer>>);

impl<F: Family> PendingIn<F> {
    /// The answer, once it is durable and views have heard of it. Waits while storage is away.
    ///
    /// # Errors
    /// When it was refused, as the error says: nothing was done then. `Unknown` where nobody can say what was.
    pub async fn durable(self) -> Result<F::Answer> {
        let answer = self.0.await;
        let answer =
            answer.unwrap_or_else(|_| Err(EngineError::Unknown("the log's owner has stopped".to_owned()).into()));
        answer.inspect(|_| written::note())
    }
}

/// Way to one owner.
struct Way<F: Family> {
    door: Door<F>,
    term: CurrentTerm,
    ending: Ending,
}

/// Owners of a family; clones are the same. Their threads end when every one of them is dropped.
pub struct FamilyLog<F: Family>(Arc<Inner<F>>);

impl<F: Family> Clone for FamilyLog<F> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

struct Inner<F: Family> {
    first: Partition,
    ways: Vec<Way<F>>,
    storage: Storage,
    roster: Arc<dyn Roster>,
    horizon: Horizon,
    hearing: Option<Hearing>,
}

/// Things that the owners of a family on one node have together.
pub(super) struct Together {
    pub(super) claimant: Claimant,
    pub(super) time: LogTime,
    pub(super) storage: Storage,
    pub(super) roster: Arc<dyn Roster>,
    pub(super) horizon: Horizon,
}

/// Owners that have taken their partitions over, each to be run with its queue.
pub(super) struct Taken<F: Family> {
    pub(super) owners: FamilyLog<F>,
    pub(super) each: Vec<(Owner<F>, Queue<F>)>,
    /// Highest id of a record.
    pub(super) last: Id,
    /// Patience of one of them.
    pub(super) patience: Patience,
}

impl<F: Family> Taken<F> {
    /// Starts the threads.
    pub(super) fn start(self, mint: &Mint) -> Result<(FamilyLog<F>, OwnerThreads)> {
        let Self { owners, each, .. } = self;
        let start = |(owner, queue): (Owner<F>, Queue<F>)| owner.start(queue, mint.clone());
        let threads = each.into_iter().map(start).collect::<Result<_>>()?;
        Ok((owners, OwnerThreads::new(threads)))
    }
}

impl<F: Family> FamilyLog<F> {
    /// Takes all partitions of the family over; `make` makes what folds the records of one. Storage that is away is
    /// waited for.
    pub(super) async fn take_over(
        engines: &Engines,
        make: impl Fn(Partition) -> F,
        together: Together,
    ) -> Result<Taken<F>> {
        let Together { claimant, time, storage, roster, horizon } = together;
        let unknown = || Error::Internal(format!("the engines have no family {}", F::NAME));
        let family = engines.families.get(F::NAME).ok_or_else(unknown)?;
        let follower = Follower::new(horizon.clone());
        let hearing = roster.tells_what_is_settled().then(|| Hearing::new(family.first, family.count));
        let around = Around { claimant, time, follower, roster: Arc::clone(&roster), hearing: hearing.clone() };
        let mut lasts = Vec::new();
        let stand_by = async |partition, patience| {
            let (owner, highest) = Owner::stand_by(engines, (partition, make(partition)), &around, patience).await?;
            Ok::<_, Error>((owner, highest, None))
        };
        let (mut ways, mut each, mut last, mut patient) = (Vec::new(), Vec::new(), Id(0), None);
        for partition in family.partitions() {
            let (door, queue) = queue();
            let handles = door.handles();
            // With the only one of those nothing else is there that could go on.
            let is_of_all = F::HAS_CLOCK && family.count == 1;
            let ending = Ending::new(storage.clone(), F::NAME, partition, is_of_all);
            let patience = Patience::new(ending.clone(), move || handles.are_gone());
            let (owner, highest, unreadable) = match roster.owner_of(partition) {
                Assigned::Here => {
                    match Owner::take_over(engines, (partition, make(partition)), &around, patience.clone()).await {
                        // Another node claimed it meanwhile: it is taken again as after any fence.
                        Err(Error::Engine(EngineError::Fenced)) if hearing.is_some() => {
                            stand_by(partition, patience.clone()).await?
                        }
                        taken => taken?,
                    }
                }
                Assigned::There(_) => stand_by(partition, patience.clone()).await?,
            };
            lasts.push((partition, highest));
            ways.push(Way { door, term: owner.term(), ending: ending.clone() });
            last = last.max(highest);
            match unreadable {
                None => each.push((owner, queue)),
                Some(unreadable) => ending.say(&unreadable),
            }
            patient = Some(patience);
        }
        if hearing.is_some() {
            horizon.of_many(&lasts);
        }
        let patience = patient.ok_or_else(unknown)?;
        let owners = Self(Arc::new(Inner { first: family.first, ways, storage, roster, horizon, hearing }));
        Ok(Taken { owners, each, last, patience })
    }

    /// Partition of whatever has this id: of a person, or a conversation. The same for ever.
    #[must_use]
    pub fn partition_of(&self, id: Id) -> Partition {
        Spread::over(self.0.first.0, self.0.ways.len() as u16).partition_of(id)
    }

    /// The partition of the family, where it has one alone.
    pub fn only_partition(&self) -> Option<Partition> {
        (self.0.ways.len() == 1).then_some(self.0.first)
    }

    /// `partition`, if this node decides there and storage takes something.
    ///
    /// # Errors
    /// 503 when another node decides there, it takes nothing more, or storage is away: nothing was begun.
    pub(super) fn here(&self, partition: Partition) -> Result<()> {
        match self.0.roster.owner_of(partition) {
            Assigned::There(node) => Err(Error::Elsewhere(node)),
            Assigned::Here => match self.way(partition)?.ending.refusal() {
                Some(refusal) => Err(refusal),
                None => Ok(self.0.storage.admit(&[StoragePart::Rows, StoragePart::Log], None)?),
            },
        }
    }

    /// The term of the owner of `partition`.
    pub(super) fn term(&self, partition: Partition) -> Result<u64> {
        Ok(self.way(partition)?.term.get())
    }

    fn way(&self, Partition(partition): Partition) -> Result<&Way<F>> {
        let place = partition.checked_sub(self.0.first.0).map(usize::from);
        let way = place.and_then(|place| self.0.ways.get(place));
        way.ok_or_else(|| Error::Internal(format!("the family {} has no partition {partition}", F::NAME)))
    }

    /// Hands in a proposal about which the fold decides, to the partition of `id`; those handed in earlier to the same
    /// are committed earlier. Waits for a place in the queue.
    ///
    /// # Errors
    /// 503 when another node owns the partition; when storage is away, has no room for it, or failed before; when one
    /// record would make too many rows. Nothing was done.
    pub async fn propose(&self, id: Id, proposal: F::Proposal) -> Result<PendingIn<F>> {
        let partition = self.partition_of(id);
        self.here(partition)?;
        self.hand_in(partition, proposal, None, None).await
    }

    /// Hands in a proposal, which was decided in `term` under the locks `held`.
    pub(super) async fn hand_in(
        &self,
        partition: Partition,
        proposal: F::Proposal,
        term: Option<u64>,
        held: Option<Arc<Held>>,
    ) -> Result<PendingIn<F>> {
        let rows = F::weight(&proposal).rows;
        if rows > limits::RECORD_ROWS_MAX {
            let what = format!("one record of {rows} rows; {} is the limit", limits::RECORD_ROWS_MAX);
            return Err(Error::Internal(what));
        }
        let (way, storage) = (self.way(partition)?, &self.0.storage);
        if let Some(refusal) = way.ending.refusal() {
            return Err(refusal);
        }
        let adds = (!F::only_ends(&proposal)).then_some(0);
        storage.admit(&[StoragePart::Rows, StoragePart::Log], adds)?;
        let (to, pending) = oneshot::channel();
        let proposed = Proposed { proposal, term, answer: Answer::new(to, held) };
        if !storage.unless_away(way.door.send(proposed)).await? {
            let error = EngineError::Closed("the log's owner has stopped".to_owned());
            storage.fail(&error);
            return Err(error.into());
        }
        Ok(PendingIn(pending))
    }

    /// Owners: the partition of each, how many proposals wait for it, and whether it takes any.
    pub fn states(&self) -> impl Iterator<Item = (Partition, usize, bool)> + '_ {
        let serves = self.0.storage.serves();
        let state = move |(place, way): (u16, &Way<F>)| {
            (Partition(self.0.first.0 + place), way.door.len(), serves && !way.ending.is_said())
        };
        (0..).zip(&self.0.ways).map(state)
    }

    /// Id up to which views have heard of every record: no row is written from one of these again in the life of this
    /// process.
    #[must_use]
    pub fn settled(&self) -> Id {
        self.0.horizon.reached_by_records()
    }

    /// The id at or below which nothing of the family can settle any more.
    #[must_use]
    pub fn horizon(&self) -> &Horizon {
        &self.0.horizon
    }

    /// Way to hear what other nodes settle, and to say what this one does; none on a node that is alone.
    #[must_use]
    pub fn hearing(&self) -> Option<&Hearing> {
        self.0.hearing.as_ref()
    }

    /// Lets partitions that are owned here come up to what was heard of others, by records that tell nothing else: so
    /// the horizon of all nodes moves on. Without end, where others own some of them.
    pub async fn keep_up(self) {
        if self.0.hearing.is_none() {
            return;
        }
        loop {
            tokio::time::sleep(BEAT_PAUSE).await;
            let mut pending = Vec::new();
            for partition in self.behind() {
                let Some(beat) = F::beat() else { return };
                match self.hand_in(partition, beat, None, None).await {
                    Ok(one) => pending.push(one),
                    Err(error) => tracing::debug!(partition = partition.0, %error, "a partition is not kept up"),
                }
            }
            for one in pending {
                if let Err(error) = one.durable().await {
                    tracing::debug!(%error, "a partition is not kept up");
                }
            }
        }
    }

    /// Partitions that this node owns and that are behind what was heard of others; ids that come are above that.
    fn behind(&self) -> Vec<Partition> {
        let (own, upto) = self.own_behind();
        if !own.is_empty() {
            self.0.horizon.raise_mint(upto);
        }
        own
    }

    /// Partitions that this node owns and that are behind what was heard of others, and what they are to come up to.
    fn own_behind(&self) -> (Vec<Partition>, Id) {
        let (behind, upto) = self.0.horizon.behind();
        (behind.into_iter().filter(|partition| self.here(*partition).is_ok()).collect(), upto)
    }

    /// Whether no partition that this node owns is behind what was heard of others.
    #[cfg(test)]
    pub(super) fn is_kept_up(&self) -> bool {
        self.own_behind().0.is_empty()
    }

    /// Whether storage works.
    pub(super) fn storage(&self) -> &Storage {
        &self.0.storage
    }

    /// Roster of this node.
    pub(super) fn roster(&self) -> &Arc<dyn Roster> {
        &self.0.roster
    }
}
