//! Consequences of a post's deletion: bare reposts of it go too, by records of their own, so that every count is that
//! of its list; who liked it is forgotten; and its place among the replies of another is kept while something answers
//! it.
//!
//! The record that deletes a post leaves a row in `unsettled`, in its own commit, and so does a record that answers,
//! likes or passes on a post which was deleted before it: whoever decided may not have known. What follows is done in
//! bounded steps, each looks at what is there and changes what is not as it should be, and the row is removed last. So
//! it can be cut off anywhere, done twice, and done by two at once.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;

use super::service::deletion;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::tables;
use crate::log::core::{Core, LockKey};
use crate::log::events::{Event, PostRecord};
use crate::log::handle::Guard;

/// Deletes those of `posts` that still stand; answers how many.
///
/// # Errors
/// When storage fails; the next call goes on.
async fn delete_standing(core: &Core, posts: &[Id]) -> Result<usize> {
    delete(core, posts, false).await
}

/// Deletes standing posts of an account that is gone: of that whoever follows its person hears, and of these posts not.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn purge_standing(core: &Core, posts: &[Id]) -> Result<usize> {
    delete(core, posts, true).await
}

async fn delete(core: &Core, posts: &[Id], purged: bool) -> Result<usize> {
    // Whose they are never changes: the partitions that decide are those of their authors.
    let (mut found, unread) = standing(core, posts).await?;
    let elsewhere = core.log.elsewhere(found.iter().map(|post| post.author));
    found.retain(|post| core.log.elsewhere([post.author]).is_none());
    let ids: Vec<Id> = found.iter().map(|post| post.id).collect();
    let authors: Vec<Id> = found.iter().map(|post| post.author).collect();
    let keys: Vec<LockKey> = ids.iter().map(|post| ("post", post.0, 0)).collect();
    let guards = core.log.decide_all(&authors, &keys).await?;
    let (still, unread_since) = standing(core, &ids).await?;
    let guard_of: HashMap<Id, &Guard> = ids.into_iter().zip(&guards).collect();
    let of = |post: &Arc<PostRecord>| Some((*guard_of.get(&post.id)?, deletion(post, purged)));
    let events: Vec<(&Guard, Event)> = still.iter().filter_map(of).collect();
    let count = core.log.commit_all(events).await?;
    // What another node decides is left to its janitor.
    unread.and(unread_since).and(elsewhere.map_or(Ok(()), Err)).map(|()| count)
}

/// Posts of `posts` that still stand, and the error of one that does not decode: it stops none of the others.
///
/// # Errors
/// When storage fails.
async fn standing(core: &Core, posts: &[Id]) -> Result<(Vec<Arc<PostRecord>>, Result<()>)> {
    let (mut found, mut outcome) = (Vec::new(), Ok(()));
    for post in posts {
        match core.store.post_or_gone(*post).await {
            Ok(post) => found.extend(post.filter(|post| !post.deleted)),
            Err(error) if error.is_of_storage() => return Err(error),
            Err(error) => outcome = Err(error),
        }
    }
    Ok((found, outcome))
}

/// Does what the record of a deletion left to be done, as far as it is done in few steps; the janitor does the rest.
pub async fn follow_up(core: &Core, record: Id) {
    let range = KeyRange::prefix(&record.to_bytes());
    let mut steps = limits::SETTLE_STEPS_MAX;
    match settle_rows(core, range, &mut steps).await.and_then(Settled::all) {
        Ok(None) => {}
        Ok(Some(_)) => core.store.unsettled.notify_one(),
        // The deletion is durable, and is answered as such.
        Err(error) => tracing::warn!(%error, "what follows a deletion failed; the janitor goes on"),
    }
}

/// Does everything that is to be done. What cannot be done is left, for the next call, and stops nothing else.
///
/// # Errors
/// When storage fails, or something could not be done; the next call goes on.
pub async fn settle_all(core: &Core) -> Result<()> {
    let (mut range, mut steps) = (KeyRange::ALL, usize::MAX);
    let mut outcome = Ok(());
    loop {
        let settled = settle_rows(core, range, &mut steps).await?;
        outcome = outcome.and(settled.failed.map_or(Ok(()), Err));
        let Some(from) = settled.next else { return outcome };
        range = KeyRange { from: Some(from), to: None };
    }
}

/// Fate of some rows.
struct Settled {
    /// Key from which there may be more to do.
    next: Option<Bytes>,
    /// Why something was left.
    failed: Option<Error>,
}

impl Settled {
    /// Key from which there may be more to do, when nothing was left.
    fn all(self) -> Result<Option<Bytes>> {
        self.failed.map_or(Ok(self.next), Err)
    }
}

