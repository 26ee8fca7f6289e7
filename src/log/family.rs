//! Family of partitions, as its owners see it: what its records are, and what folding them gives.
//!
//! The owner (`owner.rs`) knows how records get ids, how groups of them become durable, and what comes of an owner that
//! is fenced or storage that is away: once for all families. A family says the rest, and is bound statically. Nothing
//! here is told of the clock.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, JournalRecord, Partition, Table};
use fanfare_protocol::Id;

use crate::base::error::{Error, Result};
use crate::data::swept::Swept;
use crate::log::events::Weight;
use crate::log::taken::Consumed;

/// Durable record of a family, and its outcome.
#[derive(Debug)]
pub struct CommittedOf<R, O> {
    /// The record.
    pub record: Arc<R>,
    /// Outcome of its fold.
    pub outcome: O,
}

impl<R, O: Clone> Clone for CommittedOf<R, O> {
    fn clone(&self) -> Self {
        Self { record: Arc::clone(&self.record), outcome: self.outcome.clone() }
    }
}

/// Durable record of the family `F`.
pub type CommittedIn<F> = CommittedOf<<F as Family>::Record, <F as Family>::Outcome>;

/// Knowledge of the past that is needed when rows of records are written again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Past {
    /// Record up to which storage may have forgotten what followed: rows of it and those before are not written again.
    pub forgotten: Id,
    /// The last hour whose expired rows were removed: what comes back for it or an earlier one expires again.
    pub swept: Option<Swept>,
}

