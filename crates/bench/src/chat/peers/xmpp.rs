//! People who talk over XMPP: as many sessions, pairs and rooms as there are people, pairs and groups, on one thread.
//!
//! A message is under way until the other one of a pair has it, or until it comes back to its sender, as those of rooms
//! do.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fanfare_engines::random::Random;
use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::realtime::client::talk::Lines;
use super::tally::{DIGITS, Said, Tally, number, text};
use super::{BenchError, Result};

/// Opening of a stream.
const OPENING: &str = "<?xml version='1.0'?><stream:stream to='localhost' xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
/// Tag before a message's text.
const BODY: &[u8] = b"<body>";
/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;
/// Sessions that are opened at once.
const AT_ONCE: usize = 64;
/// Longest wait for an answer while they are, and for the last messages.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// Messages after which what came is read.
const TURN: u64 = 64;

/// A session that hears.
struct Ear {
    stream: OwnedReadHalf,
    rest: Vec<u8>,
}

/// Sessions of people, each under a name with their number.
pub struct Talkers {
    runtime: Runtime,
    lines: Lines,
    ears: Vec<Ear>,
    mouths: Vec<OwnedWriteHalf>,
    random: Random,
    /// Number of the next message.
    next: u64,
}

fn closed() -> BenchError {
    BenchError::Wrong("a session over XMPP was closed".to_owned())
}

/// A session while it is set up: it asks and waits.
struct Session {
    stream: TcpStream,
}

impl Session {
    /// Registers somebody and logs them in.
    async fn open(address: SocketAddr, number: usize) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let mut session = Self { stream };
        session.ask(OPENING, b"</stream:features>").await?;
        let name = format!("u{number}");
        let account = format!("<username>{name}</username><password>p</password>");
        let register = format!("<iq type='set' id='r'><query xmlns='jabber:iq:register'>{account}</query></iq>");
        session.ask(&register, b"id='r'").await?;
        let secret = STANDARD.encode(format!("\0{name}\0p"));
        let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>";
        session.ask(&format!("{auth}{secret}</auth>"), b"<success").await?;
        session.ask(OPENING, b"</stream:features>").await?;
        let bind = "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>x</resource></bind>";
        session.ask(&format!("<iq type='set' id='b'>{bind}</iq>"), b"</jid>").await?;
        session.ask("<presence/>", b"<presence").await?;
        Ok(session)
    }

    /// Comes into a room, which is made where it is not there.
    async fn join(&mut self, room: u64, number: usize) -> Result<()> {
        let muc = "<x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x>";
        let presence = format!("<presence to='g{room}@conference.localhost/u{number}'>{muc}</presence>");
        self.ask(&presence, b"<subject").await
    }

    /// Sends something, and reads until what must come is there.
    async fn ask(&mut self, text: &str, until: &[u8]) -> Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        let (mut read, mut buffer) = (Vec::new(), vec![0; READ_BYTES]);
        while memchr::memmem::find(&read, until).is_none() {
            let count = tokio::time::timeout(ANSWER_MAX, self.stream.read(&mut buffer)).await;
            match count.map_err(|_| BenchError::Wrong(format!("no answer over XMPP to {text}")))?? {
                0 => return Err(BenchError::Wrong(format!("closed: {}", String::from_utf8_lossy(&read)))),
                count => read.extend_from_slice(&buffer[..count]),
            }
        }
        Ok(())
    }
}

/// Tells the number of each message in what was read, and leaves what may be the beginning of one.
fn take_numbers(read: &mut Vec<u8>, mut tell: impl FnMut(u64)) {
    let (mut at, mut keep) = (0, None);
    while let Some(found) = memchr::memmem::find(&read[at..], BODY) {
        let from = at + found + BODY.len();
        let Some(digits) = read.get(from..from + DIGITS) else {
            keep = Some(at + found);
            break;
        };
        if let Some(number) = number(digits) {
            tell(number);
        }
        at = from + DIGITS;
    }
    // The beginning of a tag may be the end of what was read.
    let keep = keep.unwrap_or_else(|| at.max(read.len().saturating_sub(BODY.len() - 1)));
    read.drain(..keep);
}

impl Ear {
    /// Reads without end; tells of each message.
    async fn hear(&mut self, session: usize, tally: &RefCell<Tally>, changed: &Notify) -> std::io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match self.stream.read(&mut buffer).await? {
                0 => return Ok(()),
                count => self.rest.extend_from_slice(&buffer[..count]),
            }
            take_numbers(&mut self.rest, |number| {
                let mut tally = tally.borrow_mut();
                if tally.came(session, number) {
                    tally.finishes();
                }
            });
            changed.notify_one();
        }
    }
}

