//! Whether storage works, as everybody sees it: one state that readiness, status, admission and the log's owner share.
//!
//! Storage that is *away* comes back by itself: whoever meets it first says so, what would be written is refused
//! meanwhile (503), and whoever finds that it works again says that. Only corruption, or an engine that was closed,
//! *ends* it until a restart. A disk that is as good as full is neither: what adds something is refused before it is
//! begun, reads and deletes go on. The engines that tell of it are in `watched.rs`.

use std::fmt::Display;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use fanfare_engines::{DiskRoom, EngineError};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The answer of `call`, however long that takes; `is_silent` is told once that it takes longer than `bound`. A disk
/// that hangs answers nothing, not even an error.
pub async fn awaited<T>(call: impl Future<Output = T>, bound: Duration, is_silent: impl FnOnce(&EngineError)) -> T {
    let mut call = pin!(call);
    // What is there at once, as most that is read, costs no timer.
    if let Some(answer) = call.as_mut().now_or_never() {
        return answer;
    }
    if let Ok(answer) = tokio::time::timeout(bound, &mut call).await {
        return answer;
    }
    is_silent(&EngineError::Unavailable(format!("no answer for {} ms", bound.as_millis())));
    call.await
}

/// Part of storage that can be away by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoragePart {
    /// Rows that follow from no record.
    Rows = 1,
    /// Uploads.
    Objects = 2,
    /// The log: its owner waits, with records on the way.
    Log = 4,
}

/// State of storage. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Storage(Arc<State>);

#[derive(Default)]
struct State {
    /// Bits of the [`StoragePart`]s that are away.
    away: AtomicU8,
    /// Owners of logs that are away: the log is while one of them is.
    logs_away: Mutex<usize>,
    /// Moment when the first of them went.
    since: Mutex<Option<Instant>>,
    ended: AtomicBool,
    /// A partition of a log takes nothing until a restart; all else goes on.
    lacks: AtomicBool,
    /// Something that was read is not what was written.
    damaged: AtomicBool,
    /// The server is stopping.
    left: AtomicBool,
    /// Tells whoever waits for others that a part went, or everything ends.
    changed: Notify,
    room: OnceLock<Arc<DiskRoom>>,
    /// Said, and not yet taken back, that the disk is as good as full.
    full: AtomicBool,
}

/// Part that the owner of one log has in the state of [`StoragePart::Log`].
#[derive(Debug)]
pub struct LogPart {
    storage: Storage,
    is_away: AtomicBool,
}

impl LogPart {
    /// A log that works.
    #[must_use]
    pub const fn new(storage: Storage) -> Self {
        Self { storage, is_away: AtomicBool::new(false) }
    }

    /// The owner cannot write to its log.
    pub fn goes(&self, cause: &dyn Display) {
        let mut away = self.storage.0.logs_away.lock();
        if !self.is_away.swap(true, Ordering::AcqRel) {
            *away += 1;
        }
        self.storage.goes(StoragePart::Log, cause);
    }

    /// The owner can, or tries no more. Costs nothing while everything works.
    pub fn works(&self) {
        if !self.storage.is_away(&[StoragePart::Log]) {
            return;
        }
        let mut away = self.storage.0.logs_away.lock();
        if self.is_away.swap(false, Ordering::AcqRel) {
            *away -= 1;
        }
        if *away == 0 {
            self.storage.works(StoragePart::Log);
        }
    }
}

impl Drop for LogPart {
    fn drop(&mut self) {
        self.works();
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("away", &self.away).field("ended", &self.ended).finish_non_exhaustive()
    }
}

impl Storage {
    /// Storage ended, for good. Said once, whoever notices and however many do.
    pub fn fail(&self, cause: &dyn Display) {
        if !self.0.ended.swap(true, Ordering::AcqRel) {
            tracing::error!(%cause, "storage failed: every write is refused until a restart");
            self.0.changed.notify_waiters();
        }
    }

    /// A read met damage: what stands on that is refused, and all else goes on. Said once.
    pub fn is_damaged(&self, cause: &dyn Display) {
        if !self.0.damaged.swap(true, Ordering::AcqRel) {
            tracing::error!(%cause, "what is stored is damaged: what needs it is refused, all else goes on");
        }
    }

