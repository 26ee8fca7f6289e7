//! Layout of keys, values and counters in the store's bytes. Pure; what is here never changes meaning.
//!
//! ```text
//! rows     table u8 | partition length u8 | partition | clustering   → tag u8 | [version or token u64] | value
//! journal  partition u16 | offset u64                                → payload
//! meta     'p'                                                       → partitions u16
//!          'l' | partition u16                                       → mark: first, trimmed, next, appended u64
//!          'c' | partition u16 | consumer                            → next offset u64
//! ```
//! Numbers are big endian, so that bytes order as numbers do. The partition's length stands before it, so that no
//! partition is a prefix of another.

use std::ops::Bound;

use bytes::Bytes;
use fjall::Slice;

use crate::ports::{KeyRange, Offset, Partition, RowKey, RowWrite, Table};

const TAG_PLAIN: u8 = 0;
const TAG_VERSIONED: u8 = 1;
const TAG_DELETED: u8 = 2;
const TAG_UNIQUE: u8 = 3;

const NUMBER_BYTES: usize = size_of::<u64>();

/// A stored row's meaning.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Cell<'a> {
    Plain(&'a [u8]),
    Versioned(u64, &'a [u8]),
    /// A delete that older versions must not undo; of version 0 where rows have none, and then it protects nothing: it
    /// is there to be seen by scans, which count what they step over, until a compaction drops it.
    Deleted(u64),
    Unique(u64, &'a [u8]),
}

impl<'a> Cell<'a> {
    /// `None` when the bytes are none that this file wrote.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (&tag, rest) = bytes.split_first()?;
        if tag == TAG_PLAIN {
            return Some(Self::Plain(rest));
        }
        let (number, value) = rest.split_first_chunk::<NUMBER_BYTES>()?;
        let number = u64::from_be_bytes(*number);
        match tag {
            TAG_VERSIONED => Some(Self::Versioned(number, value)),
            TAG_DELETED if value.is_empty() => Some(Self::Deleted(number)),
            TAG_UNIQUE => Some(Self::Unique(number, value)),
            _ => None,
        }
    }

    pub(super) fn value(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Plain(value) | Self::Versioned(_, value) | Self::Unique(_, value) => Some(value),
            Self::Deleted(_) => None,
        }
    }

    /// 0 where rows have no versions.
    pub(super) fn version(&self) -> u64 {
        match *self {
            Self::Versioned(version, _) | Self::Deleted(version) => version,
            Self::Plain(_) | Self::Unique(..) => 0,
        }
    }
}

/// A row write in the store's bytes, made on the caller's thread to keep the committer free.
#[derive(Debug)]
pub(super) struct StoredRow {
    pub(super) key: Slice,
    pub(super) cell: Slice,
    /// 0 means unversioned.
    pub(super) version: u64,
}

impl StoredRow {
    pub(super) fn new(row: &RowWrite) -> Self {
        let key = row_key(&row.key);
        let cell = match (&row.value, row.version) {
            (None, version) => cell(TAG_DELETED, Some(version), &[]),
            (Some(value), 0) => cell(TAG_PLAIN, None, value),
            (Some(value), version) => cell(TAG_VERSIONED, Some(version), value),
        };
        Self { key, cell, version: row.version }
    }
}

