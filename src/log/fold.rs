//! From records to rows: the part that each product has in it, in `fold.rs` of its folder. Pure.
//!
//! A record changes *state*, rows whose new value follows from the one before: counters, lists of notifications. `keys`
//! names the state rows that a record needs, and `fold` reads them and decides what the record gives, its [`Outcome`]:
//! once, where the record is made. The outcome stands in the record's line (`line.rs`), and `rows` makes the rows of
//! record and outcome and reads nothing: so they can be written again from the journal alone, however often.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey, RowWrite};

use crate::base::error::{Error, Result};
use crate::log::counters::{self, Changes};
use crate::log::events::{Event, Record};
use crate::log::outcome::{Outcome, OutcomePart};

/// The rows that a product makes of records.
pub trait Fold: Send + Sync + 'static {
    /// Name of the product's part of outcomes: short, for records hold it, and never changed.
    fn part(&self) -> Option<&'static str> {
        None
    }

    /// Adds to `changes` what `event` counts: of that the log makes state, outcome and rows. What records of an event
    /// once changed stays what it is, in its order: their lines hold the values alone.
    fn counts(&self, event: &Event, changes: &mut Changes) {
        let _ = (event, changes);
    }

    /// Adds to `keys` the state rows that [`fold`](Self::fold) reads for `record`.
    fn keys(&self, record: &Record, keys: &mut Keys) {
        let _ = (record, keys);
    }

    /// Adds to `outcome` what `record` gives; `state` is as it was before the record.
    ///
    /// # Errors
    /// When a row of the state does not decode.
    fn fold(&self, record: &Record, state: &State, outcome: &mut Outcome) -> Result<()> {
        let _ = (record, state, outcome);
        Ok(())
    }

    /// The product's part of the outcome of `record`, from what its [`write`](OutcomePart::write) made of it.
    ///
    /// # Errors
    /// When that is no part of this product's.
    fn read(&self, record: &Record, part: &str) -> Result<Arc<dyn OutcomePart>> {
        Err(Error::Internal(format!("record {} holds a part that nobody reads: {part}", record.id)))
    }

    /// Adds to `batch` the rows of `record`, which follow from it and its outcome alone: the same however often.
    ///
    /// # Errors
    /// When a row does not encode.
    fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()>;
}

/// The folds of all products, in the order of their list.
#[derive(Clone, Default)]
pub struct Folds(Vec<Arc<dyn Fold>>);

impl FromIterator<Arc<dyn Fold>> for Folds {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Fold>>>(folds: I) -> Self {
        Self(folds.into_iter().collect())
    }
}

impl Folds {
    /// Adds to `keys` the state rows that [`fold`](Self::fold) reads for `record`.
    pub fn keys(&self, record: &Record, keys: &mut Keys) {
        self.counts(&record.event).keys(keys);
        self.0.iter().for_each(|product| product.keys(record, keys));
    }

    /// Changes of counters by an event.
    #[must_use]
    pub fn counts(&self, event: &Event) -> Changes {
        let mut changes = Changes::default();
        self.0.iter().for_each(|product| product.counts(event, &mut changes));
        changes
    }

    /// Adds the rows of `record` to `batch`, brings `state` up to date, and answers what the record gave.
    ///
    /// # Errors
    /// When a row of the state does not decode, or one of the record does not encode.
    pub fn fold(&self, record: &Record, state: &mut State, batch: &mut Batch) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        self.counts(&record.event).fold(record.id, state, &mut outcome)?;
        for product in &self.0 {
            product.fold(record, state, &mut outcome)?;
        }
        let first = batch.rows.len();
        self.rows(record, &outcome, batch)?;
        state.apply(&batch.rows[first..]);
        Ok(outcome)
    }

    /// Adds the rows of `record` to `batch`: the same however often, and whatever the tables hold.
    ///
    /// # Errors
    /// When a row does not encode.
    pub fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        for product in &self.0 {
            product.rows(record, outcome, batch)?;
        }
        counters::rows(record.id, outcome, batch);
        Ok(())
    }

    /// Adds the products' parts to the outcome of `record`; `part` gives the JSON of one by its name.
    ///
    /// # Errors
    /// When one does not decode.
    pub fn read<'a>(
        &self,
        record: &Record,
        outcome: &mut Outcome,
        mut part: impl FnMut(&str) -> Option<&'a str>,
    ) -> Result<()> {
        for product in &self.0 {
            let Some(name) = product.part() else { continue };
            if let Some(json) = part(name) {
                outcome.add(name, product.read(record, json)?);
            }
        }
        Ok(())
    }
}

/// State rows that records need.
#[derive(Debug, Default)]
pub struct Keys(Vec<(RowKey, bool)>);

impl Keys {
    /// Asks for a row that nobody but the owner writes: it may stay in memory from one commit to the next.
    pub fn own(&mut self, key: RowKey) {
        self.0.push((key, true));
    }

    /// Asks for a row that others remove too: it is read for each commit.
    pub fn shared(&mut self, key: RowKey) {
        self.0.push((key, false));
    }
}

impl IntoIterator for Keys {
    type Item = (RowKey, bool);
    type IntoIter = std::vec::IntoIter<(RowKey, bool)>;

    /// The keys, each with whether its row may stay in memory.
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// State rows of the records of one commit; `None` where there is no such row.
#[derive(Debug)]
pub struct State {
    rows: HashMap<RowKey, (Option<Bytes>, bool)>,
    /// By number: tables of which any row is here.
    tables: [bool; 256],
    /// Records of format 1 are folded over it.
    is_of_format_1: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { rows: HashMap::new(), tables: [false; 256], is_of_format_1: false }
    }
}

impl State {
    /// The state for records of format 1: what they give is what it always was.
    #[must_use]
    pub fn of_format_1(self) -> Self {
        Self { is_of_format_1: true, ..self }
    }

    /// Whether records of format 1 are folded: their outcomes stand in no record, and rows may be longer.
    #[must_use]
    pub const fn is_of_format_1(&self) -> bool {
        self.is_of_format_1
    }

    /// Whether the row of `key` was loaded.
    #[must_use]
    pub fn has(&self, key: &RowKey) -> bool {
        self.rows.contains_key(key)
    }

    /// Takes in the row of `key` as it is stored; `own` as in [`Keys::own`].
    pub fn load(&mut self, key: RowKey, value: Option<Bytes>, own: bool) {
        self.tables[usize::from(key.table.id)] = true;
        self.rows.insert(key, (value, own));
    }

    /// The value of a row, if there is one.
    #[must_use]
    pub fn get(&self, key: &RowKey) -> Option<&Bytes> {
        self.rows.get(key).and_then(|(value, _)| value.as_ref())
    }

    /// Brings up to date what a record wrote.
    fn apply(&mut self, written: &[RowWrite]) {
        for row in written.iter().filter(|row| self.tables[usize::from(row.key.table.id)]) {
            if let Some((value, _)) = self.rows.get_mut(&row.key) {
                value.clone_from(&row.value);
            }
        }
    }

    /// The rows that may stay in memory.
    pub fn into_own(self) -> impl Iterator<Item = (RowKey, Option<Bytes>)> {
        self.rows.into_iter().filter_map(|(key, (value, own))| own.then_some((key, value)))
    }
}
