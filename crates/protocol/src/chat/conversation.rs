//! Conversations, the people in them, and what each keeps to themselves.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Message;
use crate::user::{cleared, present};
use crate::{Author, Id, Timestamp};

/// Whether a conversation is of two people or of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Of two people, one a pair.
    Direct,
    /// Of up to `chat.group_max` people.
    Group,
}

/// Standing of a member of a group. In a direct conversation both are members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberRole {
    /// Reads and writes.
    Member,
    /// Also changes the group, its members and others' messages.
    Admin,
    /// The one who may also change roles and hand the group over.
    Owner,
}

/// Part of a group's history that a new member sees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum History {
    /// From their joining on.
    #[default]
    FromJoin,
    /// All of it.
    All,
}

/// Messages of a conversation that a person wants to hear of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Notify {
    /// Each.
    #[default]
    All,
    /// Messages that name the person.
    Mentions,
    /// None.
    Nothing,
}

/// `POST /v1/conversations`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewConversation {
    /// Whether it is of two people or of a group.
    pub kind: ConversationKind,
    /// The other members: one for a direct conversation, up to 499 for a group.
    pub member_ids: Vec<Id>,
    /// Title of a group, up to 100 characters. A direct conversation has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 100, examples("Analytical engines"))]
    pub title: Option<String>,
    /// Part of the history that new members of a group see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
}

/// `PATCH /v1/conversations/{id}`, a JSON merge patch: a field that is absent stays, one that is `null` is cleared.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchConversation {
    /// Up to 100 characters.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 100)]
    pub title: Option<Option<String>>,
    /// An image that the caller uploaded; `null` removes the picture.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Id>)]
    pub picture_media_id: Option<Option<Id>>,
    /// Part of the history that members who come later see.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Only admins write.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub announcements_only: Option<bool>,
    /// Seconds between two messages of a member who is no admin, up to 86,400; 0 for none.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    #[schema(maximum = 86_400)]
    pub slow_mode_s: Option<u32>,
}

/// A conversation as one member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Conversation {
    /// The conversation.
    pub id: Id,
    /// Whether it is of two people or of a group.
    pub kind: ConversationKind,
    /// Title of a group, if it has one.
    pub title: Option<String>,
    /// Picture of a group, if it has one.
    pub picture_url: Option<String>,
    /// The other person of a direct conversation; `null` when their account is gone.
    pub peer: Option<Author>,
    /// People in it.
    pub member_count: u64,
    /// Role of the caller.
    pub role: MemberRole,
    /// Part of the history that new members see.
    pub history: History,
    /// Only admins write.
    pub announcements_only: bool,
    /// Seconds between two messages of a member who is no admin; 0 for none.
    pub slow_mode_s: u32,
    /// The newest message that the caller may see.
    pub last_message: Option<Message>,
    /// Number of the newest message; 0 when there is none.
    pub last_seq: u64,
    /// Number of the newest change to a message that was there; 0 when there is none.
    pub change_seq: u64,
    /// Lowest number that the caller may see.
    pub visible_from: u64,
    /// Everything up to here was read by the caller.
    pub read_seq: u64,
    /// Messages above it.
    pub unread_count: u64,
    /// Unread messages that name the caller; counting stops at 100.
    pub mention_count: u64,
    /// The caller has not accepted it yet: somebody whom they do not know wants to talk to them.
    pub is_request: bool,
    /// Only where true: the caller left or was removed. Only in lists by `changed_after`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left: bool,
    /// Only where true: the caller hid it, and it is not in their folders until something new comes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hidden: bool,
    /// Settings that the caller keeps to themselves.
    pub personal: Personal,
    /// Moment it was made.
    pub created_at: Timestamp,
}

