//! Deeds that people take back: whoever has blocked whom, out of lists and badges, without a ring. And what stands for
//! many.

use std::collections::{BTreeMap, BTreeSet};

use fanfare::base::clock::Clock;
use fanfare::data::rows::NotificationState;
use fanfare::data::tables::{self, notification_key};
use fanfare_client::{Client, Paging};
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::{Code, Gone, Id, NewSuspension, NotificationKind, NotificationPage, PostOrGone, ServerEvent};

use crate::realtime::device::{ALL, Device};
use crate::realtime::fast;
use crate::world::{Person, World, eventually, refused, seeds};

async fn page(person: &Person) -> NotificationPage {
    person.notifications(Paging::first(100)).await.unwrap()
}

/// People who are named, and how many they are; and what is unread.
async fn news(person: &Person) -> (Vec<(String, u64)>, u64) {
    let page = page(person).await;
    (page.items.into_iter().map(|one| (one.actor.handle, one.count)).collect(), page.unread_count)
}

fn named<const N: usize>(expected: [(&str, u64); N], unread: u64) -> (Vec<(String, u64)>, u64) {
    (expected.map(|(handle, count)| (handle.to_owned(), count)).to_vec(), unread)
}

async fn likes(viewer: &Client, post: Id) -> u64 {
    viewer.post(post).await.unwrap().like_count
}

async fn suspend(world: &World, person: &Person) {
    let suspension = NewSuspension { reason: "spam".to_owned(), until: None };
    world.operator.suspend(&format!("@{}", person.handle), &suspension).await.unwrap();
}

