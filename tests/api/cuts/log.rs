//! Logs that cannot be read: what this version does not know is not skipped, what is damaged is named, and a head that
//! is elsewhere is of another folder.

use bytes::Bytes;
use fanfare::base::clock::Clock;
use fanfare::data::families::CHAT;
use fanfare::log::owner::CONSUMER;
use fanfare::log::takers;
use fanfare_client::{ClientError, MessagePlace, text_message};
use fanfare_engines::claim::Claim;
use fanfare_engines::{Batch, Claimant, NewRecord, Offset, Partition, Position};
use fanfare_protocol::Code;
use serde_json::Value;

use super::storage::{ann, writes_refused};
use super::{Ground, Life};
use crate::world::{PASSWORD, eventually, refused};

const P: Partition = Partition(0);

/// A log with an account in it, and its end.
async fn ground() -> (Ground, Offset) {
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 1);
    let server = ground.start(Clock::system()).await.serve().await;
    ann(&server).await.say("hello").await.unwrap();
    server.stop().await;
    let (_, end) = ground.stored.journal.bounds(P).await.unwrap();
    (ground, end)
}

/// Appends what is no record of this version, as another one would.
async fn append(ground: &Ground, payloads: &[&str]) {
    append_to(ground, P, payloads).await;
}

async fn append_to(ground: &Ground, partition: Partition, payloads: &[&str]) {
    let claimant = Claimant { node: "another".to_owned(), is_import: false };
    let mut log = Claim::take(ground.stored.journal.clone(), partition, claimant).await.unwrap();
    let first = log.position().last_id + 1;
    let payloads = payloads.iter().map(|payload| Bytes::from((*payload).to_owned()));
    let records: Vec<_> = (first..).zip(payloads).map(|(id, payload)| NewRecord { id, payload }).collect();
    log.append(&records, &Batch::default()).await.unwrap();
}

/// An unknown kind ended the process at the start, without its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_cannot_be_read_stops_what_would_follow_it_and_nothing_else() {
    for bad in [r#"{"id":"9007199254740993","type":"teleported"}"#, r#"{"id":"1","#, "\u{0}\u{7f}"] {
        let (ground, end) = ground().await;
        let after = r#"{"id":"9007199254740994","type":"unblocked","blocker":"1","blocked":"2"}"#;
        append(&ground, &[bad, after]).await;
        for _ in 0..2 {
            let server = ground.begin(Clock::system()).await.unwrap().serve().await;
            assert_eq!(refused(server.anyone.readyz().await), Code::Overloaded);
            assert!(writes_refused(&ground, &server).await);
            assert_eq!(refused(server.anyone.log_in("ann", PASSWORD).await), Code::Overloaded);
            let ann = server.anyone.user("@ann").await.unwrap();
            assert_eq!(ann.posts_count, 1, "what was read before is served");
            server.stop().await;
            let head = ground.stored.journal.checkpoint_of(CONSUMER, P).await.unwrap();
            assert!(head.offset <= end, "it is not skipped");
        }
    }
}

