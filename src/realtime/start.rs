//! Realtime delivery put together, in two steps: what the write path and the accounts need to know of it comes first,
//! the threads and tasks follow when the services are there.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fanfare_protocol::{ClientFrame, Id};
use fanfare_websocket::CLOSE_AWAY;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::attach::SessionCounts;
use super::client_frames::{FrameTurn, FrameTypes};
use super::clients::Clients;
use super::cursor::CursorSeal;
use super::deliver::{Deliver, Producer};
use super::dispatch::{Dispatcher, Parts, RenderJob};
use super::elsewhere::{FrameElsewhere, Hop, PassingFrame};
use super::ended_tokens::{EndedTokens, SessionCloser};
use super::frame::Frame;
use super::news_queue::{Due, NewsQueue};
use super::presence::PresenceTable;
use super::service::{Inner, Realtime};
use super::session::SessionId;
use super::settings::RealtimeSettings;
use super::shard::Shard;
use super::signals::{
    BulkJob, Command, FromClient, ItemMaker, Mark, RecordNews, SessionFilter, ShardHandle, SharedState, Signal,
};
use super::source::{BulkJobs, BulkSource, CurrentValues, FolloweeSource, Source, Sources};
use super::tracks::{Track, Tracks};
use super::under_way::UnderWay;
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::fair::Paces;
use crate::base::limits::realtime::{
    BULK_RENDERING_MAX, CLIENT_FRAMES_BYTES_MAX, CLIENT_FRAMES_MAX, LAST_SEEN_MAX, NEWS_MAX, PACED_MAX,
    RENDER_QUEUE_MAX, RENDERERS, RENDERERS_OF_GROUPS, SEND_FRAMES_MAX, SIGNALS_MAX,
};
use crate::base::threads;
use crate::log::core::Core;
use crate::log::horizon::Horizon;
use crate::log::product::Committed;

/// Renderers of what is urgent, then those of groups.
const ALL_RENDERERS: usize = RENDERERS + RENDERERS_OF_GROUPS;
/// Milliseconds between two ticks of the dispatcher.
const TICK: Duration = Duration::from_millis(100);

/// Hands records and items to whoever is connected; clones share it.
#[derive(Clone)]
pub struct Publisher(Arc<SharedState>);

impl Publisher {
    /// Records of people are durable, and the store and the feed know them: whoever is connected hears of them, and of
    /// the `items` that they give, each with its key, in the order of keys as the `horizon` comes to them. Never waits.
    pub fn committed(&self, committed: &[Committed], items: impl Iterator<Item = (Id, ItemMaker)>, horizon: Id) {
        let mut news = self.0.news.lock();
        for Committed { record, .. } in committed {
            news.add(record.id, RecordNews::Record(Arc::clone(record)));
        }
        items.for_each(|(key, item)| news.add(key, RecordNews::Item(item)));
        self.hand_out(&mut news, horizon);
    }

    /// The horizon of people has come to `horizon`, and nothing was committed with it. Never waits.
    pub fn moved_on(&self, horizon: Id) {
        self.hand_out(&mut self.0.news.lock(), horizon);
    }

    fn hand_out(&self, news: &mut NewsQueue<RecordNews>, horizon: Id) {
        let (track, tracks) = (Track::Social, &self.0.tracks);
        let Due { items, passed_shed } = news.take(horizon);
        if passed_shed {
            // As where a commit finds no room: this is told to nobody, and no watermark passes it until sessions are
            // asked to come back. They find it in the rows.
            tracks.committed(track, horizon);
            let _ = tracks.told(track, horizon);
            self.lost_track();
        }
        let (last, mut is_marked) = (items.len().saturating_sub(1), false);
        for (place, (_, one)) in items.into_iter().enumerate() {
            match one {
                RecordNews::Record(record) => {
                    tracks.committed(track, record.id);
                    is_marked = place == last;
                    // With the last of them, and not before.
                    let mark = tracks.told(track, if is_marked { horizon } else { Id(0) });
                    self.signal(Signal::Committed(record, mark));
                }
                RecordNews::Item(make) => make().into_iter().for_each(|deliver| self.deliver(deliver)),
            }
        }
        if !is_marked {
            self.told(track, horizon);
        }
        // Last: what is not held any more is told by now.
        tracks.hold(track, news.low());
    }

