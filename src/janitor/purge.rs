//! Purge of what deleted accounts left behind, removed list by list.
//!
//! Each list is gone through from one end to the other, some rows at a time, and the place is kept with the row that
//! says the account is to be purged: a restart goes on from there, and no step looks again at what an earlier one
//! removed. What came meanwhile is behind the place, so the lists are gone through again until nothing is found in any.
//! An account that cannot be purged (stored data that does not decode) keeps its row, and is tried again in the next
//! round; it stops nobody else's purge.

use std::collections::HashSet;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Row, RowKey, Table};
use fanfare_protocol::Id;

use super::Janitor;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::deletions;
use crate::data::rows::{PurgeProgress, is_silent, version_above};
use crate::data::tables;
use crate::follows::service::pair;
use crate::live::Live;
use crate::log::core::LockKey;
use crate::log::events::{EndedFollow, Event, PostRef};
use crate::log::handle::Guard;
use crate::posts::service::like_key;
use crate::posts::settle;

/// A list that is gone through. The number is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum List {
    Followees = 0,
    Followers = 1,
    Blocks = 2,
    BlockedBy = 3,
    Mutes = 4,
    Posts = 5,
    Likes = 6,
    Live = 7,
    /// Rows of the account's own that nobody counts: they go without records.
    Own(Table),
    /// Short links, which go by records: their codes lead nowhere from then on.
    Links,
}

/// Lists, in the order in which they are purged.
const LISTS: [List; 17] = [
    List::Followees,
    List::Followers,
    List::Blocks,
    List::BlockedBy,
    List::Mutes,
    List::Posts,
    List::Likes,
    List::Own(tables::NOTIFICATIONS),
    List::Own(tables::MARKERS),
    List::Own(tables::IDEMPOTENCY),
    List::Own(tables::INTERACTIONS),
    List::Own(tables::TOKENS_OF),
    List::Own(tables::LIVE_REMINDERS_OF),
    List::Live,
    List::Links,
    List::Own(tables::LINK_COUNTS),
    List::Own(tables::REPORTS_OF),
];

impl Janitor {
    /// Removes what deleted accounts left behind: of each some, in turn, until nothing is left of any.
    pub(super) async fn purge_all(&self) -> Result<()> {
        let _alone = self.core.store.absent.clearing.lock().await;
        let (mut after, mut worst, mut more) = (None, Ok(()), false);
        let mut failed = HashSet::new();
        loop {
            let Some(row) = self.next_purge(after.as_ref()).await? else {
                if !std::mem::take(&mut more) {
                    return worst;
                }
                after = None;
                continue;
            };
            after = Some(row.clustering.clone());
            let Some(user) = Id::from_bytes(&row.clustering).filter(|user| !failed.contains(user)) else { continue };
            match self.purge_some(user, PurgeProgress::from_bytes(&row.value)).await {
                Ok(done) => more |= !done,
                Err(error) if error.is_of_storage() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, %user, "a deleted account is not cleared away; the next round tries again");
                    worst = Err(error);
                    failed.insert(user);
                }
            }
            // Others wait for what follows the deletions; what cannot be settled is told of by the round.
            match settle::settle_all(&self.core).await {
                Err(error) if error.is_of_storage() => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }

    async fn next_purge(&self, after: Option<&Bytes>) -> Result<Option<Row>> {
        let range = KeyRange { from: after.map(|last| successor(last)), to: None };
        let port = &self.core.store;
        let mut rows = port.scan(tables::PURGES, &tables::ONE, range, Order::Ascending, 1).await?;
        Ok(rows.pop())
    }

