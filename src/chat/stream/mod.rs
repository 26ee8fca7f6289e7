//! The streams `direct` and `group`: what happens in a conversation, as frames for its members who are connected, and
//! what somebody missed, from rows.
//!
//! Whoever is to hear of a record is known with its outcome; nothing is kept from conversations to readers. All of a
//! conversation goes through one line of one renderer, so that it stays in order.

mod calls;
mod receipts;
mod source;

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use fanfare_protocol::{
    ConversationKind, ConversationUpdated, Id, KeyedMessage, Lane, Message, MessageChanged, MessageRecalled, Stream,
};
use tokio::sync::OnceCell;

pub use self::calls::{BARRED, BarredElsewhere, Typists, barred, delivered, message_send, read, typing};
pub use self::receipts::Receipts;
pub use self::source::ChatSource;

use super::family::{ChatCommitted, Hears};
use super::fold::outcome::ChatOutcome;
use super::fold::record::{ChatAct, ChatRecord};
use super::fold::rows;
use super::view::{MessageViews, Stored, Viewer};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::data::rows::chat::MessageRow;
use crate::data::tables::chat as keys;
use crate::realtime::{Covers, Deliver, Durable, Frame, Publisher, SessionId, SharedItem, Track};

/// Types of frames of these streams.
pub const TYPES: &[&str] =
    &["message", "message.updated", "message.recalled", "conversation.updated", "receipt", "typing"];

/// The stream of a conversation.
const fn stream_of(conversation: Id) -> Stream {
    match keys::kind_of(conversation) {
        ConversationKind::Direct => Stream::Direct,
        ConversationKind::Group => Stream::Group,
    }
}

/// Hands what happens to sessions, as the owner tells it.
pub struct ChatFeeder {
    publisher: Publisher,
    clock: Clock,
    /// Renderer, once the services are there; before that nobody is connected.
    views: Arc<OnceLock<MessageViews>>,
    /// Members above which what happens in a conversation is handed out in slices, which others overtake.
    large_from: usize,
}

impl ChatFeeder {
    /// Hands over to `publisher`, once there are `views`; of conversations of more than `large_from` members in slices.
    #[must_use]
    pub fn new(publisher: Publisher, clock: Clock, views: Arc<OnceLock<MessageViews>>, large_from: usize) -> Self {
        Self { publisher, clock, views, large_from }
    }

    fn tell(&self, record: &ChatRecord, outcome: &ChatOutcome) {
        let Some(views) = self.views.get() else { return };
        let (Some(audience), Some(head)) = (&outcome.audience, outcome.head) else {
            // Nobody said who is to hear of it.
            if outcome.came_about() {
                self.publisher.lost_track();
            }
            return;
        };
        let conversation = record.conversation;
        let stream = stream_of(conversation);
        let origin = record.origin.map(SessionId);
        let news = |what: What, key| News::new(views, &self.clock, conversation, key, what);
        let is_large = audience.members.len() > self.large_from;
        let deliver =
            |members, item| self.publisher.deliver(Deliver::shared(members, stream, Arc::new(item)).large(is_large));
        if let Some(seq) = outcome.seq {
            let row = rows::message(record, outcome, head);
            let what = What::Message { seq, row: Box::new(row), seen_from: audience.seen_from };
            let item = Arc::new(news(what, record.id));
            let told = Deliver::shared(audience.of_message(seq), stream, item).large(is_large);
            self.publisher.deliver(told.but(origin));
        }
        let changes = rows::changes(record, outcome);
        let first = (head.change_seq + 1).saturating_sub(changes.len() as u64);
        for (change_seq, (_, seq)) in (first..).zip(changes) {
            let gathers = matches!(record.act, ChatAct::Reacted { .. });
            let change = Change { seq, after: change_seq - 1, change_seq, seen_from: audience.seen_from, gathers };
            deliver(audience.of_message(seq), news(What::Change(change), record.id));
        }
        // An invite that was made, and a block, are nobody's news.
        let is_news =
            !matches!(record.act, ChatAct::InviteMade { .. } | ChatAct::InviteRevoked { .. } | ChatAct::Barred { .. });
        let counts_requests = matches!(record.act, ChatAct::Sent(_)) && audience.pending.is_some();
        if is_news && !counts_requests && (outcome.info.is_some() || !outcome.members.is_empty()) {
            let updated = |left| ConversationUpdated { conversation_id: conversation, left };
            // Not to whoever has not accepted it yet.
            deliver(audience.of_message(u64::MAX), news(What::Updated(updated(false)), record.id));
            let gone: Arc<[Id]> =
                outcome.members.iter().filter(|(_, row)| row.is_gone()).map(|(user, _)| *user).collect();
            if !gone.is_empty() {
                deliver(gone, news(What::Updated(updated(true)), record.id));
            }
        }
    }
}

