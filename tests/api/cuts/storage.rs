//! Storage that loses answers, is slow, or ends: what clients and operators hear of it.

use fanfare::base::clock::Clock;
use fanfare_client::{ClientError, Upload};
use fanfare_protocol::{Code, NewPost, NewUser, Problem};
use serde_json::Value;

use super::{Ground, Served};
use crate::world::{PASSWORD, eventually, json, problem_of, raw, refused};

async fn served() -> (Ground, Served) {
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 1);
    let served = ground.start(Clock::system()).await.serve().await;
    eventually("the server is ready", async || served.anyone.readyz().await.ok()).await;
    (ground, served)
}

async fn ann(server: &Served) -> fanfare_client::Client {
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    server.anyone.with_token(&server.anyone.register(&new).await.unwrap().token)
}

/// Whether the operator's status says that writes are refused.
async fn writes_refused(ground: &Ground, server: &Served) -> bool {
    let token = std::fs::read_to_string(ground.folder.path().join("admin.token")).unwrap();
    let operator = server.anyone.with_token(token.trim());
    let status: Value = raw(&operator, "GET", "/v1/admin/status", &[], "").await.json().unwrap();
    status["writes_refused"].as_bool().unwrap()
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
    server.anyone.log_in("ann", PASSWORD).await.unwrap();
    server.blade.lose(5);
    let lost = json(&ann, "POST", "/v1/posts", r#"{"text":"x"}"#).await;
    assert_eq!((problem_of(&lost).code, lost.header("retry-after")), (Code::OutcomeUnknown, "1"));
    // In which order commits stand is not known any more.
    assert!(writes_refused(&ground, &server).await);
    assert_eq!(refused(ann.say("y").await), Code::Overloaded);
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
