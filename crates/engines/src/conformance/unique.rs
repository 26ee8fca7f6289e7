//! Keys that one of many may hold.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{TABLE, get, sure, text};
use crate::Engines;
use crate::ports::{EngineError, RowKey, Unique};

fn value(token: u64) -> Bytes {
    text(token.to_string())
}

async fn insert(engines: &Engines, key: &RowKey, token: u64) -> Unique {
    sure(|| engines.tables.insert_unique(key.clone(), value(token), token)).await
}

pub(super) async fn one_of_many_wins(engines: Engines) {
    for round in 0..20_u8 {
        let key = RowKey::single(TABLE, vec![round]);
        let mut tasks = JoinSet::new();
        for token in 1..=16 {
            let (engines, key) = (engines.clone(), key.clone());
            tasks.spawn(async move { (token, insert(&engines, &key, token).await) });
        }
        let answers = tasks.join_all().await;
        let winners: Vec<u64> =
            answers.iter().filter(|(_, answer)| *answer == Unique::Mine).map(|&(token, _)| token).collect();
        let [winner] = winners[..] else { panic!("winners: {winners:?}") };
        for (token, answer) in answers {
            assert!(token == winner || answer == Unique::Taken(value(winner)), "{token} was told {answer:?}");
        }
        assert_eq!(get(&engines, &key).await, Some(value(winner)));
    }
}

pub(super) async fn a_retry_is_mine(engines: Engines) {
    let key = RowKey::new(TABLE, "unique", "retried");
    assert_eq!(insert(&engines, &key, 1).await, Unique::Mine);
    assert_eq!(insert(&engines, &key, 1).await, Unique::Mine);
    assert_eq!(insert(&engines, &key, 2).await, Unique::Taken(value(1)));
    assert_eq!(insert(&engines, &RowKey::new(TABLE, "unique", "other"), 2).await, Unique::Mine);
}

/// A call that was answered with an error may still happen later, so keys are tried until every call is acknowledged
/// at once.
pub(super) async fn only_the_holder_releases(engines: Engines) {
    for attempt in 0_u32.. {
        let key = RowKey::single(TABLE, attempt.to_be_bytes().to_vec());
        match release_story(&engines, &key).await {
            Ok(()) => return,
            Err(EngineError::Unavailable(_) | EngineError::Unknown(_)) => {}
            Err(error) => panic!("a call that breaks no limit failed: {error}"),
        }
    }
}

async fn release_story(engines: &Engines, key: &RowKey) -> Result<(), EngineError> {
    let tables = &engines.tables;
    tables.release_unique(key, 1).await?; // nothing to release is no error
    assert_eq!(tables.insert_unique(key.clone(), value(1), 1).await?, Unique::Mine);
    tables.release_unique(key, 2).await?;
    assert_eq!(tables.get(key).await?, Some(value(1)));
    tables.release_unique(key, 1).await?;
    assert_eq!(tables.get(key).await?, None);
    assert_eq!(tables.insert_unique(key.clone(), value(2), 2).await?, Unique::Mine);
    tables.release_unique(key, 1).await?;
    assert_eq!(tables.get(key).await?, Some(value(2)));
    Ok(())
}
