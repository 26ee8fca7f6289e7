//! A second family from whose records something follows for people: nodes that come, sleep and crash, over a log that
//! takes everything.
//!
//! Afterwards every person was told once of each record that concerns them, in its order, and of nothing else; lists of
//! notifications are what a plain count says.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, JournalRecord, NewFamily, Partition, RowKey, Table};
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, spawn_local};

use super::clients::{self, Clients, PATIENCE, Verdict, play, play_all};
use crate::app;
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::base::limits;
use crate::data::families;
use crate::data::rows::{NotificationRow, NotificationState, from_json, to_json};
use crate::data::tables::{self, notification_key};
use crate::log::effects::Effects;
use crate::log::events::{Event, Weight};
use crate::log::family::{CommittedOf, Family};
use crate::log::fold::Folds;
use crate::log::handle::Log;
use crate::log::onward::{Bearer, Onward, OnwardSource};
use crate::log::owners::FamilyLog;
use crate::log::records;
use crate::log::spread::Spread;

const OWN: Table = Table { id: 250, name: "calls_meta" };
const CALLS: NewFamily = NewFamily { name: "calls", partitions: None, tables: |id| id >= OWN.id, own_table: Some(OWN) };
const CONSUMER: &str = "calls-told";

const NODES: usize = 2;
const STEPS: usize = 60;
const PEOPLE: u64 = 5;
const BURST_MAX: u64 = 5;
const TURNS_MAX: u64 = 60;
const NOW_MS: u64 = 1_800_000_000_000;
const HISTORIES: u64 = 24;
/// Records that wait in memory: few, so that the log is read too.
const ROOM: usize = 3;

const FAULTS: Faults =
    Faults { unavailable: 1, unknown: 5, offset_gaps: 10, doubled: 15, lost_replies: 6, sleeps: 20, ..Faults::NONE };

/// The code as it is, or without one of its precautions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lacks {
    Nothing,
    /// Repeats are taken.
    Numbers,
    /// Records that an earlier life left are not read from the log.
    Past,
}

/// Somebody calls others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Call {
    id: Id,
    by: Id,
    asked: Vec<Id>,
}

fn follows(call: &Call, spread: Spread) -> Effects {
    let mut by_partition = BTreeMap::<u16, Vec<Id>>::new();
    for person in &call.asked {
        by_partition.entry(spread.partition_of(*person).0).or_default().push(*person);
    }
    let event = |asked| Event::Approached { by: call.by, conversation: call.id, asked, added: Vec::new() };
    by_partition.into_iter().map(|(partition, asked)| (Partition(partition), event(asked))).collect()
}

struct Calls {
    onward: Onward,
    spread: Spread,
}

impl Family for Calls {
    type Proposal = (Id, Vec<Id>);
    type Record = Call;
    type Outcome = ();
    type State = ();
    type Answer = Id;
    type Standings = ();
    type Changes = ();

    const NAME: &'static str = CALLS.name;
    const OWN_TABLE: Table = OWN;

    fn weight(_: &(Id, Vec<Id>)) -> Weight {
        Weight { bytes: 256, rows: 1 }
    }

    fn number((by, asked): (Id, Vec<Id>), id: Id) -> Call {
        Call { id, by, asked }
    }

    fn id(call: &Call) -> Id {
        call.id
    }

    async fn standings(&self, _: &[Call]) -> Result<()> {
        Ok(())
    }

    async fn load(&self, _: &[Call], (): &(), _: Option<(&(), &Batch)>) -> Result<()> {
        Ok(())
    }

    fn take_in((): &mut (), (): (), _: &Batch) {}

    fn fold(&self, _: &mut Call, (): &mut (), _: &mut Batch) -> Result<()> {
        Ok(())
    }

    fn line(&self, call: &Call, (): &()) -> Result<Bytes> {
        to_json(call)
    }

    fn read(&self, _: Partition, one: &JournalRecord) -> Result<(Call, ())> {
        Ok((from_json(&one.payload)?, ()))
    }

    fn rows(&self, _: &Call, (): &(), _: &mut Batch) -> Result<()> {
        Ok(())
    }

