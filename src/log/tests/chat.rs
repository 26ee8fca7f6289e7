//! Two owners of chat's partition, of which one is stale and does not know, over a log that takes everything and
//! answers late, twice or not at all.
//!
//! Afterwards rows and outcomes are those of one owner who reads once what counts of the log, every message has its
//! number and no number is missing, each answer stands once, and nobody was told of what was not there.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, NewFamily, Partition};
use fanfare_protocol::{ConversationKind, History as Shown, Id, MessageKind};
use parking_lot::Mutex;
use tokio::task::{JoinHandle, spawn_local};

use super::broken::{self, Variant};
use super::clients::{self, Clients, Heard, Verdict, play, play_all};
use super::people::Rows;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::chat::counts::ChatPart;
use crate::chat::family::{ChatCommitted, ChatFamily, Hears};
use crate::chat::fold::record::{Beginning, ChatAct, ChatRecord, Sent};
use crate::chat::fold::state::{ChatState, Folded};
use crate::chat::fold::{self, line, needs};
use crate::data::families;
use crate::data::rows::chat::{ChatHead, Said};
use crate::data::store::Store;
use crate::data::tables::chat as keys;
use crate::log::handle::Log;
use crate::log::owners::FamilyLog;

const NODES: usize = 2;
const STEPS: usize = 70;
const BURST_MAX: u64 = 4;
const TURNS_MAX: u64 = 40;
const NOW_MS: u64 = 1_800_000_000_000;
const TRIES_MAX: usize = 6;
const HISTORIES: u64 = 60;
/// People, the first of whom makes the group, and those who come and go.
const PEOPLE: u64 = 4;
const GROUP: Id = Id(77 << 30);

const FAULTS: Faults = Faults {
    unavailable: 1,
    unknown: 6,
    interleaved: 50,
    offset_gaps: 10,
    doubled: 15,
    lost_replies: 8,
    sleeps: 25,
    lost_messages: 0,
    lost_values: 0,
};

/// Histories of which some show each fault.
const CAUGHT_WITHIN: [(Variant, u64); 4] = [
    (Variant::NoTermCheck, 60),
    (Variant::NoIdCheck, 20),
    (Variant::ToldBeforeSettled, 20),
    (Variant::RowsWithoutVersions, 200),
];

/// View of a node, which looks at what it is told.
struct View {
    world: Hostile,
    wrong: Arc<Mutex<Vec<String>>>,
    last: Mutex<Id>,
}

impl Hears for View {
    fn committed(&self, committed: &[ChatCommitted], horizon: Id) {
        for one in committed {
            let record = &one.record;
            let mut last = self.last.lock();
            if record.id <= *last {
                self.wrong.lock().push(format!("{} was told after {last}", record.id));
            }
            *last = record.id;
            if record.id > horizon {
                self.wrong.lock().push(format!("{} is above the horizon {horizon} that came with it", record.id));
            }
            let head = self.world.row(&keys::of_conversation(keys::HEADS, record.conversation));
            let applied = head.and_then(|bytes| ChatHead::from_bytes(&bytes)).unwrap_or_default().applied;
            if one.outcome.came_about() && applied < record.id {
                self.wrong.lock().push(format!("{} was told, and its head says {applied}", record.id));
            }
        }
    }
}

struct Node {
    owners: FamilyLog<ChatFamily>,
    log: Log,
    clock: Clock,
    tasks: Vec<JoinHandle<()>>,
    running: Vec<JoinHandle<()>>,
}

struct History {
    world: Hostile,
    variant: Variant,
    random: Random,
    now_ms: u64,
    nodes: [Option<Node>; NODES],
    wrong: Arc<Mutex<Vec<String>>>,
    clients: Clients<Id>,
    acts: u64,
}

pub(super) fn sent(client_id: String, text: String) -> ChatAct {
    ChatAct::Sent(Box::new(Sent {
        body: text.clone(),
        client_id,
        kind: MessageKind::Text,
        said: Said { text, ..Said::default() },
        attachment: None,
        attach_until_ms: None,
        reply_to: None,
        forwarded: false,
    }))
}

pub(super) fn beginning(members: Vec<Id>, kind: ConversationKind) -> ChatAct {
    ChatAct::Created(Beginning {
        kind,
        members,
        invited: Vec::new(),
        title: None,
        history: (kind == ConversationKind::Group).then_some(Shown::All),
        request: false,
        bars: Vec::new(),
    })
}

