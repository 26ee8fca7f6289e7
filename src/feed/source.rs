//! What the feed asks of the tables. The production source reads rows; tests give a simple model.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use crate::log::events::PostRecord;
use crate::posts::visibility::Standing;

/// Kind of post that an author's entry is: enough to filter without reading the post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A post of its own.
    Plain,
    /// Answers a post of `related`.
    Reply,
    /// Passes on a post of `related`, and says nothing. In rows written before there were [`Quote`](Self::Quote)s it may
    /// have words: the post itself tells.
    Repost,
    /// Passes on a post of `related`, with words, media, or a place in a thread of its own: it stays when that one goes.
    Quote,
}

/// Kind of entry that a post is, and whose post it points at.
#[must_use]
pub fn kind_of(post: &PostRecord) -> (EntryKind, Id) {
    match (post.repost_of, post.reply_to) {
        (Some(original), _) if post.is_bare_repost() => (EntryKind::Repost, original.author),
        (Some(original), _) => (EntryKind::Quote, original.author),
        (None, Some(parent)) => (EntryKind::Reply, parent.author),
        (None, None) => (EntryKind::Plain, Id(0)),
    }
}

/// Post of an author, as the author's own row tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthorEntry {
    /// The post.
    pub id: Id,
    /// Kind of entry. A post that both answers and passes on counts as `Quote`, and the post itself tells the rest.
    pub kind: EntryKind,
    /// Author of the post answered or passed on; `Id(0)` for plain ones.
    pub related: Id,
}

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
pub trait FeedSource: Send + Sync + 'static {
    /// Posts of `author` with ids below `before`, newest first, at most `limit`, deleted ones left out. Fewer than
    /// `limit` means that there are no older ones.
    async fn author_entries(&self, author: Id, before: Id, limit: usize) -> Result<Vec<AuthorEntry>, EngineError>;

    /// Follows, blocks and mutes of `reader` as they are stored now.
    async fn relations(&self, reader: Id) -> Result<Relations, EngineError>;

    /// The posts of `ids` in the same order; `None` for what is deleted or unknown. Cached: cheap for recent posts.
    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>, EngineError>;

    /// Whether a post that was read is there, whoever asks. Asked of every post of a page: no more than memory.
    fn standing(&self, post: &PostRecord) -> Standing {
        if post.deleted { Standing::Gone } else { Standing::Stands }
    }
}
