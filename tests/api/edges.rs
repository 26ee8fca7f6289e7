//! Rules that every call has in common: problems, headers, limits, cursors, bodies.

use std::collections::BTreeSet;

use fanfare_client::{Client, Paging};
use fanfare_protocol::Code;

use crate::world::{World, json, problem_of, raw};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_cannot_be_read_are_refused_by_kind() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for body in ["", "{", "{\"text\": }", "{\"text\": \"a\"} x", "text", "{\"text\": \"\\ud800\"}"] {
        assert_eq!(problem_of(&json(&ann, "POST", "/v1/posts", body).await).code, Code::BadRequest, "{body:?}");
    }
    for content_type in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""] {
        let answer = raw(&ann, "POST", "/v1/posts", &[("content-type", content_type)], r#"{"text": "a"}"#).await;
        assert_eq!(problem_of(&answer).code, Code::UnsupportedMediaType, "{content_type:?}");
    }
    assert_eq!(problem_of(&raw(&ann, "POST", "/v1/posts", &[], "{}").await).code, Code::UnsupportedMediaType);
    let large = format!(r#"{{"text": "{}"}}"#, "a".repeat(2 << 20));
    assert_eq!(problem_of(&json(&ann, "POST", "/v1/posts", &large).await).code, Code::PayloadTooLarge);
    // The connection goes on, and so does the caller.
    assert_eq!(json(&ann, "POST", "/v1/posts", r#"{"text": "a"}"#).await.status, 201);
    assert_eq!(ann.me().await.unwrap().posts_count, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unknown_fields_are_refused_by_name_everywhere() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for (method, path, body) in [
        ("POST", "/v1/users", r#"{"handle": "x", "password": "12345678", "extra": 1}"#),
        ("POST", "/v1/sessions", r#"{"handle": "x", "password": "12345678", "extra": 1}"#),
        ("PUT", "/v1/users/me/password", r#"{"current_password": "a", "new_password": "b", "extra": 1}"#),
        ("PATCH", "/v1/users/me", r#"{"extra": 1}"#),
        ("POST", "/v1/posts", r#"{"text": "a", "extra": 1}"#),
        ("PUT", "/v1/feed/read", r#"{"last_read_id": "1", "extra": 1}"#),
        ("PUT", "/v1/notifications/read", r#"{"last_read_id": "1", "extra": 1}"#),
    ] {
        let problem = problem_of(&json(&ann, method, path, body).await);
        assert_eq!((problem.code, problem.errors[0].field.as_str()), (Code::ValidationFailed, "extra"), "{path}");
    }
    for (method, path, field) in [
        ("POST", "/v1/users", "handle"),
        ("POST", "/v1/sessions", "handle"),
        ("PUT", "/v1/users/me/password", "current_password"),
        ("PUT", "/v1/feed/read", "last_read_id"),
        ("PUT", "/v1/notifications/read", "last_read_id"),
    ] {
        assert_eq!(problem_of(&json(&ann, method, path, "{}").await).errors[0].field, field, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_and_methods_that_do_not_exist_say_so() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for path in ["/v1", "/v1/nothing", "/v2/users/me", "/v1/posts/abc", "/v1/posts/-1", "/v1/users/me/x"] {
        assert_eq!(problem_of(&raw(&ann, "GET", path, &[], "").await).code, Code::NotFound, "{path}");
    }
    for (method, path, allowed) in [
        ("PUT", "/v1/posts", "POST"),
        ("POST", "/v1/feed", "GET"),
        ("GET", "/v1/sessions", "POST"),
        ("DELETE", "/healthz", "GET"),
    ] {
        let answer = raw(&ann, method, path, &[], "").await;
        assert_eq!(problem_of(&answer).code, Code::MethodNotAllowed, "{method} {path}");
        assert!(answer.header("allow").contains(allowed), "{method} {path}: {}", answer.header("allow"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_carries_a_request_id() {
    let world = World::new().await;
    let mut seen = BTreeSet::new();
    for path in ["/healthz", "/readyz", "/v1/posts?scope=public", "/v1/nothing", "/openapi.json", "/docs/", "/metrics"]
    {
        let answer = raw(&world.anyone, "GET", path, &[], "").await;
        assert!(!answer.header("x-request-id").is_empty(), "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        seen.insert(answer.header("x-request-id").to_owned());
    }
    assert_eq!(seen.len(), 7);
    let named = raw(&world.anyone, "GET", "/healthz", &[("x-request-id", "mine-1")], "").await;
    assert_eq!(named.header("x-request-id"), "mine-1");
}

/// Every list, with the caller who may read it.
fn lists<'a>(world: &'a World, ann: &'a Client, user: &str, post: &str) -> Vec<(&'a Client, String)> {
    let own =
        ["/v1/feed?", "/v1/feed?order=ranked&", "/v1/notifications?", "/v1/users/me/blocks?", "/v1/users/me/mutes?"];
    let own = own.into_iter().chain(["/v1/search/users?q=an&"]).map(|path| (ann, path.to_owned()));
    let public = ["users/{user}/posts", "users/{user}/followers", "users/{user}/following", "posts/{post}/likes"];
    let public = public
        .into_iter()
        .chain(["posts/{post}/replies"])
        .map(|path| (&world.anyone, format!("/v1/{}?", path.replace("{user}", user).replace("{post}", post))));
    own.chain(public).chain([(&world.anyone, "/v1/posts?scope=public&".to_owned())]).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_out_of_range_are_422_and_cursors_that_are_not_ones_are_400() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let post = ann.say("hello").await.unwrap();
    for (caller, path) in lists(&world, &ann, &ann.id.to_string(), &post.id.to_string()) {
        for limit in ["0", "101", "-1", "1.5", "x", "", "99999999999999999999"] {
            let problem = problem_of(&raw(caller, "GET", &format!("{path}limit={limit}"), &[], "").await);
            assert_eq!(
                (problem.code, problem.errors[0].field.as_str()),
                (Code::ValidationFailed, "limit"),
                "{path}{limit}"
            );
        }
        for limit in ["1", "100"] {
            assert_eq!(raw(caller, "GET", &format!("{path}limit={limit}"), &[], "").await.status, 200, "{path}");
        }
        for cursor in ["", "x", "AAAA", "%00", "A".repeat(2_000).as_str(), "AAAAAAAAAAAAAAAAAAAAAA", "%F0%9F%98%80"] {
            let answer = raw(caller, "GET", &format!("{path}cursor={cursor}"), &[], "").await;
            assert_eq!(problem_of(&answer).code, Code::BadRequest, "{path} {cursor}");
        }
    }
    for (path, field) in [
        ("/v1/feed?order=best", "order"),
        ("/v1/feed?since_id=x", "since_id"),
        ("/v1/feed?since_id=-1", "since_id"),
        ("/v1/feed?limit=1&limit=2", "limit"),
    ] {
        assert_eq!(problem_of(&raw(&ann, "GET", path, &[], "").await).errors[0].field, field, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cursor_of_another_list_caller_or_server_is_400() {
    let world = World::new().await;
    let [ann, bob, anna] = world.people(["ann", "bob", "anna"]).await;
    let posts = [ann.say("a").await.unwrap(), ann.say("b").await.unwrap()];
    let anne = world.person("anne").await;
    for fan in [&bob, &anna, &anne] {
        fan.like(posts[0].id).await.unwrap();
        fan.follow(ann.id).await.unwrap();
        ann.follow(fan.id).await.unwrap();
        fan.reply(posts[0].id, "@ann").await.unwrap();
        let hidden = world.person(&format!("hidden_{}", fan.handle)).await;
        ann.block(hidden.id).await.unwrap();
        ann.mute(hidden.id).await.unwrap();
    }
    let user = ann.id.to_string();
    let all = lists(&world, &ann, &user, &posts[0].id.to_string());
    let mut cursors = Vec::new();
    for (caller, path) in &all {
        let page: serde_json::Value = raw(caller, "GET", &format!("{path}limit=1"), &[], "").await.json().unwrap();
        let cursor = page["next_cursor"].as_str().unwrap_or_else(|| panic!("{path} has one page")).to_owned();
        assert!(cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{cursor}");
        cursors.push(cursor);
    }
    for (from, cursor) in cursors.iter().enumerate() {
        for (to, (caller, path)) in all.iter().enumerate() {
            // Both orders of the feed go on with each other's cursors: a cursor knows its order.
            let same = from == to || (from < 2 && to < 2);
            let status = raw(caller, "GET", &format!("{path}cursor={cursor}"), &[], "").await.status;
            assert_eq!(status, if same { 200 } else { 400 }, "cursor of {} at {path}", all[from].1);
        }
        let forged = format!("{}{}", if cursor.starts_with('B') { 'C' } else { 'B' }, &cursor[1..]);
        let answer = raw(all[from].0, "GET", &format!("{}cursor={forged}", all[from].1), &[], "").await;
        assert_eq!(problem_of(&answer).code, Code::BadRequest);
    }
    // The caller's own lists, asked by somebody else.
    for index in 0..6 {
        let answer = raw(&bob, "GET", &format!("{}cursor={}", all[index].1, cursors[index]), &[], "").await;
        assert_eq!(problem_of(&answer).code, Code::BadRequest, "{}", all[index].1);
    }
    // The same list of somebody else, and of another server.
    let cursor = ann.posts_of(ann.id, Paging::first(1)).await.unwrap().next_cursor.unwrap();
    assert!(ann.posts_of(bob.id, Paging::at(1, Some(&cursor))).await.is_err());
    let other = World::new().await;
    assert!(other.anyone.public_posts(Paging::at(1, Some(&cursors[11]))).await.is_err());
}

/// The calls of the contract that are there today.
const CALLS: &[&str] = &[
    "POST /v1/users",
    "POST /v1/sessions",
    "DELETE /v1/sessions",
    "DELETE /v1/sessions/current",
    "PUT /v1/users/me/password",
    "DELETE /v1/users/me",
    "GET /v1/users/me",
    "PATCH /v1/users/me",
    "GET /v1/users/me/blocks",
    "GET /v1/users/me/mutes",
    "GET /v1/users/{user}",
    "PUT /v1/users/{user}/follow",
    "DELETE /v1/users/{user}/follow",
    "PUT /v1/users/{user}/block",
    "DELETE /v1/users/{user}/block",
    "PUT /v1/users/{user}/mute",
    "DELETE /v1/users/{user}/mute",
    "GET /v1/users/{user}/followers",
    "GET /v1/users/{user}/following",
    "GET /v1/users/{user}/posts",
    "POST /v1/posts",
    "GET /v1/posts",
    "GET /v1/posts/{id}",
    "DELETE /v1/posts/{id}",
    "PUT /v1/posts/{id}/like",
    "DELETE /v1/posts/{id}/like",
    "GET /v1/posts/{id}/likes",
    "GET /v1/posts/{id}/replies",
    "GET /v1/posts/{id}/thread",
    "GET /v1/search/users",
    "GET /v1/feed",
    "GET /v1/feed/unread",
    "PUT /v1/feed/read",
    "GET /v1/notifications",
    "PUT /v1/notifications/read",
    "POST /v1/media",
    "GET /media/{id}/{variant}",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /v1/admin/status",
    "GET /v1/admin/settings",
    "PATCH /v1/admin/settings",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_document_lists_every_route_that_answers() {
    let world = World::new().await;
    let document = world.anyone.openapi().await.unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    let mut listed = BTreeSet::new();
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys().filter(|name| *name != "parameters") {
            listed.insert(format!("{} {path}", method.to_uppercase()));
            // A route that is listed is there: whatever it answers, it is not "no such path".
            let path = path.replace("{user}", "1").replace("{id}", "1").replace("{variant}", "original");
            let answer = raw(&world.anyone, &method.to_uppercase(), &path, &[], "").await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!String::from_utf8_lossy(&answer.body).contains("no such path"), "{method} {path}");
        }
    }
    let missing: Vec<&str> = CALLS.iter().copied().filter(|call| !listed.contains(*call)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    // Every schema that is named is there.
    let text = document.to_string();
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in text.split("#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(schemas.contains_key(name), "{name}");
    }
    let docs = raw(&world.anyone, "GET", "/docs/", &[], "").await;
    assert!(docs.status == 200 && docs.header("content-type").starts_with("text/html"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_origins_may_call_only_when_the_operator_says_so() {
    let closed = World::new().await;
    let origin = [("origin", "https://app.example")];
    let answer = raw(&closed.anyone, "GET", "/v1/posts?scope=public", &origin, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let open = World::with(|settings| settings.http.cors_origins = vec!["https://app.example".parse().unwrap()]).await;
    let answer = raw(&open.anyone, "GET", "/v1/posts?scope=public", &origin, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example");
    let answer = raw(&open.anyone, "GET", "/v1/nothing", &origin, "").await;
    assert_eq!(answer.header("access-control-allow-origin"), "https://app.example", "also on refusals");
}
