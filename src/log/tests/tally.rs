//! A second family, as small as one can be: counts under keys, each record with the count after it. Two nodes hold its
//! partitions beside the social one, over a log that takes everything, and sleep, crash and come back; afterwards the
//! counts of a key are those of one reader, whoever made them. Of a node that is alone nothing settles at or below a
//! horizon that it showed, however many partitions it has, and what it answered is within the horizon.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::claim::Claim;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{
    Batch, Claimant, EngineError, Engines, JournalRecord, NewFamily, NewRecord, Partition, RowKey, Table, Tables,
};
use fanfare_protocol::Id;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::clients::{self, Clients, play};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::data::families;
use crate::data::rows::{from_json, to_json};
use crate::log::events::Weight;
use crate::log::family::{CommittedOf, Family};
use crate::log::handle::Log;
use crate::log::owner::OwnerThreads;
use crate::log::owners::FamilyLog;

const OWN: Table = Table { id: 250, name: "tally_meta" };
const COUNTS: Table = Table { id: 251, name: "tally_counts" };
const TALLY: NewFamily = NewFamily { name: "tally", partitions: None, tables: |id| id >= OWN.id, own_table: Some(OWN) };
/// Partitions of a history, by its seed.
const PARTITIONS: [u16; 4] = [1, 3, 12, 2];

const NODES: usize = 2;
const STEPS: usize = 60;
const KEYS: u64 = 6;
const BURST_MAX: u64 = 5;
const TURNS_MAX: u64 = 40;
const NOW_MS: u64 = 1_800_000_000_000;
const TRIES_MAX: usize = 6;

const FAULTS: Faults =
    Faults { unavailable: 1, unknown: 6, offset_gaps: 10, doubled: 15, lost_replies: 8, sleeps: 25, ..Faults::NONE };

/// Count of one more under a key, and whose act it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct One {
    id: Id,
    key: Id,
    act: u64,
}

#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(flatten)]
    one: One,
    count: u64,
}

type Committed = CommittedOf<One, u64>;

/// Records that a view heard, and their counts.
type Heard = Arc<Mutex<Vec<(Id, u64)>>>;

fn row(key: Id) -> RowKey {
    RowKey::single(COUNTS, key.to_bytes().to_vec())
}

struct Tally {
    tables: Arc<dyn Tables>,
    kept: Mutex<HashMap<Id, u64>>,
    heard: Heard,
    /// The horizon that was shown. Of two who write, one does not know what the other has under way.
    shown: Option<Arc<Mutex<Id>>>,
    world: Hostile,
}

impl Family for Tally {
    type Proposal = (Id, u64);
    type Record = One;
    type Outcome = u64;
    type State = HashMap<Id, u64>;
    type Answer = (Id, u64);
    type Standings = ();
    type Changes = ();

    const NAME: &'static str = TALLY.name;
    const OWN_TABLE: Table = OWN;

    fn weight(_: &(Id, u64)) -> Weight {
        Weight { bytes: 256, rows: 1 }
    }

    fn number((key, act): (Id, u64), id: Id) -> One {
        One { id, key, act }
    }

    fn id(one: &One) -> Id {
        one.id
    }

    async fn standings(&self, _: &[One]) -> Result<()> {
        Ok(())
    }

    async fn load(
        &self,
        ones: &[One],
        state: &Self::State,
        before: Option<(&Self::State, &Batch)>,
    ) -> Result<Self::State> {
        let mut loaded = HashMap::new();
        for key in ones.iter().map(|one| one.key).filter(|key| !state.contains_key(key)) {
            let known =
                before.and_then(|(state, _)| state.get(&key).copied()).or_else(|| self.kept.lock().get(&key).copied());
            let count = match known {
                Some(count) => count,
                None => self.tables.get(&row(key)).await?.map_or(Ok(0), |bytes| from_json(&bytes))?,
            };
            loaded.insert(key, count);
        }
        Ok(loaded)
    }

    fn take_in(state: &mut Self::State, loaded: Self::State, _: &Batch) {
        state.extend(loaded);
    }

    fn fold(&self, one: &mut One, state: &mut Self::State, batch: &mut Batch) -> Result<u64> {
        let count = state.entry(one.key).or_default();
        *count += 1;
        let count = *count;
        self.rows(one, &count, batch)?;
        Ok(count)
    }

