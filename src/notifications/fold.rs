//! From a record to what is in people's lists of notifications: what it gives, and what it takes back. Pure.
//!
//! All rows of a person's list are in one partition and are folded by the sequencer alone: the state remembers the last
//! record applied, so that a record which comes again changes nothing. Only trimming removes rows beside it.

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Id, NotificationKind};

use super::group::{Doer, GroupItem, GroupMemory};
use super::list::{Entry, What};
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::data::rows::{NotificationRow, NotificationState, from_json, to_json};
use crate::data::tables::{self, notification_key};
use crate::log::events::{EndedFollow, Event, Record};
use crate::log::projection::Folds;

/// Effect on a person's list of a record that gave a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// Person whom it notifies.
    pub user: Id,
    /// The notification, as it was then; its id is the record's.
    pub entry: Entry,
    /// Items ever made for the person.
    pub seq: u64,
    /// The list is longer than before: the caller trims the oldest.
    pub grew: bool,
}

/// A notification that a record gives, or one that it takes back.
struct Notice {
    user: Id,
    kind: NotificationKind,
    actor: Id,
    post: Option<Id>,
    /// Subject that floods are grouped by.
    subject: Id,
    /// The record that gave it.
    record: Id,
    /// Done again it is the same as before: a like, a follow, a repost without words. Words are news each time.
    toggles: bool,
    /// Whether it is known that what is taken back was given.
    entered: bool,
}

impl Notice {
    fn row(&self, clustering: Bytes) -> RowKey {
        RowKey::new(tables::NOTIFICATIONS, tables::partition(self.user), clustering)
    }

    fn state(&self) -> RowKey {
        self.row(notification_key::STATE)
    }

    fn memory(&self) -> RowKey {
        self.row(notification_key::group(self.kind, self.subject, hour_of(self.record)))
    }

    fn place(&self) -> RowKey {
        self.row(notification_key::listed(hour_of(self.record), self.kind, self.subject))
    }

    fn group(&self) -> RowKey {
        self.row(notification_key::grouped(&self.place().clustering))
    }

    fn item(&self) -> RowKey {
        self.row(notification_key::item(self.record))
    }
}

