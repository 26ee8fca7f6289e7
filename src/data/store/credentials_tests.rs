//! Changes of credentials by two who do not know each other, one of whom may have slept, over an engine that loses
//! answers and lets writes arrive late.

use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;

use super::*;
use crate::base::clock::Clock;

const ANN: Id = Id(7);
const CALLERS: u64 = 3;
const CHANGES: u64 = 6;

/// Way in which a change is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Compare-and-set, as the server writes.
    Compared,
    /// A variant that is broken on purpose: what was read is written again under a version of now, whatever stands
    /// there.
    Blindly,
}

/// A server's view of the rows.
fn node(world: &Hostile) -> Arc<Store> {
    Arc::new(Store::new(world.engines(), Clock::by_hand(1_900_000_000_000)))
}

async fn change(store: &Store, how: How, now: &AtomicU64, change: impl Fn(&mut CredentialsRow)) -> Result<()> {
    if how == How::Compared {
        return store.change_credentials(ANN, change).await;
    }
    let mut row = CredentialsRow::clone(&*store.credentials(ANN).await?);
    tokio::task::yield_now().await;
    change(&mut row);
    let mut batch = Batch::default();
    batch.put_versioned(row_of(ANN), to_json(&row)?, now.fetch_add(1, Ordering::SeqCst));
    store.write(batch).await?;
    store.people.credentials.forget(ANN);
    Ok(())
}

/// A change of password: its number, and the moments between which it was made; without an end nobody knows.
#[derive(Debug, Clone, Copy)]
struct Changed {
    number: u64,
    begun: u64,
    done: Option<u64>,
}

/// Changes of password and log-outs everywhere by several callers on two servers; what is wrong with what is left, if
/// anything is.
async fn story(seed: u64, how: How) -> Option<String> {
    let world = Hostile::new(seed, 1, Faults::SOME).unwrap();
    let now = Arc::new(AtomicU64::new(1));
    let nodes = [node(&world), node(&world)];
    let first = CredentialsRow { password: Some("0".to_owned()), ..CredentialsRow::default() };
    while nodes[0].stored_credentials(ANN).await.is_ok_and(|row| row.password.is_none()) {
        match how {
            How::Compared => drop(nodes[0].make_credentials(ANN, first.clone()).await),
            How::Blindly => drop(change(&nodes[0], how, &now, |row| row.clone_from(&first)).await),
        }
    }
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..CALLERS {
        let (store, now) = (Arc::clone(&nodes[(caller % 2) as usize]), Arc::clone(&now));
        callers.spawn(async move {
            let mut random = Random::new(seed ^ caller);
            let (mut passwords, mut ends) = (Vec::new(), 0);
            for number in 1..=CHANGES {
                let number = caller * 100 + number;
                for _ in 0..random.below(4) {
                    tokio::task::yield_now().await;
                }
                if random.percent(50) {
                    ends += u64::from(change(&store, how, &now, |row| row.epoch += 1).await.is_ok());
                    continue;
                }
                let begun = now.fetch_add(1, Ordering::SeqCst);
                let done = change(&store, how, &now, |row| row.password = Some(number.to_string())).await;
                let done = done.is_ok().then(|| now.fetch_add(1, Ordering::SeqCst));
                passwords.push(Changed { number, begun, done });
            }
            (passwords, ends)
        });
    }
    let told = callers.join_all().await;
    world.set_faults(Faults::NONE);
    world.settle();
    let left = node(&world).stored_credentials(ANN).await.unwrap();
    let ends: u64 = told.iter().map(|(_, ends)| ends).sum();
    if left.epoch < ends {
        return Some(format!("{ends} log-outs were answered, and {} are left", left.epoch));
    }
    let passwords: Vec<Changed> = told.into_iter().flat_map(|(passwords, _)| passwords).collect();
    let number: u64 = left.password.unwrap().parse().unwrap();
    let stands = passwords.iter().find(|one| one.number == number).copied();
    let stands = stands.unwrap_or(Changed { number: 0, begun: 0, done: Some(0) });
    let after = |one: &&Changed| one.done.is_some() && stands.done.is_some_and(|done| one.begun > done);
    passwords.iter().find(after).map(|later| format!("{later:?} was answered, and {stands:?} stands"))
}

