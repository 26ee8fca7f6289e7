//! Acts of operators, who may act on whom, and the lines that acts leave.

use std::sync::Arc;

use fanfare::log::consumers::Consumers;
use fanfare_client::{Client, Paging};
use fanfare_engines::{KeyRange, Order};
use fanfare_protocol::{Code, Id};
use serde_json::{Value, json};

use super::{audit, because, clock};
use crate::world::{PASSWORD, World, eventually, json, problem_of, raw, refused, refused_field, whole_feed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_post_is_deleted_for_everybody_and_the_act_is_on_record() {
    let mut world = World::new().await;
    let [mut ann, bob] = world.people(["ann", "bob"]).await;
    ann.follow(bob.id).await.unwrap();
    let [kept, gone] = [bob.say("kept").await.unwrap().id, bob.say("a home address").await.unwrap().id];
    assert_eq!(refused(ann.remove_post(gone, None).await), Code::Forbidden);
    assert_eq!(refused(world.anyone.remove_post(gone, None).await), Code::Unauthenticated);
    world.operator.remove_post(gone, Some("a home address & more")).await.unwrap();
    for caller in [&world.anyone, &bob, &ann] {
        assert_eq!(refused(caller.post(gone).await), Code::Gone);
    }
    assert_eq!(whole_feed(&ann).await, [kept]);
    assert_eq!(refused(world.operator.remove_post(gone, None).await), Code::Gone);
    assert_eq!(refused(world.operator.remove_post(Id(1), None).await), Code::NotFound);
    let path = format!("/v1/admin/posts/{kept}?reason={}", "x".repeat(501));
    assert_eq!(problem_of(&raw(&world.operator, "DELETE", &path, &[], "").await).errors[0].field, "reason");
    world.restart(&mut [&mut ann]).await;
    let lines = audit(&world).await;
    assert_eq!(lines.len(), 1, "what was refused leaves no line: {lines:?}");
    let line = &lines[0];
    assert_eq!((line.actor.as_str(), line.address.as_str()), ("admin.token", "127.0.0.1"));
    assert_eq!((line.action.as_str(), line.target.clone()), ("post.delete", format!("posts/{gone}")));
    assert_eq!(line.reason.as_deref(), Some("a home address & more"));
    assert_eq!(whole_feed(&ann).await, [kept]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_by_role_acts_on_people_and_never_on_operators() {
    let world = World::new().await;
    let [chief, deputy, ann] = world.people(["chief", "deputy", "ann"]).await;
    for operator in [&chief, &deputy] {
        world.operator.set_admin(operator.id, true).await.unwrap();
    }
    let (own, other, plain) = (
        chief.say("own").await.unwrap().id,
        deputy.say("the deputy's").await.unwrap().id,
        ann.say("hello").await.unwrap().id,
    );
    for (name, post) in [("@deputy", other), ("@chief", own)] {
        assert_eq!(refused(chief.suspend(name, &because("no", None)).await), Code::Forbidden);
        assert_eq!(refused(chief.unsuspend(name, None).await), Code::Forbidden);
        assert_eq!(refused(chief.set_password(name, "another horse").await), Code::Forbidden);
        assert_eq!(refused(chief.remove_post(post, None).await), Code::Forbidden);
    }
    assert_eq!(refused(chief.set_admin(deputy.id, false).await), Code::Forbidden);
    chief.remove_post(plain, None).await.unwrap();
    chief.suspend("@ann", &because("spam", None)).await.unwrap();
    chief.unsuspend("@ann", None).await.unwrap();
    chief.set_password("@ann", "another horse").await.unwrap();
    // The admin token acts on everybody.
    world.operator.remove_post(other, None).await.unwrap();
    world.operator.suspend("@deputy", &because("left the house", None)).await.unwrap();
    assert_eq!(refused(deputy.admin_status().await), Code::AccountSuspended);
    let actors: Vec<String> = audit(&world).await.into_iter().map(|line| line.actor).collect();
    let (token, role) = ("admin.token".to_owned(), chief.id.to_string());
    assert_eq!(actors, [vec![token.clone(); 2], vec![role; 4], vec![token; 2]].concat());
}

/// Body that a call must be sent, so that it does something.
fn example(method: &str, path: &str) -> Option<Value> {
    Some(match (method, path) {
        ("PATCH", "/v1/admin/settings") => json!({ "log.level": "off", "feed.push_below": 7 }),
        ("PUT", "/v1/admin/users/{user}/role") => json!({ "role": "user" }),
        ("PUT", "/v1/admin/users/{user}/suspension") => json!({ "reason": "spam" }),
        ("PUT", "/v1/admin/users/{user}/password") => json!({ "password": "a quiet secret" }),
        ("POST", "/v1/admin/realtime/publish") => {
            json!({ "all": true, "type": "shop.sale", "data": { "key": "a hidden price" } })
        }
        ("DELETE", _) => Value::Null,
        _ => return None,
    })
}

/// Every call of operators in the document that is no `GET`. `PUT` before `DELETE`, so that there is something to end.
async fn acts(world: &World) -> Vec<(String, String)> {
    let document = world.anyone.openapi().await.unwrap();
    let paths = document["paths"].as_object().unwrap().iter().filter(|(path, _)| path.starts_with("/v1/admin/"));
    let methods = ["put", "post", "patch", "delete"];
    let of = |(path, calls): (&String, &Value)| {
        let named = methods.into_iter().filter(|method| calls.get(method).is_some());
        named.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    let mut acts: Vec<_> = paths.flat_map(of).collect();
    acts.sort_by(|one, other| other.cmp(one));
    acts
}

/// Consumers of the journal, as a process that is no more registered them in the world's folder.
fn of_a_version_before(world: &World) -> Consumers {
    Consumers::new(Arc::clone(&world.app().core().store))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_is_no_more_is_removed_and_one_that_runs_is_not() {
    let mut world = World::new().await;
    let [ann] = world.people(["ann"]).await;
    let named = async |world: &World| {
        // The janitor looks now and then.
        world.app().core().consumers.registered().await.unwrap();
        world.operator.admin_status().await.unwrap()["journal_consumers"].clone()
    };
    assert_eq!(named(&world).await, json!([]));
    of_a_version_before(&world).register("effects").await.unwrap();
    world.app().core().consumers.register("clicks").await.unwrap();
    assert_eq!(named(&world).await, json!(["clicks", "effects"]));
    let remove = async |client: &Client, name: &str| client.remove_consumer(name, Some("of a version before")).await;
    assert_eq!(refused(remove(&ann, "effects").await), Code::Forbidden);
    assert_eq!(refused(remove(&world.operator, "clicks").await), Code::Conflict);
    for nobody in ["nobody", "projector", "%2F", "X"] {
        assert_eq!(refused(remove(&world.operator, nobody).await), Code::NotFound, "{nobody}");
    }
    remove(&world.operator, "effects").await.unwrap();
    assert_eq!(refused(remove(&world.operator, "effects").await), Code::NotFound);
    assert_eq!(named(&world).await, json!(["clicks"]));
    let lines = audit(&world).await;
    let line = |line: &fanfare_protocol::AuditEntry| (line.action.clone(), line.target.clone());
    let expected = [("consumer.remove".to_owned(), "consumers/effects".to_owned())];
    assert_eq!(lines.iter().map(line).collect::<Vec<_>>(), expected, "what was refused leaves no line");
    world.restart(&mut []).await;
    remove(&world.operator, "clicks").await.unwrap();
    assert_eq!(named(&world).await, json!([]));
}

/// A call that is added and leaves no line, or has no example here, fails.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_act_in_the_document_leaves_one_line_without_secrets() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let post = bob.say("something").await.unwrap().id;
    let code = bob.shorten("https://example.com").await.unwrap().code;
    let _session = crate::realtime::device::Device::ws(&world, &ann.token).await;
    let session = async || {
        let page: Value = raw(&world.operator, "GET", "/v1/admin/realtime/sessions", &[], "").await.json().unwrap();
        page["items"].as_array()?.first()?["session_id"].as_str().map(str::to_owned)
    };
    let session = eventually("a session is open", session).await;
    of_a_version_before(&world).register("effects").await.unwrap();
    let acts = acts(&world).await;
    assert!(acts.len() >= 8, "{acts:?}");
    let mut names = Vec::new();
    for (method, path) in &acts {
        let body = example(method, path).unwrap_or_else(|| panic!("{method} {path} has no example in this test"));
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let filled = path.replace("{user}", "@bob").replace("{id}", &post.to_string()).replace("{code}", &code);
        let filled = filled.replace("{name}", "effects");
        let before = audit(&world).await.len();
        let answer = json(&world.operator, method, &filled.replace("{session_id}", &session), &body).await;
        assert!(answer.status.is_success(), "{method} {path}: {answer:?}");
        let lines = audit(&world).await;
        assert_eq!(lines.len(), before + 1, "{method} {path} leaves one line: {lines:?}");
        names.push(lines[0].action.clone());
    }
    let distinct: std::collections::BTreeSet<_> = names.iter().collect();
    assert_eq!(distinct.len(), acts.len(), "each act has a name of its own: {names:?}");
    let text = serde_json::to_string(&audit(&world).await).unwrap();
    for secret in ["a quiet secret", "a hidden price", PASSWORD, &world.admin_token(), &bob.token] {
        assert!(!text.contains(secret), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_pages_newest_first_is_for_operators_and_ends_after_400_days() {
    const DAY_MS: u64 = 86_400_000;
    let (by_hand, now_ms) = clock();
    let mut world = World::at(by_hand, |_| ()).await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    world.operator.suspend("@ann", &because("the first", None)).await.unwrap();
    world.set_clock(now_ms + 200 * DAY_MS);
    for round in 0..4 {
        world.operator.suspend("@ann", &because(&format!("round {round}"), None)).await.unwrap();
    }
    let reasons =
        async |world: &World| audit(world).await.into_iter().map(|line| line.reason.unwrap()).collect::<Vec<_>>();
    let all = ["round 3", "round 2", "round 1", "round 0", "the first"];
    assert_eq!(reasons(&world).await, all);
    let ids: Vec<Id> = audit(&world).await.iter().map(|line| line.id).collect();
    assert!(ids.is_sorted_by(|one, other| one > other), "{ids:?}");
    for caller in [&world.anyone as &Client, &bob] {
        assert!(caller.audit(Paging::default()).await.unwrap_err().problem().is_some());
    }
    assert_eq!(refused(world.operator.audit(Paging::at(3, Some("x"))).await), Code::BadRequest);
    assert_eq!(refused_field(world.operator.audit(Paging::first(101)).await), "limit");
    let stored = async |world: &World| {
        let (store, bucket) = (&world.app().core().store, fanfare::data::tables::bucket_of);
        let mut found = 0;
        for bucket in bucket(ids[4])..=bucket(ids[0]) {
            let partition = fanfare::data::tables::timeline_partition(bucket);
            let rows = store.scan(fanfare::data::tables::AUDIT, &partition, KeyRange::ALL, Order::Ascending, 100).await;
            found += rows.unwrap().len();
        }
        found
    };
    // The sweep begins at the hour in which the janitor first looked.
    crate::deletion::clean(&world).await;
    world.set_clock(now_ms + 400 * DAY_MS + 1_000);
    assert_eq!(reasons(&world).await, all[..4], "too old ones are not shown, swept or not");
    world.set_clock(now_ms + 401 * DAY_MS);
    crate::deletion::clean(&world).await;
    assert_eq!(stored(&world).await, 4);
    world.restart(&mut []).await;
    assert_eq!(reasons(&world).await, all[..4]);
    assert_eq!(refused(world.anyone.with_token(&ann.token).me().await), Code::Unauthenticated, "a token lives 30 days");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_of_nothing_is_no_act() {
    let world = World::new().await;
    let unchanged = raw(&world.operator, "GET", "/v1/admin/settings", &[], "").await;
    for nothing in ["{}", r#"{"log.level": null}"#] {
        let answer = json(&world.operator, "PATCH", "/v1/admin/settings", nothing).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &unchanged.body), "{nothing}");
    }
    assert_eq!(audit(&world).await, []);
    json(&world.operator, "PATCH", "/v1/admin/settings", r#"{"feed.push_below": 7}"#).await;
    assert_eq!(audit(&world).await.len(), 1);
}
