//! The opened LSM store with its keyspaces, and where each journal partition stands. Readers and committer share it.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::compaction::filter::Factory;
use fjall::config::PinningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::forget::{Forgetting, Forgotten};
use super::gaps::GapIndex;
use super::keeper::{Place, in_use};
use super::layout::{self, Mark, PARTITIONS_KEY};
use super::{Settings, torn};
use crate::Scans;
use crate::ports::{EngineError, Offset, Partition};

/// Write buffer of the counters, which are few.
const META_WRITE_BUFFER_BYTES: u64 = 4 * 1024 * 1024;
/// Write-ahead log that is kept before idle keyspaces are flushed to free it; what a restart replays at most.
pub(super) const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Threads that flush and compact: one is kept free for flushes, so 2 is the least at which compactions go on.
const WORKERS: usize = 2;
/// Folder of the store within the engine's.
const STORE_FOLDER: &str = "store";
/// Folder of a store that is being made.
const UNFINISHED_FOLDER: &str = "store.new";
/// The file that a store has once it was opened.
const STORE_MARKER: &str = "version";
/// Name of the rows within the store.
const ROWS: &str = "rows";

/// A journal partition's ends. Written by the committer alone, after each commit.
#[derive(Debug, Default)]
pub(super) struct Tail {
    first: AtomicU64,
    trimmed_bytes: AtomicU64,
    next: AtomicU64,
    appended_bytes: AtomicU64,
}

impl Tail {
    pub(super) fn load(&self) -> Mark {
        // `first` before `next`: both only grow, so that readers never see `first` above `next`.
        Mark {
            first: self.first.load(Ordering::Acquire),
            trimmed_bytes: self.trimmed_bytes.load(Ordering::Acquire),
            next: self.next.load(Ordering::Acquire),
            appended_bytes: self.appended_bytes.load(Ordering::Acquire),
        }
    }

    pub(super) fn publish(&self, mark: Mark) {
        self.appended_bytes.store(mark.appended_bytes, Ordering::Release);
        self.next.store(mark.next, Ordering::Release);
        self.trimmed_bytes.store(mark.trimmed_bytes, Ordering::Release);
        self.first.store(mark.first, Ordering::Release);
    }
}

/// The store. Dropping the last handle syncs and unlocks it.
pub(super) struct Store {
    pub(super) db: Database,
    pub(super) rows: Keyspace,
    pub(super) journal: Keyspace,
    pub(super) meta: Keyspace,
    pub(super) tails: Vec<Tail>,
    pub(super) gaps: GapIndex,
    pub(super) scans: Arc<Scans>,
}

impl Store {
    /// Opens the store in the folder `path`, or makes it there: beside its place, and moved into it when it is whole. A
    /// store that was cut off while it was made opens no more, and holds nothing yet.
    pub(super) fn open(place: &Place) -> Result<Self, EngineError> {
        let Place { path, settings, .. } = place;
        let folder = Self::folder(path);
        let unavailable = |error: std::io::Error| EngineError::Unavailable(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path).map_err(unavailable)?;
        let (forgotten, scans) = (Arc::clone(&place.forgotten), Arc::clone(&place.scans));
        if !folder.join(STORE_MARKER).try_exists().map_err(unavailable)? {
            let unfinished = path.join(UNFINISHED_FOLDER);
            for left in [&folder, &unfinished] {
                remove_folder(left).map_err(unavailable)?;
            }
            drop(open_database(&unfinished, settings, &forgotten)?);
            std::fs::rename(&unfinished, &folder).map_err(unavailable)?;
            sync_folder(path).map_err(unavailable)?;
        }
        let db = open_database(&folder, settings, &forgotten)?;

        let keyspace = |name: &str, write_buffer_bytes: u64| {
            // Filters stay in memory (about 10 bits a row in the upper levels, where they are whole): the committer
            // asks them for every versioned row, and most rows are new.
            let options = KeyspaceCreateOptions::default().filter_block_pinning_policy(PinningPolicy::all(true));
            db.keyspace(name, || options.max_memtable_size(write_buffer_bytes)).map_err(fault)
        };
        let rows = keyspace(ROWS, settings.write_buffer_bytes)?;
        let journal = keyspace("journal", settings.write_buffer_bytes)?;
        let meta = keyspace("meta", settings.write_buffer_bytes.min(META_WRITE_BUFFER_BYTES))?;
        let partitions = partitions(&db, &meta, settings.journal_partitions)?;
        let mut store = Self { db, rows, journal, meta, tails: Vec::new(), gaps: GapIndex::default(), scans };
        for partition in 0..partitions {
            let tail = Tail::default();
            tail.publish(store.find_tail(Partition(partition))?);
            store.tails.push(tail);
        }
        Ok(store)
    }