    fn line(&self, one: &One, count: &u64) -> Result<Bytes> {
        to_json(&Line { one: one.clone(), count: *count })
    }

    fn read(&self, partition: Partition, one: &JournalRecord) -> Result<(One, u64)> {
        let at = one.offset.0;
        let Line { one, count } = from_json(&one.payload).map_err(|error| {
            EngineError::Corrupt(format!("journal partition {}, offset {at}: {error}", partition.0))
        })?;
        Ok((one, count))
    }

    fn rows(&self, one: &One, count: &u64, batch: &mut Batch) -> Result<()> {
        batch.put_versioned(row(one.key), to_json(count)?, one.id.0);
        Ok(())
    }

    fn keep(&self, state: Self::State, (): &()) {
        self.kept.lock().extend(state);
    }

    fn learn(&self, committed: &[Committed]) {
        self.kept.lock().extend(committed.iter().map(|one| (one.record.key, one.outcome)));
    }

    fn forget(&self) {
        self.kept.lock().clear();
    }

    fn tell(&self, committed: &[Committed], horizon: Id) {
        for Committed { record, outcome } in committed {
            let stored: u64 = self.world.row(&row(record.key)).map_or(0, |bytes| from_json(&bytes).unwrap());
            assert!(stored >= *outcome, "told before its rows are there");
            let shown = self.shown.as_ref().map_or(Id(0), |shown| *shown.lock());
            assert!(record.id > shown, "it settles at or below a horizon that was shown");
            self.heard.lock().push((record.id, *outcome));
        }
        if let Some(shown) = &self.shown {
            let mut shown = shown.lock();
            *shown = horizon.max(*shown);
        }
    }

    fn answer(committed: Committed) -> (Id, u64) {
        (committed.record.id, committed.outcome)
    }
}

/// Act, and what was heard of it: id and count of what was done.
type Answered = (u64, clients::Heard<(Id, u64)>);

struct Node {
    log: Log,
    tally: FamilyLog<Tally>,
    clock: Clock,
    threads: Vec<JoinHandle<()>>,
    reserving: JoinHandle<()>,
    shown: Arc<Mutex<Id>>,
}

struct History {
    world: Hostile,
    /// Nodes live one at a time: then time moves the horizon on.
    is_alone: bool,
    random: Random,
    now_ms: u64,
    nodes: [Option<Node>; NODES],
    /// Records that each view heard.
    views: Vec<Heard>,
    clients: Clients<(Id, u64)>,
    acts: u64,
}

impl History {
    async fn open(&mut self, node: usize) -> Result<Node> {
        let (engines, clock) = (self.world.engines(), Clock::stand_in(self.now_ms));
        let (setup, _) = clients::alone(node, &clock);
        let (log, social) = Log::take_over(&engines, &[], setup).await?;
        let (heard, shown) = (Arc::default(), Arc::default());
        let is_alone = self.is_alone;
        let make = |_| Tally {
            tables: Arc::clone(&engines.tables),
            kept: Mutex::default(),
            heard: Arc::clone(&heard),
            shown: is_alone.then(|| Arc::clone(&shown)),
            world: self.world.clone(),
        };
        let tally = log.take_over_family(&engines, make).await?;
        self.views.push(heard);
        let mint = log.minting();
        let social = social.each.into_iter().map(|(owner, queue)| spawn_local(owner.run(queue, mint.clone())));
        let mut threads: Vec<_> = social.collect();
        let owners = tally.owners.clone();
        for (owner, queue) in tally.each {
            threads.push(spawn_local(owner.run(queue, mint.clone())));
        }
        let reserving = spawn_local(owners.horizon().clone().keep_reserved());
        Ok(Node { log, tally: owners, clock, threads, reserving, shown })
    }

