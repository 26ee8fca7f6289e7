//! Routes of chat.

mod conversations;
mod messages;
mod people;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use fanfare_protocol::{
    Conversation, EditMessage, Invite, Message, NewConversation, NewInvite, NewMessage, PatchChatPreferences,
    PatchConversation, PatchPersonal, RoleChange, Watermark,
};
use serde::Serialize;

pub use self::conversations::*;
pub use self::messages::*;
pub use self::people::*;

use super::service::{Begun, Made};
use crate::http::{Check, Created, Located};

impl Check for NewConversation {}
impl Check for PatchConversation {}
impl Check for PatchPersonal {}
impl Check for PatchChatPreferences {}
impl Check for NewMessage {}
impl Check for EditMessage {}
impl Check for Watermark {}
impl Check for RoleChange {}
impl Check for NewInvite {}

impl Located for Conversation {
    fn location(&self) -> String {
        format!("/v1/conversations/{}", self.id)
    }
}

impl Located for Message {
    fn location(&self) -> String {
        format!("/v1/conversations/{}/messages/{}", self.conversation_id, self.seq)
    }
}

/// An invite with the group it lets into.
pub struct NewlyInvited {
    group: fanfare_protocol::Id,
    invite: Invite,
}

impl Serialize for NewlyInvited {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.invite.serialize(serializer)
    }
}

impl Located for NewlyInvited {
    fn location(&self) -> String {
        format!("/v1/conversations/{}/invites/{}", self.group, self.invite.id)
    }
}

impl IntoResponse for Begun {
    fn into_response(self) -> Response {
        match self {
            Self::Here(made) => made.into_response(),
            Self::Replayed(first) => ([("idempotency-replayed", "true")], Created(first)).into_response(),
        }
    }
}

impl<T: Serialize + Located> IntoResponse for Made<T> {
    fn into_response(self) -> Response {
        if self.is_new {
            Created(self.value).into_response()
        } else {
            (StatusCode::OK, Json(self.value)).into_response()
        }
    }
}
