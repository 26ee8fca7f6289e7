//! Bounds of chat.

/// Characters of a group's title; a longer one is refused with 422.
pub const TITLE_CHARS_MAX: usize = 100;
/// Bytes of a client's id of a message; a longer one is refused with 422.
pub const CLIENT_ID_BYTES_MAX: usize = 64;
/// Days for which a send is remembered: the same client's id later is another message.
pub const SEND_DAYS: u64 = 7;
/// Days for which changes to messages are kept; who missed more reads the windows anew.
pub const CHANGE_DAYS: u64 = 14;
/// Kinds of reactions to a message; one more is refused with 422.
pub const REACTION_KINDS_MAX: usize = 20;
/// People named in a reaction; of more the latest.
pub const REACTION_NAMED_MAX: usize = 8;
/// Bytes of an emoji; longer is none.
pub const EMOJI_BYTES_MAX: usize = 64;
/// Pinned messages of a conversation; one more is refused with 422.
pub const PINS_MAX: usize = 50;
/// Messages of a request before it is accepted; further ones are refused with 403.
pub const REQUEST_MESSAGES_MAX: u32 = 3;
/// Invites of a group that are good; one more is refused with 422.
pub const INVITES_MAX: usize = 100;
/// Edits of a message; one more is refused with 422.
pub const EDITS_MAX: u32 = 100;
/// People who were in a group, however long ago: what is loaded of it. One more is refused with 422.
pub const PEOPLE_EVER_MAX: usize = 4_000;
/// Members at most, whatever the setting says: a record makes a row or two for each.
pub const GROUP_MEMBERS_MAX: usize = 1_000;
/// Conversations for whose state an owner's cache makes room at first; small ones may be more.
pub const CONVERSATIONS_CACHED_FIRST: usize = 100_000;
/// Bytes of the states that stay decoded with an owner; the least used make room, and are read again.
pub const CONVERSATIONS_CACHED_BYTES_MAX: u64 = 64 << 20;
/// Damaged conversations that are remembered to have been told of; of others the log tells again.
pub const DAMAGED_TOLD_MAX: usize = 1_000;
/// Rows that a record of a group counts as in a commit: everybody in it may get one, which is once a minute.
pub const GROUP_RECORD_ROWS: usize = 300;
/// Milliseconds of a voice message; a longer one is refused with 422.
pub const VOICE_MS_MAX: u32 = 86_400_000;
/// Characters of a message that a quote shows; the rest is cut off.
pub const QUOTE_CHARS_MAX: usize = 200;
/// Conversations of a person that lists look at, those with the latest activity; older ones are not listed.
pub const LISTED_MAX: usize = 50_000;
/// Heads of conversations that are read at once, to find the order of a list.
pub const HEADS_STEP: usize = 512;
/// Conversations of a list that are read at once.
pub const LIST_STEP: usize = 64;
/// Mentions of a conversation that are counted; beyond, the number stands.
pub const MENTIONS_COUNTED_MAX: usize = 100;
/// Changes to messages in one page.
pub const CHANGES_PAGE_MAX: usize = 500;
/// Joinings that an invite is good for, at most, where it has an end.
pub const INVITE_USES_MAX: u32 = 10_000;
/// Seconds between two messages in slow mode, at most.
pub const SLOW_S_MAX: u32 = 86_400;
/// Conversations whose receipts wait to be told; of others they are not, and are read over HTTP.
pub const RECEIPTS_WAITING_MAX: usize = 100_000;
/// People who are remembered to have written just now; of others it is not told.
pub const TYPISTS_MAX: usize = 100_000;
/// Members up to which it is told who writes.
pub const TYPING_MEMBERS_MAX: u32 = 100;
/// People whose messages, conversations and requests are counted, of each; when so many are active, others pass.
pub const PACED_MAX: usize = 100_000;
/// Requests that are declined by one call; the answer says whether there are more.
pub const DECLINED_AT_ONCE: usize = 1_000;
/// Messages of conversations that nobody is in any more which one round of the janitor looks at for files.
pub const EMPTIED_MESSAGES_MAX: u64 = 4_096;
/// Names of people by which one round of the janitor looks for conversations that were emptied by an earlier version,
/// and conversations of these; further ones wait for the next round.
pub const EMPTIED_PEOPLE_MAX: usize = 4_096;
pub const EMPTIED_HEADS_MAX: usize = 32_768;
/// Rows that are cleaned away at once.
pub const CLEANED_AT_ONCE: usize = 256;
