//! A server of conversations that tests hold: the whole truth in memory, its answers, its frames to one person.

use std::collections::BTreeMap;

use fanfare_protocol::{
    Author, Change, ChangeKind, ChangePage, Code, Conversation, ConversationKind, ConversationPage,
    ConversationUpdated, History, Id, KeyedMessage, Member, MemberRole, Mention, Message, MessageChanged, MessageKind,
    MessagePage, MessageRecalled, NewMessage, Personal, Problem, Quote, Reaction, Receipt, ReceiptChanged, ServerEvent,
    SystemEvent, SystemKind, Timestamp,
};

use super::super::Folder;
use super::super::core::{Answer, Ask, Of};
use super::super::sync::Part;
use crate::{ClientError, MessagePlace, Result};

/// People named by a reaction.
const NAMED: usize = 2;

#[derive(Debug, Clone)]
pub struct Sent {
    pub id: Id,
    pub seq: u64,
    pub sender: Id,
    pub kind: MessageKind,
    pub text: String,
    pub client_id: String,
    pub reply_to: Option<u64>,
    pub reactions: Vec<(String, Vec<Id>)>,
    pub edits: u64,
    pub recalled_by: Option<Id>,
    pub system: Option<SystemEvent>,
}

#[derive(Debug, Clone)]
pub struct Seat {
    pub here: bool,
    role: MemberRole,
    pub visible_from: u64,
    joined: Id,
    pub read: u64,
    delivered: u64,
    personal: Personal,
    hidden: Option<usize>,
    event: u64,
}

#[derive(Debug)]
pub struct Talk {
    pub id: Id,
    pub kind: ConversationKind,
    title: Option<String>,
    pub members: BTreeMap<Id, Seat>,
    pub messages: Vec<Sent>,
    changes: Vec<(ChangeKind, u64)>,
    sends: BTreeMap<(Id, String), Option<u64>>,
}

/// Conversations of some people. Every event has a number; `changed_after` is such a number.
#[derive(Default)]
pub struct Server {
    names: BTreeMap<Id, &'static str>,
    pub talks: BTreeMap<Id, Talk>,
    ids: u64,
    events: u64,
    /// Person whose frames are kept, and the frames.
    pub listener: Option<Id>,
    pub frames: Vec<ServerEvent>,
    /// Number of changes that are told, and of events.
    pub changes_kept: Option<u64>,
    pub events_kept: Option<u64>,
}

pub fn problem(code: Code) -> ClientError {
    ClientError::Problem(Box::new(Problem::new(code, "a test")))
}

/// Place in a list.
fn place(one: &Conversation) -> Id {
    one.last_message.as_ref().map_or(one.id, |message| message.id)
}

fn is_hidden(talk: &Talk, seat: &Seat) -> bool {
    seat.hidden.is_some_and(|at| talk.messages.len() <= at)
}

fn at(number: u64) -> Timestamp {
    Timestamp(1_767_225_600_000 + number * 1_000)
}

impl Server {
    pub fn person(&mut self, name: &'static str) -> Id {
        let id = self.id();
        self.names.insert(id, name);
        id
    }

    fn id(&mut self) -> Id {
        self.ids += 1;
        Id(self.ids)
    }

    fn author(&self, id: Id) -> Author {
        let name = self.names[&id].to_owned();
        Author { id, handle: name.clone(), display_name: name, avatar_url: None }
    }

    /// Tells the listener, if they are in it and may hear.
    fn tell(&mut self, talk: Id, frame: ServerEvent) {
        let is_here = |me: Id| self.talks[&talk].members.get(&me).is_some_and(|seat| seat.here);
        if self.listener.is_some_and(is_here) {
            self.frames.push(frame);
        }
    }

    fn touch(&mut self, talk: Id, only: Option<Id>) {
        self.events += 1;
        let members = &mut self.talks.get_mut(&talk).unwrap().members;
        for (user, seat) in members {
            if only.is_none_or(|only| only == *user) {
                seat.event = self.events;
            }
        }
    }

