//! Frames for everybody: encoded once for each transport, written at once where nothing else waits, a slice of sessions
//! a turn.

use std::io::{ErrorKind, Write};

use fanfare_protocol::{Lane, Transport};
use tokio::sync::oneshot;

use super::Shard;
use crate::base::limits::realtime::{FLUSH_SLICE, WRITE_SLICE_BYTES};
use crate::realtime::frame::Frame;
use crate::realtime::session::{Phase, Session, SessionId};
use crate::realtime::wire;

/// Frames that go together.
const FRAMES_MAX: usize = 64;
/// Milliseconds for which a broadcast that is not urgent waits for company: one write then carries all of it.
const COMPANY_MS: u64 = 2;

/// Frames on their way to everybody: those that came together go together.
pub(super) struct Broadcast {
    frames: Vec<Frame>,
    /// Encodings as a WebSocket's messages and as server-sent events, once the first session has had them.
    encoded: Option<[Vec<u8>; 2]>,
    start_ms: u64,
    /// Sessions up to here have them.
    next: usize,
    counted: u64,
    answers: Vec<oneshot::Sender<u64>>,
}

impl Shard {
    pub(super) fn add_broadcast(&mut self, frame: Frame, answer: Option<oneshot::Sender<u64>>) {
        let wait_ms = if frame.lane() == Lane::Urgent { 0 } else { COMPANY_MS };
        match self.broadcasts.back_mut() {
            Some(last) if last.encoded.is_none() && last.frames.len() < FRAMES_MAX => {
                last.start_ms = last.start_ms.min(self.up_ms + wait_ms);
                last.frames.push(frame);
                last.answers.extend(answer);
            }
            _ => self.broadcasts.push_back(Broadcast {
                frames: vec![frame],
                encoded: None,
                start_ms: self.up_ms + wait_ms,
                next: 0,
                counted: 0,
                answers: answer.into_iter().collect(),
            }),
        }
    }

    /// A slice of the oldest broadcast.
    pub(super) fn broadcast(&mut self) {
        let is_due = self.broadcasts.front().is_some_and(|first| first.start_ms <= self.up_ms);
        let Some(mut broadcast) = is_due.then(|| self.broadcasts.pop_front()).flatten() else { return };
        let frames = &broadcast.frames;
        let encoded = broadcast.encoded.get_or_insert_with(|| {
            [Transport::Websocket, Transport::Sse].map(|transport| {
                let mut bytes = Vec::new();
                frames.iter().for_each(|frame| wire::append(transport, None, &mut bytes, frame, None));
                bytes
            })
        });
        let end = self.sessions.capacity().min(broadcast.next + FLUSH_SLICE);
        for key in broadcast.next..end {
            let Some(session) = self.sessions.get_mut(key).filter(|session| session.phase != Phase::Closing) else {
                continue;
            };
            let id = session.id;
            broadcast.counted += 1;
            let [websocket, sse] = &*encoded;
            let bytes = if session.transport == Transport::Websocket { websocket } else { sse };
            // What is left of a larger write would wait outside of the session's budget.
            let at_once = is_idle(session) && bytes.len() <= WRITE_SLICE_BYTES;
            if at_once && self.write_at_once(id, bytes) {
                frames.iter().for_each(|frame| self.meter.delivered(frame.lane()));
            } else {
                frames.iter().for_each(|frame| self.deliver_one(id, frame.clone()));
            }
        }
        broadcast.next = end;
        if end < self.sessions.capacity() {
            self.broadcasts.push_front(broadcast);
            return;
        }
        for answer in broadcast.answers {
            // Whoever asked may be gone.
            let _ = answer.send(broadcast.counted);
        }
    }

    /// False: nothing was written, for the socket is full.
    fn write_at_once(&mut self, id: SessionId, bytes: &[u8]) -> bool {
        let Some(session) = self.sessions.get_mut(id.key()) else { return true };
        match session.socket.write(bytes) {
            Ok(written) if written == bytes.len() => true,
            Ok(written) => {
                session.out = bytes.get(written..).unwrap_or_default().to_vec();
                self.blocked(id);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                self.blocked(id);
                false
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => false,
            Err(_) => {
                self.remove(id);
                true
            }
        }
    }
}

/// Nothing waits that would have to go first, and the session is a stream that takes bytes as they are.
fn is_idle(session: &Session) -> bool {
    session.phase == Phase::Live
        && matches!(session.transport, Transport::Websocket | Transport::Sse)
        && session.lanes.is_none()
        && session.out.is_empty()
        && !session.blocked
        && !session.deflate
}