    async fn step(&mut self) {
        let node = if self.is_alone { 0 } else { self.random.index(NODES) };
        match self.random.below(100) {
            30..50 if self.is_alone => self.show(),
            0..3 => {
                (0..NODES).for_each(|node| self.crash(node));
                self.world.crash();
            }
            3..8 => self.crash(node),
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

    fn crash(&mut self, node: usize) {
        let Some(crashed) = self.nodes[node].take() else { return };
        clients::abort(&crashed.threads);
        crashed.reserving.abort();
        self.clients.end_at(node);
    }

    fn show(&self) {
        let Some(Node { tally, shown, .. }) = &self.nodes[0] else { return };
        let horizon = tally.horizon().now();
        assert!(horizon >= *shown.lock(), "a horizon does not go back");
        *shown.lock() = horizon;
    }

    fn act(&mut self, node: usize) {
        let Some(Node { tally, .. }) = &self.nodes[node] else { return };
        self.acts += 1;
        let (act, key, tally) = (self.acts, Id(1 + self.random.below(KEYS)), tally.clone());
        self.clients.ask(node, act, async move {
            let done = async { tally.propose(key, (key, act)).await?.durable().await };
            let heard = clients::heard(done.await);
            if let Ok(Some((id, _))) = &heard {
                assert!(tally.horizon().reached() >= *id, "it is answered, and no read shows it");
            }
            heard
        });
    }

    /// Everything calms down; each node gets something done, and stops.
    async fn end(mut self, seed: u64) -> usize {
        self.world.set_faults(Faults::NONE);
        let mut answers = self.clients.answers().await.unwrap();
        for node in if self.is_alone { [0; 4] } else { [0, 1, 0, 1] } {
            if self.nodes[node].is_none() {
                self.nodes[node] = Some(self.open(node).await.unwrap());
            }
            for tries in 0.. {
                self.act(node);
                answers.extend(self.clients.answers().await.unwrap());
                if matches!(answers.last(), Some((_, Ok(Some(_))))) {
                    break;
                }
                assert!(tries < TRIES_MAX, "seed {seed}: in the quiet node {node} gets nothing done");
            }
            let Node { log, tally, threads, reserving, .. } = self.nodes[node].take().unwrap();
            reserving.abort();
            drop((log, tally));
            clients::stopped(threads).await.unwrap();
        }
        self.world.settle();
        self.look(seed, &answers)
    }

    fn look(&self, seed: u64, answers: &[Answered]) -> usize {
        let engines: Engines = self.world.engines();
        let (mut counts, mut standing) = (BTreeMap::<Id, u64>::new(), BTreeMap::<u64, Vec<(Id, u64)>>::new());
        let mut records = Vec::new();
        for partition in engines.families.get(TALLY.name).unwrap().partitions() {
            let mut last = Id(0);
            for one in self.world.log(partition).records {
                let Line { one, count } = from_json(&one.payload).unwrap();
                assert!(one.id > last, "seed {seed}: ids do not rise");
                last = one.id;
                let before = counts.insert(one.key, count).unwrap_or_default();
                assert_eq!(count, before + 1, "seed {seed}: {one:?} was folded on what was over");
                standing.entry(one.act).or_default().push((one.id, count));
                records.push((partition, one.id, count));
            }
        }
        for (key, count) in &counts {
            let stored: u64 = from_json(&self.world.row(&row(*key)).unwrap()).unwrap();
            assert_eq!(stored, *count, "seed {seed}: the row of {key}");
        }
        if let Err(wrong) = clients::look_at_answers(answers, &standing) {
            panic!("seed {seed}: {wrong}");
        }
        for heard in &self.views {
            let heard = heard.lock();
            for partition in engines.families.get(TALLY.name).unwrap().partitions() {
                let its = |id: &Id| records.iter().any(|(of, one, _)| one == id && *of == partition);
                let heard: Vec<_> = heard.iter().filter(|(id, _)| its(id)).copied().collect();
                let Some((last, _)) = heard.last() else { continue };
                let all = records.iter().filter(|(of, id, _)| *of == partition && id <= last);
                let all: Vec<_> = all.map(|(_, id, count)| (*id, *count)).collect();
                assert!(all.ends_with(&heard), "seed {seed}: a view heard {heard:?} of {all:?}");
            }
        }
        answers.iter().filter(|(_, answer)| matches!(answer, Ok(Some(_)))).count()
    }
}

fn replay(seed: u64) -> usize {
    play(async {
        let social = NewFamily { partitions: Some(1), ..families::SOCIAL };
        let tally = NewFamily { partitions: Some(PARTITIONS[seed as usize % PARTITIONS.len()]), ..TALLY };
        let families = [social, tally];
        let mut history = History {
            is_alone: (seed / 4).is_multiple_of(2),
            world: Hostile::with_families(seed, &families, FAULTS).unwrap(),
            random: Random::new(seed ^ 0x5eed),
            now_ms: NOW_MS,
            nodes: Default::default(),
            views: Vec::new(),
            clients: Clients::default(),
            acts: 0,
        };
        for _ in 0..STEPS {
            history.step().await;
        }
        history.end(seed).await
    })
}

#[test]
fn another_family_is_counted_once_whoever_sleeps() {
    let runs = super::number("FANFARE_TEST_RUNS").unwrap_or(60);
    let first = super::number("FANFARE_TEST_SEED").unwrap_or_default();
    let done: usize = (first..first + runs).map(replay).sum();
    assert!(done as u64 > 20 * runs || runs < 20, "{done}: or it would show nothing");
}

/// Of a kind that a later version wrote.
#[tokio::test]
async fn a_record_that_cannot_be_read_stops_its_own_partition_only() {
    let social = NewFamily { partitions: Some(1), ..families::SOCIAL };
    let tally = NewFamily { partitions: Some(3), ..TALLY };
    let world = Hostile::with_families(1, &[social, tally], Faults::NONE).unwrap();
    let engines = world.engines();
    let broken = Partition(engines.families.get(TALLY.name).unwrap().first.0 + 1);
    let claimant = Claimant { node: "later".to_owned(), is_import: false };
    let mut claim = Claim::take(Arc::clone(&engines.journal), broken, claimant).await.unwrap();
    let strange = NewRecord { id: 9, payload: r#"{"id":"9","type":"teleported"}"#.into() };
    claim.append(&[strange], &Batch::default()).await.unwrap();

    let local = LocalSet::new();
    local
        .run_until(async {
            let mut history = History {
                is_alone: true,
                world: world.clone(),
                random: Random::new(1),
                now_ms: NOW_MS,
                nodes: Default::default(),
                views: Vec::new(),
                clients: Clients::default(),
                acts: 0,
            };
            let node = history.open(0).await.unwrap();
            let keys = |is_broken: bool| {
                let tally = node.tally.clone();
                (1..).map(Id).filter(move |key| (tally.partition_of(*key) == broken) == is_broken)
            };
            for key in keys(true).take(3) {
                let refused = node.tally.propose(key, (key, 1)).await.err().unwrap().to_string();
                assert!(refused.contains(&format!("partition {}", broken.0)), "{refused}");
            }
            for key in keys(false).take(6) {
                node.tally.propose(key, (key, 1)).await.unwrap().durable().await.unwrap();
            }
            assert!(node.log.takes() && !node.log.has_failed());
            history.nodes[0] = Some(node);
            history.crash(0);
        })
        .await;
}

/// The owners of a family have threads of their own, and end with its last handle.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_family_is_opened_beside_the_social_one_and_ends_by_itself() {
    let tally = NewFamily { partitions: Some(3), ..TALLY };
    let world = Hostile::with_families(1, &[families::SOCIAL, tally], Faults::NONE).unwrap();
    for life in 0..2 {
        let engines = world.engines();
        let (setup, ..) = clients::alone(0, &Clock::system());
        let (log, social) = Log::open(&engines, Vec::new(), setup).await.unwrap();
        let make = |_| Tally {
            tables: Arc::clone(&engines.tables),
            kept: Mutex::default(),
            heard: Arc::default(),
            shown: None,
            world: world.clone(),
        };
        let (tally, owners) = log.open_family(&engines, make).await.unwrap();
        for key in (1..20).map(Id) {
            let first = tally.propose(key, (key, 1)).await.unwrap();
            let second = tally.propose(key, (key, 2)).await.unwrap();
            let (first, second) = (first.durable().await.unwrap(), second.durable().await.unwrap());
            assert_eq!((first.1, second.1), (2 * life + 1, 2 * life + 2));
            assert!(tally.horizon().reached() >= second.0.max(first.0));
        }
        drop((log, tally));
        tokio::task::spawn_blocking(move || [social, owners].into_iter().for_each(OwnerThreads::join)).await.unwrap();
    }
}
