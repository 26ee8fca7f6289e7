//! From committed facts to frames: reads what a frame shows, through the caches, and encodes it once for everybody who
//! gets the same.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_engines::RowKey;
use fanfare_protocol::{Author, Gap, Id, NotificationKind, PostDeleted, Reset, ResetReason, Stream, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::bulk::Pending;
use super::frame::{Durable, Frame};
use crate::core::Core;
use crate::error::{Error, Result};
use crate::events::PostRecord;
use crate::feed::FeedSource;
use crate::id::unix_ms_of;
use crate::limits::realtime::FRAME_POSTS_MAX;
use crate::posts::view::Views;
use crate::rows::{NotificationRow, from_json};
use crate::store::Hidden;
use crate::tables::{self, notification_key};

/// Makes frames. Clones share the caches.
#[derive(Clone)]
pub struct Render {
    core: Core,
    views: Views,
}

/// A notification as frames show it.
#[derive(Serialize)]
struct NotificationData<'a> {
    key: Id,
    id: Id,
    kind: NotificationKind,
    actor: &'a Author,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Box<RawValue>>,
    count: u64,
    created_at: Timestamp,
    read: bool,
}

#[derive(Serialize)]
struct Items<'a> {
    items: Vec<&'a RawValue>,
}

/// A post as frames show it; `None`: it is gone.
type Rendered = Option<(Arc<PostRecord>, Box<RawValue>)>;

/// What was rendered in one go: equal posts and equal frames are made once.
#[derive(Default)]
pub struct Batch {
    posts: HashMap<Id, Rendered>,
    frames: HashMap<Vec<Id>, Frame>,
}

impl Render {
    /// Over the services' own views.
    #[must_use]
    pub fn new(core: Core, views: Views) -> Self {
        Self { core, views }
    }

    fn now_ms(&self) -> u64 {
        self.core.clock.now_ms()
    }

    /// The notification `id` of `user` as a frame; `None` when the person may not see it, or it is gone.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn notification(&self, user: Id, id: Id) -> Result<Option<Frame>> {
        let key = RowKey::new(tables::NOTIFICATIONS, tables::partition(user), notification_key::item(id));
        match self.core.store.get(&key).await? {
            Some(bytes) => self.notification_row(user, id, &from_json(&bytes)?, false).await,
            None => Ok(None),
        }
    }

    /// The same from its row.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn notification_row(&self, user: Id, id: Id, row: &NotificationRow, read: bool) -> Result<Option<Frame>> {
        if self.core.store.hidden(user).await?.hides(row.actor) {
            return Ok(None);
        }
        let Some(actor) = self.core.store.seen_account(row.actor).await? else { return Ok(None) };
        let mut post = None;
        if let Some(about) = row.post {
            let Some(found) = self.core.store.posts(&[about]).await?.pop().flatten() else { return Ok(None) };
            let Some(json) = self.post(&found).await? else { return Ok(None) };
            post = Some(json);
        }
        let data = NotificationData {
            key: id,
            id,
            kind: row.kind,
            actor: &actor.author,
            post,
            count: row.count,
            created_at: Timestamp(unix_ms_of(id)),
            read,
        };
        let durable = Durable::one(Stream::Notifications, id);
        Ok(Some(Frame::durable("notification", durable, self.now_ms(), &data)))
    }

    async fn post(&self, post: &Arc<PostRecord>) -> Result<Option<Box<RawValue>>> {
        let mut bytes = Vec::new();
        if !self.views.write_shared(post, &mut bytes).await? {
            return Ok(None);
        }
        let text = String::from_utf8(bytes).map_err(|error| Error::Internal(error.to_string()))?;
        Ok(Some(RawValue::from_string(text).map_err(|error| Error::Internal(error.to_string()))?))
    }

    /// Frames for what `posts` (in order of ids) says, as far as `reader` may see it; posts that follow each other share
    /// a frame, newest first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn posts(&self, reader: Id, posts: &[Pending], batch: &mut Batch) -> Result<Vec<Frame>> {
        let hidden = self.core.store.hidden(reader).await?;
        let mut frames = Vec::new();
        let mut together = Vec::new();
        for one in posts {
            match one.gone {
                None => {
                    together.push(one.id);
                    if together.len() == FRAME_POSTS_MAX {
                        frames.extend(self.together(reader, &together, &hidden, batch).await?);
                        together.clear();
                    }
                }
                Some((post, author)) => {
                    frames.extend(self.together(reader, &together, &hidden, batch).await?);
                    together.clear();
                    frames.push(self.deleted(one.id, post, author));
                }
            }
        }
        frames.extend(self.together(reader, &together, &hidden, batch).await?);
        Ok(frames)
    }

    fn deleted(&self, deletion: Id, post: Id, author_id: Id) -> Frame {
        let data = PostDeleted { key: deletion.to_string(), id: post, author_id };
        Frame::durable("post.deleted", Durable::unlisted(Stream::Posts, deletion), self.now_ms(), &data)
    }

    async fn together(&self, reader: Id, ids: &[Id], hidden: &Hidden, batch: &mut Batch) -> Result<Option<Frame>> {
        let mut visible = Vec::with_capacity(ids.len());
        for id in ids {
            if !batch.posts.contains_key(id) {
                let rendered = self.rendered(*id).await?;
                batch.posts.insert(*id, rendered);
            }
            if let Some(Some((post, _))) = batch.posts.get(id)
                && may_see(reader, post, hidden)
            {
                visible.push(*id);
            }
        }
        if visible.is_empty() {
            return Ok(None);
        }
        if let Some(frame) = batch.frames.get(&visible) {
            return Ok(Some(frame.clone()));
        }
        let json = |id: &Id| batch.posts.get(id).and_then(Option::as_ref).map(|(_, json)| &**json);
        let items = Items { items: visible.iter().rev().filter_map(json).collect() };
        let durable = Durable::many(Stream::Posts, visible.iter().copied());
        let frame = Frame::durable("feed.posts", durable, self.now_ms(), &items);
        batch.frames.insert(visible, frame.clone());
        Ok(Some(frame))
    }

    async fn rendered(&self, id: Id) -> Result<Rendered> {
        let Some(post) = self.core.store.posts(&[id]).await?.pop().flatten() else { return Ok(None) };
        Ok(self.post(&post).await?.map(|json| (post, json)))
    }
}

/// Blocks and mutes; follows and replies were looked at when the post was handed out.
fn may_see(reader: Id, post: &PostRecord, hidden: &Hidden) -> bool {
    let hides = |author: Id| author != reader && hidden.hides(author);
    !hides(post.author) && !post.repost_of.is_some_and(|original| hidden.hides(original.author))
}

/// The gap that stands for posts which could not be read; a reset where deletions are among them.
#[must_use]
pub fn lost(posts: &[Pending]) -> Vec<Frame> {
    let (Some(first), Some(last)) = (posts.first(), posts.last()) else { return Vec::new() };
    if posts.iter().any(|one| one.gone.is_some()) {
        let reset = Reset { streams: vec![Stream::Posts], reason: ResetReason::Overflow };
        return vec![Frame::reset(&reset, Id(first.id.0.saturating_sub(1)), unix_ms_of(last.id))];
    }
    let (after, before) = (Id(first.id.0.saturating_sub(1)), Id(last.id.0 + 1));
    vec![Frame::gap(&Gap { stream: Stream::Posts, after, before, count: posts.len() as u64 }, unix_ms_of(last.id))]
}
