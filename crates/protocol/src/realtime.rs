//! Realtime: the frames that server and clients send each other, the same under every transport.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::chat::{ConversationUpdated, KeyedMessage, MessageChanged, MessageRecalled, ReceiptChanged, Typing};
use crate::{Id, LiveChanged, Notification, Post, Problem, Timestamp};

/// Characters of a cursor, at most.
pub const CURSOR_CHARS_MAX: usize = 96;
/// Version of the protocol, `?v=1`.
pub const REALTIME_VERSION: u32 = 1;

/// The type `author.deleted`: a client says with `?knows=` that it understands it.
pub const AUTHOR_DELETED: &str = "author.deleted";

/// Transport of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// `GET /v1/realtime`, upgraded.
    Websocket,
    /// `GET /v1/realtime/sse`.
    Sse,
    /// `GET /v1/realtime/poll?wait=25`.
    LongPoll,
    /// `GET /v1/realtime/poll?wait=0`.
    ShortPoll,
}

impl Transport {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Websocket => "websocket",
            Self::Sse => "sse",
            Self::LongPoll => "long_poll",
            Self::ShortPoll => "short_poll",
        }
    }
}

/// Stream: items in one order, in which a session resumes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Stream {
    /// Notifications: what others did that concerns the person.
    Notifications,
    /// Direct messages.
    Direct,
    /// Messages of groups.
    Group,
    /// Posts of the home feed.
    Posts,
}

impl Stream {
    /// Every stream, in the order of a cursor's watermarks.
    pub const ALL: [Self; 4] = [Self::Notifications, Self::Direct, Self::Group, Self::Posts];

    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Notifications => "notifications",
            Self::Direct => "direct",
            Self::Group => "group",
            Self::Posts => "posts",
        }
    }
}

/// Lane: priority of a frame when not everything can go at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Notifications and direct messages.
    Urgent,
    /// Messages of groups, receipts, what operators publish.
    Normal,
    /// Followed posts.
    Bulk,
}

impl Lane {
    /// The name on the wire.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Urgent => "urgent",
            Self::Normal => "normal",
            Self::Bulk => "bulk",
        }
    }
}

/// The first frame of every session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// Names the session for operators and for `POST /v1/realtime/send`.
    pub session_id: Id,
    /// Seconds between two signs of life of the server.
    pub heartbeat_s: u64,
    /// Whether what was missed since the cursor follows; `false` without a cursor, or with one that cannot be used.
    pub resumed: bool,
    /// Transport of the session.
    pub transport: Transport,
    /// Cursor to resume from when the connection is lost before the first frame with an `id`.
    pub cursor: String,
}

/// A post in a frame: without what differs from viewer to viewer (`liked`, `reposted` read as `false`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyedPost {
    /// Key, equal in push, replay and HTTP: the post's id.
    pub key: String,
    /// The post.
    #[serde(flatten)]
    pub post: Post,
}

/// `feed.posts`: new posts of the home feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FeedPosts {
    /// Newest first.
    pub items: Vec<KeyedPost>,
}

/// `post.deleted`: a post of somebody whom the person follows is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PostDeleted {
    /// The deletion's own.
    pub key: String,
    /// The post.
    pub id: Id,
    /// Author of the post.
    pub author_id: Id,
}

/// `author.deleted`: the account of somebody whom the person followed is gone; everything of them is to be dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AuthorDeleted {
    /// The deletion's own.
    pub key: String,
    /// Person whose account it was.
    pub user_id: Id,
}

impl AuthorDeleted {
    /// Whether `post` is gone with the account: it is theirs, or only passes on what was theirs.
    #[must_use]
    pub fn drops(&self, post: &Post) -> bool {
        let passes_on = post.text.is_empty() && post.media.is_empty() && post.reply_to.is_none();
        let original = post.repost_of.as_ref().filter(|_| passes_on);
        post.author.id == self.user_id || original.is_some_and(|original| original.author.id == self.user_id)
    }
}

/// `notification`: as in `GET /v1/notifications`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyedNotification {
    /// The notification's id.
    pub key: String,
    /// The notification.
    #[serde(flatten)]
    pub notification: Notification,
}

/// `gap`: items of a stream that were not sent; page them over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Gap {
    /// The stream.
    pub stream: Stream,
    /// Everything up to this id was sent.
    pub after: Id,
    /// Id at which what comes next starts.
    pub before: Id,
    /// Number of items between; counting stops at 1,000.
    pub count: u64,
}

