//! From committed facts to frames: reads what a frame shows, through the caches, and encodes it once for everybody who
//! gets the same.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_protocol::{
    AUTHOR_DELETED, Author, AuthorDeleted, Gap, Id, NotificationKind, PostDeleted, Reset, ResetReason, Stream,
    Timestamp,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::bulk::{Gone, Pending};
use super::frame::{Durable, Frame};
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::realtime::FRAME_POSTS_MAX;
use crate::data::absent::Standing;
use crate::data::store::Hidden;
use crate::log::core::Core;
use crate::log::events::PostRecord;
use crate::notifications::fold::Notified;
use crate::notifications::list::{Entry, What};
use crate::notifications::view::News;
use crate::posts::view::Views;
use crate::posts::visibility::{Absence, Between, Place, Shown, absence, place_of_original, shown};

/// Makes frames. Clones share the caches.
#[derive(Clone)]
pub struct Render {
    core: Core,
    views: Views,
    news: News,
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

/// A post, and whether it is shown without the one that it quotes.
type Variant = (Id, bool);

/// What was rendered in one go: equal posts and equal frames are made once.
#[derive(Default)]
pub struct Batch {
    posts: HashMap<Variant, Rendered>,
    frames: HashMap<Vec<Variant>, Frame>,
}

impl Render {
    /// Over the services' own views.
    #[must_use]
    pub fn new(core: Core, views: Views) -> Self {
        let news = News::new(core.clone(), views.clone());
        Self { core, views, news }
    }

    fn now_ms(&self) -> u64 {
        self.core.clock.now_ms()
    }

    /// A notification that somebody got, as a frame; `None` when the person may not see it. It is told even when it was taken
    /// back meanwhile: whoever does it again is listed under the same key, and is not told of then.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn notification(&self, notified: &Notified) -> Result<Option<Frame>> {
        let (user, entry) = (notified.user, &notified.entry);
        // Whom the person does not want to hear of rings for nobody else.
        if let What::Group { item, .. } = &entry.what
            && let Some(doer) = item.newest.first()
            && self.views.person(user, doer.actor).await?.is_none()
        {
            return Ok(None);
        }
        self.notification_entry(user, entry, Id(0), Id(0)).await
    }

    /// The same from the list, if it is news above `after`; read at and below `marker`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn notification_entry(&self, user: Id, entry: &Entry, after: Id, marker: Id) -> Result<Option<Frame>> {
        let Some(seen) = self.news.seen(user, entry).await?.filter(|seen| seen.as_of > after) else { return Ok(None) };
        let mut post = None;
        if let Some((about, shown)) = &seen.post {
            let hides_original = *shown == Shown::WithoutOriginal(Absence::Hidden);
            let Some(json) = self.post(about, hides_original).await? else { return Ok(None) };
            post = Some(json);
        }
        let id = entry.id;
        let data = NotificationData {
            key: id,
            id,
            kind: entry.kind,
            actor: &seen.actor.author,
            post,
            count: seen.count,
            created_at: Timestamp(unix_ms_of(id)),
            read: seen.as_of <= marker,
        };
        let durable = Durable::one(Stream::Notifications, id);
        Ok(Some(Frame::durable("notification", durable, self.now_ms(), &data)))
    }

    async fn post(&self, post: &PostRecord, hides_original: bool) -> Result<Option<Box<RawValue>>> {
        let mut bytes = Vec::new();
        if !self.views.write_shared(post, hides_original, &mut bytes).await? {
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
                Some(gone) => {
                    frames.extend(self.together(reader, &together, &hidden, batch).await?);
                    together.clear();
                    frames.push(self.deleted(one.id, gone));
                }
            }
        }
        frames.extend(self.together(reader, &together, &hidden, batch).await?);
        Ok(frames)
    }

    fn deleted(&self, deletion: Id, gone: Gone) -> Frame {
        let (key, now_ms) = (deletion.to_string(), self.now_ms());
        match gone {
            Gone::Post { post, author } => {
                let data = PostDeleted { key, id: post, author_id: author };
                Frame::durable("post.deleted", Durable::unlisted(Stream::Posts, deletion), now_ms, &data)
            }
            Gone::Author(user_id) => {
                let data = AuthorDeleted { key, user_id };
                Frame::durable(AUTHOR_DELETED, Durable::novel(Stream::Posts, deletion), now_ms, &data)
            }
        }
    }

    async fn together(&self, reader: Id, ids: &[Id], hidden: &Hidden, batch: &mut Batch) -> Result<Option<Frame>> {
        let mut visible = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(post) = self.rendered((*id, false), batch).await? else { continue };
            match seen(reader, &post, hidden, Place::Among) {
                Shown::Nothing(_) => {}
                Shown::Whole => visible.push((*id, false)),
                Shown::WithoutOriginal(_) => {
                    if self.rendered((*id, true), batch).await?.is_some() {
                        visible.push((*id, true));
                    }
                }
            }
        }
        if visible.is_empty() {
            return Ok(None);
        }
        if let Some(frame) = batch.frames.get(&visible) {
            return Ok(Some(frame.clone()));
        }
        let json = |one: &Variant| batch.posts.get(one).and_then(Option::as_ref).map(|(_, json)| &**json);
        let items = Items { items: visible.iter().rev().filter_map(json).collect() };
        let durable = Durable::many(Stream::Posts, visible.iter().map(|(id, _)| *id));
        let frame = Frame::durable("feed.posts", durable, self.now_ms(), &items);
        batch.frames.insert(visible, frame.clone());
        Ok(Some(frame))
    }

    /// A post that was rendered, now or before; `None` when nothing of it shows.
    async fn rendered(&self, variant: Variant, batch: &mut Batch) -> Result<Option<Arc<PostRecord>>> {
        if let Some(rendered) = batch.posts.get(&variant) {
            return Ok(rendered.as_ref().map(|(post, _)| Arc::clone(post)));
        }
        let (id, hides_original) = variant;
        let found = self.core.store.posts(&[id]).await?.pop().flatten();
        let json = match &found {
            Some(post) => self.post(post, hides_original).await?,
            None => None,
        };
        let rendered = found.zip(json);
        let post = rendered.as_ref().map(|(post, _)| Arc::clone(post));
        batch.posts.insert(variant, rendered);
        Ok(post)
    }
}

/// What blocks and mutes leave of a post that stands; follows and replies were looked at when it was handed out.
fn seen(reader: Id, post: &PostRecord, hidden: &Hidden, place: Place) -> Shown {
    let why = |author: Id, place: Place| {
        let (blocked, muted) = (hidden.blocks(author), hidden.mutes(author));
        let between =
            if author == reader { Between::default() } else { Between { blocked, muted, ..Between::default() } };
        absence(Standing::Stands, between, place)
    };
    let original = post.repost_of.and_then(|original| why(original.author, place_of_original(post, place)));
    shown(post, place, why(post.author, place), original)
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
