//! The row that says which deletes storage may forget: up to which record, and what waits to follow.

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, RowKey, Tables};
use fanfare_protocol::Id;

use crate::base::limits;
use crate::data::rows::in_row;
use crate::data::tables;

/// Bounds of forgetting: what is forgotten, and what will be when it has waited long enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Record up to which every row was written for good: no takeover writes those of records up to this one again.
    pub upto: Id,
    /// The record up to which the next round forgets.
    next: Id,
    /// Moment since which that waits, in milliseconds since the Unix epoch.
    next_since_ms: u64,
}

impl Forgotten {
    fn to_bytes(self) -> Vec<u8> {
        [self.upto.0, self.next.0, self.next_since_ms].map(u64::to_be_bytes).concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).filter_map(Id::from_bytes);
        let mut next = || numbers.next();
        Some(Self { upto: next()?, next: next()?, next_since_ms: next()?.0 })
    }

    /// Bounds as stored; the default when nothing was forgotten yet.
    ///
    /// # Errors
    /// When the engine fails, or the row is damaged.
    pub async fn read(tables: &dyn Tables) -> Result<Self, EngineError> {
        Ok(in_row(&row(), tables.get(&row()).await?, Self::from_bytes)?.unwrap_or_default())
    }

    /// Adds the row to `batch`; its version grows with every write.
    pub fn write(self, batch: &mut Batch) {
        batch.put_versioned(row(), self.to_bytes(), self.next.0);
    }

    /// Next state when everything up to `passed` was answered by `now_ms`; `None` while there is nothing to change.
    #[must_use]
    pub fn then(self, passed: Id, now_ms: u64) -> Option<Self> {
        if self.next_since_ms > now_ms {
            // The clock was ahead, and the wait would last until it is there again: it begins anew.
            return (passed > self.next).then_some(Self { next: passed, next_since_ms: now_ms, ..self });
        }
        let waited = now_ms.saturating_sub(self.next_since_ms) >= limits::FORGET_AFTER_S * 1_000;
        (passed > self.next && waited).then_some(Self { upto: self.next, next: passed, next_since_ms: now_ms })
    }
}

fn row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, Bytes::from_static(b"forgotten"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_has_waited_is_forgotten() {
        let wait = limits::FORGET_AFTER_S * 1_000;
        let begun = Forgotten::default().then(Id(5), wait).unwrap();
        assert_eq!((begun.upto, begun.next), (Id(0), Id(5)));
        assert_eq!(begun.then(Id(9), 2 * wait - 1), None, "it may still be under way");
        assert_eq!(begun.then(Id(5), 9 * wait), None, "nothing new");
        let later = begun.then(Id(9), 2 * wait).unwrap();
        assert_eq!((later.upto, later.next), (Id(5), Id(9)));
        let fast = Forgotten { next_since_ms: 900 * wait, ..later };
        assert_eq!(fast.then(Id(9), 3 * wait), None);
        let again = fast.then(Id(10), 3 * wait).unwrap();
        assert_eq!((again.upto, again.next), (Id(5), Id(10)), "a clock that was set right begins the wait anew");
        assert_eq!(again.then(Id(11), 4 * wait).unwrap().upto, Id(10));
        assert_eq!(Forgotten::from_bytes(&later.to_bytes()), Some(later));
    }
}
