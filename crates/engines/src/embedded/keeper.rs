//! Keeper of the store: opens it again after a write to disk failed, in this process and under the same lock.
//!
//! After a failed write nobody knows what is on the disk, so nothing more is written to the files that were open: the
//! committer ends ([`Life`] is over), the store is let go of as a whole, its newest logs are written anew (`renew.rs`),
//! and what the disk holds is read again. Until somebody tries to open it, reads go on over what was durable before;
//! writes are answered that nothing was done. Only corruption ends it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use tokio::sync::Semaphore;

use super::LONG_SCANS_MAX;
use super::committer::Committer;
use super::place::Place;
use super::renew::renew_logs;
use super::store::Store;
use crate::ports::EngineError;

/// Doublings of the wait before the store is opened again add up to this many times the first one.
const AGAIN_MAX: u32 = 30;
/// Time after which a store that was opened again counts as mended.
const MENDED_AFTER: Duration = Duration::from_secs(60);
/// Wait between two looks whether readers let go of the store.
const LET_GO_LOOK: Duration = Duration::from_millis(2);
/// Tries to lock the folder, and the wait between two: a process that is ending may hold it still.
const LOCK_TRIES: usize = 3;
const LOCK_AGAIN: Duration = Duration::from_millis(100);
/// The file in the folder that is locked while it is in use.
const LOCK_FILE: &str = "in-use";

/// A store from one opening to the next. The committer is declared first: it must end before the store is let go.
pub(super) struct Life {
    pub(super) committer: Committer,
    pub(super) store: Arc<Store>,
    /// Long scans that run at once, each in a thread of its own. Closed when the store is to be let go of.
    pub(super) turns: Arc<Semaphore>,
}

impl Life {
    fn begin(place: &Place, store: Store, notes: &Sender<Note>) -> Result<Self, EngineError> {
        let store = Arc::new(store);
        let notes = notes.clone();
        let failed = move |cause| drop(notes.send(Note::Failed(cause)));
        let committer = Committer::start(store.clone(), place, failed)?;
        Ok(Self { committer, store, turns: Arc::new(Semaphore::new(LONG_SCANS_MAX)) })
    }
}

enum Note {
    /// The life is over: nothing is written any more.
    Failed(String),
    /// The engine is dropped.
    End,
}

/// The store as it is now; why there is none, while it is being opened.
type Now = RwLock<Result<Arc<Life>, EngineError>>;

/// Keeper of one store.
pub(super) struct Keeper {
    now: Arc<Now>,
    notes: Sender<Note>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    /// Keeper of `store`, which was opened at `place` in a folder that is locked.
    pub(super) fn of(place: Place, store: Store) -> Result<Self, EngineError> {
        let (notes, heard) = channel();
        let life = Life::begin(&place, store, &notes)?;
        let now: Arc<Now> = Arc::new(RwLock::new(Ok(Arc::new(life))));
        let thread = std::thread::Builder::new().name("store-keeper".into());
        let wait = place.settings.reopen_after;
        let keeping = Keeping { place, now: Arc::clone(&now), notes: notes.clone(), heard, wait };
        let thread = thread
            .spawn(move || keeping.run())
            .map_err(|error| EngineError::Unavailable(format!("cannot start a thread: {error}")))?;
        Ok(Self { now, notes, thread: Some(thread) })
    }

    /// The store now. To be held only while something of it is under way.
    pub(super) fn life(&self) -> Result<Arc<Life>, EngineError> {
        self.now.read().clone()
    }
}

impl Drop for Keeper {
    /// Waits until what was accepted is committed.
    fn drop(&mut self) {
        let _ = self.notes.send(Note::End);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the keeper of the store had panicked");
        }
        let closed = Err(EngineError::Closed("the engine was shut down".into()));
        drop(std::mem::replace(&mut *self.now.write(), closed));
    }
}

