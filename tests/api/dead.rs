//! A read costs what it answers, whatever was deleted; what cannot be cleared away stops nothing else. Nothing is
//! timed: the engine counts the deleted rows that scans step over.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

use fanfare::base::clock::Clock;
use fanfare::base::limits;
use fanfare::data::{rows, tables};
use fanfare::feed::EntryKind;
use fanfare::log::events::{Event, PostRecord, PostRef, Record};
use fanfare::posts::public;
use fanfare::posts::service::deletion;
use fanfare_client::Paging;
use fanfare_engines::{Batch, Claimant, EngineError, KeyRange, NewRecord, Order, Turn};
use fanfare_protocol::{Code, Id};

use crate::deletion::{clean, janitor};
use crate::world::{Person, World, eventually, ids, refused};

/// Rows that die: so many that nobody could step over them unseen.
const DEAD: usize = 2_000;
/// Dead rows that a read may step over each time: one or a few at every gap that it meets.
const PASSED_MAX: u64 = 16;

/// Dead rows that scans have stepped over so far.
fn passed(world: &World) -> u64 {
    world.app().core().store.scans().dead_rows_passed.load(Ordering::Relaxed)
}

/// Commits all, in this order, and answers the records' ids.
async fn commit_all(world: &World, events: impl Iterator<Item = Event>) -> Vec<Id> {
    let log = &world.app().core().log;
    let mut pending = Vec::new();
    for event in events {
        let guard = log.decide(event.actor().unwrap(), &[]).await.unwrap();
        pending.push(log.submit(&guard, event).await.unwrap());
    }
    let mut ids = Vec::new();
    for one in pending {
        ids.push(one.durable().await.unwrap().id);
    }
    // And what follows from them in other partitions.
    let last = ids.iter().max().copied().unwrap_or_default();
    eventually("all of it is settled", async || (log.horizon().now() >= last).then_some(())).await;
    ids
}

fn post(author: Id, reply_to: Option<PostRef>) -> Event {
    Event::Posted { post: PostRecord { author, text: "x".into(), reply_to, ..PostRecord::default() }, notify: vec![] }
}

