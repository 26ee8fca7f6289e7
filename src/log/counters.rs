//! Counters of people and posts as state of the products that count. Pure.
//!
//! A row remembers the last record applied; one of a post that is gone counts no more, and tells whoever comes late.

use std::sync::Arc;

use fanfare_engines::Batch;
use fanfare_protocol::Id;
use smallvec::SmallVec;

use crate::base::error::Result;
use crate::data::rows::{Counters, OfPost, OfUser};
use crate::data::store::Store;
use crate::data::uncounted::Of;
use crate::log::fold::{Keys, State};
use crate::log::outcome::{Counted, Outcome};
use crate::log::product::{Committed, Listener};

/// Change of the counters of one person or post.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Owner of the counters.
    pub of: Of,
    /// Added to each of the three.
    pub by: [i64; 3],
    /// The post is gone from now on.
    pub gone: bool,
}

/// Changes of counters by one record, one a row.
#[derive(Debug, Default)]
pub struct Changes(SmallVec<[Change; 4]>);

impl Changes {
    /// Adds `by` to a counter of a person.
    pub fn user(&mut self, user: Id, counter: OfUser, by: i64) {
        self.of(Of::User(user)).by[counter as usize] += by;
    }

    /// Adds `by` to a counter of a post.
    pub fn post(&mut self, post: Id, counter: OfPost, by: i64) {
        self.of(Of::Post(post)).by[counter as usize] += by;
    }

    /// Nothing is counted about `post` any more.
    pub fn gone(&mut self, post: Id) {
        self.of(Of::Post(post)).gone = true;
    }

    fn of(&mut self, of: Of) -> &mut Change {
        let at = self.0.iter().position(|change| change.of == of).unwrap_or_else(|| {
            self.0.push(Change { of, by: [0; 3], gone: false });
            self.0.len() - 1
        });
        &mut self.0[at]
    }

    /// The changes.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter()
    }

    /// Asks for the counters that change.
    pub fn keys(&self, keys: &mut Keys) {
        self.iter().for_each(|change| keys.own(change.of.row()));
    }

    /// Adds the counters after the record `id` to `outcome`.
    ///
    /// # Errors
    /// When stored counters do not decode.
    pub fn fold(&self, id: Id, state: &State, outcome: &mut Outcome) -> Result<()> {
        for change in self.iter() {
            let stored = state.get(&change.of.row());
            let mut counters = stored.map(|bytes| Counters::from_bytes(bytes)).transpose()?.unwrap_or_default();
            // Nobody counts what is about a post that is gone.
            if counters.applied >= id || counters.gone {
                continue;
            }
            for (value, by) in counters.values.iter_mut().zip(change.by) {
                *value = value.saturating_add_signed(by);
            }
            counters.gone |= change.gone;
            if stored.is_none() && !counters.gone && counters.values == [0; 3] {
                // Something is taken back from a post of which nothing is left: nothing comes of that.
                continue;
            }
            counters.applied = id;
            outcome.counters.push(Counted { of: change.of, counters });
        }
        Ok(())
    }
}

/// Counters of `of` in `state`; zeros when there are none.
///
/// # Errors
/// When they do not decode.
pub fn of(of: Of, state: &State) -> Result<Counters> {
    Ok(state.get(&of.row()).map(|bytes| Counters::from_bytes(bytes)).transpose()?.unwrap_or_default())
}

/// Adds the rows of counters that the record `id` changed.
pub fn rows(id: Id, outcome: &Outcome, batch: &mut Batch) {
    for Counted { of, counters } in &outcome.counters {
        batch.put_versioned(of.row(), counters.to_bytes(), id.0);
    }
}

/// Listener of the counters: the cache of them.
pub struct CounterListener(pub Arc<Store>);

impl Listener for CounterListener {
    fn committed(&self, committed: &[Committed], _horizon: Id) {
        let counted = committed.iter().flat_map(|one| &one.outcome.counters);
        counted.for_each(|counted| self.0.counted(counted.of, counted.counters));
    }
}
