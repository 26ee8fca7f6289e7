//! Acts of operators: suspensions, passwords that they set, the lines that every act leaves, and what they see of
//! sessions and say to them.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{Id, Lane, Timestamp, Transport};

/// `PUT /v1/admin/users/{user}/suspension`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "spam in forty threads", "until": "2030-01-31T00:00:00.000Z" }))]
pub struct NewSuspension {
    /// Why, for other operators: 1 to 500 characters. The person is not told.
    pub reason: String,
    /// End of the suspension; without one it stands until it is lifted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// A suspension as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "user_id": "2235236504953683968", "reason": "spam in forty threads", "since": "2030-01-24T09:30:00.000Z",
    "until": "2030-01-31T00:00:00.000Z"
}))]
pub struct Suspension {
    /// Suspended person.
    pub user_id: Id,
    /// Why.
    pub reason: String,
    /// Start of the suspension, with this reason and end.
    pub since: Timestamp,
    /// End of the suspension; `null`: when it is lifted.
    pub until: Option<Timestamp>,
}

/// `PUT /v1/admin/users/{user}/password`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "password": "nine green apples" }))]
pub struct SetPassword {
    /// 8 to 128 characters.
    pub password: String,
}

impl std::fmt::Debug for SetPassword {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SetPassword")
    }
}

/// Act of an operator. It stands in the same record as what was done, and is kept for 400 days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({
    "id": "2235236504953683969", "at": "2030-01-24T09:30:00.000Z", "actor": "admin.token", "address": "192.0.2.7",
    "action": "user.suspend", "target": "users/2235236504953683968", "reason": "spam in forty threads"
}))]
pub struct AuditEntry {
    /// Id of the act; rises with time.
    pub id: Id,
    /// Moment of the act.
    pub at: Timestamp,
    /// Operator: `admin.token`, or the id of a person whose role is admin.
    pub actor: String,
    /// Address of the client.
    pub address: String,
    /// Kind of act: `post.delete`, `link.delete`, `user.suspend`, `user.unsuspend`, `user.password`,
    /// `user.grant_admin`, `user.revoke_admin`, `report.resolve`, `settings.change`, `session.close`, `event.publish`,
    /// `consumer.remove`; more may come.
    pub action: String,
    /// Target of the act: `posts/ID`, `links/CODE`, `users/ID`, `sessions/ID`, `reports/ID`,
    /// `settings KEY=VALUE …`, `events/TYPE to …`.
    pub target: String,
    /// Why, if it was said.
    pub reason: Option<String>,
}

/// `POST /v1/admin/realtime/publish`: to some (`user_ids`) or to everybody connected (`all`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PublishEvent {
    /// Up to 10,000 people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_ids: Option<Vec<Id>>,
    /// Everybody who is connected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schema(examples(true))]
    pub all: bool,
    /// A type of your own, such as `shop.sale`: a lower-case letter, then up to 63 of `a-z 0-9 _ . -`.
    #[serde(rename = "type")]
    #[schema(pattern = "^[a-z][a-z0-9_.-]{0,63}$", examples("shop.sale"))]
    pub kind: String,
    /// Any JSON up to 64 KiB.
    #[schema(examples(json!({"article": 17})))]
    pub data: Value,
    /// `normal` when it is not named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
}

/// Number of connected sessions that an event was handed to. It is not kept for others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Published {
    /// Sessions.
    pub sessions: u64,
}

/// An item of `GET /v1/admin/realtime/sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RealtimeSession {
    /// The session.
    pub session_id: Id,
    /// Person of the session.
    pub user_id: Id,
    /// Transport of the session.
    pub transport: Transport,
    /// Start of the session.
    pub connected_at: Timestamp,
    /// The client's address.
    pub address: String,
    /// Bytes that wait for the client to read.
    pub queued_bytes: u64,
}
