//! Everything that is known of a person's conversations, and what is to be asked next. Pure: it is told what was heard
//! and answered, at which moment, and says what to ask. The driver moves bytes.

mod answers;
mod asking;

use std::collections::{BTreeMap, HashSet};

use fanfare_protocol::{
    ChangePage, Conversation, ConversationPage, Id, Member, Message, MessagePage, NewMessage, Receipt, ServerEvent,
    Stream,
};

use super::Folder;
use super::conversation::{State, Want};
use super::lines::{self, Line};
use super::outbox::{Outbox, Outgoing};
use super::pause::Pause;
use super::sync::{Listing, Sync};
use crate::MessagePlace;
use crate::realtime::Event;

/// Milliseconds for which something that is missing may still come by itself.
const GRACE_MS: u64 = 100;
/// Items of a page.
pub(in crate::conversations) const PAGE: u16 = 100;
/// Milliseconds in which several deliveries are one.
const DELIVERED_MS: u64 = 1_000;
/// Milliseconds for which somebody counts as writing.
const TYPING_MS: u64 = 6_000;

/// Question to the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::conversations) enum Ask {
    List(Listing),
    /// A part of a conversation, for the reading of this number.
    Part(u64, Id, Of),
    Send(Id, Box<NewMessage>),
    Read(Id, u64),
    Delivered(Id, u64),
}

/// Part of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::conversations) enum Of {
    Conversation,
    Messages(MessagePlace, u16),
    Changes(u64),
    Receipts,
    Members,
}

/// Answer of the server; of the kind that was asked for.
#[derive(Debug)]
pub(in crate::conversations) enum Answer {
    List(ConversationPage),
    Conversation(Box<Conversation>),
    Messages(MessagePage),
    Changes(ChangePage),
    Receipts(Vec<Receipt>),
    Members(Vec<Member>),
    Sent(Box<Message>),
    Done,
}

/// Reading of one conversation that is under way.
#[derive(Debug)]
struct Job {
    want: Want,
    reading: u64,
    /// A page that is older than what was pushed meanwhile: changes are put into it before it is taken.
    page: Option<MessagePage>,
}

pub(in crate::conversations) struct Core {
    me: Id,
    states: BTreeMap<Id, State>,
    jobs: BTreeMap<Id, Job>,
    /// Jobs that go on with another question.
    to_ask: Vec<Id>,
    /// Conversations that somebody looks at, and how many do.
    opened: BTreeMap<Id, u32>,
    /// Moments at which conversations are looked at: whether something is to be read.
    due: BTreeMap<Id, u64>,
    pauses: BTreeMap<Id, Pause>,
    rounds: BTreeMap<Id, u32>,
    /// Conversations that are not known and something came for, with the last reading that had begun.
    unknown: BTreeMap<Id, u64>,
    readings: u64,
    sync: Sync,
    outbox: Outbox,
    /// Own messages that were answered, until everything before them is here.
    ahead: BTreeMap<Id, Vec<Message>>,
    telling: HashSet<Id>,
    deliveries: BTreeMap<Id, u64>,
    delivered: BTreeMap<Id, u64>,
    typing: BTreeMap<(Id, Id), u64>,
    dice: u64,
    /// Rises with everything that a screen shows.
    pub version: u64,
}

impl Core {
    /// Of a person; `dice` is any number, better not the same for all.
    pub fn new(me: Id, dice: u64) -> Self {
        Self {
            me,
            states: BTreeMap::new(),
            jobs: BTreeMap::new(),
            to_ask: Vec::new(),
            opened: BTreeMap::new(),
            due: BTreeMap::new(),
            pauses: BTreeMap::new(),
            rounds: BTreeMap::new(),
            unknown: BTreeMap::new(),
            readings: 0,
            sync: Sync::default(),
            outbox: Outbox::default(),
            ahead: BTreeMap::new(),
            telling: HashSet::new(),
            deliveries: BTreeMap::new(),
            delivered: BTreeMap::new(),
            typing: BTreeMap::new(),
            dice: dice | 1,
            version: 0,
        }
    }

    /// Any number.
    pub fn dice(&mut self) -> u64 {
        // Xorshift: chance needs no more here.
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        self.dice
    }

    fn next_reading(&mut self) -> u64 {
        self.readings += 1;
        self.readings
    }

