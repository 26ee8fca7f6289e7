//! Chat over storage that fails: what a send is answered by call and by frame, and that what stands on damage is
//! refused and all else goes on.

use bytes::Bytes;
use fanfare::base::clock::Clock;
use fanfare::data::families::CHAT;
use fanfare::data::tables;
use fanfare::data::tables::chat as keys;
use fanfare_client::{Client, MessagePlace, Upload, media_message, text_message};
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::{Code, Id, Message, MessageKind, NewUser, Session, Transport};
use serde_json::json;

use super::log::append_to;
use super::storage::back;
use super::{Ground, Served};
use crate::realtime::device::Device;
use crate::world::{PASSWORD, eventually, problem_of, raw, refused};

/// Groups, so many that some are in each partition.
const GROUPS: usize = 24;

/// Ann, and groups of hers with a message in each.
async fn groups(server: &Served) -> (Session, Client, Vec<Id>) {
    let new = NewUser { handle: "ann".to_owned(), password: PASSWORD.to_owned(), display_name: None };
    let session = server.anyone.register(&new).await.unwrap();
    let (ann, mut groups) = (server.anyone.with_token(&session.token), Vec::new());
    for number in 0..GROUPS {
        let group = ann.group(&number.to_string(), &[]).await.unwrap().id;
        ann.send_message(group, &text_message("before", "before")).await.unwrap();
        groups.push(group);
    }
    (session, ann, groups)
}

async fn device(server: &Served, token: &str) -> Device {
    Device::at(server.anyone.base(), Transport::Websocket, token, None).await
}

fn frame(conversation: Id, client_id: &str) -> serde_json::Value {
    json!({ "conversation_id": conversation, "client_id": client_id, "kind": "text", "text": client_id })
}

/// Sends over HTTP; the code of the problem, and `Retry-After`.
async fn refused_send(ann: &Client, group: Id, client_id: &str) -> (Code, String) {
    let body = json!({ "client_id": client_id, "kind": "text", "text": client_id }).to_string();
    let headers = [("content-type", "application/json")];
    let answer = raw(ann, "POST", &format!("/v1/conversations/{group}/messages"), &headers, &body).await;
    (problem_of(&answer).code, answer.header("retry-after").to_owned())
}

/// All storage of the server ended, until a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_another_node_wrote_and_nobody_can_read_ends_its_partition_alone() {
    let ground = Ground::of_partitions(2, |settings| settings.http.request_timeout_s = 1);
    let server = ground.start(Clock::system()).await.serve().await;
    let (session, ann, groups) = groups(&server).await;
    let mut device = device(&server, &session.token).await;
    let partition = ground.stored.families.get(CHAT.name).unwrap().first;
    append_to(&ground, partition, &[r#"{"v":2,"record":{}}"#]).await;
    let (mut taken, mut refusals) = (0, 0);
    for (place, group) in groups.iter().enumerate() {
        match ann.send_message(*group, &text_message("after", "after")).await {
            Ok(_) => {
                taken += 1;
                assert_eq!(device.ask(1, "message.send", frame(*group, "again")).await.ok, Some(true));
            }
            Err(error) => {
                refusals += 1;
                // Of the first nobody knows what became of it.
                let first = refusals == 1 && error.problem().unwrap().code == Code::OutcomeUnknown;
                assert!(first || error.problem().unwrap().code == Code::Overloaded, "{place}: {error}");
                assert_eq!(refused_send(&ann, *group, "after").await, (Code::Overloaded, "1".to_owned()));
                let reply = device.ask(1, "message.send", frame(*group, "after")).await;
                assert_eq!(reply.error.unwrap().code, Code::Overloaded, "nothing was done");
            }
        }
        assert_eq!(ann.messages(*group, MessagePlace::Newest, 10).await.unwrap().items.last().unwrap().seq, 1);
    }
    assert!(taken > 0 && refusals > 0, "{taken} and {refusals}");
    ann.say("people go on").await.unwrap();
    let why = server.anyone.readyz().await.unwrap_err().problem().unwrap().detail.clone();
    assert!(why.contains("a part of the log cannot be read"), "{why}");
    server.stop().await;
}

/// Overwrites a row; answers what it was.
async fn overwrite(ground: &Ground, key: &RowKey, value: Bytes, version: u64) -> Bytes {
    let before = ground.stored.tables.get(key).await.unwrap().unwrap();
    let mut batch = Batch::default();
    batch.put_versioned(key.clone(), value, version);
    ground.stored.tables.write(batch).await.unwrap();
    before
}

/// All storage of the server ended with the first send to it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_conversation_refuses_what_stands_on_it_and_all_others_go_on() {
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 1);
    let server = ground.start(Clock::system()).await.serve().await;
    let (session, _, groups) = groups(&server).await;
    server.stop().await;
    let [damaged, beside] = [groups[0], groups[1]];
    let member = keys::member(damaged, session.user.id);
    for (turn, key) in
        [keys::of_conversation(keys::HEADS, damaged), keys::of_conversation(keys::INFOS, damaged), member]
            .iter()
            .enumerate()
    {
        let server = ground.begin(Clock::system()).await.unwrap().serve().await;
        eventually("it is ready", async || server.anyone.readyz().await.ok()).await;
        let ann = server.anyone.with_token(&session.token);
        let newest = server.app.core().log.newest().0;
        let before = overwrite(&ground, key, Bytes::from_static(b"{"), newest).await;
        let mut device = device(&server, &session.token).await;
        let client_id = format!("turn {turn}");
        assert_eq!(refused_send(&ann, damaged, &client_id).await, (Code::Overloaded, "1".to_owned()));
        let reply = device.ask(1, "message.send", frame(damaged, &client_id)).await;
        assert_eq!(reply.error.unwrap().code, Code::Overloaded);
        ann.send_message(beside, &text_message(&client_id, "beside")).await.unwrap();
        assert_eq!(device.ask(2, "message.send", frame(beside, &format!("frame {turn}"))).await.ok, Some(true));
        ann.say("people go on").await.unwrap();
        server.anyone.readyz().await.unwrap();
        let status = super::storage::status(&ground, &server).await;
        assert!(status["chat"]["refusals"]["damaged"].as_u64() >= Some(2), "{status}");
        // It is mended, and the same send is taken, with the next number.
        overwrite(&ground, key, before, server.app.core().log.newest().0 + 1).await;
        let reply = device.ask(3, "message.send", frame(damaged, &client_id)).await;
        let sent: Message = serde_json::from_value(reply.data.unwrap()).unwrap();
        assert_eq!(sent.seq, ann.conversation(damaged).await.unwrap().last_seq);
        server.stop().await;
    }
}

