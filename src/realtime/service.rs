//! Realtime delivery as the rest of the server sees it.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use fanfare_protocol::{
    AUTHOR_DELETED, Code, Id, Lane, Page, Presence as PresenceView, PublishEvent, ReadMarker, RealtimeSession,
    ResetReason, Ticket, Timestamp,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::attach::{Attach, Full, Opener, Opening, Place, Places};
use super::cursor::Cursor;
use super::frame::Frame;
use super::presence::Presence;
use super::replay::{Missed, Replays, is_too_old};
use super::session::SessionId;
use super::signals::{Command, ShardHandle, Shared, Signal, Which};
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::fair::Paces;
use crate::base::limits::realtime::{
    CLOSING_S, DRAIN_PER_S, PUBLISH_BYTES_MAX, PUBLISH_USERS_MAX, TICKET_S, WATCHED_MAX,
};
use crate::base::network::Network;
use crate::data::rows::{from_json, to_json};
use crate::data::tables::{self, Marker};
use crate::log::core::Core;
use crate::users::token;

/// Pause between two looks whether a drain is over.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Types that only the server sends.
const OWN_TYPES: [&str; 19] = [
    "hello",
    "feed.posts",
    "post.deleted",
    AUTHOR_DELETED,
    "notification",
    "message",
    "message.recalled",
    "gap",
    "reset",
    "reply",
    "pong",
    "drain",
    "typing",
    "receipt",
    "presence",
    "live.changed",
    "feed.read",
    "notifications.read",
    "ping",
];
/// Characters of a type, at most.
const TYPE_CHARS_MAX: usize = 64;

/// Realtime delivery; clones share it.
#[derive(Clone)]
pub struct Realtime(Arc<Inner>);

/// What [`Realtime`] points at.
pub struct Inner {
    /// Shared with shards and dispatcher.
    pub shared: Arc<Shared>,
    /// All shards.
    pub shards: Vec<ShardHandle>,
    /// Sessions of each person.
    pub places: Arc<Places>,
    /// Sessions are dealt out in turn.
    pub next_shard: AtomicUsize,
    /// What was missed.
    pub replays: Replays,
    /// Who is online.
    pub presence: Arc<Mutex<Presence>>,
    /// Rows and the clock.
    pub core: Core,
    /// Frames of people who send them over HTTP.
    pub paces: Mutex<Paces<Id>>,
    /// What they are counted from.
    pub began: Instant,
}

impl Deref for Realtime {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.0
    }
}

/// What a ticket stands for.
#[derive(Debug, Serialize, Deserialize)]
struct TicketValue {
    user: Id,
    token: u64,
    since_ms: u64,
    expires_ms: Option<u64>,
}

fn ticket_key(text: &str) -> Option<Vec<u8>> {
    token::hash_of(text).map(|hash| [b"ticket", &hash.0[..]].concat())
}

impl Realtime {
    /// Over running threads.
    #[must_use]
    pub fn new(inner: Inner) -> Self {
        Self(Arc::new(inner))
    }

    /// Hands a socket to a shard; a shard without room drops it.
    pub fn attach(&self, attach: Attach) {
        let turn = self.next_shard.fetch_add(1, Ordering::Relaxed) % self.shards.len().max(1);
        if let Some(shard) = self.shards.get(turn)
            && shard.try_send(Command::Attach(attach)).is_err()
        {
            tracing::warn!("a shard has no room for another session; its client tries again");
        }
    }