    /// Whether [`fail`](Self::fail) was called.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.0.ended.load(Ordering::Acquire)
    }

    /// A partition of a log takes nothing until a restart. Said by whoever found it, with the cause.
    pub fn lacks_part(&self) {
        self.0.lacks.store(true, Ordering::Release);
    }

    /// Whether every partition of every log takes something, or will by itself.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        !self.has_failed() && !self.0.lacks.load(Ordering::Acquire)
    }

    /// The server is stopping: nobody waits for storage any more.
    pub fn leave(&self) {
        self.0.left.store(true, Ordering::Release);
        self.0.changed.notify_waiters();
    }

    /// Completes when the server is stopping.
    pub(super) async fn until_left(&self) {
        loop {
            let changed = self.0.changed.notified();
            if self.is_left() {
                return;
            }
            changed.await;
        }
    }

    /// Whether [`leave`](Self::leave) was called.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.0.left.load(Ordering::Acquire)
    }

    /// `part` is away; answers whether that is news. Said once for all parts.
    pub fn goes(&self, part: StoragePart, cause: &dyn Display) -> bool {
        // Under the lock, so that what is said stands in the order of what happened.
        let mut since = self.0.since.lock();
        let before = self.0.away.fetch_or(part as u8, Ordering::AcqRel);
        if before == 0 {
            *since = Some(Instant::now());
            tracing::error!(%cause, ?part, "storage is away: writes are refused until it is back, and tried for ever");
        }
        drop(since);
        let news = before & part as u8 == 0;
        if news {
            self.0.changed.notify_waiters();
        }
        news
    }

    /// `part` works. Costs nothing while everything does.
    pub fn works(&self, part: StoragePart) {
        if self.0.away.load(Ordering::Acquire) & part as u8 == 0 {
            return;
        }
        let mut since = self.0.since.lock();
        let before = self.0.away.fetch_and(!(part as u8), Ordering::AcqRel);
        if before == part as u8 {
            let away_ms = since.take().map_or(Duration::ZERO, |since| since.elapsed()).as_millis();
            tracing::info!(away_ms, "storage is back: writes are taken again");
        }
    }

    /// Whether one of `parts` is away.
    #[must_use]
    pub fn is_away(&self, parts: &[StoragePart]) -> bool {
        let bits = parts.iter().fold(0, |bits, part| bits | *part as u8);
        self.0.away.load(Ordering::Acquire) & bits != 0
    }

    /// Whether writes are taken: what readiness says, with [`is_whole`](Self::is_whole). A full disk is no reason to
    /// send nobody here, for reads go on.
    #[must_use]
    pub fn serves(&self) -> bool {
        !self.has_failed() && self.0.away.load(Ordering::Acquire) == 0
    }

    /// Whether writes are refused now, all or those that add something.
    #[must_use]
    pub fn refuses(&self) -> bool {
        !self.serves() || !self.has_room(0)
    }

    /// Lets a write to `parts` begin that adds `adds` bytes, or only takes away.
    ///
    /// # Errors
    /// [`EngineError::Closed`], [`EngineError::Unavailable`] or [`EngineError::Full`]: nothing was done.
    pub fn admit(&self, parts: &[StoragePart], adds: Option<u64>) -> Result<(), EngineError> {
        let (why, error) = if self.has_failed() {
            ("failed", EngineError::Closed("storage failed before; restart the server".to_owned()))
        } else if self.is_away(parts) {
            ("away", EngineError::Unavailable("storage is away".to_owned()))
        } else if adds.is_some_and(|bytes| !self.has_room(bytes)) {
            ("full", EngineError::Full("the disk is as good as full".to_owned()))
        } else {
            return Ok(());
        };
        metrics::counter!("fanfare_storage_refused_total", "why" => why).increment(1);
        Err(error)
    }

    /// Outcome of `wait`, which may be held up by writes that are under way: nobody waits so while storage is away, or
    /// has failed. Costs nothing where it is there at once.
    ///
    /// # Errors
    /// As [`admit`](Self::admit): nothing was done.
    pub async fn unless_away<T>(&self, wait: impl Future<Output = T>) -> Result<T, EngineError> {
        let mut wait = pin!(wait);
        loop {
            let changed = self.0.changed.notified();
            if let Some(given) = wait.as_mut().now_or_never() {
                return Ok(given);
            }
            self.admit(&[StoragePart::Rows, StoragePart::Log], None)?;
            tokio::select! {
                biased;
                given = &mut wait => return Ok(given),
                () = changed => {}
            }
        }
    }

    /// Asks `room` from now on.
    pub(super) fn watch_room(&self, room: &Arc<DiskRoom>) {
        let _ = self.0.room.set(Arc::clone(room)); // the first stays: a state belongs to one engine
    }

    /// Whether there is room for `bytes` more. What changes is said once.
    fn has_room(&self, bytes: u64) -> bool {
        let Some(room) = self.0.room.get() else { return true };
        let has = room.has(bytes);
        let (free_mib, full) = (|| room.free_bytes() >> 20, &self.0.full);
        if !has && !full.swap(true, Ordering::AcqRel) {
            tracing::error!(
                free_mib = free_mib(),
                "the disk is as good as full: what adds something is refused until there is room (storage.free_bytes_min)"
            );
        } else if has && full.load(Ordering::Acquire) && room.has(0) && full.swap(false, Ordering::AcqRel) {
            tracing::info!(free_mib = free_mib(), "the disk has room again: writes are taken");
        }
        has
    }

    /// Tells operators how storage stands.
    pub fn gauge(&self) {
        let stands = f64::from(u8::from(!self.serves()));
        metrics::gauge!("fanfare_storage_away").set(stands);
        let damaged = f64::from(u8::from(self.0.damaged.load(Ordering::Acquire)));
        metrics::gauge!("fanfare_storage_damaged").set(damaged);
        if let Some(free) = self.0.room.get().map(|room| room.free_bytes()).filter(|free| *free < u64::MAX) {
            #[allow(clippy::cast_precision_loss, reason = "a gauge of bytes")]
            metrics::gauge!("fanfare_storage_free_bytes").set(free as f64);
        }
    }
}

#[cfg(test)]
#[path = "storage_tests.rs"]
mod tests;
