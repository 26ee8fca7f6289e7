//! Every port in memory: for tests and throw-away worlds. Nothing outlives the process.

pub(crate) mod objects;
pub(crate) mod store;

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::RwLock;

use self::objects::MemoryObjects;
use self::store::{Entry, Store};
use crate::admission::unix_ms_of;
use crate::limits::{check_claimant, check_consumer, check_partition, check_partition_key};
use crate::limits::{check_row_key, check_value, check_write};
use crate::local::{LocalBus, LocalEphemeral};
use crate::ports::{
    Appended, Batch, Claimant, EngineError, Journal, KeyRange, NewRecord, NewTerm, Offset, Order, Page, Partition,
    Position, Replaced, Row, RowKey, Table, Tables, Term, Trimmed, Turn, Unique,
};
use crate::{DiskRoom, Engines, Families, NewFamily, local};

/// Opens an empty world with `partitions` journal partitions (at least 1).
pub fn open(partitions: u16) -> Result<Engines, EngineError> {
    open_families(&[NewFamily::of_all(Some(partitions))])
}

/// Opens an empty world with `families`.
///
/// # Errors
/// [`EngineError::Limit`] when they do not go together.
pub fn open_families(families: &[NewFamily]) -> Result<Engines, EngineError> {
    let families = Families::settle(&[], families)?;
    let partitions = families.partitions();
    let store = RwLock::new(Store::new(partitions));
    let memory = Arc::new(Memory { store, partitions, families: families.clone() });
    Ok(Engines {
        tables: memory.clone(),
        journal: memory,
        families,
        objects: Arc::new(MemoryObjects::default()),
        bus: Arc::new(LocalBus::default()),
        ephemeral: Arc::new(LocalEphemeral::new(local::EPHEMERAL_BYTES_DEFAULT)),
        scans: Arc::default(),
        room: Arc::new(DiskRoom::endless()),
    })
}

/// Tables and journal over one store, so that a commit covers both.
struct Memory {
    store: RwLock<Store>,
    partitions: u16,
    families: Families,
}

#[async_trait]
impl Tables for Memory {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        check_write(&[], &batch)?;
        self.families.of_batch(&batch)?;
        self.store.write().apply(batch.rows);
        Ok(())
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        check_row_key(key)?;
        Ok(self.store.read().get(key))
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        keys.iter().try_for_each(check_row_key)?;
        let store = self.store.read();
        Ok(keys.iter().map(|key| store.get(key)).collect())
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
        Ok(self.store.read().scan(table, partition, range, order, limit))
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        Ok(self.store.write().insert_unique(key, value, token))
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        Ok(self.store.write().replace_unique(key, value, held, new))
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        check_row_key(key)?;
        self.store.write().release_unique(key, token);
        Ok(())
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        self.store.write().forget(tables, upto, |_| false);
        Ok(())
    }
}

#[async_trait]
impl Journal for Memory {
    fn partitions(&self) -> u16 {
        self.partitions
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        check_partition(partition, self.partitions)?;
        check_claimant(claimant)?;
        let mut store = self.store.write();
        let term = Term(store.end(partition).offset.0);
        store.append(partition, Entry::claim(claimant, 0));
        Ok(NewTerm { term, next: store.end(partition), appended_ms: 0 })
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        check_partition(partition, self.partitions)?;
        check_write(records, rows)?;
        self.families.of_commit(partition, rows)?;
        let appended_ms = records.last().map_or(0, |last| unix_ms_of(last.id));
        let mut store = self.store.write();
        let next = store.append_call(partition, turn, records.to_vec())?;
        store.apply(rows.rows.clone());
        Ok(Appended { next, appended_ms })
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        check_partition(partition, self.partitions)?;
        Ok(self.store.read().read(partition, from, limit))
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        check_partition(partition, self.partitions)?;
        Ok(self.store.read().bounds(partition))
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions)?;
        self.store.write().checkpoint(consumer, partition, next);
        Ok(())
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions)?;
        Ok(self.store.read().checkpoint_of(consumer, partition))
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
        consumers.iter().try_for_each(|consumer| check_consumer(consumer))?;
        check_partition(partition, self.partitions)?;
        Ok(self.store.write().trim(partition, bytes_max, consumers))
    }
}
