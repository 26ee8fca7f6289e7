//! Power is lost: what the disk was not told to keep is gone, or half there. The portable form of the engines' test: a
//! write is acknowledged after its sync, so a loss takes only what the log got after the last acknowledgement.

use std::fs;
use std::path::{Path, PathBuf};

use fanfare::base::clock::Clock;
use fanfare_client::{Client, Paging};
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, NewPost};

use crate::world::{World, ids, whole_feed};

const STEPS: usize = 10;
/// The unit in which disks lose writes.
const PAGE_BYTES: usize = 512;
/// End of each write in a log.
const TRAILER: &[u8] = b"FJL\x03";

/// The newest log of the store in a data folder.
fn newest_log(data: &Path) -> PathBuf {
    let entries = fs::read_dir(data.join("store/store")).unwrap().map(|entry| entry.unwrap().path());
    let logs = entries.filter(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    logs.max_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap()).unwrap()
}

/// Bytes of a log without the zeros that it was made long with.
fn used(log: &Path) -> Vec<u8> {
    let mut bytes = fs::read(log).unwrap();
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(end);
    bytes
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).unwrap()),
        }
    }
}

/// Posts that were acknowledged at each step, and how long the log was then.
struct Told {
    posts: Vec<Id>,
    ends: Vec<usize>,
}

async fn check(told: &Told, step: usize, lost: &World, bob: &str, ann: Id) {
    let bob = lost.anyone.with_token(bob);
    let listed = ids(&lost.anyone.posts_of(ann, Paging::first(100)).await.unwrap().items);
    for post in &told.posts[..=step] {
        assert!(listed.contains(post), "step {step}: acknowledged and lost");
    }
    assert!(listed.len() <= step + 2, "step {step}: only the next one may be there too");
    let user = lost.anyone.user(&ann.to_string()).await.unwrap();
    assert_eq!((user.posts_count, user.followers_count), (listed.len() as u64, 1));
    for post in &listed {
        let likers = lost.anyone.likes(*post, Paging::default()).await.unwrap().items.len() as u64;
        assert_eq!(lost.anyone.post(*post).await.unwrap().like_count, likers);
    }
    assert_eq!(feed(&bob).await, listed);
    // And it goes on: the key of the next step makes its post, or finds it.
    let key = format!("key {}", step + 1);
    let new = NewPost { text: key.clone(), ..NewPost::default() };
    let ann_goes_on = lost.anyone.log_in("ann", crate::world::PASSWORD).await.unwrap();
    let made = lost.anyone.with_token(&ann_goes_on.token).publish(&new, Some(&key)).await.unwrap();
    assert_eq!(made.replayed, listed.len() == step + 2);
}

async fn feed(reader: &Client) -> Vec<Id> {
    ids(&reader
        .feed(fanfare_client::FeedQuery { paging: Paging::first(100), ..Default::default() })
        .await
        .unwrap()
        .items)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_power_loss_takes_only_what_was_not_acknowledged() {
    let mut world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    bob.follow(ann.id).await.unwrap();
    let log = newest_log(world.folder());
    let mut told = Told { posts: Vec::new(), ends: Vec::new() };
    for step in 0..STEPS {
        let key = format!("key {step}");
        let new = NewPost { text: key.clone(), ..NewPost::default() };
        told.posts.push(ann.publish(&new, Some(&key)).await.unwrap().post.id);
        told.ends.push(used(&log).len());
        bob.like(told.posts[step]).await.unwrap();
    }
    assert_eq!(whole_feed(&bob).await.len(), STEPS);
    let (token, ann) = (bob.token.clone(), ann.id);
    world.stop().await;
    assert_eq!(newest_log(world.folder()), log, "the story fits one log");
    let whole = used(&log);
    let length = fs::metadata(&log).unwrap().len();
    let mut dice = Random::new(7);
    for step in 2..STEPS - 1 {
        // The like of this step, the next post, or what follows from one of them was on its way: one write at a time,
        // for the next begins when the last one is synced. Each of its pages is on the disk or not.
        let (from, to) = (told.ends[step], told.ends[step + 1]);
        let trailers = whole[from..to].windows(TRAILER.len()).enumerate().filter(|(_, bytes)| *bytes == TRAILER);
        let ends: Vec<usize> = trailers.map(|(at, _)| from + at + TRAILER.len()).collect();
        let torn = (0..ends.len() - 1).find(|_| dice.percent(30)).unwrap_or(ends.len() - 1);
        let (from, to) = (if torn == 0 { from } else { ends[torn - 1] }, ends[torn]);
        let mut bytes = whole[..to].to_vec();
        for start in (from..to).step_by(PAGE_BYTES) {
            if dice.percent(50) {
                bytes[start..(start + PAGE_BYTES).min(to)].fill(0);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        copy(world.folder(), folder.path());
        let log = newest_log(folder.path());
        fs::write(&log, &bytes).unwrap();
        fs::File::options().write(true).open(&log).unwrap().set_len(length).unwrap();
        let mut lost = World::over(folder, Clock::system(), |_| ()).await;
        check(&told, step, &lost, &token, ann).await;
        lost.stop().await;
    }
}
