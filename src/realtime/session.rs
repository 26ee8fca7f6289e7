//! Session as its shard sees it: who, by what transport, what waits for it, and its deadlines. Pure but for the
//! socket that it owns.

use std::net::IpAddr;

use fanfare_protocol::{Hello, Id, Lane, Stream, Transport};

use super::announced::AnnouncedDeletions;
use super::attach::{Knows, Opener, PollWait, Resume, SessionPermit};
use super::bulk::Bulk;
use super::cursor::{CursorSeal, StreamCursor, Watermarks, digest, stream_index};
use super::frame::{BULK_STREAM, Frame};
use super::lanes::Lanes;
use super::wheel::Tick;
use super::wire;
use crate::base::limits::realtime::{POLL_FRAMES_MAX, WRITE_SLICE_BYTES};
use fanfare_websocket::Deflater;

/// Session id: shard, slot in the shard, generation of that slot. Also its id for clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(pub u64);

const KEY_BITS: u32 = 24;
const GENERATION_BITS: u32 = 16;
const SHARD_BITS: u32 = 8;

/// Sessions of one shard, at most.
pub const SHARD_SESSIONS_MAX: usize = 1 << KEY_BITS;

impl SessionId {
    /// From its parts; `boot` tells the sessions of one start of the server from those of another.
    #[must_use]
    pub fn new(boot: u16, shard: usize, generation: u16, key: u32) -> Self {
        let boot = u64::from(boot >> 1) << (SHARD_BITS + GENERATION_BITS + KEY_BITS);
        let shard = (shard as u64 & 0xff) << (GENERATION_BITS + KEY_BITS);
        Self(boot | shard | u64::from(generation) << KEY_BITS | u64::from(key) & (SHARD_SESSIONS_MAX as u64 - 1))
    }

    /// The shard.
    #[must_use]
    pub fn shard(self) -> usize {
        (self.0 >> (GENERATION_BITS + KEY_BITS) & 0xff) as usize
    }

    /// Slot in the shard.
    #[must_use]
    pub fn key(self) -> usize {
        (self.0 & (SHARD_SESSIONS_MAX as u64 - 1)) as usize
    }
}

/// Phase of a session's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// `hello` was sent; what was missed is being read, and what comes meanwhile is held.
    Replaying,
    /// Sending what comes.
    Live,
    /// The last bytes are on their way; then the client closes, or a deadline ends it.
    Closing,
}

/// Facts about the moment that encoding needs.
pub struct Now<'a> {
    /// Milliseconds since the Unix epoch.
    pub ms: u64,
    /// Each stream's items up to here have reached the sessions of this shard, and watermarks may not pass it.
    pub horizon: Watermarks,
    /// Seals cursors.
    pub seal: &'a CursorSeal,
}

