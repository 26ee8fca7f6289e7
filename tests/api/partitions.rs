//! Data folders and the partitions that they were made with.

use std::collections::BTreeSet;

use fanfare::data::tables;
use fanfare::log::events::{Event, PostRecord, PostRef};
use fanfare::posts::settle::follow_up;
use fanfare_client::Paging;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Code, NotificationKind, PostOrGone};

use crate::world::{Person, World, eventually, refused, whole_feed};

#[tokio::test]
async fn a_folder_keeps_the_partitions_that_it_was_made_with_and_says_so() {
    let mut world = World::with(|settings| settings.cluster.partitions = 1).await;
    let ada = world.person("ada").await;
    world.stop().await;
    world.settings.cluster.partitions = 3;
    let refusal = world.refused_start().await;
    for part in ["social has 1 partitions", "3 are asked for", "cluster.partitions"] {
        assert!(refusal.contains(part), "{refusal}");
    }
    world.settings.cluster.partitions = 1;
    world.start().await;
    let again = world.anyone.with_token(&ada.token);
    assert_eq!(again.me().await.unwrap().handle, "ada");
}

/// Everybody is in a partition of a few of twelve: nearly all that one does to another crosses from one to another.
async fn world_of_twelve() -> (World, [Person; 5]) {
    let world = World::with(|settings| settings.cluster.partitions = 12).await;
    let people = world.people(["ann", "bob", "carl", "dora", "emil"]).await;
    (world, people)
}

async fn counts(viewer: &Person, of: &Person) -> (u64, u64, u64) {
    let user = viewer.user(&of.id.to_string()).await.unwrap();
    (user.followers_count, user.following_count, user.posts_count)
}

/// People of whom somebody is told, and what they did.
async fn told(person: &Person) -> BTreeSet<(String, String)> {
    let page = person.notifications(Paging::first(100)).await.unwrap();
    page.items.into_iter().map(|one| (one.actor.handle, format!("{:?}", one.kind))).collect()
}

