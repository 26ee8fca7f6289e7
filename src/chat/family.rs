//! Family of chat: conversations spread over partitions of their own, by a hash of their ids. What is loaded for the
//! fold, what stays decoded between groups, and who hears of what is durable.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, JournalRecord, KeyRange, Order, Partition, RowKey, Table};
use fanfare_protocol::{ConversationKind, Id};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::counts::{ChatCounts, ChatPart};
use super::fold::outcome::ChatOutcome;
use super::fold::record::{ChatAct, ChatRecord};
use super::fold::state::{ChatState, Folded};
use super::fold::{self, line, needs};
use super::notices;
use crate::base::error::{Error, Result};
use crate::base::limits::chat::{
    CONVERSATIONS_CACHED_BYTES_MAX, CONVERSATIONS_CACHED_FIRST, DAMAGED_TOLD_MAX, GROUP_MEMBERS_MAX, GROUP_RECORD_ROWS,
    PEOPLE_EVER_MAX,
};
use crate::data::families;
use crate::data::rows::chat::{ChatHead, Info, MemberRow};
use crate::data::rows::in_row;
use crate::data::store::Store;
use crate::data::tables;
use crate::data::tables::chat as keys;
use crate::log::events::Weight;
use crate::log::family::{CommittedIn, Family};
use crate::log::spread::Spread;

/// A durable record of chat and its outcome.
pub type ChatCommitted = CommittedIn<ChatFamily>;

/// Whoever hears of durable records.
pub trait Hears: Send + Sync + 'static {
    /// Takes in records in the order of their partition; with them, all at or below `horizon` has been told. Must be
    /// quick and must not block.
    fn committed(&self, committed: &[ChatCommitted], horizon: Id);
}

/// Weigher of conversations in memory, in bytes.
#[derive(Clone)]
struct ByBytes;

impl Weighter<Id, Folded> for ByBytes {
    fn weight(&self, _: &Id, conversation: &Folded) -> u64 {
        conversation.weight() as u64
    }
}

/// Conversations that stay decoded; of one owner.
#[derive(Clone)]
pub struct Decoded(Arc<Cache<Id, Folded, ByBytes>>);

impl Default for Decoded {
    fn default() -> Self {
        let (count, bytes) = (CONVERSATIONS_CACHED_FIRST, CONVERSATIONS_CACHED_BYTES_MAX);
        Self(Arc::new(Cache::with_weighter(count, bytes, ByBytes)))
    }
}

impl Decoded {
    /// Number of conversations, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        (self.0.len(), self.0.weight())
    }
}

/// Conversations of one partition, as its owner folds them.
pub struct ChatFamily {
    store: Arc<Store>,
    hears: Vec<Arc<dyn Hears>>,
    part: ChatPart,
    counts: Arc<ChatCounts>,
    /// Partitions of people, who are told of what concerns them.
    spread: Spread,
    /// Conversations of which it was said that they are damaged.
    told: Cache<Id, ()>,
}

impl ChatFamily {
    /// For one partition, whose rows are in `store`; people of `spread` are told.
    #[must_use]
    pub fn new(
        store: Arc<Store>,
        hears: Vec<Arc<dyn Hears>>,
        (part, counts): (ChatPart, Arc<ChatCounts>),
        spread: Spread,
    ) -> Self {
        Self { store, hears, part, counts, spread, told: Cache::new(DAMAGED_TOLD_MAX) }
    }

    /// A conversation as it is stored.
    async fn stored(&self, id: Id) -> Result<Folded> {
        let (head, info) = (keys::of_conversation(keys::HEADS, id), keys::of_conversation(keys::INFOS, id));
        let mut values = self.store.get_many(&[head.clone(), info.clone()]).await?.into_iter();
        let head = in_row(&head, values.next().flatten(), ChatHead::from_bytes)?;
        let info = in_row(&info, values.next().flatten(), |bytes| serde_json::from_slice::<Info>(bytes).ok())?;
        if info.is_none() {
            return Ok(Folded::new(head, None, Vec::new()));
        }
        let partition = tables::partition(id);
        let scan = self.store.scan(keys::MEMBERS, &partition, KeyRange::ALL, Order::Ascending, 2 * PEOPLE_EVER_MAX);
        let person = |row: fanfare_engines::Row| {
            let key = RowKey::new(keys::MEMBERS, partition.clone(), row.clustering.clone());
            let read = |bytes: &[u8]| Some((Id::from_bytes(&row.clustering)?, MemberRow::from_bytes(bytes)?));
            in_row(&key, Some(row.value), read)
        };
        let people: Vec<Option<_>> = scan.await?.into_iter().map(person).collect::<Result<_, EngineError>>()?;
        Ok(Folded::new(head, info, people.into_iter().flatten().collect()))
    }

