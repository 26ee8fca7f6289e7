//! Layout of keys, values and counters in the store's bytes. Pure; what is here never changes meaning.
//!
//! ```text
//! rows     table u8 | partition length u8 | partition | clustering   → tag u8 | [version or token u64] | value
//! journal  partition u16 | offset u64 | id u64                       → payload
//!          partition u16 | offset u64 | 'c'                          → claim: import u8 | node
//!          partition u16 | offset u64                                → payload of before there were claims
//! meta     'p'                                                       → partitions of all families u16
//!          'f' | name                                                → family: first u16 | count u16
//!          'i'                                                       → number of the whole folder u64
//!          'l' | partition u16                                       → mark: first, trimmed, next, appended u64
//!                                                                      | state at first | state at next
//!          'c' | partition u16 | consumer                            → next offset u64 | state there
//! state    flags u8 (1: term, 2: import) | term, last id, number u64
//! ```
//! Of several stores the first has 'p' and 'f', and each has its own of the rest. A mark or checkpoint without states
//! is from before there were claims. The id stands in the key, so that a payload is stored as it is.
//!
//! Numbers are big endian, so that bytes order as numbers do. The partition's length stands before it, so that no
//! partition is a prefix of another.

use std::ops::Bound;

use bytes::Bytes;
use fjall::Slice;

use crate::families::{FamilyPlace, StoredFamily};
use crate::ports::{Claimant, KeyRange, Offset, Partition, Position, RowKey, RowWrite, Table, Term};

const TAG_PLAIN: u8 = 0;
const TAG_VERSIONED: u8 = 1;
const TAG_DELETED: u8 = 2;
const TAG_UNIQUE: u8 = 3;

const NUMBER_BYTES: usize = size_of::<u64>();
/// Bytes of a partition and an offset.
const ENTRY_KEY_BYTES: usize = size_of::<u16>() + NUMBER_BYTES;
/// Stands behind them in the key of a claim.
const CLAIM: u8 = b'c';

/// Keys of checkpoints begin with it.
const CHECKPOINT: &[u8] = b"c";

/// Flags of a state.
const HAS_TERM: u8 = 1;
const IS_IMPORT: u8 = 2;
const STATE_BYTES: usize = 1 + 3 * NUMBER_BYTES;

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
    /// Made in `buffer`, which all rows of a batch share: the store copies what it is given.
    pub(super) fn new(row: &RowWrite, buffer: &mut Vec<u8>) -> Self {
        put_key(&row.key, buffer);
        let key = Slice::from(buffer.as_slice());
        match (&row.value, row.version) {
            (None, version) => put_cell(TAG_DELETED, Some(version), &[], buffer),
            (Some(value), 0) => put_cell(TAG_PLAIN, None, value, buffer),
            (Some(value), version) => put_cell(TAG_VERSIONED, Some(version), value, buffer),
        }
        Self { key, cell: Slice::from(buffer.as_slice()), version: row.version }
    }
}

fn cell(tag: u8, number: Option<u64>, value: &[u8]) -> Slice {
    let mut bytes = Vec::with_capacity(1 + NUMBER_BYTES + value.len());
    put_cell(tag, number, value, &mut bytes);
    Slice::from(bytes)
}