    /// A record of another family is durable, and what it means for who is connected is handed in next.
    pub fn committed_in(&self, track: Track, id: Id) {
        self.0.tracks.committed(track, id);
    }

    /// Everything of a family up to `upto` was handed in. Never waits.
    pub fn told(&self, track: Track, upto: Id) {
        let mark = self.0.tracks.told(track, upto);
        self.signal(Signal::Told { track, mark });
    }

    /// Nobody knows whom a record is news to: sessions are asked to come back, and read it from rows.
    pub fn lost_track(&self) {
        self.0.overflowed.store(true, Ordering::Release);
    }

    /// An item for an audience. Never waits.
    pub fn deliver(&self, deliver: Deliver) {
        self.signal(Signal::Deliver { deliver, sessions: None });
    }

    /// An item for an audience, handed over as soon as there is room.
    pub async fn send(&self, deliver: Deliver) {
        // Closed: the server stops.
        let _ = self.0.signals.send(Signal::Deliver { deliver, sessions: None }).await;
    }

    /// Hands a frame that no record tells of to the sessions that people have on other nodes. Never waits.
    pub fn tell_elsewhere(&self, people: &[Id], frame: &Frame) {
        if let Some(others) = self.0.others.get() {
            others.tell(PassingFrame::new(Some(people.into()), frame));
        }
    }

    /// Has another node do something on behalf of `person`: what it answers.
    ///
    /// # Errors
    /// The problem that it answers; [`Error::Elsewhere`] where there is no way to it.
    pub async fn ask(&self, node: &Arc<str>, person: Id, kind: &str, data: Value) -> Result<Value> {
        let others = self.0.others.get().ok_or_else(|| Error::Elsewhere(Arc::clone(node)))?;
        let frame = ClientFrame { reference: 0, kind: kind.to_owned(), data: Some(data) };
        let asked = FrameElsewhere { person, session: None, hop: Hop::Asks, frame };
        let answer = others.answer(node, asked, FrameTurn::new().0).await;
        answer.map_err(|problem| Error::Refused(Box::new(problem)))
    }

    fn signal(&self, signal: Signal) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.0.signals.try_send(signal) {
            self.0.overflowed.store(true, Ordering::Release);
        }
    }
}

/// Parts of the products in realtime delivery.
pub struct Streams {
    /// Producers, in the order in which they are asked about a record.
    pub producers: Vec<Box<dyn Producer>>,
    /// The source of each stream but the bulk one.
    pub sources: Vec<Arc<dyn Source>>,
    /// The source of the bulk stream.
    pub bulk: Arc<dyn BulkSource>,
    /// Values that those hear of too who were not connected when they changed.
    pub values: Vec<Arc<dyn CurrentValues>>,
    /// Followees of people.
    pub followees: Arc<dyn FolloweeSource>,
    /// Types of frames, and who answers those of clients.
    pub types: FrameTypes,
}

/// Shards and channels, before threads and services are there.
pub struct RealtimeSetup {
    shared: Arc<SharedState>,
    shards: Vec<Shard>,
    handles: Vec<ShardHandle>,
    signals: mpsc::Receiver<Signal>,
    bulk_jobs: mpsc::Receiver<BulkJob>,
    from_clients: mpsc::Receiver<FromClient>,
}

/// Threads and tasks of realtime delivery; to be stopped.
pub struct RealtimeThreads {
    handles: Vec<ShardHandle>,
    threads: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
}