impl History {
    async fn open(&self, node: usize) -> Result<Node> {
        let (engines, clock) = (broken::engines(&self.world, self.variant), Clock::stand_in(self.now_ms));
        let (setup, _) = clients::alone(node, &clock);
        let (log, social) = Log::take_over(&engines, &[], setup).await?;
        let store = Arc::new(Store::new(engines.clone(), clock.clone()));
        let view: Arc<dyn Hears> =
            Arc::new(View { world: self.world.clone(), wrong: Arc::clone(&self.wrong), last: Mutex::default() });
        let make = |partition: Partition| {
            let counted = (ChatPart::new(partition), Arc::default());
            ChatFamily::new(Arc::clone(&store), vec![Arc::clone(&view)], counted, log.spread())
        };
        let taken = log.take_over_family(&engines, make).await?;
        let mint = log.minting();
        let mut running: Vec<_> = Vec::new();
        for (owner, queue) in social.each {
            running.push(spawn_local(owner.run(queue, mint.clone())));
        }
        for (owner, queue) in taken.each {
            running.push(spawn_local(owner.run(queue, mint.clone())));
        }
        let tasks = vec![spawn_local(taken.owners.horizon().clone().keep_reserved())];
        Ok(Node { owners: taken.owners, log, clock, tasks, running })
    }

    async fn step(&mut self) {
        let node = self.random.index(NODES);
        match self.random.below(100) {
            0..2 => {
                (0..NODES).for_each(|node| self.crash(node));
                self.world.crash();
            }
            2..7 => self.crash(node),
            _ => {
                if self.nodes[node].is_none() {
                    self.nodes[node] = self.open(node).await.ok();
                }
                for _ in 0..=self.random.below(BURST_MAX) {
                    self.act(node);
                }
            }
        }
        self.now_ms += 3;
        self.nodes.iter().flatten().for_each(|node| node.clock.pass(3));
        clients::turns(&mut self.random, TURNS_MAX).await;
    }

    /// The process of a node ends in the middle of what it does, and with it whoever waits there.
    fn crash(&mut self, node: usize) {
        let Some(crashed) = self.nodes[node].take() else { return };
        clients::abort(&crashed.tasks);
        clients::abort(&crashed.running);
        self.clients.end_at(node);
    }

    /// Something that somebody does, now and then the same send as before.
    fn random_act(&mut self) -> ChatRecord {
        let random = &mut self.random;
        let (actor, other) = (Id(1 + random.below(PEOPLE)), Id(1 + random.below(PEOPLE)));
        let (conversation, kind) = match random.below(2) {
            0 => (GROUP, ConversationKind::Group),
            _ => (keys::direct_id(Id(1), Id(2)), ConversationKind::Direct),
        };
        let actor = if kind == ConversationKind::Direct { Id(1 + actor.0 % 2) } else { actor };
        let seq = 1 + random.below(12);
        let act = match random.below(20) {
            0 | 1 => {
                let peer = Id(3 - actor.0.min(2));
                beginning(if kind == ConversationKind::Direct { vec![peer] } else { vec![other] }, kind)
            }
            2 => ChatAct::Recalled { seq, within_ms: None },
            3 | 4 => {
                let said = Said { text: format!("edited {seq}"), ..Said::default() };
                ChatAct::Edited { seq, said, within_ms: None }
            }
            5 | 6 => ChatAct::Reacted { seq, emoji: "👍".to_owned(), on: random.below(2) == 0 },
            7 => ChatAct::Pinned { seq, on: random.below(2) == 0 },
            8 => ChatAct::Added { members: vec![other], invited: Vec::new(), members_max: 9 },
            9 => ChatAct::Removed { member: other },
            10 => ChatAct::Left {},
            // Few ids, so that many come again, some with another text.
            _ => sent(format!("c{}", random.below(12)), format!("t{}", random.below(2))),
        };
        ChatRecord::new(conversation, actor, act)
    }

    fn act(&mut self, node: usize) {
        self.acts += 1;
        // The moment that is shown says whose act it is.
        let record = ChatRecord { at_ms: Some(self.acts), ..self.random_act() };
        let Some(Node { owners, .. }) = &self.nodes[node] else { return };
        let (owners, act) = (owners.clone(), self.acts);
        self.clients.ask(node, act, async move {
            let Ok(pending) = owners.propose(record.conversation, record).await else { return Ok(None) };
            clients::heard(pending.durable().await.map(|committed| committed.record.id))
        });
    }

