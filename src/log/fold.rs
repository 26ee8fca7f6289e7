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
use quick_cache::DefaultHashBuilder;

use crate::base::error::{Error, Result};
use crate::data::layout::Layout;
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

/// The folds of all products, in the order of their list, and the layout that their rows are in.
#[derive(Clone, Default)]
pub struct Folds {
    products: Vec<Arc<dyn Fold>>,
    layout: Layout,
}

impl FromIterator<Arc<dyn Fold>> for Folds {
    fn from_iter<I: IntoIterator<Item = Arc<dyn Fold>>>(folds: I) -> Self {
        Self { products: folds.into_iter().collect(), layout: Layout::default() }
    }
}

impl Folds {
    /// Folds as they are, with rows in `layout`.
    #[must_use]
    pub fn in_layout(self, layout: Layout) -> Self {
        Self { layout, ..self }
    }

    /// Layout of the rows: of earlier versions, until it is read.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Adds to `keys` the state rows that [`fold`](Self::fold) reads for `record`.
    pub fn keys(&self, record: &Record, keys: &mut Keys) {
        self.counts(&record.event).keys(keys);
        self.products.iter().for_each(|product| product.keys(record, keys));
    }

    /// Changes of counters by an event.
    #[must_use]
    pub fn counts(&self, event: &Event) -> Changes {
        let mut changes = Changes::default();
        self.products.iter().for_each(|product| product.counts(event, &mut changes));
        changes
    }

    /// Adds the rows of `record` to `batch`, brings `state` up to date, and answers what the record gave.
    ///
    /// # Errors
    /// When a row of the state does not decode, or one of the record does not encode.
    pub fn fold(&self, record: &Record, state: &mut State, batch: &mut Batch) -> Result<Outcome> {
        let mut outcome = Outcome::default();
        self.counts(&record.event).fold(record.id, state, &mut outcome)?;
        for product in &self.products {
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
        let first = batch.rows.len();
        for product in &self.products {
            product.rows(record, outcome, batch)?;
        }
        counters::rows(record.id, outcome, batch);
        self.layout.place(record.id, batch, first);
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
        for product in &self.products {
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

/// State rows of the records of one commit, and what these records made of them; no value where there is no such row.
///
/// Of the tables that are asked of it also holds every row that the records wrote, loaded or not: so records of a later
/// load, or of the next commit, see what is not stored yet.
#[derive(Debug)]
pub struct State {
    rows: HashMap<RowKey, StateRow, DefaultHashBuilder>,
    /// By number: tables of which rows were asked for.
    asked: [bool; 256],
    /// By number: tables of which rows were written.
    wrote: [bool; 256],
    /// Records of format 1 are folded over it.
    is_of_format_1: bool,
}

#[derive(Debug)]
struct StateRow {
    value: Option<Bytes>,
    /// Mark of [`Keys::own`].
    own: bool,
    /// A record wrote it.
    written: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { rows: HashMap::default(), asked: [false; 256], wrote: [false; 256], is_of_format_1: false }
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

    /// Makes room for so many rows more.
    pub fn reserve(&mut self, rows: usize) {
        self.rows.reserve(rows);
    }

    /// Whether the row of `key` is here.
    #[must_use]
    pub fn has(&self, key: &RowKey) -> bool {
        self.rows.contains_key(key)
    }

    /// Takes in the row of `key` as it is stored; `own` as in [`Keys::own`].
    pub fn load(&mut self, key: RowKey, value: Option<Bytes>, own: bool) {
        self.asked[usize::from(key.table.id)] = true;
        self.rows.insert(key, StateRow { value, own, written: false });
    }

    /// Takes in rows that were loaded, none of which [was here](Self::has); `batch` is what the records wrote so far.
    pub fn take_in(&mut self, loaded: Self, batch: &Batch) {
        if self.rows.is_empty() {
            self.rows = loaded.rows;
        } else {
            self.rows.extend(loaded.rows);
        }
        for table in 0..self.asked.len() {
            let is_new = loaded.asked[table] && !self.asked[table];
            self.asked[table] |= loaded.asked[table];
            if is_new && self.wrote[table] {
                // What was written while nobody asked was not remembered.
                batch.rows.iter().filter(|row| usize::from(row.key.table.id) == table).for_each(|row| self.put(row));
            }
        }
    }

    /// The value of a row, if there is one.
    #[must_use]
    pub fn get(&self, key: &RowKey) -> Option<&Bytes> {
        self.rows.get(key).and_then(|row| row.value.as_ref())
    }

    /// Value that the records, which wrote `batch`, made of a row; `None` if they left it alone.
    pub fn written<'a>(&'a self, key: &RowKey, batch: &'a Batch) -> Option<&'a Option<Bytes>> {
        let table = usize::from(key.table.id);
        if self.asked[table] {
            self.rows.get(key).filter(|row| row.written).map(|row| &row.value)
        } else if self.wrote[table] {
            batch.rows.iter().rev().find(|row| row.key == *key).map(|row| &row.value)
        } else {
            None
        }
    }

    /// Brings up to date what a record wrote.
    fn apply(&mut self, written: &[RowWrite]) {
        for row in written {
            let table = usize::from(row.key.table.id);
            self.wrote[table] = true;
            if self.asked[table] {
                self.put(row);
            }
        }
    }

    fn put(&mut self, row: &RowWrite) {
        if let Some(known) = self.rows.get_mut(&row.key) {
            known.value.clone_from(&row.value);
            known.written = true;
        } else {
            let new = StateRow { value: row.value.clone(), own: false, written: true };
            self.rows.insert(row.key.clone(), new);
        }
    }

    /// The rows that may stay in memory.
    pub fn into_own(self) -> impl Iterator<Item = (RowKey, Option<Bytes>)> {
        self.rows.into_iter().filter_map(|(key, row)| row.own.then_some((key, row.value)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tables;
    use fanfare_protocol::Id;

    /// A row that is written before anybody asks for one of its table is seen by whoever asks later, in the same commit
    /// and in the next.
    #[test]
    fn rows_that_were_written_before_anybody_asked_are_seen() {
        let key = |id| tables::by_id(tables::USER_COUNTERS, Id(id));
        let (mut state, mut batch) = (State::default(), Batch::default());
        batch.put_versioned(key(1), "one", 5);
        batch.delete_versioned(key(2), 5);
        state.apply(&batch.rows);
        let value = |text: &'static str| Some(Bytes::from(text));
        let is_written = |state: &State, batch: &Batch| {
            assert_eq!(state.written(&key(1), batch), Some(&value("one")));
            assert_eq!(state.written(&key(2), batch), Some(&None));
            assert_eq!(state.written(&key(3), batch), None);
        };
        is_written(&state, &batch);
        let mut loaded = State::default();
        for id in [1, 2, 3] {
            loaded.load(key(id), value("stored"), true);
        }
        state.take_in(loaded, &batch);
        is_written(&state, &batch);
        assert_eq!(
            (state.get(&key(1)), state.get(&key(2)), state.get(&key(3))),
            (value("one").as_ref(), None, value("stored").as_ref())
        );
        let mut more = Batch::default();
        more.put_versioned(key(4), "four", 6);
        state.apply(&more.rows);
        assert_eq!(state.written(&key(4), &batch), Some(&value("four")), "nobody loaded it");
        let own: Vec<_> = state.into_own().map(|(key, _)| key).collect();
        assert!(own.len() == 3 && !own.contains(&key(4)), "what nobody loaded does not stay in memory");
    }
}
