//! Readers that do not keep up: what they lose first, what they are told, and that nobody else feels it.

use std::collections::BTreeSet;

use fanfare_protocol::{Id, NewPost, Published, ServerEvent, Stream, Transport};
use serde_json::json;

use super::device::{Device, seen_by_operator};
use super::fast;
use crate::world::{Person, World, eventually};

/// Bytes that may wait for a session here.
const BUDGET: usize = 64 << 10;

async fn small() -> World {
    World::with(|settings| {
        fast(settings);
        settings.realtime.session_bytes_max = BUDGET;
        settings.realtime.offline_after_s = 120;
        settings.realtime.stall_max_s = 120;
        settings.posts.text_max = 20_000;
    })
    .await
}

/// Operator's events until the session of `person` has its budget full: its client reads nothing.
async fn fill(world: &World, person: &Person) {
    let body =
        json!({ "user_ids": [person.id], "type": "filler", "data": "x".repeat(60_000), "lane": "bulk" }).to_string();
    for _ in 0..400 {
        let answer = crate::world::json(&world.operator, "POST", "/v1/admin/realtime/publish", &body).await;
        assert_eq!(answer.json::<Published>().unwrap().sessions, 1);
        if stays_queued(world, person).await {
            return;
        }
    }
    panic!("the kernel takes it all");
}

/// Whether something waits for the session, and goes on waiting: a shard that is only late has it written soon.
async fn stays_queued(world: &World, person: &Person) -> bool {
    const LOOKS: usize = 60;
    let first = queued(world, person).await;
    for _ in 0..LOOKS {
        if first == 0 || queued(world, person).await != first {
            return false;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await; // poll
    }
    true
}

async fn queued(world: &World, person: &Person) -> u64 {
    let page = seen_by_operator(world, &format!("/v1/admin/realtime/sessions?user_id={}", person.id)).await;
    page["items"][0]["queued_bytes"].as_u64().unwrap_or(0)
}

/// Posts that ann, who reads nothing, has coming; all of them large.
async fn shower(bob: &Person, many: usize) -> Vec<Id> {
    let mut posts = Vec::with_capacity(many);
    for number in 0..many {
        let new = NewPost { text: format!("{number} {}", "y".repeat(2_000)), ..NewPost::default() };
        posts.push(bob.publish(&new, None).await.unwrap().post.id);
    }
    posts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_reader_loses_posts_to_a_gap_keeps_notifications_and_disturbs_nobody() {
    let world = small().await;
    let [ann, bob, cat] = world.people(["ann", "bob", "cat"]).await;
    for reader in [&ann, &cat] {
        reader.follow(bob.id).await.unwrap();
    }
    let mine = ann.say("answer me").await.unwrap().id;
    for transport in [Transport::Websocket, Transport::Sse] {
        let mut stalled = Device::new(transport, &world, &ann.token, None).await;
        let mut quick = Device::new(transport, &world, &cat.token, None).await;
        fill(&world, &ann).await;
        let mut posts = Vec::new();
        while posts.len() < 120 {
            let more = shower(&bob, 20).await;
            assert_eq!(quick.posts_until(more[19]).await, more, "the other reads as ever");
            posts.extend(more);
        }
        bob.reply(mine, "are you there?").await.unwrap();
        assert!(queued(&world, &ann).await <= 4 * BUDGET as u64, "memory is bounded");
        let (mut told, mut seen, mut lost) = (0, BTreeSet::new(), Vec::new());
        while !seen.contains(&posts[119]) {
            match stalled.event().await {
                ServerEvent::FeedPosts(frame) => {
                    let ids: Vec<Id> = frame.items.iter().rev().map(|item| item.post.id).collect();
                    assert!(seen.last().is_none_or(|last| *last < ids[0]), "in order");
                    assert!(lost.iter().all(|before| *before <= ids[0]), "a gap comes before what is newer");
                    seen.extend(ids);
                }
                ServerEvent::Gap(gap) => {
                    assert_eq!(gap.stream, Stream::Posts);
                    assert!(seen.last().is_none_or(|last| *last <= gap.after), "{gap:?} after {seen:?}");
                    let inside = posts.iter().filter(|id| gap.after < **id && **id < gap.before).count();
                    assert_eq!(inside as u64, gap.count, "{gap:?}");
                    seen.extend(posts.iter().filter(|id| gap.after < **id && **id < gap.before));
                    lost.push(gap.before);
                }
                ServerEvent::Notification(_) => told += 1,
                ServerEvent::Other(..) => {}
                other => panic!("{other:?}"),
            }
        }
        assert!(!lost.is_empty() && posts.iter().all(|id| seen.contains(id)), "{} gaps", lost.len());
        while told == 0 {
            told += usize::from(matches!(stalled.event().await, ServerEvent::Notification(_)));
        }
        drop(stalled);
        eventually("the session is gone", async || (queued(&world, &ann).await == 0).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_takes_nothing_for_too_long_is_closed_and_resumes() {
    let world = World::with(|settings| {
        fast(settings);
        settings.realtime.session_bytes_max = BUDGET;
        settings.realtime.stall_max_s = 1;
        settings.realtime.offline_after_s = 120;
    })
    .await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    for transport in [Transport::Websocket, Transport::Sse] {
        let mut stalled = Device::new(transport, &world, &ann.token, None).await;
        fill(&world, &ann).await;
        let post = bob.say("missed").await.unwrap().id;
        eventually("it is closed", async || {
            let page = seen_by_operator(&world, "/v1/admin/realtime/sessions").await;
            page["items"].as_array().unwrap().is_empty().then_some(())
        })
        .await;
        stalled.end().await;
        let mut again = Device::new(transport, &world, &ann.token, Some(&stalled.cursor)).await;
        assert!(again.hello.resumed && again.posts_until(post).await.contains(&post));
    }
}
