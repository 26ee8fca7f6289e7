//! Permissions: every call and frame about a conversation, by people who are not in it, and by those who are and may
//! not do all. The lists of calls and frames are the server's own, so that a new one finds its place here first.

use fanfare_client::Paging;
use fanfare_protocol::{Code, Id, PatchChatPreferences, WhoMay};
use serde_json::{Value, json};

use super::say;
use crate::realtime::device::Device;
use crate::world::{Person, World, raw};

/// Reads that are the caller's own, of whatever conversations.
const OWN: [&str; 5] = [
    "/v1/conversations",
    "/v1/conversations/unread",
    "/v1/conversations/requests/decline",
    "/v1/mentions",
    "/v1/users/me/chat",
];
/// Calls that name the secret of an invite.
const BY_INVITE: [&str; 2] = ["/v1/invites/{token}", "/v1/invites/{token}/join"];
/// Calls that whoever was asked to join can make.
const ASKED: [&str; 3] =
    ["get /v1/conversations/{id}", "post /v1/conversations/{id}/accept", "post /v1/conversations/{id}/decline"];

/// Whether a route is one of this table.
pub fn has(path: &str) -> bool {
    OWN.contains(&path) || BY_INVITE.contains(&path) || path.starts_with("/v1/conversations/{id}")
}

/// A body that the call takes.
fn body(method: &str, path: &str) -> &'static str {
    match (method, path.trim_start_matches("/v1/conversations/{id}")) {
        ("patch", "") => r#"{"title": "x"}"#,
        ("put", "/personal") => r#"{"pinned": true}"#,
        ("put", "/read" | "/delivered") => r#"{"seq": 1}"#,
        ("patch", "/members/{user}") => r#"{"role": "admin"}"#,
        ("post", "/messages") => r#"{"client_id": "x", "kind": "text", "text": "x"}"#,
        ("patch", "/messages/{seq}") => r#"{"text": "x"}"#,
        ("post", "/invites") => "{}",
        _ => "",
    }
}

