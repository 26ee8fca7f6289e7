//! Port of the feed to the tables. The production source reads rows; tests give a simple model.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::item::FeedItem;
use crate::data::absent::Standing;
use crate::data::rows::{AuthorEntry, PostRecord};

/// Everything that decides what one reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// People whom the reader follows.
    pub followees: Vec<Id>,
    /// People whom the reader blocks, and who block the reader.
    pub blocked_either_way: Vec<Id>,
    /// People whom the reader mutes.
    pub muted: Vec<Id>,
}

/// Rows that timelines are rebuilt from.
#[async_trait]
pub trait FeedSource<P: FeedItem = PostRecord>: Send + Sync + 'static {
    /// Posts of `author` with ids below `before`, newest first, at most `limit`, deleted ones left out. Fewer than
    /// `limit` means that there are no older ones.
    async fn author_entries(&self, author: Id, before: Id, limit: usize) -> Result<Vec<AuthorEntry>, EngineError>;

    /// Follows, blocks and mutes of `reader` as they are stored now.
    async fn relations(&self, reader: Id) -> Result<Relations, EngineError>;

    /// The posts of `ids` in the same order; `None` for what is deleted or unknown. Cached: cheap for recent posts.
    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<P>>>, EngineError>;

    /// Whether a post that was read is there, whoever asks. Asked of every post of a page: no more than memory.
    fn standing(&self, post: &P) -> Standing {
        if post.is_deleted() { Standing::Gone } else { Standing::Stands }
    }
}
