//! Histories of conversations over real connections: people talk, change and take back what they said, come and go,
//! block one another, and the server is killed again and again. Whoever had no answer sends again. A judge looks at
//! what is there, and at every frame that anybody heard.
//!
//! `FANFARE_TEST_RUNS` says how many, `FANFARE_TEST_SEED` from which on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fanfare_client::{Client, ClientError, MessagePlace, text_message};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, Message, NewUser, ServerEvent};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::process::Process;
use crate::realtime::device::{ALL, Device, Heard};
use crate::world::{PASSWORD, eventually};

/// Histories, and kills in each.
const HISTORIES: u64 = 2;
const KILLS: u64 = 10;
/// Answers after which the server is killed.
const ANSWERS: usize = 40;
/// Members above which a group is large here: it has one more or one less as people come and go.
const LARGE_FROM: &str = "4";
/// People; the first two talk in private, the last comes and goes.
const PEOPLE: usize = 5;
const GUEST: usize = PEOPLE - 1;
const EMOJI: [&str; 2] = ["👍", "🎉"];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

/// Frame of a session, and which session of the person it was.
type Framed = (u64, ServerEvent);

struct Talk {
    tokens: Vec<String>,
    people: Vec<Id>,
    direct: Id,
    group: Id,
    /// Sends by client's id: the conversation, and the number once it was answered.
    sends: Mutex<BTreeMap<String, (Id, Option<u64>)>>,
    answers: Mutex<usize>,
    /// By person.
    heard: Vec<Mutex<Vec<Framed>>>,
    cursors: Vec<Mutex<Option<String>>>,
}

impl Talk {
    async fn begin(server: &Process) -> Self {
        let (mut tokens, mut people) = (Vec::new(), Vec::new());
        for number in 0..PEOPLE {
            let new = NewUser { handle: format!("p{number}"), password: PASSWORD.to_owned(), display_name: None };
            let session = server.anyone.register(&new).await.unwrap();
            tokens.push(session.token);
            people.push(session.user.id);
        }
        let first = server.anyone.with_token(&tokens[0]);
        let direct = first.direct(people[1]).await.unwrap().id;
        let group = first.group("all", &people[1..GUEST]).await.unwrap().id;
        Self {
            tokens,
            people,
            direct,
            group,
            sends: Mutex::default(),
            answers: Mutex::default(),
            heard: (0..PEOPLE).map(|_| Mutex::default()).collect(),
            cursors: (0..PEOPLE).map(|_| Mutex::default()).collect(),
        }
    }

    /// Does something; false when the server is gone.
    async fn act(&self, client: &Client, me: usize, name: &str, dice: &mut Random) -> bool {
        let conversation = if me < 2 && dice.below(2) == 0 { self.direct } else { self.group };
        let seq = 1 + dice.below(40);
        let done = match dice.below(20) {
            0 | 1 => client.edit_message(conversation, seq, &format!("{name} says it otherwise")).await.map(drop),
            2 => client.recall_message(conversation, seq).await,
            3..6 => client.react(conversation, seq, EMOJI[dice.index(2)]).await.map(drop),
            6 => client.unreact(conversation, seq, EMOJI[dice.index(2)]).await.map(drop),
            7 if me == 0 => client.add_member(self.group, self.people[GUEST]).await.map(drop),
            8 if me == 0 => client.remove_member(self.group, self.people[GUEST]).await,
            9 if dice.below(4) == 0 => client.block(self.other_than(me, dice)).await.map(drop),
            9 | 10 => client.unblock(self.other_than(me, dice)).await.map(drop),
            _ => return self.send(client, conversation, name, dice).await,
        };
        match done {
            Ok(()) => *self.answers.lock() += 1,
            // Somebody else's, taken back, or not there: how it is refused others look at.
            Err(ClientError::Problem(_)) => {}
            Err(ClientError::Transport(_)) => return false,
            Err(other) => panic!("{other}"),
        }
        true
    }

    fn other_than(&self, me: usize, dice: &mut Random) -> Id {
        self.people[(me + 1 + dice.index(PEOPLE - 1)) % PEOPLE]
    }

