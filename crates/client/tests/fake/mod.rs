//! A server of few words: posts by number, cursors that say how many were sent, and ways to misbehave.

use std::collections::HashMap;
use std::sync::Arc;

use fanfare_protocol::Transport;
use futures_util::{SinkExt as _, StreamExt as _};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Posts that are sent again when a session resumes.
const OVERLAP: usize = 3;

/// Behaviour of a transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Speak,
    /// An answer that is not the transport's.
    Refuse,
    /// The connection is taken and nothing said.
    Hang,
    /// Nothing after hello.
    HelloOnly,
}

#[derive(Debug, Clone, Default, PartialEq)]
struct State {
    posts: Vec<u64>,
    ways: HashMap<Transport, Way>,
    /// Connections made before this are cut.
    cuts: u64,
    /// Last word to all connections: a drain or a close.
    last_word: Option<(u64, Value)>,
}

pub struct Fake {
    pub base: String,
    state: watch::Sender<State>,
}

fn hello(transport: Transport, resumed: bool, sent: usize) -> Value {
    let data = json!({ "session_id": "7", "heartbeat_s": 30, "resumed": resumed, "transport": transport,
        "cursor": format!("c{sent}") });
    json!({ "type": "hello", "data": data })
}

fn posts(ids: &[u64], sent: usize) -> Value {
    let author = json!({ "id": "1", "handle": "a", "display_name": "A", "avatar_url": null });
    let post = |id: &u64| {
        json!({ "key": id.to_string(), "id": id.to_string(), "author": author, "text": "", "mentions": [], "links": [],
            "media": [], "reply_to": null, "repost_of": null, "like_count": 0, "reply_count": 0, "repost_count": 0,
            "created_at": "2026-01-01T00:00:00.000Z" })
    };
    let items: Vec<Value> = ids.iter().rev().map(post).collect();
    json!({ "id": format!("c{sent}"), "type": "feed.posts", "lane": "bulk", "data": { "items": items } })
}

impl Fake {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (state, watched) = watch::channel(State::default());
        let held = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, watched.clone(), Arc::clone(&held)));
            }
        });
        Self { base, state }
    }

    pub fn set(&self, transport: Transport, way: Way) {
        self.state.send_modify(|state| {
            state.ways.insert(transport, way);
        });
    }

    pub fn publish(&self, id: u64) {
        self.state.send_modify(|state| state.posts.push(id));
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.cuts += 1);
    }

    pub fn drain(&self, reconnect_after_ms: u64) {
        self.say(json!({ "type": "drain", "data": { "reconnect_after_ms": reconnect_after_ms } }));
    }

    pub fn close(&self, code: u16) {
        self.say(json!(code));
    }

    fn say(&self, word: Value) {
        self.state.send_modify(|state| {
            state.cuts += 1;
            state.last_word = Some((state.cuts, word));
        });
    }
}

enum Out {
    Socket(Box<WebSocketStream<TcpStream>>),
    Stream(TcpStream),
}

impl Out {
    async fn frame(&mut self, frame: &Value) -> bool {
        match self {
            Self::Socket(socket) => socket.send(Message::text(frame.to_string())).await.is_ok(),
            Self::Stream(stream) => stream.write_all(format!("data: {frame}\n\n").as_bytes()).await.is_ok(),
        }
    }

    /// Answers what the client says; `false` when it is gone.
    async fn hear(&mut self) -> bool {
        match self {
            Self::Socket(socket) => match socket.next().await {
                Some(Ok(Message::Text(text))) => self.frame(&reply(&text)).await,
                Some(Ok(message)) => !message.is_close(),
                _ => false,
            },
            Self::Stream(stream) => stream.read_u8().await.is_ok(),
        }
    }
}

fn reply(frame: &str) -> Value {
    let frame: Value = serde_json::from_str(frame).unwrap();
    json!({ "type": "reply", "ref": frame["ref"], "ok": true, "data": {} })
}

async fn answer(stream: &mut TcpStream, status: &str, kind: &str, body: &str) {
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n");
    let _ = stream.write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes()).await;
}

