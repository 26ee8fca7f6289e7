//! Logs that are opened while storage is away.

use std::sync::Arc;
use std::time::Duration;

use fanfare_engines::Engines;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_protocol::Id;

use super::{Log, LogSetup};
use crate::base::clock::Clock;
use crate::base::error::Result;
use crate::data::storage::{Storage, StoragePart};
use crate::log::events::{Event, Record};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::owner::OwnerThread;
use crate::log::roster::Alone;

async fn open(engines: &Engines, clock: &Clock, storage: &Storage) -> Result<(Log, OwnerThread)> {
    let setup = LogSetup {
        clock: clock.clone(),
        numbers: Numbers::of_node(0),
        storage: storage.clone(),
        roster: Arc::new(Alone),
        horizon: Horizon::default(),
    };
    Log::open(engines, Vec::new(), setup).await
}

async fn act(log: &Log) -> Result<Arc<Record>> {
    let guard = log.decide(Id(0), &[]).await?;
    log.commit(&guard, Event::Operated).await
}

async fn close(log: Log, thread: OwnerThread) {
    drop(log);
    tokio::task::spawn_blocking(|| thread.join()).await.unwrap();
}

async fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(1)).await; // poll
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.unwrap_or_else(|_| panic!("never: {what}"));
}

/// The first claim that failed ended the start.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_waits_for_storage_that_is_away() {
    let world = Hostile::new(1, 1, Faults { unavailable: 100, ..Faults::NONE }).unwrap();
    let (engines, storage) = (world.engines(), Storage::default());
    let opening = tokio::spawn({
        let storage = storage.clone();
        async move { open(&engines, &Clock::system(), &storage).await }
    });
    eventually("storage is said to be away", || storage.is_away(&[StoragePart::Log])).await;
    world.set_faults(Faults::NONE);
    let (log, thread) = opening.await.unwrap().unwrap();
    assert!(log.takes(), "it came back by itself");
    act(&log).await.unwrap();
    close(log, thread).await;
}

/// Whatever a start asks for may fail, be done unheard, or come late: claim, reads, rows, head, checkpoint, mint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_bears_a_failure_at_each_of_its_steps() {
    let faults = Faults { unavailable: 30, unknown: 15, lost_replies: 15, doubled: 10, ..Faults::NONE };
    let story = async |seed: u64| {
        let world = Hostile::new(seed, 1, faults).unwrap();
        for life in 0..3 {
            let engines = world.engines();
            let (log, thread) = open(&engines, &Clock::system(), &Storage::default())
                .await
                .unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
            act(&log).await.unwrap_or_else(|error| panic!("seed {seed}, life {life}: {error}"));
            close(log, thread).await;
        }
    };
    let stories = (0..8).map(|seed| story(seed));
    futures_util::future::join_all(stories).await;
}
