//! Posts: publishing, deleting, liking, and the lists of them that are no home feed.

mod lists;

use std::sync::Arc;

use fanfare_engines::Batch;
use fanfare_protocol::{Code, FieldError, Gone, Id, Media, Mention, NewPost, NotificationKind, Post, PostOrGone};

use super::view::Views;
use super::visibility::{Absence, Place, Shown};
use super::{settle, text};
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits;
use crate::data::audit::Act;
use crate::data::tables;
use crate::log::core::{Attachments, Core, LockKey, Owners as _};
use crate::log::events::{Event, IdempotencyKey, Notice, PostRecord, PostRef};
use crate::log::handle::Proposal;
use crate::log::idempotency::{self, Idempotency, KeyUse};
use crate::users::service::Users;

/// Answer to publishing.
#[derive(Debug)]
pub enum Publication {
    /// The post was made.
    New(Post),
    /// Result of an earlier request with the same key, which made a post.
    Replayed(Post),
    /// The caller had passed this post on already; this is that repost.
    Same(Post),
    /// Result of an earlier request with the same key, which found this repost.
    SameReplayed(Post),
}

/// Posts.
#[derive(Clone)]
pub struct Posts {
    core: Core,
    users: Users,
    views: Views,
    media: Arc<dyn Attachments>,
    text_chars_max: usize,
    idempotency: Idempotency,
}

impl Posts {
    /// The service; texts have at most `text_chars_max` characters.
    #[must_use]
    pub fn new(core: Core, users: Users, media: Arc<dyn Attachments>, text_chars_max: usize) -> Self {
        let views = Views::new(core.clone());
        let idempotency = Idempotency::new(Arc::clone(&core.store));
        Self { core, users, views, media, text_chars_max, idempotency }
    }

    /// The renderer of posts.
    #[must_use]
    pub fn views(&self) -> &Views {
        &self.views
    }

    /// Publishes a post, a reply or a repost, once per idempotency key.
    ///
    /// # Errors
    /// 404 or 410 for the post answered or passed on, 409 while the same key is at work, 422 for what is malformed or
    /// a key that was used with another body.
    pub async fn publish(&self, author: Id, new: NewPost, key: Option<IdempotencyKey>) -> Result<Publication> {
        let Some(key) = key else { return self.publish_once(author, new, None).await };
        let _claimed = match self.idempotency.claim(&key, self.core.clock.now_ms()).await? {
            KeyUse::Fresh(claimed) => claimed,
            KeyUse::Repeat { made, at_ms } => return self.first_result(author, made, at_ms).await,
        };
        self.publish_once(author, new, Some(key)).await
    }

    /// Answer to the first request with a key, at `at_ms`: the post as it was when it was new, or a repost that was
    /// there.
    async fn first_result(&self, author: Id, made: Id, at_ms: u64) -> Result<Publication> {
        let post = self.core.store.post_or_gone(made).await?.ok_or_else(|| Error::not_found("post"))?;
        let rendered = self.own(author, &post).await?;
        if unix_ms_of(made) < at_ms {
            return Ok(Publication::SameReplayed(rendered));
        }
        let first = Post { like_count: 0, reply_count: 0, repost_count: 0, liked: false, reposted: false, ..rendered };
        Ok(Publication::Replayed(first))
    }

    async fn publish_once(&self, author: Id, new: NewPost, idempotency: Option<IdempotencyKey>) -> Result<Publication> {
        let post = self.draft(author, new).await?;
        let guard = match (post.is_bare_repost(), post.repost_of) {
            (true, Some(original)) => {
                let guard = self.core.log.decide(author, &[("repost", author.0, original.id.0)]).await?;
                let row = tables::pair(tables::REPOSTED, author, original.id);
                if let Some(made) = self.core.store.get_id(&row).await? {
                    let last = self.core.log.settled_in(&guard)?;
                    drop(guard);
                    self.core.log.followed(last).await;
                    return self.passed_on_already(author, made, idempotency.as_ref()).await;
                }
                guard
            }
            _ => self.core.log.decide(author, &[]).await?,
        };
        let pointed_at = [post.reply_to, post.repost_of];
        let notify = self.notices(&post).await?;
        let proposal = Proposal { idempotency, ..Event::Posted { post, notify }.into() };
        let record = self.core.log.commit(&guard, proposal).await?;
        drop(guard);
        if pointed_at.iter().any(Option::is_some) {
            self.core.log.followed(record.id).await;
        }
        for other in pointed_at.into_iter().flatten() {
            // Deleted while this was on its way: what follows was done without it.
            if self.core.store.post_or_gone(other.id).await?.is_some_and(|other| other.deleted) {
                settle::follow_up(&self.core, record.id).await;
            }
        }
        let stored = self.core.store.post_or_gone(record.id).await?.ok_or_else(|| Error::not_found("post"))?;
        Ok(Publication::New(self.own(author, &stored).await?))
    }

