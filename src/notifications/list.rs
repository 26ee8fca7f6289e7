//! A person's list of notifications, newest first: items that stand for one event, and groups, from their rows.
//!
//! Items are keyed by their id. A group keeps its key while its id, the newest event, moves up; as it never leaves its
//! hour, few groups are read to find those that belong between two items.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Row, RowKey};
use fanfare_protocol::{Id, NotificationKind};

use super::group::{Doer, GroupItem};
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::data::rows::{ChatNews, NotificationRow, NotificationState, from_json};
use crate::data::store::Store;
use crate::data::tables::{self, notification_key};

/// Something in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Id: the newest event that was news.
    pub id: Id,
    /// Kind of event.
    pub kind: NotificationKind,
    /// Recipient and doers.
    pub what: Happened,
}

/// Events that an entry stands for: one, or many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// Single event; in rows of earlier versions, the newest of `count`.
    One {
        /// Person who did it.
        actor: Id,
        /// Post that it is about.
        post: Option<Id>,
        /// Events.
        count: u64,
    },
    /// Somebody asks the person to talk or to join a conversation, or added them.
    Chat {
        /// Person who did it.
        actor: Id,
        /// The conversation, and the record there.
        news: ChatNews,
    },
    /// Many.
    Group {
        /// Content of the group.
        item: GroupItem,
        /// Subject: the post, of follows nothing, of mentions their author.
        subject: Id,
    },
}

impl ListEntry {
    /// Entry of a row of the list; `None` for what is no such row.
    ///
    /// # Errors
    /// When it does not decode.
    pub fn of(clustering: &[u8], value: &[u8]) -> Result<Option<Self>> {
        match clustering.first() {
            Some(&notification_key::ITEM) => {
                let Some(id) = notification_key::of_item(clustering) else { return Ok(None) };
                let NotificationRow { kind, actor, post, count, chat, .. } = from_json(value)?;
                let what = match chat {
                    Some(news) => Happened::Chat { actor, news },
                    None => Happened::One { actor, post, count },
                };
                Ok(Some(Self { id, kind, what }))
            }
            Some(&notification_key::GROUPED) => {
                let Some((_, subject)) = notification_key::of_listed(clustering) else { return Ok(None) };
                let item: GroupItem = from_json(value)?;
                let (id, kind) = (item.last(), item.kind);
                Ok(Some(Self { id, kind, what: Happened::Group { item, subject } }))
            }
            _ => Ok(None),
        }
    }

    /// The post that somebody's deed in a group is about.
    #[must_use]
    pub fn post_of(&self, subject: Id, doer: &Doer) -> Option<Id> {
        match self.kind {
            NotificationKind::Like => Some(subject),
            NotificationKind::Reply | NotificationKind::Repost | NotificationKind::Mention => Some(doer.record),
            _ => None,
        }
    }
}

/// The newest entries of `user` with ids above `after` and below `before`, at most `limit`.
///
/// # Errors
/// When the engine fails.
pub async fn newest(store: &Store, user: Id, after: Id, before: Option<Id>, limit: usize) -> Result<Vec<ListEntry>> {
    let mut entries = Vec::new();
    let to = before.map_or(Id(i64::MAX as u64), |before| Id(before.0.min(i64::MAX as u64)));
    let range = KeyRange {
        from: Some(notification_key::item(Id(after.0.saturating_add(1)))),
        to: Some(notification_key::item(to)),
    };
    let rows = scan(store, user, range, Order::Descending, limit).await?;
    for row in &rows {
        entries.extend(ListEntry::of(&row.clustering, &row.value)?);
    }
    // No group of an hour before the last item's is among the newest.
    let last = entries.last().filter(|_| rows.len() == limit).map_or(after, |last| last.id);
    entries.extend(groups(store, user, after.max(Id(last.0.saturating_sub(1))), to, limit).await?);
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.truncate(limit);
    Ok(entries)
}

