//! From a record to its rows: pure, and the same however often it is done.
//!
//! Most rows follow from the record alone. Counters and notifications are folds: their rows remember the last record
//! applied, so a record that comes again (a retry, or repair after a torn write) changes nothing. The sequencer loads
//! the rows that [`fold_keys`] names, [`project`] reads and replaces them in [`Folds`], and writes the batch.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::data::deletions::{self, Deletion};
use crate::data::rows::{
    Counters, SuspensionRow, UserRow, entry_value, follow_value, kind_of, timeline_value, to_json,
};
use crate::data::tables;
use crate::log::events::{EndedFollow, Event, PostRecord, PostRef, Record};
use crate::log::idempotency;
use crate::notifications::fold;
pub use crate::notifications::fold::Notified;
use crate::posts::public;
use crate::users::names::search_keys;

/// Which of a row's three counters.
#[derive(Clone, Copy)]
enum Counter {
    Followers = 0,
    Following = 1,
    Posts = 2,
}

const LIKES: usize = 0;
const REPLIES: usize = 1;
const REPOSTS: usize = 2;

/// Current values of the rows that records fold into.
#[derive(Debug, Default)]
pub struct Folds {
    /// `None`: there is no such row.
    pub rows: HashMap<RowKey, Option<Bytes>>,
    /// Items of one person and hour that are shown one by one before they are grouped.
    pub group_after: u64,
}

/// What a record changes of a counters row.
#[derive(Default)]
pub(crate) struct Change {
    pub(crate) by: [i64; 3],
    /// The post that is counted about is gone from now on.
    gone: bool,
}

/// The counters that a record changes, by row.
pub(crate) fn counter_changes(record: &Record) -> BTreeMap<RowKey, Change> {
    let mut changes: BTreeMap<RowKey, Change> = BTreeMap::new();
    let mut user = |id: Id, counter: Counter, by: i64| {
        changes.entry(tables::by_id(tables::USER_COUNTERS, id)).or_default().by[counter as usize] += by;
    };
    let mut posts: Vec<(Id, usize, i64)> = Vec::new();
    match &record.event {
        Event::Followed { follower, followee, .. } => {
            user(*follower, Counter::Following, 1);
            user(*followee, Counter::Followers, 1);
        }
        Event::Unfollowed(ended) => {
            user(ended.follower, Counter::Following, -1);
            user(ended.followee, Counter::Followers, -1);
        }
        Event::Blocked { ended, .. } => {
            for edge in ended {
                user(edge.follower, Counter::Following, -1);
                user(edge.followee, Counter::Followers, -1);
            }
        }
        Event::Posted { post, .. } => {
            user(post.author, Counter::Posts, 1);
            posts.extend(post.reply_to.map(|parent| (parent.id, REPLIES, 1)));
            posts.extend(post.repost_of.map(|original| (original.id, REPOSTS, 1)));
        }
        Event::PostDeleted { author, reply_to, repost_of, .. } => {
            user(*author, Counter::Posts, -1);
            posts.extend(reply_to.map(|parent| (parent.id, REPLIES, -1)));
            posts.extend(repost_of.map(|original| (original.id, REPOSTS, -1)));
        }
        Event::Liked { post, .. } => posts.push((post.id, LIKES, 1)),
        Event::Unliked { post, .. } => posts.push((post.id, LIKES, -1)),
        Event::UserCreated { .. }
        | Event::ProfileChanged { .. }
        | Event::UserDeleted { .. }
        | Event::Unblocked { .. }
        | Event::Muted { .. }
        | Event::Unmuted { .. }
        | Event::Suspended { .. }
        | Event::Unsuspended { .. }
        | Event::Operated => {}
    }
    for (post, which, by) in posts {
        changes.entry(tables::by_id(tables::POST_COUNTERS, post)).or_default().by[which] += by;
    }
    // Nothing points at a bare repost.
    if let Event::PostDeleted { post, bare_repost: false, .. } = &record.event {
        changes.entry(tables::by_id(tables::POST_COUNTERS, *post)).or_default().gone = true;
    }
    changes
}

