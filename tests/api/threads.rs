//! Threads go on: across what was deleted, across deleted accounts, and around bare reposts.

use fanfare::data::{rows, tables};
use fanfare::log::events::{Event, PostRecord, PostRef};
use fanfare::posts::settle::settle_all;
use fanfare_client::{Client, Paging};
use fanfare_engines::{Batch, KeyRange, Order};
use fanfare_protocol::{Code, Gone, Id, NewPost, PostOrGone};

use crate::deletion::{clean, uncleared};
use crate::world::{Person, World, ids, refused};

fn deleted(id: Id) -> PostOrGone {
    PostOrGone::Gone(Gone { id, deleted: true, hidden: false })
}

/// A chain of posts, each an answer to the one before, by these people in turn.
async fn chain(people: &[&Person], length: usize) -> Vec<Id> {
    let mut posts = vec![people[0].say("1").await.unwrap().id];
    while posts.len() < length {
        let (who, number) = (people[posts.len() % people.len()], posts.len() + 1);
        posts.push(who.reply(posts[posts.len() - 1], &number.to_string()).await.unwrap().id);
    }
    posts
}

async fn ancestors(reader: &Client, post: Id) -> Vec<PostOrGone> {
    reader.thread(post).await.unwrap().ancestors
}

async fn replies(reader: &Client, post: Id) -> Vec<PostOrGone> {
    reader.replies(post, Paging::default()).await.unwrap().items
}

