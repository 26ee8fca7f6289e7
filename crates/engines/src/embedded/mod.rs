//! The durable engine of one machine: rows and journal in one LSM store (fjall), committed together.
//!
//! Every write goes through one committer thread (`committer.rs`), which merges what is waiting into a group
//! (`group.rs`), commits it with one fsync and then answers all. Reads go straight to the store on the caller's thread:
//! they cost microseconds, a block that is not cached some tens more. A write that fails ends the opened store, and the
//! keeper (`keeper.rs`) opens it again. Each family of partitions and tables has all of that for itself, in a folder of
//! its own (`place.rs`). Stronger than the ports ask: a write is atomic over all its partitions and its records, and
//! journal offsets have no gaps. Nothing above may lean on that.

mod committer;
mod forget;
mod gaps;
mod group;
mod journal;
mod keeper;
mod layout;
mod measured;
mod place;
mod renew;
mod scan;
mod shred;
pub(crate) mod store;
mod tables;
mod torn;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use self::committer::Door;
use self::forget::Forgotten;
use self::keeper::{Keeper, Life};
pub use self::measured::{FamilyBytes, compact};
use self::place::Shared;
use self::shred::Pads;
use crate::local::{self, LocalBus, LocalEphemeral};
use crate::objects::FileObjects;
use crate::ports::{EngineError, Table};
use crate::{Engines, Families, NewFamily};

/// Folder of the objects within the engine's.
const OBJECTS_FOLDER: &str = "objects";
/// Scans through very many dead rows at once: they leave a processor to others.
const LONG_SCANS_MAX: usize = 2;
/// Long scans that wait for their turn, at most.
const LONG_SCANS_WAITING_MAX: usize = 256;

/// Choices when the engine is opened.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of blocks kept in memory for reads; 64 to 256 MiB suit most. Each family beside the first has a quarter of
    /// that for itself.
    pub cache_bytes: u64,
    /// Bytes of new rows that are gathered in memory before they are written as a sorted file; up to five times as
    /// much is held, and as much again for the journal. Existing data keeps what it was made with.
    pub write_buffer_bytes: u64,
    /// Families of partitions and tables: one at least. Those that the data does not have yet are made.
    pub families: Vec<NewFamily>,
    /// Bytes that the ephemeral store holds.
    pub ephemeral_bytes: usize,
    /// Bytes of the disk that stay free: the margin of [`DiskRoom`](crate::DiskRoom). 0 writes until the disk refuses.
    pub free_bytes_min: u64,
    /// Tables whose deleted rows leave nothing behind in any file, the store's log included: rows of `insert_unique`
    /// alone, few and small.
    pub shredded: &'static [Table],
    /// Wait before a store is opened again whose write to disk failed; doubled up to thirty times as much.
    pub reopen_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            cache_bytes: 128 * 1024 * 1024,
            write_buffer_bytes: 32 * 1024 * 1024,
            families: vec![NewFamily::of_all(None)],
            ephemeral_bytes: local::EPHEMERAL_BYTES_DEFAULT,
            free_bytes_min: 128 * 1024 * 1024,
            shredded: &[],
            reopen_after: Duration::from_secs(1),
        }
    }
}

/// Opens the data in the folder `path`, which is made if it is missing.
///
/// Blocks while the store replays its write-ahead log (at most a few seconds). Dropping the last handle of the answer's
/// tables and journal waits for accepted writes, syncs and unlocks the folder.
///
/// After a write to disk failed, its callers hear [`EngineError::Unknown`] and everybody else
/// [`EngineError::Unavailable`] until the store is open again, by itself and with what was acknowledged.
///
/// # Errors
/// [`EngineError::Unavailable`] when the folder is in use or cannot be written, [`EngineError::Corrupt`] when
/// acknowledged data was damaged, or a folder of a family is missing or of other data, [`EngineError::Limit`] when the
/// families are not those of the data. A write that a power loss tore is no error: it was never acknowledged.
pub fn open(path: &Path, settings: &Settings) -> Result<Engines, EngineError> {
    let embedded = Arc::new(Embedded::open(path, settings, LONG_SCANS_MAX + LONG_SCANS_WAITING_MAX)?);
    let (families, Shared { scans, room, .. }) = (embedded.families.clone(), embedded.shared.clone());
    Ok(Engines {
        tables: embedded.clone(),
        journal: embedded,
        families,
        objects: Arc::new(FileObjects::open(&path.join(OBJECTS_FOLDER))?),
        bus: Arc::new(LocalBus::default()),
        ephemeral: Arc::new(LocalEphemeral::new(settings.ephemeral_bytes)),
        scans,
        room,
    })
}

/// Tables and journal over a store a family.
struct Embedded {
    /// By the place of the family.
    keepers: Vec<Keeper>,
    families: Families,
    shared: Shared,
    pads: Pads,
    /// Long scans that run or wait for their turn; beyond, they are turned away.
    waiting: Semaphore,
    /// Unlocked last.
    _lock: File,
}

impl Embedded {
    /// Opens the stores in the folder `path`; `waiting` long scans run or wait at once.
    fn open(path: &Path, settings: &Settings, waiting: usize) -> Result<Self, EngineError> {
        let lock = keeper::lock(path)?;
        let shared = Shared::new(path, settings);
        let (families, keepers) = place::open_all(path, settings, &shared)?;
        let (pads, waiting) = (Pads::new(path, settings.shredded), Semaphore::new(waiting));
        let opened = Self { keepers, families, shared, pads, waiting, _lock: lock };
        opened.pads.shred_left(|key| Ok(opened.value_now(key)?.is_some()))?;
        Ok(opened)
    }

    /// Way in for writes to the store of a family, which is known by its place.
    fn door(&self, family: usize) -> Result<Door, EngineError> {
        self.life(family)?.committer.door()
    }

    /// The store of a family now, or why there is none.
    fn life(&self, family: usize) -> Result<Arc<Life>, EngineError> {
        self.keepers[family].life()
    }

    fn forgotten(&self) -> &Forgotten {
        &self.shared.forgotten
    }
}