/// The newest groups with ids above `after` and below `before`, at least `limit` if there are so many.
async fn groups(store: &Store, user: Id, after: Id, before: Id, limit: usize) -> Result<Vec<ListEntry>> {
    let mut found: Vec<ListEntry> = Vec::new();
    let mut to = notification_key::listed_from(hour_of(before).saturating_add(1));
    // The hour that was read last, and how much of it.
    let (mut latest, mut of_latest) = (0, 0);
    loop {
        let range = KeyRange { from: Some(notification_key::listed_from(hour_of(after))), to: Some(to) };
        let rows = scan(store, user, range, Order::Descending, limits::GROUPS_STEP_ROWS).await?;
        for (place, value) in contents(store, user, &rows).await? {
            let entry = ListEntry::of(&notification_key::grouped(&place), &value)?;
            found.extend(entry.filter(|entry| entry.id > after && entry.id < before));
        }
        let Some(lowest) = rows.last().filter(|_| rows.len() == limits::GROUPS_STEP_ROWS) else { return Ok(found) };
        // Of an hour all or none are known: they are in no order.
        let hour = notification_key::of_listed(&lowest.clustering).map_or(0, |(hour, _)| hour);
        if found.iter().filter(|entry| hour_of(entry.id) > hour).count() >= limit {
            return Ok(found);
        }
        let of_hour = |row: &&Row| notification_key::of_listed(&row.clustering).is_some_and(|(of, _)| of == hour);
        of_latest = rows.iter().filter(of_hour).count() + if latest == hour { of_latest } else { 0 };
        latest = hour;
        to = if of_latest < limits::GROUPS_HOUR_MAX {
            lowest.clustering.clone()
        } else {
            notification_key::listed_from(hour)
        };
    }
}

/// Contents of groups, with where they stand.
async fn contents(store: &Store, user: Id, places: &[Row]) -> Result<Vec<(Bytes, Bytes)>> {
    let key = |place: &Row| {
        let clustering = notification_key::grouped(&place.clustering);
        RowKey::new(tables::NOTIFICATIONS, tables::partition(user), clustering)
    };
    let keys: Vec<RowKey> = places.iter().map(key).collect();
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let values = store.get_many(&keys).await?;
    let found = places.iter().zip(values).filter_map(|(place, value)| Some((place.clustering.clone(), value?)));
    Ok(found.collect())
}

/// Batch that removes the oldest items and the oldest groups, at most `limit` of each, as far as their position among
/// all ever made for the person is at most `upto`.
///
/// # Errors
/// When the engine fails.
pub async fn without_oldest(store: &Store, user: Id, upto: u64, limit: usize) -> Result<Batch> {
    let row = |clustering| RowKey::new(tables::NOTIFICATIONS, tables::partition(user), clustering);
    // As of what was in the list before it is read: whatever comes meanwhile is later, and stays with all its rows.
    let Some(state) = store.get(&row(notification_key::STATE)).await? else { return Ok(Batch::default()) };
    let version = from_json::<NotificationState>(&state)?.applied.0;
    let mut keys = Vec::new();
    let items = KeyRange::prefix(&[notification_key::ITEM]);
    for row in scan(store, user, items, Order::Ascending, limit).await? {
        if from_json::<NotificationRow>(&row.value)?.seq <= upto {
            keys.push(row.clustering);
        }
    }
    let groups = KeyRange::prefix(&[notification_key::LISTED]);
    let places = scan(store, user, groups, Order::Ascending, limit).await?;
    for (place, value) in contents(store, user, &places).await? {
        if from_json::<GroupItem>(&value)?.seq <= upto {
            keys.extend([notification_key::grouped(&place), place]);
        }
    }
    let mut batch = Batch::default();
    for clustering in keys {
        batch.delete_versioned(row(clustering), version);
    }
    Ok(batch)
}

async fn scan(store: &Store, user: Id, range: KeyRange, order: Order, limit: usize) -> Result<Vec<Row>> {
    Ok(store.scan(tables::NOTIFICATIONS, &tables::partition(user), range, order, limit).await?)
}

/// People of a group beside its newest, from the lists of who likes, follows, answers or passes on.
#[derive(Debug)]
pub struct Others {
    /// People, newest first.
    pub doers: Vec<Doer>,
    /// Record to read on below, if there may be more.
    pub next: Option<Id>,
}

