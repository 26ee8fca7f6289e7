//! A session over a bare socket, under any transport, and raw requests.

use std::net::SocketAddr;
use std::time::Duration;

use fanfare_protocol::{Hello, Id, PollAnswer, ServerEvent, ServerFrame, Transport};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::world::World;

/// Longest wait for something that must come.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The streaming transports and the waiting one.
pub const ALL: [Transport; 3] = [Transport::Websocket, Transport::Sse, Transport::LongPoll];

/// Parameter of clients that know all types, and that of the first clients.
const NEW: &str = "&knows=author.deleted";
pub const OLD: &str = "";

/// Frame or end that a device hears.
#[derive(Debug)]
pub enum Heard {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// The end; with the close code of a WebSocket.
    End(Option<u16>),
}

enum Wire {
    Socket(Box<WebSocketStream<TcpStream>>),
    Events { stream: TcpStream, buffer: Vec<u8> },
    Polls { base: String, token: String, waiting: Vec<ServerFrame>, cursor: String, knows: &'static str },
}

/// Session of a device; of polls, one after the other.
pub struct Device {
    wire: Wire,
    /// The first frame; of a poll with a good cursor, none comes, and this is made up.
    pub hello: Hello,
    /// The cursor of the last frame that had one.
    pub cursor: String,
    /// Heartbeats that were comments.
    pub comments: usize,
}

/// Address of the server.
pub fn address(world: &World) -> SocketAddr {
    address_of(&world.base)
}

fn address_of(base: &str) -> SocketAddr {
    base.strip_prefix("http://").unwrap().parse().unwrap()
}

/// A WebSocket with any query and headers, greeted or not.
pub async fn socket(world: &World, query: &str, headers: &[(&str, &str)]) -> WebSocketStream<TcpStream> {
    socket_of(&world.base, query, headers).await
}

async fn socket_of(base: &str, query: &str, headers: &[(&str, &str)]) -> WebSocketStream<TcpStream> {
    let url = format!("ws://{}/v1/realtime{query}", address_of(base));
    let mut request = url.into_client_request().unwrap();
    for (name, value) in headers {
        let name: hyper::header::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address_of(base)).await.unwrap();
    timeout(PATIENCE, tokio_tungstenite::client_async(request, stream)).await.unwrap().unwrap().0
}

/// Connects a WebSocket that is refused; the code it is closed with.
pub async fn close_code(world: &World, query: &str, headers: &[(&str, &str)]) -> u16 {
    let mut socket = socket(world, query, headers).await;
    loop {
        match timeout(PATIENCE, socket.next()).await.unwrap() {
            Some(Ok(Message::Close(Some(close)))) => return close.code.into(),
            Some(Ok(_)) => {}
            other => panic!("no close frame: {other:?}"),
        }
    }
}

/// Bytes as they are; answers all that comes until the server closes.
pub async fn raw(world: &World, request: &str) -> String {
    let mut stream = TcpStream::connect(address(world)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the server closes").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// A request as text, that closes its connection.
pub fn request(method: &str, path: &str, token: &str, headers: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n{headers}\r\n"
    )
}

/// Status, head and body of an answer.
pub fn parts(answer: &str) -> (u16, String, String) {
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((answer, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    (status, head.to_lowercase(), body.to_owned())
}

/// `GET` of a JSON answer on a connection of its own.
pub async fn get(base: &str, path: &str, token: &str) -> (u16, String) {
    get_if_there(base, path, token).await.unwrap()
}

/// `GET` of a JSON answer; of a server that ends meanwhile the status is 0, or the body has no end.
async fn get_if_there(base: &str, path: &str, token: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(address_of(base)).await?;
    stream.write_all(request("GET", path, token, "").as_bytes()).await?;
    let mut answer = Vec::new();
    timeout(Duration::from_secs(90), stream.read_to_end(&mut answer)).await.expect("an answer")?;
    let (status, _, body) = parts(&String::from_utf8_lossy(&answer));
    Ok((status, body))
}

/// Polls once, as a client of the newest kind.
pub async fn poll(base: &str, token: &str, cursor: Option<&str>, wait_s: u64) -> PollAnswer {
    poll_as(base, token, cursor, wait_s, NEW).await
}

/// Polls once, as a client that understands `knows` beside what all do.
pub async fn poll_as(base: &str, token: &str, cursor: Option<&str>, wait_s: u64, knows: &str) -> PollAnswer {
    poll_if_there(base, token, cursor, wait_s, knows).await.expect("the server is there")
}

/// Polls once; nothing comes of a server that ends meanwhile.
async fn poll_if_there(base: &str, token: &str, cursor: Option<&str>, wait_s: u64, knows: &str) -> Option<PollAnswer> {
    let cursor = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    let path = format!("/v1/realtime/poll?wait={wait_s}{knows}{cursor}");
    let (status, body) = get_if_there(base, &path, token).await.ok().filter(|(status, _)| *status > 0)?;
    assert_eq!(status, 200, "{body}");
    let answer: PollAnswer = match serde_json::from_str(&body) {
        Ok(answer) => answer,
        Err(error) if error.is_eof() => return None,
        Err(error) => panic!("{error}: {body}"),
    };
    for frame in &answer.events {
        look_at(&serde_json::to_string(frame).unwrap());
    }
    Some(answer)
}

/// Checks what holds for every frame.
fn look_at(text: &str) -> ServerFrame {
    let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let fields = value.as_object().unwrap();
    assert!(!text.contains("\"liked\"") && !text.contains("\"reposted\""), "who asks shows in {text}");
    assert!(fields["at"].as_str().unwrap().ends_with('Z'), "{text}");
    let kind = fields["type"].as_str().unwrap();
    let of_chat = ["message", "message.updated", "message.recalled"].contains(&kind);
    let durable =
        of_chat || ["feed.posts", "post.deleted", "author.deleted", "notification", "gap", "reset"].contains(&kind);
    assert_eq!(durable, fields.contains_key("id"), "{text}");
    if let Some(id) = fields.get("id").and_then(Value::as_str) {
        assert!(
            id.len() <= 96 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)),
            "{text}"
        );
    }
    let lane = fields.get("lane").and_then(Value::as_str);
    match kind {
        "feed.posts" | "post.deleted" | "author.deleted" => assert_eq!(lane, Some("bulk"), "{text}"),
        "notification" => assert_eq!(lane, Some("urgent"), "{text}"),
        "message" | "message.updated" | "message.recalled" => {
            assert!(matches!(lane, Some("urgent" | "normal")), "{text}");
        }
        "conversation.updated" | "receipt" | "typing" => assert_eq!(lane, Some("normal"), "{text}"),
        "hello" | "reply" | "pong" | "drain" => assert_eq!(lane, None, "{text}"),
        _ => {}
    }
    serde_json::from_value(value).unwrap()
}

impl Device {
    /// A session, greeted.
    pub async fn new(transport: Transport, world: &World, token: &str, cursor: Option<&str>) -> Self {
        Self::knowing(NEW, transport, world, token, cursor).await
    }

    /// Opens a session of a client that understands `knows` beside what all do.
    pub async fn knowing(
        knows: &'static str,
        transport: Transport,
        world: &World,
        token: &str,
        cursor: Option<&str>,
    ) -> Self {
        Self::of(&world.base, (knows, transport), token, cursor).await
    }

    /// Opens a session at a server's address.
    pub async fn at(base: &str, transport: Transport, token: &str, cursor: Option<&str>) -> Self {
        Self::of(base, (NEW, transport), token, cursor).await
    }

    async fn of(base: &str, (knows, transport): (&'static str, Transport), token: &str, cursor: Option<&str>) -> Self {
        let cursor_in_query = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let query = format!("?v=1{knows}{cursor_in_query}");
        let bearer = format!("Bearer {token}");
        let wire = match transport {
            Transport::Websocket => {
                Wire::Socket(Box::new(socket_of(base, &query, &[("authorization", &bearer)]).await))
            }
            Transport::Sse => {
                let mut stream = TcpStream::connect(address_of(base)).await.unwrap();
                let head = request("GET", &format!("/v1/realtime/sse{query}"), token, "");
                stream.write_all(head.as_bytes()).await.unwrap();
                Wire::Events { stream, buffer: Vec::new() }
            }
            Transport::LongPoll | Transport::ShortPoll => {
                let (base, token) = (base.to_owned(), token.to_owned());
                let waiting = Vec::new();
                Wire::Polls { base, token, waiting, cursor: cursor.unwrap_or_default().to_owned(), knows }
            }
        };
        Self::greeted(wire, transport, cursor).await
    }

    async fn greeted(wire: Wire, transport: Transport, cursor: Option<&str>) -> Self {
        let hello = Hello { session_id: Id(0), heartbeat_s: 0, resumed: true, transport, cursor: String::new() };
        let mut device = Self { wire, hello, cursor: cursor.unwrap_or_default().to_owned(), comments: 0 };
        if let Wire::Polls { base, token, waiting, cursor, knows } = &mut device.wire {
            if !cursor.is_empty() {
                return device;
            }
            let answer = poll_as(base, token, None, 25, knows).await;
            (*waiting, *cursor) = (answer.events.into_iter().rev().collect(), answer.cursor);
        }
        let first = device.frame().await;
        let ServerEvent::Hello(hello) = first.event().unwrap() else { panic!("hello is first, not {first:?}") };
        device.cursor.clone_from(&hello.cursor);
        device.hello = hello;
        device
    }

    /// Server-sent events asked for with more headers, each with its line end; greeted.
    pub async fn sse_with(world: &World, token: &str, cursor: &str, headers: &str) -> Self {
        let mut stream = TcpStream::connect(address(world)).await.unwrap();
        let head = request("GET", &format!("/v1/realtime/sse?cursor={cursor}"), token, headers);
        stream.write_all(head.as_bytes()).await.unwrap();
        Self::greeted(Wire::Events { stream, buffer: Vec::new() }, Transport::Sse, Some(cursor)).await
    }

    /// A WebSocket.
    pub async fn ws(world: &World, token: &str) -> Self {
        Self::new(Transport::Websocket, world, token, None).await
    }

    /// Frame or end that comes next.
    pub async fn next(&mut self) -> Heard {
        timeout(PATIENCE, self.whenever()).await.expect("nothing comes")
    }

    /// Frame or end that comes next, however long that takes.
    pub async fn whenever(&mut self) -> Heard {
        let heard = self.hear().await;
        if let Heard::Frame(frame) = &heard {
            match &self.wire {
                // An answer's cursor covers all of its frames.
                Wire::Polls { waiting, cursor, .. } if waiting.is_empty() => self.cursor.clone_from(cursor),
                Wire::Polls { .. } => {}
                _ => self.cursor = frame.id.clone().unwrap_or_else(|| self.cursor.clone()),
            }
        }
        heard
    }

    async fn hear(&mut self) -> Heard {
        loop {
            match &mut self.wire {
                Wire::Socket(socket) => match socket.next().await {
                    Some(Ok(Message::Text(text))) => return Heard::Frame(Box::new(look_at(&text))),
                    Some(Ok(Message::Close(close))) => return Heard::End(close.map(|close| close.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Heard::End(None),
                },
                Wire::Events { stream, buffer } => {
                    let Some(at) = buffer
                        .windows(4)
                        .position(|four| four == b"\r\n\r\n")
                        .map(|at| at + 4)
                        .filter(|_| buffer.starts_with(b"HTTP/"))
                        .or_else(|| {
                            (!buffer.starts_with(b"HTTP/")).then(|| find(buffer, b"\n\n")).flatten().map(|at| at + 2)
                        })
                    else {
                        if stream.read_buf(buffer).await.unwrap_or(0) == 0 {
                            return Heard::End(None);
                        }
                        continue;
                    };
                    let event: Vec<u8> = buffer.drain(..at).collect();
                    let text = String::from_utf8(event).unwrap();
                    if text.starts_with("HTTP/") {
                        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
                    } else if text.starts_with(':') {
                        assert_eq!(text, ": hb\n\n");
                        self.comments += 1;
                    } else {
                        return Heard::Frame(Box::new(event_of(&text)));
                    }
                }
                Wire::Polls { base, token, waiting, cursor, knows } => {
                    if let Some(frame) = waiting.pop() {
                        return Heard::Frame(Box::new(frame));
                    }
                    let Some(answer) = poll_if_there(base, token, Some(cursor), 25, knows).await else {
                        return Heard::End(None);
                    };
                    (*waiting, *cursor) = (answer.events.into_iter().rev().collect(), answer.cursor);
                }
            }
        }
    }

    /// The next frame.
    pub async fn frame(&mut self) -> ServerFrame {
        match self.next().await {
            Heard::Frame(frame) => *frame,
            end @ Heard::End(_) => panic!("a frame was to come: {end:?}"),
        }
    }

    /// Event of the next frame.
    pub async fn event(&mut self) -> ServerEvent {
        self.frame().await.event().unwrap()
    }

    /// The next frame of a type; others are passed over.
    pub async fn until(&mut self, kind: &str) -> ServerFrame {
        loop {
            let frame = self.frame().await;
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// Close code at the end; frames before that are passed over.
    pub async fn end(&mut self) -> Option<u16> {
        loop {
            if let Heard::End(code) = self.next().await {
                return code;
            }
        }
    }

    /// Posts and deletions as they come, up to and with `last`, each once; other frames must not come in between.
    pub async fn posts_until(&mut self, last: Id) -> Vec<Id> {
        let mut all: Vec<Id> = Vec::new();
        while all.last() != Some(&last) {
            let mut ids = match self.event().await {
                ServerEvent::FeedPosts(posts) => {
                    posts.items.iter().for_each(|item| assert_eq!(item.key, item.post.id.to_string()));
                    posts.items.iter().rev().map(|item| item.post.id).collect()
                }
                ServerEvent::PostDeleted(gone) => vec![gone.key.parse().unwrap()],
                ServerEvent::Notification(_) | ServerEvent::Presence(_) => Vec::new(),
                other => panic!("{other:?} before {last}"),
            };
            assert!(ids.is_sorted(), "newest first in a frame: {ids:?}");
            ids.retain(|id| !all.contains(id));
            all.extend(ids);
            assert!(all.is_sorted(), "out of order: {all:?}");
            assert!(all.last().is_none_or(|newest| *newest <= last), "{last} is passed over: {all:?}");
        }
        all
    }

    /// The cursor after `last`.
    pub async fn past(mut self, last: Id) -> String {
        self.posts_until(last).await;
        self.cursor
    }

    /// Sends a text, or bytes.
    pub async fn send(&mut self, message: impl Into<Message>) {
        let Wire::Socket(socket) = &mut self.wire else { panic!("only WebSockets send") };
        socket.send(message.into()).await.unwrap();
    }

    /// Sends a frame and answers its reply.
    pub async fn ask(&mut self, reference: u64, kind: &str, data: Value) -> ServerFrame {
        self.send(json!({ "ref": reference, "type": kind, "data": data }).to_string()).await;
        let reply = self.until("reply").await;
        assert_eq!(reply.reference, Some(reference), "{reply:?}");
        reply
    }

    /// The socket below, for what only it can do.
    pub fn stream(&mut self) -> &mut TcpStream {
        match &mut self.wire {
            Wire::Socket(socket) => socket.get_mut(),
            Wire::Events { stream, .. } => stream,
            Wire::Polls { .. } => panic!("polls have no socket"),
        }
    }
}

fn find(buffer: &[u8], what: &[u8]) -> Option<usize> {
    buffer.windows(what.len()).position(|window| window == what)
}

/// An event of a stream: `id:` where the frame has one (and for hello), `data:` with the frame, nothing else.
fn event_of(text: &str) -> ServerFrame {
    let mut lines = text.trim_end_matches('\n').split('\n');
    let mut line = lines.next().unwrap();
    let id = line.strip_prefix("id: ");
    if id.is_some() {
        line = lines.next().unwrap();
    }
    let frame = look_at(line.strip_prefix("data: ").unwrap_or_else(|| panic!("{text}")));
    assert_eq!(lines.next(), None, "{text}");
    match frame.event().unwrap() {
        ServerEvent::Hello(hello) => assert_eq!(id, Some(hello.cursor.as_str())),
        _ => assert_eq!(id, frame.id.as_deref()),
    }
    frame
}

impl Device {
    /// A WebSocket, if it is let in.
    pub async fn ws_or_refused(world: &World, token: &str) -> Option<Self> {
        Self::let_in(&world.base, "", &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// A WebSocket at a server's address by a ticket, if it is let in.
    pub async fn by_ticket(base: &str, ticket: &str) -> Option<Self> {
        Self::let_in(base, &format!("?ticket={ticket}"), &[]).await
    }

    async fn let_in(base: &str, query: &str, headers: &[(&str, &str)]) -> Option<Self> {
        let wire = socket_of(base, query, headers).await;
        let hello = Hello {
            session_id: Id(0),
            heartbeat_s: 0,
            resumed: false,
            transport: Transport::Websocket,
            cursor: String::new(),
        };
        let mut device = Self { wire: Wire::Socket(Box::new(wire)), hello, cursor: String::new(), comments: 0 };
        match device.next().await {
            Heard::Frame(_) => Some(device),
            Heard::End(_) => None,
        }
    }
}

/// The answer of a `GET` by an operator, as JSON.
pub async fn seen_by_operator(world: &World, path: &str) -> Value {
    let (status, body) = get(&world.base, path, &world.admin_token()).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}
