//! Rates of people: who is too fast is told when to come back, over HTTP and by frames, and nothing was done.

use fanfare_client::Paging;
use fanfare_protocol::{Code, Message, WhoMay};
use serde_json::json;

use super::{all_messages, say};
use crate::realtime::device::Device;
use crate::world::{Person, World, raw, refused};

/// A server on which a person sends two messages a second, begins two conversations and asks three people an hour.
async fn strict() -> World {
    World::with(|settings| {
        settings.chat.messages_per_s = 2;
        settings.chat.conversations_per_hour = 2;
        settings.chat.requests_per_hour = 3;
        settings.chat.default_who_may = WhoMay::Requests;
    })
    .await
}

/// Status, code and `Retry-After` of a call.
async fn asked(person: &Person, method: &str, path: &str, body: &str) -> (u16, String, Option<u64>) {
    let answer = raw(person, method, path, &[("content-type", "application/json")], body).await;
    let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let retry = answer.headers.get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
    (answer.status.as_u16(), problem["code"].as_str().unwrap_or_default().to_owned(), retry)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_too_fast_is_told_when_to_come_back_and_each_message_stands_once() {
    let world = strict().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    bob.follow(ann.id).await.unwrap();
    let id = ann.direct(bob.id).await.unwrap().id;
    let path = format!("/v1/conversations/{id}/messages");
    let body = |number: usize| format!(r#"{{"client_id": "c{number}", "kind": "text", "text": "{number}"}}"#);
    let (mut sent, mut too_fast) = (0, 0);
    // Ten seconds' worth at once is 20; who goes on is refused, and what was refused is sent again with its id.
    while too_fast < 3 {
        match asked(&ann, "POST", &path, &body(sent)).await {
            (200 | 201, ..) => sent += 1,
            (429, code, retry) => {
                assert_eq!((code.as_str(), retry), ("rate_limited", Some(1)));
                too_fast += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(sent >= 20, "{sent}");
    // By frames the reply says so too.
    let mut anns = Device::ws(&world, &ann.token).await;
    let mut reference = 0;
    let refusal = loop {
        reference += 1;
        let data = json!({ "conversation_id": id, "client_id": format!("f{reference}"), "kind": "text", "text": "x" });
        let reply = anns.ask(reference, "message.send", data).await;
        if let Some(error) = reply.error {
            break error;
        }
    };
    assert_eq!((refusal.code, refusal.retry_after_s), (Code::RateLimited, Some(1)), "{refusal:?}");
    // Others are not held up, and what stands, stands once and in order.
    say(&bob, id, "calm").await;
    let seen: Vec<Message> = all_messages(&bob, id, 100).await;
    let numbers: Vec<u64> = seen.iter().map(|message| message.seq).collect();
    assert_eq!(numbers, (1..=seen.len() as u64).collect::<Vec<_>>());
    let mut ids: Vec<&str> = seen.iter().map(|message| message.client_id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), seen.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_conversations_and_requests_have_numbers_of_their_own() {
    let world = strict().await;
    let [ann, bob, cid, dan, eve] = world.people(["ann", "bob", "cid", "dan", "eve"]).await;
    let group = ann.group("group", &[]).await.unwrap().id;
    let direct = ann.direct(bob.id).await.unwrap().id;
    for (peer, expected) in [(&bob, Ok(direct)), (&cid, Err(Code::RateLimited))] {
        // What is there already is no new one.
        let began = ann.direct(peer.id).await;
        match expected {
            Ok(id) => assert_eq!(began.unwrap().id, id),
            Err(code) => assert_eq!(refused(began), code),
        }
    }
    let body = format!(r#"{{"kind": "direct", "member_ids": ["{}"]}}"#, cid.id);
    let (status, code, retry) = asked(&ann, "POST", "/v1/conversations", &body).await;
    assert_eq!((status, code.as_str()), (429, "rate_limited"));
    assert!(retry.is_some_and(|wait_s| (1..=1_800).contains(&wait_s)), "{retry:?}");
    // What is malformed is said first, and counts for nothing.
    assert_eq!(asked(&ann, "POST", "/v1/conversations", r#"{"kind": "direct", "member_ids": []}"#).await.0, 422);
    assert_eq!(cid.conversations(&[("folder", "requests")], Paging::first(5)).await.unwrap().items, []);
    // People who are asked to join count as requests: one to bob, three of them were left for cid and dan.
    for person in [&cid, &dan] {
        assert!(ann.add_member(group, person.id).await.is_ok(), "to the third request");
    }
    assert_eq!(refused(ann.add_member(group, eve.id).await), Code::RateLimited);
    assert_eq!(eve.conversations(&[("folder", "requests")], Paging::first(5)).await.unwrap().items, []);
    // Whoever follows is asked nothing, and so nothing is counted.
    eve.follow(ann.id).await.unwrap();
    assert!(ann.add_member(group, eve.id).await.is_ok());
}