    /// A post that was published, as its `author` reads it. What hides it since then, a suspension of theirs or of who
    /// is passed on, or a block, does not undo that: it is answered as done. A deletion does.
    async fn own(&self, author: Id, post: &Arc<PostRecord>) -> Result<Post> {
        if post.deleted || self.went_with_its_original(post).await? {
            return Err(Error::gone("post"));
        }
        let shown = match self.views.render_one(Some(author), Place::ById, post).await? {
            None => self.views.render_hidden(author, post).await?,
            shown => shown,
        };
        shown.ok_or_else(|| Error::gone("post"))
    }

    /// Whether it is a bare repost of what is deleted, or whose author is gone: those go with it.
    async fn went_with_its_original(&self, post: &PostRecord) -> Result<bool> {
        let Some(original) = post.repost_of.filter(|_| post.is_bare_repost()) else { return Ok(false) };
        let is_there = self.core.store.post_or_gone(original.id).await?.is_some_and(|original| !original.deleted);
        Ok(!is_there || self.core.store.account(original.author).await?.is_none())
    }

    /// Answer to who passes on a post again: the bare repost `made` that is there; remembered for the key.
    async fn passed_on_already(&self, author: Id, made: Id, key: Option<&IdempotencyKey>) -> Result<Publication> {
        let same = self.core.store.post_or_gone(made).await?.ok_or_else(|| Error::not_found("post"))?;
        let same = self.own(author, &same).await?;
        if let Some(key) = key {
            // No record says so: the row would else come behind the purge of an account that is deleted now.
            let _writing = self.core.writing(author).await?;
            let mut batch = Batch::default();
            idempotency::remember(key, made, self.core.log.mint().await?, &mut batch)?;
            self.core.store.write(batch).await?;
        }
        Ok(Publication::Same(same))
    }

