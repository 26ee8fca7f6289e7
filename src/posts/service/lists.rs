//! Lists of posts that are no home feed, and of people who like one: each page is filled until it has what was asked.

use std::sync::Arc;

use fanfare_engines::{KeyRange, Order, Row};
use fanfare_protocol::{Id, Page, Post, PostThread, User};

use super::Posts;
use crate::cursor::Scope;
use crate::error::{Error, Result};
use crate::events::PostRecord;
use crate::limits;
use crate::store::Hidden;
use crate::tables;

impl Posts {
    /// People who like a post, latest first.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible), 400 for a foreign cursor.
    pub async fn likers(&self, viewer: Option<Id>, id: Id, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        self.visible(viewer, id).await?;
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
        let scope = Scope { list: "author", caller: Id(0), subject: author };
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(i64::MAX as u64));
        let mut page = Filling::new(limit);
        loop {
            let rows = self.core.store.newest_bucketed(tables::AUTHOR_POSTS, author, before, step(limit)).await?;
            self.fill(&mut page, viewer, &rows, false).await?;
            match last_id(&rows) {
                Some(last) if rows.len() == step(limit) && !page.is_full() => before = last,
                _ => return Ok(page.finish(|last| self.core.cursors.seal_id(scope, last))),
            }
        }
    }

    /// Replies to a post, oldest first.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible), 400 for a foreign cursor.
    pub async fn replies(&self, viewer: Option<Id>, id: Id, limit: usize, cursor: Option<&str>) -> Result<Page<Post>> {
        self.visible(viewer, id).await?;
        let scope = Scope { list: "replies", caller: Id(0), subject: id };
        let mut after = self.core.cursors.open_id(scope, cursor)?;
        let mut page = Filling::new(limit);
        loop {
            let rows = self.core.store.oldest(tables::REPLIES, id, after, step(limit)).await?;
            self.fill(&mut page, viewer, &rows, true).await?;
            match last_id(&rows) {
                Some(last) if rows.len() == step(limit) && !page.is_full() => after = Some(last),
                _ => return Ok(page.finish(|last| self.core.cursors.seal_id(scope, last))),
            }
        }
    }

    /// What a post answers, itself, and its first replies.
    ///
    /// # Errors
    /// 404 and 410 as [`visible`](Self::visible).
    pub async fn thread(&self, viewer: Option<Id>, id: Id) -> Result<PostThread> {
        let post = self.visible(viewer, id).await?;
        let hidden = self.hidden(viewer).await?;
        let mut ancestors = Vec::new();
        let mut parent = post.reply_to;
        while let (Some(reference), true) = (parent, ancestors.len() < limits::THREAD_ANCESTORS_MAX) {
            match self.visible(viewer, reference.id).await {
                Ok(ancestor) if hidden.blocks(ancestor.author) => break,
                Ok(ancestor) => {
                    parent = ancestor.reply_to;
                    ancestors.push(ancestor);
                }
                Err(Error::Refused(_)) => break,
                Err(error) => return Err(error),
            }
        }
        ancestors.reverse();
        let ancestors = self.views.render(viewer, &ancestors).await?;
        let post = self.views.render_one(viewer, &post).await?.ok_or_else(|| Error::gone("post"))?;
        let replies = self.replies(viewer, id, limits::http::PAGE_ITEMS_DEFAULT.into(), None).await?;
        Ok(PostThread { ancestors, post, replies: replies.items, next_cursor: replies.next_cursor })
    }

    /// The latest posts of everybody, without replies and bare reposts.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn public(&self, viewer: Option<Id>, limit: usize, cursor: Option<&str>) -> Result<Page<Post>> {
        let scope = Scope { list: "public", caller: Id(0), subject: Id(0) };
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(i64::MAX as u64));
        let port = &self.core.store.engines.tables;
        let upto = KeyRange { from: None, to: Some((tables::bucket_of(before) + 1).to_be_bytes().to_vec().into()) };
        let buckets = port.scan(tables::BUCKETS, &tables::ONE, upto, Order::Descending, usize::from(u16::MAX)).await?;
        let mut page = Filling::new(limit);
        for bucket in buckets.iter().filter_map(|row| row.clustering.first_chunk::<2>()) {
            let partition = tables::timeline_partition(u16::from_be_bytes(*bucket));
            loop {
                let range = KeyRange { from: None, to: Some(tables::partition(before)) };
                let rows = port.scan(tables::TIMELINE, &partition, range, Order::Descending, step(limit)).await?;
                self.fill_public(&mut page, viewer, &rows).await?;
                if page.is_full() {
                    return Ok(page.finish(|last| self.core.cursors.seal_id(scope, last)));
                }
                match last_id(&rows) {
                    Some(last) if rows.len() == step(limit) => before = last,
                    _ => break,
                }
            }
        }
        Ok(page.finish(|last| self.core.cursors.seal_id(scope, last)))
    }

    async fn fill_public(&self, page: &mut Filling, viewer: Option<Id>, rows: &[Row]) -> Result<()> {
        let plain: Vec<Row> = rows.iter().filter(|row| row.value.first() != Some(&1)).cloned().collect();
        self.fill_where(page, viewer, &plain, true, |post| !post.is_bare_repost()).await
    }

    async fn hidden(&self, viewer: Option<Id>) -> Result<Arc<Hidden>> {
        match viewer {
            Some(viewer) => Ok(self.core.store.hidden(viewer).await?),
            None => Ok(Arc::default()),
        }
    }

    async fn fill(&self, page: &mut Filling, viewer: Option<Id>, rows: &[Row], hide_muted: bool) -> Result<()> {
        self.fill_where(page, viewer, rows, hide_muted, |_| true).await
    }

    /// Adds what the viewer may see of `rows`, whose clustering keys are posts, until the page is full.
    async fn fill_where(
        &self,
        page: &mut Filling,
        viewer: Option<Id>,
        rows: &[Row],
        hide_muted: bool,
        wanted: impl Fn(&PostRecord) -> bool,
    ) -> Result<()> {
        use crate::feed::FeedSource;
        let hidden = self.hidden(viewer).await?;
        let ids: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        let found = self.core.store.posts(&ids).await?;
        for post in found.into_iter().flatten() {
            if page.is_full() {
                break;
            }
            let own = viewer == Some(post.author);
            let is_hidden = |person: Id| hidden.blocks(person) || (hide_muted && !own && hidden.hides(person));
            let of_hidden = post.repost_of.is_some_and(|original| is_hidden(original.author));
            if is_hidden(post.author) || of_hidden || !wanted(&post) {
                continue;
            }
            if let Some(rendered) = self.views.render_one(viewer, &post).await? {
                page.add(rendered);
            }
        }
        Ok(())
    }
}

/// Rows read at once for a page: more than it needs, as some may not be shown.
fn step(limit: usize) -> usize {
    (limit + 1).max(limits::LIST_STEP_ROWS)
}

fn last_id(rows: &[Row]) -> Option<Id> {
    rows.last().and_then(|row| Id::from_bytes(&row.clustering))
}

/// A page that is filled until it has one more item than asked: so it knows whether it is the last.
struct Filling {
    items: Vec<Post>,
    limit: usize,
}

impl Filling {
    fn new(limit: usize) -> Self {
        Self { items: Vec::with_capacity(limit + 1), limit }
    }

    fn is_full(&self) -> bool {
        self.items.len() > self.limit
    }

    fn add(&mut self, post: Post) {
        if !self.is_full() {
            self.items.push(post);
        }
    }

    fn finish(mut self, seal: impl FnOnce(Id) -> String) -> Page<Post> {
        let more = self.is_full();
        self.items.truncate(self.limit);
        let next_cursor = self.items.last().filter(|_| more).map(|last| seal(last.id));
        Page { items: self.items, next_cursor }
    }
}
