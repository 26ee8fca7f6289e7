//! Data folders of earlier versions: they open, and everybody finds what they had. In that of format 1 records do not
//! hold what they gave; in that of format 2 the timeline, and what expires, are under the keys of before.

use std::path::Path;
use std::process::Command;

use fanfare::base::clock::Clock;
use fanfare::data::layout::expiry_partitions;
use fanfare::data::tables;
use fanfare_client::Client;
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::Id;
use serde_json::Value;

use crate::deletion::clean;
use crate::world::{World, raw};

/// Answers that a folder of a format is asked for, at least.
const ASKED_MIN: usize = 80;

/// The folder of a format, and what it answered when it was made: see `tests/fixtures/make-format`.
fn folder(format: u32) -> (tempfile::TempDir, Value) {
    kept(&format!("format-{format}"))
}

/// A data folder of an earlier version, and what is to be known of it.
pub fn kept(name: &str) -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/{name}.tar.gz"));
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("--strip-components=1").arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    let story = std::fs::read_to_string(folder.path().join("story.json")).unwrap();
    (folder, serde_json::from_str(&story).unwrap())
}

fn format_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("format")).unwrap()
}

/// Asks everything that was asked then, and compares; `lasting` leaves out of an answer what changes with time.
pub async fn compare(world: &World, story: &Value, least: usize, lasting: fn(Value) -> Value) {
    let asked = story["asked"].as_array().unwrap();
    assert!(asked.len() >= least, "{}", asked.len());
    for one in asked {
        let (by, path) = (one["by"].as_str().unwrap(), one["path"].as_str().unwrap());
        let client = world.anyone.with_token(story["tokens"][by].as_str().unwrap());
        let answer = raw(&client, "GET", &format!("/v1{path}"), &[], "").await;
        assert_eq!(u64::from(answer.status.as_u16()), one["status"].as_u64().unwrap(), "{by} {path}");
        if answer.status.is_success() {
            assert_eq!(lasting(answer.json().unwrap()), lasting(one["answer"].clone()), "{by} {path}");
        }
    }
}

async fn stop(mut world: World) -> World {
    world.restart(&mut []).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_format_1_gives_the_same_answers_and_goes_on_in_format_2() {
    let (folder, story) = folder(1);
    assert_eq!(format_of(folder.path()), "1\n");
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let world = World::over(folder, clock, |_| ()).await;
    assert_eq!(format_of(world.folder()), "2\n");
    compare(&world, &story, ASKED_MIN, |answer| answer).await;
    let world = stop(world).await;
    compare(&world, &story, ASKED_MIN, |answer| answer).await;
    // People log in, and what they do counts on from what was counted.
    let session = world.anyone.log_in("bob", story["password"].as_str().unwrap()).await.unwrap();
    assert_eq!(session.user.id.to_string(), story["ids"]["bob"].as_str().unwrap());
    let bob = world.anyone.with_token(&session.token);
    let ann = story["ids"]["ann"].as_str().unwrap();
    let count = async |world: &World| {
        let answer = raw(&world.anyone.with_token(&session.token), "GET", &format!("/v1/users/{ann}"), &[], "").await;
        answer.json::<Value>().unwrap()["followers_count"].as_u64().unwrap()
    };
    let before = count(&world).await;
    bob.follow(ann.parse().unwrap()).await.unwrap();
    assert_eq!(count(&world).await, before + 1);
    let world = stop(world).await;
    assert_eq!(count(&world).await, before + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_format_1_is_brought_up_and_read_on_a_disk_that_is_as_good_as_full() {
    let (folder, story) = folder(1);
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let world = World::over(folder, clock, |settings| settings.storage.free_bytes_min = 1 << 50).await;
    assert_eq!(format_of(world.folder()), "2\n");
    compare(&world, &story, ASKED_MIN, |answer| answer).await;
}

/// A process that ends after the head was stored and before the folder says format 2: everything is done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_brought_up_and_does_not_say_so_is_brought_up_again() {
    let (folder, story) = folder(1);
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let mut world = World::over(folder, clock, |_| ()).await;
    for _ in 0..2 {
        world.stop().await;
        std::fs::write(world.folder().join("format"), "1\n").unwrap();
        // What a write of the file that was cut off leaves.
        std::fs::write(world.folder().join("format.new"), "").unwrap();
        world.start().await;
        assert_eq!(format_of(world.folder()), "2\n");
        compare(&world, &story, ASKED_MIN, |answer| answer).await;
    }
}

/// The public timeline in pages of two.
async fn public(client: &Client) -> Vec<String> {
    let (mut found, mut path) = (Vec::new(), "/v1/posts?scope=public&limit=2".to_owned());
    loop {
        let page: Value = raw(client, "GET", &path, &[], "").await.json().unwrap();
        let items = page["items"].as_array().unwrap();
        found.extend(items.iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        let Some(cursor) = page["next_cursor"].as_str() else { return found };
        path = format!("/v1/posts?scope=public&limit=2&cursor={cursor}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_the_layout_before_gives_the_same_answers_and_goes_on_in_that_for_wide_stores() {
    const HOUR_MS: u64 = 3_600_000;
    let (folder, story) = folder(2);
    let at_ms = story["at_ms"].as_u64().unwrap();
    let clock = Clock::by_hand(at_ms + 60_000);
    let world = World::over(folder, clock.clone(), |_| ()).await;
    compare(&world, &story, ASKED_MIN, |answer| answer).await;
    clean(&world).await;
    let bob: Id = story["ids"]["bob"].as_str().unwrap().parse().unwrap();
    let reader = |world: &World| world.anyone.with_token(story["tokens"]["bob"].as_str().unwrap());
    let before = public(&reader(&world)).await;
    assert!(before.len() >= 3, "{before:?}");
    let first = world.app().core().store.layout.first();
    assert!(before.iter().all(|post| post.parse::<Id>().unwrap() < first), "{first}");
    let session = world.anyone.log_in("bob", story["password"].as_str().unwrap()).await.unwrap();
    let client = |world: &World| world.anyone.with_token(&session.token);
    let mut expected = before;
    for number in 0..3 {
        let post = client(&world).say(&format!("new {number}")).await.unwrap().id;
        assert!(post >= first);
        expected.insert(0, post.to_string());
    }
    assert_eq!(public(&reader(&world)).await, expected);
    let world = stop(world).await;
    assert_eq!(public(&reader(&world)).await, expected, "after a restart");
    assert_eq!(world.app().core().store.layout.first(), first);
    // What expires is under both keys.
    let store = &world.app().core().store;
    let tokens = async || store.ids_of(tables::TOKENS_OF, bob, 100).await.unwrap().len();
    assert_eq!(tokens().await, 2);
    let end_ms = at_ms + 40 * 24 * HOUR_MS;
    clock.set(end_ms);
    clean(&world).await;
    assert_eq!(tokens().await, 0);
    for hour in at_ms / HOUR_MS..end_ms / HOUR_MS {
        for partition in expiry_partitions(hour as u32) {
            let rows = store.scan(tables::EXPIRY, &partition, KeyRange::ALL, Order::Ascending, 1).await.unwrap();
            assert!(rows.is_empty(), "{rows:?}");
        }
    }
}
