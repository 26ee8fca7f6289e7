//! State of a hostile world: what is true, what is still to arrive, and the dice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Faults;
use crate::Families;
use crate::admission::{Header, Verdict};
use crate::memory::objects::MemoryObjects;
use crate::memory::store::{Entry, Store};
use crate::ports::{EngineError, Partition, Position, RowKey, RowWrite, Table, Term, Turn};
use crate::random::Random;

/// Calls within which a late write arrives.
const LATE_CALLS_MAX: u64 = 100;

/// A write that arrives after its caller was told of an error.
#[derive(Debug, Clone)]
pub(super) enum Late {
    /// Rows of one partition.
    Rows(Vec<RowWrite>),
    /// Entries of a call; then rows, if all of these entries count.
    Append(Call, Vec<Entry>, Vec<RowWrite>),
    Insert(RowKey, Bytes, u64),
    Replace(RowKey, Bytes, u64, u64),
    Release(RowKey, u64),
}

impl Late {
    fn rows(&self) -> &[RowWrite] {
        match self {
            Self::Rows(rows) | Self::Append(_, _, rows) => rows,
            Self::Insert(..) | Self::Replace(..) | Self::Release(..) => &[],
        }
    }
}

/// Call of the journal that appends, however often its entries come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) partition: Partition,
    number: u64,
}

/// Fate of a write: what it does and what its caller hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Happens and is acknowledged.
    Good,
    /// Does not happen, and says so.
    Unavailable,
    /// Anything may happen.
    Unknown,
}

/// Fate of a part of a write that was not acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Now,
    Later,
    Never,
}

pub(super) struct World {
    pub(super) store: Store,
    pub(super) families: Families,
    pub(super) objects: Arc<MemoryObjects>,
    pub(super) faults: Faults,
    pub(super) random: Random,
    /// Checkpoints that the next commit makes durable.
    pub(super) checkpoints: HashMap<(String, Partition), Position>,
    /// The log's clock, in Unix milliseconds; `None` reads the moment off each id.
    pub(super) clock_ms: Option<u64>,
    /// Records that count, by their place in a term, and the call that brought them.
    standing: HashMap<(Partition, Term, u64), Call>,
    /// Crashes so far.
    pub(super) life: u64,
    late: Vec<(u64, Late)>,
    /// Calls so far: the world's time.
    pub(super) calls: u64,
}

impl World {
    pub(super) fn new(seed: u64, families: Families, faults: Faults) -> Self {
        Self {
            store: Store::new(families.partitions()),
            families,
            objects: Arc::default(),
            faults,
            random: Random::new(seed),
            checkpoints: HashMap::new(),
            clock_ms: None,
            standing: HashMap::new(),
            life: 0,
            late: Vec::new(),
            calls: 0,
        }
    }

    /// Begins a call of a process: time passes, late writes arrive.
    pub(super) fn enter(&mut self, life: u64) -> Result<(), EngineError> {
        if self.life != life {
            return Err(EngineError::Closed("the process crashed".into()));
        }
        self.calls += 1;
        let calls = self.calls;
        for (_, late) in self.late.extract_if(.., |(due, _)| *due <= calls).collect::<Vec<_>>() {
            self.arrive(late);
        }
        Ok(())
    }

    /// Begins a read.
    pub(super) fn enter_read(&mut self, life: u64) -> Result<(), EngineError> {
        self.enter(life)?;
        if self.random.percent(self.faults.unavailable) {
            return Err(unavailable());
        }
        Ok(())
    }

    pub(super) fn fate(&mut self) -> Fate {
        if self.random.percent(self.faults.unavailable) {
            Fate::Unavailable
        } else if self.random.percent(self.faults.unknown) {
            Fate::Unknown
        } else {
            Fate::Good
        }
    }

    pub(super) fn part(&mut self) -> Part {
        match self.random.below(3) {
            0 => Part::Now,
            1 => Part::Later,
            _ => Part::Never,
        }
    }

