//! Sessions as operators see and close them, and what a drain looks like from outside.

use std::collections::BTreeSet;

use fanfare_protocol::{Published, ServerEvent, Transport};
use serde_json::{Value, json};

use super::device::{ALL, Device, Heard, get, seen_by_operator};
use super::{fast, world};
use crate::world::{World, eventually, problem_of};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_reaches_those_it_names_or_everybody_and_says_how_many() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut ann_ws = Device::ws(&world, &ann.token).await;
    let mut ann_sse = Device::new(Transport::Sse, &world, &ann.token, None).await;
    let mut bob_ws = Device::ws(&world, &bob.token).await;
    let publish = async |body: Value| {
        crate::world::json(&world.operator, "POST", "/v1/admin/realtime/publish", &body.to_string()).await
    };
    let named = json!({ "user_ids": [ann.id, ann.id], "type": "shop.sale", "data": { "off": [1, null, "ä\n"] } });
    let answer = publish(named.clone()).await;
    assert_eq!((answer.status.as_u16(), answer.json::<Published>().unwrap().sessions), (202, 2), "each session once");
    for device in [&mut ann_ws, &mut ann_sse] {
        let frame = device.frame().await;
        assert_eq!((frame.kind.as_str(), frame.data.as_ref()), ("shop.sale", Some(&named["data"])));
        assert_eq!((frame.id, frame.lane), (None, Some(fanfare_protocol::Lane::Normal)));
    }
    let all = json!({ "all": true, "type": "x", "data": null, "lane": "urgent" });
    assert_eq!(publish(all).await.json::<Published>().unwrap().sessions, 3);
    let frame = bob_ws.frame().await;
    assert_eq!((frame.kind.as_str(), frame.lane), ("x", Some(fanfare_protocol::Lane::Urgent)), "the first he hears");
    let nobody = json!({ "user_ids": [], "type": "x", "data": 1 });
    assert_eq!(publish(nobody).await.json::<Published>().unwrap().sessions, 0);
    for bad in [
        json!({ "type": "x", "data": 1 }),
        json!({ "all": true, "user_ids": [], "type": "x", "data": 1 }),
        json!({ "all": true, "type": "hello", "data": 1 }),
        json!({ "all": true, "type": "feed.posts", "data": 1 }),
        json!({ "all": true, "type": "X", "data": 1 }),
        json!({ "all": true, "type": "", "data": 1 }),
        json!({ "all": true, "type": "x".repeat(65), "data": 1 }),
        json!({ "all": true, "type": "x", "data": "x".repeat(64 << 10) }),
    ] {
        assert_eq!(problem_of(&publish(bad).await).status, 422);
    }
    let plain = crate::world::json(&ann, "POST", "/v1/admin/realtime/publish", &named.to_string()).await;
    assert_eq!(problem_of(&plain).status, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_are_listed_in_pages_and_closed_by_name() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut devices = Vec::new();
    for _ in 0..4 {
        devices.push(Device::ws(&world, &ann.token).await);
    }
    let mut bobs = Device::new(Transport::Sse, &world, &bob.token, None).await;
    let (mut seen, mut path) = (Vec::new(), "/v1/admin/realtime/sessions?limit=2".to_owned());
    loop {
        let page = seen_by_operator(&world, &path).await;
        seen.extend(page["items"].as_array().unwrap().iter().cloned());
        let Some(cursor) = page["next_cursor"].as_str() else { break };
        path = format!("/v1/admin/realtime/sessions?limit=2&cursor={cursor}");
    }
    let ids: BTreeSet<String> = seen.iter().map(|one| one["session_id"].as_str().unwrap().to_owned()).collect();
    assert_eq!((seen.len(), ids.len()), (5, 5));
    assert!(seen.iter().all(|one| one["address"] == "127.0.0.1" && one["connected_at"].is_string()));
    let of_bob = seen_by_operator(&world, &format!("/v1/admin/realtime/sessions?user_id={}", bob.id)).await;
    assert_eq!((of_bob["items"].as_array().unwrap().len(), &of_bob["items"][0]["transport"]), (1, &json!("sse")));
    let close = async |id: &str| {
        crate::world::raw(&world.operator, "DELETE", &format!("/v1/admin/realtime/sessions/{id}"), &[], "").await
    };
    assert_eq!(close(&devices[0].hello.session_id.to_string()).await.status.as_u16(), 204);
    assert_eq!(devices[0].end().await, Some(1001));
    assert_eq!(close(&bobs.hello.session_id.to_string()).await.status.as_u16(), 204);
    assert_eq!(bobs.end().await, None);
    for gone in [devices[0].hello.session_id.to_string(), "1".to_owned(), u64::MAX.to_string()] {
        assert!([404, 422, 400].contains(&close(&gone).await.status.as_u16()), "{gone}");
    }
    let post = ann.say("the others go on").await.unwrap().id;
    for device in &mut devices[1..] {
        device.posts_until(post).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_tells_everybody_when_to_come_back_and_the_successor_goes_on() {
    let mut world = World::with(fast).await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let mut devices = Vec::new();
    for transport in [Transport::Websocket, Transport::Sse, Transport::Websocket, Transport::Sse] {
        devices.push(Device::new(transport, &world, &ann.token, None).await);
    }
    let seen = bob.say("before").await.unwrap().id;
    for device in &mut devices {
        device.posts_until(seen).await;
    }
    let cursor = devices[0].cursor.clone();
    let first = super::device::poll(&world.base, &ann.token, Some(&cursor), 0).await;
    let path = format!("/v1/realtime/poll?wait=60&cursor={}", first.cursor);
    let (base, token) = (world.base.clone(), ann.token.clone());
    let waiting = tokio::spawn(async move { get(&base, &path, &token).await });
    let count = async || {
        let page = seen_by_operator(&world, "/v1/admin/realtime/sessions").await;
        (page["items"].as_array().unwrap().len() == 5).then_some(())
    };
    eventually("the poll waits", count).await;
    let told = tokio::spawn(async move {
        let (mut times, mut cursors) = (Vec::new(), Vec::new());
        for mut device in devices {
            let frame = device.until("drain").await;
            let ServerEvent::Drain(drain) = frame.event().unwrap() else { panic!("{frame:?}") };
            times.push(drain.reconnect_after_ms);
            let expected = (device.hello.transport == Transport::Websocket).then_some(1001);
            let Heard::End(code) = device.next().await else { panic!("drain is the last frame") };
            assert_eq!(code, expected);
            cursors.push(device.cursor);
        }
        (times, cursors)
    });
    world.restart(&mut [&mut ann, &mut bob]).await;
    let (times, cursors) = told.await.unwrap();
    let spread: BTreeSet<u64> = times.iter().copied().collect();
    assert!(spread.len() == 4 && times.iter().all(|ms| (500..=1_500).contains(ms)), "{times:?}");
    let (status, body) = waiting.await.unwrap();
    assert!(status == 200 && body.contains("\"drain\""), "{body}");
    let answer: Value = serde_json::from_str(&body).unwrap();
    let missed = bob.say("after").await.unwrap().id;
    for cursor in cursors.iter().map(String::as_str).chain(answer["cursor"].as_str()) {
        for transport in ALL {
            let mut device = Device::new(transport, &world, &ann.token, Some(cursor)).await;
            assert!(device.hello.resumed);
            assert!(device.posts_until(missed).await.contains(&missed));
        }
    }
}
