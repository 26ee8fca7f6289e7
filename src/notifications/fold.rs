//! Rows of people's lists of notifications, made of records: what each gives, and what it takes back. Pure.
//!
//! All rows of a person's list are in one partition and are folded by the owner alone: the state remembers the last
//! record applied, so that a record which comes again changes nothing. Only trimming removes rows beside it.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Id, NotificationKind};

use super::group::GroupRoom;
use super::list::{Happened, ListEntry};
use super::outcome::{ListChange, Listing, Lists, RowChange};
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::data::rows::{
    ChatNews, Doer, GroupItem, GroupMemory, LeftPage, NotificationRow, NotificationState, from_json, to_json,
};
use crate::data::tables::{self, notification_key};
use crate::log::events::{EndedFollow, Event, Notice, PostRef, Record};
use crate::log::fold::{Fold, Keys, State};
use crate::log::outcome::{Outcome, OutcomePart};
use crate::log::spread::Spread;

/// Effect on a person's list of a record that gave a notification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// Person whom it notifies.
    pub user: Id,
    /// The notification, as it was then; its id is the record's.
    pub entry: ListEntry,
    /// Items ever made for the person.
    pub seq: u64,
    /// The list is longer than before: the caller trims the oldest.
    pub grew: bool,
}

/// Notification that a record gives, or one that it takes back.
struct Deed {
    listing: Listing,
    /// Done again it is the same as before: a like, a follow, a repost without words. Words are news each time.
    toggles: bool,
    /// Whether it is known that what is taken back was given.
    entered: bool,
}

/// The notifications that a record gives: to each person at most one, as they share `applied`.
fn given(record: &Record) -> Vec<Deed> {
    let id = record.known_as();
    match record.event.told() {
        Event::Followed { follower, followee, notify: true, .. } => {
            let (follower, followee, since) = (*follower, *followee, id);
            vec![follow(EndedFollow { follower, followee, since, departed: None, silent: false })]
        }
        Event::Liked { user, post } if *user != post.author => vec![like(*user, post.author, post.id, id)],
        Event::Posted { post, notify } => {
            posted((id, post.author), (post.reply_to, post.repost_of), post.is_bare_repost(), notify)
        }
        Event::Referred { author, reply_to, repost_of, bare_repost, notify } => {
            posted((id, *author), (*reply_to, *repost_of), *bare_repost, notify)
        }
        Event::LiveReminded { session, host, people, .. } => people
            .iter()
            .map(|person| {
                let (user, kind, actor, subject) = (*person, NotificationKind::Live, *host, *session);
                let listing = Listing { user, kind, actor, post: None, subject, record: id, chat: None };
                Deed { listing, toggles: false, entered: true }
            })
            .collect(),
        Event::Approached { by, conversation, asked, added } => {
            let Event::Derived(derived) = &record.event else { return Vec::new() };
            let news = ChatNews { conversation: *conversation, record: derived.from.id };
            asked.iter().chain(added).map(|person| approach(*person, *by, news, id)).collect()
        }
        _ => Vec::new(),
    }
}

/// The notifications of a post and its author.
fn posted(
    (id, actor): (Id, Id),
    (reply_to, repost_of): (Option<PostRef>, Option<PostRef>),
    toggles: bool,
    notify: &[Notice],
) -> Vec<Deed> {
    let deed = |notice: &Notice| {
        let (user, kind) = (notice.user, notice.kind);
        let subject = match kind {
            NotificationKind::Reply => reply_to.map_or(Id(0), |parent| parent.id),
            NotificationKind::Repost => repost_of.map_or(Id(0), |original| original.id),
            _ => actor,
        };
        let listing = Listing { user, kind, actor, post: Some(id), subject, record: id, chat: None };
        Deed { listing, toggles, entered: true }
    };
    notify.iter().map(deed).collect()
}

/// The notifications that a record takes back, if they were given: to each person at most one. Beyond
/// [`limits::POST_NOTICES_MAX`] none were given; places in this list stand in stored outcomes.
fn taken(record: &Record) -> Vec<Deed> {
    match record.event.told() {
        Event::Unfollowed(edge) => vec![follow(*edge)],
        Event::Blocked { ended, .. } => ended.iter().copied().map(follow).collect(),
        Event::Unliked { user, post, since } if *user != post.author && post.author != Id(0) => {
            vec![like(*user, post.author, post.id, *since)]
        }
        Event::PostDeleted { post, author, reply_to, repost_of, mentioned, bare_repost, told, .. } => {
            let reply = reply_to.map(|parent| (parent.author, NotificationKind::Reply, parent.id));
            let repost = repost_of.map(|original| (original.author, NotificationKind::Repost, original.id));
            let mentions = mentioned.iter().map(|person| (*person, NotificationKind::Mention, *author));
            let mut deeds: Vec<Deed> = Vec::new();
            // In the order in which they were decided.
            for (user, kind, subject) in reply.into_iter().chain(repost).chain(mentions) {
                let known = deeds.iter().any(|deed| deed.listing.user == user);
                if user != *author && !known {
                    let listing =
                        Listing { user, kind, actor: *author, post: Some(*post), subject, record: *post, chat: None };
                    deeds.push(Deed { listing, toggles: *bare_repost, entered: told.contains(&user) });
                }
            }
            deeds
        }
        _ => Vec::new(),
    }
}

