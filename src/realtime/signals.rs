//! What the parts of realtime delivery tell each other, and the little that they share.
//!
//! Commits and sessions signal the dispatcher; the dispatcher and the renderers command the shards; shards ask renderers
//! for posts and hand clients' frames on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use fanfare_protocol::{ClientFrame, Id, RealtimeSession};
use tokio::sync::{mpsc, oneshot};

use super::attach::Attach;
use super::bulk::Pending;
use super::cursor::{CursorSeal, Watermarks};
use super::frame::Frame;
use super::session::SessionId;
use super::settings::RealtimeSettings;
use crate::base::clock::Clock;
use crate::log::events::Record;
use crate::notifications::fold::Notified;

/// Told to the dispatcher.
#[derive(Debug)]
pub enum Signal {
    /// A record is durable.
    Committed(Arc<Record>),
    /// Somebody got a notification.
    Notified(Notified),
    /// A session began; what its client lacks is to be read once its person's follows are known.
    Joined { user: Id, session: SessionId, from: Watermarks },
    /// A session ended.
    Left { user: Id, session: SessionId },
    /// Whom a person follows, as the tables have it.
    Loaded { user: Id, followees: Option<Vec<Id>> },
    /// A frame for all devices of a person.
    ToPerson { user: Id, frame: Frame },
    /// A frame for several people; answers the number of sessions.
    Publish { users: Vec<Id>, frame: Frame, sessions: oneshot::Sender<u64> },
    /// A session of `user` watches these people, and no others any more.
    Watch { user: Id, session: SessionId, people: Vec<Id> },
    /// A sign of life outside of a session.
    Heartbeat { user: Id },
    /// Time has passed.
    Tick,
}

/// Told to a shard.
#[derive(Debug)]
pub enum Command {
    /// A socket is yours.
    Attach(Attach),
    /// What a session missed; everything up to `upto` is in it. `None`: it could not be read.
    Replayed { session: SessionId, frames: Option<Vec<Frame>>, upto: Id },
    /// A frame for these.
    Deliver { sessions: Vec<SessionId>, frame: Frame },
    /// A frame for everybody; answers the number of sessions.
    Broadcast { frame: Frame, sessions: Option<oneshot::Sender<u64>> },
    /// What was asked of the renderers.
    Rendered { session: SessionId, frames: Vec<Frame> },
    /// A reply to a client's frame.
    Reply { session: SessionId, frame: Frame },
    /// Sessions to close.
    Close { which: Which, code: u16, reason: &'static str },
    /// Sessions to list.
    List { user: Option<Id>, after: u64, limit: usize, answer: oneshot::Sender<Vec<RealtimeSession>> },
    /// Everybody is to leave, and to come back within so many milliseconds; `for_good`: nobody else is taken.
    Drain { spread_ms: u64, for_good: bool },
    /// The thread ends.
    Stop,
}

/// A followed post, or its deletion, for some sessions. By a way of its own, which commands overtake.
#[derive(Debug)]
pub struct Posted {
    /// Whose people follow its author.
    pub sessions: Vec<SessionId>,
    /// What it is.
    pub post: Pending,
}

/// Which sessions.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// This one; of this person, if one is named.
    One(SessionId),
    /// Those that a token opened.
    Token { user: Id, token: u64 },
    /// Those of a person, but for one token's.
    Person { user: Id, except: Option<u64> },
}

/// Posts to be rendered for a session.
#[derive(Debug)]
pub struct BulkJob {
    /// For whom.
    pub session: SessionId,
    /// Who reads.
    pub user: Id,
    /// In order of ids.
    pub posts: Vec<Pending>,
}

/// A client's frame.
#[derive(Debug)]
pub struct FromClient {
    /// By which session.
    pub session: SessionId,
    /// Of whom.
    pub user: Id,
    /// The frame.
    pub frame: ClientFrame,
}

