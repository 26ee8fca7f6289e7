//! Chat as its routes and frames see it: what people ask for becomes records, and rows become answers.
//!
//! Nothing is decided under locks: the fold decides by the record. What is looked at before, only keeps refusals out of
//! the log.

mod attaching;
mod cleaning;
mod emptied;
mod emptied_before;
mod evidence;
mod list;
mod listed;
mod marks;
mod messages;
mod people;
mod preferences;
mod reactors;
mod refusals;
mod replay;
mod told;
mod under_way;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_engines::{Partition, RowKey};
use fanfare_protocol::{ConversationKind, Id, NewConversation, WhoMay};
use parking_lot::Mutex;

pub use self::list::{Folder, Heard, ListQuery};
pub use self::messages::{Handed, MessagesAt, Sending};
use self::preferences::Welcome;
pub use self::reactors::ReactorQuery;
pub use self::replay::{Before, Replayed};
use self::under_way::PersonalWrites;

use super::admission;
use super::counts::{ChatCounts, ChatOwnerStatus, ChatPart, ChatStatus};
use super::family::{ChatCommitted, ChatFamily};
use super::fold::outcome::ChatOutcome;
use super::fold::record::{Beginning, ChatAct, ChatRecord};
use super::paces::{ChatPaces, ChatRates};
use super::stream::{Receipts, Typists};
use super::view::MessageViews;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::IDEMPOTENCY_HOURS;
use crate::data::rows::chat::{Bar, ChatHead, Info, MemberRow, SendRow};
use crate::data::rows::{from_json, in_row};
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::log::core::{Core, Owners as _};
use crate::log::events::IdempotencyKey;
use crate::log::hearing::Hearing;
use crate::log::horizon::Horizon;
use crate::log::idempotency::Idempotency;
use crate::log::owners::FamilyLog;
use crate::media::Uploads;
use crate::realtime::Publisher;

/// Time between two looks at what waits.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// Milliseconds for which a key is remembered.
const IDEMPOTENCY_MS: u64 = IDEMPOTENCY_HOURS as u64 * 3_600_000;

/// Choices of the operator.
#[derive(Debug, Clone, Copy)]
pub struct ChatSettings {
    /// Members of a group, at most.
    pub group_max: usize,
    /// Characters of a message, at most.
    pub text_max: usize,
    /// Milliseconds after a message for which it can be edited or recalled; ever without.
    pub change_ms: Option<u64>,
    /// Messages of a deleted account are taken back; else they stay, of nobody.
    pub erases: bool,
    /// People who may begin a conversation with somebody who has not chosen, or add them.
    pub default_who_may: WhoMay,
    /// Rates of each person.
    pub rates: ChatRates,
}

/// Conversations and messages; clones are the same.
#[derive(Clone)]
pub struct Chat(Arc<Inner>);

struct Inner {
    core: Core,
    owners: FamilyLog<ChatFamily>,
    parts: Vec<ChatPart>,
    counts: Arc<ChatCounts>,
    views: MessageViews,
    media: Uploads,
    settings: ChatSettings,
    publisher: Publisher,
    receipts: Receipts,
    typists: Typists,
    began: Instant,
    paces: Mutex<ChatPaces>,
    idempotency: Idempotency,
    personal_writes: PersonalWrites,
}

/// Outcome of a record, unless it was refused.
fn done(committed: ChatCommitted) -> Result<ChatCommitted> {
    match committed.outcome.refused {
        Some(refusal) => Err(refusals::error(refusal, &committed.record.act)),
        None => Ok(committed),
    }
}

/// A conversation as it is read for a caller who is in it.
pub(super) struct Seat {
    pub(super) head: ChatHead,
    pub(super) info: Info,
    pub(super) member: MemberRow,
}

/// Answer to beginning a conversation.
#[derive(Debug)]
pub enum Begun {
    /// The conversation, made now or there before.
    Here(Made<fanfare_protocol::Conversation>),
    /// Conversation that an earlier request with the same key made.
    Replayed(fanfare_protocol::Conversation),
}

/// A conversation that was asked for, and whether it was made now.
#[derive(Debug)]
pub struct Made<T> {
    /// Thing that is there now.
    pub value: T,
    /// Whether this request made it.
    pub is_new: bool,
}

impl Chat {
    /// Over the rows of `core`, chat's own log, and uploads; `publisher` reaches who is connected.
    #[must_use]
    pub fn new(
        core: Core,
        (owners, parts, counts): (FamilyLog<ChatFamily>, Vec<ChatPart>, Arc<ChatCounts>),
        media: Uploads,
        settings: ChatSettings,
        publisher: Publisher,
    ) -> Self {
        let views = MessageViews::new(core.clone(), media.clone());
        let (receipts, typists) = (Receipts::default(), Typists::default());
        let (began, paces) = (Instant::now(), Mutex::new(ChatPaces::new(settings.rates)));
        let idempotency = Idempotency::new(Arc::clone(&core.store));
        Self(Arc::new(Inner {
            core,
            owners,
            parts,
            counts,
            views,
            media,
            settings,
            publisher,
            receipts,
            typists,
            began,
            paces,
            idempotency,
            personal_writes: PersonalWrites::default(),
        }))
    }

