//! Group of writes on its way into one commit: versions, uniqueness and offsets are decided here.
//!
//! Only the committer thread makes groups, one after the other, so what a group sees (the store, overlaid with the
//! earlier writes of the same group) is the truth until it is committed.

use std::collections::HashMap;

use bytes::Bytes;
use fjall::{OwnedWriteBatch, PersistMode, Slice};

use super::layout::{self, Cell, Mark, StoredRow};
use super::store::{Store, corrupt};
use crate::admission::Header;
use crate::ports::{Claimant, EngineError, Offset, Partition, Position, Replaced, Table, Term, Turn, Unique};

/// Records after which a partition's mark is written again: what opening has to count at most.
const MARK_RECORDS: u64 = 4_096;

/// Writes of one call, in the store's bytes.
#[derive(Debug)]
pub(super) enum Work {
    Write {
        rows: Vec<StoredRow>,
    },
    Claim {
        partition: Partition,
        claimant: Claimant,
    },
    /// Ids and payloads of the records.
    Commit {
        partition: Partition,
        turn: Turn,
        records: Vec<(u64, Slice)>,
        rows: Vec<StoredRow>,
    },
    InsertUnique {
        key: Slice,
        cell: Slice,
        token: u64,
    },
    ReplaceUnique {
        key: Slice,
        cell: Slice,
        held: u64,
        new: u64,
    },
    ReleaseUnique {
        key: Slice,
        token: u64,
    },
    Checkpoint {
        key: Vec<u8>,
        next: Position,
    },
    Trim {
        partition: Partition,
        trim: Trimmable,
    },
}

/// Oldest entries that can go: those from `from` up to `to`, with their keys; none when `from` is not the oldest.
#[derive(Debug)]
pub(super) struct Trimmable {
    pub(super) from: Position,
    pub(super) to: Position,
    pub(super) keys: Vec<Slice>,
    /// Bytes of their payloads.
    pub(super) bytes: u64,
}

impl Work {
    /// Writes to the store that this makes, about.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Write { rows } => rows.len(),
            Self::Commit { records, rows, .. } => records.len() + rows.len(),
            Self::Claim { .. }
            | Self::InsertUnique { .. }
            | Self::ReplaceUnique { .. }
            | Self::ReleaseUnique { .. }
            | Self::Checkpoint { .. } => 1,
            Self::Trim { trim, .. } => trim.keys.len(),
        }
    }
}

impl Work {
    /// Whether it adds nothing but marks of what is gone, and rows of the table `own`: taken also when the disk is as
    /// good as full.
    pub(super) fn only_frees(&self, own: Option<Table>) -> bool {
        let is_own = |row: &StoredRow| own.is_some_and(|own| layout::table_of(&row.key) == Some(own.id));
        match self {
            Self::Write { rows } => rows.iter().all(|row| !layout::is_live(&row.cell) || is_own(row)),
            // Without records it is the end of what was let in before: rows that an owner writes again when it takes
            // the partition over, which it does not come up without.
            Self::Commit { records, .. } => records.is_empty(),
            Self::InsertUnique { key, .. } => own.is_some_and(|own| layout::table_of(key) == Some(own.id)),
            // A claim finds out what stands, which is to be known whatever the disk is like; what is replaced is no
            // more.
            Self::Claim { .. }
            | Self::ReplaceUnique { .. }
            | Self::ReleaseUnique { .. }
            | Self::Checkpoint { .. }
            | Self::Trim { .. } => true,
        }
    }
}

/// Answer of a call when its group is durable.
#[derive(Debug)]
pub(super) enum Done {
    Written,
    Claimed(Term, Position),
    /// Position behind what was appended.
    Appended(Position),
    /// Nothing was: it is not the caller's turn.
    Fenced,
    Unique(Unique),
    Replaced(Replaced),
    /// Whether the trim was done.
    Trimmed(bool),
}

impl Done {
    /// Error of a committer that answered another question.
    pub(super) fn strange(&self) -> EngineError {
        EngineError::Unknown(format!("the committer answered {self:?}"))
    }
}

