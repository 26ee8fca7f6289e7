//! Request bodies: how large each may be, and what all of them may take while they arrive.

use fanfare_protocol::Code;
use serde_json::json;

use super::{Wire, head, status};
use crate::process::Process;
use crate::world::{World, json, problem_of};

const LOG_INS: usize = 300;
const MEMORY_MAX_KIB: u64 = 32 << 10;

/// A log-in for nobody, with white space up to `bytes`.
fn log_in(bytes: usize) -> Vec<u8> {
    let mut body = br#"{"handle": "nobody", "password": "correct horse"}"#.to_vec();
    body.resize(bytes, b' ');
    body
}

/// More memory that the server had at once while so many log-ins of `bytes` were under way, one byte short of whole, in
/// KiB; and the statuses of their answers once that byte had come.
async fn memory_of_unfinished(server: &Process, bytes: usize) -> (u64, Vec<u16>) {
    server.forget_memory_peak();
    let before = server.memory_peak_kib();
    let body = log_in(bytes);
    let mut wires = Vec::new();
    for _ in 0..LOG_INS {
        let mut wire = Wire::to(&server.address).await;
        wire.send(head("POST", "/v1/sessions", "", bytes)).await;
        wire.send(&body[..bytes - 1]).await;
        wires.push(wire);
    }
    for wire in &mut wires {
        wire.send(" ").await;
    }
    let mut statuses = Vec::new();
    for wire in &mut wires {
        statuses.push(status(&wire.answer().await));
    }
    (server.memory_peak_kib().saturating_sub(before), statuses)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_hundred_unfinished_log_ins_take_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    // Wrong passwords are not what is counted here.
    let settings = [
        ("FANFARE__AUTH__WRONG_PASSWORDS_PER_ACCOUNT", "10000"),
        ("FANFARE__AUTH__WRONG_PASSWORDS_PER_ADDRESS", "10000"),
    ];
    let server = Process::serve(folder.path(), &settings).await;
    for (bytes, expected) in [(1 << 20, 413), (16 << 10, 401)] {
        let (kib, statuses) = memory_of_unfinished(&server, bytes).await;
        println!("{LOG_INS} unfinished log-ins of {bytes} bytes took {kib} KiB");
        assert!(kib <= MEMORY_MAX_KIB, "{kib} KiB for {LOG_INS} log-ins of {bytes} bytes");
        // At the end of 300 at once the gate of hashes sheds some.
        assert!(statuses.iter().all(|status| [expected, 503].contains(status)), "{bytes}: {statuses:?}");
        assert!(statuses.contains(&expected), "{bytes}: {statuses:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_call_takes_as_much_as_it_needs_and_no_more() {
    let world = World::new().await;
    let ann = world.person("ann").await;
    let padded = |body: String, bytes: usize| format!("{body}{}", " ".repeat(bytes - body.len()));
    let id = json!({ "last_read_id": "1" }).to_string();
    let small = 16 << 10;
    for (method, path, body) in [
        ("POST", "/v1/users", json!({ "handle": "newcomer", "password": "correct horse" }).to_string()),
        ("POST", "/v1/sessions", json!({ "handle": "ann", "password": "correct horse" }).to_string()),
        ("PUT", "/v1/feed/read", id.clone()),
        ("PUT", "/v1/notifications/read", id),
        ("PATCH", "/v1/users/me", json!({ "bio": "\u{1f600}".repeat(500) }).to_string()),
        ("POST", "/v1/posts", json!({ "text": "hello" }).to_string()),
    ] {
        let large = json(&ann, method, path, &padded(body.clone(), small + 1)).await;
        assert_eq!(problem_of(&large).code, Code::PayloadTooLarge, "{method} {path}");
        let fits = json(&ann, method, path, &padded(body, small)).await;
        assert!(fits.status.is_success(), "{method} {path}: {fits:?}");
    }
    // The longest text, as the most wasteful writer would put it.
    let text = "\\ud83d\\ude00".repeat(500);
    assert_eq!(json(&ann, "POST", "/v1/posts", &format!("{{\"text\": \"{text}\"}}")).await.status, 201);
    let frames = |bytes: usize| padded("[]".to_owned(), bytes);
    assert_eq!(json(&ann, "POST", "/v1/realtime/send", &frames(64 << 10)).await.status, 200);
    let large = json(&ann, "POST", "/v1/realtime/send", &frames((64 << 10) + 1)).await;
    assert_eq!(problem_of(&large).code, Code::PayloadTooLarge);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn longer_texts_let_larger_posts_in() {
    let world = World::with(|settings| settings.posts.text_max = 5_000).await;
    let ann = world.person("ann").await;
    let text = "\\ud83d\\ude00".repeat(5_000);
    assert_eq!(json(&ann, "POST", "/v1/posts", &format!("{{\"text\": \"{text}\"}}")).await.status, 201);
    let large = format!("{{\"text\": \"a\"}}{}", " ".repeat(70_000));
    assert_eq!(problem_of(&json(&ann, "POST", "/v1/posts", &large).await).code, Code::PayloadTooLarge);
}
