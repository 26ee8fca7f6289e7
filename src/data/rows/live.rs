//! Rows of live sessions: everything that was ever decided about one, each with the record that did it.
//!
//! What a session was at an id follows from these alone (`live/state.rs`), so no order is stored anywhere.

use bytes::Bytes;
use fanfare_protocol::Id;
use serde::{Deserialize, Deserializer, Serialize};

/// A live session. It is announced by the record whose id it has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRow {
    /// The session.
    pub id: Id,
    /// Person who holds it.
    pub host: Id,
    /// Title, as it is now.
    pub title: String,
    /// Planned starts, in the order in which they were decided: the first by the announcement.
    pub planned: Vec<Planned>,
    /// Record that started it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Id>,
    /// Record that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Id>,
    /// Address of the recording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_url: Option<String>,
    /// Record that cancelled it while it was upcoming, or removed its replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<Id>,
}

/// A planned start, from the record that decided it until the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// Record that decided it.
    pub by: Id,
    /// Milliseconds since the Unix epoch.
    pub at_ms: u64,
}

/// Changes of a session in one record; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveEdit {
    /// New title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// New planned start, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts_at_ms: Option<u64>,
    /// New address of the recording, or none.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub replay_url: Option<Option<String>>,
}

/// Tells `null` from what is absent.
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

/// Place in the list of those who want to be reminded of a session, up to which they were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReminderProgress {
    /// Person who holds the session.
    pub host: Id,
    /// The last person who was reminded; 0 before the first.
    pub last: Id,
}

impl ReminderProgress {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        [self.host.to_bytes(), self.last.to_bytes()].concat().into()
    }

    /// From stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self { host: Id::from_bytes(bytes)?, last: Id::from_bytes(bytes.get(8..)?)? })
    }
}