/// Why streams must be read anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ResetReason {
    /// The cursor was another person's, or sealed by another server.
    Foreign,
    /// The cursor does not parse.
    Malformed,
    /// The cursor is too old.
    Expired,
    /// The client read too slowly.
    Slow,
    /// The server could not keep up.
    Overflow,
    /// The account of an author was deleted, and the client did not say that it knows `author.deleted`.
    AuthorDeleted,
    /// Any reason of a newer server.
    #[serde(other)]
    Unknown,
}

/// `reset`: forget what was seen of these streams and read them over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reset {
    /// Streams that start afresh.
    pub streams: Vec<Stream>,
    /// Why.
    pub reason: ResetReason,
}

/// `drain`: the server stops; come back later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Drain {
    /// Milliseconds to wait before connecting again; different for every session.
    pub reconnect_after_ms: u64,
}

/// `feed.read` and `notifications.read`: a read marker moved on one of the person's devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReadMarker {
    /// Everything up to this id has been seen.
    pub last_read_id: Id,
}

/// `presence`, and an item of `GET /v1/presence`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Presence {
    /// Person whose presence it is.
    pub user_id: Id,
    /// Connected, or heard of within the offline time.
    pub online: bool,
    /// Last sign of life; `null` when this server never had one, or the caller may not know.
    pub last_seen_at: Option<Timestamp>,
}

/// Several people's presence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PresenceList {
    /// In the order asked for.
    pub items: Vec<Presence>,
}

/// `pong`: the answer to a `ping`, beside its reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Pong {
    /// The ping's.
    #[serde(rename = "ref")]
    pub reference: u64,
}

/// `reply`: what became of a client's frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Reply {
    /// The frame's; `null` when what came was no frame.
    #[serde(rename = "ref")]
    pub reference: Option<u64>,
    /// Whether it was done.
    pub ok: bool,
    /// Answer of a request that was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Why not, when it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// A frame of the server as it stands on the wire; [`ServerFrame::event`] reads what it says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServerFrame {
    /// The cursor after this frame; only frames of durable streams have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `hello`, `feed.posts` …; clients must tolerate types that they do not know.
    #[serde(rename = "type")]
    pub kind: String,
    /// The lane that it came by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane: Option<Lane>,
    /// Moment the item was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Content, shaped by the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
    /// Of a `reply`: the client's `ref`.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<u64>,
    /// Of a `reply`: whether it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ok: Option<bool>,
    /// Of a `reply`: why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Problem>,
}

/// Frame of the server, read by its type.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerEvent {
    /// `hello`.
    Hello(Hello),
    /// `feed.posts`.
    FeedPosts(FeedPosts),
    /// `post.deleted`.
    PostDeleted(PostDeleted),
    /// `author.deleted`.
    AuthorDeleted(AuthorDeleted),
    /// `notification`.
    Notification(Box<KeyedNotification>),
    /// `gap`.
    Gap(Gap),
    /// `reset`.
    Reset(Reset),
    /// `drain`.
    Drain(Drain),
    /// `feed.read`.
    FeedRead(ReadMarker),
    /// `notifications.read`.
    NotificationsRead(ReadMarker),
    /// `message`.
    Message(Box<KeyedMessage>),
    /// `message.updated`.
    MessageChanged(Box<MessageChanged>),
    /// `message.recalled`.
    MessageRecalled(MessageRecalled),
    /// `conversation.updated`.
    ConversationUpdated(ConversationUpdated),
    /// `receipt`.
    Receipt(ReceiptChanged),
    /// `typing`.
    Typing(Typing),
    /// `presence`.
    Presence(Presence),
    /// `live.changed`.
    LiveChanged(Box<LiveChanged>),
    /// `pong`.
    Pong(Pong),
    /// `reply`.
    Reply(Box<Reply>),
    /// Anything else: what operators publish, and types of a newer server.
    Other(String, Value),
}