/// Settings of one person for one conversation, the same on all of their devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Personal {
    /// End of the silence, if it is silent.
    #[serde(default)]
    pub muted_until: Option<Timestamp>,
    /// Messages that the person wants to hear of.
    #[serde(default)]
    pub notify: Notify,
    /// Shown first.
    #[serde(default)]
    pub pinned: bool,
    /// Not in the inbox. A new message brings it back, unless it is muted.
    #[serde(default)]
    pub archived: bool,
    /// Shown as unread, whatever was read.
    #[serde(default)]
    pub marked_unread: bool,
    /// Text that was begun; empty for none.
    #[serde(default)]
    pub draft: String,
}

/// `PUT /v1/conversations/{id}/personal`: a field that is absent stays, one that is `null` is cleared.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PatchPersonal {
    /// End of the silence; `null` ends it now.
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Timestamp>)]
    pub muted_until: Option<Option<Timestamp>>,
    /// Messages to hear of.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub notify: Option<Notify>,
    /// Show it first.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Move it out of the inbox, or back.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
    /// Show it as unread; moves no receipt.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub marked_unread: Option<bool>,
    /// Text that was begun, up to `chat.text_max` characters; the last one written stands.
    #[serde(default, deserialize_with = "cleared", skip_serializing_if = "Option::is_none")]
    pub draft: Option<String>,
}

/// Page of conversations.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct ConversationPage {
    /// Newest message first; pinned ones before, where asked.
    pub items: Vec<Conversation>,
    /// Cursor of the next page; `null` on the last.
    pub next_cursor: Option<String>,
    /// Value of `changed_after` for the next time: what happens from now on is behind it.
    pub changes_cursor: String,
}

/// `GET /v1/conversations/unread`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnreadConversations {
    /// Conversations of the inbox with something unread, or marked as unread; muted ones are not counted.
    pub conversations: u64,
    /// Unread messages in them.
    pub messages: u64,
    /// Messages that name the caller and are unread.
    pub mentions: u64,
    /// Requests that wait for an answer.
    pub requests: u64,
}

/// `POST /v1/conversations/requests/decline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestsDeclined {
    /// Requests and invitations that are declined now.
    pub declined: u64,
    /// Whether there are more: a call declines up to 1,000.
    pub more: bool,
}

/// A member of a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Member {
    /// The person.
    pub user: Author,
    /// Standing of the person.
    pub role: MemberRole,
    /// Moment they joined.
    pub joined_at: Timestamp,
}

/// `PATCH /v1/conversations/{id}/members/{user_id}`.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleChange {
    /// The new role; `owner` hands the group over, and the caller becomes an admin.
    pub role: MemberRole,
}

/// Marks of a member: two numbers that only rise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Receipt {
    /// The member.
    pub user_id: Id,
    /// Everything up to here has reached one of their devices.
    pub delivered_seq: u64,
    /// Everything up to here was read; 0 where one of the two does not share that.
    pub read_seq: u64,
}

/// `POST /v1/conversations/{id}/invites`.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// Moment from which it is good no more; never without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Joinings that it is good for, 1 to 10,000; any number without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10_000)]
    pub max_uses: Option<u32>,
}

/// An invite to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Invite {
    /// The invite, to revoke it by.
    pub id: Id,
    /// Secret that lets in whoever has it; told once, when it is made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Person who made it.
    pub created_by: Id,
    /// Moment from which it is good no more.
    pub expires_at: Option<Timestamp>,
    /// Joinings that it is good for.
    pub max_uses: Option<u32>,
    /// Joinings so far.
    pub uses: u32,
    /// Moment it was made.
    pub created_at: Timestamp,
}

/// `GET /v1/invites/{token}`: a group as whoever has an invite sees it before they join.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteLook {
    /// The group.
    pub conversation_id: Id,
    /// Title, if it has one.
    pub title: Option<String>,
    /// Picture, if it has one.
    pub picture_url: Option<String>,
    /// People in it.
    pub member_count: u64,
    /// Whether the caller is in it already.
    pub joined: bool,
}
