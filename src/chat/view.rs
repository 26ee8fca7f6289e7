//! From rows to what a member sees: messages with their senders, quotes and reactions, and personal settings.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use fanfare_engines::{Order, RowKey};
use fanfare_protocol::{
    Attachment, Author, ConversationKind, Id, Message, MessageKind, Personal, Quote, Reaction, Timestamp,
};

use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::base::limits::chat::QUOTE_CHARS_MAX;
use crate::data::rows::chat::{AttachmentRow, ChatHead, EditRow, MessageRow, PersonalRow, ReactionRow};
use crate::data::rows::from_json;
use crate::data::tables::chat as keys;
use crate::log::core::Core;
use crate::media::Uploads;

/// Viewer of messages: which of them are theirs to see, and whose reactions are theirs.
#[derive(Debug, Clone, Copy)]
pub struct Viewer {
    /// The person; none for what many get the same of.
    pub id: Option<Id>,
    /// Lowest number that they may see.
    pub visible_from: u64,
}

/// A message's row with its number, and what became of it.
#[derive(Debug, Clone)]
pub struct Stored {
    /// Number of the message.
    pub seq: u64,
    /// Row of the message.
    pub row: MessageRow,
    /// Text as edited.
    pub edit: Option<EditRow>,
    /// Reactions.
    pub reactions: Vec<ReactionRow>,
}

/// Renderer of messages.
#[derive(Clone)]
pub struct MessageViews {
    core: Core,
    media: Uploads,
}

/// The number range of a page within one bucket, split where it crosses buckets.
fn buckets(from: u64, upto: u64) -> impl Iterator<Item = (u64, u64, u64)> {
    (keys::bucket_of(from)..=keys::bucket_of(upto)).map(move |bucket| {
        let (low, high) = keys::numbers_of(bucket);
        (bucket, from.max(low), upto.min(high))
    })
}

impl MessageViews {
    /// Over the rows of `core`; `media` says where uploads are.
    #[must_use]
    pub const fn new(core: Core, media: Uploads) -> Self {
        Self { core, media }
    }

