//! Permissions: every call about a conversation, by people who are not in it. The list of calls is the server's own, so
//! that a new one finds its place here first.

use fanfare_protocol::{Id, PatchChatPreferences, WhoMay};
use serde_json::Value;

use super::say;
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

/// To whoever was never in it, left, was removed, or was asked it is not there, in the same words as one that is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_of_others_is_not_there_for_any_call() {
    let world = World::new().await;
    let [ann, bob, eve, left, removed, asked] = world.people(["ann", "bob", "eve", "left", "removed", "asked"]).await;
    let asks = PatchChatPreferences { who_may_add: Some(WhoMay::Requests), ..PatchChatPreferences::default() };
    asked.prefer(&asks).await.unwrap();
    let id = ann.group("group", &[bob.id, left.id, removed.id, asked.id]).await.unwrap().id;
    say(&ann, id, "secret").await;
    left.remove_member(id, left.id).await.unwrap();
    ann.remove_member(id, removed.id).await.unwrap();
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
