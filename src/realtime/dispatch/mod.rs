//! The dispatcher: hears every committed record in its order, knows who is here, and tells the shards whom it concerns.
//!
//! One thread owns all of it, so that nothing is locked and what it does has one order. It reads no table: follows are
//! loaded and missed items read by tasks beside it, notifications rendered by the renderers.

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

use self::readers::{Join, Readers, SeatNumber, Waiting};
use self::watchers::Watchers;
use super::bulk::{Gone, Pending};
use super::frame::Frame;
use super::presence::Presence;
use super::replay::Replays;
use super::session::SessionId;
use super::signals::{Command, Posted, ShardHandle, Shared, Signal};
use crate::base::limits::realtime::{AUDIENCE_SLICE, BACKLOG_MAX, BACKLOG_SLICES, DRAIN_PER_S, REPLAYS_AT_ONCE};
use crate::data::store::Store;
use crate::feed::FeedSource;
use crate::log::events::{Event, PostRecord, Record};
use crate::notifications::fold::Notified;

/// Signals taken in one go.
const SIGNALS_BATCH: usize = 256;
/// Pause before a person's follows are read again after the tables failed.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// A notification to be rendered, or a mark that passes through the renderers' queues.
#[derive(Debug)]
pub enum RenderJob {
    /// For these sessions of the person.
    Notification { notified: Notified, sessions: Vec<SessionId> },
    /// Everything up to this id was handed in before.
    Mark(Id),
}

/// The dispatcher's state.
pub struct Dispatcher {
    shared: Arc<Shared>,
    shards: Vec<ShardHandle>,
    renderers: Vec<mpsc::Sender<RenderJob>>,
    store: Arc<Store>,
    replays: Replays,
    replaying: Arc<Semaphore>,
    tasks: JoinSet<()>,
    readers: Readers,
    presence: Arc<Mutex<Presence>>,
    watchers: Watchers,
    /// People who are offline and whose seat could not be given up yet.
    leaving: BTreeSet<u64>,
    /// The last record heard of.
    last: Id,
    /// `last` at the tick before: by now whatever came with it has been handed to the renderers.
    settled: Id,
    /// What it was at the start.
    start: Id,
    audience: Vec<SeatNumber>,
    /// Posts that have not reached all shards, oldest first.
    backlog: VecDeque<Waits>,
}

/// A post on its way to its audience.
struct Waits {
    post: Pending,
    to: To,
}

/// An audience.
enum To {
    /// Whoever follows the author, and whom the post answers.
    Followers {
        author: Id,
        answers: Option<Id>,
        /// Seats up to here have it.
        after: Option<SeatNumber>,
    },
    /// Those who followed somebody whose account is gone: the follows end right after it.
    Sessions(Vec<SessionId>),
}

/// What a dispatcher needs.
pub struct Parts {
    /// See [`Shared`].
    pub shared: Arc<Shared>,
    /// All shards.
    pub shards: Vec<ShardHandle>,
    /// All renderers of notifications.
    pub renderers: Vec<mpsc::Sender<RenderJob>>,
    /// For follows.
    pub store: Arc<Store>,
    /// For what was missed.
    pub replays: Replays,
    /// Shared with whoever asks over HTTP.
    pub presence: Arc<Mutex<Presence>>,
}

