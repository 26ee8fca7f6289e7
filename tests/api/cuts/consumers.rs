//! Consumers of the log that hold more than is to be kept, as operators see them.

use std::sync::Arc;

use fanfare::base::clock::Clock;
use fanfare::janitor::Janitor;
use fanfare_engines::{Partition, Position};
use serde_json::{Value, json};

use super::storage::{ann, status};
use super::{Ground, Served};
use crate::world::PASSWORD;

const BYTES_MAX: u64 = 1_000;

/// A round of the janitor of a server that keeps little.
async fn clean(server: &Served) {
    let media = Arc::new(server.app.media().clone());
    let (core, chat) = (server.app.core().clone(), server.app.chat().clone());
    let (links, clicks) = (server.app.links().clone(), server.app.clicks().clone());
    Janitor { core, chat, media, links, clicks, journal_bytes_max: BYTES_MAX, handle_reserved_days: 90 }
        .round()
        .await
        .unwrap();
}

async fn held_by(ground: &Ground, server: &Served) -> Value {
    status(ground, server).await["journal_held_by"].take()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_holds_the_journal_is_named_and_nothing_of_its_goes() {
    let ground = Ground::new(|_| ());
    let server = ground.start(Clock::system()).await.serve().await;
    ann(&server).await;
    server.app.core().consumers.register("effects").await.unwrap();
    server.stop().await;

    let server = ground.start(Clock::system()).await.serve().await;
    let ann = server.anyone.with_token(&server.anyone.log_in("ann", PASSWORD).await.unwrap().token);
    for number in 0..70 {
        ann.say(&format!("post {number}")).await.unwrap();
    }
    let all = ground.records().await.len();
    clean(&server).await;
    assert_eq!(ground.records().await.len(), all, "it holds while it does not run, too");
    let held = held_by(&ground, &server).await;
    assert_eq!((&held[0]["consumer"], &held[0]["partition"]), (&json!("effects"), &json!(0)), "{held}");
    assert!(held[0]["bytes"].as_u64() > Some(BYTES_MAX), "{held}");

    let end = ground.stored.journal.read(Partition(0), Position::START, 10_000).await.unwrap().next;
    server.app.core().consumers.done("effects", Partition(0), end).await.unwrap();
    clean(&server).await;
    assert!(ground.records().await.len() < all);
    let held = held_by(&ground, &server).await;
    assert!(held.as_array().unwrap().iter().all(|holder| holder["consumer"] != "effects"), "{held}");
    server.stop().await;
}
