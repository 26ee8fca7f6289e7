//! Keys that one of many may hold.

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{TABLE, get, refused, sure, text};
use crate::Engines;
use crate::limits::VALUE_BYTES_MAX;
use crate::ports::{EngineError, Replaced, RowKey, Unique};

fn value(token: u64) -> Bytes {
    text(token.to_string())
}

async fn insert(engines: &Engines, key: &RowKey, token: u64) -> Unique {
    sure(|| engines.tables.insert_unique(key.clone(), value(token), token)).await
}

async fn replace(engines: &Engines, key: &RowKey, held: u64, new: u64) -> Replaced {
    sure(|| engines.tables.replace_unique(key.clone(), value(new), held, new)).await
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

pub(super) async fn only_the_holder_is_replaced(engines: Engines) {
    let key = RowKey::new(TABLE, "unique", "replaced");
    assert_eq!(replace(&engines, &key, 1, 2).await, Replaced::Free);
    assert_eq!(get(&engines, &key).await, None, "what nobody holds is not made");
    assert_eq!(insert(&engines, &key, 1).await, Unique::Mine);
    assert_eq!(replace(&engines, &key, 7, 8).await, Replaced::Taken(value(1)));
    assert_eq!(replace(&engines, &key, 1, 2).await, Replaced::Mine);
    assert_eq!(get(&engines, &key).await, Some(value(2)));
    assert_eq!(replace(&engines, &key, 1, 2).await, Replaced::Mine, "a retry of the same attempt");
    assert_eq!(replace(&engines, &key, 1, 3).await, Replaced::Taken(value(2)), "the token that had it");
    assert_eq!(insert(&engines, &key, 4).await, Unique::Taken(value(2)));
    sure(|| engines.tables.release_unique(&key, 1)).await;
    assert_eq!(get(&engines, &key).await, Some(value(2)), "the token that had it releases nothing");
    assert_eq!(replace(&engines, &key, 2, 5).await, Replaced::Mine);
    assert_eq!(get(&engines, &key).await, Some(value(5)));
    let large = text("x".repeat(VALUE_BYTES_MAX + 1));
    refused("a value that is too large", || engines.tables.replace_unique(key.clone(), large.clone(), 5, 6)).await;
    refused("a key without a partition", || engines.tables.replace_unique(RowKey::single(TABLE, ""), value(6), 5, 6))
        .await;
    sure(|| engines.tables.release_unique(&key, 5)).await;
    assert_eq!(replace(&engines, &key, 5, 6).await, Replaced::Free);
}

pub(super) async fn one_of_many_replaces(engines: Engines) {
    for round in 0..20_u8 {
        let key = RowKey::new(TABLE, "replaced by one", vec![round]);
        insert(&engines, &key, 100).await;
        let mut tasks = JoinSet::new();
        for token in 1..=16 {
            let (engines, key) = (engines.clone(), key.clone());
            tasks.spawn(async move { (token, replace(&engines, &key, 100, token).await) });
        }
        let answers = tasks.join_all().await;
        let winners: Vec<u64> =
            answers.iter().filter(|(_, answer)| *answer == Replaced::Mine).map(|&(token, _)| token).collect();
        let [winner] = winners[..] else { panic!("winners: {winners:?}") };
        for (token, answer) in answers {
            assert!(token == winner || answer == Replaced::Taken(value(winner)), "{token} was told {answer:?}");
        }
        assert_eq!(get(&engines, &key).await, Some(value(winner)));
    }
}

/// Many add their names to one row, each until theirs is in: none that was acknowledged is ever overwritten, also not
/// by a replacement that comes late.
pub(super) async fn no_replacement_is_lost(engines: Engines) {
    const CALLERS: u64 = 8;
    const NAMES: u64 = 8;
    let key = RowKey::new(TABLE, "replaced", "by many");
    sure(|| engines.tables.insert_unique(key.clone(), text("0"), 0)).await;
    let mut tasks = JoinSet::new();
    for caller in 1..=CALLERS {
        let (engines, key) = (engines.clone(), key.clone());
        tasks.spawn(async move {
            let mut token = caller * 1_000_000;
            for name in 0..NAMES {
                add(&engines, &key, &format!("{caller}.{name}"), &mut token).await;
            }
        });
    }
    tasks.join_all().await;
    let row = get(&engines, &key).await.unwrap_or_default();
    let row = String::from_utf8_lossy(&row).into_owned();
    for name in (1..=CALLERS).flat_map(|caller| (0..NAMES).map(move |name| format!("{caller}.{name}"))) {
        assert!(row.split(' ').any(|one| one == name), "{name} was lost: {row}");
    }
}

/// Adds a name to a row that begins with its token; each attempt has a token of its own.
async fn add(engines: &Engines, key: &RowKey, name: &str, token: &mut u64) {
    loop {
        let row = get(engines, key).await.unwrap_or_default();
        let row = String::from_utf8_lossy(&row).into_owned();
        let (held, names) = row.split_once(' ').unwrap_or((&row, ""));
        let held = held.parse().unwrap_or_default();
        *token += 1;
        let new = text(format!("{token} {names} {name}"));
        let replaced = sure(|| engines.tables.replace_unique(key.clone(), new.clone(), held, *token)).await;
        // Of an attempt that happened unheard, and was replaced since, the name is in the row.
        if replaced == Replaced::Mine || names.split(' ').any(|one| one == name) {
            return;
        }
    }
}