/// Kind of partitions: their records, and the fold of these. Each owner of a partition has a value of its own.
///
/// Records and rows are a pure function of what was handed in and of earlier records: `fold` may be done again over the
/// same record, and `rows` makes the same rows of a record and its outcome however often. Every row's version is the
/// record's id, and its table one of the family's (`data/families.rs`).
pub trait Family: Send + Sync + Sized + 'static {
    /// Fact without an id, as it is handed in.
    type Proposal: Send + 'static;
    /// Fact with its id.
    type Record: Clone + Send + Sync + 'static;
    /// Outcome of folding a record.
    type Outcome: Clone + Send + Sync + 'static;
    /// Rows and the like that folding reads, as the records of one group leave them. A group begins with nothing.
    type State: Default + Send + Sync + 'static;
    /// Answer to whoever handed in.
    type Answer: Send + 'static;
    /// Facts that decide whether records happen, as they stand before a group; `()` where all of them do.
    type Standings: Send;
    /// Changes of these facts by the records of a group; `()` where all of them happen.
    type Changes: Default + Send + Sync;

    /// Name, as in the catalogue of families.
    const NAME: &'static str;
    /// Table of the owners' own rows, such as the heads of partitions.
    const OWN_TABLE: Table;
    /// Whether ids that stand in no record are reserved in commits of this family: where the row of the clock is.
    const HAS_CLOCK: bool = false;

    /// Bound of what the record of a proposal takes, whatever the state.
    fn weight(proposal: &Self::Proposal) -> Weight;

    /// Moment to mint the id for, in milliseconds since the Unix epoch; `None` is now.
    fn at_ms(proposal: &Self::Proposal) -> Option<u64> {
        let _ = proposal;
        None
    }

    /// Whether it only ends something: taken also when the disk is as good as full.
    fn only_ends(proposal: &Self::Proposal) -> bool {
        let _ = proposal;
        false
    }

    /// Proposal of a record that tells nothing but that its partition has come so far; none where nobody needs that.
    fn beat() -> Option<Self::Proposal> {
        None
    }

    /// Whether a record tells no more than a [`beat`](Self::beat) does.
    fn is_beat(record: &Self::Record) -> bool {
        let _ = record;
        false
    }

    /// The record of a proposal, under its id.
    fn number(proposal: Self::Proposal, id: Id) -> Self::Record;

    /// Id of a record.
    fn id(record: &Self::Record) -> Id;

    /// Id of a stored record of which nothing else may be readable.
    fn stored_id(one: &JournalRecord) -> Option<Id> {
        one.id.map(Id)
    }

    /// Whether it is to be decided only when it is known what became of the group that changes `changes`.
    fn depends_on(changes: &Self::Changes, proposal: &Self::Proposal) -> bool {
        let _ = (changes, proposal);
        false
    }

    /// Facts that decide whether `records` happen. May be dropped at any time.
    ///
    /// # Errors
    /// When the engine fails.
    fn standings(&self, records: &[Self::Record]) -> impl Future<Output = Result<Self::Standings>> + Send;

    /// Why each of `records` does not happen; those that do are added to `admitted`, and what they change to `changes`.
    fn admit(
        records: Vec<Self::Record>,
        standings: &Self::Standings,
        changes: &mut Self::Changes,
        admitted: &mut Vec<Self::Record>,
    ) -> Vec<Option<Error>> {
        let _ = (standings, changes);
        let refusals = records.iter().map(|_| None).collect();
        admitted.extend(records);
        refusals
    }

    /// The state that `records` need beyond what is in `state`: as the group `before` leaves it, which is on its way
    /// with those rows; from memory, or from the tables. May be dropped at any time.
    ///
    /// # Errors
    /// When the engine fails.
    fn load(
        &self,
        records: &[Self::Record],
        state: &Self::State,
        before: Option<(&Self::State, &Batch)>,
    ) -> impl Future<Output = Result<Self::State>> + Send;

    /// Adds what was loaded to the `state` of a group, which wrote `batch` so far.
    fn take_in(state: &mut Self::State, loaded: Self::State, batch: &Batch);

    /// Decides what `record` gives, adds its rows to `batch`, and brings `state` up to date. What only the order of
    /// records can tell is filled into the record.
    ///
    /// # Errors
    /// When a row of the state does not decode.
    fn fold(&self, record: &mut Self::Record, state: &mut Self::State, batch: &mut Batch) -> Result<Self::Outcome>;

    /// Line of a record in the journal, with its outcome.
    ///
    /// # Errors
    /// When it does not encode.
    fn line(&self, record: &Self::Record, outcome: &Self::Outcome) -> Result<Bytes>;

    /// A record of the journal, and its outcome.
    ///
    /// # Errors
    /// [`Corrupt`](fanfare_engines::EngineError::Corrupt), with the place, for one that this version cannot read: it
    /// ends the partition.
    fn read(&self, partition: Partition, one: &JournalRecord) -> Result<(Self::Record, Self::Outcome)>;

    /// Adds the rows of a record and its outcome to `batch`: the same however often.
    ///
    /// # Errors
    /// When a row does not encode.
    fn rows(&self, record: &Self::Record, outcome: &Self::Outcome, batch: &mut Batch) -> Result<()>;

    /// Knowledge that is needed before rows are written again.
    ///
    /// # Errors
    /// When the engine fails.
    fn past(&self) -> impl Future<Output = Result<Past>> + Send {
        async { Ok(Past::default()) }
    }

    /// The first and the last of durable records from which something follows in other partitions: the horizon that is
    /// shown stays below them until that is settled too.
    fn held(&self, committed: &[CommittedIn<Self>]) -> Option<(Id, Id)> {
        let _ = committed;
        None
    }

    /// Records of other partitions that were taken, with everything that was [kept](Self::keep).
    fn taken(&self) -> Consumed {
        Consumed::default()
    }

    /// The partition is taken over, from a head that knew of `taken`.
    fn begin(&self, taken: &Consumed) {
        let _ = taken;
    }

    /// A record above that head was read again.
    fn pass(&self, record: &Self::Record) {
        let _ = record;
    }

    /// Everything up to `last`, the highest id of a record, is settled.
    fn opened(&self, last: Id) {
        let _ = last;
    }

    /// A group is durable, whose records changed `changes` and left `state`: it may be kept for the next ones.
    fn keep(&self, state: Self::State, changes: &Self::Changes);

    /// Records of another owner are durable: what is kept of what they change is to be read again.
    fn learn(&self, committed: &[CommittedIn<Self>]);

    /// Adds what views need of records that another owner folded, and that stands in no line.
    ///
    /// # Errors
    /// When the engine fails: they are read again.
    fn complete(&self, committed: &mut [CommittedIn<Self>]) -> impl Future<Output = Result<()>> + Send {
        let _ = committed;
        async { Ok(()) }
    }

    /// Lets go of what is kept, for it may not be true any more: it is read again.
    fn forget(&self);

    /// Tells views of durable records whose rows are written: all that is durable comes once, in the order of the
    /// partition, before those who handed in are answered. All at or below `horizon` has been told, of every partition
    /// of the family; one call at a time. Must be quick and must not block.
    fn tell(&self, committed: &[CommittedIn<Self>], horizon: Id);

    /// Answer to who handed in what became this.
    fn answer(committed: CommittedIn<Self>) -> Self::Answer;
}