    /// Sends a message, now and then twice.
    async fn send(&self, client: &Client, conversation: Id, name: &str, dice: &mut Random) -> bool {
        self.sends.lock().insert(name.to_owned(), (conversation, None));
        for _ in 0..1 + usize::from(dice.below(10) < 3) {
            match client.send_message(conversation, &text_message(name, name)).await {
                Ok(sent) => {
                    *self.answers.lock() += 1;
                    let before = self.sends.lock().insert(name.to_owned(), (conversation, Some(sent.value.seq)));
                    let seq = before.and_then(|(_, seq)| seq);
                    assert!(seq.is_none_or(|seq| seq == sent.value.seq), "{name} was answered as two messages");
                }
                // Who was removed meanwhile says nothing, unless the first copy came through.
                Err(ClientError::Problem(_)) => {
                    let mut sends = self.sends.lock();
                    if sends.get(name).is_some_and(|(_, seq)| seq.is_none()) {
                        sends.remove(name);
                    }
                }
                Err(ClientError::Transport(_)) => return false,
                Err(other) => panic!("{other}"),
            }
        }
        true
    }

    /// Somebody who talks until the server is gone.
    fn talker(self: &Arc<Self>, server: &Process, me: usize, seed: u64) -> JoinHandle<()> {
        let (talk, client) = (Arc::clone(self), server.anyone.with_token(&self.tokens[me]));
        tokio::spawn(async move {
            let mut dice = Random::new(seed ^ ((me as u64) << 32));
            for number in 0.. {
                if !talk.act(&client, me, &format!("{me}/{seed}/{number}"), &mut dice).await {
                    return;
                }
            }
        })
    }

    /// Somebody who listens until the session ends.
    async fn listener(self: &Arc<Self>, server: &Process, me: usize, session: u64) -> JoinHandle<()> {
        let transport = ALL[(me + session as usize) % ALL.len()];
        let cursor = self.cursors[me].lock().clone();
        let base = format!("http://{}", server.address);
        let mut device = Device::at(&base, transport, &self.tokens[me], cursor.as_deref()).await;
        let talk = Arc::clone(self);
        *talk.cursors[me].lock() = Some(device.cursor.clone());
        tokio::spawn(async move {
            while let Heard::Frame(frame) = device.whenever().await {
                let event = frame.event().unwrap();
                talk.heard[me].lock().push((session, event));
                *talk.cursors[me].lock() = Some(device.cursor.clone());
            }
        })
    }

    /// Every message of a conversation, by its first member.
    async fn read(&self, server: &Process, conversation: Id) -> Vec<Message> {
        let client = server.anyone.with_token(&self.tokens[0]);
        let (mut after, mut found) = (0, Vec::new());
        loop {
            let page = client.messages(conversation, MessagePlace::After(after), 100).await.unwrap();
            let Some(last) = page.items.last() else { return found };
            after = last.seq;
            found.extend(page.items);
        }
    }

    /// Judges what is there.
    async fn judge_rows(&self, server: &Process) -> BTreeMap<Id, Vec<Message>> {
        let mut all = BTreeMap::new();
        let mut places = BTreeMap::new();
        for conversation in [self.direct, self.group] {
            let messages = self.read(server, conversation).await;
            let mut last = BTreeMap::new();
            for (expected, message) in (1..).zip(&messages) {
                assert_eq!(message.seq, expected, "a hole");
                let Some((of, number)) = message.client_id.rsplit_once('/') else { continue };
                let before = places.insert(message.client_id.clone(), (conversation, message.seq));
                assert!(before.is_none(), "{} is there twice", message.client_id);
                let number: u64 = number.parse().unwrap();
                let before = last.insert(of.to_owned(), number);
                assert!(before.is_none_or(|before| before < number), "{} came after {before:?}", message.client_id);
            }
            for me in 1..if conversation == self.direct { 2 } else { GUEST } {
                let own = server.anyone.with_token(&self.tokens[me]).conversation(conversation).await.unwrap();
                let is_unread = |one: &&Message| one.seq > own.read_seq && !one.client_id.is_empty();
                assert_eq!(own.unread_count, messages.iter().filter(is_unread).count() as u64, "unread is a recount");
            }
            all.insert(conversation, messages);
        }
        let sends = self.sends.lock();
        for (client_id, (conversation, seq)) in &*sends {
            let place = places.get(client_id);
            assert!(seq.is_none() || place == seq.map(|seq| (*conversation, seq)).as_ref(), "{client_id} was answered");
            assert!(place.is_none_or(|(at, _)| at == conversation), "{client_id} stands elsewhere");
        }
        assert!(places.keys().all(|client_id| sends.contains_key(client_id)), "nobody sent something that is there");
        all
    }

