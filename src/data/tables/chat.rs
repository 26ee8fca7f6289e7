//! Tables of chat and their keys. A conversation's rows are written by the records of its partition, in the store of
//! chat's family; receipts and what people keep to themselves have no records.
//!
//! Messages, and what became of them, stand in buckets of 2^14 numbers, so that no partition grows without bound.

use bytes::Bytes;
use fanfare_engines::{KeyRange, RowKey, Table};
use fanfare_protocol::{ConversationKind, Id};
use sha2::{Digest, Sha256};

use super::partition;

/// Declares chat's tables with their stored numbers.
macro_rules! tables {
    ($($(#[$doc:meta])* $name:ident = $id:literal, $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Table = Table { id: $id, name: $text };)*
        /// Every table of chat.
        pub const ALL: &[Table] = &[$($name),*];
    };
}

tables! {
    /// conversation → `ChatHead`: numbers that change with each record; versioned by record, as rows of records are.
    HEADS = 100, "chat_heads";
    /// conversation → `Info`: kind, title, settings, pins.
    INFOS = 101, "chat_infos";
    /// conversation, user → `MemberRow`.
    MEMBERS = 102, "chat_members";
    /// (conversation, bucket), number → `MessageRow`.
    MESSAGES = 103, "chat_messages";
    /// (conversation, bucket), (number, which) → what became of a message: its text as edited, or its reactions.
    STATES = 104, "chat_states";
    /// (conversation, number of the message), number of the edit → `EditRow`.
    EDITS = 105, "chat_edits";
    /// (conversation, number of the message), (emoji, user) → nothing.
    REACTIONS = 106, "chat_reactions";
    /// (conversation, bucket), number of the change → `ChangeRow`; kept for 14 days.
    CHANGES = 107, "chat_changes";
    /// conversation, (sender, hash of the client's id) → `SendRow`; kept for 7 days.
    SENDS = 108, "chat_sends";
    /// user, conversation → `ActivityRow`: the minute in which something happened there last.
    ACTIVITY = 109, "chat_activity";
    /// conversation, (user, which) → `MarkRow`; no record, versioned by its number: it only moves forward.
    MARKS = 110, "chat_marks";
    /// user, conversation → `PersonalRow`; no record, its version is minted.
    PERSONAL = 111, "chat_personal";
    /// user, message → conversation and number: where somebody was named.
    MENTIONS = 112, "chat_mentions";
    /// user, (conversation, number) → nothing: the same by conversation, to be counted.
    MENTIONED = 113, "chat_mentioned";
    /// hash of an invite's token → conversation and invite.
    INVITES = 114, "chat_invites";
    /// conversation, invite → `InviteRow`.
    INVITES_OF = 115, "chat_invites_of";
    /// media, (conversation, number) → nothing: uses of an upload.
    MEDIA_USES = 116, "chat_media_uses";
    /// hour, conversation → `HourRow`: the first message and change of a conversation in an hour, for the janitor.
    HOURS = 117, "chat_hours";
    /// hour, (conversation, sender, hash) → nothing: sends that were refused in that hour, for the janitor.
    REFUSALS = 118, "chat_refusals";
    /// user → `PreferencesRow`; no record, its version is minted.
    PREFERENCES = 119, "chat_preferences";
    /// user, conversation → id of when something changed there that only the person sees; versioned by it.
    TOUCHED = 120, "chat_touched";
    /// media → record by which a use of it ended last; versioned by it.
    MEDIA_ENDS = 121, "chat_media_ends";
    /// hour, (moment, media) → nothing: when it is to be looked at whether a private upload is used.
    MEDIA_CHECKS = 122, "chat_media_checks";
    /// one partition, conversation → `EmptiedRow`: nobody is in it any more, and what it holds is let go of.
    EMPTIED = 123, "chat_emptied";
}

/// Bits of a number within its bucket.
const BUCKET_BITS: u32 = 14;

/// The only row of a conversation.
#[must_use]
pub fn of_conversation(table: Table, conversation: Id) -> RowKey {
    RowKey::single(table, partition(conversation))
}

/// Bucket of a number.
#[must_use]
pub const fn bucket_of(number: u64) -> u64 {
    number >> BUCKET_BITS
}

/// The lowest and the highest number of a bucket.
#[must_use]
pub const fn numbers_of(bucket: u64) -> (u64, u64) {
    let low = bucket << BUCKET_BITS;
    (low, low + ((1 << BUCKET_BITS) - 1))
}

/// Partition of a bucket of a conversation.
#[must_use]
pub fn bucket(conversation: Id, bucket: u64) -> Bytes {
    Bytes::from([conversation.to_bytes(), bucket.to_be_bytes()].concat())
}

/// Row of a number in its bucket: a message, or a change.
#[must_use]
pub fn numbered(table: Table, conversation: Id, number: u64) -> RowKey {
    RowKey::new(table, bucket(conversation, bucket_of(number)), Bytes::copy_from_slice(&number.to_be_bytes()))
}

/// Rows of numbers of a bucket from `from` to `upto`, both included.
#[must_use]
pub fn numbers(from: u64, upto: u64) -> KeyRange {
    let to = upto.checked_add(1).map(|to| Bytes::copy_from_slice(&to.to_be_bytes()));
    KeyRange { from: Some(Bytes::copy_from_slice(&from.to_be_bytes())), to }
}

/// Number in a clustering key that begins with one.
#[must_use]
pub fn number_in(clustering: &[u8]) -> Option<u64> {
    clustering.first_chunk::<8>().map(|number| u64::from_be_bytes(*number))
}

/// Part of what became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Which {
    /// Text as edited.
    Text = 0,
    /// Reactions.
    Reactions = 1,
}

/// Row of what became of a message.
#[must_use]
pub fn state(conversation: Id, number: u64, which: Which) -> RowKey {
    let mut clustering = number.to_be_bytes().to_vec();
    clustering.push(which as u8);
    RowKey::new(STATES, bucket(conversation, bucket_of(number)), clustering)
}

/// Part that a row of [`STATES`] tells of.
#[must_use]
pub fn which_in(clustering: &[u8]) -> Option<Which> {
    match clustering.get(8) {
        Some(0) => Some(Which::Text),
        Some(1) => Some(Which::Reactions),
        _ => None,
    }
}

/// Partition of one message.
#[must_use]
pub fn message_partition(conversation: Id, number: u64) -> Bytes {
    bucket(conversation, number)
}

/// Row of an edit of a message.
#[must_use]
pub fn edit(conversation: Id, message: u64, edit: u32) -> RowKey {
    RowKey::new(EDITS, message_partition(conversation, message), Bytes::copy_from_slice(&edit.to_be_bytes()))
}

/// Row of a person's reaction to a message.
#[must_use]
pub fn reaction(conversation: Id, message: u64, emoji: &str, user: Id) -> RowKey {
    let clustering = [emoji.as_bytes(), &[0], &user.to_bytes()].concat();
    RowKey::new(REACTIONS, message_partition(conversation, message), clustering)
}

/// Kind and person of a row of [`REACTIONS`].
#[must_use]
pub fn reaction_in(clustering: &[u8]) -> Option<(&str, Id)> {
    let (emoji, user) = clustering.split_at_checked(clustering.len().checked_sub(9)?)?;
    Some((std::str::from_utf8(emoji).ok()?, Id::from_bytes(user.get(1..)?)?))
}

/// Row of `user` in a conversation's partition.
#[must_use]
pub fn member(conversation: Id, user: Id) -> RowKey {
    super::pair(MEMBERS, conversation, user)
}

/// Hash of a client's id as keys hold it.
fn client_hash(client_id: &str) -> [u8; 16] {
    hash_of(client_id.as_bytes())
}

/// First half of the SHA-256 of `bytes`.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> [u8; 16] {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    let (half, _) = digest.split_at(16);
    half.try_into().unwrap_or([0; 16])
}