    /// Goes on with an account; true when nothing is left of it.
    async fn purge_some(&self, user: Id, mut place: PurgeProgress) -> Result<bool> {
        // What was begun before the deletion is there to be found then, and what begins now is refused.
        self.core.writers.quiet(user).await;
        for _ in 0..limits::PURGE_STEPS_MAX {
            let Some(list) = LISTS.get(usize::from(place.list)) else {
                if place.found {
                    place = place.begun_again();
                    continue;
                }
                if place.failed {
                    self.remember(user, &place, Some(place.begun_again())).await?;
                    return Err(Error::Internal("some of it does not decode".to_owned()));
                }
                deletions::forget(&self.core.store, user).await?;
                self.chat.forget_person(user).await?;
                if let Err(error) = self.media.forget_owner(user).await {
                    // A file that cannot be removed is this account's trouble alone.
                    self.remember(user, &place, Some(place.begun_again())).await?;
                    return Err(Error::Internal(format!("its uploads stay: {error}")));
                }
                // They let nobody in since the deletion; what is here may be of a change that came after it.
                self.core.store.release_credentials(user).await?;
                self.remember(user, &place, None).await?;
                self.core.store.cleared_away(user);
                return Ok(true);
            };
            let (removed, last) = self.purge_step(*list, user, &place).await?;
            match removed {
                Ok(found) => place.found |= found,
                Err(error) if error.is_of_storage() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, %user, ?list, "something of a deleted account cannot be removed");
                    place.failed = true;
                }
            }
            place.list += u8::from(last.is_none());
            place.last = last;
        }
        self.remember(user, &place, Some(place.clone())).await?;
        Ok(false)
    }

    /// Keeps the place of a purge, in the row that held `old`; `None` is the end of it.
    async fn remember(&self, user: Id, old: &PurgeProgress, place: Option<PurgeProgress>) -> Result<()> {
        let row = RowKey::new(tables::PURGES, tables::ONE, tables::partition(user));
        let (mut batch, version) = (Batch::default(), self.core.log.mint_above(Id(old.version)).await?.0);
        match place {
            Some(place) => batch.put_versioned(row, PurgeProgress { version, ..place }.to_bytes(), version),
            None => batch.delete_versioned(row, version),
        }
        Ok(self.core.store.write(batch).await?)
    }

    /// Removes some rows of a list; answers whether anything was removed, and the last key if there may be more.
    async fn purge_step(&self, list: List, user: Id, place: &PurgeProgress) -> Result<(Result<bool>, Option<Bytes>)> {
        let step = limits::JANITOR_STEP_ROWS;
        let store = &self.core.store;
        let from = place.id();
        let below = from.unwrap_or(Id(i64::MAX as u64));
        let rows = match list {
            List::Followees => store.oldest(tables::FOLLOWS, user, from, step).await?,
            List::Followers => store.newest_bucketed(tables::FOLLOWERS, user, below, step).await?,
            List::Blocks => store.oldest(tables::BLOCKS, user, from, step).await?,
            List::BlockedBy => store.oldest(tables::BLOCKED_BY, user, from, step).await?,
            List::Mutes => store.oldest(tables::MUTES, user, from, step).await?,
            List::Posts => store.newest_bucketed(tables::AUTHOR_POSTS, user, below, step).await?,
            List::Likes => store.oldest(tables::LIKED, user, from, step).await?,
            List::Live => store.oldest(tables::LIVE_OF_HOST, user, from, step).await?,
            List::Links => store.newest_bucketed(tables::LINKS_OF, user, below, step).await?,
            List::Own(table) => {
                let range = KeyRange { from: place.last.as_deref().map(successor), to: None };
                store.scan(table, &tables::partition(user), range, Order::Ascending, step).await?
            }
        };
        let last = rows.last().filter(|_| rows.len() == step).map(|row| row.clustering.clone());
        let removed = match list {
            List::Posts => {
                let posts: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
                settle::purge_standing(&self.core, &posts).await.map(|count| count > 0)
            }
            List::Likes => self.purge_likes(user, &rows).await,
            List::Live => {
                let sessions: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
                Live::purge(&self.core, user, &sessions).await
            }
            List::Own(table) => self.purge_own(table, user, &rows).await,
            List::Links => self.links.purge(&rows).await,
            list => {
                if matches!(list, List::Blocks) {
                    // Before the rows go, by which they are found.
                    for other in rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)) {
                        self.chat.forget_block(user, other).await?;
                    }
                }
                let gone = store.account_or_gone(user).await?.and_then(|account| account.row.deleted_by);
                self.end_all(user, rows.iter().filter_map(|row| end_of(list, (user, gone), row)).collect()).await
            }
        };
        Ok((removed, last))
    }

    async fn purge_likes(&self, user: Id, rows: &[Row]) -> Result<bool> {
        let mut ends = Vec::with_capacity(rows.len());
        for row in rows {
            let (Some(post), Some(since)) = (Id::from_bytes(&row.clustering), Id::from_bytes(&row.value)) else {
                continue;
            };
            let liked = match self.core.store.post_or_gone(post).await {
                Err(error) if error.is_of_storage() => return Err(error),
                // The like goes, whatever it was of.
                Err(_) | Ok(None) => None,
                Ok(Some(post)) => Some(post.author),
            };
            let event = Event::Unliked { user, post: PostRef { id: post, author: liked.unwrap_or_default() }, since };
            let lock = like_key(user, post);
            let row = tables::pair(tables::LIKED, user, post);
            ends.push(End { lock, row, since, is_counted: true, event });
        }
        self.end_all(user, ends).await
    }

    async fn purge_own(&self, table: Table, user: Id, rows: &[Row]) -> Result<bool> {
        if rows.is_empty() {
            return Ok(false);
        }
        // Above every record; what is no record's tells in its value.
        let (mut batch, now) = (Batch::default(), self.core.log.mint().await?.0);
        for row in rows {
            let key = RowKey::new(table, tables::partition(user), row.clustering.clone());
            let version = version_above(table, &row.value)?.map_or(now, |above| above.max(now));
            batch.delete_versioned(key, version);
            if table == tables::TOKENS_OF {
                batch.delete_versioned(RowKey::single(tables::TOKENS, row.clustering.clone()), version);
            }
            if let Some(session) = Id::from_bytes(&row.clustering).filter(|_| table == tables::LIVE_REMINDERS_OF) {
                batch.delete_versioned(tables::pair(tables::LIVE_REMINDERS, session, user), version);
            }
        }
        self.core.store.write(batch).await?;
        Ok(true)
    }

    /// Ends what still stands, by records of `user` and of whoever followed or blocked them; false when there is
    /// nothing. One that fails does not keep the others.
    async fn end_all(&self, user: Id, ends: Vec<End>) -> Result<bool> {
        let (mut any, mut outcome) = (false, Ok(()));
        for ends in ends.chunks(limits::GROUP_RECORDS_MAX) {
            let keys: Vec<LockKey> = ends.iter().map(|end| end.lock).collect();
            // A follow is its follower's, and a block its blocker's, whoever left.
            let actors: Vec<Id> = ends.iter().map(|end| end.event.actor().unwrap_or(user)).collect();
            let guards = self.core.log.decide_all(&actors, &keys).await?;
            // Somebody may have been about to end it, from before the deletion: it is taken back once.
            let rows: Vec<RowKey> = ends.iter().map(|end| end.row.clone()).collect();
            let stored = self.core.store.get_many(&rows).await?;
            let stands = |row: Option<&Bytes>, end: &End| {
                let since = row.and_then(|row| Id::from_bytes(row));
                if end.is_counted { since == Some(end.since) } else { row.is_some() }
            };
            let ends = ends.iter().zip(&guards).zip(&stored).filter(|((end, _), row)| stands(row.as_ref(), end));
            let events: Vec<(&Guard, Event)> = ends.map(|((end, guard), _)| (guard, end.event.clone())).collect();
            match self.core.log.commit_all(events).await {
                Ok(count) => any |= count > 0,
                Err(error) if error.is_of_storage() => return Err(error),
                Err(error) => outcome = Err(error),
            }
        }
        outcome.map(|()| any)
    }
}