impl Hears for ChatFeeder {
    fn committed(&self, committed: &[ChatCommitted], horizon: Id) {
        for one in committed {
            self.publisher.committed_in(Track::Chat, one.record.id);
            self.tell(&one.record, &one.outcome);
        }
        self.publisher.told(Track::Chat, horizon);
    }
}

/// Something that happened in a conversation, on its way to its members.
struct News {
    views: MessageViews,
    clock: Clock,
    conversation: Id,
    key: Id,
    what: What,
    /// Rendered once, for all slices of those who get it.
    rendered: OnceCell<Option<Frame>>,
}

/// A message that is another now, or several changes of it.
#[derive(Clone, Copy)]
struct Change {
    seq: u64,
    /// The last change before those that it tells of.
    after: u64,
    /// The last of those.
    change_seq: u64,
    seen_from: u64,
    /// A later one of the same message may stand for it.
    gathers: bool,
}

/// Kinds of news.
#[derive(Clone)]
enum What {
    /// A new message; members see everything from `seen_from` on.
    Message { seq: u64, row: Box<MessageRow>, seen_from: u64 },
    /// A message is another now.
    Change(Change),
    /// The conversation is another now.
    Updated(ConversationUpdated),
}

impl fmt::Debug for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "news {} of {}", self.key, self.conversation)
    }
}

impl News {
    fn new(views: &MessageViews, clock: &Clock, conversation: Id, key: Id, what: What) -> Self {
        let (views, clock) = (views.clone(), clock.clone());
        Self { views, clock, conversation, key, what, rendered: OnceCell::new() }
    }

    async fn render(&self) -> Result<Option<Frame>> {
        let now_ms = self.clock.now_ms();
        match &self.what {
            What::Message { seq, row, seen_from } => {
                let row = MessageRow::clone(row);
                let stored = Stored { seq: *seq, row, edit: None, reactions: Vec::new() };
                let viewer = Viewer { id: None, visible_from: *seen_from };
                let message = self.views.render(self.conversation, viewer, vec![stored]).await?.pop();
                Ok(message.map(|message| message_frame(message, now_ms)))
            }
            What::Change(change) => {
                let Some(stored) = self.views.stored_one(self.conversation, change.seq).await? else { return Ok(None) };
                let viewer = Viewer { id: None, visible_from: change.seen_from };
                let covered = (self.key, change.after, change.change_seq);
                change_frame(&self.views, (self.conversation, viewer), stored, covered, now_ms).await
            }
            What::Updated(updated) => Ok(Some(Frame::passing("conversation.updated", Lane::Normal, now_ms, updated))),
        }
    }
}

#[async_trait]
impl SharedItem for News {
    fn key(&self) -> Id {
        self.key
    }

    fn line(&self) -> Id {
        self.conversation
    }

    fn covers(&self) -> Option<Covers> {
        match self.what {
            What::Change(Change { seq, after, gathers: true, .. }) => Some(Covers { about: seq, after }),
            _ => None,
        }
    }

    fn covering(&self, after: u64) -> Option<Arc<dyn SharedItem>> {
        let What::Change(change) = self.what else { return None };
        let what = What::Change(Change { after, ..change });
        Some(Arc::new(Self::new(&self.views, &self.clock, self.conversation, self.key, what)))
    }

    async fn frame(&self) -> Result<Option<Frame>> {
        self.rendered.get_or_try_init(|| self.render()).await.cloned()
    }
}

/// The frame of a message.
fn message_frame(message: Message, now_ms: u64) -> Frame {
    let keyed = KeyedMessage { key: message.id.to_string(), message };
    let durable = Durable::one(stream_of(keyed.message.conversation_id), keyed.message.id);
    Frame::durable("message", durable, now_ms, &keyed)
}

/// The frame of a change with its key, the last change before it, and its number: the message as it is now, or that it
/// is gone.
async fn change_frame(
    views: &MessageViews,
    (conversation_id, viewer): (Id, Viewer),
    stored: Stored,
    (key, after, change_seq): (Id, u64, u64),
    now_ms: u64,
) -> Result<Option<Frame>> {
    let seq = stored.seq;
    let durable = Durable::one(stream_of(conversation_id), key);
    let name = key.to_string();
    if let Some(by) = stored.row.recalled {
        let recalled_by = Some(by).filter(|by| *by != stored.row.by);
        let recalled = MessageRecalled { key: name, after, change_seq, conversation_id, seq, recalled_by };
        return Ok(Some(Frame::durable("message.recalled", durable, now_ms, &recalled)));
    }
    let message = views.render(conversation_id, viewer, vec![stored]).await?.pop();
    Ok(message.map(|message| {
        let changed = MessageChanged { key: name, after, change_seq, message };
        Frame::durable("message.updated", durable, now_ms, &changed)
    }))
}