/// Row of a send.
#[must_use]
pub fn send(conversation: Id, sender: Id, client_id: &str) -> RowKey {
    let clustering = [sender.to_bytes().as_slice(), &client_hash(client_id)].concat();
    RowKey::new(SENDS, partition(conversation), clustering)
}

/// Row of a request that made a conversation and may come again with its key; it stands as a send of the person to
/// themselves, whose id no conversation has.
#[must_use]
pub fn request(person: Id, key: &str) -> RowKey {
    send(person, person, key)
}

/// Row by which that of a request goes, with those that were refused in `hour`.
#[must_use]
pub fn request_end(hour: u32, person: Id, key: &str) -> RowKey {
    refusal(hour, person, person, key)
}

/// Row of a send that was refused in `hour`.
#[must_use]
pub fn refusal(hour: u32, conversation: Id, sender: Id, client_id: &str) -> RowKey {
    let clustering = [conversation.to_bytes().as_slice(), &sender.to_bytes(), &client_hash(client_id)].concat();
    RowKey::new(REFUSALS, super::hour_partition(hour), clustering)
}

/// Kind of mark of a member in a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum MarkOf {
    /// Newest message that reached one of their devices.
    Delivered = 0,
    /// Newest message that they have read.
    Read = 1,
}

/// Row of a member's mark.
#[must_use]
pub fn mark(conversation: Id, user: Id, which: MarkOf) -> RowKey {
    let mut clustering = user.to_bytes().to_vec();
    clustering.push(which as u8);
    RowKey::new(MARKS, partition(conversation), clustering)
}

