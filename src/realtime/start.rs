//! Realtime delivery put together, in two steps: what the write path and the accounts need to know of it comes first,
//! the threads and tasks follow when the services are there.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fanfare_protocol::Id;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::attach::Places;
use super::clients::Clients;
use super::cursor::CursorSeal;
use super::dispatch::{Dispatcher, Parts, RenderJob};
use super::ends::{Ender, Ends};
use super::presence::Presence;
use super::render::{Batch, Render};
use super::replay::Replays;
use super::service::{Inner, Realtime};
use super::settings::RealtimeSettings;
use super::shard::Shard;
use super::signals::{BulkJob, Command, FromClient, Progress, ShardHandle, Shared, Signal, Which};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::fair::Paces;
use crate::base::limits::realtime::{
    BULK_BATCH, BULK_RENDERING_MAX, CLIENT_FRAMES_MAX, LAST_SEEN_MAX, PACED_MAX, RENDER_QUEUE_MAX, RENDERERS,
    SEND_FRAMES_MAX, SIGNALS_MAX,
};
use crate::feed::Feed;
use crate::log::core::Core;
use crate::log::events::Record;
use crate::notifications::fold::Notified;
use crate::posts::view::Views;
use fanfare_websocket::CLOSE_AWAY;

/// Milliseconds between two ticks of the dispatcher.
const TICK: Duration = Duration::from_millis(100);

/// What hears of commits.
#[derive(Clone)]
pub struct Tap(Arc<Shared>);

impl Tap {
    /// A record is durable, and the store and the feed know it. Never waits.
    pub fn committed(&self, record: &Arc<Record>) {
        self.0.committed.fetch_max(record.id.0, Ordering::AcqRel);
        self.signal(Signal::Committed(Arc::clone(record)));
    }

    /// Somebody got a notification. Never waits.
    pub fn notified(&self, notified: &Notified) {
        self.signal(Signal::Notified(notified.clone()));
    }

    fn signal(&self, signal: Signal) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.0.signals.try_send(signal) {
            self.0.overflowed.store(true, Ordering::Release);
        }
    }
}

/// The first step.
pub struct Foundation {
    shared: Arc<Shared>,
    shards: Vec<Shard>,
    handles: Vec<ShardHandle>,
    signals: mpsc::Receiver<Signal>,
    bulk_jobs: mpsc::Receiver<BulkJob>,
    from_clients: mpsc::Receiver<FromClient>,
}

/// The threads and tasks; to be stopped.
pub struct RealtimeThreads {
    handles: Vec<ShardHandle>,
    threads: Vec<JoinHandle<()>>,
    tasks: JoinSet<()>,
}

