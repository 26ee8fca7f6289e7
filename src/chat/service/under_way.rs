//! Personal writes under way: rows without records, which no cursor of changes may pass before they are there.

use std::collections::BTreeMap;

use fanfare_protocol::Id;
use parking_lot::Mutex;

/// Writes of personal rows that have begun and are not durable yet.
#[derive(Debug, Default)]
pub(super) struct PersonalWrites(Mutex<BTreeMap<Id, usize>>);

/// A write under way: its rows take versions above [`from`](Self::from), and no cursor goes beyond that until it ends.
#[derive(Debug)]
pub(super) struct PersonalWrite<'a> {
    writes: &'a PersonalWrites,
    from: Id,
}

impl PersonalWrites {
    /// Begins a write; `horizon` answers the highest id that a cursor can stand at now.
    pub(super) fn begin(&self, horizon: impl FnOnce() -> Id) -> PersonalWrite<'_> {
        let mut begun = self.0.lock();
        // Under the lock: a cursor made before stands no higher, one made after sees the write.
        let from = horizon();
        *begun.entry(from).or_default() += 1;
        PersonalWrite { writes: self, from }
    }

    /// The highest id that a cursor may stand at, for `horizon`.
    pub(super) fn bound(&self, horizon: impl FnOnce() -> Id) -> Id {
        let begun = self.0.lock();
        let horizon = horizon();
        begun.keys().next().map_or(horizon, |first| horizon.min(*first))
    }
}

impl PersonalWrite<'_> {
    /// Id below the versions of its rows.
    pub(super) const fn from(&self) -> Id {
        self.from
    }
}

impl Drop for PersonalWrite<'_> {
    fn drop(&mut self) {
        let mut begun = self.writes.0.lock();
        if let Some(count) = begun.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                begun.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cursor_passes_the_oldest_write_under_way() {
        let writes = PersonalWrites::default();
        assert_eq!(writes.bound(|| Id(5)), Id(5));
        let (first, second) = (writes.begin(|| Id(5)), writes.begin(|| Id(5)));
        let third = writes.begin(|| Id(7));
        assert_eq!(writes.bound(|| Id(9)), Id(5));
        drop(first);
        assert_eq!(writes.bound(|| Id(9)), Id(5), "another began at the same id");
        drop(second);
        assert_eq!(writes.bound(|| Id(9)), Id(7));
        drop(third);
        assert_eq!(writes.bound(|| Id(9)), Id(9));
    }
}
