//! Live sessions: announced, live, over.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::user::present;
use crate::{Author, Id, Timestamp};

/// State of a live session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum LiveState {
    /// Announced, not begun.
    Upcoming,
    /// Begun, not over.
    Live,
    /// Over; the recording is there, or will be.
    Replay,
    /// Any state of a newer server.
    #[serde(other)]
    Unknown,
}

/// A live session. On a page it is as it was when the first page of the pass was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveSession {
    /// The session.
    pub id: Id,
    /// Person who holds it.
    pub host: Author,
    /// Words that say what it is about.
    #[schema(examples("An evening of chess"))]
    pub title: String,
    /// Whether it is to come, on, or over.
    pub state: LiveState,
    /// Planned start.
    pub starts_at: Timestamp,
    /// Moment it began.
    pub started_at: Option<Timestamp>,
    /// Moment it was over.
    pub ended_at: Option<Timestamp>,
    /// Address of the recording.
    pub replay_url: Option<String>,
    /// Whether the caller is to be reminded at the start; absent without a token, and in frames.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reminder: Option<bool>,
}

/// Body of `live.changed`: the session as it is now, whoever reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LiveChanged {
    /// The session; of one that was removed as it was last.
    #[serde(flatten)]
    pub session: LiveSession,
    /// Whether it was cancelled, or its replay removed: it is in no list any more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub removed: bool,
    /// Number of the change: of two about one session the higher is the newer one.
    pub version: Id,
}

/// `POST /v1/live`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLiveSession {
    /// 1 to 140 characters.
    #[schema(min_length = 1, max_length = 140, examples("An evening of chess"))]
    pub title: String,
    /// Planned start: at most a minute ago, within a year.
    pub starts_at: Timestamp,
}

/// `PATCH /v1/live/{id}`, a JSON merge patch: a field that is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchLiveSession {
    /// 1 to 140 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 140, examples("Two evenings of chess"))]
    pub title: Option<String>,
    /// New planned start, while it is upcoming; at most 20 times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// Address of the recording, once it is over; `null` takes it away.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, examples("https://example.org/recordings/1"))]
    pub replay_url: Option<Option<String>>,
}

/// `POST /v1/live/{id}/end`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndLiveSession {
    /// Address of the recording, if there is one already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(examples("https://example.org/recordings/1"))]
    pub replay_url: Option<String>,
}
