//! Sessions when things go wrong: what they are answered by frames, in the same words as over HTTP, and what they hear
//! last.

use fanfare_client::text_message;
use fanfare_protocol::{Code, Id, PatchChatPreferences, PatchConversation, Problem, ServerEvent, WhoMay};
use serde_json::json;

use super::{chat_event, heard_nothing, say};
use crate::realtime::device::Device;
use crate::world::{Person, World, problem_of, raw};

/// Sends `client_id` by a frame; why it was refused.
async fn refused_frame(device: &mut Device, conversation: Id, client_id: &str) -> Problem {
    let data = json!({ "conversation_id": conversation, "client_id": client_id, "kind": "text", "text": "x" });
    device.ask(7, "message.send", data).await.error.unwrap()
}

/// Sends `client_id` over HTTP; why it was refused, and `Retry-After`.
async fn refused_call(person: &Person, conversation: Id, client_id: &str) -> (Problem, String) {
    let body = json!({ "client_id": client_id, "kind": "text", "text": "x" }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = raw(person, "POST", &format!("/v1/conversations/{conversation}/messages"), &headers, &body).await;
    (problem_of(&answer), answer.header("retry-after").to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_speak_is_told_so_in_the_same_words_by_call_and_frame() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let blocked = ann.direct(bob.id).await.unwrap().id;
    say(&ann, blocked, "before").await;
    ann.block(bob.id).await.unwrap();
    let asks =
        PatchChatPreferences { who_may_message: Some(Some(WhoMay::Requests)), ..PatchChatPreferences::default() };
    cid.prefer(&asks).await.unwrap();
    let asked = ann.direct(cid.id).await.unwrap().id;
    for number in 0..3 {
        say(&ann, asked, &number.to_string()).await;
    }
    let announced = cid.group("news", &[ann.id, bob.id]).await.unwrap().id;
    let announcements = PatchConversation { announcements_only: Some(true), ..PatchConversation::default() };
    cid.change_conversation(announced, &announcements).await.unwrap();
    let last = async |person: &Person, id| person.conversation(id).await.unwrap().last_seq;
    let before = [last(&ann, blocked).await, last(&ann, asked).await, last(&ann, announced).await];
    let mut devices = [Device::ws(&world, &ann.token).await, Device::ws(&world, &bob.token).await];
    let mut words = Vec::new();
    for (who, conversation) in [(0, blocked), (1, blocked), (0, asked), (0, announced), (1, announced)] {
        let (by_call, _) = refused_call([&ann, &bob][who], conversation, "call").await;
        let by_frame = refused_frame(&mut devices[who], conversation, "frame").await;
        assert_eq!((by_call.code, by_frame.code), (Code::Forbidden, Code::Forbidden));
        assert_eq!(by_call.detail, by_frame.detail);
        words.push(by_call.detail);
    }
    assert_eq!(words[0], words[1], "it is not said who blocks whom");
    assert_eq!(words[0], words[2], "nor that somebody has not answered");
    assert_eq!(before, [last(&ann, blocked).await, last(&ann, asked).await, last(&ann, announced).await]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_slow_mode_both_say_when_to_come_back_and_nothing_is_stored() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let group = ann.group("slow", &[bob.id]).await.unwrap().id;
    let slow = PatchConversation { slow_mode_s: Some(3_600), ..PatchConversation::default() };
    ann.change_conversation(group, &slow).await.unwrap();
    let last = say(&bob, group, "once").await.seq;
    let (by_call, retry_after) = refused_call(&bob, group, "call").await;
    let by_frame = refused_frame(&mut Device::ws(&world, &bob.token).await, group, "frame").await;
    assert_eq!((by_call.code, by_frame.code), (Code::RateLimited, Code::RateLimited));
    for seconds in [retry_after.parse::<u32>().unwrap(), by_frame.retry_after_s.unwrap()] {
        assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    }
    assert_eq!(ann.conversation(group).await.unwrap().last_seq, last);
    // What was too early is not remembered as refused.
    let none = PatchConversation { slow_mode_s: Some(0), ..PatchConversation::default() };
    ann.change_conversation(group, &none).await.unwrap();
    assert!(bob.send_message(group, &text_message("call", "x")).await.unwrap().created);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_left_on_another_device_hears_that_as_the_last_and_finds_nothing_more() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let group = ann.group("group", &[bob.id]).await.unwrap().id;
    let mut here = Device::ws(&world, &bob.token).await;
    bob.remove_member(group, bob.id).await.unwrap();
    say(&ann, group, "without bob").await;
    let ServerEvent::ConversationUpdated(updated) = chat_event(&mut here).await else { panic!("the end is told") };
    assert!(updated.left && updated.conversation_id == group);
    heard_nothing(&mut here).await;
    let (by_call, _) = refused_call(&bob, group, "call").await;
    let by_frame = refused_frame(&mut here, group, "frame").await;
    assert_eq!((by_call.code, by_frame.code), (Code::NotFound, Code::NotFound));
    assert_eq!(by_call.detail, by_frame.detail);
    for (kind, data) in [
        ("read", json!({ "conversation_id": group, "seq": 1 })),
        ("delivered", json!({ "conversation_id": group, "seq": 1 })),
        ("typing", json!({ "conversation_id": group })),
    ] {
        assert_eq!(here.ask(8, kind, data).await.error.unwrap().code, Code::NotFound, "{kind}");
    }
}
