//! Connection: how it is opened, what it asks for, and what it makes of the bytes that come.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Instant;

use jsonwebtoken::EncodingKey;
use mio::net::TcpStream;
use serde::Deserialize;
use serde_json::value::RawValue;
use socket2::{Domain, Protocol, Socket, Type};

use super::counts::Counts;
use super::protocol::{Connect, Kind};
use super::wire::{self, Frame, opcode};

/// Addresses that connections are opened from in turn, so that ports do not run out.
const SOURCES: usize = 8;
/// Bytes of the receive buffer of slow connections: soon full, and not so small that TCP only probes it.
const SLOW_BUFFER_BYTES: usize = 32 << 10;
/// Seconds that a long poll waits.
const POLL_WAIT_S: u32 = 60;
/// Key of every WebSocket handshake, the example of RFC 6455.
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// Bytes of an answer that are shown when it is not what was wanted.
const SHOWN_BYTES: usize = 300;
/// The channel of everybody at Centrifugo.
pub const CHANNEL: &str = "news";

/// Connections to open, with the key for tokens.
pub struct Plan {
    /// Connections that were asked for.
    pub connect: Connect,
    key: EncodingKey,
}

impl Plan {
    /// Ready to sign.
    pub fn new(connect: Connect) -> Self {
        let key = EncodingKey::from_secret(connect.secret.as_bytes());
        Self { connect, key }
    }

    /// Begins to connect from the address that is `turn`'s.
    pub fn open(&self, turn: usize, slow: bool) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        if slow {
            socket.set_recv_buffer_size(SLOW_BUFFER_BYTES)?;
        }
        let source = Ipv4Addr::from_bits(self.connect.source.to_bits() + (turn % SOURCES) as u32);
        socket.bind(&SocketAddr::new(IpAddr::V4(source), 0).into())?;
        match socket.connect(&self.connect.address.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => Err(error),
            _ => Ok(TcpStream::from_std(socket.into())),
        }
    }

    fn token(&self, user: usize) -> Result<String, String> {
        token(&self.key, user).map_err(|error| error.to_string())
    }

    /// Request that a new connection sends first.
    fn request(&self, user: usize, cursor: Option<&str>) -> Result<Vec<u8>, String> {
        let host = self.connect.address;
        let upgrade = format!(
            "connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {WEBSOCKET_KEY}\r\n"
        );
        let (path, more) = match self.connect.kind {
            Kind::Silent => return Ok(Vec::new()),
            Kind::Centrifugo => ("/connection/websocket".to_owned(), upgrade),
            Kind::Websocket => (format!("/v1/realtime?v=1{}", parameter(cursor)), upgrade),
            Kind::Sse => (format!("/v1/realtime/sse?v=1{}", parameter(cursor)), String::new()),
            Kind::LongPoll => (format!("/v1/realtime/poll?v=1&wait={POLL_WAIT_S}{}", parameter(cursor)), String::new()),
        };
        let token = match self.connect.kind {
            Kind::Centrifugo => String::new(),
            _ => format!("authorization: Bearer {}\r\n", self.token(user)?),
        };
        Ok(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{token}{more}\r\n").into_bytes())
    }
}

/// The token of a person, good for both servers.
pub fn token(key: &EncodingKey, user: usize) -> Result<String, jsonwebtoken::errors::Error> {
    // 2100: no run lasts longer.
    // With `iat`: a token without it is remembered by the server, which would be measured too.
    let (sub, iat, exp) = (format!("person{user}"), 1_700_000_000_u64, 4_102_444_800_u64);
    let claims = serde_json::json!({ "sub": sub, "iat": iat, "exp": exp, "channels": [CHANNEL] });
    jsonwebtoken::encode(&jsonwebtoken::Header::default(), &claims, key)
}

fn parameter(cursor: Option<&str>) -> String {
    cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"))
}

/// Phase of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No connection.
    Closed,
    /// The kernel connects.
    Connecting,
    /// The head of the answer is awaited.
    Head,
    /// WebSocket frames come.
    Frames,
    /// Lines of events come.
    Lines,
    /// The body of a poll's answer, of this length, is awaited.
    Body(usize),
}

/// Step of the loop after bytes were taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Read on.
    Read,
    /// Open a connection for the next poll.
    Again,
    /// End of the connection.
    Lost(String),
}

/// Connection.
pub struct Connection {
    /// The socket.
    pub stream: Option<TcpStream>,
    /// Phase that it is in.
    pub phase: Phase,
    /// Index of its plan.
    pub plan: u16,
    /// Number of its person.
    pub user: usize,
    /// Number among the connections of the process.
    pub number: usize,
    /// Times it was opened.
    pub turns: usize,
    /// Said hello, and is not lost.
    pub alive: bool,
    /// Counts among those that are being opened.
    pub opening: bool,
    /// Stops reading when told to.
    pub slow: bool,
    /// Events since the mark.
    pub events: u32,
    /// Moment at which a `drain` asked it to come back.
    pub back_at: Option<Instant>,
    cursor: Option<Box<str>>,
    /// The beginning of what has not come whole.
    rest: Vec<u8>,
}