    /// One more session of `user`, from `network` where that is counted.
    ///
    /// # Errors
    /// [`Code::RateLimited`] at the person's cap and at the address's, overloaded at the node's.
    pub fn place(&self, user: Id, network: Option<Network>) -> Result<Place> {
        let settings = &self.shared.settings;
        if self.shared.sessions.load(Ordering::Relaxed) >= settings.sessions_max {
            return Err(Error::Overloaded { reason: "too many sessions are open", retry_after_s: 5 });
        }
        let (own, of_address) = (settings.sessions_per_user_max, settings.sessions_per_address_max);
        self.places.take(user, network, (own, of_address)).map_err(|full| {
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

    /// Counts frames that `user` sends over HTTP, before they are read.
    ///
    /// # Errors
    /// [`Error::RateLimited`] for more than `realtime.messages_per_s`, after a burst.
    pub fn pace(&self, user: Id, frames: usize) -> Result<()> {
        let count = u32::try_from(frames.max(1)).unwrap_or(u32::MAX);
        let now_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let paced = self.paces.lock().take(user, now_ms, count);
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
    pub fn open_cursor(&self, user: Id, text: &str) -> Result<Cursor, ResetReason> {
        let mut cursor = self.shared.seal.open(user, text)?;
        // Nothing from before they existed was missed by anybody. In a young data folder watermarks stand there.
        cursor.marks = cursor.marks.map(|mark| mark.max(user));
        if is_too_old(&cursor, self.shared.committed()) { Err(ResetReason::Expired) } else { Ok(cursor) }
    }

    /// What `user` missed, up to a record that was the newest before.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn missed(&self, user: Id, from: [Id; 4], upto: Id) -> Result<Missed> {
        self.replays.missed(user, from, upto).await
    }

    /// A ticket for somebody who showed a token.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn ticket(&self, user: Id, opener: Opener) -> Result<Ticket> {
        let new = token::generate()?;
        let now_ms = self.core.clock.now_ms();
        let value = TicketValue { user, token: opener.token, since_ms: opener.since_ms, expires_ms: opener.expires_ms };
        let key = ticket_key(&new.token).ok_or_else(|| Error::Internal("a ticket has no hash".to_owned()))?;
        let ephemeral = &self.core.store.engines.ephemeral;
        ephemeral.put(&key, to_json(&value)?, Duration::from_secs(TICKET_S)).await?;
        Ok(Ticket { ticket: new.token, expires_at: Timestamp(now_ms + TICKET_S * 1_000) })
    }

    /// Whom a ticket lets in; it lets nobody in after that.
    ///
    /// # Errors
    /// 401 when it is unknown, used, or too old.
    pub async fn redeem(&self, text: &str) -> Result<(Id, Opener)> {
        let refused =
            || Error::refused(Code::Unauthenticated, "the ticket is unknown, was used, or is older than a minute");
        let key = ticket_key(text).ok_or_else(refused)?;
        let bytes = self.core.store.engines.ephemeral.take(&key).await?.ok_or_else(refused)?;
        let value: TicketValue = from_json(&bytes)?;
        let opener = Opener { token: value.token, since_ms: value.since_ms, expires_ms: value.expires_ms };
        let expired = opener.expires_ms.is_some_and(|at| at <= self.core.clock.now_ms());
        if expired || self.shared.ends.has_ended(value.user, opener) {
            return Err(refused());
        }
        self.core.refuse_suspended(value.user)?;
        Ok((value.user, opener))
    }

    /// A read marker of `user` was written: their devices hear where it stands.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn marker_moved(&self, user: Id, which: Marker) -> Result<()> {
        let kind = match which {
            Marker::Feed => "feed.read",
            Marker::Notifications => "notifications.read",
        };
        let last_read_id = self.core.store.get_id(&tables::marker_row(user, which)).await?.unwrap_or_default();
        let frame = Frame::passing(kind, Lane::Normal, self.core.clock.now_ms(), &ReadMarker { last_read_id });
        self.signal(Signal::ToPerson { user, frame }).await;
        Ok(())
    }

    /// A sign of life of `user` outside of a session.
    pub async fn heartbeat(&self, user: Id) {
        self.signal(Signal::Heartbeat { user }).await;
    }

    async fn signal(&self, signal: Signal) {
        // Closed: the server stops.
        let _ = self.shared.signals.send(signal).await;
    }

    /// Presence of `people` as `viewer` may know it: of people with a block between them, and of suspended ones, it tells
    /// nothing.
    ///
    /// # Errors
    /// 422 for too many people.
    pub async fn presence_for(&self, viewer: Id, people: &[Id]) -> Result<Vec<PresenceView>> {
        if people.len() > WATCHED_MAX {
            return Err(Error::field("user_ids", format!("at most {WATCHED_MAX}")));
        }
        let hidden = self.core.store.hidden(viewer).await?;
        let now_ms = self.core.clock.now_ms();
        let presence = self.presence.lock();
        let unknown = |user_id: Id| PresenceView { user_id, online: false, last_seen_at: None };
        let unseen = |user: Id| hidden.blocks(user) || self.core.store.absent.holds(user);
        let of = |user: &Id| if unseen(*user) { unknown(*user) } else { presence.of(*user, now_ms) };
        Ok(people.iter().map(of).collect())
    }

    /// `session` of `viewer` watches `people` from now on; answers how it stands with them.
    ///
    /// # Errors
    /// 422 for too many people.
    pub async fn watch(&self, viewer: Id, session: Option<SessionId>, people: &[Id]) -> Result<Vec<PresenceView>> {
        // Told to watch first: who comes or goes in between is told of, at worst twice.
        let now = self.presence_for(viewer, people).await?;
        if let Some(session) = session {
            let hidden = self.core.store.hidden(viewer).await?;
            let visible = people.iter().copied().filter(|person| !hidden.blocks(*person)).collect();
            self.signal(Signal::Watch { user: viewer, session, people: visible }).await;
            return self.presence_for(viewer, people).await;
        }
        Ok(now)
    }

    /// Hands an operator's event to sessions; answers how many.
    ///
    /// # Errors
    /// 422 for a type or an audience that cannot be; see `check`.
    pub async fn publish(&self, event: PublishEvent) -> Result<u64> {
        check(&event)?;
        let lane = event.lane.unwrap_or(Lane::Normal);
        let frame = Frame::passing(&event.kind, lane, self.core.clock.now_ms(), &event.data);
        let mut reached = 0;
        if let Some(mut users) = event.user_ids {
            users.sort_unstable();
            users.dedup();
            let (sessions, answer) = oneshot::channel();
            self.signal(Signal::Publish { users, frame, sessions }).await;
            return Ok(answer.await.unwrap_or_default());
        }
        let mut answers = Vec::with_capacity(self.shards.len());
        for shard in &self.shards {
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
        let after = self.core.cursors.open_id(scope, cursor)?.unwrap_or_default().0;
        let mut items = Vec::new();
        for shard in &self.shards {
            let (answer, listed) = oneshot::channel();
            shard.send(Command::List { user, after, limit: limit + 1, answer }).await;
            items.extend(listed.await.unwrap_or_default());
        }
        items.sort_unstable_by_key(|session| session.session_id);
        let more = items.len() > limit;
        items.truncate(limit);
        let last = items.last().filter(|_| more);
        let next_cursor = last.map(|last| self.core.cursors.seal_id(scope, last.session_id));
        Ok(Page { items, next_cursor })
    }

    /// Whose session it is.
    ///
    /// # Errors
    /// 404 when there is none.
    pub async fn whose(&self, session: Id) -> Result<Id> {
        let missing = || Error::not_found("session");
        let shard = self.shards.get(SessionId(session.0).shard()).ok_or_else(missing)?;
        let (answer, listed) = oneshot::channel();
        shard.send(Command::List { user: None, after: session.0.saturating_sub(1), limit: 1, answer }).await;
        let listed = listed.await.unwrap_or_default();
        let found = listed.first().filter(|found| found.session_id == session).ok_or_else(missing)?;
        Ok(found.user_id)
    }

    /// Closes a session; its client may come back. One that has ended meanwhile stays so.
    pub async fn close_session(&self, session: Id) {
        let id = SessionId(session.0);
        if let Some(shard) = self.shards.get(id.shard()) {
            let (which, reason) = (Which::One(id), "closed by an operator");
            shard.send(Command::Close { which, code: fanfare_websocket::CLOSE_AWAY, reason }).await;
        }
    }

    /// Asks every client to come back later, each at another moment, and waits until they have left.
    pub async fn drain(&self) {
        let sessions = self.shared.sessions.load(Ordering::Relaxed) as u64;
        if sessions > 0 {
            tracing::info!(sessions, "sessions are asked to come back");
        }
        let spread_ms = (self.shared.settings.drain_spread_s * 1_000).max(sessions * 1_000 / DRAIN_PER_S);
        for shard in &self.shards {
            shard.send(Command::Drain { spread_ms, for_good: true }).await;
        }
        let patience = Duration::from_secs(CLOSING_S);
        let left = async {
            // Shards that were told count down as clients leave.
            while self.shared.sockets.load(Ordering::Relaxed) > 0 {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        if tokio::time::timeout(patience, left).await.is_err() {
            tracing::warn!(sockets = self.shared.sockets.load(Ordering::Relaxed), "sessions were cut off");
        }
    }

    /// The bytes of a ticket or an event's data are bounded elsewhere; this is what a frame may hold.
    #[must_use]
    pub fn settings(&self) -> &super::settings::RealtimeSettings {
        &self.shared.settings
    }

    /// Hands a taken socket over as a session.
    pub fn open(&self, taken: super::attach::Taken, opening: Opening) {
        self.attach(Attach::Session(taken, Box::new(opening)));
    }
}

/// Whether an event can be handed to sessions.
///
/// # Errors
/// 422 for a type, an audience or data that cannot be.
pub fn check(event: &PublishEvent) -> Result<()> {
    let mut letters = event.kind.bytes();
    let shaped = letters.next().is_some_and(|first| first.is_ascii_lowercase())
        && letters.all(|one| one.is_ascii_lowercase() || one.is_ascii_digit() || b"_.-".contains(&one));
    if !shaped || event.kind.len() > TYPE_CHARS_MAX {
        return Err(Error::field("type", "a lower-case letter, then up to 63 of a-z 0-9 _ . -"));
    }
    if OWN_TYPES.contains(&event.kind.as_str()) {
        return Err(Error::field("type", "is one of the server's own; choose another, such as shop.sale"));
    }
    match (&event.user_ids, event.all) {
        (Some(_), true) | (None, false) => return Err(Error::field("user_ids", "name people, or set all")),
        (Some(users), false) if users.len() > PUBLISH_USERS_MAX => {
            return Err(Error::field("user_ids", format!("at most {PUBLISH_USERS_MAX}")));
        }
        _ => {}
    }
    let bytes = Bytes::from(serde_json::to_vec(&event.data).unwrap_or_default()).len();
    if bytes > PUBLISH_BYTES_MAX {
        return Err(Error::field("data", format!("has {bytes} bytes; at most {PUBLISH_BYTES_MAX}")));
    }
    Ok(())
}
