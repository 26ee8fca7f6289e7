//! Scripted lives of conversations: others write, edit, recall, react, come and go, while one person's client is cut
//! off, misses frames, and loses answers. State and events must equal fresh state, and nothing is lost, doubled or
//! shown out of order. A failure names its seed; `FANFARE_CHAT_SEED` replays it, `FANFARE_CHAT_LIVES` plays more.

mod server;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use fanfare_protocol::{ChangeKind, Code, Conversation, ConversationKind, Id, Message, ServerEvent, Transport};

use self::server::{Server, problem};
use super::core::{Answer, Ask, Core};
use super::{Draft, Line, Way};
use crate::realtime::Event;
use crate::{ClientError, Result};

const TURNS: u32 = 60;

/// Something that is on its way.
enum Travels {
    Frame(Box<ServerEvent>),
    Question(Ask),
    Answer(Ask, Result<Answer>),
}

/// Chances of faults, in percent.
#[derive(Clone, Copy)]
struct Faults {
    lost: u64,
    busy: u64,
    doubled: u64,
    dropped: u64,
    late: u64,
}

const FAULTS: Faults = Faults { lost: 10, busy: 10, doubled: 15, dropped: 10, late: 15 };
const NONE: Faults = Faults { lost: 0, busy: 0, doubled: 0, dropped: 0, late: 0 };

