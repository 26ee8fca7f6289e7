//! A history: nodes that come, sleep, are set wrong and crash, and clients that ask them for things meanwhile.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fanfare_engines::admission::APPEND_DRIFT_MS_MAX;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{EngineError, Partition, Tables};
use fanfare_protocol::Id;
use tokio::task::{JoinHandle, LocalSet, spawn_local, yield_now};

use super::broken::{self, Variant};
use super::model::{Answered, Course, Edges, Heard, Pair, View, Watch, edge_row};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::id::first_id_at;
use crate::data::storage::Storage;
use crate::log::events::Event;
use crate::log::handle::{Log, LogSetup, Proposal};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::product::Product;
use crate::log::roster::{Assigned, Roster};

const NODES: usize = 2;
const STEPS: usize = 80;
/// Few people, so that the same rows are written again and again.
const MUTERS: u64 = 3;
const MUTED: u64 = 2;
const PAIRS: u64 = MUTERS * MUTED;
/// Acts that a client begins at once, at most.
const BURST_MAX: u64 = 4;
const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;
/// Time that leaps while everybody stands still, at most, where the log stamps what it takes: longer than an id may be
/// before its append.
const LEAP_MS_MAX: u64 = 9_000;
const LEAPS_PERCENT: u8 = 8;
/// Time that passes in a step, and at most in one in which nothing else happens.
const STEP_MS: u64 = 3;
const PAUSE_MS_MAX: u64 = 3_000;
/// Turns of others between two steps, at most.
const TURNS_MAX: u64 = 40;
/// Patience with whoever should have been answered; it costs no time.
const PATIENCE: Duration = Duration::from_secs(600);
/// Time in which a log that stamps what it takes catches up with the ids that are ahead of it.
const CALM_MS: u64 = 60_000;
/// Tries of an act in the quiet after it all.
const TRIES_MAX: usize = 4;

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

/// Roster that is wrong now and then.
#[derive(Clone, Default)]
struct Says {
    there: Arc<AtomicBool>,
    /// Whether no other node lives at the same time.
    is_alone: bool,
}

impl Roster for Says {
    fn owner_of(&self, _partition: Partition) -> Assigned {
        if self.there.load(Ordering::Relaxed) { Assigned::There("other".into()) } else { Assigned::Here }
    }

    fn is_alone(&self) -> bool {
        self.is_alone
    }

    fn tells_what_is_settled(&self) -> bool {
        // Here they hear of each other by the log alone: nodes that tell are in `among`.
        false
    }
}

/// A process.
struct Node {
    log: Log,
    horizon: Horizon,
    storage: Storage,
    tables: Arc<dyn Tables>,
    /// Lock of each pair: of two who decide about it the second sees what the first did.
    locks: Vec<Arc<tokio::sync::Mutex<()>>>,
    owner: JoinHandle<()>,
    reserving: JoinHandle<()>,
}

/// Somebody who asks a node for something.
struct Client {
    act: u64,
    node: usize,
    task: JoinHandle<Heard>,
}

struct History {
    watch: Watch,
    variant: Variant,
    random: Random,
    /// Whether nodes live one at a time, and move the horizon on with time; otherwise two live at once.
    is_alone: bool,
    /// Whether the log has a clock of its own, which is right.
    is_stamped: bool,
    /// The node that lives, of those that live alone.
    alone: usize,
    now_ms: u64,
    /// Milliseconds that each node's clock is off by, and the clock that it shows.
    off_ms: [i64; NODES],
    clocks: [Clock; NODES],
    says: [Says; NODES],
    nodes: [Option<Node>; NODES],
    views: Vec<View>,
    clients: Vec<Client>,
    acts: u64,
}

/// Plays the history of `seed`; an error is what was wrong.
pub(super) fn replay(seed: u64, variant: Variant) -> std::result::Result<Course, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    LocalSet::new().block_on(&runtime.unwrap(), async {
        let mut history = History {
            watch: Watch::new(Hostile::new(seed, 1, FAULTS).unwrap()),
            variant,
            random: Random::new(seed ^ 0x5eed),
            is_alone: seed.is_multiple_of(3),
            is_stamped: [5, 8].contains(&(seed % 10)),
            alone: 0,
            now_ms: NOW_MS,
            off_ms: [0; NODES],
            clocks: std::array::from_fn(|_| Clock::stand_in(NOW_MS)),
            says: std::array::from_fn(|_| Says { is_alone: seed.is_multiple_of(3), ..Says::default() }),
            nodes: Default::default(),
            views: Vec::new(),
            clients: Vec::new(),
            acts: 0,
        };
        history.pass(0);
        for _ in 0..STEPS {
            history.step().await;
        }
        history.end().await
    })
}

