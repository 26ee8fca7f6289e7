//! Logs that are opened while storage is away, and over storage with a clock of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_engines::delegate::TablesDelegate;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::{Batch, EngineError, Engines, Partition, Position, Tables};
use fanfare_protocol::Id;
use futures_util::FutureExt as _;
use tokio::sync::Semaphore;

use super::{Log, LogSetup, Proposal};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::RESERVE_MS;
use crate::data::storage::{Storage, StoragePart};
use crate::log::events::{Event, Record};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::owner::OwnerThreads;
use crate::log::roster::Alone;

async fn open(engines: &Engines, clock: &Clock, storage: &Storage) -> Result<(Log, OwnerThreads)> {
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

/// An act of another kind: two logs that mint one id for the same words have one record.
async fn unmute(log: &Log) -> Result<Arc<Record>> {
    let guard = log.decide(Id(1), &[]).await?;
    log.commit(&guard, Event::Unmuted { muter: Id(1), muted: Id(2) }).await
}

async fn close(log: Log, thread: OwnerThreads) {
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
    let stories = (0..8).map(story);
    futures_util::future::join_all(stories).await;
}

const NOW_MS: u64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn stamping() -> (Hostile, Engines) {
    let world = Hostile::new(1, 1, Faults::NONE).unwrap();
    world.set_clock(NOW_MS);
    let engines = world.engines();
    (world, engines)
}

/// Ids followed the node's clock, which such a log does not take: every commit was refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_follow_the_time_of_a_log_that_stamps_what_it_takes() {
    for step_ms in [HOUR_MS, -HOUR_MS] {
        let (world, engines) = stamping();
        let (clock, storage) = (Clock::stand_in(NOW_MS.saturating_add_signed(step_ms)), Storage::default());
        let (log, thread) = open(&engines, &clock, &storage).await.unwrap();
        assert_eq!(unix_ms_of(act(&log).await.unwrap().id), NOW_MS);
        // Nothing but time passes; then the log's clock drifts.
        clock.pass(60_000);
        world.set_clock(NOW_MS + 60_000);
        assert_eq!(unix_ms_of(act(&log).await.unwrap().id), NOW_MS + 60_000);
        world.set_clock(NOW_MS + 63_000);
        act(&log).await.unwrap();
        assert_eq!(unix_ms_of(act(&log).await.unwrap().id), NOW_MS + 63_000);
        close(log, thread).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_ahead_of_the_logs_time_takes_nothing_until_it_has_come_near() {
    let (world, engines) = stamping();
    let (clock, storage) = (Clock::stand_in(NOW_MS), Storage::default());
    let (log, thread) = open(&engines, &clock, &storage).await.unwrap();
    act(&log).await.unwrap();
    // The log bears it, and tells.
    world.set_clock(NOW_MS - 4_500);
    let last = act(&log).await.unwrap();
    for _ in 0..2 {
        let refused = act(&log).await;
        assert!(matches!(refused, Err(Error::Engine(EngineError::Unavailable(_)))), "{refused:?}");
        eventually("it is said", || !log.takes()).await;
    }
    world.set_clock(NOW_MS - 3_900);
    clock.pass(600);
    eventually("it comes back by itself", || log.takes()).await;
    assert!(act(&log).await.unwrap().id > last.id);
    close(log, thread).await;
}

/// Ids of a file count whatever the log's clock says; whoever comes after the import is held to it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_brings_ids_of_any_time_into_a_log_that_stamps() {
    let (_world, engines) = stamping();
    let year_ms = 365 * 24 * HOUR_MS as u64;
    let import = Clock::by_hand(NOW_MS - year_ms);
    let (log, thread) = open(&engines, &import, &Storage::default()).await.unwrap();
    for at_ms in [NOW_MS - year_ms, NOW_MS - year_ms / 2] {
        let guard = log.decide(Id(0), &[]).await.unwrap();
        let old = Proposal { at_ms: Some(at_ms), ..Event::Operated.into() };
        assert_eq!(unix_ms_of(log.commit(&guard, old).await.unwrap().id), at_ms);
    }
    close(log, thread).await;
    let (log, thread) = open(&engines, &Clock::stand_in(NOW_MS), &Storage::default()).await.unwrap();
    assert_eq!(unix_ms_of(act(&log).await.unwrap().id), NOW_MS);
    let found = engines.journal.read(Partition(0), Position::START, 10).await.unwrap();
    assert_eq!(found.records.len(), 3);
    close(log, thread).await;
}

/// Clocks of logs are set, too: what was on its way is refused, and the next is of the new time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_whose_clock_was_set_is_followed() {
    let (world, engines) = stamping();
    let (clock, storage) = (Clock::stand_in(NOW_MS), Storage::default());
    let (log, thread) = open(&engines, &clock, &storage).await.unwrap();
    act(&log).await.unwrap();
    let ahead_ms = NOW_MS + HOUR_MS as u64;
    world.set_clock(ahead_ms);
    act(&log).await.unwrap_err();
    assert_eq!(unix_ms_of(act(&log).await.unwrap().id), ahead_ms);
    // Back again: ids never go back, so it waits.
    world.set_clock(NOW_MS);
    for _ in 0..3 {
        act(&log).await.unwrap_err();
    }
    eventually("it is said", || !log.takes()).await;
    clock.pass(HOUR_MS as u64);
    world.set_clock(ahead_ms);
    eventually("it comes back by itself", || log.takes()).await;
    // Who takes the partition again goes on above what is reserved.
    let at_ms = unix_ms_of(act(&log).await.unwrap().id);
    assert!((ahead_ms..=ahead_ms + RESERVE_MS).contains(&at_ms), "{at_ms}");
    assert!(!storage.has_failed());
    close(log, thread).await;
}