impl RealtimeSetup {
    /// Makes the shards and the channels between all parts; starts nothing.
    ///
    /// # Errors
    /// When the operating system gives no epoll.
    pub fn new(settings: RealtimeSettings, secret: &[u8], clock: Clock, horizon: Horizon) -> Result<Self> {
        let (signal_sender, signals) = mpsc::channel(SIGNALS_MAX);
        let (bulk_sender, bulk_jobs) = mpsc::channel(BULK_RENDERING_MAX * settings.shards.max(1));
        let (client_sender, from_clients) = mpsc::channel(CLIENT_FRAMES_MAX);
        let count = settings.shards.max(1);
        let shared = Arc::new(SharedState {
            settings,
            seal: CursorSeal::new(secret)?,
            clock,
            tracks: Tracks::new(ALL_RENDERERS, horizon),
            boot: getrandom::u32().unwrap_or_default() as u16,
            news: Mutex::new(NewsQueue::new(NEWS_MAX)),
            overflowed: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            ended: EndedTokens::default(),
            others: OnceLock::new(),
            signals: signal_sender,
            bulk_jobs: bulk_sender,
            from_clients: client_sender,
            under_way: UnderWay::new(CLIENT_FRAMES_MAX, CLIENT_FRAMES_BYTES_MAX),
        });
        let mut shards = Vec::with_capacity(count);
        let mut handles = Vec::with_capacity(count);
        for number in 0..count {
            let (shard, handle) = Shard::new(number, Arc::clone(&shared))?;
            shards.push(shard);
            handles.push(handle);
        }
        Ok(Self { shared, shards, handles, signals, bulk_jobs, from_clients })
    }

    /// For the owner's listeners, and for products.
    #[must_use]
    pub fn publisher(&self) -> Publisher {
        Publisher(Arc::clone(&self.shared))
    }

    /// For the accounts.
    #[must_use]
    pub fn closer(&self) -> SessionCloser {
        SessionCloser::new(self.handles.clone(), Arc::clone(&self.shared))
    }

    /// Starts threads and tasks.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(self, core: &Core, chat: &Horizon, streams: Streams) -> Result<(Realtime, RealtimeThreads)> {
        let Self { shared, shards, handles, signals, bulk_jobs, from_clients } = self;
        // Everything up to it is committed, and nobody is here yet. None is minted: an import and the sample world mint
        // ids of earlier days.
        let start = core.log.shown();
        shared.tracks.follow(Track::Chat, chat.clone());
        Track::ALL.into_iter().for_each(|track| shared.tracks.committed(track, start));
        let at_start = Track::ALL.map(|_| Mark { number: 0, upto: start });
        (0..=ALL_RENDERERS).for_each(|part| shared.tracks.reached(part, at_start));
        let settings = &shared.settings;
        let presence = Arc::new(Mutex::new(PresenceTable::new(settings.offline_after_s * 1_000, LAST_SEEN_MAX)));
        let Streams { producers, mut sources, bulk, values, followees, types } = streams;
        sources.push(Arc::clone(&bulk) as Arc<dyn Source>);
        let sources = Sources::new(sources, values);
        let mut tasks = JoinSet::new();
        let mut renderers = Vec::with_capacity(ALL_RENDERERS);
        for number in 0..ALL_RENDERERS {
            let (sender, jobs) = mpsc::channel(RENDER_QUEUE_MAX);
            renderers.push(sender);
            tasks.spawn(render_personal(number + 1, jobs, handles.clone(), Arc::clone(&shared)));
        }
        let bulk_jobs = BulkJobs { waiting: bulk_jobs, shards: handles.clone() };
        tasks.spawn(async move { bulk.render(bulk_jobs).await });
        tasks.spawn(tick(shared.signals.clone()));
        let per_s = shared.settings.messages_per_s;
        // A full request must fit.
        let paced = (per_s, per_s.saturating_mul(2).max(SEND_FRAMES_MAX as u32));
        let realtime = Realtime::new(Inner {
            shared: Arc::clone(&shared),
            shards: handles.clone(),
            counts: Arc::new(SessionCounts::default()),
            next_shard: AtomicUsize::new(0),
            sources: sources.clone(),
            types: types.clone(),
            presence: Arc::clone(&presence),
            core: core.clone(),
            paces: Mutex::new(Paces::new(paced.0, paced.1, PACED_MAX)),
            began: Instant::now(),
            others: OnceLock::new(),
        });
        tasks.spawn(Clients::new(realtime.clone(), types, handles.clone()).run(from_clients));
        let shards_of = handles.clone();
        let dispatcher =
            Dispatcher::new(Parts { shared, shards: shards_of, renderers, producers, followees, sources, presence });
        let mut threads = Vec::with_capacity(shards.len());
        for shard in shards {
            threads.push(shard.start()?);
        }
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = threads::spawn("dispatcher", async {
            tokio::select! {
                () = dispatcher.run(signals) => {}
                _ = stopped => {}
            }
        });
        threads.push(thread.map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))?);
        tasks.spawn(async move {
            // Held as long as the tasks live: when they are shut down the dispatcher ends.
            let _stop = stop;
            std::future::pending::<()>().await;
        });
        Ok((realtime, RealtimeThreads { handles, threads, tasks }))
    }
}