/// Row of a mention by conversation.
#[must_use]
pub fn mentioned(user: Id, conversation: Id, number: u64) -> RowKey {
    RowKey::new(MENTIONED, partition(user), bucket(conversation, number))
}

/// Rows of [`MENTIONED`] in a conversation above `number`.
#[must_use]
pub fn mentioned_above(conversation: Id, number: u64) -> KeyRange {
    let from = bucket(conversation, number.saturating_add(1));
    let to = conversation.0.checked_add(1).map(|next| Bytes::copy_from_slice(&next.to_be_bytes()));
    KeyRange { from: Some(from), to }
}

/// Row of an invite's token, by its hash.
#[must_use]
pub fn invite(token_hash: &[u8]) -> RowKey {
    RowKey::single(INVITES, token_hash.to_vec())
}

/// Row of an hour in which something happened in a conversation.
#[must_use]
pub fn hour(hour: u32, conversation: Id) -> RowKey {
    RowKey::new(HOURS, super::hour_partition(hour), partition(conversation))
}

/// Row of a conversation that nobody is in any more.
#[must_use]
pub fn emptied(conversation: Id) -> RowKey {
    RowKey::new(EMPTIED, super::ONE, partition(conversation))
}

/// Row of a use of an upload.
#[must_use]
pub fn media_use(media: Id, conversation: Id, number: u64) -> RowKey {
    RowKey::new(MEDIA_USES, partition(media), bucket(conversation, number))
}

/// Row of the last end of a use of an upload.
#[must_use]
pub fn media_end(media: Id) -> RowKey {
    RowKey::single(MEDIA_ENDS, partition(media))
}

/// Row that says when a private upload is to be looked at, in milliseconds.
#[must_use]
pub fn media_check(due_ms: u64, media: Id) -> RowKey {
    let hour = u32::try_from(due_ms / 3_600_000).unwrap_or(u32::MAX);
    RowKey::new(MEDIA_CHECKS, super::hour_partition(hour), bucket(Id(due_ms), media.0))
}

/// Moment and upload of a row of [`MEDIA_CHECKS`].
#[must_use]
pub fn media_check_in(clustering: &[u8]) -> Option<(u64, Id)> {
    Some((number_in(clustering)?, clustering.get(8..).and_then(Id::from_bytes)?))
}

/// Highest bit of ids of direct conversations, which follow from their pair; ids by time reach it in 2044.
const DIRECT: u64 = 1 << 62;

/// Id of the direct conversation of a pair, whoever asks first.
#[must_use]
pub fn direct_id(one: Id, other: Id) -> Id {
    let (low, high) = if one.0 <= other.0 { (one, other) } else { (other, one) };
    let hash = hash_of(&[b"direct".as_slice(), &low.to_bytes(), &high.to_bytes()].concat());
    let number = hash.first_chunk::<8>().map_or(0, |head| u64::from_be_bytes(*head));
    Id((number & (DIRECT - 1)) | DIRECT)
}

/// Kind of a conversation, by its id.
#[must_use]
pub const fn kind_of(conversation: Id) -> ConversationKind {
    if conversation.0 & DIRECT == 0 { ConversationKind::Group } else { ConversationKind::Direct }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_conversation_whoever_asks_and_its_id_is_on_the_wire_as_any() {
        let id = direct_id(Id(7), Id(9));
        assert_eq!(id, direct_id(Id(9), Id(7)));
        assert_ne!(id, direct_id(Id(7), Id(8)));
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn numbers_of_a_bucket_stand_in_their_order() {
        let key = |number| numbered(MESSAGES, Id(5), number);
        assert_eq!(key(1).partition, key((1 << 14) - 1).partition);
        assert_ne!(key(1).partition, key(1 << 14).partition);
        assert!(key(255).clustering < key(256).clustering);
        assert_eq!(number_in(&key(256).clustering), Some(256));
        assert_eq!(which_in(&state(Id(5), 3, Which::Reactions).clustering), Some(Which::Reactions));
    }
}
