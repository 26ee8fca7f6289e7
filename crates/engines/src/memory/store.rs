//! The state machine behind the in-memory and the hostile engine: what rows and records do, without locks or faults.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use bytes::Bytes;

use crate::admission::{Header, Verdict, unix_ms_of};
use crate::limits::READ_BYTES_MAX;
use crate::ports::{
    Claimant, EngineError, JournalRecord, KeyRange, NewRecord, Offset, Order, Page, Partition, Position, Replaced, Row,
    RowKey, RowWrite, Table, Trimmed, Turn, Unique,
};

/// Content of a key.
#[derive(Debug, Clone)]
enum Cell {
    Plain(Bytes),
    /// `None` is a delete that older versions must not undo.
    Versioned(u64, Option<Bytes>),
    Unique(u64, Bytes),
}

impl Cell {
    fn value(&self) -> Option<&Bytes> {
        match self {
            Self::Plain(value) | Self::Unique(_, value) => Some(value),
            Self::Versioned(_, value) => value.as_ref(),
        }
    }
}

/// Entry of the journal: a claim, or a record with its payload.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) header: Header,
    pub(crate) payload: Bytes,
    pub(crate) appended_ms: u64,
}

impl Entry {
    /// The records of a call, appended at the moments of their ids.
    pub(crate) fn of_call(turn: Turn, records: Vec<NewRecord>) -> Vec<Self> {
        let record = |(number, NewRecord { id, payload }): (u64, NewRecord)| {
            let header = Header::Record { turn: Turn { number, ..turn }, id };
            Self { header, payload, appended_ms: unix_ms_of(id) }
        };
        (turn.number..).zip(records).map(record).collect()
    }

    pub(crate) fn claim(claimant: &Claimant, appended_ms: u64) -> Self {
        let header = Header::Claim { is_import: claimant.is_import };
        Self { header, payload: Bytes::new(), appended_ms }
    }
}

/// Partition of the journal.
#[derive(Debug, Default)]
struct Log {
    entries: BTreeMap<u64, Entry>,
    /// Before the oldest kept entry.
    first: Position,
    /// Behind the newest entry.
    end: Position,
    bytes: u64,
}

/// All rows, records and checkpoints of one world.
#[derive(Debug)]
pub(crate) struct Store {
    rows: HashMap<(u8, Bytes), BTreeMap<Bytes, Cell>>,
    logs: Vec<Log>,
    checkpoints: HashMap<(String, Partition), Position>,
}

impl Store {
    pub(crate) fn new(partitions: u16) -> Self {
        let logs = (0..partitions).map(|_| Log::default()).collect();
        Self { rows: HashMap::new(), logs, checkpoints: HashMap::new() }
    }

    /// Writes rows in order; versions decide, not arrival.
    pub(crate) fn apply(&mut self, rows: impl IntoIterator<Item = RowWrite>) {
        for RowWrite { key, value, version } in rows {
            let partition = self.rows.entry((key.table.id, key.partition)).or_default();
            if version > 0 {
                let stale = matches!(partition.get(&key.clustering), Some(Cell::Versioned(old, _)) if *old > version);
                if !stale {
                    partition.insert(key.clustering, Cell::Versioned(version, value));
                }
            } else if let Some(value) = value {
                partition.insert(key.clustering, Cell::Plain(value));
            } else {
                partition.remove(&key.clustering);
            }
        }
    }

    fn cell(&self, key: &RowKey) -> Option<&Cell> {
        self.rows.get(&(key.table.id, key.partition.clone()))?.get(&key.clustering)
    }

    /// The version that stands, deletes included.
    pub(crate) fn version(&self, key: &RowKey) -> Option<u64> {
        match self.cell(key)? {
            Cell::Versioned(version, _) => Some(*version),
            Cell::Plain(_) | Cell::Unique(..) => None,
        }
    }

    pub(crate) fn get(&self, key: &RowKey) -> Option<Bytes> {
        self.cell(key)?.value().cloned()
    }

    pub(crate) fn scan(&self, table: Table, partition: &[u8], range: KeyRange, order: Order, limit: usize) -> Vec<Row> {
        let Some(rows) = self.rows.get(&(table.id, Bytes::copy_from_slice(partition))) else { return Vec::new() };
        if let (Some(from), Some(to)) = (&range.from, &range.to)
            && from >= to
        {
            return Vec::new(); // BTreeMap::range panics on a range that ends before it starts
        }
        let from = range.from.map_or(Bound::Unbounded, Bound::Included);
        let to = range.to.map_or(Bound::Unbounded, Bound::Excluded);
        let live = |(clustering, cell): (&Bytes, &Cell)| {
            cell.value().map(|value| Row { clustering: clustering.clone(), value: value.clone() })
        };
        let rows = rows.range((from, to));
        match order {
            Order::Ascending => rows.filter_map(live).take(limit).collect(),
            Order::Descending => rows.rev().filter_map(live).take(limit).collect(),
        }
    }

    pub(crate) fn insert_unique(&mut self, key: RowKey, value: Bytes, token: u64) -> Unique {
        if let Some(cell) = self.cell(&key) {
            match cell {
                Cell::Unique(holder, _) if *holder == token => return Unique::Mine,
                held => {
                    if let Some(value) = held.value() {
                        return Unique::Taken(value.clone());
                    }
                }
            }
        }
        let partition = self.rows.entry((key.table.id, key.partition)).or_default();
        partition.insert(key.clustering, Cell::Unique(token, value));
        Unique::Mine
    }

