//! WebSockets of the real server over raw sockets: the groups of the Autobahn suite, with cases of our own. The server
//! does not echo; what a test sends as the type of a frame comes back in the reply that no such type is known.

use std::time::Duration;

use flate2::{Compress, Compression, FlushCompress};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame};
use crate::world::{Person, World};

#[path = "../../crates/websocket/src/tests/frames.rs"]
mod frames;

const RSV1: u8 = 0x40;

/// Bytes of a message, at most, on the servers of these tests.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_secs(20);
/// The example of RFC 6455, and what it is answered by.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A server on which one person may hold many sessions and say much.
async fn world() -> (World, Person) {
    world_with(false).await
}

async fn world_with(compression: bool) -> (World, Person) {
    let world = World::with(|settings| {
        settings.realtime.sessions_per_user_max = 1_000;
        settings.realtime.messages_per_s = 10_000;
        settings.realtime.message_bytes_max = MESSAGE_BYTES_MAX;
        settings.realtime.compression = compression;
    })
    .await;
    let ann = world.person("ann").await;
    (world, ann)
}

/// A client's frame of the protocol whose reply says `word`.
fn asking(word: &str) -> String {
    serde_json::json!({"ref": 7, "type": word}).to_string()
}

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// The head of a request for a WebSocket; `more` are further lines.
fn request(person: &Person, more: &str) -> String {
    let token = &person.token;
    format!(
        "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-key: {KEY}\r\n\
         sec-websocket-version: 13\r\nauthorization: Bearer {token}\r\n{more}\r\n"
    )
}

/// A client's end of a connection.
struct Socket {
    stream: TcpStream,
    /// Bytes that were read and not looked at yet.
    bytes: Vec<u8>,
}

impl Socket {
    async fn connect(world: &World) -> Self {
        let stream = TcpStream::connect(world.base.strip_prefix("http://").unwrap()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, bytes: Vec::new() }
    }

    /// A session that has said hello.
    async fn open(world: &World, person: &Person) -> Self {
        let mut socket = Self::connect(world).await;
        socket.send(request(person, "").as_bytes()).await;
        let head = socket.head().await;
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert_eq!(socket.json().await["type"], "hello");
        socket
    }