/// Merged writes: a later write to the same key replaces an earlier one.
pub(super) struct Group<'a> {
    store: &'a Store,
    rows: HashMap<Slice, Slice>,
    journal: Vec<(Slice, Option<Slice>)>,
    meta: HashMap<Vec<u8>, Slice>,
    /// The partitions' ends as they will be after the group.
    tails: HashMap<Partition, Mark>,
    /// Checkpoints alone may wait for the next fsync.
    must_sync: bool,
}

impl<'a> Group<'a> {
    pub(super) fn new(store: &'a Store) -> Self {
        Self {
            store,
            rows: HashMap::new(),
            journal: Vec::new(),
            meta: HashMap::new(),
            tails: HashMap::new(),
            must_sync: false,
        }
    }

    /// Takes one call's writes in. After an error the whole group must be dropped: it may hold a part of them.
    pub(super) fn add(&mut self, work: Work) -> Result<Done, EngineError> {
        self.must_sync |= !matches!(work, Work::Checkpoint { .. });
        match work {
            Work::Write { rows } => {
                self.write(rows)?;
                Ok(Done::Written)
            }
            Work::Claim { partition, claimant } => {
                let (term, next) = self.claim(partition, &claimant);
                Ok(Done::Claimed(term, next))
            }
            Work::Commit { partition, turn, records, rows } => match self.append(partition, turn, records) {
                Some(next) => {
                    self.write(rows)?;
                    Ok(Done::Appended(next))
                }
                None => Ok(Done::Fenced),
            },
            Work::InsertUnique { key, cell, token } => self.insert_unique(key, cell, token).map(Done::Unique),
            Work::ReplaceUnique { key, cell, held, new } => {
                self.replace_unique(key, cell, held, new).map(Done::Replaced)
            }
            Work::ReleaseUnique { key, token } => {
                let held = self.stored(&key)?;
                if matches!(held.as_deref().map(parse).transpose()?, Some(Cell::Unique(holder, _)) if holder == token) {
                    self.rows.insert(key, layout::removed_cell());
                }
                Ok(Done::Written)
            }
            Work::Checkpoint { key, next } => self.checkpoint(key, next),
            Work::Trim { partition, trim } => Ok(Done::Trimmed(self.trim(partition, trim))),
        }
    }

    /// A row's bytes as the group sees them.
    fn stored(&self, key: &[u8]) -> Result<Option<Slice>, EngineError> {
        match self.rows.get(key) {
            Some(written) => Ok(Some(written.clone())),
            None => self.store.rows.get(key).map_err(|error| self.store.fault(error)),
        }
    }

    fn write(&mut self, rows: Vec<StoredRow>) -> Result<(), EngineError> {
        self.rows.reserve(rows.len());
        for StoredRow { key, cell, version } in rows {
            if version > 0
                && let Some(stored) = self.stored(&key)?
                && parse(&stored)?.version() >= version
            {
                continue; // an equal version is a repeat
            }
            self.rows.insert(key, cell);
        }
        Ok(())
    }

    fn insert_unique(&mut self, key: Slice, cell: Slice, token: u64) -> Result<Unique, EngineError> {
        if let Some(stored) = self.stored(&key)? {
            match parse(&stored)? {
                Cell::Unique(holder, _) if holder == token => return Ok(Unique::Mine),
                held => {
                    if let Some(value) = held.value() {
                        return Ok(Unique::Taken(Bytes::copy_from_slice(value)));
                    }
                }
            }
        }
        self.rows.insert(key, cell);
        Ok(Unique::Mine)
    }

    fn replace_unique(&mut self, key: Slice, cell: Slice, held: u64, new: u64) -> Result<Replaced, EngineError> {
        let Some(stored) = self.stored(&key)? else { return Ok(Replaced::Free) };
        match parse(&stored)? {
            Cell::Unique(holder, _) if holder == new => Ok(Replaced::Mine),
            Cell::Unique(holder, _) if holder == held => {
                self.rows.insert(key, cell);
                Ok(Replaced::Mine)
            }
            other => {
                let value = other.value().map(Bytes::copy_from_slice);
                Ok(value.map_or(Replaced::Free, Replaced::Taken))
            }
        }
    }