/// Locks the engine's folder `path` for as long as the answer is held.
pub(super) fn lock(path: &Path) -> Result<File, EngineError> {
    let shown = path.display();
    let unavailable = |error: std::io::Error| EngineError::Unavailable(format!("{shown}: {error}"));
    std::fs::create_dir_all(path).map_err(unavailable)?;
    let file = File::options().create(true).truncate(false).write(true).open(path.join(LOCK_FILE));
    let file = file.map_err(unavailable)?;
    for tries in 1.. {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
            Err(TryLockError::WouldBlock) if tries < LOCK_TRIES => std::thread::sleep(LOCK_AGAIN),
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
        }
    }
    Ok(file)
}

/// Error of a folder that another process has.
pub(super) fn in_use(path: &Path) -> EngineError {
    EngineError::Unavailable(format!(
        "{} is in use by another process; stop that one first, or choose another data folder",
        path.display()
    ))
}

/// The keeper's thread.
struct Keeping {
    place: Place,
    now: Arc<Now>,
    notes: Sender<Note>,
    heard: Receiver<Note>,
    /// Before the next opening.
    wait: Duration,
}

/// The engine was dropped.
struct Ended;

impl Keeping {
    fn run(mut self) {
        let mut opened = Instant::now();
        while let Ok(Note::Failed(cause)) = self.heard.recv() {
            let store = self.place.folder.display();
            tracing::error!(%store, cause, "a write to disk failed: the store takes no more, and is opened again");
            if opened.elapsed() >= MENDED_AFTER {
                self.wait = self.place.settings.reopen_after;
            }
            if self.open_again().is_err() {
                return;
            }
            opened = Instant::now();
        }
    }

    /// Opens the store again, as often as it takes.
    fn open_again(&mut self) -> Result<(), Ended> {
        let mut is_said = false;
        loop {
            self.pause(self.wait)?;
            self.wait = (self.wait * 2).min(self.place.settings.reopen_after * AGAIN_MAX);
            if let Some(free_bytes) = self.place.shared.room.lacks(0) {
                if !std::mem::replace(&mut is_said, true) {
                    let store = self.place.folder.display();
                    tracing::warn!(%store, free_bytes, "there is no room to open the store again: it waits for some");
                }
                self.wait = self.place.settings.reopen_after;
                continue;
            }
            let away = EngineError::Unavailable("a write to disk failed, and the store is being opened again".into());
            let before = std::mem::replace(&mut *self.now.write(), Err(away));
            if let Ok(life) = before {
                self.let_go(life)?;
            }
            match self.open() {
                Ok(life) => {
                    *self.now.write() = Ok(Arc::new(life));
                    tracing::info!("the store is open again, with everything that was acknowledged");
                    return Ok(());
                }
                Err(error @ EngineError::Corrupt(_)) => {
                    tracing::error!(%error, "the store does not open any more: restore it from a backup");
                    *self.now.write() = Err(error);
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!(%error, "the store does not open yet");
                    *self.now.write() = Err(EngineError::Unavailable(error.to_string()));
                }
            }
        }
    }

    fn open(&self) -> Result<Life, EngineError> {
        let folder = &self.place.folder;
        renew_logs(folder).map_err(|error| EngineError::Unavailable(format!("{}: {error}", folder.display())))?;
        let mut store = Store::open(&self.place)?;
        store.find_tails(self.place.partitions.clone())?;
        Life::begin(&self.place, store, &self.notes)
    }

    /// Waits until nobody holds anything of the store, and closes it: two over the same files would break them.
    fn let_go(&self, life: Arc<Life>) -> Result<(), Ended> {
        life.turns.close();
        let Life { committer, store, .. } = self.alone(life)?;
        drop(committer);
        drop(self.alone(store)?);
        Ok(())
    }

    fn alone<T>(&self, mut held: Arc<T>) -> Result<T, Ended> {
        loop {
            match Arc::try_unwrap(held) {
                Ok(alone) => return Ok(alone),
                Err(shared) => held = shared,
            }
            self.pause(LET_GO_LOOK)?;
        }
    }

    fn pause(&self, wait: Duration) -> Result<(), Ended> {
        let until = Instant::now() + wait;
        loop {
            match self.heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Err(RecvTimeoutError::Timeout) => return Ok(()),
                Ok(Note::Failed(_)) => {} // of a life that is over
                Ok(Note::End) | Err(RecvTimeoutError::Disconnected) => return Err(Ended),
            }
        }
    }
}
