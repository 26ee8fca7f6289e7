//! Follower: tells views what is settled, which is durable with its rows written. On one node the owners hand over to
//! it directly, and whoever of them comes first is first.
//!
//! Views show what is up to the horizon. So whoever handed in is answered only when the horizon has come to their
//! record: where another partition has something older on its way, that is awaited, and what was acknowledged is in the
//! next read.

use std::sync::Arc;

use fanfare_engines::Partition;
use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::log::family::{CommittedIn, Family};
use crate::log::horizon::Horizon;

/// Answers to a group, and the id to which the horizon must come before.
type Waiting = (Id, Box<dyn FnOnce() + Send>);

/// Views of a family, which hear of one group at a time. Clones are the same.
#[derive(Clone)]
pub(super) struct Follower {
    horizon: Horizon,
    /// Bounded by what was handed in.
    waiting: Arc<Mutex<Vec<Waiting>>>,
}

impl Follower {
    /// For views that were filled with everything up to where the `horizon` will stand when they are first told.
    pub(super) fn new(horizon: Horizon) -> Self {
        Self { horizon, waiting: Arc::default() }
    }

    /// Horizon of the family, which it moves on.
    pub(super) const fn horizon(&self) -> &Horizon {
        &self.horizon
    }

    /// Tells of records of `partition` whose rows are written, in their order.
    pub(super) fn hear<F: Family>(&self, family: &F, partition: Partition, committed: &[CommittedIn<F>]) {
        let Some(last) = committed.last().map(|one| F::id(&one.record)) else { return };
        let _one = self.horizon.telling();
        if let Some(held) = family.held(committed) {
            self.horizon.hold(partition, held);
        }
        if self.horizon.is_of_many()
            && let Some(news) = committed.iter().rev().find(|one| !F::is_beat(&one.record))
        {
            self.horizon.has_news(F::id(&news.record));
        }
        let reach = self.horizon.with(partition, last);
        family.tell(committed, reach.all);
        if self.horizon.is_of_many() {
            self.horizon.told_of_many(partition, last);
        }
        self.horizon.reach(reach);
    }

    /// The group of `partition` whose first id is `first` is through, settled or never to be.
    pub(super) fn through(&self, partition: Partition, first: Id) {
        self.horizon.through(partition, first);
        let reached = self.horizon.reached_by_records();
        let free: Vec<Waiting> = {
            let mut waiting = self.waiting.lock();
            waiting.extract_if(.., |(last, _)| *last <= reached).collect()
        };
        free.into_iter().for_each(|(_, answer)| answer());
    }

    /// Calls `answer` once the horizon has come to `last`.
    pub(super) fn answer(&self, last: Id, answer: impl FnOnce() + Send + 'static) {
        // Of many nodes others may take long, or be gone: it is durable, and whoever wants to see it waits for that.
        if !self.horizon.is_of_many() {
            let mut waiting = self.waiting.lock();
            if self.horizon.reached_by_records() < last {
                return waiting.push((last, Box::new(answer)));
            }
        }
        answer();
    }
}
