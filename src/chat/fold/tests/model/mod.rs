//! The rules of chat once more, written as plainly as they read, over lists that hold everything that ever happened.

mod group;

use std::collections::{BTreeMap, BTreeSet};

use fanfare_protocol::{ConversationKind, History, Id, MemberRole};

use super::super::outcome::ChatRefusal;
use super::super::record::{ChatAct, ChatRecord};
use crate::base::id::unix_ms_of;
use crate::data::rows::chat::{Membership, Said};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub id: Id,
    pub by: Id,
    pub system: bool,
    pub text: String,
    mentions: Vec<Id>,
    all: bool,
    pub edits: u32,
    pub recalled: bool,
    pub media: Option<Id>,
    /// By emoji, in the order in which people came.
    pub reactions: Vec<(String, Vec<Id>)>,
    pub forwarded: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub role: MemberRole,
    pub presence: Membership,
    pub joined: Id,
    pub visible_from: u64,
    pub unread_from: u64,
    pub read: u64,
    pub sent_ms: u64,
}

#[derive(Debug, Clone)]
struct Send {
    record: Id,
    body: String,
    result: Result<u64, ChatRefusal>,
}

#[derive(Debug, Clone)]
pub struct Invite {
    pub uses: u32,
    max_uses: Option<u32>,
    revoked: bool,
}

#[derive(Debug, Clone, Default)]
pub struct Group {
    pub created: Option<Id>,
    pub direct: bool,
    pub title: Option<String>,
    pub all_history: bool,
    announcements: bool,
    slow_ms: u64,
    pub messages: Vec<Message>,
    pub people: BTreeMap<Id, Person>,
    pub changes: u64,
    pub pins: Vec<u64>,
    pub pending: Option<Id>,
    declined: bool,
    requested: u32,
    bars: BTreeMap<Id, (Id, bool)>,
    sends: BTreeMap<(Id, String), Send>,
    pub invites: BTreeMap<Id, Invite>,
    /// Minutes in which something came about.
    pub minutes: BTreeSet<u32>,
    pub named: BTreeSet<(Id, u64)>,
    /// Uploads of messages that were taken back, and by which record last.
    pub ends: BTreeMap<Id, Id>,
}

/// Answer to a record, as far as whoever asked hears it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Done,
    Placed(u64),
    Again(u64),
    Refused(ChatRefusal),
    RefusedAgain(ChatRefusal),
}

impl Group {
    fn is_in(&self, user: Id) -> bool {
        self.people.get(&user).is_some_and(|person| person.presence == Membership::In)
    }

    pub fn members(&self) -> Vec<Id> {
        self.people.keys().copied().filter(|user| self.is_in(*user)).collect()
    }

    fn barred(&self) -> bool {
        self.direct && self.bars.values().any(|(_, on)| *on)
    }

    /// Messages that count as unread for `user`, counted one by one.
    pub fn unread(&self, user: Id) -> u64 {
        let person = &self.people[&user];
        let above = person.read.max(person.unread_from);
        (1..).zip(&self.messages).filter(|(seq, message)| *seq > above && !message.system).count() as u64
    }

    fn say(&mut self, record: &ChatRecord, text: &str, system: bool) -> u64 {
        self.messages.push(Message {
            id: record.id,
            by: record.actor,
            system,
            text: text.to_owned(),
            mentions: Vec::new(),
            all: false,
            edits: 0,
            recalled: false,
            media: None,
            reactions: Vec::new(),
            forwarded: false,
        });
        self.messages.len() as u64
    }

    fn come(&mut self, record: &ChatRecord, user: Id, role: MemberRole, presence: Membership, seq: u64) {
        let visible_from = if self.all_history { 1 } else { seq };
        let unread_from = self.messages.len() as u64;
        let read = self.people.get(&user).map_or(0, |person| person.read);
        let person = Person { role, presence, joined: record.id, visible_from, unread_from, read, sent_ms: 0 };
        self.people.insert(user, person);
    }

    /// Role of somebody who comes by themselves: a group without members is theirs.
    fn first_role(&self) -> MemberRole {
        if self.members().is_empty() { MemberRole::Owner } else { MemberRole::Member }
    }