impl RealtimeThreads {
    /// Ends all threads and tasks; sessions that are left are cut.
    pub async fn stop(mut self) {
        self.tasks.shutdown().await;
        for shard in &self.handles {
            shard.send(Command::Stop).await;
        }
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                if thread.join().is_err() {
                    tracing::error!("a thread of realtime delivery panicked");
                }
            }
        });
        if let Err(error) = joined.await {
            tracing::error!(%error, "realtime delivery did not end well");
        }
    }
}

async fn tick(signals: mpsc::Sender<Signal>) {
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        if signals.send(Signal::Tick).await.is_err() {
            return;
        }
    }
}

/// A renderer of personal items: one after the other, so that each person's stay in order.
async fn render_personal(
    part: usize,
    mut jobs: mpsc::Receiver<RenderJob>,
    shards: Vec<ShardHandle>,
    shared: Arc<SharedState>,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            RenderJob::Mark(marks) => shared.tracks.reached(part, marks),
            RenderJob::Judged { people, frame, from, judge } => {
                let mut sessions = Vec::with_capacity(people.len());
                for (person, theirs) in people {
                    match judge.hides(person, from).await {
                        Ok(false) => sessions.extend(theirs),
                        Ok(true) => {}
                        Err(error) => tracing::warn!(%error, "somebody does not hear of a current value"),
                    }
                }
                hand_over(&shards, &sessions, &frame).await;
            }
            RenderJob::Item { item, sessions } => match item.frame().await {
                Ok(Some(frame)) => hand_over(&shards, &sessions, &frame).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "an item could not be rendered; its sessions are asked to come back");
                    for session in sessions {
                        if let Some(shard) = shards.get(session.shard()) {
                            let (which, reason) =
                                (SessionFilter::One(session), "the storage did not answer; come back");
                            shard.send(Command::Close { which, code: CLOSE_AWAY, reason }).await;
                        }
                    }
                }
            },
        }
    }
}

/// Hands a frame to the shards of these sessions, waiting for room.
async fn hand_over(shards: &[ShardHandle], sessions: &[SessionId], frame: &Frame) {
    for (number, shard) in shards.iter().enumerate() {
        let of_shard: Vec<_> = sessions.iter().copied().filter(|session| session.shard() == number).collect();
        if !of_shard.is_empty() {
            shard.send(Command::Deliver { sessions: of_shard, frame: frame.clone() }).await;
        }
    }
}

#[cfg(test)]
#[path = "start_tests.rs"]
mod tests;
