//! Realtime frames of chat: what the server tells of conversations, and what clients send into them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Forward, Message, MessageKind, NewMessage, Receipt};
use crate::Id;

/// `message`: a new message, without what differs from viewer to viewer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyedMessage {
    /// Key, equal in push, replay and HTTP: the message's id.
    pub key: String,
    /// The message.
    #[serde(flatten)]
    pub message: Message,
}

/// `message.updated`: a message that was there is another now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageChanged {
    /// The change's own.
    pub key: String,
    /// The last change of the conversation before those that this frame covers.
    pub after: u64,
    /// The last change that it covers.
    pub change_seq: u64,
    /// The message as it is now.
    pub message: Message,
}

/// `message.recalled`: a message was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MessageRecalled {
    /// The change's own.
    pub key: String,
    /// The last change of the conversation before this one.
    pub after: u64,
    /// Number of this change.
    pub change_seq: u64,
    /// Conversation of the message.
    pub conversation_id: Id,
    /// Number of the message.
    pub seq: u64,
    /// Person who took it back, where that was not the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled_by: Option<Id>,
}

/// `conversation.updated`: settings, members or what the person keeps to themselves changed; read it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConversationUpdated {
    /// The conversation.
    pub conversation_id: Id,
    /// Only where true: the person is in it no more, and this is the last frame of it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
}

/// `receipt`: how far members have come; at most one a second and conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReceiptChanged {
    /// The conversation.
    pub conversation_id: Id,
    /// Marks that have moved, as they stand now.
    pub receipts: Vec<Receipt>,
}

/// `typing`: somebody writes. Gone after six seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Typing {
    /// The conversation.
    pub conversation_id: Id,
    /// Person who writes; filled in by the server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<Id>,
}

/// Data of `message.send`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SendMessage {
    /// The conversation.
    pub conversation_id: Id,
    /// Id that the client chose.
    pub client_id: String,
    /// Kind of the message.
    pub kind: MessageKind,
    /// Words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_id: Option<Id>,
    /// Duration of a voice message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
    /// Number of the message that it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Message that it passes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<Forward>,
}

impl SendMessage {
    /// Frame that sends `message` into a conversation.
    #[must_use]
    pub fn new(conversation_id: Id, message: NewMessage) -> Self {
        let NewMessage { client_id, kind, text, media_id, duration_ms, reply_to, forward } = message;
        Self { conversation_id, client_id, kind, text, media_id, duration_ms, reply_to, forward }
    }

    /// The conversation and the message.
    #[must_use]
    pub fn into_parts(self) -> (Id, NewMessage) {
        let Self { conversation_id, client_id, kind, text, media_id, duration_ms, reply_to, forward } = self;
        (conversation_id, NewMessage { client_id, kind, text, media_id, duration_ms, reply_to, forward })
    }
}

/// Data of `read` and `delivered`, and, without the conversation, body of the calls of these names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    /// The conversation; in a call it stands in the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Id>,
    /// Everything up to here; a lower one than before changes nothing.
    pub seq: u64,
}