    /// Sends again, with the same ids, what had no answer: it stands once. Who was removed or blocked may be refused.
    async fn send_again(&self, server: &Process, all: &BTreeMap<Id, Vec<Message>>) {
        let open: Vec<(String, Id)> = {
            let sends = self.sends.lock();
            sends.iter().filter(|(_, (_, seq))| seq.is_none()).map(|(name, (at, _))| (name.clone(), *at)).collect()
        };
        for (name, conversation) in open {
            let me: usize = name.split('/').next().unwrap().parse().unwrap();
            let there = all[&conversation].iter().find(|message| message.client_id == name).map(|message| message.seq);
            let client = server.anyone.with_token(&self.tokens[me]);
            match client.send_message(conversation, &text_message(&name, &name)).await {
                Ok(sent) => {
                    assert_eq!(
                        (sent.created, there.unwrap_or(sent.value.seq)),
                        (there.is_none(), sent.value.seq),
                        "{name}"
                    );
                    self.sends.lock().insert(name, (conversation, Some(sent.value.seq)));
                }
                Err(ClientError::Problem(_)) if there.is_none() => drop(self.sends.lock().remove(&name)),
                Err(ClientError::Problem(_)) => {}
                Err(other) => panic!("{other}"),
            }
        }
    }

    /// Whether a person heard of the reactions to the last words, in the last session.
    fn has_heard(&self, me: usize, ends: &[Message]) -> bool {
        let heard = self.heard[me].lock();
        let has = |end: &Message| {
            let is_it = |event: &ServerEvent| match event {
                ServerEvent::Gap(_) | ServerEvent::Reset(_) => true,
                ServerEvent::MessageChanged(one) => one.message.id == end.id,
                _ => false,
            };
            heard.iter().any(|(session, event)| *session == KILLS && is_it(event))
        };
        ends.iter().all(has)
    }

    /// Number of the last change of a conversation, and the last one of each message.
    async fn changes(&self, server: &Process, conversation: Id) -> (u64, BTreeMap<u64, u64>) {
        let client = server.anyone.with_token(&self.tokens[0]);
        let (mut after, mut found) = (0, BTreeMap::new());
        loop {
            let page = client.changes(conversation, after, 100).await.unwrap();
            found.extend(page.items.iter().map(|change| (change.seq, change.change_seq)));
            let Some(last) = page.items.last() else { return (page.change_seq, found) };
            after = last.change_seq;
        }
    }

    /// Judges every frame that a person heard of a conversation; answers whether a gap stood for some.
    async fn judge_frames(&self, server: &Process, me: usize, conversation: Id, messages: &[Message]) -> bool {
        let heard = self.heard[me].lock().clone();
        let (mut seen, mut latest) = (BTreeSet::new(), BTreeMap::<u64, (u64, Option<Message>)>::new());
        let (mut covered, mut gapped) = (BTreeSet::new(), false);
        let mut last = None;
        for (_, event) in heard {
            match event {
                ServerEvent::Message(keyed) if keyed.message.conversation_id == conversation => {
                    let message = keyed.message;
                    let there = &messages[message.seq as usize - 1];
                    assert_eq!((message.id, &message.client_id), (there.id, &there.client_id), "person {me}");
                    assert_eq!(keyed.key, there.id.to_string(), "person {me}");
                    // What was sent may come once more, of a replay and beside it, with the key that it had. Who drops
                    // what has a key that they know sees each once, and the next is the next.
                    if seen.insert(message.seq) {
                        let is_next = last
                            .is_none_or(|last| if me == GUEST { last < message.seq } else { last + 1 == message.seq });
                        assert!(is_next || gapped, "person {me}: {} came after {last:?}", message.seq);
                        last = Some(message.seq);
                    }
                }
                ServerEvent::MessageChanged(one) if one.message.conversation_id == conversation => {
                    covered.extend(one.after + 1..=one.change_seq);
                    let known = latest.entry(one.message.seq).or_default();
                    if known.0 <= one.change_seq {
                        *known = (one.change_seq, Some(one.message));
                    }
                }
                ServerEvent::MessageRecalled(one) if one.conversation_id == conversation => {
                    covered.extend(one.after + 1..=one.change_seq);
                    let known = latest.entry(one.seq).or_default();
                    if known.0 <= one.change_seq {
                        *known = (one.change_seq, None);
                    }
                }
                ServerEvent::Gap(_) | ServerEvent::Reset(_) => gapped = true,
                _ => {}
            }
        }
        if gapped || me == GUEST {
            return gapped;
        }
        let first = seen.first().copied().unwrap_or(1);
        let lacks: Vec<u64> = (first..=messages.len() as u64).filter(|seq| !seen.contains(seq)).collect();
        assert!(lacks.is_empty(), "person {me} never heard of {lacks:?} of {}", messages.len());
        let (last_change, changes) = self.changes(server, conversation).await;
        let first = covered.first().copied().unwrap_or(1);
        let lacks: Vec<u64> = (first..=last_change).filter(|change| !covered.contains(change)).collect();
        assert!(lacks.is_empty(), "person {me} never heard of the changes {lacks:?} of {last_change}");
        // Whoever heard of the last change of a message has it as it is now.
        for (seq, (change_seq, message)) in latest {
            let there = &messages[seq as usize - 1];
            if changes.get(&seq) == Some(&change_seq) {
                let shown = message.as_ref().map(|message| (message.text.clone(), message.reactions.len()));
                let is = (!there.recalled).then(|| (there.text.clone(), there.reactions.len()));
                assert_eq!(shown, is, "person {me}, message {seq}, change {change_seq}");
            }
        }
        false
    }
}

