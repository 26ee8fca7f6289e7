//! Deletes that no write can come to undo any more are forgotten, so that storage lets go of them.
//!
//! A delete stays in storage as a cell with a version, against older writes that come late. Which could come? Records are
//! projected in the order of their ids, so once one is answered, no row with its version or a lower one is written from a
//! record again: a start projects only what is newer than what was forgotten (`sequencer.rs`), which is stored before
//! storage is told. Rows without records are written with ids of their moment, at once, so they are covered by waiting for
//! far longer than any call lasts. Deletes alone are written with lower versions (what expires), which undoes nothing.
//!
//! Left out (`forgettable`) are rows with versions of another kind (read markers, progress), those that nobody scans
//! and that must never come back (credentials, tokens), and `reposters` and `public` until what earlier versions wrote is
//! listed in them, which is done with old ids.

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey, Table};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::limits;
use crate::data::tables;
use crate::log::core::Core;
use crate::posts::{old_reposts, public};

/// Bounds of forgetting: what is forgotten, and what will be when it has waited long enough.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Forgotten {
    upto: Id,
    next: Id,
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

    /// Next state when everything up to `passed` was answered by `now_ms`; `None` while there is nothing to change.
    fn then(self, passed: Id, now_ms: u64) -> Option<Self> {
        let waited = now_ms.saturating_sub(self.next_since_ms) >= limits::FORGET_AFTER_S * 1_000;
        (passed > self.next && waited).then_some(Self { upto: self.next, next: passed, next_since_ms: now_ms })
    }
}

/// Record up to which every row was written for good: no record up to this one is projected again.
///
/// # Errors
/// When the engine fails.
pub async fn forgotten(tables: &dyn fanfare_engines::Tables) -> Result<Id> {
    let stored = tables.get(&row()).await?;
    Ok(stored.as_deref().and_then(Forgotten::from_bytes).unwrap_or_default().upto)
}

fn row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, Bytes::from_static(b"forgotten"))
}

/// Tells storage what it may let go of.
///
/// # Errors
/// When the engine fails; the next round goes on.
pub async fn forget(core: &Core) -> Result<()> {
    let port = &core.store.engines.tables;
    let stored = port.get(&row()).await?;
    let mut kept = stored.as_deref().and_then(Forgotten::from_bytes).unwrap_or_default();
    if let Some(then) = kept.then(core.sequencer.passed(), core.clock.now_ms()) {
        let mut batch = Batch::default();
        // Grows with every write of the row.
        batch.put_versioned(row(), then.to_bytes(), then.next.0);
        port.write(batch).await?;
        kept = then;
    }
    if kept.upto > Id(0) {
        port.forget(&forgettable(old_reposts::is_done(core).await?, public::is_done(core).await?), kept.upto.0).await?;
    }
    Ok(())
}

/// Tables of which every write is a record's, or of its own moment.
fn forgettable(old_reposts_done: bool, public_done: bool) -> Vec<Table> {
    let mut found = vec![
        tables::NAMES,
        tables::FOLLOWS,
        tables::FOLLOWERS,
        tables::BLOCKS,
        tables::BLOCKED_BY,
        tables::MUTES,
        tables::AUTHOR_POSTS,
        tables::REPLIES,
        tables::LIKERS,
        tables::LIKED,
        tables::REPOSTED,
        tables::POST_COUNTERS,
        tables::TIMELINE,
        tables::NOTIFICATIONS,
        tables::IDEMPOTENCY,
        tables::INTERACTIONS,
        tables::PURGES,
        tables::DELETIONS,
        tables::SUSPENSIONS,
        tables::AUDIT,
    ];
    if old_reposts_done {
        found.push(tables::REPOSTERS);
    }
    if public_done {
        found.push(tables::PUBLIC);
    }
    found
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
        assert_eq!(Forgotten::from_bytes(&later.to_bytes()), Some(later));
    }
}
