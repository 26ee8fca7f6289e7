//! The stream `posts`: followed posts, and what is gone of them, for sessions of followers.
//!
//! A session holds references; when it can take them they become frames, rendered once for everybody who gets the same.
//! What it missed is read from recent posts and rows.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::{AUTHOR_DELETED, AuthorDeleted, Gap, Id, PostDeleted, ResetReason, Stream};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::base::error::{Error, Result};
use crate::base::limits::realtime::{
    BULK_BATCH, FRAME_POSTS_MAX, GAP_COUNT_MAX, REPLAY_DELETIONS_MAX, REPLAY_ITEMS_MAX,
};
use crate::data::absent::Standing;
use crate::data::store::Hidden;
use crate::log::core::Core;
use crate::log::events::{Event, PostRecord, Record};
use crate::posts::view::Views;
use crate::posts::visibility::{Between, Place, Shown, absence, place_of_original, shown};
use crate::realtime::{
    Audience, BulkJobs, BulkSource, Deliver, Durable, Frame, ItemRef, Missed, Output, Producer, Source,
};

/// Types of frames of this stream.
pub const TYPES: &[&str] = &["feed.posts", "post.deleted"];
/// The type of this stream that not every client knows, and what others are told in its place.
pub const NOVEL: (&str, ResetReason) = (AUTHOR_DELETED, ResetReason::AuthorDeleted);

/// Kinds of references: a post; a deleted post, with its id and author; a deleted account, with its id.
const POST: u8 = 0;
const POST_DELETED: u8 = 1;
const AUTHOR_GONE: u8 = 2;

/// Followed posts of readers, as the home feed reads them.
#[async_trait]
pub trait FollowedPosts: Send + Sync + 'static {
    /// Posts above `after` that `reader` sees of those whom they follow, at most the newest `max`.
    ///
    /// # Errors
    /// When the engine fails.
    async fn since(&self, reader: Id, after: Id, max: usize) -> Result<Followed>;
}

/// Answer of [`FollowedPosts::since`].
#[derive(Debug, Default)]
pub struct Followed {
    /// Visible posts, newest first.
    pub posts: Vec<Id>,
    /// Followees of the reader, sorted.
    pub followees: Vec<Id>,
}

/// Consequences of posts, and of deletions, for followers.
pub struct PostProducer;

/// The source of the stream.
pub struct PostStream {
    core: Core,
    views: Views,
    followed: Arc<dyn FollowedPosts>,
}

#[derive(Serialize)]
struct Items<'a> {
    items: Vec<&'a RawValue>,
}

/// A post as frames show it; `None`: it is gone.
type Rendered = Option<(Arc<PostRecord>, Box<RawValue>)>;

/// A post, and whether it is shown without the one that it quotes.
type Variant = (Id, bool);

/// Posts and frames that were rendered together: equal ones are made once.
#[derive(Default)]
struct RenderBatch {
    posts: HashMap<Variant, Rendered>,
    frames: HashMap<Vec<Variant>, Frame>,
}

fn post(id: Id) -> ItemRef {
    ItemRef { key: id, kind: POST, listed: true, about: [id, Id(0)] }
}

fn deleted_post(deletion: Id, post: Id, author: Id) -> ItemRef {
    ItemRef { key: deletion, kind: POST_DELETED, listed: false, about: [post, author] }
}

fn gone_author(deletion: Id, author: Id) -> ItemRef {
    ItemRef { key: deletion, kind: AUTHOR_GONE, listed: false, about: [author, Id(0)] }
}

impl Producer for PostProducer {
    fn produce(&self, record: &Record, out: &mut Vec<Output>) {
        let (audience, item) = match &record.event {
            Event::Posted { post: made, .. } => {
                // A reply shows only where the one whom it answers is followed too.
                let answered = made.reply_to.map(|parent| parent.author).filter(|author| *author != made.author);
                let audience = match answered {
                    Some(answered) => Audience::FollowersOfBoth(made.author, answered),
                    None => Audience::Followers(made.author),
                };
                (audience, post(record.id))
            }
            Event::PostDeleted { post, author, purged: false, .. } => {
                (Audience::Followers(*author), deleted_post(record.id, *post, *author))
            }
            Event::UserDeleted { user } => (Audience::FollowersUntilNow(user.id), gone_author(record.id, user.id)),
            _ => return,
        };
        out.push(Output::Deliver(Deliver::reference(audience, item)));
    }
}

#[async_trait]
impl Source for PostStream {
    fn stream(&self) -> Stream {
        Stream::Posts
    }

    async fn missed(&self, person: Id, after: Id, upto: Id) -> Result<Missed> {
        let missed = self.followed.since(person, after, REPLAY_ITEMS_MAX + GAP_COUNT_MAX).await?;
        let posts: Vec<Id> = missed.posts.iter().copied().filter(|id| *id <= upto).collect();
        let now_ms = self.core.clock.now_ms();
        let Some(gone) = self.gone(person, missed.followees, after, upto).await? else {
            let reset = Frame::reset_of(Stream::Posts, ResetReason::Expired, after, now_ms);
            return Ok(Missed { frames: vec![reset], keys: posts });
        };
        let mut frames = Vec::new();
        let (newest, older) = posts.split_at(posts.len().min(REPLAY_ITEMS_MAX));
        if let Some(first) = newest.last().filter(|_| !older.is_empty()) {
            let count = older.len().min(GAP_COUNT_MAX) as u64;
            frames.push(Frame::gap(&Gap { stream: Stream::Posts, after, before: *first, count }, now_ms));
        }
        // No list has deletions, so a gap cannot stand for them: all are sent, or the stream is read anew.
        let mut items: Vec<ItemRef> = newest.iter().map(|id| post(*id)).collect();
        let keys = posts.iter().copied().chain(gone.iter().map(|one| one.key)).collect();
        items.extend(gone);
        items.sort_unstable_by_key(|one| one.key);
        frames.extend(self.frames(person, &items, &mut RenderBatch::default()).await?);
        Ok(Missed { frames, keys })
    }
}

