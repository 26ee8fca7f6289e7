//! Sessions begin and end.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fanfare_protocol::Transport;
use mio::{Interest, Token};

use super::{Shard, is_stream};
use crate::base::limits::realtime::{CLOSING_S, TICK_MS, UNSENT_BYTES_MAX};
use crate::realtime::attach::{Attach, Opening, Resume, Taken};
use crate::realtime::codes;
use crate::realtime::cursor::Watermarks;
use crate::realtime::frame::Frame;
use crate::realtime::session::{Phase, SHARD_SESSIONS_MAX, Session, SessionId};
use crate::realtime::signals::Signal;
use crate::realtime::wheel::Tick;

/// Allowance of one message.
pub(super) const MESSAGE: u32 = 256;

impl Shard {
    pub(super) fn attach(&mut self, attach: Attach) {
        match attach {
            Attach::Session(taken, opening) => self.open(taken, *opening),
            Attach::Refusal(taken, code, reason) => self.refuse(taken, code, reason),
        }
    }

    /// Tells a client why it is not let in, and keeps nothing of it: the socket is closed when this is dropped, and
    /// what was written is delivered before that, for nothing of the client's is unread.
    fn refuse(&mut self, taken: Taken, code: u16, reason: &str) {
        let mut bytes = taken.head;
        fanfare_websocket::close(&mut bytes, code, reason);
        let written = std::io::Write::write(&mut &taken.stream, &bytes);
        if written.is_ok() {
            let _ = taken.stream.shutdown(std::net::Shutdown::Write);
        }
        self.meter.closed(code);
    }

    fn open(&mut self, taken: Taken, opening: Opening) {
        if self.sessions.len() >= SHARD_SESSIONS_MAX - 1 || self.draining {
            return;
        }
        if self.shared.ended.has_ended(opening.user, opening.opener) {
            if opening.transport == Transport::Websocket {
                self.refuse(taken, codes::UNAUTHENTICATED, "the token has ended");
            }
            return;
        }
        let Taken { stream, head, leftover } = taken;
        if let Err(error) = prepare(&stream, self.shared.settings.offline_after_s) {
            tracing::debug!(%error, "a socket's options cannot be set");
        }
        let entry = self.sessions.vacant_entry();
        let key = entry.key();
        self.generation = self.generation.wrapping_add(1);
        let id = SessionId::new(self.shared.boot, self.number, self.generation, key as u32);
        let mut socket = mio::net::TcpStream::from_std(stream);
        let registered =
            self.poll.registry().register(&mut socket, Token(key), Interest::READABLE | Interest::WRITABLE);
        if let Err(error) = registered {
            tracing::warn!(%error, "a session cannot be watched");
            return;
        }
        let (resume, from, user, transport) = (opening.resume, opening.from, opening.user, opening.transport);
        // A client may say what it has to say at once when it comes.
        let allowance = self.shared.settings.messages_per_s.saturating_mul(2 * MESSAGE);
        entry.insert(new_session(id, socket, opening, allowance, (self.now_ms, self.tick)));
        self.shared.sessions.fetch_add(1, Ordering::Relaxed);
        self.shared.sockets.fetch_add(1, Ordering::Relaxed);
        self.meter.opened(transport);
        self.set_deadlines(id);
        // Before anything is written or read: either may end the session, and its end must not be told of first.
        self.signal(Signal::Joined { user, session: id, from });
        self.greet(id, head, resume, &from);
        if !leftover.is_empty() {
            self.read_bytes(id, &mut leftover.to_vec());
        }
        self.arm(id);
    }

    /// The head of the answer, and `hello`; for a bad cursor the reset that follows it. A poll gets them with its
    /// events.
    fn greet(&mut self, id: SessionId, head: Vec<u8>, resume: Resume, from: &Watermarks) {
        let heartbeat_s = self.shared.settings.heartbeat_s;
        let Some(session) = self.sessions.get_mut(id.key()) else { return };
        if let Some(poll) = &mut session.poll {
            poll.1 = head;
            return;
        }
        let mut out = head;
        let now = crate::realtime::session::Now { ms: self.now_ms, horizon: self.horizon, seal: &self.shared.seal };
        let marks = match resume {
            Resume::From => session.marks(self.horizon),
            // From where they wish, even where this shard is behind.
            Resume::Fresh | Resume::Broken(_) => *from,
        };
        session.hello(resume, heartbeat_s, marks, &now, &mut out);
        session.out = out;
        if let Resume::Broken(reason) = resume {
            session.lanes().reset(reason);
        }
        self.flush(id);
    }

    fn set_deadlines(&mut self, id: SessionId) {
        let (tick, now_ms) = (self.tick, self.now_ms);
        let heartbeat = Self::ticks(self.shared.settings.heartbeat_s);
        let Some(session) = self.sessions.get_mut(id.key()) else { return };
        session.heartbeat_at = if is_stream(session.transport) { tick.saturating_add(heartbeat) } else { Tick::MAX };
        if let Some(expires_ms) = session.opener.expires_ms {
            // The present tick has begun already: one more, or the token would end before its time.
            let ticks = expires_ms.saturating_sub(now_ms).div_ceil(TICK_MS) + 1;
            session.expires_at = tick.saturating_add(Tick::try_from(ticks).unwrap_or(Tick::MAX / 2));
        }
        if let Some(poll) = &session.poll {
            let ticks = poll.0.wait_ms.div_ceil(TICK_MS);
            session.deadline_at = tick.saturating_add(Tick::try_from(ticks).unwrap_or(Tick::MAX / 2));
        }
    }

