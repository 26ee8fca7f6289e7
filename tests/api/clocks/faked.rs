//! The binary itself, told another time by libfaketime: the clock of its system is wrong, and time passes as ever.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use fanfare_client::{Client, Paging};
use fanfare_protocol::{Id, NewUser, ServerEvent};

use crate::process::{Process, fanfare};
use crate::realtime::device::poll;
use crate::world::{PASSWORD, eventually, refused};

const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

/// Folder of a server whose system's clock a test turns.
struct Ground {
    folder: tempfile::TempDir,
    watch: PathBuf,
}

/// The library, which `scripts/setup` installs.
fn library() -> PathBuf {
    let folders = std::fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let places = folders.chain(["/usr/lib", "/usr/lib64"].map(PathBuf::from));
    let mut found = places.map(|place| place.join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("libfaketime is here: scripts/setup installs it")
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let watch = folder.path().join("watch");
        let ground = Self { folder, watch };
        ground.turn(0);
        ground
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// From now on the system's clock is so far ahead.
    fn turn(&self, ahead_s: i64) {
        let next = self.watch.with_extension("next");
        std::fs::write(&next, format!("{ahead_s:+}")).unwrap();
        std::fs::rename(next, &self.watch).unwrap();
    }

    fn environment(&self) -> BTreeMap<&'static str, String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        BTreeMap::from([
            ("LD_PRELOAD", text(&library())),
            ("FAKETIME_TIMESTAMP_FILE", text(&self.watch)),
            ("FAKETIME_NO_CACHE", "1".to_owned()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".to_owned()),
            ("NO_FAKE_STAT", "1".to_owned()),
            ("FANFARE__REALTIME__BULK_DELAY_MS", "0".to_owned()),
        ])
    }

    async fn serve(&self, args: &[&str]) -> Process {
        let environment = self.environment();
        let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Process::serve_with(&self.data(), args, &environment, Stdio::inherit()).await
    }

    /// Reason for which the server does not start.
    fn refused_start(&self) -> String {
        let data = self.data();
        let mut command = fanfare();
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()]);
        let output = command.envs(self.environment()).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    }

    fn operator(&self, server: &Process) -> Client {
        let token = std::fs::read_to_string(self.data().join("admin.token")).unwrap();
        server.anyone.with_token(token.trim())
    }
}

async fn stop(mut server: Process) {
    server.tell_to_end();
    assert_eq!(server.ended().await, Some(0));
}

/// Somebody new: id and token.
async fn register(server: &Process, handle: &str) -> (Id, String) {
    let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let session = server.anyone.register(&new).await.unwrap();
    (session.user.id, session.token)
}

/// A poller that goes on from what it was told, and must never be told to begin anew.
struct Poller {
    token: String,
    cursor: String,
    heard: Vec<Id>,
}

impl Poller {
    async fn begin(server: &Process, token: &str) -> Self {
        let cursor = poll(&format!("http://{}", server.address), token, None, 0).await.cursor;
        Self { token: token.to_owned(), cursor, heard: Vec::new() }
    }

    async fn poll(&mut self, server: &Process, wait_s: u64) {
        let answer = poll(&format!("http://{}", server.address), &self.token, Some(&self.cursor), wait_s).await;
        for frame in &answer.events {
            let ServerEvent::FeedPosts(posts) = frame.event().unwrap() else { panic!("{frame:?}") };
            // What is above the watermark may come again, under the same key.
            let new = posts.items.iter().rev().map(|item| item.post.id).filter(|id| !self.heard.contains(id));
            let new: Vec<Id> = new.collect();
            self.heard.extend(new);
        }
        self.cursor = answer.cursor;
    }

    async fn until(&mut self, server: &Process, post: Id) {
        while self.heard.last().is_none_or(|last| *last < post) {
            self.poll(server, 25).await;
        }
    }
}

/// Event for the clock, or for the server by a clock that is so many seconds ahead.
#[derive(Debug, Clone, Copy)]
enum Event {
    Turned(i64),
    Restarted(i64),
    Killed(i64),
}

/// Ahead, back, blips, restarts and kills in each: a poller hears of every post once, in order, and a token is good all
/// the time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_hears_of_every_post_whatever_the_clock_does() {
    use Event::{Killed, Restarted, Turned};
    let ground = Ground::new();
    let mut server = ground.serve(&[]).await;
    let ((_, ann), (bob_id, bob)) = (register(&server, "ann").await, register(&server, "bob").await);
    server.anyone.with_token(&ann).follow(bob_id).await.unwrap();
    let mut poller = Poller::begin(&server, &ann).await;
    let mut said = Vec::new();
    for event in [
        Turned(HOUR_S),
        Turned(0),
        Turned(8 * DAY_S),
        Turned(0),
        Turned(-HOUR_S),
        Restarted(-HOUR_S),
        Turned(0),
        Restarted(HOUR_S),
        Turned(0),
        Killed(0),
        Killed(HOUR_S),
        Restarted(0),
    ] {
        match event {
            Turned(ahead_s) => ground.turn(ahead_s),
            Restarted(ahead_s) => {
                stop(server).await;
                ground.turn(ahead_s);
                server = ground.serve(&[]).await;
            }
            Killed(ahead_s) => {
                server.kill();
                ground.turn(ahead_s);
                server = ground.serve(&[]).await;
            }
        }
        // A cursor of the moment, and what comes right after it.
        poller.poll(&server, 0).await;
        let post = server.anyone.with_token(&bob).say(&format!("after {event:?}")).await.unwrap();
        said.push(post.id);
        poller.until(&server, post.id).await;
        assert_eq!(poller.heard, said, "after {event:?}");
    }
    assert!(said.is_sorted());
    stop(server).await;
}

