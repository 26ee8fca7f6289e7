//! Doorstep of a connection: plain requests that the door answers are read and answered here, before hyper has the
//! connection.
//!
//! A redirect costs little more than a read and a write, and as much again were the objects of an HTTP library. Heads
//! are parsed by `httparse`, as hyper does it, and answered are those alone of which nothing could be taken in another
//! way: GET or HEAD by HTTP/1.1, of a path without anything to decode, with one `Host`, without a body, and without
//! headers that say something about the connection or that the router would look at. At the first that is anything
//! else, and wherever the door does not answer, the connection is handed on with all that was read and not answered,
//! and hyper has it from then on: it finds what it would have found without a doorstep.

use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use bytes::Bytes;
use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout};

use super::HttpState;
use super::door::{AtDoor, BEGINS, DoorAnswer, Doorway, Heard, is_short_host};
use super::layer::is_logged;
use super::server::Connections;
use super::wire::Watched;
use crate::base::limits::http::{PLAIN_FIELDS_MAX, PLAIN_HEAD_BYTES_MAX};

/// Rest of a connection that has left the doorstep.
pub(super) enum Left {
    /// Nothing: it has ended.
    Nothing,
    /// A request that is not plain, with all that was read behind it; nothing of it was answered.
    Unread(Bytes),
}

/// Outcome of a look at the first bytes that are left.
enum Found {
    /// A request of so many bytes, which is answered.
    Answered(usize),
    /// A part of a head.
    Part,
    /// A request for what is at this path, which is not in memory.
    Unknown(String),
    /// Something that is hyper's.
    Other,
}

/// Step that comes next, once all that was answered is written.
enum Next {
    Read,
    Learn(String),
    HandOn,
}

/// Reason to look up from the socket.
enum Turn {
    Left(Left),
    Learn(String),
}

struct Doorstep<'a> {
    http: &'a HttpState,
    stream: &'a mut Watched,
    peer: SocketAddr,
    stop: &'a Connections,
    /// Bytes that were read and are of no request that was answered.
    unread: Vec<u8>,
    /// Answers, of which the first bytes are written.
    answers: Vec<u8>,
    written: usize,
    next: Next,
    /// The door learnt a moment ago what is asked for.
    is_learnt: bool,
    /// Nothing was answered yet.
    is_fresh: bool,
    /// Moment since which a head is awaited.
    since: Instant,
    headers: HeaderMap,
    date: Date,
}

/// Answers what is plain on `stream`, until something is not. As hyper does it, a head may take `head_timeout`, a drain
/// ends a connection that has been answered and asks for nothing, and one that has asked for nothing yet is served
/// once.
pub(super) async fn stand(
    http: &HttpState,
    (stream, peer): (&mut Watched, SocketAddr),
    stop: &Connections,
    head_timeout: Duration,
) -> Left {
    let since = Instant::now();
    let (unread, answers, headers, date) = (Vec::new(), Vec::new(), HeaderMap::new(), Date::default());
    let (written, next, is_learnt, is_fresh) = (0, Next::Read, false, true);
    let mut step = Doorstep {
        http,
        stream,
        peer,
        stop,
        unread,
        answers,
        written,
        next,
        is_learnt,
        is_fresh,
        since,
        headers,
        date,
    };
    let (mut drained, mut cut) = (pin!(stop.drain.cancelled()), pin!(stop.cut.cancelled()));
    let mut timer = pin!(sleep_until(since + head_timeout));
    // All of these wake the same task: they are asked once, and again when they have something to say.
    let mut told: Option<Waker> = None;
    loop {
        let turn = poll_fn(|context| {
            if !told.as_ref().is_some_and(|told| told.will_wake(context.waker())) {
                // What they have to say is seen below, wherever it is said from now on.
                let _ = (drained.as_mut().poll(context), timer.as_mut().poll(context));
                told = Some(context.waker().clone());
            }
            if let Poll::Ready(turn) = step.poll(context) {
                return Poll::Ready(turn);
            }
            if stop.is_draining() && cut.as_mut().poll(context).is_ready() {
                return Poll::Ready(Turn::Left(Left::Nothing));
            }
            if timer.is_elapsed() {
                while timer.as_mut().poll(context).is_ready() {
                    if step.is_late(head_timeout) {
                        return Poll::Ready(Turn::Left(Left::Nothing));
                    }
                    timer.as_mut().reset(step.due(head_timeout));
                }
            }
            Poll::Pending
        });
        match turn.await {
            Turn::Left(left) => return left,
            Turn::Learn(path) => tokio::select! {
                () = step.learn(&path) => {}
                () = cut.as_mut() => return Left::Nothing,
            },
        }
    }
}

