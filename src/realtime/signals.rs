//! Signals and commands between the parts of realtime delivery, and the little that they share.
//!
//! Commits, products and sessions signal the dispatcher; the dispatcher and the renderers command the shards; shards
//! ask renderers for items and hand clients' frames on.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use fanfare_protocol::{ClientFrame, Id, RealtimeSession, Stream};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use super::attach::Attach;
use super::cursor::{CursorSeal, Watermarks};
use super::deliver::{Deliver, ItemRef};
use super::elsewhere::OtherNodes;
use super::frame::Frame;
use super::loss::Loss;
use super::news_queue::NewsQueue;
use super::session::SessionId;
use super::settings::RealtimeSettings;
use super::source::Replay;
use super::tracks::{Each, Track, Tracks};
use super::under_way::{FramePermit, UnderWay};
use crate::base::clock::Clock;
use crate::base::limits::realtime::COMMANDS_RESERVED;
use crate::log::events::Record;

/// Signals to the dispatcher.
#[derive(Debug)]
pub enum Signal {
    /// A record is durable.
    Committed(Arc<Record>, Mark),
    /// Records of another family were handed in before.
    Told { track: Track, mark: Mark },
    /// An item for an audience; answers the number of sessions.
    Deliver { deliver: Deliver, sessions: Option<oneshot::Sender<u64>> },
    /// A session began; what its client lacks is to be read once its person's follows are known.
    Joined { user: Id, session: SessionId, from: Watermarks },
    /// A session ended.
    Left { user: Id, session: SessionId },
    /// Followees of a person, as the tables have them.
    Loaded { user: Id, followees: Option<Vec<Id>> },
    /// A session of `user` watches these people, and no others any more.
    Watch { user: Id, session: SessionId, people: Vec<Id> },
    /// Sessions of those who watch a person who came or went, and may know.
    Seen { person: Id, sessions: Vec<SessionId> },
    /// A sign of life outside of a session.
    Heartbeat { user: Id },
    /// Time has passed.
    Tick,
}

/// News of a record, which waits for its turn.
pub enum RecordNews {
    /// The record.
    Record(Arc<Record>),
    /// An item that it gives.
    Item(ItemMaker),
}

/// Maker of an item when it is its turn; of none where nobody is there to render it.
pub type ItemMaker = Box<dyn FnOnce() -> Option<Deliver> + Send>;

/// Commands to a shard.
#[derive(Debug)]
pub enum Command {
    /// A socket is yours.
    Attach(Attach),
    /// Frames that a session missed. `None`: they could not be read.
    Replayed { session: SessionId, replay: Option<Box<Replay>> },
    /// A frame for these.
    Deliver { sessions: Vec<SessionId>, frame: Frame },
    /// A frame for everybody; answers the number of sessions.
    Broadcast { frame: Frame, sessions: Option<oneshot::Sender<u64>> },
    /// Frames of a stream that these sessions, or all, are not sent, for there was no room.
    Lost { sessions: Option<Vec<SessionId>>, stream: Stream, loss: Loss },
    /// Frames that were asked of the renderers.
    Rendered { session: SessionId, frames: Vec<Frame> },
    /// A reply to a client's frame.
    Reply { session: SessionId, frame: Frame },
    /// Sessions to close.
    Close { which: SessionFilter, code: u16, reason: &'static str },
    /// Sessions to list.
    List { user: Option<Id>, after: u64, limit: usize, answer: oneshot::Sender<Vec<RealtimeSession>> },
    /// Everybody is to leave, and to come back within so many milliseconds; `for_good`: nobody else is taken.
    Drain { spread_ms: u64, for_good: bool },
    /// The thread ends.
    Stop,
}

/// Something of the bulk stream for some sessions. By a way of its own, which commands overtake.
#[derive(Debug)]
pub struct BulkPost {
    /// Sessions that it is for.
    pub sessions: Vec<SessionId>,
    /// The item, or word of lost ones.
    pub item: BulkItem,
}

/// News of the bulk stream.
#[derive(Debug)]
pub enum BulkItem {
    /// An item.
    Reference(ItemRef),
    /// Items that were shed on the way.
    Lost(Loss),
}

/// Choice of sessions.
#[derive(Debug, Clone, Copy)]
pub enum SessionFilter {
    /// Single session.
    One(SessionId),
    /// Sessions that a token opened.
    Token { user: Id, token: u64 },
    /// Sessions of a person, but for one token's.
    Person { user: Id, except: Option<u64> },
    /// All sessions.
    All,
}

/// Items to be rendered for a session.
#[derive(Debug)]
pub struct BulkJob {
    /// Session that asks.
    pub(super) session: SessionId,
    /// Person who reads.
    pub user: Id,
    /// In order of keys.
    pub items: Vec<ItemRef>,
}

/// A client's frame.
#[derive(Debug)]
pub struct FromClient {
    /// Session that sent it.
    pub session: SessionId,
    /// Person who sent it.
    pub user: Id,
    /// The frame.
    pub frame: ClientFrame,
    /// Counts it among those being worked on, until it is answered.
    pub permit: FramePermit,
}

/// The way to a shard.
#[derive(Debug, Clone)]
pub struct ShardHandle {
    commands: mpsc::Sender<Command>,
    bulk: mpsc::Sender<BulkPost>,
    waker: Arc<mio::Waker>,
    called: Arc<AtomicBool>,
}

impl ShardHandle {
    /// From the shard's parts.
    #[must_use]
    pub fn new(
        commands: mpsc::Sender<Command>,
        bulk: mpsc::Sender<BulkPost>,
        waker: Arc<mio::Waker>,
        called: Arc<AtomicBool>,
    ) -> Self {
        Self { commands, bulk, waker, called }
    }