impl Foundation {
    /// Makes the shards and the channels between all parts; starts nothing.
    ///
    /// # Errors
    /// When the operating system gives no epoll.
    pub fn new(settings: RealtimeSettings, secret: &[u8], clock: Clock) -> Result<Self> {
        let (signal_sender, signals) = mpsc::channel(SIGNALS_MAX);
        let (bulk_sender, bulk_jobs) = mpsc::channel(BULK_RENDERING_MAX * settings.shards.max(1));
        let (client_sender, from_clients) = mpsc::channel(CLIENT_FRAMES_MAX);
        let count = settings.shards.max(1);
        let shared = Arc::new(Shared {
            settings,
            seal: CursorSeal::new(secret)?,
            clock,
            boot: getrandom::u32().unwrap_or_default() as u16,
            progress: Progress::new(RENDERERS, Id(0)),
            committed: AtomicU64::new(0),
            overflowed: AtomicBool::new(false),
            sessions: AtomicUsize::new(0),
            sockets: AtomicUsize::new(0),
            ends: Ends::default(),
            signals: signal_sender,
            bulk_jobs: bulk_sender,
            from_clients: client_sender,
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

    /// For the sequencer's listeners.
    #[must_use]
    pub fn tap(&self) -> Tap {
        Tap(Arc::clone(&self.shared))
    }

    /// For the accounts.
    #[must_use]
    pub fn ender(&self) -> Ender {
        Ender::new(self.handles.clone(), Arc::clone(&self.shared))
    }

    /// Starts threads and tasks.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn start(self, core: &Core, feed: &Feed, views: &Views) -> Result<(Realtime, RealtimeThreads)> {
        let Self { shared, shards, handles, signals, bulk_jobs, from_clients } = self;
        // An id that no record has: everything before it is committed, and nobody is here yet. At no moment of its own, for
        // an import and the sample world mint ids of earlier days.
        let start = core.sequencer.mint_at(0);
        shared.committed.fetch_max(start.0, Ordering::AcqRel);
        (0..=RENDERERS).for_each(|part| shared.progress.reached(part, start));
        let settings = &shared.settings;
        let presence = Arc::new(Mutex::new(Presence::new(settings.offline_after_s * 1_000, LAST_SEEN_MAX)));
        let render = Render::new(core.clone(), views.clone());
        let replays = Replays::new(core.clone(), feed.clone(), render.clone());
        let mut tasks = JoinSet::new();
        let mut renderers = Vec::with_capacity(RENDERERS);
        for number in 0..RENDERERS {
            let (sender, jobs) = mpsc::channel(RENDER_QUEUE_MAX);
            renderers.push(sender);
            tasks.spawn(notifications(number + 1, jobs, render.clone(), handles.clone(), Arc::clone(&shared)));
        }
        tasks.spawn(posts(bulk_jobs, render, handles.clone()));
        tasks.spawn(tick(shared.signals.clone()));
        let per_s = shared.settings.messages_per_s;
        // A full request must fit.
        let paced = (per_s, per_s.saturating_mul(2).max(SEND_FRAMES_MAX as u32));
        let realtime = Realtime::new(Inner {
            shared: Arc::clone(&shared),
            shards: handles.clone(),
            places: Arc::new(Places::default()),
            next_shard: AtomicUsize::new(0),
            replays: replays.clone(),
            presence: Arc::clone(&presence),
            core: core.clone(),
            paces: Mutex::new(Paces::new(paced.0, paced.1, PACED_MAX)),
            began: Instant::now(),
        });
        tasks.spawn(Clients::new(realtime.clone(), handles.clone()).run(from_clients));
        let store = Arc::clone(&core.store);
        let dispatcher =
            Dispatcher::new(Parts { shared, shards: handles.clone(), renderers, store, replays, presence });
        let mut threads = Vec::with_capacity(shards.len());
        for shard in shards {
            threads.push(shard.start()?);
        }
        let runtime = tokio::runtime::Handle::current();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let thread = std::thread::Builder::new().name("dispatcher".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = dispatcher.run(signals) => {}
                    _ = stopped => {}
                }
            });
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

/// A renderer of notifications: one after the other, so that each person's stay in order.
async fn notifications(
    part: usize,
    mut jobs: mpsc::Receiver<RenderJob>,
    render: Render,
    shards: Vec<ShardHandle>,
    shared: Arc<Shared>,
) {
    while let Some(job) = jobs.recv().await {
        match job {
            RenderJob::Mark(id) => shared.progress.reached(part, id),
            RenderJob::Notification { notified, sessions } => match render.notification(&notified).await {
                Ok(Some(frame)) => {
                    for (number, shard) in shards.iter().enumerate() {
                        let of_shard = sessions.iter().copied().filter(|session| session.shard() == number);
                        let of_shard: Vec<_> = of_shard.collect();
                        if !of_shard.is_empty() {
                            shard.send(Command::Deliver { sessions: of_shard, frame: frame.clone() }).await;
                        }
                    }
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a notification could not be rendered; its sessions are asked to come back");
                    for session in sessions {
                        if let Some(shard) = shards.get(session.shard()) {
                            let (which, reason) = (Which::One(session), "the storage did not answer; come back");
                            shard.send(Command::Close { which, code: CLOSE_AWAY, reason }).await;
                        }
                    }
                }
            },
        }
    }
}

/// The renderer of posts: takes what has gathered, and renders equal frames once.
async fn posts(mut jobs: mpsc::Receiver<BulkJob>, render: Render, shards: Vec<ShardHandle>) {
    let mut waiting = Vec::with_capacity(BULK_BATCH);
    while jobs.recv_many(&mut waiting, BULK_BATCH).await > 0 {
        let mut batch = Batch::default();
        for job in waiting.drain(..) {
            let frames = match render.posts(job.user, &job.posts, &mut batch).await {
                Ok(frames) => frames,
                Err(error) => {
                    tracing::warn!(%error, "posts could not be rendered; the session is told what it lacks");
                    super::render::lost(&job.posts)
                }
            };
            if let Some(shard) = shards.get(job.session.shard()) {
                shard.send(Command::Rendered { session: job.session, frames }).await;
            }
        }
        // Urgent work first.
        tokio::task::yield_now().await;
    }
}
