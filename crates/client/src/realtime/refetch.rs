//! Refetch after a gap or a reset: it reads over HTTP what was not sent.

use std::time::Duration;

use fanfare_protocol::{Gap, Id, Notification, Post, Stream};

use tokio::time::sleep;

use super::Realtime;
use crate::{FeedQuery, Paging, Result};

/// Items of a stream that are read after a reset: the newest; whoever scrolls further pages on.
pub const REREAD_MAX: usize = 500;
/// Number of reads of a gap while it has fewer items than it is said to have: they may be on their way into the feed,
/// or deleted.
const FILL_TRIES: u32 = 3;
/// Pause between two reads of a gap.
const FILL_PAUSE: Duration = Duration::from_millis(250);
/// Items asked for at once.
const PAGE_ITEMS: u16 = 100;

/// Items of a stream, newest first, that the application has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// Posts of the home feed.
    Posts(Vec<Post>),
    /// Notifications of the caller.
    Notifications(Vec<Notification>),
    /// Streams that this client does not read yet.
    Nothing,
}

impl Items {
    fn len(&self) -> usize {
        match self {
            Self::Posts(posts) => posts.len(),
            Self::Notifications(items) => items.len(),
            Self::Nothing => 0,
        }
    }
}

impl Realtime {
    /// The items that a gap leaves out, as they are now. Those that were seen otherwise meanwhile are not among them.
    ///
    /// # Errors
    /// The problem; call it again.
    pub async fn fill(&self, gap: &Gap) -> Result<Items> {
        let mut tries = 0;
        loop {
            let items = self.between(gap.stream, gap.after, gap.before, usize::MAX).await?;
            tries += 1;
            if items.len() as u64 >= gap.count || tries == FILL_TRIES {
                return Ok(self.new_of(items));
            }
            sleep(FILL_PAUSE).await;
        }
    }

    /// The newest [`REREAD_MAX`] items of a stream that was reset. Call it after the reset was received, and drop what
    /// was known before: what comes by the connection meanwhile is not given twice.
    ///
    /// # Errors
    /// The problem; call it again.
    pub async fn reread(&self, stream: Stream) -> Result<Items> {
        Ok(self.new_of(self.between(stream, Id(0), Id(u64::MAX), REREAD_MAX).await?))
    }

    /// Items of a stream as HTTP lists them, seen or not.
    async fn between(&self, stream: Stream, after: Id, before: Id, max: usize) -> Result<Items> {
        Ok(match stream {
            Stream::Posts => Items::Posts(self.posts_between(after, before, max).await?),
            Stream::Notifications => Items::Notifications(self.notifications_between(after, before, max).await?),
            Stream::Direct | Stream::Group => Items::Nothing,
        })
    }

    /// Items without those that the application has seen; it has seen the rest from now on.
    fn new_of(&self, mut items: Items) -> Items {
        match &mut items {
            Items::Posts(posts) => posts.retain(|post| self.is_new(Stream::Posts, post.id)),
            Items::Notifications(items) => items.retain(|item| self.is_new(Stream::Notifications, item.id)),
            Items::Nothing => {}
        }
        items
    }

    async fn posts_between(&self, after: Id, before: Id, max: usize) -> Result<Vec<Post>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let paging = Paging::at(PAGE_ITEMS, cursor.as_deref());
            let since_id = (after > Id(0)).then_some(after);
            let page = self.client.feed(FeedQuery { paging, since_id, ..FeedQuery::default() }).await?;
            found.extend(page.items.into_iter().filter(|post| post.id > after && post.id < before));
            cursor = page.next_cursor;
            if cursor.is_none() || found.len() >= max {
                found.truncate(max);
                return Ok(found);
            }
        }
    }

    async fn notifications_between(&self, after: Id, before: Id, max: usize) -> Result<Vec<Notification>> {
        let (mut found, mut cursor) = (Vec::new(), None);
        loop {
            let page = self.client.notifications(Paging::at(PAGE_ITEMS, cursor.as_deref())).await?;
            let past = page.items.iter().any(|item| item.id <= after);
            found.extend(page.items.into_iter().filter(|item| item.id > after && item.id < before));
            cursor = page.next_cursor;
            if past || cursor.is_none() || found.len() >= max {
                found.truncate(max);
                return Ok(found);
            }
        }
    }
}
