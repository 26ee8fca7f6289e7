//! Ordered, durable, partitioned events: what happened.

use async_trait::async_trait;
use bytes::Bytes;

use super::{Batch, EngineError};

/// Number of a journal partition, below [`Journal::partitions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u16);

/// Position in a journal partition: each record has a higher one than the record before, maybe with gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Offset(pub u64);

/// Record of the journal as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRecord {
    /// Offset of the record.
    pub offset: Offset,
    /// Bytes that were appended.
    pub payload: Bytes,
}

/// Ordered, durable, partitioned events, kept until every consumer has passed them and retention lets them go.
///
/// Order holds within a partition. Delivery is at least once: a record whose append answered an error may be there,
/// and may be there twice, so that records must carry an id of their own by which consumers drop repeats.
#[async_trait]
pub trait Journal: Send + Sync + 'static {
    /// Number of partitions; fixed for the life of the data.
    fn partitions(&self) -> u16;

    /// Appends `records` in order to `partition`, then writes `rows`; returns the first offset when all is durable.
    ///
    /// Records are durable before any row is, and whoever reads a row finds its records. After an error some of the
    /// records may stand, some partitions of the rows too, and the rest may still arrive: the caller repeats the call,
    /// or a later process writes the rows again from the records past its checkpoint. Either `records` or `rows` may be
    /// empty. At most [`Batch::ROWS_MAX`] rows and as many records, in bytes as for a write. Concurrent calls are kept
    /// apart but their order is open.
    async fn commit(&self, partition: Partition, records: Vec<Bytes>, rows: Batch) -> Result<Offset, EngineError>;

    /// Records at and above `from`, oldest first, at most `limit` (and at most 8 MiB, but at least one if there is
    /// one). Starts at the oldest kept record when `from` was trimmed away; an empty answer means the end.
    async fn read(&self, partition: Partition, from: Offset, limit: usize) -> Result<Vec<JournalRecord>, EngineError>;

    /// The offset of the oldest kept record, and the one the next record will get; equal when empty.
    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError>;

    /// Remembers that `consumer` (1 to 64 bytes of `a-z 0-9 - _`) has done with everything below `next`.
    ///
    /// Never moves back. Durable, but maybe only with the next commit: a consumer must bear to see records again.
    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Offset) -> Result<(), EngineError>;

    /// Offset that was remembered for `consumer`; 0 when none was.
    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Offset, EngineError>;

    /// Lets go of the oldest records until at most `bytes_max` of payload stay, but of none at or above the lowest
    /// checkpoint of `consumers` (0 for one that has none yet). Returns how many records went.
    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<u64, EngineError>;
}