    /// Public short form of a person; without handle and name when the account is gone.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn author(&self, id: Id) -> Result<Author> {
        let account = self.core.store.account(id).await?;
        Ok(account.map_or_else(|| gone(id), |account| account.author.clone()))
    }

    /// Messages from `from` to `upto`, both included, oldest first, as they are stored.
    ///
    /// # Errors
    /// When the engine fails, or a row does not decode.
    pub async fn stored(&self, conversation: Id, from: u64, upto: u64) -> Result<Vec<Stored>> {
        let mut found = Vec::new();
        for (bucket, from, upto) in buckets(from, upto) {
            let (partition, range) = (keys::bucket(conversation, bucket), keys::numbers(from, upto));
            let count = usize::try_from(upto + 1 - from).unwrap_or(usize::MAX);
            let scan = |table, limit| self.core.store.scan(table, &partition, range.clone(), Order::Ascending, limit);
            let (messages, states) = tokio::try_join!(scan(keys::MESSAGES, count), scan(keys::STATES, 2 * count))?;
            let first = found.len();
            for message in messages {
                let Some(seq) = keys::number_in(&message.clustering) else { continue };
                let row = from_json(&message.value)?;
                found.push(Stored { seq, row, edit: None, reactions: Vec::new() });
            }
            for state in states {
                let Some(seq) = keys::number_in(&state.clustering) else { continue };
                let Ok(place) = found[first..].binary_search_by_key(&seq, |stored| stored.seq) else { continue };
                let stored = &mut found[first + place];
                match keys::which_in(&state.clustering) {
                    Some(keys::Which::Text) => stored.edit = Some(from_json(&state.value)?),
                    Some(keys::Which::Reactions) => stored.reactions = from_json(&state.value)?,
                    None => {}
                }
            }
        }
        Ok(found)
    }

    /// A message as it is stored.
    ///
    /// # Errors
    /// As [`stored`](Self::stored).
    pub async fn stored_one(&self, conversation: Id, seq: u64) -> Result<Option<Stored>> {
        Ok(self.stored(conversation, seq, seq).await?.pop())
    }

    /// Messages as `viewer` sees them.
    ///
    /// # Errors
    /// When the engine fails, or a row does not decode.
    pub async fn render(&self, conversation: Id, viewer: Viewer, stored: Vec<Stored>) -> Result<Vec<Message>> {
        let quotes = self.quotes(conversation, viewer, &stored).await?;
        let mine = self.own_reactions(conversation, viewer, &stored).await?;
        let mut authors: HashMap<Id, Author> = HashMap::new();
        for one in &stored {
            if let Entry::Vacant(place) = authors.entry(one.row.by) {
                place.insert(self.author(one.row.by).await?);
            }
        }
        let now_ms = self.core.clock.now_ms();
        let message = |one: Stored| {
            let sender = authors.get(&one.row.by).cloned().unwrap_or_else(|| gone(one.row.by));
            let quote = one.row.reply_to.and_then(|seq| quotes.get(&seq).cloned());
            // What many get the same of says nothing of whose they are.
            let is_mine = |emoji: &str| viewer.id.map(|_| mine.contains(&(one.seq, emoji.to_owned())));
            let reactions = one.reactions.iter().map(|reaction| rendered(reaction, is_mine(&reaction.emoji))).collect();
            let attachment = one.row.attachment.as_ref().map(|row| self.attachment(row, now_ms));
            assemble(conversation, one, sender, quote, (attachment, reactions))
        };
        Ok(stored.into_iter().map(message).collect())
    }

    /// The upload of a message, with addresses that are good from now on for some hours.
    #[must_use]
    pub fn attachment(&self, row: &AttachmentRow, now_ms: u64) -> Attachment {
        let media = self.media.attached(row, now_ms);
        Attachment { media, filename: row.filename.clone(), duration_ms: row.duration_ms }
    }

    /// Quotes of what the messages answer, by number.
    async fn quotes(&self, conversation: Id, viewer: Viewer, stored: &[Stored]) -> Result<HashMap<u64, Quote>> {
        let mut quotes = HashMap::new();
        let numbers: HashSet<u64> = stored.iter().filter_map(|one| one.row.reply_to).collect();
        let numbers: Vec<u64> = numbers.into_iter().collect();
        let message = |seq: &u64| keys::numbered(keys::MESSAGES, conversation, *seq);
        let text = |seq: &u64| keys::state(conversation, *seq, keys::Which::Text);
        let wanted: Vec<RowKey> = numbers.iter().flat_map(|seq| [message(seq), text(seq)]).collect();
        if wanted.is_empty() {
            return Ok(quotes);
        }
        let values = self.core.store.get_many(&wanted).await?;
        for (seq, pair) in numbers.iter().zip(values.chunks(2)) {
            let [Some(row), edit] = pair else { continue };
            let row: MessageRow = from_json(row)?;
            let edit: Option<EditRow> = edit.as_deref().map(from_json).transpose()?;
            quotes.insert(*seq, quote(*seq, row, edit, viewer.visible_from));
        }
        Ok(quotes)
    }

    /// Reactions of the viewer.
    async fn own_reactions(
        &self,
        conversation: Id,
        viewer: Viewer,
        stored: &[Stored],
    ) -> Result<HashSet<(u64, String)>> {
        let Some(viewer) = viewer.id else { return Ok(HashSet::new()) };
        let all = stored.iter().flat_map(|one| one.reactions.iter().map(|reaction| (one.seq, reaction)));
        // Who is among the latest is known without a look.
        let (known, asked): (Vec<_>, Vec<_>) = all.partition(|(_, reaction)| reaction.latest.contains(&viewer));
        let asked: Vec<_> = asked.into_iter().filter(|(_, one)| one.count as usize > one.latest.len()).collect();
        let mut mine: HashSet<_> = known.into_iter().map(|(seq, one)| (seq, one.emoji.clone())).collect();
        if !asked.is_empty() {
            let key = |(seq, one): &(u64, &ReactionRow)| keys::reaction(conversation, *seq, &one.emoji, viewer);
            let values = self.core.store.get_many(&asked.iter().map(key).collect::<Vec<_>>()).await?;
            let found = asked.into_iter().zip(values).filter(|(_, value)| value.is_some());
            mine.extend(found.map(|((seq, one), _)| (seq, one.emoji.clone())));
        }
        Ok(mine)
    }
}

