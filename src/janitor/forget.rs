//! Deletes that no write can come to undo any more are forgotten, so that storage lets go of them.
//!
//! A delete stays in storage as a cell with a version, against older writes that come late. Which could come? Records
//! have their rows written in the order of their ids, so once one is answered, no row with its version or a lower one
//! is written from a record again: a takeover writes only rows of what is newer than what was forgotten
//! (`log/takeover.rs`), which is stored before storage is told. Rows without records are written with ids of their
//! moment, at once, so they are covered by waiting for far longer than any call lasts. Deletes alone are written with
//! lower versions (what expires), which undoes nothing.
//!
//! Left out (`forgettable`) are rows with versions of another kind (read markers, progress), those that nobody scans
//! and that must never come back (credentials, tokens), and `reposters` and `public` until what earlier versions wrote
//! is listed in them, which is done with old ids.

use fanfare_engines::{Batch, Table};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::data::tables;
use crate::log::core::Core;
use crate::posts::{old_reposts, public};

/// Tells storage what it may let go of.
///
/// # Errors
/// When the engine fails; the next round goes on.
pub async fn forget(core: &Core) -> Result<()> {
    let port = &core.store;
    let mut kept = port.forgotten().await?;
    if let Some(then) = kept.then(core.log.settled(), core.clock.now_ms()) {
        let mut batch = Batch::default();
        then.write(&mut batch);
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
        tables::REPORTS_OPEN,
        tables::REPORTS_OF,
        tables::LIVE_OF_HOST,
        tables::LIVE_REPLAYS,
        tables::LIVE_TIMELINE,
        tables::LIVE_REMINDERS,
        tables::LIVE_REMINDERS_OF,
        tables::LIVE_REMINDING,
        tables::LINKS_OF,
        tables::LINK_COUNTS,
    ];
    if old_reposts_done {
        found.push(tables::REPOSTERS);
    }
    if public_done {
        found.push(tables::PUBLIC);
    }
    found
}
