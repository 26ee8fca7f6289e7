//! Realtime delivery as the rest of the server sees it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fanfare_protocol::{
    Code, Id, Lane, Page, Presence as PresenceView, PresenceList, PresenceWatch, PublishEvent, RealtimeSession,
    ResetReason,
};
use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::oneshot;

use super::attach::{Attach, Full, Opening, SessionCounts, SessionPermit, Taken};
use super::client_frames::{ClientCall, FrameTypes};
use super::cursor::{StreamCursor, Watermarks, is_too_old};
use super::deliver::{Audience, Deliver};
use super::elsewhere::PassingFrame;
use super::frame::Frame;
use super::presence::PresenceTable;
use super::session::SessionId;
use super::settings::RealtimeSettings;
use super::signals::{Command, SessionFilter, ShardHandle, SharedState, Signal};
use super::source::{Replay, Sources};
use super::tracks::{Track, marks};
use super::under_way::FramePermit;
use super::wire::CursorText;
use crate::base::clock::Clock;
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::fair::Paces;
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::nodes::PEOPLE_IN_MESSAGE;
use crate::base::limits::realtime::{
    CLOSING_S, DRAIN_PER_S, LATELY_MS, PUBLISH_BYTES_MAX, PUBLISH_USERS_MAX, WATCHED_MAX,
};
use crate::base::network::Network;
use crate::log::core::Core;

/// Pause between two looks whether a drain is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Types of frames that the server sends of itself, and `ping`, which an event would be mistaken for.
pub const TYPES: &[&str] = &["hello", "gap", "reset", "reply", "pong", "drain", "presence", "ping"];
/// Characters of a type, at most.
const TYPE_CHARS_MAX: usize = 64;

/// Realtime delivery; clones share it.
#[derive(Clone)]
pub struct Realtime(Arc<Inner>);

/// State behind [`Realtime`].
pub struct Inner {
    /// Shared with shards and dispatcher.
    pub shared: Arc<SharedState>,
    /// All shards.
    pub shards: Vec<ShardHandle>,
    /// Sessions of each person and address.
    pub counts: Arc<SessionCounts>,
    /// Sessions are dealt out in turn.
    pub next_shard: AtomicUsize,
    /// Readers of what was missed.
    pub sources: Sources,
    /// Types of frames.
    pub types: FrameTypes,
    /// People who are online.
    pub presence: Arc<Mutex<PresenceTable>>,
    /// Rows and the clock.
    pub core: Core,
    /// Frames of people who send them over HTTP.
    pub paces: Mutex<Paces<Id>>,
    /// Moment that paces are counted from.
    pub began: Instant,
    /// Way to other nodes, for signs of life without a session.
    pub others: OnceLock<Box<dyn Fn(Id) + Send + Sync>>,
}

impl Realtime {
    /// Over running threads.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// State behind it.
    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// Hands a socket to a shard; a shard without room drops it.
    pub fn attach(&self, attach: Attach) {
        let turn = self.0.next_shard.fetch_add(1, Ordering::Relaxed) % self.0.shards.len().max(1);
        if let Some(shard) = self.0.shards.get(turn)
            && shard.try_send(Command::Attach(attach)).is_err()
        {
            tracing::warn!("a shard has no room for another session; its client tries again");
        }
    }

    /// Permit for one more session of `user`, from `network` where that is counted.
    ///
    /// # Errors
    /// [`Code::RateLimited`] at the person's cap and at the address's, overloaded at the node's.
    pub fn permit(&self, user: Id, network: Option<Network>) -> Result<SessionPermit> {
        let settings = &self.0.shared.settings;
        if self.0.shared.sessions.load(Ordering::Relaxed) >= settings.sessions_max {
            return Err(Error::Overloaded { reason: "too many sessions are open", retry_after_s: 5 });
        }
        let (own, of_address) = (settings.sessions_per_user_max, settings.sessions_per_address_max);
        self.0.counts.take(user, network, (own, of_address)).map_err(|full| {
            let (metric, detail) = match full {
                Full::Person => {
                    ("sessions_of_person", format!("you have {own} sessions, the most there may be; close one first"))
                }
                Full::Address => ("sessions_of_address", "too many sessions are open from this address".to_owned()),
            };
            metrics::counter!("fanfare_shed_total", "what" => metric).increment(1);
            Error::refused(Code::RateLimited, detail)
        })
    }

