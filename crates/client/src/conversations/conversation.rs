//! State of one conversation: as the server told it last, and what was pushed since. Pure: `wants` says what is to be
//! read next, and each answer is taken by a method of its own.

use std::collections::{BTreeMap, BTreeSet};

use fanfare_protocol::{
    Change, Conversation, Id, Member, Message, MessageChanged, MessageKind, MessagePage, MessageRecalled, Receipt,
};

use super::derive::{names, reacted};
use super::window::{Hole, Window};

/// Messages kept of a conversation that nobody looks at.
const CLOSED_MAX: usize = 50;
/// Counting of mentions stops here, as the server's does.
const MENTIONS_MAX: u64 = 100;
/// Messages that wait to be read one by one; beyond it the newest page is read instead.
const UNSURE_MAX: usize = 20;
/// Messages that a screen shows first.
pub(super) const SCREEN: usize = 50;

/// Part of a conversation that is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// The conversation itself.
    Conversation,
    /// The newest page of messages, in place of those that are here.
    Newest,
    /// Messages above this one.
    After(u64),
    /// Messages below this one.
    Before(u64),
    /// Changes above this one.
    Changes(u64),
    /// A single message, of which a frame said too little.
    Message(u64),
    /// Progress of all members.
    Receipts,
    /// All members.
    Members,
}

impl From<Hole> for Want {
    fn from(hole: Hole) -> Self {
        match hole {
            Hole::After(seq) => Self::After(seq),
            Hole::Changes(after) => Self::Changes(after),
            Hole::Newest => Self::Newest,
        }
    }
}

#[derive(Debug)]
pub(super) struct State {
    me: Id,
    pub window: Window,
    told: Conversation,
    /// Number of the reading that `told` is of.
    reading: u64,
    unread: u64,
    mentions: u64,
    read: u64,
    /// The read mark as the server has it.
    read_told: u64,
    /// Messages up to here are in the numbers above.
    counted: u64,
    pub receipts: BTreeMap<Id, Receipt>,
    pub members: Option<Vec<Member>>,
    stale: bool,
    unsure: BTreeSet<u64>,
    receipts_stale: bool,
    members_stale: bool,
    opened: bool,
    /// Messages up to here were looked through for news of members.
    scanned: u64,
    /// Nothing is below the first message here, whatever the numbers say.
    at_start: bool,
    /// The count above the read mark is the server's of before the mark moved.
    uncounted: bool,
}

impl State {
    pub fn new(me: Id, told: Conversation, reading: u64) -> Self {
        let mut state = Self {
            me,
            window: Window::new(me),
            told: told.clone(),
            reading,
            unread: 0,
            mentions: 0,
            read: 0,
            read_told: 0,
            counted: 0,
            receipts: BTreeMap::new(),
            members: None,
            stale: false,
            unsure: BTreeSet::new(),
            receipts_stale: false,
            members_stale: false,
            opened: false,
            scanned: 0,
            at_start: false,
            uncounted: false,
        };
        state.restart(&told);
        state.take(told, reading);
        state
    }

    /// The conversation as it is now.
    pub fn view(&self) -> Conversation {
        Conversation {
            last_message: self.newest().cloned(),
            last_seq: self.told.last_seq.max(self.window.to()),
            change_seq: self.window.applied(),
            read_seq: self.read,
            unread_count: self.unread,
            mention_count: self.mentions.min(MENTIONS_MAX),
            ..self.told.clone()
        }
    }

    /// The newest message that is here or was told.
    fn newest(&self) -> Option<&Message> {
        let told = self.told.last_message.as_ref();
        let own = self.window.messages().next_back();
        match (own, told) {
            (Some(own), told) if own.seq >= told.map_or(0, |told| told.seq) => Some(own),
            (_, Some(told)) => Some(self.window.at(told.seq).unwrap_or(told)),
            _ => None,
        }
    }

    /// Place in the list: the newest message, else the conversation.
    pub fn place(&self) -> Id {
        self.newest().map_or(self.told.id, |message| message.id)
    }

    /// Whether it was told by a reading that began after this one.
    pub const fn is_of_after(&self, reading: u64) -> bool {
        self.reading > reading
    }

    pub const fn is_request(&self) -> bool {
        self.told.is_request
    }

    /// The read mark, where the server does not have it yet.
    pub fn read_untold(&self) -> Option<u64> {
        (self.read > self.read_told).then_some(self.read)
    }

    /// Number of the newest message that is known of, and whether it was read.
    pub fn heads(&self) -> (u64, u64) {
        (self.window.last().max(self.told.last_seq), self.read)
    }

    /// The server has the read mark.
    pub fn read_is_told(&mut self, seq: u64) {
        self.read_told = self.read_told.max(seq);
    }

    /// The server has the read mark: what could not be counted here is asked for.
    pub fn recounted(&mut self) {
        self.stale |= std::mem::take(&mut self.uncounted);
    }

    pub const fn is_open(&self) -> bool {
        self.opened
    }

