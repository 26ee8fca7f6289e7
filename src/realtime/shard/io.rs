//! Bytes in and out of sockets, a slice at a time.

use std::io::{ErrorKind, Read, Write};
use std::time::{Duration, Instant};

use fanfare_protocol::Transport;
use mio::event::Event;

use super::Shard;
use crate::base::limits::realtime::{FLUSH_SLICE, LANE_RUN_MAX, READS_MAX, WRITE_SLICE_BYTES};
use crate::realtime::session::{Now, Phase, Session, SessionId};
use crate::realtime::wheel::Tick;

/// Slices written to one socket before the next one's turn.
const SLICES_MAX: usize = 2;
/// Duration of a turn of writing, at most: what is urgent and just comes waits for no more.
const TURN_MAX: Duration = Duration::from_millis(2);
/// Sessions between two looks at the time.
const LOOK_EVERY: usize = 8;

/// Outcome of a write.
enum Written {
    /// All of it.
    All,
    /// Some of it; the socket is full.
    Some,
    /// The connection is gone.
    Gone,
}

impl Shard {
    pub(super) fn socket_event(&mut self, event: &Event) {
        let Some(session) = self.sessions.get_mut(event.token().0) else { return };
        let id = session.id;
        if event.is_writable() && session.blocked {
            session.blocked = false;
            self.queue(id);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.read(id);
        }
    }

    /// Puts a session into the line of those that have something to write.
    pub(super) fn queue(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
        if session.in_urgent || session.blocked || !session.wants_to_write() {
            return;
        }
        // What becomes urgent while it stands in line does not wait for its turn there.
        if session.is_urgent() {
            session.in_urgent = true;
            self.urgent.push_back(id);
        } else if !session.in_other {
            session.in_other = true;
            self.other.push_back(id);
        }
    }

    /// Sockets that had more to read than one turn takes.
    pub(super) fn read_more(&mut self) {
        for _ in 0..self.unread.len() {
            if let Some(id) = self.unread.pop_front() {
                self.read(id);
            }
        }
    }

    fn read(&mut self, id: SessionId) {
        let mut buffer = std::mem::take(&mut self.read_buffer);
        for turn in 0..READS_MAX {
            let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { break };
            match session.socket.read(&mut buffer) {
                Ok(0) => {
                    self.remove(id);
                    break;
                }
                Ok(bytes) => {
                    session.seen_at = self.tick;
                    if session.transport == Transport::Websocket
                        && let Some(bytes) = buffer.get_mut(..bytes)
                    {
                        self.read_bytes(id, bytes);
                    }
                    if turn + 1 == READS_MAX {
                        self.unread.push_back(id);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    self.remove(id);
                    break;
                }
            }
        }
        self.read_buffer = buffer;
    }

    /// A slice of writing, bounded in sessions and in time: urgent sessions first.
    pub(super) fn write_some(&mut self) {
        let started = Instant::now();
        for turn in 0..FLUSH_SLICE {
            if turn % LOOK_EVERY == LOOK_EVERY - 1 && started.elapsed() > TURN_MAX {
                return;
            }
            // One in so many turns is the others', so that they do not starve.
            let urgent = if turn % LANE_RUN_MAX < LANE_RUN_MAX - 1 { self.urgent.pop_front() } else { None };
            let other = if urgent.is_none() { self.other.pop_front() } else { None };
            let Some(id) = urgent.or(other).or_else(|| self.urgent.pop_front()) else { return };
            let Some(session) = self.session(id) else { continue };
            if other == Some(id) {
                session.in_other = false;
            } else {
                session.in_urgent = false;
            }
            if session.wants_to_write() {
                self.flush(id);
            }
        }
    }

    /// Writes what waits for one session, as far as the socket takes it, a few slices at most.
    pub(super) fn flush(&mut self, id: SessionId) {
        for _ in 0..SLICES_MAX {
            let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
            if session.blocked {
                return;
            }
            let now = Now { ms: self.now_ms, horizon: self.horizon, seal: &self.shared.seal };
            let mut bytes = std::mem::take(&mut self.write_buffer);
            bytes.clear();
            let kept = !session.out.is_empty();
            if !kept {
                session.fill(&now, self.deflater.as_mut(), &mut bytes);
            }
            let written = write(session, if kept { None } else { Some(&bytes) });
            let idle = bytes.is_empty() && !kept;
            if bytes.capacity() <= 4 * WRITE_SLICE_BYTES {
                self.write_buffer = bytes;
            }
            match written {
                Written::Gone => return self.remove(id),
                Written::Some => return self.blocked(id),
                Written::All if idle => break,
                Written::All => {}
            }
        }
        self.written(id);
    }

    /// The socket is full: it says when it is not. Until then the clock of a stall runs.
    pub(super) fn blocked(&mut self, id: SessionId) {
        let tick = self.tick;
        let Some(session) = self.sessions.get_mut(id.key()) else { return };
        session.blocked = true;
        if session.stalled_from == Tick::MAX {
            session.stalled_from = tick;
            self.arm(id);
        }
    }

    /// All that was at hand is written.
    fn written(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
        let answered =
            session.poll.is_none() && matches!(session.transport, Transport::LongPoll | Transport::ShortPoll);
        if answered && session.phase == Phase::Live {
            self.close(id, 0, "");
            return;
        }
        let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
        if session.phase == Phase::Closing && session.out.is_empty() {
            // The client reads to the end and closes; a deadline does it otherwise.
            let _ = session.socket.shutdown(std::net::Shutdown::Write);
            return;
        }
        self.queue(id);
    }
}

/// Writes `fresh`, or what is left from before; keeps what the socket does not take.
fn write(session: &mut Session, fresh: Option<&[u8]>) -> Written {
    let mut taken = 0;
    let outcome = {
        let bytes = fresh.unwrap_or(&session.out);
        loop {
            let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) else { break Written::All };
            match session.socket.write(rest) {
                Ok(0) => break Written::Gone,
                Ok(more) => taken += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Written::Some,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => break Written::Gone,
            }
        }
    };
    if taken > 0 {
        session.stalled_from = Tick::MAX;
    }
    match (&outcome, fresh) {
        (Written::All, None) => session.out = Vec::new(),
        (Written::Some, None) => _ = session.out.drain(..taken),
        (Written::Some, Some(bytes)) => session.out = bytes.get(taken..).unwrap_or_default().to_vec(),
        (Written::All, Some(_)) | (Written::Gone, _) => {}
    }
    outcome
}