/// `thread.deleted_middle` of the cases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_goes_on_across_a_deleted_post() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    // 1 <- 2 <- 3 <- 4; 2 is deleted. Thread of 4.
    let four = chain(&[&ann, &bob], 4).await;
    bob.delete_post(four[1]).await.unwrap();
    // A chain 1..6; 2 and 4 are deleted. Thread of 5.
    let six = chain(&[&ann, &bob], 6).await;
    bob.delete_post(six[3]).await.unwrap();
    bob.delete_post(six[1]).await.unwrap();
    // 1 <- 2 <- 3; 2 is deleted. From 1 downwards.
    let three = chain(&[&ann, &bob], 3).await;
    bob.delete_post(three[1]).await.unwrap();
    for _ in 0..2 {
        for reader in [&*ann, &*bob, &world.anyone] {
            let seen = ancestors(reader, four[3]).await;
            assert_eq!(ids(&seen), four[..3]);
            assert_eq!(seen[1], deleted(four[1]));
            assert!(seen[0].post().is_some() && seen[2].post().is_some());

            let seen = ancestors(reader, six[4]).await;
            assert_eq!(ids(&seen), six[..4]);
            assert_eq!([&seen[1], &seen[3]], [&deleted(six[1]), &deleted(six[3])]);
            assert!(seen[0].post().is_some() && seen[2].post().is_some());

            assert_eq!(replies(reader, three[0]).await, [deleted(three[1])]);
            assert_eq!(reader.thread(three[0]).await.unwrap().replies, [deleted(three[1])]);
            assert_eq!(ids(&replies(reader, three[1]).await), [three[2]]);
            assert_eq!(refused(reader.post(three[1]).await), Code::Gone);
            assert_eq!(reader.post(three[0]).await.unwrap().reply_count, 0, "it counts what stands");
        }
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_goes_on_across_a_deleted_account_of_which_only_the_places_stay() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    let chain = chain(&[&ann, &bob], 5).await;
    let mut kept = Some(uncleared(&world).await);
    bob.delete_account().await.unwrap();
    for cleaned in [false, true, true] {
        let seen = ancestors(&world.anyone, chain[4]).await;
        assert_eq!(ids(&seen), chain[..4], "cleaned: {cleaned}");
        assert_eq!([&seen[1], &seen[3]], [&deleted(chain[1]), &deleted(chain[3])]);
        assert_eq!(replies(&ann, chain[0]).await, [deleted(chain[1])]);
        assert_eq!(ids(&replies(&ann, chain[1]).await), [chain[2]]);
        if cleaned {
            world.restart(&mut [&mut ann]).await;
        } else {
            drop(kept.take());
            clean(&world).await;
        }
    }
    let stored = world.app().core().store.get(&tables::by_id(tables::POSTS, chain[1])).await.unwrap().unwrap();
    let text = String::from_utf8(stored.to_vec()).unwrap();
    let left: PostRecord = rows::from_json(&stored).unwrap();
    assert_eq!((left.id, left.reply_to.map(|parent| parent.id)), (chain[1], Some(chain[0])));
    assert!(left.text.is_empty() && !text.contains("text"), "words stay in {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_reply_keeps_its_place_only_while_it_is_answered() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let chain = chain(&[&ann, &bob], 5).await;
    let leaf = bob.reply(chain[0], "leaf").await.unwrap().id;
    bob.delete_post(leaf).await.unwrap();
    assert_eq!(ids(&replies(&ann, chain[0]).await), [chain[1]], "nothing answers the leaf");
    assert_eq!(refused(ann.replies(leaf, Paging::default()).await), Code::Gone);
    for (post, author) in [(1, &bob), (2, &ann), (3, &bob)] {
        author.delete_post(chain[post]).await.unwrap();
        assert_eq!(replies(&ann, chain[0]).await, [deleted(chain[1])]);
    }
    assert_eq!(ids(&replies(&ann, chain[3]).await), [chain[4]]);
    ann.delete_post(chain[4]).await.unwrap();
    assert!(replies(&ann, chain[0]).await.is_empty(), "the last answer took the others with it");
    let store = &world.app().core().store;
    for table in [tables::UNSETTLED, tables::REPLIES] {
        for partition in chain.iter().map(|post| tables::partition(*post)).chain([tables::ONE]) {
            let rows = store.scan(table, &partition, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
            assert!(rows.is_empty(), "{} keeps {rows:?}", table.name);
        }
    }
}

/// Replies that were decided before a deletion and committed after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reply_and_a_repost_that_came_too_late_to_know_are_put_right() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let chain = chain(&[&ann, &bob], 2).await;
    bob.delete_post(chain[1]).await.unwrap();
    assert!(replies(&ann, chain[0]).await.is_empty());
    for restarted in [false, true] {
        let gone = PostRef { id: chain[1], author: bob.id };
        let post = |reply_to, repost_of, text: &str| Event::Posted {
            post: PostRecord { author: ann.id, text: text.to_owned(), reply_to, repost_of, ..PostRecord::default() },
            notify: vec![],
        };
        let app = world.app();
        let guard = app.core().log.decide(ann.id, &[]).await.unwrap();
        let reply = app.core().log.commit(&guard, post(Some(gone), None, "yes")).await.unwrap().id;
        let repost = app.core().log.commit(&guard, post(None, Some(gone), "")).await.unwrap().id;
        app.core().log.followed(repost).await;
        clean(&world).await;
        assert_eq!(replies(&ann, chain[0]).await, [deleted(chain[1])], "restarted: {restarted}");
        assert_eq!(ids(&replies(&ann, chain[1]).await), [reply]);
        assert_eq!(refused(ann.post(repost).await), Code::Gone);
        assert_eq!(ann.me().await.unwrap().posts_count, 2);
        ann.delete_post(reply).await.unwrap();
        assert!(replies(&ann, chain[0]).await.is_empty());
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_to_a_bare_repost_is_done_to_its_original() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    let post = ann.say("hello").await.unwrap();
    let bare = bob.repost(post.id, "").await.unwrap();
    let reply = carl.reply(bare.id, "to whom?").await.unwrap();
    assert_eq!(reply.reply_to, Some(post.id));
    let liked = carl.like(bare.id).await.unwrap();
    assert_eq!((liked.id, liked.like_count, liked.liked), (post.id, 1, true));
    let quote = carl.repost(bare.id, "look").await.unwrap();
    assert_eq!(quote.repost_of.unwrap().id, post.id);
    let answer = NewPost { reply_to: Some(bare.id), repost_of: Some(bare.id), ..NewPost::default() };
    let answer = carl.publish(&answer, None).await.unwrap().post;
    assert_eq!((answer.reply_to, answer.repost_of.map(|of| of.id)), (Some(post.id), Some(post.id)));
    for id in [post.id, bare.id] {
        assert_eq!(ids(&replies(&ann, id).await), [reply.id, answer.id]);
        let likers = ann.likes(id, Paging::default()).await.unwrap().items;
        assert_eq!(likers.iter().map(|one| one.id).collect::<Vec<_>>(), [carl.id]);
        let thread = ann.thread(id).await.unwrap();
        assert_eq!((thread.post.id, ids(&thread.replies)), (post.id, vec![reply.id, answer.id]));
    }
    let shown = carl.post(bare.id).await.unwrap();
    assert_eq!((shown.id, shown.like_count, shown.reply_count, shown.liked), (bare.id, 0, 0, false));
    // Who is told is who wrote it.
    let kinds = |news: &[fanfare_protocol::Notification]| news.len();
    assert_eq!(kinds(&bob.notifications(Paging::default()).await.unwrap().items), 0);
    assert!(kinds(&ann.notifications(Paging::default()).await.unwrap().items) > 1);
    let unliked = carl.unlike(bare.id).await.unwrap().into_post().unwrap();
    assert_eq!((unliked.id, unliked.like_count, unliked.liked), (post.id, 0, false));
}

/// Rows of a commit are there before caches have heard of its records: for them the post still stands.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_a_record_leaves_to_be_done_is_dropped_before_the_record_was_heard_of() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap().id;
    let (core, later) = (world.app().core(), Id(world.app().core().log.settled().0 + 1));
    let row = tables::unsettled_row(later, post);
    let mut batch = Batch::default();
    batch.put(row.clone(), "");
    core.store.write(batch).await.unwrap();
    settle_all(core).await.unwrap();
    assert!(core.store.get(&row).await.unwrap().is_some(), "the record may be the one that deletes the post");
    ann.say("later").await.unwrap();
    assert!(core.log.settled() >= later);
    settle_all(core).await.unwrap();
    assert!(core.store.get(&row).await.unwrap().is_none(), "the post stands: nothing is to be done");
}
