//! `hello` comes first, on every transport, and says what the session is.

use fanfare_protocol::{ResetReason, ServerEvent, Stream, Transport};

use super::device::{ALL, Device, poll};
use super::world;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_transport_says_hello_first_and_what_it_is() {
    let world = world().await;
    let ann = world.person("ann").await;
    for transport in ALL {
        let device = Device::new(transport, &world, &ann.token, None).await;
        let hello = &device.hello;
        assert!(!hello.resumed && hello.heartbeat_s == 1, "{hello:?}");
        assert!((1..=96).contains(&hello.cursor.len()), "{hello:?}");
        let sessions = transport != Transport::LongPoll;
        assert_eq!((hello.transport, hello.session_id.0 > 0), (transport, sessions), "{hello:?}");
    }
    let answer = poll(&world.base, &ann.token, None, 0).await;
    let ServerEvent::Hello(hello) = answer.events[0].event().unwrap() else { panic!("{answer:?}") };
    assert_eq!((hello.transport, answer.events.len(), hello.cursor), (Transport::ShortPoll, 1, answer.cursor));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_from_hello_resumes_every_transport_without_a_reset() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    for first in ALL {
        let cursor = Device::new(first, &world, &ann.token, None).await.hello.cursor;
        let post = bob.say("between").await.unwrap().id;
        for second in ALL {
            let mut device = Device::new(second, &world, &ann.token, Some(&cursor)).await;
            assert!(device.hello.resumed);
            assert!(device.posts_until(post).await.contains(&post), "{first:?} to {second:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_is_no_good_is_a_reset_with_an_id_that_is() {
    let world = world().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let foreign = Device::ws(&world, &bob.token).await.hello.cursor;
    let own = Device::ws(&world, &ann.token).await.hello.cursor;
    let middle = own.as_bytes()[30];
    let forged = format!("{}{}{}", &own[..30], if middle == b'A' { 'B' } else { 'A' }, &own[31..]);
    let cases = [
        (foreign.as_str(), ResetReason::Foreign),
        (forged.as_str(), ResetReason::Foreign),
        ("nonsense", ResetReason::Malformed),
        (&own[1..], ResetReason::Malformed),
    ];
    for transport in ALL {
        for (cursor, expected) in cases {
            let mut device = Device::new(transport, &world, &ann.token, Some(cursor)).await;
            if transport == Transport::LongPoll {
                let hello = device.frame().await;
                assert!(matches!(hello.event().unwrap(), ServerEvent::Hello(hello) if !hello.resumed));
            } else {
                assert!(!device.hello.resumed);
            }
            let reset = device.frame().await;
            let ServerEvent::Reset(said) = reset.event().unwrap() else { panic!("{reset:?}") };
            assert_eq!((said.reason, said.streams.as_slice()), (expected, &Stream::ALL[..]), "{cursor}");
            let post = bob.say("after the reset").await.unwrap().id;
            assert!(device.posts_until(post).await.contains(&post));
            let mut again = Device::new(transport, &world, &ann.token, reset.id.as_deref()).await;
            assert!(again.hello.resumed && again.posts_until(post).await.contains(&post));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_stream_tells_proxies_to_keep_out_and_beats() {
    let world = world().await;
    let ann = world.person("ann").await;
    let (status, body) = super::device::get(&world.base, "/v1/realtime/poll", &ann.token).await;
    assert_eq!((status, body.contains("\"long_poll\"")), (200, true));
    let mut device = Device::new(Transport::Sse, &world, &ann.token, None).await;
    while device.comments < 2 {
        tokio::select! {
            heard = device.next() => panic!("{heard:?}"),
            () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {} // poll
        }
    }
}
