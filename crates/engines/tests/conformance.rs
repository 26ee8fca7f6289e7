//! Every engine passes the one suite.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_engines::embedded::{self, Settings};
use fanfare_engines::hostile::{self, Faults, Hostile};
use fanfare_engines::{Engines, NewFamily, conformance, memory};

const SEED: u64 = 0xfa0f_a4e0;

fn in_memory() -> Engines {
    memory::open(3).unwrap()
}

/// Folders of embedded engines, removed when dropped.
#[derive(Default)]
struct Folders(Mutex<Vec<tempfile::TempDir>>);

impl Folders {
    fn open(&self) -> Engines {
        self.open_families(&[NewFamily::of_all(Some(3))])
    }

    fn open_families(&self, families: &[NewFamily]) -> Engines {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { cache_bytes: 8 * 1024 * 1024, families: families.to_vec(), ..Settings::default() };
        let engines = embedded::open(folder.path(), &settings).unwrap();
        self.0.lock().unwrap().push(folder);
        engines
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_passes() {
    conformance::tables(&in_memory, SEED).await;
    conformance::journal(&in_memory).await;
    conformance::objects(&in_memory).await;
    conformance::bus(&in_memory).await;
    conformance::families(&|families| memory::open_families(families).unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn memory_passes_for_what_expires() {
    conformance::ephemeral(&in_memory, tokio::time::advance).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_tables_pass() {
    let folders = Folders::default();
    conformance::tables(&|| folders.open(), SEED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_journal_passes() {
    let folders = Folders::default();
    conformance::journal(&|| folders.open()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_families_pass() {
    let folder = tempfile::tempdir().unwrap();
    let open = |families: &[NewFamily]| {
        let settings = Settings { cache_bytes: 8 * 1024 * 1024, families: families.to_vec(), ..Settings::default() };
        embedded::open(folder.path(), &settings)
    };
    conformance::growth(&open).await;
    let folders = Folders::default();
    conformance::families(&|families| folders.open_families(families)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded_objects_pass() {
    let folders = Folders::default();
    conformance::objects(&|| folders.open()).await;
}

/// Opens hostile worlds, each with the next seed.
struct Worlds {
    seed: AtomicU64,
    faults: Faults,
}

impl Worlds {
    fn new(faults: Faults) -> Self {
        Self { seed: AtomicU64::new(SEED), faults }
    }

    fn open(&self) -> Engines {
        hostile::open(self.seed.fetch_add(1, Ordering::Relaxed), 3, self.faults).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hostile_engine_passes_with_all_its_faults() {
    let worlds = Worlds::new(Faults::SOME);
    for round in 0..10 {
        conformance::tables(&|| worlds.open(), SEED + round).await;
        conformance::journal(&|| worlds.open()).await;
        conformance::objects(&|| worlds.open()).await;
        conformance::bus(&|| worlds.open()).await;
        let first = NewFamily { name: "first", ..NewFamily::of_all(Some(2)) };
        let world = Hostile::with_families(SEED + round, &[first], Faults::SOME).unwrap();
        let open = |families: &[NewFamily]| {
            world.crash();
            world.grow(families)?;
            Ok(world.engines())
        };
        conformance::growth(&open).await;
        let world =
            |families: &[NewFamily]| Hostile::with_families(SEED + round, families, Faults::SOME).unwrap().engines();
        conformance::families(&world).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_with_a_clock_of_its_own_passes() {
    for (round, faults) in [Faults::NONE, Faults::SOME, Faults::SOME, Faults::SOME].into_iter().enumerate() {
        let world = Hostile::new(SEED + round as u64, 1, faults).unwrap();
        conformance::own_clock(world.engines(), &|unix_ms| world.set_clock(unix_ms)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_hostile_engine_passes_for_what_expires_while_it_loses_nothing() {
    let worlds = Worlds::new(Faults { lost_values: 0, ..Faults::SOME });
    conformance::ephemeral(&|| worlds.open(), tokio::time::advance).await;
}
