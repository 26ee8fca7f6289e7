//! The opened LSM store with its keyspaces, and where each journal partition stands. Readers and committer share it.

use std::fmt::Display;
use std::fs::File;
use std::io::ErrorKind;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use fjall::compaction::filter::Factory;
use fjall::config::PinningPolicy;
use fjall::{Database, Keyspace, KeyspaceCreateOptions, Slice};
use parking_lot::RwLock;

use super::forget::{Forgetting, Forgotten};
use super::gaps::GapIndex;
use super::keeper::in_use;
use super::layout::{self, Entry, Mark};
use super::place::Place;
use super::{Settings, torn};
use crate::Scans;
use crate::admission::Header;
use crate::ports::{EngineError, Offset, Partition, Position};

/// Write buffer of the counters, which are few.
const META_WRITE_BUFFER_BYTES: u64 = 4 * 1024 * 1024;
/// Write-ahead log that is kept before idle keyspaces are flushed to free it; what a restart replays at most.
pub(super) const LOG_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Threads that flush and compact: one is kept free for flushes, so 2 is the least at which compactions go on.
const WORKERS: usize = 2;
/// Ending of the folder of a store that is being made.
const UNFINISHED_EXTENSION: &str = "new";
/// The file that a store has once it was opened.
const STORE_MARKER: &str = "version";
/// Name of the rows within the store.
const ROWS: &str = "rows";

/// A journal partition's ends. Written by the committer alone, after each commit.
#[derive(Debug, Default)]
pub(super) struct Tail(RwLock<Mark>);

impl Tail {
    pub(super) fn load(&self) -> Mark {
        *self.0.read()
    }

    pub(super) fn publish(&self, mark: Mark) {
        *self.0.write() = mark;
    }
}

/// The store. Dropping the last handle syncs and unlocks it.
pub(super) struct Store {
    pub(super) db: Database,
    pub(super) rows: Keyspace,
    pub(super) journal: Keyspace,
    pub(super) meta: Keyspace,
    /// Numbers of the partitions that are kept here, and their ends.
    first_partition: u16,
    tails: Vec<Tail>,
    pub(super) gaps: GapIndex,
    pub(super) scans: Arc<Scans>,
    folder: PathBuf,
}

impl Position {
    /// Moves on behind a stored entry; answers what it is if it is a record.
    pub(super) fn pass_stored(&mut self, key: &[u8], value: &[u8]) -> Result<Option<Stored>, EngineError> {
        let (offset, entry) = layout::parse_entry(key).ok_or_else(|| corrupt("a journal key"))?;
        match entry {
            Entry::Record(id) => {
                self.pass(offset, id);
                Ok(Some(Stored { offset, id }))
            }
            Entry::Claim => {
                self.admit(offset, &Header::Claim { is_import: layout::is_import(value) }, 0);
                Ok(None)
            }
        }
    }
}

/// Record of the journal, as its key tells.
pub(super) struct Stored {
    pub(super) offset: Offset,
    pub(super) id: Option<u64>,
}

