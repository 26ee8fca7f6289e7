//! Patience of an owner: what storage does not do now is tried again, for as long as it takes and the server runs.
//!
//! The owner never gives a group up because storage is away: whether its records stand would be known to nobody. Its
//! callers wait, or leave with `outcome_unknown`; new ones are refused at the door (`Storage::admit`).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use fanfare_engines::EngineError;

use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::storage::{LogPart, Storage, awaited};
use crate::log::ending::Ending;

/// Milliseconds before the first repetition, doubled each time, and the most.
const AGAIN_MS: u64 = 20;
const AGAIN_MS_MAX: u64 = 1_000;
/// Tries after which everybody hears that storage is away.
const TRIES_SILENT: u32 = 4;

/// Patience of one owner. Clones share it.
#[derive(Clone)]
pub(super) struct Patience {
    ending: Ending,
    log: Arc<LogPart>,
    /// Whether nobody waits for this owner any more: the server is stopping.
    is_over: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Calls that have no answer for long.
    silent: Arc<AtomicUsize>,
}

/// Silence of one call.
struct Silence<'a>(&'a AtomicUsize);

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// Alarm of a thread that panics: storage has ended, for nobody writes the log any more, and what views have heard of
/// is not known.
pub(super) struct Alarm(pub(super) Storage);

impl Drop for Alarm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail(&"the log's owner panicked");
        }
    }
}

/// Tries of one thing.
#[derive(Debug, Default)]
pub(super) struct Tries(u32);

impl Tries {
    /// A try fewer: something was done meanwhile.
    pub(super) fn ease(&mut self) {
        self.0 = self.0.saturating_sub(1);
    }

    /// Waits, longer each time.
    async fn wait(&self) {
        let wait_ms = (AGAIN_MS << self.0.saturating_sub(1).min(16)).min(AGAIN_MS_MAX);
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
    }
}

impl Patience {
    /// Patience until `is_over`; storage hears when it is needed, and the partition's `ending` when it is of no use.
    pub(super) fn new(ending: Ending, is_over: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        let log = Arc::new(LogPart::new(ending.storage().clone()));
        Self { ending, log, is_over: Arc::new(is_over), silent: Arc::default() }
    }

    /// End of the owner's partition.
    pub(super) const fn ending(&self) -> &Ending {
        &self.ending
    }

    /// Part of this owner in the state of the log.
    pub(super) fn log(&self) -> &LogPart {
        &self.log
    }

    /// Whether nobody waits any more.
    pub(super) fn is_over(&self) -> bool {
        self.ending.storage().is_left() || (self.is_over)()
    }

    /// The answer of a `call`, which is waited for; everybody hears when it is long in coming. To be followed by
    /// [`again`](Self::again) or [`done`](Self::done).
    pub(super) async fn awaited<T>(&self, call: impl Future<Output = T>) -> T {
        let bound = Duration::from_millis(limits::STORAGE_SILENT_MS);
        let mut silence = None;
        let is_silent = |cause: &EngineError| {
            self.silent.fetch_add(1, Ordering::AcqRel);
            silence = Some(Silence(&self.silent));
            self.log.goes(cause);
        };
        let answer = awaited(call, bound, is_silent).await;
        drop(silence);
        answer
    }

    /// Waits after a try that failed with `error`; false when there is no use in another. Whoever is told so tries no
    /// more, so the log is not away any longer: it has answered, or it has ended.
    pub(super) async fn again(&self, tries: &mut Tries, error: &EngineError) -> bool {
        if !matches!(error, EngineError::Unavailable(_) | EngineError::Unknown(_)) {
            // Whatever callers hear, who may have been told of an earlier try.
            match error {
                EngineError::Closed(_) => self.ending.storage().fail(error),
                EngineError::Corrupt(_) => self.ending.say(error),
                _ => {}
            }
            self.done();
            return false;
        }
        if self.is_over() {
            return false;
        }
        tries.0 += 1;
        tracing::debug!(%error, tries = tries.0, "the log's owner tries again");
        if tries.0 >= TRIES_SILENT {
            self.log.goes(error);
        }
        tries.wait().await;
        true
    }

    /// Waits before the partition is taken from another owner again; false when there is no use in it. Two who claim in
    /// turns get little done: whoever is fenced again and again waits longer each time.
    pub(super) async fn back_off(&self, fences: &mut Tries) -> bool {
        if self.is_over() {
            return false;
        }
        fences.0 = fences.0.saturating_add(1);
        fences.wait().await;
        true
    }

    /// Something was done, or nobody tries any more: the log is away only while its owner tries, or nobody would ever
    /// find out that it is back.
    pub(super) fn done(&self) {
        // What is done beside a call that hangs, such as a read, says nothing of that one.
        if self.silent.load(Ordering::Acquire) == 0 {
            self.log.works();
        }
    }

    /// Does `work` until storage does it; other errors are answered.
    pub(super) async fn until_done<T, F: Future<Output = Result<T>>>(&self, work: impl Fn() -> F) -> Result<T> {
        let mut tries = Tries::default();
        loop {
            match self.awaited(work()).await {
                Err(Error::Engine(error)) if self.again(&mut tries, &error).await => {}
                Err(error) => return Err(error),
                Ok(done) => {
                    self.done();
                    return Ok(done);
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "patience_tests.rs"]
mod tests;
