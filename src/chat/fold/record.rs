//! Records of chat as the log holds them: JSON with a version, so that an older program says what it does not know.
//! Pure.

use fanfare_protocol::{ConversationKind, History, Id, MemberRole, MessageKind};
use serde::{Deserialize, Serialize};

use crate::base::id::unix_ms_of;
use crate::data::rows::chat::{AttachmentRow, Bar, Picture, Said};
use crate::log::events::IdempotencyKey;

/// A record: what somebody asked of a conversation. Whether it came about is its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatRecord {
    /// The record; given by the owner.
    pub id: Id,
    /// Moment that is shown, in milliseconds, where it is not that of the id: of what was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<u64>,
    /// The conversation.
    pub conversation: Id,
    /// Person who did it.
    pub actor: Id,
    /// The act.
    pub act: ChatAct,
    /// Key of the request, of one that may come twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency: Option<Box<IdempotencyKey>>,
    /// Session that asked for it and hears of it by its answer. Not in the log.
    #[serde(skip)]
    pub origin: Option<u64>,
}

impl ChatRecord {
    /// A record to be: its id comes from the owner.
    #[must_use]
    pub const fn new(conversation: Id, actor: Id, act: ChatAct) -> Self {
        Self { id: Id(0), at_ms: None, conversation, actor, act, idempotency: None, origin: None }
    }

    /// Moment that is shown, in milliseconds.
    #[must_use]
    pub fn shown_ms(&self) -> u64 {
        self.at_ms.unwrap_or_else(|| unix_ms_of(self.id))
    }

    /// Minute since the Unix epoch of the id.
    #[must_use]
    pub fn minute(&self) -> u32 {
        u32::try_from(unix_ms_of(self.id) / 60_000).unwrap_or(u32::MAX)
    }
}

/// An act in a conversation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ChatAct {
    /// A conversation was begun, by the actor.
    Created(Beginning),
    /// A message was sent.
    Sent(Box<Sent>),
    /// A message says something else now.
    Edited {
        /// Number of the message.
        seq: u64,
        /// The new words.
        said: Said,
        /// Milliseconds after the message for which that is allowed; ever without.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<u64>,
    },
    /// A message was taken back, by its sender or an admin.
    Recalled {
        /// Number of the message.
        seq: u64,
        /// Milliseconds after the message for which its sender may.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_ms: Option<u64>,
    },
    /// Somebody reacted to a message, or took that back.
    Reacted {
        /// Number of the message.
        seq: u64,
        /// Kind of the reaction.
        emoji: String,
        /// Whether it is there now.
        on: bool,
    },
    /// A message was pinned, or is no more.
    Pinned {
        /// Number of the message.
        seq: u64,
        /// Whether it is pinned now.
        on: bool,
    },
    /// People were added to a group.
    Added {
        /// People who are in it at once.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        members: Vec<Id>,
        /// People who are asked.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        invited: Vec<Id>,
        /// Members that a group has at most.
        members_max: u32,
    },
    /// The actor joined by an invite.
    Joined {
        /// The invite.
        invite: Id,
        /// Members that a group has at most.
        members_max: u32,
    },
    /// The actor left.
    Left {},
    /// Somebody was removed.
    Removed {
        /// The person.
        member: Id,
    },
    /// Somebody has another role.
    RoleChanged {
        /// The person.
        member: Id,
        /// The role.
        role: MemberRole,
    },
    /// The group was handed over.
    OwnerChanged {
        /// The new owner.
        member: Id,
    },
    /// Title, picture or settings changed.
    SettingsChanged(Box<NewSettings>),
    /// An invite was made; it has the record's id.
    InviteMade {
        /// Hash of its token, hexadecimal.
        hash: String,
        /// Moment from which it is good no more, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expires_ms: Option<u64>,
        /// Joinings that it is good for.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_uses: Option<u32>,
    },
    /// An invite is good no more.
    InviteRevoked {
        /// The invite.
        invite: Id,
    },
    /// The actor accepts a request, or an invitation.
    Accepted {
        /// Members that a group has at most; any number in records of before it was asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        members_max: Option<u32>,
    },
    /// The actor does not want it.
    Declined {},
    /// Somebody blocks the other of a direct conversation, or does no more; the actor is that person.
    Barred {
        /// The other.
        other: Id,
        /// Whether the block holds.
        on: bool,
        /// The social record that says so.
        source: Id,
    },
    /// The actor's account is gone.
    Departed {},
    /// Messages of somebody whose account is gone were taken back.
    Erased {
        /// Numbers of the messages, at most [`ERASED_MAX`].
        seqs: Vec<u64>,
    },
}

impl ChatAct {
    /// Whether the members hear of it, and see it among what changed. A block and a declined request are not told to
    /// the other side, and an invite changes nothing that shows.
    #[must_use]
    pub const fn is_news(&self) -> bool {
        !matches!(
            self,
            Self::InviteMade { .. } | Self::InviteRevoked { .. } | Self::Barred { .. } | Self::Declined { .. }
        )
    }
}

/// Messages that one record erases, at most.
pub const ERASED_MAX: usize = 64;

/// A conversation to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Beginning {
    /// Whether it is of two people or of a group.
    pub kind: ConversationKind,
    /// The other members.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Id>,
    /// People who are asked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub invited: Vec<Id>,
    /// Title of a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Part of the history that new members see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// The other of a direct conversation has to accept it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub request: bool,
    /// Blocks between the two of a direct conversation as they were read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bars: Vec<Bar>,
}

/// A message to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sent {
    /// Id that the client chose.
    pub client_id: String,
    /// Hash of what the client sent, hexadecimal.
    pub body: String,
    /// Kind of the message.
    pub kind: MessageKind,
    /// Words.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub said: Said,
    /// Upload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachment: Option<AttachmentRow>,
    /// Moment up to which what it holds or passes on is there to be attached, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attach_until_ms: Option<u64>,
    /// Number of the message that this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<u64>,
    /// Passed on from elsewhere.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
}

fn is_empty(said: &Said) -> bool {
    *said == Said::default()
}

/// Settings of a group that change; what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSettings {
    /// Title; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
    /// The picture goes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_picture: bool,
    /// Part of the history that new members see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<History>,
    /// Only admins write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announcements: Option<bool>,
    /// Seconds between two messages of a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slow_s: Option<u32>,
}