fn follow(edge: EndedFollow) -> Deed {
    let EndedFollow { follower, followee, since, silent, .. } = edge;
    let (kind, subject) = (NotificationKind::Follow, Id(0));
    let listing = Listing { user: followee, kind, actor: follower, post: None, subject, record: since, chat: None };
    Deed { listing, toggles: true, entered: !silent }
}

/// Somebody asks a person to talk or to join a conversation, or added them.
fn approach(user: Id, actor: Id, news: ChatNews, record: Id) -> Deed {
    let (kind, subject) = (NotificationKind::Message, news.conversation);
    let listing = Listing { user, kind, actor, post: None, subject, record, chat: Some(news) };
    Deed { listing, toggles: false, entered: true }
}

fn like(actor: Id, user: Id, post: Id, record: Id) -> Deed {
    let kind = NotificationKind::Like;
    let listing = Listing { user, kind, actor, post: Some(post), subject: post, record, chat: None };
    Deed { listing, toggles: true, entered: true }
}

/// Lists of notifications.
pub struct NotificationFold {
    /// Partitions of people.
    pub spread: Spread,
    /// Entries of one person, kind, subject and hour that are listed one by one before they are grouped.
    pub group_after: u64,
}

/// Name of the part of outcomes.
const PART: &str = "n";

impl Fold for NotificationFold {
    fn part(&self) -> Option<&'static str> {
        Some(PART)
    }

    fn keys(&self, record: &Record, keys: &mut Keys) {
        let share = self.spread.share(&record.event);
        let is_here = |deed: &Deed| share.holds(deed.listing.user);
        for Deed { listing, toggles, .. } in given(record).into_iter().filter(is_here) {
            keys.own(state_row(&listing));
            if listing.chat.is_some() {
                continue; // listed one by one
            }
            keys.own(memory_row(&listing));
            pages_of(&listing, toggles).for_each(|page| keys.own(page));
            keys.shared(group_row(&listing));
        }
        for Deed { listing, toggles, .. } in taken(record).into_iter().take(limits::POST_NOTICES_MAX).filter(is_here) {
            keys.own(state_row(&listing));
            keys.own(memory_row(&listing));
            let is_remembered = toggles && hour_of(record.id) == hour_of(listing.record);
            pages_of(&listing, is_remembered).for_each(|page| keys.own(page));
            // Trimming removes these too.
            keys.shared(group_row(&listing));
            keys.shared(item_row(&listing));
        }
    }

    fn fold(&self, record: &Record, state: &State, outcome: &mut Outcome) -> Result<()> {
        let share = self.spread.share(&record.event);
        let changes = |lists: &[ListChange], user| share.holds(user) && is_unchanged(lists, user);
        let mut lists = Vec::new();
        for (place, deed) in given(record).into_iter().enumerate() {
            if !changes(&lists, deed.listing.user) {
                continue;
            }
            lists.extend(match deed.listing.chat {
                Some(_) => tell(record, (place, deed.listing), state)?,
                None => give(record.id, (place, &deed), self.group_after, state)?,
            });
        }
        for (place, deed) in taken(record).into_iter().enumerate().take(limits::POST_NOTICES_MAX) {
            if changes(&lists, deed.listing.user) {
                lists.extend(take_back(record.id, (place, &deed), state)?);
            }
        }
        if !lists.is_empty() {
            outcome.add(PART, Arc::new(Lists(lists)));
        }
        Ok(())
    }

    fn read(&self, record: &Record, part: &str) -> Result<Arc<dyn OutcomePart>> {
        // An event either gives or takes back.
        let listings: Vec<Listing> = given(record).into_iter().chain(taken(record)).map(|deed| deed.listing).collect();
        Ok(Arc::new(Lists::read(part, record.id, &listings)?))
    }

    fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        changes(outcome).iter().try_for_each(|change| write(record.id, change, batch))
    }
}

/// Lists that a record changed.
fn changes(outcome: &Outcome) -> &[ListChange] {
    outcome.part::<Lists>().map_or(&[], |lists| &lists.0)
}

/// Whether the record has not changed the list of `user`, which it does at most once.
fn is_unchanged(lists: &[ListChange], user: Id) -> bool {
    lists.iter().all(|change| change.listing.user != user)
}

