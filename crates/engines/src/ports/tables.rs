//! Durable rows: the truth that every view is rebuilt from.

use std::hash::{Hash, Hasher};

use async_trait::async_trait;
use bytes::Bytes;

use super::EngineError;

/// Name of a table. The number is what engines store, so it never changes meaning; the name is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Table {
    /// Stored number, unique in the catalogue.
    pub id: u8,
    /// Snake-case name for logs, metrics and remote engines.
    pub name: &'static str,
}

/// Address of a row: rows with the same table and partition are kept together, ordered by clustering key, bytewise.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowKey {
    /// The table.
    pub table: Table,
    /// Partition key, 1 to 255 bytes.
    pub partition: Bytes,
    /// Clustering key, 0 to 512 bytes; empty for one-row partitions.
    pub clustering: Bytes,
}

impl Hash for RowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The table's number tells as much as its name does.
        self.table.id.hash(state);
        self.partition.hash(state);
        self.clustering.hash(state);
    }
}

impl RowKey {
    /// A row with a clustering key.
    pub fn new(table: Table, partition: impl Into<Bytes>, clustering: impl Into<Bytes>) -> Self {
        Self { table, partition: partition.into(), clustering: clustering.into() }
    }

    /// The only row of its partition.
    pub fn single(table: Table, partition: impl Into<Bytes>) -> Self {
        Self::new(table, partition, Bytes::new())
    }
}

/// Row to write or to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowWrite {
    /// Key of the row.
    pub key: RowKey,
    /// The new value; `None` deletes the row.
    pub value: Option<Bytes>,
    /// The highest version ever written wins, deletes included, in whatever order writes arrive; of two writes with
    /// the same version the engine may keep either. 0 means unversioned: the last to arrive wins, so it is for rows
    /// whose every write is the same. A row is written with versions always or never.
    pub version: u64,
}

/// Rows to write together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    /// Later entries for the same key win over earlier ones, versions aside.
    pub rows: Vec<RowWrite>,
}

impl Batch {
    /// Most rows in one batch.
    pub const ROWS_MAX: usize = 65_536;

    /// Adds an unversioned row: one whose every write is the same.
    pub fn put(&mut self, key: RowKey, value: impl Into<Bytes>) {
        self.rows.push(RowWrite { key, value: Some(value.into()), version: 0 });
    }

    /// Adds a row of which the highest `version` wins.
    pub fn put_versioned(&mut self, key: RowKey, value: impl Into<Bytes>, version: u64) {
        self.rows.push(RowWrite { key, value: Some(value.into()), version });
    }

    /// Deletes a row unless a higher version was or will be written.
    pub fn delete_versioned(&mut self, key: RowKey, version: u64) {
        self.rows.push(RowWrite { key, value: None, version });
    }

    /// Deletes an unversioned row.
    pub fn delete(&mut self, key: RowKey) {
        self.rows.push(RowWrite { key, value: None, version: 0 });
    }
}

/// A row that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Clustering key.
    pub clustering: Bytes,
    /// Value.
    pub value: Bytes,
}

/// Range of rows in a partition: clustering keys at or above `from` and below `to`, bytewise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// Lowest key, included; `None` starts at the first row.
    pub from: Option<Bytes>,
    /// Lowest key that is too high; `None` goes on to the last row.
    pub to: Option<Bytes>,
}

impl KeyRange {
    /// Every row.
    pub const ALL: Self = Self { from: None, to: None };

    /// Rows whose clustering key starts with `prefix`.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut end = prefix.to_vec();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Self { from: Some(Bytes::copy_from_slice(prefix)), to: Some(end.into()) };
            }
        }
        Self { from: Some(Bytes::copy_from_slice(prefix)), to: None }
    }
}

/// Direction of a scan, by clustering key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// Lowest key first.
    Ascending,
    /// Highest key first; where keys are ids this is newest first.
    Descending,
}

/// Answer of [`Tables::insert_unique`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unique {
    /// The row is there with the caller's token: inserted now, or by an earlier try of the same caller.
    Mine,
    /// The key is held by another token; this is its value.
    Taken(Bytes),
}

/// Answer of [`Tables::replace_unique`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replaced {
    /// The row is there with the caller's new token: replaced now, or by an earlier try of the same caller.
    Mine,
    /// The key is held by neither of the two tokens; this is its value. Nothing was done.
    Taken(Bytes),
    /// Nobody holds the key. Nothing was done.
    Free,
}

/// Durable rows, grouped in partitions. The truth that every view is rebuilt from.
///
/// Atomic within one partition only. Rows of a partition are ordered by clustering key, bytewise. There are no
/// counters, no transactions and no scans across partitions. Reads see every write that was acknowledged before they
/// began, by whichever caller.
#[async_trait]
pub trait Tables: Send + Sync + 'static {
    /// Writes all rows of `batch`, per partition all or none, and returns when they are durable (fsync or quorum).
    ///
    /// Idempotent: writing the same rows again changes nothing. After an error some partitions may be written and
    /// others not, and what is missing may still arrive later: after newer writes, which only versions protect.
    ///
    /// At most [`Batch::ROWS_MAX`] rows, a value at most [`VALUE_BYTES_MAX`](crate::limits::VALUE_BYTES_MAX), all
    /// together [`WRITE_BYTES_MAX`](crate::limits::WRITE_BYTES_MAX), and all of one [family](crate::Families);
    /// otherwise nothing is written ([`Limit`](EngineError::Limit)).
    async fn write(&self, batch: Batch) -> Result<(), EngineError>;

    /// The value of one row.
    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError>;

    /// The values of `keys`, in the same order; not one moment's view of them.
    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError>;

    /// Rows of one partition with clustering keys in `range`, at most `limit`, in `order`.
    ///
    /// One moment's view of the partition. Costs O(`limit`), plus what was deleted within the range since it was last
    /// scanned. A scan that meets very much of that does not hold its caller's thread; beyond so many of them at once
    /// the next is refused ([`Unavailable`](EngineError::Unavailable)).
    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError>;

    /// Inserts a row unless the key is held; durable when it answers. Linearizable per key.
    ///
    /// `token` names the caller's attempt: a retry after a lost answer finds [`Unique::Mine`]. Rows made here are
    /// read with [`get`](Self::get) (which answers `value`), and are changed by no other calls but
    /// [`replace_unique`](Self::replace_unique) and [`release_unique`](Self::release_unique). A call that was answered
    /// with [`EngineError::Unknown`] may take the key later, even after a retry and a release: a token is used for one
    /// attempt and its retries, never again.
    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError>;

    /// Replaces a row of [`insert_unique`](Self::insert_unique) if the token `held` has it: compare and set. From then
    /// on the token `new` has it. Durable when it answers; linearizable per key.
    ///
    /// Tokens name attempts: `new` is for this one and its retries, and a retry after a lost answer finds
    /// [`Replaced::Mine`] unless somebody has replaced the row since. A call that was answered with
    /// [`EngineError::Unknown`] may replace the row later, but only while `held` still has it.
    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError>;

    /// Deletes a row of [`insert_unique`](Self::insert_unique) if `token` holds it; otherwise does nothing. Durable.
    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError>;

    /// Lets go of the deletes of `tables` up to version `upto`, some time.
    ///
    /// The caller's word: no call that is under way or comes writes rows of these tables with a version at or below
    /// `upto`, unless it deletes them. What earlier calls left to arrive late is the engine's own care. Reads answer
    /// the same as before. May be called again, also with a lower version, which changes nothing; a restart may begin
    /// at nothing again.
    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError>;
}