fn done(handle: &str, kind: NotificationKind) -> (String, String) {
    (handle.to_owned(), format!("{kind:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_does_to_another_is_there_with_the_answer_wherever_both_are() {
    let (mut world, mut people) = world_of_twelve().await;
    for one in &people {
        for other in people.iter().filter(|other| other.id != one.id) {
            assert!(one.follow(other.id).await.unwrap().following);
        }
    }
    for one in &people {
        assert_eq!(counts(&people[0], one).await, (4, 4, 0));
    }
    let post = people[0].say("hello @bob and @carl").await.unwrap();
    for (liked, fan) in (1..).zip(&people[1..]) {
        assert_eq!(fan.like(post.id).await.unwrap().like_count, liked);
    }
    assert!(matches!(people[4].unlike(post.id).await.unwrap(), PostOrGone::Post(post) if post.like_count == 3));
    let answer = people[1].reply(post.id, "well").await.unwrap();
    let bare = people[2].repost(post.id, "").await.unwrap();
    people[3].repost(post.id, "look").await.unwrap();
    let seen = people[4].post(post.id).await.unwrap();
    assert_eq!((seen.like_count, seen.reply_count, seen.repost_count), (3, 1, 2));
    assert_eq!(people[4].replies(post.id, Paging::first(10)).await.unwrap().items.len(), 1);
    let mut expected: BTreeSet<_> =
        ["bob", "carl", "dora", "emil"].map(|handle| done(handle, NotificationKind::Follow)).into();
    expected.extend(["bob", "carl", "dora"].map(|handle| done(handle, NotificationKind::Like)));
    expected.insert(done("bob", NotificationKind::Reply));
    expected.extend(["carl", "dora"].map(|handle| done(handle, NotificationKind::Repost)));
    assert_eq!(told(&people[0]).await, expected);
    assert!(told(&people[2]).await.contains(&done("ann", NotificationKind::Mention)));
    for person in &people {
        assert!(whole_feed(person).await.contains(&post.id));
    }
    people[1].delete_post(answer.id).await.unwrap();
    people[2].delete_post(bare.id).await.unwrap();
    let seen = people[4].post(post.id).await.unwrap();
    assert_eq!((seen.like_count, seen.reply_count, seen.repost_count), (3, 0, 1));
    expected.remove(&done("bob", NotificationKind::Reply));
    expected.remove(&done("carl", NotificationKind::Repost));
    assert_eq!(told(&people[0]).await, expected);
    let [ann, bob, carl, dora, emil] = &mut people;
    world.restart(&mut [ann, bob, carl, dora, emil]).await;
    assert_eq!((told(ann).await, counts(bob, ann).await), (expected, (4, 4, 1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_ends_follows_wherever_they_are_and_whoever_leaves_is_followed_by_nobody() {
    let (_world, people) = world_of_twelve().await;
    for one in &people {
        for other in people.iter().filter(|other| other.id != one.id) {
            one.follow(other.id).await.unwrap();
        }
    }
    let [ann, bob, carl, dora, emil] = &people;
    for (left, other) in [(3, bob), (2, carl)] {
        let between = ann.block(other.id).await.unwrap();
        assert!(between.blocking && !between.following && !between.followed_by);
        // The end of a follow that a block finds elsewhere goes back, before the block is answered.
        assert_eq!(counts(emil, ann).await, (left, left, 0));
    }
    for (person, expected) in [(ann, (2, 2, 0)), (dora, (4, 4, 0)), (bob, (3, 3, 0)), (carl, (3, 3, 0))] {
        eventually("follows end both ways", async || (counts(emil, person).await == expected).then_some(())).await;
    }
    assert_eq!(refused(bob.follow(ann.id).await), Code::NotFound);
    ann.unblock(bob.id).await.unwrap();
    assert!(bob.follow(ann.id).await.unwrap().following);
    assert_eq!(counts(emil, ann).await, (3, 2, 0));
    let post = dora.say("here").await.unwrap();
    emil.like(post.id).await.unwrap();
    emil.delete_account().await.unwrap();
    let left = |person: &Person, followers, following| {
        let (dora, person) = (dora.clone(), person.clone());
        async move || (counts(&dora, &person).await == (followers, following, 0)).then_some(())
    };
    eventually("nobody follows who left", left(ann, 2, 1)).await;
    eventually("nobody follows who left", left(bob, 2, 3)).await;
    eventually("a like goes with who liked", async || {
        (dora.post(post.id).await.unwrap().like_count == 0).then_some(())
    })
    .await;
}

/// Two people of different partitions.
fn apart<'a>(world: &World, people: &'a [Person]) -> (&'a Person, &'a Person) {
    let log = &world.app().core().log;
    let of_another = |one: &&Person| log.partition_of(one.id) != log.partition_of(people[0].id);
    (&people[0], people.iter().find(of_another).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_follows_from_a_deletion_is_done_with_the_answer_wherever_the_people_of_a_thread_are() {
    let (world, people) = world_of_twelve().await;
    let (ann, bob) = apart(&world, &people);
    let mut chain = vec![ann.say("1").await.unwrap().id];
    for author in [bob, ann, bob, ann] {
        chain.push(author.reply(chain[chain.len() - 1], "next").await.unwrap().id);
    }
    for (post, author) in [(1, bob), (2, ann), (3, bob), (4, ann)] {
        author.delete_post(chain[post]).await.unwrap();
        let places = ann.replies(chain[0], Paging::default()).await.unwrap().items;
        assert_eq!(places.len(), usize::from(post < 4), "after {post}: {places:?}");
    }
    // The janitor has nothing to do.
    let store = &world.app().core().store;
    let rows = store.scan(tables::UNSETTLED, &tables::ONE, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
    assert!(rows.is_empty(), "{rows:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_that_comes_too_late_to_know_is_followed_up_wherever_it_is_from() {
    let (world, people) = world_of_twelve().await;
    let (ann, bob) = apart(&world, &people);
    let first = ann.say("1").await.unwrap().id;
    let second = bob.reply(first, "2").await.unwrap().id;
    bob.delete_post(second).await.unwrap();
    assert!(ann.replies(first, Paging::default()).await.unwrap().items.is_empty());
    // As by who read the post before it was deleted.
    let reply_to = Some(PostRef { id: second, author: bob.id });
    let post = PostRecord { author: ann.id, text: "3".to_owned(), reply_to, ..PostRecord::default() };
    let core = world.app().core();
    let guard = core.log.decide(ann.id, &[]).await.unwrap();
    let reply = core.log.commit(&guard, Event::Posted { post, notify: vec![] }).await.unwrap().id;
    drop(guard);
    core.log.followed(reply).await;
    follow_up(core, reply).await;
    let places = ann.replies(first, Paging::default()).await.unwrap().items;
    assert!(matches!(&places[..], [PostOrGone::Gone(place)] if place.id == second), "{places:?}");
}
