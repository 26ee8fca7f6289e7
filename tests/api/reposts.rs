//! Bare reposts go with their original, quotes keep their words, and every count is that of its list.

use std::collections::BTreeMap;

use fanfare::app::App;
use fanfare::base::clock::Clock;
use fanfare::base::handle::Handle;
use fanfare::data::uncounted::Of;
use fanfare::data::{rows, tables};
use fanfare::feed::EntryKind;
use fanfare::import::verify;
use fanfare::log::events::{PostRecord, PostRef};
use fanfare::posts::service::Publication;
use fanfare_client::Paging;
use fanfare_engines::random::Random;
use fanfare_engines::{Batch, KeyRange, Order};
use fanfare_protocol::{Code, Id, NewPost, Post};

use crate::deletion::{clean, uncleared};
use crate::world::{Person, World, eventually, ids, refused, refused_field, whole_feed};

async fn listed(person: &Person) -> Vec<Post> {
    person.posts_of(person.id, Paging { limit: Some(100), cursor: None }).await.unwrap().items
}

/// `count.posts_count` of the cases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_count_is_what_the_profile_lists() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    // B reposts and quotes A's post and has one own post; A deletes the post.
    let post = ann.say("hello").await.unwrap();
    bob.repost(post.id, "").await.unwrap();
    let quote = bob.repost(post.id, "look").await.unwrap();
    let own = bob.say("mine").await.unwrap();
    assert_eq!((bob.me().await.unwrap().posts_count, listed(&bob).await.len()), (3, 3));
    ann.delete_post(post.id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bob.me().await.unwrap().posts_count, 2, "its own words stay, the bare repost goes");
        let listed = listed(&bob).await;
        assert_eq!(ids(&listed), [own.id, quote.id]);
        assert!(listed[1].repost_gone && listed[1].repost_of.is_none());
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
    // As before, but A deletes the account; B has one own post and one reply.
    let [carl, dora] = world.people(["carl", "dora"]).await;
    let post = carl.say("hello").await.unwrap();
    dora.repost(post.id, "").await.unwrap();
    let own = dora.say("mine").await.unwrap();
    let reply = dora.reply(post.id, "yes").await.unwrap();
    let kept = uncleared(&world).await;
    carl.delete_account().await.unwrap();
    assert_eq!(ids(&listed(&dora).await), [reply.id, own.id]);
    drop(kept);
    clean(&world).await;
    assert_eq!(dora.me().await.unwrap().posts_count, 2);
    assert_eq!(ids(&listed(&dora).await), [reply.id, own.id]);
    // What is only hidden can be undone, and counts.
    let post = ann.say("again").await.unwrap();
    let bare = bob.repost(post.id, "").await.unwrap();
    bob.block(ann.id).await.unwrap();
    let seen = listed(&bob).await;
    assert_eq!(
        (seen.len() as u64, seen[0].id, seen[0].repost_hidden),
        (bob.me().await.unwrap().posts_count, bare.id, true)
    );
    bob.delete_post(bare.id).await.unwrap();
    assert_eq!(bob.me().await.unwrap().posts_count, listed(&bob).await.len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quote_keeps_its_words_in_every_list_and_a_bare_repost_of_it_stays() {
    let mut world = World::new().await;
    let [mut ann, mut bob, mut carl] = world.people(["ann", "bob", "carl"]).await;
    carl.follow(bob.id).await.unwrap();
    let post = ann.say("hello").await.unwrap();
    let quote = bob.repost(post.id, "look").await.unwrap();
    let of_quote = bob.repost(quote.id, "").await.unwrap();
    bob.repost(post.id, "").await.unwrap();
    ann.delete_post(post.id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(whole_feed(&carl).await, [of_quote.id, quote.id]);
        let feed = carl.feed(Default::default()).await.unwrap().items;
        assert!(feed[1].repost_gone && !feed[1].repost_hidden && feed[1].text == "look");
        assert_eq!(feed[0].repost_of.as_ref().map(|of| (of.id, of.text.as_str())), Some((quote.id, "look")));
        assert_eq!(ids(&carl.public_posts(Paging::default()).await.unwrap().items), [quote.id]);
        assert_eq!(ids(&listed(&bob).await), [of_quote.id, quote.id]);
        assert_eq!(carl.unread().await.unwrap().count, 2);
        let compared = verify::compare(world.app(), carl.id, 1).await.unwrap();
        assert_eq!(compared, (2, None), "the query of imports says the same");
        world.restart(&mut [&mut ann, &mut bob, &mut carl]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_reposts_than_one_answer_waits_for_go_soon_after() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap();
    let app = world.app();
    let mut people = Vec::new();
    for number in 0..400 {
        let handle = Handle::parse(&format!("fan{number}")).unwrap();
        people.push(app.users().create(&handle, None, None, app.core().clock.now_ms()).await.unwrap().row.id);
    }
    let repost = |fan: Id| app.posts().publish(fan, NewPost { repost_of: Some(post.id), ..NewPost::default() }, None);
    futures_util::future::try_join_all(people.iter().map(|fan| repost(*fan))).await.unwrap();
    ann.delete_post(post.id).await.unwrap();
    eventually("every count to fall", async || {
        for fan in &people {
            if counted(app, *fan).await > 0 {
                return None;
            }
        }
        Some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repost_taken_back_while_its_original_goes_is_counted_once() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let mut fans = Vec::new();
    for number in 0..8 {
        let fan = world.person(&format!("fan{number}")).await;
        fan.say("mine").await.unwrap();
        fans.push(fan);
    }
    for round in 0..6 {
        let post = ann.say("hello").await.unwrap().id;
        let mut racing = tokio::task::JoinSet::new();
        for fan in &fans {
            let bare = fan.repost(post, "").await.unwrap().id;
            let fan = fan.clone();
            racing.spawn(async move { drop(fan.delete_post(bare).await) });
        }
        ann.delete_post(post).await.unwrap();
        racing.join_all().await;
        for fan in &fans {
            assert_eq!((fan.me().await.unwrap().posts_count, listed(fan).await.len()), (1, 1), "round {round}");
        }
    }
}

async fn counted(app: &App, person: Id) -> u64 {
    app.users().profile(None, person).await.unwrap().posts_count
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_that_found_a_repost_stays_with_it() {
    let now_ms = Clock::system().now_ms();
    let mut world = World::at(Clock::by_hand(now_ms), |_| ()).await;
    let [ann, mut bob] = world.people(["ann", "bob"]).await;
    let original = ann.say("pass this on").await.unwrap().id;
    let there = bob.repost(original, "").await.unwrap().id;
    let bare = NewPost { repost_of: Some(original), ..NewPost::default() };
    world.set_clock(now_ms + 1_000);
    for replayed in [false, true, true] {
        let found = bob.publish(&bare, Some("found")).await.unwrap();
        assert_eq!((found.post.id, found.created, found.replayed), (there, false, replayed));
    }
    let other = NewPost { text: "with words".to_owned(), ..bare.clone() };
    assert_eq!(refused_field(bob.publish(&other, Some("found")).await), "Idempotency-Key");
    world.restart(&mut [&mut bob]).await;
    bob.delete_post(there).await.unwrap();
    assert_eq!(refused(bob.publish(&bare, Some("found")).await), Code::Gone);
    assert!(bob.publish(&bare, Some("fresh")).await.unwrap().created);
}

/// A bare repost as older versions stored it: not listed by what it passes on.
async fn old_repost(app: &App, author: Id, of: &Post) -> Id {
    let id = app.core().log.mint().await.unwrap();
    let of = PostRef { id: of.id, author: of.author.id };
    let post = PostRecord { id, author, repost_of: Some(of), ..PostRecord::default() };
    let value = rows::entry_value(EntryKind::Repost, of.author);
    let public = [&value[..], &author.to_bytes()].concat();
    let key = tables::by_id(tables::USER_COUNTERS, author);
    let mut counters = app.core().store.counters(Of::User(author)).await.unwrap();
    counters = rows::Counters { applied: id, ..counters };
    counters.values[2] += 1;
    let mut batch = Batch::default();
    batch.put_versioned(tables::by_id(tables::POSTS, id), rows::to_json(&post).unwrap(), id.0);
    batch.put_versioned(tables::bucketed_row(tables::AUTHOR_POSTS, author, id), value, id.0);
    batch.put_versioned(tables::timeline_row(id), public, id.0);
    batch.put_versioned(tables::pair(tables::REPOSTED, author, of.id), tables::partition(id), id.0);
    batch.put_versioned(key, counters.to_bytes(), id.0);
    // They were counted all the same.
    let key_of = tables::by_id(tables::POST_COUNTERS, of.id);
    let mut counters_of = app.core().store.stored_counters(Of::Post(of.id)).await.unwrap();
    counters_of = rows::Counters { applied: id, ..counters_of };
    counters_of.values[2] += 1;
    batch.put_versioned(key_of, counters_of.to_bytes(), id.0);
    app.core().store.write(batch).await.unwrap();
    app.core().store.counted(Of::User(author), counters);
    id
}

/// A folder of an older version: reposts were not listed by their original, and stayed when that went.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_in_which_reposts_outlived_their_original_is_put_right() {
    let mut world = World::of_earlier_layout().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let (gone, kept) = (ann.say("hello").await.unwrap(), ann.say("bye").await.unwrap());
    let quote = bob.repost(gone.id, "look").await.unwrap();
    ann.delete_post(gone.id).await.unwrap();
    let (of_gone, of_kept) = {
        let app = world.app();
        let store = &app.core().store;
        let mut row = store.get(&tables::timeline_row(quote.id)).await.unwrap().unwrap().to_vec();
        assert_eq!(std::mem::replace(&mut row[0], 2), 3, "older versions called a quote a repost");
        let mut batch = Batch::default();
        batch.put_versioned(tables::timeline_row(quote.id), row, quote.id.0 + 1);
        store.write(batch).await.unwrap();
        (old_repost(app, bob.id, &gone).await, old_repost(app, bob.id, &kept).await)
    };
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(ids(&listed(&bob).await), [of_kept, quote.id]);
    assert_eq!(ids(&bob.public_posts(Paging::default()).await.unwrap().items), [quote.id, kept.id]);
    assert_eq!(bob.me().await.unwrap().posts_count, 3);
    // As in a folder, the repost is older than the last record.
    ann.follow(bob.id).await.unwrap();
    // The search has ended at the first start of this version; an older folder would begin it now.
    fanfare::posts::old_reposts::list_from(world.app().core(), Id(0)).await.unwrap();
    clean(&world).await;
    assert_eq!(bob.me().await.unwrap().posts_count, 2);
    assert_eq!(refused(bob.post(of_gone).await), Code::Gone);
    ann.delete_post(kept.id).await.unwrap();
    assert_eq!(bob.me().await.unwrap().posts_count, 1);
    assert_eq!(ids(&listed(&bob).await), [quote.id]);
}

/// Posts that everybody has, by the plain rules; shares no code with the server.
#[derive(Default)]
struct Known {
    /// Author, the original passed on, whether it has words or answers.
    posts: BTreeMap<Id, (Id, Option<Id>, bool)>,
}

impl Known {
    fn delete(&mut self, post: Id) {
        self.posts.remove(&post);
        self.posts.retain(|_, (_, of, adds)| *adds || *of != Some(post));
    }

    fn of(&self, author: Id) -> Vec<Id> {
        self.posts.iter().rev().filter(|(_, post)| post.0 == author).map(|(id, _)| *id).collect()
    }
}

async fn all_of(app: &App, viewer: Option<Id>, author: Id) -> Vec<Id> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = app.posts().of_author(viewer, author, 3, cursor.as_deref()).await.unwrap();
        found.extend(ids(&page.items));
        cursor = page.next_cursor;
        if cursor.is_none() {
            return found;
        }
    }
}

async fn step(app: &App, people: &mut Vec<Id>, made: &mut Known, dice: &mut Random, number: usize) {
    let me = people[dice.below(people.len() as u64) as usize];
    let some = made.posts.keys().rev().nth(dice.below(12) as usize).copied();
    let text = format!("{number}");
    let new = match dice.below(20) {
        0..5 => NewPost { text, ..NewPost::default() },
        5..8 => NewPost { text, reply_to: some, ..NewPost::default() },
        8..11 => NewPost { text, repost_of: some, ..NewPost::default() },
        11..15 if some.is_some() => NewPost { repost_of: some, ..NewPost::default() },
        15 if some.is_some() => NewPost { repost_of: some, reply_to: some, ..NewPost::default() },
        16 if people.len() > 2 && dice.percent(30) => {
            app.users().delete(me).await.unwrap();
            people.retain(|person| *person != me);
            for post in made.of(me) {
                made.delete(post);
            }
            return;
        }
        _ => {
            let Some((post, (author, _, _))) = some.and_then(|post| made.posts.get_key_value(&post)) else { return };
            let (post, author) = (*post, *author);
            app.posts().delete(author, post).await.unwrap();
            return made.delete(post);
        }
    };
    let adds = !new.text.is_empty() || new.reply_to.is_some();
    if let Publication::New(post) = app.posts().publish(me, new, None).await.unwrap() {
        made.posts.insert(post.id, (me, post.repost_of.map(|of| of.id), adds));
    }
}

/// Random histories of posts, replies, quotes, reposts, deletions and deleted accounts, with restarts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_posts_count_is_the_length_of_the_list() {
    for seed in crate::world::seeds(6) {
        let mut world = World::new().await;
        let mut dice = Random::new(seed);
        let (mut people, mut made) = (Vec::new(), Known::default());
        for number in 0..5 {
            people.push(world.person(&format!("p{number}")).await.id);
        }
        for round in 0..4 {
            for number in 0..40 {
                step(world.app(), &mut people, &mut made, &mut dice, round * 100 + number).await;
            }
            if round % 2 == 1 {
                world.restart(&mut []).await;
            }
            clean(&world).await;
            let app = world.app();
            for person in &people {
                let expected = made.of(*person);
                let when = format!("seed {seed}, round {round}, {person}");
                assert_eq!(all_of(app, Some(*person), *person).await, expected, "{when}");
                assert_eq!(all_of(app, None, *person).await, expected, "{when}, seen by anyone");
                assert_eq!(counted(app, *person).await, expected.len() as u64, "{when}");
            }
            let store = &app.core().store;
            let left = store.scan(tables::UNSETTLED, &tables::ONE, KeyRange::ALL, Order::Ascending, 10).await.unwrap();
            assert!(left.is_empty(), "seed {seed}, round {round}: something is left to do");
        }
    }
}
