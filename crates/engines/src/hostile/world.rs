//! State of a hostile world: what is true, what is still to arrive, and the dice.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Faults;
use crate::memory::objects::MemoryObjects;
use crate::memory::store::Store;
use crate::ports::{EngineError, Offset, Partition, RowKey, RowWrite, Table};
use crate::random::Random;

/// Calls within which a late write arrives.
const LATE_CALLS_MAX: u64 = 100;

/// A write that arrives after its caller was told of an error.
#[derive(Debug, Clone)]
pub(super) enum Late {
    /// Records, then rows.
    Commit(Partition, Vec<Bytes>, Vec<RowWrite>),
    Insert(RowKey, Bytes, u64),
    Replace(RowKey, Bytes, u64, u64),
    Release(RowKey, u64),
}

impl Late {
    fn rows(&self) -> &[RowWrite] {
        match self {
            Self::Commit(_, _, rows) => rows,
            Self::Insert(..) | Self::Replace(..) | Self::Release(..) => &[],
        }
    }
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
    pub(super) objects: Arc<MemoryObjects>,
    pub(super) faults: Faults,
    pub(super) random: Random,
    /// Checkpoints that the next commit makes durable.
    pub(super) checkpoints: HashMap<(String, Partition), Offset>,
    /// Crashes so far.
    pub(super) life: u64,
    late: Vec<(u64, Late)>,
    calls: u64,
}

impl World {
    pub(super) fn new(seed: u64, partitions: u16, faults: Faults) -> Self {
        Self {
            store: Store::new(partitions),
            objects: Arc::default(),
            faults,
            random: Random::new(seed),
            checkpoints: HashMap::new(),
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

    pub(super) fn append(&mut self, partition: Partition, records: Vec<Bytes>) -> Offset {
        let any = !records.is_empty();
        let first = self.store.append(partition, records);
        if any && self.random.percent(self.faults.offset_gaps) {
            let gap = 1 + self.random.below(3);
            self.store.skip_offsets(partition, gap);
        }
        first
    }

    fn arrive(&mut self, late: Late) {
        match late {
            Late::Commit(partition, records, rows) => {
                self.append(partition, records);
                self.apply(rows);
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