/// News that a record gave.
pub fn notified(outcome: &Outcome) -> impl Iterator<Item = Notified> {
    changes(outcome).iter().filter(|change| change.rings).map(|change| {
        let Listing { user, kind, actor, post, subject, record, chat } = change.listing;
        let what = match (&change.group, chat) {
            (Some(RowChange::Put(item)), _) => Happened::Group { item: item.clone(), subject },
            (_, Some(news)) => Happened::Chat { actor, news },
            _ => Happened::One { actor, post, count: 1 },
        };
        Notified { user, entry: ListEntry { id: record, kind, what }, seq: change.state.seq, grew: change.grew }
    })
}

/// Lists that somebody asks a person, or added them. A request makes no sound.
fn tell(record: &Record, (place, listing): (usize, Listing), rows: &State) -> Result<Option<ListChange>> {
    let mut state: NotificationState = read(rows, &state_row(&listing))?.unwrap_or_default();
    if state.applied >= record.id {
        return Ok(None);
    }
    state = NotificationState { seq: state.seq + 1, applied: record.id };
    let mut change = ListChange::new(place, listing, state);
    change.item = Some(RowChange::Put(listing.row(1, state.seq)));
    let is_added = matches!(record.event.told(), Event::Approached { added, .. } if added.contains(&listing.user));
    (change.rings, change.grew) = (is_added, true);
    Ok(Some(change))
}

/// Lists a notification: `by` is the record that does so. It rings nobody's phone when it was taken back within the
/// hour and done again, or perhaps so.
fn give(by: Id, (place, deed): (usize, &Deed), group_after: u64, rows: &State) -> Result<Option<ListChange>> {
    let Deed { listing, toggles, .. } = *deed;
    let id = listing.record;
    let mut state: NotificationState = read(rows, &state_row(&listing))?.unwrap_or_default();
    if state.applied >= by {
        return Ok(None);
    }
    let mut memory: GroupMemory = read(rows, &memory_row(&listing))?.unwrap_or_default();
    let group: Option<GroupItem> = read(rows, &group_row(&listing))?;
    let pages = if toggles { pages(&listing, rows)? } else { Vec::new() };
    let earlier = memory.earlier(&pages, listing.actor).filter(|_| toggles);
    let is_news = earlier.is_none();
    memory.events += u64::from(is_news);
    // What comes back is in the group from then on: there it can count as what was told of it.
    let in_group = !is_news || group.is_some() || memory.events > group_after;
    // What takes the place of something does not push others out of the list.
    let grew = is_news && !(in_group && group.is_some());
    state.applied = by;
    state.seq += u64::from(grew);
    let mut change = ListChange::new(place, listing, state);
    if in_group {
        change.place = group.as_ref().is_none_or(|group| is_stale(group, &state)).then_some(RowChange::Put(()));
        let mut group = group.unwrap_or_else(|| GroupItem::new(listing.kind, id));
        group.enter(Doer { actor: listing.actor, record: id, earlier }, room(listing.kind, rows));
        group.seq = state.seq;
        change.group = Some(RowChange::Put(group));
    } else {
        change.item = Some(RowChange::Put(listing.row(1, state.seq)));
    }
    change.remembers_anew = memory.events == 1 && is_news;
    change.rings = is_news && !(toggles && memory.full);
    change.grew = grew;
    change.memory = Some(memory);
    Ok(Some(change))
}

/// Whether trimming may be about to remove a group: others came since its last event. Then it is put in its place again
/// with whatever changes it, later than the records that trimming knows of.
fn is_stale(group: &GroupItem, state: &NotificationState) -> bool {
    group.seq < state.seq
}

