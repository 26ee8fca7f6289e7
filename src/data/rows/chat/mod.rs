//! Values of chat's rows: fixed bytes where there are very many (`fixed`), JSON where people write.

mod fixed;

use fanfare_protocol::{
    ConversationKind, History, Id, LastSeen, MediaKind, Mention, MessageKind, Notify, SystemEvent, WhoMay,
};
use serde::{Deserialize, Serialize};

pub use self::fixed::{ActivityRow, ChangeRow, ChatHead, EmptiedRow, HourRow, MarkRow, MemberRow, Membership, SendRow};

/// A block between the two people of a direct conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bar {
    /// Person who blocks.
    pub by: Id,
    /// The social record that said it last, or the horizon at which it was read.
    pub source: Id,
    /// Whether it holds.
    pub on: bool,
}

/// Information about a conversation that changes seldom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Info {
    /// Whether it is of two people or of a group.
    pub kind: ConversationKind,
    /// Record that made it; none of a direct conversation that is known by its blocks alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<Id>,
    /// Moment it was made, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub at_ms: u64,
    /// Title of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Picture of a group: an upload, and its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// Part of the history that new members see.
    #[serde(default, skip_serializing_if = "is_default")]
    pub history: History,
    /// Only admins write.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub announcements: bool,
    /// Seconds between two messages of a member.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub slow_s: u32,
    /// Pinned messages, the latest last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<u64>,
    /// Person of a direct conversation who has not accepted it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<Id>,
    /// Whether that person does not want it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub declined: bool,
    /// Messages that were sent before it was accepted.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub requested: u32,
    /// Blocks between the two of a direct conversation.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
    /// Invites that are good.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub invites: u32,
}

/// Picture of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Picture {
    /// The upload.
    pub media: Id,
    /// Address that it is served under.
    pub url: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn is_zero_u32(number: &u32) -> bool {
    *number == 0
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Info {
    /// A conversation of which nothing is known yet.
    #[must_use]
    pub const fn new(kind: ConversationKind) -> Self {
        Self {
            kind,
            created: None,
            at_ms: 0,
            title: None,
            picture: None,
            history: History::FromJoin,
            announcements: false,
            slow_s: 0,
            pins: Vec::new(),
            pending: None,
            declined: false,
            requested: 0,
            bars: Vec::new(),
            invites: 0,
        }
    }

    /// Whether a block stops messages.
    #[must_use]
    pub fn is_barred(&self) -> bool {
        self.bars.iter().any(|bar| bar.on)
    }
}

/// Upload in a message, as it is remembered there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttachmentRow {
    /// The upload.
    pub id: Id,
    /// Picture or file.
    pub kind: MediaKind,
    /// Found from the bytes.
    pub content_type: String,
    /// Size as served.
    pub bytes: u64,
    /// Pixels across and down, for images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<(u32, u32)>,
    /// Whether there is a small picture.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub thumbnail: bool,
    /// Name that the uploader gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Alternative text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
    /// Milliseconds, of a voice message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u32>,
}

/// Words of a message, and what was found in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// The words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
    /// People named in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// Names everybody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Members whom `all` does not name, for a block stands between.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<Id>,
    /// Addresses found in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
}

impl Said {
    /// Whether the words name somebody, by handle or with everybody.
    #[must_use]
    pub fn names(&self, person: Id) -> bool {
        self.all && !self.except.contains(&person) || self.mentions.iter().any(|mention| mention.id == person)
    }
}

/// A message as it was sent, or what is left of one that was recalled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MessageRow {
    /// The message: its record.
    pub id: Id,
    /// Moment that is shown, in milliseconds.
    pub at_ms: u64,
    /// Person who sent it.
    pub by: Id,
    /// Messages that count as unread, up to this one.
    pub counted: u64,
    /// Kind of the message.
    pub kind: MessageKind,
    /// Words.
    #[serde(default, skip_serializing_if = "is_default")]
    pub words: Said,
    /// Id that the client chose.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub client_id: String,
    /// Upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<AttachmentRow>,
    /// Number of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Passed on from elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Event that a system message tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemEvent>,
    /// Person who took it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recalled: Option<Id>,
}

/// Text of a message as edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EditRow {
    /// Number of the edit, from 1.
    pub number: u32,
    /// Moment of the edit, in milliseconds.
    pub at_ms: u64,
    /// Words.
    pub words: Said,
}

/// Reactions of one kind to a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReactionRow {
    /// The kind.
    pub emoji: String,
    /// People who chose it.
    pub count: u32,
    /// Some of them, the latest last.
    pub latest: Vec<Id>,
}

/// Settings of one person for one conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonalRow {
    /// Version of the row.
    pub version: Id,
    /// End of the silence, in milliseconds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub muted_until_ms: u64,
    /// Messages that the person wants to hear of.
    #[serde(default, skip_serializing_if = "is_default")]
    pub notify: Notify,
    /// Shown first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pinned: bool,
    /// Archived while this was the newest message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived_at: Option<u64>,
    /// Hidden while this was the newest message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hidden_at: Option<u64>,
    /// Marked as unread while this was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unread_at: Option<u64>,
    /// Text that was begun.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub draft: String,
}

/// Preferences of a person in chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreferencesRow {
    /// Version of the row.
    #[serde(default)]
    pub version: Id,
    /// People who may begin a direct conversation with the person; the operator's default where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who_may_message: Option<WhoMay>,
    /// People who may add the person to groups; likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who_may_add: Option<WhoMay>,
    /// Whether others do not see what the person has read, nor the person what others have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_receipts: bool,
    /// People who see whether the person is there, and when they were last.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_seen: LastSeen,
}

/// An invite to a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InviteRow {
    /// Hash of the token, hexadecimal.
    pub hash: String,
    /// Person who made it.
    pub by: Id,
    /// Moment it was made, in milliseconds.
    pub at_ms: u64,
    /// Moment from which it is good no more, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Joinings that it is good for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<u32>,
    /// Joinings so far.
    #[serde(default, skip_serializing_if = "is_zero_u32")]
    pub uses: u32,
    /// Good no more.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revoked: bool,
}

impl InviteRow {
    /// Whether it lets anybody in at `now_ms`.
    #[must_use]
    pub fn is_good(&self, now_ms: u64) -> bool {
        let is_used_up = self.max_uses.is_some_and(|max| self.uses >= max);
        !self.revoked && !is_used_up && self.expires_ms.is_none_or(|end| now_ms < end)
    }
}
