//! Notifications: every kind, grouping of floods, the marker, the bound.

use fanfare::base::clock::Clock;
use fanfare::base::limits;
use fanfare::data::tables;
use fanfare_client::Paging;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Notification, NotificationKind};

use crate::world::{Person, World, eventually};

async fn news(person: &Person) -> Vec<Notification> {
    person.notifications(Paging::first(100)).await.unwrap().items
}

async fn unread(person: &Person) -> u64 {
    person.notifications(Paging::first(1)).await.unwrap().unread_count
}

/// A server on which the hour does not end, and that lists so many of a kind one by one.
async fn an_hour(group_after: usize) -> World {
    World::at(Clock::by_hand(Clock::system().now_ms()), |settings| settings.notifications.group_after = group_after)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_names_who_and_what() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello").await.unwrap();
    bob.follow(ann.id).await.unwrap();
    bob.like(post.id).await.unwrap();
    let reply = bob.reply(post.id, "yes @ann").await.unwrap();
    let repost = bob.repost(post.id, "").await.unwrap();
    let mention = bob.say("hi @ann @ann").await.unwrap();
    let expected = [
        (NotificationKind::Mention, Some(mention.id)),
        (NotificationKind::Repost, Some(repost.id)),
        (NotificationKind::Reply, Some(reply.id)),
        (NotificationKind::Like, Some(post.id)),
        (NotificationKind::Follow, None),
    ];
    for round in 0..2 {
        let news = news(&ann).await;
        let seen: Vec<_> = news.iter().map(|one| (one.kind, one.post.as_ref().map(|post| post.id))).collect();
        assert_eq!(seen, expected);
        assert!(news.iter().all(|one| one.actor.id == bob.id && !one.read && one.count == 1));
        assert!(news.windows(2).all(|pair| pair[0].id > pair[1].id && pair[0].created_at >= pair[1].created_at));
        assert_eq!(unread(&ann).await, 5);
        if round == 0 {
            world.restart(&mut [&mut ann]).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_does_to_oneself_is_no_news() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello @ann").await.unwrap();
    ann.like(post.id).await.unwrap();
    ann.reply(post.id, "@ann").await.unwrap();
    ann.repost(post.id, "").await.unwrap();
    assert!(news(&ann).await.is_empty());
}

/// Also when those are gone who came with one's own, and the rest is looked for in the list of replies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_named_or_counted_in_their_own_notification() {
    let world = an_hour(1).await;
    let ann = world.person("ann").await;
    let fans: [Person; 4] = world.people(["a", "b", "c", "d"]).await;
    let post = ann.say("hello").await.unwrap();
    fans[0].reply(post.id, "first").await.unwrap();
    fans[1].reply(post.id, "second").await.unwrap();
    ann.reply(post.id, "thanks").await.unwrap();
    fans[2].reply(post.id, "third").await.unwrap();
    // As many as push the others out of those that are known one by one.
    let mut many = Vec::new();
    for _ in 0..limits::GROUP_NAMED_MAX {
        many.push(fans[3].reply(post.id, "again").await.unwrap().id);
        many.push(ann.reply(post.id, "@ann thanks again").await.unwrap().id);
    }
    let named = async || news(&ann).await.into_iter().map(|one| (one.actor.handle, one.count)).collect::<Vec<_>>();
    let expected = |group: (&str, u64)| [group, ("a", 1)].map(|(handle, count)| (handle.to_owned(), count));
    assert_eq!(named().await, expected(("d", 3)));
    for of_fan in many.iter().step_by(2) {
        fans[3].delete_post(*of_fan).await.unwrap();
    }
    assert_eq!(named().await, expected(("c", 2)));
    ann.block(fans[2].id).await.unwrap();
    assert_eq!(named().await, expected(("b", 1)));
    assert_eq!(unread(&ann).await, 2);
}

/// More people than a group remembers to have left it: all count when they are back, and nothing else grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn very_many_follows_that_are_taken_back_and_made_again_in_an_hour_are_counted_by_people() {
    const PEOPLE: usize = limits::GROUP_LEFT_MAX + 2;
    let mut world = an_hour(1).await;
    let mut ann = world.person("ann").await;
    let mut fans = Vec::new();
    for number in 0..PEOPLE {
        fans.push(world.person(&format!("fan{number}")).await);
    }
    for round in 0..3 {
        for fan in &fans {
            fan.follow(ann.id).await.unwrap();
        }
        let seen = news(&ann).await;
        assert!(seen.iter().all(|one| one.kind == NotificationKind::Follow));
        assert!(seen.len() <= 2, "round {round}: {seen:?}");
        assert_eq!(seen.iter().map(|one| one.count).sum::<u64>(), PEOPLE as u64, "round {round}: {seen:?}");
        assert!(unread(&ann).await <= seen.len() as u64);
        ann.mark_notifications_read(seen[0].id).await.unwrap();
        if round == 2 {
            break;
        }
        for fan in &fans {
            fan.unfollow(ann.id).await.unwrap();
        }
        assert!(news(&ann).await.is_empty(), "round {round}");
    }
    // What is remembered of it has a bound.
    let (store, of_ann) = (&world.app().core().store, tables::partition(ann.id));
    let rows = store.scan(tables::NOTIFICATIONS, &of_ann, KeyRange::ALL, Order::Ascending, 1_000).await.unwrap();
    let longest = rows.iter().map(|row| row.value.len()).max().unwrap_or_default();
    assert!(rows.len() <= 8 && longest <= 64 * limits::GROUP_LEFT_MAX + 64, "{} rows, {longest} bytes", rows.len());
    let before = news(&ann).await;
    world.restart(&mut [&mut ann]).await;
    assert_eq!(news(&ann).await, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_marker_only_moves_forward() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    for _ in 0..3 {
        bob.say("@ann").await.unwrap();
    }
    let all = news(&ann).await;
    ann.mark_notifications_read(all[1].id).await.unwrap();
    assert_eq!(news(&ann).await.iter().map(|one| one.read).collect::<Vec<_>>(), [false, true, true]);
    ann.mark_notifications_read(all[2].id).await.unwrap();
    assert_eq!(unread(&ann).await, 1);
    ann.mark_notifications_read(all[0].id).await.unwrap();
    assert_eq!(unread(&ann).await, 0);
    bob.say("@ann").await.unwrap();
    assert_eq!(unread(&ann).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_likes_becomes_one_with_a_count() {
    let world = World::with(|settings| settings.notifications.group_after = 2).await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap();
    let other = ann.say("other").await.unwrap();
    let fans: [Person; 8] = world.people(["a", "b", "c", "d", "e", "f", "g", "h"]).await;
    for fan in &fans {
        fan.like(post.id).await.unwrap();
    }
    fans[0].like(other.id).await.unwrap();
    let seen: Vec<(String, u64)> = news(&ann).await.into_iter().map(|one| (one.actor.handle, one.count)).collect();
    let expected = [("a", 1), ("h", 6), ("b", 1), ("a", 1)].map(|(handle, count)| (handle.to_owned(), count));
    // The hour may turn between two likes; then a new group begins.
    if seen.len() == expected.len() {
        assert_eq!(seen, expected);
    }
    assert_eq!(seen.iter().map(|(_, count)| count).sum::<u64>(), 9);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_who_likes_and_unlikes_pushes_nothing_out_of_the_list() {
    let world = World::with(|settings| settings.notifications.kept_max = 10).await;
    let [ann, bob, carl, dan] = world.people(["ann", "bob", "carl", "dan"]).await;
    let post = ann.say("hello").await.unwrap();
    carl.follow(ann.id).await.unwrap();
    for _ in 0..70 {
        bob.like(post.id).await.unwrap();
        bob.unlike(post.id).await.unwrap();
    }
    assert_eq!(news(&ann).await.len(), 1, "what was taken back is not listed");
    for _ in 0..70 {
        for fan in [&bob, &dan] {
            fan.like(post.id).await.unwrap();
            fan.unlike(post.id).await.unwrap();
        }
    }
    let kept = news(&ann).await;
    assert!(kept.iter().any(|one| one.actor.handle == "carl"), "{kept:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_list_is_bounded_and_keeps_the_newest() {
    let world = World::with(|settings| settings.notifications.kept_max = 10).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut mentions = Vec::new();
    for number in 0..200 {
        // Another subject each, so that nothing is grouped: replies to different posts.
        let post = ann.say(&format!("{number}")).await.unwrap();
        mentions.push(bob.reply(post.id, "yes").await.unwrap().id);
    }
    let list = eventually("the oldest are trimmed", async || {
        let list = news(&ann).await;
        (list.len() <= 10 + 64).then_some(list)
    })
    .await;
    assert!(list.len() >= 10);
    let newest: Vec<_> = list.iter().map(|one| one.post.as_ref().unwrap().id).collect();
    assert!(mentions.iter().rev().zip(&newest).all(|(made, shown)| made == shown));
    assert!(unread(&ann).await <= 10 + 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_are_paged_and_cursors_are_the_readers_own() {
    let world = World::with(|settings| settings.notifications.group_after = 1_000).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    for _ in 0..7 {
        bob.say("@ann").await.unwrap();
    }
    let all: Vec<_> = news(&ann).await.into_iter().map(|one| one.id).collect();
    let (mut seen, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let page = ann.notifications(Paging::at(3, cursor.as_deref())).await.unwrap();
        seen.extend(page.items.iter().map(|one| one.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        assert!(bob.notifications(Paging::at(3, cursor.as_deref())).await.is_err());
        bob.say("@ann again").await.unwrap();
    }
    assert_eq!((seen.len(), seen), (7, all));
}