/// The way to a shard.
#[derive(Debug, Clone)]
pub struct ShardHandle {
    commands: mpsc::Sender<Command>,
    posts: mpsc::Sender<Posted>,
    waker: Arc<mio::Waker>,
    called: Arc<AtomicBool>,
}

impl ShardHandle {
    /// From the shard's parts.
    #[must_use]
    pub fn new(
        commands: mpsc::Sender<Command>,
        posts: mpsc::Sender<Posted>,
        waker: Arc<mio::Waker>,
        called: Arc<AtomicBool>,
    ) -> Self {
        Self { commands, posts, waker, called }
    }

    /// Whether a post can be handed in. Only the dispatcher does, so that there is room until it has.
    #[must_use]
    pub fn takes_posts(&self) -> bool {
        self.posts.capacity() > 0
    }

    /// Waits until a post can be handed in; a shard that has ended takes them all.
    pub async fn room_for_posts(&self) {
        drop(self.posts.reserve().await);
    }

    /// Hands a post in, where there is room.
    pub fn post(&self, posted: Posted) {
        if self.posts.try_send(posted).is_ok() {
            self.call();
        }
    }

    /// Hands a command in, waiting for room. A shard that has ended takes nothing.
    pub async fn send(&self, command: Command) {
        if self.commands.send(command).await.is_ok() {
            self.call();
        }
    }

    /// Hands a command in without waiting; it comes back when there is no room.
    ///
    /// # Errors
    /// The command, when the shard has no room or has ended.
    pub fn try_send(&self, command: Command) -> Result<(), Command> {
        self.commands.try_send(command).map_err(mpsc::error::TrySendError::into_inner)?;
        self.call();
        Ok(())
    }

    fn call(&self) {
        if !self.called.swap(true, Ordering::AcqRel)
            && let Err(error) = self.waker.wake()
        {
            tracing::error!(%error, "a shard cannot be woken");
        }
    }
}

/// Up to which record everything has reached the shards.
#[derive(Debug)]
pub struct Progress {
    /// One for the dispatcher, then one a renderer.
    parts: Vec<AtomicU64>,
}

impl Progress {
    /// Everybody is at `start`.
    #[must_use]
    pub fn new(renderers: usize, start: Id) -> Self {
        Self { parts: (0..=renderers).map(|_| AtomicU64::new(start.0)).collect() }
    }

    /// A part has passed everything up to `id` on.
    pub fn reached(&self, part: usize, id: Id) {
        if let Some(part) = self.parts.get(part) {
            part.fetch_max(id.0, Ordering::Release);
        }
    }

    /// The slowest. To be read before the inbox is emptied: what it covers is then there.
    #[must_use]
    pub fn slowest(&self) -> Id {
        Id(self.parts.iter().map(|part| part.load(Ordering::Acquire)).min().unwrap_or_default())
    }
}

/// What shards, dispatcher and service share.
pub struct Shared {
    /// `[realtime]`.
    pub settings: RealtimeSettings,
    /// Seals cursors.
    pub seal: CursorSeal,
    /// The time.
    pub clock: Clock,
    /// Tells the sessions of this start from those of another.
    pub boot: u16,
    /// See [`Progress`].
    pub progress: Progress,
    /// The newest record that is durable.
    pub committed: AtomicU64,
    /// A commit found no room on its way to the dispatcher.
    pub overflowed: AtomicBool,
    /// Sessions of all shards that are not closing.
    pub sessions: AtomicUsize,
    /// Sockets of all shards.
    pub sockets: AtomicUsize,
    /// Tokens that have ended lately.
    pub ends: super::ends::Ends,
    /// To the dispatcher.
    pub signals: mpsc::Sender<Signal>,
    /// To the renderers of posts.
    pub bulk_jobs: mpsc::Sender<BulkJob>,
    /// To whoever answers clients.
    pub from_clients: mpsc::Sender<FromClient>,
}

impl Shared {
    /// The newest durable record.
    #[must_use]
    pub fn committed(&self) -> Id {
        Id(self.committed.load(Ordering::Acquire))
    }
}