fn cell(tag: u8, number: Option<u64>, value: &[u8]) -> Slice {
    let mut bytes = Vec::with_capacity(1 + NUMBER_BYTES + value.len());
    bytes.push(tag);
    if let Some(number) = number {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(value);
    Slice::from(bytes)
}

/// Stands for a row that was removed and has no versions.
pub(super) fn removed_cell() -> Slice {
    cell(TAG_DELETED, Some(0), &[])
}

/// Whether a stored cell is a row that reads answer.
pub(super) fn is_live(cell: &[u8]) -> bool {
    cell.first() != Some(&TAG_DELETED)
}

/// The row that holds a unique key for `token`.
pub(super) fn unique_cell(token: u64, value: &[u8]) -> Slice {
    cell(TAG_UNIQUE, Some(token), value)
}

/// Bytes that all rows of a partition start with, and no other row. The partition key was checked to fit its length.
pub(super) fn row_prefix(table: Table, partition: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(2 + partition.len() + 32);
    prefix.push(table.id);
    prefix.push(u8::try_from(partition.len()).unwrap_or(u8::MAX));
    prefix.extend_from_slice(partition);
    prefix
}

/// The number of the table that a stored row belongs to.
pub(super) fn table_of(key: &[u8]) -> Option<u8> {
    key.first().copied()
}

pub(super) fn row_key(key: &RowKey) -> Slice {
    let mut bytes = row_prefix(key.table, &key.partition);
    bytes.extend_from_slice(&key.clustering);
    Slice::from(bytes)
}

/// Lowest and highest key of a scan.
pub(super) type StoredRange = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Whether no key can be in it.
pub(super) fn is_empty(range: &StoredRange) -> bool {
    matches!(range, (Bound::Included(from), Bound::Excluded(to)) if from >= to)
}

/// The stored keys that a scan covers; `None` when it can cover none.
pub(super) fn row_range(prefix: &[u8], range: &KeyRange) -> Option<StoredRange> {
    let at = |clustering: &Bytes| [prefix, clustering].concat();
    let from = range.from.as_ref().map_or_else(|| prefix.to_vec(), at);
    let to = match &range.to {
        Some(to) => Some(at(to)),
        None => KeyRange::prefix(prefix).to.map(|end| end.to_vec()),
    };
    let range = (Bound::Included(from), to.map_or(Bound::Unbounded, Bound::Excluded));
    (!is_empty(&range)).then_some(range)
}

pub(super) fn record_key(partition: Partition, offset: Offset) -> [u8; 10] {
    let mut key = [0; 10];
    key[..2].copy_from_slice(&partition.0.to_be_bytes());
    key[2..].copy_from_slice(&offset.0.to_be_bytes());
    key
}

/// The offset in a record's key.
pub(super) fn record_offset(key: &[u8]) -> Option<Offset> {
    let offset = key.get(2..)?.try_into().ok()?;
    Some(Offset(u64::from_be_bytes(offset)))
}

pub(super) const PARTITIONS_KEY: &[u8] = b"p";

pub(super) fn mark_key(partition: Partition) -> Vec<u8> {
    [b"l".as_slice(), &partition.0.to_be_bytes()].concat()
}

pub(super) fn checkpoint_key(consumer: &str, partition: Partition) -> Vec<u8> {
    [b"c".as_slice(), &partition.0.to_be_bytes(), consumer.as_bytes()].concat()
}

/// End of a journal partition when the mark was written. Records after `next` are counted when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Oldest kept offset.
    pub(super) first: u64,
    /// Payload bytes that were ever trimmed away.
    pub(super) trimmed_bytes: u64,
    /// Offset of the next record.
    pub(super) next: u64,
    /// Payload bytes that were ever appended below `next`.
    pub(super) appended_bytes: u64,
}

impl Mark {
    pub(super) fn store(self) -> Slice {
        let numbers = [self.first, self.trimmed_bytes, self.next, self.appended_bytes];
        Slice::from(numbers.map(u64::to_be_bytes).concat())
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(NUMBER_BYTES).filter_map(number);
        let mut next = || numbers.next();
        Some(Self { first: next()?, trimmed_bytes: next()?, next: next()?, appended_bytes: next()? })
    }
}

/// A stored u64.
pub(super) fn number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Table = Table { id: 255, name: "test" };

    #[test]
    fn cells_mean_what_was_written() {
        let key = RowKey::single(TABLE, "p");
        let stored = |value: Option<&'static [u8]>, version| {
            StoredRow::new(&RowWrite { key: key.clone(), value: value.map(Bytes::from_static), version }).cell
        };
        assert_eq!(stored(None, 0), removed_cell());
        assert!(!is_live(&removed_cell()) && is_live(&stored(Some(b""), 7)));
        assert_eq!(Cell::parse(&stored(Some(b""), 0)), Some(Cell::Plain(b"")));
        assert_eq!(Cell::parse(&stored(Some(b"v"), 7)), Some(Cell::Versioned(7, b"v")));
        assert_eq!(Cell::parse(&stored(None, u64::MAX)), Some(Cell::Deleted(u64::MAX)));
        assert_eq!(Cell::parse(&unique_cell(9, b"v")), Some(Cell::Unique(9, b"v")));
        for strange in [b"".as_slice(), b"\x01short", b"\x09123456789"] {
            assert_eq!(Cell::parse(strange), None);
        }
    }

    #[test]
    fn the_last_partition_of_the_last_table_has_an_end_too() {
        let prefix = row_prefix(TABLE, &[u8::MAX; 255]);
        let range = row_range(&prefix, &KeyRange::ALL).unwrap();
        assert_eq!(range, (Bound::Included(prefix.clone()), Bound::Unbounded));
        let backwards = KeyRange { from: Some(Bytes::from_static(b"b")), to: Some(Bytes::from_static(b"a")) };
        assert_eq!(row_range(&prefix, &backwards), None);
    }

    #[test]
    fn a_mark_survives_its_bytes() {
        let mark = Mark { first: 1, trimmed_bytes: 2, next: 3, appended_bytes: u64::MAX };
        assert_eq!(Mark::parse(&mark.store()), Some(mark));
        assert_eq!(Mark::parse(b"short"), None);
    }
}