    fn go(&mut self, user: Id, presence: Membership) {
        let person = self.people.get_mut(&user).unwrap();
        let was = std::mem::replace(&mut person.role, MemberRole::Member);
        person.presence = presence;
        if was == MemberRole::Owner {
            let mut rest: Vec<(bool, Id, Id)> = Vec::new();
            for (other, person) in &self.people {
                if person.presence == Membership::In {
                    rest.push((person.role == MemberRole::Member, person.joined, *other));
                }
            }
            rest.sort_unstable();
            if let Some((_, _, heir)) = rest.first() {
                self.people.get_mut(heir).unwrap().role = MemberRole::Owner;
            }
        }
    }

    fn visible(&self, user: Id, seq: u64) -> bool {
        seq >= self.people[&user].visible_from && seq >= 1 && seq <= self.messages.len() as u64
    }

    /// The message `seq` names `people`, or all: whoever it named before is not told again.
    fn name(&mut self, record: &ChatRecord, seq: u64, said: &Said) {
        let people: Vec<Id> = said.mentions.iter().map(|mention| mention.id).collect();
        let all = said.all;
        let all = all && !self.direct && self.people[&record.actor].role != MemberRole::Member;
        let message = &mut self.messages[seq as usize - 1];
        let before = std::mem::replace(&mut message.mentions, people.clone());
        let was_all = std::mem::replace(&mut message.all, all);
        let people = if all && !was_all {
            self.members().into_iter().filter(|user| !said.except.contains(user)).collect()
        } else {
            people.into_iter().filter(|user| !was_all && !before.contains(user)).collect::<Vec<_>>()
        };
        for user in people.into_iter().filter(|user| *user != record.actor && self.is_in(*user)).collect::<Vec<_>>() {
            self.named.insert((user, seq));
        }
    }

    /// Answer to `record`.
    pub fn apply(&mut self, record: &ChatRecord) -> Answer {
        let answer = self.decide(record);
        if matches!(answer, Answer::Done | Answer::Placed(_)) {
            self.minutes.insert((unix_ms_of(record.id) / 60_000) as u32);
        }
        answer
    }

    fn decide(&mut self, record: &ChatRecord) -> Answer {
        match &record.act {
            ChatAct::Sent(sent) => {
                let key = (record.actor, sent.client_id.clone());
                let week = 7 * 86_400_000;
                if let Some(before) = self.sends.get(&key)
                    && (record.id.0 >> 22) - (before.record.0 >> 22)
                        < week + u64::from(record.id.0 & 0x3f_ffff < before.record.0 & 0x3f_ffff)
                {
                    if before.body != sent.body {
                        return Answer::Refused(ChatRefusal::Reused);
                    }
                    return match before.result {
                        Ok(seq) => Answer::Again(seq),
                        Err(refusal) => Answer::RefusedAgain(refusal),
                    };
                }
                let result = self.send(record);
                if !matches!(result, Err(ChatRefusal::Slow(_))) {
                    self.sends.insert(key, Send { record: record.id, body: sent.body.clone(), result });
                }
                match result {
                    Ok(seq) => Answer::Placed(seq),
                    Err(refusal) => Answer::Refused(refusal),
                }
            }
            _ => match self.other(record) {
                Ok(true) => Answer::Done,
                Ok(false) => Answer::Again(0),
                Err(refusal) => Answer::Refused(refusal),
            },
        }
    }