/// Posts that are gone and about which a record leaves something to be done: a post that it deletes, if it was liked, passed
/// on, or an answer; and one that it answers, likes, passes on, or no longer answers, where that was deleted before.
/// Whoever decided may not have known.
fn unsettled(record: &Record, folds: &Folds) -> Result<Vec<Id>> {
    let counted = |post: Id| match folds.rows.get(&tables::by_id(tables::POST_COUNTERS, post)) {
        Some(Some(bytes)) => Counters::from_bytes(bytes),
        _ => Ok(Counters::default()),
    };
    let (mut found, pointed_at) = match &record.event {
        Event::Posted { post, .. } => (vec![], [post.reply_to, post.repost_of.filter(|_| post.is_bare_repost())]),
        Event::PostDeleted { post, reply_to, bare_repost: false, .. } => {
            // Of most that are deleted nothing follows.
            let [likes, _, reposts] = counted(*post)?.values;
            let follows = reply_to.is_some() || likes > 0 || reposts > 0;
            (if follows { vec![*post] } else { vec![] }, [*reply_to, None])
        }
        Event::Liked { post, .. } => (vec![], [Some(*post), None]),
        _ => return Ok(Vec::new()),
    };
    for other in pointed_at.into_iter().flatten() {
        if counted(other.id)?.gone {
            found.push(other.id);
        }
    }
    Ok(found)
}

/// The rows that must be in [`Folds`] before [`project`] is called with `record`.
#[must_use]
pub fn fold_keys(record: &Record) -> Vec<RowKey> {
    let mut keys: Vec<RowKey> = counter_changes(record).into_keys().collect();
    keys.extend(fold::fold_keys(record));
    keys
}

/// Adds the rows of `record` to `batch` and brings `folds` up to date.
///
/// # Errors
/// When a stored fold row does not decode.
pub fn project(record: &Record, folds: &mut Folds, batch: &mut Batch) -> Result<Vec<Notified>> {
    facts(record, batch)?;
    if let Some(key) = &record.idempotency {
        idempotency::remember(key, record.id, record.id, batch)?;
    }
    if let Some(act) = &record.audit {
        let row = tables::audit_row(record.id);
        batch.put(tables::expiry_row(hour_of(record.id) + limits::AUDIT_DAYS * 24 + 2, &row), Bytes::new());
        batch.put_versioned(row, to_json(act)?, record.id.0);
    }
    if let Some(line) = record.import_line {
        let row = RowKey::new(tables::META, tables::ONE, Bytes::from_static(limits::META_IMPORT_LINE));
        batch.put_versioned(row, Bytes::copy_from_slice(&line.to_be_bytes()), line);
    }
    for (key, change) in counter_changes(record) {
        count(record.id, key, &change, folds, batch)?;
    }
    for post in unsettled(record, folds)? {
        batch.put(tables::unsettled_row(record.id, post), Bytes::new());
    }
    fold::project(record, folds, batch)
}

fn count(id: Id, key: RowKey, change: &Change, folds: &mut Folds, batch: &mut Batch) -> Result<()> {
    let mut counters = match folds.rows.get(&key) {
        Some(Some(bytes)) => Counters::from_bytes(bytes)?,
        _ => Counters::default(),
    };
    // Nobody counts what is about a post that is gone.
    if counters.applied >= id || counters.gone {
        return Ok(());
    }
    for (value, by) in counters.values.iter_mut().zip(change.by) {
        *value = value.saturating_add_signed(by);
    }
    counters.gone |= change.gone;
    let is_there = matches!(folds.rows.get(&key), Some(Some(_)));
    if !is_there && !counters.gone && counters.values == [0; 3] {
        // Something is taken back from a post of which nothing is left: nothing comes of that.
        return Ok(());
    }
    counters.applied = id;
    let bytes = counters.to_bytes();
    folds.rows.insert(key.clone(), Some(bytes.clone()));
    batch.put_versioned(key, bytes, id.0);
    Ok(())
}