    pub(crate) fn replace_unique(&mut self, key: RowKey, value: Bytes, held: u64, new: u64) -> Replaced {
        match self.cell(&key) {
            Some(Cell::Unique(holder, _)) if *holder == new => Replaced::Mine,
            Some(Cell::Unique(holder, _)) if *holder == held => {
                let partition = self.rows.entry((key.table.id, key.partition)).or_default();
                partition.insert(key.clustering, Cell::Unique(new, value));
                Replaced::Mine
            }
            other => other.and_then(Cell::value).map_or(Replaced::Free, |value| Replaced::Taken(value.clone())),
        }
    }

    pub(crate) fn release_unique(&mut self, key: &RowKey, token: u64) {
        if matches!(self.cell(key), Some(Cell::Unique(holder, _)) if *holder == token)
            && let Some(partition) = self.rows.get_mut(&(key.table.id, key.partition.clone()))
        {
            partition.remove(&key.clustering);
        }
    }

    /// Lets go of the deletes of `tables` up to version `upto`, but for those that are needed at these keys.
    pub(crate) fn forget(&mut self, tables: &[Table], upto: u64, needed: impl Fn(&RowKey) -> bool) {
        for ((id, partition), rows) in &mut self.rows {
            let Some(table) = tables.iter().find(|table| table.id == *id) else { continue };
            rows.retain(|clustering, cell| {
                let old = matches!(cell, Cell::Versioned(version, None) if *version <= upto);
                !old || needed(&RowKey::new(*table, partition.clone(), clustering.clone()))
            });
        }
        self.rows.retain(|_, rows| !rows.is_empty());
    }

    fn log(&mut self, partition: Partition) -> &mut Log {
        &mut self.logs[usize::from(partition.0)]
    }

    /// Position behind the newest entry.
    pub(crate) fn end(&self, partition: Partition) -> Position {
        self.logs[usize::from(partition.0)].end
    }

    /// Appends an entry, whether it counts or not.
    pub(crate) fn append(&mut self, partition: Partition, entry: Entry) -> Verdict {
        let log = self.log(partition);
        let offset = log.end.offset;
        log.bytes += entry.payload.len() as u64;
        let verdict = log.end.admit(offset, &entry.header, entry.appended_ms);
        log.entries.insert(offset.0, entry);
        verdict
    }

    /// Appends the records of a call if all of them count.
    pub(crate) fn append_call(
        &mut self,
        partition: Partition,
        turn: Turn,
        records: Vec<NewRecord>,
    ) -> Result<Position, EngineError> {
        let log = self.log(partition);
        match log.end.admit_call(turn, records.iter().map(|record| record.id)) {
            Ok(next) => {
                for entry in Entry::of_call(turn, records) {
                    self.append(partition, entry);
                }
                Ok(next)
            }
            Err(end) => {
                log.end = end;
                Err(EngineError::Fenced)
            }
        }
    }

    /// Leaves out `count` offsets, as a journal may.
    pub(crate) fn skip_offsets(&mut self, partition: Partition, count: u64) {
        self.log(partition).end.offset.0 += count;
    }

    /// Reads as a reader must of a log that holds more than what counts.
    pub(crate) fn read(&self, partition: Partition, from: Position, limit: usize) -> Page {
        let log = &self.logs[usize::from(partition.0)];
        let mut next = if log.first.offset > from.offset { log.first } else { from };
        let mut records: Vec<JournalRecord> = Vec::new();
        let mut bytes = 0;
        for (&offset, entry) in log.entries.range(next.offset.0..) {
            let (offset, mut after) = (Offset(offset), next);
            let counts = after.admit(offset, &entry.header, entry.appended_ms) == Verdict::Counts;
            let id = match entry.header {
                Header::Record { id, .. } if counts => Some(id),
                Header::Unclaimed if counts => None,
                _ => {
                    next = after;
                    continue;
                }
            };
            bytes += entry.payload.len();
            if records.len() >= limit || (bytes > READ_BYTES_MAX && !records.is_empty()) {
                break;
            }
            next = after;
            let (payload, appended_ms) = (entry.payload.clone(), entry.appended_ms);
            records.push(JournalRecord { offset, id, payload, appended_ms });
        }
        Page { records, next }
    }

    pub(crate) fn bounds(&self, partition: Partition) -> (Offset, Offset) {
        let log = &self.logs[usize::from(partition.0)];
        let next = log.end.offset;
        let first = log.entries.first_key_value().map_or(next, |(&offset, _)| Offset(offset));
        (first, next)
    }

    /// Makes room for more partitions.
    pub(crate) fn grow(&mut self, partitions: u16) {
        let partitions = usize::from(partitions).max(self.logs.len());
        self.logs.resize_with(partitions, Log::default);
    }

    pub(crate) fn checkpoint(&mut self, consumer: &str, partition: Partition, next: Position) {
        let kept = self.checkpoints.entry((consumer.to_owned(), partition)).or_default();
        if next.offset > kept.offset {
            *kept = next;
        }
    }

    pub(crate) fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Position {
        self.checkpoints.get(&(consumer.to_owned(), partition)).copied().unwrap_or_default()
    }

    /// Lets go of the oldest entries; the records that went are those that counted.
    pub(crate) fn trim(&mut self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Trimmed {
        let needed = consumers.iter().map(|consumer| self.checkpoint_of(consumer, partition).offset).min();
        let log = self.log(partition);
        let mut trimmed = 0;
        while log.bytes > bytes_max {
            let Some(oldest) = log.entries.first_entry() else { break };
            let offset = Offset(*oldest.key());
            if needed.is_some_and(|needed| offset >= needed) {
                break;
            }
            let Entry { header, payload, appended_ms } = oldest.remove();
            log.bytes -= payload.len() as u64;
            let counts = log.first.admit(offset, &header, appended_ms) == Verdict::Counts;
            trimmed += u64::from(counts && !matches!(header, Header::Claim { .. }));
        }
        Trimmed { records: trimmed, bytes_kept: log.bytes }
    }
}