    pub(super) fn later(&mut self, late: Late) {
        let due = self.calls + 1 + self.random.below(LATE_CALLS_MAX);
        self.late.push((due, late));
    }

    /// Writes the rows of one partition. Of two writes with the same version either may stay.
    pub(super) fn apply(&mut self, rows: Vec<RowWrite>) {
        for row in rows {
            let repeat = row.version > 0 && self.store.version(&row.key) == Some(row.version);
            if !(repeat && self.random.percent(50)) {
                self.store.apply([row]);
            }
        }
    }

    /// Lets go of deletes, but for those that what is still to arrive needs.
    pub(super) fn forget(&mut self, tables: &[Table], upto: u64) {
        let late: HashSet<&RowKey> = self.late.iter().flat_map(|(_, late)| late.rows()).map(|row| &row.key).collect();
        self.store.forget(tables, upto, |key| late.contains(key));
    }

    /// Appends entries, of whatever term: this log refuses nothing.
    pub(super) fn append(&mut self, call: Call, entries: Vec<Entry>) {
        let (any, partition) = (!entries.is_empty(), call.partition);
        for mut entry in entries {
            entry.appended_ms = self.clock_ms.unwrap_or(entry.appended_ms);
            let header = entry.header;
            let verdict = self.store.append(partition, entry);
            if let Header::Record { turn: Turn { term, number }, .. } = header
                && verdict == Verdict::Counts
            {
                self.standing.insert((partition, term, number), call);
            }
        }
        if any && self.random.percent(self.faults.offset_gaps) {
            let gap = 1 + self.random.below(3);
            self.store.skip_offsets(partition, gap);
        }
    }

    /// Whether all records of `call` count, in this or in an earlier copy.
    pub(super) fn stand(&self, call: Call, entries: &[Entry]) -> bool {
        entries.iter().all(|entry| match entry.header {
            Header::Record { turn: Turn { term, number }, .. } => {
                self.standing.get(&(call.partition, term, number)) == Some(&call)
            }
            _ => true,
        })
    }

    /// Whether rows alone may be written in `term`.
    pub(super) fn holds(&self, partition: Partition, term: Term) -> bool {
        let end = self.store.end(partition);
        end.term == Some(term) && end.number != Position::ENDED
    }

    /// The call that has just begun.
    pub(super) fn call(&self, partition: Partition) -> Call {
        Call { partition, number: self.calls }
    }

    fn arrive(&mut self, late: Late) {
        match late {
            Late::Rows(rows) => self.apply(rows),
            Late::Append(call, entries, rows) => {
                self.append(call, entries.clone());
                if self.stand(call, &entries) {
                    self.apply(rows);
                }
            }
            Late::Insert(key, value, token) => {
                self.store.insert_unique(key, value, token);
            }
            Late::Replace(key, value, held, new) => {
                self.store.replace_unique(key, value, held, new);
            }
            Late::Release(key, token) => self.store.release_unique(&key, token),
        }
    }

    pub(super) fn persist_checkpoints(&mut self) {
        for ((consumer, partition), next) in self.checkpoints.drain() {
            self.store.checkpoint(&consumer, partition, next);
        }
    }

    pub(super) fn settle(&mut self) {
        for (_, late) in std::mem::take(&mut self.late) {
            self.arrive(late);
        }
    }

    pub(super) fn crash(&mut self) {
        self.life += 1;
        if self.random.percent(50) {
            self.persist_checkpoints();
        }
        self.checkpoints.clear();
        for (_, late) in std::mem::take(&mut self.late) {
            match self.part() {
                Part::Now => self.arrive(late),
                Part::Later => self.later(late),
                Part::Never => {}
            }
        }
    }
}

pub(super) fn unavailable() -> EngineError {
    EngineError::Unavailable("a fault of the hostile engine".into())
}

pub(super) fn unknown() -> EngineError {
    EngineError::Unknown("a fault of the hostile engine".into())
}