    // What a screen shows.

    pub fn state(&self, id: Id) -> Option<&State> {
        self.states.get(&id)
    }

    /// Conversations that are known, newest message first.
    pub fn conversations(&self) -> Vec<Conversation> {
        let mut states: Vec<&State> = self.states.values().collect();
        states.sort_unstable_by_key(|state| std::cmp::Reverse(state.place()));
        states.into_iter().map(State::view).collect()
    }

    pub fn lines(&self, id: Id) -> Vec<Line> {
        let ahead = self.ahead.get(&id).map_or(&[][..], Vec::as_slice);
        lines::of(self.me, self.states.get(&id), ahead, self.outbox.of(id))
    }

    pub fn typers(&self, id: Id, now_ms: u64) -> Vec<Id> {
        let of = self.typing.range((id, Id(0))..=(id, Id(u64::MAX)));
        of.filter(|(_, until)| **until > now_ms).map(|((_, user), _)| *user).collect()
    }

    pub const fn has_more(&self, folder: Folder) -> bool {
        self.sync.has_more(folder)
    }

    // What the application does.

    pub fn open(&mut self, id: Id, now_ms: u64) {
        *self.opened.entry(id).or_default() += 1;
        match self.states.get_mut(&id) {
            Some(state) => state.open(),
            None => drop(self.unknown.insert(id, self.readings)),
        }
        self.due.insert(id, now_ms);
    }

    pub fn close(&mut self, id: Id) {
        let Some(count) = self.opened.get_mut(&id) else { return };
        *count -= 1;
        if *count == 0 {
            self.opened.remove(&id);
            if let Some(state) = self.states.get_mut(&id) {
                state.close();
                if state.is_hidden() {
                    // Nobody looks at it any more: whether it is still hidden, the server says.
                    state.updated();
                    self.due.insert(id, 0);
                }
            }
            self.version += 1;
        }
    }

    /// Reads a page of older messages of an open conversation; whether there are any.
    pub fn older(&mut self, id: Id) -> bool {
        let want = self.states.get(&id).filter(|state| state.has_older()).map(|state| state.window.from());
        let Some(before) = want else { return false };
        if !self.jobs.contains_key(&id) {
            let reading = self.next_reading();
            self.go_on(id, Job { want: Want::Before(before), reading, page: None });
        }
        true
    }

    /// Asks for the next page of a folder.
    pub fn more(&mut self, folder: Folder) {
        self.sync.more(folder);
    }

    /// Puts a message on its way.
    pub fn send(&mut self, id: Id, message: NewMessage) -> bool {
        if self.outbox.is_full() {
            return false;
        }
        self.outbox.put(id, message);
        self.version += 1;
        true
    }

    pub fn discard(&mut self, id: Id, client_id: &str) -> Option<Outgoing> {
        self.version += 1;
        self.outbox.discard(id, client_id)
    }

    /// The person has read up to here, or all of it.
    pub fn mark_read(&mut self, id: Id, seq: Option<u64>) {
        if let Some(state) = self.states.get_mut(&id) {
            let (last, _) = state.heads();
            state.read_to(seq.unwrap_or(last));
            self.version += 1;
        }
    }

    /// Something of a conversation was changed by a call: it is read again.
    pub fn refresh(&mut self, id: Id, now_ms: u64) {
        if let Some(state) = self.states.get_mut(&id) {
            state.updated();
        }
        self.due.insert(id, now_ms);
    }

    /// A conversation is gone for this person, by a call.
    pub fn forget(&mut self, id: Id) {
        self.drop_one(id);
    }

    /// Asks for the list.
    pub fn begin_with_list(&mut self) {
        self.sync.want();
    }

    // What is heard.

    /// Takes what realtime says.
    pub fn heard(&mut self, event: &Event, now_ms: u64) {
        match event {
            Event::Connected { .. } => self.connected(now_ms),
            Event::Gap(gap) if is_chat(gap.stream) => self.sync.want(),
            Event::Reset(reset) if reset.streams.iter().copied().any(is_chat) => self.sync.want(),
            Event::Frame(frame) => self.frame(frame, now_ms),
            _ => {}
        }
    }