    pub fn make(&mut self, kind: ConversationKind, owner: Id, others: &[Id]) -> Id {
        let id = self.id();
        let (members, messages, changes, sends) = Default::default();
        let title = (kind == ConversationKind::Group).then(|| format!("group {id}"));
        self.talks.insert(id, Talk { id, kind, title, members, messages, changes, sends });
        for user in std::iter::once(owner).chain(others.iter().copied()) {
            self.join(id, user, if user == owner { MemberRole::Owner } else { MemberRole::Member });
        }
        if kind == ConversationKind::Group {
            self.system(id, owner, SystemKind::Created, others.to_vec());
        }
        self.touch(id, None);
        self.updated(id);
        id
    }

    fn updated(&mut self, id: Id) {
        self.tell(id, ServerEvent::ConversationUpdated(ConversationUpdated { conversation_id: id, left: false }));
    }

    fn join(&mut self, id: Id, user: Id, role: MemberRole) {
        let joined = self.id();
        let talk = self.talks.get_mut(&id).unwrap();
        let from = talk.messages.len() as u64 + 1;
        let old = talk.members.get(&user).cloned();
        let kept = |mark: fn(&Seat) -> u64| old.as_ref().map_or(0, mark).max(from - 1);
        let visible_from = old.as_ref().map_or(from, |old| old.visible_from);
        let (read, delivered) = (kept(|seat| seat.read), kept(|seat| seat.delivered));
        let personal = old.map(|old| old.personal).unwrap_or_default();
        let seat = Seat { here: true, role, visible_from, joined, read, delivered, personal, hidden: None, event: 0 };
        talk.members.insert(user, seat);
    }

    fn add_message(&mut self, talk: Id, sender: Id, kind: MessageKind, new: (&str, &str, Option<u64>)) -> u64 {
        let id = self.id();
        let (client_id, text, reply_to) = (new.0.to_owned(), new.1.to_owned(), new.2);
        let messages = &mut self.talks.get_mut(&talk).unwrap().messages;
        let seq = messages.len() as u64 + 1;
        let (reactions, edits, recalled_by, system) = Default::default();
        messages.push(Sent { id, seq, sender, kind, text, client_id, reply_to, reactions, edits, recalled_by, system });
        seq
    }

    /// Tells of the newest message.
    fn told(&mut self, talk: Id, seq: u64) {
        self.touch(talk, None);
        let message = self.message(talk, seq, None);
        let keyed = KeyedMessage { key: message.id.to_string(), message };
        self.tell(talk, ServerEvent::Message(Box::new(keyed)));
    }

    fn system(&mut self, talk: Id, by: Id, kind: SystemKind, user_ids: Vec<Id>) {
        let seq = self.add_message(talk, by, MessageKind::System, ("", "", None));
        let system = Some(SystemEvent { kind, user_ids, title: None, seq: None });
        self.talks.get_mut(&talk).unwrap().messages[seq as usize - 1].system = system;
        self.told(talk, seq);
    }

    /// A message as a person sees it; nobody is a frame, which is the same for all.
    pub fn message(&self, talk: Id, seq: u64, viewer: Option<Id>) -> Message {
        let messages = &self.talks[&talk].messages;
        let sent = &messages[seq as usize - 1];
        let quoted = sent.reply_to.map(|seq| &messages[seq as usize - 1]).filter(|_| sent.recalled_by.is_none());
        let reaction = |(emoji, users): &(String, Vec<Id>)| Reaction {
            emoji: emoji.clone(),
            count: users.len() as u64,
            user_ids: users[users.len().saturating_sub(NAMED)..].to_vec(),
            mine: viewer.map(|viewer| users.contains(&viewer)),
        };
        let named = self.names.iter().filter(|(_, name)| sent.text.contains(&format!("@{name}")));
        Message {
            id: sent.id,
            conversation_id: talk,
            seq,
            sender: self.author(sent.sender),
            kind: sent.kind,
            text: sent.text.clone(),
            attachment: None,
            client_id: sent.client_id.clone(),
            mentions: named.map(|(id, name)| Mention { id: *id, handle: (*name).to_owned() }).collect(),
            mentions_all: false,
            links: Vec::new(),
            reply_to: quoted.map(|quoted| Quote {
                seq: quoted.seq,
                sender_id: Some(quoted.sender),
                kind: quoted.kind,
                text: quoted.text.clone(),
                recalled: quoted.recalled_by.is_some(),
            }),
            forwarded: false,
            reactions: sent.reactions.iter().map(reaction).collect(),
            edited_at: (sent.edits > 0 && sent.recalled_by.is_none()).then(|| at(sent.edits)),
            recalled: sent.recalled_by.is_some(),
            recalled_by: sent.recalled_by.filter(|by| *by != sent.sender),
            system: sent.system.clone(),
            created_at: at(sent.id.0),
        }
    }