/// End of something that stands between an account that is gone and another, or a post.
struct End {
    /// Lock under which others end it.
    lock: LockKey,
    /// Row that says it stands, since the record in it.
    row: RowKey,
    since: Id,
    /// Counters know of it: what stands there must be this one.
    is_counted: bool,
    event: Event,
}

/// End of what a row says is between the account, which the record `gone` deleted, and another.
fn end_of(list: List, (user, gone): (Id, Option<Id>), row: &Row) -> Option<End> {
    let (key, silent) = (Id::from_bytes(&row.clustering)?, is_silent(&row.value));
    let follow = |edge: EndedFollow| End {
        lock: pair(edge.follower, edge.followee),
        row: tables::pair(tables::FOLLOWS, edge.follower, edge.followee),
        since: edge.since,
        is_counted: true,
        event: Event::Unfollowed(edge),
    };
    let other = |table, from, to, event| End {
        lock: pair(from, to),
        row: tables::pair(table, from, to),
        since: Id::default(),
        is_counted: false,
        event,
    };
    Some(match list {
        List::Followees => {
            let since = Id::from_bytes(&row.value)?;
            follow(EndedFollow { follower: user, followee: key, since, departed: None, silent })
        }
        List::Followers => {
            let follower = Id::from_bytes(&row.value)?;
            follow(EndedFollow { follower, followee: user, since: key, departed: gone, silent })
        }
        List::Blocks => other(tables::BLOCKS, user, key, Event::Unblocked { blocker: user, blocked: key }),
        List::BlockedBy => other(tables::BLOCKS, key, user, Event::Unblocked { blocker: key, blocked: user }),
        List::Mutes => other(tables::MUTES, user, key, Event::Unmuted { muter: user, muted: key }),
        List::Posts | List::Likes | List::Live | List::Links | List::Own(_) => return None,
    })
}

/// The lowest key above `key`.
fn successor(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}