    /// The server may have closed already, which reading tells better.
    async fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The bytes in pieces of `size`, each in a segment of its own as far as the system lets them.
    async fn send_in(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            self.send(piece).await;
            tokio::task::yield_now().await;
        }
    }

    /// Reads more; false at the end.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.bytes)).await;
        read.expect("the server answers in time").is_ok_and(|bytes| bytes > 0)
    }

    /// The head of the answer, in lower case but for what must keep it.
    async fn head(&mut self) -> String {
        loop {
            if let Some(end) = self.bytes.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head: Vec<u8> = self.bytes.drain(..end + 4).collect();
                let lines = String::from_utf8(head).unwrap();
                let lower = |line: &str| match line.split_once(':') {
                    Some((name, value)) => format!("{}:{value}\r\n", name.to_lowercase()),
                    None => format!("{}\r\n", line.to_lowercase()),
                };
                return lines.lines().map(lower).collect();
            }
            assert!(self.more().await, "ended within the head: {:?}", String::from_utf8_lossy(&self.bytes));
        }
    }

    /// The next frame, whole: its first byte and its payload. `None` when the server has closed.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [first, second, rest @ ..] = &self.bytes[..] {
                assert_eq!(second & 0x80, 0, "servers do not mask");
                let (len, head) = match (second, rest) {
                    (126, [a, b, ..]) => (Some(usize::from(u16::from_be_bytes([*a, *b]))), 4),
                    (127, [a, b, c, d, e, f, g, h, ..]) => {
                        (usize::try_from(u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h])).ok(), 10)
                    }
                    (0..126, _) => (Some(usize::from(*second)), 2),
                    _ => (None, 0),
                };
                if let Some(len) = len.filter(|len| self.bytes.len() >= head + len) {
                    let first = *first;
                    let whole: Vec<u8> = self.bytes.drain(..head + len).collect();
                    return Some((first, whole[head..].to_vec()));
                }
            }
            if !self.more().await {
                assert!(self.bytes.is_empty(), "ended within a frame: {:?}", self.bytes);
                return None;
            }
        }
    }

    /// The next frame, which is plain text, as JSON.
    async fn json(&mut self) -> Value {
        let (first, payload) = self.frame().await.expect("the session is open");
        assert_eq!(first, FIN | TEXT, "{}", String::from_utf8_lossy(&payload));
        serde_json::from_slice(&payload).unwrap()
    }

    /// The next reply, and the word that it says; what else comes is passed over.
    async fn word(&mut self) -> String {
        loop {
            let frame = self.json().await;
            if frame["type"] == "reply" {
                let message = frame["error"]["errors"][0]["message"].as_str();
                let message = message.unwrap_or_else(|| panic!("a refused field in {frame}"));
                assert_eq!(frame["ref"], 7);
                return message.split('"').nth(1).unwrap().to_owned();
            }
        }
    }

    async fn pong(&mut self, payload: &[u8]) {
        assert_eq!(self.frame().await, Some((FIN | PONG, payload.to_vec())));
    }

    /// Closes, and sees it done.
    async fn bye(mut self) {
        self.send(&close_frame(1000, b"bye")).await;
        assert_eq!(self.closed().await, Some(1000));
    }

    /// The code of the close that comes, after whatever else; then the connection ends.
    async fn closed(&mut self) -> Option<u16> {
        loop {
            match self.frame().await.expect("a close before the end") {
                (first, payload) if first == FIN | CLOSE => {
                    assert_eq!(self.frame().await, None, "nothing follows a close");
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    assert!(std::str::from_utf8(payload.get(2..).unwrap_or_default()).is_ok());
                    return code;
                }
                _ => {}
            }
        }
    }
}

/// Sizes of pieces in which a test sends its bytes.
fn pieces(bytes: &[u8]) -> [usize; 2] {
    [bytes.len().max(1), if bytes.len() > 4_096 { 997 } else { 1 }]
}

/// The frames are answered by these words, at once or in pieces, and the session goes on.
async fn assert_heard(world: &World, person: &Person, frames: &[Vec<u8>], words: &[&str]) {
    let bytes = frames.concat();
    for size in pieces(&bytes) {
        let mut socket = Socket::open(world, person).await;
        socket.send_in(&bytes, size).await;
        for word in words {
            assert_eq!(socket.word().await, *word, "in pieces of {size}");
        }
        socket.send(&frame(FIN | PING, b"alive")).await;
        socket.pong(b"alive").await;
        socket.bye().await;
    }
}

