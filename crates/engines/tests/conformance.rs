//! Every engine passes the one suite.

use std::sync::Mutex;

use fanfare_engines::embedded::{self, Settings};
use fanfare_engines::{Engines, conformance, memory};

const SEED: u64 = 0xfa0f_a4e0;

fn in_memory() -> Engines {
    memory::open(3).unwrap()
}

/// Folders of embedded engines, removed when dropped.
#[derive(Default)]
struct Folders(Mutex<Vec<tempfile::TempDir>>);

impl Folders {
    fn open(&self) -> Engines {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { cache_bytes: 8 * 1024 * 1024, journal_partitions: 3, ..Settings::default() };
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
async fn embedded_objects_pass() {
    let folders = Folders::default();
    conformance::objects(&|| folders.open()).await;
}
