//! Values of chat's rows of which there are very many: numbers, big-endian, in fixed places.

use bytes::Bytes;
use fanfare_protocol::{ConversationKind, Id, MemberRole};
use serde::{Deserialize, Serialize};

use super::is_zero;

/// Takes big-endian numbers off stored bytes.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn short(&mut self) -> Option<u32> {
        let (first, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*first))
    }

    fn long(&mut self) -> Option<u64> {
        let (first, rest) = self.0.split_first_chunk::<8>()?;
        self.0 = rest;
        Some(u64::from_be_bytes(*first))
    }
}

/// Numbers of a conversation, which change with each of its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "HeadNumbers", into = "HeadNumbers")]
pub struct ChatHead {
    /// The last record applied; the version of the row.
    pub applied: Id,
    /// Number of the newest message.
    pub last_seq: u64,
    /// Number of messages so far that count as unread.
    pub counted: u64,
    /// Number of the newest change.
    pub change_seq: u64,
    /// The newest message.
    pub last_message: Id,
    /// Minute since the Unix epoch in which something happened last.
    pub minute: u32,
    /// Members now.
    pub members: u32,
    /// The last record that its members hear of: a declined request and a block are nobody's news.
    pub news: Id,
}

/// A head in records: numbers in one order; the last of them where it is not the first.
#[derive(Serialize, Deserialize)]
struct HeadNumbers(
    u64,
    u64,
    u64,
    u64,
    u64,
    u32,
    u32,
    #[serde(default, skip_serializing_if = "Option::is_none")] Option<u64>,
);

impl From<HeadNumbers> for ChatHead {
    fn from(numbers: HeadNumbers) -> Self {
        let HeadNumbers(applied, last_seq, counted, change_seq, last_message, minute, members, news) = numbers;
        let (applied, last_message, news) = (Id(applied), Id(last_message), Id(news.unwrap_or(applied)));
        Self { applied, last_seq, counted, change_seq, last_message, minute, members, news }
    }
}

impl From<ChatHead> for HeadNumbers {
    fn from(head: ChatHead) -> Self {
        let ChatHead { applied, last_seq, counted, change_seq, last_message, minute, members, news } = head;
        Self(
            applied.0,
            last_seq,
            counted,
            change_seq,
            last_message.0,
            minute,
            members,
            Some(news.0).filter(|_| news != applied),
        )
    }
}

impl ChatHead {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let longs = [self.applied.0, self.last_seq, self.counted, self.change_seq, self.last_message.0];
        let mut bytes = Vec::with_capacity(56);
        longs.iter().for_each(|long| bytes.extend_from_slice(&long.to_be_bytes()));
        [self.minute, self.members].iter().for_each(|short| bytes.extend_from_slice(&short.to_be_bytes()));
        if self.news != self.applied {
            bytes.extend_from_slice(&self.news.to_bytes());
        }
        bytes.into()
    }

    /// Head in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        let (applied, last_seq, counted) = (Id(words.long()?), words.long()?, words.long()?);
        let (change_seq, last_message) = (words.long()?, Id(words.long()?));
        let (minute, members) = (words.short()?, words.short()?);
        // Where all hear of the last record, as in rows of before, nothing follows.
        let news = words.long().map_or(applied, Id);
        Some(Self { applied, last_seq, counted, change_seq, last_message, minute, members, news })
    }
}

/// Whether somebody is in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Membership {
    /// A member.
    In = 0,
    /// Left, declined, or the account is gone.
    Left = 1,
    /// Removed by an admin.
    Removed = 2,
    /// Asked to join, and has not answered.
    Invited = 3,
}

/// A person in a conversation, or one who was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemberRow {
    /// Standing in a group.
    pub role: MemberRole,
    /// Whether the person is in it.
    pub presence: Membership,
    /// Record by which the person came.
    pub joined: Id,
    /// Lowest number that the person may see.
    pub visible_from: u64,
    /// Number of messages that had been counted when the person came.
    pub counted: u64,
    /// Number of the last message before the person went; 0 while in it.
    pub left_seq: u64,
    /// Moment of the last message while it was slow, in milliseconds.
    pub sent_ms: u64,
    /// Number of the newest message when the person came: what was there counts as read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub came_seq: u64,
}

impl MemberRow {
    /// Whether the person is in it.
    #[must_use]
    pub fn is_in(&self) -> bool {
        self.presence == Membership::In
    }

    /// Number up to which everything counts as read, by their mark: what was there when they came does.
    #[must_use]
    pub fn read_seq(&self, mark: MarkRow) -> u64 {
        mark.seq.max(self.visible_from.saturating_sub(1)).max(self.came_seq)
    }

