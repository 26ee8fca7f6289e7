//! Counters of people and posts as state of the products that count. Pure.
//!
//! A row remembers the last record applied; one of a post that is gone counts no more, and tells whoever comes late.

use std::io::Write as _;
use std::sync::Arc;

use fanfare_engines::Batch;
use fanfare_protocol::Id;
use smallvec::SmallVec;

use crate::base::error::{Error, Result};
use crate::data::rows::{Counters, OfPost, OfUser};
use crate::data::store::Store;
use crate::data::uncounted::Of;
use crate::log::events::Event;
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

    /// Nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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
        if self.was_done_before(id, state)? {
            return Ok(());
        }
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

    /// Whether a record before `id` deleted the post that this one deletes: then everything was taken back with that.
    fn was_done_before(&self, id: Id, state: &State) -> Result<bool> {
        for change in self.iter().filter(|change| change.gone) {
            let before = of(change.of, state)?;
            if before.gone && before.applied < id {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Adds the counters of `outcome` as JSON: in the order of the changes, which follow from the event, the values up
    /// to the last that is not 0; `0` for those that did not change.
    pub fn write(&self, outcome: &Outcome, json: &mut Vec<u8>) {
        json.push(b'[');
        for (index, change) in self.iter().enumerate() {
            if index > 0 {
                json.push(b',');
            }
            match outcome.counters.iter().find(|counted| counted.of == change.of) {
                Some(counted) => write_values(counted.counters.values, json),
                None => json.push(b'0'),
            }
        }
        json.push(b']');
    }

    /// Counters after the record `id` from what [`write`](Self::write) made of them.
    ///
    /// # Errors
    /// When they are not those of these changes.
    pub fn read(&self, id: Id, json: &str) -> Result<SmallVec<[Counted; 2]>> {
        let wrong =
            |why: String| Error::Internal(format!("the counters of record {id} are not those of its event: {why}"));
        let stored: Vec<Stored> = serde_json::from_str(json).map_err(|error| wrong(error.to_string()))?;
        if stored.len() != self.0.len() {
            return Err(wrong(format!("{} of {}", stored.len(), self.0.len())));
        }
        let mut found = SmallVec::new();
        for (change, stored) in self.iter().zip(stored) {
            let Stored::Values(given) = stored else { continue };
            let mut values = [0; 3];
            let Some(place) = values.get_mut(..given.len()) else { return Err(wrong(format!("{given:?}"))) };
            place.copy_from_slice(&given);
            found.push(Counted { of: change.of, counters: Counters { values, applied: id, gone: change.gone } });
        }
        Ok(found)
    }
}

/// Counters in a record's line.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Stored {
    Values(SmallVec<[u64; 3]>),
    Unchanged(#[allow(dead_code, reason = "its type alone tells it apart")] u8),
}

fn write_values(values: [u64; 3], json: &mut Vec<u8>) {
    let kept = values.iter().rposition(|value| *value != 0).map_or(0, |last| last + 1);
    json.push(b'[');
    for (index, value) in values[..kept].iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        // A buffer in memory takes everything.
        let _ = write!(json, "{value}");
    }
    json.push(b']');
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
        for one in committed {
            if matches!(one.record.event, Event::Posted { .. }) {
                // Whoever made it is shown it next: nobody has to look for counters that are not there yet.
                self.0.post_made(one.record.id);
            }
            one.outcome.counters.iter().for_each(|counted| self.0.counted(counted.of, counted.counters));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::clock::Clock;
    use crate::log::events::{PostRecord, PostRef, Record};

    /// A post is deleted by record 7; its counters are as record `applied` left them.
    fn counted_by_7(applied: u64, gone: bool) -> usize {
        let (mut changes, mut state, mut outcome) = (Changes::default(), State::default(), Outcome::default());
        changes.user(Id(1), OfUser::Posts, -1);
        changes.post(Id(2), OfPost::Replies, -1);
        changes.gone(Id(3));
        let counters = |of: Of, counters: Counters| (of.row(), Some(counters.to_bytes()));
        let two = Counters { values: [2; 3], applied: Id(4), gone: false };
        let of_post = Counters { applied: Id(applied), gone, ..two };
        for (row, value) in
            [counters(Of::User(Id(1)), two), counters(Of::Post(Id(2)), two), counters(Of::Post(Id(3)), of_post)]
        {
            state.load(row, value, true);
        }
        changes.fold(Id(7), &state, &mut outcome).unwrap();
        let mut json = Vec::new();
        changes.write(&outcome, &mut json);
        let read = changes.read(Id(7), std::str::from_utf8(&json).unwrap()).unwrap();
        assert_eq!(read.as_slice(), outcome.counters.as_slice());
        outcome.counters.len()
    }

    #[test]
    fn a_post_that_is_gone_is_taken_back_once() {
        assert_eq!(counted_by_7(5, false), 3);
        assert_eq!(counted_by_7(5, true), 0, "an earlier record deleted it");
        assert_eq!(counted_by_7(7, true), 2, "this one did, and its other rows were torn away");
    }

    /// Both may come in one call: of another owner's records, or after storage was away.
    #[tokio::test]
    async fn what_is_counted_of_a_post_is_known_from_its_making_on() {
        let store = Arc::new(Store::new(fanfare_engines::memory::open(1).unwrap(), Clock::by_hand(1)));
        let told = |id, event, counted: &[Counted]| {
            let record = Arc::new(Record { id: Id(id), event, idempotency: None, import_line: None, audit: None });
            let mut outcome = Outcome::default();
            outcome.counters.extend_from_slice(counted);
            Committed { record, outcome }
        };
        let post = |id| PostRecord { id: Id(id), author: Id(1), ..PostRecord::default() };
        let made = |id| told(id, Event::Posted { post: post(id), notify: Vec::new() }, &[]);
        let of = |id| Of::Post(Id(id));
        let liked = Counters { values: [1, 0, 0], applied: Id(7), gone: false };
        let like = Event::Liked { user: Id(2), post: PostRef { id: Id(5), author: Id(1) } };
        let like = told(7, like, &[Counted { of: of(5), counters: liked }]);
        CounterListener(Arc::clone(&store)).committed(&[made(5), made(6), like], Id(7));
        // No table has any of it: it comes from memory.
        assert_eq!(store.stored_counters(of(5)).await.unwrap(), liked);
        assert_eq!(store.stored_counters(of(6)).await.unwrap(), Counters::default());
    }
}