    pub fn view(&self, id: Id, user: Id) -> Conversation {
        let talk = &self.talks[&id];
        let seat = &talk.members[&user];
        let last_seq = talk.messages.len() as u64;
        let unread: Vec<&Sent> = talk.messages[seat.read as usize..]
            .iter()
            .filter(|sent| sent.kind != MessageKind::System && sent.sender != user)
            .collect();
        let names = |sent: &&&Sent| self.message(id, sent.seq, None).mentions.iter().any(|one| one.id == user);
        let peer = talk.members.keys().find(|one| **one != user && talk.kind == ConversationKind::Direct);
        Conversation {
            id,
            kind: talk.kind,
            title: talk.title.clone(),
            picture_url: None,
            peer: peer.map(|peer| self.author(*peer)),
            member_count: talk.members.values().filter(|seat| seat.here).count() as u64,
            role: seat.role,
            history: History::FromJoin,
            announcements_only: false,
            slow_mode_s: 0,
            last_message: (last_seq >= seat.visible_from).then(|| self.message(id, last_seq, Some(user))),
            last_seq,
            change_seq: talk.changes.len() as u64,
            visible_from: seat.visible_from,
            read_seq: seat.read,
            unread_count: unread.len() as u64,
            mention_count: unread.iter().filter(names).count() as u64,
            is_request: false,
            left: !seat.here,
            hidden: seat.here && is_hidden(talk, seat),
            personal: seat.personal.clone(),
            created_at: at(id.0),
        }
    }

    pub fn list(&self, user: Id) -> Vec<Conversation> {
        let is_shown = |talk: &Talk, seat: &Seat| seat.here && !is_hidden(talk, seat);
        let is_mine = |talk: &&Talk| talk.members.get(&user).is_some_and(|seat| is_shown(talk, seat));
        let mut views: Vec<Conversation> =
            self.talks.values().filter(is_mine).map(|talk| self.view(talk.id, user)).collect();
        views.sort_by_key(|one| std::cmp::Reverse(place(one)));
        views
    }

    pub fn receipts(&self, id: Id) -> Vec<Receipt> {
        let here = self.talks[&id].members.iter().filter(|(_, seat)| seat.here);
        here.map(|(user, seat)| Receipt { user_id: *user, delivered_seq: seat.delivered, read_seq: seat.read })
            .collect()
    }

    pub fn members(&self, id: Id) -> Vec<Member> {
        let here = self.talks[&id].members.iter().filter(|(_, seat)| seat.here);
        let member = |(user, seat): (&Id, &Seat)| Member {
            user: self.author(*user),
            role: seat.role,
            joined_at: at(seat.joined.0),
        };
        here.map(member).collect()
    }

    /// Sends once a `client_id`; refusals are remembered.
    pub fn send(&mut self, talk: Id, sender: Id, new: (&str, &str, Option<u64>)) -> Result<Message> {
        let key = (sender, new.0.to_owned());
        let known = self.talks[&talk].sends.get(&key).copied();
        let seq = match known {
            Some(seq) => seq,
            None if new.1.contains("refuse") => None,
            None => Some(self.add_message(talk, sender, MessageKind::Text, new)),
        };
        self.talks.get_mut(&talk).unwrap().sends.insert(key, seq);
        let seq = seq.ok_or_else(|| problem(Code::Forbidden))?;
        if known.is_none() {
            // Whoever speaks has read what came before, and no receipt says so.
            let seat = self.talks.get_mut(&talk).unwrap().members.get_mut(&sender).unwrap();
            (seat.read, seat.delivered) = (seat.read.max(seq), seat.delivered.max(seq));
            self.told(talk, seq);
        }
        Ok(self.message(talk, seq, Some(sender)))
    }