/// A blip shows in one metric, which goes back by itself, and in no id.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_jump_of_the_clock_shows_in_a_metric_and_in_no_id() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let (_, ann) = register(&server, "ann").await;
    let ann = server.anyone.with_token(&ann);
    let before = ann.say("before").await.unwrap();
    let operator = ground.operator(&server);
    let jump_s = async || {
        let text = operator.metrics().await.unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("fanfare_clock_jump_seconds "));
        line.map_or(0.0, |number| number.parse::<f64>().unwrap())
    };
    ground.turn(HOUR_S);
    let during = ann.say("during").await.unwrap();
    assert!((during.created_at.0 - before.created_at.0) < 600_000, "{during:?} after {before:?}");
    assert!((3_590.0..=3_610.0).contains(&jump_s().await), "{}", jump_s().await);
    ground.turn(0);
    eventually("the clock is followed again", async || (jump_s().await == 0.0).then_some(())).await;
    assert!(ann.say("after").await.unwrap().id > during.id);
    stop(server).await;
}

/// An hour ahead at a start, then a crash, and a start with the right clock: whatever was written by the fast clock can
/// be changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_start_with_a_fast_clock_that_was_corrected_every_write_takes_effect() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let ((ann_id, first), (bob_id, bob)) = (register(&server, "ann").await, register(&server, "bob").await);
    let liked = server.anyone.with_token(&first).say("to be liked").await.unwrap();
    stop(server).await;

    ground.turn(HOUR_S);
    let server = ground.serve(&[]).await;
    let second = server.anyone.log_in("ann", PASSWORD).await.unwrap().token;
    server.anyone.with_token(&first).change_password(PASSWORD, "battery staple").await.unwrap();
    let third = server.anyone.log_in("ann", "battery staple").await.unwrap().token;
    refused(server.anyone.with_token(&second).me().await);
    ground.operator(&server).set_admin(ann_id, true).await.unwrap();
    server.anyone.with_token(&first).mark_notifications_read(Id(i64::MAX as u64)).await.unwrap();
    server.kill();

    ground.turn(0);
    let server = ground.serve(&[]).await;
    let (mine, third) = (server.anyone.with_token(&first), server.anyone.with_token(&third));
    mine.admin_status().await.expect("an operator still");
    ground.operator(&server).set_admin(ann_id, false).await.unwrap();
    refused(mine.admin_status().await);
    server.anyone.with_token(&bob).like(liked.id).await.unwrap();
    let news = mine.notifications(Paging::at(10, None)).await.unwrap();
    assert!(news.items.first().is_some_and(|first| !first.read && first.actor.id == bob_id), "{news:?}");
    third.log_out().await.unwrap();
    refused(third.me().await);
    mine.change_password("battery staple", "a third one").await.unwrap();
    refused(server.anyone.log_in("ann", "battery staple").await);
    let fourth = server.anyone.with_token(&server.anyone.log_in("ann", "a third one").await.unwrap().token);
    fourth.log_out_everywhere().await.unwrap();
    refused(fourth.me().await);
    refused(mine.me().await);
    server.anyone.log_in("ann", "a third one").await.unwrap();
    stop(server).await;
}

/// Eight days ahead at a start, for one post: the right clock is asked about once, and pollers go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_eight_days_ahead_for_one_post_the_clock_is_asked_about_and_pollers_go_on() {
    let ground = Ground::new();
    let server = ground.serve(&[]).await;
    let ((_, ann), (bob_id, bob)) = (register(&server, "ann").await, register(&server, "bob").await);
    server.anyone.with_token(&ann).follow(bob_id).await.unwrap();
    stop(server).await;

    ground.turn(8 * DAY_S);
    let server = ground.serve(&[]).await;
    server.anyone.with_token(&bob).say("of next week").await.unwrap();
    stop(server).await;

    ground.turn(0);
    let refusal = ground.refused_start();
    assert!(refusal.contains("--accept-clock"), "{refusal}");
    for args in [&["--accept-clock"][..], &[]] {
        let server = ground.serve(args).await;
        let (mut poller, mut said) = (Poller::begin(&server, &ann).await, Vec::new());
        for number in 0..3 {
            poller.poll(&server, 0).await;
            let post = server.anyone.with_token(&bob).say(&format!("post {number}")).await.unwrap();
            said.push(post.id);
            poller.until(&server, post.id).await;
        }
        // What was said by the wrong clock is above the first cursor, and may come too.
        assert!(poller.heard.ends_with(&said), "{:?} and {said:?}", poller.heard);
        stop(server).await;
    }
}