/// A server that lists one by one only the first of a kind, in an hour that does not end.
async fn world() -> World {
    World::at(Clock::by_hand(Clock::system().now_ms()), |settings| {
        settings.notifications.group_after = 1;
        fast(settings);
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_like_can_be_taken_back_after_a_block() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    let post = ann.say("hello").await.unwrap();
    let bare = carl.repost(post.id, "").await.unwrap();
    for fan in [&bob, &carl] {
        fan.like(post.id).await.unwrap();
    }
    ann.block(bob.id).await.unwrap();
    let hidden = PostOrGone::Gone(Gone { id: post.id, deleted: false, hidden: true });
    assert_eq!(bob.unlike(bare.id).await.unwrap(), hidden);
    assert_eq!(refused(bob.unlike(post.id).await), Code::NotFound, "there is nothing more to take back");
    assert_eq!(likes(&ann, post.id).await, 1);
    suspend(&world, &ann).await;
    assert_eq!(carl.unlike(post.id).await.unwrap(), hidden);
    assert_eq!(refused(bob.like(post.id).await), Code::NotFound);
    world.operator.unsuspend("@ann", None).await.unwrap();
    assert_eq!(likes(&ann, post.id).await, 0);
    assert_eq!(page(&ann).await.items.len(), 1, "the repost stands");
    ann.delete_post(post.id).await.unwrap();
    assert_eq!(refused(carl.unlike(post.id).await), Code::Gone);
    assert_eq!(refused(bob.unlike(post.id).await), Code::NotFound, "who is blocked learns no more");
    assert_eq!(refused(bob.unlike(Id(1)).await), Code::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn follows_reposts_and_blocks_are_taken_back_whoever_blocks_or_is_suspended() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    let post = ann.say("hello").await.unwrap();
    for fan in [&bob, &carl] {
        fan.follow(ann.id).await.unwrap();
    }
    let bare = bob.repost(post.id, "").await.unwrap();
    let quote = carl.repost(post.id, "look").await.unwrap();
    ann.block(bob.id).await.unwrap();
    bob.block(ann.id).await.unwrap();
    assert!(!bob.unfollow(ann.id).await.unwrap().following, "the block ended it");
    bob.delete_post(bare.id).await.unwrap();
    assert!(!bob.unblock(ann.id).await.unwrap().blocking);
    suspend(&world, &ann).await;
    assert!(!carl.unfollow(ann.id).await.unwrap().following);
    carl.delete_post(quote.id).await.unwrap();
    assert!(carl.block(ann.id).await.unwrap().blocking);
    assert!(!carl.unblock(ann.id).await.unwrap().blocking);
    assert!(!carl.unmute(ann.id).await.unwrap().muting);
    world.operator.unsuspend("@ann", None).await.unwrap();
    assert!(page(&ann).await.items.is_empty());
    assert_eq!(ann.me().await.unwrap().followers_count, 0);
    let shown = ann.post(post.id).await.unwrap();
    assert_eq!((shown.repost_count, shown.like_count), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_taken_back_before_it_was_seen_leaves_list_and_badge() {
    let world = world().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    let post = ann.say("hello").await.unwrap();
    // The first of each is an item of its own, the second is in a group.
    let mut made = Vec::new();
    for fan in [&bob, &carl] {
        fan.like(post.id).await.unwrap();
        fan.follow(ann.id).await.unwrap();
        for one in [fan.repost(post.id, "").await, fan.reply(post.id, "yes").await, fan.say("hey @ann").await] {
            made.push((fan, one.unwrap().id));
        }
        made.push((fan, fan.say("hey again @ann").await.unwrap().id));
    }
    assert_eq!(page(&ann).await.unread_count, 12);
    for fan in [&bob, &carl] {
        fan.unlike(post.id).await.unwrap();
    }
    assert_eq!(page(&ann).await.unread_count, 10);
    bob.unfollow(ann.id).await.unwrap();
    ann.block(carl.id).await.unwrap();
    ann.unblock(carl.id).await.unwrap();
    assert_eq!(page(&ann).await.unread_count, 8, "a block ends a follow too");
    for (fan, post) in made {
        fan.delete_post(post).await.unwrap();
    }
    assert_eq!(news(&ann).await, named([], 0));
    rows_are_none(&world, &ann).await;
    // Words are news each time.
    bob.reply(post.id, "yes, in other words").await.unwrap();
    bob.say("hey, once more, @ann").await.unwrap();
    bob.repost(post.id, "look, once more").await.unwrap();
    assert_eq!(page(&ann).await.unread_count, 3);
    bob.like(post.id).await.unwrap();
    assert_eq!(page(&ann).await.unread_count, 4, "not seen before it was taken back");
}

async fn rows_are_none(world: &World, ann: &Person) {
    let partition = tables::partition(ann.id);
    let store = &world.app().core().store;
    for prefix in [notification_key::ITEM, notification_key::LISTED, notification_key::GROUPED] {
        let range = KeyRange::prefix(&[prefix]);
        let rows = store.scan(tables::NOTIFICATIONS, &partition, range, Order::Ascending, 100).await.unwrap();
        assert!(rows.is_empty(), "{rows:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_counts_people_and_names_one_who_still_does_it() {
    let world = world().await;
    let ann = world.person("ann").await;
    let fans: [Person; 6] = world.people(["a", "b", "c", "d", "e", "f"]).await;
    let post = ann.say("hello").await.unwrap();
    for fan in &fans {
        fan.like(post.id).await.unwrap();
    }
    let all = page(&ann).await;
    assert_eq!(news(&ann).await, named([("f", 5), ("a", 1)], 2));
    ann.mark_notifications_read(all.items[0].id).await.unwrap();
    fans[5].unlike(post.id).await.unwrap();
    assert_eq!(news(&ann).await, named([("e", 4), ("a", 1)], 0));
    fans[5].like(post.id).await.unwrap();
    assert_eq!(news(&ann).await, named([("f", 5), ("a", 1)], 0), "again is no news");
    fans[0].unlike(post.id).await.unwrap();
    fans[0].like(post.id).await.unwrap();
    assert_eq!(news(&ann).await, named([("a", 6)], 0), "whoever was listed alone may be in the group later");
    for fan in &fans {
        fan.unlike(post.id).await.unwrap();
    }
    assert_eq!(news(&ann).await, named([], 0));
    // People, not events; of mentions, which one author's are grouped, each post.
    let mut last = Id(0);
    for _ in 0..3 {
        for fan in &fans[..2] {
            last = fan.reply(post.id, "yes").await.unwrap().id;
        }
    }
    assert_eq!(news(&ann).await, named([("b", 2), ("a", 1)], 2));
    fans[1].delete_post(last).await.unwrap();
    let shown = page(&ann).await.items.remove(0);
    assert_eq!((shown.actor.handle.as_str(), shown.count), ("a", 2), "{shown:?}");
    assert!(shown.post.is_some());
    for _ in 0..4 {
        fans[2].say("hey @ann").await.unwrap();
    }
    assert_eq!(news(&ann).await.0[..2], named([("c", 3), ("c", 1)], 0).0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_names_somebody_whom_the_viewer_may_see_and_counts_without_the_others() {
    let world = world().await;
    let ann = world.person("ann").await;
    let fans: [Person; 6] = world.people(["a", "b", "c", "d", "e", "f"]).await;
    let post = ann.say("hello").await.unwrap();
    for fan in &fans {
        fan.like(post.id).await.unwrap();
    }
    let seen = page(&ann).await;
    suspend(&world, &fans[5]).await;
    assert_eq!(news(&ann).await, named([("e", 4), ("a", 1)], 2));
    ann.mute(fans[4].id).await.unwrap();
    assert_eq!(news(&ann).await, named([("d", 3), ("a", 1)], 2));
    ann.block(fans[3].id).await.unwrap();
    assert_eq!(news(&ann).await, named([("c", 2), ("a", 1)], 2));
    fans[2].delete_account().await.unwrap();
    assert_eq!(news(&ann).await, named([("b", 1), ("a", 1)], 2));
    // What somebody muted did since is not unread, and rings for nobody else.
    ann.mark_notifications_read(seen.items[0].id).await.unwrap();
    let mut device = Device::ws(&world, &ann.token).await;
    let cursor = device.hello.cursor.clone();
    fans[4].unlike(post.id).await.unwrap();
    let second = ann.say("another").await.unwrap();
    fans[0].like(second.id).await.unwrap();
    fans[4].like(second.id).await.unwrap();
    fans[1].like(second.id).await.unwrap();
    for _ in 0..2 {
        let told = device.until("notification").await;
        let ServerEvent::Notification(told) = told.event().unwrap() else { panic!("{told:?}") };
        assert!(told.notification.actor.id != fans[4].id && told.notification.count == 1, "{told:?}");
    }
    assert_eq!(news(&ann).await.1, 2);
    ann.unmute(fans[4].id).await.unwrap();
    world.operator.unsuspend("@f", None).await.unwrap();
    assert_eq!(news(&ann).await.0, named([("b", 2), ("a", 1), ("f", 2), ("a", 1)], 0).0);
    for transport in ALL {
        let mut again = Device::new(transport, &world, &ann.token, Some(&cursor)).await;
        // A resume overlaps: what is older may come first.
        let mut told: Vec<(String, u64)> = Vec::new();
        while told.last().is_none_or(|(actor, _)| actor != "b") {
            if let ServerEvent::Notification(one) = again.event().await {
                told.push((one.notification.actor.handle, one.notification.count));
            }
        }
        assert!(told.ends_with(&named([("a", 1), ("b", 2)], 0).0), "{transport:?}: {told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_are_known_by_name_are_counted_and_the_rest_is_found_when_they_go() {
    let world = world().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap();
    let mut fans = Vec::new();
    for number in 0..24 {
        let fan = world.person(&format!("fan{number}")).await;
        fan.like(post.id).await.unwrap();
        fans.push(fan);
    }
    assert_eq!(news(&ann).await.0, named([("fan23", 23), ("fan0", 1)], 0).0);
    for fan in fans[4..].iter().rev() {
        fan.unlike(post.id).await.unwrap();
    }
    assert_eq!(news(&ann).await, named([("fan3", 3), ("fan0", 1)], 2));
    ann.block(fans[3].id).await.unwrap();
    assert_eq!(news(&ann).await.0[0].0, "fan2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_who_toggle_in_turn_ring_nobodys_phone() {
    let world = world().await;
    let [ann, bob, dan] = world.people(["ann", "bob", "dan"]).await;
    let post = ann.say("hello").await.unwrap();
    let mut device = Device::ws(&world, &ann.token).await;
    let cursor = device.hello.cursor.clone();
    // Nothing is replayed from here on.
    dan.say("listen @ann").await.unwrap();
    device.until("notification").await;
    for _ in 0..8 {
        for fan in [&bob, &dan] {
            fan.like(post.id).await.unwrap();
            fan.follow(ann.id).await.unwrap();
            let bare = fan.repost(post.id, "").await.unwrap();
            fan.unlike(post.id).await.unwrap();
            fan.unfollow(ann.id).await.unwrap();
            fan.delete_post(bare.id).await.unwrap();
        }
    }
    bob.like(post.id).await.unwrap();
    let last = bob.say("and @ann").await.unwrap();
    let mut rang = Vec::new();
    loop {
        let frame = device.until("notification").await;
        let ServerEvent::Notification(told) = frame.event().unwrap() else { panic!("{frame:?}") };
        if told.notification.post.as_ref().is_some_and(|post| post.id == last.id) {
            break;
        }
        rang.push((told.notification.kind, told.notification.actor.id));
    }
    let expected = [NotificationKind::Like, NotificationKind::Follow, NotificationKind::Repost];
    let mut once = [bob.id, dan.id].map(|actor| expected.map(|kind| (kind, actor))).concat();
    // A repost that is gone before it was shown to anybody is not told.
    once.retain(|one| one.0 != NotificationKind::Repost || rang.contains(one));
    assert_eq!(rang, once, "each rings once");
    assert_eq!(news(&ann).await, named([("bob", 1), ("bob", 1), ("dan", 1)], 3));
    let mut again = Device::new(ALL[1], &world, &ann.token, Some(&cursor)).await;
    let mut told = Vec::new();
    while told.last() != Some(&(NotificationKind::Mention, bob.id)) {
        if let ServerEvent::Notification(one) = again.event().await {
            told.push((one.notification.kind, one.notification.actor.id));
        }
    }
    let stands = [(NotificationKind::Mention, dan.id), (NotificationKind::Like, bob.id)];
    assert_eq!(told[..told.len() - 1], stands, "only what stands is told again");
}

/// The list as the version before wrote it: a group under its newest event, which moved with every like.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_the_version_before_are_served_and_trimmed() {
    let mut world = World::with(|settings| settings.notifications.kept_max = 10).await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello").await.unwrap();
    let cursor = Device::ws(&world, &ann.token).await.hello.cursor;
    let me = ann.id;
    let row = |clustering| RowKey::new(tables::NOTIFICATIONS, tables::partition(me), clustering);
    let mut batch = Batch::default();
    let mut ids = Vec::new();
    for seq in 1..=30 {
        let id = world.app().core().log.mint().await.unwrap();
        let count = if seq == 30 { 7 } else { 1 };
        let (by, about) = (bob.id, post.id);
        let value = format!(r#"{{"kind":"like","actor":"{by}","post":"{about}","count":{count},"seq":{seq}}}"#);
        batch.put_versioned(row(notification_key::item(id)), value, id.0);
        ids.push(id);
    }
    let last = ids[29];
    let liked = |id| tables::pair(tables::LIKERS, post.id, id);
    let mut likes = vec![last];
    // Those in the group have no rows of their own.
    likes.extend((0..6).map(|number| Id(last.0 - 1 - number)).filter(|id| !ids.contains(id)));
    for id in &likes {
        batch.put_versioned(liked(*id), tables::partition(bob.id), last.0);
    }
    batch.put_versioned(row(notification_key::STATE), format!(r#"{{"seq":30,"applied":"{last}"}}"#), last.0);
    let hour = fanfare::base::id::hour_of(last);
    let memory = format!(r#"{{"events":33,"grouped":"{last}","last_actor":"{}"}}"#, bob.id);
    batch.put_versioned(row(notification_key::group(NotificationKind::Like, post.id, hour)), memory, last.0);
    world.app().core().store.write(batch).await.unwrap();
    world.restart(&mut [&mut ann]).await;
    let listed = page(&ann).await;
    assert_eq!((listed.items.len(), listed.unread_count), (30, 10), "a badge counts what is kept");
    assert!(listed.items.iter().map(|one| one.id).eq(ids.iter().rev().copied()));
    assert_eq!(listed.items[0].count, likes.len() as u64);
    let mut batch = Batch::default();
    likes.iter().for_each(|id| batch.delete_versioned(liked(*id), last.0 + 1));
    world.app().core().store.write(batch).await.unwrap();
    assert_eq!(page(&ann).await.items[0].id, ids[28], "whoever took it back is in no group");
    // What is newer than any record comes by itself.
    ann.say("later").await.unwrap();
    let mut device = Device::new(ALL[0], &world, &ann.token, Some(&cursor)).await;
    let first = device.until("notification").await;
    let ServerEvent::Notification(first) = first.event().unwrap() else { panic!("{first:?}") };
    assert_eq!(first.notification.id, ids[0]);
    let bob = world.anyone.with_token(&bob.token);
    for number in 0..70 {
        let post = ann.say(&format!("{number}")).await.unwrap();
        bob.reply(post.id, "yes").await.unwrap();
    }
    eventually("the old rows are trimmed", async || {
        (!page(&ann).await.items.iter().any(|one| ids.contains(&one.id))).then_some(())
    })
    .await;
    let state = world.app().core().store.get(&row(notification_key::STATE)).await.unwrap().unwrap();
    let state: NotificationState = fanfare::data::rows::from_json(&state).unwrap();
    assert_eq!(state.seq, 100);
}

/// Deed done to another's post, or to her.
type Deed = (NotificationKind, Option<Id>);

/// Deeds done to Ann, in the plainest way, and of whom she sees nothing.
#[derive(Default)]
struct Truth {
    done: BTreeMap<(usize, u8, Option<Id>), Id>,
    muted: BTreeSet<usize>,
    blocked: BTreeSet<usize>,
    suspended: BTreeSet<usize>,
}

impl Truth {
    fn sees(&self, who: usize) -> bool {
        ![&self.muted, &self.blocked, &self.suspended].iter().any(|hidden| hidden.contains(&who))
    }

    fn counts(&self) -> BTreeMap<(u8, Option<Id>), BTreeSet<usize>> {
        let mut counts: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
        for (who, kind, about) in self.done.keys().filter(|(who, ..)| self.sees(*who)) {
            counts.entry((*kind, *about)).or_default().insert(*who);
        }
        counts
    }
}

impl Truth {
    fn is_listed(&self, page: &NotificationPage, fans: &[Person], when: &str) {
        let mut shown: BTreeMap<(u8, Option<Id>), u64> = BTreeMap::new();
        let expected = self.counts();
        for item in &page.items {
            let about = item.post.as_ref().map(|post| post.repost_of.as_ref().map_or(post.id, |of| of.id));
            let key = (item.kind as u8, about);
            *shown.entry(key).or_default() += item.count;
            let named = fans.iter().position(|fan| fan.id == item.actor.id).unwrap();
            assert!(expected.get(&key).is_some_and(|who| who.contains(&named)), "{when}: {item:?}");
        }
        let counts: BTreeMap<_, u64> = expected.iter().map(|(key, who)| (*key, who.len() as u64)).collect();
        assert_eq!(shown, counts, "{when}");
        assert!(page.items.windows(2).all(|two| two[0].id > two[1].id), "{when}");
        let unread = page.items.iter().filter(|item| !item.read).count() as u64;
        assert_eq!(page.unread_count, unread, "{when}");
    }
}

async fn toggle(fan: &Person, ann: &Person, (kind, about): Deed, since: Option<Id>) -> Id {
    match (kind, about, since) {
        (NotificationKind::Like, Some(post), None) => fan.like(post).await.unwrap().id,
        (NotificationKind::Like, Some(post), Some(_)) => fan.unlike(post).await.unwrap().id(),
        (NotificationKind::Repost, Some(post), None) => fan.repost(post, "").await.unwrap().id,
        (NotificationKind::Repost, _, Some(bare)) => {
            fan.delete_post(bare).await.unwrap();
            bare
        }
        (_, _, None) => {
            fan.follow(ann.id).await.unwrap();
            ann.id
        }
        (_, _, Some(_)) => {
            fan.unfollow(ann.id).await.unwrap();
            ann.id
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_the_list_is_who_does_it_now_and_may_be_seen() {
    for seed in seeds(2) {
        let mut dice = Random::new(seed);
        let mut world = world().await;
        let mut ann = world.person("ann").await;
        let mut fans: Vec<Person> = world.people(["f0", "f1", "f2", "f3", "f4", "f5", "f6"]).await.to_vec();
        let posts = [ann.say("one").await.unwrap().id, ann.say("two").await.unwrap().id];
        let deeds: [Deed; 5] = [
            (NotificationKind::Like, Some(posts[0])),
            (NotificationKind::Like, Some(posts[1])),
            (NotificationKind::Repost, Some(posts[0])),
            (NotificationKind::Repost, Some(posts[1])),
            (NotificationKind::Follow, None),
        ];
        let mut truth = Truth::default();
        for step in 0..120 {
            let who = dice.below(7) as usize;
            let fan = &fans[who];
            match dice.below(20) {
                0 if truth.muted.remove(&who) => drop(ann.unmute(fan.id).await.unwrap()),
                0 if !truth.suspended.contains(&who) && !truth.blocked.contains(&who) => {
                    truth.muted.insert(who);
                    ann.mute(fan.id).await.unwrap();
                }
                1 if truth.suspended.remove(&who) => {
                    world.operator.unsuspend(&format!("@f{who}"), None).await.unwrap();
                }
                1 => {
                    truth.suspended.insert(who);
                    suspend(&world, fan).await;
                }
                2 if truth.blocked.remove(&who) => drop(ann.unblock(fan.id).await.unwrap()),
                2 => {
                    truth.blocked.insert(who);
                    truth.done.remove(&(who, NotificationKind::Follow as u8, None));
                    ann.block(fan.id).await.unwrap();
                }
                3 => {
                    let newest = page(&ann).await.items.first().map(|one| one.id);
                    ann.mark_notifications_read(newest.unwrap_or(Id(1))).await.unwrap();
                }
                4 => {
                    let mut people: Vec<&mut Person> = fans.iter_mut().collect();
                    people.push(&mut ann);
                    world.restart(&mut people).await;
                }
                _ if truth.suspended.contains(&who) => {}
                _ => {
                    let deed = deeds[dice.below(5) as usize];
                    let key = (who, deed.0 as u8, deed.1);
                    let since = truth.done.remove(&key);
                    // Whoever is blocked can only take back.
                    if since.is_some() || !truth.blocked.contains(&who) {
                        let made = toggle(fan, &ann, deed, since).await;
                        if since.is_none() {
                            truth.done.insert(key, made);
                        }
                    }
                }
            }
            truth.is_listed(&page(&ann).await, &fans, &format!("seed {seed}, step {step}"));
        }
    }
}
