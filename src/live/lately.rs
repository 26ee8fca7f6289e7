//! Changes of sessions that memory still has: the newest of each, of those that changed last. Pure.
//!
//! Whoever was not connected for a moment, as those who poll are between two requests, is told from here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fanfare_protocol::Id;

use crate::data::rows::LiveRow;

/// Sessions that changed last.
#[derive(Debug)]
pub struct Lately {
    /// By the record that changed them.
    changes: BTreeMap<Id, Arc<LiveRow>>,
    /// Record that changed each of them last.
    last: HashMap<Id, Id>,
    sessions_max: usize,
}

impl Lately {
    /// Nothing has changed yet; of more sessions than `sessions_max` the oldest changes go.
    #[must_use]
    pub fn new(sessions_max: usize) -> Self {
        Self { changes: BTreeMap::new(), last: HashMap::new(), sessions_max }
    }

    /// Record `by` made this of a session.
    pub fn changed(&mut self, row: Arc<LiveRow>, by: Id) {
        if let Some(before) = self.last.insert(row.id, by) {
            self.changes.remove(&before);
        }
        self.changes.insert(by, row);
        if self.changes.len() > self.sessions_max
            && let Some((_, oldest)) = self.changes.pop_first()
        {
            self.last.remove(&oldest.id);
        }
    }

    /// The newest `max` changes by records above `after` and up to `upto`, the newest first.
    #[must_use]
    pub fn between(&self, after: Id, upto: Id, max: usize) -> Vec<(Id, Arc<LiveRow>)> {
        if after >= upto {
            return Vec::new();
        }
        let changes = self.changes.range(Id(after.0.saturating_add(1))..=upto).rev();
        changes.take(max).map(|(by, row)| (*by, Arc::clone(row))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_change_of_each_of_the_latest_sessions_is_known() {
        let mut lately = Lately::new(3);
        for (by, session) in [(10, 1), (11, 2), (12, 1), (13, 3), (14, 2), (15, 4)] {
            lately.changed(Arc::new(LiveRow::announced(Id(session), Id(9), String::new(), 0)), Id(by));
        }
        let between = |after, upto, max| -> Vec<(u64, u64)> {
            lately.between(Id(after), Id(upto), max).iter().map(|(by, row)| (by.0, row.id.0)).collect()
        };
        assert_eq!(between(0, 99, 9), [(15, 4), (14, 2), (13, 3)], "the first session changed the longest ago");
        assert_eq!((between(13, 14, 9), between(0, 99, 1)), (vec![(14, 2)], vec![(15, 4)]));
        assert_eq!((between(15, 99, 9), between(20, 10, 9)), (vec![], vec![]));
        assert_eq!((lately.changes.len(), lately.last.len()), (3, 3));
    }
}
