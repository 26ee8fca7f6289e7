//! The realtime client against a server that misbehaves on demand: what passes, what falls back, what is heard.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what cannot be set up is a failed test")]

mod fake;

use std::time::Duration;

use fanfare_client::Client;
use fanfare_client::realtime::{Ended, Event, Options, Pace, Realtime};
use fanfare_protocol::{ServerEvent, Transport};
use tokio::time::timeout;

use fake::{Fake, Way};

/// Longest wait before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

fn options() -> Options {
    let ms = Duration::from_millis;
    let pace = Pace {
        backoff_min: ms(5),
        backoff_max: ms(50),
        crowded: ms(20),
        climb_after: ms(60),
        climb_max: ms(500),
        stable_after: ms(200),
    };
    let first_byte = ms(300);
    let (silence, short_poll) = (Some(ms(400)), ms(20));
    Options { first_byte, silence, poll_wait_s: 1, short_poll, pace, seed: Some(1), ..Options::default() }
}

fn listen(fake: &Fake, options: Options) -> Realtime {
    Realtime::connect(&Client::new(&fake.base).with_token("t"), options)
}

async fn next(client: &mut Realtime) -> Event {
    timeout(PATIENCE, client.next()).await.expect("something happens").expect("the client goes on")
}

/// Skips to the next open connection.
async fn connected(client: &mut Realtime) -> Transport {
    loop {
        if let Event::Connected { transport, .. } = next(client).await {
            return transport;
        }
    }
}

/// The ids of so many posts, in the order heard.
async fn posts(client: &mut Realtime, count: usize) -> Vec<u64> {
    let mut ids = Vec::new();
    while ids.len() < count {
        if let Event::Frame(ServerEvent::FeedPosts(posts)) = next(client).await {
            ids.extend(posts.items.iter().rev().map(|item| item.post.id.0));
        }
    }
    ids
}

#[tokio::test]
async fn every_transport_carries_everything_once_and_in_order() {
    for transport in [Transport::Websocket, Transport::Sse, Transport::LongPoll, Transport::ShortPoll] {
        let fake = Fake::start().await;
        let mut client = listen(&fake, Options { transports: vec![transport], ..options() });
        assert_eq!(connected(&mut client).await, transport);
        for id in 1..=30 {
            fake.publish(id);
            if id % 10 == 0 {
                fake.cut();
            }
        }
        assert_eq!(posts(&mut client, 30).await, (1..=30).collect::<Vec<_>>(), "{transport:?}");
        assert!(client.cursor().is_some());
    }
}

#[tokio::test]
async fn what_refuses_or_buffers_a_transport_is_passed_by_the_next_one() {
    let fake = Fake::start().await;
    fake.set(Transport::Websocket, Way::Refuse);
    fake.set(Transport::Sse, Way::Hang);
    let mut client = listen(&fake, options());
    assert_eq!(connected(&mut client).await, Transport::LongPoll);
    fake.publish(1);
    assert_eq!(posts(&mut client, 1).await, [1]);
    fake.set(Transport::LongPoll, Way::Hang);
    assert_eq!(connected(&mut client).await, Transport::ShortPoll);
    fake.publish(2);
    assert_eq!(posts(&mut client, 1).await, [2]);
}

#[tokio::test]
async fn a_silent_connection_is_left_and_a_better_transport_is_climbed_to_without_loss() {
    let fake = Fake::start().await;
    fake.set(Transport::Websocket, Way::HelloOnly);
    let mut client = listen(&fake, options());
    assert_eq!(connected(&mut client).await, Transport::Websocket);
    fake.publish(1);
    assert!(matches!(next(&mut client).await, Event::Disconnected(Ended::Silent)));
    assert_eq!(connected(&mut client).await, Transport::Sse);
    fake.set(Transport::Websocket, Way::Speak);
    let mut id = 1;
    let mut heard = Vec::new();
    loop {
        id += 1;
        fake.publish(id);
        match next(&mut client).await {
            Event::Connected { transport: Transport::Websocket, resumed, .. } => {
                assert!(resumed);
                break;
            }
            Event::Frame(ServerEvent::FeedPosts(posts)) => {
                heard.extend(posts.items.iter().rev().map(|item| item.post.id.0));
            }
            other => panic!("{other:?}"),
        }
    }
    let rest = id as usize - heard.len();
    heard.extend(posts(&mut client, rest).await);
    assert_eq!(heard, (1..=id).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_drain_is_honoured_and_a_forbidden_client_stops() {
    let fake = Fake::start().await;
    let mut client = listen(&fake, options());
    connected(&mut client).await;
    fake.drain(30);
    assert_eq!(next(&mut client).await, Event::Disconnected(Ended::Drained(Duration::from_millis(30))));
    assert_eq!(connected(&mut client).await, Transport::Websocket);
    fake.close(4403);
    assert!(matches!(next(&mut client).await, Event::Disconnected(Ended::Forbidden(_))));
    assert!(matches!(next(&mut client).await, Event::Stopped(_)));
    assert!(timeout(PATIENCE, client.next()).await.unwrap().is_none());
}

#[tokio::test]
async fn frames_are_answered_on_every_transport_and_tickets_and_new_tokens_let_in() {
    let fake = Fake::start().await;
    for transport in [Transport::Websocket, Transport::Sse, Transport::LongPoll] {
        let mut client = listen(&fake, Options { transports: vec![transport], tickets: true, ..options() });
        connected(&mut client).await;
        assert!(client.send("ping", None).await.unwrap().ok, "{transport:?}");
    }
    let mut client = Realtime::connect(
        &Client::new(&fake.base).with_token("ended"),
        Options { renew: Some(std::sync::Arc::new(|| Box::pin(async { Some("t".to_owned()) }))), ..options() },
    );
    assert_eq!(connected(&mut client).await, Transport::Websocket);
    let mut client = Realtime::connect(&Client::new(&fake.base).with_token("ended"), options());
    assert!(matches!(next(&mut client).await, Event::Stopped(_)));
}
