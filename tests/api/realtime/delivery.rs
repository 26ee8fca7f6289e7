//! Delivery to those whom it concerns: posts, deletions, notifications and markers, and nobody else.

use fanfare_protocol::{Id, NewPost, NotificationKind, ServerEvent, Transport};
use serde_json::Value;

use super::device::{ALL, Device};
use super::{fast, world};
use crate::world::{Person, World};

/// A post that everybody who follows `author` gets: what they got before it is all they got.
async fn fence(author: &Person) -> Id {
    author.say("fence").await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_reaches_followers_and_own_devices_on_every_transport_whatever_its_policy() {
    for (push_below, pull_above) in [(100, 200), (0, 100), (0, 0)] {
        let world = World::with(|settings| {
            fast(settings);
            (settings.feed.push_below, settings.feed.pull_above) = (push_below, pull_above);
        })
        .await;
        let [ann, bob] = world.people(["ann", "bob"]).await;
        ann.follow(bob.id).await.unwrap();
        let mut devices = Vec::new();
        for transport in ALL {
            for token in [&ann.token, &bob.token] {
                devices.push(Device::new(transport, &world, token, None).await);
            }
        }
        let mut posts = Vec::new();
        for text in ["one", "two", "three"] {
            posts.push(bob.say(text).await.unwrap().id);
        }
        for device in &mut devices {
            let got = device.posts_until(posts[2]).await;
            assert_eq!(got, posts, "{push_below}, {pull_above}, {:?}", device.hello.transport);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_shows_a_post_as_http_does_but_for_who_asks() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let mut device = Device::ws(&world, &ann.token).await;
    let first = bob.say("with a link https://example.org/x and #tags @ann").await.unwrap();
    let quote = bob.repost(first.id, "quoting myself").await.unwrap();
    let bare = bob.repost(first.id, "").await.unwrap();
    let reply = bob.reply(first.id, "to myself").await.unwrap();
    let (mut seen, mut notification) = (Vec::<Value>::new(), None);
    while seen.len() < 4 || notification.is_none() {
        let frame = device.frame().await;
        match frame.kind.as_str() {
            "notification" => notification = Some(frame),
            _ => seen.extend(frame.data.unwrap()["items"].as_array().unwrap().iter().rev().cloned()),
        }
    }
    let notification = notification.unwrap();
    for (mut item, id) in seen.into_iter().zip([first.id, quote.id, bare.id, reply.id]) {
        let path = format!("/v1/posts/{id}");
        let http = crate::world::raw(&ann, "GET", &path, &[], "").await;
        let mut http: Value = http.json().unwrap();
        assert_eq!(item.as_object_mut().unwrap().remove("key").unwrap(), id.to_string());
        strip(&mut http);
        for counted in ["reply_count", "repost_count", "like_count"] {
            forget(&mut http, counted);
            forget(&mut item, counted);
        }
        assert_eq!(item, http);
    }
    let ServerEvent::Notification(told) = notification.event().unwrap() else { panic!("{notification:?}") };
    let page = ann.notifications(fanfare_client::Paging::default()).await.unwrap();
    assert_eq!(told.notification.kind, NotificationKind::Mention);
    assert_eq!((told.notification.id, told.key.as_str()), (page.items[0].id, &*page.items[0].id.to_string()));
    assert_eq!(told.notification.post.as_ref().map(|post| post.id), Some(first.id));
}

/// Takes out what differs from viewer to viewer.
fn strip(value: &mut Value) {
    forget(value, "liked");
    forget(value, "reposted");
}

fn forget(value: &mut Value, field: &str) {
    match value {
        Value::Object(object) => {
            object.remove(field);
            object.values_mut().for_each(|inner| forget(inner, field));
        }
        Value::Array(items) => items.iter_mut().for_each(|inner| forget(inner, field)),
        _ => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_replies_to_strangers_the_muted_and_the_blocked_are_not_heard() {
    let world = world().await;
    let [ann, bob, cat, dan, eve] = world.people(["ann", "bob", "cat", "dan", "eve"]).await;
    for who in [&bob, &cat, &eve] {
        ann.follow(who.id).await.unwrap();
    }
    ann.mute(cat.id).await.unwrap();
    eve.block(ann.id).await.unwrap();
    let mut device = Device::ws(&world, &ann.token).await;
    let strange = dan.say("nobody follows me").await.unwrap();
    let muted = cat.say("you muted me").await.unwrap();
    eve.say("I blocked you").await.unwrap();
    bob.reply(strange.id, "to a stranger").await.unwrap();
    let repost_of_muted = bob.repost(muted.id, "").await.unwrap();
    let own = ann.say("mine").await.unwrap();
    let answered = bob.reply(own.id, "to you").await.unwrap();
    let last = fence(&bob).await;
    let mut got = device.posts_until(last).await;
    got.retain(|id| *id != repost_of_muted.id || panic!("a repost of the muted"));
    assert_eq!(got, [own.id, answered.id, last]);
    let feed = crate::world::whole_feed(&ann).await;
    assert_eq!(feed, [last, answered.id, own.id], "push and HTTP say the same");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_comes_without_what_the_reader_does_not_see_and_a_bare_repost_goes_with_its_original() {
    let world = world().await;
    let [ann, bob, cat, dan] = world.people(["ann", "bob", "cat", "dan"]).await;
    for reader in [&ann, &dan] {
        reader.follow(bob.id).await.unwrap();
    }
    ann.mute(cat.id).await.unwrap();
    let mut devices = [Device::ws(&world, &ann.token).await, Device::ws(&world, &dan.token).await];
    let of_cat = cat.say("hello").await.unwrap();
    let quote = bob.repost(of_cat.id, "look").await.unwrap();
    let stranger = dan.say("hello").await.unwrap();
    let bare = bob.repost(stranger.id, "").await.unwrap();
    for (device, muted) in devices.iter_mut().zip([true, false]) {
        let mut seen: Vec<Value> = Vec::new();
        while !seen.iter().any(|item| item["id"] == bare.id.to_string()) {
            let frame = device.frame().await;
            if frame.kind == "feed.posts" {
                seen.extend(frame.data.unwrap()["items"].as_array().unwrap().iter().cloned());
            }
        }
        let quoted = seen.iter().find(|item| item["id"] == quote.id.to_string()).unwrap();
        assert_eq!((&quoted["text"], quoted["repost_of"].is_null()), (&Value::from("look"), muted));
        assert_eq!(quoted.get("repost_hidden"), muted.then_some(&Value::Bool(true)));
    }
    dan.delete_post(stranger.id).await.unwrap();
    let [ann_hears, _] = &mut devices;
    loop {
        let frame = ann_hears.frame().await;
        if frame.kind == "post.deleted" {
            let data = frame.data.unwrap();
            assert_eq!(
                [&data["id"], &data["author_id"]],
                [&Value::from(bare.id.to_string()), &Value::from(bob.id.to_string())]
            );
            break;
        }
    }
    cat.delete_post(of_cat.id).await.unwrap();
    let again = ann.feed(Default::default()).await.unwrap().items;
    assert!(again.len() == 1 && again[0].repost_gone && again[0].id == quote.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follow_unfollow_mute_and_block_are_effective_at_once() {
    let world = world().await;
    let [ann, bob, cat] = world.people(["ann", "bob", "cat"]).await;
    ann.follow(cat.id).await.unwrap();
    for transport in [Transport::Websocket, Transport::Sse] {
        let mut device = Device::new(transport, &world, &ann.token, None).await;
        // Until it is live: what it missed is read as of the follows of that moment.
        let live = fence(&cat).await;
        assert_eq!(device.posts_until(live).await, [live]);
        bob.say("not yet").await.unwrap();
        ann.follow(bob.id).await.unwrap();
        let heard = bob.say("now").await.unwrap().id;
        // Before the mute, which would hide what still waits for company.
        assert_eq!(device.posts_until(heard).await, [heard]);
        ann.mute(bob.id).await.unwrap();
        bob.say("muted").await.unwrap();
        // It is left out as it is rendered, and a busy machine would do that after the end of the mute.
        let rendered = fence(&cat).await;
        assert_eq!(device.posts_until(rendered).await, [rendered]);
        ann.unmute(bob.id).await.unwrap();
        let unmuted = bob.say("unmuted").await.unwrap().id;
        assert_eq!(device.posts_until(unmuted).await, [unmuted]);
        ann.unfollow(bob.id).await.unwrap();
        bob.say("unfollowed").await.unwrap();
        ann.follow(bob.id).await.unwrap();
        bob.block(ann.id).await.unwrap();
        bob.say("blocked").await.unwrap();
        bob.unblock(ann.id).await.unwrap();
        bob.say("the follow is not restored").await.unwrap();
        let last = fence(&cat).await;
        assert_eq!(device.posts_until(last).await, [last]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deletion_is_told_to_followers_with_a_key_of_its_own_live_and_replayed() {
    let world = world().await;
    let [ann, bob, dan] = world.people(["ann", "bob", "dan"]).await;
    ann.follow(bob.id).await.unwrap();
    let strange = dan.say("strange").await.unwrap();
    let post = bob.say("soon gone").await.unwrap();
    let mut device = Device::ws(&world, &ann.token).await;
    let cursor = device.hello.cursor.clone();
    dan.delete_post(strange.id).await.unwrap();
    bob.delete_post(post.id).await.unwrap();
    let frame = device.frame().await;
    let ServerEvent::PostDeleted(gone) = frame.event().unwrap() else { panic!("{frame:?}") };
    assert_eq!((gone.id, gone.author_id), (post.id, bob.id));
    let key: Id = gone.key.parse().unwrap();
    assert!(key > post.id);
    for transport in ALL {
        let mut again = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
        let got = again.posts_until(key).await;
        assert!(got.ends_with(&[key]) && !got.contains(&post.id), "what is gone is not shown: {got:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_reach_all_devices_of_their_person_alone() {
    let world = world().await;
    let [ann, bob, eve] = world.people(["ann", "bob", "eve"]).await;
    let post = ann.say("like me").await.unwrap();
    let mut devices = Vec::new();
    for transport in ALL {
        devices.push(Device::new(transport, &world, &ann.token, None).await);
    }
    let mut stranger = Device::ws(&world, &eve.token).await;
    bob.like(post.id).await.unwrap();
    bob.follow(ann.id).await.unwrap();
    bob.reply(post.id, "well said").await.unwrap();
    let kinds = [NotificationKind::Like, NotificationKind::Follow, NotificationKind::Reply];
    for device in &mut devices {
        for kind in kinds {
            let ServerEvent::Notification(told) = device.event().await else { panic!("another frame") };
            assert_eq!((told.notification.kind, told.notification.actor.id), (kind, bob.id));
        }
    }
    let own = fence(&eve).await;
    let frame = stranger.frame().await;
    assert!(matches!(frame.event().unwrap(), ServerEvent::FeedPosts(posts) if posts.items[0].post.id == own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_markers_reach_all_devices_and_never_go_back() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let [old, new] = [bob.say("old").await.unwrap().id, bob.say("new").await.unwrap().id];
    let mut phone = Device::new(Transport::Sse, &world, &ann.token, None).await;
    let mut desk = Device::ws(&world, &ann.token).await;
    let mut bobs = Device::ws(&world, &bob.token).await;
    let reply = desk.ask(1, "feed.read", serde_json::json!({ "last_read_id": new })).await;
    assert_eq!(reply.ok, Some(true));
    ann.mark_feed_read(old).await.unwrap();
    for _ in 0..2 {
        let ServerEvent::FeedRead(marker) = phone.event().await else { panic!("another frame") };
        assert_eq!(marker.last_read_id, new);
    }
    ann.mark_notifications_read(old).await.unwrap();
    let ServerEvent::NotificationsRead(marker) = phone.event().await else { panic!("another frame") };
    assert_eq!(marker.last_read_id, old);
    desk.until("notifications.read").await;
    let own = fence(&bob).await;
    assert_eq!(bobs.posts_until(own).await, [own], "another person hears nothing of it");
    let new = NewPost { text: "as ever".to_owned(), ..NewPost::default() };
    bob.publish(&new, None).await.unwrap();
}
