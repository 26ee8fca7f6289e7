//! What a client does about a gap or a reset: it reads over HTTP what was not sent.

use std::time::Duration;

use fanfare_protocol::{Gap, Id, Notification, Post, Stream};

use tokio::time::sleep;

use super::Realtime;
use crate::{FeedQuery, Paging, Result};

/// Items of a stream that are read after a reset: the newest; whoever scrolls further pages on.
pub const REREAD_MAX: usize = 500;
/// How often a gap is read again while it has fewer items than it is said to have: they may be on their way into the
/// feed, or deleted.
const FILL_TRIES: u32 = 4;
/// Pause between two reads of a gap.
const FILL_PAUSE: Duration = Duration::from_millis(250);
/// Items asked for at once.
const PAGE_ITEMS: u16 = 100;

/// Items of a stream, newest first, that the application has not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Items {
    /// Of the home feed.
    Posts(Vec<Post>),
    /// Of the notifications.
    Notifications(Vec<Notification>),
    /// Streams that this client does not read yet.
    Nothing,
}

impl Realtime {
    /// The items that a gap leaves out, as they are now. Those that were seen otherwise meanwhile are not among them.
    ///
    /// # Errors
    /// The problem; call it again.
    pub async fn fill(&self, gap: &Gap) -> Result<Items> {
        for _ in 0..FILL_TRIES {
            let found = match gap.stream {
                Stream::Posts => self.posts_between(gap.after, gap.before, usize::MAX).await?.len(),
                Stream::Notifications => self.notifications_between(gap.after, gap.before, usize::MAX).await?.len(),
                Stream::Direct | Stream::Group => break,
            };
            if found as u64 >= gap.count {
                break;
            }
            sleep(FILL_PAUSE).await;
        }
        self.read_between(gap.stream, gap.after, gap.before, usize::MAX).await
    }

    /// The newest [`REREAD_MAX`] items of a stream that was reset. Call it after the reset was received, and drop what
    /// was known before: what comes by the connection meanwhile is not given twice.
    ///
    /// # Errors
    /// The problem; call it again.
    pub async fn reread(&self, stream: Stream) -> Result<Items> {
        self.read_between(stream, Id(0), Id(u64::MAX), REREAD_MAX).await
    }

    async fn read_between(&self, stream: Stream, after: Id, before: Id, max: usize) -> Result<Items> {
        Ok(match stream {
            Stream::Posts => {
                let mut posts = self.posts_between(after, before, max).await?;
                posts.retain(|post| self.is_new(stream, post.id));
                Items::Posts(posts)
            }
            Stream::Notifications => {
                let mut items = self.notifications_between(after, before, max).await?;
                items.retain(|item| self.is_new(stream, item.id));
                Items::Notifications(items)
            }
            Stream::Direct | Stream::Group => Items::Nothing,
        })
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
