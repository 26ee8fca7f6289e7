//! People who talk over Matrix: as many people, and as many rooms as there are pairs and groups, on one thread.
//!
//! Everybody waits for news with one long `sync` after the other, over a connection of their own. Messages are sent
//! over others, as many as are to be under way: one is until its `send` is answered, as it is stored then.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fanfare_engines::random::Random;
use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::realtime::client::talk::Lines;
use super::realtime::client::wire;
use super::realtime::http::request;
use super::tally::{Said, Tally, number, text};
use super::{BenchError, Result};

/// Path of its API.
const API: &str = "/_matrix/client/v3";
/// Filter of everybody: messages, and no more than clients need to show them.
const FILTER: &str = r#"{"presence":{"not_types":["*"]},"account_data":{"not_types":["*"]},"room":{
    "account_data":{"not_types":["*"]},"ephemeral":{"not_types":["*"]},"timeline":{"limit":100},
    "state":{"lazy_load_members":true}}}"#;
/// Header of somebody who has no token yet.
const NOBODY: &str = "accept: application/json";
/// Longest wait of a `sync` without news, in milliseconds.
const POLL_MS: u64 = 30_000;
/// Bytes read at a time.
const READ_BYTES: usize = 16 << 10;
/// People or rooms that are set up at once.
const AT_ONCE: usize = 8;
/// Longest wait for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(90);
/// Longest wait for the last messages.
const LAST_MAX: Duration = Duration::from_secs(60);

/// A keep-alive connection.
struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// An answer: status, body, and the bytes that all of it takes.
type Answer = (u16, Vec<u8>, usize);

/// The answer at the beginning of `read`, once it is whole.
fn answer(read: &[u8]) -> Result<Option<Answer>> {
    let Some((status, length, head)) = wire::head(read) else { return Ok(None) };
    match length {
        Some(length) => Ok(read.get(head..head + length).map(|body| (status, body.to_vec(), head + length))),
        None => Ok(chunks(&read[head..])?.map(|(body, taken)| (status, body, head + taken))),
    }
}

/// A body that comes in chunks, and the bytes that they take, once the last is there.
fn chunks(read: &[u8]) -> Result<Option<(Vec<u8>, usize)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let Some((line, taken)) = wire::line(&read[at..]) else { return Ok(None) };
        let size = std::str::from_utf8(line).ok().and_then(|line| usize::from_str_radix(line, 16).ok());
        let size = size.ok_or_else(|| BenchError::Wrong(format!("no chunk: {}", String::from_utf8_lossy(line))))?;
        at += taken;
        // An empty line is behind each, also behind the empty one, which is the last.
        let Some(chunk) = read.get(at..at + size + 2) else { return Ok(None) };
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
        if size == 0 {
            return Ok(Some((body, at)));
        }
    }
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::new() })
    }

    /// The body of the answer, which must be a good one.
    async fn ask(&mut self, request: &[u8]) -> Result<Vec<u8>> {
        self.stream.write_all(request).await?;
        loop {
            if let Some((status, body, taken)) = answer(&self.read)? {
                self.read.drain(..taken);
                return match status {
                    200 => Ok(body),
                    _ => Err(BenchError::Wrong(format!("answered {status}: {}", String::from_utf8_lossy(&body)))),
                };
            }
            self.read.reserve(READ_BYTES);
            let count = tokio::time::timeout(ANSWER_MAX, self.stream.read_buf(&mut self.read)).await;
            if count.map_err(|_| BenchError::Wrong("no answer over Matrix".to_owned()))?? == 0 {
                return Err(BenchError::Wrong("a connection over Matrix was closed".to_owned()));
            }
        }
    }

    /// The answer to a call.
    async fn call<T: for<'a> Deserialize<'a>>(
        &mut self,
        (method, path): (&str, &str),
        authorization: &str,
        body: &str,
    ) -> Result<T> {
        let said = self.ask(&request(method, &format!("{API}{path}"), authorization, body)).await?;
        let wrong = |error| BenchError::Wrong(format!("{error}: {}", String::from_utf8_lossy(&said)));
        serde_json::from_slice(&said).map_err(wrong)
    }
}

/// Answer to a `register`.
#[derive(Deserialize)]
struct Registered {
    user_id: String,
    access_token: String,
}

/// Answer to a `filter`.
#[derive(Deserialize)]
struct Filter {
    filter_id: String,
}

/// Answer to a `createRoom`, or a `join`.
#[derive(Deserialize)]
struct Room {
    room_id: String,
}

/// Answer to a `send`.
#[derive(Deserialize)]
struct Stored {
    event_id: String,
}

/// Answer to a `sync`.
#[derive(Debug, Deserialize)]
struct Synced {
    next_batch: String,
    #[serde(default)]
    rooms: Rooms,
}

#[derive(Debug, Default, Deserialize)]
struct Rooms {
    #[serde(default)]
    join: HashMap<String, Joined>,
}