/// Makes a cell of `bytes`, whatever they were.
fn put_cell(tag: u8, number: Option<u64>, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.clear();
    bytes.push(tag);
    if let Some(number) = number {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    bytes.extend_from_slice(value);
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
    put_prefix(table, partition, &mut prefix);
    prefix
}

fn put_prefix(table: Table, partition: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(table.id);
    bytes.push(u8::try_from(partition.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(partition);
}

/// The number of the table that a stored row belongs to.
pub(super) fn table_of(key: &[u8]) -> Option<u8> {
    key.first().copied()
}

/// Key of a row.
pub(super) fn row_key(key: &RowKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + key.partition.len() + key.clustering.len());
    put_key(key, &mut bytes);
    bytes
}

/// Makes the key of a row of `bytes`, whatever they were.
fn put_key(key: &RowKey, bytes: &mut Vec<u8>) {
    bytes.clear();
    put_prefix(key.table, &key.partition, bytes);
    bytes.extend_from_slice(&key.clustering);
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

/// Beginning of the keys of an entry, and of no other's.
pub(super) fn entry_key(partition: Partition, offset: Offset) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [0; ENTRY_KEY_BYTES];
    key[..2].copy_from_slice(&partition.0.to_be_bytes());
    key[2..].copy_from_slice(&offset.0.to_be_bytes());
    key
}

/// Entry of the journal, by its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// Record, with the id it has if it was written under a claim.
    Record(Option<u64>),
    /// Claim.
    Claim,
}

/// Part of an entry that a stored key holds, and the entry's offset.
pub(super) fn parse_entry(key: &[u8]) -> Option<(Offset, Entry)> {
    let offset = Offset(number(key.get(2..ENTRY_KEY_BYTES)?)?);
    match &key[ENTRY_KEY_BYTES..] {
        [] => Some((offset, Entry::Record(None))),
        [CLAIM] => Some((offset, Entry::Claim)),
        id => Some((offset, Entry::Record(Some(number(id)?)))),
    }
}

/// Key of a record with an id. Small enough to lie within its handle, so it costs no allocation.
pub(super) fn record_key(partition: Partition, offset: Offset, id: u64) -> Slice {
    let mut key = [0; ENTRY_KEY_BYTES + NUMBER_BYTES];
    key[..ENTRY_KEY_BYTES].copy_from_slice(&entry_key(partition, offset));
    key[ENTRY_KEY_BYTES..].copy_from_slice(&id.to_be_bytes());
    Slice::from(key)
}

pub(super) fn claim_key(partition: Partition, offset: Offset) -> Slice {
    let mut key = [CLAIM; ENTRY_KEY_BYTES + 1];
    key[..ENTRY_KEY_BYTES].copy_from_slice(&entry_key(partition, offset));
    Slice::from(key)
}

pub(super) fn claim_value(claimant: &Claimant) -> Slice {
    Slice::from([&[u8::from(claimant.is_import)], claimant.node.as_bytes()].concat())
}

/// Whether a stored claim is an import's.
pub(super) fn is_import(claim: &[u8]) -> bool {
    claim.first() == Some(&1)
}

pub(super) const PARTITIONS_KEY: &[u8] = b"p";
pub(super) const FOLDER_ID_KEY: &[u8] = b"i";
pub(super) const FAMILY_PREFIX: &[u8] = b"f";

/// Key and value of a family.
pub(super) fn family_entry(family: &FamilyPlace) -> (Vec<u8>, Vec<u8>) {
    let key = [FAMILY_PREFIX, family.name.as_bytes()].concat();
    (key, [family.first.0, family.count].map(u16::to_be_bytes).concat())
}

/// A stored family.
pub(super) fn parse_family(key: &[u8], value: &[u8]) -> Option<StoredFamily> {
    let name = std::str::from_utf8(key.strip_prefix(FAMILY_PREFIX)?).ok()?.to_owned();
    let (first, count) = value.split_first_chunk::<2>()?;
    Some(StoredFamily { name, first: u16::from_be_bytes(*first), count: u16::from_be_bytes(count.try_into().ok()?) })
}

pub(super) fn mark_key(partition: Partition) -> Vec<u8> {
    [b"l".as_slice(), &partition.0.to_be_bytes()].concat()
}

pub(super) fn checkpoint_key(consumer: &str, partition: Partition) -> Vec<u8> {
    [CHECKPOINT, &partition.0.to_be_bytes(), consumer.as_bytes()].concat()
}

/// Whether a key of `meta` is a checkpoint's.
pub(super) fn is_checkpoint_key(key: &[u8]) -> bool {
    key.starts_with(CHECKPOINT)
}

/// State of a position, without its offset.
fn state(position: &Position) -> [u8; STATE_BYTES] {
    let flags = if position.term.is_some() { HAS_TERM } else { 0 } | if position.is_import { IS_IMPORT } else { 0 };
    let term = position.term.map_or(0, |term| term.0);
    let mut bytes = [flags; STATE_BYTES];
    for (place, value) in bytes[1..].chunks_exact_mut(NUMBER_BYTES).zip([term, position.last_id, position.number]) {
        place.copy_from_slice(&value.to_be_bytes());
    }
    bytes
}

/// The position at `offset` with a stored state, or with that of before there were claims.
fn position(offset: u64, state: Option<&[u8; STATE_BYTES]>) -> Option<Position> {
    let offset = Offset(offset);
    let Some([flags, numbers @ ..]) = state else { return Some(Position::at(offset)) };
    let mut numbers = numbers.chunks_exact(NUMBER_BYTES).filter_map(number);
    let mut next = || numbers.next();
    let (term, last_id, number) = (next()?, next()?, next()?);
    let term = (flags & HAS_TERM != 0).then_some(Term(term));
    Some(Position { offset, term, last_id, number, is_import: flags & IS_IMPORT != 0 })
}

/// A checkpoint's bytes.
pub(super) fn store_position(position: &Position) -> Slice {
    Slice::from([position.offset.0.to_be_bytes().as_slice(), &state(position)].concat())
}

/// A stored checkpoint.
pub(super) fn parse_position(bytes: &[u8]) -> Option<Position> {
    let (offset, rest) = bytes.split_first_chunk::<NUMBER_BYTES>()?;
    let offset = u64::from_be_bytes(*offset);
    if rest.is_empty() { position(offset, None) } else { position(offset, Some(rest.try_into().ok()?)) }
}

/// Ends of a journal partition when the mark was written. Entries after `next` are counted when it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mark {
    /// Position before the oldest kept entry.
    pub(super) first: Position,
    /// Payload bytes that were ever trimmed away.
    pub(super) trimmed_bytes: u64,
    /// Position before the next entry.
    pub(super) next: Position,
    /// Payload bytes that were ever appended below `next`.
    pub(super) appended_bytes: u64,
}