/// The head in lower case, apart from the first line, and the body.
async fn request(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
            if body.len() >= length {
                return Some((head.to_owned(), body.to_owned()));
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find_map(|(field, value)| field.eq_ignore_ascii_case(name).then_some(value))
}

async fn serve(mut stream: TcpStream, mut watched: watch::Receiver<State>, held: Arc<Mutex<Vec<TcpStream>>>) {
    let Some((head, body)) = request(&mut stream).await else { return };
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let known = header(&head, "authorization") == Some("Bearer t") || query.contains("ticket=k");
    let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor=")).or(header(&head, "last-event-id"));
    let cursor: Option<usize> = cursor.map(|cursor| cursor[1..].parse().unwrap());
    let transport = match path {
        "/v1/realtime" => Transport::Websocket,
        "/v1/realtime/sse" => Transport::Sse,
        "/v1/realtime/poll" if query.contains("wait=0") => Transport::ShortPoll,
        "/v1/realtime/poll" => Transport::LongPoll,
        "/v1/realtime/tickets" => {
            let ticket = json!({ "ticket": "k", "expires_at": "2026-01-01T00:00:00.000Z" });
            return answer(&mut stream, "201 Created", "application/json", &ticket.to_string()).await;
        }
        _ => return answer(&mut stream, "200 OK", "application/json", &reply(&body).to_string()).await,
    };
    let way = watched.borrow().ways.get(&transport).copied().unwrap_or(Way::Speak);
    match way {
        Way::Refuse => return answer(&mut stream, "426 Upgrade Required", "text/plain", "no").await,
        Way::Hang => return held.lock().push(stream),
        Way::Speak | Way::HelloOnly => {}
    }
    let out = match transport {
        Transport::LongPoll | Transport::ShortPoll => {
            return poll(stream, watched, cursor, transport, known).await;
        }
        Transport::Websocket => {
            let accept = derive_accept_key(header(&head, "sec-websocket-key").unwrap().as_bytes());
            let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n";
            stream.write_all(format!("{head}sec-websocket-accept: {accept}\r\n\r\n").as_bytes()).await.unwrap();
            let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            if !known {
                let _ = socket.close(Some(CloseFrame { code: 4401.into(), reason: Utf8Bytes::default() })).await;
                return;
            }
            Out::Socket(Box::new(socket))
        }
        Transport::Sse => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n").await.unwrap();
            Out::Stream(stream)
        }
    };
    let cuts = watched.borrow_and_update().cuts;
    session(out, watched, cursor, transport, (way, cuts)).await;
}

async fn session(
    mut out: Out,
    mut watched: watch::Receiver<State>,
    cursor: Option<usize>,
    transport: Transport,
    (way, cuts): (Way, u64),
) {
    let mut sent = cursor.map_or_else(|| watched.borrow().posts.len(), |sent| sent.saturating_sub(OVERLAP));
    if !out.frame(&hello(transport, cursor.is_some(), sent)).await {
        return;
    }
    loop {
        let state = watched.borrow_and_update().clone();
        if way == Way::Speak && sent < state.posts.len() {
            let frame = posts(&state.posts[sent..], state.posts.len());
            sent = state.posts.len();
            if !out.frame(&frame).await {
                return;
            }
        }
        if state.cuts > cuts {
            let word = state.last_word.filter(|(at, _)| *at == state.cuts).map(|(_, word)| word);
            match (word.as_ref().and_then(Value::as_u64), &mut out) {
                (Some(code), Out::Socket(socket)) => {
                    let frame = CloseFrame { code: (code as u16).into(), reason: Utf8Bytes::default() };
                    let _ = (**socket).close(Some(frame)).await;
                }
                _ => drop(out.frame(&word.unwrap_or_else(|| json!({ "type": "last" }))).await),
            }
            return;
        }
        tokio::select! {
            changed = watched.changed() => if changed.is_err() { return },
            there = out.hear() => if !there { return },
        }
    }
}

async fn poll(
    mut stream: TcpStream,
    mut watched: watch::Receiver<State>,
    cursor: Option<usize>,
    transport: Transport,
    known: bool,
) {
    let body = match cursor {
        _ if !known => return answer(&mut stream, "401 Unauthorized", "text/plain", "no").await,
        None => {
            let sent = watched.borrow().posts.len();
            json!({ "events": [hello(transport, false, sent)], "cursor": format!("c{sent}") })
        }
        Some(sent) => {
            let cuts = watched.borrow_and_update().cuts;
            let news =
                |state: &State| state.posts.len() > sent || state.cuts > cuts || transport == Transport::ShortPoll;
            let waited = tokio::time::timeout(std::time::Duration::from_secs(1), watched.wait_for(news)).await;
            let state = match waited {
                Ok(state) => state.unwrap().clone(),
                Err(_) => State { posts: vec![0; sent], ..State::default() },
            };
            let now = state.posts.len();
            let from = sent.saturating_sub(OVERLAP);
            let events = if now > sent { vec![posts(&state.posts[from..], now)] } else { Vec::new() };
            json!({ "events": events, "cursor": format!("c{now}") })
        }
    };
    answer(&mut stream, "200 OK", "application/json", &body.to_string()).await;
}