    /// Whether older messages can be read.
    pub fn has_older(&self) -> bool {
        !self.at_start && self.window.from() > self.told.visible_from.max(1)
    }

    /// Somebody looks at it: messages, receipts and members are wanted whole from now on.
    pub fn open(&mut self) {
        if !self.opened {
            (self.opened, self.receipts_stale, self.members_stale) = (true, true, true);
        }
    }

    pub fn close(&mut self) {
        self.opened = false;
        self.window.following = true;
        self.window.shrink(CLOSED_MAX);
    }

    /// Notes that it changed in ways that only reading tells.
    pub fn updated(&mut self) {
        self.stale = true;
    }

    /// Notes that receipts may have been missed; they are current values, which nobody repeats.
    pub fn lost_receipts(&mut self) {
        self.receipts_stale = true;
    }

    /// The next thing to read. A conversation that nobody looks at is read without its messages.
    pub fn wants(&self) -> Option<Want> {
        if self.stale {
            return Some(Want::Conversation);
        }
        let hole = self.window.hole();
        if !self.is_open() {
            return (hole.is_some() || self.unsure.contains(&self.window.to())).then_some(Want::Conversation);
        }
        if let Some(hole) = hole {
            return Some(hole.into());
        }
        if self.window.len() < SCREEN && self.has_older() {
            return Some(Want::Before(self.window.from()));
        }
        if let Some(seq) = self.unsure.first() {
            return Some(if self.unsure.len() > UNSURE_MAX { Want::Newest } else { Want::Message(*seq) });
        }
        match (self.receipts_stale, self.members_stale) {
            (true, _) => Some(Want::Receipts),
            (_, true) => Some(Want::Members),
            _ => None,
        }
    }

    /// A reading begins: what is noted from now on is not in it.
    pub fn begins(&mut self, want: Want) {
        self.note(want, false);
    }

    /// A reading failed: it is still wanted.
    pub fn failed(&mut self, want: Want) {
        self.note(want, true);
    }

    fn note(&mut self, want: Want, wanted: bool) {
        match want {
            Want::Conversation => self.stale = wanted,
            Want::Receipts => self.receipts_stale = wanted,
            Want::Members => self.members_stale = wanted,
            Want::Message(seq) if wanted => drop(self.unsure.insert(seq)),
            Want::Message(seq) => drop(self.unsure.remove(&seq)),
            Want::Newest | Want::After(_) | Want::Before(_) | Want::Changes(_) => {}
        }
    }

    /// Whether another device hid it, as far as was told.
    pub const fn is_hidden(&self) -> bool {
        self.told.hidden
    }

    /// The conversation was read, or came in a list; `reading` is the number of that reading.
    pub fn told(&mut self, told: Conversation, reading: u64) {
        // One that began before the last and was answered after it: nobody knows which is newer.
        if reading < self.reading {
            self.stale = true;
        } else {
            self.take(told, reading);
        }
    }

    /// A message was pushed, or answered to its sender.
    pub fn pushed(&mut self, message: &Message) {
        let (user_id, seq) = (message.sender.id, message.seq);
        // Whoever speaks has read what came before, and no receipt says so.
        if user_id != self.me && message.kind != MessageKind::System {
            self.receipt(Receipt { user_id, delivered_seq: seq, read_seq: seq });
        }
        if self.window.push(message) {
            self.joined();
        }
        if !self.is_open() {
            self.window.shrink(CLOSED_MAX);
        }
    }

    /// A message that was there is another now.
    pub fn changed(&mut self, frame: &MessageChanged) {
        let covered = frame.change_seq - frame.after;
        match self.window.changed(frame) {
            Some(before) => {
                self.check_names(&before);
                let (_, unsure) = reacted(&before.reactions, &frame.message.reactions, self.me, covered);
                if unsure {
                    self.unsure.insert(before.seq);
                }
            }
            None => self.check_last(frame.message.seq),
        }
    }

    /// A message was taken back.
    pub fn recalled(&mut self, frame: &MessageRecalled) {
        match self.window.recalled(frame) {
            Some(before) => {
                self.check_names(&before);
                // The person who took it back, and what became of the rest.
                self.unsure.insert(frame.seq);
            }
            None => self.check_last(frame.seq),
        }
    }

    /// Asks for the count where a change moves what names the caller.
    fn check_names(&mut self, before: &Message) {
        let now = self.window.at(before.seq).is_some_and(|now| names(now, self.me));
        self.stale |= before.seq > self.read && now != names(before, self.me);
    }

    fn check_last(&mut self, seq: u64) {
        let is_last = self.told.last_message.as_ref().is_some_and(|last| last.seq == seq);
        self.stale |= is_last && self.window.at(seq).is_none();
    }

    /// A member has come further.
    pub fn receipt(&mut self, receipt: Receipt) {
        let before = self.receipts.entry(receipt.user_id).or_insert(receipt);
        before.delivered_seq = before.delivered_seq.max(receipt.delivered_seq);
        before.read_seq = before.read_seq.max(receipt.read_seq);
        if receipt.user_id == self.me {
            self.read_is_told(receipt.read_seq);
            self.read_to(receipt.read_seq);
        }
    }