/// Rows that follow from the record alone.
fn facts(record: &Record, batch: &mut Batch) -> Result<()> {
    let (id, version) = (record.id, record.id.0);
    match &record.event {
        Event::UserCreated { user } => {
            batch.put_versioned(tables::by_id(tables::USERS, user.id), to_json(user)?, version);
            names(user, user.display_name.as_deref(), version, batch, true);
        }
        Event::ProfileChanged { user, old_display_name } => {
            names(user, old_display_name.as_deref(), version - 1, batch, false);
            batch.put_versioned(tables::by_id(tables::USERS, user.id), to_json(user)?, version);
            names(user, user.display_name.as_deref(), version, batch, true);
        }
        Event::UserDeleted { user } => user_deleted(user, id, batch)?,
        Event::Followed { follower, followee, silent, .. } => {
            let row = tables::pair(tables::FOLLOWS, *follower, *followee);
            batch.put_versioned(row, follow_value(id, *silent), version);
            let row = tables::bucketed_row(tables::FOLLOWERS, *followee, id);
            batch.put_versioned(row, follow_value(*follower, *silent), version);
        }
        Event::Unfollowed(edge) => end_follow(*edge, version, batch),
        Event::Blocked { blocker, blocked, ended } => {
            batch.put_versioned(tables::pair(tables::BLOCKS, *blocker, *blocked), tables::partition(id), version);
            batch.put_versioned(tables::pair(tables::BLOCKED_BY, *blocked, *blocker), tables::partition(id), version);
            for edge in ended {
                end_follow(*edge, version, batch);
            }
        }
        Event::Unblocked { blocker, blocked } => {
            batch.delete_versioned(tables::pair(tables::BLOCKS, *blocker, *blocked), version);
            batch.delete_versioned(tables::pair(tables::BLOCKED_BY, *blocked, *blocker), version);
        }
        Event::Muted { muter, muted } => {
            batch.put_versioned(tables::pair(tables::MUTES, *muter, *muted), tables::partition(id), version);
        }
        Event::Unmuted { muter, muted } => {
            batch.delete_versioned(tables::pair(tables::MUTES, *muter, *muted), version);
        }
        Event::Posted { post, .. } => posted(post, id, batch)?,
        Event::PostDeleted { post, author, reply_to, repost_of, bare_repost, purged, .. } => {
            let gone = PostRecord::tombstone(*post, *author, *reply_to);
            batch.put_versioned(tables::by_id(tables::POSTS, *post), to_json(&gone)?, version);
            if !purged {
                deletions::keep(Deletion { id, post: *post, author: *author }, batch);
            }
            post_removed(*post, *author, [*reply_to, *repost_of], *bare_repost, version, batch);
            if !bare_repost {
                // Until then they tell what comes late that the post is gone.
                let counters = tables::by_id(tables::POST_COUNTERS, *post);
                batch.put(tables::expiry_row(hour_of(id) + 2, &counters), Bytes::new());
            }
        }
        Event::Liked { user, post } => {
            batch.put_versioned(tables::pair(tables::LIKERS, post.id, id), tables::partition(*user), version);
            batch.put_versioned(tables::pair(tables::LIKED, *user, post.id), tables::partition(id), version);
            interaction(*user, post.author, id, batch);
        }
        Event::Unliked { user, post, since } => {
            batch.delete_versioned(tables::pair(tables::LIKERS, post.id, *since), version);
            batch.delete_versioned(tables::pair(tables::LIKED, *user, post.id), version);
            batch.delete_versioned(tables::pair(tables::INTERACTIONS, *user, *since), version);
        }
        Event::Suspended { user, reason, until_ms } => suspended(*user, reason, *until_ms, id, batch)?,
        Event::Unsuspended { user } => batch.delete_versioned(tables::suspension_row(*user), version),
        Event::Operated => {}
    }
    Ok(())
}

fn suspended(user: Id, reason: &str, until_ms: Option<u64>, id: Id, batch: &mut Batch) -> Result<()> {
    let row = tables::suspension_row(user);
    if let Some(until_ms) = until_ms {
        batch.put(tables::expiry_row((until_ms / 3_600_000) as u32 + 2, &row), Bytes::new());
    }
    let suspension = SuspensionRow { reason: reason.to_owned(), since: id, until_ms };
    batch.put_versioned(row, to_json(&suspension)?, id.0);
    Ok(())
}

/// The row that says there was such an account, and what tells the janitor to clear up after it.
fn user_deleted(user: &UserRow, id: Id, batch: &mut Batch) -> Result<()> {
    let version = id.0;
    names(user, user.display_name.as_deref(), version, batch, false);
    let gone = UserRow { id: user.id, deleted: true, deleted_by: Some(id), ..UserRow::default() };
    batch.put_versioned(tables::by_id(tables::USERS, user.id), to_json(&gone)?, version);
    // The handle stays taken for a while; the janitor knows how long.
    batch.put(tables::expiry_row(hour_of(id) + 1, &tables::handle_row(&user.handle)), Bytes::new());
    batch.delete_versioned(tables::by_id(tables::CREDENTIALS, user.id), version);
    batch.delete_versioned(tables::suspension_row(user.id), version);
    let purge = RowKey::new(tables::PURGES, tables::ONE, tables::partition(user.id));
    batch.put_versioned(purge, Bytes::new(), version);
    Ok(())
}