impl History {
    async fn step(&mut self) {
        if self.is_stamped && self.random.percent(LEAPS_PERCENT) {
            let ms = self.random.below(LEAP_MS_MAX);
            self.pass(ms);
        }
        let node = if self.is_alone { self.alone } else { self.random.index(NODES) };
        match self.random.below(100) {
            0..2 => {
                (0..NODES).for_each(|node| self.crash(node));
                self.watch.world.crash();
            }
            2..6 => self.crash(node),
            6..11 => {
                let off_ms = [-HOUR_MS, 0, HOUR_MS][self.random.index(3)];
                // Without the check there is no time to follow but a clock that is right.
                if self.variant != Variant::NoTimeCheck {
                    self.clocks[node].step(off_ms - self.off_ms[node]);
                    self.off_ms[node] = off_ms;
                }
            }
            11..17 => {
                let ms = self.random.below(PAUSE_MS_MAX);
                // Time passes when nobody has anything to do.
                let _ = tokio::time::timeout(Duration::from_millis(ms), pending::<()>()).await;
                self.pass(ms);
            }
            17..20 if !self.is_alone => {
                self.says[node].there.fetch_xor(true, Ordering::Relaxed);
            }
            20..40 => self.show(node),
            _ => {
                if self.nodes[node].is_none() {
                    self.nodes[node] = self.open(node).await.ok();
                }
                for _ in 0..=self.random.below(BURST_MAX) {
                    self.act(node);
                }
            }
        }
        self.pass(STEP_MS);
        for _ in 0..self.random.below(TURNS_MAX) {
            yield_now().await;
        }
    }

    fn pass(&mut self, ms: u64) {
        self.now_ms += ms;
        self.clocks.iter().for_each(|clock| clock.pass(ms));
        if self.is_stamped && self.variant != Variant::NoTimeCheck {
            self.watch.world.set_clock(self.now_ms);
        }
    }

    /// The process of a node ends in the middle of what it does, and with it whoever waits there.
    fn crash(&mut self, node: usize) {
        if let Some(crashed) = self.nodes[node].take() {
            self.look_at_storage(&crashed);
            crashed.owner.abort();
            crashed.reserving.abort();
            self.clients.iter().filter(|client| client.node == node).for_each(|client| client.task.abort());
        }
        self.alone = self.random.index(NODES);
    }

    fn look_at_storage(&self, node: &Node) {
        if node.storage.has_failed() {
            self.watch.wrong("an owner takes nothing more".to_owned());
        }
    }

    async fn open(&mut self, node: usize) -> Result<Node> {
        let engines = broken::engines(&self.watch.world, self.variant);
        self.clocks[node] = Clock::stand_in(self.now_ms.saturating_add_signed(self.off_ms[node]));
        let (storage, horizon) = (Storage::default(), Horizon::default());
        let setup = LogSetup {
            clock: self.clocks[node].clone(),
            numbers: Numbers::of_node(node as u16),
            storage: storage.clone(),
            roster: Arc::new(self.says[node].clone()),
            horizon: horizon.clone(),
        };
        let view = View::new(self.watch.clone(), node);
        let products = vec![Product { listener: Some(Arc::new(view.clone())), ..Product::folds(Edges) }];
        let (log, mut taken) = Log::take_over(&engines, &products, setup).await?;
        let (owner, proposals) = taken.each.remove(0);
        drop(taken);
        *view.opened.lock() = log.settled();
        self.views.push(view);
        self.watch.shows(horizon.reached());
        let owner = spawn_local(owner.run(proposals, log.minting().clone()));
        let reserving = spawn_local(horizon.clone().keep_reserved());
        let locks = (0..PAIRS).map(|_| Arc::default()).collect();
        Ok(Node { log, horizon, storage, tables: engines.tables, locks, owner, reserving })
    }

    /// A node shows somebody its horizon.
    fn show(&self, node: usize) {
        if self.is_stamped {
            // Whoever reads the log knows that nothing comes any more which is older than that.
            let oldest = first_id_at(self.now_ms.saturating_sub(APPEND_DRIFT_MS_MAX));
            self.watch.nothing_comes_below(oldest);
        }
        let Some(Node { log, horizon, .. }) = &self.nodes[node] else { return };
        if self.is_alone && self.variant == Variant::HorizonPastTheUnsettled {
            let burnt = log.minting().burn_to_now(horizon.reached(), || true);
            self.watch.shows(burnt.unwrap_or_default().max(horizon.reached()));
        } else if self.is_alone {
            self.watch.shows(horizon.now());
        } else {
            self.watch.shows(horizon.reached());
        }
    }

