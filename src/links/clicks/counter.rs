//! Counter: the fold of a partition at work. It counts what comes, and writes rows now and then.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use fanfare_engines::{EngineError, Journal, Partition};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::fold::{ClickFold, FoldError};
use super::head::FoldHead;
use crate::base::limits::clicks::{FOLD_LOOK_MS, LAST_SHIP_MS, RETRY_MS};

/// Name of the consumer of the log that counts.
pub const CONSUMER: &str = "clicks-fold";

/// A counter, as others see it.
#[derive(Debug, Default)]
pub struct Counting {
    /// A record could not be read: nothing behind it is counted.
    pub is_stuck: AtomicBool,
    /// The head as it is stored.
    pub stored: parking_lot::Mutex<FoldHead>,
    /// Somebody wants what was counted to be written now.
    flush: AtomicBool,
    /// Number of times that everything was written.
    written: AtomicU64,
    /// Notice that there may be records to count, or something to write.
    news: Arc<Notify>,
    done: Notify,
}

impl Counting {
    /// A counter that has done nothing yet, and hears of records by `news`.
    #[must_use]
    pub fn new(news: Arc<Notify>) -> Self {
        Self { news, ..Self::default() }
    }

    /// Waits until all that was counted before is written; at once when the counter stands still.
    pub async fn write_all(&self) {
        let before = self.written.load(Ordering::Acquire);
        self.flush.store(true, Ordering::Release);
        while self.written.load(Ordering::Acquire) == before && !self.is_stuck.load(Ordering::Relaxed) {
            self.news.notify_one();
            let _ = tokio::time::timeout(Duration::from_millis(RETRY_MS), self.done.notified()).await;
        }
    }
}

/// The fold of a partition, and how it is driven.
pub struct Counter {
    /// The fold.
    pub fold: ClickFold,
    /// The log.
    pub journal: Arc<dyn Journal>,
    /// The partition.
    pub partition: Partition,
    /// Time for which it counts before it writes.
    pub period: Duration,
    /// Itself, as others see it.
    pub seen: Arc<Counting>,
}

impl Counter {
    /// Counts until it is told to stop, and writes all then.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut pause_ms, mut waits) = (RETRY_MS, false);
        let mut due = Instant::now() + self.period;
        while !stop.is_cancelled() {
            match self.turn(&mut due).await {
                Ok(true) => {
                    pause_ms = RETRY_MS;
                    self.waits(&mut waits, None);
                }
                Ok(false) => {
                    self.waits(&mut waits, None);
                    let quiet = tokio::time::sleep(Duration::from_millis(FOLD_LOOK_MS).min(due - Instant::now()));
                    tokio::select! {
                        () = self.seen.news.notified() => {}
                        () = quiet => {}
                        () = stop.cancelled() => {}
                    }
                }
                Err(FoldError::Engine(error)) => {
                    self.waits(&mut waits, Some(&error));
                    stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(pause_ms))).await;
                    pause_ms = (pause_ms * 2).min(RETRY_MS * 30);
                }
                Err(error @ FoldError::Unreadable(_)) => {
                    tracing::error!(%error, partition = self.partition.0, "no click behind it is counted");
                    self.seen.is_stuck.store(true, Ordering::Relaxed);
                    stop.cancelled().await;
                }
            }
        }
        // What is not written is counted again by the next start.
        let last = tokio::time::timeout(Duration::from_millis(LAST_SHIP_MS), self.end()).await;
        if !matches!(last, Ok(Ok(()))) {
            tracing::warn!("not all that was counted is written; the next start counts it again");
        }
    }

    /// Says that clicks wait to be counted, for `cause`, or wait no more: each once.
    fn waits(&self, waits: &mut bool, cause: Option<&EngineError>) {
        let partition = self.partition.0;
        match (std::mem::replace(waits, cause.is_some()), cause) {
            (false, Some(error)) => {
                tracing::warn!(partition, %error, "clicks wait to be counted; it is tried again until they are");
            }
            (true, Some(error)) => tracing::debug!(partition, %error, "clicks wait to be counted still"),
            (true, None) => tracing::info!(partition, "clicks are counted again"),
            (false, None) => {}
        }
    }

    /// Counts and writes a little; answers whether there was anything to do.
    async fn turn(&mut self, due: &mut Instant) -> Result<bool, FoldError> {
        let counted = self.fold.step().await?;
        let is_full = self.fold.is_full();
        // All that is there is counted before it is written for somebody who waits.
        let is_asked = !counted && self.seen.flush.swap(false, Ordering::AcqRel);
        if is_full || is_asked || Instant::now() >= *due {
            *due = Instant::now() + self.period;
            self.fold.begin_flush();
            if is_full || is_asked {
                while self.fold.flush_some().await? {}
            }
            if is_asked {
                self.fold.flush_all().await?;
                self.told().await?;
                self.seen.written.fetch_add(1, Ordering::AcqRel);
                self.seen.done.notify_waiters();
            }
        }
        let wrote = self.fold.flush_some().await?;
        if !wrote {
            self.told().await?;
        }
        Ok(counted || wrote)
    }

    /// Tells the log what is done with, when that has changed.
    async fn told(&mut self) -> Result<(), FoldError> {
        let stored = self.fold.stored();
        if *self.seen.stored.lock() == *stored {
            return Ok(());
        }
        self.journal.checkpoint(CONSUMER, self.partition, stored.next()).await?;
        *self.seen.stored.lock() = stored.clone();
        Ok(())
    }

    async fn end(&mut self) -> Result<(), FoldError> {
        while self.fold.step().await? {}
        self.fold.flush_all().await?;
        self.told().await
    }
}
