//! Outcomes of chat's records: what folding one gave. With the record it is all that its rows follow from. Pure.

use fanfare_protocol::{Id, SystemEvent};
use serde::{Deserialize, Serialize};

use crate::chat::audience::Hearers;
use crate::data::rows::chat::{ChatHead, HourRow, Info, InviteRow, MemberRow, MessageRow, ReactionRow};

/// Why a record changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatRefusal {
    /// Conversation that is not there, or not for the actor.
    NotFound,
    /// Message that is not there, or not for the actor.
    NoMessage,
    /// Member who is none.
    NoMember,
    /// Invite that is none, or good no more.
    NoInvite,
    /// The actor's role does not allow it.
    Role,
    /// Block between the two of a direct conversation, or a request that was not accepted.
    Closed,
    /// Only admins write.
    Announcements,
    /// Client's id that was used with another body.
    Reused,
    /// The message is of a kind that cannot be changed, or was recalled.
    Fixed,
    /// The time for it is over.
    TooLate,
    /// The message answered is none, or cannot be answered.
    ReplyTo,
    /// Room for more is not there.
    Full,
    /// Act that a conversation of this kind does not have.
    Kind,
    /// The upload is not there to be attached any more, nor is what was to be passed on.
    NoMedia,
    /// Too soon after the sender's last message: come back after so many seconds.
    Slow(u32),
}

impl ChatRefusal {
    /// Number in the row of a send that was refused. A sender who was too fast may try again: that is not remembered.
    #[must_use]
    pub const fn code(self) -> Option<u8> {
        Some(match self {
            Self::NotFound => 1,
            Self::Closed => 2,
            Self::Announcements => 3,
            Self::ReplyTo => 4,
            Self::Kind => 5,
            Self::NoMedia => 6,
            Self::NoMessage
            | Self::NoMember
            | Self::NoInvite
            | Self::Role
            | Self::Reused
            | Self::Fixed
            | Self::TooLate
            | Self::Full
            | Self::Slow(_) => return None,
        })
    }

    /// Name in metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::NoMessage => "no_message",
            Self::NoMember => "no_member",
            Self::NoInvite => "no_invite",
            Self::Role => "role",
            Self::Closed => "closed",
            Self::Announcements => "announcements",
            Self::Reused => "reused",
            Self::Fixed => "fixed",
            Self::TooLate => "too_late",
            Self::ReplyTo => "reply_to",
            Self::Full => "full",
            Self::Kind => "kind",
            Self::NoMedia => "no_media",
            Self::Slow(_) => "slow",
        }
    }

    /// The refusal of a number.
    #[must_use]
    pub const fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::NotFound,
            2 => Self::Closed,
            3 => Self::Announcements,
            4 => Self::ReplyTo,
            5 => Self::Kind,
            6 => Self::NoMedia,
            _ => return None,
        })
    }
}

/// Kind of a change to a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ChangeOf {
    /// Words.
    Edited = 1,
    /// Recall.
    Recalled = 2,
    /// Reactions.
    Reacted = 3,
    /// Pin.
    Pinned = 4,
    /// End of a pin.
    Unpinned = 5,
}

/// Outcome of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatOutcome {
    /// Why nothing came about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<ChatRefusal>,
    /// Record by which it came about before, and the number that it had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<(Id, u64)>,
    /// Numbers of the conversation after it, where they changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head: Option<ChatHead>,
    /// Information after it, where that changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Box<Info>>,
    /// Members after it who changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<(Id, MemberRow)>,
    /// People in whose lists it shows that something happened in this minute.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<Id>,
    /// Numbers of the next message and change, for the first record of an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hour: Option<(u64, u64)>,
    /// Number of the message that it placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    /// The system message that it placed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<Box<SystemEvent>>,
    /// People whom the message newly names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<Id>,
    /// The message names everybody: the sender may.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Messages that are another now, or were recalled, with what remains of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remains: Vec<(u64, MessageRow, u32)>,
    /// Uses of uploads that ended: number of the message, and the upload.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ended: Vec<(u64, Id)>,
    /// The message that was edited, and the number of the edit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited: Option<(Id, u32)>,
    /// Reactions to the message after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reactions: Option<Vec<ReactionRow>>,
    /// The invite after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invite: Option<(Id, Box<InviteRow>)>,
    /// Nobody is in it any more, nor asked to be.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub emptied: bool,
    /// People when it was folded: to whom it is told. Not in the log.
    #[serde(skip)]
    pub audience: Option<Box<Hearers>>,
}

impl ChatOutcome {
    /// A refusal.
    #[must_use]
    pub fn refused(refusal: ChatRefusal) -> Self {
        Self { refused: Some(refusal), ..Self::default() }
    }

    /// Whether it changed the conversation.
    #[must_use]
    pub const fn came_about(&self) -> bool {
        self.refused.is_none() && self.repeat.is_none() && self.head.is_some()
    }

    /// First numbers of the hour.
    #[must_use]
    pub fn hour_row(&self) -> Option<HourRow> {
        self.hour.map(|(seq, change)| HourRow { seq, change })
    }
}
