//! Visits with a limit, counted by two nodes at once, also where storage fails.

use std::sync::Arc;

use fanfare_engines::Engines;
use fanfare_engines::hostile::{self, Faults};
use futures_util::FutureExt as _;
use tokio::task::JoinSet;

use super::*;
use crate::app;
use crate::base::clock::Clock;
use crate::base::cursor::Cursors;
use crate::data::storage::Storage;
use crate::data::store::Store;
use crate::log::handle::{Log, LogSetup};
use crate::log::horizon::Horizon;
use crate::log::mint::Numbers;
use crate::log::roster::Alone;

const MAX: u32 = 100;

/// Rows and records of a node over `engines`.
async fn core(engines: &Engines) -> Core {
    let (clock, storage) = (Clock::system(), Storage::default());
    let (roster, horizon) = (Arc::new(Alone), Horizon::default());
    let setup = LogSetup { clock: clock.clone(), numbers: Numbers::of_node(1), storage, roster, horizon };
    let (log, _) = Log::open(engines, app::products(3).0, setup).await.unwrap();
    let store = Arc::new(Store::new(engines.clone(), clock.clone()));
    Core::new(store, log, Cursors::new(b"a secret").unwrap(), clock)
}

/// Visits that were given out to 64 who ask `times` times each, half of them at each of two counters.
async fn given(nodes: [&VisitSlots; 2], code: &str, times: usize) -> u32 {
    let mut askers = JoinSet::new();
    for asker in 0..64 {
        let (slots, code) = (nodes[asker % 2].clone(), code.to_owned());
        askers.spawn(async move {
            let mut given = 0;
            for _ in 0..times {
                given += u32::from(slots.take(&code, MAX).await.unwrap_or(false));
            }
            given
        });
    }
    askers.join_all().await.into_iter().sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_counters_give_out_exactly_what_there_is() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let core = core(&engines).await;
    let (one, other) = (VisitSlots::new(core.clone()), VisitSlots::new(core.clone()));
    assert_eq!(given([&one, &other], "few", 4).await, MAX);
    let third = VisitSlots::new(core);
    assert!(!third.take("few", MAX).await.unwrap(), "the rows say so");
    assert!(third.take("few", MAX + 1).await.unwrap(), "and a higher limit goes on");
    third.forget("few").await.unwrap();
    assert!(third.take("few", 1).await.unwrap(), "of a link that is gone nothing stays");
}

/// Visitors who come again as soon as they are answered, as a busy link's do, share rows: before, whoever was answered
/// waited for the rows of those who came later.
#[tokio::test]
async fn visitors_who_wait_share_a_row_and_its_sync() {
    const VISITORS: usize = 64;
    const TIMES: usize = 8;
    let engines = fanfare_engines::memory::open(1).unwrap();
    let slots = VisitSlots::new(core(&engines).await);
    let mut visitors = JoinSet::new();
    for _ in 0..VISITORS {
        let slots = slots.clone();
        visitors.spawn(async move {
            for _ in 0..TIMES {
                assert!(slots.take("busy", 10_000).await.unwrap());
            }
        });
    }
    visitors.join_all().await;
    let rows = engines.tables.scan(tables::LINK_SLOTS, b"busy", KeyRange::ALL, Order::Ascending, 10_000).await.unwrap();
    let end = rows.last().and_then(|row| slots_end(&row.clustering, &row.value));
    assert_eq!(end, Some((VISITORS * TIMES) as u32));
    assert!(rows.len() <= 2 * TIMES, "{} rows for {TIMES} visits each", rows.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_visitor_who_goes_away_holds_nobody_up() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let slots = VisitSlots::new(core(&engines).await);
    for _ in 0..50 {
        let _gone = slots.take("busy", 10_000).now_or_never();
        assert!(slots.take("busy", 10_000).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn storage_that_fails_wastes_visits_and_never_adds_one() {
    for seed in 0..8 {
        let engines = hostile::open(seed, 1, Faults::SOME).unwrap();
        let core = core(&engines).await;
        let (one, other) = (VisitSlots::new(core.clone()), VisitSlots::new(core));
        let given = given([&one, &other], "few", 8).await;
        assert!((1..=MAX).contains(&given), "seed {seed}: {given}");
    }
}