/// Calls about one conversation: method and path.
async fn calls(world: &World) -> Vec<(String, String)> {
    let document: Value = world.anyone.openapi().await.unwrap();
    let mut found = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        if path.starts_with("/v1/conversations/{id}") {
            found.extend(item.as_object().unwrap().keys().map(|method| (method.clone(), path.clone())));
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

async fn ask(person: &Person, (method, path): &(String, String), id: Id, other: Id) -> (u16, Value) {
    let filled = path
        .replace("{id}", &id.to_string())
        .replace("{user}", &other.to_string())
        .replace("{seq}", "2")
        .replace("{emoji}", "%F0%9F%91%8D")
        .replace("{invite}", "1");
    let filled = if path.ends_with("/changes") { format!("{filled}?after=0") } else { filled };
    let body = body(method, path);
    let json = [("content-type", "application/json")];
    let headers: &[(&str, &str)] = if body.is_empty() { &[] } else { &json };
    let answer = raw(person, &method.to_uppercase(), &filled, headers, body).await;
    (answer.status.as_u16(), serde_json::from_slice(&answer.body).unwrap_or(Value::Null))
}

/// A group of Ann and Bob with a message in it, of which the others are no members: Eve never was one, two are no more,
/// and one was asked.
async fn group_of_others(world: &World) -> ([Person; 6], Id) {
    let [ann, bob, eve, left, removed, asked] = world.people(["ann", "bob", "eve", "left", "removed", "asked"]).await;
    let asks = PatchChatPreferences { who_may_add: Some(Some(WhoMay::Requests)), ..PatchChatPreferences::default() };
    asked.prefer(&asks).await.unwrap();
    let id = ann.group("group", &[bob.id, left.id, removed.id, asked.id]).await.unwrap().id;
    say(&ann, id, "secret").await;
    left.remove_member(id, left.id).await.unwrap();
    ann.remove_member(id, removed.id).await.unwrap();
    ([ann, bob, eve, left, removed, asked], id)
}

/// To whoever was never in it, left, was removed, or was asked it is not there, in the same words as one that is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_of_others_is_not_there_for_any_call() {
    let world = World::new().await;
    let ([ann, bob, eve, left, removed, asked], id) = group_of_others(&world).await;
    let mut wrong = Vec::new();
    for call in calls(&world).await {
        let (_, missing) = ask(&eve, &call, Id(7), bob.id).await;
        for (who, person) in [("eve", &eve), ("left", &left), ("removed", &removed), ("asked", &asked)] {
            if who == "asked" && ASKED.contains(&format!("{} {}", call.0, call.1).as_str()) {
                continue;
            }
            let (status, answer) = ask(person, &call, id, bob.id).await;
            if status != 404 || answer["detail"] != missing["detail"] {
                wrong.push(format!("{call:?} by {who}: {status} {answer}, not {missing}"));
            }
            assert!(!answer.to_string().contains("secret"), "{call:?} by {who}: {answer}");
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(ann.message(id, 2).await.unwrap().text, "secret", "nobody changed anything");
}

/// Frames that are about no conversation.
const FRAMES_OF_OTHERS: [&str; 3] = ["ping", "feed.read", "presence.watch"];

/// Types of frames that clients send about a conversation, as the server lists them.
async fn frames(device: &mut Device) -> Vec<String> {
    let refused = device.ask(1, "hologram", json!({})).await.error.unwrap();
    let (_, listed) = refused.errors[0].message.split_once("must be ").unwrap();
    let kinds: Vec<String> = listed.replace(" or ", ", ").split(", ").map(str::to_owned).collect();
    assert!(kinds.len() >= 7, "{kinds:?}");
    kinds.into_iter().filter(|kind| !FRAMES_OF_OTHERS.contains(&kind.as_str())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_of_others_is_not_there_for_any_frame() {
    let world = World::new().await;
    let ([ann, _, eve, left, removed, asked], id) = group_of_others(&world).await;
    for (who, person) in [("eve", &eve), ("left", &left), ("removed", &removed), ("asked", &asked)] {
        let mut device = Device::ws(&world, &person.token).await;
        for (reference, kind) in (10..).zip(frames(&mut device).await) {
            let data = |id: Id| match kind.as_str() {
                "message.send" => json!({ "conversation_id": id, "client_id": "x", "kind": "text", "text": "x" }),
                "read" | "delivered" => json!({ "conversation_id": id, "seq": 1 }),
                "typing" => json!({ "conversation_id": id }),
                other => panic!("say here what the frame {other} takes"),
            };
            let missing = device.ask(reference * 2, &kind, data(Id(7))).await.error.unwrap();
            let error = device.ask(reference * 2 + 1, &kind, data(id)).await.error.unwrap();
            assert_eq!((error.code, &error.detail), (Code::NotFound, &missing.detail), "{kind} by {who}");
        }
    }
    assert_eq!(ann.conversation(id).await.unwrap().last_seq, 4, "nobody said anything");
}

/// Answers to each call: of a member who is no admin, of one who came after the message, of who asked somebody and was
/// not answered, and of who was blocked. The message is somebody else's, but for who asked.
const ANSWERS: [(&str, [u16; 4]); 29] = [
    ("delete /v1/conversations/{id}", [204, 204, 204, 204]),
    ("get /v1/conversations/{id}", [200, 200, 200, 200]),
    ("patch /v1/conversations/{id}", [403, 403, 409, 409]),
    ("post /v1/conversations/{id}/accept", [200, 200, 200, 200]),
    ("get /v1/conversations/{id}/changes", [200, 200, 200, 200]),
    ("post /v1/conversations/{id}/decline", [204, 204, 204, 204]),
    ("put /v1/conversations/{id}/delivered", [200, 200, 200, 200]),
    ("get /v1/conversations/{id}/invites", [403, 403, 409, 409]),
    ("post /v1/conversations/{id}/invites", [403, 403, 409, 409]),
    ("delete /v1/conversations/{id}/invites/{invite}", [403, 403, 409, 409]),
    ("get /v1/conversations/{id}/members", [200, 200, 200, 200]),
    ("delete /v1/conversations/{id}/members/{user}", [403, 403, 409, 409]),
    ("patch /v1/conversations/{id}/members/{user}", [403, 403, 409, 409]),
    ("put /v1/conversations/{id}/members/{user}", [403, 403, 409, 409]),
    ("get /v1/conversations/{id}/messages", [200, 200, 200, 200]),
    ("post /v1/conversations/{id}/messages", [201, 201, 201, 403]),
    ("delete /v1/conversations/{id}/messages/{seq}", [403, 404, 204, 403]),
    ("get /v1/conversations/{id}/messages/{seq}", [200, 404, 200, 200]),
    ("patch /v1/conversations/{id}/messages/{seq}", [403, 404, 200, 403]),
    ("get /v1/conversations/{id}/messages/{seq}/edits", [200, 404, 200, 200]),
    ("get /v1/conversations/{id}/messages/{seq}/reactions", [200, 404, 200, 200]),
    ("delete /v1/conversations/{id}/messages/{seq}/reactions/{emoji}", [200, 404, 200, 403]),
    ("put /v1/conversations/{id}/messages/{seq}/reactions/{emoji}", [200, 404, 200, 403]),
    ("put /v1/conversations/{id}/personal", [200, 200, 200, 200]),
    ("get /v1/conversations/{id}/pins", [200, 200, 200, 200]),
    ("delete /v1/conversations/{id}/pins/{seq}", [403, 403, 204, 403]),
    ("put /v1/conversations/{id}/pins/{seq}", [403, 403, 204, 403]),
    ("put /v1/conversations/{id}/read", [200, 200, 200, 200]),
    ("get /v1/conversations/{id}/receipts", [200, 200, 200, 200]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_who_may_not_do_all_are_answered_so_by_each_call() {
    let world = World::new().await;
    let [ann, bob, late, eve, dan] = world.people(["ann", "bob", "late", "eve", "dan"]).await;
    let asks =
        PatchChatPreferences { who_may_message: Some(Some(WhoMay::Requests)), ..PatchChatPreferences::default() };
    dan.prefer(&asks).await.unwrap();
    let group = ann.group("group", &[bob.id]).await.unwrap().id;
    say(&ann, group, "early").await;
    ann.add_member(group, late.id).await.unwrap();
    let (request, blocked) = (eve.direct(dan.id).await.unwrap().id, ann.direct(eve.id).await.unwrap().id);
    for text in ["one", "two"] {
        say(&eve, request, text).await;
        say(&ann, blocked, text).await;
    }
    ann.block(eve.id).await.unwrap();
    let mut all = calls(&world).await;
    // What takes the message back comes last.
    all.sort_by_key(|(method, path)| method == "delete" && path.ends_with("/messages/{seq}"));
    let (mut wrong, mut known) = (Vec::new(), 0);
    for call in all {
        let name = format!("{} {}", call.0, call.1);
        let mut found = [0; 4];
        for (place, (person, id)) in
            [(&bob, group), (&late, group), (&eve, request), (&eve, blocked)].into_iter().enumerate()
        {
            found[place] = ask(person, &call, id, ann.id).await.0;
        }
        let expected = ANSWERS.iter().find(|(call, _)| *call == name).map(|(_, answers)| *answers);
        known += usize::from(expected.is_some());
        if expected != Some(found) {
            wrong.push(format!("(\"{name}\", {found:?}), not {expected:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(known, ANSWERS.len(), "all of these are calls");
    let asked = dan.conversations(&[("folder", "requests")], Paging::first(10)).await.unwrap().items;
    assert_eq!(asked.iter().map(|one| one.id).collect::<Vec<_>>(), [request], "nobody accepts for another");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_deleted_their_account_is_nobody_to_any_call() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    say(&ann, id, "secret").await;
    bob.delete_account().await.unwrap();
    for call in calls(&world).await {
        let (status, answer) = ask(&bob, &call, id, ann.id).await;
        assert_eq!(status, 401, "{call:?}: {answer}");
    }
}