impl Dispatcher {
    /// Nobody is here yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let last = parts.shared.committed();
        Self {
            shared: parts.shared,
            shards: parts.shards,
            renderers: parts.renderers,
            store: parts.store,
            replays: parts.replays,
            replaying: Arc::new(Semaphore::new(REPLAYS_AT_ONCE)),
            tasks: JoinSet::new(),
            readers: Readers::default(),
            presence: parts.presence,
            watchers: Watchers::default(),
            leaving: BTreeSet::new(),
            last,
            settled: last,
            start: last,
            audience: Vec::new(),
            backlog: VecDeque::new(),
        }
    }

    /// Works until every sender of signals is gone.
    pub async fn run(mut self, mut signals: mpsc::Receiver<Signal>) {
        let mut batch = Vec::with_capacity(SIGNALS_BATCH);
        loop {
            tokio::select! {
                biased;
                count = signals.recv_many(&mut batch, SIGNALS_BATCH) => if count == 0 { return },
                () = room(&self.shards), if !self.backlog.is_empty() => {}
            }
            // Before what was committed after the loss is handed out: no watermark passes what was not heard of.
            if self.shared.overflowed.swap(false, Ordering::AcqRel) {
                self.start_anew().await;
            }
            for signal in batch.drain(..) {
                self.signal(signal).await;
            }
            self.hand_out();
            while self.tasks.try_join_next().is_some() {}
        }
    }

    async fn signal(&mut self, signal: Signal) {
        match signal {
            Signal::Committed(record) => {
                if self.last == self.start {
                    // The first record: no notification was handed out before it.
                    let before = Id(record.id.0.saturating_sub(1));
                    (0..=self.renderers.len()).for_each(|part| self.shared.progress.reached(part, before));
                }
                self.committed(&record).await;
                self.last = self.last.max(record.id);
            }
            Signal::Notified(notified) => self.notified(notified).await,
            Signal::Joined { user, session, from } => self.joined(user, Waiting { session, from }).await,
            Signal::Left { user, session } => self.left(user, session),
            Signal::Loaded { user, followees: Some(followees) } => {
                for waiting in self.readers.loaded(user, followees) {
                    self.replay(user, waiting);
                }
            }
            Signal::Loaded { user, followees: None } => self.load(user, AGAIN_AFTER),
            Signal::ToPerson { user, frame } => {
                let sessions = self.readers.sessions_of(user).to_vec();
                self.deliver(&sessions, &frame).await;
            }
            Signal::Publish { users, frame, sessions } => {
                let of = |user: &Id| self.readers.sessions_of(*user).to_vec();
                let all: Vec<SessionId> = users.iter().flat_map(of).collect();
                self.deliver(&all, &frame).await;
                // Whoever asked may be gone.
                let _ = sessions.send(all.len() as u64);
            }
            Signal::Watch { user, session, people } => {
                // A session that has ended meanwhile would never be forgotten.
                if self.readers.sessions_of(user).contains(&session) {
                    self.watchers.watch(session, people);
                }
            }
            Signal::Heartbeat { user } => {
                let now_ms = self.shared.clock.now_ms();
                let came = self.presence.lock().heartbeat(user, now_ms);
                self.transition(user, came).await;
            }
            Signal::Tick => self.tick().await,
        }
    }

    async fn committed(&mut self, record: &Record) {
        match &record.event {
            Event::Posted { post, .. } => {
                self.posted(post.author, Pending { id: record.id, gone: None }, answered(post)).await;
            }
            Event::PostDeleted { post, author, purged: false, .. } => {
                let gone = Gone::Post { post: *post, author: *author };
                self.posted(*author, Pending { id: record.id, gone: Some(gone) }, None).await;
            }
            Event::UserDeleted { user } => {
                let post = Pending { id: record.id, gone: Some(Gone::Author(user.id)) };
                let to = To::Sessions(self.sessions_following(user.id));
                self.hand_in(Waits { post, to }).await;
            }
            Event::Followed { follower, followee, .. } => self.readers.changed(*follower, *followee, true),
            Event::Unfollowed(edge) => self.readers.changed(edge.follower, edge.followee, false),
            Event::Blocked { blocker, blocked, ended } => {
                for edge in ended {
                    self.readers.changed(edge.follower, edge.followee, false);
                }
                for (watcher, person) in [(*blocker, *blocked), (*blocked, *blocker)] {
                    for session in self.readers.sessions_of(watcher) {
                        self.watchers.forget(*session, person);
                    }
                }
            }
            _ => {}
        }
    }

    /// A post of `author` for everybody here who follows them; a reply only where the one it answers is followed too.
    async fn posted(&mut self, author: Id, post: Pending, answers: Option<Id>) {
        self.hand_in(Waits { post, to: To::Followers { author, answers, after: None } }).await;
    }

    async fn hand_in(&mut self, waits: Waits) {
        if self.backlog.len() >= BACKLOG_MAX {
            return self.start_anew().await;
        }
        self.backlog.push_back(waits);
    }

    /// Sessions of those here who follow `author` at this moment.
    fn sessions_following(&self, author: Id) -> Vec<SessionId> {
        let (mut seats, mut after) = (Vec::new(), None);
        while self.readers.audience(author, after, AUDIENCE_SLICE, &mut seats) == AUDIENCE_SLICE {
            after = seats.last().copied();
        }
        let sessions = seats.iter().filter_map(|seat| self.readers.seat(*seat));
        sessions.flat_map(|(_, sessions)| sessions.iter().copied()).collect()
    }

    /// Hands posts that wait to the shards, oldest first, as far as these have room: so what is urgent never waits behind
    /// them here.
    fn hand_out(&mut self) {
        for _ in 0..BACKLOG_SLICES {
            if !self.shards.iter().all(ShardHandle::takes_posts) {
                break;
            }
            let Some(mut waits) = self.backlog.pop_front() else { break };
            if self.slice(&mut waits) {
                self.backlog.push_front(waits);
            }
        }
        let reached = self.backlog.front().map_or(self.last, |first| Id(first.post.id.0.saturating_sub(1)));
        self.shared.progress.reached(0, reached);
    }

    /// One slice of a post's audience; true when there may be more.
    fn slice(&mut self, waits: &mut Waits) -> bool {
        let mut by_shard: Vec<Vec<SessionId>> = vec![Vec::new(); self.shards.len()];
        let mut add = |session: SessionId| {
            if let Some(list) = by_shard.get_mut(session.shard()) {
                list.push(session);
            }
        };
        let more = match &mut waits.to {
            To::Followers { author, answers, after } => {
                let mut seats = std::mem::take(&mut self.audience);
                seats.clear();
                let copied = self.readers.audience(*author, *after, AUDIENCE_SLICE, &mut seats);
                *after = seats.last().copied();
                for seat in &seats {
                    let Some((user, sessions)) = self.readers.seat(*seat) else { continue };
                    if answers.is_some_and(|answered| answered != user && !self.readers.follows(*seat, answered)) {
                        continue;
                    }
                    sessions.iter().copied().for_each(&mut add);
                }
                self.audience = seats;
                copied == AUDIENCE_SLICE
            }
            To::Sessions(sessions) => {
                let left = sessions.len().saturating_sub(AUDIENCE_SLICE);
                sessions.drain(left..).for_each(&mut add);
                left > 0
            }
        };
        for (shard, sessions) in self.shards.iter().zip(by_shard) {
            if !sessions.is_empty() {
                shard.post(Posted { sessions, post: waits.post });
            }
        }
        more
    }

    async fn notified(&mut self, notified: Notified) {
        let user = notified.user;
        let sessions = self.readers.sessions_of(user).to_vec();
        if sessions.is_empty() {
            return;
        }
        // Always the same renderer for the same person: their notifications stay in order.
        let renderer = (user.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as usize % self.renderers.len().max(1);
        if let Some(renderer) = self.renderers.get(renderer) {
            // Full: the dispatcher waits, and commits wait in its inbox.
            let _ = renderer.send(RenderJob::Notification { notified, sessions }).await;
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
        self.transition(user, came).await;
    }

    fn left(&mut self, user: Id, session: SessionId) {
        self.presence.lock().left(user, self.shared.clock.now_ms());
        self.watchers.watch(session, Vec::new());
        self.readers.leave(user, session);
    }

    fn load(&mut self, user: Id, after: Duration) {
        let (store, signals) = (Arc::clone(&self.store), self.shared.signals.clone());
        self.tasks.spawn(async move {
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            let followees = match store.relations(user).await {
                Ok(relations) => Some(relations.followees),
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
        if from.iter().all(|mark| *mark >= upto)
            && shard.try_send(Command::Replayed { session, frames: Some(Vec::new()), upto }).is_ok()
        {
            return;
        }
        let (replays, turns) = (self.replays.clone(), Arc::clone(&self.replaying));
        let shared = Arc::clone(&self.shared);
        self.tasks.spawn(async move {
            let Ok(_turn) = turns.acquire().await else { return };
            let upto = shared.committed();
            let frames = match replays.missed(user, from, upto).await {
                Ok(missed) => Some(missed.frames),
                Err(error) => {
                    tracing::warn!(%error, "what a session missed could not be read; it is told to read anew");
                    None
                }
            };
            shard.send(Command::Replayed { session, frames, upto }).await;
        });
    }

    /// Tells those who watch `user`, if they came or went.
    async fn transition(&mut self, user: Id, happened: bool) {
        if !happened {
            return;
        }
        let sessions = self.watchers.of(user).to_vec();
        if sessions.is_empty() {
            return;
        }
        let now_ms = self.shared.clock.now_ms();
        let presence = self.presence.lock().of(user, now_ms);
        let frame = Frame::passing("presence", Lane::Normal, now_ms, &presence);
        self.deliver(&sessions, &frame).await;
    }

    async fn deliver(&self, sessions: &[SessionId], frame: &Frame) {
        for (number, shard) in self.shards.iter().enumerate() {
            let of_shard = sessions.iter().copied().filter(|session| session.shard() == number);
            let of_shard: Vec<SessionId> = of_shard.collect();
            for slice in of_shard.chunks(AUDIENCE_SLICE) {
                shard.send(Command::Deliver { sessions: slice.to_vec(), frame: frame.clone() }).await;
            }
        }
    }

    /// Commits were not heard of. Everybody is asked to come back: what they missed is then read from rows, for
    /// watermarks trail by far more than it takes to notice.
    async fn start_anew(&mut self) {
        let sessions = self.shared.sessions.load(Ordering::Relaxed) as u64;
        tracing::warn!(sessions, "the dispatcher did not keep up: sessions are asked to come back");
        metrics::counter!("fanfare_realtime_overflows_total").increment(1);
        self.readers = Readers::default();
        self.backlog.clear();
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
            self.transition(user, true).await;
            self.leaving.insert(user.0);
        }
        let leaving = std::mem::take(&mut self.leaving);
        let still = leaving
            .into_iter()
            .filter(|user| !self.readers.vacate(Id(*user)) && self.readers.sessions_of(Id(*user)).is_empty());
        self.leaving = still.collect();
        metrics::gauge!("fanfare_realtime_people").set(self.readers.len() as f64);
    }
}

/// Waits until every shard takes a post.
async fn room(shards: &[ShardHandle]) {
    for shard in shards {
        shard.room_for_posts().await;
    }
}

/// Whom a post answers, if it is somebody else than its author.
fn answered(post: &PostRecord) -> Option<Id> {
    post.reply_to.map(|parent| parent.author).filter(|author| *author != post.author)
}