async fn why_it_does_not_start(ground: &Ground) -> String {
    match ground.begin(Clock::system()).await {
        Ok(Life { .. }) => panic!("it starts"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_head_that_is_not_within_its_log_is_named_and_refused() {
    let (ground, end) = ground().await;
    ground.stored.journal.checkpoint(CONSUMER, P, Position::at(Offset(end.0 + 30))).await.unwrap();
    let why = why_it_does_not_start(&ground).await;
    let place = format!("at {}, is beyond the log's end", end.0 + 30);
    assert!(why.contains("journal partition 0") && why.contains(&place), "{why}");

    let ground = Ground::new(|_| ());
    append(&ground, &["{}"; 4]).await;
    ground.stored.journal.trim(P, 2, &[]).await.unwrap();
    let why = why_it_does_not_start(&ground).await;
    assert!(why.contains("at 0, is before the log's first record"), "{why}");
}

/// Records that others were not told of are gone: counts and lists would lack what followed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn effects_from_a_source_that_is_gone_are_named_and_refused() {
    let ground = Ground::of_partitions(3, |settings| settings.http.request_timeout_s = 1);
    let server = ground.start(Clock::system()).await.serve().await;
    let ann = ann(&server).await;
    for number in 0..8 {
        ann.say(&number.to_string()).await.unwrap();
    }
    let source = server.app.core().log.partition_of(ann.me().await.unwrap().id);
    server.stop().await;
    let told = ground.stored.journal.checkpoint_of(takers::CONSUMER, source).await.unwrap().offset;
    ground.stored.journal.trim(source, 0, &[]).await.unwrap();
    let why = why_it_does_not_start(&ground).await;
    let named = format!("journal partition {}: others were told what follows up to {}", source.0, told.0);
    assert!(why.contains(&named) && why.contains("restore the folder from a backup"), "{why}");
}

/// Groups, so many that some are in each partition.
const GROUPS: usize = 24;

/// Lines of chat that a later version may write: a record of another kind, and one of another form.
async fn later_lines(ground: &Ground, partition: Partition) -> [String; 2] {
    let page = ground.stored.journal.read(partition, Position::START, 1).await.unwrap();
    let line: Value = serde_json::from_slice(&page.records[0].payload).unwrap();
    let (mut kind, mut form) = (line.clone(), line);
    kind["record"]["act"]["type"] = "teleported".into();
    form["v"] = 2.into();
    [kind.to_string(), form.to_string()]
}

/// Nothing but a line in the log told of it: `/readyz` said that all was well, and nobody could say anything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_of_chat_that_cannot_be_read_stops_its_partition_alone_and_is_told() {
    for which in 0..2 {
        let ground = Ground::of_partitions(2, |settings| settings.http.request_timeout_s = 1);
        let server = ground.start(Clock::system()).await.serve().await;
        let (ann, mut groups) = (ann(&server).await, Vec::new());
        for number in 0..GROUPS {
            let group = ann.group(&number.to_string(), &[]).await.unwrap().id;
            ann.send_message(group, &text_message("before", "before")).await.unwrap();
            groups.push(group);
        }
        server.stop().await;
        let partition = ground.stored.families.get(CHAT.name).unwrap().first;
        let later = later_lines(&ground, partition).await;
        append_to(&ground, partition, &[&later[which]]).await;
        let (_, end) = ground.stored.journal.bounds(partition).await.unwrap();
        for turn in 0..2 {
            let server = ground.begin(Clock::system()).await.unwrap().serve().await;
            let session = server.anyone.log_in("ann", PASSWORD).await.unwrap();
            let ann = server.anyone.with_token(&session.token);
            let why = eventually("it is told", async || match server.anyone.readyz().await {
                Err(ClientError::Problem(problem)) if !problem.detail.contains("starting") => Some(problem.detail),
                _ => None,
            });
            assert!(why.await.contains("a part of the log cannot be read"));
            let (mut taken, mut refusals) = (0, 0);
            for group in &groups {
                let text = format!("after {turn}");
                match ann.send_message(*group, &text_message(&text, &text)).await {
                    Ok(_) => taken += 1,
                    Err(error) => {
                        assert_eq!(refused::<()>(Err(error)), Code::Overloaded, "nothing was done");
                        refusals += 1;
                    }
                }
                let page = ann.messages(*group, MessagePlace::Newest, 10).await.unwrap();
                assert!(page.items.iter().any(|message| message.text == "before"), "it is read");
            }
            assert!(taken > 0 && refusals > 0, "{taken} and {refusals}");
            ann.say("hello").await.unwrap();
            server.stop().await;
            let behind = ground.stored.journal.read(partition, Position::at(end), 1).await.unwrap();
            assert!(behind.records.is_empty(), "nothing is written behind it");
        }
    }
}