#[derive(Deserialize)]
struct Polled<'a> {
    #[serde(borrow)]
    events: Vec<&'a RawValue>,
    cursor: String,
}

impl Connection {
    /// Connection that is not opened yet.
    pub fn new(plan: u16, user: usize, number: usize, slow: bool) -> Self {
        Self {
            stream: None,
            phase: Phase::Closed,
            plan,
            user,
            number,
            turns: 0,
            alive: false,
            opening: true,
            slow,
            events: 0,
            back_at: None,
            cursor: None,
            rest: Vec::new(),
        }
    }

    /// Bytes to send when it is connected; from then on the answer is awaited.
    pub fn greet(&mut self, plan: &Plan) -> Result<Vec<u8>, String> {
        self.phase = Phase::Head;
        self.rest = Vec::new();
        match plan.connect.kind {
            Kind::Silent => self.phase = Phase::Frames,
            // The first poll brings the cursor, the next one waits.
            Kind::LongPoll => self.alive |= self.cursor.is_some(),
            _ => {}
        }
        plan.request(self.user, self.cursor.as_deref())
    }

    /// Takes what came; `answer` gets what is to be sent.
    pub fn take(&mut self, bytes: &[u8], plan: &Plan, counts: &mut Counts, now_ns: u64, answer: &mut Vec<u8>) -> Next {
        if self.rest.is_empty() {
            let (used, next) = self.parse(bytes, plan, counts, now_ns, answer);
            self.rest.extend_from_slice(&bytes[used..]);
            return next;
        }
        let mut whole = std::mem::take(&mut self.rest);
        whole.extend_from_slice(bytes);
        let (used, next) = self.parse(&whole, plan, counts, now_ns, answer);
        self.rest = whole[used..].to_vec();
        next
    }

    fn parse(
        &mut self,
        bytes: &[u8],
        plan: &Plan,
        counts: &mut Counts,
        now_ns: u64,
        answer: &mut Vec<u8>,
    ) -> (usize, Next) {
        let mut used = 0;
        loop {
            let left = &bytes[used..];
            let (step, next) = match self.phase {
                Phase::Head => self.head(left, plan, answer),
                Phase::Frames => match wire::websocket_frame(left) {
                    Some((code, payload, whole)) => (whole, self.message(code, payload, plan, counts, now_ns, answer)),
                    None => (0, Next::Read),
                },
                Phase::Lines => match wire::line(left) {
                    Some((line, whole)) => {
                        if let Some(text) = line.strip_prefix(b"data: ") {
                            self.frame(text, plan, counts, now_ns);
                        }
                        (whole, Next::Read)
                    }
                    None => (0, Next::Read),
                },
                Phase::Body(length) => match left.get(..length) {
                    Some(body) => (length, self.polled(body, plan, counts, now_ns)),
                    None => (0, Next::Read),
                },
                Phase::Closed | Phase::Connecting => (left.len(), Next::Read),
            };
            used += step;
            if step == 0 || next != Next::Read {
                return (used, next);
            }
        }
    }