/// `count` posts of `author` are made and deleted.
async fn come_and_go(world: &World, author: Id, reply_to: Option<PostRef>, count: usize) {
    let made = commit_all(world, (0..count).map(|_| post(author, reply_to))).await;
    let gone =
        |id: Id| deletion(&PostRecord { id, author, text: "x".into(), reply_to, ..PostRecord::default() }, false);
    commit_all(world, made.into_iter().map(gone)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_costs_what_it_answers_whatever_was_deleted() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let said = bob.say("hello").await.unwrap().id;
    let said_by = PostRef { id: said, author: bob.id };
    for _ in 0..3 {
        ann.reply(said, "yes").await.unwrap();
    }
    ann.like(said).await.unwrap();
    ann.follow(bob.id).await.unwrap();
    // Posts, answers, likes, follows, blocks and mutes come and go, of one person and towards one.
    come_and_go(&world, ann.id, None, DEAD).await;
    come_and_go(&world, ann.id, Some(said_by), DEAD).await;
    let mut strangers = Vec::with_capacity(DEAD);
    for _ in 0..DEAD {
        strangers.push(world.app().core().log.mint().await.unwrap());
    }
    let liked = commit_all(&world, strangers.iter().map(|user| Event::Liked { user: *user, post: said_by })).await;
    let unliked = strangers.iter().zip(liked).map(|(user, since)| Event::Unliked { user: *user, post: said_by, since });
    commit_all(&world, unliked).await;
    let follow =
        |follower: &Id| Event::Followed { follower: *follower, followee: bob.id, notify: false, silent: false };
    let followed = commit_all(&world, strangers.iter().map(follow)).await;
    for (follower, since) in strangers.iter().zip(followed) {
        let (follower, followee) = (*follower, bob.id);
        let ended = fanfare::log::events::EndedFollow { follower, followee, since, departed: None, silent: false };
        commit_all(&world, std::iter::once(Event::Unfollowed(ended))).await;
    }
    commit_all(&world, strangers.iter().map(|muted| Event::Muted { muter: ann.id, muted: *muted })).await;
    commit_all(&world, strangers.iter().map(|muted| Event::Unmuted { muter: ann.id, muted: *muted })).await;
    clean(&world).await;

    let few = Paging::default;
    for round in 0..2 {
        let mut costs = Vec::new();
        let mut cost = |what: &'static str, before: u64| costs.push((what, passed(&world) - before));
        let before = passed(&world);
        assert_eq!(world.anyone.public_posts(few()).await.unwrap().items.len(), 1);
        cost("the public timeline", before);
        let before = passed(&world);
        assert_eq!(world.anyone.posts_of(ann.id, few()).await.unwrap().items.len(), 3);
        cost("posts of a person", before);
        let before = passed(&world);
        assert_eq!(world.anyone.replies(said, few()).await.unwrap().items.len(), 3);
        cost("replies", before);
        let before = passed(&world);
        assert_eq!(world.anyone.likes(said, few()).await.unwrap().items.len(), 1);
        cost("likes", before);
        let before = passed(&world);
        assert_eq!(world.anyone.followers(bob.id, few()).await.unwrap().items.len(), 1);
        cost("followers", before);
        let before = passed(&world);
        assert!(ann.mutes(few()).await.unwrap().items.is_empty());
        cost("the muted", before);
        if round == 1 {
            let dear: Vec<_> = costs.iter().filter(|(_, cost)| *cost > PASSED_MAX).collect();
            assert!(dear.is_empty(), "these stepped over what was deleted: {dear:?}");
        }
    }
}

/// Rows that scans have answered so far.
fn answered(world: &World) -> u64 {
    world.app().core().store.scans().rows_answered.load(Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_the_public_timeline_reads_no_replies_and_reposts() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let said = bob.say("hello").await.unwrap().id;
    let quote = ann.repost(said, "look").await.unwrap().id;
    let said_by = PostRef { id: said, author: bob.id };
    commit_all(&world, (0..DEAD).map(|_| post(ann.id, Some(said_by)))).await;
    let bare = PostRecord { author: ann.id, repost_of: Some(said_by), ..PostRecord::default() };
    commit_all(&world, (0..DEAD).map(|_| Event::Posted { post: bare.clone(), notify: vec![] })).await;
    let before = answered(&world);
    assert_eq!(ids(&world.anyone.public_posts(Paging::default()).await.unwrap().items), [quote, said]);
    let rows = answered(&world) - before;
    assert!(rows <= 100, "a page of two posts took {rows} rows");
}

/// A post as versions before listed it.
async fn old_post(world: &World, post: PostRecord, kind: EntryKind) -> Id {
    let core = world.app().core();
    let id = core.log.mint().await.unwrap();
    let value = rows::entry_value(kind, Id(0));
    let mut batch = Batch::default();
    let all = [&value[..], &post.author.to_bytes()].concat();
    batch.put_versioned(tables::bucketed_row(tables::AUTHOR_POSTS, post.author, id), value, id.0);
    batch.put_versioned(tables::timeline_row(id), all, id.0);
    let stored = rows::to_json(&PostRecord { id, ..post }).unwrap();
    batch.put_versioned(tables::by_id(tables::POSTS, id), stored, id.0);
    core.store.write(batch).await.unwrap();
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_of_earlier_versions_are_listed_in_the_public_timeline_once() {
    let mut world = World::of_earlier_layout().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let of = |id| PostRef { id, author: ann.id };
    let plain = PostRecord { author: ann.id, text: "old".into(), ..PostRecord::default() };
    let first = old_post(&world, plain.clone(), EntryKind::Plain).await;
    old_post(&world, PostRecord { reply_to: Some(of(first)), ..plain.clone() }, EntryKind::Reply).await;
    let bare = PostRecord { text: String::new(), repost_of: Some(of(first)), ..plain.clone() };
    old_post(&world, bare, EntryKind::Repost).await;
    let both = PostRecord { repost_of: Some(of(first)), reply_to: Some(of(first)), ..plain.clone() };
    old_post(&world, both, EntryKind::Quote).await;
    let quote = PostRecord { repost_of: Some(of(first)), ..plain.clone() };
    let quotes = [
        old_post(&world, quote.clone(), EntryKind::Quote).await,
        // Still older versions called a quote a repost.
        old_post(&world, quote, EntryKind::Repost).await,
    ];
    let deleted = old_post(&world, plain.clone(), EntryKind::Plain).await;
    ann.delete_post(deleted).await.unwrap();
    let spoiled = old_post(&world, plain, EntryKind::Quote).await;
    spoil(&world, spoiled).await;
    let new = bob.say("new").await.unwrap().id;
    for _ in 0..2 {
        // The listing ended at the first start of this version; an older folder would begin it now. Twice changes
        // nothing.
        public::list_from(world.app().core(), Id(0)).await.unwrap();
        world.restart(&mut [&mut ann, &mut bob]).await;
        let shown = ids(&world.anyone.public_posts(Paging::default()).await.unwrap().items);
        assert_eq!(shown, [new, quotes[1], quotes[0], first]);
    }
}

/// A data folder of the version before, in which one post stands and 701 were deleted: see
/// `tests/fixtures/make-deletions`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_version_before_shows_the_same_public_timeline() {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/deletions.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("--strip-components=1").arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    let story = std::fs::read_to_string(folder.path().join("story.json")).unwrap();
    let story: serde_json::Value = serde_json::from_str(&story).unwrap();
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let mut world = World::over(folder, clock, |_| ()).await;
    for _ in 0..3 {
        let shown = ids(&world.anyone.public_posts(Paging::default()).await.unwrap().items);
        assert_eq!(shown.iter().map(ToString::to_string).collect::<Vec<_>>(), [story["stays"].as_str().unwrap()]);
        clean(&world).await;
        assert!(public::is_done(world.app().core()).await.unwrap());
        world.restart(&mut []).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_costs_what_it_removes() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let said = bob.say("hello").await.unwrap().id;
    commit_all(&world, (0..DEAD).map(|_| post(ann.id, None))).await;
    commit_all(&world, (0..DEAD).map(|_| post(ann.id, Some(PostRef { id: said, author: bob.id })))).await;
    let before = passed(&world);
    ann.delete_account().await.unwrap();
    clean(&world).await;
    let store = &world.app().core().store;
    let partition = tables::bucketed(ann.id, tables::bucket_of(ann.id));
    let left = store.scan(tables::AUTHOR_POSTS, &partition, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    // Each row that it removes is stepped over by the next look at the lists, and not by each that follows.
    let cost = passed(&world) - before;
    assert!(cost <= 6 * DEAD as u64, "a purge of {} posts stepped over {cost} dead rows", 2 * DEAD);
}

/// A row that does not decode.
async fn spoil(world: &World, post: Id) {
    let app = world.app();
    let mut batch = Batch::default();
    batch.put_versioned(tables::by_id(tables::POSTS, post), "{", app.core().log.mint().await.unwrap().0);
    app.core().store.write(batch).await.unwrap();
}

async fn round(world: &World) -> fanfare::base::error::Result<()> {
    janitor(world, 90).round().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_decode_stops_neither_the_rest_of_its_account_nor_another() {
    let mut world = World::new().await;
    let [mut ann, mut bob, mut carl]: [Person; 3] = world.people(["ann", "bob", "carl"]).await;
    let mut posts = Vec::new();
    for _ in 0..3 {
        posts.push(ann.say("hello").await.unwrap().id);
    }
    let of_bob = bob.say("hello").await.unwrap().id;
    let answered = carl.say("hello").await.unwrap().id;
    bob.like(answered).await.unwrap();
    spoil(&world, posts[1]).await;
    // What is in memory still decodes.
    world.restart(&mut [&mut ann, &mut bob, &mut carl]).await;
    ann.delete_account().await.unwrap();
    bob.delete_account().await.unwrap();
    for _ in 0..2 {
        assert!(round(&world).await.is_err(), "it is told of");
        for gone in [posts[0], posts[2], of_bob] {
            assert_eq!(refused(carl.post(gone).await), Code::Gone);
        }
        assert_eq!(carl.post(answered).await.unwrap().like_count, 0);
        let store = &world.app().core().store;
        let left = store.scan(tables::PURGES, &tables::ONE, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
        let left: Vec<_> = left.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        assert_eq!(left, [ann.id], "the one that cannot be finished is tried again");
        let partition = tables::bucketed(ann.id, tables::bucket_of(ann.id));
        let rows = store.scan(tables::AUTHOR_POSTS, &partition, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
        assert_eq!(rows.len(), 1);
    }
}

/// Rows of a post's or person's partition.
async fn rows_of(world: &World, table: fanfare_engines::Table, of: Id) -> usize {
    let store = &world.app().core().store;
    store.scan(table, &tables::partition(of), KeyRange::ALL, Order::Ascending, 100).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_post_leaves_one_cell_with_what_it_answered_and_no_words() {
    let mut now_ms = 1_767_225_600_000;
    let clock = Clock::by_hand(now_ms);
    let mut world = World::at(clock.clone(), |_| ()).await;
    clean(&world).await; // from this hour on it sweeps
    let [mut ann, mut bob, mut carl]: [Person; 3] = world.people(["ann", "bob", "carl"]).await;
    let root = carl.say("root").await.unwrap().id;
    let post = ann.reply(root, "secret words").await.unwrap().id;
    for fan in [&bob, &carl] {
        fan.like(post).await.unwrap();
        fan.repost(post, "").await.unwrap();
    }
    bob.like(root).await.unwrap();
    ann.delete_post(post).await.unwrap();
    // One more like was decided before the deletion, and is committed after it.
    let late = Event::Liked { user: carl.id, post: PostRef { id: post, author: ann.id } };
    commit_all(&world, std::iter::once(late)).await;
    clean(&world).await;
    for table in [tables::LIKERS, tables::REPOSTERS, tables::REPLIES] {
        assert_eq!(rows_of(&world, table, post).await, 0, "{}", table.name);
    }
    for (table, left) in [(tables::LIKED, 1), (tables::REPOSTED, 0), (tables::INTERACTIONS, 1)] {
        assert_eq!(rows_of(&world, table, bob.id).await, left, "of bob's {}", table.name);
        assert_eq!(rows_of(&world, table, carl.id).await, 0, "of carl's {}", table.name);
    }
    assert_eq!(rows_of(&world, tables::POST_COUNTERS, post).await, 1, "they tell what comes late that it is gone");
    now_ms += 4 * 3_600_000;
    clock.set(now_ms);
    clean(&world).await;
    assert_eq!(rows_of(&world, tables::POST_COUNTERS, post).await, 0);
    let stored = world.app().core().store.get(&tables::by_id(tables::POSTS, post)).await.unwrap().unwrap();
    assert!(!String::from_utf8_lossy(&stored).contains("words"), "{stored:?}");
    for _ in 0..2 {
        assert_eq!(refused(carl.post(post).await), Code::Gone);
        let shown = carl.post(root).await.unwrap();
        assert_eq!((shown.like_count, shown.reply_count), (1, 0));
        world.restart(&mut [&mut ann, &mut bob, &mut carl]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_deletion_from_which_something_follows_leaves_something_to_do() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut posts = Vec::new();
    for _ in 0..5 {
        posts.push(ann.say("hello").await.unwrap().id);
    }
    let [plain, answered, liked, passed_on, taken_back] = posts.try_into().unwrap();
    let answer = bob.reply(answered, "yes").await.unwrap().id;
    for post in [liked, taken_back] {
        bob.like(post).await.unwrap();
    }
    bob.unlike(taken_back).await.unwrap();
    bob.repost(passed_on, "").await.unwrap();
    let to = Some(PostRef { id: answered, author: ann.id });
    for (post, reply_to, follows) in [
        (plain, None, false),
        (taken_back, None, false),
        (answered, None, false),
        (liked, None, true),
        (passed_on, None, true),
        (answer, to, true),
    ] {
        let author = if reply_to.is_some() { bob.id } else { ann.id };
        let gone = PostRecord { id: post, author, text: "x".into(), reply_to, ..PostRecord::default() };
        let record = commit_all(&world, std::iter::once(deletion(&gone, false))).await[0];
        let row = tables::unsettled_row(record, post);
        let left = world.app().core().store.get(&row).await.unwrap();
        assert_eq!(left.is_some(), follows, "{post}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_deleted_is_forgotten_after_a_while_and_does_not_come_back() {
    let mut now_ms = 1_767_225_600_000;
    let clock = Clock::by_hand(now_ms);
    let mut world = World::at(clock.clone(), |_| ()).await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let gone = ann.say("hello").await.unwrap();
    ann.follow(bob.id).await.unwrap();
    ann.unfollow(bob.id).await.unwrap();
    ann.delete_post(gone.id).await.unwrap();
    let deleted = world.app().core().log.settled();
    let mut forgotten = Id(0);
    for _ in 0..4 {
        let before = forgotten;
        bob.say("still here").await.unwrap();
        clean(&world).await;
        forgotten = world.app().core().store.forgotten().await.unwrap().upto;
        assert!(before == Id(0) || forgotten > before, "it goes on");
        assert!(forgotten < world.app().core().log.settled(), "what was just done may still be under way");
        now_ms += limits::FORGET_AFTER_S * 1_000;
        clock.set(now_ms);
    }
    assert!(forgotten >= deleted);
    // A second copy of a record may come very late, even from a node that claims: it counts no more.
    let post = PostRecord { id: gone.id, author: ann.id, text: "hello".into(), ..PostRecord::default() };
    let event = Event::Posted { post, notify: vec![] };
    let twice = Record { id: gone.id, event, idempotency: None, import_line: None, audit: None };
    let core = world.app().core();
    let (journal, partition) = (core.store.journal().clone(), core.log.spread().partition_of(ann.id));
    let stray = Claimant { node: "stray".to_owned(), is_import: false };
    let term = journal.claim(partition, &stray).await.unwrap().term;
    let copy = NewRecord { id: gone.id.0, payload: rows::to_json(&twice).unwrap() };
    let late = journal.commit(partition, Turn::first(term), &[copy], &Batch::default()).await;
    assert!(matches!(late, Err(EngineError::Fenced)), "{late:?}");
    drop(journal);
    bob.say("the owner claims again, and goes on").await.unwrap();
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(refused(bob.post(gone.id).await), Code::Gone);
    assert!(world.anyone.posts_of(ann.id, Paging::default()).await.unwrap().items.is_empty());
    assert_eq!(world.anyone.public_posts(Paging::default()).await.unwrap().items.len(), 5);
    assert!(bob.say("newer than all").await.unwrap().id > forgotten);
    assert_eq!(ann.me().await.unwrap().following_count, 0);
}