    /// Whether something of the bulk stream can be handed in. Only the dispatcher does, so that there is room until it
    /// has.
    #[must_use]
    pub fn takes_bulk(&self) -> bool {
        self.bulk.capacity() > 0
    }

    /// Waits until it can; a shard that has ended takes everything.
    pub async fn room_for_bulk(&self) {
        drop(self.bulk.reserve().await);
    }

    /// Hands something of the bulk stream in, where there is room.
    pub fn post(&self, post: BulkPost) {
        if self.bulk.try_send(post).is_ok() {
            self.call();
        }
    }

    /// Whether a command that is not urgent can be handed in: it leaves room for those that are.
    #[must_use]
    pub fn takes_more(&self) -> bool {
        self.commands.capacity() > COMMANDS_RESERVED
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

/// Mark in the stream of records, which come from several partitions, and so not in the order of their ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Number of the record, as they come.
    pub number: u64,
    /// Everything up to this id has come by then.
    pub upto: Id,
}

impl Mark {
    /// The later of two marks.
    #[must_use]
    pub fn max(self, other: Self) -> Self {
        Self { number: self.number.max(other.number), upto: self.upto.max(other.upto) }
    }
}

/// Mark up to which everything has reached the shards.
#[derive(Debug)]
pub struct Progress {
    /// Parts: one for the dispatcher, then one a renderer; number and id.
    parts: Vec<[AtomicU64; 2]>,
}

impl Progress {
    /// Everybody is at `start`.
    #[must_use]
    pub fn new(renderers: usize, start: Id) -> Self {
        Self { parts: (0..=renderers).map(|_| [AtomicU64::new(0), AtomicU64::new(start.0)]).collect() }
    }

    /// A part has passed everything up to `mark` on.
    pub fn reached(&self, part: usize, mark: Mark) {
        if let Some([number, upto]) = self.parts.get(part) {
            upto.fetch_max(mark.upto.0, Ordering::Release);
            number.fetch_max(mark.number, Ordering::Release);
        }
    }

    /// The slowest. To be read before the inbox is emptied: what it covers is then there.
    #[must_use]
    pub fn slowest(&self) -> Mark {
        let slowest = |which: usize| self.parts.iter().map(|part| part[which].load(Ordering::Acquire)).min();
        Mark { number: slowest(0).unwrap_or_default(), upto: Id(slowest(1).unwrap_or_default()) }
    }
}

/// State that shards, dispatcher and service share.
pub struct SharedState {
    /// `[realtime]`.
    pub settings: RealtimeSettings,
    /// Seals cursors.
    pub seal: CursorSeal,
    /// The time.
    pub clock: Clock,
    /// Tells the sessions of this start from those of another.
    pub boot: u16,
    /// Progress of each family of records.
    pub tracks: Tracks,
    /// News of records above the horizon.
    pub news: Mutex<NewsQueue<RecordNews>>,
    /// A commit found no room on its way to the dispatcher.
    pub overflowed: AtomicBool,
    /// Sessions of all shards that are not closing.
    pub sessions: AtomicUsize,
    /// Sockets of all shards.
    pub sockets: AtomicUsize,
    /// Tokens that have ended lately.
    pub ended: super::ended_tokens::EndedTokens,
    /// Way to the other nodes, where there are any.
    pub others: OnceLock<Arc<dyn OtherNodes>>,
    /// To the dispatcher.
    pub signals: mpsc::Sender<Signal>,
    /// To the renderer of the bulk stream.
    pub bulk_jobs: mpsc::Sender<BulkJob>,
    /// To whoever answers clients.
    pub from_clients: mpsc::Sender<FromClient>,
    /// Clients' frames that may be worked on at once.
    pub under_way: UnderWay,
}

impl SharedState {
    /// The newest durable records.
    #[must_use]
    pub fn committed(&self) -> Each {
        Track::ALL.map(|track| self.tracks.newest(track))
    }
}
