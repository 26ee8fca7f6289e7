//! Journal, tables and objects that hand on to others whatever they do not do themselves: for tests that step in at one
//! method.

use async_trait::async_trait;
use bytes::Bytes;

use crate::ports::{
    Appended, Batch, Claimant, EngineError, Journal, KeyRange, NewRecord, NewTerm, Object, ObjectMeta, Objects, Offset,
    Order, Page, Partition, Position, Replaced, Row, RowKey, Table, Tables, Trimmed, Turn, Unique,
};

/// Journal in front of another one: each method hands on to [`behind`](Self::behind), and a test writes those that it
/// is about. Whoever has it has a [`Journal`].
#[async_trait]
pub trait JournalDelegate: Send + Sync + 'static {
    /// The journal that answers.
    fn behind(&self) -> &dyn Journal;

    /// Counterpart of [`Journal::claim`].
    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        self.behind().claim(partition, claimant).await
    }

    /// Counterpart of [`Journal::commit`].
    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        self.behind().commit(partition, turn, records, rows).await
    }

    /// Counterpart of [`Journal::read`].
    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        self.behind().read(partition, from, limit).await
    }

    /// Counterpart of [`Journal::trim`].
    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
        self.behind().trim(partition, bytes_max, consumers).await
    }
}

#[async_trait]
impl<D: JournalDelegate> Journal for D {
    fn partitions(&self) -> u16 {
        self.behind().partitions()
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        JournalDelegate::claim(self, partition, claimant).await
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        JournalDelegate::commit(self, partition, turn, records, rows).await
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        JournalDelegate::read(self, partition, from, limit).await
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        self.behind().bounds(partition).await
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        self.behind().checkpoint(consumer, partition, next).await
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        self.behind().checkpoint_of(consumer, partition).await
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
        JournalDelegate::trim(self, partition, bytes_max, consumers).await
    }
}

/// Tables in front of others, as [`JournalDelegate`].
#[async_trait]
pub trait TablesDelegate: Send + Sync + 'static {
    /// The tables that answer.
    fn behind(&self) -> &dyn Tables;

    /// Counterpart of [`Tables::write`].
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        self.behind().write(batch).await
    }

    /// Counterpart of [`Tables::get`].
    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        self.behind().get(key).await
    }

    /// Counterpart of [`Tables::get_many`].
    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        self.behind().get_many(keys).await
    }

    /// Counterpart of [`Tables::replace_unique`].
    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        self.behind().replace_unique(key, value, held, new).await
    }
}

#[async_trait]
impl<D: TablesDelegate> Tables for D {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        TablesDelegate::write(self, batch).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        TablesDelegate::get(self, key).await
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        TablesDelegate::get_many(self, keys).await
    }

    async fn scan(
        &self,
        table: Table,
        partition: &[u8],
        range: KeyRange,
        order: Order,
        limit: usize,
    ) -> Result<Vec<Row>, EngineError> {
        self.behind().scan(table, partition, range, order, limit).await
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        self.behind().insert_unique(key, value, token).await
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        TablesDelegate::replace_unique(self, key, value, held, new).await
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        self.behind().release_unique(key, token).await
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.behind().forget(tables, upto).await
    }
}

/// Objects in front of others, as [`JournalDelegate`].
#[async_trait]
pub trait ObjectsDelegate: Send + Sync + 'static {
    /// The objects that answer.
    fn behind(&self) -> &dyn Objects;

    /// Counterpart of [`Objects::put`].
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        self.behind().put(key, data).await
    }

    /// Counterpart of [`Objects::get`].
    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        self.behind().get(key, range).await
    }

    /// Counterpart of [`Objects::delete`].
    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        self.behind().delete(key).await
    }
}

#[async_trait]
impl<D: ObjectsDelegate> Objects for D {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        ObjectsDelegate::put(self, key, data).await
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        ObjectsDelegate::get(self, key, range).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        self.behind().head(key).await
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        ObjectsDelegate::delete(self, key).await
    }
}