    /// Whether nothing of the conversation shows to the person any more.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        matches!(self.presence, Membership::Left | Membership::Removed)
    }

    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let role = match self.role {
            MemberRole::Member => 0,
            MemberRole::Admin => 1,
            MemberRole::Owner => 2,
        };
        let mut bytes = vec![role, self.presence as u8];
        let longs = [self.joined.0, self.visible_from, self.counted, self.left_seq, self.sent_ms];
        longs.iter().for_each(|long| bytes.extend_from_slice(&long.to_be_bytes()));
        if self.came_seq > 0 {
            bytes.extend_from_slice(&self.came_seq.to_be_bytes());
        }
        bytes.into()
    }

    /// Member in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        let role = match words.byte()? {
            0 => MemberRole::Member,
            1 => MemberRole::Admin,
            2 => MemberRole::Owner,
            _ => return None,
        };
        let presence = match words.byte()? {
            0 => Membership::In,
            1 => Membership::Left,
            2 => Membership::Removed,
            3 => Membership::Invited,
            _ => return None,
        };
        let (joined, visible_from, counted) = (Id(words.long()?), words.long()?, words.long()?);
        let (left_seq, sent_ms) = (words.long()?, words.long()?);
        // Of who was there from the beginning, as in rows of before, nothing follows.
        let came_seq = words.long().unwrap_or_default();
        Some(Self { role, presence, joined, visible_from, counted, left_seq, sent_ms, came_seq })
    }
}

/// A send: what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendRow {
    /// The record; the version of the row.
    pub record: Id,
    /// Number of the message; 0 when it was refused.
    pub seq: u64,
    /// Why it was refused, as `Refusal` numbers it; 0 when it was not.
    pub refused: u8,
    /// Hash of what was sent.
    pub body: [u8; 16],
}

impl SendRow {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        [self.record.to_bytes().as_slice(), &self.seq.to_be_bytes(), &[self.refused], &self.body].concat().into()
    }

    /// Send in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        let (record, seq, refused) = (Id(words.long()?), words.long()?, words.byte()?);
        Some(Self { record, seq, refused, body: *words.0.first_chunk()? })
    }
}

/// Activity of a conversation in a person's list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ActivityRow {
    /// Minute since the Unix epoch in which something happened last.
    pub minute: u32,
    /// Whether it is of two people or of a group.
    pub kind: ConversationKind,
    /// The person is in it no more.
    pub gone: bool,
}

impl ActivityRow {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let kind = u8::from(self.kind == ConversationKind::Group);
        [self.minute.to_be_bytes().as_slice(), &[kind, u8::from(self.gone)]].concat().into()
    }

    /// Activity in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        let minute = words.short()?;
        let kind = if words.byte()? == 0 { ConversationKind::Direct } else { ConversationKind::Group };
        Some(Self { minute, kind, gone: words.byte()? != 0 })
    }
}

/// Mark of a member: a number, and how many messages counted up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MarkRow {
    /// Everything up to here; the version of the row.
    pub seq: u64,
    /// Messages that count as unread, up to that one.
    pub counted: u64,
}

impl MarkRow {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        [self.seq, self.counted].map(u64::to_be_bytes).concat().into()
    }

    /// Mark in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        Some(Self { seq: words.long()?, counted: words.long()? })
    }
}

/// A change to a message that was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChangeRow {
    /// The record.
    pub record: Id,
    /// Number of the message.
    pub seq: u64,
    /// Kind, as `Changed` numbers it.
    pub kind: u8,
}

impl ChangeRow {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        [self.record.to_bytes().as_slice(), &self.seq.to_be_bytes(), &[self.kind]].concat().into()
    }

    /// Change in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        Some(Self { record: Id(words.long()?), seq: words.long()?, kind: words.byte()? })
    }
}

/// The first message and the first change of a conversation in an hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourRow {
    /// Number of the first message, were there one.
    pub seq: u64,
    /// Number of the first change, were there one.
    pub change: u64,
}

impl HourRow {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        [self.seq, self.change].map(u64::to_be_bytes).concat().into()
    }

    /// Numbers in stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        Some(Self { seq: words.long()?, change: words.long()? })
    }
}

/// A conversation that nobody is in any more, and how far what it holds was let go of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmptiedRow {
    /// Record by which the last one went.
    pub record: Id,
    /// Number of the next message to be looked at.
    pub next: u64,
}

impl EmptiedRow {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        [self.record.0, self.next].map(u64::to_be_bytes).concat().into()
    }

    /// Value of stored bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut words = Words(bytes);
        Some(Self { record: Id(words.long()?), next: words.long()? })
    }

    /// Version of the row: of the record, and above it with each message that was looked at.
    #[must_use]
    pub const fn version(self) -> u64 {
        self.record.0 + self.next - 1
    }
}
