//! Messages and what happens to them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Author, Id, Media, Mention, Timestamp};

/// Kind of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// Words.
    Text,
    /// A picture, maybe with words.
    Image,
    /// A file, maybe with words.
    File,
    /// A file that is to be heard, with its duration.
    Voice,
    /// Something that happened to the group, told by the server.
    System,
    /// Any kind of a newer server.
    #[serde(other)]
    Unknown,
}

/// `POST /v1/conversations/{id}/messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// Chosen by the client, 1 to 64 bytes: the same one again within 7 days is the same message.
    #[schema(min_length = 1, max_length = 64, examples("0b5c1f7e"))]
    pub client_id: String,
    /// `text`, `image`, `file` or `voice`.
    pub kind: MessageKind,
    /// Up to `chat.text_max` characters (8,000).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("Hello @grace"))]
    pub text: Option<String>,
    /// An upload of the caller for messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_id: Option<Id>,
    /// Milliseconds of a voice message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 86_400_000)]
    pub duration_ms: Option<u32>,
    /// Number of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Message that this one passes on; kind, text and upload are then that one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
}

/// A message of any conversation that the caller can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Conversation of the message.
    pub conversation_id: Id,
    /// Number of the message there.
    pub seq: u64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Message {
    /// The message.
    pub id: Id,
    /// Conversation in which it stands.
    pub conversation_id: Id,
    /// Number in the conversation, without holes from 1.
    pub seq: u64,
    /// Person who sent it, or did what a system message tells. Without handle and name when the account is gone.
    pub sender: Author,
    /// Kind of the message.
    pub kind: MessageKind,
    /// Words; empty when it was recalled.
    pub text: String,
    /// Upload, if it has one.
    pub attachment: Option<Attachment>,
    /// Chosen by the client that sent it; empty for system messages.
    pub client_id: String,
    /// People named in the text who are members.
    #[serde(default)]
    pub mentions: Vec<Mention>,
    /// Names everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentions_all: bool,
    /// `http` and `https` addresses found in the text.
    #[serde(default)]
    pub links: Vec<String>,
    /// The message that this one answers, as it is now.
    pub reply_to: Option<Quote>,
    /// Passed on from elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Reactions, those that came first first.
    #[serde(default)]
    pub reactions: Vec<Reaction>,
    /// Moment of the last edit.
    pub edited_at: Option<Timestamp>,
    /// Taken back: number and place stay.
    pub recalled: bool,
    /// Person who took it back, where that was not the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled_by: Option<Id>,
    /// Event that a system message tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemEvent>,
    /// Moment it was sent.
    pub created_at: Timestamp,
}

/// Upload in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// The upload. Its addresses are good until `expires_at`; the message, read again, has fresh ones.
    #[serde(flatten)]
    pub media: Media,
    /// Name that the file is saved under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("minutes.pdf"))]
    pub filename: Option<String>,
    /// Milliseconds, of a voice message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
}

/// The message that another one answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Quote {
    /// Number of the message.
    pub seq: u64,
    /// Person who sent it; `null` when the caller may not see the message.
    pub sender_id: Option<Id>,
    /// Kind of the message.
    pub kind: MessageKind,
    /// The first 200 characters; empty when it was recalled.
    pub text: String,
    /// Taken back.
    pub recalled: bool,
}

/// Reactions of one kind to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reaction {
    /// The kind, one emoji.
    #[schema(examples("👍"))]
    pub emoji: String,
    /// People who chose it.
    pub count: u64,
    /// Up to eight of them, the latest last.
    pub user_ids: Vec<Id>,
    /// The caller is among them. Absent in realtime frames, which many get the same of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mine: Option<bool>,
}

/// Somebody who reacted to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reactor {
    /// Kind of the reaction, one emoji.
    #[schema(examples("👍"))]
    pub emoji: String,
    /// The person. Without handle and name when the account is gone.
    pub user: Author,
}

/// Kind of event that a system message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum SystemKind {
    /// The group was made.
    Created,
    /// People were added.
    Added,
    /// Somebody joined by an invite.
    Joined,
    /// Somebody left.
    Left,
    /// Somebody was removed.
    Removed,
    /// Somebody's role changed.
    RoleChanged,
    /// The group has another owner.
    OwnerChanged,
    /// Title, picture or settings changed.
    SettingsChanged,
    /// A message was pinned.
    Pinned,
    /// Any kind of a newer server.
    #[serde(other)]
    Unknown,
}

/// Event that a system message tells of; the sender is who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SystemEvent {
    /// Kind of the event.
    pub kind: SystemKind,
    /// People it is about.
    #[serde(default)]
    pub user_ids: Vec<Id>,
    /// The new title, where that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Message that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// `PATCH /v1/conversations/{id}/messages/{seq}`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EditMessage {
    /// The new words, up to `chat.text_max` characters.
    pub text: String,
}

/// Words that a message had before an edit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct EarlierText {
    /// The words.
    pub text: String,
    /// Moment from which the message said them.
    pub at: Timestamp,
}

/// Page of messages.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct MessagePage {
    /// Newest first with `before_seq` and `around_seq`, oldest first with `after_seq`; without holes.
    pub items: Vec<Message>,
    /// Number of the newest message of the conversation.
    pub last_seq: u64,
    /// Number of the newest change; what happened up to there is in the items.
    pub change_seq: u64,
    /// Lowest number that the caller may see.
    pub visible_from: u64,
}

/// Kind of a change to a message that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Words.
    Edited,
    /// Recall.
    Recalled,
    /// Somebody reacted, or took a reaction back.
    Reacted,
    /// Pin.
    Pinned,
    /// End of a pin.
    Unpinned,
    /// Any kind of a newer server.
    #[serde(other)]
    Unknown,
}

/// A change to a message that was there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Change {
    /// Number of the change, without holes from 1.
    pub change_seq: u64,
    /// Kind of the change.
    pub kind: ChangeKind,
    /// Number of the message.
    pub seq: u64,
    /// The message as it is now; `null` when the caller may not see it.
    pub message: Option<Message>,
}

/// `GET /v1/conversations/{id}/changes`, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ChangePage {
    /// The changes above the one that was asked for.
    pub items: Vec<Change>,
    /// Number of the newest change of the conversation.
    pub change_seq: u64,
}

/// An item of `GET /v1/mentions`: a message that names the caller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MentionedIn {
    /// The message.
    pub message: Message,
    /// Whether the caller has read up to it.
    pub read: bool,
}