    fn keep(&self, (): (), (): &()) {}

    fn learn(&self, _: &[CommittedOf<Call, ()>]) {}

    fn opened(&self, last: Id) {
        self.onward.opened(last);
    }

    fn forget(&self) {}

    fn tell(&self, committed: &[CommittedOf<Call, ()>], _: Id) {
        self.onward.settled(committed.iter().map(|one| (one.record.id, follows(&one.record, self.spread))));
    }

    fn answer(committed: CommittedOf<Call, ()>) -> Id {
        committed.record.id
    }
}

struct Source(Spread);

impl OnwardSource for Source {
    fn consumer(&self) -> &'static str {
        CONSUMER
    }

    fn follows(&self, _: Partition, one: &JournalRecord) -> Result<(Id, Effects)> {
        let call: Call = from_json(&one.payload)?;
        Ok((call.id, follows(&call, self.0)))
    }
}

struct Node {
    calls: FamilyLog<Calls>,
    bearers: Vec<Bearer>,
    log: Log,
    clock: Clock,
    tasks: Vec<JoinHandle<()>>,
}

struct History {
    world: Hostile,
    spread: Spread,
    lacks: Lacks,
    random: Random,
    /// Nodes that live at once.
    nodes_max: usize,
    now_ms: u64,
    nodes: [Option<Node>; NODES],
    clients: Clients<Id>,
    acts: u64,
}

impl History {
    async fn open(&self, node: usize) -> Result<Node> {
        let (engines, clock) = (self.world.engines(), Clock::stand_in(self.now_ms));
        let (setup, horizon) = clients::alone(node, &clock);
        let (log, social) = Log::take_over(&engines, &app::products_over(self.spread, 3).0, setup).await?;
        if self.lacks == Lacks::Numbers {
            log.take_twice();
        }
        let partitions = engines.families.get(CALLS.name).unwrap().partitions();
        let onward: Vec<(Partition, Onward)> = partitions.map(|one| (one, Onward::with_room(ROOM))).collect();
        let make = |partition| {
            let onward = onward.iter().find(|(one, _)| *one == partition).unwrap().1.clone();
            Calls { onward, spread: self.spread }
        };
        let calls = log.take_over_family(&engines, make).await?;
        let mint = log.minting();
        let mut tasks = vec![spawn_local(horizon.keep_reserved())];
        for (owner, queue) in social.each {
            tasks.push(spawn_local(owner.run(queue, mint.clone())));
        }
        let owners = calls.owners.clone();
        for (owner, queue) in calls.each {
            tasks.push(spawn_local(owner.run(queue, mint.clone())));
        }
        let source: Arc<dyn OnwardSource> = Arc::new(Source(self.spread));
        let mut bearers = Vec::new();
        for (partition, onward) in onward {
            if self.lacks == Lacks::Past {
                onward.forget_past();
            }
            bearers.push(Bearer::open(&engines, log.clone(), Arc::clone(&source), (partition, onward)).await?);
        }
        Ok(Node { calls: owners, bearers, log, clock, tasks })
    }

    async fn step(&mut self) {
        let node = self.random.index(self.nodes_max);
        match self.random.below(100) {
            0..3 => {
                (0..NODES).for_each(|node| self.crash(node));
                self.world.crash();
            }
            3..9 => self.crash(node),
            _ => {
                if self.nodes[node].is_none()
                    && let Ok(mut opened) = self.open(node).await
                {
                    opened.tasks.extend(opened.bearers.drain(..).map(|bearer| spawn_local(bearer.run())));
                    self.nodes[node] = Some(opened);
                }
                for _ in 0..=self.random.below(BURST_MAX) {
                    self.call(node);
                }
            }
        }
        self.now_ms += 3;
        self.nodes.iter().flatten().for_each(|node| node.clock.pass(3));
        clients::turns(&mut self.random, TURNS_MAX).await;
    }

    fn crash(&mut self, node: usize) {
        let Some(crashed) = self.nodes[node].take() else { return };
        clients::abort(&crashed.tasks);
        self.clients.end_at(node);
    }