    /// Everything calms down; whoever starts then gets something done, and everybody looks.
    async fn end(mut self) -> Verdict<usize> {
        self.world.set_faults(Faults::NONE);
        let mut heard = self.clients.answers().await?;
        (0..NODES).for_each(|node| self.crash(node));
        self.world.settle();
        for node in 0..NODES {
            self.nodes[node] = Some(self.open(node).await.map_err(|error| format!("no start in the quiet: {error}"))?);
            let mut is_done = false;
            for _ in 0..TRIES_MAX {
                self.act(node);
                let answers = self.clients.answers().await?;
                is_done |= answers.iter().any(|(_, answer)| matches!(answer, Ok(Some(_))));
                heard.extend(answers);
            }
            if !is_done {
                return Err(format!("in the quiet node {node} gets nothing done"));
            }
            let Some(Node { owners, log, tasks, running, .. }) = self.nodes[node].take() else { continue };
            for task in tasks {
                task.abort();
                let _ = task.await;
            }
            drop((owners, log));
            clients::stopped(running).await?;
        }
        self.world.settle();
        self.look(&heard)
    }

    fn look(&self, heard: &[(u64, Heard<Id>)]) -> Verdict<usize> {
        let engines = self.world.engines();
        let partition = engines.families.get(families::CHAT.name).and_then(|family| family.partitions().next());
        let page = self.world.log(partition.ok_or("no family of chat")?);
        let (mut rows, mut state, mut placed) = (Rows::default(), ChatState::default(), HashMap::<Id, u64>::new());
        let mut standing: BTreeMap<u64, Vec<Id>> = BTreeMap::new();
        for one in &page.records {
            let (record, outcome) = line::decode(&one.payload).map_err(|error| error.to_string())?;
            state.conversations.entry(record.conversation).or_insert_with(|| Folded::new(None, None, Vec::new()));
            for key in needs(&record) {
                let value = rows.get(&key);
                state.rows.insert(key, value);
            }
            let mut batch = Batch::default();
            let once = fold::apply(&mut state, &record, &mut batch).map_err(|error| error.to_string())?;
            let once = fold::outcome::ChatOutcome { audience: None, ..once };
            if once != outcome {
                return Err(format!("record {} gave {outcome:?}, and once read {once:?}", record.id));
            }
            if let Some(seq) = outcome.seq {
                let last = placed.entry(record.conversation).or_default();
                if seq != *last + 1 {
                    return Err(format!("message {seq} stands behind {last}"));
                }
                *last = seq;
            }
            rows.write(batch);
            standing.entry(record.shown_ms()).or_default().push(record.id);
        }
        if let Some((key, value)) = rows.versioned().find(|(key, value)| self.world.row(key).as_ref() != *value) {
            return Err(format!("a row of {} is not as the log says: {value:?}", key.table.name));
        }
        clients::look_at_answers(heard, &standing)?;
        match self.wrong.lock().first() {
            Some(wrong) => Err(wrong.clone()),
            None => Ok(placed.values().sum::<u64>() as usize),
        }
    }
}

/// Plays the history of `seed`; answers how many messages were placed, or what was wrong.
fn replay(seed: u64, variant: Variant) -> Verdict<usize> {
    play(async {
        let of_both = [NewFamily { partitions: Some(1), ..families::SOCIAL }, families::CHAT];
        let mut history = History {
            world: Hostile::with_families(seed, &of_both, FAULTS).unwrap(),
            variant,
            random: Random::new(seed ^ 0xc4a7),
            now_ms: NOW_MS,
            nodes: Default::default(),
            wrong: Arc::default(),
            clients: Clients::default(),
            acts: 0,
        };
        for _ in 0..STEPS {
            history.step().await;
        }
        history.end().await
    })
}

#[test]
fn conversations_are_those_of_one_owner_whoever_sleeps() {
    let (runs, placed) = play_all(HISTORIES, |seed| replay(seed, Variant::Right));
    // Or they would show nothing.
    assert!(placed > runs, "{placed} messages");
}

#[test]
fn chat_without_a_precaution_is_caught() {
    for (variant, within) in CAUGHT_WITHIN {
        let is_caught = (0..within).any(|seed| replay(seed, variant).is_err());
        assert!(is_caught, "{variant:?} passes {within} histories");
    }
}
