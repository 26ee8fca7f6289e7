//! Requests that write several things, or one and then read, and find storage away in between: whoever repeats them
//! must not be told that nothing was done. And log-outs of which nobody knows whether they were done.

use fanfare::base::clock::Clock;
use fanfare_client::{Answer, Client};
use fanfare_protocol::{Code, Id, NewPost};

use super::engines::arrive;
use super::storage::ann as registered;
use super::{End, Ground, Served};
use crate::world::{PASSWORD, eventually, json, problem_of, raw, refused};

const FORM: &str = "--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.txt\"\r\n\r\ntext\r\n--x--\r\n";
/// Calls that may write: by whom, method, path, body. Names in braces stand for ids.
const CALLS: [(&str, &str, &str, &str); 30] = [
    ("anyone", "POST", "/v1/users", r#"{"handle":"new{n}","password":"correct horse battery"}"#),
    ("anyone", "POST", "/v1/sessions", r#"{"handle":"a{n}","password":"{password}"}"#),
    ("ann", "DELETE", "/v1/sessions/current", ""),
    ("ann", "DELETE", "/v1/sessions", ""),
    (
        "ann",
        "PUT",
        "/v1/users/me/password",
        r#"{"current_password":"{password}","new_password":"another horse battery"}"#,
    ),
    ("ann", "PATCH", "/v1/users/me", r#"{"display_name":"Ann the {n}th"}"#),
    ("ann", "DELETE", "/v1/users/me", ""),
    ("ann", "POST", "/v1/posts", r#"{"text":"hello @b{n}"}"#),
    ("ann", "POST", "/v1/posts", r#"{"text":"yes","reply_to":"{post}"}"#),
    ("ann", "POST", "/v1/posts", r#"{"text":"look","repost_of":"{post}"}"#),
    ("ann", "POST", "/v1/posts", r#"{"repost_of":"{post}"}"#),
    ("ann", "PUT", "/v1/posts/{post}/like", ""),
    ("ann", "DELETE", "/v1/posts/{post}/like", ""),
    ("ann", "DELETE", "/v1/posts/{own}", ""),
    ("ann", "PUT", "/v1/users/{bob}/follow", ""),
    ("ann", "DELETE", "/v1/users/{bob}/follow", ""),
    ("ann", "PUT", "/v1/users/{bob}/block", ""),
    ("ann", "DELETE", "/v1/users/{bob}/block", ""),
    ("ann", "PUT", "/v1/users/{bob}/mute", ""),
    ("ann", "DELETE", "/v1/users/{bob}/mute", ""),
    ("ann", "PUT", "/v1/feed/read", r#"{"last_read_id":"{post}"}"#),
    ("ann", "PUT", "/v1/notifications/read", r#"{"last_read_id":"{post}"}"#),
    ("ann", "POST", "/v1/media", FORM),
    ("operator", "PUT", "/v1/admin/users/{bob}/password", r#"{"password":"a third horse battery"}"#),
    ("operator", "PUT", "/v1/admin/users/{bob}/role", r#"{"role":"admin"}"#),
    ("operator", "PUT", "/v1/admin/users/{bob}/suspension", r#"{"reason":"spam"}"#),
    ("operator", "DELETE", "/v1/admin/users/{bob}/suspension", ""),
    ("operator", "DELETE", "/v1/admin/posts/{post}", ""),
    ("operator", "PATCH", "/v1/admin/settings", r#"{"feed.push_below":10000}"#),
    ("operator", "POST", "/v1/admin/realtime/publish", r#"{"all":true,"type":"news","data":{}}"#),
];

/// People of one try, and what they wrote.
struct Cast {
    number: usize,
    ann: Client,
    operator: Client,
    bob: Id,
    post: Id,
    own: Id,
}

impl Cast {
    async fn new(ground: &Ground, server: &Served, number: usize) -> Self {
        let person = async |letter: &str| {
            let new = format!(r#"{{"handle":"{letter}{number}","password":"{PASSWORD}"}}"#);
            let answer = json(&server.anyone, "POST", "/v1/users", &new).await;
            let session: fanfare_protocol::Session = answer.json().unwrap();
            (server.anyone.with_token(&session.token), session.user.id)
        };
        let (ann, _) = person("a").await;
        let (by_bob, bob) = person("b").await;
        let token = std::fs::read_to_string(ground.folder.path().join("admin.token")).unwrap();
        let say = NewPost { text: "hello".to_owned(), ..NewPost::default() };
        let post = by_bob.publish(&say, None).await.unwrap().post.id;
        let own = ann.publish(&say, None).await.unwrap().post.id;
        Self { number, ann, operator: server.anyone.with_token(token.trim()), bob, post, own }
    }

    fn fill(&self, text: &str) -> String {
        let names = [("post", self.post.to_string()), ("own", self.own.to_string()), ("bob", self.bob.to_string())];
        let names = names.into_iter().chain([("n", self.number.to_string()), ("password", PASSWORD.to_owned())]);
        names.fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), &value))
    }

    async fn ask(&self, server: &Served, (who, method, path, body): (&str, &str, &str, &str)) -> Answer {
        let client = match who {
            "ann" => &self.ann,
            "operator" => &self.operator,
            _ => &server.anyone,
        };
        let is_form = path == "/v1/media";
        let content_type = if is_form { "multipart/form-data; boundary=x" } else { "application/json" };
        let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &[("content-type", content_type)] };
        raw(client, method, &self.fill(path), headers, &self.fill(body)).await
    }
}

/// Storage goes away after each of the writes of a call: number of those that there are.
async fn halves_of(call: (&str, &str, &str, &str)) -> usize {
    let (who, method, path, _) = call;
    let (ground, mut server) = served().await;
    let mut step = 0;
    loop {
        let cast = Cast::new(&ground, &server, step).await;
        if method == "DELETE" {
            // There is something to take back, where it is made so.
            let reason = if path.ends_with("suspension") { r#"{"reason":"spam"}"# } else { "" };
            drop(cast.ask(&server, (who, "PUT", path, reason)).await);
        }
        server.blade.arm(End::GoesAway, step);
        let answer = cast.ask(&server, call).await;
        let reached = server.blade.disarm();
        server.blade.come_back();
        if !reached {
            assert!(answer.status.is_success(), "{call:?}: {answer:?}");
            server.stop().await;
            return step;
        }
        step += 1;
        if !answer.status.is_success() {
            let problem = problem_of(&answer);
            assert_eq!(problem.code, Code::OutcomeUnknown, "{call:?}, away after write {step}: {problem:?}");
            // What goes on yet is done before the next is counted.
            server.stop().await;
            server = start(&ground).await;
        }
    }
}

/// A registration whose account was made, a post that was published, a password that an operator had given: answered
/// with `overloaded`, as if nothing had been done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_half_done_is_never_answered_as_if_nothing_was() {
    let writes = futures_util::future::join_all(CALLS.into_iter().map(|call| Box::pin(halves_of(call)))).await;
    let several = writes.into_iter().filter(|writes| *writes > 1).count();
    assert!(several >= 4, "{several} calls write several things");
}

async fn served() -> (Ground, Served) {
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 1);
    let server = start(&ground).await;
    (ground, server)
}

async fn start(ground: &Ground) -> Served {
    let server = ground.start(Clock::system()).await.serve().await;
    eventually("the server is ready", async || server.anyone.readyz().await.ok()).await;
    server
}

/// Tries of one write before its caller hears of it.
const TRIES: usize = 4;

/// A log-out that was done and not answered left the token good for as long as it stayed in memory; one that came late
/// did too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_log_out_that_nobody_knows_of_the_rows_decide() {
    for is_late in [false, true] {
        let (ground, server) = served().await;
        let ann = registered(&server).await;
        let other = server.anyone.with_token(&server.anyone.log_in("ann", PASSWORD).await.unwrap().token);
        ann.me().await.unwrap();
        if is_late {
            server.blade.delay(TRIES);
        } else {
            server.blade.hide(TRIES);
        }
        let unknown = raw(&ann, "DELETE", "/v1/sessions/current", &[], "").await;
        assert_eq!(problem_of(&unknown).code, Code::OutcomeUnknown);
        assert!(server.blade.has_failed());
        eventually("storage is back", async || server.anyone.readyz().await.ok()).await;
        if is_late {
            // Not done yet, and whoever looks keeps nothing of it in memory.
            ann.me().await.unwrap();
            arrive(&ground.stored, &server.blade).await;
        }
        assert_eq!(refused(ann.me().await), Code::Unauthenticated, "late: {is_late}");
        other.me().await.unwrap();
        server.stop().await;
    }
}

/// Credentials that a change of password or a log-out everywhere perhaps wrote are read from their row each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_change_of_password_that_nobody_knows_of_the_rows_decide() {
    for what in ["a password", "a log-out everywhere"] {
        for is_done in [true, false] {
            let (_ground, server) = served().await;
            let ann = registered(&server).await;
            let other = server.anyone.with_token(&server.anyone.log_in("ann", PASSWORD).await.unwrap().token);
            other.me().await.unwrap();
            if is_done {
                server.blade.hide(TRIES);
            } else {
                server.blade.lose(TRIES);
            }
            let answer = match what {
                "a password" => {
                    let body = format!(r#"{{"current_password":"{PASSWORD}","new_password":"another horse battery"}}"#);
                    json(&ann, "PUT", "/v1/users/me/password", &body).await
                }
                _ => raw(&ann, "DELETE", "/v1/sessions", &[], "").await,
            };
            assert_eq!(problem_of(&answer).code, Code::OutcomeUnknown, "{what}");
            eventually("storage is back", async || server.anyone.readyz().await.ok()).await;
            for _ in 0..2 {
                let found = other.me().await;
                assert_eq!(found.is_err(), is_done, "{what}: {found:?}");
            }
            server.stop().await;
        }
    }
}
