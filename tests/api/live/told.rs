//! `live.changed`: who hears of what becomes of a session, and what they hear.

use std::collections::HashMap;

use fanfare::base::clock::Clock;
use fanfare_client::realtime::{Options, Realtime};
use fanfare_client::{Paging, Watched};
use fanfare_protocol::{Id, LiveChanged, LiveState, PatchLiveSession, ServerEvent, Transport};

use super::{announce, at, word};
use crate::realtime::device::Device;
use crate::world::{Person, World, raw};

/// Changes that a device hears until one with `title`.
async fn until(device: &mut Device, title: &str) -> Vec<LiveChanged> {
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last: &LiveChanged| last.session.title != title) {
        if let ServerEvent::LiveChanged(changed) = device.event().await {
            heard.push(*changed);
        }
    }
    heard
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_and_own_devices_hear_of_every_transition_while_they_are_connected() {
    let world = World::new().await;
    let [ann, ben, muter, blocked, stranger] = world.people(["ann", "ben", "muter", "blocked", "stranger"]).await;
    for follower in [&ben, &muter, &blocked] {
        follower.follow(ann.id).await.unwrap();
    }
    muter.mute(ann.id).await.unwrap();
    ann.block(blocked.id).await.unwrap();
    let mut hear = Vec::new();
    // Those who poll are told elsewhere: between two requests only of the newest of each session.
    for transport in [Transport::Websocket, Transport::Sse] {
        for token in [&ann.token, &ben.token] {
            hear.push(Device::new(transport, &world, token, None).await);
        }
    }
    let mut others = Vec::new();
    for person in [&muter, &blocked, &stranger] {
        others.push(Device::ws(&world, &person.token).await);
    }
    let now_ms = Clock::system().now_ms();
    let id = announce(&ann, "one", now_ms).await;
    let edit = PatchLiveSession { title: Some("two".into()), starts_at: Some(at(now_ms, 9_000)), replay_url: None };
    ann.patch_live(id, &edit).await.unwrap();
    ann.start_live(id).await.unwrap();
    ann.start_live(id).await.unwrap();
    let over = ann.end_live(id, Some("https://example.org/1")).await.unwrap();
    ann.remove_live(id).await.unwrap();
    announce(&ann, "last", now_ms).await;
    for device in &mut hear {
        let heard = until(device, "last").await;
        let states: Vec<_> = heard.iter().map(|one| (word(&one.session), one.removed)).collect();
        let expected =
            [("oneu", false), ("twou", false), ("twol", false), ("twor", false), ("twor", true), ("lastu", false)];
        assert_eq!(states, expected.map(|(word, removed)| (word.to_owned(), removed)), "{:?}", device.hello.transport);
        assert!(heard.windows(2).all(|pair| pair[0].version < pair[1].version));
        assert_eq!((&heard[3].session.replay_url, heard[3].session.reminder), (&over.replay_url, None));
        assert_eq!(heard[3].session.host, over.host);
    }
    // A fence that all of them hear: nothing came before it.
    for device in &mut others {
        assert_eq!(device.ask(1, "ping", serde_json::Value::Null).await.kind, "reply");
    }
}

