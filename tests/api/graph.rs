//! Follow, block, mute: exactly the effects of the contract's table.

use fanfare_client::{Client, FeedQuery, Paging};
use fanfare_protocol::{Code, Gone, Id, NewPost, NotificationKind, PostOrGone, Relationship, User};

use crate::world::{Person, World, all_pages, ids, refused, refused_field, whole_feed};

const NOTHING: Relationship = Relationship { following: false, followed_by: false, blocking: false, muting: false };

fn handles(people: &[User]) -> Vec<&str> {
    people.iter().map(|user| user.handle.as_str()).collect()
}

async fn counts(viewer: &Client, user: Id) -> (u64, u64, u64) {
    let user = viewer.user(&user.to_string()).await.unwrap();
    (user.followers_count, user.following_count, user.posts_count)
}

async fn relationship(viewer: &Person, other: &Person) -> Relationship {
    viewer.user(&other.id.to_string()).await.unwrap().relationship.unwrap()
}

async fn kinds(person: &Person) -> Vec<NotificationKind> {
    person.notifications(Paging::default()).await.unwrap().items.iter().map(|one| one.kind).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_and_unfollowing_are_idempotent_and_counted() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    for _ in 0..2 {
        assert_eq!(ann.follow(bob.id).await.unwrap(), Relationship { following: true, ..NOTHING });
        assert_eq!(counts(&world.anyone, bob.id).await, (1, 0, 0));
    }
    assert_eq!(relationship(&bob, &ann).await, Relationship { followed_by: true, ..NOTHING });
    assert!(world.anyone.user("@bob").await.unwrap().relationship.is_none());
    world.restart(&mut [&mut ann, &mut bob]).await;
    assert_eq!(counts(&world.anyone, ann.id).await, (0, 1, 0));
    for _ in 0..2 {
        assert_eq!(ann.unfollow(bob.id).await.unwrap(), NOTHING);
        assert_eq!(counts(&world.anyone, bob.id).await, (0, 0, 0));
    }
    assert_eq!(kinds(&bob).await, [], "a follow that is taken back is no news");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_follows_blocks_or_mutes_themselves_or_nobody() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    assert_eq!(refused_field(ann.follow(ann.id).await), "id");
    assert_eq!(refused_field(ann.block(ann.id).await), "id");
    assert_eq!(refused_field(ann.mute(ann.id).await), "id");
    for nobody in [Id(1), Id(i64::MAX as u64)] {
        assert_eq!(refused(ann.follow(nobody).await), Code::NotFound);
        assert_eq!(refused(ann.unfollow(nobody).await), Code::NotFound);
        assert_eq!(refused(ann.block(nobody).await), Code::NotFound);
        assert_eq!(refused(ann.mute(nobody).await), Code::NotFound);
        assert_eq!(refused(ann.followers(nobody, Paging::default()).await), Code::NotFound);
        assert_eq!(refused(ann.following(nobody, Paging::default()).await), Code::NotFound);
        assert_eq!(refused(ann.posts_of(nobody, Paging::default()).await), Code::NotFound);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lists_of_followers_and_followees_are_latest_first_and_paged() {
    let world = World::new().await;
    let star = world.person("star").await;
    let fans: [Person; 5] = world.people(["a", "b", "c", "d", "e"]).await;
    for fan in &fans {
        fan.follow(star.id).await.unwrap();
        star.follow(fan.id).await.unwrap();
    }
    let followers =
        async |cursor: Option<String>| world.anyone.followers(star.id, Paging::at(2, cursor.as_deref())).await;
    assert_eq!(handles(&all_pages(followers, 2).await), ["e", "d", "c", "b", "a"]);
    let following = async |cursor: Option<String>| star.following(star.id, Paging::at(5, cursor.as_deref())).await;
    assert_eq!(handles(&all_pages(following, 5).await), ["e", "d", "c", "b", "a"]);
    fans[2].unfollow(star.id).await.unwrap();
    fans[0].unfollow(star.id).await.unwrap();
    fans[0].follow(star.id).await.unwrap();
    assert_eq!(handles(&all_pages(followers, 2).await), ["a", "e", "d", "b"]);
    // Whoever blocks the viewer is not in what the viewer sees.
    fans[3].block(fans[1].id).await.unwrap();
    assert_eq!(handles(&fans[1].followers(star.id, Paging::default()).await.unwrap().items), ["a", "e", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_follow_limit_is_refused_clearly_and_holds_for_requests_at_once() {
    let world = World::with(|settings| settings.feed.follow_limit = 3).await;
    let ann = world.person("ann").await;
    let others: [Person; 6] = world.people(["a", "b", "c", "d", "e", "f"]).await;
    let at_once: Vec<_> = others
        .iter()
        .map(|other| {
            let (ann, other) = (ann.clone(), other.id);
            tokio::spawn(async move { ann.follow(other).await })
        })
        .collect();
    let mut followed = 0;
    for one in at_once {
        match one.await.unwrap() {
            Ok(_) => followed += 1,
            refusal => assert_eq!(refused_field(refusal), "id"),
        }
    }
    assert_eq!((followed, counts(&ann, ann.id).await.1), (3, 3));
    let following = ann.following(ann.id, Paging::default()).await.unwrap().items;
    ann.unfollow(following[0].id).await.unwrap();
    assert!(ann.follow(following[0].id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_ends_follows_both_ways_and_unblocking_does_not_restore_them() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    bob.follow(ann.id).await.unwrap();
    for _ in 0..2 {
        assert_eq!(ann.block(bob.id).await.unwrap(), Relationship { blocking: true, ..NOTHING });
    }
    assert_eq!(counts(&ann, ann.id).await, (0, 0, 0));
    assert_eq!(counts(&ann, bob.id).await, (0, 0, 0));
    assert_eq!(handles(&ann.blocks(Paging::default()).await.unwrap().items), ["bob"]);
    assert_eq!(refused(ann.follow(bob.id).await), Code::Forbidden);
    for _ in 0..2 {
        assert_eq!(ann.unblock(bob.id).await.unwrap(), NOTHING);
    }
    assert!(ann.blocks(Paging::default()).await.unwrap().items.is_empty());
    assert!(whole_feed(&ann).await.is_empty());
    assert!(bob.follow(ann.id).await.unwrap().following);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_blocked_gets_404_for_everything_of_the_blocker() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    let post = ann.say("hello @bob").await.unwrap();
    let passed_on = carl.repost(post.id, "").await.unwrap();
    let quoted = carl.repost(post.id, "look").await.unwrap();
    ann.block(bob.id).await.unwrap();
    for name in [ann.id.to_string(), "@ann".to_owned()] {
        assert_eq!(refused(bob.user(&name).await), Code::NotFound);
    }
    let first = Paging::default();
    assert_eq!(refused(bob.posts_of(ann.id, first).await), Code::NotFound);
    assert_eq!(refused(bob.followers(ann.id, first).await), Code::NotFound);
    assert_eq!(refused(bob.following(ann.id, first).await), Code::NotFound);
    assert_eq!(refused(bob.post(post.id).await), Code::NotFound);
    assert_eq!(refused(bob.thread(post.id).await), Code::NotFound);
    assert_eq!(refused(bob.replies(post.id, first).await), Code::NotFound);
    assert_eq!(refused(bob.likes(post.id, first).await), Code::NotFound);
    assert_eq!(refused(bob.follow(ann.id).await), Code::NotFound);
    assert_eq!(refused(bob.like(post.id).await), Code::NotFound);
    assert_eq!(refused(bob.reply(post.id, "but").await), Code::NotFound);
    assert_eq!(refused(bob.repost(post.id, "").await), Code::NotFound);
    assert_eq!(refused(bob.repost(post.id, "see").await), Code::NotFound);
    // What others pass on of the blocker is not a way round.
    assert_eq!(refused(bob.post(passed_on.id).await), Code::NotFound);
    let listed = [bob.posts_of(carl.id, first).await.unwrap().items, bob.public_posts(first).await.unwrap().items];
    for seen in listed.into_iter().flatten().chain([bob.post(quoted.id).await.unwrap()]) {
        assert_eq!((seen.id, seen.repost_of, seen.repost_hidden, seen.repost_gone), (quoted.id, None, true, false));
    }
    // A mention is text without news.
    bob.say("hey @ann").await.unwrap();
    assert!(!kinds(&ann).await.contains(&NotificationKind::Mention));
    // And nothing of the kind for others.
    assert!(carl.post(post.id).await.is_ok() && world.anyone.post(post.id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_of_who_is_blocked_and_reposts_of_them_vanish_for_the_blocker() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    ann.follow(bob.id).await.unwrap();
    ann.follow(carl.id).await.unwrap();
    let of_bob = bob.say("bob's").await.unwrap();
    let of_carl = carl.say("carl's").await.unwrap();
    let quote = carl.repost(of_bob.id, "look").await.unwrap();
    let bare = carl.repost(of_bob.id, "").await.unwrap();
    let reply = bob.reply(of_carl.id, "yes").await.unwrap();
    assert_eq!(whole_feed(&ann).await, [reply.id, bare.id, quote.id, of_carl.id, of_bob.id]);
    ann.block(bob.id).await.unwrap();
    assert_eq!(whole_feed(&ann).await, [quote.id, of_carl.id]);
    let first = Paging::default();
    let of_both = [quote.id, of_carl.id];
    assert_eq!(ids(&ann.public_posts(first).await.unwrap().items), of_both);
    assert_eq!(ids(&ann.posts_of(carl.id, first).await.unwrap().items), of_both, "reposts of the blocked vanish");
    let in_feed = ann.feed(FeedQuery::default()).await.unwrap().items.swap_remove(0);
    for seen in [in_feed, ann.post(quote.id).await.unwrap()] {
        assert_eq!((seen.text.as_str(), seen.repost_of, seen.repost_hidden), ("look", None, true));
    }
    assert!(ann.replies(of_carl.id, first).await.unwrap().items.is_empty());
    assert!(ann.thread(of_carl.id).await.unwrap().replies.is_empty());
    let beneath = carl.reply(reply.id, "to bob").await.unwrap();
    let hidden = PostOrGone::Gone(Gone { id: reply.id, deleted: false, hidden: true });
    assert_eq!(ids(&ann.thread(beneath.id).await.unwrap().ancestors), [of_carl.id, reply.id]);
    assert_eq!(ann.thread(beneath.id).await.unwrap().ancestors[1], hidden);
    assert_eq!(ann.replies(of_carl.id, first).await.unwrap().items, [hidden], "it is answered");
    assert_eq!(ids(&carl.thread(beneath.id).await.unwrap().ancestors), [of_carl.id, reply.id]);
    carl.delete_post(beneath.id).await.unwrap();
    ann.unblock(bob.id).await.unwrap();
    assert_eq!(whole_feed(&ann).await, [bare.id, quote.id, of_carl.id]);
    assert_eq!(ann.posts_of(carl.id, first).await.unwrap().items.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_hides_posts_reposts_and_news_and_unmuting_brings_all_back() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    ann.follow(bob.id).await.unwrap();
    ann.follow(carl.id).await.unwrap();
    let of_ann = ann.say("ann's").await.unwrap();
    let of_bob = bob.say("bob's").await.unwrap();
    let by_bob = bob.repost(of_ann.id, "").await.unwrap();
    let of_it = carl.repost(of_bob.id, "").await.unwrap();
    bob.like(of_ann.id).await.unwrap();
    let all = [of_it.id, by_bob.id, of_bob.id, of_ann.id];
    assert_eq!(whole_feed(&ann).await, all);
    assert_eq!(kinds(&ann).await, [NotificationKind::Like, NotificationKind::Repost]);

    for _ in 0..2 {
        assert_eq!(ann.mute(bob.id).await.unwrap(), Relationship { following: true, muting: true, ..NOTHING });
    }
    assert_eq!(whole_feed(&ann).await, [of_ann.id]);
    assert_eq!(kinds(&ann).await, []);
    assert_eq!(ann.notifications(Paging::default()).await.unwrap().unread_count, 0);
    assert_eq!(ann.unread().await.unwrap().count, 0);
    assert_eq!(handles(&ann.mutes(Paging::default()).await.unwrap().items), ["bob"]);
    let while_muted = bob.say("@ann?").await.unwrap();
    assert_eq!(kinds(&ann).await, []);
    assert_eq!(counts(&ann, bob.id).await.0, 1, "the follow stays");
    // The muted one does not notice.
    assert_eq!(relationship(&bob, &ann).await, Relationship { followed_by: true, ..NOTHING });

    for _ in 0..2 {
        assert_eq!(ann.unmute(bob.id).await.unwrap(), Relationship { following: true, ..NOTHING });
    }
    let back: Vec<Id> = [while_muted.id].into_iter().chain(all).collect();
    assert_eq!(whole_feed(&ann).await, back);
    assert_eq!(kinds(&ann).await, [NotificationKind::Mention, NotificationKind::Like, NotificationKind::Repost]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blocks_in_both_directions_end_one_by_one() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = bob.say("hello").await.unwrap();
    ann.block(bob.id).await.unwrap();
    // Who is blocked can still block back.
    assert!(bob.block(ann.id).await.unwrap().blocking);
    ann.unblock(bob.id).await.unwrap();
    assert_eq!(refused(ann.post(post.id).await), Code::NotFound);
    assert_eq!(refused(bob.follow(ann.id).await), Code::Forbidden);
    bob.unblock(ann.id).await.unwrap();
    assert!(ann.post(post.id).await.is_ok() && bob.follow(ann.id).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replies_show_only_where_the_one_replied_to_is_known() {
    let world = World::new().await;
    let [ann, bob, carl] = world.people(["ann", "bob", "carl"]).await;
    ann.follow(bob.id).await.unwrap();
    let of_ann = ann.say("ann's").await.unwrap();
    let of_carl = carl.say("carl's").await.unwrap();
    let of_bob = bob.say("bob's").await.unwrap();
    let to_carl = bob.reply(of_carl.id, "to a stranger").await.unwrap();
    let to_ann = bob.reply(of_ann.id, "to the reader").await.unwrap();
    let to_self = bob.reply(of_bob.id, "to myself").await.unwrap();
    let mine = ann.reply(of_carl.id, "my own").await.unwrap();
    let strangers_only = [to_self.id, to_ann.id, of_bob.id, of_ann.id];
    let shown = whole_feed(&ann).await;
    assert!(!shown.contains(&to_carl.id));
    assert_eq!(shown.iter().filter(|id| **id != mine.id).copied().collect::<Vec<_>>(), strangers_only);
    ann.follow(carl.id).await.unwrap();
    assert_eq!(whole_feed(&ann).await, [mine.id, to_self.id, to_ann.id, to_carl.id, of_bob.id, of_carl.id, of_ann.id]);
    ann.unfollow(carl.id).await.unwrap();
    assert_eq!(whole_feed(&ann).await, shown);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn following_brings_old_posts_at_once_and_unfollowing_takes_all_away() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let mut posts = Vec::new();
    for number in 0..30 {
        posts.push(bob.say(&format!("{number}")).await.unwrap().id);
    }
    posts.reverse();
    assert!(whole_feed(&ann).await.is_empty());
    ann.follow(bob.id).await.unwrap();
    assert_eq!(whole_feed(&ann).await, posts);
    bob.delete_post(posts[3]).await.unwrap();
    posts.remove(3);
    assert_eq!(whole_feed(&ann).await, posts);
    ann.unfollow(bob.id).await.unwrap();
    assert!(whole_feed(&ann).await.is_empty());
    // One's own posts are there at once, without anybody.
    let own = ann.publish(&NewPost { text: "mine".into(), ..NewPost::default() }, None).await.unwrap().post;
    assert_eq!(ids(&ann.feed(FeedQuery::default()).await.unwrap().items), [own.id]);
}