impl Mark {
    pub(super) fn store(&self) -> Slice {
        let numbers = [self.first.offset.0, self.trimmed_bytes, self.next.offset.0, self.appended_bytes];
        let numbers = numbers.map(u64::to_be_bytes).concat();
        Slice::from([numbers.as_slice(), &state(&self.first), &state(&self.next)].concat())
    }

    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let (numbers, states) = bytes.split_at_checked(4 * NUMBER_BYTES)?;
        let mut numbers = numbers.chunks_exact(NUMBER_BYTES).filter_map(number);
        let mut next = || numbers.next();
        let (first, trimmed_bytes, next, appended_bytes) = (next()?, next()?, next()?, next()?);
        let (at_first, at_next) = match states.split_first_chunk::<STATE_BYTES>() {
            None if states.is_empty() => (None, None),
            None => return None,
            Some((first, rest)) => (Some(first), Some(rest.try_into().ok()?)),
        };
        let (first, next) = (position(first, at_first)?, position(next, at_next)?);
        Some(Self { first, trimmed_bytes, next, appended_bytes })
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
            let row = RowWrite { key: key.clone(), value: value.map(Bytes::from_static), version };
            StoredRow::new(&row, &mut Vec::new()).cell
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
    fn marks_and_checkpoints_survive_their_bytes_and_those_of_before_claims_are_read() {
        let first = Position { offset: Offset(1), term: Some(Term(0)), last_id: 9, number: 3, is_import: true };
        let next = Position { offset: Offset(u64::MAX), number: Position::ENDED, is_import: false, ..first };
        let mark = Mark { first, trimmed_bytes: 2, next, appended_bytes: u64::MAX };
        assert_eq!(Mark::parse(&mark.store()), Some(mark));
        assert_eq!(parse_position(&store_position(&next)), Some(next));
        assert_eq!(parse_position(&store_position(&Position::START)), Some(Position::START));

        let before = [1_u64, 2, 3, 4].map(u64::to_be_bytes).concat();
        let (first, next) = (Position::at(Offset(1)), Position::at(Offset(3)));
        assert_eq!(Mark::parse(&before), Some(Mark { first, trimmed_bytes: 2, next, appended_bytes: 4 }));
        assert_eq!(parse_position(&before[..8]), Some(first));
        for torn in [&b"short"[..], &mark.store()[..40], &mark.store()[..60]] {
            assert_eq!(Mark::parse(torn), None);
            assert_eq!(parse_position(&torn[..5]), None);
        }
        assert_eq!(parse_position(&before[..20]), None);
    }

    #[test]
    fn entries_are_told_apart_by_their_keys() {
        let (partition, offset) = (Partition(2), Offset(7));
        assert_eq!(parse_entry(&record_key(partition, offset, 5)), Some((offset, Entry::Record(Some(5)))));
        assert_eq!(parse_entry(&claim_key(partition, offset)), Some((offset, Entry::Claim)));
        assert_eq!(parse_entry(&entry_key(partition, offset)), Some((offset, Entry::Record(None))));
        assert_eq!(parse_entry(&record_key(partition, offset, 5)[..12]), None);
        let later = entry_key(partition, Offset(8));
        let (record, claim) = (record_key(partition, offset, u64::MAX), claim_key(partition, offset));
        assert!([&record, &claim].iter().all(|key| key[..] < later[..]), "an entry lies behind the next one");
    }
}