impl Talkers {
    /// Opens a session for everybody, and rooms for all groups.
    pub fn connect(address: SocketAddr, count: usize, lines: Lines) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut rooms = vec![Vec::new(); count];
        for group in &lines.groups {
            group.members.iter().for_each(|member| rooms[*member].push(group.id));
        }
        let opened: Result<Vec<Session>> = runtime.block_on(async {
            let open = |(number, rooms): (usize, Vec<u64>)| async move {
                let mut session = Session::open(address, number).await?;
                for room in rooms {
                    session.join(room, number).await?;
                }
                Ok(session)
            };
            stream::iter(rooms.into_iter().enumerate()).map(open).buffered(AT_ONCE).try_collect().await
        });
        let (mut ears, mut mouths) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for session in opened? {
            let (stream, mouth) = session.stream.into_split();
            ears.push(Ear { stream, rest: Vec::new() });
            mouths.push(mouth);
        }
        Ok(Self { runtime, lines, ears, mouths, random: Random::new(7), next: 0 })
    }

    /// Sends as many messages as go with so many under way, for a while; answers when all are with everybody, or have
    /// not come for long.
    pub fn talk(&mut self, under_way: u64, time: Duration) -> Result<Said> {
        let (tally, changed) = (RefCell::new(Tally::numbered_from(self.next)), Notify::new());
        let Self { runtime, lines, ears, mouths, random, .. } = self;
        let said = runtime.block_on(async {
            let hearing = join_all(ears.iter_mut().enumerate().map(|(number, ear)| ear.hear(number, &tally, &changed)));
            let mut speech = Speech { lines, mouths, random, tally: &tally, changed: &changed };
            tokio::select! {
                said = speech.go_on(under_way, time) => said,
                _ = hearing => Err(closed()),
            }
        });
        self.next = tally.borrow().next();
        said
    }
}

/// Sending that goes on.
struct Speech<'a> {
    lines: &'a Lines,
    mouths: &'a mut [OwnedWriteHalf],
    random: &'a mut Random,
    tally: &'a RefCell<Tally>,
    changed: &'a Notify,
}

impl Speech<'_> {
    async fn go_on(&mut self, under_way: u64, time: Duration) -> Result<Said> {
        let began = Instant::now();
        while began.elapsed() < time {
            if self.tally.borrow().under_way() >= under_way {
                // Whatever comes makes room; at the end nothing may come.
                let _ = tokio::time::timeout(time.saturating_sub(began.elapsed()), self.changed.notified()).await;
                continue;
            }
            if self.say().await?.is_multiple_of(TURN) {
                tokio::task::yield_now().await;
            }
        }
        let rate = self.tally.borrow().done() as f64 / began.elapsed().as_secs_f64();
        let last = Instant::now();
        while !self.tally.borrow().is_whole() && last.elapsed() < ANSWER_MAX {
            let _ = tokio::time::timeout(ANSWER_MAX.saturating_sub(last.elapsed()), self.changed.notified()).await;
        }
        Ok(self.tally.borrow_mut().said(rate))
    }

    /// Says something somewhere; answers its number.
    async fn say(&mut self) -> Result<u64> {
        let (sender, line) = self.lines.any(self.random);
        let number = self.tally.borrow_mut().sends(sender, line.members.len());
        let (to, kind) = match line.members[..] {
            [one, other] => (format!("u{}@localhost", if one == sender { other } else { one }), "chat"),
            _ => (format!("g{}@conference.localhost", line.id), "groupchat"),
        };
        let body = text(number);
        let stanza = format!("<message type='{kind}' to='{to}' id='m{number}'><body>{body}</body></message>");
        self.mouths[sender].write_all(stanza.as_bytes()).await?;
        Ok(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_found_wherever_what_was_read_ends() {
        let one = |number: u64| format!("<message from='u1'><body>{}</body></message>", text(number));
        let whole = format!("{}<presence/>{}<message><body>hello</body></message>{}", one(0), one(41), one(7));
        for end in 0..whole.len() {
            let (mut read, mut told) = (Vec::new(), Vec::new());
            for part in [&whole[..end], &whole[end..]] {
                read.extend_from_slice(part.as_bytes());
                take_numbers(&mut read, |number| told.push(number));
            }
            assert_eq!(told, [0, 41, 7], "cut at {end}");
            assert!(read.len() < BODY.len(), "{} bytes are kept", read.len());
        }
    }
}
