//! Commands of others to a shard.

use super::Shard;
use crate::realtime::cursor::stream_index;
use crate::realtime::deliver::ItemRef;
use crate::realtime::frame::{BULK_STREAM, Frame};
use crate::realtime::loss::Loss;
use crate::realtime::session::{Phase, Session, SessionId};
use crate::realtime::signals::{BulkItem, BulkPost, Command, SessionFilter};
use crate::realtime::source::Replay;
use fanfare_protocol::{Drain, Id, RealtimeSession, ResetReason, Stream, Timestamp};

/// Milliseconds before which nobody comes back after a drain: the successor needs them to start.
const DRAIN_MS_MIN: u64 = 500;

impl Shard {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Attach(attach) => self.attach(attach),
            Command::Replayed { session, replay } => self.replayed(session, replay),
            Command::Deliver { sessions, frame } => {
                for id in sessions {
                    self.deliver_one(id, frame.clone());
                }
            }
            Command::Broadcast { frame, sessions } => self.add_broadcast(frame, sessions),
            Command::Lost { sessions: Some(sessions), stream, loss } => {
                sessions.into_iter().for_each(|id| self.lost(id, stream, &loss));
            }
            Command::Lost { sessions: None, stream, loss } => {
                let all: Vec<SessionId> = self.sessions.iter().map(|(_, session)| session.id).collect();
                all.into_iter().for_each(|id| self.lost(id, stream, &loss));
            }
            Command::Rendered { session, frames } => self.rendered(session, frames),
            Command::Reply { session, frame } => {
                // Before it is written: whoever has read it may send the next.
                if let Some(session) = self.session(session) {
                    session.under_way = session.under_way.saturating_sub(1);
                }
                self.deliver_one(session, frame);
            }
            Command::Close { which, code, reason } => self.close_which(which, code, reason),
            Command::List { user, after, limit, answer } => {
                // Whoever asked may be gone.
                let _ = answer.send(self.list(user, after, limit));
            }
            Command::Drain { spread_ms, for_good } => {
                self.draining |= for_good;
                self.send_away(spread_ms);
            }
            Command::Stop => self.stopping = true,
        }
    }

    /// A frame for one session.
    pub(super) fn deliver_one(&mut self, id: SessionId, frame: Frame) {
        let bytes_max = self.shared.settings.session_bytes_max;
        let Some(session) = self.session(id).filter(|session| session.phase != Phase::Closing) else { return };
        let is_replaying = session.phase == Phase::Replaying;
        if let Some(unknown) = frame.unknown_to(session.knows) {
            let ids = frame.unknown_ids(session.knows);
            if is_replaying {
                return session.told().came_meanwhile(ids, unknown);
            }
            if session.told().are_news(ids) {
                session.lanes().give_up(unknown.0, unknown.1);
                self.queue(id);
            }
            return;
        }
        let lane = frame.lane();
        let dropped = session.lanes().push(frame, bytes_max);
        self.meter.delivered(lane);
        for lane in dropped {
            self.meter.dropped(lane);
        }
        self.queue(id);
    }

    /// Frames of a stream were shed on their way to a session: told of at their place in it.
    fn lost(&mut self, id: SessionId, stream: Stream, loss: &Loss) {
        let now_ms = self.now_ms;
        if loss.is_too_much() {
            let Some(session) = self.session(id).filter(|session| session.phase != Phase::Closing) else { return };
            session.lanes().give_up(stream, ResetReason::Overflow);
            return self.queue(id);
        }
        self.deliver_one(id, Frame::gap(&loss.gap(stream), now_ms));
    }

    fn replayed(&mut self, id: SessionId, replay: Option<Box<Replay>>) {
        let (now_ms, horizon) = (self.now_ms, self.horizon);
        let Some(session) = self.session(id).filter(|session| session.phase == Phase::Replaying) else { return };
        session.phase = Phase::Live;
        // Else a cursor could fall behind the one that it came with, and what it was told of would be told again.
        if session.from.as_ref().is_some_and(|from| from.iter().zip(horizon).all(|(mark, horizon)| *mark <= horizon)) {
            session.from = None;
        }
        match replay {
            Some(mut replay) => {
                let knows = session.knows;
                let mut unknown = replay.frames.iter().find_map(|frame| frame.unknown_to(knows));
                if unknown.is_some() || session.told.is_some() {
                    let ids = replay.frames.iter().flat_map(|frame| frame.unknown_ids(knows));
                    let ids: Vec<Id> = ids.copied().collect();
                    unknown = session.told().replayed(&ids, unknown);
                    replay.frames.retain(|frame| frame.unknown_to(knows).is_none());
                }
                if let Some(bulk) = &mut session.bulk {
                    bulk.drop_keys(&replay.keys[stream_index(BULK_STREAM)]);
                }
                if !(replay.frames.is_empty() && session.lanes.is_none()) {
                    session.lanes().put_first(*replay, now_ms);
                }
                if let Some((stream, reason)) = unknown {
                    session.lanes().give_up(stream, reason);
                }
            }
            None => session.lanes().reset(ResetReason::Overflow),
        }
        self.queue(id);
    }

    pub(super) fn bulk_post(&mut self, post: BulkPost) {
        match post.item {
            BulkItem::Reference(item) => post.sessions.into_iter().for_each(|id| self.posted(id, item)),
            BulkItem::Lost(loss) => post.sessions.into_iter().for_each(|id| self.bulk_lost(id, &loss)),
        }
    }

    fn bulk_lost(&mut self, id: SessionId, loss: &Loss) {
        let delay_ms = self.delay.ms();
        let Some(session) = self.session(id).filter(|session| session.phase != Phase::Closing) else { return };
        session.bulk.get_or_insert_default().lose(loss.clone());
        self.meter.dropped(fanfare_protocol::Lane::Bulk);
        self.gather_for(id, delay_ms);
    }

    fn posted(&mut self, id: SessionId, item: ItemRef) {
        let delay_ms = self.delay.ms();
        let Some(session) = self.session(id).filter(|session| session.phase != Phase::Closing) else { return };
        let bulk = session.bulk.get_or_insert_default();
        let (dropped, full) = (bulk.add(item), bulk.is_full());
        if dropped {
            self.meter.dropped(fanfare_protocol::Lane::Bulk);
        }
        self.gather_for(id, delay_ms);
        if full {
            self.gather_now(id);
        }
    }

    fn rendered(&mut self, id: SessionId, frames: Vec<Frame>) {
        self.rendering = self.rendering.saturating_sub(1);
        let delay_ms = self.delay.ms();
        let Some(session) = self.session(id) else { return };
        let (mut more, mut full) = (false, false);
        if let Some(bulk) = &mut session.bulk {
            bulk.rendered();
            (more, full) = (bulk.has_waiting(), bulk.is_full());
            if bulk.is_empty() && bulk.due_ms.is_none() {
                session.bulk = None;
            }
        }
        for frame in frames {
            self.deliver_one(id, frame);
        }
        if more {
            self.gather_for(id, delay_ms);
        }
        if full {
            self.gather_now(id);
        }
    }

    fn close_which(&mut self, which: SessionFilter, code: u16, reason: &'static str) {
        let meant = |session: &&Session| match which {
            SessionFilter::One(id) => session.id == id,
            SessionFilter::Token { user, token } => session.user == user && session.opener.token == token,
            SessionFilter::Person { user, except } => {
                session.user == user && except.is_none_or(|token| session.opener.token != token)
            }
            SessionFilter::All => true,
        };
        let ids: Vec<SessionId> = match which {
            SessionFilter::One(id) => self.session(id).map(|session| session.id).into_iter().collect(),
            _ => self.sessions.iter().map(|(_, session)| session).filter(meant).map(|session| session.id).collect(),
        };
        for id in ids {
            self.close(id, code, reason);
        }
    }

    fn list(&self, user: Option<Id>, after: u64, limit: usize) -> Vec<RealtimeSession> {
        let wanted = |session: &&Session| {
            session.phase != Phase::Closing && session.id.0 > after && user.is_none_or(|user| session.user == user)
        };
        let mut found: Vec<&Session> = self.sessions.iter().map(|(_, session)| session).filter(wanted).collect();
        found.sort_unstable_by_key(|session| session.id.0);
        let item = |session: &Session| RealtimeSession {
            session_id: Id(session.id.0),
            user_id: session.user,
            transport: session.transport,
            connected_at: Timestamp(session.connected_ms),
            address: session.address.to_string(),
            queued_bytes: session.queued_bytes() as u64,
        };
        found.into_iter().take(limit).map(item).collect()
    }

    /// Everybody is told when to come back, each at another moment, and is closed.
    fn send_away(&mut self, spread_ms: u64) {
        let ids: Vec<SessionId> = self.sessions.iter().map(|(_, session)| session.id).collect();
        let many = ids.len().max(1) as u64;
        for (at, id) in ids.into_iter().enumerate() {
            let reconnect_after_ms = DRAIN_MS_MIN + spread_ms * at as u64 / many;
            let frame = Frame::of_session("drain", self.now_ms, &Drain { reconnect_after_ms });
            self.close_after(id, &frame);
        }
    }
}
