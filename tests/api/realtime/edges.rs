//! The HTTP below: heads, methods, versions, and what comes before its time.

use std::time::Instant;

use fanfare_protocol::{ServerEvent, Transport};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::device::{Device, address, get, parts, poll, raw, request};
use super::{fast, world};
use crate::world::World;

const KEY: &str = "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nupgrade: websocket\r\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_not_finished_in_time_is_closed() {
    let world = World::with(|settings| {
        fast(settings);
        assert_eq!(settings.http.head_timeout_s, 5);
        settings.http.head_timeout_s = 1;
    })
    .await;
    let started = Instant::now();
    raw(&world, "GET /v1/realtime HTTP/1.1\r\nhost: x\r\nupgrade: webso").await;
    assert!((1..10).contains(&started.elapsed().as_secs()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_request_is_told_as_a_problem() {
    let world = world().await;
    let ann = world.person("ann").await;
    for (path, expected) in [
        ("/v1/realtime/poll?wait=61", 422),
        ("/v1/realtime/poll?wait=-1", 422),
        ("/v1/realtime/poll?wait=x", 422),
        ("/v1/realtime/poll?v=2", 422),
        ("/v1/realtime/sse?v=2", 422),
        ("/v1/realtime/sse?v=x", 422),
        ("/v1/realtime", 400),
        ("/v1/realtime/poll?v=1&wait=0", 200),
    ] {
        let answer = raw(&world, &request("GET", path, &ann.token, "")).await;
        let (status, head, body) = parts(&answer);
        assert!(status == expected || (status == 400 && expected == 422), "{path}: {answer}");
        assert!(status == 200 || head.contains("application/problem+json") && body.contains("\"detail\""), "{answer}");
    }
    let upgrade =
        request("GET", "/v1/realtime?v=2", &ann.token, KEY).replace("connection: close", "connection: upgrade");
    assert!([400, 422].contains(&parts(&raw(&world, &upgrade.replace("upgrade\r\n", "upgrade, close\r\n")).await).0));
    for path in ["/v1/realtime", "/v1/realtime/sse", "/v1/realtime/poll", "/v1/realtime/send"] {
        for method in ["POST", "PUT", "DELETE", "HEAD"] {
            if (method, path) == ("POST", "/v1/realtime/send") {
                continue;
            }
            let answer = raw(&world, &request(method, path, &ann.token, "content-length: 0\r\n")).await;
            let (status, _, body) = parts(&answer);
            assert!((400..500).contains(&status) || method == "HEAD", "{method} {path}: {answer}");
            assert!(method != "HEAD" || body.is_empty(), "{method} {path}: {answer}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_says_what_proxies_must_know_also_to_old_clients() {
    let world = world().await;
    let ann = world.person("ann").await;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut stream = TcpStream::connect(address(&world)).await.unwrap();
        let head = request("GET", "/v1/realtime/sse", &ann.token, "").replace("HTTP/1.1", version);
        let head = head.replace("connection: close", "connection: keep-alive");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"\n\n") {
            assert!(stream.read_buf(&mut got).await.unwrap() > 0, "{}", String::from_utf8_lossy(&got));
        }
        let (status, head, body) = parts(&String::from_utf8(got).unwrap());
        assert_eq!(status, 200);
        for line in [
            "content-type: text/event-stream",
            "cache-control: no-store, no-transform",
            "x-accel-buffering: no",
            "connection: close",
            "x-request-id: ",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(!head.contains("content-length") && !head.contains("transfer-encoding"), "{head}");
        assert!(body.starts_with("id: ") && body.contains("\ndata: {\"type\":\"hello\""), "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_kept_alive_polls_and_one_that_waited_is_closed() {
    let world = world().await;
    let ann = world.person("ann").await;
    let cursor = poll(&world.base, &ann.token, None, 0).await.cursor;
    let keep = |path: &str| request("GET", path, &ann.token, "").replace("connection: close\r\n", "");
    let now = keep(&format!("/v1/realtime/poll?wait=0&cursor={cursor}"));
    let wait = keep(&format!("/v1/realtime/poll?wait=1&cursor={cursor}"));
    let answers = raw(&world, &format!("{now}{now}{wait}")).await;
    assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 3, "{answers}");
    assert!(answers.to_lowercase().rsplit("http/1.1 200").next().unwrap().contains("connection: close"), "{answers}");
    let old = request("GET", &format!("/v1/realtime/poll?wait=1&cursor={cursor}"), &ann.token, "");
    assert_eq!(parts(&raw(&world, &old.replace("HTTP/1.1", "HTTP/1.0")).await).0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn last_event_id_wins_over_the_query() {
    let world = world().await;
    let ann = world.person("ann").await;
    let good = Device::ws(&world, &ann.token).await.hello.cursor;
    let post = ann.say("missed").await.unwrap().id;
    let mut stream = TcpStream::connect(address(&world)).await.unwrap();
    let head = request("GET", "/v1/realtime/sse?cursor=nonsense", &ann.token, &format!("last-event-id: {good}\r\n"));
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains(&post.to_string()) {
        assert!(stream.read_buf(&mut got).await.unwrap() > 0, "{}", String::from_utf8_lossy(&got));
    }
    assert!(String::from_utf8(got).unwrap().contains("\"resumed\":true"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_sent_right_behind_the_request_are_heard_and_bad_ones_leave_nothing_behind() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let head = request("GET", "/v1/realtime", &ann.token, KEY).replace("connection: close", "connection: upgrade");
    let ping = br#"{"ref":5,"type":"ping"}"#;
    let mut bytes = head.clone().into_bytes();
    bytes.extend_from_slice(&[0x81, 0x80 | ping.len() as u8, 0, 0, 0, 0]);
    bytes.extend_from_slice(ping);
    let mut stream = TcpStream::connect(address(&world)).await.unwrap();
    stream.write_all(&bytes).await.unwrap();
    let mut got = Vec::new();
    while !String::from_utf8_lossy(&got).contains("\"reply\"") {
        assert!(stream.read_buf(&mut got).await.unwrap() > 0);
    }
    drop(stream);
    // Unmasked: the session ends as it begins. Who is not here is not online.
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&[0x81, 0x01, b'x']);
    for _ in 0..30 {
        let mut stream = TcpStream::connect(address(&world)).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    }
    let path = format!("/v1/presence?user_ids={}", ann.id);
    crate::world::eventually("ann is offline", async || {
        get(&world.base, &path, &bob.token).await.1.contains("\"online\":false").then_some(())
    })
    .await;
    let open = super::device::seen_by_operator(&world, "/v1/admin/realtime/sessions").await;
    assert!(open["items"].as_array().unwrap().is_empty(), "{open}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_answers_no_ping_is_given_up() {
    let world = world().await;
    let ann = world.person("ann").await;
    let silent = Device::ws(&world, &ann.token).await;
    let mut events = Device::new(Transport::Sse, &world, &ann.token, None).await;
    let started = Instant::now();
    crate::world::eventually("the silent one is gone", async || {
        let open = super::device::seen_by_operator(&world, "/v1/admin/realtime/sessions").await;
        (open["items"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    assert!(started.elapsed().as_millis() >= 2_500);
    drop(silent);
    let post = ann.say("streams need no answer").await.unwrap().id;
    assert!(matches!(events.event().await, ServerEvent::FeedPosts(posts) if posts.items[0].post.id == post));
}
