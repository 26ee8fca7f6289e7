//! Rows of reports.

use fanfare_protocol::{Id, ReportKind};
use serde::{Deserialize, Serialize};

use super::chat::AttachmentRow;
use crate::data::audit::Actor;

/// A report, with a copy of what it is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportRow {
    /// Version of the row: the report, or a later id.
    pub version: Id,
    /// Person who reports.
    pub reporter: Id,
    /// Kind of what is reported.
    pub kind: ReportKind,
    /// Id of what is reported.
    pub target: Id,
    /// Conversation that it is, or stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Id>,
    /// Number of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Person who is reported, or sent what is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<ReportedUser>,
    /// Text of it, as it was then.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// Upload of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<AttachmentRow>,
    /// Why it was reported.
    pub reason: String,
    /// End of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<ResolvedRow>,
}

/// A person as they were when they were reported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedUser {
    /// The person.
    pub id: Id,
    /// Their handle then; empty when the account was gone.
    pub handle: String,
    /// Their name then.
    pub display_name: String,
}

/// End of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedRow {
    /// Moment of it, in milliseconds.
    pub at_ms: u64,
    /// Operator.
    pub by: Actor,
    /// What was done, or why nothing was.
    pub note: String,
}
