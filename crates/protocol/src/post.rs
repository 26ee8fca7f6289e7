//! Posts and feeds.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, Id, Media, Timestamp};

/// A person named in a text by `@handle`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Mention {
    /// The person.
    pub id: Id,
    /// The handle as it was when the post was made.
    #[schema(examples("grace"))]
    pub handle: String,
}

/// A post, a reply or a repost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Post {
    /// The post.
    pub id: Id,
    /// Who wrote it.
    pub author: Author,
    /// May be empty with media or `repost_of`.
    #[schema(examples("Hello @grace"))]
    pub text: String,
    /// People named in the text who exist.
    pub mentions: Vec<Mention>,
    /// `http` and `https` addresses found in the text.
    #[schema(examples("https://example.org/notes"))]
    pub links: Vec<String>,
    /// Attached uploads.
    pub media: Vec<Media>,
    /// The post this one answers.
    pub reply_to: Option<Id>,
    /// The post this one passes on.
    #[schema(no_recursion)]
    pub repost_of: Option<Box<Post>>,
    /// People who like it.
    pub like_count: u64,
    /// Replies that are not deleted.
    pub reply_count: u64,
    /// Reposts that are not deleted.
    pub repost_count: u64,
    /// The caller likes it. Not in realtime frames.
    #[serde(default)]
    pub liked: bool,
    /// The caller has a bare repost of it. Not in realtime frames.
    #[serde(default)]
    pub reposted: bool,
    /// When it was published.
    pub created_at: Timestamp,
}

/// `POST /v1/posts`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPost {
    /// Up to `posts.text_max` characters (500); may be empty with media or `repost_of`.
    #[serde(default)]
    #[schema(examples("Hello @grace"))]
    pub text: String,
    /// Up to 4 uploads of the caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 4)]
    pub media_ids: Vec<Id>,
    /// The post to answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Id>,
    /// The post to pass on; with text it is a quote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repost_of: Option<Id>,
}

/// `GET /v1/posts/{id}/thread`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PostThread {
    /// What the post answers, oldest first; a deleted or hidden ancestor ends the list.
    pub ancestors: Vec<Post>,
    /// The post asked for.
    pub post: Post,
    /// Its first replies, oldest first; more under `/replies`.
    pub replies: Vec<Post>,
    /// Cursor for `/replies` when there are more.
    pub next_cursor: Option<String>,
}

/// `GET /v1/feed/unread`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadCount {
    /// Others' entries newer than the read marker; counting stops at 1,000.
    pub count: u64,
    /// The newest entry of the feed, if there is one.
    pub newest_id: Option<Id>,
}

/// `PUT /v1/feed/read`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FeedRead {
    /// Everything up to this id has been seen; a smaller one than before changes nothing.
    pub last_read_id: Id,
}
