//! A thread that carries sessions: its own epoll, its own sessions, its own timer wheel.
//!
//! One round: what the sockets say (`io`), what others command (`commands`), what is due (`timers`), a slice of a
//! `broadcast`, posts to be rendered, and then a slice of writing: urgent sessions first (`io`). Nothing here blocks;
//! what needs tables is done elsewhere and comes back as a command. Buffers are the shard's and lent to sessions.

mod broadcast;
mod commands;
mod inbound;
mod io;
mod lifecycle;
mod timers;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use fanfare_protocol::{Id, Stream, Transport};
use mio::{Events, Poll, Token, Waker};
use slab::Slab;
use tokio::sync::mpsc;

use self::broadcast::Broadcast;
use super::bulk::Delay;
use super::cursor::Watermarks;
use super::meter::Meter;
use super::session::{Session, SessionId};
use super::signals::{BulkPost, Command, ShardHandle, SharedState, Signal};
use super::tracks::marks;
use super::wheel::{Tick, Wheel};
use crate::base::error::{Error, Result};
use crate::base::limits::realtime::{COMMANDS_MAX, POSTED_MAX, READ_BYTES, TICK_MS, WHEEL_TICKS};
use fanfare_websocket::{Deflater, Inflater};

/// Events of one call of epoll.
const EVENTS_MAX: usize = 1_024;
/// Commands of one round; the rest comes in the next.
const COMMANDS_ROUND_MAX: usize = 2_048;
/// Duration that a round spends on the bulk stream, at most.
const POSTS_MAX: Duration = Duration::from_millis(2);
/// Wakes the shard.
const WAKE: Token = Token(usize::MAX);

/// A shard that was made and waits for its thread.
pub struct Shard {
    number: usize,
    shared: Arc<SharedState>,
    poll: Poll,
    commands: mpsc::Receiver<Command>,
    bulk: mpsc::Receiver<BulkPost>,
    called: Arc<AtomicBool>,
    sessions: Slab<Session>,
    generation: u16,
    wheel: Wheel,
    started: Instant,
    /// Milliseconds since the Unix epoch, at the start of the round.
    now_ms: u64,
    /// Milliseconds since the thread was made, which no clock by hand holds up.
    up_ms: u64,
    tick: Tick,
    horizon: Watermarks,
    urgent: VecDeque<SessionId>,
    other: VecDeque<SessionId>,
    unread: VecDeque<SessionId>,
    /// Sessions with posts that wait, nearest first: milliseconds of `up_ms` at which they are due.
    gathering: BinaryHeap<Reverse<(u64, u64)>>,
    delay: Delay,
    rendering: usize,
    broadcasts: VecDeque<Broadcast>,
    draining: bool,
    /// Signals that the dispatcher had no room for.
    unsent_signals: VecDeque<Signal>,
    read_buffer: Box<[u8]>,
    write_buffer: Vec<u8>,
    due: Vec<(u32, Tick)>,
    inflater: Option<Inflater>,
    deflater: Option<Deflater>,
    meter: Meter,
    /// More commands are there than one round takes.
    backlog: bool,
    stopping: bool,
}

