//! Decisions whose callers are refused in the middle, or go away: nobody decides about the same before all that was
//! handed in is done.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use fanfare_engines::Engines;
use fanfare_protocol::Id;
use parking_lot::{Condvar, Mutex};

use super::*;
use crate::base::clock::Clock;
use crate::data::locks::LockKey;
use crate::data::storage::{Storage, StoragePart};
use crate::data::tables;
use crate::follows::fold::FollowFold;
use crate::log::events::Record;
use crate::log::fold::State;
use crate::log::handle::LogSetup;
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::product::{Prepare, Product};
use crate::log::roster::Alone;

const ANN: Id = Id(1);
const KEY: LockKey = ("pair", 1, 2);

/// Gate before which the owner waits with what was handed in.
#[derive(Clone, Default)]
struct Gate(Arc<(Mutex<bool>, Condvar)>);

impl Gate {
    fn open(&self) {
        *self.0.0.lock() = true;
        self.0.1.notify_all();
    }
}

impl Prepare for Gate {
    fn prepare(&self, _record: &mut Record, _state: &State) -> Result<()> {
        self.0.1.wait_while(&mut self.0.0.lock(), |is_open| !*is_open);
        Ok(())
    }
}

async fn open(gate: &Gate, storage: &Storage) -> (Engines, Log) {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let products = vec![Product::folds(FollowFold::default()).prepares(gate.clone())];
    let setup = LogSetup {
        clock: Clock::system(),
        numbers: Numbers::of_node(0),
        storage: storage.clone(),
        roster: Arc::new(Alone),
        horizon: Horizon::default(),
    };
    let (log, _thread) = Log::open(&engines, products, setup).await.unwrap();
    (engines, log)
}

fn muted(number: u64) -> Event {
    Event::Muted { muter: ANN, muted: Id(number) }
}

async fn is_muted(engines: &Engines, number: u64) -> bool {
    engines.tables.get(&tables::pair(tables::MUTES, ANN, Id(number))).await.unwrap().is_some()
}

/// Whether `future` waits.
fn waits<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    matches!(future.poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_handed_in_is_waited_for_when_the_next_is_refused() {
    let (gate, storage) = (Gate::default(), Storage::default());
    let (engines, log) = open(&gate, &storage).await;
    let guard = log.decide(ANN, &[KEY]).await.unwrap();
    let events = (10..14).map(|number| {
        if number == 12 {
            storage.goes(StoragePart::Log, &"for a test");
        }
        (&guard, muted(number))
    });
    let mut all = pin!(log.commit_all(events));
    assert!(waits(all.as_mut()), "two are on their way");
    gate.open();
    assert!(all.await.unwrap_err().is_of_storage(), "the third was refused");
    for number in 10..14 {
        assert_eq!(is_muted(&engines, number).await, number < 12, "{number}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_went_away_keeps_the_locks_until_the_record_is_answered() {
    let (gate, storage) = (Gate::default(), Storage::default());
    let (engines, log) = open(&gate, &storage).await;
    {
        let guard = log.decide(ANN, &[KEY]).await.unwrap();
        let mut gone = pin!(log.commit(&guard, muted(10)));
        assert!(waits(gone.as_mut()));
    }
    let mut next = pin!(log.decide(ANN, &[KEY]));
    assert!(waits(next.as_mut()), "it would read what the one before is about to change");
    gate.open();
    let _guard = next.await.unwrap();
    assert!(is_muted(&engines, 10).await);
}

#[test]
fn storage_that_does_not_serve_counts_before_all_else() {
    let storage = || Err(fanfare_engines::EngineError::Unavailable(String::new()).into());
    let other = || Err(crate::base::error::Error::Internal(String::new()));
    for outcomes in [[storage(), other(), Ok(())], [Ok(()), other(), storage()], [other(), storage(), other()]] {
        assert!(outcomes.into_iter().reduce(worse).unwrap().unwrap_err().is_of_storage());
    }
    assert!(worse(Ok(()), Ok(())).is_ok() && worse(Ok(()), other()).is_err() && worse(other(), Ok(())).is_err());
}
