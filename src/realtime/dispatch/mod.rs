//! The dispatcher: hears every committed record in its order, knows who is connected, and tells the shards whom it
//! concerns.
//!
//! One thread owns all of it, so that what it does has one order and takes no lock but that of `presence`, which HTTP
//! reads. It reads no table: follows are loaded and missed items read by tasks beside it, personal items rendered by
//! the renderers. For a full shard it waits on account of urgent frames only: the rest is held in an `outbox` or the
//! backlog, and shed at their bounds, with word of it.

mod deliver;
mod groups;
mod outbox;
mod readers;
mod watchers;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_protocol::{Id, Lane};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::deliver::Piece;
use self::groups::{Backlog, Gathered};
use self::outbox::Outbox;
use self::readers::{Join, Readers, SeatNumber, Waiting};
use self::watchers::Watchers;
use super::deliver::{ItemRef, Judge, Output, PersonalItem, Producer, SharedItem};
use super::frame::Frame;
use super::presence::PresenceTable;
use super::session::SessionId;
use super::signals::{Command, Mark, ShardHandle, SharedState, Signal};
use super::source::{FolloweeSource, Sources};
use super::tracks::{Track, TrackMarks, marks};
use crate::base::error::Result;
use crate::base::limits::realtime::{DRAIN_PER_S, REPLAYS_AT_ONCE};

/// Signals taken in one go.
const SIGNALS_BATCH: usize = 256;
/// Pause before a person's follows are read again after the tables failed.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Work of a renderer of personal items, or a mark that passes through its queue.
#[derive(Debug)]
pub enum RenderJob {
    /// An item to be rendered for sessions.
    Item { item: Rendered, sessions: Vec<SessionId> },
    /// Slice of an audience for a frame, to be judged one by one.
    Judged { people: Vec<(Id, Vec<SessionId>)>, frame: Frame, from: Id, judge: Arc<dyn Judge> },
    /// Everything up to these marks was handed in before.
    Mark(TrackMarks),
}

/// An item of a renderer.
#[derive(Debug)]
pub enum Rendered {
    /// For one person.
    Personal(Id, Arc<dyn PersonalItem>),
    /// For several, all the same.
    Shared(Arc<dyn SharedItem>),
}

impl Rendered {
    /// Line in which it stands.
    pub(super) fn line(&self) -> Id {
        match self {
            Self::Personal(person, _) => *person,
            Self::Shared(item) => item.line(),
        }
    }

    /// Key of the item in its stream.
    pub(super) fn key(&self) -> Id {
        match self {
            Self::Personal(_, item) => item.key(),
            Self::Shared(item) => item.key(),
        }
    }

    /// The frame, if there is something to tell.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn frame(&self) -> Result<Option<Frame>> {
        match self {
            Self::Personal(person, item) => item.frame(*person).await,
            Self::Shared(item) => item.frame().await,
        }
    }
}

/// The dispatcher's state.
pub struct Dispatcher {
    shared: Arc<SharedState>,
    shards: Vec<ShardHandle>,
    renderers: Vec<mpsc::Sender<RenderJob>>,
    producers: Vec<Box<dyn Producer>>,
    followees: Arc<dyn FolloweeSource>,
    sources: Sources,
    replaying: Arc<Semaphore>,
    tasks: JoinSet<()>,
    readers: Readers,
    presence: Arc<Mutex<PresenceTable>>,
    watchers: Watchers,
    /// People who are offline and whose seat could not be given up yet.
    leaving: BTreeSet<u64>,
    /// Marks of what was heard of.
    last: TrackMarks,
    /// `last` at the tick before: by now whatever came with it has been handed to the renderers.
    settled: TrackMarks,
    audience: Vec<SeatNumber>,
    outputs: Vec<Output>,
    /// Items of the bulk stream that have not reached all shards, oldest first.
    backlog: VecDeque<Queued>,
    /// Shared items for very many.
    groups: Backlog<Piece>,
    /// Changes that are gathered for a moment.
    gathered: Gathered<Piece>,
    /// Slices of audiences that wait for a renderer to judge them, oldest first.
    unjudged: VecDeque<RenderJob>,
    /// Of each shard, what it had no room for.
    outboxes: Vec<Outbox>,
}