#[async_trait]
impl BulkSource for PostStream {
    async fn render(&self, mut jobs: BulkJobs) {
        let mut waiting = Vec::with_capacity(BULK_BATCH);
        while jobs.take(&mut waiting).await {
            let mut batch = RenderBatch::default();
            for job in waiting.drain(..) {
                let frames = self.frames(job.user, &job.items, &mut batch).await;
                jobs.answer(&job, frames).await;
            }
        }
    }
}

impl PostStream {
    /// Over the views of posts and the posts that readers follow.
    #[must_use]
    pub fn new(core: Core, views: Views, followed: Arc<dyn FollowedPosts>) -> Self {
        Self { core, views, followed }
    }

    /// Deletions of `user` and `followees`, posts and accounts; `None` when that is too much.
    async fn gone(&self, user: Id, followees: Vec<Id>, after: Id, upto: Id) -> Result<Option<Vec<ItemRef>>> {
        let (store, max) = (&self.core.store, REPLAY_DELETIONS_MAX);
        let Some(departures) = store.departures_of(user, &followees, (after, upto), max).await? else {
            return Ok(None);
        };
        let mut authors = followees;
        if let Err(at) = authors.binary_search(&user) {
            authors.insert(at, user);
        }
        let Some(deletions) = store.deletions_of(&authors, after, upto, max - departures.len()).await? else {
            return Ok(None);
        };
        let posts = deletions.iter().map(|one| deleted_post(one.id, one.post, one.author));
        Ok(Some(posts.chain(departures.iter().map(|one| gone_author(one.id, one.user))).collect()))
    }

    /// Frames for what `items` (in order of keys) says, as far as `reader` may see it; posts that follow each other
    /// share a frame, newest first.
    async fn frames(&self, reader: Id, items: &[ItemRef], batch: &mut RenderBatch) -> Result<Vec<Frame>> {
        let hidden = self.core.store.hidden(reader).await?;
        let mut frames = Vec::new();
        let mut together = Vec::new();
        for one in items {
            if one.kind == POST {
                together.push(one.key);
                if together.len() == FRAME_POSTS_MAX {
                    frames.extend(self.together(reader, &together, &hidden, batch).await?);
                    together.clear();
                }
            } else {
                frames.extend(self.together(reader, &together, &hidden, batch).await?);
                together.clear();
                frames.push(self.deleted(one));
            }
        }
        frames.extend(self.together(reader, &together, &hidden, batch).await?);
        Ok(frames)
    }

    fn deleted(&self, item: &ItemRef) -> Frame {
        let (key, now_ms, [about, author_id]) = (item.key.to_string(), self.core.clock.now_ms(), item.about);
        if item.kind == POST_DELETED {
            let data = PostDeleted { key, id: about, author_id };
            Frame::durable("post.deleted", Durable::unlisted(Stream::Posts, item.key), now_ms, &data)
        } else {
            let data = AuthorDeleted { key, user_id: about };
            Frame::durable(NOVEL.0, Durable::novel(Stream::Posts, item.key, NOVEL.1), now_ms, &data)
        }
    }

    async fn together(
        &self,
        reader: Id,
        ids: &[Id],
        hidden: &Hidden,
        batch: &mut RenderBatch,
    ) -> Result<Option<Frame>> {
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
        let frame = Frame::durable("feed.posts", durable, self.core.clock.now_ms(), &items);
        batch.frames.insert(visible, frame.clone());
        Ok(Some(frame))
    }

    /// A post that was rendered, now or before; `None` when nothing of it shows.
    async fn rendered(&self, variant: Variant, batch: &mut RenderBatch) -> Result<Option<Arc<PostRecord>>> {
        if let Some(rendered) = batch.posts.get(&variant) {
            return Ok(rendered.as_ref().map(|(post, _)| Arc::clone(post)));
        }
        let (id, hides_original) = variant;
        let found = self.core.store.posts(&[id]).await?.pop().flatten();
        let json = match &found {
            Some(post) => shared_json(&self.views, post, hides_original).await?,
            None => None,
        };
        let rendered = found.zip(json);
        let post = rendered.as_ref().map(|(post, _)| Arc::clone(post));
        batch.posts.insert(variant, rendered);
        Ok(post)
    }
}

/// A post without what differs from viewer to viewer, as frames carry it; `None` when nothing of it shows.
///
/// # Errors
/// When the engine fails.
pub async fn shared_json(views: &Views, post: &PostRecord, hides_original: bool) -> Result<Option<Box<RawValue>>> {
    let mut bytes = Vec::new();
    if !views.write_shared(post, hides_original, &mut bytes).await? {
        return Ok(None);
    }
    let text = String::from_utf8(bytes).map_err(|error| Error::Internal(error.to_string()))?;
    Ok(Some(RawValue::from_string(text).map_err(|error| Error::Internal(error.to_string()))?))
}

/// Share of a post that stands which blocks and mutes leave; follows and replies were looked at when it was handed out.
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
