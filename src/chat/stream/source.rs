//! Items that a person missed of their conversations: minutes of activity name those in which something happened, their
//! heads say how far they have come, and messages and changes above the mark are read.

use async_trait::async_trait;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{ConversationKind, Gap, Id, Stream};

use super::{change_frame, message_frame};
use crate::base::error::Result;
use crate::base::limits::realtime::{GAP_COUNT_MAX, REPLAY_ITEMS_MAX};
use crate::chat::service::{Chat, Heard};
use crate::chat::view::{Stored, Viewer};
use crate::data::rows::chat::ChangeRow;
use crate::data::tables::chat as keys;
use crate::realtime::{Frame, Missed, Source};

/// Rows of messages and changes that are read at once.
const STEP: u64 = 64;

/// The source of one of the two streams.
pub struct ChatSource {
    chat: Chat,
    stream: Stream,
}

/// Something that was missed of a conversation.
enum Item {
    Message(Box<Stored>),
    Change { seq: u64, change_seq: u64 },
}

impl ChatSource {
    /// Of the conversations of a kind.
    #[must_use]
    pub const fn new(chat: Chat, kind: ConversationKind) -> Self {
        let stream = match kind {
            ConversationKind::Direct => Stream::Direct,
            ConversationKind::Group => Stream::Group,
        };
        Self { chat, stream }
    }

    const fn kind(&self) -> ConversationKind {
        match self.stream {
            Stream::Direct => ConversationKind::Direct,
            _ => ConversationKind::Group,
        }
    }

    /// Items of a conversation above `after` and up to `upto`, oldest first, with keys; about `limit`.
    async fn happened(&self, of: &Heard, after: Id, upto: Id, limit: usize) -> Result<Vec<(Id, Item)>> {
        let mut found = Vec::new();
        let mut below = of.last_seq + 1;
        'messages: while below > of.visible_from && found.len() < limit {
            let from = below.saturating_sub(STEP).max(of.visible_from);
            for stored in self.chat.views().stored(of.id, from, below - 1).await?.into_iter().rev() {
                if stored.row.id <= after {
                    break 'messages;
                }
                if stored.row.id <= upto {
                    found.push((stored.row.id, Item::Message(Box::new(stored))));
                }
            }
            below = from;
        }
        found.reverse();
        let messages = found.len();
        let mut below = of.change_seq + 1;
        'changes: while below > 1 && found.len() < messages + limit {
            let from = below.saturating_sub(STEP).max(1);
            let rows = self.changes(of.id, from, below - 1).await?;
            if rows.is_empty() {
                break; // no longer kept
            }
            for (change_seq, row) in rows.into_iter().rev() {
                if row.record <= after {
                    break 'changes;
                }
                if row.record <= upto && row.seq >= of.visible_from {
                    found.push((row.record, Item::Change { seq: row.seq, change_seq }));
                }
            }
            below = from;
        }
        found[messages..].reverse();
        Ok(found)
    }

    /// Changes from `from` to `upto`, as far as they are kept.
    async fn changes(&self, id: Id, from: u64, upto: u64) -> Result<Vec<(u64, ChangeRow)>> {
        let mut found = Vec::new();
        for bucket in keys::bucket_of(from)..=keys::bucket_of(upto) {
            let (partition, range): (_, KeyRange) = (keys::bucket(id, bucket), keys::numbers(from, upto));
            for row in self.chat.scan(keys::CHANGES, &partition, range, Order::Ascending, STEP as usize).await? {
                if let (Some(number), Some(change)) =
                    (keys::number_in(&row.clustering), ChangeRow::from_bytes(&row.value))
                {
                    found.push((number, change));
                }
            }
        }
        Ok(found)
    }

    /// Frames of what happened in a conversation.
    async fn frames(&self, of: &Heard, items: Vec<(Id, Item)>, frames: &mut Vec<Frame>) -> Result<()> {
        let now_ms = self.chat.now_ms();
        let viewer = Viewer { id: None, visible_from: of.visible_from };
        let (mut messages, mut changes) = (Vec::new(), Vec::new());
        for (key, item) in items {
            match item {
                Item::Message(stored) => messages.push(*stored),
                Item::Change { seq, change_seq } => changes.push((key, seq, change_seq)),
            }
        }
        for message in self.chat.views().render(of.id, viewer, messages).await? {
            frames.push(message_frame(message, now_ms));
        }
        for (key, seq, change_seq) in changes {
            if let Some(stored) = self.chat.views().stored_one(of.id, seq).await? {
                frames.extend(
                    change_frame(self.chat.views(), (of.id, viewer), stored, (key, change_seq - 1, change_seq), now_ms)
                        .await?,
                );
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Source for ChatSource {
    fn stream(&self) -> Stream {
        self.stream
    }

    async fn missed(&self, person: Id, after: Id, upto: Id) -> Result<Missed> {
        let limit = REPLAY_ITEMS_MAX + GAP_COUNT_MAX;
        let mut missed = Missed::default();
        let (mut found, mut all, mut is_whole) = (Vec::new(), Vec::new(), true);
        for of in self.chat.heard(person, self.kind(), after).await? {
            let items = self.happened(&of, after, upto, limit).await?;
            all.extend(items.iter().map(|(key, _)| *key));
            if !items.is_empty() {
                found.push((of, items));
            }
            is_whole = all.len() < 2 * limit;
            if !is_whole {
                break; // more than a gap counts: the list by change is read anyway
            }
        }
        // The newest are sent; a gap stands for the others.
        let mut first = Id(0);
        if all.len() > REPLAY_ITEMS_MAX {
            all.sort_unstable();
            let omitted = all.len() - REPLAY_ITEMS_MAX;
            // What was not looked at may be newer than all that was.
            first = if is_whole { all[omitted] } else { Id(upto.0.saturating_add(1)) };
            let count = omitted.min(GAP_COUNT_MAX) as u64;
            missed
                .frames
                .push(Frame::gap(&Gap { stream: self.stream, after, before: first, count }, self.chat.now_ms()));
        }
        for (of, mut items) in found {
            items.retain(|(key, _)| *key >= first);
            self.frames(&of, items, &mut missed.frames).await?;
        }
        missed.keys = all;
        Ok(missed)
    }
}