    fn change(&mut self, talk: Id, kind: ChangeKind, seq: u64) {
        let key = self.id().to_string();
        let changes = &mut self.talks.get_mut(&talk).unwrap().changes;
        let after = changes.len() as u64;
        changes.push((kind, seq));
        self.touch(talk, None);
        let change_seq = after + 1;
        if kind == ChangeKind::Recalled {
            let sent = &self.talks[&talk].messages[seq as usize - 1];
            let recalled_by = sent.recalled_by.filter(|by| *by != sent.sender);
            let frame = MessageRecalled { key, after, change_seq, conversation_id: talk, seq, recalled_by };
            self.tell(talk, ServerEvent::MessageRecalled(frame));
        } else {
            let message = self.message(talk, seq, None);
            let frame = MessageChanged { key, after, change_seq, message };
            self.tell(talk, ServerEvent::MessageChanged(Box::new(frame)));
        }
    }

    /// Changes a message that can be changed.
    pub fn alter(&mut self, talk: Id, seq: u64, kind: ChangeKind, act: impl FnOnce(&mut Sent)) {
        let sent = &mut self.talks.get_mut(&talk).unwrap().messages[seq as usize - 1];
        if sent.recalled_by.is_none() && sent.kind != MessageKind::System {
            act(sent);
            self.change(talk, kind, seq);
        }
    }

    pub fn rename(&mut self, talk: Id, by: Id, title: String) {
        self.talks.get_mut(&talk).unwrap().title = Some(title);
        self.system(talk, by, SystemKind::SettingsChanged, Vec::new());
        self.updated(talk);
    }

    pub fn add(&mut self, talk: Id, by: Id, user: Id) {
        if self.talks[&talk].members.get(&user).is_none_or(|seat| !seat.here) {
            self.join(talk, user, MemberRole::Member);
            self.system(talk, by, SystemKind::Added, vec![user]);
            self.updated(talk);
        }
    }

    pub fn remove(&mut self, talk: Id, by: Id, user: Id) {
        let Some(seat) = self.talks.get_mut(&talk).unwrap().members.get_mut(&user).filter(|seat| seat.here) else {
            return;
        };
        seat.here = false;
        self.touch(talk, None);
        if self.listener == Some(user) {
            let frame = ConversationUpdated { conversation_id: talk, left: true };
            self.frames.push(ServerEvent::ConversationUpdated(frame));
        }
        self.system(talk, by, SystemKind::Removed, vec![user]);
        self.updated(talk);
    }

    pub fn mark(&mut self, talk: Id, user: Id, reads: bool, seq: u64) {
        let seat = self.talks.get_mut(&talk).unwrap().members.get_mut(&user).unwrap();
        let before = (seat.read, seat.delivered);
        seat.read = if reads { seat.read.max(seq) } else { seat.read };
        seat.delivered = seat.delivered.max(seq);
        if (seat.read, seat.delivered) != before {
            let receipts = vec![Receipt { user_id: user, delivered_seq: seat.delivered, read_seq: seat.read }];
            self.touch(talk, Some(user));
            self.tell(talk, ServerEvent::Receipt(ReceiptChanged { conversation_id: talk, receipts }));
        }
    }

    pub fn personal(&mut self, talk: Id, user: Id, act: impl FnOnce(&mut Personal)) {
        act(&mut self.talks.get_mut(&talk).unwrap().members.get_mut(&user).unwrap().personal);
        self.touch(talk, Some(user));
        if self.listener == Some(user) {
            self.updated(talk);
        }
    }

    /// Hides it from the person until something new comes, by another device.
    pub fn hide(&mut self, talk: Id, user: Id) {
        let talks = self.talks.get_mut(&talk).unwrap();
        talks.members.get_mut(&user).unwrap().hidden = Some(talks.messages.len());
        self.personal(talk, user, |_| {});
    }