/// A session.
#[derive(Debug)]
pub struct Session {
    /// Id of the session.
    pub id: SessionId,
    /// Person of the session.
    pub user: Id,
    /// The socket.
    pub socket: mio::net::TcpStream,
    /// Token that opened it.
    pub opener: Opener,
    /// Moment at which it began, milliseconds since the Unix epoch.
    pub connected_ms: u64,
    /// The client's address.
    pub address: IpAddr,
    /// Transport of the session.
    pub transport: Transport,
    /// WebSocket messages may be compressed.
    pub deflate: bool,
    /// Newer types that its client understands.
    pub knows: Knows,
    /// Deletions of accounts of which its client was told by a reset, since it does not know the type.
    pub told: Option<Box<AnnouncedDeletions>>,
    /// Phase of its life.
    pub phase: Phase,
    /// Whether it stands in the line of sessions with something urgent to write.
    pub in_urgent: bool,
    /// Whether it stands in the line of the others.
    pub in_other: bool,
    /// The socket took less than it was given.
    pub blocked: bool,
    /// Frames that were handed on and are not answered yet.
    pub under_way: u8,
    /// Messages that were no frames since `offences_from`.
    pub offences: u8,
    /// Messages that the client may send now, in 1/256.
    pub allowance: u32,
    /// Moment at which `allowance` was brought up to date.
    pub allowance_at: Tick,
    /// Start of the minute in which offences are counted.
    pub offences_from: Tick,
    /// Tick of its live entry in the wheel.
    pub wheel_at: Tick,
    /// Next heartbeat.
    pub heartbeat_at: Tick,
    /// Last sign of life.
    pub seen_at: Tick,
    /// The token ends.
    pub expires_at: Tick,
    /// Tick since which the socket takes nothing; `Tick::MAX`: it does.
    pub stalled_from: Tick,
    /// A poll's answer is due, or a closing socket is cut; `Tick::MAX`: neither.
    pub deadline_at: Tick,
    /// Bytes that the socket did not take yet.
    pub out: Vec<u8>,
    /// Lanes of what waits, made when something does.
    pub lanes: Option<Box<Lanes>>,
    /// Followed posts that wait, made when some do.
    pub bulk: Option<Box<Bulk>>,
    /// Watermarks that the client came with. They are not passed until what it missed is here, and kept for as long as
    /// the shard is behind them.
    pub from: Option<Box<Watermarks>>,
    /// A WebSocket's unfinished message.
    pub reader: fanfare_websocket::Reader,
    /// A waiting poll's, and the head of its answer.
    pub poll: Option<Box<(PollWait, Vec<u8>)>>,
    /// Counts it among the person's sessions; given back when closing begins.
    pub permit: Option<SessionPermit>,
}

impl Session {
    /// Deletions that its client was told of by a reset, made when there is one.
    pub fn told(&mut self) -> &mut AnnouncedDeletions {
        self.told.get_or_insert_default()
    }

    fn cursor(&self, marks: Watermarks, digests: [u16; 4]) -> StreamCursor {
        let told = self.told.as_ref().map_or(0, |told| told.digest(marks[stream_index(Stream::Posts)]));
        StreamCursor { user: self.user, marks, digests, told }
    }

    /// The lanes, made when need be.
    pub fn lanes(&mut self) -> &mut Lanes {
        self.lanes.get_or_insert_default()
    }

    /// Whether something could be written now.
    #[must_use]
    pub fn wants_to_write(&self) -> bool {
        !self.out.is_empty()
            || (self.phase == Phase::Live && self.lanes.as_ref().is_some_and(|lanes| !lanes.is_empty()))
    }

