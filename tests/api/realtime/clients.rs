//! Frames that clients send: every type, every wrong form, and the codes that end it.

use fanfare_protocol::{Code, ServerFrame, Transport};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::device::Device;
use super::{fast, world};
use crate::world::{Person, World, problem_of};

fn code(reply: &ServerFrame) -> Option<Code> {
    reply.error.as_ref().map(|problem| problem.code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_by_a_pong_and_a_reply() {
    let world = world().await;
    let ann = world.person("ann").await;
    let mut device = Device::ws(&world, &ann.token).await;
    let most = (1_u64 << 53) - 1;
    for reference in [0, 7, most] {
        device.send(json!({ "ref": reference, "type": "ping" }).to_string()).await;
        let pong = device.until("pong").await;
        assert_eq!(pong.data.unwrap()["ref"], reference);
        let reply = device.until("reply").await;
        assert_eq!((reply.reference, reply.ok, reply.data), (Some(reference), Some(true), Some(json!({}))));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_wrong_frame_gets_a_problem_and_the_session_goes_on() {
    let world = world().await;
    let ann = world.person("ann").await;
    let mut device = Device::ws(&world, &ann.token).await;
    let cases: [(&str, Value, Code); 17] = [
        ("feed.read", Value::Null, Code::ValidationFailed),
        ("feed.read", json!({}), Code::ValidationFailed),
        ("feed.read", json!({ "last_read_id": "x" }), Code::ValidationFailed),
        ("feed.read", json!({ "last_read_id": -1 }), Code::ValidationFailed),
        ("feed.read", json!([1]), Code::ValidationFailed),
        ("presence.watch", json!({ "user_ids": "1" }), Code::ValidationFailed),
        ("presence.watch", json!({ "user_ids": vec!["1"; 201] }), Code::ValidationFailed),
        ("presence.watch", json!({ "user_ids": [], "more": 1 }), Code::ValidationFailed),
        ("message.send", json!({ "conversation_id": "1", "text": "x" }), Code::ValidationFailed),
        (
            "message.send",
            json!({ "conversation_id": "1", "client_id": "c", "kind": "text", "text": "x" }),
            Code::NotFound,
        ),
        ("read", json!({}), Code::ValidationFailed),
        ("read", json!({ "conversation_id": "1", "seq": 1 }), Code::NotFound),
        ("delivered", json!({ "seq": 1 }), Code::ValidationFailed),
        ("delivered", json!({ "conversation_id": "1", "seq": 1 }), Code::NotFound),
        ("typing", json!({}), Code::ValidationFailed),
        ("typing", json!({ "conversation_id": "1" }), Code::NotFound),
        ("hologram", json!({}), Code::ValidationFailed),
    ];
    for (reference, (kind, data, expected)) in cases.into_iter().enumerate() {
        let shown = format!("{kind} {data}");
        let reply = device.ask(reference as u64, kind, data).await;
        assert_eq!((reply.ok, code(&reply)), (Some(false), Some(expected)), "{shown}");
        assert!(reply.data.is_none() && reply.error.is_some_and(|problem| !problem.detail.is_empty()), "{shown}");
    }
    assert_eq!(device.ask(99, "ping", Value::Null).await.ok, Some(true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_messages_that_are_no_frames_close_the_socket() {
    let world = world().await;
    let ann = world.person("ann").await;
    let mut device = Device::ws(&world, &ann.token).await;
    let texts = [
        "",
        "7",
        "null",
        "[]",
        "{}",
        "{\"ref\":1}",
        "{\"ref\":-1,\"type\":\"ping\"}",
        "{\"ref\":1,\"type\":7}",
        "{\"ref\":9007199254740992,\"type\":\"ping\"}",
        "{\"ref\":1,\"type\":\"ping\",\"x\":1}",
    ];
    for text in texts {
        device.send(text).await;
        let reply = device.until("reply").await;
        assert_eq!((reply.reference, code(&reply)), (None, Some(Code::BadRequest)), "{text}");
    }
    assert_eq!(device.end().await, Some(4400));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_protocol_of_websockets_is_closed_with_its_code() {
    let world = World::with(|settings| {
        fast(settings);
        settings.realtime.message_bytes_max = 1_024;
    })
    .await;
    let ann = world.person("ann").await;
    let mut fits = Device::ws(&world, &ann.token).await;
    let padding = " ".repeat(1_024 - 23);
    fits.send(format!("{{\"ref\":1,\"type\":\"ping\"}}{padding}")).await;
    assert_eq!(fits.until("reply").await.ok, Some(true), "exactly at the bound");
    let mut device = Device::ws(&world, &ann.token).await;
    device.send(" ".repeat(1_025)).await;
    assert_eq!(device.end().await, Some(1009));
    let mut device = Device::ws(&world, &ann.token).await;
    device.send(Message::Binary(vec![1, 2, 3].into())).await;
    assert_eq!(device.end().await, Some(4400));
    // Masked with zeros, so that the payload stands as it is.
    let broken: [(&[u8], u16); 4] = [
        (&[0x81, 0x82, 0, 0, 0, 0, 0xc3, 0x28], 1007),
        (&[0x81, 0x01, b'x'], 1002),
        (&[0x83, 0x80, 0, 0, 0, 0], 1002),
        (&[0x80, 0x80, 0, 0, 0, 0], 1002),
    ];
    for (bytes, expected) in broken {
        let mut device = Device::ws(&world, &ann.token).await;
        tokio::io::AsyncWriteExt::write_all(device.stream(), bytes).await.unwrap();
        assert_eq!(device.end().await, Some(expected), "{bytes:x?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_beyond_the_rate_are_refused_and_a_burst_at_the_start_is_not() {
    let world = World::with(|settings| {
        fast(settings);
        settings.realtime.messages_per_s = 5;
    })
    .await;
    let ann = world.person("ann").await;
    let mut device = Device::ws(&world, &ann.token).await;
    for reference in 0..40 {
        device.send(json!({ "ref": reference, "type": "ping" }).to_string()).await;
    }
    let mut refused = 0;
    for reference in 0..40 {
        let reply = device.until("reply").await;
        assert_eq!(reply.reference, Some(reference));
        assert!(reference >= 5 || reply.ok == Some(true), "{reply:?}");
        refused += usize::from(code(&reply) == Some(Code::RateLimited));
    }
    assert!(refused > 10, "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_over_http_have_the_rate_of_those_on_a_socket() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let frames = json!(vec![json!({ "ref": 1, "type": "ping" }); 50]).to_string();
    let send = async |caller: &Person| crate::world::json(caller, "POST", "/v1/realtime/send", &frames).await;
    let mut refused = None;
    // The allowance comes back over 2.5 s, and each of these takes all of it.
    for _ in 0..20 {
        let answer = send(&ann).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a thousand frames are too many");
    assert_eq!(problem_of(&refused).code, Code::RateLimited);
    assert!(refused.header("retry-after").parse::<u32>().unwrap() <= 3);
    assert_eq!(send(&bob).await.status, 200, "everybody has their own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_answers_in_the_form_it_was_asked_and_for_own_sessions_alone() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let send = async |query: &str, body: Value| {
        crate::world::json(&ann, "POST", &format!("/v1/realtime/send{query}"), &body.to_string()).await
    };
    let ping = |reference: u64| json!({ "ref": reference, "type": "ping" });
    let one: Value = send("", ping(1)).await.json().unwrap();
    assert_eq!(one, json!({ "ref": 1, "ok": true, "data": {} }));
    let many: Value = send("", json!([ping(1), 7, ping(3)])).await.json().unwrap();
    assert_eq!(
        (many[0]["ref"].as_u64(), many[1]["ref"].as_u64(), many[2]["ref"].as_u64()),
        (Some(1), None, Some(3)),
        "{many}"
    );
    assert_eq!(many[1]["error"]["code"], "bad_request");
    let named: Value = send("", json!({ "frames": [ping(4)] })).await.json().unwrap();
    assert_eq!(named, json!({ "replies": [{ "ref": 4, "ok": true, "data": {} }] }));
    let none: Value = send("", json!([])).await.json().unwrap();
    assert_eq!(none, json!([]));
    assert_eq!(problem_of(&send("", json!(vec![ping(1); 51])).await).status, 422);
    let theirs = Device::ws(&world, &bob.token).await.hello.session_id;
    let query = |id: &str| format!("?session_id={id}");
    assert_eq!(problem_of(&send(&query(&theirs.to_string()), ping(1)).await).status, 404);
    assert_eq!(problem_of(&send(&query("9999"), ping(1)).await).status, 404);
    let mut own = Device::new(Transport::Sse, &world, &ann.token, None).await;
    let watch = json!({ "ref": 1, "type": "presence.watch", "data": { "user_ids": [bob.id] } });
    let watching = send(&query(&own.hello.session_id.to_string()), watch).await;
    assert_eq!(watching.json::<Value>().unwrap()["data"]["items"][0]["user_id"], bob.id.to_string());
    let told = own.until("presence").await;
    assert_eq!(told.data.unwrap()["online"], false, "bob's device left, and its time is over");
}