    /// Checks what a client wants to publish, and resolves what it names.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub async fn draft(&self, author: Id, new: NewPost) -> Result<PostRecord> {
        let mut errors = Vec::new();
        let parsed = match text::parse(&new.text, self.text_chars_max) {
            Ok(parsed) => parsed,
            Err(error) => return Err(Error::field("text", error.to_string())),
        };
        if parsed.text.is_empty() && new.media_ids.is_empty() && new.repost_of.is_none() {
            errors.push(FieldError {
                field: "text".into(),
                message: "must not be empty without media or repost_of".into(),
            });
        }
        let media = self.attached(author, &new.media_ids, &mut errors).await?;
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        let reply_to = match new.reply_to {
            Some(id) => Some(self.target(author, id, "reply_to").await?),
            None => None,
        };
        let repost_of = match new.repost_of {
            Some(id) => Some(self.target(author, id, "repost_of").await?),
            None => None,
        };
        let mut mentions: Vec<Mention> = Vec::new();
        for mention in &parsed.mentions {
            if let Some(account) = self.core.store.by_handle(&mention.handle_key).await? {
                mentions.push(Mention { id: account.row.id, handle: account.row.handle.clone() });
            }
        }
        let reference = |post: &Arc<PostRecord>| PostRef { id: post.id, author: post.author };
        Ok(PostRecord {
            author,
            text: parsed.text,
            mentions,
            links: parsed.links.into_iter().map(|link| link.url).collect(),
            media,
            reply_to: reply_to.as_ref().map(reference),
            repost_of: repost_of.as_ref().map(reference),
            ..PostRecord::default()
        })
    }

    async fn attached(&self, author: Id, ids: &[Id], errors: &mut Vec<FieldError>) -> Result<Vec<Media>> {
        let mut wrong = |field: String, message: &str| errors.push(FieldError { field, message: message.to_owned() });
        if ids.len() > limits::POST_MEDIA_MAX {
            wrong("media_ids".into(), &format!("at most {}", limits::POST_MEDIA_MAX));
            return Ok(Vec::new());
        }
        let mut found = Vec::with_capacity(ids.len());
        for (index, id) in ids.iter().enumerate() {
            if ids[..index].contains(id) {
                wrong(format!("media_ids[{index}]"), "is named twice");
                continue;
            }
            match self.media.owned(*id, author).await? {
                Some(media) => found.push(media),
                None => wrong(format!("media_ids[{index}]"), "not an upload of yours"),
            }
        }
        Ok(found)
    }

    /// The post behind what the caller wants to answer or pass on.
    async fn target(&self, caller: Id, id: Id, field: &str) -> Result<Arc<PostRecord>> {
        self.discussed(Some(caller), id).await.map_err(|error| match error {
            Error::Refused(mut problem) => {
                problem.detail = format!("{field}: {}", problem.detail);
                Error::Refused(problem)
            }
            other => other,
        })
    }

    /// The stored post, if `viewer` may see it.
    ///
    /// # Errors
    /// 404 when there is none, or its author (or that of what a bare repost passes on) blocks the viewer; 410 when it
    /// was deleted, or what a bare repost passes on was.
    pub async fn visible(&self, viewer: Option<Id>, id: Id) -> Result<Arc<PostRecord>> {
        let post = self.stored(id).await?;
        match self.views.shown(viewer, Place::ById, &post).await? {
            Shown::Nothing(why) => Err(absent(why)),
            Shown::Whole | Shown::WithoutOriginal(_) => Ok(post),
        }
    }

    /// A post with a conversation of its own, if `viewer` may see it: of a bare repost it is the post that it passes
    /// on.
    ///
    /// # Errors
    /// As [`visible`](Self::visible).
    async fn discussed(&self, viewer: Option<Id>, id: Id) -> Result<Arc<PostRecord>> {
        let post = self.visible(viewer, id).await?;
        match post.repost_of {
            Some(original) if post.is_bare_repost() => self.visible(viewer, original.id).await,
            _ => Ok(post),
        }
    }

    /// A post that was ever made.
    async fn stored(&self, id: Id) -> Result<Arc<PostRecord>> {
        self.core.store.post_or_gone(id).await?.ok_or_else(|| Error::not_found("post"))
    }

    /// People to whom a new post is news: each person once, never the author, never across a block.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn notices(&self, post: &PostRecord) -> Result<Vec<Notice>> {
        let hidden = self.core.store.hidden(post.author).await?;
        let reply = post.reply_to.map(|parent| (parent.author, NotificationKind::Reply));
        let repost = post.repost_of.map(|original| (original.author, NotificationKind::Repost));
        let mentions = post.mentions.iter().map(|mention| (mention.id, NotificationKind::Mention));
        let mut notices: Vec<Notice> = Vec::new();
        for (user, kind) in reply.into_iter().chain(repost).chain(mentions) {
            let known = notices.iter().any(|notice| notice.user == user);
            if !known && user != post.author && !hidden.blocks(user) && notices.len() < limits::POST_NOTICES_MAX {
                notices.push(Notice { user, kind });
            }
        }
        Ok(notices)
    }

    /// Post that the viewer may see.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible).
    pub async fn get(&self, viewer: Option<Id>, id: Id) -> Result<Post> {
        let post = self.visible(viewer, id).await?;
        self.rendered(viewer, &post).await
    }

    /// A post as `viewer` sees it who asks for it by its id.
    pub(super) async fn rendered(&self, viewer: Option<Id>, post: &Arc<PostRecord>) -> Result<Post> {
        let one = self.views.render_each(viewer, Place::ById, std::slice::from_ref(post)).await?.pop();
        one.unwrap_or(Err(Absence::Gone)).map_err(absent)
    }

    /// Deletes a post of the caller.
    ///
    /// # Errors
    /// 403 for a post of somebody else, 404 and 410 as [`visible`](Self::visible).
    pub async fn delete(&self, caller: Id, id: Id) -> Result<()> {
        let guard = self.core.log.decide(caller, &[("post", id.0, 0)]).await?;
        let post = self.stored(id).await?;
        if post.author != caller {
            // Whoever may not see it learns no more than that.
            self.visible(Some(caller), id).await?;
            return Err(Error::refused(Code::Forbidden, "only its author can delete a post"));
        }
        if post.deleted {
            return Err(Error::gone("post"));
        }
        let record = self.core.log.commit(&guard, deletion(&post, false)).await?;
        drop(guard);
        self.core.log.followed(record.id).await;
        settle::follow_up(&self.core, record.id).await;
        Ok(())
    }

    /// Deletes a post for an operator, whoever wrote it and whoever sees it.
    ///
    /// # Errors
    /// 404 when there is none, 410 when it is gone already.
    pub async fn remove(&self, id: Id, act: Act) -> Result<()> {
        // A deletion is its author's record.
        let author = self.stored(id).await?.author;
        let guard = self.core.log.decide(author, &[("post", id.0, 0)]).await?;
        let post = self.stored(id).await?;
        if post.deleted {
            return Err(Error::gone("post"));
        }
        let record =
            self.core.log.commit(&guard, Proposal { audit: Some(act), ..deletion(&post, false).into() }).await?;
        drop(guard);
        self.core.log.followed(record.id).await;
        settle::follow_up(&self.core, record.id).await;
        Ok(())
    }

    /// The caller likes a post, of a bare repost the one that it passes on; liking twice changes nothing. Answers the
    /// post that is liked.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible).
    pub async fn like(&self, caller: Id, id: Id) -> Result<Post> {
        let post = self.discussed(Some(caller), id).await?;
        let id = post.id;
        let guard = self.core.log.decide(caller, &[like_key(caller, id)]).await?;
        let mut last = self.core.log.settled_in(&guard)?;
        if self.core.store.get(&tables::pair(tables::LIKED, caller, id)).await?.is_none() {
            let post = PostRef { id, author: post.author };
            last = self.core.log.commit(&guard, Event::Liked { user: caller, post }).await?.id;
        }
        drop(guard);
        self.core.log.followed(last).await;
        match self.get(Some(caller), id).await {
            // What hides the post since then, a block or a suspension, does not undo the like: it is answered as done.
            Err(Error::Refused(problem)) if problem.code == Code::NotFound => {
                self.views.render_hidden(caller, &post).await?.ok_or_else(|| Error::gone("post"))
            }
            answer => answer,
        }
    }

    /// The caller no longer likes a post, of a bare repost the one that it passes on. What one did can be taken back
    /// whoever has blocked whom since; a post that the caller may not see is then answered by its place alone.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible), where nothing was taken back.
    pub async fn unlike(&self, caller: Id, id: Id) -> Result<PostOrGone> {
        let named = self.stored(id).await?;
        let id = named.repost_of.filter(|_| named.is_bare_repost()).map_or(id, |original| original.id);
        let taken_back = self.take_back_like(caller, id).await?;
        match self.get(Some(caller), id).await {
            Ok(post) => Ok(PostOrGone::Post(Box::new(post))),
            Err(Error::Refused(problem)) if taken_back && problem.code == Code::NotFound => {
                Ok(PostOrGone::Gone(Gone { id, deleted: false, hidden: true }))
            }
            Err(error) => Err(error),
        }
    }

    /// Whether there was a like that could be taken back: those of a deleted post went with it.
    async fn take_back_like(&self, caller: Id, id: Id) -> Result<bool> {
        let guard = self.core.log.decide(caller, &[like_key(caller, id)]).await?;
        let Some(since) = self.core.store.get_id(&tables::pair(tables::LIKED, caller, id)).await? else {
            let last = self.core.log.settled_in(&guard)?;
            drop(guard);
            self.core.log.followed(last).await;
            return Ok(false);
        };
        let Some(post) = self.core.store.post_or_gone(id).await?.filter(|post| !post.deleted) else {
            return Ok(false);
        };
        let post = PostRef { id, author: post.author };
        let record = self.core.log.commit(&guard, Event::Unliked { user: caller, post, since }).await?;
        drop(guard);
        self.core.log.followed(record.id).await;
        Ok(true)
    }
}

/// Lock of the like of `user` for `post`.
#[must_use]
pub fn like_key(user: Id, post: Id) -> LockKey {
    ("like", user.0, post.0)
}

/// Error for a post that does not show.
fn absent(why: Absence) -> Error {
    match why {
        Absence::Gone => Error::gone("post"),
        Absence::Hidden => Error::not_found("post"),
    }
}

/// The record that deletes `post`; `purged`: with its author's account.
#[must_use]
pub fn deletion(post: &PostRecord, purged: bool) -> Event {
    Event::PostDeleted {
        post: post.id,
        author: post.author,
        reply_to: post.reply_to,
        repost_of: post.repost_of,
        bare_repost: post.is_bare_repost(),
        purged,
        mentioned: post.mentions.iter().map(|mention| mention.id).collect(),
        told: post.told.clone(),
    }
}