#[derive(Debug, Deserialize)]
struct Joined {
    timeline: Timeline,
}

#[derive(Debug, Deserialize)]
struct Timeline {
    events: Vec<Event>,
    /// Whether there is more, which it leaves out.
    #[serde(default)]
    limited: bool,
}

#[derive(Debug, Deserialize)]
struct Event {
    content: Content,
}

#[derive(Debug, Deserialize)]
struct Content {
    body: Option<String>,
}

impl Synced {
    /// Numbers of the messages that it brings; wrong if it leaves some out.
    fn numbers(&self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for room in self.rooms.join.values() {
            if room.timeline.limited {
                return Err(BenchError::Wrong("a sync over Matrix left messages out".to_owned()));
            }
            let texts = room.timeline.events.iter().filter_map(|event| event.content.body.as_deref());
            numbers.extend(texts.filter_map(|text| number(text.as_bytes())));
        }
        Ok(numbers)
    }
}

/// Somebody who is registered.
struct Person {
    authorization: String,
    filter: String,
}

impl Person {
    async fn register(address: SocketAddr, number: usize) -> Result<Self> {
        let mut connection = Connection::open(address).await?;
        let body = format!(r#"{{"auth":{{"type":"m.login.dummy"}},"username":"u{number}","password":"bench"}}"#);
        let Registered { user_id, access_token } = connection.call(("POST", "/register"), NOBODY, &body).await?;
        let authorization = format!("authorization: Bearer {access_token}");
        let path = format!("/user/{user_id}/filter");
        let Filter { filter_id } = connection.call(("POST", &path), &authorization, FILTER).await?;
        Ok(Self { authorization, filter: filter_id })
    }

    /// Asks for what came after `since`, or for everything.
    fn sync(&self, since: Option<&str>) -> Vec<u8> {
        let since = since.map_or_else(String::new, |since| format!("&since={since}&timeout={POLL_MS}"));
        let path = format!("{API}/sync?filter={}&set_presence=offline{since}", self.filter);
        request("GET", &path, &self.authorization, "")
    }

    /// Listens without end from `since` on; tells of each message.
    async fn hear(
        &self,
        (address, session): (SocketAddr, usize),
        since: &mut String,
        tally: &RefCell<Tally>,
        changed: &Notify,
    ) -> Result<()> {
        let mut connection = Connection::open(address).await?;
        loop {
            let synced = parsed(&connection.ask(&self.sync(Some(since))).await?)?;
            for number in synced.numbers()? {
                tally.borrow_mut().came(session, number);
            }
            *since = synced.next_batch;
            changed.notify_one();
        }
    }
}

fn parsed(body: &[u8]) -> Result<Synced> {
    let wrong = |error| BenchError::Wrong(format!("{error} in a sync: {}", String::from_utf8_lossy(body)));
    serde_json::from_slice(body).map_err(wrong)
}

/// People in their rooms.
pub struct Talkers {
    runtime: Runtime,
    address: SocketAddr,
    people: Vec<Person>,
    /// Tokens from which each goes on to listen.
    since: Vec<String>,
    lines: Lines,
    /// Rooms by conversation.
    rooms: HashMap<u64, String>,
    random: Random,
    /// Number of the next message.
    next: u64,
}

impl Talkers {
    /// Registers everybody, and makes a room of each conversation.
    pub fn connect(address: SocketAddr, count: usize, lines: Lines) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (people, rooms, since) = runtime.block_on(async {
            let registering = stream::iter(0..count).map(|number| Person::register(address, number));
            let people: Vec<Person> = registering.buffered(AT_ONCE).try_collect().await?;
            let conversations = stream::iter(lines.direct.iter().chain(&lines.groups));
            let making = conversations.map(async |line| {
                let members = line.members.iter().map(|member| &people[*member]);
                Ok::<_, BenchError>((line.id, room(address, members.collect()).await?))
            });
            let rooms: HashMap<u64, String> = making.buffer_unordered(AT_ONCE).try_collect().await?;
            let beginning = stream::iter(&people).map(async |person| {
                let said = Connection::open(address).await?.ask(&person.sync(None)).await?;
                Ok::<_, BenchError>(parsed(&said)?.next_batch)
            });
            let since: Vec<String> = beginning.buffered(AT_ONCE).try_collect().await?;
            Ok::<_, BenchError>((people, rooms, since))
        })?;
        Ok(Self { runtime, address, people, since, lines, rooms, random: Random::new(7), next: 0 })
    }

