//! Connections that take and do not give: answers that nobody reads, and many of one address.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::connections::{DEADLINE, Running, answer, is_closed, running, running_as};
use super::*;

/// A connection whose end keeps little of what it has not read.
async fn connect_small(server: &Running) -> TcpStream {
    connect_keeping(server, 16 << 10).await
}

async fn connect_keeping(server: &Running, bytes: u32) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(bytes).unwrap();
    socket.connect(server.address).await.unwrap()
}

async fn ask(stream: &mut TcpStream, path: &str) {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
}

fn shed(app: &App, what: &str) -> u64 {
    let name = format!("fanfare_shed_total{{what=\"{what}\"}} ");
    let rendered = app.http.metrics().render();
    rendered.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_give_their_connections_back() {
    let server = running(|settings| {
        settings.http.connections_max = 2;
        settings.http.write_stall_s = 1;
    })
    .await;
    let mut silent = Vec::new();
    for requests in [1, 9] {
        let mut stream = connect_small(&server).await;
        for _ in 0..requests {
            ask(&mut stream, "/big").await;
        }
        silent.push(stream);
    }
    // All places are taken; whoever comes has to wait for one.
    let mut newcomer = server.connect().await;
    ask(&mut newcomer, "/healthz").await;
    assert!(answer(&mut newcomer).await.starts_with("HTTP/1.1 200"));
    assert!(shed(&server.app, "stalled_readers") >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_slowly_gets_all_of_it() {
    let server = running(|settings| settings.http.write_stall_s = 1).await;
    let mut stream = connect_small(&server).await;
    ask(&mut stream, "/big").await;
    // Three times as long as a client may take nothing.
    const PACES: usize = 120;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(25));
    let mut piece = vec![0; BIG / 2 / PACES];
    let mut read = 0;
    for _ in 0..PACES {
        pace.tick().await;
        stream.read_exact(&mut piece).await.expect("the answer goes on");
        read += piece.len();
    }
    let mut rest = Vec::new();
    let all = async {
        while read + rest.len() < BIG {
            assert!(stream.read_buf(&mut rest).await.unwrap() > 0, "the answer is whole");
        }
    };
    tokio::time::timeout(DEADLINE, all).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_reads_far_less_than_the_system_here_keeps_is_not_cut() {
    let server = running(|settings| settings.http.write_stall_s = 2).await;
    // It makes room in pieces of 4 KiB, one a second: more than the least rate, and less than the server's system takes
    // at once.
    let mut stream = connect_keeping(&server, 4 << 10).await;
    ask(&mut stream, "/big").await;
    let mut pace = tokio::time::interval(std::time::Duration::from_millis(50));
    for _ in 0..100 {
        pace.tick().await;
        stream.read_exact(&mut [0; 256]).await.expect("the answer goes on");
    }
    // Also what comes after what its own system had kept.
    stream.read_exact(&mut vec![0; 1 << 20]).await.expect("the answer goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_address_has_so_many_connections_and_hears_so_at_the_next() {
    let change = |settings: &mut Settings| settings.http.connections_per_address_max = 2;
    let server = running_as(app_counting(change, false)).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    for stream in [&mut first, &mut second] {
        ask(stream, "/items/1").await;
        assert!(answer(stream).await.starts_with("HTTP/1.1 200"));
    }
    let mut third = server.connect().await;
    let text = answer(&mut third).await.to_lowercase();
    assert!(text.starts_with("http/1.1 429") && text.contains("application/problem+json"), "{text}");
    assert!(text.contains("retry-after: 1") && text.contains("x-request-id: ") && text.contains("\"rate_limited\""));
    assert!(is_closed(&mut third).await);
    assert!(shed(&server.app, "connections_of_address") >= 1);
    drop(first);
    let served = async {
        loop {
            // Its place is given back when the server has seen that it is gone.
            let mut next = server.connect().await;
            if next.write_all(b"GET /items/1 HTTP/1.1\r\nhost: x\r\n\r\n").await.is_ok()
                && answer(&mut next).await.starts_with("HTTP/1.1 200")
            {
                return;
            }
        }
    };
    tokio::time::timeout(DEADLINE, served).await.expect("a place is given back");
}

#[tokio::test]
async fn this_machine_has_as_many_connections_as_there_are() {
    let server = running(|settings| settings.http.connections_per_address_max = 1).await;
    let mut streams = Vec::new();
    for _ in 0..5 {
        let mut stream = server.connect().await;
        ask(&mut stream, "/items/1").await;
        assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
        streams.push(stream);
    }
}