/// The frames close a session that worked before, with this code, at once or in pieces.
async fn assert_closed(world: &World, person: &Person, frames: &[Vec<u8>], code: u16) {
    let bytes = frames.concat();
    for size in pieces(&bytes) {
        let mut socket = Socket::open(world, person).await;
        socket.send(&frame(FIN | TEXT, asking("before").as_bytes())).await;
        assert_eq!(socket.word().await, "before");
        socket.send_in(&bytes, size).await;
        assert_eq!(socket.closed().await, Some(code), "in pieces of {size}: {:02x?}", &bytes[..bytes.len().min(40)]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_every_length_of_head_are_answered() {
    let (world, ann) = world().await;
    for len in [0, 1, 63, 64] {
        let word = "*".repeat(len);
        assert_heard(&world, &ann, &[frame(FIN | TEXT, asking(&word).as_bytes())], &[&word]).await;
    }
    let bare = serde_json::json!({"ref": 7, "type": "big", "data": ""}).to_string().len();
    for len in [125, 126, 127, 65_535, MESSAGE_BYTES_MAX] {
        let text = serde_json::json!({"ref": 7, "type": "big", "data": "*".repeat(len - bare)}).to_string();
        assert_eq!(text.len(), len);
        assert_heard(&world, &ann, &[frame(FIN | TEXT, text.as_bytes())], &["big"]).await;
    }
    let many: Vec<Vec<u8>> = (0..50).map(|at| frame(FIN | TEXT, asking(&format!("n{at}")).as_bytes())).collect();
    let words: Vec<String> = (0..50).map(|at| format!("n{at}")).collect();
    assert_heard(&world, &ann, &many, &words.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_big_a_message_closes_with_1009() {
    let (world, ann) = world().await;
    assert_closed(&world, &ann, &[frame(FIN | TEXT, &vec![b' '; MESSAGE_BYTES_MAX + 1])], 1009).await;
    let half = vec![b' '; MESSAGE_BYTES_MAX / 2];
    let fragments = [frame(TEXT, &half), frame(CONTINUATION, &half), frame(FIN, b" ")];
    assert_closed(&world, &ann, &fragments, 1009).await;
    // The head is enough: nobody waits for what it promises.
    let head = [&[FIN | TEXT, 0x80 | 127][..], &(1_u64 << 62).to_be_bytes(), &[0; 4]].concat();
    assert_closed(&world, &ann, &[head], 1009).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_answered_with_their_bytes() {
    let (world, ann) = world().await;
    let mut socket = Socket::open(&world, &ann).await;
    for payload in [&b""[..], b"Hello", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
        for size in pieces(payload) {
            socket.send_in(&frame(FIN | PING, payload), size).await;
            socket.pong(payload).await;
        }
    }
    // Pongs that nobody asked for are signs of life.
    socket.send(&[frame(FIN | PONG, b"unasked"), frame(FIN | PING, b"then")].concat()).await;
    socket.pong(b"then").await;
    let ten: Vec<u8> = (0..10_u8).flat_map(|at| frame(FIN | PING, &[at; 8])).collect();
    socket.send(&ten).await;
    for at in 0..10 {
        socket.pong(&[at; 8]).await;
    }
    socket.bye().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_the_protocol_forbids_close_with_1002() {
    let (world, ann) = world().await;
    let mut bad = vec![
        vec![FIN | TEXT, 2, b'h', b'i'], // no mask
        frame(FIN | PING, &[0; 126]),    // control frames are short
        frame(PING, b""),                // … and in one piece
        frame(CLOSE, b""),
        frame(FIN, b"of nothing"),
        frame(CONTINUATION, b"of nothing"),
        [frame(TEXT, b"{"), frame(FIN | TEXT, b"}")].concat(),
        [frame(TEXT, b"{"), frame(FIN | PONG, b""), frame(BINARY, b"}")].concat(),
        [&[FIN | TEXT, 0x80 | 126, 0, 5][..], &[0; 4], b"hello"].concat(), // a length longer than needed
        [&[FIN | TEXT, 0x80 | 127][..], &[0xff; 8], &[0; 4]].concat(),
        frame(FIN | CLOSE, b"\x03"), // half a code
    ];
    bad.extend((1..8).map(|bits| frame(FIN | bits << 4 | TEXT, b"{}")));
    bad.extend((1..8).map(|bits| frame(FIN | bits << 4 | PING, b"")));
    bad.extend((3..8).chain(11..16).map(|opcode| frame(FIN | opcode, b"")));
    for bytes in bad {
        assert_closed(&world, &ann, &[bytes, frame(FIN | PING, b"late")], 1002).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fragments_are_joined_and_control_frames_come_between() {
    let (world, ann) = world().await;
    let text = asking("joined-κόσμε-🎺");
    let bytes = text.as_bytes();
    for cut in [1, 10, bytes.len() / 2, bytes.len() - 3] {
        let frames = [frame(TEXT, &bytes[..cut]), frame(CONTINUATION, b""), frame(FIN, &bytes[cut..])];
        assert_heard(&world, &ann, &frames, &["joined-κόσμε-🎺"]).await;
    }
    let mut single: Vec<Vec<u8>> = vec![frame(TEXT, b"")];
    single.extend(bytes.iter().map(|byte| frame(CONTINUATION, &[*byte])));
    single.push(frame(FIN, b""));
    assert_heard(&world, &ann, &single, &["joined-κόσμε-🎺"]).await;

    let mut socket = Socket::open(&world, &ann).await;
    socket.send(&[frame(TEXT, &bytes[..5]), frame(FIN | PING, b"between")].concat()).await;
    socket.pong(b"between").await;
    socket.send(&frame(FIN, &bytes[5..])).await;
    assert_eq!(socket.word().await, "joined-κόσμε-🎺");
    socket.bye().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_is_utf_8_or_the_session_closes_with_1007() {
    let (world, ann) = world().await;
    for word in ["κόσμε", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{10000}", "\u{10ffff}", "µ@ßöä"]
    {
        assert_heard(&world, &ann, &[frame(FIN | TEXT, asking(word).as_bytes())], &[word]).await;
    }
    let bad: [&[u8]; 9] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"\xf8\x88\x80\x80\x80",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xce\xba\xe1\xbd",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xed\xa0\x80\xed\xb0\x80",
    ];
    for bytes in bad {
        assert_closed(&world, &ann, &[frame(FIN | TEXT, bytes)], 1007).await;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        assert_closed(&world, &ann, &[frame(TEXT, first), frame(FIN, second)], 1007).await;
    }
    assert_closed(&world, &ann, &[close_frame(1000, b"\xce\xba\xe1\xbd")], 1007).await;
    // What can never become right is not waited for.
    assert_closed(&world, &ann, &[frame(TEXT, b"\xf4\x90")], 1007).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closes_are_answered_with_their_code() {
    let (world, ann) = world().await;
    for code in (1000..=1003).chain(1007..=1011).chain([3000, 3999, 4000, 4999]) {
        assert_closed(&world, &ann, &[close_frame(code, "tschüß".as_bytes())], code).await;
    }
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_closed(&world, &ann, &[close_frame(code, b"")], 1002).await;
    }
    assert_closed(&world, &ann, &[close_frame(1000, &[b'*'; 123])], 1000).await;
    assert_closed(&world, &ann, &[close_frame(1000, &[b'*'; 124])], 1002).await;
    // Nothing counts after it: no ping, no second close, no nonsense.
    let after = [close_frame(1000, b""), frame(FIN | PING, b"late"), close_frame(1001, b""), vec![0xff; 30]];
    assert_closed(&world, &ann, &after, 1000).await;
    assert_closed(&world, &ann, &[frame(TEXT, b"{"), close_frame(1000, b"")], 1000).await;
    let mut socket = Socket::open(&world, &ann).await;
    socket.send(&frame(FIN | CLOSE, b"")).await;
    assert_eq!(socket.closed().await, None, "a close without a code is answered by one without");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_frame_is_told_so_and_ten_of_them_close_with_4400() {
    let (world, ann) = world().await;
    assert_closed(&world, &ann, &[frame(FIN | BINARY, b"{}")], 4400).await;
    let mut socket = Socket::open(&world, &ann).await;
    let no_frames = ["", " ", "hello", "{}", "[]", "null", r#"{"ref":-1,"type":"ping"}"#, r#"{"ref":1}"#, "{", "\0"];
    for text in no_frames {
        socket.send(&frame(FIN | TEXT, text.as_bytes())).await;
        let reply = socket.json().await;
        assert_eq!((&reply["type"], &reply["ref"], &reply["ok"]), (&"reply".into(), &Value::Null, &false.into()));
        assert_eq!(reply["error"]["code"], "bad_request", "{reply}");
    }
    assert_eq!(socket.closed().await, Some(4400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_may_begin_with_a_burst_and_what_is_past_the_rate_is_refused() {
    const SENT: usize = 200;
    let world = World::with(|settings| settings.realtime.messages_per_s = 10).await;
    let ann = world.person("ann").await;
    let mut socket = Socket::open(&world, &ann).await;
    socket.send(&frame(FIN | TEXT, asking("burst").as_bytes()).repeat(SENT)).await;
    let mut refused = 0;
    for _ in 0..SENT {
        refused += usize::from(socket.json().await["error"]["code"] == "rate_limited");
    }
    assert!((1..=SENT - 20).contains(&refused), "{refused} of {SENT} refused; a burst is twice the rate");
    socket.bye().await;
}

/// The status and head of the answer to a request.
async fn answer(world: &World, request: &str) -> (u16, String) {
    let mut socket = Socket::connect(world).await;
    socket.send(request.as_bytes()).await;
    let head = socket.head().await;
    (head.split(' ').nth(1).unwrap().parse().unwrap(), head)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handshake_is_checked_and_answered_as_the_rfc_says() {
    let (world, ann) = world().await;
    let good = request(&ann, "sec-websocket-extensions: permessage-deflate\r\n");
    let (status, head) = answer(&world, &good).await;
    assert_eq!(status, 101);
    assert!(head.contains(&format!("sec-websocket-accept: {ACCEPT}\r\n")), "{head}");
    assert!(head.contains("upgrade: websocket\r\n") && head.contains("connection: Upgrade\r\n"), "{head}");
    assert!(!head.contains("sec-websocket-extensions"), "compression is off by default: {head}");
    assert_eq!(answer(&world, &good.replace("connection: Upgrade", "Connection: keep-alive, upgrade")).await.0, 101);

    for (from, to) in [
        ("upgrade: websocket\r\n", ""),
        ("connection: Upgrade", "connection: close"),
        ("sec-websocket-key", "x-key"),
        (KEY, "c2hvcnQ="),
        ("version: 13", "version: 12"),
    ] {
        let (status, head) = answer(&world, &good.replace(from, to)).await;
        assert_eq!((status, head.contains("sec-websocket-version: 13\r\n")), (400, from == "version: 13"), "{head}");
    }
    assert_eq!(answer(&world, &good.replacen("GET", "PUT", 1)).await.0, 405);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_that_come_with_the_handshake_are_not_lost() {
    let (world, ann) = world().await;
    let mut bytes = request(&ann, "").into_bytes();
    bytes.extend(frame(FIN | TEXT, asking("early").as_bytes()));
    bytes.extend(&frame(FIN | PING, b"cut")[..4]);
    for size in pieces(&bytes) {
        let mut socket = Socket::connect(&world).await;
        socket.send_in(&bytes, size).await;
        socket.head().await;
        assert_eq!(socket.word().await, "early");
        socket.send(&frame(FIN | PING, b"cut")[4..]).await;
        socket.pong(b"cut").await;
        socket.bye().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn compressed_messages_are_read_where_the_setting_is_on() {
    let (world, ann) = world_with(true).await;
    let mut socket = Socket::connect(&world).await;
    socket
        .send(request(&ann, "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n").as_bytes())
        .await;
    let agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n";
    assert!(socket.head().await.contains(agreed));
    socket.frame().await.expect("the hello, compressed or not");
    let compressed = |bytes: &[u8]| {
        let mut out = Vec::with_capacity(bytes.len() + 1_024);
        Compress::new(Compression::best(), false).compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        out
    };
    for word in ["squeezed", "again"] {
        let payload = compressed(asking(word).as_bytes());
        socket.send(&[frame(RSV1 | TEXT, &payload[..9]), frame(FIN, &payload[9..])].concat()).await;
        let (first, payload) = socket.frame().await.unwrap();
        // A short reply is not worth compressing; a longer one was.
        assert!(first == FIN | RSV1 | TEXT || String::from_utf8_lossy(&payload).contains(word));
    }
    let bomb = compressed(&vec![b' '; MESSAGE_BYTES_MAX + 1]);
    assert!(bomb.len() < 1_000);
    socket.send(&frame(FIN | RSV1 | TEXT, &bomb)).await;
    assert_eq!(socket.closed().await, Some(1009));
}
