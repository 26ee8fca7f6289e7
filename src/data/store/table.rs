//! Rows as rooms above read and write them: the port `Tables` behind names of its own, so that nobody else holds an
//! engine.

use std::sync::atomic::Ordering;

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, KeyRange, Order, Replaced, Row, RowKey, Table, Unique};
use fanfare_protocol::Id;

use super::Store;
use crate::base::error::Result;
use crate::base::written;
use crate::data::forgotten::Forgotten;
use crate::data::rows::in_row;
use crate::data::swept::Swept;
use crate::data::tables;

impl Store {
    /// Value of a row.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn get(&self, key: &RowKey) -> Result<Option<Bytes>> {
        Ok(self.engines.tables.get(key).await?)
    }

    /// Id in the value of a row.
    ///
    /// # Errors
    /// When the engine fails, or what is there is no id.
    pub async fn get_id(&self, key: &RowKey) -> Result<Option<Id>> {
        self.get_as(key, Id::from_bytes).await
    }

    /// Value of a row as `read` takes it, if there is one.
    ///
    /// # Errors
    /// When the engine fails, or `read` makes nothing of what is there.
    pub async fn get_as<T>(&self, key: &RowKey, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<Option<T>> {
        let value = self.get(key).await?;
        Ok(in_row(key, value, read)?)
    }

    /// Values of rows, in the order of `keys`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.engines.tables.get_many(keys).await
    }

    /// Rows of a partition with keys in `range`, at most `limit`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.engines.tables.scan(table, partition, range, order, limit).await
    }

    /// Rows of an id's partition with ids below `before`, newest first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn newest(&self, table: Table, of: Id, before: Option<Id>, limit: usize) -> Result<Vec<Row>> {
        let range = KeyRange { from: None, to: before.map(tables::partition) };
        Ok(self.scan(table, &tables::partition(of), range, Order::Descending, limit).await?)
    }

    /// Rows of an id's partition with ids above `after`, oldest first.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn oldest(&self, table: Table, of: Id, after: Option<Id>, limit: usize) -> Result<Vec<Row>> {
        let range = KeyRange { from: after.map(|id| tables::partition(Id(id.0 + 1))), to: None };
        Ok(self.scan(table, &tables::partition(of), range, Order::Ascending, limit).await?)
    }

    /// Rows of a bucketed table with ids below `before`, newest first, from bucket to bucket down to the owner's age.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn newest_bucketed(
        &self,
        table: Table,
        owner: Id,
        before: Id,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        let mut found = Vec::new();
        let oldest = tables::bucket_of(owner);
        let mut bucket = tables::bucket_of(Id(before.0.saturating_sub(1)).min(Id(i64::MAX as u64)));
        let newest = self.newest_bucket();
        bucket = bucket.min(newest);
        while found.len() < limit && bucket >= oldest {
            let range = KeyRange { from: None, to: Some(tables::partition(before)) };
            let partition = tables::bucketed(owner, bucket);
            let wanted = limit - found.len();
            found.extend(self.scan(table, &partition, range, Order::Descending, wanted).await?);
            let Some(below) = bucket.checked_sub(1) else { break };
            bucket = below;
        }
        Ok(found)
    }

    /// No id is in a later bucket than the one that follows the latest that the clock ever showed here, or the newest
    /// id of the folder when it was opened: ids go on from there, however far ahead of the clock that is.
    fn newest_bucket(&self) -> u16 {
        let shown = crate::base::id::first_id_at(self.clock.highest_ms());
        let opened = Id(self.newest_at_start.load(Ordering::Relaxed));
        tables::bucket_of(shown.max(opened)).saturating_add(1)
    }

    /// Buckets of the timeline that hold posts of earlier layouts, ascending.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn buckets(&self) -> Result<Vec<u16>, EngineError> {
        let every = usize::from(u16::MAX);
        let rows = self.scan(tables::BUCKETS, &tables::ONE, KeyRange::ALL, Order::Ascending, every).await?;
        Ok(rows.iter().filter_map(|row| tables::bucket_in(&row.clustering)).collect())
    }

    /// Clustering ids of a partition, ascending.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn ids_of(&self, table: Table, of: Id, limit: usize) -> Result<Vec<Id>, EngineError> {
        let partition = tables::partition(of);
        let rows = self.scan(table, &partition, KeyRange::ALL, Order::Ascending, limit).await?;
        Ok(rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect())
    }

    /// Writes rows that follow from no record; durable when it answers, whole within each partition.
    ///
    /// # Errors
    /// When the engine fails; the outcome may then be unknown.
    pub async fn write(&self, mut batch: Batch) -> Result<(), EngineError> {
        self.layout.place_written(&mut batch);
        self.engines.tables.write(batch).await.inspect(|()| written::note())
    }

    /// Writes a row that only one can have; `token` proves who has it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        let answer = self.engines.tables.insert_unique(key, value, token).await;
        answer.inspect(|answer| {
            if *answer == Unique::Mine {
                written::note();
            }
        })
    }

    /// Replaces a row that was inserted uniquely, if `held` has it; from then on `new` has it.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn replace_unique(
        &self,
        key: RowKey,
        value: Bytes,
        held: u64,
        new: u64,
    ) -> Result<Replaced, EngineError> {
        let answer = self.engines.tables.replace_unique(key, value, held, new).await;
        answer.inspect(|answer| {
            if *answer == Replaced::Mine {
                written::note();
            }
        })
    }

    /// Removes a row that was inserted uniquely with `token`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        self.engines.tables.release_unique(key, token).await.inspect(|()| written::note())
    }

    /// The last hour whose expired rows were removed, if there was one.
    ///
    /// # Errors
    /// When the engine fails, or the row is damaged.
    pub async fn swept(&self) -> Result<Option<Swept>, EngineError> {
        Swept::read(&*self.engines.tables).await
    }

    /// Bounds of forgetting, as stored.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn forgotten(&self) -> Result<Forgotten, EngineError> {
        Forgotten::read(&*self.engines.tables).await
    }

    /// Lets storage forget deletes in `tables` with versions up to `upto`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.engines.tables.forget(tables, upto).await
    }
}