    /// Counts a frame of so many bytes among those that are being worked on; none where there is no room for it.
    #[must_use]
    pub fn under_way(&self, bytes: usize) -> Option<FramePermit> {
        self.0.shared.under_way.take(bytes)
    }

    /// Counts frames that `user` sends over HTTP, before they are read.
    ///
    /// # Errors
    /// [`Error::RateLimited`] for more than `realtime.messages_per_s`, after a burst.
    pub fn pace(&self, user: Id, frames: usize) -> Result<()> {
        let count = u32::try_from(frames.max(1)).unwrap_or(u32::MAX);
        let now_ms = u64::try_from(self.0.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let paced = self.0.paces.lock().take(user, now_ms, count);
        paced.map_err(|retry_after_ms| {
            metrics::counter!("fanfare_shed_total", "what" => "frames_of_person").increment(1);
            let retry_after_s = u32::try_from(retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
            Error::RateLimited { reason: "too many frames", retry_after_s }
        })
    }

    /// The cursor in `text`.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn open_cursor(&self, user: Id, text: &str) -> Result<StreamCursor, ResetReason> {
        let mut cursor = self.0.shared.seal.open(user, text)?;
        // Nothing from before they existed was missed by anybody. In a young data folder watermarks stand there.
        cursor.marks = cursor.marks.map(|mark| mark.max(user));
        // By the time, as deletions are swept: the newest record may be old itself on a quiet server, and of next week
        // where the clock was ahead once.
        if is_too_old(&cursor, first_id_at(self.clock().now_ms())) { Err(ResetReason::Expired) } else { Ok(cursor) }
    }

    /// Items that `user` missed, up to records that were the newest before.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn missed(&self, user: Id, from: Watermarks, upto: Watermarks) -> Result<Replay> {
        self.0.sources.missed(user, from, upto).await
    }

    /// The newest durable record of each stream's family.
    #[must_use]
    pub fn committed(&self) -> Watermarks {
        marks(self.0.shared.committed())
    }

    /// Ids that watermarks do not pass: all records up to them are committed. To be asked before what is missed is
    /// read.
    #[must_use]
    pub fn horizon(&self) -> Watermarks {
        marks(self.0.shared.tracks.now())
    }

    /// Lets the horizon come up to now where nobody has asked for long: a cursor from there would be too old at once.
    pub async fn catch_up(&self) {
        for track in Track::ALL {
            if let Some(horizon) = self.0.shared.tracks.horizon(track) {
                horizon.catch_up().await;
            }
        }
    }

    /// Id from which a client that reads everything anew gets posts again: some may be on their way into timelines.
    #[must_use]
    pub fn lately(&self) -> Watermarks {
        self.horizon().map(|horizon| horizon.min(first_id_at(unix_ms_of(horizon).saturating_sub(LATELY_MS))))
    }

    /// The text of a cursor.
    #[must_use]
    pub fn seal(&self, cursor: &StreamCursor) -> CursorText {
        self.0.shared.seal.seal(cursor)
    }