impl Doorstep<'_> {
    /// Moment at which a head that is awaited has taken too long. While answers wait to be read there is none, and
    /// whoever watches the socket ends that.
    fn due(&self, head_timeout: Duration) -> Instant {
        if self.answers.is_empty() { self.since + head_timeout } else { Instant::now() + head_timeout }
    }

    fn is_late(&self, head_timeout: Duration) -> bool {
        let now = Instant::now();
        let is_late = now >= self.due(head_timeout);
        if is_late {
            tracing::debug!(peer = %self.peer, "a connection asked for nothing in time");
        }
        is_late
    }

    /// Reads and answers until the socket has no more to give or to take.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        loop {
            while self.written < self.answers.len() {
                match Pin::new(&mut *self.stream).poll_write(context, &self.answers[self.written..]) {
                    Poll::Ready(Ok(bytes)) if bytes > 0 => self.written += bytes,
                    Poll::Ready(_) => return Poll::Ready(Turn::Left(Left::Nothing)),
                    Poll::Pending => return Poll::Pending,
                }
            }
            if self.written > 0 {
                self.answers.clear();
                self.written = 0;
                // A socket has nothing to flush, and whoever watches it hears that all is written.
                let _ = Pin::new(&mut *self.stream).poll_flush(context);
            }
            match std::mem::replace(&mut self.next, Next::Read) {
                Next::Read => {}
                Next::Learn(path) => return Poll::Ready(Turn::Learn(path)),
                Next::HandOn => return Poll::Ready(Turn::Left(self.unread())),
            }
            if self.stop.is_draining() {
                let is_idle = self.unread.is_empty() && !self.is_fresh;
                return Poll::Ready(Turn::Left(if is_idle { Left::Nothing } else { self.unread() }));
            }
            let mut space = [MaybeUninit::uninit(); PLAIN_HEAD_BYTES_MAX];
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut *self.stream).poll_read(context, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => self.take(read.filled()),
                Poll::Ready(_) => return Poll::Ready(Turn::Left(Left::Nothing)),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn unread(&mut self) -> Left {
        Left::Unread(std::mem::take(&mut self.unread).into())
    }

    /// Looks at what was read, with what is left of before.
    fn take(&mut self, read: &[u8]) {
        if self.unread.is_empty() {
            // As nearly always: whole requests are not copied.
            let answered = self.answer_all(read);
            self.unread.extend_from_slice(&read[answered..]);
            return;
        }
        let mut whole = std::mem::take(&mut self.unread);
        whole.extend_from_slice(read);
        let answered = self.answer_all(&whole);
        whole.drain(..answered);
        self.unread = whole;
    }

    /// Answers the plain requests that `bytes` begin with; answers how many bytes those are, and notes what comes next.
    fn answer_all(&mut self, bytes: &[u8]) -> usize {
        let mut answered = 0;
        self.next = Next::Read;
        while answered < bytes.len() {
            match self.look(&bytes[answered..]) {
                Found::Answered(length) => {
                    answered += length;
                    (self.is_learnt, self.is_fresh) = (false, false);
                    continue;
                }
                Found::Part => {}
                Found::Unknown(path) if !self.is_learnt => self.next = Next::Learn(path),
                Found::Unknown(_) | Found::Other => self.next = Next::HandOn,
            }
            break;
        }
        answered
    }

    /// Has the door learn what is at `path`, and looks again. Where that takes too long, hyper's way does too.
    async fn learn(&mut self, path: &str) {
        let place = Arc::clone(self.http.in_flight()).try_acquire_owned();
        if let (Some(door), Ok(_place)) = (self.http.door(), place) {
            let bound = Duration::from_secs(self.http.settings().request_timeout_s);
            let _ = timeout(bound, door.door().learn(path)).await;
        }
        self.is_learnt = true;
        let whole = std::mem::take(&mut self.unread);
        let answered = self.answer_all(&whole);
        self.unread = whole;
        self.unread.drain(..answered);
    }

    /// Looks at the request that `bytes` begin with, and answers it if it is plain and the door knows it.
    fn look(&mut self, bytes: &[u8]) -> Found {
        let short = self.http.short_host();
        if !may_be_plain(bytes, if short.is_none() { BEGINS } else { "/" }) {
            return Found::Other;
        }
        let mut fields = [MaybeUninit::uninit(); PLAIN_FIELDS_MAX];
        let mut head = httparse::Request::new(&mut []);
        let length = match head.parse_with_uninit_headers(bytes, &mut fields) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) if bytes.len() < PLAIN_HEAD_BYTES_MAX => return Found::Part,
            Ok(httparse::Status::Partial) | Err(_) => return Found::Other,
        };
        let started = Instant::now();
        let Some(door) = self.http.door() else { return Found::Other };
        let (Some("GET" | "HEAD"), Some(1), Some(target)) = (head.method, head.version, head.path) else {
            return Found::Other;
        };
        let is_head = head.method == Some("HEAD");
        let path = target.split('?').next().unwrap_or_default();
        // Each request has its line in the log, or none has: then nobody needs to know what it would say.
        if is_logged() || self.stop.is_draining() || !target.bytes().all(is_plain_byte) {
            return Found::Other;
        }
        if read_fields(&mut self.headers, (bytes, length), head.headers).is_none() {
            return Found::Other;
        }
        let host = self.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        let of_links;
        let path = match short {
            Some(short) if host.is_some_and(|host| is_short_host(short, host)) => {
                of_links = format!("/s{path}");
                of_links.as_str()
            }
            _ => path,
        };
        if !path.starts_with(BEGINS) {
            return Found::Other;
        }
        let asked = AtDoor { path, headers: &self.headers, peer: self.peer, is_head };
        match door.ask(self.http, &asked) {
            Heard::Answered(answer) => self.answer(door, &answer, is_head, started),
            Heard::Unknown => return Found::Unknown(path.to_owned()),
            Heard::Closed | Heard::Panicked(_) => return Found::Other,
        }
        Found::Answered(length)
    }

    fn answer(&mut self, door: &Doorway, DoorAnswer { prepared, route }: &DoorAnswer, is_head: bool, started: Instant) {
        door.write(prepared, &self.headers, self.date.now(), &mut self.answers);
        let method = if is_head { &Method::HEAD } else { &Method::GET };
        self.since = Instant::now();
        self.http.meter().record(route, method, prepared.status(), self.since - started);
    }
}

