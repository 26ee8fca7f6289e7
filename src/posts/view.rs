//! From stored posts to what one viewer sees: authors, counters, the viewer's own marks, the post passed on.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_protocol::{Author, Id, Post, Timestamp};

use crate::core::Core;
use crate::error::Result;
use crate::events::PostRecord;
use crate::feed::{FeedEntry, FeedSource};
use crate::id::unix_ms_of;
use crate::posts::wire::{self, Changing};
use crate::store::{Account, Hidden, Marks};
use crate::tables;

/// Renders posts for viewers.
#[derive(Clone)]
pub struct Views {
    core: Core,
}

/// Everything about the viewer that a page needs, loaded once a page.
struct Viewer {
    id: Option<Id>,
    marks: Arc<Marks>,
    hidden: Arc<Hidden>,
}

impl Views {
    /// The renderer.
    #[must_use]
    pub fn new(core: Core) -> Self {
        Self { core }
    }

    /// The wire form of `posts` in the same order. Left out: posts of deleted accounts or of people who block the
    /// viewer, and posts that pass on one that is deleted or hidden.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render(&self, viewer: Option<Id>, posts: &[Arc<PostRecord>]) -> Result<Vec<Post>> {
        let viewer = self.viewer(viewer).await?;
        let originals = self.originals(posts).await?;
        let mut rendered = Vec::with_capacity(posts.len());
        for post in posts.iter().filter(|post| !post.deleted) {
            let original = post.repost_of.and_then(|original| originals.get(&original.id));
            rendered.extend(self.with_original(&viewer, post, original).await?);
        }
        Ok(rendered)
    }

    /// Writes `entries` of the viewer's home feed, which bring what they pass on, as a JSON array. What would be left
    /// out of [`render`](Self::render) is left out here.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn write_entries(&self, viewer: Id, entries: &[FeedEntry], out: &mut Vec<u8>) -> Result<()> {
        let viewer = self.viewer(Some(viewer)).await?;
        out.push(b'[');
        let empty = out.len();
        for entry in entries {
            let Some((account, changing)) = self.seen(&viewer, &entry.post).await? else { continue };
            let original = match (&entry.original, entry.post.repost_of) {
                (Some(original), _) => match self.seen(&viewer, original).await? {
                    Some((account, changing)) => Some((original, account, changing)),
                    None => continue,
                },
                (None, Some(_)) => continue,
                (None, None) => None,
            };
            if out.len() > empty {
                out.push(b',');
            }
            out.reserve(wire::room(&entry.post, &account.author_json));
            let inner = original.as_ref().map(|(original, account, changing)| {
                move |out: &mut Vec<u8>| wire::write(out, original, &account.author_json, *changing, None)
            });
            let inner = inner.as_ref().map(|inner| inner as wire::WriteOriginal<'_>);
            wire::write(out, &entry.post, &account.author_json, changing, inner);
        }
        out.push(b']');
        Ok(())
    }

    /// Writes a post as frames show it, the same for every viewer, with `key`; false, and nothing written, when the post or
    /// the one it passes on is gone.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn write_shared(&self, post: &Arc<PostRecord>, out: &mut Vec<u8>) -> Result<bool> {
        let nobody = self.viewer(None).await?;
        let shared = |changing: Changing| Changing { marks: None, ..changing };
        let Some((account, changing)) = self.seen(&nobody, post).await? else { return Ok(false) };
        let original = match post.repost_of {
            None => None,
            Some(original) => {
                let Some(original) = self.core.store.posts(&[original.id]).await?.pop().flatten() else {
                    return Ok(false);
                };
                let Some((account, changing)) = self.seen(&nobody, &original).await? else { return Ok(false) };
                Some((original, account, shared(changing)))
            }
        };
        let inner = original.as_ref().map(|(original, account, changing)| {
            move |out: &mut Vec<u8>| wire::write(out, original, &account.author_json, *changing, None)
        });
        let inner = inner.as_ref().map(|inner| inner as wire::WriteOriginal<'_>);
        out.extend_from_slice(format!("{{\"key\":\"{}\",", post.id).as_bytes());
        let start = out.len();
        wire::write(out, post, &account.author_json, shared(changing), inner);
        // The post's own opening brace: the key came first.
        out.remove(start);
        Ok(true)
    }

    /// What of a post differs by viewer and moment; `None` when the viewer may not see it.
    async fn seen(&self, viewer: &Viewer, post: &PostRecord) -> Result<Option<(Arc<Account>, Changing)>> {
        if viewer.hidden.blocks(post.author) && self.core.blocks(post.author, viewer.id.unwrap_or_default()).await? {
            return Ok(None);
        }
        let Some(account) = self.core.store.seen_account(post.author).await? else { return Ok(None) };
        let counts = self.core.store.counters(tables::POST_COUNTERS, post.id).await?.values;
        let marks = match viewer.id {
            Some(id) => self.core.store.marked(id, &viewer.marks, post.id).await?,
            None => (false, false),
        };
        Ok(Some((account, Changing { counts, marks: Some(marks) })))
    }

    async fn with_original(
        &self,
        viewer: &Viewer,
        post: &Arc<PostRecord>,
        original: Option<&Arc<PostRecord>>,
    ) -> Result<Option<Post>> {
        if post.repost_of.is_none() {
            return self.one(viewer, post, None).await;
        }
        let Some(original) = original else { return Ok(None) };
        match self.one(viewer, original, None).await? {
            Some(original) => self.one(viewer, post, Some(Box::new(original))).await,
            None => Ok(None),
        }
    }

    async fn viewer(&self, viewer: Option<Id>) -> Result<Viewer> {
        let Some(id) = viewer else {
            return Ok(Viewer { id: None, marks: Arc::default(), hidden: Arc::default() });
        };
        let (marks, hidden) = (self.core.store.marks(id).await?, self.core.store.hidden(id).await?);
        Ok(Viewer { id: Some(id), marks, hidden })
    }

    /// One post.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn render_one(&self, viewer: Option<Id>, post: &Arc<PostRecord>) -> Result<Option<Post>> {
        Ok(self.render(viewer, std::slice::from_ref(post)).await?.pop())
    }

    async fn originals(&self, posts: &[Arc<PostRecord>]) -> Result<HashMap<Id, Arc<PostRecord>>> {
        let ids: Vec<Id> = posts.iter().filter_map(|post| post.repost_of).map(|original| original.id).collect();
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let found = self.core.store.posts(&ids).await?;
        Ok(ids.into_iter().zip(found).filter_map(|(id, post)| Some((id, post?))).collect())
    }

    async fn one(&self, viewer: &Viewer, post: &PostRecord, repost_of: Option<Box<Post>>) -> Result<Option<Post>> {
        let Some((account, changing)) = self.seen(viewer, post).await? else { return Ok(None) };
        let Changing { counts: [like_count, reply_count, repost_count], marks } = changing;
        let (liked, reposted) = marks.unwrap_or_default();
        Ok(Some(Post {
            id: post.id,
            author: account.author.clone(),
            text: post.text.clone(),
            mentions: post.mentions.clone(),
            links: post.links.clone(),
            media: post.media.clone(),
            reply_to: post.reply_to.map(|parent| parent.id),
            repost_of,
            like_count,
            reply_count,
            repost_count,
            liked,
            reposted,
            created_at: Timestamp(unix_ms_of(post.id)),
        }))
    }

    /// What a post shows of its author.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn author(&self, id: Id) -> Result<Option<Author>> {
        Ok(self.core.store.seen_account(id).await?.map(|account| account.author.clone()))
    }
}