/// Somebody whose account is gone.
fn gone(id: Id) -> Author {
    Author { id, handle: String::new(), display_name: String::new(), avatar_url: None }
}

fn rendered(reaction: &ReactionRow, mine: Option<bool>) -> Reaction {
    let (emoji, count, user_ids) = (reaction.emoji.clone(), u64::from(reaction.count), reaction.latest.clone());
    Reaction { emoji, count, user_ids, mine }
}

fn quote(seq: u64, row: MessageRow, edit: Option<EditRow>, visible_from: u64) -> Quote {
    if seq < visible_from {
        return Quote { seq, sender_id: None, kind: MessageKind::Unknown, text: String::new(), recalled: false };
    }
    let words = edit.map_or(row.words, |edit| edit.words);
    let text = words.text.chars().take(QUOTE_CHARS_MAX).collect();
    Quote { seq, sender_id: Some(row.by), kind: row.kind, text, recalled: row.recalled.is_some() }
}

fn assemble(
    conversation_id: Id,
    stored: Stored,
    sender: Author,
    reply_to: Option<Quote>,
    (attachment, reactions): (Option<Attachment>, Vec<Reaction>),
) -> Message {
    let Stored { seq, row, edit, .. } = stored;
    let edited_at = edit.as_ref().map(|edit| Timestamp(edit.at_ms));
    let words = edit.map_or(row.words, |edit| edit.words);
    Message {
        id: row.id,
        conversation_id,
        seq,
        sender,
        kind: row.kind,
        text: words.text,
        attachment,
        client_id: row.client_id,
        mentions: words.mentions,
        mentions_all: words.all,
        links: words.links,
        reply_to,
        forwarded: row.forwarded,
        reactions,
        edited_at,
        recalled: row.recalled.is_some(),
        recalled_by: row.recalled.filter(|by| *by != row.by),
        system: row.system,
        created_at: Timestamp(row.at_ms),
    }
}

/// Whether a conversation that was read up to `read_seq` is marked as unread: until more is read, be it by speaking.
#[must_use]
pub fn is_marked(row: &PersonalRow, read_seq: u64) -> bool {
    row.unread_at.is_some_and(|at| read_seq <= at)
}

/// Whether a conversation is archived: until a message comes that finds it not muted.
#[must_use]
pub fn is_archived(row: &PersonalRow, head: &ChatHead) -> bool {
    let found_muted = unix_ms_of(head.last_message) < row.muted_until_ms;
    row.archived_at.is_some_and(|seq| head.last_seq <= seq || found_muted)
}

/// Settings that a person keeps to themselves, as they stand while the conversation is at `head` and the person has
/// read up to `read_seq`.
#[must_use]
pub fn personal(row: &PersonalRow, read_seq: u64, head: &ChatHead, now_ms: u64) -> Personal {
    let is_muted = row.muted_until_ms > now_ms;
    Personal {
        muted_until: is_muted.then_some(Timestamp(row.muted_until_ms)),
        notify: row.notify,
        pinned: row.pinned,
        archived: is_archived(row, head),
        marked_unread: is_marked(row, read_seq),
        draft: row.draft.clone(),
    }
}

/// The other of a direct conversation.
#[must_use]
pub fn peer_of(kind: ConversationKind, people: &[Id], viewer: Id) -> Option<Id> {
    if kind == ConversationKind::Direct { people.iter().copied().find(|person| *person != viewer) } else { None }
}