    /// Whether posts that are rendered for it now could be sent at once.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.phase == Phase::Live && !self.blocked && self.out.is_empty()
    }

    /// Whether an urgent frame waits.
    #[must_use]
    pub fn is_urgent(&self) -> bool {
        self.lanes.as_ref().is_some_and(|lanes| lanes.holds(Lane::Urgent))
    }

    /// Bytes that wait for the client to read.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.out.len() + self.lanes.as_ref().map_or(0, |lanes| lanes.bytes())
    }

    /// Watermarks up to which everything was sent, or told of.
    #[must_use]
    pub fn marks(&self, horizon: Watermarks) -> Watermarks {
        let low = |stream: Stream| {
            let lanes = self.lanes.as_ref().and_then(|lanes| lanes.low(stream));
            let bulk = self.bulk.as_ref().filter(|_| stream == BULK_STREAM).and_then(|bulk| bulk.low());
            [lanes, bulk].into_iter().flatten().min()
        };
        Stream::ALL.map(|stream| {
            let horizon = horizon[stream_index(stream)];
            let known = self.from.as_ref().map_or(horizon, |from| {
                let from = from[stream_index(stream)];
                if self.phase == Phase::Replaying { horizon.min(from) } else { horizon.max(from) }
            });
            low(stream).map_or(known, |low| known.min(Id(low.0.saturating_sub(1))))
        })
    }

    /// `hello`, the first frame; written before anything else.
    pub fn hello(&self, resume: Resume, heartbeat_s: u64, marks: Watermarks, now: &Now<'_>, out: &mut Vec<u8>) {
        let cursor = now.seal.seal(&self.cursor(marks, [0; 4]));
        let hello = Hello {
            session_id: Id(self.id.0),
            heartbeat_s,
            resumed: resume == Resume::From,
            transport: self.transport,
            cursor: String::from_utf8_lossy(&cursor).into_owned(),
        };
        let frame = Frame::of_session("hello", now.ms, &hello);
        if self.transport == Transport::Sse {
            wire::sse_id(out, &cursor);
        }
        wire::append(self.transport, None, out, &frame, None);
    }

    /// Moves what goes next from the lanes to `out`, about one slice of bytes. Of a poll it is the whole answer.
    ///
    /// All frames but the last carry the cursor from before all of them, the last one that from after: a client that
    /// lost the connection in between gets the rest again.
    pub fn fill(&mut self, now: &Now<'_>, mut deflater: Option<&mut Deflater>, out: &mut Vec<u8>) {
        if self.phase != Phase::Live {
            return;
        }
        let before = self.marks(now.horizon);
        let Some(lanes) = &mut self.lanes else { return };
        let (mut frames, mut bytes) = (smallvec::SmallVec::<[Frame; 8]>::new(), 0);
        let is_poll = self.poll.is_some();
        let (frames_max, bytes_max) =
            if is_poll { (POLL_FRAMES_MAX, usize::MAX) } else { (usize::MAX, WRITE_SLICE_BYTES) };
        while bytes < bytes_max && frames.len() < frames_max {
            let Some(frame) = lanes.pop(now.ms) else { break };
            bytes += frame.wire_bytes();
            frames.push(frame);
        }
        if lanes.is_empty() {
            self.lanes = None;
        }
        if frames.is_empty() {
            return;
        }
        if is_poll {
            return self.answer(&frames, now, out);
        }
        let last = frames.iter().rposition(|frame| frame.items().is_some());
        let seal = |session: &Self, marks| now.seal.seal(&session.cursor(marks, [0; 4]));
        let mut cursor = last.map(|_| seal(self, before));
        for (at, frame) in frames.iter().enumerate() {
            if last == Some(at) {
                let after = self.marks(now.horizon);
                if after != before {
                    cursor = Some(seal(self, after));
                }
            }
            let id = cursor.as_ref().filter(|_| frame.items().is_some());
            let deflater = deflater.as_deref_mut().filter(|_| self.deflate);
            wire::append(self.transport, deflater, out, frame, id);
        }
    }

    /// The whole answer of a waiting poll; `frames` may be empty. The session closes when it is written.
    pub fn answer(&mut self, frames: &[Frame], now: &Now<'_>, out: &mut Vec<u8>) {
        let Some(poll) = self.poll.take() else { return };
        let marks = self.marks(now.horizon);
        let sent = frames.iter().filter_map(Frame::items);
        let sent = sent.flat_map(|items| items.ids.iter().map(|id| (stream_index(items.stream), *id)));
        let mut ids: Vec<(usize, Id)> = poll.0.overlap.iter().copied().chain(sent).collect();
        ids.sort_unstable();
        ids.dedup();
        let digests = std::array::from_fn(|stream| {
            digest(ids.iter().filter(|(of, id)| *of == stream && *id > marks[stream]).map(|(_, id)| *id))
        });
        let cursor = now.seal.seal(&self.cursor(marks, digests));
        let mut body = Vec::new();
        wire::poll_body(&mut body, frames, &cursor);
        wire::poll_answer(out, &poll.1, &body);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_id_holds_its_parts_and_stays_positive() {
        let id = SessionId::new(u16::MAX, 63, u16::MAX, SHARD_SESSIONS_MAX as u32 - 1);
        assert_eq!((id.shard(), id.key()), (63, SHARD_SESSIONS_MAX - 1));
        assert!(i64::try_from(id.0).is_ok());
    }

    #[test]
    fn an_idle_session_is_small() {
        assert!(size_of::<Session>() <= 320, "{} bytes", size_of::<Session>());
    }
}
