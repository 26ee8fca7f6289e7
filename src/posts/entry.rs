//! Entries of a feed: a post with the one that it passes on, as a reader may see them. The feed finds them, the view
//! writes them.

use std::sync::Arc;

use fanfare_protocol::Id;

use super::visibility::Absence;
use crate::data::rows::PostRecord;

/// Entry of a feed: of posts, or of what else a feed is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEntry<P = PostRecord> {
    /// The post.
    pub id: Id,
    /// The post itself.
    pub post: Arc<P>,
    /// The post that it passes on.
    pub original: Original<P>,
}

/// Part of the post that an entry passes on which the reader gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Original<P = PostRecord> {
    /// The entry passes nothing on.
    None,
    /// All of it.
    Shown(Arc<P>),
    /// Nothing: the entry is a quote, and shows its own words.
    Absent(Absence),
}
