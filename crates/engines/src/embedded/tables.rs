//! Tables over the store: writes go to the committer, reads to the store.

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Readable, Snapshot};

use super::Embedded;
use super::group::{Done, Work};
use super::layout::{self, Cell, StoredRow};
use super::store::{corrupt, fault};
use crate::limits::{check_partition_key, check_row_key, check_value, check_write};
use crate::ports::{Batch, EngineError, KeyRange, Order, Row, RowKey, Table, Tables, Unique};

// Reads use a snapshot, because plain reads of the store show a group while it is being applied: half a partition, or
// a row whose record is not there yet.

impl Embedded {
    /// The value of one row. Copied: what the store hands out keeps a whole block in memory.
    fn value(&self, snapshot: &Snapshot, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        let stored = snapshot.get(&self.store.rows, layout::row_key(key)).map_err(fault)?;
        let Some(stored) = stored else { return Ok(None) };
        let cell = Cell::parse(&stored).ok_or_else(|| corrupt("a row"))?;
        Ok(cell.value().map(Bytes::copy_from_slice))
    }
}

/// Rows of a batch in the store's bytes.
pub(super) fn stored_rows(batch: &Batch) -> Vec<StoredRow> {
    batch.rows.iter().map(StoredRow::new).collect()
}

fn collect(
    rows: impl Iterator<Item = fjall::Guard>,
    prefix_bytes: usize,
    limit: usize,
) -> Result<Vec<Row>, EngineError> {
    let mut found = Vec::new();
    if limit == 0 {
        return Ok(found);
    }
    for row in rows {
        let (key, stored) = row.into_inner().map_err(fault)?;
        let cell = Cell::parse(&stored).ok_or_else(|| corrupt("a row"))?;
        let Some(value) = cell.value() else { continue };
        found.push(Row {
            clustering: Bytes::copy_from_slice(key.get(prefix_bytes..).unwrap_or_default()),
            value: Bytes::copy_from_slice(value),
        });
        if found.len() == limit {
            break;
        }
    }
    Ok(found)
}

#[async_trait]
impl Tables for Embedded {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        let bytes = check_write(&[], &batch)?;
        if batch.rows.is_empty() {
            return Ok(());
        }
        let rows = stored_rows(&batch);
        drop(batch);
        self.committer.submit(Work::Write { rows }, bytes).await.map(|_| ())
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        check_row_key(key)?;
        self.value(&self.store.db.snapshot(), key)
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        keys.iter().try_for_each(check_row_key)?;
        let snapshot = self.store.db.snapshot();
        keys.iter().map(|key| self.value(&snapshot, key)).collect()
    }

    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        check_partition_key(partition)?;
        let prefix = layout::row_prefix(table, partition);
        let Some(range) = layout::row_range(&prefix, &range) else { return Ok(Vec::new()) };
        let rows = self.store.db.snapshot().range(&self.store.rows, range);
        match order {
            Order::Ascending => collect(rows, prefix.len(), limit),
            Order::Descending => collect(rows.rev(), prefix.len(), limit),
        }
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        let work = Work::InsertUnique { key: layout::row_key(&key), cell: layout::unique_cell(token, &value), token };
        match self.committer.submit(work, value.len()).await? {
            Done::Unique(unique) => Ok(unique),
            other => Err(EngineError::Unknown(format!("the committer answered {other:?}"))),
        }
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        check_row_key(key)?;
        let work = Work::ReleaseUnique { key: layout::row_key(key), token };
        self.committer.submit(work, 0).await.map(|_| ())
    }
}
