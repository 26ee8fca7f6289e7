//! Shipper: moves clicks from the spool to the log, a block at a time, a little while after they were made.
//!
//! Of each source and partition one record is on its way at a time, in the order of the places: a later one that stood
//! without an earlier one would make the earlier one look like a repeat. What is not known to stand is shipped again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::Partition;
use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;

use super::click::Click;
use super::record::RecordWriter;
use super::rollup::DAY_MS;
use super::spool::{Spool, WaitingClicks};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::limits::clicks::{BLOCK_BYTES_MAX, LAST_SHIP_MS, RECORD_BYTES_MAX, RETRY_MS, SPOOL_DAYS_MAX};
use crate::config::ClickForm;

/// Log of clicks, as the shipper needs it.
#[async_trait]
pub trait Blocks: Send + Sync + 'static {
    /// Partition of a code's clicks; the same for ever.
    fn partition_of(&self, code: &str) -> Partition;

    /// Appends a record of clicks, all of the partition of `code`; durable when it answers.
    ///
    /// # Errors
    /// When it is not known to stand; it may stand all the same.
    async fn append(&self, code: &str, record: Bytes) -> Result<()>;
}

/// Records that a source's clicks become, in the order in which they are appended.
#[derive(Default)]
struct Cut {
    records: Vec<Filling>,
    /// Clicks that are not shipped: they are too old, or of a later version's form.
    given_up: u64,
}

/// Record that is being filled, and a code of its partition.
struct Filling {
    partition: Partition,
    code: String,
    /// Place behind the click before its first.
    from: u64,
    record: RecordWriter,
}

/// Cuts clicks into records of one partition each. Pure.
fn cut(
    waiting: &WaitingClicks,
    now_ms: u64,
    settings: ShipperSettings,
    partition_of: impl Fn(&str) -> Partition,
) -> Result<Cut> {
    let mut cut = Cut::default();
    let mut open: Vec<Filling> = Vec::new();
    let before = std::iter::once(0).chain(waiting.clicks.iter().map(|(place, _)| *place));
    for (from, (place, body)) in before.zip(&waiting.clicks) {
        let click = Click::decode(body);
        let fresh = click.filter(|click| click.at_ms.saturating_add(SPOOL_DAYS_MAX * DAY_MS) >= now_ms);
        let Some(click) = fresh else {
            cut.given_up += 1;
            continue;
        };
        let partition = partition_of(&click.code);
        let at = open.iter().position(|open| open.partition == partition).unwrap_or_else(|| {
            let record = RecordWriter::new(settings.form, waiting.source);
            open.push(Filling { partition, code: click.code.to_string(), from, record });
            open.len() - 1
        });
        let record = &mut open[at].record;
        record.add(*place, &click).map_err(|error| Error::Internal(error.to_string()))?;
        if record.count() >= settings.per_record || record.bytes() >= RECORD_BYTES_MAX {
            cut.records.push(open.swap_remove(at));
        }
    }
    cut.records.append(&mut open);
    Ok(cut)
}

/// Choices of a shipper.
#[derive(Debug, Clone, Copy)]
pub struct ShipperSettings {
    /// Time between a click and its block.
    pub flush: Duration,
    /// Form of the records.
    pub form: ClickForm,
    /// Clicks of one record, at most.
    pub per_record: usize,
}

/// Mover of clicks.
pub struct Shipper {
    spool: Arc<Spool>,
    blocks: Arc<dyn Blocks>,
    clock: Clock,
    settings: ShipperSettings,
    /// The log holds as much as it may: clicks wait in the spool.
    is_held: Arc<AtomicBool>,
}

impl Shipper {
    /// The shipper of `spool`.
    #[must_use]
    pub fn new(
        spool: Arc<Spool>,
        blocks: Arc<dyn Blocks>,
        clock: Clock,
        settings: ShipperSettings,
        is_held: Arc<AtomicBool>,
    ) -> Self {
        Self { spool, blocks, clock, settings, is_held }
    }

    /// Ships until it is told to stop, and once more then.
    pub async fn run(self, stop: CancellationToken) {
        let mut pause_ms = RETRY_MS;
        loop {
            let next = async {
                self.spool.wait().await;
                tokio::time::sleep(self.settings.flush).await;
            };
            if stop.run_until_cancelled(next).await.is_none() {
                break;
            }
            match stop.run_until_cancelled(self.ship_all()).await {
                Some(Ok(())) => pause_ms = RETRY_MS,
                Some(Err(error)) => {
                    tracing::warn!(%error, "clicks wait in the spool; they are shipped again");
                    self.spool.look_again();
                    stop.run_until_cancelled(tokio::time::sleep(Duration::from_millis(pause_ms))).await;
                    pause_ms = (pause_ms * 2).min(RETRY_MS * 30);
                }
                None => break,
            }
        }
        // What does not go now goes with the next start.
        drop(tokio::time::timeout(Duration::from_millis(LAST_SHIP_MS), self.ship_all()).await);
    }

    /// Ships all that waits now. What comes meanwhile has its own window: a block is worth its fsync.
    ///
    /// # Errors
    /// When something is not known to stand; it waits, and is shipped again.
    pub async fn ship_all(&self) -> Result<()> {
        loop {
            if self.is_held.load(Ordering::Relaxed) {
                return Err(Error::Internal(
                    "the log of clicks holds links.clicks_bytes_max that is not counted".to_owned(),
                ));
            }
            if !self.ship().await? {
                return Ok(());
            }
        }
    }

    async fn ship(&self) -> Result<bool> {
        let waiting =
            self.spool.waiting(BLOCK_BYTES_MAX).map_err(|error| Error::Internal(format!("the spool: {error}")))?;
        let now_ms = self.clock.now_ms();
        let each = waiting.iter().map(|waiting| self.ship_source(waiting, now_ms));
        join_all(each).await.into_iter().collect::<Result<Vec<()>>>()?;
        Ok(waiting.iter().any(|waiting| waiting.has_more))
    }

    async fn ship_source(&self, waiting: &WaitingClicks, now_ms: u64) -> Result<()> {
        let cut = cut(waiting, now_ms, self.settings, |code| self.blocks.partition_of(code))?;
        // What is before the first click of all that is left is done with.
        let mut left: Vec<u64> = cut.records.iter().rev().map(|record| record.from).collect();
        for at in 1..left.len() {
            left[at] = left[at].min(left[at - 1]);
        }
        for Filling { code, record, .. } in cut.records {
            self.blocks.append(&code, record.finish().into()).await?;
            left.pop();
            if let Some(upto) = left.last() {
                self.spool.shipped(waiting.source, *upto);
            }
        }
        if cut.given_up > 0 {
            tracing::warn!(clicks = cut.given_up, "clicks waited in the spool for too long; they are lost");
            self.spool.give_up(cut.given_up);
        }
        self.spool.shipped(waiting.source, waiting.upto);
        Ok(())
    }
}

#[cfg(test)]
#[path = "shipper_tests.rs"]
mod tests;