impl Store {
    /// Opens the store in the folder `path`, or makes it there: beside its place, and moved into it when it is whole. A
    /// store that was cut off while it was made opens no more, and holds nothing yet.
    pub(super) fn open(place: &Place) -> Result<Self, EngineError> {
        let Place { path, folder, settings, shared, .. } = place;
        let unavailable = |error: std::io::Error| EngineError::Unavailable(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(path).map_err(unavailable)?;
        let (forgotten, scans) = (Arc::clone(&shared.forgotten), Arc::clone(&shared.scans));
        if !Self::is_there(folder)? {
            if torn::was_written(folder).map_err(|error| named(folder, fault(error.into())))? {
                let what = format!("the file {STORE_MARKER} of the store is missing");
                return Err(named(folder, EngineError::Corrupt(what)));
            }
            let unfinished = folder.with_extension(UNFINISHED_EXTENSION);
            for left in [folder, &unfinished] {
                remove_folder(left).map_err(unavailable)?;
            }
            drop(open_database(&unfinished, settings, &forgotten)?);
            std::fs::rename(&unfinished, folder).map_err(unavailable)?;
            sync_folder(path).map_err(unavailable)?;
        }
        torn::check(folder)?;
        let db = open_database(folder, settings, &forgotten)?;

        let keyspace = |name: &str, write_buffer_bytes: u64| {
            // Filters stay in memory (about 10 bits a row in the upper levels, where they are whole): the committer
            // asks them for every versioned row, and most rows are new.
            let options = KeyspaceCreateOptions::default().filter_block_pinning_policy(PinningPolicy::all(true));
            let opened = db.keyspace(name, || options.max_memtable_size(write_buffer_bytes));
            opened.map_err(|error| named(folder, fault(error)))
        };
        let rows = keyspace(ROWS, settings.write_buffer_bytes)?;
        let journal = keyspace("journal", settings.write_buffer_bytes)?;
        let meta = keyspace("meta", settings.write_buffer_bytes.min(META_WRITE_BUFFER_BYTES))?;
        let (folder, gaps) = (folder.clone(), GapIndex::default());
        Ok(Self { db, rows, journal, meta, first_partition: 0, tails: Vec::new(), gaps, scans, folder })
    }

    /// Whether a whole store lies in `folder`.
    pub(super) fn is_there(folder: &Path) -> Result<bool, EngineError> {
        let there = folder.join(STORE_MARKER).try_exists();
        there.map_err(|error| EngineError::Unavailable(format!("{}: {error}", folder.display())))
    }

    /// Folder in which it lies.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Value of `key` among the counters.
    pub(super) fn meta_value(&self, key: impl AsRef<[u8]>) -> Result<Option<Slice>, EngineError> {
        self.meta.get(key).map_err(|error| self.fault(error))
    }

    /// Error for callers of a failed read, which names the store.
    #[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
    pub(super) fn fault(&self, error: fjall::Error) -> EngineError {
        named(&self.folder, fault(error))
    }

    /// Stored bytes that nothing here wrote.
    pub(super) fn corrupt(&self, what: &str) -> EngineError {
        named(&self.folder, corrupt(what))
    }

    /// Whether nobody ever wrote to it.
    pub(super) fn is_empty(&self) -> Result<bool, EngineError> {
        let is_empty = |keyspace: &Keyspace| keyspace.is_empty().map_err(|error| self.fault(error));
        Ok(is_empty(&self.rows)? && is_empty(&self.journal)?)
    }

    /// Learns the ends of the partitions that are kept here.
    pub(super) fn find_tails(&mut self, partitions: Range<u16>) -> Result<(), EngineError> {
        self.first_partition = partitions.start;
        self.tails.clear();
        for partition in partitions {
            let tail = Tail::default();
            tail.publish(self.find_tail(Partition(partition))?);
            self.tails.push(tail);
        }
        Ok(())
    }

    /// End of a partition: its last mark, and what was appended since.
    fn find_tail(&self, partition: Partition) -> Result<Mark, EngineError> {
        let stored = self.meta_value(layout::mark_key(partition))?;
        let mut mark = match &stored {
            Some(bytes) => Mark::parse(bytes).ok_or_else(|| self.corrupt("a journal mark"))?,
            None => Mark::default(),
        };
        let from = layout::entry_key(partition, mark.next.offset);
        let to = layout::entry_key(partition, Offset(u64::MAX));
        for entry in self.journal.range(from..to) {
            let (key, payload) = entry.into_inner().map_err(|error| self.fault(error))?;
            let stored = mark.next.pass_stored(&key, &payload).map_err(|error| named(&self.folder, error))?;
            if stored.is_some() {
                mark.appended_bytes += payload.len() as u64;
            }
        }
        Ok(mark)
    }

    pub(super) fn tail(&self, partition: Partition) -> &Tail {
        &self.tails[usize::from(partition.0 - self.first_partition)]
    }
}

fn open_database(folder: &Path, settings: &Settings, forgotten: &Arc<Forgotten>) -> Result<Database, EngineError> {
    let open = || {
        let filter: Arc<dyn Factory> = Arc::new(Forgetting(Arc::clone(forgotten)));
        let builder = Database::builder(folder).cache_size(settings.cache_bytes).worker_threads(WORKERS);
        let rows_only = move |keyspace: &str| (keyspace == ROWS).then(|| Arc::clone(&filter));
        let builder = builder.with_compaction_filter_factories(Arc::new(rows_only));
        catch_unwind(AssertUnwindSafe(|| builder.max_journaling_size(LOG_BYTES_MAX).open()))
    };
    let damaged = |cause: &dyn Display| named(folder, EngineError::Corrupt(cause.to_string()));
    match open() {
        Ok(Err(fjall::Error::JournalRecovery(cause))) => {
            Err(damaged(&format_args!("the write-ahead log is damaged ({cause})")))
        }
        // The store asserts some of what it reads, in debug builds more of it: that is damage too.
        Err(_) => Err(damaged(&"the store cannot be read")),
        Ok(Err(fjall::Error::Locked)) => Err(in_use(folder)),
        // Nobody takes files away while it is open: it is not whole.
        Ok(Err(fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error))))
            if error.kind() == ErrorKind::NotFound =>
        {
            Err(damaged(&format_args!("a file of the store is missing ({error})")))
        }
        Ok(opened) => opened.map_err(|error| named(folder, fault(error))),
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
        fjall::Error::Io(error) | fjall::Error::Storage(fjall::LsmError::Io(error)) => match error.kind() {
            // A file that ends too early, or points before its beginning, stays so.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                EngineError::Corrupt(format!("a file of the store is damaged ({error})"))
            }
            _ => EngineError::Unavailable(error.to_string()),
        },
        other => EngineError::Corrupt(format!("the store is damaged ({other:?})")),
    }
}

/// `error` of the store in `folder`, which it names; and what is to be done about damage.
pub(super) fn named(folder: &Path, error: EngineError) -> EngineError {
    let shown = folder.display();
    match error {
        EngineError::Corrupt(what) => {
            EngineError::Corrupt(format!("{shown}: {what}: restore all folders from one backup"))
        }
        EngineError::Unavailable(cause) => EngineError::Unavailable(format!("{shown}: {cause}")),
        other => other,
    }
}

/// Stored bytes that nothing here wrote.
pub(super) fn corrupt(what: &str) -> EngineError {
    EngineError::Corrupt(format!("{what} is not what was written"))
}