/// Settles the first rows of `range`, while there are steps left.
async fn settle_rows(core: &Core, range: KeyRange, steps: &mut usize) -> Result<Settled> {
    let store = &core.store;
    let limit = limits::JANITOR_STEP_ROWS;
    // Rows of a record are there before caches have heard of it: a post that it deletes would be taken for one that
    // stands, and nothing would be left to be done. They have heard of it, and of what follows from it in other
    // partitions, which leaves rows under its id too, when the horizon has come to it.
    let passed = core.log.horizon().reached();
    let mut rows = store.scan(tables::UNSETTLED, &tables::ONE, range, Order::Ascending, limit).await?;
    rows.retain(|row| tables::in_unsettled(&row.clustering).is_none_or(|(record, _)| record <= passed));
    let full = rows.last().filter(|_| rows.len() == limit);
    let mut settled = Settled { next: full.map(|row| [&row.clustering[..], &[0]].concat().into()), failed: None };
    let mut done = Batch::default();
    for row in &rows {
        match settle_post(core, tables::in_unsettled(&row.clustering).map(|(_, post)| post), steps).await {
            Ok(true) => done.delete(RowKey::new(tables::UNSETTLED, tables::ONE, row.clustering.clone())),
            Ok(false) => {
                settled.next = Some(row.clustering.clone());
                break;
            }
            Err(error) if error.is_of_storage() => return Err(error),
            Err(error) => settled.failed = Some(error),
        }
    }
    if !done.rows.is_empty() {
        store.write(done).await?;
    }
    Ok(settled)
}

/// Does what follows for a post, and for those above it that it was the last answer of; false when there is more.
async fn settle_post(core: &Core, mut next: Option<Id>, steps: &mut usize) -> Result<bool> {
    while let Some(post) = next {
        // Of what still stands, or is only the account's, another record will tell.
        let Some(gone) = core.store.post_or_gone(post).await?.filter(|post| post.deleted) else { break };
        let all = delete_reposts(core, post, steps).await? && forget_likes(core, &gone, steps).await?;
        if !all || !spend(steps) {
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

/// Removes who liked a post that is gone, and that they did; false when there may be more. No record tells of it:
/// nobody sees these likes, and nobody counts them.
async fn forget_likes(core: &Core, gone: &PostRecord, steps: &mut usize) -> Result<bool> {
    let mut after = None;
    loop {
        let rows = core.store.oldest(tables::LIKERS, gone.id, after, limits::JANITOR_STEP_ROWS).await?;
        let Some(last) = rows.last().and_then(|row| Id::from_bytes(&row.clustering)) else { return Ok(true) };
        if !spend(steps) {
            return Ok(false);
        }
        let (mut theirs, mut likers, version) = (Batch::default(), Batch::default(), core.log.mint().await?.0);
        for row in &rows {
            let (Some(since), Some(user)) = (Id::from_bytes(&row.clustering), Id::from_bytes(&row.value)) else {
                continue;
            };
            theirs.delete_versioned(tables::pair(tables::LIKED, user, gone.id), version);
            theirs.delete_versioned(tables::pair(tables::INTERACTIONS, user, since), version);
            likers.delete_versioned(tables::pair(tables::LIKERS, gone.id, since), version);
        }
        // A write may tear: what tells of the others goes last.
        core.store.write(theirs).await?;
        core.store.write(likers).await?;
        after = Some(last);
    }
}

/// Keeps a post that is gone among the replies of its parent while it is answered itself, and no longer. Answers the
/// parent when that is gone too and may have lost its last answer.
async fn place(core: &Core, gone: &PostRecord) -> Result<Option<Id>> {
    let Some(parent) = gone.reply_to else { return Ok(None) };
    let _held = core.locks.hold(&[("thread", gone.id.0, 0)]).await?;
    let row = tables::pair(tables::REPLIES, parent.id, gone.id);
    let is_answered = !core.store.oldest(tables::REPLIES, gone.id, None, 1).await?.is_empty();
    if is_answered != core.store.get(&row).await?.is_some() {
        let mut batch = Batch::default();
        let version = core.log.mint().await?.0;
        if is_answered {
            batch.put_versioned(row.clone(), tables::partition(gone.author), version);
        } else {
            batch.delete_versioned(row.clone(), version);
        }
        core.store.write(batch).await?;
        if core.store.get(&row).await?.is_some() != is_answered {
            // What stands there is of a moment to come: ids ran ahead before a restart.
            return Err(Error::Internal(format!(
                "the place of {} among the replies could not be changed yet",
                gone.id
            )));
        }
    }
    // Also when nothing changed: this may be done again after it was cut off.
    Ok((!is_answered).then_some(parent.id))
}
