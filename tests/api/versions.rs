//! Changes after a clock was ahead and was corrected: each is made all the same, whatever was written while
//! the clock was ahead, and nothing is answered as done that is not.

use fanfare::base::clock::Clock;
use fanfare::base::token::digest;
use fanfare::data::rows::PurgeProgress;
use fanfare::data::tables::{self, Marker};
use fanfare_client::Paging;
use fanfare_engines::RowKey;
use fanfare_protocol::{Code, Id};

use crate::deletion::clean;
use crate::world::{PASSWORD, Person, World, eventually, refused};

const NOW_MS: u64 = 1_900_000_000_000;
const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

async fn world() -> World {
    World::at(Clock::by_hand(NOW_MS), |_| ()).await
}

/// From now on the clock is an hour ahead.
fn fast(world: &World) {
    world.set_clock(NOW_MS + HOUR_MS);
}

/// The server starts again by the right clock.
async fn corrected(world: &mut World, people: &mut [&mut Person]) {
    world.restart_at(Clock::by_hand(NOW_MS + MINUTE_MS), people).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_out_ends_a_session_of_the_fast_hour() {
    let mut world = world().await;
    world.person("ann").await;
    fast(&world);
    let token = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    corrected(&mut world, &mut []).await;
    for round in 0..2 {
        let device = world.anyone.with_token(&token);
        match round {
            0 => device.log_out().await.unwrap(),
            _ => world.restart(&mut []).await,
        }
        assert_eq!(refused(world.anyone.with_token(&token).me().await), Code::Unauthenticated, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_out_everywhere_ends_the_sessions_of_the_fast_hour_and_none_that_begin_later() {
    let mut world = world().await;
    let mut ann = world.person("ann").await;
    fast(&world);
    let fast_one = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    // Of this one a log-out of today must know nothing: what it ends is of before.
    world.anyone.with_token(&fast_one).log_out_everywhere().await.unwrap();
    let fast_one = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    corrected(&mut world, &mut [&mut ann]).await;
    let right_one = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    let right_one = world.anyone.with_token(&right_one);
    assert!(right_one.me().await.is_ok(), "a log-out of the fast hour ends nothing that comes after it");
    right_one.log_out_everywhere().await.unwrap();
    for ended in [&world.anyone.with_token(&fast_one), &right_one, &ann] {
        assert_eq!(refused(ended.me().await), Code::Unauthenticated);
    }
    let later = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    assert!(world.anyone.with_token(&later).me().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_of_the_fast_hour_is_changed_by_its_person_and_by_the_operator() {
    let mut world = world().await;
    let mut ann = world.person("ann").await;
    fast(&world);
    ann.change_password(PASSWORD, "of the fast hour").await.unwrap();
    corrected(&mut world, &mut [&mut ann]).await;
    let other = world.anyone.log_in("ann", "of the fast hour").await.unwrap().token;
    ann.change_password("of the fast hour", "of the right one").await.unwrap();
    assert!(ann.me().await.is_ok(), "the session in which it was changed goes on");
    assert_eq!(refused(world.anyone.with_token(&other).me().await), Code::Unauthenticated);
    world.restart(&mut [&mut ann]).await;
    assert_eq!(refused(world.anyone.log_in("ann", "of the fast hour").await), Code::InvalidCredentials);
    assert!(world.anyone.log_in("ann", "of the right one").await.is_ok() && ann.me().await.is_ok());

    world.operator.set_password("@ann", "of the operator").await.unwrap();
    assert_eq!(refused(ann.me().await), Code::Unauthenticated);
    world.restart(&mut []).await;
    assert_eq!(refused(world.anyone.log_in("ann", "of the right one").await), Code::InvalidCredentials);
    assert!(world.anyone.log_in("ann", "of the operator").await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_of_the_fast_hour_is_taken_away() {
    let mut world = world().await;
    let mut ann = world.person("ann").await;
    fast(&world);
    world.operator.set_admin(ann.id, true).await.unwrap();
    assert!(ann.admin_status().await.is_ok());
    // No record is of so late a moment: the line of the act is of this one.
    world.set_clock(NOW_MS + HOUR_MS + MINUTE_MS);
    ann.change_password(PASSWORD, "another horse").await.unwrap();
    corrected(&mut world, &mut [&mut ann]).await;
    assert!(ann.admin_status().await.is_ok());
    world.operator.set_admin(ann.id, false).await.unwrap();
    assert_eq!(refused(ann.admin_status().await), Code::Forbidden);
    world.restart(&mut [&mut ann]).await;
    assert_eq!(refused(ann.admin_status().await), Code::Forbidden);
    world.operator.set_admin(ann.id, true).await.unwrap();
    assert!(ann.admin_status().await.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_after_the_fast_hour_arrives_unread_and_its_markers_move() {
    let mut world = world().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let post = ann.say("hello").await.unwrap();
    bob.like(post.id).await.unwrap();
    fast(&world);
    let everything = Id(u64::MAX >> 1);
    ann.mark_notifications_read(everything).await.unwrap();
    ann.mark_feed_read(everything).await.unwrap();
    corrected(&mut world, &mut [&mut ann, &mut bob]).await;

    let unread = async |ann: &Person| ann.notifications(Paging::first(1)).await.unwrap().unread_count;
    assert_eq!((unread(&ann).await, ann.unread().await.unwrap().count), (0, 0));
    bob.reply(post.id, "hi").await.unwrap();
    let said = bob.say("news").await.unwrap();
    bob.quiet().await;
    // A reply is in the feed too.
    assert_eq!((unread(&ann).await, ann.unread().await.unwrap().count), (1, 2));
    world.restart(&mut [&mut ann, &mut bob]).await;
    // A reply is in the feed too.
    assert_eq!((unread(&ann).await, ann.unread().await.unwrap().count), (1, 2));

    let newest = ann.notifications(Paging::first(1)).await.unwrap().items[0].id;
    ann.mark_notifications_read(newest).await.unwrap();
    assert_eq!(ann.mark_feed_read(said.id).await.unwrap().count, 0);
    assert_eq!(unread(&ann).await, 0);
    bob.like(post.id).await.unwrap();
    bob.repost(post.id, "").await.unwrap();
    assert_eq!(unread(&ann).await, 1);
}

/// Markers of earlier versions hold one number, which is their version too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_marker_that_an_earlier_version_left_ahead_of_its_time_comes_back() {
    let mut world = world().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let post = ann.say("hello").await.unwrap();
    let ahead = fanfare::base::id::first_id_at(NOW_MS + HOUR_MS);
    let row = tables::marker_row(ann.id, Marker::Notifications);
    let mut batch = fanfare_engines::Batch::default();
    batch.put_versioned(row.clone(), tables::partition(ahead), ahead.0);
    world.app().core().store.write(batch).await.unwrap();
    world.restart(&mut [&mut ann, &mut bob]).await;
    bob.reply(post.id, "hi").await.unwrap();
    let page = ann.notifications(Paging::first(1)).await.unwrap();
    assert_eq!(page.unread_count, 1);
    ann.mark_notifications_read(page.items[0].id).await.unwrap();
    assert_eq!(ann.notifications(Paging::first(1)).await.unwrap().unread_count, 0);
    bob.like(post.id).await.unwrap();
    assert_eq!(ann.notifications(Paging::first(1)).await.unwrap().unread_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_was_deleted_in_the_fast_hour_is_cleared_away() {
    let mut world = world().await;
    let ann = world.person("ann").await;
    fast(&world);
    let token = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    ann.delete_account().await.unwrap();
    // The place of a purge, as it is kept between two rounds.
    let row = RowKey::new(tables::PURGES, tables::ONE, tables::partition(ann.id));
    eventually("the purge has begun", async || {
        let left = world.app().core().store.get(&row).await.unwrap();
        left.is_none().then_some(())
    })
    .await;
    let ahead = fanfare::base::id::first_id_at(NOW_MS + HOUR_MS + MINUTE_MS).0;
    let marker = tables::marker_row(ann.id, Marker::Feed);
    let mut batch = fanfare_engines::Batch::default();
    let place = PurgeProgress { list: 8, version: ahead, ..PurgeProgress::default() };
    batch.put_versioned(row.clone(), place.to_bytes(), ahead);
    batch.put_versioned(marker.clone(), tables::partition(Id(ahead)), ahead);
    world.app().core().store.write(batch).await.unwrap();
    corrected(&mut world, &mut []).await;
    clean(&world).await;
    let store = &world.app().core().store;
    assert_eq!((store.get(&row).await.unwrap(), store.get(&marker).await.unwrap()), (None, None));
    let token = RowKey::single(tables::TOKENS, digest(&token).0.to_vec());
    assert_eq!(store.get(&token).await.unwrap(), None);
    assert_eq!(store.get(&tables::by_id(tables::CREDENTIALS, ann.id)).await.unwrap(), None);
}

/// Ids go on from the last one when a clock goes back, so that they are ahead of it: what expires goes all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_ahead_of_the_clock_expires_by_the_clock() {
    let mut world = World::at(Clock::by_hand(NOW_MS), |settings| settings.auth.token_days = 1).await;
    world.person("bob").await;
    clean(&world).await;
    world.set_clock(NOW_MS + 3 * DAY_MS);
    let ann = world.person("ann").await;
    world.restart_at(Clock::by_hand(NOW_MS), &mut []).await;
    let token = world.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    let hash = digest(&token).0.to_vec();
    let rows = [RowKey::single(tables::TOKENS, hash.clone()), tables::token_of_row(ann.id, &hash)];
    for row in &rows {
        assert!(world.app().core().store.get(row).await.unwrap().is_some());
    }
    world.set_clock(NOW_MS + DAY_MS + 4 * HOUR_MS);
    world.restart(&mut []).await;
    clean(&world).await;
    let store = &world.app().core().store;
    for row in &rows {
        assert_eq!(store.get(row).await.unwrap(), None, "{row:?}");
    }
}

/// A data folder of the version before: see `tests/fixtures/make-deletions`. Its credentials are where that version
/// kept them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_of_a_folder_of_the_version_before_log_in_while_and_after_their_credentials_are_moved() {
    let folder = tempfile::tempdir().unwrap();
    let archive = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/deletions.tar.gz");
    let mut tar = std::process::Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("--strip-components=1").arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    let story = std::fs::read_to_string(folder.path().join("story.json")).unwrap();
    let story: serde_json::Value = serde_json::from_str(&story).unwrap();
    let token = story["ann_token"].as_str().unwrap().to_owned();
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + MINUTE_MS);
    let mut world = World::over(folder, clock, |_| ()).await;
    // Whether or not the first round of the janitor has come to them.
    let ann = world.anyone.with_token(&token);
    ann.change_password(PASSWORD, "another horse").await.unwrap();
    assert_eq!(refused(world.anyone.log_in("ann", PASSWORD).await), Code::InvalidCredentials);
    for handle in ["bob", "carl"] {
        assert!(world.anyone.log_in(handle, PASSWORD).await.is_ok());
    }
    clean(&world).await;
    world.restart(&mut []).await;
    let store = &world.app().core().store;
    for name in ["ann", "bob", "carl"] {
        let id: Id = story[name].as_str().unwrap().parse().unwrap();
        assert_eq!(store.get(&tables::by_id(tables::OLD_CREDENTIALS, id)).await.unwrap(), None, "{name}");
        assert!(store.get(&tables::by_id(tables::CREDENTIALS, id)).await.unwrap().is_some(), "{name}");
    }
    assert!(world.anyone.with_token(&token).me().await.is_ok());
    assert!(world.anyone.log_in("ann", "another horse").await.is_ok());
    assert!(world.anyone.log_in("bob", PASSWORD).await.is_ok());
    world.operator.set_admin(story["bob"].as_str().unwrap().parse().unwrap(), true).await.unwrap();
}