    fn send(&mut self, record: &ChatRecord) -> Result<u64, ChatRefusal> {
        let ChatAct::Sent(sent) = &record.act else { unreachable!() };
        if !self.is_in(record.actor) {
            return Err(ChatRefusal::NotFound);
        }
        let ms = record.shown_ms();
        if self.direct {
            let exhausted = self.pending.is_some_and(|pending| pending != record.actor) && self.requested >= 3;
            if self.barred() || exhausted || self.members().len() < 2 {
                return Err(ChatRefusal::Closed);
            }
        } else if self.people[&record.actor].role == MemberRole::Member {
            if self.announcements {
                return Err(ChatRefusal::Announcements);
            }
            let last = self.people[&record.actor].sent_ms;
            if last > 0 && ms < last + self.slow_ms {
                return Err(ChatRefusal::Slow((last + self.slow_ms - ms).div_ceil(1_000) as u32));
            }
        }
        if sent.attach_until_ms.is_some_and(|until_ms| unix_ms_of(record.id) >= until_ms) {
            return Err(ChatRefusal::NoMedia);
        }
        if let Some(seq) = sent.reply_to {
            let good = self.visible(record.actor, seq) && {
                let answered = &self.messages[seq as usize - 1];
                !answered.system && !answered.recalled
            };
            if !good {
                return Err(ChatRefusal::ReplyTo);
            }
        }
        let seq = self.say(record, &sent.said.text, false);
        let message = self.messages.last_mut().unwrap();
        message.forwarded = sent.forwarded;
        message.media = sent.attachment.as_ref().map(|attachment| attachment.id);
        self.name(record, seq, &sent.said);
        if self.pending == Some(record.actor) {
            self.pending = None;
        } else if self.pending.is_some() {
            self.requested += 1;
        }
        let slow = self.slow_ms > 0;
        let person = self.people.get_mut(&record.actor).unwrap();
        person.read = seq;
        if slow && person.role == MemberRole::Member && !self.direct {
            person.sent_ms = ms;
        }
        Ok(seq)
    }

    /// Whether anything changed.
    fn other(&mut self, record: &ChatRecord) -> Result<bool, ChatRefusal> {
        let actor = record.actor;
        if let ChatAct::Barred { on, source, .. } = &record.act {
            self.direct = true;
            return Ok(self.bar(actor, *source, *on));
        }
        if let ChatAct::Created(created) = &record.act {
            if self.created.is_some() {
                return if self.people.contains_key(&actor) { Ok(false) } else { Err(ChatRefusal::NotFound) };
            }
            return self.create(record, created);
        }
        if let ChatAct::Joined { invite, .. } = &record.act {
            return self.join(record, *invite);
        }
        let unbarred = matches!(record.act, ChatAct::Departed {}) && self.bars.remove(&actor).is_some();
        if unbarred && (self.created.is_none() || !self.people.contains_key(&actor)) {
            return Ok(true);
        }
        if self.created.is_none() {
            return Err(ChatRefusal::NotFound);
        }
        let known = self.people.get(&actor).ok_or(ChatRefusal::NotFound)?.clone();
        match (&record.act, known.presence) {
            (ChatAct::Accepted { members_max }, Membership::Invited) => {
                if members_max.is_some_and(|max| self.members().len() >= max as usize) {
                    return Err(ChatRefusal::Full);
                }
                let seq = self.messages.len() as u64 + 1;
                self.come(record, actor, self.first_role(), Membership::In, seq);
                self.say(record, "", true);
                return Ok(true);
            }
            (ChatAct::Declined {} | ChatAct::Departed {}, Membership::Invited) => {
                self.go(actor, Membership::Left);
                return Ok(true);
            }
            (ChatAct::Departed {}, Membership::Left | Membership::Removed) => return Ok(unbarred),
            (_, Membership::In) => {}
            _ => return Err(ChatRefusal::NotFound),
        }
        self.of_member(record, &known)
    }

    fn of_member(&mut self, record: &ChatRecord, own: &Person) -> Result<bool, ChatRefusal> {
        let actor = record.actor;
        match &record.act {
            ChatAct::Accepted { .. } => {
                let was = self.pending == Some(actor);
                if was {
                    self.pending = None;
                }
                Ok(was)
            }
            ChatAct::Declined {} => {
                let changes = self.pending == Some(actor) && !self.declined;
                self.declined |= changes;
                Ok(changes)
            }
            ChatAct::Departed {} => {
                if !self.direct {
                    self.say(record, "", true);
                }
                self.go(actor, Membership::Left);
                match self.pending {
                    // Whoever was asked never sees it.
                    Some(asked) if asked != actor && self.is_in(asked) => self.go(asked, Membership::Left),
                    Some(asked) if asked != actor => {}
                    _ => self.pending = None,
                }
                Ok(true)
            }
            ChatAct::Edited { .. } | ChatAct::Recalled { .. } | ChatAct::Reacted { .. } | ChatAct::Pinned { .. } => {
                self.of_message(record, own)
            }
            _ if self.direct => Err(ChatRefusal::Kind),
            _ => self.of_group(record, own),
        }
    }

