//! Rows of people's lists of notifications, and what they consist of.

use fanfare_protocol::{Id, NotificationKind};
use serde::{Deserialize, Serialize};

/// Notification of one event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationRow {
    /// Kind of event.
    pub kind: NotificationKind,
    /// Person who did it, the latest.
    pub actor: Id,
    /// Post that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub post: Option<Id>,
    /// Events it stands for: one, but for groups that earlier versions listed under the newest event.
    pub count: u64,
    /// Position in the list of all ever made for this person, from 1.
    pub seq: u64,
    /// Conversation that it is about, and the record there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<ChatNews>,
}

/// Record of a conversation that somebody is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatNews {
    /// The conversation.
    pub conversation: Id,
    /// The record, by which the person came to be in it, or to be asked.
    pub record: Id,
}

/// State of a person's list of notifications.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotificationState {
    /// Items ever made.
    pub seq: u64,
    /// The last record applied.
    pub applied: Id,
}

/// Group: an item of the list that stands for many. Each deed in it stands in one place: among the newest, with who is
/// known, or in a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupItem {
    /// Kind of the deeds.
    pub kind: NotificationKind,
    /// Position in the list of all ever made for the person, from 1; that of its newest event.
    pub seq: u64,
    /// The first record in it: those before are listed one by one.
    pub began: Id,
    /// The latest, newest first.
    pub newest: Vec<Doer>,
    /// People beyond those who can be told apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<Known>,
    /// Deeds beyond those.
    pub more: u64,
    /// The newest record beyond those.
    pub below: Id,
}

/// Person and record of something that a group is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doer {
    /// Person who did it.
    #[serde(rename = "by")]
    pub actor: Id,
    /// The record by which they did it: of a reply, a repost or a mention, the post.
    #[serde(rename = "in")]
    pub record: Id,
    /// An earlier record that it counts as: it was taken back and done again, which is no news.
    #[serde(rename = "as", default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<Id>,
}

/// Person of a group beyond its newest, and how often they are in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// Person who did it.
    #[serde(rename = "by")]
    pub actor: Id,
    /// Number of deeds, without what stands among the newest.
    #[serde(rename = "n")]
    pub deeds: u64,
}

/// Memory of a group: one kind about one subject, while the hour lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMemory {
    /// Events that were news so far.
    pub events: u64,
    /// People who took it back, and what they had done first: again is no news. Of format 1: since then each page of
    /// them is a row, as a [`LeftPage`], and here they are a number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// People in pages.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub paged: usize,
    /// More than can be remembered took it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
}

/// Some of those who took back what a group of notifications is about, while its hour lasts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftPage {
    /// People, in the order in which they first took it back.
    pub left: Vec<Left>,
}

/// Person who took back what they did, and the record by which they had done it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Person who did it.
    #[serde(rename = "by")]
    pub actor: Id,
    /// The first record by which they did it in this hour.
    #[serde(rename = "in")]
    pub first: Id,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(number: &usize) -> bool {
    *number == 0
}