    /// The time.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.shared.clock
    }

    /// Types of frames.
    #[must_use]
    pub fn types(&self) -> &FrameTypes {
        &self.0.types
    }

    /// A sign of life of `user` outside of a session.
    pub async fn heartbeat(&self, user: Id) {
        if let Some(tell) = self.0.others.get() {
            tell(user);
        }
        self.signal(Signal::Heartbeat { user }).await;
    }

    /// A sign of life of `user` on another node.
    pub async fn lives_elsewhere(&self, user: Id) {
        self.signal(Signal::Heartbeat { user }).await;
    }

    /// From now on `tell` is told of signs of life outside of sessions: there are other nodes. Must not wait.
    pub fn tell_of_heartbeats(&self, tell: impl Fn(Id) + Send + Sync + 'static) {
        // Once; a server is one node.
        let _ = self.0.others.set(Box::new(tell));
    }

    /// People who are connected to this node.
    #[must_use]
    pub fn connected(&self) -> Vec<Id> {
        self.0.presence.lock().connected()
    }

    pub(super) async fn signal(&self, signal: Signal) {
        // Closed: the server stops.
        let _ = self.0.shared.signals.send(signal).await;
    }

    /// Presence of `people` as `viewer` may know it: of people with a block between them, of those who do not let the
    /// viewer see it, and of those who are suspended or gone, it tells nothing.
    ///
    /// # Errors
    /// 422 for too many people.
    pub async fn presence_for(&self, viewer: Id, people: &[Id]) -> Result<Vec<PresenceView>> {
        if people.len() > WATCHED_MAX {
            return Err(Error::field("user_ids", format!("at most {WATCHED_MAX}")));
        }
        let hidden = self.0.core.store.hidden(viewer).await?;
        let now_ms = self.0.core.clock.now_ms();
        let pairs: Vec<(Id, Id)> = people.iter().map(|person| (*person, viewer)).collect();
        let mut seen = self.0.core.store.lets_see(&pairs).await?;
        for (user, seen) in people.iter().zip(&mut seen) {
            *seen = *seen && !hidden.blocks(*user) && self.0.core.store.seen_account(*user).await?.is_some();
        }
        let presence = self.0.presence.lock();
        let unknown = |user_id: Id| PresenceView { user_id, online: false, last_seen_at: None };
        let of = |(user, seen): (&Id, bool)| if seen { presence.of(*user, now_ms) } else { unknown(*user) };
        Ok(people.iter().zip(seen).map(of).collect())
    }

    /// `session` of `viewer` watches `people` from now on; answers how it stands with them.
    ///
    /// # Errors
    /// 422 for too many people.
    pub async fn watch(&self, viewer: Id, session: Option<SessionId>, people: &[Id]) -> Result<Vec<PresenceView>> {
        // Told to watch first: who comes or goes in between is told of, at worst twice.
        let now = self.presence_for(viewer, people).await?;
        if let Some(session) = session {
            let hidden = self.0.core.store.hidden(viewer).await?;
            let visible = people.iter().copied().filter(|person| !hidden.blocks(*person)).collect();
            self.signal(Signal::Watch { user: viewer, session, people: visible }).await;
            return self.presence_for(viewer, people).await;
        }
        Ok(now)
    }

    /// Hands an operator's event to sessions; answers how many of this node.
    ///
    /// # Errors
    /// 422 for a type or an audience that cannot be; see `check`.
    pub async fn publish(&self, event: PublishEvent) -> Result<u64> {
        self.check(&event)?;
        let lane = event.lane.unwrap_or(Lane::Normal);
        let frame = Frame::passing(&event.kind, lane, self.0.core.clock.now_ms(), &event.data);
        let mut reached = 0;
        let tell = |people| {
            if let Some(others) = self.others() {
                others.tell(PassingFrame::new(people, &frame));
            }
        };
        if let Some(mut users) = event.user_ids {
            users.sort_unstable();
            users.dedup();
            users.chunks(PEOPLE_IN_MESSAGE).for_each(|people| tell(Some(people.into())));
            let (sessions, answer) = oneshot::channel();
            let deliver = Deliver::frame(Audience::People(users.into()), frame);
            self.signal(Signal::Deliver { deliver, sessions: Some(sessions) }).await;
            return Ok(answer.await.unwrap_or_default());
        }
        tell(None);
        let mut answers = Vec::with_capacity(self.0.shards.len());
        for shard in &self.0.shards {
            let (sessions, answer) = oneshot::channel();
            shard.send(Command::Broadcast { frame: frame.clone(), sessions: Some(sessions) }).await;
            answers.push(answer);
        }
        for answer in answers {
            reached += answer.await.unwrap_or_default();
        }
        Ok(reached)
    }

    /// Sessions, by their ids.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn sessions(
        &self,
        user: Option<Id>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<RealtimeSession>> {
        let scope = Scope { list: "realtime sessions", caller: Id(0), subject: user.unwrap_or_default() };
        let after = self.0.core.cursors.open_id(scope, cursor)?.unwrap_or_default().0;
        let mut items = Vec::new();
        for shard in &self.0.shards {
            let (answer, listed) = oneshot::channel();
            shard.send(Command::List { user, after, limit: limit + 1, answer }).await;
            items.extend(listed.await.unwrap_or_default());
        }
        items.sort_unstable_by_key(|session| session.session_id);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| self.0.core.cursors.seal_id(scope, last.session_id));
        Ok(Page { items, next_cursor })
    }

    /// Person whose session it is.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn whose(&self, session: Id) -> Result<Id> {
        let missing = || Error::not_found("session");
        let shard = self.0.shards.get(SessionId(session.0).shard()).ok_or_else(missing)?;
        let (answer, listed) = oneshot::channel();
        shard.send(Command::List { user: None, after: session.0.saturating_sub(1), limit: 1, answer }).await;
        let listed = listed.await.unwrap_or_default();
        let found = listed.first().filter(|found| found.session_id == session).ok_or_else(missing)?;
        Ok(found.user_id)
    }

    /// Closes a session; its client may come back. One that has ended meanwhile stays so.
    pub async fn close_session(&self, session: Id) {
        let id = SessionId(session.0);
        if let Some(shard) = self.0.shards.get(id.shard()) {
            let (which, reason) = (SessionFilter::One(id), "closed by an operator");
            shard.send(Command::Close { which, code: fanfare_websocket::CLOSE_AWAY, reason }).await;
        }
    }

    /// Asks every client to come back later, each at another moment, and waits until they have left.
    pub async fn drain(&self) {
        let sessions = self.0.shared.sessions.load(Ordering::Relaxed) as u64;
        if sessions > 0 {
            tracing::info!(sessions, "sessions are asked to come back");
        }
        let spread_ms = (self.0.shared.settings.drain_spread_s * 1_000).max(sessions * 1_000 / DRAIN_PER_S);
        for shard in &self.0.shards {
            shard.send(Command::Drain { spread_ms, for_good: true }).await;
        }
        let patience = Duration::from_secs(CLOSING_S);
        let left = async {
            // Shards that were told count down as clients leave.
            while self.0.shared.sockets.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(patience, left).await.is_err() {
            tracing::warn!(sockets = self.0.shared.sockets.load(Ordering::Relaxed), "sessions were cut off");
        }
    }

    /// `[realtime]` of the configuration.
    #[must_use]
    pub fn settings(&self) -> &RealtimeSettings {
        &self.0.shared.settings
    }

    /// Hands a taken socket over as a session.
    pub fn open(&self, taken: Taken, opening: Opening) {
        self.attach(Attach::Session(taken, Box::new(opening)));
    }

    /// Whether an event can be handed to sessions.
    ///
    /// # Errors
    /// 422 for a type, an audience or data that cannot be.
    pub fn check(&self, event: &PublishEvent) -> Result<()> {
        let mut letters = event.kind.bytes();
        let shaped = letters.next().is_some_and(|first| first.is_ascii_lowercase())
            && letters.all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || b"_.-".contains(&one));
        if !shaped || event.kind.len() > TYPE_CHARS_MAX {
            return Err(Error::field("type", "a lower-case letter, then up to 63 of a-z 0-9 _ . -"));
        }
        if self.types().is_own(&event.kind) {
            return Err(Error::field("type", "is one of the server's own; choose another, such as shop.sale"));
        }
        match (&event.user_ids, event.all) {
            (Some(_), true) | (None, false) => return Err(Error::field("user_ids", "name people, or set all")),
            (Some(users), false) if users.len() > PUBLISH_USERS_MAX => {
                return Err(Error::field("user_ids", format!("at most {PUBLISH_USERS_MAX}")));
            }
            _ => {}
        }
        let bytes = serde_json::to_vec(&event.data).unwrap_or_default().len();
        if bytes > PUBLISH_BYTES_MAX {
            return Err(Error::field("data", format!("has {bytes} bytes; at most {PUBLISH_BYTES_MAX}")));
        }
        Ok(())
    }
}

/// Answers `ping`.
///
/// # Errors
/// None.
pub async fn ping(_: ClientCall) -> Result<Value> {
    Ok(Value::Object(Map::new()))
}

/// Answers `presence.watch`: how it stands with these people, of whose coming and going the session hears from now on.
///
/// # Errors
/// 422 for data that is not what the type takes, or for too many people.
pub async fn watch(mut call: ClientCall) -> Result<Value> {
    let watch: PresenceWatch = call.data()?;
    let items = call.realtime.watch(call.person, call.session, &watch.user_ids).await?;
    serde_json::to_value(PresenceList { items }).map_err(|error| Error::Internal(error.to_string()))
}