    /// Sends as many messages as go with so many under way, for a while; answers when all are with everybody, or have
    /// not come for long.
    pub fn talk(&mut self, under_way: usize, time: Duration) -> Result<Said> {
        let (tally, changed) = (RefCell::new(Tally::numbered_from(self.next)), Notify::new());
        let Self { runtime, address, people, since, lines, rooms, random, .. } = self;
        let (address, people) = (*address, &people[..]);
        let said = runtime.block_on(async {
            let ears = people.iter().zip(since).enumerate();
            let hearing = try_join_all(
                ears.map(|(session, (person, since))| person.hear((address, session), since, &tally, &changed)),
            );
            let random = RefCell::new(random);
            let (tally, changed) = (&tally, &changed);
            let speech = Speech { address, people, lines, rooms, random: &random, tally, began: Instant::now(), time };
            let speaking = async {
                try_join_all((0..under_way).map(|_| speech.go_on())).await?;
                let (rate, last) = (tally.borrow().done() as f64 / time.as_secs_f64(), Instant::now());
                while !tally.borrow().is_whole() && last.elapsed() < LAST_MAX {
                    let left = LAST_MAX.saturating_sub(last.elapsed());
                    let _ = tokio::time::timeout(left, changed.notified()).await;
                }
                Ok(tally.borrow_mut().said(rate))
            };
            tokio::select! {
                said = speaking => said,
                ended = hearing => Err(ended.err().unwrap_or_else(|| BenchError::Wrong("nobody listens".to_owned()))),
            }
        });
        self.next = tally.borrow().next();
        said
    }
}

/// A room of these people, made by the first.
async fn room(address: SocketAddr, members: Vec<&Person>) -> Result<String> {
    let mut connection = Connection::open(address).await?;
    let call = ("POST", "/createRoom");
    let Room { room_id } = connection.call(call, &members[0].authorization, r#"{"preset":"public_chat"}"#).await?;
    for member in &members[1..] {
        let path = format!("/join/{room_id}");
        let _: Room = connection.call(("POST", &path), &member.authorization, "{}").await?;
    }
    Ok(room_id)
}

/// Sending that goes on.
struct Speech<'a> {
    address: SocketAddr,
    people: &'a [Person],
    lines: &'a Lines,
    rooms: &'a HashMap<u64, String>,
    random: &'a RefCell<&'a mut Random>,
    tally: &'a RefCell<Tally>,
    began: Instant,
    time: Duration,
}

impl Speech<'_> {
    /// Sends the next message when the last is answered; those that are answered in time count for the rate.
    async fn go_on(&self) -> Result<()> {
        let mut connection = Connection::open(self.address).await?;
        while self.began.elapsed() < self.time {
            let (sender, line) = self.lines.any(&mut self.random.borrow_mut());
            let number = self.tally.borrow_mut().sends(sender, line.members.len());
            let room = self.rooms.get(&line.id).map_or("", String::as_str);
            let path = format!("/rooms/{room}/send/m.room.message/{number}");
            let body = format!(r#"{{"msgtype":"m.text","body":"{}"}}"#, text(number));
            let authorization = &self.people[sender].authorization;
            let Stored { event_id } = connection.call(("PUT", &path), authorization, &body).await?;
            if event_id.is_empty() {
                return Err(BenchError::Wrong("a message over Matrix has no id".to_owned()));
            }
            if self.began.elapsed() < self.time {
                self.tally.borrow_mut().finishes();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_once_it_is_whole() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{\"a\"\r\nA\r\n:\"0123456\"\r\n1\r\n}\r\n0\r\n\r\n";
        let plain = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}";
        for (whole, status, body) in [(chunked, 200, r#"{"a":"0123456"}"#), (plain, 403, "{}")] {
            for end in 0..whole.len() {
                assert!(answer(&whole.as_bytes()[..end]).unwrap().is_none(), "cut at {end}");
            }
            let two = format!("{whole}HTTP/1.1");
            assert_eq!(answer(two.as_bytes()).unwrap(), Some((status, body.as_bytes().to_vec(), whole.len())));
        }
        assert!(answer(b"HTTP/1.1 200 OK\r\n\r\nno size\r\n").is_err());
    }

    #[test]
    fn a_sync_tells_the_numbers_of_its_messages() {
        let message = |number: u64| format!(r#"{{"type":"m.room.message","content":{{"body":"{}"}}}}"#, text(number));
        let joins = r#"{"type":"m.room.member","content":{"membership":"join"}}"#;
        let room =
            |limited: bool, events: &str| format!(r#"{{"timeline":{{"events":[{events}],"limited":{limited}}}}}"#);
        let synced =
            |room: &str| parsed(format!(r#"{{"next_batch":"s1","rooms":{{"join":{{"!a":{room}}}}}}}"#).as_bytes());
        let some = synced(&room(false, &format!("{},{joins},{}", message(7), message(12)))).unwrap();
        assert_eq!((some.numbers().unwrap(), some.next_batch.as_str()), (vec![7, 12], "s1"));
        assert!(synced(&room(true, &message(7))).unwrap().numbers().is_err(), "a hole");
        assert_eq!(parsed(br#"{"next_batch":"s2"}"#).unwrap().numbers().unwrap(), Vec::<u64>::new());
        assert!(parsed(br#"{"errcode":"M_UNKNOWN"}"#).is_err());
    }
}
