//! Sessions on several nodes behind a plain balancer: whichever node has them, they are let in, hear everything once,
//! and ask for everything.

use std::collections::BTreeSet;

use fanfare_client::{Client, text_message};
use fanfare_protocol::{Code, Id, Message, ServerEvent, ServerFrame, Session, Ticket, Transport};
use serde_json::{Value, json};

use super::Nodes;
use crate::realtime::device::{Device, poll};
use crate::world::{eventually, json as send_json, problem_of, raw, refused};

async fn device(nodes: &Nodes, node: usize, who: &Session) -> Device {
    Device::at(nodes.each[node].anyone.base(), Transport::Websocket, &who.token, None).await
}

async fn ticket(client: &Client) -> String {
    raw(client, "POST", "/v1/realtime/tickets", &[], "").await.json::<Ticket>().unwrap().ticket
}

/// The next frame of a type whose data are such; others are passed over.
async fn until(device: &mut Device, kind: &str, is_it: impl Fn(&Value) -> bool) -> ServerFrame {
    loop {
        let frame = device.until(kind).await;
        if frame.data.as_ref().is_some_and(&is_it) {
            return frame;
        }
    }
}

/// Messages that a device hears up to one with this text, each once by key.
async fn messages(device: &mut Device, known: &mut BTreeSet<String>, last: &str) -> Vec<Message> {
    let mut heard = Vec::new();
    loop {
        let ServerEvent::Message(told) = device.until("message").await.event().unwrap() else { panic!() };
        let is_last = told.message.text == last;
        if known.insert(told.key) {
            heard.push(told.message);
        }
        if is_last {
            return heard;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_one_node_opens_one_session_on_any_and_none_once_its_token_has_ended() {
    let nodes = Nodes::new(3, 1).await;
    let ann = nodes.person(0, "ann").await;
    for (made, used) in [(0, 1), (1, 2), (2, 0), (1, 1)] {
        let base = nodes.each[used].anyone.base();
        // Of what ended before it heard of anything a node that has just started knows nothing.
        let spent = eventually("it is let in", async || {
            let ticket = ticket(&nodes.at(made, &ann)).await;
            Device::by_ticket(base, &ticket).await.map(|_| ticket)
        });
        assert!(Device::by_ticket(base, &spent.await).await.is_none(), "good once");
    }
    let open = ticket(&nodes.at(0, &ann)).await;
    nodes.at(1, &ann).log_out().await.unwrap();
    let ended = async || nodes.at(2, &ann).me().await.is_err().then_some(());
    eventually("the node has heard that the token ended", ended).await;
    assert!(Device::by_ticket(nodes.each[2].anyone.base(), &open).await.is_none());
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_that_go_from_node_to_node_bring_everything_once() {
    let nodes = Nodes::new(3, 3).await;
    let (ann, ben) = (nodes.person(0, "ann").await, nodes.person(1, "ben").await);
    nodes.at(2, &ben).follow(ann.user.id).await.unwrap();
    let base = |node: usize| nodes.each[node].anyone.base().to_owned();
    let mut cursor = poll(&base(0), &ben.token, None, 0).await.cursor;
    let talk = nodes.at(0, &ann).direct(ben.user.id).await.unwrap().id;
    let (mut said, mut heard) = (BTreeSet::new(), BTreeSet::new());
    for round in 0..6_usize {
        let post = nodes.at(round % 3, &ann).say(&format!("post {round}")).await.unwrap().id;
        let message = text_message(&format!("m{round}"), "well");
        let message = nodes.at((round + 2) % 3, &ann).send_message(talk, &message).await.unwrap().value.id;
        said.extend([post, message]);
        // The next one waits on another node than where it was said, and than where the last one was.
        while !said.is_subset(&heard) {
            let answer = poll(&base((round + 1) % 3), &ben.token, Some(&cursor), 25).await;
            for frame in &answer.events {
                match frame.event().unwrap() {
                    ServerEvent::FeedPosts(posts) => heard.extend(posts.items.iter().map(|item| item.post.id)),
                    ServerEvent::Message(told) => drop(heard.insert(told.message.id)),
                    ServerEvent::Gap(_) | ServerEvent::Reset(_) => panic!("nothing is left out: {frame:?}"),
                    _ => {}
                }
            }
            cursor = answer.cursor;
        }
    }
    assert_eq!(heard, said);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_goes_on_between_sessions_of_different_nodes() {
    let nodes = Nodes::new(3, 3).await;
    let (ann, ben) = (nodes.person(0, "ann").await, nodes.person(1, "ben").await);
    let talk = nodes.at(2, &ann).direct(ben.user.id).await.unwrap().id;
    nodes.at(0, &ben).send_message(talk, &text_message("first", "hello")).await.unwrap();
    let mut anns = Vec::new();
    for node in 0..3 {
        anns.push((device(&nodes, node, &ann).await, BTreeSet::new()));
    }
    let mut bens = device(&nodes, 2, &ben).await;
    let (mut known, mut seq) = (BTreeSet::new(), 1);
    for node in 0..3 {
        // Ten at once, on whichever node decides or does not: in the order in which they were sent.
        let frame = |number: usize| {
            let id = format!("{node}-{number}");
            let data = json!({ "conversation_id": talk, "client_id": id, "kind": "text", "text": id });
            json!({ "ref": number, "type": "message.send", "data": data }).to_string()
        };
        let (own, _) = &mut anns[node];
        for number in 0..10 {
            own.send(frame(number)).await;
        }
        for number in 0..10 {
            let reply = own.until("reply").await;
            assert_eq!((reply.reference, reply.ok), (Some(number), Some(true)), "{reply:?}");
            seq += 1;
            assert_eq!(reply.data.as_ref().map(|data| data["seq"].as_u64()), Some(Some(seq)));
        }
        let expected: Vec<String> = (0..10).map(|number| format!("{node}-{number}")).collect();
        let texts = |heard: Vec<Message>| heard.into_iter().map(|message| message.text).collect::<Vec<_>>();
        let heard = messages(&mut bens, &mut known, &format!("{node}-9")).await;
        assert_eq!(texts(heard.into_iter().filter(|message| message.text != "hello").collect()), expected);
        for (other, (device, known)) in anns.iter_mut().enumerate().filter(|(other, _)| *other != node) {
            let heard = messages(device, known, &format!("{node}-9")).await;
            // What it sent by another node it hears of with the others, beside the reply.
            let is_new = |message: &Message| message.text != "hello" && !message.text.starts_with(&format!("{other}-"));
            let heard = heard.into_iter().filter(is_new).collect();
            assert_eq!(texts(heard), expected, "a device of the same person on node {other}");
        }
    }
    // What no record tells of.
    let reply = bens.ask(40, "typing", json!({ "conversation_id": talk })).await;
    assert_eq!(reply.ok, Some(true), "{reply:?}");
    let read = bens.ask(41, "read", json!({ "conversation_id": talk, "seq": seq })).await;
    assert_eq!(read.ok, Some(true), "{read:?}");
    for (device, _) in &mut anns {
        until(device, "typing", |data| data["user_id"] == json!(ben.user.id)).await;
        until(device, "receipt", |data| data["receipts"][0]["read_seq"] == json!(seq)).await;
    }
    let newest = nodes.at(0, &ann).say("read").await.unwrap().id;
    let read = json!({ "ref": 42, "type": "feed.read", "data": { "last_read_id": newest } }).to_string();
    let read = send_json(&nodes.at(1, &ann), "POST", "/v1/realtime/send", &read).await;
    assert!(read.status.is_success(), "{read:?}");
    for (device, _) in &mut anns {
        until(device, "feed.read", |data| data["last_read_id"] == json!(newest)).await;
    }
    nodes.stop().await;
}

/// A block is of people's log, and what it ends of chat's: of three nodes at least two decide about others than chat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_ends_what_may_be_said_whichever_node_decides_about_the_conversation() {
    let nodes = Nodes::new(3, 3).await;
    for node in 0..3 {
        let (one, other) = (format!("ann{node}"), format!("ben{node}"));
        let (ann, ben) = (nodes.person(node, &one).await, nodes.person((node + 1) % 3, &other).await);
        let talk = nodes.at(node, &ann).direct(ben.user.id).await.unwrap().id;
        nodes.at(node, &ben).send_message(talk, &text_message("one", "hello")).await.unwrap();
        assert!(nodes.at(node, &ann).block(ben.user.id).await.unwrap().blocking);
        let refusal = nodes.at(node, &ben).send_message(talk, &text_message("two", "still?")).await;
        assert_eq!(refused(refusal), Code::Forbidden);
        assert!(!nodes.at((node + 2) % 3, &ann).unblock(ben.user.id).await.unwrap().blocking);
        nodes.at(node, &ben).send_message(talk, &text_message("three", "again")).await.unwrap();
    }
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_over_http_reach_a_session_of_another_node_and_none_that_is_somebody_elses() {
    let nodes = Nodes::new(3, 1).await;
    let (ann, ben) = (nodes.person(0, "ann").await, nodes.person(1, "ben").await);
    let mut anns = device(&nodes, 2, &ann).await;
    let session = anns.hello.session_id;
    let path = |session: Id| format!("/v1/realtime/send?session_id={session}");
    let watch = json!({ "ref": 1, "type": "presence.watch", "data": { "user_ids": [ben.user.id] } }).to_string();
    let watched = eventually("the way to the session is known", async || {
        let answer = send_json(&nodes.at(0, &ann), "POST", &path(session), &watch).await;
        answer.status.is_success().then_some(answer)
    });
    let reply: Value = watched.await.json().unwrap();
    assert_eq!((&reply["ok"], &reply["data"]["items"][0]["online"]), (&json!(true), &json!(false)), "{reply}");
    // Somebody who comes to a third node.
    let bens = device(&nodes, 1, &ben).await;
    until(&mut anns, "presence", |data| data.to_string().contains("\"online\":true")).await;
    for node in 0..3 {
        let path = format!("/v1/presence?user_ids={},{}", ann.user.id, ben.user.id);
        let are_online = async || {
            let seen: Value = raw(&nodes.at(node, &ann), "GET", &path, &[], "").await.json().unwrap();
            (seen.to_string().matches("\"online\":true").count() == 2).then_some(())
        };
        eventually("both are online on every node", are_online).await;
    }
    drop(bens);
    let stranger = send_json(&nodes.at(0, &ben), "POST", &path(session), &watch).await;
    let refused: Value = stranger.json().unwrap();
    assert_eq!((&refused["ok"], &refused["error"]["code"]), (&json!(false), &json!("not_found")), "{refused}");
    let nowhere = send_json(&nodes.at(0, &ann), "POST", &path(Id(7)), &watch).await;
    assert_eq!(problem_of(&nowhere).code, Code::NotFound);
    nodes.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operators_event_reaches_the_sessions_of_all_nodes() {
    let nodes = Nodes::new(3, 1).await;
    let ann = nodes.person(0, "ann").await;
    let mut devices = Vec::new();
    for node in 0..3 {
        devices.push(device(&nodes, node, &ann).await);
    }
    let token = std::fs::read_to_string(nodes.tokens.path().join("admin.token")).unwrap();
    let operator = nodes.each[1].anyone.with_token(token.trim());
    for audience in [json!({ "user_ids": [ann.user.id] }), json!({ "all": true })] {
        let mut event = json!({ "type": "shop.sale", "data": { "audience": audience } });
        event.as_object_mut().unwrap().extend(audience.as_object().unwrap().clone());
        let told = send_json(&operator, "POST", "/v1/admin/realtime/publish", &event.to_string()).await;
        assert!(told.status.is_success(), "{told:?}");
        for device in &mut devices {
            until(device, "shop.sale", |data| data["audience"] == audience).await;
        }
    }
    nodes.stop().await;
}
