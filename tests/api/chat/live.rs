//! Delivery of messages: members who are connected hear of them, and those who come back of what they missed.

use fanfare_client::text_message;
use fanfare_protocol::{Message, ServerEvent, Transport};
use serde_json::json;

use super::{chat_event, heard_nothing, say};
use crate::realtime::device::{ALL, Device};
use crate::world::World;

/// The next `count` messages that a device hears; nothing else may come between but what says so of the conversation.
async fn messages(device: &mut Device, count: usize) -> Vec<Message> {
    let mut found: Vec<Message> = Vec::new();
    while found.len() < count {
        match chat_event(device).await {
            ServerEvent::Message(keyed) => {
                assert_eq!(keyed.key, keyed.message.id.to_string());
                if found.iter().all(|known| known.id != keyed.message.id) {
                    found.push(keyed.message);
                }
            }
            ServerEvent::ConversationUpdated(_) | ServerEvent::Receipt(_) | ServerEvent::Notification(_) => {}
            other => panic!("{other:?}"),
        }
    }
    found
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.seq).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_hear_of_messages_in_their_order_and_others_hear_nothing() {
    let world = World::new().await;
    let [ann, bob, eve] = world.people(["ann", "bob", "eve"]).await;
    let (direct, group) = (ann.direct(bob.id).await.unwrap().id, ann.group("group", &[bob.id]).await.unwrap().id);
    for transport in ALL {
        let mut device = Device::new(transport, &world, &bob.token, None).await;
        let mut other = Device::new(Transport::Websocket, &world, &eve.token, None).await;
        let before = ann.conversation(direct).await.unwrap().last_seq;
        let mut sent = Vec::new();
        for number in 0..10 {
            sent.push(say(&ann, direct, &format!("{transport:?} {number}")).await);
        }
        let heard = messages(&mut device, 10).await;
        assert_eq!(numbers(&heard), (before + 1..=before + 10).collect::<Vec<_>>());
        assert_eq!(heard, sent, "what is pushed is what is read");
        let in_group = say(&ann, group, &format!("{transport:?}")).await;
        // What was held while the session began may come once more.
        let new = async |device: &mut Device| loop {
            let heard = messages(device, 1).await.remove(0);
            if !sent.contains(&heard) {
                return heard;
            }
        };
        assert_eq!(new(&mut device).await, in_group);
        heard_nothing(&mut other).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_back_hears_what_they_missed_of_messages_and_changes_also_after_a_restart() {
    let mut world = World::new().await;
    let [mut ann, mut bob] = world.people(["ann", "bob"]).await;
    let (direct, group) = (ann.direct(bob.id).await.unwrap().id, ann.group("group", &[bob.id]).await.unwrap().id);
    say(&ann, direct, "seen").await;
    let mut cursors = Vec::new();
    for transport in ALL {
        let mut device = Device::new(transport, &world, &bob.token, None).await;
        let seen = say(&ann, direct, &format!("seen by {transport:?}")).await;
        while messages(&mut device, 1).await[0].id != seen.id {}
        cursors.push(device.cursor);
    }
    let missed = [say(&ann, direct, "missed").await, say(&ann, group, "missed in the group").await];
    ann.edit_message(direct, 1, "seen, and changed").await.unwrap();
    ann.recall_message(direct, 2).await.unwrap();
    for round in 0..2 {
        for cursor in &cursors {
            for transport in ALL {
                let mut device = Device::new(transport, &world, &bob.token, Some(cursor)).await;
                let (mut heard, mut changed, mut recalled) = (Vec::new(), Vec::new(), Vec::new());
                while heard.len() < 2 || changed.is_empty() || recalled.is_empty() {
                    match chat_event(&mut device).await {
                        ServerEvent::Message(keyed) if missed.iter().any(|one| one.id == keyed.message.id) => {
                            heard.push(keyed.message.id);
                        }
                        // What came while others were opened.
                        ServerEvent::Message(_) | ServerEvent::ConversationUpdated(_) => {}
                        ServerEvent::MessageChanged(one) => changed.push((one.after, one.change_seq, one.message.text)),
                        ServerEvent::MessageRecalled(one) => recalled.push((one.after, one.change_seq, one.seq)),
                        other => panic!("{transport:?}: {other:?}"),
                    }
                }
                assert_eq!(changed, [(0, 1, "seen, and changed".to_owned())], "{transport:?}, round {round}");
                assert_eq!(recalled, [(1, 2, 2)]);
                heard.sort_unstable();
                heard.dedup();
                assert_eq!(heard.len(), 2, "each is told");
            }
        }
        world.restart(&mut [&mut ann, &mut bob]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_sent_by_a_frame_is_answered_to_its_device_and_told_to_the_others() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    let mut phone = Device::ws(&world, &ann.token).await;
    let mut desk = Device::ws(&world, &ann.token).await;
    let mut bobs = Device::ws(&world, &bob.token).await;
    let frame =
        |client: &str, text: &str| json!({ "conversation_id": id, "client_id": client, "kind": "text", "text": text });
    for number in 1..=5_u64 {
        let reply = phone.ask(number, "message.send", frame(&format!("c{number}"), "hello")).await;
        let message: Message = serde_json::from_value(reply.data.unwrap()).unwrap();
        assert_eq!(message.seq, number);
    }
    let again = phone.ask(6, "message.send", frame("c5", "hello")).await;
    assert_eq!(again.data.unwrap()["seq"], 5, "a repeat is the same message");
    assert_eq!(numbers(&messages(&mut desk, 5).await), [1, 2, 3, 4, 5]);
    assert_eq!(numbers(&messages(&mut bobs, 5).await), [1, 2, 3, 4, 5]);
    // The device that sent them hears of the next one first.
    say(&bob, id, "from bob").await;
    assert_eq!(numbers(&messages(&mut phone, 1).await), [6]);
    for (kind, data, field) in [
        ("message.send", frame("", "a"), "client_id"),
        ("message.send", frame("x", ""), "text"),
        ("message.send", json!({ "conversation_id": id, "kind": "text", "text": "a" }), "data"),
        ("read", json!({ "seq": 1 }), "data.conversation_id"),
        ("read", json!({ "conversation_id": id, "seq": 99 }), "seq"),
    ] {
        let reply = phone.ask(9, kind, data).await;
        let error = reply.error.unwrap();
        assert!(error.errors[0].field.starts_with(field), "{kind}: {error:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn marks_and_who_writes_are_told_to_the_others() {
    let world = World::new().await;
    let [ann, bob] = world.people(["ann", "bob"]).await;
    let id = ann.direct(bob.id).await.unwrap().id;
    say(&ann, id, "hello").await;
    let mut anns = Device::ws(&world, &ann.token).await;
    let mut bobs = Device::ws(&world, &bob.token).await;
    bobs.ask(1, "typing", json!({ "conversation_id": id })).await;
    let ServerEvent::Typing(typing) = anns.until("typing").await.event().unwrap() else { panic!() };
    assert_eq!((typing.conversation_id, typing.user_id), (id, Some(bob.id)));
    bobs.ask(2, "delivered", json!({ "conversation_id": id, "seq": 1 })).await;
    let ServerEvent::Receipt(receipt) = anns.until("receipt").await.event().unwrap() else { panic!() };
    assert_eq!((receipt.receipts[0].user_id, receipt.receipts[0].delivered_seq), (bob.id, 1));
    bobs.ask(3, "read", json!({ "conversation_id": id, "seq": 1 })).await;
    let ServerEvent::Receipt(receipt) = anns.until("receipt").await.event().unwrap() else { panic!() };
    assert_eq!((receipt.receipts[0].read_seq, receipt.receipts[0].delivered_seq), (1, 1));
    assert_eq!(bob.conversation(id).await.unwrap().unread_count, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_removed_hears_that_as_the_last_and_who_may_not_see_a_message_hears_no_change_of_it() {
    let world = World::new().await;
    let [ann, bob, cid] = world.people(["ann", "bob", "cid"]).await;
    let id = ann.group("group", &[bob.id]).await.unwrap().id;
    let early = say(&ann, id, "early").await;
    ann.add_member(id, cid.id).await.unwrap();
    let mut bobs = Device::ws(&world, &bob.token).await;
    let mut cids = Device::ws(&world, &cid.token).await;
    ann.edit_message(id, early.seq, "early, changed").await.unwrap();
    let answer = fanfare_protocol::NewMessage { reply_to: Some(early.seq), ..text_message("quote", "as I said") };
    ann.send_message(id, &answer).await.unwrap();
    let changed = loop {
        match chat_event(&mut bobs).await {
            ServerEvent::MessageChanged(changed) => break changed,
            // What a session missed while it began comes with messages first.
            ServerEvent::Message(quote) => assert_eq!(quote.message.text, "as I said"),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(changed.message.text, "early, changed");
    let heard = messages(&mut cids, 1).await;
    let quote = heard[0].reply_to.as_ref().unwrap();
    assert!(quote.text.is_empty() && quote.sender_id.is_none(), "not what cid may not see: {quote:?}");
    ann.remove_member(id, cid.id).await.unwrap();
    say(&ann, id, "without cid").await;
    let ServerEvent::ConversationUpdated(updated) = chat_event(&mut cids).await else { panic!("the end is told") };
    assert!(updated.left && updated.conversation_id == id);
    heard_nothing(&mut cids).await;
}