/// An item of the bulk stream on its way to its audience.
struct Queued {
    item: ItemRef,
    /// Everything up to here came before it.
    after: Id,
    to: Recipients,
}

/// Sessions that are still to get an item.
enum Recipients {
    /// Followers of the author; where `with` names somebody, only those who follow that person too.
    Followers {
        author: Id,
        with: Option<Id>,
        /// Seats up to here have it.
        after: Option<SeatNumber>,
    },
    /// Sessions one by one.
    Sessions(Vec<SessionId>),
}

/// Parts of a dispatcher.
pub struct Parts {
    /// See [`SharedState`].
    pub shared: Arc<SharedState>,
    /// All shards.
    pub shards: Vec<ShardHandle>,
    /// All renderers of personal items.
    pub renderers: Vec<mpsc::Sender<RenderJob>>,
    /// Consequences of records.
    pub producers: Vec<Box<dyn Producer>>,
    /// Followees of people.
    pub followees: Arc<dyn FolloweeSource>,
    /// Readers of what was missed.
    pub sources: Sources,
    /// Read by whoever asks over HTTP.
    pub presence: Arc<Mutex<PresenceTable>>,
}

impl Dispatcher {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let last = parts.shared.committed().map(|upto| Mark { number: 0, upto });
        let outboxes = parts.shards.iter().map(|_| Outbox::default()).collect();
        Self {
            shared: parts.shared,
            shards: parts.shards,
            renderers: parts.renderers,
            producers: parts.producers,
            followees: parts.followees,
            sources: parts.sources,
            replaying: Arc::new(Semaphore::new(REPLAYS_AT_ONCE)),
            tasks: JoinSet::new(),
            readers: Readers::default(),
            presence: parts.presence,
            watchers: Watchers::default(),
            leaving: BTreeSet::new(),
            last,
            settled: last,
            audience: Vec::new(),
            outputs: Vec::new(),
            backlog: VecDeque::new(),
            groups: Backlog::default(),
            gathered: Gathered::default(),
            unjudged: VecDeque::new(),
            outboxes,
        }
    }

    /// Works until every sender of signals is gone.
    pub async fn run(mut self, mut signals: mpsc::Receiver<Signal>) {
        let mut batch = Vec::with_capacity(SIGNALS_BATCH);
        loop {
            let bulk_waits = !self.backlog.is_empty() || self.outboxes.iter().any(Outbox::has_bulk);
            let gathered = self.gathered.next_due().map(Instant::from_std);
            tokio::select! {
                biased;
                count = signals.recv_many(&mut batch, SIGNALS_BATCH) => if count == 0 { return },
                () = self.room_for_groups(), if !self.groups.is_empty() => {}
                () = tokio::time::sleep_until(gathered.unwrap_or_else(Instant::now)), if gathered.is_some() => {}
                () = room_for_bulk(&self.shards), if bulk_waits => {}
            }
            // Before what was committed after the loss is handed out: no watermark passes what was not heard of.
            if self.shared.overflowed.swap(false, Ordering::AcqRel) {
                self.start_anew().await;
            }
            for signal in batch.drain(..) {
                self.signal(signal).await;
            }
            self.forward_gathered().await;
            self.hand_out();
            while self.tasks.try_join_next().is_some() {}
        }
    }

    async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Committed(record, mark) => {
                self.begin(mark.upto.min(Id(record.id.0.saturating_sub(1))));
                let mut outputs = std::mem::take(&mut self.outputs);
                self.producers.iter().for_each(|producer| producer.produce(&record, &mut outputs));
                for output in outputs.drain(..) {
                    self.output(output).await;
                }
                self.outputs = outputs;
                self.heard(Track::Social, mark);
            }
            Signal::Told { track, mark } => self.heard(track, mark),
            Signal::Deliver { deliver, sessions } => {
                let reached = self.deliver(deliver).await;
                if let Some(sessions) = sessions {
                    // Whoever asked may be gone.
                    let _ = sessions.send(reached as u64);
                }
            }
            Signal::Joined { user, session, from } => self.joined(user, Waiting { session, from }).await,
            Signal::Left { user, session } => self.left(user, session),
            Signal::Loaded { user, followees: Some(followees) } => {
                for waiting in self.readers.loaded(user, followees) {
                    self.replay(user, waiting);
                }
            }
            Signal::Loaded { user, followees: None } => self.load(user, AGAIN_AFTER),
            Signal::Watch { user, session, people } => {
                // A session that has ended meanwhile would never be forgotten.
                if self.readers.sessions_of(user).contains(&session) {
                    self.watchers.watch((session, user), people);
                }
            }
            Signal::Seen { person, sessions } => self.seen(person, sessions).await,
            Signal::Heartbeat { user } => {
                let now_ms = self.shared.clock.now_ms();
                let came = self.presence.lock().heartbeat(user, now_ms);
                self.transition(user, came);
            }
            Signal::Tick => self.tick().await,
        }
    }

    /// Before the first record nothing personal was handed out: up to `before` everything has come.
    fn begin(&mut self, upto: Id) {
        let track = Track::Social;
        if self.last[track as usize].number == 0 {
            let before = Mark { number: 0, upto };
            (0..=self.renderers.len()).for_each(|part| self.shared.tracks.reached_in(track, part, before));
        }
    }

    fn heard(&mut self, track: Track, mark: Mark) {
        let last = &mut self.last[track as usize];
        *last = last.max(mark);
    }

    async fn output(&mut self, output: Output) {
        match output {
            Output::Deliver(deliver) => {
                self.deliver(deliver).await;
            }
            Output::Follow { follower, followee, follows } => self.readers.changed(follower, followee, follows),
            Output::Apart(one, other) => {
                for (watcher, person) in [(one, other), (other, one)] {
                    for session in self.readers.sessions_of(watcher) {
                        self.watchers.forget(*session, person);
                    }
                }
            }
        }
    }

    async fn joined(&mut self, user: Id, waiting: Waiting) {
        let now_ms = self.shared.clock.now_ms();
        let came = self.presence.lock().joined(user, now_ms);
        self.leaving.remove(&user.0);
        match self.readers.join(user, waiting) {
            Join::Load => self.load(user, Duration::ZERO),
            Join::Wait => {}
            Join::Ready => self.replay(user, waiting),
        }
        self.transition(user, came);
    }

    fn left(&mut self, user: Id, session: SessionId) {
        self.presence.lock().left(user, self.shared.clock.now_ms());
        self.watchers.watch((session, user), []);
        self.readers.leave(user, session);
    }

    fn load(&mut self, user: Id, after: Duration) {
        let (source, signals) = (Arc::clone(&self.followees), self.shared.signals.clone());
        self.tasks.spawn(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            let followees = match source.followees(user).await {
                Ok(followees) => Some(followees),
                Err(error) => {
                    tracing::warn!(%error, "whom a reader follows could not be read; it is tried again");
                    None
                }
            };
            // Closed: the server stops.
            let _ = signals.send(Signal::Loaded { user, followees }).await;
        });
    }

    /// Reads what a session missed, unless nothing was committed since.
    fn replay(&mut self, user: Id, waiting: Waiting) {
        let Waiting { session, from } = waiting;
        let Some(shard) = self.shards.get(session.shard()).cloned() else { return };
        let upto = self.shared.committed();
        if from.iter().zip(marks(upto)).all(|(mark, upto)| *mark >= upto)
            && shard.try_send(Command::Replayed { session, replay: Some(Box::default()) }).is_ok()
        {
            return;
        }
        let (sources, turns) = (self.sources.clone(), Arc::clone(&self.replaying));
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let Ok(_turn) = turns.acquire().await else { return };
            let upto = shared.committed();
            let replay = match sources.missed(user, from, marks(upto)).await {
                Ok(replay) => Some(Box::new(replay)),
                Err(error) => {
                    tracing::warn!(%error, "what a session missed could not be read; it is told to read anew");
                    None
                }
            };
            shard.send(Command::Replayed { session, replay }).await;
        });
    }

    /// Tells those who watch `user` and may know, if they came or went: who may, only rows tell.
    fn transition(&mut self, user: Id, happened: bool) {
        let watching: Vec<(SessionId, Id)> = if happened { self.watchers.of(user).collect() } else { Vec::new() };
        if watching.is_empty() {
            return;
        }
        let (source, signals) = (Arc::clone(&self.followees), self.shared.signals.clone());
        self.tasks.spawn(async move {
            let viewers: Vec<Id> = watching.iter().map(|(_, viewer)| *viewer).collect();
            let seen = match source.lets_see(user, &viewers).await {
                Ok(seen) => seen,
                Err(error) => {
                    tracing::warn!(%error, "nobody is told that somebody came or went; they ask anew");
                    return;
                }
            };
            let sessions = watching.into_iter().zip(seen).filter(|(_, sees)| *sees);
            let sessions = sessions.map(|((session, _), _)| session).collect();
            // Closed: the server stops.
            let _ = signals.send(Signal::Seen { person: user, sessions }).await;
        });
    }

    /// Tells sessions, as far as they still watch `user`, how it stands with them now.
    async fn seen(&mut self, user: Id, mut sessions: Vec<SessionId>) {
        sessions.retain(|session| self.watchers.watches(*session, user));
        if sessions.is_empty() {
            return;
        }
        let now_ms = self.shared.clock.now_ms();
        let presence = self.presence.lock().of(user, now_ms);
        let frame = Frame::passing("presence", Lane::Normal, now_ms, &presence);
        self.send(Some(&sessions), frame, Lane::Normal).await;
    }

    /// Commits were not heard of. Everybody is asked to come back: what they missed is then read from rows, for no
    /// watermark passes what was not heard of.
    async fn start_anew(&mut self) {
        let sessions = self.shared.sessions.load(Ordering::Relaxed) as u64;
        tracing::warn!(sessions, "the dispatcher did not keep up: sessions are asked to come back");
        metrics::counter!("fanfare_realtime_overflows_total").increment(1);
        self.readers = Readers::default();
        self.backlog.clear();
        (self.groups, self.gathered) = (Backlog::default(), Gathered::default());
        self.unjudged.clear();
        self.outboxes.iter_mut().for_each(|outbox| *outbox = Outbox::default());
        let spread_ms = sessions * 1_000 / DRAIN_PER_S;
        for shard in &self.shards {
            shard.send(Command::Drain { spread_ms, for_good: false }).await;
        }
    }

    async fn tick(&mut self) {
        for renderer in &self.renderers {
            // A full queue: the next tick does it.
            let _ = renderer.try_send(RenderJob::Mark(self.settled));
        }
        self.settled = self.last;
        let now_ms = self.shared.clock.now_ms();
        let gone = self.presence.lock().due(now_ms);
        for user in gone {
            self.transition(user, true);
            self.leaving.insert(user.0);
        }
        let leaving = std::mem::take(&mut self.leaving);
        let still = leaving
            .into_iter()
            .filter(|user| !self.readers.vacate(Id(*user)) && self.readers.sessions_of(Id(*user)).is_empty());
        self.leaving = still.collect();
        metrics::gauge!("fanfare_realtime_people").set(self.readers.len() as f64);
        metrics::gauge!("fanfare_realtime_group_backlog").set(self.groups.len() as f64);
    }
}

/// Waits until every shard takes something of the bulk stream.
async fn room_for_bulk(shards: &[ShardHandle]) {
    for shard in shards {
        shard.room_for_bulk().await;
    }
}