struct World {
    seed: u64,
    chance: u64,
    now_ms: u64,
    faults: Faults,
    server: Server,
    me: Id,
    others: Vec<Id>,
    core: Core,
    /// By time, then in the order of setting out.
    travels: BTreeMap<(u64, u64), Travels>,
    set_out: u64,
    /// The link over which frames come; those of an older one are lost.
    link: u64,
    links: HashMap<u64, u64>,
    online: bool,
    opened: BTreeSet<Id>,
    sent: Vec<(Id, String)>,
    written: u64,
    versions: HashMap<(Id, u64), u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut server = Server::default();
        let me = server.person("me");
        let others: Vec<Id> = ["ann", "bob", "eve", "dan"].map(|name| server.person(name)).to_vec();
        server.listener = Some(me);
        let core = Core::new(me, seed);
        let (travels, links, opened, sent, versions) = Default::default();
        let mut world = Self {
            seed,
            chance: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1,
            now_ms: 1_000,
            faults: FAULTS,
            server,
            me,
            others,
            core,
            travels,
            set_out: 0,
            link: 0,
            links,
            online: true,
            opened,
            sent,
            written: 0,
            versions,
        };
        let others = world.others.clone();
        world.server.changes_kept = world.odds(30).then_some(3);
        world.server.events_kept = world.odds(20).then_some(6);
        world.server.make(ConversationKind::Direct, others[0], &[me]);
        let all: Vec<Id> = others.iter().copied().chain([me]).collect();
        world.server.make(ConversationKind::Group, others[1], &all);
        let old = world.server.make(ConversationKind::Group, me, &others);
        for _ in 0..70 {
            let sender = *world.pick(&others);
            world.write(old, sender);
        }
        world.server.frames.clear();
        world.core.begin_with_list();
        world.core.heard(&connected(), 1_000);
        world
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.chance ^= self.chance << 13;
        self.chance ^= self.chance >> 7;
        self.chance ^= self.chance << 17;
        (self.chance >> 11) % below.max(1)
    }

    fn odds(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.roll(items.len() as u64) as usize]
    }

    /// A time on the way, mostly short.
    fn way(&mut self) -> u64 {
        let longest = if self.odds(self.faults.late) { 3_000 } else { 60 };
        5 + self.roll(longest)
    }

    fn set_out(&mut self, what: Travels) {
        self.set_out += 1;
        let at = self.now_ms + self.way();
        self.links.insert(self.set_out, self.link);
        self.travels.insert((at, self.set_out), what);
    }

    fn write(&mut self, talk: Id, sender: Id) {
        self.written += 1;
        let count = self.server.talks[&talk].messages.len() as u64;
        let reply_to = (count > 0 && self.odds(30)).then(|| self.roll(count) + 1);
        let text = format!("{}text {}", if self.odds(10) { "@me " } else { "" }, self.written);
        let client_id = format!("{sender}-{}", self.written);
        self.server.send(talk, sender, (&client_id, &text, reply_to)).unwrap();
    }

    /// Something happens on the server.
    fn happen(&mut self) {
        let talks: Vec<Id> = self.server.talks.keys().copied().collect();
        let talk = *self.pick(&talks);
        let (me, others) = (self.me, self.others.clone());
        let here: Vec<Id> =
            self.server.talks[&talk].members.iter().filter(|(_, seat)| seat.here).map(|(user, _)| *user).collect();
        let theirs: Vec<Id> = here.iter().copied().filter(|user| *user != me).collect();
        let last = self.server.talks[&talk].messages.len() as u64;
        if theirs.is_empty() {
            let user = *self.pick(&others);
            return self.server.add(talk, me, user);
        }
        let other = *self.pick(&theirs);
        let somebody = *self.pick(&here);
        let is_in = here.contains(&me);
        let seq = last.saturating_sub(self.roll(8)).max(1);
        let is_direct = self.server.talks[&talk].kind == ConversationKind::Direct;
        match self.roll(100) {
            0..45 => self.write(talk, other),
            45..50 if is_in => self.write(talk, me),
            50..60 if last > 0 => {
                let named = if self.odds(30) { "@me " } else { "" };
                self.server.alter(talk, seq, ChangeKind::Edited, |sent| {
                    sent.edits += 1;
                    sent.text = format!("{named}text v{}", sent.edits);
                });
            }
            60..66 if last > 0 => {
                let by_other = self.odds(50);
                self.server.alter(talk, seq, ChangeKind::Recalled, |sent| {
                    sent.recalled_by = Some(if by_other { other } else { sent.sender });
                    (sent.text, sent.reactions) = Default::default();
                });
            }
            66..80 if last > 0 => {
                let emoji = *self.pick(&["👍", "🎉"]);
                self.server.alter(talk, seq, ChangeKind::Reacted, |sent| react(sent, emoji, somebody));
            }
            80..88 => {
                let reads = self.odds(50);
                self.server.mark(talk, somebody, reads, last);
            }
            88 if is_in => self.server.hide(talk, me),
            89 if is_in => {
                let written = self.written;
                self.server.personal(talk, me, |personal| personal.draft = format!("draft {written}"));
            }
            90..100 if is_direct => drop(self.server.make(ConversationKind::Group, other, &[me])),
            90..94 => self.server.rename(talk, other, format!("title {}", self.written)),
            94..97 => self.server.remove(talk, other, somebody),
            97..100 => {
                let everybody: Vec<Id> = others.iter().copied().chain([me]).collect();
                let user = *self.pick(&everybody);
                self.server.add(talk, other, user);
            }
            _ => {}
        }
    }

    /// The person does something.
    fn act(&mut self) {
        let talks: Vec<Id> = self.server.talks.keys().copied().collect();
        let talk = *self.pick(&talks);
        match self.roll(100) {
            0..35 => self.send(talk),
            35..55 => {
                if self.opened.insert(talk) {
                    self.core.open(talk, self.now_ms);
                }
            }
            55..62 => {
                if self.opened.remove(&talk) {
                    self.core.close(talk);
                }
            }
            62..75 => {
                let last = self.server.talks[&talk].messages.len() as u64;
                let seq = self.roll(last) + 1;
                let seq = self.odds(50).then_some(seq);
                self.core.mark_read(talk, seq);
            }
            75..80 => drop(self.core.older(talk)),
            80..90 => self.disconnect(),
            _ => self.connect(),
        }
    }

    fn send(&mut self, talk: Id) {
        let text = format!("mine {}{}", self.sent.len(), if self.odds(10) { " refuse" } else { "" });
        let client_id = format!("client {}", self.sent.len());
        let reply_to = self.core.lines(talk).iter().rev().find_map(Line::message).map(|message| message.seq);
        let reply_to = reply_to.filter(|_| self.odds(30));
        let draft = Draft { text: Some(text), reply_to, ..Draft::default() };
        assert!(self.core.send(talk, draft.into_message(client_id.clone())));
        self.sent.push((talk, client_id));
    }

    fn disconnect(&mut self) {
        self.online = false;
        self.link += 1;
    }

    fn connect(&mut self) {
        self.disconnect();
        self.online = true;
        self.core.heard(&connected(), self.now_ms);
    }

    /// Lets time pass, event by event.
    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            self.settle();
            let wake = self.core.wakes_at_ms().map(|at| at.max(self.now_ms + 1));
            let travel = self.travels.keys().next().copied();
            let next = travel.map(|(at, _)| at).into_iter().chain(wake).min();
            let Some(at) = next.filter(|at| *at <= end) else { break };
            self.now_ms = self.now_ms.max(at);
            if let Some(key) = travel.filter(|(arrives, _)| *arrives <= self.now_ms) {
                let what = self.travels.remove(&key).unwrap();
                let link = self.links.remove(&key.1).unwrap();
                self.arrive(what, link);
                self.check();
            }
        }
        self.now_ms = end;
    }

    /// Frames and questions set out.
    fn settle(&mut self) {
        for frame in std::mem::take(&mut self.server.frames) {
            if !self.online || self.odds(self.faults.dropped) {
                continue;
            }
            for _ in 0..1 + u64::from(self.odds(self.faults.doubled)) {
                self.set_out(Travels::Frame(Box::new(frame.clone())));
            }
        }
        self.core.tick(self.now_ms);
        for ask in self.core.asks(self.now_ms) {
            self.set_out(Travels::Question(ask));
        }
    }

    fn arrive(&mut self, what: Travels, link: u64) {
        let lost = || ClientError::Transport("lost".to_owned());
        match what {
            Travels::Frame(frame) if link == self.link => self.core.heard(&Event::Frame(*frame), self.now_ms),
            Travels::Frame(_) => {}
            Travels::Question(ask) if !self.online || self.odds(self.faults.lost) => {
                self.set_out(Travels::Answer(ask, Err(lost())));
            }
            Travels::Question(ask) if self.odds(self.faults.busy) => {
                self.set_out(Travels::Answer(ask, Err(problem(Code::Overloaded))));
            }
            Travels::Question(ask) => {
                let mut answer = self.server.ask(self.me, &ask);
                if self.odds(self.faults.busy) {
                    answer = Err(problem(Code::OutcomeUnknown));
                } else if self.odds(self.faults.lost) {
                    answer = Err(lost());
                }
                self.set_out(Travels::Answer(ask, answer));
            }
            Travels::Answer(ask, answer) => self.core.answered(ask, answer, self.now_ms),
        }
    }

    /// Looks at what the person sees: it may never go back.
    fn check(&mut self) {
        for id in self.opened.iter().copied() {
            let seed = self.seed;
            let lines = self.core.lines(id);
            let arrived: Vec<&Message> = lines.iter().filter_map(Line::message).collect();
            let seqs: Vec<u64> = arrived.iter().map(|message| message.seq).collect();
            for (at, message) in arrived.iter().enumerate() {
                // Own ones that were answered may wait at the end for those before them.
                let follows = at == 0 || seqs[at - 1] + 1 == message.seq;
                let is_ahead = message.sender.id == self.me && seqs[at.max(1) - 1] < message.seq;
                assert!(follows || is_ahead, "seed {seed}: a hole or another order: {seqs:?}");
                let version = match message.text.rsplit_once(" v") {
                    _ if message.recalled => u64::MAX,
                    Some((_, version)) => version.parse().unwrap(),
                    None => 0,
                };
                let known = self.versions.entry((id, message.seq)).or_default();
                assert!(version >= *known, "seed {seed}: {id} {} went back to {version}", message.seq);
                *known = version;
                let quoted = message.reply_to.as_ref().filter(|_| follows);
                let quoted = quoted.and_then(|quote| Some((quote, arrived.iter().find(|one| one.seq == quote.seq)?)));
                if let Some((quote, original)) = quoted.filter(|(_, original)| original.seq < message.seq) {
                    assert_eq!(quote.text, original.text, "seed {seed}: the quote in {}", message.seq);
                }
            }
            let mut names = BTreeSet::new();
            let own = |line: &Line| match line {
                Line::Arrived(message, Some(_)) => Some(message.client_id.clone()),
                Line::Arrived(..) => None,
                Line::Outgoing(outgoing, _) => Some(outgoing.message.client_id.clone()),
            };
            assert!(lines.iter().filter_map(own).all(|name| names.insert(name)), "seed {seed}: a line stands twice");
        }
    }

    /// Everything works again, and time passes until nothing is under way.
    fn heal(&mut self) {
        self.faults = NONE;
        self.connect();
        for _ in 0..60 {
            for folder in super::Folder::ALL {
                self.core.more(folder);
            }
            self.pass(2_000);
        }
    }

    fn compare(&self) {
        let seed = self.seed;
        let told = self.server.list(self.me);
        let (hidden, known): (Vec<_>, Vec<_>) = self.core.conversations().into_iter().partition(|one| one.hidden);
        // What was hidden elsewhere stays for whoever looks at it.
        assert!(hidden.iter().all(|one| self.opened.contains(&one.id)), "seed {seed}: hidden ones");
        let short = |list: &[Conversation]| list.iter().map(|one| (one.id, one.last_seq)).collect::<Vec<_>>();
        assert_eq!(short(&known), short(&told), "seed {seed}: the list");
        for (known, told) in known.iter().zip(&told) {
            assert_eq!(known, told, "seed {seed}: a conversation");
        }
        for id in self.opened.iter().copied() {
            let lines = self.core.lines(id);
            let shown: Vec<&Message> = lines.iter().filter_map(Line::message).collect();
            let seat = &self.server.talks[&id].members.get(&self.me);
            let Some(seat) = seat.filter(|seat| seat.here) else {
                assert!(shown.is_empty(), "seed {seed}: {id} was left");
                continue;
            };
            let last = self.server.talks[&id].messages.len() as u64;
            let truth: Vec<Message> =
                (seat.visible_from..=last).map(|seq| self.server.message(id, seq, Some(self.me))).collect();
            assert!(shown.len() >= truth.len().min(50), "seed {seed}: only {} messages of {id}", shown.len());
            let tail = truth.len() - shown.len();
            for (shown, truth) in shown.iter().zip(&truth[tail..]) {
                assert_eq!(*shown, truth, "seed {seed}: a message of {id}");
            }
            let state = self.core.state(id).unwrap();
            assert_eq!(state.members, Some(self.server.members(id)), "seed {seed}: members of {id}");
            for receipt in self.server.receipts(id).iter().filter(|receipt| receipt.user_id != self.me) {
                assert_eq!(state.receipts.get(&receipt.user_id), Some(receipt), "seed {seed}: receipts of {id}");
            }
        }
    }

    /// Every send arrived once and in order, or has failed.
    fn check_sends(&self) {
        let seed = self.seed;
        let mut last: HashMap<Id, u64> = HashMap::new();
        for (talk, client_id) in &self.sent {
            let messages = &self.server.talks[talk].messages;
            let arrived: Vec<u64> =
                messages.iter().filter(|sent| sent.client_id == *client_id).map(|sent| sent.seq).collect();
            assert!(arrived.len() <= 1, "seed {seed}: {client_id} came twice");
            let lines = self.core.lines(*talk);
            let left = lines.iter().find_map(|line| match line {
                Line::Outgoing(outgoing, way) if outgoing.message.client_id == *client_id => Some(*way),
                _ => None,
            });
            match left {
                // Whoever was removed before the answer came is not told that it had arrived.
                Some(way) => assert_eq!(way, Way::Failed, "seed {seed}: {client_id}"),
                None => assert_eq!(arrived.len(), 1, "seed {seed}: {client_id} is lost"),
            }
            if let Some(seq) = arrived.first() {
                let before = last.insert(*talk, *seq).unwrap_or(0);
                assert!(before < *seq, "seed {seed}: {client_id} overtook another");
            }
        }
    }
}