    fn call(&mut self, node: usize) {
        let Some(Node { calls, .. }) = &self.nodes[node] else { return };
        let by = 1 + self.random.below(PEOPLE);
        let others = (1..=PEOPLE).filter(|person| *person != by);
        // Some concern nobody.
        let asked: Vec<Id> = others.filter(|_| self.random.below(3) == 0).map(Id).collect();
        let calls = calls.clone();
        self.acts += 1;
        self.clients.ask(node, self.acts, async move {
            let done = async { calls.propose(Id(by), (Id(by), asked)).await?.durable().await };
            clients::heard(done.await)
        });
    }

    /// Everything calms down, and what follows is told.
    async fn end(mut self) -> Verdict<usize> {
        self.world.set_faults(Faults::NONE);
        let heard = self.clients.answers().await?;
        let done: Vec<Id> = heard.into_iter().filter_map(|(_, answer)| answer.ok().flatten()).collect();
        (0..NODES).for_each(|node| self.crash(node));
        self.world.settle();
        let mut node = self.open(0).await.map_err(|error| format!("no start in the quiet: {error}"))?;
        for bearer in &mut node.bearers {
            let told = tokio::time::timeout(PATIENCE, bearer.catch_up()).await;
            told.map_err(|_| "what follows is not told".to_owned())?.map_err(|error| error.to_string())?;
        }
        clients::abort(&node.tasks);
        drop((node.bearers, node.calls, node.log));
        self.world.settle();
        self.look(&done)
    }

    fn look(&self, done: &[Id]) -> Verdict<usize> {
        let engines = self.world.engines();
        let mut expected = BTreeMap::<(u16, u16), Vec<(Id, Event)>>::new();
        let mut standing = BTreeSet::new();
        for partition in engines.families.get(CALLS.name).unwrap().partitions() {
            for one in self.world.log(partition).records {
                let call: Call = from_json(&one.payload).unwrap();
                standing.insert(call.id);
                for (to, effect) in follows(&call, self.spread) {
                    expected.entry((to.0, partition.0)).or_default().push((call.id, effect));
                }
            }
        }
        if let Some(lost) = done.iter().find(|id| !standing.contains(id)) {
            return Err(format!("{lost} was answered, and does not stand"));
        }
        let folds: Folds = app::products_over(self.spread, 3).0.into_iter().filter_map(|one| one.fold).collect();
        let mut told = BTreeMap::<(u16, u16), Vec<(Id, Event)>>::new();
        // Of each person: what was told, by the record that tells it.
        let mut lists = BTreeMap::<Id, Vec<(Id, Id)>>::new();
        for partition in self.spread.partitions() {
            for one in self.world.log(partition).records {
                let (record, _) = records::read(partition, &one, &folds).unwrap();
                let Event::Derived(derived) = &record.event else { continue };
                if record.known_as() != record.id {
                    return Err(format!("{} is known by the number of another family", record.id));
                }
                let effect = derived.effect.as_deref().cloned().unwrap();
                if let Event::Approached { asked, .. } = &effect {
                    asked
                        .iter()
                        .for_each(|person| lists.entry(*person).or_default().push((record.id, derived.from.id)));
                }
                told.entry((derived.to, derived.from.partition)).or_default().push((derived.from.id, effect));
            }
        }
        if told != expected {
            return Err(format!("told {told:#?}, not {expected:#?}"));
        }
        for (person, list) in &lists {
            self.look_at_list(*person, list)?;
        }
        Ok(told.values().map(Vec::len).sum())
    }

    /// The rows of a person's list are one for each that was told, and count them.
    fn look_at_list(&self, person: Id, list: &[(Id, Id)]) -> Verdict<()> {
        let row = |clustering| RowKey::new(tables::NOTIFICATIONS, tables::partition(person), clustering);
        let state = self.world.row(&row(notification_key::STATE)).ok_or("a list has no state")?;
        let state: NotificationState = from_json(&state).unwrap();
        if state.seq != list.len() as u64 {
            return Err(format!("{person} was told {} times, and the list counts {}", list.len(), state.seq));
        }
        for (id, source) in list {
            let item = self.world.row(&row(notification_key::item(*id))).ok_or("an entry is missing")?;
            let item: NotificationRow = from_json(&item).unwrap();
            if item.chat.map(|news| news.record) != Some(*source) {
                return Err(format!("{id} of {person} is {item:?}, not of {source}"));
            }
        }
        Ok(())
    }
}

