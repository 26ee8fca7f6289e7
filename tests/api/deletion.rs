//! Account deletion: gone at once, and nothing of the person stays.

use std::sync::Arc;
use std::time::Duration;

use fanfare::data::tables;
use fanfare::janitor::Janitor;
use fanfare::log::core::Attachments;
use fanfare_client::{Paging, Upload};
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Code, NewUser};
use tokio::sync::OwnedMutexGuard;

use crate::world::{PASSWORD, Person, World, eventually, refused, whole_feed};

/// A round of the janitor.
pub async fn clean(world: &World) {
    janitor(world, 90).round().await.unwrap();
}

/// The janitor of a world that reserves handles for so many days.
pub fn janitor(world: &World, handle_reserved_days: u32) -> Janitor {
    let app = world.app();
    let media: Arc<dyn Attachments> = Arc::new(app.media().clone());
    let (core, chat) = (app.core().clone(), app.chat().clone());
    let (links, clicks) = (app.links().clone(), app.clicks().clone());
    Janitor { core, chat, media, links, clicks, journal_bytes_max: 1 << 30, handle_reserved_days }
}

/// Keeps what deleted accounts left behind from being cleared away, for as long as this is held.
pub async fn uncleared(world: &World) -> OwnedMutexGuard<()> {
    world.app().core().store.absent.clearing.clone().lock_owned().await
}