fn react(sent: &mut server::Sent, emoji: &str, user: Id) {
    if let Some(at) = sent.reactions.iter().position(|(one, _)| one == emoji) {
        let users = &mut sent.reactions[at].1;
        match users.iter().position(|one| *one == user) {
            Some(at) => drop(users.remove(at)),
            None => users.push(user),
        }
        if users.is_empty() {
            sent.reactions.remove(at);
        }
    } else {
        sent.reactions.push((emoji.to_owned(), vec![user]));
    }
}

fn connected() -> Event {
    Event::Connected { transport: Transport::Websocket, resumed: false, session_id: None }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

#[test]
fn state_and_events_equal_fresh_state_in_any_life() {
    let first = number("FANFARE_CHAT_SEED").unwrap_or(1);
    let lives = number("FANFARE_CHAT_LIVES").unwrap_or(if number("FANFARE_CHAT_SEED").is_some() { 1 } else { 60 });
    for seed in first..first + lives {
        let mut world = World::new(seed);
        for _ in 0..TURNS {
            for _ in 0..world.roll(4) {
                world.happen();
            }
            if world.odds(60) {
                world.act();
            }
            let longest = if world.odds(10) { 20_000 } else { 400 };
            let ms = world.roll(longest);
            world.pass(ms);
        }
        world.heal();
        world.check_sends();
        world.compare();
    }
}
