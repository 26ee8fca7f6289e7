//! Deletions that an earlier version kept as one list of everybody: moved to their authors in bounded steps, and read
//! where they are until then.
//!
//! A row is written in its new place first and removed from the old one after that, so this can be cut off anywhere and
//! begun again, and who looks into the old place first and then into the new one misses nothing.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use fanfare_engines::{Batch, Engines, KeyRange, Order, Row, RowKey};
use fanfare_protocol::Id;

use super::{Deletion, KEPT_HOURS, keep};
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::base::limits::realtime::REPLAY_OLD_DELETIONS_MAX;
use crate::data::store::Store;
use crate::data::tables::{self, bucket_of};

/// Says, in the `meta` table, that nothing is left to be moved.
const META_MOVED: Bytes = Bytes::from_static(b"deletions_moved");

fn moved_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_MOVED)
}

async fn remember_moved(engines: &Engines) -> Result<()> {
    let mut batch = Batch::default();
    batch.put_versioned(moved_row(), Bytes::from_static(b"1"), 1);
    Ok(engines.tables.write(batch).await?)
}

fn deletion(row: &Row) -> Option<Deletion> {
    let (id, post) = (Id::from_bytes(&row.clustering)?, Id::from_bytes(&row.value)?);
    Some(Deletion { id, post, author: row.value.get(8..).and_then(Id::from_bytes)? })
}

/// Whether there is anything of an earlier version; no record is above `newest`.
pub(super) async fn begin(engines: &Engines, newest: Id) -> Result<bool> {
    if engines.tables.get(&moved_row()).await?.is_some() {
        return Ok(false);
    }
    for bucket in 0..=bucket_of(newest) {
        let partition = tables::timeline_partition(bucket);
        if !engines.tables.scan(tables::DELETIONS, &partition, KeyRange::ALL, Order::Ascending, 1).await?.is_empty() {
            return Ok(true);
        }
    }
    remember_moved(engines).await?;
    Ok(false)
}

/// Everybody's deletions that were not moved yet, above `after` and up to `upto`; `None` when there are too many.
pub(super) async fn between(engines: &Engines, after: Id, upto: Id) -> Result<Option<Vec<Deletion>>> {
    let mut found = Vec::new();
    for bucket in bucket_of(after)..=bucket_of(upto) {
        let range =
            KeyRange { from: Some(tables::partition(Id(after.0 + 1))), to: Some(tables::partition(Id(upto.0 + 1))) };
        let partition = tables::timeline_partition(bucket);
        let limit = REPLAY_OLD_DELETIONS_MAX + 1 - found.len();
        let rows = engines.tables.scan(tables::DELETIONS, &partition, range, Order::Ascending, limit).await?;
        found.extend(rows.iter().filter_map(deletion));
        if found.len() > REPLAY_OLD_DELETIONS_MAX {
            return Ok(None);
        }
    }
    Ok(Some(found))
}

/// Moves what an earlier version left, to its end; nothing when that was done before. `newest` is an id of now.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn bring_over(store: &Store, newest: Id) -> Result<()> {
    let known = &store.deletions.has_old;
    if !known.load(Ordering::Acquire) {
        return Ok(());
    }
    for bucket in 0..=bucket_of(newest) {
        let mut from = None;
        while let Some(last) = move_some(store, bucket, from, hour_of(newest)).await? {
            from = Some(last);
        }
    }
    remember_moved(&store.engines).await?;
    known.store(false, Ordering::Release);
    Ok(())
}

/// Moves one step of rows above `from`; the last of them, `None` when there were none.
async fn move_some(store: &Store, bucket: u16, from: Option<Id>, hour: u32) -> Result<Option<Id>> {
    let port = &store.engines.tables;
    let partition = tables::timeline_partition(bucket);
    let range = KeyRange { from: from.map(|id| tables::partition(Id(id.0 + 1))), to: None };
    let step = limits::JANITOR_STEP_ROWS;
    let rows = port.scan(tables::DELETIONS, &partition, range, Order::Ascending, step).await?;
    let Some(last) = rows.last() else { return Ok(None) };
    let last = Id::from_bytes(&last.clustering);
    let (mut moved, mut done) = (Batch::default(), Batch::default());
    let mut heard = Vec::with_capacity(rows.len());
    for row in rows {
        // No cursor asks for what is older than that, and its hour may have been swept.
        if let Some(one) = deletion(&row).filter(|one| hour_of(one.id) + KEPT_HOURS >= hour) {
            keep(one, &mut moved);
            heard.push(one);
        }
        let version = Id::from_bytes(&row.clustering).map_or(u64::MAX, |id| id.0 + 1);
        done.delete_versioned(RowKey::new(tables::DELETIONS, partition.clone(), row.clustering), version);
    }
    port.write(moved).await?;
    heard.iter().for_each(|one| store.deletions.heard(one.author, one.id));
    port.write(done).await?;
    Ok(last)
}
