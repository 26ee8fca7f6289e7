//! The state machine behind the in-memory and the hostile engine: what rows and records do, without locks or faults.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use bytes::Bytes;

use crate::limits::READ_BYTES_MAX;
use crate::ports::{JournalRecord, KeyRange, Offset, Order, Partition, Replaced, Row, RowKey, RowWrite, Table, Unique};

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

/// Partition of the journal.
#[derive(Debug, Default)]
struct Log {
    records: BTreeMap<u64, Bytes>,
    next: u64,
    bytes: u64,
}

/// All rows, records and checkpoints of one world.
#[derive(Debug)]
pub(crate) struct Store {
    rows: HashMap<(u8, Bytes), BTreeMap<Bytes, Cell>>,
    logs: Vec<Log>,
    checkpoints: HashMap<(String, Partition), u64>,
}

impl Store {
    pub(crate) fn new(partitions: u16) -> Self {
        let logs = (0..partitions).map(|_| Log::default()).collect();
        Self { rows: HashMap::new(), logs, checkpoints: HashMap::new() }
    }

    pub(crate) fn partitions(&self) -> u16 {
        u16::try_from(self.logs.len()).unwrap_or(u16::MAX)
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

    /// Appends records; answers the first one's offset, or the next offset when there are none.
    pub(crate) fn append(&mut self, partition: Partition, records: impl IntoIterator<Item = Bytes>) -> Offset {
        let log = &mut self.logs[usize::from(partition.0)];
        let first = log.next;
        for record in records {
            log.bytes += record.len() as u64;
            log.records.insert(log.next, record);
            log.next += 1;
        }
        Offset(first)
    }

    /// Leaves out `count` offsets, as a journal may.
    pub(crate) fn skip_offsets(&mut self, partition: Partition, count: u64) {
        self.logs[usize::from(partition.0)].next += count;
    }

    pub(crate) fn read(&self, partition: Partition, from: Offset, limit: usize) -> Vec<JournalRecord> {
        let mut found: Vec<JournalRecord> = Vec::new();
        let mut bytes = 0;
        for (&offset, payload) in self.logs[usize::from(partition.0)].records.range(from.0..).take(limit) {
            bytes += payload.len();
            if bytes > READ_BYTES_MAX && !found.is_empty() {
                break;
            }
            found.push(JournalRecord { offset: Offset(offset), payload: payload.clone() });
        }
        found
    }

    pub(crate) fn bounds(&self, partition: Partition) -> (Offset, Offset) {
        let log = &self.logs[usize::from(partition.0)];
        let first = log.records.first_key_value().map_or(log.next, |(&offset, _)| offset);
        (Offset(first), Offset(log.next))
    }

    pub(crate) fn checkpoint(&mut self, consumer: &str, partition: Partition, next: Offset) {
        let kept = self.checkpoints.entry((consumer.to_owned(), partition)).or_default();
        *kept = next.0.max(*kept);
    }

    pub(crate) fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Offset {
        Offset(self.checkpoints.get(&(consumer.to_owned(), partition)).copied().unwrap_or_default())
    }

    pub(crate) fn trim(&mut self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> u64 {
        let needed = consumers.iter().map(|consumer| self.checkpoint_of(consumer, partition).0).min();
        let log = &mut self.logs[usize::from(partition.0)];
        let mut trimmed = 0;
        while log.bytes > bytes_max {
            let Some(oldest) = log.records.first_entry() else { break };
            if needed.is_some_and(|needed| *oldest.key() >= needed) {
                break;
            }
            log.bytes -= oldest.remove().len() as u64;
            trimmed += 1;
        }
        trimmed
    }
}