    /// Renderer of messages.
    #[must_use]
    pub fn views(&self) -> &MessageViews {
        &self.0.views
    }

    /// The id at or below which nothing of chat can settle any more.
    #[must_use]
    pub fn horizon(&self) -> &Horizon {
        self.0.owners.horizon()
    }

    /// Lets somebody do something that is counted, if they are not too fast.
    fn pace(&self, act: impl FnOnce(&mut ChatPaces, u64) -> Result<()>) -> Result<()> {
        let now_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        act(&mut self.0.paces.lock(), now_ms)
    }

    /// Way to hear how far other nodes are with chat's partitions; none on a node that is alone.
    #[must_use]
    pub fn hearing(&self) -> Option<&Hearing> {
        self.0.owners.hearing()
    }

    fn core(&self) -> &Core {
        &self.0.core
    }

    /// Hands a record in, and answers what it gave; refusals are errors.
    async fn commit(&self, record: ChatRecord) -> Result<ChatCommitted> {
        // The purge of an account waits for what is under way.
        let _writing = self.core().writing(record.actor).await?;
        self.commit_for_nobody(record).await
    }

    /// Hands in a record whose actor may be gone.
    async fn commit_for_nobody(&self, record: ChatRecord) -> Result<ChatCommitted> {
        let pending = self.0.owners.propose(record.conversation, record).await?;
        let answer = pending.durable().await;
        self.0.counts.answered(&answer);
        done(answer?)
    }

    /// Chat at this moment, for operators.
    #[must_use]
    pub fn status(&self) -> ChatStatus {
        let owner = |(partition, waiting, takes): (Partition, usize, bool)| {
            let part = self.0.parts.iter().find(|part| part.number == partition.0).cloned().unwrap_or_default();
            let (conversations_cached, cached_bytes) = part.decoded.size();
            let notices_waiting = part.onward.len();
            let partition = partition.0;
            ChatOwnerStatus { partition, takes, waiting, conversations_cached, cached_bytes, notices_waiting }
        };
        self.0.counts.status(self.0.owners.states().map(owner).collect())
    }

    /// Shows in metrics what waits, without end.
    #[allow(clippy::cast_precision_loss, reason = "gauges of numbers far below 2^52")]
    pub async fn measure(self) {
        let mut ticks = tokio::time::interval(MEASURE_EVERY);
        loop {
            ticks.tick().await;
            for owner in self.status().owners {
                let partition = owner.partition.to_string();
                let set =
                    |name: &'static str, value: f64| metrics::gauge!(name, "partition" => partition.clone()).set(value);
                set("fanfare_chat_owner_takes", f64::from(u8::from(owner.takes)));
                set("fanfare_chat_owner_queue", owner.waiting as f64);
                set("fanfare_chat_conversations_cached", owner.conversations_cached as f64);
                set("fanfare_chat_cached_bytes", owner.cached_bytes as f64);
                set("fanfare_chat_notices_waiting", owner.notices_waiting as f64);
            }
        }
    }

    /// Hands in an act of `caller`.
    async fn act(&self, caller: Id, conversation: Id, act: ChatAct) -> Result<ChatOutcome> {
        Ok(self.commit(ChatRecord::new(conversation, caller, act)).await?.outcome)
    }

    /// Head, information and the caller's row of a conversation, as stored.
    async fn rows_of(&self, caller: Id, id: Id) -> Result<(Option<ChatHead>, Option<Info>, Option<MemberRow>)> {
        let wanted =
            [keys::of_conversation(keys::HEADS, id), keys::of_conversation(keys::INFOS, id), keys::member(id, caller)];
        let mut values = self.core().store.get_many(&wanted).await?.into_iter();
        let mut next = || values.next().flatten();
        let (head, info, member) = (next(), next(), next());
        let head = in_row(&wanted[0], head, ChatHead::from_bytes)?;
        let info = in_row(&wanted[1], info, |bytes| from_json::<Info>(bytes).ok())?;
        Ok((head, info, in_row(&wanted[2], member, MemberRow::from_bytes)?))
    }

    /// The conversation, for a caller who is in it.
    ///
    /// # Errors
    /// 404 for everybody else, whether it is there or not.
    pub(super) async fn seat(&self, caller: Id, id: Id) -> Result<Seat> {
        let (head, info, member) = self.rows_of(caller, id).await?;
        match (head, info, member.filter(MemberRow::is_in)) {
            (Some(head), Some(info), Some(member)) if info.created.is_some() => Ok(Seat { head, info, member }),
            _ => Err(Error::not_found("conversation")),
        }
    }