#[tokio::test]
async fn no_change_that_was_answered_is_lost_and_no_old_password_comes_back() {
    let number = |name| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    for seed in first..first + number("FANFARE_TEST_RUNS").unwrap_or(200) {
        let wrong = story(seed, How::Compared).await;
        assert_eq!(wrong, None, "seed {seed}");
    }
}

/// Each stored seed shows a fault of the broken variant: so the story above would tell.
#[tokio::test]
async fn changes_that_compare_nothing_are_caught() {
    for seed in BROKEN {
        assert!(story(seed, How::Blindly).await.is_some(), "seed {seed}");
    }
}

/// Seeds of histories in which something is lost by who writes blindly.
const BROKEN: [u64; 3] = [0, 1, 2];

#[tokio::test]
async fn a_change_that_slept_is_made_on_the_row_that_it_wakes_to() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let store = Store::new(engines, Clock::by_hand(1));
    store.make_credentials(ANN, CredentialsRow { admin: true, ..CredentialsRow::default() }).await.unwrap();
    let asleep = store.stored_credentials(ANN).await.unwrap();
    store.change_credentials(ANN, |row| row.password = Some("new".to_owned())).await.unwrap();
    // What the sleeper would write now: the role is gone, and the old password is back.
    let late = CredentialsRow { admin: false, held_by: Id(1), ..asleep.clone() };
    let late = store.replace_unique(row_of(ANN), to_json(&late).unwrap(), asleep.held_by.0, 1).await.unwrap();
    assert!(matches!(late, Replaced::Taken(_)));
    let mut seen = Vec::new();
    store
        .change_credentials(ANN, |row| {
            seen.push(row.password.clone());
            row.admin = false;
        })
        .await
        .unwrap();
    let row = store.credentials(ANN).await.unwrap();
    assert_eq!((row.password.as_deref(), row.admin), (Some("new"), false));
    assert_eq!(seen, [Some("new".to_owned())]);
}

#[tokio::test]
async fn rows_of_an_earlier_version_are_read_changed_and_moved_whoever_comes_first() {
    for changed_first in [false, true] {
        let engines = fanfare_engines::memory::open(1).unwrap();
        let store = Store::new(engines.clone(), Clock::by_hand(1));
        let mut batch = Batch::default();
        let old = r#"{"password":"old","tokens_from":"5","admin":true}"#;
        batch.put_versioned(old_row_of(ANN), old, u64::from(u32::MAX));
        engines.tables.write(batch).await.unwrap();
        assert_eq!(store.credentials(ANN).await.unwrap().password.as_deref(), Some("old"));
        if changed_first {
            store.change_credentials(ANN, |row| row.password = Some("new".to_owned())).await.unwrap();
        }
        for _ in 0..2 {
            store.move_credentials(ANN).await.unwrap();
        }
        assert_eq!(engines.tables.get(&old_row_of(ANN)).await.unwrap(), None);
        store.credentials_were_moved();
        let row = store.credentials(ANN).await.unwrap();
        let password = if changed_first { "new" } else { "old" };
        assert_eq!((row.password.as_deref(), row.admin, row.tokens_from), (Some(password), true, Id(5)));
        store.release_credentials(ANN).await.unwrap();
        assert_eq!(*store.credentials(ANN).await.unwrap(), CredentialsRow::default());
        let gone = store.change_credentials(ANN, |row| row.admin = false).await;
        assert!(gone.is_ok(), "whoever comes without a password has no row");
    }
}

#[test]
fn a_token_ends_by_its_epoch_and_one_of_an_earlier_version_by_its_id() {
    let hash = token::digest("one");
    let token = |epoch, issued| crate::data::rows::TokenRow { user: ANN, issued: Id(issued), expires_ms: 0, epoch };
    let mut row = CredentialsRow { tokens_from: Id(5), ..CredentialsRow::default() };
    assert!(row.ended(&token(None, 4), &hash) && !row.ended(&token(None, 5), &hash));
    assert!(!row.ended(&token(Some(0), 4), &hash), "no clock decides");
    row.epoch = 1;
    assert!(row.ended(&token(None, 9), &hash) && row.ended(&token(Some(0), 9), &hash));
    assert!(!row.ended(&token(Some(1), 1), &hash));
    row.spared = Some(hash.text());
    assert!(!row.ended(&token(Some(0), 9), &hash) && !row.ended(&token(None, 1), &hash));
    assert!(row.ended(&token(Some(0), 9), &token::digest("other")));
}