/// Whether `bytes`, which may be a part, begin as a request for a path that begins with `begins`.
fn may_be_plain(bytes: &[u8], begins: &str) -> bool {
    let begins_with = |known: &[u8]| {
        let both = known.len().min(bytes.len());
        bytes[..both] == known[..both]
    };
    ["GET ", "HEAD "].iter().any(|method| {
        let rest = bytes.get(method.len()..).unwrap_or_default();
        let both = begins.len().min(rest.len());
        begins_with(method.as_bytes()) && rest[..both] == begins.as_bytes()[..both]
    })
}

/// Whether a byte of a target means itself and nothing else, to whoever reads it.
const fn is_plain_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.' | b'~' | b'?' | b'=' | b'&' | b'%' | b'+')
}

/// Takes the headers of a head, which is the first `length` of `bytes`; nothing where they are not plain.
fn read_fields(into: &mut HeaderMap, (bytes, length): (&[u8], usize), fields: &[httparse::Header<'_>]) -> Option<()> {
    into.clear();
    let head = Bytes::copy_from_slice(&bytes[..length]);
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        match name {
            // About a body or the connection, or what the router looks at.
            header::CONTENT_LENGTH
            | header::TRANSFER_ENCODING
            | header::EXPECT
            | header::UPGRADE
            | header::ORIGIN
            | header::AUTHORIZATION => return None,
            header::CONNECTION if !field.value.eq_ignore_ascii_case(b"keep-alive") => return None,
            header::HOST if into.contains_key(header::HOST) => return None,
            _ => {}
        }
        // Parts of one piece: nothing of it is copied again.
        let from = (field.value.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
        let value = match head.get(from..from.wrapping_add(field.value.len())) {
            Some(value) if value == field.value => HeaderValue::from_maybe_shared(head.slice_ref(value)),
            _ => HeaderValue::from_bytes(field.value),
        };
        into.append(name, value.ok()?);
    }
    into.contains_key(header::HOST).then_some(())
}

/// The `Date` of answers, made once a second.
#[derive(Default)]
struct Date {
    second: u64,
    text: String,
}

impl Date {
    fn now(&mut self) -> &[u8] {
        let now = SystemTime::now();
        let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if second != self.second || self.text.is_empty() {
            (self.second, self.text) = (second, httpdate::fmt_http_date(now));
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_become_plain_is_seen_at_its_first_bytes() {
        for plain in ["", "G", "GET ", "GET /s/", "HEAD /", "HEAD /s/abc HTTP/1.1\r\n", "H"] {
            assert!(may_be_plain(plain.as_bytes(), BEGINS), "{plain}");
        }
        for other in ["P", "POST /s/a", "GET /v1", "GET  /s/", "get /s/a", "\r\nGET /s/a", "HEADS", "GET http://a/s/b"]
        {
            assert!(!may_be_plain(other.as_bytes(), BEGINS), "{other}");
        }
        assert!(may_be_plain(b"GET /abc", "/"));
    }

    fn fields(lines: &str) -> Option<HeaderMap> {
        let text = format!("GET /s/a HTTP/1.1\r\n{lines}\r\n");
        let mut space = [MaybeUninit::uninit(); 8];
        let mut head = httparse::Request::new(&mut []);
        let parsed = head.parse_with_uninit_headers(text.as_bytes(), &mut space).unwrap();
        let httparse::Status::Complete(length) = parsed else { panic!("{text:?} is a part") };
        let mut headers = HeaderMap::new();
        headers.append("left", HeaderValue::from_static("over"));
        read_fields(&mut headers, (text.as_bytes(), length), head.headers).map(|()| headers)
    }

    #[test]
    fn headers_are_taken_as_they_are_and_none_that_says_more() {
        let read = fields("Host: a\r\nX-One: 1\r\nx-one:  2 \r\nEmpty:\r\nConnection: Keep-Alive\r\n").unwrap();
        let values: Vec<_> = read.get_all("x-one").iter().map(|value| value.to_str().unwrap()).collect();
        assert_eq!((values, read.len()), (vec!["1", "2"], 5));
        assert_eq!(read["empty"], "");
        for other in [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nConnection: close\r\n",
            "Host: a\r\nConnection: keep-alive, upgrade\r\n",
            "Host: a\r\nContent-Length: 0\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\n",
            "Host: a\r\nOrigin: null\r\n",
            "Host: a\r\nexpect: 100-continue\r\n",
            "Host: a\r\nUPGRADE: h2c\r\n",
            "Host: a\r\nAuthorization: Bearer x\r\n",
        ] {
            assert!(fields(other).is_none(), "{other:?}");
        }
    }
}
