//! A stand-in for the system's clock, which a test sets forward and back while time passes.

use fanfare::base::clock::Clock;
use fanfare_client::{FeedQuery, Paging};
use fanfare_protocol::{NewPost, NewSuspension, Post, ResetReason, ServerEvent, Transport};

use super::{DAY_MS, HOUR_MS};
use crate::deletion::clean;
use crate::realtime::device::{ALL, Device, poll};
use crate::realtime::fast;
use crate::world::{Person, World, all_pages, ids, refused};

const NOW_MS: u64 = 1_800_000_000_000;

fn stand_in() -> Clock {
    Clock::stand_in(NOW_MS)
}

/// A clock that is set forward for a second and a half, by an hour or by eight days: whoever took a cursor meanwhile
/// hears of what comes next, and nobody has to begin anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_that_was_taken_while_the_clock_was_ahead_skips_nothing() {
    for ahead_ms in [HOUR_MS, 8 * DAY_MS] {
        let clock = stand_in();
        let world = World::at(clock.clone(), fast).await;
        let [ann, bob] = world.people(["ann", "bob"]).await;
        ann.follow(bob.id).await.unwrap();
        clock.pass(20_000);
        clock.step(ahead_ms as i64);
        let during = bob.say("while the clock is ahead").await.unwrap();
        let mut cursors = Vec::new();
        for transport in ALL {
            let device = Device::new(transport, &world, &ann.token, None).await;
            cursors.push((transport, device.hello.cursor.clone()));
            clock.pass(500);
        }
        cursors.push((ALL[0], poll(&world.base, &ann.token, None, 0).await.cursor));
        clock.step(-(ahead_ms as i64));
        let after = bob.say("the clock is right again").await.unwrap();
        assert!(after.id > during.id && after.created_at.0 < NOW_MS + 60_000, "{after:?}");
        for (transport, cursor) in cursors {
            let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
            assert!(device.hello.resumed, "{transport:?}");
            assert!(device.posts_until(after.id).await.contains(&after.id), "{transport:?}");
        }
        // A poller that goes on from what it was told is told once, and then nothing.
        let first = poll(&world.base, &ann.token, None, 0).await;
        let told = poll(&world.base, &ann.token, Some(&first.cursor), 0).await;
        let again = poll(&world.base, &ann.token, Some(&told.cursor), 0).await;
        assert!(again.events.is_empty(), "{again:?}");
    }
}

/// Nothing happens for eight days; what a cursor of before would have to be told of is swept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_last_week_is_expired_on_a_quiet_server_too() {
    let clock = stand_in();
    let world = World::at(clock.clone(), fast).await;
    let ann = world.person("ann").await;
    let cursor = poll(&world.base, &ann.token, None, 0).await.cursor;
    clock.pass(8 * DAY_MS);
    for transport in ALL {
        let mut device = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
        let frame = device.until("reset").await;
        let expired =
            matches!(frame.event().unwrap(), ServerEvent::Reset(reset) if reset.reason == ResetReason::Expired);
        // A poll that brings a cursor is greeted by its answer alone.
        let is_poll = matches!(transport, Transport::LongPoll | Transport::ShortPoll);
        assert!(expired && (is_poll || !device.hello.resumed), "{transport:?}: {frame:?}");
    }
    let told = poll(&world.base, &ann.token, Some(&cursor), 0).await;
    let again = poll(&world.base, &ann.token, Some(&told.cursor), 0).await;
    assert_eq!((told.events.last().map(|frame| frame.kind.as_str()), again.events.len()), (Some("reset"), 0), "once");
}

async fn publish(person: &Person, key: &str) -> Post {
    let new = NewPost { text: format!("once, by {key}"), ..NewPost::default() };
    person.publish(&new, Some(key)).await.unwrap().post
}

/// Sixty days ahead, while it runs and at a start: tokens and keys of requests are there afterwards.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_seconds_at_sixty_days_ahead_remove_nothing_that_is_needed() {
    const AHEAD_MS: u64 = 60 * DAY_MS;
    let clock = stand_in();
    let mut world = World::at(clock.clone(), |_| ()).await;
    let mut ann = world.person("ann").await;
    let first = publish(&ann, "a key").await;
    clean(&world).await;

    clock.step(AHEAD_MS as i64);
    clean(&world).await;
    ann.me().await.expect("the blip ends nobody's token");
    clock.pass(2_000);
    clean(&world).await;
    clock.step(-(AHEAD_MS as i64));
    assert_eq!(publish(&ann, "a key").await.id, first.id);

    world.restart_at(Clock::stand_in(NOW_MS + 10_000 + AHEAD_MS), &mut [&mut ann]).await;
    clean(&world).await;
    refused(ann.me().await);
    world.restart_at(Clock::stand_in(NOW_MS + 20_000), &mut [&mut ann]).await;
    clean(&world).await;
    ann.me().await.expect("the token was not removed");
    assert_eq!(publish(&ann, "a key").await.id, first.id, "nor was the key");
}

