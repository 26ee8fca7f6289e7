//! Entry and end of sessions: tokens, tickets, origins, caps, and their close codes.

use fanfare::base::clock::Clock;
use fanfare::config::Secret;
use fanfare_protocol::{Ticket, Transport};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use super::device::{ALL, Device, close_code, get, parts, raw, request, seen_by_operator};
use super::{fast, world};
use crate::world::{PASSWORD, Person, World, eventually};

async fn ticket(person: &Person) -> String {
    let answer = crate::world::raw(person, "POST", "/v1/realtime/tickets", &[], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (201, "no-store"));
    let ticket: Ticket = answer.json().unwrap();
    ticket.ticket
}

/// Status of a request for a session that cannot set headers.
async fn status(world: &World, path: &str) -> u16 {
    parts(&raw(world, &format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")).await).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_opens_one_session_of_any_transport_and_no_more() {
    let world = world().await;
    let ann = world.person("ann").await;
    let one = ticket(&ann).await;
    let socket = super::device::socket(&world, &format!("?v=1&ticket={one}"), &[]).await;
    assert_eq!(close_code(&world, &format!("?ticket={one}"), &[]).await, 4401);
    assert_eq!(status(&world, &format!("/v1/realtime/sse?ticket={one}")).await, 401);
    drop(socket);
    let two = ticket(&ann).await;
    assert_eq!(status(&world, &format!("/v1/realtime/poll?wait=0&ticket={two}")).await, 200);
    assert_eq!(status(&world, &format!("/v1/realtime/poll?wait=0&ticket={two}")).await, 401);
    for bad in ["", "x", "%00", &"a".repeat(5_000)] {
        assert_eq!(close_code(&world, &format!("?ticket={bad}"), &[]).await, 4401);
    }
    let three = ticket(&ann).await;
    let answer = raw(&world, &format!("POST /v1/realtime/send?ticket={three} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]")).await;
    assert_eq!(parts(&answer).0, 401, "a ticket is for GET alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_dies_with_its_token() {
    let world = world().await;
    let ann = world.person("ann").await;
    let before = ticket(&ann).await;
    ann.log_out().await.unwrap();
    assert_eq!(close_code(&world, &format!("?ticket={before}"), &[]).await, 4401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_good_token_nobody_is_let_in() {
    let world = World::with(|settings| {
        fast(settings);
        settings.realtime.allowed_origins = vec!["https://app.example".parse().unwrap()];
    })
    .await;
    let ann = world.person("ann").await;
    let bearer = format!("Bearer {}", ann.token);
    assert_eq!(close_code(&world, "", &[]).await, 4401);
    assert_eq!(close_code(&world, "", &[("authorization", "Bearer nonsense")]).await, 4401);
    let origin = |origin| [("authorization", bearer.as_str()), ("origin", origin)];
    assert_eq!(close_code(&world, "", &origin("https://evil.example")).await, 4403);
    drop(super::device::socket(&world, "", &origin("https://app.example")).await);
    for path in ["/v1/realtime/sse", "/v1/realtime/poll"] {
        assert_eq!(status(&world, path).await, 401);
        let evil = raw(&world, &request("GET", path, &ann.token, "origin: https://evil.example\r\n")).await;
        assert_eq!(parts(&evil).0, 403);
    }
    let first = Device::ws(&world, &ann.token).await;
    assert!(first.hello.session_id.0 > 0, "no origin is no browser");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cap_counts_all_transports_and_is_given_back() {
    let world = World::with(|settings| {
        fast(settings);
        settings.realtime.sessions_per_user_max = 3;
    })
    .await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let bearer = format!("Bearer {}", ann.token);
    let authorization = [("authorization", bearer.as_str())];
    let socket = Device::ws(&world, &ann.token).await;
    let events = Device::new(Transport::Sse, &world, &ann.token, None).await;
    let cursor = socket.cursor.clone();
    let (base, token) = (world.base.clone(), ann.token.clone());
    let poll =
        tokio::spawn(async move { get(&base, &format!("/v1/realtime/poll?wait=50&cursor={cursor}"), &token).await });
    let open =
        async || seen_by_operator(&world, "/v1/admin/realtime/sessions").await["items"].as_array().unwrap().len();
    eventually("the poll waits", async || (open().await == 3).then_some(())).await;
    assert_eq!(close_code(&world, "", &authorization).await, 4429);
    assert_eq!(parts(&raw(&world, &request("GET", "/v1/realtime/sse", &ann.token, "")).await).0, 429);
    assert_eq!(get(&world.base, "/v1/realtime/poll", &ann.token).await.0, 429);
    drop(Device::ws(&world, &bob.token).await);
    drop(events);
    eventually("a place is given back", async || {
        (get(&world.base, "/v1/realtime/poll?wait=0", &ann.token).await.0 == 200).then_some(())
    })
    .await;
    poll.abort();
    drop(socket);
    eventually("all places are given back", async || {
        let mut all = Vec::new();
        for _ in 0..3 {
            let mut device = Device::ws_or_refused(&world, &ann.token).await?;
            device.cursor.clear();
            all.push(device);
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn log_out_closes_the_sessions_of_that_token_alone() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let other = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    for transport in [Transport::Websocket, Transport::Sse] {
        let session = world.anyone.log_in("ann", PASSWORD).await.unwrap();
        let mut gone = Device::new(transport, &world, &session.token, None).await;
        let mut stays = Device::new(transport, &world, &other, None).await;
        let mut bobs = Device::new(transport, &world, &bob.token, None).await;
        world.anyone.with_token(&session.token).log_out().await.unwrap();
        let expected = (transport == Transport::Websocket).then_some(4401);
        assert_eq!(gone.end().await, expected);
        let (mine, his) = (ann.say("still here").await.unwrap().id, bob.say("me too").await.unwrap().id);
        stays.posts_until(mine).await;
        bobs.posts_until(his).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_password_closes_the_others_and_deletion_closes_all() {
    let world = world().await;
    let ann = world.person("ann").await;
    let other = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    let mut here = Device::ws(&world, &ann.token).await;
    let mut there = Device::ws(&world, &other).await;
    ann.change_password(PASSWORD, "another horse").await.unwrap();
    assert_eq!(there.end().await, Some(4401));
    assert_eq!(close_code(&world, "", &[("authorization", &format!("Bearer {other}"))]).await, 4401);
    let post = ann.say("still here").await.unwrap().id;
    here.posts_until(post).await;
    ann.delete_account().await.unwrap();
    assert_eq!(here.end().await, Some(4401));
}

/// Whoever opens a session while the token ends is refused or closed: nobody stays.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_races_with_its_log_out_does_not_stay() {
    let world = world().await;
    world.person("ann").await;
    for round in 0..30 {
        let token = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
        let client = world.anyone.with_token(&token);
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        let opens = async {
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            close_code(&world, "", &headers).await
        };
        let (code, gone) = tokio::join!(opens, client.log_out());
        gone.unwrap();
        assert_eq!(code, 4401);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_ends_with_its_jwt() {
    const SECRET: &str = "a secret of thirty-two bytes, ok";
    let world = World::with(|settings| {
        fast(settings);
        settings.realtime.offline_after_s = 60;
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
    })
    .await;
    // Streams give the same leeway after `exp` as every other call.
    const LEEWAY_S: u64 = 60;
    let now_s = Clock::system().now_ms() / 1_000;
    let jwt = |exp: u64| {
        let claims = json!({ "sub": "x|1", "iat": now_s - 100, "exp": exp, "handle": "jay" });
        encode(&Header::new(Algorithm::HS256), &claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
    };
    let mut long = Device::ws(&world, &jwt(now_s + 600)).await;
    for transport in ALL {
        let exp = Clock::system().now_ms() / 1_000 + 2 - LEEWAY_S;
        let mut device = Device::new(transport, &world, &jwt(exp), None).await;
        if transport == Transport::LongPoll {
            continue;
        }
        let code = device.end().await;
        assert!(Clock::system().now_ms() >= (exp + LEEWAY_S) * 1_000, "not before its time");
        assert_eq!(code, (transport == Transport::Websocket).then_some(4401));
    }
    assert_eq!(long.ask(1, "ping", json!({})).await.ok, Some(true));
}