    /// Answers a question of a person.
    pub fn ask(&mut self, user: Id, ask: &Ask) -> Result<Answer> {
        let id = match ask {
            Ask::List(listing) => return self.listed(user, &listing.part).map(Answer::List),
            Ask::Part(_, id, _) | Ask::Send(id, _) | Ask::Read(id, _) | Ask::Delivered(id, _) => *id,
        };
        let seat = self.talks.get(&id).and_then(|talk| talk.members.get(&user)).filter(|seat| seat.here);
        let visible_from = seat.ok_or_else(|| problem(Code::NotFound))?.visible_from;
        Ok(match ask {
            Ask::List(_) | Ask::Part(_, _, Of::Conversation) => Answer::Conversation(Box::new(self.view(id, user))),
            Ask::Part(_, _, Of::Messages(place, limit)) => {
                Answer::Messages(self.page(id, user, *place, u64::from(*limit)))
            }
            Ask::Part(_, _, Of::Changes(after)) => Answer::Changes(self.changes(id, user, visible_from, *after)?),
            Ask::Part(_, _, Of::Receipts) => Answer::Receipts(self.receipts(id)),
            Ask::Part(_, _, Of::Members) => Answer::Members(self.members(id)),
            Ask::Send(_, new) => {
                let NewMessage { client_id, text, reply_to, .. } = &**new;
                let text = text.clone().unwrap_or_default();
                Answer::Sent(Box::new(self.send(id, user, (client_id, &text, *reply_to))?))
            }
            Ask::Read(_, seq) | Ask::Delivered(_, seq) => {
                if *seq > self.talks[&id].messages.len() as u64 {
                    return Err(problem(Code::ValidationFailed));
                }
                self.mark(id, user, matches!(ask, Ask::Read(..)), *seq);
                Answer::Done
            }
        })
    }

    fn page(&self, id: Id, user: Id, place: MessagePlace, limit: u64) -> MessagePage {
        let talk = &self.talks[&id];
        let (first, last) = (talk.members[&user].visible_from, talk.messages.len() as u64);
        let (from, upto) = match place {
            MessagePlace::Newest => ((last + 1).saturating_sub(limit), last),
            MessagePlace::Before(seq) => (seq.saturating_sub(limit), seq - 1),
            MessagePlace::After(seq) => (seq + 1, (seq + limit).min(last)),
            MessagePlace::Around(seq) => (seq.saturating_sub(limit / 2), (seq + limit.div_ceil(2) - 1).min(last)),
        };
        let mut items: Vec<Message> = (from.max(first)..=upto).map(|seq| self.message(id, seq, Some(user))).collect();
        if !matches!(place, MessagePlace::After(_)) {
            items.reverse();
        }
        MessagePage { items, last_seq: last, change_seq: talk.changes.len() as u64, visible_from: first }
    }

    fn changes(&self, id: Id, user: Id, visible_from: u64, after: u64) -> Result<ChangePage> {
        let changes = &self.talks[&id].changes;
        let change_seq = changes.len() as u64;
        if self.changes_kept.is_some_and(|kept| change_seq - after > kept) {
            return Err(problem(Code::SnapshotExpired));
        }
        let told = |(at, (kind, seq)): (usize, &(ChangeKind, u64))| Change {
            change_seq: at as u64 + 1,
            kind: *kind,
            seq: *seq,
            message: (*seq >= visible_from).then(|| self.message(id, *seq, Some(user))),
        };
        // A small page, so that there are several.
        let items = changes.iter().enumerate().skip(after as usize).take(4).map(told).collect();
        Ok(ChangePage { items, change_seq })
    }

    fn listed(&self, user: Id, part: &Part) -> Result<ConversationPage> {
        // Small pages here too.
        const LIMIT: usize = 3;
        let changes_cursor = self.events.to_string();
        let page = |mut items: Vec<Conversation>, name: &dyn Fn(&Conversation) -> String| {
            let next_cursor = (items.len() > LIMIT).then(|| name(&items[LIMIT - 1]));
            items.truncate(LIMIT);
            ConversationPage { items, next_cursor, changes_cursor: changes_cursor.clone() }
        };
        match part {
            Part::Folder(folder, cursor) => {
                let below = cursor.as_ref().map_or(Id(u64::MAX), |cursor| cursor.parse().unwrap());
                let mut items = self.list(user);
                items.retain(|one| Folder::of(one) == *folder && place(one) < below);
                Ok(page(items, &|last| place(last).to_string()))
            }
            Part::Changed(since) => {
                let (after, above) = since.split_once('_').unwrap_or((since, "0"));
                let (after, above): (u64, Id) = (after.parse().unwrap(), above.parse().unwrap());
                if self.events_kept.is_some_and(|kept| self.events - after > kept) {
                    return Err(problem(Code::SnapshotExpired));
                }
                // By conversation and not by event, as a list that stands still while it is paged.
                let is_new =
                    |talk: &&Talk| talk.id > above && talk.members.get(&user).is_some_and(|seat| seat.event > after);
                let items = self.talks.values().filter(is_new).map(|talk| self.view(talk.id, user)).collect();
                Ok(page(items, &|last| format!("{after}_{}", last.id)))
            }
        }
    }
}