/// Things that have expired are removed all the same where the clock is right, also after months without a server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_expired_is_removed_by_a_clock_that_is_right() {
    let mut world = World::at(stand_in(), |settings| settings.auth.token_days = 1).await;
    let mut ann = world.person("ann").await;
    clean(&world).await;
    let clock = Clock::stand_in(NOW_MS + 90 * DAY_MS);
    world.restart_at(clock.clone(), &mut [&mut ann]).await;
    let tokens = async |world: &World| {
        let port = &world.app().core().store;
        port.ids_of(fanfare::data::tables::TOKENS_OF, ann.id, 10).await.unwrap().len()
    };
    clean(&world).await;
    assert_eq!(tokens(&world).await, 1, "a day beyond what is known of the time");
    clock.pass(2 * DAY_MS);
    clean(&world).await;
    assert_eq!(tokens(&world).await, 0);
}

/// A single post by a clock that was 250 days ahead at the start and was then set right.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_a_post_of_the_future_is_in_every_list() {
    const AHEAD_MS: u64 = 250 * DAY_MS;
    let system_ms = Clock::system().now_ms();
    let clock = Clock::stand_in(system_ms + AHEAD_MS);
    let mut world = World::at(clock.clone(), |_| ()).await;
    let [mut ann, mut bob, carl] = world.people(["ann", "bob", "carl"]).await;
    bob.follow(ann.id).await.unwrap();
    let mut said = vec![ann.say("from the future").await.unwrap().id];
    clock.step(-(AHEAD_MS as i64));
    carl.follow(ann.id).await.unwrap();
    said.push(ann.say("the clock is right").await.unwrap().id);
    let because = NewSuspension { reason: "a test".to_owned(), until: None };
    world.operator.suspend(&carl.id.to_string(), &because).await.unwrap();
    world.operator.unsuspend(&carl.id.to_string(), None).await.unwrap();
    look(&world, &ann, &bob, &said).await;

    // A start with the right clock asks first, and once.
    world.stop().await;
    let refusal = world.refused_start_at(Clock::stand_in(system_ms)).await;
    assert!(refusal.contains("--accept-clock"), "{refusal}");
    for clock in [Clock::accepted(), Clock::system()] {
        world.start_at(clock, &mut [&mut ann, &mut bob]).await;
        said.push(ann.say("and goes on").await.unwrap().id);
        clean(&world).await;
        look(&world, &ann, &bob, &said).await;
        world.stop().await;
    }
}

fn paging(cursor: Option<&str>) -> Paging<'_> {
    Paging::at(1, cursor)
}

/// The lists that are read by age.
async fn look(world: &World, ann: &Person, bob: &Person, said: &[fanfare_protocol::Id]) {
    assert!(said.is_sorted(), "{said:?}");
    bob.quiet().await;
    let newest: Vec<_> = said.iter().rev().copied().collect();
    let posts = all_pages(async |cursor| ann.posts_of(ann.id, paging(cursor.as_deref())).await, 1).await;
    assert_eq!(ids(&posts), newest);
    let public = all_pages(async |cursor| ann.public_posts(paging(cursor.as_deref())).await, 1).await;
    assert_eq!(ids(&public), newest);
    let feed = async |cursor: Option<String>| {
        bob.feed(FeedQuery { paging: Paging::at(1, cursor.as_deref()), ..FeedQuery::default() }).await
    };
    assert_eq!(ids(&all_pages(feed, 1).await), newest);
    let followers = all_pages(async |cursor| ann.followers(ann.id, paging(cursor.as_deref())).await, 1).await;
    let handles: Vec<&str> = followers.iter().map(|user| user.handle.as_str()).collect();
    assert_eq!(handles, ["carl", "bob"]);
    let acts = all_pages(async |cursor| world.operator.audit(paging(cursor.as_deref())).await, 1).await;
    assert_eq!(acts.len(), 2, "{acts:?}");
}

/// A step back of an hour, and a restart before it is corrected: what is written then takes effect.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_step_back_and_a_restart_a_log_out_ends_the_token() {
    let clock = stand_in();
    let mut world = World::at(clock.clone(), |_| ()).await;
    let mut ann = world.person("ann").await;
    clock.step(-(HOUR_MS as i64));
    world.restart_at(Clock::stand_in(NOW_MS - HOUR_MS + 10_000), &mut [&mut ann]).await;
    ann.me().await.unwrap();
    ann.log_out().await.unwrap();
    refused(ann.me().await);
    world.restart_at(Clock::stand_in(NOW_MS + 20_000), &mut [&mut ann]).await;
    refused(ann.me().await);
}
