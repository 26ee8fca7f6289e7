//! Layout of tables for wide stores: what one partition would hold of everybody is spread over many.
//!
//! Rows of the timeline and of what is public are in partitions of one journal partition and 2^24 ms (4 hours and 40
//! minutes), those of what expires in 64 shards an hour. Earlier versions had a partition of all every 99 days, and one
//! every hour. Nothing of theirs is moved: META has the first id of this layout, and what is below stays under the keys
//! that it was written under. Those are shorter, so no key is of both.
//!
//! Products make rows under the earlier keys, whatever the layout, and [`place`](Layout::place) brings them where they
//! belong: for a record of one folder always in the same way.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, RowKey, Tables, Unique};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::id::number_of;
use crate::base::token::attempt;
use crate::data::rows::in_row;
use crate::data::tables;

/// Key of the first id, in the `meta` table.
const META_LAYOUT: Bytes = Bytes::from_static(b"layout");
/// First id of a folder whose layout is not known, or is that of earlier versions.
const NEVER: Id = Id(u64::MAX);
/// Bits of an id below its span: 22 below the milliseconds, and 24 of milliseconds.
const SPAN_SHIFT: u32 = crate::base::id::BELOW_MS_BITS + 24;
/// Shards of what expires in an hour.
const SHARDS: u8 = 64;
/// Rows before one that says that a span holds posts, among which the same is looked for: of a few posts' and notices'.
const SHORTLY: usize = 16;

/// Layout of one folder. Clones share it.
#[derive(Debug, Clone)]
pub struct Layout(Arc<AtomicU64>);

impl Default for Layout {
    fn default() -> Self {
        Self(Arc::new(AtomicU64::new(NEVER.0)))
    }
}

fn row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_LAYOUT)
}

/// Number of the 2^24 ms in which an id was minted.
#[must_use]
pub const fn span_of(id: Id) -> u32 {
    (id.0 >> SPAN_SHIFT) as u32
}

/// The lowest id of a span.
#[must_use]
pub const fn first_of_span(span: u32) -> Id {
    Id((span as u64) << SPAN_SHIFT)
}

/// Partition of the timeline, or of what is public, that holds a span of one journal partition.
#[must_use]
pub fn span_partition(number: u16, span: u32) -> Bytes {
    [&number.to_be_bytes()[..], &span.to_be_bytes()].concat().into()
}

/// Partition of `BUCKETS` that says which spans of one journal partition hold posts.
#[must_use]
pub fn spans_partition(number: u16) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// Row that says a span of one journal partition holds posts.
fn span_row(number: u16, span: u32) -> RowKey {
    RowKey::new(tables::BUCKETS, spans_partition(number), Bytes::copy_from_slice(&span.to_be_bytes()))
}

/// The partition of `EXPIRY` that `hour` had in earlier versions, and its shards.
pub fn expiry_partitions(hour: u32) -> impl Iterator<Item = Bytes> {
    let hour = tables::hour_partition(hour);
    let shards = (0..SHARDS).map({
        let hour = hour.clone();
        move |shard| sharded(&hour, shard)
    });
    std::iter::once(hour).chain(shards)
}

fn sharded(hour: &[u8], shard: u8) -> Bytes {
    [hour, &[shard]].concat().into()
}

/// Shard of a row of `EXPIRY`, by the row that it names (FNV-1a, folded): the same for ever.
fn shard_of(clustering: &[u8]) -> u8 {
    let hash = clustering
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    ((hash ^ hash >> 32) % u64::from(SHARDS)) as u8
}

impl Layout {
    /// The first id of this layout; above all ids where everything is as in earlier versions.
    #[must_use]
    pub fn first(&self) -> Id {
        Id(self.0.load(Ordering::Acquire))
    }

    /// Learns what is stored; false in a folder that an earlier version wrote, or nobody.
    ///
    /// # Errors
    /// When the engine fails, or the row is damaged.
    pub async fn read(&self, tables: &dyn Tables) -> Result<bool, EngineError> {
        let stored = in_row(&row(), tables.get(&row()).await?, Id::from_bytes)?;
        if let Some(first) = stored {
            self.0.store(first.0, Ordering::Release);
        }
        Ok(stored.is_some())
    }

    /// Begins the layout above `last`, which is above every id that a row was written for; or learns with which id it
    /// was begun before. From then on its first id stays.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn begin(&self, tables: &dyn Tables, last: Id) -> Result<()> {
        if self.read(tables).await? {
            return Ok(());
        }
        let first = Id(last.0.saturating_add(1));
        let first = match tables.insert_unique(row(), tables::partition(first), attempt()?).await? {
            Unique::Mine => Some(first),
            Unique::Taken(stored) => in_row(&row(), Some(stored), Id::from_bytes)?,
        };
        self.0.store(first.unwrap_or(NEVER).0, Ordering::Release);
        Ok(())
    }

    /// Brings the rows of `record`, those of `batch` from `from` on, under the keys of the layout.
    pub fn place(&self, record: Id, batch: &mut Batch, from: usize) {
        let first = self.first();
        // It is above what it is about.
        if record < first {
            return;
        }
        let mut at = from;
        while at < batch.rows.len() {
            let key = &mut batch.rows[at].key;
            match key.table {
                tables::TIMELINE | tables::PUBLIC => {
                    let post = Id::from_bytes(&key.clustering).filter(|post| *post >= first);
                    if let Some(post) = post {
                        key.partition = span_partition(number_of(post), span_of(post));
                    }
                }
                tables::EXPIRY => place_expiry(key),
                tables::BUCKETS => {
                    *key = span_row(number_of(record), span_of(record));
                    let (before, this) = batch.rows.split_at(at);
                    if before.iter().rev().take(SHORTLY).any(|brought| brought.key == this[0].key) {
                        batch.rows.remove(at);
                        continue;
                    }
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Counterpart of [`place`](Self::place) for rows that follow from no record: what expires.
    pub fn place_written(&self, batch: &mut Batch) {
        if self.first() < NEVER {
            let expiring =
                |row: &&mut fanfare_engines::RowWrite| row.key.table == tables::EXPIRY && row.value.is_some();
            batch.rows.iter_mut().filter(expiring).for_each(|row| place_expiry(&mut row.key));
        }
    }
}

fn place_expiry(key: &mut RowKey) {
    if key.partition.len() == size_of::<u32>() {
        key.partition = sharded(&key.partition, shard_of(&key.clustering));
    }
}

#[cfg(test)]
#[path = "layout_tests.rs"]
mod tests;
