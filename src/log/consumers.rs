//! Consumers of the log: who must have done with a record before it is let go of.
//!
//! One is always there, who writes the rows. Others are registered in META, so that they hold the log while they do not
//! run, too. The log is trimmed to its limit and not beyond what the slowest of them has done with: the limit gives
//! way, not the record, and whoever holds more than the limit is named.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Offset, Order, Partition, Position, RowKey};
use fanfare_protocol::Code;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::owner::CONSUMER;
use super::takers;
use crate::base::error::{Error, Result};
use crate::base::limits::{CONSUMERS_MAX, META_CONSUMER};
use crate::data::families;
use crate::data::rows::{from_json, to_json};
use crate::data::store::Store;
use crate::data::tables;

/// Rows that are read at once.
const STEP_ROWS: usize = 64;

/// Registration as it is stored. It is never deleted: what comes later must have a higher version.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Registration {
    is_registered: bool,
    /// Version of the row.
    writes: u64,
}

/// Consumer that holds more of the log than is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the consumer.
    pub consumer: String,
    /// Number of the log's partition.
    pub partition: u16,
    /// Bytes that wait for it.
    pub bytes: u64,
}

impl Holder {
    fn is_at(&self, other: &Self) -> bool {
        (&self.consumer, self.partition) == (&other.consumer, other.partition)
    }

    #[allow(clippy::cast_precision_loss, reason = "a gauge of bytes")]
    fn gauge(&self, bytes: u64) {
        let labels = [("consumer", self.consumer.clone()), ("partition", self.partition.to_string())];
        metrics::gauge!("fanfare_journal_held_bytes", &labels).set(bytes as f64);
    }
}

/// Consumers of all partitions of the log. Clones share what they know.
#[derive(Clone)]
pub struct Consumers {
    store: Arc<Store>,
    /// Consumers that held too much when the log was last trimmed.
    holders: Arc<Mutex<Vec<Holder>>>,
    /// Names of those that are registered, as of the last look.
    known: Arc<Mutex<Vec<String>>>,
    /// Names of those that were registered by this process, and run in it.
    running: Arc<Mutex<BTreeSet<String>>>,
    /// Held while a registration changes.
    changing: Arc<tokio::sync::Mutex<()>>,
}

fn row(consumer: &str) -> RowKey {
    RowKey::new(tables::META, tables::ONE, Bytes::from([META_CONSUMER, consumer.as_bytes()].concat()))
}