    /// Somebody asks `node` to do the opposite of what is.
    fn act(&mut self, node: usize) {
        let index = self.random.below(PAIRS);
        let pair = (Id(100 + index / MUTED), Id(200 + index % MUTED));
        self.act_on(node, index as usize, pair);
    }

    fn act_on(&mut self, node: usize, index: usize, pair: Pair) {
        let Some(Node { log, tables, locks, .. }) = &self.nodes[node] else { return };
        self.acts += 1;
        let (act, lock) = (self.acts, Arc::clone(&locks[index]));
        let mints = ((self.is_alone || self.is_stamped) && self.random.percent(30)).then(|| self.watch.clone());
        let (log, tables, variant) = (log.clone(), Arc::clone(tables), self.variant);
        let task = spawn_local(async move {
            let _held = lock.lock().await;
            if let Some(watch) = mints
                && let Ok(id) = log.mint().await
            {
                watch.minted(id);
            }
            if variant == Variant::MintBelowTheLastId {
                log.minting().forget_last();
            }
            toggle(&log, &*tables, act, pair).await
        });
        self.clients.push(Client { act, node, task });
    }

    /// Everything calms down; then what was left to happen happens, and everybody looks.
    async fn end(mut self) -> std::result::Result<Course, String> {
        self.watch.world.set_faults(Faults::NONE);
        self.says.iter().for_each(|says| says.there.store(false, Ordering::Relaxed));
        let mut heard = self.answers().await;
        // Whoever lives still gets something done, and so does each in turn after a start.
        for node in 0..NODES {
            if self.nodes[node].is_some() {
                heard.extend(self.done_at(node).await);
                self.stop(node).await;
            }
        }
        self.watch.world.settle();
        for node in 0..NODES {
            match self.open(node).await {
                Ok(opened) => self.nodes[node] = Some(opened),
                Err(error) => self.watch.wrong(format!("in the quiet node {node} does not start: {error}")),
            }
            heard.extend(self.done_at(node).await);
            self.stop(node).await;
        }
        self.watch.world.settle();
        self.watch.look(&heard, &self.views)
    }

    async fn answers(&mut self) -> Vec<Answered> {
        let mut heard = Vec::new();
        for Client { act, node, task } in std::mem::take(&mut self.clients) {
            let answer = match tokio::time::timeout(PATIENCE, task).await {
                Ok(Ok(answer)) => answer,
                // The process ended, and nobody knows.
                Ok(Err(error)) if error.is_cancelled() => Heard::Unknown,
                failed => {
                    self.watch.wrong(format!("act {act} has no answer: {failed:?}"));
                    Heard::Unknown
                }
            };
            heard.push(Answered { act, node, answer });
        }
        heard
    }

    /// Acts at a node until one is done.
    async fn done_at(&mut self, node: usize) -> Vec<Answered> {
        let mut heard = Vec::new();
        for _ in 0..TRIES_MAX {
            if self.is_stamped {
                // Each start goes on above what the one before reserved: many in a short time are ahead of the log.
                self.pass(CALM_MS);
                // Time passes when nobody has anything to do.
                let _ = tokio::time::timeout(Duration::from_millis(CALM_MS), pending::<()>()).await;
            }
            self.act(node);
            heard.extend(self.answers().await);
            if matches!(heard.last(), Some(Answered { answer: Heard::Done(_), .. })) {
                return heard;
            }
        }
        self.watch.wrong(format!("in the quiet node {node} gets nothing done: {heard:?}"));
        heard
    }

    /// A clean stop.
    async fn stop(&mut self, node: usize) {
        let Some(stopped) = self.nodes[node].take() else { return };
        self.look_at_storage(&stopped);
        stopped.reserving.abort();
        drop(stopped.log);
        if tokio::time::timeout(PATIENCE, stopped.owner).await.is_err() {
            self.watch.wrong(format!("node {node} does not stop"));
        }
    }
}

async fn toggle(log: &Log, tables: &dyn Tables, act: u64, (muter, muted): Pair) -> Heard {
    let Ok(guard) = log.decide(muter, &[]).await else { return Heard::Refused };
    let Ok(row) = tables.get(&edge_row((muter, muted))).await else { return Heard::Refused };
    let event = if row.is_some() { Event::Unmuted { muter, muted } } else { Event::Muted { muter, muted } };
    // The record says whose act it is.
    let proposal = Proposal { import_line: Some(act), ..event.into() };
    match log.commit(&guard, proposal).await {
        Ok(record) => Heard::Done(record.id),
        Err(Error::Engine(EngineError::Unknown(_))) => Heard::Unknown,
        Err(_) => Heard::Refused,
    }
}
