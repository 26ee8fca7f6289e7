//! Deletions, and who hears of which: of posts one by one, of an account once; live and when they come back.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use fanfare::base::clock::Clock;
use fanfare::data::tables;
use fanfare::log::events::{Event, PostRecord};
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Id, NewSuspension, Reset, ResetReason, ServerEvent, Stream, Transport};

use super::device::{ALL, Device, OLD};
use super::{fast, world};
use crate::deletion::{clean, uncleared};
use crate::world::{Person, World, eventually};

/// Posts of somebody, each deleted at once, without the way over HTTP.
async fn pairs(world: &World, author: Id, many: usize) {
    let log = &world.app().core().log;
    let guard = log.decide(author, &[]).await.unwrap();
    let mut left = many;
    while left > 0 {
        let step = left.min(256);
        let mut posted = Vec::new();
        for _ in 0..step {
            let post = PostRecord { author, text: "soon gone".to_owned(), ..PostRecord::default() };
            posted.push(log.submit(&guard, Event::Posted { post, notify: vec![] }).await.unwrap());
        }
        let mut deleted = Vec::new();
        for one in posted {
            let post = one.durable().await.unwrap().id;
            let gone = Event::PostDeleted {
                post,
                author,
                reply_to: None,
                repost_of: None,
                bare_repost: false,
                purged: false,
                mentioned: vec![],
                told: Vec::new(),
            };
            deleted.push(log.submit(&guard, gone).await.unwrap());
        }
        for one in deleted {
            one.durable().await.unwrap();
        }
        left -= step;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_deletions_of_a_stranger_reset_nobody() {
    const PAIRS: usize = 10_080;
    let mut world = world().await;
    let [mut ann, mut bob, dan, mut fan] = world.people(["ann", "bob", "dan", "fan"]).await;
    ann.follow(bob.id).await.unwrap();
    fan.follow(dan.id).await.unwrap();
    let post = bob.say("goes").await.unwrap();
    let cursor = Device::ws(&world, &ann.token).await.hello.cursor;
    let cursor_of_fan = Device::ws(&world, &fan.token).await.hello.cursor;
    pairs(&world, dan.id, PAIRS).await;
    bob.delete_post(post.id).await.unwrap();
    for _ in 0..2 {
        for transport in ALL {
            let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
            let said = device.event().await;
            assert!(matches!(&said, ServerEvent::PostDeleted(gone) if gone.id == post.id), "{transport:?}: {said:?}");
            // Whoever follows them has more to drop than to read anew.
            let mut device = Device::new(transport, &world, &fan.token, Some(&cursor_of_fan)).await;
            let said = device.event().await;
            let reset = Reset { streams: vec![Stream::Posts], reason: ResetReason::Expired };
            assert_eq!(said, ServerEvent::Reset(reset), "{transport:?}");
        }
        // Who deleted what is learnt again from rows.
        world.restart(&mut [&mut ann, &mut bob, &mut fan]).await;
    }
}

/// The key of the frame that says `who` is gone.
fn departed(event: &ServerEvent, who: Id) -> String {
    match event {
        ServerEvent::AuthorDeleted(gone) if gone.user_id == who => gone.key.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_account_is_one_item_for_those_who_followed_it() {
    let mut world = world().await;
    let [mut ann, bob, mut carl, mut eve] = world.people(["ann", "bob", "carl", "eve"]).await;
    ann.follow(bob.id).await.unwrap();
    ann.follow(carl.id).await.unwrap();
    eve.follow(carl.id).await.unwrap();
    let mut posts = Vec::new();
    for number in 0..5 {
        posts.push(bob.say(&format!("post {number}")).await.unwrap().id);
    }
    let passed_on = carl.repost(posts[0], "").await.unwrap().id;
    let mut devices = Vec::new();
    for transport in ALL {
        devices.push(Device::new(transport, &world, &ann.token, None).await);
    }
    let mut stranger = Device::ws(&world, &eve.token).await;
    let cursor = Device::ws(&world, &ann.token).await.hello.cursor;
    let mut kept = Some(uncleared(&world).await);
    bob.delete_account().await.unwrap();
    let mut keys = BTreeSet::new();
    for device in &mut devices {
        keys.insert(departed(&device.event().await, bob.id));
    }
    assert_eq!(keys.len(), 1, "{keys:?}");
    let key = keys.pop_first().unwrap();
    // Before anything was removed, after that, and after a restart.
    for round in ["before", "cleaned", "restarted"] {
        match round {
            "cleaned" => {
                drop(kept.take());
                clean(&world).await;
            }
            "restarted" => world.restart(&mut [&mut ann, &mut carl, &mut eve]).await,
            _ => {}
        }
        for transport in ALL {
            let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
            assert_eq!(departed(&device.event().await, bob.id), key, "{round}, {transport:?}");
            // Nothing else is said of it but what others passed on: that is theirs, and they still have followers.
            let next = carl.say(&format!("{round} {transport:?}")).await.unwrap().id;
            let (mut came, mut reposts) = (false, BTreeSet::new());
            while !came || reposts.is_empty() != (round == "before") {
                match device.event().await {
                    ServerEvent::FeedPosts(posts) => came |= posts.items.iter().any(|item| item.post.id == next),
                    ServerEvent::PostDeleted(gone) if gone.id == passed_on => drop(reposts.insert(gone.key)),
                    // Polls repeat the last seconds, with the same keys.
                    ServerEvent::AuthorDeleted(again) if again.key == key && transport == Transport::LongPoll => {}
                    other => panic!("{round}, {transport:?}: {other:?}"),
                }
            }
            assert!(reposts.len() <= 1, "{reposts:?}");
        }
        if round == "cleaned" {
            // Whoever followed carl alone heard of the repost, and not of whose it was.
            let said = loop {
                match stranger.event().await {
                    ServerEvent::FeedPosts(_) => {}
                    other => break other,
                }
            };
            assert!(matches!(&said, ServerEvent::PostDeleted(gone) if gone.id == passed_on), "{said:?}");
        }
    }
}

/// The first frame that is no post; posts may come before and after it.
async fn beside_posts(device: &mut Device) -> ServerEvent {
    loop {
        match device.event().await {
            ServerEvent::FeedPosts(_) => {}
            other => return other,
        }
    }
}

/// Says something, and listens until it comes: whether a reset came before it.
async fn is_reset(speaker: &Person, device: &mut Device) -> bool {
    let said = speaker.say("fence").await.unwrap().id;
    let mut reset = false;
    loop {
        match device.event().await {
            ServerEvent::FeedPosts(posts) if posts.items.iter().any(|item| item.post.id == said) => return reset,
            ServerEvent::FeedPosts(_) => {}
            ServerEvent::Reset(told) if told.reason == ResetReason::AuthorDeleted => reset = true,
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_know_the_type_reads_the_stream_anew() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    bob.say("hello").await.unwrap();
    let mut devices = Vec::new();
    for transport in ALL {
        devices.push(Device::knowing(OLD, transport, &world, &ann.token, None).await);
    }
    let cursor = Device::ws(&world, &ann.token).await.hello.cursor;
    let mut kept = Some(uncleared(&world).await);
    bob.delete_account().await.unwrap();
    let reset = ServerEvent::Reset(Reset { streams: vec![Stream::Posts], reason: ResetReason::AuthorDeleted });
    for (device, transport) in devices.iter_mut().zip(ALL) {
        assert_eq!(device.event().await, reset, "{transport:?}");
    }
    // From before the deletion; while the follow says who heard of it, and when a row of their own does.
    for cleared in [false, true] {
        if cleared {
            drop(kept.take());
            clean(&world).await;
        }
        for known in ["", "&knows=", "&knows=hologram", "&knows=author.deleted.later"] {
            for transport in ALL {
                let mut device = Device::knowing(known, transport, &world, &ann.token, Some(&cursor)).await;
                assert_eq!(beside_posts(&mut device).await, reset, "{transport:?} {known}");
                assert!(!is_reset(&ann, &mut device).await, "{transport:?} {known}: what comes next is to come");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_does_not_know_the_type_is_told_once_of_each_whatever_it_comes_back_by_and_how_soon() {
    for first in ALL {
        let world = world().await;
        let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
        for gone in [&bob, &carl] {
            ann.follow(gone.id).await.unwrap();
        }
        let mut device = Device::knowing(OLD, first, &world, &ann.token, None).await;
        for gone in [&bob, &carl] {
            gone.delete_account().await.unwrap();
            assert!(matches!(beside_posts(&mut device).await, ServerEvent::Reset(_)), "{first:?}");
            // Within the seconds by which watermarks trail; with each comes a post, so that what is missed is never the
            // same.
            for next in ALL.into_iter().chain(ALL) {
                device = Device::knowing(OLD, next, &world, &ann.token, Some(&device.cursor)).await;
                assert!(!is_reset(&ann, &mut device).await, "again by {next:?} after {first:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn suspended_people_delete_and_are_deleted_like_all_others() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let post = bob.say("goes").await.unwrap();
    let mut device = Device::ws(&world, &ann.token).await;
    let cursor = device.hello.cursor.clone();
    let spam = NewSuspension { reason: "spam".to_owned(), until: None };
    world.operator.suspend(&bob.id.to_string(), &spam).await.unwrap();
    world.operator.remove_post(post.id, None).await.unwrap();
    for device in [&mut device, &mut Device::new(Transport::Sse, &world, &ann.token, Some(&cursor)).await] {
        let said = device.event().await;
        assert!(matches!(&said, ServerEvent::PostDeleted(gone) if gone.id == post.id), "{said:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_cursor_asks_for_any_more_is_swept() {
    const BEGIN_MS: u64 = 1_900_000_000_000;
    let world = World::at(Clock::by_hand(BEGIN_MS), fast).await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    ann.follow(bob.id).await.unwrap();
    let post = carl.say("goes").await.unwrap();
    carl.delete_post(post.id).await.unwrap();
    bob.delete_account().await.unwrap();
    clean(&world).await;
    let kept = async || {
        let hour = u32::try_from(BEGIN_MS / 3_600_000).unwrap();
        let mut kept = Vec::new();
        for (table, partition) in [
            (tables::AUTHOR_DELETIONS, tables::bucketed(carl.id, tables::bucket_of(post.id))),
            (tables::DELETERS, tables::hour_partition(hour)),
            (tables::DEPARTURES, tables::partition(ann.id)),
        ] {
            let store = &world.app().core().store;
            let rows = store.scan(table, &partition, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
            kept.extend(rows.iter().map(|_| table.name));
        }
        kept
    };
    let all = ["author_deletions", "deleters", "departures"];
    assert_eq!(kept().await, all);
    for (days, left) in [(6, &all[..]), (8, &[])] {
        world.set_clock(BEGIN_MS + days * 86_400_000);
        for _ in 0..3 {
            clean(&world).await;
        }
        assert_eq!(kept().await, left, "after {days} days");
    }
}

/// A data folder of the version before: see `tests/fixtures/make-deletions`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_opens_and_tells_what_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/deletions.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("--strip-components=1").arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    let story: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("story.json")).unwrap()).unwrap();
    let text = |name: &str| story[name].as_str().unwrap().to_owned();
    let (token, cursor) = (text("ann_token"), text("cursor"));
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let mut world = World::over(folder, clock, fast).await;
    for round in 0..3 {
        for transport in ALL {
            let mut device = Device::new(transport, &world, &token, Some(&cursor)).await;
            assert!(device.hello.resumed, "{transport:?}");
            // The cursor trails: the post that stays is told of again.
            loop {
                match device.event().await {
                    ServerEvent::FeedPosts(posts) => {
                        assert!(posts.items.iter().all(|item| item.post.id.to_string() == text("stays")));
                    }
                    ServerEvent::PostDeleted(gone) => {
                        assert_eq!(gone.id.to_string(), text("gone"), "round {round}, {transport:?}");
                        break;
                    }
                    other => panic!("round {round}, {transport:?}: {other:?}"),
                }
            }
        }
        let store = world.app().core().store.clone();
        eventually("what was one list is by author", async || {
            let bucket = tables::bucket_of(text("gone").parse().unwrap());
            let partition = tables::timeline_partition(bucket);
            let left = store.scan(tables::DELETIONS, &partition, KeyRange::ALL, Order::Ascending, 1).await.unwrap();
            left.is_empty().then_some(())
        })
        .await;
        drop(store);
        if round == 1 {
            world.restart(&mut []).await;
        }
    }
}
