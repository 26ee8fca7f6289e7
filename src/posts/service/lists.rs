//! Lists of posts that are no home feed, and of people who like one: each page is filled until it has what was asked.

use std::sync::Arc;

use fanfare_engines::Row;
use fanfare_protocol::{Gone, Id, Page, Post, PostOrGone, PostThread, User};

use super::super::public;
use super::super::visibility::{Absence, Place};
use super::Posts;
use crate::base::cursor::Scope;
use crate::base::error::Result;
use crate::base::limits;
use crate::data::rows::{EntryKind, kind_in};
use crate::data::tables;
use crate::log::events::PostRecord;

impl Posts {
    /// People who like a post, latest first.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible), 400 for a foreign cursor.
    pub async fn likers(&self, viewer: Option<Id>, id: Id, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        let id = self.discussed(viewer, id).await?.id;
        let scope = Scope { list: "likes", caller: Id(0), subject: id };
        let mut before = self.core.cursors.open_id(scope, cursor)?;
        let mut items = Vec::new();
        loop {
            let rows = self.core.store.newest(tables::LIKERS, id, before, limit + 1).await?;
            for row in &rows {
                if items.len() == limit {
                    let next_cursor = before.map(|last| self.core.cursors.seal_id(scope, last));
                    return Ok(Page { items, next_cursor });
                }
                before = Id::from_bytes(&row.clustering);
                let Some(user) = Id::from_bytes(&row.value) else { continue };
                if let Ok(account) = self.core.account_for(viewer, user).await {
                    items.push(self.users.render(&account, viewer).await?);
                }
            }
            if rows.len() <= limit {
                return Ok(Page { items, next_cursor: None });
            }
        }
    }

    /// Posts, replies and reposts of a person, latest first.
    ///
    /// # Errors
    /// 404 when the viewer may not see the person, 400 for a foreign cursor.
    pub async fn of_author(
        &self,
        viewer: Option<Id>,
        author: Id,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<Post>> {
        self.core.account_for(viewer, author).await?;
        let place = if viewer == Some(author) { Place::Own } else { Place::Profile };
        let scope = Scope { list: "author", caller: Id(0), subject: author };
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(i64::MAX as u64));
        let mut page = Filling::new(limit);
        loop {
            let rows = self.core.store.newest_bucketed(tables::AUTHOR_POSTS, author, before, step(limit)).await?;
            self.fill(&mut page, viewer, place, &rows, |_| true).await?;
            match last_id(&rows) {
                Some(last) if rows.len() == step(limit) && !page.is_full() => before = last,
                _ => return Ok(page.finish(|last| self.core.cursors.seal_id(scope, last))),
            }
        }
    }

    /// Replies to a post, oldest first, of a bare repost those to the post that it passes on. Those that are gone stand
    /// among them while something answers them. A post that is gone itself still has its replies.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible), 410 also when nothing answers a deleted post; 400 for a foreign
    /// cursor.
    pub async fn replies(
        &self,
        viewer: Option<Id>,
        id: Id,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<PostOrGone>> {
        let gone = match self.discussed(viewer, id).await {
            Ok(post) => {
                return self.replies_to(viewer, post.id, limit, cursor).await;
            }
            Err(gone) if gone.is_gone() => gone,
            Err(error) => return Err(error),
        };
        let page = self.replies_to(viewer, id, limit, cursor).await?;
        if page.items.is_empty() && cursor.is_none() { Err(gone) } else { Ok(page) }
    }

    async fn replies_to(
        &self,
        viewer: Option<Id>,
        id: Id,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<PostOrGone>> {
        let scope = Scope { list: "replies", caller: Id(0), subject: id };
        let mut after = self.core.cursors.open_id(scope, cursor)?;
        let mut page = Filling::new(limit);
        loop {
            let rows = self.core.store.oldest(tables::REPLIES, id, after, step(limit)).await?;
            let posts = self.stored_of(&rows).await?;
            let rendered = self.views.render_each(viewer, Place::Among, &posts).await?;
            for (post, rendered) in posts.iter().zip(rendered) {
                match rendered {
                    Ok(shown) => page.add(PostOrGone::Post(Box::new(shown))),
                    Err(why) if !page.is_full() && self.is_answered(post.id).await? => page.add(gone(post.id, why)),
                    Err(_) => {}
                }
            }
            match last_id(&rows) {
                Some(last) if rows.len() == step(limit) && !page.is_full() => after = Some(last),
                _ => return Ok(page.finish(|last| self.core.cursors.seal_id(scope, last))),
            }
        }
    }

    /// Whether there is a reply, or was one that is answered.
    async fn is_answered(&self, id: Id) -> Result<bool> {
        Ok(!self.core.store.oldest(tables::REPLIES, id, None, 1).await?.is_empty())
    }

    /// Posts that a post answers, itself, and its first replies; of a bare repost, those of the post that it passes on.
    /// What is gone keeps its place.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible).
    pub async fn thread(&self, viewer: Option<Id>, id: Id) -> Result<PostThread> {
        let post = self.discussed(viewer, id).await?;
        let mut ancestors = Vec::new();
        let mut parent = post.reply_to;
        while let (Some(reference), true) = (parent, ancestors.len() < limits::THREAD_ANCESTORS_MAX) {
            let Some(ancestor) = self.core.store.post_or_gone(reference.id).await? else { break };
            parent = ancestor.reply_to;
            // Before replies to bare reposts went to the original, they stood below the repost.
            if let (None, Some(original), true) = (parent, ancestor.repost_of, ancestor.is_bare_repost()) {
                parent = Some(original);
                continue;
            }
            ancestors.push(ancestor);
        }
        ancestors.reverse();
        let rendered = self.views.render_each(viewer, Place::Profile, &ancestors).await?;
        let shown = |(post, rendered): (&Arc<PostRecord>, std::result::Result<Post, Absence>)| match rendered {
            Ok(rendered) => PostOrGone::Post(Box::new(rendered)),
            Err(why) => gone(post.id, why),
        };
        let ancestors = ancestors.iter().zip(rendered).map(shown).collect();
        let rendered = self.rendered(viewer, &post).await?;
        let replies = self.replies_to(viewer, post.id, limits::http::PAGE_ITEMS_DEFAULT.into(), None).await?;
        Ok(PostThread { ancestors, post: rendered, replies: replies.items, next_cursor: replies.next_cursor })
    }

    /// The latest posts of everybody, without replies and bare reposts.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn public(&self, viewer: Option<Id>, limit: usize, cursor: Option<&str>) -> Result<Page<Post>> {
        let scope = Scope { list: "public", caller: Id(0), subject: Id(0) };
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(i64::MAX as u64));
        let mut page = Filling::new(limit);
        loop {
            let (rows, next) = self.core.store.public_below(before, step(limit)).await?;
            self.fill_public(&mut page, viewer, &rows).await?;
            match next {
                Some(next) if !page.is_full() => before = next,
                _ => break,
            }
        }
        Ok(page.finish(|last| self.core.cursors.seal_id(scope, last)))
    }