impl Consumers {
    /// Consumers that are registered in `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self {
            store,
            holders: Arc::default(),
            known: Arc::default(),
            running: Arc::default(),
            changing: Arc::default(),
        }
    }

    /// From now on nothing is let go of that `consumer` (1 to 64 bytes of `a-z 0-9 - _`) has not [done](Self::done)
    /// with: all that is kept, for a new one. Also for one that stops, until it [leaves](Self::leave).
    ///
    /// # Errors
    /// For a bad name, or one too many; when the engine fails.
    pub async fn register(&self, consumer: &str) -> Result<()> {
        let _one = self.changing.lock().await;
        self.change(consumer, true).await?;
        self.running.lock().insert(consumer.to_owned());
        Ok(())
    }

    /// `consumer` needs nothing of the log any more.
    ///
    /// # Errors
    /// For a bad name; when the engine fails.
    pub async fn leave(&self, consumer: &str) -> Result<()> {
        let _one = self.changing.lock().await;
        self.change(consumer, false).await?;
        self.running.lock().remove(consumer);
        Ok(())
    }

    /// Takes away the registration of a consumer that does not run here any more: what it has not seen goes.
    ///
    /// # Errors
    /// As [`check_removable`](Self::check_removable).
    pub async fn remove(&self, consumer: &str) -> Result<()> {
        let _one = self.changing.lock().await;
        self.check_removable(consumer).await?;
        self.change(consumer, false).await
    }

    /// Whether [`remove`](Self::remove) would do it.
    ///
    /// # Errors
    /// 404 when nobody of that name is registered, 409 for a part of the server that runs; when the engine fails.
    pub async fn check_removable(&self, consumer: &str) -> Result<()> {
        if self.running.lock().contains(consumer) {
            let detail = format!("{consumer} is a part of this server, and runs: it needs what it has not seen");
            return Err(Error::refused(Code::Conflict, detail));
        }
        let is_registered = self.registered().await?.iter().any(|one| one == consumer);
        if is_registered { Ok(()) } else { Err(Error::not_found("consumer")) }
    }

    async fn change(&self, consumer: &str, is_registered: bool) -> Result<()> {
        // The engine knows which names it takes.
        self.store.journal().checkpoint_of(consumer, Partition(0)).await?;
        if is_registered {
            let others = self.registered().await?.iter().filter(|one| *one != consumer).count();
            if others >= CONSUMERS_MAX {
                return Err(Error::Internal(format!(
                    "{CONSUMERS_MAX} consumers of the log are registered: {consumer}"
                )));
            }
        }
        let row = row(consumer);
        let stored = self.store.get(&row).await?.map(|bytes| from_json::<Registration>(&bytes)).transpose()?;
        let writes = stored.unwrap_or_default().writes + 1;
        let mut batch = Batch::default();
        batch.put_versioned(row, to_json(&Registration { is_registered, writes })?, writes);
        self.store.write(batch).await?;
        self.registered().await.map(|_| ())
    }

    /// `consumer` has durably done with everything of `partition` below `next`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn done(&self, consumer: &str, partition: Partition, next: Position) -> Result<()> {
        Ok(self.store.journal().checkpoint(consumer, partition, next).await?)
    }

    /// Names of those that are registered, in their order.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn registered(&self) -> Result<Vec<String>> {
        let (mut names, mut range) = (Vec::new(), KeyRange::prefix(META_CONSUMER));
        loop {
            let rows = self.store.scan(tables::META, &tables::ONE, range.clone(), Order::Ascending, STEP_ROWS).await?;
            for row in &rows {
                if from_json::<Registration>(&row.value)?.is_registered {
                    let name = row.clustering.get(META_CONSUMER.len()..).unwrap_or_default();
                    names.push(String::from_utf8_lossy(name).into_owned());
                }
            }
            match rows.last() {
                Some(last) if rows.len() == STEP_ROWS => {
                    range.from = Some([&last.clustering[..], &[0]].concat().into());
                }
                _ => {
                    self.known.lock().clone_from(&names);
                    return Ok(names);
                }
            }
        }
    }

    /// Names of those that were registered when it was last looked: needs no storage.
    #[must_use]
    pub fn known(&self) -> Vec<String> {
        self.known.lock().clone()
    }

    /// Lets go of the oldest records until `bytes_max` of each partition stay, but of none that a consumer needs. Those
    /// that are registered need the first family; of others a record is needed until its rows are written. What a
    /// family keeps by a bound of its own is left alone.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn trim(&self, bytes_max: u64) -> Result<()> {
        let registered = self.registered().await?;
        let mut names: Vec<&str> = std::iter::once(CONSUMER).chain(registered.iter().map(String::as_str)).collect();
        // What follows from a record in other partitions is told before it goes.
        let are_several = self.store.families().all().first().is_some_and(|family| family.count > 1);
        names.extend(are_several.then_some(takers::CONSUMER));
        let mut holders = Vec::new();
        for (place, family) in self.store.families().all().iter().enumerate() {
            if families::has_own_bound(family.name) {
                continue;
            }
            let told = [CONSUMER, families::tells_as(family.name).unwrap_or(CONSUMER)];
            let names = if place == 0 { &names[..] } else { &told[..] };
            for partition in family.partitions() {
                let trimmed = self.store.journal().trim(partition, bytes_max, names).await?;
                if trimmed.bytes_kept > bytes_max {
                    let slowest = self.slowest(partition, names).await?;
                    let (partition, bytes) = (partition.0, trimmed.bytes_kept);
                    holders.extend(slowest.into_iter().map(|consumer| Holder { consumer, partition, bytes }));
                }
            }
        }
        self.tell(holders);
        Ok(())
    }

    /// Consumers among `names` that have done with the least of `partition`.
    async fn slowest(&self, partition: Partition, names: &[&str]) -> Result<Vec<String>> {
        let mut slowest: (Offset, Vec<String>) = (Offset(u64::MAX), Vec::new());
        for name in names {
            let offset = self.store.journal().checkpoint_of(name, partition).await?.offset;
            if offset < slowest.0 {
                slowest = (offset, Vec::new());
            }
            if offset == slowest.0 {
                slowest.1.push((*name).to_owned());
            }
        }
        Ok(slowest.1)
    }

    /// Tells operators of who holds too much, once as long as it lasts.
    fn tell(&self, holders: Vec<Holder>) {
        let mut known = self.holders.lock();
        for now in &holders {
            now.gauge(now.bytes);
            if !known.iter().any(|before| before.is_at(now)) {
                let Holder { consumer, partition, bytes } = now;
                tracing::warn!(
                    consumer,
                    partition,
                    bytes,
                    "a consumer holds more of the journal than storage.journal_bytes_max: nothing that it needs is let go of"
                );
            }
        }
        for before in known.iter().filter(|before| !holders.iter().any(|now| now.is_at(before))) {
            before.gauge(0);
            let Holder { consumer, partition, .. } = before;
            tracing::info!(consumer, partition, "the consumer holds no more than storage.journal_bytes_max any more");
        }
        *known = holders;
    }

    /// Consumers that held more than was to be kept when the log was last trimmed: the slowest of each partition.
    #[must_use]
    pub fn holders(&self) -> Vec<Holder> {
        self.holders.lock().clone()
    }
}

#[cfg(test)]
#[path = "consumers_tests.rs"]
mod tests;
