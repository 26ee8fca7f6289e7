//! Deadlines: heartbeats, dead peers, ends of tokens, stalls, polls, closings, and posts that were gathered.

use std::cmp::Reverse;

use fanfare_protocol::{ResetReason, Transport};
use tokio::sync::mpsc::error::TrySendError;

use super::{Shard, is_stream};
use crate::base::limits::realtime::BULK_RENDERING_MAX;
use crate::realtime::codes;
use crate::realtime::frame::{BULK_STREAM, Frame};
use crate::realtime::loss::Loss;
use crate::realtime::session::{Phase, SessionId};
use crate::realtime::signals::BulkJob;
use crate::realtime::wheel::Tick;
use crate::realtime::wire;

/// Milliseconds after which posts are looked at again whose session was not ready for them.
const AGAIN_MS: u64 = 50;

impl Shard {
    /// Puts a session into the wheel for its nearest deadline, unless it stands there for an earlier one.
    pub(super) fn arm(&mut self, id: SessionId) {
        let stall_max = Self::ticks(self.shared.settings.stall_max_s);
        let offline_after = Self::ticks(self.shared.settings.offline_after_s);
        let Some(session) = self.sessions.get_mut(id.key()) else { return };
        let after = |from: Tick, ticks: Tick| if from == Tick::MAX { Tick::MAX } else { from.saturating_add(ticks) };
        let mut next = session.deadline_at;
        if session.phase != Phase::Closing {
            let silent = if session.transport == Transport::Websocket { session.seen_at } else { Tick::MAX };
            next = [
                next,
                session.heartbeat_at,
                session.expires_at,
                after(session.stalled_from, stall_max),
                after(silent, offline_after),
            ]
            .into_iter()
            .min()
            .unwrap_or(next);
        }
        if next < session.wheel_at {
            session.wheel_at = self.wheel.put(id.key() as u32, next);
        }
    }

    pub(super) fn serve_timers(&mut self) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.due(self.tick, &mut due);
        for (key, at) in due.drain(..) {
            let Some(session) = self.sessions.get_mut(key as usize).filter(|session| session.wheel_at == at) else {
                continue;
            };
            session.wheel_at = Tick::MAX;
            let id = session.id;
            self.serve_deadlines(id);
            self.arm(id);
        }
        self.due = due;
    }

    fn serve_deadlines(&mut self, id: SessionId) {
        let tick = self.tick;
        let settings = &self.shared.settings;
        let (stall_max, offline_after) = (Self::ticks(settings.stall_max_s), Self::ticks(settings.offline_after_s));
        let heartbeat = Self::ticks(settings.heartbeat_s);
        let Some(session) = self.session(id) else { return };
        if session.phase == Phase::Closing {
            if session.deadline_at <= tick {
                self.remove(id);
            }
            return;
        }
        if session.expires_at <= tick {
            return self.close(id, codes::UNAUTHENTICATED, "the token has expired");
        }
        if session.stalled_from != Tick::MAX && session.stalled_from.saturating_add(stall_max) <= tick {
            self.close(id, codes::TOO_SLOW, "nothing is read");
            return self.remove(id);
        }
        if session.deadline_at <= tick {
            // A poll that waited in vain.
            return self.close(id, 0, "");
        }
        if session.transport == Transport::Websocket && session.seen_at.saturating_add(offline_after) <= tick {
            return self.remove(id);
        }
        if session.heartbeat_at <= tick {
            session.heartbeat_at = tick.saturating_add(heartbeat);
            // Where something is on its way already, a heartbeat says nothing.
            if session.out.is_empty() && is_stream(session.transport) {
                match session.transport {
                    Transport::Websocket => fanfare_websocket::ping(&mut session.out, b""),
                    _ => session.out.extend_from_slice(wire::SSE_HEARTBEAT),
                }
                self.flush(id);
            }
        }
    }

    /// Starts the timer of a session's posts, unless it runs.
    pub(super) fn gather_for(&mut self, id: SessionId, in_ms: u64) {
        let due = self.up_ms.saturating_add(in_ms);
        let Some(bulk) = self.session(id).and_then(|session| session.bulk.as_mut()) else { return };
        if bulk.due_ms.is_none() {
            bulk.due_ms = Some(due);
            self.gathering.push(Reverse((due, id.0)));
        }
    }

    /// Lets it fire at once where the posts could be sent: who reads well is not to lose any to the delay.
    pub(super) fn gather_now(&mut self, id: SessionId) {
        let due = self.up_ms;
        let Some(session) = self.session(id) else { return };
        let ready = session.is_ready();
        let Some(bulk) = session.bulk.as_mut() else { return };
        if !ready || bulk.is_rendering() || bulk.due_ms.is_some_and(|at| at <= due) {
            return;
        }
        // The timer that runs already is known as the former one by its moment.
        bulk.due_ms = Some(due);
        self.gathering.push(Reverse((due, id.0)));
    }

    /// Asks for the posts of sessions whose timer fired, as long as the renderers keep up.
    pub(super) fn gather(&mut self) {
        while self.rendering < BULK_RENDERING_MAX
            && let Some(Reverse((due, id))) = self.gathering.peek().copied()
            && due <= self.up_ms
        {
            self.gathering.pop();
            self.delay.served(due, self.up_ms);
            let id = SessionId(id);
            let Some(session) = self.session(id) else { continue };
            let (user, ready) = (session.user, session.is_ready());
            let Some(bulk) = session.bulk.as_mut().filter(|bulk| bulk.due_ms == Some(due)) else { continue };
            bulk.due_ms = None;
            if !ready {
                if session.phase != Phase::Closing {
                    self.gather_for(id, AGAIN_MS);
                }
                continue;
            }
            let Some((lost, items)) = bulk.take() else { continue };
            if let Some(lost) = lost {
                self.tell_of(id, &lost);
            }
            if items.is_empty() {
                continue;
            }
            match self.shared.bulk_jobs.try_send(BulkJob { session: id, user, items }) {
                Ok(()) => self.rendering += 1,
                Err(TrySendError::Full(job) | TrySendError::Closed(job)) => {
                    self.give_back(id, job);
                    return;
                }
            }
        }
    }

    /// Items that were dropped: the reader did not keep up, or the server.
    fn tell_of(&mut self, id: SessionId, lost: &Loss) {
        let now_ms = self.now_ms;
        let Some(session) = self.session(id) else { return };
        if lost.is_too_much() {
            session.lanes().give_up(BULK_STREAM, ResetReason::Slow);
            return self.queue(id);
        }
        self.deliver_one(id, Frame::gap(&lost.gap(BULK_STREAM), now_ms));
    }

    fn give_back(&mut self, id: SessionId, job: BulkJob) {
        if let Some(bulk) = self.session(id).and_then(|session| session.bulk.as_mut()) {
            bulk.rendered();
            for item in job.items {
                bulk.add(item);
            }
            self.gather_for(id, AGAIN_MS);
        }
    }
}