impl Shard {
    /// A shard and the way to it.
    ///
    /// # Errors
    /// When the operating system gives no epoll.
    pub fn new(number: usize, shared: Arc<SharedState>) -> Result<(Self, ShardHandle)> {
        let failed = |error: std::io::Error| Error::Internal(format!("no epoll for realtime delivery: {error}"));
        let poll = Poll::new().map_err(failed)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE).map_err(failed)?);
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        let (bulk_sender, bulk) = mpsc::channel(POSTED_MAX);
        let called = Arc::new(AtomicBool::new(false));
        let handle = ShardHandle::new(sender, bulk_sender, waker, Arc::clone(&called));
        let delay = Delay::new(shared.settings.bulk_delay_ms, shared.settings.bulk_delay_ms_max);
        let compression = shared.settings.compression;
        let shard = Self {
            number,
            poll,
            commands,
            bulk,
            called,
            sessions: Slab::new(),
            generation: 0,
            wheel: Wheel::new(WHEEL_TICKS),
            started: Instant::now(),
            now_ms: shared.clock.now_ms(),
            up_ms: 0,
            tick: 0,
            horizon: [Id(0); Stream::ALL.len()],
            urgent: VecDeque::new(),
            other: VecDeque::new(),
            unread: VecDeque::new(),
            gathering: BinaryHeap::new(),
            delay,
            rendering: 0,
            broadcasts: VecDeque::new(),
            draining: false,
            unsent_signals: VecDeque::new(),
            read_buffer: vec![0; READ_BYTES].into_boxed_slice(),
            write_buffer: Vec::new(),
            due: Vec::new(),
            inflater: compression.then(Inflater::default),
            deflater: compression.then(Deflater::default),
            meter: Meter::new(),
            backlog: false,
            stopping: false,
            shared,
        };
        Ok((shard, handle))
    }

    /// Commands and bulk items that have come, for tests of those who hand them in.
    #[cfg(test)]
    pub fn inbox(&mut self) -> (&mut mpsc::Receiver<Command>, &mut mpsc::Receiver<BulkPost>) {
        (&mut self.commands, &mut self.bulk)
    }

    /// Starts the thread.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn start(mut self) -> Result<JoinHandle<()>> {
        // A session that is greeted before the first look at the inbox would else get a cursor from the beginning of
        // time, which is too old when it comes back.
        self.horizon = self.reached();
        std::thread::Builder::new()
            .name(format!("realtime-{}", self.number))
            .spawn(move || self.run())
            .map_err(|error| Error::Internal(format!("cannot start a thread: {error}")))
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_MAX);
        while !self.stopping {
            let timeout = if self.is_busy() { Duration::ZERO } else { Duration::from_millis(TICK_MS) };
            if let Err(error) = self.poll.poll(&mut events, Some(timeout))
                && error.kind() != std::io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "epoll failed; the sessions of a shard are lost");
                return;
            }
            self.round(&events);
        }
    }

    fn round(&mut self, events: &Events) {
        self.now_ms = self.shared.clock.now_ms();
        self.up_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tick = Tick::try_from(self.up_ms / TICK_MS).unwrap_or(Tick::MAX - 1);
        for event in events {
            if event.token() != WAKE {
                self.socket_event(event);
            }
        }
        self.read_more();
        self.take_commands();
        self.serve_timers();
        self.broadcast();
        self.gather();
        self.write_some();
        self.flush_signals();
        self.meter.flush(self.delay.ms());
    }

    /// Whether there is work that need not wait for an event.
    fn is_busy(&self) -> bool {
        let writing = !(self.urgent.is_empty() && self.other.is_empty() && self.unread.is_empty());
        let gathered = self.rendering < crate::base::limits::realtime::BULK_RENDERING_MAX
            && self.gathering.peek().is_some_and(|Reverse((due, _))| *due <= self.up_ms);
        writing || gathered || self.backlog || !self.broadcasts.is_empty()
    }

    fn take_commands(&mut self) {
        // Read before the inbox is emptied: what it covers is in the inbox by then.
        let reached = self.reached();
        self.called.store(false, Ordering::Release);
        self.backlog = false;
        for _ in 0..COMMANDS_ROUND_MAX {
            match self.commands.try_recv() {
                Ok(command) => self.command(command),
                Err(mpsc::error::TryRecvError::Empty) => {
                    if self.take_bulk() {
                        for (horizon, reached) in self.horizon.iter_mut().zip(reached) {
                            *horizon = (*horizon).max(reached);
                        }
                    }
                    return;
                }
                Err(mpsc::error::TryRecvError::Disconnected) => {
                    self.stopping = true;
                    return;
                }
            }
        }
        self.backlog = true;
    }

    /// Followed posts, for a bounded time: commands overtake them. True when none is left.
    fn take_bulk(&mut self) -> bool {
        let started = Instant::now();
        while let Ok(post) = self.bulk.try_recv() {
            self.bulk_post(post);
            if started.elapsed() > POSTS_MAX {
                self.backlog = true;
                return false;
            }
        }
        true
    }

    /// Ids up to which everything is in the inbox, or came by it. Where nothing is on its way that is the horizon,
    /// which moves on with time: on a quiet node the newest record may be older than a cursor may be.
    fn reached(&self) -> Watermarks {
        // Time is not asked for nobody.
        marks(self.shared.tracks.in_inbox(!self.sessions.is_empty()))
    }

    /// The session, if it is still the same one.
    fn session(&mut self, id: SessionId) -> Option<&mut Session> {
        self.sessions.get_mut(id.key()).filter(|session| session.id == id)
    }

    /// Tells the dispatcher, now or as soon as it has room.
    fn signal(&mut self, signal: Signal) {
        self.unsent_signals.push_back(signal);
    }

    fn flush_signals(&mut self) {
        while let Some(signal) = self.unsent_signals.pop_front() {
            match self.shared.signals.try_send(signal) {
                Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
                Err(mpsc::error::TrySendError::Full(signal)) => return self.unsent_signals.push_front(signal),
            }
        }
    }

    fn ticks(seconds: u64) -> Tick {
        Tick::try_from(seconds.saturating_mul(1_000) / TICK_MS).unwrap_or(Tick::MAX / 4).clamp(1, Tick::MAX / 4)
    }
}

/// Whether the transport is a stream that heartbeats keep alive.
fn is_stream(transport: Transport) -> bool {
    matches!(transport, Transport::Websocket | Transport::Sse)
}
