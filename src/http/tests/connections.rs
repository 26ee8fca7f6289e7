//! The server on a real socket: keep-alive, refused bodies, limits of connections, shutdown.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

/// Longest wait of a test for what must happen; only a failing one waits that long.
pub(super) const DEADLINE: Duration = Duration::from_secs(20);

pub(super) struct Running {
    pub(super) app: App,
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    ended: JoinHandle<std::io::Result<()>>,
}

pub(super) async fn running(change: impl FnOnce(&mut Settings)) -> Running {
    running_as(app_with(change)).await
}

pub(super) async fn running_as(app: App) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async move { _ = stopped.await };
    let ended = tokio::spawn(run(listener, app.router.clone(), app.http.clone(), shutdown, std::future::ready(())));
    Running { app, address, stop: Some(stop), ended }
}

impl Running {
    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    pub(super) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).unwrap();
    }

    pub(super) async fn ended(self) {
        tokio::time::timeout(DEADLINE, self.ended).await.expect("the server ends").unwrap().unwrap();
    }
}

/// Reads one answer: its head, then as many bytes as `content-length` says.
pub(super) async fn answer(stream: &mut TcpStream) -> String {
    let read = async {
        let mut text = Vec::new();
        loop {
            let whole = String::from_utf8_lossy(&text).into_owned();
            if let Some((head, body)) = whole.split_once("\r\n\r\n") {
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
                if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                    return whole;
                }
            }
            let mut piece = [0; 4096];
            match stream.read(&mut piece).await {
                Ok(0) => return format!("{whole}(closed)"),
                Ok(bytes) => text.extend_from_slice(&piece[..bytes]),
                Err(error) => return format!("{whole}({error})"),
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("an answer comes")
}

pub(super) async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(tokio::time::timeout(DEADLINE, stream.read(&mut [0; 16])).await, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = running(|_| ()).await;
    let mut stream = server.connect().await;
    for id in 1..4 {
        stream.write_all(format!("GET /items/{id} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with("HTTP/1.1 200") && text.ends_with(&format!("\"{id}\"")), "{text}");
    }
}

/// A client that writes all of its body before it reads: without draining it would see a reset in place of the answer.
#[tokio::test]
async fn a_client_that_is_still_sending_a_refused_body_reads_the_answer() {
    let server = running(|_| ()).await;
    for (path, status) in [("/notes", "413"), ("/own-notes", "401"), ("/nothing", "404"), ("/items", "405")] {
        let mut stream = server.connect().await;
        let bytes = 7 << 20;
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&vec![b' '; bytes]).await.unwrap();
        let text = answer(&mut stream).await;
        assert!(text.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {text}");
        stream.write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"), "the connection goes on after {path}");
    }
}

#[tokio::test]
async fn a_client_that_asks_first_is_refused_before_it_sends() {
    let server = running(|_| ()).await;
    let mut stream = server.connect().await;
    let head = "POST /notes HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\nexpect: 100-continue\r\ncontent-length: 5000000\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    let text = answer(&mut stream).await;
    assert!(text.starts_with("HTTP/1.1 413"), "{text}");
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn beyond_the_bound_a_connection_waits_for_its_turn() {
    let server = running(|settings| settings.http.connections_max = 1).await;
    let mut first = server.connect().await;
    first.write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut first).await;
    let mut second = server.connect().await;
    second.write_all(b"GET /items/2 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    first.write_all(b"GET /items/3 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut first).await.ends_with("\"3\""));
    drop(first);
    assert!(answer(&mut second).await.ends_with("\"2\""));
}

#[tokio::test]
async fn a_head_that_does_not_arrive_closes_the_connection() {
    let server = running(|settings| settings.http.head_timeout_s = 1).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nhost").await.unwrap();
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_connection_that_asks_for_nothing_more_is_closed() {
    let server = running(|settings| settings.http.head_timeout_s = 1).await;
    let mut stream = server.connect().await;
    stream.write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut stream).await.ends_with("\"1\""));
    assert!(is_closed(&mut stream).await);
}

#[tokio::test]
async fn a_shutdown_finishes_what_was_accepted_and_closes_what_is_idle() {
    let mut server = running(|_| ()).await;
    let (mut busy, mut idle) = (server.connect().await, server.connect().await);
    idle.write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut idle).await;
    busy.write_all(b"POST /gate HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    server.app.arrived.acquire().await.unwrap().forget();
    server.stop();
    assert!(is_closed(&mut idle).await);
    assert_eq!(server.app.http.readiness().phase(), Phase::Draining);
    assert!(TcpStream::connect(server.address).await.is_err(), "no connection is taken any more");
    server.app.gate.add_permits(1);
    assert!(answer(&mut busy).await.ends_with("through"));
    assert!(is_closed(&mut busy).await);
    server.ended().await;
}

#[tokio::test]
async fn what_outlives_the_grace_is_cut_off() {
    let mut server = running(|settings| settings.http.shutdown_grace_s = 0).await;
    let mut busy = server.connect().await;
    busy.write_all(b"POST /gate HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await.unwrap();
    server.app.arrived.acquire().await.unwrap().forget();
    server.stop();
    assert!(is_closed(&mut busy).await);
    server.ended().await;
}

#[tokio::test]
async fn a_server_that_opens_its_data_is_alive_and_not_ready_and_hands_its_address_over() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (opened, opening) = oneshot::channel();
    let settings = Settings::default().http;
    let starting = tokio::spawn(async move { answer_while(listener, &settings, opening).await.unwrap() });
    for (path, status) in [("/healthz", "200"), ("/readyz", "503"), ("/v1/feed", "503")] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let answer = answer(&mut stream).await.to_lowercase();
        assert!(answer.starts_with(&format!("http/1.1 {status}")), "{answer}");
        assert!(answer.contains("x-request-id: ") && answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.contains("retry-after: "), status == "503", "{answer}");
        assert!(is_closed(&mut stream).await, "{path}: the next request is not for this router");
    }
    // Connections are taken in their order: when a later one is served, this one has been taken.
    let mut late = TcpStream::connect(address).await.unwrap();
    let mut behind = TcpStream::connect(address).await.unwrap();
    behind.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    answer(&mut behind).await;
    opened.send("what was opened").unwrap();
    let (listener, done) = tokio::time::timeout(DEADLINE, starting).await.expect("it ends").unwrap();
    assert_eq!(done, Ok("what was opened"));
    late.write_all(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(answer(&mut late).await.starts_with("HTTP/1.1 503"), "it is told to ask again");
    assert!(is_closed(&mut late).await);
    // Whoever comes now is the next one's to serve.
    let next = TcpStream::connect(address).await.unwrap();
    let (_, peer) = tokio::time::timeout(DEADLINE, listener.accept()).await.expect("it comes").unwrap();
    assert_eq!(peer, next.local_addr().unwrap());
}