    fn head(&mut self, bytes: &[u8], plan: &Plan, answer: &mut Vec<u8>) -> (usize, Next) {
        let Some((status, length, whole)) = wire::head(bytes) else { return (0, Next::Read) };
        self.phase = match (plan.connect.kind, status) {
            (Kind::Websocket | Kind::Centrifugo, 101) => Phase::Frames,
            (Kind::Sse, 200) => Phase::Lines,
            (Kind::LongPoll, 200) => Phase::Body(length.unwrap_or(0)),
            _ => {
                let said = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
                return (whole, Next::Lost(said));
            }
        };
        if plan.connect.kind == Kind::Centrifugo {
            match plan.token(self.user) {
                Ok(token) => {
                    let text = format!(r#"{{"id":1,"connect":{{"token":"{token}"}}}}"#);
                    answer.extend_from_slice(&wire::masked_text(&text));
                }
                Err(error) => return (whole, Next::Lost(error)),
            }
        }
        (whole, Next::Read)
    }

    fn message(
        &mut self,
        code: u8,
        payload: &[u8],
        plan: &Plan,
        counts: &mut Counts,
        now_ns: u64,
        answer: &mut Vec<u8>,
    ) -> Next {
        match code {
            opcode::TEXT if plan.connect.kind == Kind::Centrifugo => {
                // Centrifugo may put several replies into one message, a line each.
                for text in payload.split(|byte| *byte == b'\n') {
                    match counts.frame(text, now_ns, &mut self.events, !self.slow) {
                        Frame::Connected => self.alive = true,
                        Frame::Ping => answer.extend_from_slice(&wire::masked(opcode::TEXT, b"{}")),
                        _ => {}
                    }
                }
                Next::Read
            }
            opcode::TEXT => {
                self.frame(payload, plan, counts, now_ns);
                Next::Read
            }
            opcode::PING => {
                answer.extend_from_slice(&wire::masked(opcode::PONG, payload));
                Next::Read
            }
            opcode::CLOSE => {
                answer.extend_from_slice(&wire::masked(opcode::CLOSE, payload));
                let code = payload.get(..2).map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
                Next::Lost(format!("closed with {code}"))
            }
            _ => Next::Read,
        }
    }

    fn frame(&mut self, text: &[u8], plan: &Plan, counts: &mut Counts, now_ns: u64) {
        match counts.frame(text, now_ns, &mut self.events, !self.slow) {
            Frame::Hello(_) => self.alive = true,
            Frame::Drain(after_ms) => {
                self.back_at = Some(Instant::now() + std::time::Duration::from_millis(after_ms));
            }
            frame @ (Frame::Message | Frame::Reply) => {
                if let Some(talking) = &mut counts.talking {
                    talking.came(self.number, text, frame == Frame::Reply);
                }
            }
            _ => {}
        }
        if plan.connect.comes_back
            && let Some(cursor) = wire::cursor(text)
        {
            self.cursor = Some(cursor.into());
        }
    }

    fn polled(&mut self, body: &[u8], plan: &Plan, counts: &mut Counts, now_ns: u64) -> Next {
        let answer: Polled<'_> = match serde_json::from_slice(body) {
            Ok(answer) => answer,
            Err(error) => return Next::Lost(error.to_string()),
        };
        let alive = self.alive;
        for event in answer.events {
            self.frame(event.get().as_bytes(), plan, counts, now_ns);
        }
        self.alive = alive;
        self.cursor = Some(answer.cursor.into());
        Next::Again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(kind: Kind) -> Plan {
        Plan::new(Connect {
            address: SocketAddr::from(([127, 0, 0, 1], 1)),
            kind,
            count: 1,
            first_user: 0,
            secret: "a secret of at least sixteen bytes".to_owned(),
            source: Ipv4Addr::LOCALHOST,
            slow_every: 0,
            comes_back: true,
        })
    }

    #[test]
    fn a_socket_counts_frames_however_they_are_cut_and_answers_pings() {
        let (plan, mut counts) = (plan(Kind::Websocket), Counts::default());
        let mut bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec();
        bytes.extend(wire::text_frame(br#"{"type":"hello","data":{"resumed":false,"cursor":"C"}}"#));
        bytes.extend(wire::text_frame(br#"{"type":"bench.event","data":{"text":"sent_ns=5"}}"#));
        bytes.extend([0x89, 1, b'p']);
        for piece in 1..bytes.len() {
            counts.mark(true);
            let mut connection = Connection::new(0, 7, 0, false);
            connection.greet(&plan).unwrap();
            let mut answer = Vec::new();
            for part in bytes.chunks(piece) {
                assert_eq!(connection.take(part, &plan, &mut counts, 2_005, &mut answer), Next::Read);
            }
            let report = counts.report();
            assert!(connection.alive);
            assert_eq!((report.hellos, report.events, report.reached, report.timed), (1, 1, 1, 1));
            assert_eq!((report.p50_us, connection.cursor.as_deref()), (2.0, Some("C")));
            assert_eq!(answer, wire::masked(opcode::PONG, b"p"));
        }
    }

    #[test]
    fn events_of_a_stream_and_of_a_poll_are_counted() {
        let mut counts = Counts::default();
        let mut stream = Connection::new(0, 1, 0, false);
        let sse = plan(Kind::Sse);
        stream.greet(&sse).unwrap();
        let bytes = b"HTTP/1.1 200 OK\r\n\r\nid: C\ndata: {\"type\":\"hello\",\"data\":{}}\n\n: hb\n\ndata: {\"type\":\"gap\"}\n\n";
        assert_eq!(stream.take(bytes, &sse, &mut counts, 1, &mut Vec::new()), Next::Read);
        assert!(stream.alive);
        let mut poller = Connection::new(0, 1, 0, false);
        let polls = plan(Kind::LongPoll);
        poller.greet(&polls).unwrap();
        let body = r#"{"events":[{"type":"hello","data":{"cursor":"A"}}],"cursor":"B"}"#;
        let text = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(poller.take(text.as_bytes(), &polls, &mut counts, 1, &mut Vec::new()), Next::Again);
        assert!(!poller.alive, "it waits only with the next request");
        let request = poller.greet(&polls).unwrap();
        assert!(poller.alive && String::from_utf8(request).unwrap().contains("&cursor=B "));
        assert_eq!((counts.report.hellos, counts.report.gaps), (2, 1));
    }

    #[test]
    fn a_refusal_says_what_was_answered() {
        let (plan, mut counts) = (plan(Kind::Sse), Counts::default());
        let mut connection = Connection::new(0, 1, 0, false);
        connection.greet(&plan).unwrap();
        let next = connection.take(b"HTTP/1.1 401 No\r\n\r\n{}", &plan, &mut counts, 1, &mut Vec::new());
        assert!(matches!(next, Next::Lost(said) if said.contains("401")));
    }
}
