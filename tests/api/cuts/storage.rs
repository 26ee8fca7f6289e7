//! Storage that loses answers, is slow, or ends: what clients and operators hear of it.

use std::sync::atomic::Ordering;

use fanfare::base::clock::Clock;
use fanfare_client::{ClientError, Upload};
use fanfare_protocol::{Code, NewPost, NewUser, Problem};
use serde_json::Value;

use super::{Ground, Served};
use crate::world::{PASSWORD, eventually, json, problem_of, raw, refused};

pub async fn served() -> (Ground, Served) {
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 1);
    let served = ground.start(Clock::system()).await.serve().await;
    eventually("the server is ready", async || served.anyone.readyz().await.ok()).await;
    (ground, served)
}

pub async fn ann(server: &Served) -> fanfare_client::Client {
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    server.anyone.with_token(&server.anyone.register(&new).await.unwrap().token)
}

/// The operator's status.
pub async fn status(ground: &Ground, server: &Served) -> Value {
    let token = std::fs::read_to_string(ground.folder.path().join("admin.token")).unwrap();
    let operator = server.anyone.with_token(token.trim());
    raw(&operator, "GET", "/v1/admin/status", &[], "").await.json().unwrap()
}

/// Whether the operator's status says that writes are refused.
pub async fn writes_refused(ground: &Ground, server: &Served) -> bool {
    status(ground, server).await["writes_refused"].as_bool().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_meets_the_end_of_storage_first_tells_everybody() {
    for first in ["a log-in", "an upload", "a post", "a marker"] {
        let (ground, server) = served().await;
        let ann = ann(&server).await;
        assert!(!writes_refused(&ground, &server).await);
        server.blade.end();
        let met = match first {
            "a log-in" => refused(server.anyone.log_in("ann", PASSWORD).await),
            "an upload" => refused(ann.upload(&Upload { filename: "a.txt", alt: None, bytes: b"text" }).await),
            "a post" => refused(ann.say("hello").await),
            _ => refused(ann.mark_notifications_read(fanfare_protocol::Id(7)).await),
        };
        assert_eq!(met, Code::Overloaded, "{first}: nothing was done");
        assert_eq!(refused(server.anyone.readyz().await), Code::Overloaded, "{first}");
        assert!(writes_refused(&ground, &server).await, "{first}");
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_is_asked_for_again_before_anybody_hears_of_it() {
    let (ground, server) = served().await;
    let ann = ann(&server).await;
    for writes in 1..=2 {
        server.blade.lose(writes);
        server.anyone.log_in("ann", PASSWORD).await.unwrap();
        server.blade.lose(writes);
        ann.say("hello").await.unwrap();
        server.blade.lose(writes);
        ann.upload(&Upload { filename: "a.txt", alt: None, bytes: b"text" }).await.unwrap();
    }
    assert!(!writes_refused(&ground, &server).await);
    server.stop().await;
}

fn problem<T: std::fmt::Debug>(answer: Result<T, ClientError>) -> Problem {
    answer.unwrap_err().problem().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stays_unknown_is_said_to_be() {
    let (ground, server) = served().await;
    let ann = ann(&server).await;
    server.blade.lose(4);
    assert_eq!(problem(server.anyone.log_in("ann", PASSWORD).await).code, Code::OutcomeUnknown);
    back(&ground, &server).await;
    server.anyone.log_in("ann", PASSWORD).await.unwrap();
    server.blade.be_deaf(true);
    let lost = json(&ann, "POST", "/v1/posts", r#"{"text":"x"}"#).await;
    assert_eq!((problem_of(&lost).code, lost.header("retry-after")), (Code::OutcomeUnknown, "1"));
    server.blade.be_deaf(false);
    server.stop().await;
}

/// Waits until storage is back, by itself.
pub async fn back(ground: &Ground, server: &Served) {
    eventually("storage is back", async || server.anyone.readyz().await.ok()).await;
    assert!(!writes_refused(ground, server).await);
}

/// A log-in, an upload or a marker that was not done ended storage until a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_that_is_away_is_refused_at_the_door_and_comes_back_by_itself() {
    for first in ["a log-in", "an upload", "a post", "a marker"] {
        let (ground, server) = served().await;
        let ann = ann(&server).await;
        let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
        let publish = async |text: &str| {
            let body = format!(r#"{{"text":"{text}"}}"#);
            raw(&ann, "POST", "/v1/posts", &headers, &body).await
        };
        ann.say("before").await.unwrap();
        server.blade.be_deaf(true);
        let met = match first {
            "a log-in" => refused(server.anyone.log_in("ann", PASSWORD).await),
            "an upload" => refused(ann.upload(&Upload { filename: "a.txt", alt: None, bytes: b"text" }).await),
            "a post" => problem_of(&publish("once").await).code,
            _ => refused(ann.mark_notifications_read(fanfare_protocol::Id(7)).await),
        };
        assert!(matches!(met, Code::Overloaded | Code::OutcomeUnknown), "{first}: {met:?}");
        assert_eq!(refused(server.anyone.readyz().await), Code::Overloaded, "{first}");
        let at_once = json(&ann, "POST", "/v1/posts", r#"{"text":"y"}"#).await;
        assert_eq!((problem_of(&at_once).code, at_once.header("retry-after")), (Code::Overloaded, "1"), "{first}");
        assert_eq!(ann.me().await.unwrap().posts_count, 1, "it is read");
        server.blade.be_deaf(false);
        back(&ground, &server).await;
        let done = eventually("it is done", async || {
            let answer = publish("once").await;
            answer.status.is_success().then_some(answer)
        });
        done.await;
        assert_eq!(ann.me().await.unwrap().posts_count, 2, "{first}: the first, and one for the key");
        assert!(server.blade.has_failed());
        server.stop().await;
    }
}

/// Whoever waits for storage does not hold up the end of the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_storage_is_away_can_be_stopped() {
    let ground = Ground::new(|settings| {
        settings.http.request_timeout_s = 1;
        settings.http.shutdown_grace_s = 1;
    });
    let server = ground.start(Clock::system()).await.serve().await;
    let ann = ann(&server).await;
    server.blade.be_deaf(true);
    assert_eq!(refused(ann.say("hello").await), Code::OutcomeUnknown);
    server.stop().await;
    let server = ground.start(Clock::system()).await.serve().await;
    assert_eq!(server.anyone.user("@ann").await.unwrap().posts_count, 0);
    server.stop().await;
}

/// Storage ended until a restart with one failed read of what a record counts on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_fails_on_the_way_to_a_commit_is_made_again() {
    let (ground, server) = served().await;
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let token = server.anyone.register(&new).await.unwrap().token;
    server.stop().await;
    for reads in 1..=6 {
        // Of somebody who starts anew nothing is in memory.
        let server = ground.start(Clock::system()).await.serve().await;
        back(&ground, &server).await;
        let ann = server.anyone.with_token(&token);
        server.blade.fail_reads(reads);
        eventually("it is said", async || ann.say("hello").await.ok()).await;
        assert!(server.blade.has_failed(), "{reads}");
        back(&ground, &server).await;
        server.stop().await;
    }
}

/// A failed checkpoint was answered as an error of what was durable, and ended storage until a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_checkpoint_that_fails_is_nobodys_trouble() {
    let (ground, server) = served().await;
    let ann = ann(&server).await;
    server.blade.fail_checkpoints(1);
    for number in 0..70 {
        ann.say(&format!("hello {number}")).await.unwrap();
    }
    assert!(server.blade.has_failed(), "one was written, or not");
    assert!(!writes_refused(&ground, &server).await);
    server.stop().await;
}

/// A commit whose answer was lost was made again, and its records stood twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_done_and_not_answered_is_found_in_the_log() {
    let (ground, server) = served().await;
    let ann = ann(&server).await;
    server.blade.hide(1);
    let post = ann.say("once").await.unwrap();
    server.blade.lose(3);
    ann.say("another").await.unwrap();
    assert!(server.blade.has_failed());
    let records = ground.records().await;
    assert_eq!(records.iter().filter(|record| record.id == post.id).count(), 1);
    assert!(records.is_sorted_by(|one, next| one.id < next.id), "each once, in order");
    assert_eq!(ann.me().await.unwrap().posts_count, 2);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disk_that_is_as_good_as_full_takes_deletes_and_is_read() {
    let (ground, server) = served().await;
    let ann = ann(&server).await;
    let post = ann.say("hello").await.unwrap();
    ground.free_bytes.store(99, Ordering::SeqCst);
    let full = eventually("it is seen", async || ann.say("more").await.err()).await;
    let posts = ann.me().await.unwrap().posts_count;
    let problem = full.problem().unwrap();
    assert!(problem.code == Code::Overloaded && problem.detail.contains("as good as full"), "{problem:?}");
    let upload = Upload { filename: "a.txt", alt: None, bytes: b"text" };
    assert_eq!(refused(ann.upload(&upload).await), Code::Overloaded);
    assert_eq!(refused(server.anyone.log_in("ann", PASSWORD).await), Code::Overloaded);
    assert!(writes_refused(&ground, &server).await);
    server.anyone.readyz().await.unwrap();
    ann.post(post.id).await.unwrap();
    ann.delete_post(post.id).await.unwrap();
    assert_eq!(ann.me().await.unwrap().posts_count, posts - 1);
    ground.free_bytes.store(u64::MAX, Ordering::SeqCst);
    eventually("there is room", async || ann.say("more").await.ok()).await;
    assert!(!writes_refused(&ground, &server).await);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_that_took_too_long_is_found_by_its_key() {
    let (_ground, server) = served().await;
    let ann = ann(&server).await;
    let held = server.blade.hold().await;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let slow = raw(&ann, "POST", "/v1/posts", &headers, r#"{"text":"once"}"#).await;
    assert_eq!(problem_of(&slow).code, Code::OutcomeUnknown);
    let at_work = raw(&ann, "POST", "/v1/posts", &headers, r#"{"text":"once"}"#).await;
    assert_eq!(problem_of(&at_work).code, Code::Conflict);
    drop(held);
    let new = NewPost { text: "once".to_owned(), ..NewPost::default() };
    let done = eventually("the first is done", async || ann.publish(&new, Some("k")).await.ok()).await;
    assert!(done.replayed);
    assert_eq!(ann.me().await.unwrap().posts_count, 1);
    server.stop().await;
}
