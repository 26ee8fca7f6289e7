//! Cursors while a commit takes very long: none passes what is still on its way.

use fanfare::base::clock::Clock;
use fanfare_client::Client;
use fanfare_protocol::{Id, NewUser, PollAnswer, ServerEvent};

use super::{Ground, Served};
use crate::world::{PASSWORD, eventually, raw};

/// 2026-01-01 in milliseconds since the Unix epoch.
const NOON_MS: u64 = 1_767_225_600_000;

async fn person(server: &Served, handle: &str) -> (Client, Id) {
    let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let session = server.anyone.register(&new).await.unwrap();
    (server.anyone.with_token(&session.token), session.user.id)
}

/// Posts that a poll at once answers, and the cursor to go on from.
async fn polled(client: &Client, cursor: &str) -> (Vec<Id>, String) {
    let path = format!("/v1/realtime/poll?wait=0&cursor={cursor}");
    let answer: PollAnswer = raw(client, "GET", &path, &[], "").await.json().unwrap();
    let mut posts = Vec::new();
    for frame in answer.events {
        match frame.event().unwrap() {
            ServerEvent::FeedPosts(page) => posts.extend(page.items.iter().map(|item| item.post.id)),
            ServerEvent::Hello(_) => {}
            other => panic!("{other:?}"),
        }
    }
    (posts, answer.cursor)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cursor_passes_a_commit_that_takes_longer_than_anybody_thought() {
    let ground = Ground::new(|_| ());
    let clock = Clock::by_hand(NOON_MS);
    let server = ground.start(clock.clone()).await.serve().await;
    eventually("the server is ready", async || server.anyone.readyz().await.ok()).await;
    let ((ann, _), (bob, bob_id)) = (person(&server, "ann").await, person(&server, "bob").await);
    ann.follow(bob_id).await.unwrap();
    let path = "/v1/realtime/poll?wait=0";
    let first: PollAnswer = raw(&ann, "GET", path, &[], "").await.json().unwrap();

    let held = server.blade.hold().await;
    let slow = tokio::spawn(async move { bob.say("slow").await.unwrap().id });
    eventually("the post is on its way", async || (server.blade.waiting() > 0).then_some(())).await;
    clock.set(NOON_MS + 60_000);
    let (before, cursor) = polled(&ann, &first.cursor).await;
    assert_eq!(before, []);
    drop(held);
    let slow = slow.await.unwrap();
    let (after, cursor) = polled(&ann, &cursor).await;
    assert_eq!(after, [slow], "a cursor had passed it");
    assert_eq!(polled(&ann, &cursor).await.0, []);
    server.stop().await;
}
