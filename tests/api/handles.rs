//! A handle outlives its account for a while, so that nobody passes for the person who had it.

use fanfare::base::clock::Clock;
use fanfare::config::Secret;
use fanfare::data::rows::{UserRow, to_json};
use fanfare::data::tables;
use fanfare_engines::{Batch, Unique};
use fanfare_protocol::{Code, Id, NewUser};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::json;

use crate::deletion::janitor;
use crate::world::{PASSWORD, World, refused};

const SECRET: &str = "a secret of thirty-two bytes, ok";
const NOW_MS: u64 = 1_900_000_000_000;
const DAY_MS: u64 = 86_400_000;

fn new(handle: &str) -> NewUser {
    NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None }
}

async fn world(days: u32) -> World {
    World::at(Clock::by_hand(NOW_MS), |settings| {
        settings.users.handle_reserved_days = days;
        settings.auth.jwt_hs256_secret = Some(Secret(SECRET.to_owned()));
    })
    .await
}

async fn clean(world: &World, handle_reserved_days: u32) {
    janitor(world, handle_reserved_days).round().await.unwrap();
}

async fn holder(world: &World, handle: &str) -> Option<Id> {
    world.app().core().store.get_id(&tables::handle_row(handle)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_stays_reserved_for_its_days_after_the_account_is_gone() {
    let mut world = world(90).await;
    let ann = world.person("Ann").await;
    ann.delete_account().await.unwrap();
    assert_eq!(refused(world.anyone.register(&new("ann")).await), Code::Conflict);
    assert_eq!(refused(world.anyone.user("@ann").await), Code::NotFound);
    assert_eq!(refused(world.anyone.log_in("ann", PASSWORD).await), Code::InvalidCredentials);
    let bob = world.person("bob").await;
    assert!(bob.say("hello @ann").await.unwrap().mentions.is_empty());

    // Nor does a person get it who comes by a token, first or as a wish.
    for claims in [json!({ "sub": "ann" }), json!({ "sub": "7", "handle": "ANN" })] {
        let mut claims = claims;
        claims["exp"] = json!(NOW_MS / 1_000 + 600);
        let key = EncodingKey::from_secret(SECRET.as_bytes());
        let token = encode(&Header::new(Algorithm::HS256), &claims, &key).unwrap();
        let came = world.anyone.with_token(&token).me().await.unwrap();
        assert!(came.id != ann.id && came.handle.to_lowercase() != "ann", "{}", came.handle);
    }

    clean(&world, 90).await;
    world.restart(&mut []).await;
    world.set_clock(NOW_MS + 90 * DAY_MS - 1_000);
    clean(&world, 90).await;
    assert_eq!(refused(world.anyone.register(&new("ann")).await), Code::Conflict);
    world.set_clock(NOW_MS + 90 * DAY_MS + 1_000);
    let namesake = world.anyone.register(&new("ann")).await.unwrap().user;
    assert_ne!(namesake.id, ann.id);
    // What was noted about the first owner does not touch the second.
    world.set_clock(NOW_MS + 200 * DAY_MS);
    clean(&world, 90).await;
    assert_eq!(world.anyone.user("@ann").await.unwrap().id, namesake.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_janitor_gives_a_handle_free_when_its_days_are_over_also_with_other_days() {
    let world = world(90).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    clean(&world, 90).await;
    ann.delete_account().await.unwrap();
    bob.delete_account().await.unwrap();
    for days in [1, 30, 89] {
        world.set_clock(NOW_MS + days * DAY_MS);
        clean(&world, 90).await;
        assert_eq!(holder(&world, "ann").await, Some(ann.id), "after {days} days");
    }
    // The operator has changed the setting meanwhile.
    world.set_clock(NOW_MS + 91 * DAY_MS);
    clean(&world, 120).await;
    assert_eq!(holder(&world, "ann").await, Some(ann.id));
    world.set_clock(NOW_MS + 121 * DAY_MS);
    clean(&world, 120).await;
    assert_eq!((holder(&world, "ann").await, holder(&world, "bob").await), (None, None));
    assert!(world.anyone.register(&new("ann")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_days_a_handle_is_free_at_once() {
    let world = world(0).await;
    let ann = world.person("ann").await;
    ann.delete_account().await.unwrap();
    assert_eq!(holder(&world, "ann").await, None);
    assert!(world.anyone.register(&new("ANN")).await.is_ok());
}

/// Earlier versions gave a handle free with the account; a crash between the two left its row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handle_left_by_a_deletion_of_an_earlier_version_is_free() {
    let world = world(90).await;
    let core = world.app().core();
    let gone = core.log.mint().await.unwrap();
    let row = UserRow { id: gone, deleted: true, ..UserRow::default() };
    let mut batch = Batch::default();
    batch.put_versioned(tables::by_id(tables::USERS, gone), to_json(&row).unwrap(), gone.0);
    core.store.write(batch).await.unwrap();
    let reserved = core.store.insert_unique(tables::handle_row("ann"), tables::partition(gone), gone.0);
    assert_eq!(reserved.await.unwrap(), Unique::Mine);
    let ann = world.anyone.register(&new("ann")).await.unwrap().user;
    assert_eq!(holder(&world, "ann").await, Some(ann.id));
}
