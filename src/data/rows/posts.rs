//! Values of rows about posts: the post itself, and the short entries by which authors' lists and timelines name it.

use std::sync::OnceLock;

use bytes::Bytes;
use fanfare_protocol::{Id, Media, Mention};
use serde::{Deserialize, Serialize};

/// Way by which a post of an author reaches followers; chosen when the post is committed and stamped on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// Into every materialised follower's timeline, at once.
    #[default]
    Push,
    /// Into every materialised follower's timeline, in slices on the low-priority queue.
    PushLate,
    /// Not pushed: merged when followers read.
    Pull,
}

/// A post that another one points at, with its author, so that filters need no second look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostRef {
    /// The post.
    pub id: Id,
    /// Author of the post.
    pub author: Id,
}

/// A post as it is stored; its id and time are the record's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostRecord {
    /// The post. In a journal record it is the record's id.
    pub id: Id,
    /// Author of the post.
    pub author: Id,
    /// Up to the configured number of characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// People named in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// Web addresses in the text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// Attached uploads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Media>,
    /// The post this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<PostRef>,
    /// The post this one passes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repost_of: Option<PostRef>,
    /// Way by which it reached followers.
    #[serde(default)]
    pub policy: Policy,
    /// People who were notified of it. Posts of earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub told: Vec<Id>,
    /// Removed by its author: the content is empty, the id and what it answered stay known.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// JSON of what never changes of it, as clients read it; made at first use, never stored.
    #[serde(skip)]
    pub encoded: Encoded,
}

impl PostRecord {
    /// Remains of a deleted post: its place in a thread, and no words.
    #[must_use]
    pub fn tombstone(id: Id, author: Id, reply_to: Option<PostRef>) -> Self {
        Self { id, author, reply_to, deleted: true, ..Self::default() }
    }

    /// A repost without words of its own; there is at most one a person and post.
    #[must_use]
    pub fn is_bare_repost(&self) -> bool {
        self.repost_of.is_some() && self.text.is_empty() && self.media.is_empty() && self.reply_to.is_none()
    }
}

/// JSON of what never changes of a post, encoded at first use. Two records that differ only here are equal.
#[derive(Debug, Default)]
pub struct Encoded(OnceLock<Box<str>>);

impl Encoded {
    /// The JSON; `encode` makes it when nobody asked before.
    pub fn get_or_encode(&self, encode: impl FnOnce() -> Box<str>) -> &str {
        self.0.get_or_init(encode)
    }
}

impl Clone for Encoded {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Encoded {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Encoded {}

/// Kind of post that an author's entry is: enough to filter without reading the post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// A post of its own.
    Plain,
    /// Answers a post of `related`.
    Reply,
    /// Passes on a post of `related`, and says nothing. In rows written before there were [`Quote`](Self::Quote)s it
    /// may have words: the post itself tells.
    Repost,
    /// Passes on a post of `related`, with words, media, or a place in a thread of its own: it stays when that one
    /// goes.
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

/// Value of an `author_posts` row: kind and related author, 9 bytes.
#[must_use]
pub fn entry_value(kind: EntryKind, related: Id) -> Bytes {
    let mut bytes = vec![match kind {
        EntryKind::Plain => 0,
        EntryKind::Reply => 1,
        EntryKind::Repost => 2,
        EntryKind::Quote => 3,
    }];
    bytes.extend_from_slice(&related.to_bytes());
    bytes.into()
}

/// The entry of an `author_posts` row.
#[must_use]
pub fn entry(post: Id, value: &[u8]) -> Option<AuthorEntry> {
    let related = value.get(1..).and_then(Id::from_bytes)?;
    Some(AuthorEntry { id: post, kind: kind_in(value)?, related })
}

/// Value of a `timeline` row: the entry, then the author, 17 bytes.
#[must_use]
pub fn timeline_value(kind: EntryKind, related: Id, author: Id) -> Bytes {
    let mut bytes = entry_value(kind, related).to_vec();
    bytes.extend_from_slice(&author.to_bytes());
    bytes.into()
}

/// The author in a `timeline` row; its entry is read by [`entry`].
#[must_use]
pub fn timeline_author(value: &[u8]) -> Option<Id> {
    value.get(9..).and_then(Id::from_bytes)
}

/// Whether a row of an author's list or of a timeline is of a post that points at nothing.
#[must_use]
pub fn is_plain(value: &[u8]) -> bool {
    kind_in(value) == Some(EntryKind::Plain)
}

/// Kind in a row of an author's list or of a timeline. Rows of earlier versions say `Repost` of quotes too.
#[must_use]
pub fn kind_in(value: &[u8]) -> Option<EntryKind> {
    Some(match value.first()? {
        0 => EntryKind::Plain,
        1 => EntryKind::Reply,
        2 => EntryKind::Repost,
        3 => EntryKind::Quote,
        _ => return None,
    })
}