    /// Folder of the store within the engine's folder `path`.
    pub(super) fn folder(path: &Path) -> PathBuf {
        path.join(STORE_FOLDER)
    }

    /// End of a partition: its last mark, and what was appended since.
    fn find_tail(&self, partition: Partition) -> Result<Mark, EngineError> {
        let stored = self.meta.get(layout::mark_key(partition)).map_err(fault)?;
        let mut mark = match &stored {
            Some(bytes) => Mark::parse(bytes).ok_or_else(|| corrupt("a journal mark"))?,
            None => Mark::default(),
        };
        let from = layout::record_key(partition, Offset(mark.next));
        let to = layout::record_key(partition, Offset(u64::MAX));
        for record in self.journal.range(from..to) {
            let (key, payload) = record.into_inner().map_err(fault)?;
            let offset = layout::record_offset(&key).ok_or_else(|| corrupt("a journal key"))?;
            mark.next = offset.0 + 1;
            mark.appended_bytes += payload.len() as u64;
        }
        Ok(mark)
    }

    pub(super) fn tail(&self, partition: Partition) -> &Tail {
        &self.tails[usize::from(partition.0)]
    }

    pub(super) fn partitions(&self) -> u16 {
        u16::try_from(self.tails.len()).unwrap_or(u16::MAX)
    }
}

/// The stored number of partitions; `wanted` is stored when the data is new.
fn partitions(db: &Database, meta: &Keyspace, wanted: u16) -> Result<u16, EngineError> {
    if let Some(stored) = meta.get(PARTITIONS_KEY).map_err(fault)? {
        let stored = stored.as_ref().try_into().map_err(|_| corrupt("the number of partitions"))?;
        let stored = u16::from_be_bytes(stored);
        if stored != wanted {
            tracing::warn!(stored, wanted, "the journal keeps the number of partitions it was made with");
        }
        return Ok(stored);
    }
    let mut batch = db.batch().durability(Some(PersistMode::SyncAll));
    batch.insert(meta, PARTITIONS_KEY, wanted.to_be_bytes());
    batch.commit().map_err(fault)?;
    Ok(wanted)
}

fn open_database(folder: &Path, settings: &Settings, forgotten: &Arc<Forgotten>) -> Result<Database, EngineError> {
    let open = || {
        let filter: Arc<dyn Factory> = Arc::new(Forgetting(Arc::clone(forgotten)));
        let builder = Database::builder(folder).cache_size(settings.cache_bytes).worker_threads(WORKERS);
        let rows_only = move |keyspace: &str| (keyspace == ROWS).then(|| Arc::clone(&filter));
        let builder = builder.with_compaction_filter_factories(Arc::new(rows_only));
        catch_unwind(AssertUnwindSafe(|| builder.max_journaling_size(LOG_BYTES_MAX).open()))
    };
    let reopen = || match open() {
        Ok(opened) => opened.map_err(fault),
        Err(_) => Err(corrupt("the store")),
    };
    match open() {
        Ok(Err(fjall::Error::JournalRecovery(cause))) => torn::cut_off(folder, &cause, reopen),
        // The store asserts some of what it reads, in debug builds more of it: that is damage too.
        Err(_) => torn::cut_off(folder, &"an entry that cannot be read", reopen),
        Ok(Err(fjall::Error::Locked)) => Err(in_use(folder)),
        Ok(opened) => opened.map_err(fault),
    }
}

fn remove_folder(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Makes names that were created or moved within `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Error for callers of a failed read or open of the store.
#[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
pub(super) fn fault(error: fjall::Error) -> EngineError {
    match error {
        fjall::Error::Poisoned => EngineError::Unavailable("an earlier write to disk failed".into()),
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => {
            EngineError::Unavailable(error.to_string())
        }
        other => EngineError::Corrupt(other.to_string()),
    }
}

/// Stored bytes that nothing here wrote.
pub(super) fn corrupt(what: &str) -> EngineError {
    EngineError::Corrupt(format!("{what} is not what was written"))
}