/// Takes a notification out of the list, if it is still there: `by` is the record that does so.
fn take_back(by: Id, (place, deed): (usize, &Deed), rows: &State) -> Result<Option<ListChange>> {
    let Deed { listing, toggles, entered } = *deed;
    let state: NotificationState = read(rows, &state_row(&listing))?.unwrap_or_default();
    if state.applied >= by {
        return Ok(None);
    }
    let mut change = ListChange::new(place, listing, NotificationState { applied: by, ..state });
    let first;
    let item: Option<NotificationRow> = read(rows, &item_row(&listing))?;
    let group: Option<GroupItem> = read(rows, &group_row(&listing))?;
    match (item.filter(|item| item.actor == listing.actor), group.filter(|group| group.began <= listing.record)) {
        // A group of an earlier version, listed under its newest record: nobody else in it is known.
        (Some(item), _) if item.count > 1 => {
            first = listing.record;
            change.item = Some(RowChange::Put(listing.row(item.count - 1, item.seq)));
        }
        (Some(_), _) => {
            first = listing.record;
            change.item = Some(RowChange::Removed);
        }
        (None, Some(mut group)) => {
            let named = group.leave(listing.record);
            match named {
                None if !entered => return Ok(None),
                None => group.leave_beyond(listing.actor),
                Some(_) => {}
            }
            first = named.unwrap_or(listing.record);
            if group.is_empty() {
                change.place = Some(RowChange::Removed);
                change.group = Some(RowChange::Removed);
            } else {
                group.fit(room(listing.kind, rows));
                change.place = is_stale(&group, &state).then_some(RowChange::Put(()));
                change.group = Some(RowChange::Put(group));
            }
        }
        // Never given, or trimmed.
        (None, None) => return Ok(None),
    }
    // Later than in its hour nothing asks any more, and nothing would remove it.
    if toggles && hour_of(by) == hour_of(listing.record) {
        change.memory = read(rows, &memory_row(&listing))?;
        match &mut change.memory {
            Some(memory) if rows.is_of_format_1() => memory.leave_in_format_1(listing.actor, first),
            Some(memory) => change.page = memory.leave(&pages(&listing, rows)?, listing.actor, first),
            None => {}
        }
    }
    Ok(Some(change))
}

/// Bound of who is known in a group.
const fn room(kind: NotificationKind, rows: &State) -> GroupRoom {
    if rows.is_of_format_1() { GroupRoom::FORMAT_1 } else { GroupRoom::of(kind) }
}

/// Adds the rows of a change, which the record `id` made.
fn write(id: Id, change: &ListChange, batch: &mut Batch) -> Result<()> {
    let ListChange { listing, state, memory, remembers_anew, page, item, group, place, .. } = change;
    put(place.as_ref(), place_row(listing), id, batch, |()| Ok(Bytes::new()))?;
    put(group.as_ref(), group_row(listing), id, batch, to_json)?;
    put(item.as_ref(), item_row(listing), id, batch, to_json)?;
    if let Some(memory) = memory {
        let row = memory_row(listing);
        if *remembers_anew {
            batch.put(tables::expiry_row(hour_of(id) + 2, &row), Bytes::new());
        }
        batch.put_versioned(row, to_json(memory)?, id.0);
    }
    if let Some((at, page)) = page {
        let row = page_row(listing, *at);
        if page.left.len() == 1 {
            batch.put(tables::expiry_row(hour_of(id) + 2, &row), Bytes::new());
        }
        batch.put_versioned(row, to_json(page)?, id.0);
    }
    batch.put_versioned(state_row(listing), to_json(state)?, id.0);
    Ok(())
}

fn put<T>(
    written: Option<&RowChange<T>>,
    key: RowKey,
    version: Id,
    batch: &mut Batch,
    encode: impl Fn(&T) -> Result<Bytes>,
) -> Result<()> {
    match written {
        Some(RowChange::Put(value)) => batch.put_versioned(key, encode(value)?, version.0),
        Some(RowChange::Removed) => batch.delete_versioned(key, version.0),
        None => {}
    }
    Ok(())
}

fn read<T: serde::de::DeserializeOwned>(rows: &State, key: &RowKey) -> Result<Option<T>> {
    rows.get(key).map(|bytes| from_json(bytes)).transpose()
}

fn row(listing: &Listing, clustering: Bytes) -> RowKey {
    RowKey::new(tables::NOTIFICATIONS, tables::partition(listing.user), clustering)
}

fn state_row(listing: &Listing) -> RowKey {
    row(listing, notification_key::STATE)
}

fn memory_row(listing: &Listing) -> RowKey {
    row(listing, notification_key::group(listing.kind, listing.subject, hour_of(listing.record)))
}

fn page_row(listing: &Listing, page: usize) -> RowKey {
    row(listing, notification_key::left(&memory_row(listing).clustering, page))
}

/// Rows of those who took back what is listed, if it `matters` who did.
fn pages_of(listing: &Listing, matters: bool) -> impl Iterator<Item = RowKey> {
    let pages = if matters { limits::GROUP_LEFT_MAX.div_ceil(limits::GROUP_LEFT_PAGE) } else { 0 };
    (0..pages).map(|page| page_row(listing, page))
}

/// Pages of people who took back what is listed.
fn pages(listing: &Listing, rows: &State) -> Result<Vec<LeftPage>> {
    pages_of(listing, true).map(|row| Ok(read(rows, &row)?.unwrap_or_default())).collect()
}

fn place_row(listing: &Listing) -> RowKey {
    row(listing, notification_key::listed(hour_of(listing.record), listing.kind, listing.subject))
}

fn group_row(listing: &Listing) -> RowKey {
    row(listing, notification_key::grouped(&place_row(listing).clustering))
}

fn item_row(listing: &Listing) -> RowKey {
    row(listing, notification_key::item(listing.record))
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