    fn checkpoint(&mut self, key: Vec<u8>, next: Position) -> Result<Done, EngineError> {
        let stored = match self.meta.get(&key) {
            Some(written) => Some(written.clone()),
            None => self.store.meta_value(&key)?,
        };
        let kept = match &stored {
            Some(bytes) => layout::parse_position(bytes).ok_or_else(|| self.store.corrupt("a checkpoint"))?,
            None => Position::START,
        };
        if next.offset > kept.offset {
            self.meta.insert(key, layout::store_position(&next));
        }
        Ok(Done::Written)
    }

    fn tail(&mut self, partition: Partition) -> &mut Mark {
        self.tails.entry(partition).or_insert_with(|| self.store.tail(partition).load())
    }

    fn claim(&mut self, partition: Partition, claimant: &Claimant) -> (Term, Position) {
        let tail = self.tail(partition);
        let offset = tail.next.offset;
        tail.next.admit(offset, &Header::Claim { is_import: claimant.is_import }, 0);
        let next = tail.next;
        self.journal.push((layout::claim_key(partition, offset), Some(layout::claim_value(claimant))));
        self.mark(partition);
        (Term(offset.0), next)
    }

    /// Appends the records of a call; `None` when it is not its turn.
    fn append(&mut self, partition: Partition, turn: Turn, records: Vec<(u64, Slice)>) -> Option<Position> {
        let tail = self.tail(partition);
        let first = tail.next.offset;
        match tail.next.admit_call(turn, records.iter().map(|(id, _)| *id)) {
            Ok(next) => {
                tail.next = next;
                tail.appended_bytes += records.iter().map(|(_, payload)| payload.len() as u64).sum::<u64>();
                let keyed = (first.0..)
                    .zip(records)
                    .map(|(offset, (id, payload))| (layout::record_key(partition, Offset(offset), id), Some(payload)));
                self.journal.extend(keyed);
                // Crossing a multiple, not counting from the last mark: no state to keep between groups.
                if first.0 / MARK_RECORDS != next.offset.0 / MARK_RECORDS {
                    self.mark(partition);
                }
                Some(next)
            }
            Err(unchanged) if unchanged == tail.next => None,
            Err(ended) => {
                tail.next = ended;
                self.mark(partition);
                None
            }
        }
    }

    fn trim(&mut self, partition: Partition, trim: Trimmable) -> bool {
        let tail = self.tail(partition);
        if tail.first.offset != trim.from.offset || trim.to.offset > tail.next.offset {
            return false; // another trim was faster
        }
        tail.first = trim.to;
        tail.trimmed_bytes += trim.bytes;
        self.journal.extend(trim.keys.into_iter().map(|key| (key, None)));
        self.mark(partition);
        true
    }

    fn mark(&mut self, partition: Partition) {
        if let Some(tail) = self.tails.get(&partition) {
            self.meta.insert(layout::mark_key(partition), tail.store());
        }
    }

    /// Makes the group durable and visible. After an error nobody knows whether it is.
    pub(super) fn commit(self) -> fjall::Result<()> {
        let Self { store, rows, journal, meta, tails, must_sync } = self;
        let mode = if must_sync { PersistMode::SyncData } else { PersistMode::Buffer };
        let writes = rows.len() + journal.len() + meta.len();
        let live = |(key, cell): (_, &Slice)| layout::is_live(cell).then_some(key);
        let commit = store.gaps.begin(rows.iter().filter_map(live));
        let mut batch = OwnedWriteBatch::with_capacity(store.db.clone(), writes).durability(Some(mode));
        if writes > 0 {
            for (key, cell) in rows {
                batch.insert(&store.rows, key, cell);
            }
            for (key, payload) in journal {
                match payload {
                    Some(payload) => batch.insert(&store.journal, key, payload),
                    None => batch.remove(&store.journal, key),
                }
            }
            for (key, value) in meta {
                batch.insert(&store.meta, key, value);
            }
            batch.commit()?;
        }
        store.gaps.committed(commit);
        for (partition, tail) in tails {
            store.tail(partition).publish(tail);
        }
        Ok(())
    }
}

fn parse(stored: &[u8]) -> Result<Cell<'_>, EngineError> {
    Cell::parse(stored).ok_or_else(|| corrupt("a row"))
}
