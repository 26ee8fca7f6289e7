//! Posts and feeds.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use utoipa::openapi::schema::AnyOfBuilder;
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

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
    /// Author of the post.
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
    /// The post this one passes on; what that one passes on in turn is not shown.
    #[schema(no_recursion)]
    pub repost_of: Option<Box<Post>>,
    /// Only where true: this is a quote whose original was deleted, so that `repost_of` is `null`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repost_gone: bool,
    /// Only where true: this is a quote whose original the caller may not see, so that `repost_of` is `null`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repost_hidden: bool,
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
    /// Moment of publication.
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

/// A place in a thread whose post does not show, while the thread goes on beyond it. One of `deleted` and `hidden` is
/// there, and true.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gone {
    /// The post.
    pub id: Id,
    /// Deleted by the author, or with the author's account.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The caller may not see it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
}

/// A place in a thread: the post, or a word that it is gone. A `Gone` has no `author`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PostOrGone {
    /// The post.
    Post(Box<Post>),
    /// Remains of a deleted post.
    Gone(Gone),
}

/// `anyOf`, as a post has all that a `Gone` must have: `oneOf` would be no post.
impl PartialSchema for PostOrGone {
    fn schema() -> RefOr<Schema> {
        AnyOfBuilder::new()
            .item(Ref::from_schema_name(Post::name()))
            .item(Ref::from_schema_name(Gone::name()))
            .description(Some("A place in a thread: the post, or a word that it is gone. A `Gone` has no `author`."))
            .into()
    }
}

impl ToSchema for PostOrGone {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("PostOrGone")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((Post::name().into_owned(), Post::schema()));
        schemas.push((Gone::name().into_owned(), Gone::schema()));
        Post::schemas(schemas);
        Gone::schemas(schemas);
    }
}

impl PostOrGone {
    /// The post's id.
    #[must_use]
    pub fn id(&self) -> Id {
        match self {
            Self::Post(post) => post.id,
            Self::Gone(gone) => gone.id,
        }
    }

    /// The post, if it is there.
    #[must_use]
    pub fn into_post(self) -> Option<Post> {
        match self {
            Self::Post(post) => Some(*post),
            Self::Gone(_) => None,
        }
    }

    /// The post, if it shows.
    #[must_use]
    pub fn post(&self) -> Option<&Post> {
        match self {
            Self::Post(post) => Some(post),
            Self::Gone(_) => None,
        }
    }
}

/// `GET /v1/posts/{id}/thread`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct PostThread {
    /// Posts that this one answers, oldest first; the thread goes on above a post that is gone.
    pub ancestors: Vec<PostOrGone>,
    /// The post asked for; the original, for a bare repost.
    pub post: Post,
    /// First replies, oldest first; more under `/replies`.
    pub replies: Vec<PostOrGone>,
    /// Cursor for `/replies` when there are more.
    pub next_cursor: Option<String>,
}

/// `GET /v1/feed/unread`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadCount {
    /// Number of others' entries newer than the read marker; counting stops at 1,000.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn a_place_in_a_thread_reads_as_what_it_is_and_is_described_so_that_a_post_is_one() {
        let gone: PostOrGone = serde_json::from_value(json!({"id": "7", "deleted": true, "later": 1})).unwrap();
        assert_eq!(gone, PostOrGone::Gone(Gone { id: Id(7), deleted: true, hidden: false }));
        assert_eq!(serde_json::to_value(&gone).unwrap(), json!({"id": "7", "deleted": true}));
        let schema: Value = serde_json::to_value(PostOrGone::schema()).unwrap();
        assert_eq!(schema["anyOf"].as_array().map(Vec::len), Some(2), "{schema}");
        assert!(schema.get("oneOf").is_none());
    }
}
