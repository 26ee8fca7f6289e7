//! Group of records that become durable in one commit: numbered, admitted and folded step by step, answered together
//! when it is known what became of them.

use std::mem::take;
use std::sync::Arc;

use fanfare_engines::{Batch, NewRecord, RowWrite};
use fanfare_protocol::Id;

use crate::base::error::Error;
use crate::base::limits;
use crate::log::events::Weight;
use crate::log::family::{CommittedIn, Family};
use crate::log::owner::Numbered;
use crate::log::owners::{Answer, Proposed};

/// Rows for which a group has room at once, at most, where another had more.
const PLACE_ROWS_MAX: usize = 4_096;

/// Records of one commit, in their order, and what was made of them so far.
pub(in crate::log) struct Group<F: Family> {
    /// Ways back to who handed the records in.
    askers: Vec<Asker<F>>,
    weight: Weight,
    /// Records that have ids; then those that happen, not folded yet.
    pub(in crate::log) numbered: Vec<F::Record>,
    pub(in crate::log) admitted: Vec<F::Record>,
    /// Changes by the admitted records of what decides whether records happen.
    pub(in crate::log) changes: F::Changes,
    /// Records that are folded: what they are, their lines in the journal, and their rows.
    pub(in crate::log) folded: Vec<CommittedIn<F>>,
    pub(in crate::log) lines: Vec<NewRecord>,
    pub(in crate::log) batch: Batch,
    /// State after them.
    pub(in crate::log) state: F::State,
    /// Why the group cannot be committed.
    pub(in crate::log) failed: Option<Error>,
}

/// Way back to who handed a record in, and why it does not happen.
struct Asker<F: Family> {
    id: Id,
    answer: Answer<F>,
    refusal: Option<Error>,
}

impl<F: Family> Default for Group<F> {
    fn default() -> Self {
        Self {
            askers: Vec::new(),
            weight: Weight::default(),
            numbered: Vec::new(),
            admitted: Vec::new(),
            changes: F::Changes::default(),
            folded: Vec::new(),
            lines: Vec::new(),
            batch: Batch::default(),
            state: F::State::default(),
            failed: None,
        }
    }
}

impl<F: Family> Group<F> {
    /// A group that writes its rows to where those of another one were: a new place for each would cost as much as the
    /// rows.
    pub(in crate::log) fn in_place_of(mut rows: Vec<RowWrite>) -> Self {
        rows.clear();
        rows.shrink_to(PLACE_ROWS_MAX);
        Self { batch: Batch { rows }, ..Self::default() }
    }

    /// Place of the rows, which are needed no more.
    pub(in crate::log) fn take_place(&mut self) -> Vec<RowWrite> {
        take(&mut self.batch.rows)
    }

    /// Whether nothing was taken yet.
    pub(in crate::log) fn is_empty(&self) -> bool {
        self.askers.is_empty()
    }

    /// Id of the first record that was taken.
    pub(in crate::log) fn first(&self) -> Option<Id> {
        self.askers.first().map(|asker| asker.id)
    }

    /// Whether records were taken that are not folded.
    pub(in crate::log) fn is_behind(&self) -> bool {
        !self.numbered.is_empty() || !self.admitted.is_empty()
    }

    /// Number of the `waiting` proposals that still fit, at most `most`; at least one fits an empty group.
    pub(in crate::log) fn fits(&self, waiting: &[Proposed<F>], most: usize) -> usize {
        let mut weight = self.weight;
        let fits = waiting.iter().take_while(|proposed| {
            weight = weight.and(F::weight(&proposed.proposal));
            weight.bytes <= limits::GROUP_BYTES_MAX && weight.rows <= limits::GROUP_ROWS_MAX
        });
        let most = most.min(limits::GROUP_RECORDS_MAX.saturating_sub(self.askers.len()));
        fits.take(most).count().max(usize::from(self.is_empty())).min(waiting.len())
    }

    /// Adds a proposal that gets its `id`.
    pub(in crate::log) fn push(&mut self, proposal: F::Proposal, id: Id, answer: Answer<F>) {
        self.weight = self.weight.and(F::weight(&proposal));
        self.askers.push(Asker { id, answer, refusal: None });
        self.numbered.push(F::number(proposal, id));
    }

    /// Notes why each of the records that were numbered last does not happen.
    pub(in crate::log) fn refused(&mut self, refusals: Vec<Option<Error>>) {
        let first = self.askers.len().saturating_sub(refusals.len());
        for (asker, refusal) in self.askers[first..].iter_mut().zip(refusals) {
            asker.refusal = refusal;
        }
    }

    /// Notes why the admitted record `id` does not happen.
    pub(in crate::log) fn refuse(&mut self, id: Id, refusal: Error) {
        if let Some(asker) = self.askers.iter_mut().find(|asker| asker.id == id) {
            asker.refusal = Some(refusal);
        }
    }

    /// Throws away what was made of the records: the state that it began with never came about. Their ids stay, and
    /// which of them happen: that was decided about accounts which nothing before them changed.
    pub(in crate::log) fn unfold(&mut self) {
        let folded = take(&mut self.folded).into_iter().map(|one| Arc::unwrap_or_clone(one.record));
        self.admitted = folded.chain(take(&mut self.admitted)).collect();
        self.batch.rows.clear();
        (self.lines, self.state, self.failed) = Default::default();
    }

    /// Answers everybody, of whose records those that happen are durable and told of.
    pub(in crate::log) fn answer(self) {
        let mut records = self.folded.into_iter().map(F::answer);
        let missing = || Error::Internal("a record was not committed".to_owned());
        for Asker { answer, refusal, .. } in self.askers {
            // A caller that went away needs no answer.
            let _ = answer.send(refusal.map_or_else(|| records.next().ok_or_else(missing), Err));
        }
    }

    /// Everybody who waits for an answer, with the id of the record.
    pub(in crate::log) fn into_askers(self) -> Vec<Numbered<F>> {
        self.askers.into_iter().map(|Asker { id, answer, .. }| (id, answer)).collect()
    }
}

#[cfg(test)]
#[path = "group_tests.rs"]
mod tests;