    /// Ends a session in good order: what was begun is finished, the client is told why, and then the socket is closed.
    pub(super) fn close(&mut self, id: SessionId, code: u16, reason: &str) {
        let tick = self.tick;
        let now = crate::realtime::session::Now { ms: self.now_ms, horizon: self.horizon, seal: &self.shared.seal };
        let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
        if session.phase == Phase::Closing {
            return;
        }
        let mut out = std::mem::take(&mut session.out);
        match session.transport {
            Transport::Websocket => fanfare_websocket::close(&mut out, code, reason),
            Transport::Sse => {}
            Transport::LongPoll | Transport::ShortPoll => session.answer(&[], &now, &mut out),
        }
        session.out = out;
        session.phase = Phase::Closing;
        session.lanes = None;
        session.deadline_at = tick.saturating_add(Self::ticks(CLOSING_S));
        self.meter.closed(code);
        self.leave(id);
        self.flush(id);
        self.arm(id);
    }

    /// The client has said goodbye and was answered.
    pub(super) fn close_silently(&mut self, id: SessionId) {
        let tick = self.tick;
        let Some(session) = self.session(id) else { return };
        session.phase = Phase::Closing;
        session.deadline_at = tick.saturating_add(Self::ticks(CLOSING_S));
        self.leave(id);
        self.flush(id);
        self.arm(id);
    }

    /// The last frame of a session is `frame`; then it is closed as one that the server leaves.
    pub(super) fn close_after(&mut self, id: SessionId, frame: &Frame) {
        let now = crate::realtime::session::Now { ms: self.now_ms, horizon: self.horizon, seal: &self.shared.seal };
        let Some(session) = self.sessions.get_mut(id.key()).filter(|session| session.id == id) else { return };
        if session.phase == Phase::Closing {
            return;
        }
        let mut out = std::mem::take(&mut session.out);
        if session.poll.is_some() {
            session.answer(std::slice::from_ref(frame), &now, &mut out);
        } else {
            let deflater = self.deflater.as_mut().filter(|_| session.deflate);
            crate::realtime::wire::append(session.transport, deflater, &mut out, frame, None);
        }
        session.out = out;
        self.close(id, fanfare_websocket::CLOSE_AWAY, "the server stops; come back");
    }

    /// The session no longer counts, and nothing more is sent to it.
    fn leave(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(id.key()) else { return };
        if session.permit.take().is_none() {
            return;
        }
        let (user, transport) = (session.user, session.transport);
        self.shared.sessions.fetch_sub(1, Ordering::Relaxed);
        self.meter.left(transport);
        self.signal(Signal::Left { user, session: id });
    }

    /// Lets go of the socket at once.
    pub(super) fn remove(&mut self, id: SessionId) {
        if self.session(id).is_none() {
            return;
        }
        self.leave(id);
        let mut session = self.sessions.remove(id.key());
        self.shared.sockets.fetch_sub(1, Ordering::Relaxed);
        if let Err(error) = self.poll.registry().deregister(&mut session.socket) {
            tracing::debug!(%error, "a closed session was not watched");
        }
        if self.sessions.capacity() > 1_024 && self.sessions.len() < self.sessions.capacity() / 4 {
            self.sessions.shrink_to_fit();
        }
    }
}

/// Sets the options of a session's socket.
fn prepare(stream: &std::net::TcpStream, offline_after_s: u64) -> std::io::Result<()> {
    stream.set_nonblocking(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_tcp_nodelay(true)?;
    // Half-open connections: what is sent and never acknowledged ends the connection.
    socket.set_tcp_user_timeout(Some(Duration::from_secs(offline_after_s)))?;
    socket.set_tcp_notsent_lowat(UNSENT_BYTES_MAX)
}

fn new_session(
    id: SessionId,
    socket: mio::net::TcpStream,
    opening: Opening,
    allowance: u32,
    (now_ms, tick): (u64, Tick),
) -> Session {
    Session {
        id,
        user: opening.user,
        socket,
        opener: opening.opener,
        connected_ms: now_ms,
        address: opening.address,
        transport: opening.transport,
        deflate: opening.deflate,
        knows: opening.knows,
        told: (!opening.told.is_empty()).then(|| Box::new(opening.told)),
        phase: Phase::Replaying,
        in_urgent: false,
        in_other: false,
        blocked: false,
        under_way: 0,
        offences: 0,
        allowance,
        allowance_at: tick,
        offences_from: tick,
        wheel_at: Tick::MAX,
        heartbeat_at: Tick::MAX,
        seen_at: tick,
        expires_at: Tick::MAX,
        stalled_from: Tick::MAX,
        deadline_at: Tick::MAX,
        out: Vec::new(),
        lanes: None,
        bulk: None,
        reader: fanfare_websocket::Reader::default(),
        from: Some(Box::new(opening.from)),
        poll: opening.poll.map(|wait| Box::new((wait, Vec::new()))),
        permit: Some(opening.permit),
    }
}
