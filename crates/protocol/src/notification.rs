//! Notifications: what others did that concerns the caller.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, Id, Post, Timestamp};

/// Kind of event that a notification tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NotificationKind {
    /// Somebody follows the caller.
    Follow,
    /// Somebody likes the caller's post.
    Like,
    /// Somebody answers the caller's post.
    Reply,
    /// Somebody passes the caller's post on.
    Repost,
    /// Somebody names the caller in a post.
    Mention,
    /// Somebody asks the caller to talk or to join a conversation, or added them: `reason` says which.
    Message,
    /// A followed person goes live.
    Live,
    /// Any kind of a newer server.
    #[serde(other)]
    Unknown,
}

/// Reason of a notification of kind `message`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageReason {
    /// Somebody whom the caller does not follow wants to talk to them.
    Request,
    /// Somebody wants the caller in a group.
    Invitation,
    /// Somebody added the caller to a group.
    Added,
    /// Any reason of a newer server.
    #[serde(other)]
    Unknown,
}

/// Notification; a flood of the same kind on the same post is one with a `count`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Notification {
    /// The notification; the id of its newest event.
    pub id: Id,
    /// Kind of event that a notification tells of.
    pub kind: NotificationKind,
    /// Person who did it; of many, the latest whom the caller may see.
    pub actor: Author,
    /// The caller's post for likes, the new post for replies, mentions and reposts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Post>,
    /// Of kind `message`, the conversation. Requests and invitations are listed as long as they wait for an answer, and
    /// count as unread nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Id>,
    /// Of kind `message`, what the actor did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<MessageReason>,
    /// Number of people it stands for, of mentions number of posts; 1 unless grouped.
    pub count: u64,
    /// Moment of the newest event.
    pub created_at: Timestamp,
    /// Whether it is at or below the read marker.
    pub read: bool,
}

/// `GET /v1/notifications`, newest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct NotificationPage {
    /// Newest first.
    pub items: Vec<Notification>,
    /// Cursor of the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// Notifications above the read marker; requests and invitations are not counted.
    pub unread_count: u64,
}

/// `PUT /v1/notifications/read`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationsRead {
    /// Everything up to this id has been seen; a smaller one than before changes nothing.
    pub last_read_id: Id,
}