/// People of a group of `user`, newest first, whose records are from `began` on and below `before`, or in the hour of
/// `began`: one step. What one does to oneself stands in the same lists, and is in no group.
///
/// # Errors
/// When the engine fails.
pub async fn others(
    store: &Store,
    user: Id,
    (kind, subject): (NotificationKind, Id),
    began: Id,
    before: Option<Id>,
) -> Result<Others> {
    let limit = limits::GROUP_OTHERS_ROWS;
    let end = before.unwrap_or_else(|| first_of_hour(hour_of(began) + 1));
    let rows = match kind {
        NotificationKind::Follow => store.newest_bucketed(tables::FOLLOWERS, user, end, limit).await?,
        NotificationKind::Like => store.newest(tables::LIKERS, subject, Some(end), limit).await?,
        NotificationKind::Reply => store.newest(tables::REPLIES, subject, Some(end), limit).await?,
        NotificationKind::Repost => store.newest(tables::REPOSTERS, subject, Some(end), limit).await?,
        _ => Vec::new(),
    };
    let doer = |row: &Row| {
        let (record, actor) = (Id::from_bytes(&row.clustering)?, Id::from_bytes(&row.value)?);
        Some(Doer { actor, record, earlier: None })
    };
    let lowest = rows.last().filter(|_| rows.len() >= limit).and_then(doer).map(|lowest| lowest.record);
    let doers = rows.iter().filter_map(doer).filter(|doer| doer.record >= began && doer.actor != user);
    Ok(Others { doers: doers.collect(), next: lowest.filter(|lowest| *lowest > began) })
}

/// People who still do what the item `id` of an earlier version stands for: it names its newest alone, and a number.
/// Whoever has an item of their own is not in it. `None` where no list tells: of reposts, of which a quote stands in
/// none.
///
/// # Errors
/// When the engine fails.
pub async fn still(
    store: &Store,
    user: Id,
    (id, kind): (Id, NotificationKind),
    (actor, post): (Id, Option<Id>),
) -> Result<Option<Others>> {
    let (began, above) = (first_of_hour(hour_of(id)), Id(id.0.saturating_add(1)));
    let subject = match (kind, post) {
        (NotificationKind::Follow, _) => Id(0),
        (NotificationKind::Like, Some(post)) => post,
        // A post that is gone tells what it answered.
        (NotificationKind::Reply, Some(reply)) => {
            let parent = store.post_or_gone(reply).await?.and_then(|reply| reply.reply_to);
            let Some(parent) = parent else { return Ok(None) };
            parent.id
        }
        (NotificationKind::Mention, Some(_)) => actor,
        _ => return Ok(None),
    };
    let mut found = match kind {
        NotificationKind::Mention => mentions(store, user, actor, (began, above)).await?,
        _ => others(store, user, (kind, subject), began, Some(above)).await?,
    };
    let partition = tables::partition(user);
    let item = |doer: &Doer| RowKey::new(tables::NOTIFICATIONS, partition.clone(), notification_key::item(doer.record));
    let keys: Vec<RowKey> = found.doers.iter().map(item).collect();
    if !keys.is_empty() {
        let mut items = store.get_many(&keys).await?.into_iter();
        found.doers.retain(|doer| items.next().flatten().is_none() || doer.record == id);
    }
    Ok(Some(found))
}

/// Posts of `author` from `began` on and below `above` that mention `user` and stand, newest first.
async fn mentions(store: &Store, user: Id, author: Id, (began, above): (Id, Id)) -> Result<Others> {
    let limit = limits::GROUP_OTHERS_ROWS;
    let rows = store.newest_bucketed(tables::AUTHOR_POSTS, author, above, limit).await?;
    let ids: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
    let next = ids.last().copied().filter(|lowest| rows.len() >= limit && *lowest > began);
    let mut doers = Vec::new();
    for id in ids.into_iter().filter(|id| *id >= began) {
        let post = store.post_or_gone(id).await?.filter(|post| !post.deleted);
        if post.is_some_and(|post| post.mentions.iter().any(|mention| mention.id == user)) {
            doers.push(Doer { actor: author, record: id, earlier: None });
        }
    }
    Ok(Others { doers, next })
}

fn first_of_hour(hour: u32) -> Id {
    crate::base::id::first_id_at(u64::from(hour) * 3_600_000)
}

#[cfg(test)]
#[path = "list_tests.rs"]
mod tests;