/// A server that starts during an import wins; the import says so, and claims nothing again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_that_was_fenced_ends() {
    let (_world, engines) = stamping();
    let (import, importing) = open(&engines, &Clock::by_hand(NOW_MS), &Storage::default()).await.unwrap();
    act(&import).await.unwrap();
    let (server, serving) = open(&engines, &Clock::stand_in(NOW_MS), &Storage::default()).await.unwrap();
    unmute(&server).await.unwrap();
    for _ in 0..2 {
        let refused = act(&import).await.unwrap_err();
        assert!(matches!(refused, Error::Engine(EngineError::Closed(_))), "{refused}");
        unmute(&server).await.unwrap();
    }
    assert!(import.has_failed() && server.takes());
    close(import, importing).await;
    close(server, serving).await;
}

/// Tables whose writes hang while somebody has the turn.
struct Hanging {
    behind: Arc<dyn Tables>,
    turn: Semaphore,
}

#[async_trait]
impl TablesDelegate for Hanging {
    fn behind(&self) -> &dyn Tables {
        &*self.behind
    }

    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        drop(self.turn.acquire().await);
        self.behind.write(batch).await
    }
}

/// A log-in waited for an id for as long as its request may last when storage hung, and all that came after it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_an_id_over_storage_that_is_away() {
    let stored = fanfare_engines::memory::open(1).unwrap();
    let hanging = Arc::new(Hanging { behind: Arc::clone(&stored.tables), turn: Semaphore::new(1) });
    let engines = Engines { tables: hanging.clone(), ..stored };
    let (clock, storage) = (Clock::stand_in(NOW_MS), Storage::default());
    let (log, thread) = open(&engines, &clock, &storage).await.unwrap();
    log.mint().await.unwrap();
    let held = hanging.turn.acquire().await.unwrap();
    clock.pass(2 * RESERVE_MS);
    // The first writes that more is reserved, the others wait for that.
    let mut waiting = [Box::pin(log.mint()), Box::pin(log.mint()), Box::pin(log.mint())];
    for one in &mut waiting {
        assert!(one.as_mut().now_or_never().is_none());
    }
    storage.goes(StoragePart::Rows, &"it hangs");
    for one in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(30), one).await.expect("it waits");
        assert!(matches!(answer, Err(Error::Engine(EngineError::Unavailable(_)))), "{answer:?}");
    }
    storage.works(StoragePart::Rows);
    drop(held);
    log.mint().await.unwrap();
    close(log, thread).await;
}
