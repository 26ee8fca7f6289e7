//! Connections on the doorstep: whatever is asked, in whatever pieces, it is answered as without one.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::connections::{DEADLINE, Running, answer, is_closed, running, running_as};
use super::*;

const PLAIN: &str = "GET /s/known HTTP/1.1\r\nHost: x\r\n\r\n";

fn prepared() -> Arc<Prepared> {
    let to = HeaderValue::from_static("https://example.com/");
    Arc::new(Prepared::new(StatusCode::FOUND, [(header::LOCATION, to)], true))
}

/// Knows one thing, and can learn another.
#[derive(Default)]
pub(super) struct TwoThings {
    learnt: Mutex<HashSet<String>>,
    /// Requests that were answered at the door.
    answered: AtomicUsize,
}

#[async_trait]
impl Door for TwoThings {
    fn open(&self, knock: &Knock<'_>) -> Opened {
        match knock.path {
            "/s/learnable" if !self.learnt.lock().contains(knock.path) => return Opened::Unknown,
            "/s/known" | "/s/learnable" => {}
            "/s/nowhere" => return Opened::Unknown,
            "/s/panics" => panic!("secret of the house"),
            _ => return Opened::Closed,
        }
        self.answered.fetch_add(1, Ordering::Relaxed);
        Opened::Answered(DoorAnswer { prepared: prepared(), route: "/s/{code}" })
    }

    async fn learn(&self, path: &str) {
        if path == "/s/learnable" {
            tokio::task::yield_now().await;
            self.learnt.lock().insert(path.to_owned());
        }
    }
}

/// The route that the door stands for.
pub(super) async fn route(Path(code): Path<String>) -> Response {
    match code.as_str() {
        "known" | "learnable" => prepared().response(),
        "panics" => panic!("secret of the house"),
        _ => Error::not_found("thing").into_response(),
    }
}

async fn at_a_door(change: impl FnOnce(&mut Settings)) -> (Running, Arc<TwoThings>) {
    let (app, door) = (app_with(change), Arc::new(TwoThings::default()));
    app.http.put_door(door.clone());
    (running_as(app).await, door)
}