/// Plays the history of `seed`; answers how many records followed, or what was wrong.
fn replay(seed: u64, lacks: Lacks) -> Verdict<usize> {
    play(async {
        let people = [1, 3][(seed % 2) as usize];
        let social = NewFamily { partitions: Some(people), ..families::SOCIAL };
        let calls = NewFamily { partitions: Some(1 + (seed / 2 % 2) as u16), ..CALLS };
        let mut history = History {
            world: Hostile::with_families(seed, &[social, calls], FAULTS).unwrap(),
            spread: Spread::over(0, people),
            lacks,
            random: Random::new(seed ^ 0x5eed),
            nodes_max: 1 + (seed / 4 % 2) as usize,
            now_ms: NOW_MS,
            nodes: Default::default(),
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
fn people_are_told_once_of_what_concerns_them_whoever_sleeps() {
    let (runs, told) = play_all(HISTORIES, |seed| replay(seed, Lacks::Nothing));
    println!("{runs} histories: {told} told");
    // Or they would show nothing.
    assert!(told > 10 * runs, "{told}");
}

/// A partition that refused something kept all others from what followed, for as long as it did.
#[test]
fn a_partition_that_refuses_keeps_nobody_else_from_what_follows() {
    let verdict = play(async {
        let social = NewFamily { partitions: Some(2), ..families::SOCIAL };
        let world = Hostile::with_families(1, &[social, CALLS], Faults::NONE).unwrap();
        let spread = Spread::over(0, 2);
        let history = History {
            world,
            spread,
            lacks: Lacks::Nothing,
            random: Random::new(1),
            nodes_max: 1,
            now_ms: NOW_MS,
            nodes: Default::default(),
            clients: Clients::default(),
            acts: 0,
        };
        let node = history.open(0).await.map_err(|error| error.to_string())?;
        let of = |place| (1..).map(Id).filter(move |person| spread.partition_of(*person) == Partition(place));
        let (refuses, takes) = (Partition(0), Partition(1));
        let source = history.world.engines().families.get(CALLS.name).unwrap().first;
        // One record of so many rows is refused, whoever hands it in.
        let too_many = of(0).take(limits::RECORD_ROWS_MAX);
        let mut last = Id(0);
        let asked = too_many.chain(of(1).take(1)).collect::<Vec<_>>();
        for asked in [asked].into_iter().chain((0..3 * ROOM).map(|_| of(0).take(1).chain(of(1).take(1)).collect())) {
            let done = async { node.calls.propose(Id(1), (Id(1), asked)).await?.durable().await };
            last = done.await.map_err(|error| error.to_string())?;
        }
        let mut tasks = node.tasks;
        tasks.extend(node.bearers.into_iter().map(|bearer| spawn_local(bearer.run())));
        let taken_of = |to| node.log.crossing(to).map(|crossing| crossing.taken_of(source.0)).unwrap();
        let told = async {
            while taken_of(takes) < last {
                tokio::time::sleep(Duration::from_millis(1)).await; // poll
            }
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        let order_is_kept = taken_of(refuses) == Id(0);
        clients::abort(&tasks);
        drop((node.calls, node.log));
        told.map_err(|_| "the other partition is not told".to_owned())?;
        if order_is_kept { Ok(0) } else { Err("it is told what lies behind what it refused".to_owned()) }
    });
    assert_eq!(verdict, Ok(0));
}

#[test]
fn a_variant_that_tells_twice_or_forgets_is_caught() {
    for (lacks, within) in [(Lacks::Numbers, 20), (Lacks::Past, 20)] {
        let is_caught = (0..within).any(|seed| replay(seed, lacks).is_err());
        assert!(is_caught, "without {lacks:?} all of {within} histories pass");
    }
}
