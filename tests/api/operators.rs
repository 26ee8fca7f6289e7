//! Calls of operators: status, settings while running, roles; health and metrics.

use fanfare_client::{FeedQuery, Order, Paging};
use fanfare_protocol::Code;
use serde_json::json;

use crate::world::{Person, World, problem_of, raw, refused, refused_field, whole_feed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_token_opens_what_users_cannot() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    for path in ["/v1/admin/status", "/v1/admin/settings"] {
        assert_eq!(raw(&world.operator, "GET", path, &[], "").await.status, 200);
        assert_eq!(problem_of(&raw(&ann, "GET", path, &[], "").await).code, Code::Forbidden);
        assert_eq!(problem_of(&raw(&world.anyone, "GET", path, &[], "").await).code, Code::Unauthenticated);
    }
    // It is nobody's session.
    assert_eq!(refused(world.operator.me().await), Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_becomes_an_operator_and_a_plain_user_again() {
    let mut world = World::new().await;
    let mut ann = world.person("ann").await;
    assert_eq!(refused(ann.set_admin(ann.id, true).await), Code::Forbidden);
    world.operator.set_admin(ann.id, true).await.unwrap();
    assert!(ann.admin_status().await.is_ok());
    ann.change_password(crate::world::PASSWORD, "a new password").await.unwrap();
    world.restart(&mut [&mut ann]).await;
    assert!(ann.admin_status().await.is_ok());
    ann.set_admin(ann.id, false).await.unwrap();
    assert_eq!(refused(ann.admin_status().await), Code::Forbidden);
    assert_eq!(refused(world.operator.set_admin(fanfare_protocol::Id(1), true).await), Code::NotFound);
    let answer = crate::world::json(&world.operator, "PUT", "/v1/admin/users/@ann/role", r#"{"role": "king"}"#).await;
    assert_eq!(problem_of(&answer).errors[0].field, "role");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thresholds_change_while_running_and_feeds_stay_whole() {
    let world = World::with(|settings| settings.feed.flip_interval_s = 0).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let fans: [Person; 3] = world.people(["a", "b", "c"]).await;
    for fan in fans.iter().chain([&ann]) {
        fan.follow(bob.id).await.unwrap();
    }
    let mut expected = Vec::new();
    for (push_below, pull_above) in [(10, 20), (0, 0), (0, 100), (100, 100), (0, 1)] {
        let patch = json!({ "feed.push_below": push_below, "feed.pull_above": pull_above });
        let settings = world.operator.patch_admin_settings(&patch).await.unwrap();
        assert_eq!(settings["feed.push_below"], push_below);
        assert_eq!(world.operator.admin_settings().await.unwrap(), settings);
        for _ in 0..3 {
            expected.insert(0, bob.say("hello").await.unwrap().id);
            assert_eq!(whole_feed(&ann).await, expected);
        }
    }
    let status = world.operator.admin_status().await.unwrap();
    let posts: u64 = status["posts_by_policy"].as_array().unwrap().iter().filter_map(serde_json::Value::as_u64).sum();
    assert_eq!(posts, 15, "{status}");
    assert!(status["posts_by_policy"].as_array().unwrap().iter().all(|count| count.as_u64() > Some(0)), "{status}");
    for (patch, field) in [
        (json!({ "feed.push_below": 5, "feed.pull_above": 4 }), "feed.pull_above"),
        (json!({ "feed.push_below": -1 }), "feed.push_below"),
        (json!({ "feed.pull_above": (1_u64 << 50) + 1 }), "feed.pull_above"),
        (json!({ "feed.timeline_cap": 5 }), "feed.timeline_cap"),
        (json!({ "log.level": "info,fanfare=loud" }), "log.level"),
    ] {
        assert_eq!(refused_field(world.operator.patch_admin_settings(&patch).await), field);
    }
    assert_eq!(world.operator.admin_settings().await.unwrap()["feed.pull_above"], 1, "nothing half-done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metrics_are_for_who_shows_the_metrics_token_or_is_an_operator() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    ann.say("hello").await.unwrap();
    whole_feed(&ann).await;
    ann.feed(FeedQuery { paging: Paging::first(1), order: Order::Ranked, since_id: None }).await.unwrap();
    let watcher = world.anyone.with_token(&world.metrics_token());
    let text = watcher.metrics().await.unwrap();
    assert!(text.contains("fanfare_http_requests_in_flight"), "{text}");
    assert!(world.operator.metrics().await.is_ok());
    assert_eq!(refused(world.anyone.metrics().await), Code::Unauthenticated);
    assert_eq!(refused(ann.metrics().await), Code::Forbidden);
    world.operator.set_admin(ann.id, true).await.unwrap();
    assert!(ann.metrics().await.is_ok());
}

/// Whoever only watches the server can do nothing with their token that a forged one cannot.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_metrics_token_opens_nothing_else() {
    let world = World::new().await;
    let watcher = world.anyone.with_token(&world.metrics_token());
    let forger = world.anyone.with_token(&format!("ffm_{}", "A".repeat(43)));
    let document = world.anyone.openapi().await.unwrap();
    let mut tried = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys().filter(|name| *name != "parameters");
        for method in methods.map(|method| method.to_uppercase()) {
            let path = path.replace(['{', '}'], "");
            let with = raw(&watcher, &method, &path, &[], "").await;
            let without = raw(&forger, &method, &path, &[], "").await;
            let expected = if path == "/metrics" { 200 } else { without.status.as_u16() };
            assert_eq!(with.status.as_u16(), expected, "{method} {path}");
            tried += usize::from(without.status.as_u16() == 401);
        }
    }
    assert!(tried > 40, "only {tried} calls asked for a token");
}
