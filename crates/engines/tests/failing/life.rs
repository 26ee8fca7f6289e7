//! Writers and readers who go on whatever the disk does, and what they were told.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use fanfare_engines::{EngineError, RowKey, Table};
use parking_lot::Mutex;
use tokio::task::JoinSet;

use crate::workload::{self, Commit, Opened, WRITERS};

/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(60);
/// Time between two commits of a writer.
const PACE: Duration = Duration::from_millis(2);
/// Time until a store whose write failed is opened again.
pub const REOPEN_AFTER: Duration = Duration::from_millis(20);

/// People at work over one engine.
pub struct Life {
    opened: Arc<Opened>,
    told: Arc<Told>,
    work: JoinSet<()>,
}

#[derive(Default)]
struct Told {
    acknowledged: Mutex<BTreeSet<Commit>>,
    /// Writes that were not done, or of which nobody knew.
    failed: AtomicUsize,
    is_over: AtomicBool,
}

impl Life {
    /// Everybody begins; each acknowledged commit is handed to `heard`.
    pub async fn begin(folder: &Path, free_bytes_min: u64, heard: impl Fn(Commit) + Clone + Send + 'static) -> Self {
        let opened = workload::open_with(folder, |settings| {
            settings.free_bytes_min = free_bytes_min;
            settings.reopen_after = REOPEN_AFTER;
        });
        let opened = Arc::new(opened.unwrap());
        let (told, mut work) = (Arc::new(Told::default()), JoinSet::new());
        let kept = workload::check_whole(&opened).await;
        told.acknowledged.lock().extend(&kept);
        for writer in 0..WRITERS {
            let first = kept.iter().filter(|commit| commit.0 == writer).count() as u64;
            work.spawn(write(Arc::clone(&opened), Arc::clone(&told), (writer, first), heard.clone()));
        }
        work.spawn(read(Arc::clone(&opened), Arc::clone(&told)));
        Self { opened, told, work }
    }

    /// Number of failures so far.
    pub fn failed(&self) -> usize {
        self.told.failed.load(Ordering::SeqCst)
    }

    /// Number of acknowledged commits.
    pub fn acknowledged(&self) -> usize {
        self.told.acknowledged.lock().len()
    }

    /// Waits until so many more commits were acknowledged than now.
    pub async fn goes_on(&self, commits: usize) {
        let from = self.acknowledged();
        until("writes go on", || self.acknowledged() >= from + commits).await;
    }

    /// Everybody ends; what was acknowledged, checked against the engine.
    pub async fn end(self) -> BTreeSet<Commit> {
        self.told.is_over.store(true, Ordering::SeqCst);
        self.work.join_all().await;
        let acknowledged = std::mem::take(&mut *self.told.acknowledged.lock());
        workload::check_kept(&self.opened, &acknowledged).await;
        acknowledged
    }
}

/// Waits for a condition.
pub async fn until(what: &str, is_so: impl Fn() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "never: {what}");
        tokio::task::yield_now().await;
        std::thread::yield_now();
    }
}

async fn write(opened: Arc<Opened>, told: Arc<Told>, (writer, first): Commit, heard: impl Fn(Commit)) {
    for number in first.. {
        let commit = (writer, number);
        loop {
            if told.is_over.load(Ordering::SeqCst) {
                return;
            }
            let Err(error) = workload::write(&opened, commit).await else { break };
            told.failed.fetch_add(1, Ordering::SeqCst);
            if matches!(error, EngineError::Unknown(_)) {
                if stands(&opened, commit).await {
                    break;
                }
            } else {
                assert!(matches!(error, EngineError::Unavailable(_) | EngineError::Full(_)), "{error}");
            }
            tokio::time::sleep(Duration::from_millis(1)).await; // poll
        }
        told.acknowledged.lock().insert(commit);
        heard(commit);
        // Disks here are small, and in memory: they would be full before anything was tried.
        tokio::time::sleep(PACE).await; // poll
    }
}

fn row(commit: Commit) -> RowKey {
    RowKey::new(workload::left_of(commit.0), commit.0.to_be_bytes().to_vec(), commit.1.to_be_bytes().to_vec())
}

/// Whether a commit whose outcome was unknown stands: asked once the store is open again, which is not while the one
/// that failed can still be read.
async fn stands(opened: &Opened, commit: Commit) -> bool {
    let engines = &opened.engines;
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < PATIENCE, "it is not opened again");
        // Nothing is written any more to the one that failed, so a delete says that it is another one.
        let asked = RowKey::single(Table { id: workload::left_of(commit.0).id + 8, name: "asked" }, "asked");
        if engines.tables.release_unique(&asked, 1).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await; // poll
    }
    loop {
        match engines.tables.get(&row(commit)).await {
            Ok(found) => return found.is_some(),
            Err(EngineError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(1)).await, // poll
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads what was acknowledged: it is there, or the store is just being opened.
async fn read(opened: Arc<Opened>, told: Arc<Told>) {
    while !told.is_over.load(Ordering::SeqCst) {
        let some: Vec<Commit> = told.acknowledged.lock().iter().rev().step_by(7).take(20).copied().collect();
        for commit in some {
            match opened.engines.tables.get(&row(commit)).await {
                Ok(found) => assert!(found.is_some(), "{commit:?} was acknowledged"),
                Err(EngineError::Unavailable(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
        tokio::task::yield_now().await;
    }
}
