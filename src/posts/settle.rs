//! What follows when a post is gone: bare reposts of it go too, by records of their own, so that every count is that of its
//! list; and its place among the replies of another is kept while something answers it.
//!
//! The record that deletes a post leaves a row in `unsettled`, in its own commit, and so does a record that answers or passes
//! on a post which was deleted before it: whoever decided may not have known. What follows is done in bounded steps, each
//! looks at what is there and changes what is not as it should be, and the row is removed last. So it can be cut off
//! anywhere, done twice, and done by two at once.

use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;

use super::service::deletion;
use crate::core::{Core, LockKey};
use crate::error::Result;
use crate::events::PostRecord;
use crate::limits;
use crate::tables;

/// Deletes those of `posts` that still stand; answers how many.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn delete_standing(core: &Core, posts: &[Id]) -> Result<usize> {
    delete(core, posts, false).await
}

/// The same for posts of an account that is gone: of that whoever follows its person hears, and of these posts not.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn purge_standing(core: &Core, posts: &[Id]) -> Result<usize> {
    delete(core, posts, true).await
}

async fn delete(core: &Core, posts: &[Id], purged: bool) -> Result<usize> {
    let keys: Vec<LockKey> = posts.iter().map(|post| ("post", post.0, 0)).collect();
    let _held = core.locks.hold(&keys).await;
    let mut pending = Vec::with_capacity(posts.len());
    for post in posts {
        if let Some(post) = core.store.post_or_gone(*post).await?.filter(|post| !post.deleted) {
            pending.push(core.sequencer.submit(deletion(&post, purged).into()).await?);
        }
    }
    let count = pending.len();
    for one in pending {
        one.durable().await?;
    }
    Ok(count)
}

/// Does what the record of a deletion left to be done, as far as it is done in few steps; the janitor does the rest.
pub async fn follow_up(core: &Core, record: Id) {
    let range = KeyRange::prefix(&record.to_bytes());
    match settle_rows(core, range, limits::SETTLE_STEPS_MAX).await {
        Ok(true) => {}
        Ok(false) => core.store.unsettled.notify_one(),
        // The deletion is durable, and is answered as such.
        Err(error) => tracing::warn!(%error, "what follows a deletion failed; the janitor goes on"),
    }
}

/// Does everything that is to be done.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn settle_all(core: &Core) -> Result<()> {
    while !settle_rows(core, KeyRange::ALL, usize::MAX).await? {}
    Ok(())
}

/// Settles the first rows of `range` in at most `steps_max` steps; true when none is left.
async fn settle_rows(core: &Core, range: KeyRange, steps_max: usize) -> Result<bool> {
    let port = &core.store.engines.tables;
    let limit = limits::JANITOR_STEP_ROWS;
    let rows = port.scan(tables::UNSETTLED, &tables::ONE, range, Order::Ascending, limit).await?;
    let (mut steps, mut done) = (steps_max, Batch::default());
    for row in &rows {
        if !settle_post(core, tables::unsettled_post(&row.clustering), &mut steps).await? {
            break;
        }
        done.delete(RowKey::new(tables::UNSETTLED, tables::ONE, row.clustering.clone()));
    }
    let is_all = done.rows.len() == rows.len() && rows.len() < limit;
    if !done.rows.is_empty() {
        port.write(done).await?;
    }
    Ok(is_all)
}

/// Does what follows for a post, and for those above it that it was the last answer of; false when there is more.
async fn settle_post(core: &Core, mut next: Option<Id>, steps: &mut usize) -> Result<bool> {
    while let Some(post) = next {
        // Of what still stands, or is only the account's, another record will tell.
        let Some(gone) = core.store.post_or_gone(post).await?.filter(|post| post.deleted) else { break };
        if !delete_reposts(core, post, steps).await? || !spend(steps) {
            return Ok(false);
        }
        next = place(core, &gone).await?;
    }
    Ok(true)
}

fn spend(steps: &mut usize) -> bool {
    let left = steps.checked_sub(1);
    *steps = left.unwrap_or_default();
    left.is_some()
}

/// Deletes the bare reposts of a post that is gone; false when there may be more.
async fn delete_reposts(core: &Core, post: Id, steps: &mut usize) -> Result<bool> {
    let mut after = None;
    loop {
        let rows = core.store.oldest(tables::REPOSTERS, post, after, limits::SETTLE_STEP_ROWS).await?;
        let reposts: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        if reposts.is_empty() {
            return Ok(true);
        }
        if !spend(steps) {
            return Ok(false);
        }
        delete_standing(core, &reposts).await?;
        after = reposts.last().copied();
    }
}

/// Keeps a post that is gone among the replies of its parent while it is answered itself, and no longer. Answers the
/// parent when that is gone too and may have lost its last answer.
async fn place(core: &Core, gone: &PostRecord) -> Result<Option<Id>> {
    let Some(parent) = gone.reply_to else { return Ok(None) };
    let _held = core.locks.hold(&[("thread", gone.id.0, 0)]).await;
    let row = tables::pair(tables::REPLIES, parent.id, gone.id);
    let is_answered = !core.store.oldest(tables::REPLIES, gone.id, None, 1).await?.is_empty();
    if is_answered != core.store.get(&row).await?.is_some() {
        let mut batch = Batch::default();
        let version = core.sequencer.mint().0;
        if is_answered {
            batch.put_versioned(row, tables::partition(gone.author), version);
        } else {
            batch.delete_versioned(row, version);
        }
        core.store.engines.tables.write(batch).await?;
    }
    // Also when nothing changed: this may be done again after it was cut off.
    Ok((!is_answered).then_some(parent.id))
}
