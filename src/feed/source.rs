//! What the feed asks of the tables. The production source reads rows; tests give a simple model.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use crate::events::PostRecord;

/// What kind of post an author's entry is: enough to filter without reading the post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A post of its own (a quote with words counts as `Repost`).
    Plain,
    /// Answers a post of `related`.
    Reply,
    /// Passes on a post of `related`.
    Repost,
}

/// One post of an author, as the author's own row tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorEntry {
    /// The post.
    pub id: Id,
    /// What it is. A post that both answers and passes on counts as `Repost`, and the post itself tells the rest.
    pub kind: EntryKind,
    /// Author of the post answered or passed on; `Id(0)` for plain ones.
    pub related: Id,
}

/// Everything that decides what one reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relations {
    /// Whom the reader follows.
    pub followees: Vec<Id>,
    /// Whom the reader blocks, and who blocks the reader.
    pub blocked_either_way: Vec<Id>,
    /// Whom the reader mutes.
    pub muted: Vec<Id>,
}

/// Rows that timelines are rebuilt from.
#[async_trait]
pub trait FeedSource: Send + Sync + 'static {
    /// Posts of `author` with ids below `before`, newest first, at most `limit`, deleted ones left out. Fewer than
    /// `limit` means that there are no older ones.
    async fn author_entries(&self, author: Id, before: Id, limit: usize) -> Result<Vec<AuthorEntry>, EngineError>;

    /// Follows, blocks and mutes of `reader` as they are stored now.
    async fn relations(&self, reader: Id) -> Result<Relations, EngineError>;

    /// The posts of `ids` in the same order; `None` for what is deleted or unknown. Cached: cheap for recent posts.
    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>, EngineError>;
}