    /// Adds the rows that are `missing` to `loaded`, each with the conversation that it is of.
    async fn load_rows(&self, missing: Vec<(RowKey, Id)>, loaded: &mut ChatState) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let keys: Vec<RowKey> = missing.iter().map(|(key, _)| key.clone()).collect();
        match self.store.get_many(&keys).await {
            Ok(values) => loaded.rows.extend(keys.into_iter().zip(values)),
            Err(EngineError::Corrupt(_)) => {
                // One of them: the others are read without it.
                for (key, conversation) in missing {
                    match self.store.get(&key).await {
                        Ok(value) => _ = loaded.rows.insert(key, value),
                        Err(Error::Engine(EngineError::Corrupt(cause))) => {
                            let what = format!("a row of {} cannot be read: {cause}", key.table.name);
                            loaded.damaged.insert(conversation, what);
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// A record is refused, for something of its conversation is damaged. Said once, and counted each time.
    fn is_damaged(&self, conversation: Id, cause: &str) {
        self.counts.refused("damaged");
        if self.told.get(&conversation).is_none() {
            self.told.insert(conversation, ());
            let partition = self.part.number;
            tracing::error!(partition, %conversation, cause, "a conversation is damaged: what stands on it is refused");
        }
    }
}

impl Family for ChatFamily {
    type Proposal = ChatRecord;
    type Record = ChatRecord;
    type Outcome = ChatOutcome;
    type State = ChatState;
    type Answer = ChatCommitted;
    type Standings = ();
    type Changes = ();

    const NAME: &'static str = families::CHAT.name;
    const OWN_TABLE: Table = tables::CHAT_META;
    /// No record is of two conversations, and none of another is decided on what is damaged.
    const REFUSES_DAMAGE: bool = true;

    fn weight(proposal: &ChatRecord) -> Weight {
        let bytes = |text: &str| 64 + 4 * text.len();
        let of_group = keys::kind_of(proposal.conversation) == ConversationKind::Group;
        // Of a group everybody's list may get a row.
        let usual = Weight { bytes: 4_096, rows: if of_group { GROUP_RECORD_ROWS } else { 16 } };
        let more = match &proposal.act {
            ChatAct::Sent(sent) => {
                let named = if sent.said.all { 2 * GROUP_MEMBERS_MAX } else { 2 * sent.said.mentions.len() };
                let held = sent.attachment.as_ref().map_or(0, |held| {
                    512 + [&held.alt, &held.filename].into_iter().flatten().map(|text| bytes(text)).sum::<usize>()
                });
                Weight { bytes: bytes(&sent.said.text) + 128 * named + held, rows: named }
            }
            ChatAct::Edited { said, .. } => {
                let named = if said.all { 2 * GROUP_MEMBERS_MAX } else { 2 * said.mentions.len() };
                Weight { bytes: 2 * bytes(&said.text) + 128 * named, rows: named + usize::from(u8::MAX) }
            }
            ChatAct::Created(created) => {
                let people = created.members.len() + created.invited.len();
                Weight { bytes: 256 * people, rows: 2 * people }
            }
            ChatAct::Added { members, invited, .. } => {
                let people = members.len() + invited.len();
                Weight { bytes: 256 * people, rows: 2 * people }
            }
            ChatAct::Erased { seqs } => Weight { bytes: 768 * seqs.len(), rows: 7 * seqs.len() },
            _ => Weight::default(),
        };
        usual.and(more)
    }

    fn only_ends(proposal: &ChatRecord) -> bool {
        use ChatAct::{Departed, Erased, InviteRevoked, Left, Recalled, Removed};
        let act = &proposal.act;
        matches!(act, Recalled { .. } | Left {} | Removed { .. } | Departed {} | Erased { .. } | InviteRevoked { .. })
            || matches!(act, ChatAct::Barred { on: true, .. })
    }

    fn number(proposal: ChatRecord, id: Id) -> ChatRecord {
        ChatRecord { id, ..proposal }
    }

    fn id(record: &ChatRecord) -> Id {
        record.id
    }

    async fn standings(&self, _: &[ChatRecord]) -> Result<()> {
        Ok(())
    }

    async fn load(
        &self,
        records: &[ChatRecord],
        state: &ChatState,
        before: Option<(&ChatState, &Batch)>,
    ) -> Result<ChatState> {
        let before = before.map(|(state, _)| state);
        let mut loaded = ChatState::default();
        let mut missing: Vec<(RowKey, Id)> = Vec::new();
        for record in records {
            let id = record.conversation;
            let is_known = |state: &ChatState| state.conversations.contains_key(&id) || state.damaged.contains_key(&id);
            if !is_known(state) && !is_known(&loaded) {
                let kept = || self.part.decoded.0.get(&id);
                let known = before.and_then(|state| state.conversations.get(&id)).cloned().or_else(kept);
                let conversation = match known {
                    Some(known) => Ok(known),
                    None => self.stored(id).await,
                };
                match conversation {
                    Ok(conversation) => _ = loaded.conversations.insert(id, conversation),
                    Err(Error::Engine(EngineError::Corrupt(cause))) => _ = loaded.damaged.insert(id, cause),
                    Err(error) => return Err(error),
                }
            }
            for key in needs(record) {
                if state.rows.contains_key(&key) || loaded.rows.contains_key(&key) {
                    continue;
                }
                let known = before.and_then(|state| state.rows.get(&key)).cloned();
                if known.is_none() {
                    missing.push((key.clone(), id));
                }
                loaded.rows.insert(key, known.flatten());
            }
        }
        self.load_rows(missing, &mut loaded).await?;
        Ok(loaded)
    }

    fn take_in(state: &mut ChatState, loaded: ChatState, _: &Batch) {
        for (id, conversation) in loaded.conversations {
            state.conversations.entry(id).or_insert(conversation);
        }
        for (key, value) in loaded.rows {
            state.rows.entry(key).or_insert(value);
        }
        state.damaged.extend(loaded.damaged);
    }

    fn fold(&self, record: &mut ChatRecord, state: &mut ChatState, batch: &mut Batch) -> Result<ChatOutcome> {
        let folded = fold::apply(state, record, batch);
        if let Err(Error::Engine(EngineError::Corrupt(cause))) = &folded {
            self.is_damaged(record.conversation, cause);
        }
        folded
    }

    fn line(&self, record: &ChatRecord, outcome: &ChatOutcome) -> Result<Bytes> {
        line::encode(record, outcome)
    }

    fn read(&self, partition: Partition, one: &JournalRecord) -> Result<(ChatRecord, ChatOutcome)> {
        line::decode(&one.payload).map_err(|cause| {
            let what = format!("journal partition {}, offset {}: {cause}", partition.0, one.offset.0);
            Error::Engine(EngineError::Corrupt(what))
        })
    }

    fn rows(&self, record: &ChatRecord, outcome: &ChatOutcome, batch: &mut Batch) -> Result<()> {
        fold::rows::rows(record, outcome, batch)
    }

    fn keep(&self, state: ChatState, (): &()) {
        for (id, conversation) in state.conversations {
            // What is not there is asked for once, and no stranger's question stays.
            if conversation.info.is_some() {
                self.part.decoded.0.insert(id, conversation);
            }
        }
    }

    fn learn(&self, committed: &[ChatCommitted]) {
        for one in committed {
            self.part.decoded.0.remove(&one.record.conversation);
        }
    }

    async fn complete(&self, committed: &mut [ChatCommitted]) -> Result<()> {
        // Those who are in it now: of whoever came or went since the record the log tells later.
        let mut read: HashMap<Id, Folded> = HashMap::new();
        for one in committed.iter_mut().filter(|one| one.outcome.came_about() && one.outcome.audience.is_none()) {
            let conversation = match read.entry(one.record.conversation) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(free) => free.insert(self.stored(one.record.conversation).await?),
            };
            one.outcome.audience = Some(Box::new(conversation.audience()));
        }
        Ok(())
    }

    fn opened(&self, last: Id) {
        self.part.onward.opened(last);
    }

    fn forget(&self) {
        self.part.decoded.0.clear();
    }

    fn tell(&self, committed: &[ChatCommitted], horizon: Id) {
        self.counts.committed(committed);
        for hears in &self.hears {
            hears.committed(committed, horizon);
        }
        let follows = |one: &ChatCommitted| (one.record.id, notices::of(&one.record, &one.outcome, self.spread));
        self.part.onward.settled(committed.iter().map(follows));
    }

    fn answer(committed: ChatCommitted) -> ChatCommitted {
        committed
    }
}