/// The first line of what a session sees when things go wrong.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_whose_outcome_is_unknown_is_said_to_be_and_the_same_one_again_is_that_message() {
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 1);
    let server = ground.start(Clock::system()).await.serve().await;
    let (session, ann, groups) = groups(&server).await;
    let group = groups[0];
    let before = ann.conversation(group).await.unwrap().last_seq;
    let mut device = device(&server, &session.token).await;
    server.blade.be_deaf(true);
    let (by_call, by_frame) =
        tokio::join!(refused_send(&ann, group, "call"), device.ask(1, "message.send", frame(group, "frame")));
    assert_eq!(by_call, (Code::OutcomeUnknown, "1".to_owned()));
    let by_frame = by_frame.error.unwrap();
    assert_eq!(by_frame.code, Code::OutcomeUnknown, "{by_frame:?}");
    assert!(by_frame.detail.contains("client_id"), "it says what to do: {by_frame:?}");
    assert_eq!(refused(server.anyone.readyz().await), Code::Overloaded);
    assert_eq!(refused_send(&ann, group, "later").await.0, Code::Overloaded, "later ones are refused at the door");
    let later = device.ask(2, "message.send", frame(group, "later")).await;
    assert_eq!(later.error.unwrap().code, Code::Overloaded);
    assert_eq!(ann.messages(group, MessagePlace::Newest, 1).await.unwrap().last_seq, before, "reads go on");
    server.blade.be_deaf(false);
    back(&ground, &server).await;
    let by_call = ann.send_message(group, &text_message("call", "call")).await.unwrap().value.seq;
    let reply = device.ask(3, "message.send", frame(group, "frame")).await;
    let by_frame: Message = serde_json::from_value(reply.data.unwrap()).unwrap();
    let mut seqs = [by_call, by_frame.seq];
    seqs.sort_unstable();
    assert_eq!(seqs, [before + 1, before + 2]);
    assert_eq!(ann.conversation(group).await.unwrap().last_seq, before + 2, "each stands once");
    server.stop().await;
}

/// Conversations that everybody had left before rows said so kept their files for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_left_before_rows_said_so_is_found_once() {
    let ground = Ground::new(|_| ());
    let server = ground.start(Clock::system()).await.serve().await;
    let (session, ann, groups) = groups(&server).await;
    let [left, kept] = [groups[0], groups[1]];
    let mut seqs = Vec::new();
    for group in [left, kept] {
        let upload = Upload { filename: "a.txt", alt: None, bytes: b"words" };
        let media = ann.upload_for_messages(&upload).await.unwrap().id;
        let message = media_message("file", MessageKind::File, media);
        seqs.push(ann.send_message(group, &message).await.unwrap().value.seq);
    }
    ann.remove_member(left, session.user.id).await.unwrap();
    server.stop().await;
    // As an earlier version left it: there is no row that says so, and nobody has looked.
    let row = |name: &'static [u8]| RowKey::new(tables::CHAT_META, tables::ONE, Bytes::from_static(name));
    let (emptied, progress) = (keys::emptied(left), row(b"emptied_before"));
    assert!(ground.stored.tables.get(&progress).await.unwrap().is_some(), "the folder was looked through");
    for key in [&emptied, &progress] {
        let mut batch = Batch::default();
        batch.delete_versioned(key.clone(), u64::MAX - 1);
        ground.stored.tables.write(batch).await.unwrap();
    }
    ground.stored.tables.forget(&[keys::EMPTIED, tables::CHAT_META], u64::MAX).await.unwrap();
    let is_held = async |place: usize| {
        let key = keys::numbered(keys::MESSAGES, [left, kept][place], seqs[place]);
        let row: serde_json::Value =
            serde_json::from_slice(&ground.stored.tables.get(&key).await.unwrap().unwrap()).unwrap();
        !row["attachment"].is_null()
    };
    assert!(is_held(0).await && is_held(1).await);
    let life = ground.begin(Clock::system()).await.unwrap();
    life.clean().await;
    assert!(!is_held(0).await && is_held(1).await);
    let done = ground.stored.tables.get(&progress).await.unwrap();
    life.clean().await;
    assert!(done.is_some() && ground.stored.tables.get(&progress).await.unwrap() == done, "it is over");
    life.stop().await;
}
