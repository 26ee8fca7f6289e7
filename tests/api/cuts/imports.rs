//! Imports over engines that others share: refused while somebody lives there, and marked as what they are.

use fanfare::base::clock::Clock;
use fanfare::log::owner::CONSUMER;
use fanfare_engines::Partition;

use super::storage::ann;
use super::{Ground, Life};

/// Whether the newest claim is an import's.
async fn is_import(ground: &Ground) -> bool {
    ground.stored.journal.checkpoint_of(CONSUMER, Partition(0)).await.unwrap().is_import
}

/// The import's claim fenced the server, whose callers were then refused until a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_is_refused_while_a_server_lives_and_claims_as_what_it_is_after_that() {
    let ground = Ground::new(|_| ());
    let server = ground.start(Clock::system()).await.serve().await;
    let ann = ann(&server).await;
    let by_hand = || Clock::by_hand(Clock::system().now_ms());
    for _ in 0..2 {
        let why = match ground.begin(by_hand()).await {
            Ok(Life { .. }) => panic!("it starts"),
            Err(error) => error.to_string(),
        };
        assert!(why.contains("is alive on this data") && why.contains("stop that server"), "{why}");
        ann.say("undisturbed").await.unwrap();
    }
    server.stop().await;
    assert!(!is_import(&ground).await);

    ground.begin(by_hand()).await.unwrap().stop().await;
    assert!(is_import(&ground).await, "its ids may be of any time");
    ground.begin(Clock::system()).await.unwrap().stop().await;
    assert!(!is_import(&ground).await, "who comes after it is nobody special");
}
