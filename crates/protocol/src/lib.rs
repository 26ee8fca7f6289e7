//! Wire types of Fanfare's native API (`/v1`), shared by the server, the Rust client and the generators of the SDKs.
//!
//! No I/O lives here. Requests refuse unknown fields; answers tolerate them, so that an older client reads a newer
//! server. Ids are decimal strings on the wire and [`Id`] in Rust; times are RFC 3339 in UTC with milliseconds.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![warn(missing_docs)]

mod admin;
mod chat;
mod clicks;
mod id;
mod links;
mod live;
mod media;
mod notification;
mod page;
mod post;
mod problem;
mod realtime;
mod report;
mod timestamp;
mod user;

pub use admin::{AuditEntry, NewSuspension, PublishEvent, Published, RealtimeSession, SetPassword, Suspension};
pub use chat::{
    Attachment, Change, ChangeKind, ChangePage, ChatPreferences, Conversation, ConversationKind, ConversationPage,
    ConversationUpdated, EarlierText, EditMessage, Forward, History, Invite, InviteLook, KeyedMessage, LastSeen,
    Member, MemberRole, MentionedIn, Message, MessageChanged, MessageKind, MessagePage, MessageRecalled,
    NewConversation, NewInvite, NewMessage, Notify, PatchChatPreferences, PatchConversation, PatchPersonal, Personal,
    Quote, Reaction, Reactor, Receipt, ReceiptChanged, RequestsDeclined, RoleChange, SendMessage, SystemEvent,
    SystemKind, Typing, UnreadConversations, Watermark, WhoMay,
};
pub use clicks::{Bots, Interval, LinkStats, StatsName, StatsPoint};
pub use id::{Id, ParseIdError};
pub use links::{AdminLink, Link, NewLink, PatchLink, RedirectKind};
pub use live::{EndLiveSession, LiveChanged, LiveSession, LiveState, NewLiveSession, PatchLiveSession};
pub use media::{Media, MediaKind};
pub use notification::{MessageReason, Notification, NotificationKind, NotificationPage, NotificationsRead};
pub use page::Page;
pub use post::{FeedRead, Gone, Mention, NewPost, Post, PostOrGone, PostThread, UnreadCount};
pub use problem::{Code, FieldError, Problem};
pub use realtime::{
    AUTHOR_DELETED, AuthorDeleted, CURSOR_CHARS_MAX, ClientFrame, Drain, FeedPosts, Gap, Hello, KeyedNotification,
    KeyedPost, Lane, NotAFrame, PollAnswer, Pong, PostDeleted, Presence, PresenceList, PresenceWatch, REALTIME_VERSION,
    REFERENCE_MAX, ReadMarker, Reply, Reset, ResetReason, ServerEvent, ServerFrame, Stream, Ticket, Transport,
};
pub use report::{FiledReport, NewReport, Report, ReportKind, ReportState, Resolution, ResolveReport};
pub use timestamp::Timestamp;
pub use user::{Author, NewPassword, NewSession, NewUser, PatchUser, Relationship, Session, User};

/// Media type of every problem answer (RFC 9457).
pub const PROBLEM_JSON: &str = "application/problem+json";
