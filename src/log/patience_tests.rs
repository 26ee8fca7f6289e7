//! Owners over a journal that fails: what is said of storage, whatever callers hear.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_engines::delegate::JournalDelegate;
use fanfare_engines::{Appended, Batch, EngineError, Engines, Journal, NewRecord, Partition, Turn, memory};
use fanfare_protocol::Id;
use parking_lot::Mutex;

use super::*;
use crate::base::clock::Clock;
use crate::log::events::{Event, Record};
use crate::log::handle::{Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::owner::OwnerThreads;
use crate::log::product::{Committed, Listener, Product};
use crate::log::roster::Alone;

/// Journal whose next commits are answered so; afterwards they are done.
struct Failing {
    answers: Mutex<VecDeque<EngineError>>,
    kept: Arc<dyn Journal>,
}

#[async_trait]
impl JournalDelegate for Failing {
    fn behind(&self) -> &dyn Journal {
        &*self.kept
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        let answer = self.answers.lock().pop_front();
        match answer {
            Some(error) => Err(error),
            None => self.kept.commit(partition, turn, records, rows).await,
        }
    }
}

fn away() -> EngineError {
    EngineError::Unavailable("away".to_owned())
}

fn unknown() -> EngineError {
    EngineError::Unknown("lost".to_owned())
}

/// A log with these products, whose commits after the start are answered so first.
async fn opened(answers: &[EngineError], products: Vec<Product>) -> (Log, OwnerThreads, Storage) {
    let engines = memory::open(1).unwrap();
    let journal = Arc::new(Failing { answers: Mutex::default(), kept: engines.journal });
    let engines = Engines { journal: journal.clone(), ..engines };
    let (storage, roster, horizon) = (Storage::default(), Arc::new(Alone), Horizon::default());
    let (clock, numbers) = (Clock::system(), Numbers::of_node(0));
    let setup = LogSetup { clock, numbers, storage: storage.clone(), roster, horizon };
    let (log, owner) = Log::open(&engines, products, setup).await.unwrap();
    journal.answers.lock().extend(answers.iter().cloned());
    (log, owner, storage)
}

async fn burn(log: &Log) -> Result<Arc<Record>> {
    let guard = log.decide(Id(7), &[]).await?;
    log.commit(&guard, Event::IdBurnt { user: Id(7) }).await
}

async fn end((log, owner): (Log, OwnerThreads)) {
    drop(log);
    tokio::task::spawn_blocking(|| owner.join()).await.unwrap();
}

/// Tries after which storage is away, and their answers.
fn many(answer: fn() -> EngineError) -> Vec<EngineError> {
    std::iter::repeat_with(answer).take(TRIES_SILENT as usize).collect()
}

/// The log was away for ever, and everything was refused: nobody tried any more.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_refusal_after_storage_was_away_says_that_it_is_back() {
    let full = EngineError::Full("1 MiB".to_owned());
    let limit = EngineError::Limit("too large".to_owned());
    for last in [full, limit] {
        let (log, owner, storage) = opened(&[many(away), vec![last]].concat(), Vec::new()).await;
        burn(&log).await.unwrap_err();
        // Whoever is let in at once: what the owner tells last it tells before it takes the next.
        while !storage.serves() {
            tokio::task::yield_now().await;
        }
        burn(&log).await.unwrap();
        end((log, owner)).await;
    }
}

/// Storage was said to be tried again, and nobody tried.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_end_of_storage_is_said_to_be_one_also_when_an_earlier_try_may_have_been_done() {
    let corrupt = EngineError::Corrupt("damage".to_owned());
    let closed = EngineError::Closed("ended".to_owned());
    for last in [corrupt, closed] {
        let (log, owner, storage) = opened(&[vec![unknown()], vec![last]].concat(), Vec::new()).await;
        assert!(matches!(burn(&log).await, Err(Error::Engine(EngineError::Unknown(_)))), "it may stand");
        assert!(storage.has_failed());
        assert!(matches!(burn(&log).await, Err(Error::Engine(EngineError::Closed(_)))));
        end((log, owner)).await;
    }
}

struct Panics;

impl Listener for Panics {
    fn committed(&self, _: &[Committed], _: Id) {
        panic!("by the test");
    }
}

/// The server said that it was ready, and refused every write.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn an_owner_that_panics_ends_storage_for_everybody() {
    let (log, owner, storage) = opened(&[], vec![Product::listens(Panics)]).await;
    assert!(matches!(burn(&log).await, Err(Error::Engine(EngineError::Unknown(_)))), "it is durable");
    tokio::task::spawn_blocking(|| owner.join()).await.unwrap();
    assert!(storage.has_failed() && !storage.serves());
    assert!(matches!(burn(&log).await, Err(Error::Engine(EngineError::Closed(_)))));
}