impl ServerFrame {
    /// Event that the frame tells of, read by its type.
    ///
    /// # Errors
    /// When a known type does not carry what it must.
    pub fn event(&self) -> Result<ServerEvent, serde_json::Error> {
        let data = || self.data.clone().unwrap_or(Value::Null);
        Ok(match self.kind.as_str() {
            "hello" => ServerEvent::Hello(serde_json::from_value(data())?),
            "feed.posts" => ServerEvent::FeedPosts(serde_json::from_value(data())?),
            "post.deleted" => ServerEvent::PostDeleted(serde_json::from_value(data())?),
            "author.deleted" => ServerEvent::AuthorDeleted(serde_json::from_value(data())?),
            "notification" => ServerEvent::Notification(serde_json::from_value(data())?),
            "gap" => ServerEvent::Gap(serde_json::from_value(data())?),
            "reset" => ServerEvent::Reset(serde_json::from_value(data())?),
            "drain" => ServerEvent::Drain(serde_json::from_value(data())?),
            "feed.read" => ServerEvent::FeedRead(serde_json::from_value(data())?),
            "notifications.read" => ServerEvent::NotificationsRead(serde_json::from_value(data())?),
            "message" => ServerEvent::Message(serde_json::from_value(data())?),
            "message.updated" => ServerEvent::MessageChanged(serde_json::from_value(data())?),
            "message.recalled" => ServerEvent::MessageRecalled(serde_json::from_value(data())?),
            "conversation.updated" => ServerEvent::ConversationUpdated(serde_json::from_value(data())?),
            "receipt" => ServerEvent::Receipt(serde_json::from_value(data())?),
            "typing" => ServerEvent::Typing(serde_json::from_value(data())?),
            "presence" => ServerEvent::Presence(serde_json::from_value(data())?),
            "live.changed" => ServerEvent::LiveChanged(serde_json::from_value(data())?),
            "pong" => ServerEvent::Pong(serde_json::from_value(data())?),
            "reply" => ServerEvent::Reply(Box::new(Reply {
                reference: self.reference,
                ok: self.ok.unwrap_or_default(),
                data: self.data.clone(),
                error: self.error.clone(),
            })),
            other => ServerEvent::Other(other.to_owned(), data()),
        })
    }
}

/// A frame of a client; answered by a [`Reply`] with the same `ref`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientFrame {
    /// Chosen by the client, up to 2^53 - 1.
    #[serde(rename = "ref")]
    #[schema(maximum = 9_007_199_254_740_991_u64)]
    pub reference: u64,
    /// `ping`, `feed.read`, `presence.watch`, `message.send`, `read`, `delivered`, `typing`.
    #[serde(rename = "type")]
    #[schema(examples("ping"))]
    pub kind: String,
    /// Content, shaped by the type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Value>,
}

/// Highest `ref`: what every client's numbers can hold.
pub const REFERENCE_MAX: u64 = (1 << 53) - 1;

/// Why a message is no [`ClientFrame`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAFrame(pub String);

impl fmt::Display for NotAFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NotAFrame {}

impl ClientFrame {
    /// Reads a message.
    ///
    /// # Errors
    /// When it is no JSON object with `ref` and `type`, or has other fields beside `data`.
    pub fn parse(text: &str) -> Result<Self, NotAFrame> {
        let frame: Self = serde_json::from_str(text).map_err(|error| NotAFrame(error.to_string()))?;
        if frame.reference > REFERENCE_MAX {
            return Err(NotAFrame(format!("ref: at most {REFERENCE_MAX}")));
        }
        Ok(frame)
    }
}

/// Data of `presence.watch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PresenceWatch {
    /// Up to 200 people; they take the place of those watched before.
    pub user_ids: Vec<Id>,
}

/// `POST /v1/realtime/tickets`: lets a connection in where headers cannot be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ticket {
    /// Ticket for `?ticket=`; good once.
    pub ticket: String,
    /// Sixty seconds from now.
    pub expires_at: Timestamp,
}

/// `GET /v1/realtime/poll`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PollAnswer {
    /// Frames, in the order in which a socket would bring them.
    pub events: Vec<ServerFrame>,
    /// Cursor for the next poll, or another transport.
    pub cursor: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_and_a_frame_of_a_newer_server_read_well() {
        let reply: ServerFrame = serde_json::from_str(r#"{"type":"reply","ref":7,"ok":true,"data":{"a":1}}"#)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(reply.event(), Ok(ServerEvent::Reply(reply)) if reply.reference == Some(7) && reply.ok));
        let newer: ServerFrame = serde_json::from_str(r#"{"type":"hologram","data":[1],"colour":2}"#)
            .unwrap_or_else(|error| panic!("{error}"));
        assert!(matches!(newer.event(), Ok(ServerEvent::Other(kind, _)) if kind == "hologram"));
    }

    #[test]
    fn what_is_no_frame_says_why() {
        for text in
            ["", "7", "[]", "{}", r#"{"ref":1}"#, r#"{"ref":-1,"type":"ping"}"#, r#"{"ref":1,"type":"ping","x":1}"#]
        {
            assert!(ClientFrame::parse(text).is_err(), "{text}");
        }
        assert!(ClientFrame::parse(r#"{"ref":9007199254740992,"type":"ping"}"#).is_err());
        assert!(ClientFrame::parse(r#"{"ref":1,"type":"ping"}"#).is_ok());
    }
}
