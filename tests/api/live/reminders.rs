//! Reminders: whoever wants to be is notified when a session begins, once, and nobody else is.

use fanfare::base::clock::Clock;
use fanfare::data::tables;
use fanfare_client::Paging;
use fanfare_protocol::{Code, Id, LiveState, NotificationKind, PatchLiveSession};

use super::{announce, at, page};
use crate::world::{Person, World, eventually, refused};

/// Hosts of whose sessions a person was notified.
async fn notified(person: &Person) -> Vec<Id> {
    let news = person.notifications(Paging::first(100)).await.unwrap().items;
    news.into_iter().filter(|one| one.kind == NotificationKind::Live).map(|one| one.actor.id).collect()
}

/// Waits until everybody is reminded.
async fn reminded(world: &World) {
    eventually("reminders are gone through", async || {
        let store = &world.app().core().store;
        let all = fanfare_engines::KeyRange::ALL;
        let left = store.scan(tables::LIVE_REMINDING, &tables::ONE, all, fanfare_engines::Order::Ascending, 9).await;
        left.unwrap().is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_wants_to_be_is_reminded_at_the_start_and_nobody_else() {
    let world = World::new().await;
    let [ann, ben, cy, dee, eve, fay] = world.people(["ann", "ben", "cy", "dee", "eve", "fay"]).await;
    for follower in [&ben, &cy] {
        follower.follow(ann.id).await.unwrap();
    }
    let now_ms = Clock::system().now_ms();
    let id = announce(&ann, "chess", now_ms).await;
    for person in [&ben, &dee, &eve, &fay] {
        assert_eq!(person.remind_of_live(id, true).await.unwrap().reminder, Some(true));
    }
    ben.remind_of_live(id, true).await.unwrap();
    assert_eq!(eve.remind_of_live(id, false).await.unwrap().reminder, Some(false));
    fay.mute(ann.id).await.unwrap();
    assert_eq!(ben.live_feed(Paging::first(9)).await.unwrap().items[0].reminder, Some(true));
    assert_eq!(cy.live_feed(Paging::first(9)).await.unwrap().items[0].reminder, Some(false));
    let moved = PatchLiveSession { starts_at: Some(at(now_ms, 9_000)), ..PatchLiveSession::default() };
    ann.patch_live(id, &moved).await.unwrap();
    assert_eq!(notified(&ben).await, [], "a change of time notifies nobody");
    ann.start_live(id).await.unwrap();
    reminded(&world).await;
    for person in [&ben, &dee] {
        assert_eq!(notified(person).await, [ann.id]);
    }
    for person in [&ann, &cy, &eve, &fay] {
        assert_eq!(notified(person).await, []);
    }
    assert_eq!(refused(cy.remind_of_live(id, true).await), Code::Conflict, "it has begun");
    assert_eq!(ben.live_session(id).await.unwrap().reminder, Some(false), "there is nothing to be reminded of");
    ann.end_live(id, None).await.unwrap();
    assert_eq!(notified(&ben).await, [ann.id]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_removed_drops_its_reminders() {
    let world = World::new().await;
    let [ann, ben, cy] = world.people(["ann", "ben", "cy"]).await;
    let id = announce(&ann, "chess", Clock::system().now_ms()).await;
    ben.remind_of_live(id, true).await.unwrap();
    ann.block(cy.id).await.unwrap();
    assert_eq!(refused(cy.remind_of_live(id, true).await), Code::NotFound);
    ann.remove_live(id).await.unwrap();
    reminded(&world).await;
    assert_eq!(refused(ben.remind_of_live(id, true).await), Code::Gone);
    let store = &world.app().core().store;
    assert_eq!(store.ids_of(tables::LIVE_REMINDERS, id, 9).await.unwrap(), []);
    assert_eq!(store.ids_of(tables::LIVE_REMINDERS_OF, ben.id, 9).await.unwrap(), []);
    assert_eq!(notified(&ben).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reminders_and_sessions_survive_a_restart() {
    let mut world = World::new().await;
    let [mut ann, mut ben] = world.people(["ann", "ben"]).await;
    ben.follow(ann.id).await.unwrap();
    let now_ms = Clock::system().now_ms();
    let [over, live, next] =
        [announce(&ann, "r", now_ms).await, announce(&ann, "l", now_ms).await, announce(&ann, "u", now_ms).await];
    for session in [over, live] {
        ann.start_live(session).await.unwrap();
    }
    ann.end_live(over, Some("https://example.org/1")).await.unwrap();
    ben.remind_of_live(next, true).await.unwrap();
    for _ in 0..2 {
        world.restart(&mut [&mut ann, &mut ben]).await;
        assert_eq!(page(&ben, 9, None).await.0, "ll uu rr");
        assert_eq!(ben.live_session(next).await.unwrap().reminder, Some(true));
    }
    assert_eq!(ann.start_live(next).await.unwrap().state, LiveState::Live);
    reminded(&world).await;
    world.restart(&mut [&mut ann, &mut ben]).await;
    reminded(&world).await;
    assert_eq!(notified(&ben).await, [ann.id]);
}
