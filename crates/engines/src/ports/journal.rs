//! Ordered, durable, partitioned events: what happened, and whose turn it is to say so.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Batch, EngineError};

/// Number of a journal partition, below [`Journal::partitions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

/// Place of an entry in a journal partition: each has a higher one than the entry before, maybe with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Offset(pub u64);

/// Time of one owner of a partition, named by the offset of the claim that began it: the higher, the newer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Term(pub u64);

/// Right to make one call: the term, and how many records the term has before the call's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Turn {
    /// The term.
    pub term: Term,
    /// Number of the call's first record in the term, counted from 0.
    pub number: u64,
}

impl Turn {
    /// The first turn of a term.
    #[must_use]
    pub const fn first(term: Term) -> Self {
        Self { term, number: 0 }
    }
}

/// Position between two entries of a partition's log, with all that decides which of the later entries count.
///
/// A reader that starts at a position which it was given sees the same records as one that came past it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Position {
    /// Everything below is decided.
    pub offset: Offset,
    /// The term; `None` before the first claim.
    pub term: Option<Term>,
    /// Highest id of a record that counts; 0 when there is none.
    pub last_id: u64,
    /// Number of the term's next record; [`ENDED`](Self::ENDED) when none of the term counts any more.
    pub number: u64,
    /// The term is an import's, whose ids are of other times.
    pub is_import: bool,
}

impl Position {
    /// Number of a next record that never comes: the term is over.
    pub const ENDED: u64 = u64::MAX;
    /// Beginning of every log.
    pub const START: Self = Self { offset: Offset(0), term: None, last_id: 0, number: 0, is_import: false };

    /// Position of a reader who knows of no claim, at `offset`: for logs that check at the write, and before the first
    /// claim.
    #[must_use]
    pub const fn at(offset: Offset) -> Self {
        Self { offset, ..Self::START }
    }
}

/// Node that claims a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimant {
    /// Name of the node, 1 to 64 bytes of `a-z 0-9 - _`; for people who read the log.
    pub node: String,
    /// Ids come from a file and may be of any time.
    pub is_import: bool,
}

/// Record that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecord {
    /// Above the id of every record before; its upper bits are the milliseconds in which it was minted
    /// ([`unix_ms_of`](crate::admission::unix_ms_of)).
    pub id: u64,
    /// Bytes of the record.
    pub payload: Bytes,
}

/// Record of the journal as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// Offset of the record.
    pub offset: Offset,
    /// Id it was appended with; `None` for a record from before there were claims, whose payload alone knows it.
    pub id: Option<u64>,
    /// Bytes that were appended.
    pub payload: Bytes,
    /// Milliseconds since the Unix epoch at which the log took it, stored with it; those of the id where the log checks
    /// at the write; 0 for a record without an id.
    pub appended_ms: u64,
}

/// Answer of [`Journal::read`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The records, oldest first.
    pub records: Vec<JournalRecord>,
    /// Position to go on from.
    pub next: Position,
}

/// Answer of [`Journal::claim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewTerm {
    /// The term that it begins.
    pub term: Term,
    /// Position behind the claim: everything up to there is decided.
    pub next: Position,
    /// Moment at which the log took it, in milliseconds since the Unix epoch; 0 for a log without a clock of its own,
    /// which reads the moments of records off their ids.
    pub appended_ms: u64,
}

/// Answer of [`Journal::commit`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Position after the call's last record.
    pub next: Position,
    /// Moment at which the log took the last record, as [`JournalRecord::appended_ms`]; 0 without records.
    pub appended_ms: u64,
}

/// Answer of [`Journal::trim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// Records that went.
    pub records: u64,
    /// Bytes of payload that stay.
    pub bytes_kept: u64,
}

/// Ordered, durable, partitioned events, kept until every consumer has passed them and retention lets them go.
///
/// Order holds within a partition. One owner at a time writes to it: whose *claim* is the newest. Which entries count
/// is decided by [`admission`](crate::admission) alone, the same for every reader: so a record counts once or never,
/// whoever else believes to be the owner and however often an append is repeated.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Number of partitions of all [families](crate::Families); grows when the data is opened with more of these, and
    /// never shrinks.
    fn partitions(&self) -> u16;

    /// Begins a term; answers it, the position behind the claim, and the log's time.
    ///
    /// From then on no record of an earlier term is taken. Durable when it answers. After an error the claim may stand,
    /// or come later: the caller claims again, and again whenever it is [`Fenced`](EngineError::Fenced) by such a one.
    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError>;

    /// Appends `records` in order to `partition`, then writes `rows`; answers when all is durable. Both are lent:
    /// whoever calls again has them still, and nobody copies them for that.
    ///
    /// Refused with [`Fenced`](EngineError::Fenced) when the term is not the newest, when an earlier call of the term
    /// is missing, when its number was given before, or when an id is not above the last: then no reader ever sees any
    /// of it, neither rows nor records. A missing call ends the term, so of several calls under way none stands without
    /// those before it. A call without records takes no number, and of its turn the term alone counts.
    ///
    /// Records are durable before any row is, and whoever reads a row finds its records. After
    /// [`Unavailable`](EngineError::Unavailable) nothing was done, and the same turn may be tried again. After
    /// [`Unknown`](EngineError::Unknown) the first of the records may stand, some partitions of the rows too, and the
    /// rest may still arrive: the caller claims again, and then reads which of them stand
    /// ([`Claim`](crate::claim::Claim) does it). Either `records` or `rows` may be empty. At most [`Batch::ROWS_MAX`]
    /// rows and as many records, in bytes as for a write; rows are of the partition's family alone
    /// ([`Limit`](EngineError::Limit)).
    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError>;

    /// Records that count, from `from` on, oldest first, at most `limit` (and at most 8 MiB, but at least one if there
    /// is one), and the position behind them. Starts at the oldest kept record when `from` was trimmed away; an empty
    /// answer means the end.
    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError>;

    /// The offset of the oldest kept entry, and the one the next entry will get; equal when empty. Claims are entries.
    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError>;

    /// Remembers that `consumer` (1 to 64 bytes of `a-z 0-9 - _`) has done with everything below `next`.
    ///
    /// Never moves back. Durable, but maybe only with the next commit: a consumer must bear to see records again.
    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError>;

    /// Position that was remembered for `consumer`; the beginning when none was.
    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError>;

    /// Lets go of the oldest records until at most `bytes_max` of payload stay, but of none at or above the lowest
    /// checkpoint of `consumers` (0 for one that has none yet). What they hold stays, however much it is.
    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError>;
}
