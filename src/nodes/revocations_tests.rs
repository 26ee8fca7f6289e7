//! Revocations over a bus that loses messages: whatever it does, nothing that ended is remembered for long.

use std::collections::BTreeSet;
use std::future::pending;

use fanfare_engines::hostile::{self, Faults};

use super::*;

#[test]
fn a_message_that_is_missing_shows_with_the_next() {
    let (mut heard, node): (_, Arc<str>) = (Heard::default(), "a".into());
    let mut take = |boot, number| heard.take(&node, (boot, number), 0);
    assert_eq!(take(7, 0), Lost::Nothing);
    assert_eq!(take(7, 1), Lost::Nothing);
    assert_eq!(take(7, 3), Lost::Something);
    assert_eq!(take(7, 4), Lost::Nothing);
    assert_eq!(take(8, 0), Lost::Something, "another life: the last words of the one before");
    assert_eq!(Heard::default().take(&node, (7, 5), 0), Lost::Earlier);
}

#[test]
fn whoever_is_not_heard_of_for_long_is_silent() {
    let (mut heard, nodes): (_, [Arc<str>; 2]) = (Heard::default(), ["a".into(), "b".into()]);
    assert!(!heard.is_silent(&nodes, 0, SILENT_MS));
    heard.take(&nodes[0], (1, 0), SILENT_MS);
    assert!(heard.is_silent(&nodes, 0, SILENT_MS + 1), "the other was never heard");
    heard.take(&nodes[1], (1, 0), SILENT_MS);
    assert!(!heard.is_silent(&nodes, 0, SILENT_MS + 1));
    assert!(heard.is_silent(&nodes, 0, 2 * SILENT_MS + 1));
}

/// Time passes, which costs nothing: the clock is stopped.
async fn passes(ms: u64) {
    let _ = tokio::time::timeout(Duration::from_millis(ms), pending::<()>()).await;
}

/// Tokens that a node takes for good, by what it remembers.
#[derive(Default)]
struct Remembers {
    tokens: Mutex<BTreeSet<u8>>,
    sessions: Mutex<BTreeSet<u8>>,
}

#[async_trait]
impl Forgets for Remembers {
    async fn ended(&self, ended: Revocation) {
        if let Revocation::Token { hash, .. } = ended {
            self.tokens.lock().remove(&hash[0]);
            self.sessions.lock().remove(&hash[0]);
        }
    }

    fn forget_all(&self) {
        self.tokens.lock().clear();
    }

    async fn come_back(&self) {
        self.sessions.lock().clear();
    }
}

#[tokio::test(start_paused = true)]
async fn what_ended_is_remembered_nowhere_whatever_the_bus_loses() {
    for seed in 0..20 {
        let engines = hostile::open(seed, 1, Faults { lost_messages: 30, ..Faults::NONE }).unwrap();
        let (a, b): (Arc<str>, Arc<str>) = ("a".into(), "b".into());
        let (says, remembers) = (Revocations::default(), Arc::new(Remembers::default()));
        let publishing = tokio::spawn(says.clone().publish(Arc::clone(&a), Arc::clone(&engines.bus)));
        let hearing = tokio::spawn(hear(b, vec![a], Arc::clone(&engines.bus), remembers.clone()));
        // Both are there.
        passes(3 * SIGN_OF_LIFE_MS).await;
        for token in 0..100 {
            remembers.tokens.lock().insert(token);
            remembers.sessions.lock().insert(token);
            says.say(Revocation::Token { user: Id(1), hash: [token; 32] });
            tokio::task::yield_now().await;
        }
        passes(20 * SIGN_OF_LIFE_MS).await;
        let left = (remembers.tokens.lock().clone(), remembers.sessions.lock().clone());
        assert_eq!(left, Default::default(), "seed {seed}");
        publishing.abort();
        hearing.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_hears_nothing_remembers_nothing() {
    let engines = hostile::open(1, 1, Faults { lost_messages: 100, ..Faults::NONE }).unwrap();
    let remembers = Arc::new(Remembers::default());
    let hearing = tokio::spawn(hear("b".into(), vec!["a".into()], Arc::clone(&engines.bus), remembers.clone()));
    passes(2 * SILENT_MS).await;
    remembers.tokens.lock().insert(1);
    passes(2 * SIGN_OF_LIFE_MS).await;
    assert!(remembers.tokens.lock().is_empty());
    hearing.abort();
}
