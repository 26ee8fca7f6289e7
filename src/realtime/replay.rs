//! What a session missed, read from rows and recent posts: nothing is stored a client, so any node can do it after any
//! crash.

use fanfare_protocol::{Gap, Id, Reset, ResetReason, Stream};

use super::bulk::{Gone, Pending};
use super::cursor::{Cursor, Watermarks, digest, place};
use super::frame::Frame;
use super::render::{Batch, Render};
use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::base::limits::realtime::{CURSOR_DAYS_MAX, GAP_COUNT_MAX, REPLAY_DELETIONS_MAX, REPLAY_ITEMS_MAX};
use crate::data::tables::{self, Marker};
use crate::feed::Feed;
use crate::log::core::Core;
use crate::notifications::list;

/// Reads what was missed.
#[derive(Clone)]
pub struct Replays {
    core: Core,
    feed: Feed,
    render: Render,
}

/// What was missed, each stream in its order.
#[derive(Debug, Default)]
pub struct Missed {
    /// Frames to send first.
    pub frames: Vec<Frame>,
}

impl Missed {
    /// Every item, with the place of its stream.
    pub fn items(&self) -> impl Iterator<Item = (usize, Id)> + '_ {
        let items = self.frames.iter().filter_map(Frame::items);
        items.flat_map(|items| items.ids.iter().map(|id| (place(items.stream), *id)))
    }

    /// The items of types that not every client knows.
    #[must_use]
    pub fn novel(&self) -> Vec<Id> {
        self.frames.iter().flat_map(Frame::novel_ids).copied().collect()
    }

    /// The digest of the items of a stream, by its place.
    #[must_use]
    pub fn digest(&self, stream: usize) -> u16 {
        digest(self.items().filter(|(of, _)| *of == stream).map(|(_, id)| id))
    }
}

/// Whether a cursor is too old to be resumed from: `newest` is the newest record.
#[must_use]
pub fn is_too_old(cursor: &Cursor, newest: Id) -> bool {
    let oldest = cursor.marks.iter().min().copied().unwrap_or_default();
    unix_ms_of(newest).saturating_sub(unix_ms_of(oldest)) > CURSOR_DAYS_MAX * 86_400_000
}

impl Replays {
    /// Over the services.
    #[must_use]
    pub fn new(core: Core, feed: Feed, render: Render) -> Self {
        Self { core, feed, render }
    }

    /// Everything of `user`'s streams above `from` and up to `upto`, which must have been the newest record before this is
    /// called.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn missed(&self, user: Id, from: Watermarks, upto: Id) -> Result<Missed> {
        let mut frames = Vec::new();
        let after = from[place(Stream::Notifications)];
        if after < upto {
            self.notifications(user, after, upto, &mut frames).await?;
        }
        let after = from[place(Stream::Posts)];
        if after < upto {
            self.posts(user, after, upto, &mut frames).await?;
        }
        Ok(Missed { frames })
    }

    async fn notifications(&self, user: Id, after: Id, upto: Id, frames: &mut Vec<Frame>) -> Result<()> {
        let limit = REPLAY_ITEMS_MAX + GAP_COUNT_MAX;
        let entries = list::newest(&self.core.store, user, after, Some(Id(upto.0 + 1)), limit).await?;
        let newest = entries.get(..entries.len().min(REPLAY_ITEMS_MAX)).unwrap_or_default();
        if entries.len() > REPLAY_ITEMS_MAX
            && let Some(last) = newest.last()
        {
            let count = (entries.len() - REPLAY_ITEMS_MAX) as u64;
            frames.push(self.gap(Stream::Notifications, after, last.id, count));
        }
        let marker = tables::marker_row(user, Marker::Notifications);
        let marker = self.core.store.get_id(&marker).await?.unwrap_or_default();
        for entry in newest.iter().rev() {
            frames.extend(self.render.notification_entry(user, entry, after, marker).await?);
        }
        Ok(())
    }

    async fn posts(&self, user: Id, after: Id, upto: Id, frames: &mut Vec<Frame>) -> Result<()> {
        let missed = self.feed.catch_up(user, after, REPLAY_ITEMS_MAX + GAP_COUNT_MAX).await?;
        let Some(gone) = self.gone(user, missed.followees, after, upto).await? else {
            let reset = Reset { streams: vec![Stream::Posts], reason: ResetReason::Expired };
            frames.push(Frame::reset(&reset, after, self.core.clock.now_ms()));
            return Ok(());
        };
        let posts: Vec<Id> = missed.posts.iter().copied().filter(|id| *id <= upto).collect();
        let (newest, older) = posts.split_at(posts.len().min(REPLAY_ITEMS_MAX));
        if let Some(first) = newest.last().filter(|_| !older.is_empty()) {
            frames.push(self.gap(Stream::Posts, after, *first, older.len() as u64));
        }
        // No list has deletions, so a gap cannot stand for them: all are sent, or the stream is read anew.
        let mut items: Vec<Pending> = newest.iter().map(|id| Pending { id: *id, gone: None }).collect();
        items.extend(gone);
        items.sort_unstable_by_key(|one| one.id);
        frames.extend(self.render.posts(user, &items, &mut Batch::default()).await?);
        Ok(())
    }

    /// What was deleted of `user` and `followees`, posts and accounts; `None` when that is too much.
    async fn gone(&self, user: Id, followees: Vec<Id>, after: Id, upto: Id) -> Result<Option<Vec<Pending>>> {
        let (store, max) = (&self.core.store, REPLAY_DELETIONS_MAX);
        let Some(departures) = store.departures_of(user, &followees, (after, upto), max).await? else {
            return Ok(None);
        };
        let mut authors = followees;
        if let Err(place) = authors.binary_search(&user) {
            authors.insert(place, user);
        }
        let Some(deletions) = store.deletions_of(&authors, after, upto, max - departures.len()).await? else {
            return Ok(None);
        };
        let posts = deletions.iter().map(|one| (one.id, Gone::Post { post: one.post, author: one.author }));
        let people = departures.iter().map(|one| (one.id, Gone::Author(one.user)));
        Ok(Some(posts.chain(people).map(|(id, gone)| Pending { id, gone: Some(gone) }).collect()))
    }

    fn gap(&self, stream: Stream, after: Id, before: Id, count: u64) -> Frame {
        let count = count.min(GAP_COUNT_MAX as u64);
        Frame::gap(&Gap { stream, after, before, count }, self.core.clock.now_ms())
    }
}
