//! Resumption: what was missed is read on every transport, from every other's cursor, also after a restart.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare::base::clock::Clock;
use fanfare_protocol::{Id, ResetReason, ServerEvent, Stream, Transport};

use super::device::{ALL, Device, poll};
use super::{fast, world};
use crate::world::{World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transport_resumes_from_every_others_cursor_also_after_a_restart() {
    let mut world = World::with(fast).await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let mine = ann.say("like me").await.unwrap().id;
    let mut cursors = Vec::new();
    for transport in ALL {
        let mut device = Device::new(transport, &world, &ann.token, None).await;
        let seen = bob.say("seen").await.unwrap().id;
        device.posts_until(seen).await;
        cursors.push((transport, device.cursor));
    }
    let mut missed = vec![bob.say("missed").await.unwrap().id];
    bob.like(mine).await.unwrap();
    for round in ["before", "after"] {
        missed.push(bob.say(round).await.unwrap().id);
        for (from, cursor) in &cursors {
            for to in ALL {
                let mut device = Device::new(to, &world, &ann.token, Some(cursor)).await;
                let (mut posts, mut likes) = (BTreeSet::new(), 0);
                while !missed.iter().all(|id| posts.contains(id)) || likes == 0 {
                    match device.event().await {
                        ServerEvent::FeedPosts(frame) => posts.extend(frame.items.iter().map(|item| item.post.id)),
                        ServerEvent::Notification(_) => likes += 1,
                        other => panic!("{from:?} to {to:?}: {other:?}"),
                    }
                }
                assert_eq!(likes, 1, "{from:?} to {to:?}");
            }
        }
        if round == "before" {
            world.restart(&mut [&mut ann, &mut bob]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_last_event_id_resumes_from_the_cursor() {
    let world = world().await;
    let (ann, cursor, posts) = missed(&world, 2).await;
    for empty in ["last-event-id:\r\n", "Last-Event-ID: \r\n", "last-event-id: \t \r\n", ""] {
        let mut device = Device::sse_with(&world, &ann.token, &cursor, empty).await;
        assert!(device.hello.resumed, "{empty:?}");
        assert_eq!(device.posts_until(posts[1]).await, posts, "{empty:?}");
    }
    // One that says something wins, also over a cursor that is no use.
    let mut device = Device::sse_with(&world, &ann.token, "junk", &format!("last-event-id: {cursor}\r\n")).await;
    assert_eq!(device.posts_until(posts[1]).await, posts);
}

/// Posts of bob that ann has missed, and the cursor from before.
async fn missed(world: &World, many: usize) -> (crate::world::Person, String, Vec<Id>) {
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let cursor = Device::ws(world, &ann.token).await.hello.cursor;
    let mut posts = Vec::with_capacity(many);
    for number in 0..many {
        posts.push(bob.say(&format!("post {number}")).await.unwrap().id);
    }
    (ann, cursor, posts)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_more_than_five_hundred_a_gap_tells_and_the_newest_come_in_order() {
    const EXTRA: usize = 37;
    let world = world().await;
    let (ann, cursor, posts) = missed(&world, 500 + EXTRA).await;
    for transport in ALL {
        let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
        let frame = device.frame().await;
        let ServerEvent::Gap(gap) = frame.event().unwrap() else { panic!("{frame:?}") };
        assert_eq!((gap.stream, gap.count), (Stream::Posts, EXTRA as u64));
        assert!(gap.after < posts[0] && gap.before == posts[EXTRA], "{gap:?}");
        assert_eq!(device.posts_until(posts[posts.len() - 1]).await, posts[EXTRA..], "{transport:?}");
        // A client that is lost before the last frame and resumes from the gap's id lacks nothing.
        let from_gap = if transport == Transport::LongPoll { &cursor } else { frame.id.as_ref().unwrap() };
        let mut again = Device::new(transport, &world, &ann.token, Some(from_gap)).await;
        let first = again.frame().await;
        let rest = again.posts_until(posts[posts.len() - 1]).await;
        assert!(matches!(first.event().unwrap(), ServerEvent::Gap(_)) || rest.len() >= 500, "{first:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_does_not_answer_at_once_with_only_what_it_answered_before() {
    let world = world().await;
    let (ann, cursor, posts) = missed(&world, 3).await;
    let first = poll(&world.base, &ann.token, Some(&cursor), 25).await;
    let ids = |answer: &fanfare_protocol::PollAnswer| -> BTreeSet<Id> {
        let events = answer.events.iter().map(|frame| frame.event().unwrap());
        events
            .flat_map(|event| match event {
                ServerEvent::FeedPosts(frame) => frame.items.iter().map(|item| item.post.id).collect::<Vec<_>>(),
                other => panic!("{other:?}"),
            })
            .collect()
    };
    assert!(posts.iter().all(|id| ids(&first).contains(id)));
    let mut cursor = first.cursor;
    for _ in 0..2 {
        let started = std::time::Instant::now();
        let again = poll(&world.base, &ann.token, Some(&cursor), 1).await;
        assert!(again.events.is_empty(), "{again:?}");
        assert!(started.elapsed().as_millis() >= 900, "it waits");
        cursor = again.cursor;
    }
    let short = poll(&world.base, &ann.token, Some(&cursor), 0).await;
    assert!(ids(&short).len() <= posts.len() + 1);
    let own = ann.say("something new").await.unwrap().id;
    let news = poll(&world.base, &ann.token, Some(&cursor), 25).await;
    assert!(ids(&news).contains(&own));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_last_week_is_expired() {
    const DAY_MS: u64 = 86_400_000;
    let now_ms = Clock::system().now_ms();
    let world = World::at(Clock::by_hand(now_ms), fast).await;
    let (ann, cursor, posts) = missed(&world, 1).await;
    world.set_clock(now_ms + 6 * DAY_MS);
    let later = ann.say("six days later").await.unwrap().id;
    // The clock has jumped, and watermarks follow within a tick of the dispatcher.
    eventually("watermarks follow the clock", async || {
        let cursor = Device::new(Transport::Sse, &world, &ann.token, Some(&cursor)).await.past(later).await;
        (first_mark_ms(&cursor) > now_ms + DAY_MS).then_some(())
    })
    .await;
    let mut device = Device::new(Transport::Sse, &world, &ann.token, Some(&cursor)).await;
    assert!(device.hello.resumed && device.posts_until(later).await == [posts[0], later]);
    world.set_clock(now_ms + 8 * DAY_MS);
    let last = ann.say("eight days later").await.unwrap().id;
    for transport in [Transport::Websocket, Transport::Sse] {
        let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
        let frame = device.frame().await;
        assert!(!device.hello.resumed);
        let expired = |event| matches!(event, ServerEvent::Reset(reset) if reset.reason == ResetReason::Expired);
        assert!(expired(frame.event().unwrap()), "{frame:?}");
        let id = frame.id.unwrap();
        let mut again = Device::new(transport, &world, &ann.token, Some(&id)).await;
        assert!(again.hello.resumed);
        let next = ann.say("goes on").await.unwrap().id;
        assert!(next > last && again.posts_until(next).await.contains(&next));
    }
}

/// Milliseconds of a cursor's first watermark: after version and user, eight bytes, of which the upper 42 bits are
/// time.
fn first_mark_ms(cursor: &str) -> u64 {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).unwrap();
    fanfare::base::id::unix_ms_of(Id(u64::from_be_bytes(bytes[9..17].try_into().unwrap())))
}

/// Whoever comes back again and again while posts are being made gets each of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_that_begin_in_the_middle_of_a_burst_miss_nothing() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    // Before the burst: what was made before somebody came for the first time is not missed.
    let (mut heard, mut cursor) = (BTreeSet::new(), Device::ws(&world, &ann.token).await.hello.cursor);
    let burst = tokio::spawn({
        let bob = bob.clone();
        async move {
            let mut posts = Vec::new();
            for number in 0..150 {
                posts.push(bob.say(&format!("post {number}")).await.unwrap().id);
            }
            posts
        }
    });
    let mut before_all = true;
    let mut round = 0;
    while !burst.is_finished() {
        let transport = ALL[round % ALL.len()];
        round += 1;
        let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
        for _ in 0..3 {
            match tokio::time::timeout(std::time::Duration::from_secs(1), device.next()).await {
                Ok(super::device::Heard::Frame(frame)) => {
                    let ServerEvent::FeedPosts(posts) = frame.event().unwrap() else { panic!("{frame:?}") };
                    heard.extend(posts.items.iter().map(|item| item.post.id));
                    before_all = false;
                }
                Ok(end @ super::device::Heard::End(_)) => panic!("{end:?}"),
                Err(_) => break,
            }
        }
        cursor = device.cursor;
    }
    let posts = burst.await.unwrap();
    let mut device = Device::new(Transport::Websocket, &world, &ann.token, Some(&cursor)).await;
    while !heard.contains(&posts[posts.len() - 1]) {
        let ServerEvent::FeedPosts(frame) = device.event().await else { panic!("another frame") };
        heard.extend(frame.items.iter().map(|item| item.post.id));
    }
    assert!(!before_all && posts.iter().all(|id| heard.contains(id)), "{} of {}", heard.len(), posts.len());
}
