//! Preferences of a person in chat: what others may do with them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::{cleared, present};

/// People who may do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WhoMay {
    /// Everybody.
    #[default]
    Everybody,
    /// People whom the person follows; others ask.
    Requests,
    /// People whom the person follows.
    Followed,
    /// Nobody.
    Nobody,
}

/// People who see whether somebody is there, and when they were last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LastSeen {
    /// Everybody.
    #[default]
    Everybody,
    /// People whom the person follows.
    Followed,
    /// Nobody.
    Nobody,
}

/// `GET /v1/users/me/chat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChatPreferences {
    /// People who may begin a direct conversation with the person.
    pub who_may_message: WhoMay,
    /// People who may add the person to groups.
    pub who_may_add: WhoMay,
    /// Whether others see what the person has read, and the person what others have.
    pub read_receipts: bool,
    /// People who see whether the person is online, and when they were last; to others they are offline.
    pub last_seen: LastSeen,
}

/// `PATCH /v1/users/me/chat`, a JSON merge patch: a field that is absent stays, one that is `null` was never chosen.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchChatPreferences {
    /// People who may begin a direct conversation with the person.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WhoMay>)]
    pub who_may_message: Option<Option<WhoMay>>,
    /// People who may add the person to groups.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<WhoMay>)]
    pub who_may_add: Option<Option<WhoMay>>,
    /// Whether others see what the person has read, and the person what others have.
    #[serde(default, deserialize_with = "shared", skip_serializing_if = "Option::is_none")]
    pub read_receipts: Option<bool>,
    /// People who see whether the person is online, and when they were last; to others they are offline.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<LastSeen>,
}

/// Reads whether receipts are shared: `null` is what was never chosen.
fn shared<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    Option::<bool>::deserialize(deserializer).map(|value| Some(value.unwrap_or(true)))
}