/// Last words of the histories.
impl Talk {
    /// Says a last word in each conversation, and reacts to it.
    async fn ends(&self, server: &Process) -> Vec<Message> {
        let first = server.anyone.with_token(&self.tokens[0]);
        // They speak with each other again.
        first.unblock(self.people[1]).await.unwrap();
        server.anyone.with_token(&self.tokens[1]).unblock(self.people[0]).await.unwrap();
        let mut ends = Vec::new();
        for conversation in [self.direct, self.group] {
            let name = format!("end/{conversation}/0");
            self.sends.lock().insert(name.clone(), (conversation, None));
            let end = first.send_message(conversation, &text_message(&name, &name)).await.unwrap().value;
            first.react(conversation, end.seq, EMOJI[0]).await.unwrap();
            ends.push(end);
        }
        ends
    }
}

async fn history(seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let settings = [("FANFARE__CHAT__FANOUT_ASYNC_FROM", LARGE_FROM)];
    let mut server = Process::serve(folder.path(), &settings).await;
    let talk = Arc::new(Talk::begin(&server).await);
    for round in 0..KILLS {
        let mut listening = Vec::new();
        for me in 0..PEOPLE {
            listening.push(talk.listener(&server, me, round).await);
        }
        let before = *talk.answers.lock();
        let talking: Vec<_> = (0..PEOPLE).map(|me| talk.talker(&server, me, seed * 1_000 + round)).collect();
        eventually("people talk", async || (*talk.answers.lock() >= before + ANSWERS).then_some(())).await;
        server.kill();
        for task in talking.into_iter().chain(listening) {
            task.await.unwrap();
        }
        server = Process::serve(folder.path(), &settings).await;
        let all = talk.judge_rows(&server).await;
        talk.send_again(&server, &all).await;
    }
    // The last words: whoever has heard them has heard everything before.
    let mut listening = Vec::new();
    for me in 0..PEOPLE {
        listening.push(talk.listener(&server, me, KILLS).await);
    }
    let ends = talk.ends(&server).await;
    for me in 0..GUEST {
        let owed = if me < 2 { &ends[..] } else { &ends[1..] };
        eventually("everybody hears the end", async || talk.has_heard(me, owed).then_some(())).await;
    }
    let all = talk.judge_rows(&server).await;
    let mut gaps = 0;
    for me in 0..PEOPLE {
        for conversation in [talk.direct, talk.group] {
            if me >= 2 && conversation == talk.direct {
                let is_of = |event: &ServerEvent| match event {
                    ServerEvent::Message(one) => one.message.conversation_id == conversation,
                    _ => false,
                };
                assert!(!talk.heard[me].lock().iter().any(|(_, event)| is_of(event)), "it is not theirs");
                continue;
            }
            gaps += u64::from(talk.judge_frames(&server, me, conversation, &all[&conversation]).await);
        }
    }
    println!("history {seed}: {} messages, {gaps} gaps", all.values().map(Vec::len).sum::<usize>());
    server.kill();
    for task in listening {
        task.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conversations_hold_whatever_happens_and_whoever_listens_hears_all_of_it() {
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    let runs = number("FANFARE_TEST_RUNS").unwrap_or(HISTORIES);
    for seed in first..first + runs {
        println!("history {seed} begins");
        history(seed).await;
    }
}