/// The notifications that a record gives: to each person at most one, as they share `applied`.
fn given(record: &Record) -> Vec<Notice> {
    match &record.event {
        Event::Followed { follower, followee, notify: true } => {
            vec![follow(EndedFollow { follower: *follower, followee: *followee, since: record.id, departed: None })]
        }
        Event::Liked { user, post } if *user != post.author => vec![like(*user, post.author, post.id, record.id)],
        Event::Posted { post, notify } => notify
            .iter()
            .map(|notice| {
                let subject = match notice.kind {
                    NotificationKind::Reply => post.reply_to.map_or(Id(0), |parent| parent.id),
                    NotificationKind::Repost => post.repost_of.map_or(Id(0), |original| original.id),
                    _ => post.author,
                };
                let (user, kind, actor, toggles) = (notice.user, notice.kind, post.author, post.is_bare_repost());
                Notice { user, kind, actor, post: Some(record.id), subject, record: record.id, toggles, entered: true }
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// The notifications that a record takes back, if they were given: to each person at most one.
fn taken(record: &Record) -> Vec<Notice> {
    match &record.event {
        Event::Unfollowed(edge) => vec![follow(*edge)],
        Event::Blocked { ended, .. } => ended.iter().copied().map(follow).collect(),
        Event::Unliked { user, post, since } if *user != post.author && post.author != Id(0) => {
            vec![like(*user, post.author, post.id, *since)]
        }
        Event::PostDeleted { post, author, reply_to, repost_of, mentioned, bare_repost, told, .. } => {
            let reply = reply_to.map(|parent| (parent.author, NotificationKind::Reply, parent.id));
            let repost = repost_of.map(|original| (original.author, NotificationKind::Repost, original.id));
            let mentions = mentioned.iter().map(|person| (*person, NotificationKind::Mention, *author));
            let mut notices: Vec<Notice> = Vec::new();
            // In the order in which they were decided.
            for (user, kind, subject) in reply.into_iter().chain(repost).chain(mentions) {
                let known = notices.iter().any(|notice| notice.user == user);
                if user != *author && !known && notices.len() < limits::POST_NOTICES_MAX {
                    let (actor, record, toggles, entered) = (*author, *post, *bare_repost, told.contains(&user));
                    notices.push(Notice { user, kind, actor, post: Some(*post), subject, record, toggles, entered });
                }
            }
            notices
        }
        _ => Vec::new(),
    }
}

fn follow(edge: EndedFollow) -> Notice {
    let EndedFollow { follower, followee, since, .. } = edge;
    let kind = NotificationKind::Follow;
    Notice {
        user: followee,
        kind,
        actor: follower,
        post: None,
        subject: Id(0),
        record: since,
        toggles: true,
        entered: true,
    }
}

fn like(actor: Id, user: Id, post: Id, record: Id) -> Notice {
    Notice {
        user,
        kind: NotificationKind::Like,
        actor,
        post: Some(post),
        subject: post,
        record,
        toggles: true,
        entered: true,
    }
}

/// The rows that must be in [`Folds`] before [`project`] is called with `record`.
pub(crate) fn fold_keys(record: &Record) -> Vec<RowKey> {
    let mut keys = Vec::new();
    for one in given(record) {
        keys.extend([one.state(), one.memory(), one.group()]);
    }
    for one in taken(record) {
        keys.extend([one.state(), one.memory(), one.group(), one.item()]);
    }
    keys
}

/// Whether trimming removes rows like this one beside the sequencer, which then must not keep it in memory.
#[must_use]
pub fn is_trimmed(key: &RowKey) -> bool {
    let list = [notification_key::ITEM, notification_key::LISTED, notification_key::GROUPED];
    key.table == tables::NOTIFICATIONS && key.clustering.first().is_some_and(|first| list.contains(first))
}

/// Adds what `record` does to lists of notifications to `batch`, and brings `folds` up to date.
///
/// # Errors
/// When a stored row does not decode.
pub(crate) fn project(record: &Record, folds: &mut Folds, batch: &mut Batch) -> Result<Vec<Notified>> {
    let mut notified = Vec::new();
    for one in given(record) {
        notified.extend(give(&one, folds, batch)?);
    }
    for one in taken(record) {
        take_back(record.id, &one, folds, batch)?;
    }
    Ok(notified)
}

/// Lists a notification. `None` when it rings nobody's phone: taken back within the hour and done again, or perhaps so.
fn give(one: &Notice, folds: &mut Folds, batch: &mut Batch) -> Result<Option<Notified>> {
    let id = one.record;
    let (state_key, memory_key, group_key) = (one.state(), one.memory(), one.group());
    let mut state: NotificationState = read(folds, &state_key)?.unwrap_or_default();
    if state.applied >= id {
        return Ok(None);
    }
    let mut memory: GroupMemory = read(folds, &memory_key)?.unwrap_or_default();
    let group: Option<GroupItem> = read(folds, &group_key)?;
    let earlier = memory.earlier(one.actor).filter(|_| one.toggles);
    let is_news = earlier.is_none();
    memory.events += u64::from(is_news);
    // What comes back is in the group from then on: there it can count as what was told of it.
    let in_group = !is_news || group.is_some() || memory.events > folds.group_after;
    // What takes the place of something does not push others out of the list.
    let grew = is_news && !(in_group && group.is_some());
    state.applied = id;
    state.seq += u64::from(grew);
    let what = if in_group {
        if group.as_ref().is_none_or(|group| is_stale(group, &state)) {
            put(folds, batch, one.place(), Bytes::new(), id);
        }
        let mut group = group.unwrap_or_else(|| GroupItem::new(one.kind, id));
        group.enter(Doer { actor: one.actor, record: id, earlier });
        group.seq = state.seq;
        put(folds, batch, group_key, to_json(&group)?, id);
        What::Group { item: group, subject: one.subject }
    } else {
        let (kind, actor, post, seq) = (one.kind, one.actor, one.post, state.seq);
        put(folds, batch, one.item(), to_json(&NotificationRow { kind, actor, post, count: 1, seq })?, id);
        What::One { actor, post, count: 1 }
    };
    if memory.events == 1 && is_news {
        batch.put(tables::expiry_row(hour_of(id) + 2, &memory_key), Bytes::new());
    }
    put(folds, batch, memory_key, to_json(&memory)?, id);
    put(folds, batch, state_key, to_json(&state)?, id);
    let entry = Entry { id, kind: one.kind, what };
    let rings = is_news && !(one.toggles && memory.full);
    Ok(rings.then_some(Notified { user: one.user, entry, seq: state.seq, grew }))
}

/// Whether trimming may be about to remove a group: others came since its last event. Then it is put in its place again with
/// whatever changes it, later than the records that trimming knows of.
fn is_stale(group: &GroupItem, state: &NotificationState) -> bool {
    group.seq < state.seq
}

/// Takes a notification out of the list, if it is still there: `by` is the record that does so.
fn take_back(by: Id, one: &Notice, folds: &mut Folds, batch: &mut Batch) -> Result<()> {
    let (state_key, memory_key, group_key, item_key) = (one.state(), one.memory(), one.group(), one.item());
    let mut state: NotificationState = read(folds, &state_key)?.unwrap_or_default();
    if state.applied >= by {
        return Ok(());
    }
    let first;
    let item: Option<NotificationRow> = read(folds, &item_key)?;
    let group: Option<GroupItem> = read(folds, &group_key)?;
    match (item.filter(|item| item.actor == one.actor), group.filter(|group| group.began <= one.record)) {
        // A group of an earlier version, listed under its newest record: nobody else in it is known.
        (Some(item), _) if item.count > 1 => {
            first = one.record;
            let item = NotificationRow { count: item.count - 1, ..item };
            put(folds, batch, item_key, to_json(&item)?, by);
        }
        (Some(_), _) => {
            first = one.record;
            remove(folds, batch, item_key, by);
        }
        (None, Some(mut group)) => {
            let named = group.leave(one.record);
            match named {
                None if !one.entered => return Ok(()),
                None => group.leave_beyond(one.actor),
                Some(_) => {}
            }
            first = named.unwrap_or(one.record);
            if group.is_empty() {
                remove(folds, batch, one.place(), by);
                remove(folds, batch, group_key, by);
            } else {
                if is_stale(&group, &state) {
                    put(folds, batch, one.place(), Bytes::new(), by);
                }
                put(folds, batch, group_key, to_json(&group)?, by);
            }
        }
        // Never given, or trimmed.
        (None, None) => return Ok(()),
    }
    state.applied = by;
    put(folds, batch, state_key, to_json(&state)?, by);
    // Later than in its hour nothing asks any more, and nothing would remove it.
    if one.toggles
        && hour_of(by) == hour_of(one.record)
        && let Some(mut memory) = read::<GroupMemory>(folds, &memory_key)?
    {
        memory.leave(one.actor, first);
        put(folds, batch, memory_key, to_json(&memory)?, by);
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(folds: &Folds, key: &RowKey) -> Result<Option<T>> {
    folds.rows.get(key).and_then(Option::as_ref).map(|bytes| from_json(bytes)).transpose()
}

fn put(folds: &mut Folds, batch: &mut Batch, key: RowKey, value: Bytes, version: Id) {
    folds.rows.insert(key.clone(), Some(value.clone()));
    batch.put_versioned(key, value, version.0);
}

fn remove(folds: &mut Folds, batch: &mut Batch, key: RowKey, version: Id) {
    folds.rows.insert(key.clone(), None);
    batch.delete_versioned(key, version.0);
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
