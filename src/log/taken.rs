//! Memory of a partition of what it has taken of others: the last record of each from which something followed here.
//!
//! It is part of the owner's state: it moves with the derived records that are durable, stands in the head row, and is
//! read from the log above it. So of two records that follow from the same the second is dropped, whoever told it, and
//! none is left out.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use fanfare_protocol::Id;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::base::error::Error;
use crate::log::events::{Event, SourceRecord};
use fanfare_engines::EngineError;

/// The last record of each source that was taken.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Consumed(BTreeMap<u16, Id>);

impl Consumed {
    /// Whether nothing was taken of anybody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last record of `partition` that was taken; 0 before the first.
    #[must_use]
    pub fn of(&self, partition: u16) -> Id {
        self.0.get(&partition).copied().unwrap_or_default()
    }

    /// Takes what follows from a record, if it is its turn.
    ///
    /// # Errors
    /// For what was taken before, and where something before it was not.
    pub fn take(&mut self, from: &SourceRecord) -> Result<(), Error> {
        let last = self.of(from.partition);
        if from.after != last || from.id <= last {
            let what = format!("record {} of partition {} is not next after {last}", from.id, from.partition);
            return Err(EngineError::Unavailable(what).into());
        }
        self.0.insert(from.partition, from.id);
        Ok(())
    }

    /// Learns of an event that is durable.
    pub fn learn(&mut self, event: &Event) {
        if let Event::Derived(derived) = event {
            let last = self.0.entry(derived.from.partition).or_default();
            *last = derived.from.id.max(*last);
        }
    }

    /// Learns all that `other` knows.
    pub fn join(&mut self, other: &Self) {
        for (partition, id) in &other.0 {
            let last = self.0.entry(*partition).or_default();
            *last = (*id).max(*last);
        }
    }
}

/// State of a social partition that takers look at: what it has taken, and up to where it is settled. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Crossing {
    taken: Arc<Mutex<Consumed>>,
    settled: Arc<Settling>,
    /// Repeats are taken: for a test that must notice.
    #[cfg(test)]
    pub(super) takes_twice: Arc<std::sync::atomic::AtomicBool>,
}

/// Id up to which a partition is settled, for many who wait for news. They are woken in turn: a watch channel wakes in
/// an order of chance, and what nodes do would not follow from the seed of a history.
#[derive(Debug, Default)]
struct Settling {
    state: Mutex<SettlingState>,
    bell: Notify,
}

#[derive(Debug, Default)]
struct SettlingState {
    upto: Id,
    /// Number of the last news.
    news: u64,
}

/// Watch over what is settled of a partition.
#[derive(Debug)]
pub struct SettledWatch {
    of: Arc<Settling>,
    /// Number of the last news that was seen.
    seen: u64,
}

impl SettledWatch {
    /// Id up to which the partition is settled, which counts as seen.
    pub fn look(&mut self) -> Id {
        let state = self.of.state.lock();
        self.seen = state.news;
        state.upto
    }

    /// Waits for news that were not seen, and sees them.
    pub async fn changed(&mut self) {
        loop {
            let mut bell = pin!(self.of.bell.notified());
            bell.as_mut().enable();
            let news = self.of.state.lock().news;
            if news != self.seen {
                self.seen = news;
                return;
            }
            bell.await;
        }
    }
}

impl Crossing {
    /// Whether it is told again what was taken.
    #[cfg(test)]
    pub(super) fn takes_twice(&self) -> bool {
        self.takes_twice.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Records that are durably taken.
    #[must_use]
    pub fn taken(&self) -> Consumed {
        self.taken.lock().clone()
    }

    /// The last record of `partition` that is durably taken.
    #[must_use]
    pub fn taken_of(&self, partition: u16) -> Id {
        #[cfg(test)]
        if self.takes_twice() {
            return Id(0);
        }
        self.taken.lock().of(partition)
    }

    /// Learns all that `other` knows, which is durable.
    pub fn join(&self, other: &Consumed) {
        if !other.is_empty() {
            self.taken.lock().join(other);
        }
    }

    /// Learns of durable events.
    pub fn learn<'a>(&self, events: impl Iterator<Item = &'a Event>) {
        for event in events.filter(|event| matches!(event, Event::Derived(_))) {
            self.taken.lock().learn(event);
        }
    }

    /// The partition is settled up to `id`, and views have heard of it.
    pub fn settle(&self, id: Id) {
        {
            let mut state = self.settled.state.lock();
            if id <= state.upto {
                return;
            }
            state.upto = id;
            state.news += 1;
        }
        self.settled.bell.notify_waiters();
    }

    /// Something was learnt of what is taken: whoever waits for it looks again.
    pub fn look_again(&self) {
        self.settled.state.lock().news += 1;
        self.settled.bell.notify_waiters();
    }

    /// Id up to which the partition is settled.
    #[must_use]
    pub fn settled(&self) -> Id {
        self.settled.state.lock().upto
    }

    /// Watch over that, which has seen all news so far.
    #[must_use]
    pub fn watched(&self) -> SettledWatch {
        let seen = self.settled.state.lock().news;
        SettledWatch { of: Arc::clone(&self.settled), seen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn from(partition: u16, after: u64, id: u64) -> SourceRecord {
        SourceRecord { partition, id: Id(id), after: Id(after) }
    }

    #[test]
    fn what_follows_is_taken_once_and_in_turn() {
        let mut taken = Consumed::default();
        taken.take(&from(2, 0, 5)).unwrap();
        taken.take(&from(3, 0, 4)).unwrap();
        assert!(taken.take(&from(2, 0, 5)).is_err(), "a repeat");
        assert!(taken.take(&from(2, 7, 9)).is_err(), "something is missing before it");
        assert!(taken.take(&from(2, 5, 5)).is_err(), "it is none after itself");
        taken.take(&from(2, 5, 9)).unwrap();
        assert_eq!((taken.of(2), taken.of(3), taken.of(4)), (Id(9), Id(4), Id(0)));
        let stored = serde_json::to_string(&taken).unwrap();
        assert_eq!(stored, r#"{"2":"9","3":"4"}"#);
        assert_eq!(serde_json::from_str::<Consumed>(&stored).unwrap(), taken);
    }
}
