//! A data folder of format 1, whose records do not hold what they gave: it opens, and everybody finds what they had.

use std::path::Path;
use std::process::Command;

use fanfare::base::clock::Clock;
use serde_json::Value;

use crate::world::{World, raw};

/// The folder, and what it answered when it was made: see `tests/fixtures/make-format-1`.
fn folder() -> (tempfile::TempDir, Value) {
    let folder = tempfile::tempdir().unwrap();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/format-1.tar.gz");
    let mut tar = Command::new("tar");
    tar.arg("-xzf").arg(archive).arg("--strip-components=1").arg("-C").arg(folder.path());
    assert!(tar.status().unwrap().success());
    let story = std::fs::read_to_string(folder.path().join("story.json")).unwrap();
    (folder, serde_json::from_str(&story).unwrap())
}

fn format_of(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("format")).unwrap()
}

/// Asks everything that was asked then, and compares.
async fn compare(world: &World, story: &Value) {
    let asked = story["asked"].as_array().unwrap();
    assert!(asked.len() >= 80, "{}", asked.len());
    for one in asked {
        let (by, path) = (one["by"].as_str().unwrap(), one["path"].as_str().unwrap());
        let client = world.anyone.with_token(story["tokens"][by].as_str().unwrap());
        let answer = raw(&client, "GET", &format!("/v1{path}"), &[], "").await;
        assert_eq!(u64::from(answer.status.as_u16()), one["status"].as_u64().unwrap(), "{by} {path}");
        if answer.status.is_success() {
            assert_eq!(answer.json::<Value>().unwrap(), one["answer"], "{by} {path}");
        }
    }
}

async fn stop(mut world: World) -> World {
    world.restart(&mut []).await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_of_format_1_gives_the_same_answers_and_goes_on_in_format_2() {
    let (folder, story) = folder();
    assert_eq!(format_of(folder.path()), "1\n");
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let world = World::over(folder, clock, |_| ()).await;
    assert_eq!(format_of(world.folder()), "2\n");
    compare(&world, &story).await;
    let world = stop(world).await;
    compare(&world, &story).await;
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
    let (folder, story) = folder();
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let world = World::over(folder, clock, |settings| settings.storage.free_bytes_min = 1 << 50).await;
    assert_eq!(format_of(world.folder()), "2\n");
    compare(&world, &story).await;
}

/// A process that ends after the head was stored and before the folder says format 2: everything is done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_that_was_brought_up_and_does_not_say_so_is_brought_up_again() {
    let (folder, story) = folder();
    let clock = Clock::by_hand(story["at_ms"].as_u64().unwrap() + 60_000);
    let mut world = World::over(folder, clock, |_| ()).await;
    for _ in 0..2 {
        world.stop().await;
        std::fs::write(world.folder().join("format"), "1\n").unwrap();
        // What a write of the file that was cut off leaves.
        std::fs::write(world.folder().join("format.new"), "").unwrap();
        world.start().await;
        assert_eq!(format_of(world.folder()), "2\n");
        compare(&world, &story).await;
    }
}
