//! Reports: what people tell operators of others, with a copy of what it is about.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{Attachment, Author, Id, Timestamp};

/// Kind of thing that is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportKind {
    /// A message.
    Message,
    /// A person.
    User,
    /// A conversation.
    Conversation,
    /// Any kind of a newer server.
    #[serde(other)]
    Unknown,
}

/// `POST /v1/reports`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "kind": "user", "id": "2235236504953683968", "reason": "spam in every group" }))]
pub struct NewReport {
    /// `message`, `user` or `conversation`.
    pub kind: ReportKind,
    /// Id of what is reported.
    pub id: Id,
    /// Conversation of a message; without it the server looks for it in those of the caller that were active lately.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Id>,
    /// Why, for operators: 1 to 1,000 characters.
    #[schema(min_length = 1, max_length = 1000)]
    pub reason: String,
}

/// A report as whoever made it sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Report {
    /// The report.
    pub id: Id,
    /// Kind of what is reported.
    pub kind: ReportKind,
    /// Id of what is reported.
    pub target_id: Id,
    /// Why.
    pub reason: String,
    /// Whether an operator has seen to it.
    pub resolved: bool,
    /// Moment of the report.
    pub created_at: Timestamp,
}

/// Part of the reports that an operator asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReportState {
    /// Those that no operator has seen to.
    #[default]
    Open,
    /// Those that one has.
    Resolved,
    /// All of them.
    All,
}

/// A report as operators see it, with a copy of what it is about as that was then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FiledReport {
    /// The report.
    pub id: Id,
    /// Kind of what is reported.
    pub kind: ReportKind,
    /// Id of what is reported.
    pub target_id: Id,
    /// Conversation that it is, or stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversation_id: Option<Id>,
    /// Number of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// Person who reports it. Without handle and name when the account is gone.
    pub reporter: Author,
    /// Person who is reported, or sent what is, by the handle and name of that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<Author>,
    /// Text of the message, bio of the person, or title of the conversation, as it was then.
    pub text: String,
    /// Upload of the message; its addresses answer 404 once that is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<Attachment>,
    /// Why it was reported.
    pub reason: String,
    /// Moment of the report.
    pub created_at: Timestamp,
    /// End of it, once an operator has seen to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolution: Option<Resolution>,
}

/// End of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resolution {
    /// Moment of it.
    pub at: Timestamp,
    /// Operator: `admin.token`, or the id of a person whose role is admin.
    pub by: String,
    /// What was done, or why nothing was.
    pub note: String,
}

/// `PUT /v1/admin/reports/{id}/resolution`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "note": "suspended for a week" }))]
pub struct ResolveReport {
    /// What was done, or why nothing was: 1 to 500 characters.
    #[schema(min_length = 1, max_length = 500)]
    pub note: String,
}