    async fn fill_public(&self, page: &mut Filling<Post>, viewer: Option<Id>, rows: &[Row]) -> Result<()> {
        let plain: Vec<Row> =
            rows.iter().filter(|row| kind_in(&row.value) != Some(EntryKind::Reply)).cloned().collect();
        self.fill(page, viewer, Place::Among, &plain, public::shows).await
    }

    /// The posts of `rows`, whose clustering keys they are, also those that are gone.
    async fn stored_of(&self, rows: &[Row]) -> Result<Vec<Arc<PostRecord>>> {
        let mut posts = Vec::with_capacity(rows.len());
        for id in rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)) {
            posts.extend(self.core.store.post_or_gone(id).await?);
        }
        Ok(posts)
    }

    /// Adds what the viewer may see of `rows`, whose clustering keys are posts, until the page is full.
    async fn fill(
        &self,
        page: &mut Filling<Post>,
        viewer: Option<Id>,
        place: Place,
        rows: &[Row],
        wanted: impl Fn(&PostRecord) -> bool,
    ) -> Result<()> {
        let mut posts = self.stored_of(rows).await?;
        posts.retain(|post| wanted(post));
        // A page needs few of a step's rows, unless much is hidden.
        for some in posts.chunks(page.limit + 1) {
            if page.is_full() {
                break;
            }
            for post in self.views.render(viewer, place, some).await? {
                page.add(post);
            }
        }
        Ok(())
    }
}

/// Rows read at once for a page: more than it needs, as some may not be shown.
fn step(limit: usize) -> usize {
    (limit + 1).max(limits::LIST_STEP_ROWS)
}

/// Stand-in in a thread for a post that does not show.
fn gone(id: Id, why: Absence) -> PostOrGone {
    PostOrGone::Gone(Gone { id, deleted: why == Absence::Gone, hidden: why == Absence::Hidden })
}

fn last_id(rows: &[Row]) -> Option<Id> {
    rows.last().and_then(|row| Id::from_bytes(&row.clustering))
}

/// A page that is filled until it has one more item than asked: so it knows whether it is the last.
struct Filling<T> {
    items: Vec<T>,
    limit: usize,
}

/// Item of a page.
trait Listed {
    /// The post.
    fn listed(&self) -> Id;
}

impl Listed for Post {
    fn listed(&self) -> Id {
        self.id
    }
}

impl Listed for PostOrGone {
    fn listed(&self) -> Id {
        self.id()
    }
}

impl<T: Listed> Filling<T> {
    fn new(limit: usize) -> Self {
        Self { items: Vec::with_capacity(limit + 1), limit }
    }

    fn is_full(&self) -> bool {
        self.items.len() > self.limit
    }

    fn add(&mut self, post: T) {
        if !self.is_full() {
            self.items.push(post);
        }
    }

    fn finish(mut self, seal: impl FnOnce(Id) -> String) -> Page<T> {
        let more = self.is_full();
        self.items.truncate(self.limit);
        let next_cursor = self.items.last().filter(|_| more).map(|last| seal(last.listed()));
        Page { items: self.items, next_cursor }
    }
}
