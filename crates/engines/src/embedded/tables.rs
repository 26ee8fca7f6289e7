//! Tables over the store: writes go to the committer, reads to the store.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Readable, Snapshot};
use tokio::sync::Semaphore;

use super::Embedded;
use super::group::{Done, Work};
use super::keeper::Life;
use super::layout::{self, Cell, StoredRow};
use super::scan::{Most, Progress, Scan};
use crate::limits::{check_partition_key, check_row_key, check_value, check_write};
use crate::ports::{Batch, EngineError, KeyRange, Order, Replaced, Row, RowKey, Table, Tables, Unique};

/// Rows that a scan passes on its caller's thread: about a millisecond of dead rows, or more live ones than anybody
/// follows by default.
const INLINE: Most = Most { dead: 1_024, live: 8_192 };
/// Rows that a long scan passes in one turn: some tenths of a second.
const TURN: Most = Most { dead: 262_144, live: 262_144 };
/// Bytes for which there is room at once when a row is made: of most it is enough.
const ROW_BYTES: usize = 1_024;

// Reads use a snapshot, because plain reads of the store show a group while it is being applied: half a partition, or
// a row whose record is not there yet.

impl Embedded {
    /// The store of the family of `table` now.
    fn life_of(&self, table: Table) -> Result<Arc<Life>, EngineError> {
        self.life(self.families.of_table(table))
    }

    /// The value of one row. Copied: what the store hands out keeps a whole block in memory.
    fn value(life: &Life, snapshot: &Snapshot, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        let store = &life.store;
        let stored = snapshot.get(&store.rows, layout::row_key(key)).map_err(|error| store.fault(error))?;
        let Some(stored) = stored else { return Ok(None) };
        let cell = Cell::parse(&stored).ok_or_else(|| store.corrupt("a row"))?;
        Ok(cell.value().map(Bytes::copy_from_slice))
    }

    /// The value of one row as the store holds it at this moment.
    pub(super) fn value_now(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        let life = self.life_of(key.table)?;
        let snapshot = life.store.db.snapshot();
        Self::value(&life, &snapshot, key)
    }

    /// Value of a row as it was given, from what the store holds.
    fn as_given(&self, key: &RowKey, stored: Option<Bytes>) -> Result<Option<Bytes>, EngineError> {
        match stored {
            Some(value) if self.pads.covers(key.table) => self.pads.mixed(key, value).map(Some),
            stored => Ok(stored),
        }
    }

    /// Value that the store is to hold of a row that is inserted.
    fn to_store(&self, key: &RowKey, value: Bytes) -> Result<Bytes, EngineError> {
        if !self.pads.covers(key.table) {
            return Ok(value);
        }
        match self.value_now(key)? {
            // It has the pad that it was made with, or none.
            Some(_) => self.pads.mixed(key, value),
            None => self.pads.mixed_anew(key, &value),
        }
    }
}

/// Rows of a batch in the store's bytes.
pub(super) fn stored_rows(batch: &Batch) -> Vec<StoredRow> {
    let mut buffer = Vec::with_capacity(ROW_BYTES);
    batch.rows.iter().map(|row| StoredRow::new(row, &mut buffer)).collect()
}

/// Long scans, which have passed [`INLINE`] rows: they go on in a blocking thread, a few at
/// once, in turns. Each turn leaves what it learned behind, so that a caller who gives up has not waited in vain.
impl Embedded {
    async fn long_scan(&self, turns: Arc<Semaphore>, mut scan: Scan) -> Result<Vec<Row>, EngineError> {
        scan.is_long();
        let Ok(_place) = self.waiting.try_acquire() else {
            return Err(EngineError::Unavailable("too many long scans are under way".into()));
        };
        loop {
            let closed = |_| EngineError::Unavailable("the store is being opened again".into());
            let turn = turns.clone().acquire_owned().await.map_err(closed)?;
            let step = move || {
                let _turn = turn;
                let progress = scan.go(TURN);
                (scan, progress)
            };
            let (back, progress) = tokio::task::spawn_blocking(step)
                .await
                .map_err(|error| EngineError::Unavailable(format!("a scan was cut off: {error}")))?;
            if progress? == Progress::Done {
                return Ok(back.into_found());
            }
            scan = back;
        }
    }
}

#[async_trait]
impl Tables for Embedded {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        let bytes = check_write(&[], &batch)?;
        if batch.rows.is_empty() {
            return Ok(());
        }
        self.pads.check_batch(&batch)?;
        let family = self.families.of_batch(&batch)?;
        let rows = stored_rows(&batch);
        drop(batch);
        self.door(family)?.submit(Work::Write { rows }, bytes).await.map(|_| ())
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        check_row_key(key)?;
        self.as_given(key, self.value_now(key)?)
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        keys.iter().try_for_each(check_row_key)?;
        let mut values = Vec::with_capacity(keys.len());
        // Those of a family that follow each other are read together: mostly that is all of them.
        let is_together =
            |one: &RowKey, next: &RowKey| self.families.of_table(one.table) == self.families.of_table(next.table);
        for together in keys.chunk_by(is_together) {
            let life = self.life_of(together[0].table)?;
            let snapshot = life.store.db.snapshot();
            for key in together {
                values.push(self.as_given(key, Self::value(&life, &snapshot, key)?)?);
            }
        }
        Ok(values)
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
        let life = self.life_of(table)?;
        let Some(mut scan) = Scan::new(&life.store, (table, partition), &range, order, limit) else {
            return Ok(Vec::new());
        };
        let mut rows = match scan.go(INLINE)? {
            Progress::Done => scan.into_found(),
            Progress::Long => {
                let turns = Arc::clone(&life.turns);
                drop(life);
                self.long_scan(turns, scan).await?
            }
        };
        if self.pads.covers(table) {
            for row in &mut rows {
                let key = RowKey::new(table, partition.to_vec(), row.clustering.clone());
                row.value = self.pads.mixed(&key, std::mem::take(&mut row.value))?;
            }
        }
        Ok(rows)
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        let family = self.families.of_table(key.table);
        let value = self.to_store(&key, value)?;
        let cell = layout::unique_cell(token, &value);
        let work = Work::InsertUnique { key: layout::row_key(&key).into(), cell, token };
        match self.door(family)?.submit(work, value.len()).await? {
            Done::Unique(Unique::Taken(value)) if self.pads.covers(key.table) => {
                Ok(Unique::Taken(self.pads.mixed(&key, value)?))
            }
            Done::Unique(unique) => Ok(unique),
            other => Err(other.strange()),
        }
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        self.pads.check(&key)?;
        let family = self.families.of_table(key.table);
        let (key, cell) = (layout::row_key(&key).into(), layout::unique_cell(new, &value));
        let work = Work::ReplaceUnique { key, cell, held, new };
        match self.door(family)?.submit(work, value.len()).await? {
            Done::Replaced(replaced) => Ok(replaced),
            other => Err(other.strange()),
        }
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        check_row_key(key)?;
        let work = Work::ReleaseUnique { key: layout::row_key(key).into(), token };
        self.door(self.families.of_table(key.table))?.submit(work, 0).await?;
        if self.pads.covers(key.table) && self.value_now(key)?.is_none() {
            self.pads.shred(key)?;
        }
        Ok(())
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.forgotten().forget(tables, upto);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tables_tests.rs"]
mod tests;