/// A person with some of everything: posts, likes, edges both ways, news, media.
async fn lively(
    world: &World,
    person: &Person,
    others: &[Person],
) -> (fanfare_protocol::Post, fanfare_protocol::Media) {
    let media = person.upload(&Upload { filename: "a.txt", alt: None, bytes: b"text" }).await.unwrap();
    let post = person.say("hello @bob").await.unwrap();
    for other in others {
        let said = other.say(&format!("hi @{}", person.handle)).await.unwrap();
        other.follow(person.id).await.unwrap();
        person.follow(other.id).await.unwrap();
        other.like(post.id).await.unwrap();
        other.repost(post.id, "").await.unwrap();
        person.like(said.id).await.unwrap();
        person.reply(said.id, "yes").await.unwrap();
        person.repost(said.id, "").await.unwrap();
    }
    let enemy = world.person("enemy").await;
    person.block(enemy.id).await.unwrap();
    person.mute(enemy.id).await.unwrap();
    (post, media)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_person_is_gone_at_once_and_leaves_nothing() {
    let mut world = World::new().await;
    let ann = world.person("ann").await;
    let mut others: [Person; 2] = world.people(["bob", "carl"]).await;
    let (post, media) = lively(&world, &ann, &others).await;
    let of_bob = others[0].posts_of(others[0].id, Paging::default()).await.unwrap().items;
    // What is seen at once is seen before anything is cleared away.
    let kept = uncleared(&world).await;
    ann.delete_account().await.unwrap();

    assert_eq!(refused(ann.me().await), Code::Unauthenticated);
    assert_eq!(refused(world.anyone.log_in("ann", PASSWORD).await), Code::InvalidCredentials);
    for name in ["@ann".to_owned(), ann.id.to_string()] {
        assert_eq!(refused(world.anyone.user(&name).await), Code::NotFound);
    }
    assert_eq!(refused(world.anyone.post(post.id).await), Code::Gone);
    for other in &others {
        let feed = whole_feed(other).await;
        let own = other.posts_of(other.id, Paging::default()).await.unwrap().items;
        assert_eq!(feed.len(), 1, "{own:?}");
        assert!(other.notifications(Paging::default()).await.unwrap().items.is_empty());
        assert!(other.search_users("ann", Paging::default()).await.unwrap().items.is_empty());
        assert_eq!(refused(other.follow(ann.id).await), Code::NotFound);
    }
    // The handle is kept for a while; `handles` tells for how long.
    let again = NewUser { handle: "ANN".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    assert_eq!(refused(world.anyone.register(&again).await), Code::Conflict);

    drop(kept);
    clean(&world).await;
    let store = Arc::clone(&world.app().core().store);
    for table in tables::ALL {
        for partition in [tables::partition(ann.id), tables::bucketed(ann.id, tables::bucket_of(ann.id))] {
            let rows = store.scan(*table, &partition, KeyRange::ALL, Order::Ascending, 100).await.unwrap();
            // What stays: that there was such an account, and its counters, which are all zero.
            let zero =
                tables::holds_counters(*table) && rows.iter().all(|row| row.value[..24].iter().all(|byte| *byte == 0));
            assert!(rows.is_empty() || zero || *table == tables::USERS, "{} keeps {rows:?}", table.name);
        }
    }
    drop(store);
    assert_eq!(refused(world.anyone.download(&media.url).await), Code::NotFound);
    for _ in 0..2 {
        for other in &others {
            let user = other.me().await.unwrap();
            assert_eq!((user.followers_count, user.following_count), (0, 0));
            assert!(other.followers(other.id, Paging::default()).await.unwrap().items.is_empty());
        }
        let said = of_bob.iter().find(|post| post.repost_of.is_none()).unwrap();
        let said = world.anyone.post(said.id).await.unwrap();
        assert_eq!((said.like_count, said.reply_count, said.repost_count), (0, 0, 0));
        assert!(world.anyone.likes(said.id, Paging::default()).await.unwrap().items.is_empty());
        let [bob, carl] = &mut others;
        world.restart(&mut [bob, carl]).await;
    }
}

async fn counts_no_followers(person: &Person) -> Option<()> {
    (person.me().await.unwrap().followers_count == 0).then_some(())
}

/// Accounts deleted one after the other in the time of one round of the janitor: nobody waits for the next.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deleted_account_added_to_counts_is_taken_off_at_once() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let one_after_the_other = async {
        for handle in ["bob", "carl", "dora", "eve"] {
            let fan = world.person(handle).await;
            fan.follow(ann.id).await.unwrap();
            fan.delete_account().await.unwrap();
            eventually("the count is right", async || counts_no_followers(&ann).await).await;
        }
    };
    let round = Duration::from_secs(fanfare::base::limits::JANITOR_PERIOD_S);
    tokio::time::timeout(round, one_after_the_other).await.expect("nobody waits for a round of the janitor");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_deleted_account_added_to_counts_is_taken_off_after_a_restart_too() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    bob.follow(ann.id).await.unwrap();
    let kept = uncleared(&world).await;
    bob.delete_account().await.unwrap();
    assert_eq!(ann.me().await.unwrap().followers_count, 1, "not yet cleared away");
    world.restart(&mut [&mut ann]).await;
    drop(kept);
    eventually("the count is right", async || counts_no_followers(&ann).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_do_while_an_account_is_removed_is_counted_once() {
    let world = World::new().await;
    let star = world.person("star").await;
    let mut fans = Vec::new();
    for number in 0..12 {
        let fan = world.person(&format!("fan{number}")).await;
        fan.follow(star.id).await.unwrap();
        star.follow(fan.id).await.unwrap();
        fans.push((fan.say("hi").await.unwrap(), fan));
    }
    for (said, _) in &fans {
        star.like(said.id).await.unwrap();
    }
    let mut busy = Vec::new();
    for (_, fan) in &fans {
        let (fan, star) = (fan.clone(), star.id);
        busy.push(tokio::spawn(async move {
            for _ in 0..20 {
                let _ = fan.unfollow(star).await;
                let _ = fan.follow(star).await;
                let _ = fan.block(star).await;
                let _ = fan.unblock(star).await;
            }
        }));
    }
    star.delete_account().await.unwrap();
    clean(&world).await;
    for one in busy {
        one.await.unwrap();
    }
    clean(&world).await;
    for (said, fan) in &fans {
        let user = fan.me().await.unwrap();
        assert_eq!((user.followers_count, user.following_count), (0, 0), "{}", user.handle);
        assert_eq!(fan.post(said.id).await.unwrap().like_count, 0);
    }
}