    fn bar(&mut self, by: Id, source: Id, on: bool) -> bool {
        let is_newer = self.bars.get(&by).is_none_or(|(known, _)| *known < source);
        if is_newer {
            self.bars.insert(by, (source, on));
        }
        is_newer
    }

    fn create(&mut self, record: &ChatRecord, created: &super::super::record::Beginning) -> Result<bool, ChatRefusal> {
        let actor = record.actor;
        if created.kind == ConversationKind::Direct {
            let mut bars = self.bars.clone();
            for bar in &created.bars {
                if bars.get(&bar.by).is_none_or(|(known, _)| *known < bar.source) {
                    bars.insert(bar.by, (bar.source, bar.on));
                }
            }
            if bars.values().any(|(_, on)| *on) {
                return Err(ChatRefusal::Closed);
            }
            (self.direct, self.all_history, self.bars) = (true, true, bars);
            self.pending = created.request.then(|| created.members[0]);
            for user in [actor, created.members[0]] {
                self.come(record, user, MemberRole::Member, Membership::In, 1);
            }
        } else {
            self.title.clone_from(&created.title);
            self.all_history = created.history == Some(History::All);
            self.come(record, actor, MemberRole::Owner, Membership::In, 1);
            for (people, presence) in [(&created.members, Membership::In), (&created.invited, Membership::Invited)] {
                for user in people {
                    if !self.people.contains_key(user) {
                        self.come(record, *user, MemberRole::Member, presence, 1);
                    }
                }
            }
            self.say(record, "", true);
        }
        self.created = Some(record.id);
        Ok(true)
    }

    fn join(&mut self, record: &ChatRecord, invite: Id) -> Result<bool, ChatRefusal> {
        let known = self.invites.get(&invite).cloned().ok_or(ChatRefusal::NoInvite)?;
        if self.is_in(record.actor) {
            return Ok(false);
        }
        let removed = self.people.get(&record.actor).is_some_and(|person| person.presence == Membership::Removed);
        if known.revoked || removed || known.max_uses.is_some_and(|max| known.uses >= max) {
            return Err(ChatRefusal::NoInvite);
        }
        let ChatAct::Joined { members_max, .. } = &record.act else { unreachable!() };
        if self.members().len() >= *members_max as usize {
            return Err(ChatRefusal::Full);
        }
        let seq = self.messages.len() as u64 + 1;
        self.come(record, record.actor, self.first_role(), Membership::In, seq);
        self.say(record, "", true);
        self.invites.get_mut(&invite).unwrap().uses += 1;
        Ok(true)
    }

    fn hand_over(&mut self, record: &ChatRecord, member: Id) -> bool {
        if member == record.actor {
            return false;
        }
        self.say(record, "", true);
        self.people.get_mut(&record.actor).unwrap().role = MemberRole::Admin;
        self.people.get_mut(&member).unwrap().role = MemberRole::Owner;
        true
    }

    fn recall(&mut self, record: Id, seq: u64) {
        let message = &mut self.messages[seq as usize - 1];
        self.ends.extend(message.media.map(|media| (media, record)));
        message.recalled = true;
        message.text.clear();
        message.reactions.clear();
        self.pins.retain(|pin| *pin != seq);
        self.changes += 1;
    }

    /// A message of a person that is still there.
    fn of_person(&self, actor: Id, seq: u64) -> Result<&Message, ChatRefusal> {
        if !self.visible(actor, seq) {
            return Err(ChatRefusal::NoMessage);
        }
        let message = &self.messages[seq as usize - 1];
        if message.system || message.recalled { Err(ChatRefusal::Fixed) } else { Ok(message) }
    }
}