    /// A group, for a caller who is in it.
    ///
    /// # Errors
    /// As [`seat`](Self::seat); 409 for a direct conversation, whatever the caller could do in it.
    pub(super) async fn seat_in_group(&self, caller: Id, id: Id) -> Result<Seat> {
        let seat = self.seat(caller, id).await?;
        if seat.info.kind == ConversationKind::Group { Ok(seat) } else { Err(refusals::of_pairs()) }
    }

    /// Begins a conversation, once per idempotency key.
    ///
    /// # Errors
    /// As [`create`](Self::create); 422 for a key that was used with another body, 409 while the same key is at work,
    /// 404 when the caller is no more in what the first request with it made.
    pub async fn begin(&self, caller: Id, new: NewConversation, key: Option<IdempotencyKey>) -> Result<Begun> {
        let Some(key) = key else { return Ok(Begun::Here(self.create(caller, new, None).await?)) };
        let now_ms = self.core().clock.now_ms();
        // Two at once are kept apart by it; what a key made stands in chat's own rows.
        let _claimed = self.0.idempotency.claim(&key, now_ms).await?;
        let before = self.core().store.get_as(&keys::request(caller, &key.key), SendRow::from_bytes).await?;
        match before.filter(|row| unix_ms_of(row.record) + IDEMPOTENCY_MS > now_ms) {
            None => Ok(Begun::Here(self.create(caller, new, Some(key)).await?)),
            Some(row) if row.body == keys::hash_of(key.body_hash.as_bytes()) => {
                Ok(Begun::Replayed(self.conversation(caller, Id(row.seq)).await?))
            }
            Some(_) => Err(Error::field("Idempotency-Key", "was used with another body; take a new key")),
        }
    }

    /// Begins a conversation. The same pair again, and both of a pair at once, get the same one. `key` is remembered
    /// with what it makes.
    ///
    /// # Errors
    /// 422 for what is malformed or names nobody, 403 for a direct one where one of the two blocks the other, 429 for
    /// who begins or asks too many.
    pub async fn create(
        &self,
        caller: Id,
        new: NewConversation,
        key: Option<IdempotencyKey>,
    ) -> Result<Made<fanfare_protocol::Conversation>> {
        let title = admission::conversation(&new, caller, self.0.settings.group_max)?;
        for (place, member) in new.member_ids.iter().enumerate() {
            let seen = self.core().store.seen_account(*member).await?;
            // Who blocks the caller is not there, as for their profile.
            let blocks = seen.is_some() && self.core().blocks(*member, caller).await?;
            if seen.is_none() || blocks && new.kind == ConversationKind::Group {
                return Err(Error::field(format!("member_ids.{place}"), "names nobody"));
            }
        }
        let mut writing = Vec::new();
        for member in &new.member_ids {
            writing.push(self.core().writing(*member).await?);
        }
        let mut created = Beginning {
            kind: new.kind,
            members: new.member_ids.clone(),
            invited: Vec::new(),
            title,
            history: new.history,
            request: false,
            bars: Vec::new(),
        };
        let id = match (new.kind, &new.member_ids[..]) {
            (ConversationKind::Direct, [peer]) => {
                created.bars = self.bars(caller, *peer).await?;
                let comes = self.comes(caller, *peer).await?;
                created.request = comes == Some(Welcome::Asked);
                // What is there already is no new one.
                if comes.is_some() {
                    self.pace_beginning(caller, usize::from(created.request))?;
                }
                keys::direct_id(caller, *peer)
            }
            _ => {
                created.members.clear();
                for (place, member) in new.member_ids.iter().enumerate() {
                    match self.welcome(*member, caller, new.kind).await? {
                        Welcome::In => created.members.push(*member),
                        Welcome::Asked => created.invited.push(*member),
                        Welcome::Out => return Err(Error::field(format!("member_ids.{place}"), "joins no groups")),
                    }
                }
                self.pace_beginning(caller, created.invited.len())?;
                self.core().log.mint().await?
            }
        };
        let record = ChatRecord::new(id, caller, ChatAct::Created(created));
        let record = ChatRecord { idempotency: key.map(Box::new), ..record };
        let outcome = self.commit(record).await?.outcome;
        let value = self.conversation(caller, id).await?;
        Ok(Made { value, is_new: outcome.repeat.is_none() })
    }

    /// Lets somebody begin a conversation, which asks so many people.
    fn pace_beginning(&self, caller: Id, asked: usize) -> Result<()> {
        self.pace(|paces, now_ms| paces.beginning(caller, asked, now_ms))
    }

    /// Blocks between two people, with the moment up to which they are known.
    async fn bars(&self, one: Id, other: Id) -> Result<Vec<Bar>> {
        let source = self.core().log.horizon().now();
        let pairs = [(one, other), (other, one)];
        let rows: Vec<RowKey> = pairs.iter().map(|(by, whom)| tables::pair(tables::BLOCKS, *by, *whom)).collect();
        let found = self.core().store.get_many(&rows).await?;
        Ok(pairs.iter().zip(found).map(|((by, _), row)| Bar { by: *by, source, on: row.is_some() }).collect())
    }
}