/// Events of a poll without a wait, of live sessions, as their words; and the next cursor.
async fn polled(person: &Person, cursor: &str) -> (Vec<String>, String) {
    let answer = raw(person, "GET", &format!("/v1/realtime/poll?wait=0&cursor={cursor}"), &[], "").await;
    assert_eq!(answer.status, 200);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let changes = body["events"].as_array().unwrap().iter().filter(|event| event["type"] == "live.changed");
    let words = changes.map(|event| {
        let changed: LiveChanged = serde_json::from_value(event["data"].clone()).unwrap();
        format!("{}{}", word(&changed.session), if changed.removed { " removed" } else { "" })
    });
    (words.collect(), body["cursor"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_was_away_for_a_moment_hears_of_the_newest_of_each_session() {
    let world = World::new().await;
    let [ann, ben, muter, stranger] = world.people(["ann", "ben", "muter", "stranger"]).await;
    for follower in [&ben, &muter] {
        follower.follow(ann.id).await.unwrap();
    }
    muter.mute(ann.id).await.unwrap();
    let mut cursors = Vec::new();
    for person in [&ann, &ben, &muter, &stranger] {
        let (heard, cursor) = polled(person, "").await;
        assert_eq!(heard, Vec::<String>::new());
        cursors.push(cursor);
    }
    let mut device = Device::ws(&world, &ben.token).await;
    let cursor = device.hello.cursor.clone();
    drop(device);
    let now_ms = Clock::system().now_ms();
    let [one, two] = [announce(&ann, "one", now_ms).await, announce(&ann, "two", now_ms).await];
    ann.start_live(one).await.unwrap();
    ann.remove_live(two).await.unwrap();
    let expected: [&[&str]; 4] = [&["onel", "twou removed"], &["onel", "twou removed"], &[], &[]];
    for ((person, cursor), expected) in [&ann, &ben, &muter, &stranger].into_iter().zip(cursors).zip(expected) {
        let (heard, cursor) = polled(person, &cursor).await;
        assert_eq!(heard, expected, "{}", person.handle);
        let again = polled(person, &cursor).await;
        assert_eq!(again.0, Vec::<String>::new(), "once");
    }
    device = Device::new(Transport::Websocket, &world, &ben.token, Some(&cursor)).await;
    announce(&ann, "last", now_ms).await;
    let heard: Vec<String> = until(&mut device, "last").await.iter().map(|one| word(&one.session)).collect();
    assert_eq!(heard, ["onel", "twou", "lastu"], "other transports too, before what comes then");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_that_is_heard_after_a_race_is_the_state() {
    let world = World::new().await;
    let [ann, ben] = world.people(["ann", "ben"]).await;
    ben.follow(ann.id).await.unwrap();
    let mut device = Device::new(Transport::Websocket, &world, &ben.token, None).await;
    let now_ms = Clock::system().now_ms();
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(announce(&ann, &number.to_string(), now_ms).await);
    }
    let mut asked = tokio::task::JoinSet::new();
    for turn in 0..32 {
        let (ann, id) = (ann.clone(), ids[turn % ids.len()]);
        asked.spawn(async move {
            for (method, what) in [("POST", "/start"), ("DELETE", ""), ("POST", "/end")] {
                raw(&ann, method, &format!("/v1/live/{id}{what}"), &[], "").await;
            }
        });
    }
    asked.join_all().await;
    announce(&ann, "fence", now_ms).await;
    let mut last: HashMap<Id, (LiveState, bool)> = HashMap::new();
    for changed in until(&mut device, "fence").await {
        last.insert(changed.session.id, (changed.session.state, changed.removed));
    }
    for id in ids {
        let now = ann.live_session(id).await;
        let (state, removed) = last[&id];
        assert_eq!(removed, now.is_err());
        assert!(removed || now.unwrap().state == state);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watched_page_is_the_first_page() {
    let world = World::new().await;
    let [ann, ben, cy] = world.people(["ann", "ben", "cy"]).await;
    for host in [&ann, &cy] {
        ben.follow(host.id).await.unwrap();
    }
    let mut stream = Realtime::connect(&ben, Options::default());
    let mut watch = ben.watch_live(4).await.unwrap();
    let now_ms = Clock::system().now_ms();
    // Connected first: what happens from here on is told.
    assert_eq!(watch.take(&stream.next().await.unwrap()).await.unwrap(), Watched::Anew);
    let mut ids: Vec<(&Person, Id)> = Vec::new();
    for (number, host) in [&ann, &cy, &ann, &cy, &ann, &ann].into_iter().enumerate() {
        ids.push((host, announce(host, &number.to_string(), now_ms + 60_000 * number as u64).await));
    }
    for (host, id) in &ids[2..5] {
        host.start_live(*id).await.unwrap();
    }
    ids[2].0.end_live(ids[2].1, None).await.unwrap();
    ids[0].0.remove_live(ids[0].1).await.unwrap();
    ids[5]
        .0
        .patch_live(ids[5].1, &PatchLiveSession { title: Some("fence".into()), ..Default::default() })
        .await
        .unwrap();
    loop {
        let event = stream.next().await.unwrap();
        watch.take(&event).await.unwrap();
        if matches!(&event, fanfare_client::realtime::Event::Frame(ServerEvent::LiveChanged(changed))
            if changed.session.title == "fence")
        {
            break;
        }
    }
    let read = ben.live_feed(Paging::first(4)).await.unwrap();
    assert_eq!(watch.sessions(), read.items);
    assert_eq!(watch.next_cursor().is_some(), read.next_cursor.is_some());
}
