//! The home feed: orders, paging, what is new, the read marker.

use std::collections::HashSet;

use fanfare_client::{FeedQuery, Order, Paging};
use fanfare_protocol::{Code, Id, Page, Post};

use crate::world::{Person, World, all_pages, ids, refused, whole_feed};

async fn page(person: &Person, limit: u16, cursor: Option<&str>) -> Page<Post> {
    person.quiet().await;
    person.feed(FeedQuery { paging: Paging::at(limit, cursor), ..FeedQuery::default() }).await.unwrap()
}

async fn ranked(person: &Person, limit: u16, cursor: Option<&str>) -> Page<Post> {
    person.quiet().await;
    person.feed(FeedQuery { paging: Paging::at(limit, cursor), order: Order::Ranked, since_id: None }).await.unwrap()
}

async fn since(person: &Person, since: Id) -> Vec<Id> {
    person.quiet().await;
    let read = async |cursor: Option<String>| {
        let paging = Paging::at(2, cursor.as_deref());
        person.feed(FeedQuery { paging, since_id: Some(since), ..FeedQuery::default() }).await
    };
    ids(&all_pages(read, 2).await)
}

/// Says `count` things; their ids, newest first.
async fn say(person: &Person, count: usize) -> Vec<Id> {
    let mut said = Vec::new();
    for number in 0..count {
        said.push(person.say(&format!("{} {number}", person.handle)).await.unwrap().id);
    }
    said.reverse();
    person.quiet().await;
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_neither_repeat_nor_miss_while_posts_arrive() {
    let world = World::with(|settings| settings.feed.timeline_cap = 10).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let before = say(&bob, 30).await;
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = page(&ann, 4, cursor.as_deref()).await;
        seen.extend(ids(&page.items));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
        // Meanwhile more arrives, and what the cursor stands on is deleted.
        say(&bob, 2).await;
        say(&ann, 1).await;
        bob.delete_post(*seen.last().unwrap()).await.unwrap();
    }
    assert_eq!(seen, before);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feed_is_whole_at_every_depth_for_every_policy_and_after_a_restart() {
    let mut world = World::with(|settings| {
        settings.feed.timeline_cap = 5;
        settings.feed.recents_per_author = 3;
        settings.feed.push_below = 1;
        settings.feed.pull_above = 2;
        settings.feed.push_slice = 1;
        settings.feed.flip_interval_s = 0;
    })
    .await;
    let mut ann = world.person("ann").await;
    let mut others: [Person; 4] = world.people(["a", "b", "c", "d"]).await;
    ann.follow(others[0].id).await.unwrap();
    assert!(whole_feed(&ann).await.is_empty());
    // `a` has more followers than are pushed, `b` some, `c` and `d` few.
    for other in &others[1..] {
        other.follow(others[0].id).await.unwrap();
    }
    for other in &others[2..] {
        other.follow(others[1].id).await.unwrap();
    }
    for other in &others[1..] {
        ann.follow(other.id).await.unwrap();
    }
    let mut expected = Vec::new();
    for _ in 0..8 {
        for author in others.iter().chain([&ann]) {
            expected.extend(say(author, 1).await);
            let newest = ids(&page(&ann, 1, None).await.items);
            assert_eq!(newest, expected[expected.len() - 1..], "a post is in the feed on the next read");
        }
    }
    expected.reverse();
    assert_eq!(whole_feed(&ann).await, expected);
    let [a, b, c, d] = &mut others;
    world.restart(&mut [&mut ann, a, b, c, d]).await;
    assert_eq!(whole_feed(&ann).await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn since_id_gives_only_what_is_newer() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let posts = say(&bob, 10).await;
    assert_eq!(since(&ann, posts[4]).await, posts[..4]);
    assert!(since(&ann, posts[0]).await.is_empty());
    assert_eq!(since(&ann, Id(0)).await, posts);
    assert_eq!(since(&ann, Id(1)).await, posts);
    assert!(since(&ann, Id(i64::MAX as u64)).await.is_empty());
    bob.delete_post(posts[4]).await.unwrap();
    assert_eq!(since(&ann, posts[4]).await, posts[..4], "an id is a position, also of what is deleted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_counts_others_entries_and_the_marker_only_moves_forward() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    assert_eq!(ann.unread().await.unwrap(), fanfare_protocol::UnreadCount { count: 0, newest_id: None });
    let posts = say(&bob, 5).await;
    let own = say(&ann, 2).await;
    let unread = ann.unread().await.unwrap();
    assert_eq!((unread.count, unread.newest_id), (5, Some(own[0])));
    assert_eq!(ann.mark_feed_read(posts[2]).await.unwrap().count, 2);
    assert_eq!(ann.mark_feed_read(posts[4]).await.unwrap().count, 2, "back is no way");
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(ann.unread().await.unwrap().count, 2);
    bob.delete_post(posts[0]).await.unwrap();
    assert_eq!(ann.unread().await.unwrap().count, 1);
    // A marker from the future marks nothing that is still to come.
    assert_eq!(ann.mark_feed_read(Id(i64::MAX as u64)).await.unwrap().count, 0);
    say(&bob, 1).await;
    assert_eq!(ann.unread().await.unwrap().count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranking_prefers_what_people_like_and_pages_come_from_one_snapshot() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    ann.follow(bob.id).await.unwrap();
    let posts = say(&bob, 12).await;
    let favourite = posts[11];
    for fan in [&bob, &carl] {
        fan.like(favourite).await.unwrap();
        fan.reply(favourite, "yes").await.unwrap();
    }
    let all: HashSet<Id> = whole_feed(&ann).await.into_iter().collect();
    let first = ranked(&ann, 5, None).await;
    assert_eq!(first.items[0].id, favourite);
    // What happens now does not move the pages of the snapshot; what was deleted is left out.
    let unseen = posts.iter().find(|id| first.items.iter().all(|post| post.id != **id)).unwrap();
    bob.delete_post(*unseen).await.unwrap();
    let late = say(&bob, 3).await;
    let (mut seen, mut cursor) = (ids(&first.items), first.next_cursor);
    while let Some(at) = cursor {
        let page = ranked(&ann, 5, Some(&at)).await;
        seen.extend(ids(&page.items));
        cursor = page.next_cursor;
    }
    let unique: HashSet<Id> = seen.iter().copied().collect();
    assert_eq!(unique.len(), seen.len(), "nothing twice");
    let expected: HashSet<Id> = all.into_iter().filter(|id| id != unseen).collect();
    assert_eq!(unique, expected);
    assert!(late.iter().all(|id| !unique.contains(id)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ranked_cursor_whose_snapshot_is_gone_says_so() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    say(&bob, 5).await;
    let cursor = ranked(&ann, 2, None).await.next_cursor.unwrap();
    assert_eq!(ranked(&ann, 2, Some(&cursor)).await.items.len(), 2);
    world.restart(&mut [&mut ann]).await;
    let query = FeedQuery { paging: Paging::at(2, Some(&cursor)), order: Order::Ranked, since_id: None };
    assert_eq!(refused(ann.feed(query).await), Code::SnapshotExpired);
    assert_eq!(ranked(&ann, 2, None).await.items.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ranked_pages_go_on_in_latest_order_past_the_candidates() {
    let world = World::with(|settings| settings.feed.timeline_cap = 50).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let posts = say(&bob, 520).await;
    ann.follow(bob.id).await.unwrap();
    let read = async |cursor: Option<String>| {
        let paging = Paging::at(100, cursor.as_deref());
        ann.feed(FeedQuery { paging, order: Order::Ranked, since_id: None }).await
    };
    let seen = ids(&all_pages(read, 100).await);
    assert_eq!(seen.iter().collect::<HashSet<_>>(), posts.iter().collect::<HashSet<_>>());
    assert_eq!((seen.len(), &seen[500..]), (520, &posts[500..]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_say_what_the_reader_did_with_them() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let post = bob.say("hello").await.unwrap();
    ann.like(post.id).await.unwrap();
    ann.repost(post.id, "").await.unwrap();
    let page = page(&ann, 10, None).await;
    let (repost, original) = (&page.items[0], &page.items[1]);
    assert_eq!(repost.repost_of.as_deref(), Some(original), "the same, within and without");
    assert!(original.liked && original.reposted);
    assert_eq!((original.like_count, original.repost_count), (1, 1));
    let seen = self::page(&bob, 10, None).await;
    assert!(!seen.items[0].liked && !seen.items[0].reposted && seen.items[0].like_count == 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_works_across_a_restart_and_an_eviction() {
    let mut world = World::with(|settings| settings.feed.timelines_max = 1).await;
    let [mut ann, mut bob, mut carl] = world.people(["ann", "bob", "carl"]).await;
    ann.follow(bob.id).await.unwrap();
    let posts = say(&bob, 9).await;
    let first = page(&ann, 3, None).await;
    whole_feed(&carl).await;
    whole_feed(&bob).await;
    let second = page(&ann, 3, first.next_cursor.as_deref()).await;
    world.restart(&mut [&mut ann, &mut bob, &mut carl]).await;
    let third = page(&ann, 3, second.next_cursor.as_deref()).await;
    let seen: Vec<Id> = [first, second, third].iter().flat_map(|page| ids(&page.items)).collect();
    assert_eq!(seen, posts);
}