    /// A session began: current values are not told twice, so what may have changed is asked for.
    fn connected(&mut self, now_ms: u64) {
        self.sync.want();
        self.sync.kick();
        self.outbox.kick();
        self.pauses.clear();
        let ids: Vec<Id> = self.states.keys().copied().collect();
        for id in ids {
            if let Some(state) = self.states.get_mut(&id).filter(|state| state.is_open()) {
                state.lost_receipts();
            }
            self.due.insert(id, now_ms);
        }
    }

    fn frame(&mut self, frame: &ServerEvent, now_ms: u64) {
        match frame {
            ServerEvent::Message(keyed) => self.message(&keyed.message, now_ms),
            ServerEvent::MessageChanged(frame) => {
                self.at(frame.message.conversation_id, now_ms, |state| state.changed(frame));
            }
            ServerEvent::MessageRecalled(frame) => {
                self.at(frame.conversation_id, now_ms, |state| state.recalled(frame));
            }
            ServerEvent::Receipt(frame) => {
                self.at(frame.conversation_id, now_ms, |state| {
                    frame.receipts.iter().for_each(|one| state.receipt(*one));
                });
            }
            ServerEvent::ConversationUpdated(frame) if frame.left => {
                self.drop_one(frame.conversation_id);
                // The frame may be late, and the person back in it.
                self.at(frame.conversation_id, now_ms, |_| {});
            }
            ServerEvent::ConversationUpdated(frame) => self.at(frame.conversation_id, now_ms, State::updated),
            ServerEvent::Typing(typing) => {
                if let Some(user) = typing.user_id.filter(|user| *user != self.me) {
                    self.typing.insert((typing.conversation_id, user), now_ms + TYPING_MS);
                    self.version += 1;
                }
            }
            _ => {}
        }
    }

    fn message(&mut self, message: &Message, now_ms: u64) {
        let id = message.conversation_id;
        self.typing.remove(&(id, message.sender.id));
        if message.sender.id == self.me && !message.client_id.is_empty() {
            self.arrived(message);
        }
        self.at(id, now_ms, |state| state.pushed(message));
        if message.sender.id != self.me {
            self.deliveries.entry(id).or_insert(now_ms + DELIVERED_MS);
        }
    }

    /// An own message was seen: it stays at the end until everything before it is here.
    fn arrived(&mut self, message: &Message) {
        self.outbox.seen(message);
        let ahead = self.ahead.entry(message.conversation_id).or_default();
        if ahead.iter().all(|other| other.seq != message.seq) {
            ahead.push(message.clone());
            ahead.sort_unstable_by_key(|message| message.seq);
        }
    }

    /// Something came for a conversation; one that is not known is read.
    fn at(&mut self, id: Id, now_ms: u64, take: impl FnOnce(&mut State)) {
        match self.states.get_mut(&id) {
            Some(state) => take(state),
            None => drop(self.unknown.insert(id, self.readings)),
        }
        self.changed(id, now_ms);
    }

    /// Looks again at a conversation that changed.
    fn changed(&mut self, id: Id, now_ms: u64) {
        self.version += 1;
        if let Some(state) = self.states.get(&id) {
            let to = state.window.to();
            if let Some(ahead) = self.ahead.get_mut(&id) {
                ahead.retain(|message| message.seq > to);
            }
            let waiting: HashSet<String> = self.outbox.of(id).map(|one| one.message.client_id.clone()).collect();
            if !waiting.is_empty() {
                let own = state.window.messages().filter(|one| one.sender.id == self.me);
                let seen: Vec<Message> = own.filter(|one| waiting.contains(&one.client_id)).cloned().collect();
                for message in seen {
                    self.outbox.seen(&message);
                }
            }
        }
        if self.ahead.get(&id).is_some_and(Vec::is_empty) {
            self.ahead.remove(&id);
        }
        self.due.entry(id).or_insert(now_ms + GRACE_MS);
    }

    fn drop_one(&mut self, id: Id) {
        self.states.remove(&id);
        self.pauses.remove(&id);
        self.rounds.remove(&id);
        self.telling.remove(&id);
        self.ahead.remove(&id);
        self.jobs.remove(&id);
        self.unknown.remove(&id);
        self.version += 1;
    }
}

fn is_chat(stream: Stream) -> bool {
    matches!(stream, Stream::Direct | Stream::Group)
}