    /// The caller has read up to here, on this device or another.
    pub fn read_to(&mut self, seq: u64) {
        let to = seq.min(self.counted.max(self.window.last()));
        if to > self.read {
            self.read = to;
            self.recount();
        }
    }

    /// The newest page, in place of what was here.
    pub fn replaced(&mut self, page: MessagePage) {
        self.window.replace(page);
        self.unsure.clear();
        self.at_start = false;
        self.joined();
    }

    /// A page that is to be joined to what is here; whether it fits.
    pub fn page_read(&mut self, page: MessagePage) -> bool {
        let fits = self.window.page_read(page);
        self.joined();
        fits
    }

    /// Nothing was found below the first message.
    pub fn is_at_start(&mut self) {
        self.at_start = true;
    }

    /// Changes above `after` were read, up to `through`.
    pub fn changes_read(&mut self, after: u64, items: &[Change], through: u64) {
        let moves_names = |change: &Change| {
            let now = change.message.as_ref().map(|message| names(message, self.me));
            let before = self.window.at(change.seq).is_some_and(|message| names(message, self.me));
            change.seq > self.read && now.is_some_and(|now| now != before)
        };
        self.stale |= items.iter().any(moves_names);
        self.window.changes_read(after, items, through);
    }

    fn take(&mut self, told: Conversation, reading: u64) {
        self.reading = reading;
        let is_behind =
            self.window.hole().is_some() || told.last_seq > self.window.to() || told.change_seq > self.window.applied();
        self.window.know(told.last_seq, told.change_seq);
        let is_newest = told.last_seq >= self.window.last() && told.change_seq >= self.window.change();
        // Without a reader there is no need for the messages in between.
        if is_behind && !self.is_open() && is_newest {
            self.restart(&told);
        }
        if let Some(newest) = &told.last_message {
            self.window.one_read(newest, told.change_seq);
            if newest.seq == self.window.to() {
                self.unsure.remove(&newest.seq);
            }
        }
        let local = self.read;
        self.read = told.read_seq;
        self.read_told = self.read_told.max(told.read_seq);
        (self.unread, self.mentions, self.counted) = (told.unread_count, told.mention_count, told.last_seq);
        let members = self.members.as_ref().map(|members| members.len() as u64);
        self.members_stale |= members.is_some_and(|members| members != told.member_count);
        self.told = told;
        self.joined();
        if local > self.read {
            self.read = local;
            self.recount();
        }
    }

    fn restart(&mut self, told: &Conversation) {
        self.window.restart(told.last_seq, told.change_seq, told.last_message.as_ref());
        self.unsure.clear();
        self.at_start = false;
        self.scanned = self.window.to();
    }

    /// Messages came behind those that were here.
    fn joined(&mut self) {
        self.count();
        let fresh = self.window.messages().rev().take_while(|message| message.seq > self.scanned);
        self.members_stale |= fresh.into_iter().any(|message| message.kind == MessageKind::System);
        self.scanned = self.window.to();
        // However they came: pushed, or in a page that filled what was missing before them.
        let mut unknown = self.window.messages().rev().take_while(|message| message.seq > self.told.last_seq);
        self.stale |= unknown.any(|message| self.wakes(message));
    }

    /// Counts messages that came behind those that are counted.
    fn count(&mut self) {
        if self.window.to() <= self.counted {
            return;
        }
        if self.window.from() > self.counted + 1 {
            self.stale = true;
            return;
        }
        self.count_between(self.counted + 1, self.window.to());
        self.counted = self.window.to();
    }

    fn count_between(&mut self, from: u64, upto: u64) {
        for seq in from..=upto {
            let Some(message) = self.window.at(seq) else { continue };
            let is_system = message.kind == MessageKind::System;
            if message.sender.id == self.me && !is_system {
                // Whoever writes has read.
                (self.read, self.unread, self.mentions) = (seq, 0, 0);
                self.read_told = self.read_told.max(seq);
            } else if seq > self.read {
                self.mentions += u64::from(names(message, self.me));
                self.unread += u64::from(!is_system);
            }
        }
    }

    /// Counts what is above the read mark anew; where the messages are not here, the server is asked.
    fn recount(&mut self) {
        let is_known = self.window.from() <= self.read + 1 && self.window.to() >= self.counted;
        if self.read < self.counted && !is_known {
            // If it does not have the mark yet, after it was told.
            if self.read > self.read_told {
                self.uncounted = true;
            } else {
                self.stale = true;
            }
            return;
        }
        (self.unread, self.mentions) = (0, 0);
        self.count_between(self.read + 1, self.counted);
    }

    /// Whether the server answers more than the message itself: it may have left the archive, or a request was
    /// answered.
    fn wakes(&self, message: &Message) -> bool {
        let Conversation { personal, is_request, hidden, .. } = &self.told;
        let of_sender =
            if message.sender.id == self.me { *is_request || personal.marked_unread } else { personal.archived };
        *hidden || of_sender
    }
}