fn end_follow(edge: EndedFollow, version: u64, batch: &mut Batch) {
    batch.delete_versioned(tables::pair(tables::FOLLOWS, edge.follower, edge.followee), version);
    batch.delete_versioned(tables::bucketed_row(tables::FOLLOWERS, edge.followee, edge.since), version);
    if let Some(departed) = edge.departed {
        deletions::keep_departure(edge.follower, (departed, edge.followee), Id(version), batch);
    }
}

fn posted(post: &PostRecord, id: Id, batch: &mut Batch) -> Result<()> {
    let version = id.0;
    let (kind, related) = kind_of(post);
    let value = entry_value(kind, related);
    let public = timeline_value(kind, related, post.author);
    batch.put_versioned(tables::by_id(tables::POSTS, id), to_json(post)?, version);
    batch.put_versioned(tables::bucketed_row(tables::AUTHOR_POSTS, post.author, id), value, version);
    batch.put_versioned(tables::timeline_row(id), public, version);
    if public::shows(post) {
        batch.put_versioned(tables::public_row(id), Bytes::new(), version);
    }
    put_once(tables::bucket_row(tables::bucket_of(id)), batch);
    if let Some(parent) = post.reply_to {
        batch.put_versioned(tables::pair(tables::REPLIES, parent.id, id), tables::partition(post.author), version);
        interaction(post.author, parent.author, id, batch);
    }
    if let Some(original) = post.repost_of {
        if post.is_bare_repost() {
            let row = tables::pair(tables::REPOSTED, post.author, original.id);
            batch.put_versioned(row, tables::partition(id), version);
            let row = tables::pair(tables::REPOSTERS, original.id, id);
            batch.put_versioned(row, tables::partition(post.author), version);
        }
        interaction(post.author, original.author, id, batch);
    }
    Ok(())
}

/// Adds a row without a value, unless a post shortly before in this commit has brought it: nearly all do.
fn put_once(row: RowKey, batch: &mut Batch) {
    /// Rows that a post and its notices make, about.
    const SHORTLY: usize = 16;
    let before = batch.rows.iter().rev().take(SHORTLY);
    if !before.into_iter().any(|brought| brought.key == row) {
        batch.put(row, Bytes::new());
    }
}

fn post_removed(
    post: Id,
    author: Id,
    [reply_to, repost_of]: [Option<PostRef>; 2],
    bare_repost: bool,
    version: u64,
    batch: &mut Batch,
) {
    batch.delete_versioned(tables::bucketed_row(tables::AUTHOR_POSTS, author, post), version);
    batch.delete_versioned(tables::timeline_row(post), version);
    if public::belongs(reply_to.is_some(), bare_repost) {
        batch.delete_versioned(tables::public_row(post), version);
    }
    // Its row among the replies stays while it is answered, which nobody knows here.
    if let (Some(original), true) = (repost_of, bare_repost) {
        batch.delete_versioned(tables::pair(tables::REPOSTED, author, original.id), version);
        batch.delete_versioned(tables::pair(tables::REPOSTERS, original.id, post), version);
    }
    if reply_to.is_some() || repost_of.is_some() {
        batch.delete_versioned(tables::pair(tables::INTERACTIONS, author, post), version);
    }
}

fn interaction(user: Id, author: Id, id: Id, batch: &mut Batch) {
    if user != author {
        batch.put_versioned(tables::pair(tables::INTERACTIONS, user, id), tables::partition(author), id.0);
    }
}

/// Writes (or removes) the names by which a person is found.
fn names(user: &UserRow, display_name: Option<&str>, version: u64, batch: &mut Batch, present: bool) {
    for name in search_keys(&user.handle, display_name) {
        let key = tables::name_row(&name, user.id);
        if present {
            batch.put_versioned(key, Bytes::new(), version);
        } else {
            batch.delete_versioned(key, version);
        }
    }
}
