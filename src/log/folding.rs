//! Folding of one owner: the folds of all products, and the state rows that they read, kept in memory from one commit
//! to the next.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, JournalRecord, Partition, RowKey, Tables};
use quick_cache::sync::Cache;

use crate::base::error::Result;
use crate::base::limits;
use crate::data::layout::Layout;
use crate::log::events::Record;
use crate::log::fold::{Folds, Keys, State};
use crate::log::outcome::Outcome;
use crate::log::{line, records};

/// Folds, and state rows in memory.
pub(super) struct Folding {
    folds: Folds,
    tables: Arc<dyn Tables>,
    /// State rows that nobody but the owner writes.
    own: Cache<RowKey, Option<Bytes>>,
}

impl Folding {
    /// Nothing is in memory yet.
    pub(super) fn new(folds: Folds, tables: Arc<dyn Tables>) -> Self {
        Self { folds, tables, own: Cache::new(limits::FOLD_ROWS_MAX) }
    }

    /// The state rows that `records` need beyond those that are in `state`: as the group `before` leaves them, which is
    /// on its way; from memory, or from the tables.
    pub(super) async fn load(
        &self,
        records: impl Iterator<Item = &Record>,
        state: &State,
        before: Option<(&State, &Batch)>,
    ) -> Result<State> {
        let mut keys = Keys::default();
        records.for_each(|record| self.folds.keys(record, &mut keys));
        let mut loaded = State::default();
        let mut missing = Vec::new();
        let keys = keys.into_iter();
        // As many come of what the records write.
        loaded.reserve(2 * keys.len());
        for (key, own) in keys {
            if state.has(&key) || loaded.has(&key) {
                continue;
            }
            let written = before.and_then(|(state, batch)| state.written(&key, batch)).cloned();
            let known = if own && written.is_none() { self.own.get(&key) } else { written };
            if known.is_none() {
                missing.push((key.clone(), own));
            }
            loaded.load(key, known.flatten(), own);
        }
        if !missing.is_empty() {
            let keys: Vec<RowKey> = missing.iter().map(|(key, _)| key.clone()).collect();
            let values = self.tables.get_many(&keys).await?;
            for ((key, own), value) in missing.into_iter().zip(values) {
                loaded.load(key, value, own);
            }
        }
        Ok(loaded)
    }

    /// Adds the rows of `record` to `batch`, brings `state` up to date, and answers what the record gave.
    pub(super) fn fold(&self, record: &Record, state: &mut State, batch: &mut Batch) -> Result<Outcome> {
        self.folds.fold(record, state, batch)
    }

    /// Line of a record in the journal, with its outcome.
    pub(super) fn line(&self, record: &Record, outcome: &Outcome) -> Result<Bytes> {
        line::encode(record, outcome, &self.folds)
    }

    /// A record of the journal, and its outcome.
    pub(super) fn read(&self, partition: Partition, one: &JournalRecord) -> Result<(Record, Outcome)> {
        records::read(partition, one, &self.folds)
    }

    /// Adds the rows of a record that was read to `batch`.
    pub(super) fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        self.folds.rows(record, outcome, batch)
    }

    /// Layout of the rows.
    pub(super) fn layout(&self) -> &Layout {
        self.folds.layout()
    }

    /// Tables that state rows are read from.
    pub(super) fn tables(&self) -> &dyn Tables {
        &*self.tables
    }

    /// Lets go of what is in memory: it is read again.
    pub(super) fn forget(&self) {
        self.own.clear();
    }

    /// Remembers state rows for the next commits.
    pub(super) fn keep(&self, state: State) {
        state.into_own().for_each(|(key, value)| self.own.insert(key, value));
    }
}
