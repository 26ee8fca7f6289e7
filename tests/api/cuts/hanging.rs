//! Storage that hangs: a disk that answers nothing, not even an error, and what goes on beside it.

use std::sync::atomic::Ordering;

use fanfare::base::clock::Clock;
use fanfare::data::rows::MarkerRow;
use fanfare::data::tables::{self, Marker};
use fanfare_client::{MessagePlace, Paging, Upload};
use fanfare_engines::Batch;
use fanfare_protocol::{Code, Id, NewUser, Problem, Reply, Transport};
use serde_json::json;

use super::Ground;
use super::storage::{ann, back, served, writes_refused};
use crate::realtime::device::Device;
use crate::world::{PASSWORD, eventually, json, problem_of, refused};

/// Storage that hung was never away: writes were let in, one after the other, and took the places of reads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_that_hangs_is_away_until_it_answers() {
    for first in ["a log-in", "an upload", "a post", "a marker"] {
        let (ground, server) = served().await;
        let ann = ann(&server).await;
        ann.say("before").await.unwrap();
        let held = server.blade.hold().await;
        let (uploader, file) = (ann.clone(), Upload { filename: "a.txt", alt: None, bytes: b"text" });
        // An upload may take longer than other requests: it is heard of at the end.
        let upload = (first == "an upload").then(|| tokio::spawn(async move { uploader.upload(&file).await.is_ok() }));
        let met = async {
            match first {
                "an upload" => Code::OutcomeUnknown,
                "a log-in" => refused(server.anyone.log_in("ann", PASSWORD).await),
                "a post" => problem_of(&json(&ann, "POST", "/v1/posts", r#"{"text":"on its way"}"#).await).code,
                _ => problem_of(&json(&ann, "PUT", "/v1/notifications/read", r#"{"last_read_id":"7"}"#).await).code,
            }
        };
        let (met, ()) = tokio::join!(met, async {
            eventually("it is away", async || server.anyone.readyz().await.err()).await;
        });
        assert_eq!(met, Code::OutcomeUnknown, "{first}");
        assert!(writes_refused(&ground, &server).await, "{first}");
        let at_once = json(&ann, "POST", "/v1/posts", r#"{"text":"y"}"#).await;
        assert_eq!((problem_of(&at_once).code, at_once.header("retry-after")), (Code::Overloaded, "1"), "{first}");
        assert_eq!(ann.me().await.unwrap().posts_count, 1, "{first}: it is read");
        drop(held);
        back(&ground, &server).await;
        let posts = if first == "a post" { 2 } else { 1 };
        let told = async || (ann.me().await.unwrap().posts_count == posts).then_some(());
        eventually("what was on its way is done, and nothing else", told).await;
        if let Some(upload) = upload {
            assert!(upload.await.unwrap(), "the upload is done");
        }
        server.stop().await;
    }
}

/// Reads that hung were noticed by nobody as long as nobody wrote.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_that_hangs_is_heard_of_though_nobody_writes() {
    // Whoever asks waits for longer than it takes to notice.
    let ground = Ground::new(|settings| settings.http.request_timeout_s = 30);
    let server = ground.start(Clock::system()).await.serve().await;
    let ann = ann(&server).await;
    let held = server.blade.freeze().await;
    let reader = ann.clone();
    let read = tokio::spawn(async move { reader.notifications(Paging::first(10)).await });
    eventually("it is away", async || server.anyone.readyz().await.err()).await;
    drop(held);
    eventually("it is back", async || server.anyone.readyz().await.ok()).await;
    assert_eq!(read.await.unwrap().unwrap().unread_count, 0);
    ann.say("after").await.unwrap();
    server.stop().await;
}

/// A marker of a clock that was ahead is moved where it is read first, and that was answered 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_needs_no_writes() {
    for how in ["away", "full", "hangs"] {
        let (ground, server) = served().await;
        let ann = ann(&server).await;
        let me = ann.me().await.unwrap().id;
        let ahead = MarkerRow { last_read: Id(i64::MAX as u64), version: 1 };
        let mut rows = Batch::default();
        rows.put_versioned(tables::marker_row(me, Marker::Notifications), ahead.to_bytes(), ahead.version);
        ground.stored.tables.write(rows).await.unwrap();
        let held = match how {
            "away" => {
                server.blade.be_deaf(true);
                None
            }
            "full" => {
                ground.free_bytes.store(99, Ordering::SeqCst);
                None
            }
            _ => Some(server.blade.hold().await),
        };
        eventually("it is met", async || ann.say("more").await.err()).await;
        let page = eventually("it is read", async || ann.notifications(Paging::first(10)).await.ok()).await;
        assert_eq!(page.unread_count, 0, "{how}: {page:?}");
        if how != "hangs" {
            ann.notifications(Paging::first(10)).await.unwrap();
        }
        drop(held);
        server.blade.be_deaf(false);
        ground.free_bytes.store(u64::MAX, Ordering::SeqCst);
        server.stop().await;
    }
}

/// Whoever shared a lock with somebody whose write hung waited for as long, and in the way of others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_over_storage_that_hangs_holds_nobody_up() {
    let (ground, server) = served().await;
    let ann = ann(&server).await;
    let post = ann.say("before").await.unwrap();
    let held = server.blade.hold().await;
    let like = format!("/v1/posts/{}/like", post.id);
    assert_eq!(problem_of(&json(&ann, "PUT", &like, "").await).code, Code::OutcomeUnknown);
    eventually("it is away", async || server.anyone.readyz().await.err()).await;
    // The same locks as the first.
    assert_eq!(refused(ann.like(post.id).await), Code::Overloaded, "nothing was begun");
    assert_eq!(refused(ann.unlike(post.id).await), Code::Overloaded, "nothing was begun");
    drop(held);
    back(&ground, &server).await;
    let told = async || (ann.post(post.id).await.unwrap().like_count == 1).then_some(());
    eventually("the first is done", told).await;
    server.stop().await;
}

/// Bytes of a frame, at most, and frames of a session and bytes of the node that may be under way.
const FRAME_BYTES: usize = 64 << 10;
const OF_SESSION: usize = 64;
const OF_NODE_BYTES: usize = 32 << 20;

/// A frame that sends the message `number`, as long as a frame may be.
fn long_frame(conversation: Id, number: usize) -> String {
    let data = json!({ "conversation_id": conversation, "client_id": number.to_string(), "kind": "text", "text": "x" });
    let frame = json!({ "ref": number, "type": "message.send", "data": data }).to_string();
    let padding = " ".repeat(FRAME_BYTES - frame.len());
    frame + &padding
}

/// Fails unless a frame was refused because there are too many.
fn is_too_many(error: Option<Problem>) {
    let error = error.unwrap();
    let told = (error.code, error.retry_after_s, error.detail.contains("too many frames"));
    assert_eq!(told, (Code::Overloaded, Some(1), true), "{error:?}");
}

/// Frames that waited for a disk were bounded by their number alone, and those over HTTP not at all: one session had
/// room for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_beyond_what_a_session_and_the_node_may_have_under_way_are_refused_and_not_done() {
    let ground = Ground::new(|settings| (settings.realtime.messages_per_s, settings.chat.messages_per_s) = (10_000, 0));
    let server = ground.start(Clock::system()).await.serve().await;
    let register = async |handle: &str| {
        let new = NewUser { handle: handle.to_owned(), password: PASSWORD.to_owned(), display_name: None };
        server.anyone.register(&new).await.unwrap()
    };
    let (session, bob) = (register("ann").await, register("bob").await.user.id);
    let ann = server.anyone.with_token(&session.token);
    let conversation = ann.direct(bob).await.unwrap().id;
    let connect = async || Device::at(server.anyone.base(), Transport::Websocket, &session.token, None).await;
    let mut devices = Vec::new();
    for _ in 0..=OF_NODE_BYTES / FRAME_BYTES / OF_SESSION {
        devices.push(connect().await);
    }
    let (mut last, mut numbers) = (devices.pop().unwrap(), 1..);
    let held = server.blade.hold().await;
    for device in &mut devices {
        for number in numbers.by_ref().take(OF_SESSION) {
            device.send(long_frame(conversation, number)).await;
        }
        // One more of the session is refused at once, before any other is answered.
        is_too_many(device.ask(9_999, "typing", json!({ "conversation_id": conversation })).await.error);
    }
    // The node has no room for another's either, by whatever it comes; what costs nothing is answered.
    let first = numbers.next().unwrap();
    last.send(long_frame(conversation, first)).await;
    is_too_many(last.until("reply").await.error);
    assert_eq!(last.ask(9_999, "ping", json!({})).await.ok, Some(true));
    let one = json!({ "ref": 1, "type": "typing", "data": { "conversation_id": conversation } }).to_string();
    let answer = json(&ann, "POST", "/v1/realtime/send", &one).await;
    is_too_many(answer.json::<Reply>().unwrap().error);
    drop(held);
    let mut placed = 0;
    for device in &mut devices {
        for _ in 0..OF_SESSION {
            let reply = device.until("reply").await;
            // Where this took long, the disk was found to hang, and the later ones were refused for that.
            let why = reply.error.as_ref().map(|error| error.detail.contains("storage"));
            assert!(why != Some(false), "{reply:?}");
            placed += u64::from(reply.ok == Some(true));
        }
    }
    back(&ground, &server).await;
    assert!(placed > 0);
    let page = ann.messages(conversation, MessagePlace::Newest, 1).await.unwrap();
    assert_eq!(page.last_seq, placed, "what was refused is not there");
    last.send(long_frame(conversation, first)).await;
    assert_eq!(last.until("reply").await.ok, Some(true), "and there is room again");
    server.stop().await;
}
