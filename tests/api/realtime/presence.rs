//! Presence: transitions only, several devices as one person, and nothing for those with a block between them.

use fanfare_protocol::{LastSeen, PatchChatPreferences, Presence, PresenceList, ServerEvent, Transport};
use serde_json::json;

use super::device::{Device, get};
use super::{fast, world};
use crate::world::{Person, World, eventually};

/// A server on which people are offline two seconds after their last sign of life.
async fn hasty() -> World {
    World::with(|settings| {
        fast(settings);
        settings.realtime.offline_after_s = 2;
    })
    .await
}

async fn seen_by(world: &World, viewer: &Person, whom: &Person) -> Presence {
    let (status, body) = get(&world.base, &format!("/v1/presence?user_ids={}", whom.id), &viewer.token).await;
    assert_eq!(status, 200, "{body}");
    serde_json::from_str::<PresenceList>(&body).unwrap().items[0]
}

async fn watching(world: &World, viewer: &Person, whom: &[&Person]) -> Device {
    let mut device = Device::ws(world, &viewer.token).await;
    let ids: Vec<_> = whom.iter().map(|person| person.id).collect();
    let reply = device.ask(1, "presence.watch", json!({ "user_ids": ids })).await;
    assert_eq!(reply.data.unwrap()["items"].as_array().unwrap().len(), ids.len());
    device
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watchers_hear_of_transitions_and_devices_count_as_one_person() {
    let world = hasty().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    assert_eq!(seen_by(&world, &ann, &bob).await.last_seen_at, None);
    let mut watcher = watching(&world, &ann, &[&bob]).await;
    let phone = Device::new(Transport::Sse, &world, &bob.token, None).await;
    let ServerEvent::Presence(came) = watcher.event().await else { panic!("another frame") };
    assert!(came.online && came.user_id == bob.id && came.last_seen_at.is_some());
    let desk = Device::new(Transport::Sse, &world, &bob.token, None).await;
    drop(phone);
    // A flap: away and back before the time is over.
    drop(desk);
    let back = Device::new(Transport::Sse, &world, &bob.token, None).await;
    assert!(seen_by(&world, &ann, &bob).await.online);
    drop(back);
    let ServerEvent::Presence(went) = watcher.event().await else { panic!("another frame") };
    assert!(!went.online && went.last_seen_at >= came.last_seen_at, "the next that is heard of is the end: {went:?}");
    assert!(!seen_by(&world, &ann, &bob).await.online);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_heartbeat_or_a_poll_of_any_kind_is_a_sign_of_life() {
    let world = hasty().await;
    let [ann, bob, cat] = world.people(["ann", "bob", "cat"]).await;
    let mut watcher = watching(&world, &ann, &[&bob, &cat]).await;
    let beat = crate::world::raw(&bob, "POST", "/v1/presence/heartbeat", &[], "").await;
    assert_eq!(beat.status.as_u16(), 204);
    let ServerEvent::Presence(came) = watcher.event().await else { panic!("another frame") };
    assert_eq!((came.user_id, came.online), (bob.id, true));
    let ServerEvent::Presence(went) = watcher.event().await else { panic!("another frame") };
    assert_eq!((went.user_id, went.online), (bob.id, false));
    let first = super::device::poll(&world.base, &cat.token, None, 0).await;
    super::device::poll(&world.base, &cat.token, Some(&first.cursor), 0).await;
    let ServerEvent::Presence(came) = watcher.event().await else { panic!("another frame") };
    assert_eq!((came.user_id, came.online), (cat.id, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_hides_presence_both_ways_also_from_who_watches_already() {
    let world = hasty().await;
    let [ann, bob, cat] = world.people(["ann", "bob", "cat"]).await;
    let mut watcher = watching(&world, &ann, &[&bob, &cat]).await;
    bob.block(ann.id).await.unwrap();
    let _bobs = Device::new(Transport::Sse, &world, &bob.token, None).await;
    let _cats = Device::new(Transport::Sse, &world, &cat.token, None).await;
    let ServerEvent::Presence(came) = watcher.event().await else { panic!("another frame") };
    assert_eq!(came.user_id, cat.id, "nothing of bob");
    for (viewer, whom) in [(&ann, &bob), (&bob, &ann)] {
        let seen = seen_by(&world, viewer, whom).await;
        assert_eq!((seen.online, seen.last_seen_at), (false, None));
    }
    let again = watching(&world, &ann, &[&bob]).await;
    drop(again);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_is_asked_of_up_to_two_hundred_people_and_of_followees_in_pages() {
    let world = world().await;
    let [ann, bob, cat] = world.people(["ann", "bob", "cat"]).await;
    ann.follow(bob.id).await.unwrap();
    ann.follow(cat.id).await.unwrap();
    let _bobs = Device::ws(&world, &bob.token).await;
    let (status, body) = get(&world.base, "/v1/presence/following?limit=1", &ann.token).await;
    assert_eq!(status, 200, "{body}");
    let page: fanfare_protocol::Page<Presence> = serde_json::from_str(&body).unwrap();
    assert_eq!((page.items.len(), page.items[0].user_id, page.items[0].online), (1, cat.id, false));
    let next = format!("/v1/presence/following?limit=1&cursor={}", page.next_cursor.unwrap());
    let page: fanfare_protocol::Page<Presence> =
        serde_json::from_str(&get(&world.base, &next, &ann.token).await.1).unwrap();
    assert_eq!((page.items[0].user_id, page.next_cursor), (bob.id, None));
    eventually("bob is online", async || seen_by(&world, &ann, &bob).await.online.then_some(())).await;
    let many = |count: usize| format!("/v1/presence?user_ids={}", vec![bob.id.to_string(); count].join(","));
    assert_eq!(get(&world.base, &many(200), &ann.token).await.0, 200);
    for bad in [many(201), "/v1/presence?user_ids=x".to_owned(), "/v1/presence".to_owned()] {
        let (status, body) = get(&world.base, &bad, &ann.token).await;
        assert!([400, 422].contains(&status), "{status} {body}");
    }
    assert_eq!(get(&world.base, &many(1), "nobody").await.0, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lets_nobody_see_or_only_whom_they_follow_is_offline_to_others_wherever_it_shows() {
    let mut world = hasty().await;
    let [mut ann, mut bob, cat] = world.people(["ann", "bob", "cat"]).await;
    for watcher in [&ann, &cat] {
        watcher.follow(bob.id).await.unwrap();
    }
    bob.follow(cat.id).await.unwrap();
    let lets = |last_seen| PatchChatPreferences { last_seen: Some(last_seen), ..PatchChatPreferences::default() };
    assert_eq!(bob.preferences().await.unwrap().last_seen, LastSeen::Everybody);
    // They watch before bob chooses, and are told of nothing after it.
    let mut anns = watching(&world, &ann, &[&bob, &cat]).await;
    let mut cats = watching(&world, &cat, &[&bob]).await;
    let ServerEvent::Presence(came) = anns.event().await else { panic!("another frame") };
    assert_eq!(came.user_id, cat.id);
    assert_eq!(bob.prefer(&lets(LastSeen::Followed)).await.unwrap().last_seen, LastSeen::Followed);
    let bobs = Device::new(Transport::Sse, &world, &bob.token, None).await;
    let ServerEvent::Presence(came) = cats.event().await else { panic!("another frame") };
    assert!(came.online && came.user_id == bob.id);
    let following = async |of: &Person| {
        let (_, body) = get(&world.base, "/v1/presence/following", &of.token).await;
        serde_json::from_str::<fanfare_protocol::Page<Presence>>(&body).unwrap().items
    };
    for (viewer, sees) in [(&ann, false), (&cat, true), (&bob, true)] {
        let seen = seen_by(&world, viewer, &bob).await;
        assert_eq!((seen.online, seen.last_seen_at.is_some()), (sees, sees), "{}", viewer.handle);
        let listed = following(viewer).await;
        let listed = listed.iter().find(|one| one.user_id == bob.id);
        assert!(listed.is_none_or(|one| one.online == sees), "{listed:?}");
    }
    // Whom bob follows no more is as the others, also who watches.
    bob.unfollow(cat.id).await.unwrap();
    assert!(!seen_by(&world, &cat, &bob).await.online);
    drop(bobs);
    bob.prefer(&lets(LastSeen::Nobody)).await.unwrap();
    assert!(!seen_by(&world, &cat, &bob).await.online);
    bob.prefer(&lets(LastSeen::Everybody)).await.unwrap();
    let ServerEvent::Presence(went) = anns.event().await else { panic!("another frame") };
    assert!(went.user_id == bob.id && !went.online, "the first that ann hears of bob: {went:?}");
    bob.prefer(&lets(LastSeen::Nobody)).await.unwrap();
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(bob.preferences().await.unwrap().last_seen, LastSeen::Nobody, "it is kept");
    let odd = crate::world::raw(
        &bob,
        "PATCH",
        "/v1/users/me/chat",
        &[("content-type", "application/json")],
        r#"{"last_seen": "friends"}"#,
    );
    assert_eq!(odd.await.status.as_u16(), 422);
}