/// All that the server says to these pieces, up to the end of the connection, without ids and dates.
async fn said(server: &Running, pieces: &[&[u8]]) -> String {
    let (mut read, mut write) = server.connect().await.into_split();
    let mut text = Vec::new();
    let all = async {
        let sent = async {
            for piece in pieces {
                // The server may have ended the connection.
                if write.write_all(piece).await.is_err() {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::join!(sent, read.read_to_end(&mut text)).1
    };
    let _ = tokio::time::timeout(DEADLINE, all).await.expect("the connection ends");
    let text = String::from_utf8_lossy(&text);
    let is_own = |line: &&str| ["x-request-id: ", "date: "].iter().any(|own| line.starts_with(own));
    // In the order of their names, within each head.
    let mut heads: Vec<Vec<&str>> = vec![Vec::new()];
    for line in text.split("\r\n").filter(|line| !is_own(line)) {
        if line.starts_with("HTTP/") || line.contains("HTTP/1.1 ") {
            heads.push(Vec::new());
        }
        heads.last_mut().unwrap().push(line);
    }
    for lines in &mut heads {
        let first = usize::from(!lines.is_empty());
        lines[first..].sort_unstable();
    }
    format!("{heads:#?}")
}

const LAST: &str = "GET /s/known HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Requests one after another, of which nothing but the last ends the connection.
fn conversations() -> Vec<String> {
    let note = "POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"text\":\"hi\"}";
    let chunked = "POST /notes HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
                   d\r\n{\"text\":\"hi\"}\r\n0\r\n\r\n";
    let with = |line: &str| format!("GET /s/known HTTP/1.1\r\nHost: x\r\n{line}\r\n\r\n");
    let long = format!("GET /s/known HTTP/1.1\r\nHost: x\r\nCookie: {}\r\n\r\n", "c".repeat(5_000));
    let many = with(&(0..60).map(|number| format!("x-{number}: y")).collect::<Vec<_>>().join("\r\n"));
    let head = "HEAD /s/known HTTP/1.1\r\nHost: x\r\n\r\n";
    vec![
        [PLAIN, PLAIN, head, PLAIN].concat(),
        [PLAIN, note, PLAIN].concat(),
        [PLAIN, chunked, PLAIN].concat(),
        // What looks like a request may be the body of one.
        [PLAIN, "POST /notes HTTP/1.1\r\nHost: x\r\nContent-Length: 37\r\n\r\n", PLAIN, PLAIN].concat(),
        [PLAIN, &with("Content-Length: 37"), PLAIN, PLAIN].concat(),
        [PLAIN, &with("Transfer-Encoding: chunked"), "0\r\n\r\n", PLAIN].concat(),
        [PLAIN, &with("Content-Length: 5\r\nTransfer-Encoding: chunked"), "0\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/learnable HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/nowhere HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/panics HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known?a=b&c=%20 HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/%6bnown HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET http://x/s/known HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/1.1\nHost: x\n\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/1.1\r\n\r\n", PLAIN].concat(),
        [PLAIN, &with("Host: y"), PLAIN].concat(),
        [PLAIN, &with("Authorization: Bearer a\r\nAuthorization: Bearer b"), PLAIN].concat(),
        [PLAIN, &with("Origin: https://evil.example"), PLAIN].concat(),
        [PLAIN, &with("X-Request-Id: mine\r\nX-Request-Id: other"), &with("Connection: Keep-Alive"), PLAIN].concat(),
        [PLAIN, &with("Upgrade: h2c\r\nConnection: upgrade"), PLAIN].concat(),
        [PLAIN, &with("Expect: 100-continue"), PLAIN].concat(),
        [PLAIN, &long, PLAIN].concat(),
        [PLAIN, &many, PLAIN].concat(),
        [PLAIN, "GET /items/7 HTTP/1.1\r\nHost: x\r\n\r\n", "OPTIONS /s/known HTTP/1.1\r\nHost: x\r\n\r\n"].concat(),
        [PLAIN, "GET /s/kn own HTTP/1.1\r\nHost: x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/1.1\r\nHost: x\r\nbad header: y\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/1.1\r\nHost : x\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n", PLAIN].concat(),
        [PLAIN, "GET /s/known HTTP/2.0\r\nHost: x\r\n\r\n", PLAIN].concat(),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_or_not_requests_are_answered_alike_in_whatever_pieces_they_come() {
    let (server, door) = at_a_door(|settings| settings.http.write_stall_s = 5).await;
    for conversation in conversations() {
        let text = conversation + LAST;
        let bytes = text.as_bytes();
        server.app.http.shut_door();
        let expected = said(&server, &[bytes]).await;
        server.app.http.open_door();
        let before = door.answered.load(Ordering::Relaxed);
        assert_eq!(said(&server, &[bytes]).await, expected, "in one piece: {text:?}");
        assert!(door.answered.load(Ordering::Relaxed) > before, "{text:?}");
        for size in [1, 2, 3, 7, 20, 36, 37, 38, 75] {
            let pieces: Vec<&[u8]> = bytes.chunks(size).collect();
            assert_eq!(said(&server, &pieces).await, expected, "in pieces of {size}: {text:?}");
        }
    }
}

/// Requests that are one bit away from plain ones: what hyper would have read in another way shows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_one_bit_away_from_plain_is_answered_alike() {
    const SEEDS: [&str; 2] = [
        "GET /s/known?a=b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nAccept: */*\r\n\r\n",
        "HEAD /s/known HTTP/1.1\r\nhost: x\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n",
    ];
    // What became a part of a head is waited for.
    let (server, door) = at_a_door(|settings| settings.http.head_timeout_s = 1).await;
    let near = |seed: &str, bit: usize| {
        let mut bytes = seed.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes.extend_from_slice(LAST.as_bytes());
        bytes
    };
    let all: Vec<Vec<u8>> = SEEDS.iter().flat_map(|seed| (0..seed.len() * 8).map(move |bit| near(seed, bit))).collect();
    let mut answers = Vec::new();
    for is_open in [false, true] {
        if is_open {
            server.app.http.open_door();
        } else {
            server.app.http.shut_door();
        }
        let mut said_to = Vec::new();
        for some in all.chunks(64) {
            let asked = some.iter().map(async |bytes| said(&server, &[bytes]).await);
            said_to.extend(join_all(asked).await);
        }
        answers.push(said_to);
    }
    for (bytes, (shut, open)) in all.iter().zip(answers[0].iter().zip(&answers[1])) {
        assert_eq!(open, shut, "{:?}", String::from_utf8_lossy(bytes));
    }
    assert!(door.answered.load(Ordering::Relaxed) > all.len() / 2);
}

async fn ask(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    answer(stream).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_learnt_is_answered_on_the_same_doorstep() {
    let (server, door) = at_a_door(|_| ()).await;
    let mut stream = server.connect().await;
    for path in ["/s/learnable", "/s/known", "/s/learnable"] {
        assert!(ask(&mut stream, path).await.starts_with("HTTP/1.1 302"), "{path}");
    }
    assert_eq!(door.answered.load(Ordering::Relaxed), 3, "all at the door");
    assert!(ask(&mut stream, "/s/nowhere").await.starts_with("HTTP/1.1 404"));
    assert!(ask(&mut stream, "/s/known").await.starts_with("HTTP/1.1 302"), "and the connection goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_closes_an_idle_doorstep_and_answers_whoever_is_asking_once_more() {
    let (mut server, _) = at_a_door(|_| ()).await;
    let (mut idle, mut asking) = (server.connect().await, server.connect().await);
    for stream in [&mut idle, &mut asking] {
        assert!(ask(stream, "/s/known").await.starts_with("HTTP/1.1 302"));
    }
    let (first, rest) = LAST.split_at(20);
    asking.write_all(PLAIN.as_bytes()).await.unwrap();
    asking.write_all(first.as_bytes()).await.unwrap();
    // Once that is answered the beginning of the next was read with it, or is read before anything else.
    assert!(answer(&mut asking).await.starts_with("HTTP/1.1 302"));
    server.stop();
    assert!(is_closed(&mut idle).await);
    // The rest comes too late or in time; if it is answered, the answer says that it is the last.
    let _ = asking.write_all(rest.as_bytes()).await;
    let last = answer(&mut asking).await;
    assert!(last.starts_with("(closed)") || last.contains("connection: close") || last.starts_with('('), "{last}");
    drop(asking);
    server.ended().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_doorstep_waits_for_a_head_as_long_as_the_server_does() {
    let (server, _) = at_a_door(|settings| settings.http.head_timeout_s = 1).await;
    let (mut part, mut idle, mut silent) = (server.connect().await, server.connect().await, server.connect().await);
    part.write_all(b"GET /s/kno").await.unwrap();
    assert!(ask(&mut idle, "/s/known").await.starts_with("HTTP/1.1 302"));
    for stream in [&mut part, &mut idle, &mut silent] {
        assert!(is_closed(stream).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_at_the_doorstep_and_does_not_read_is_let_go_of() {
    let (server, door) = at_a_door(|settings| settings.http.write_stall_s = 1).await;
    let mut stream = server.connect().await;
    let many = PLAIN.repeat(1_000);
    let sent = async { while stream.write_all(many.as_bytes()).await.is_ok() {} };
    tokio::time::timeout(DEADLINE, sent).await.expect("the connection ends");
    assert!(door.answered.load(Ordering::Relaxed) > 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_door_there_is_no_doorstep() {
    let server = running(|_| ()).await;
    let mut stream = server.connect().await;
    assert!(ask(&mut stream, "/s/known").await.starts_with("HTTP/1.1 302"));
}
