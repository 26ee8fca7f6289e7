//! Tables and journal of a hostile world.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::world::{Fate, Late, Part, World, unavailable, unknown};
use crate::limits::{check_consumer, check_partition, check_partition_key, check_row_key, check_value, check_write};
use crate::ports::{
    Batch, EngineError, Journal, JournalRecord, KeyRange, Offset, Order, Partition, Replaced, Row, RowKey, RowWrite,
    Table, Tables, Unique,
};

/// The engine of one life of the process.
pub(super) struct HostileEngine {
    world: Arc<Mutex<World>>,
    life: u64,
    partitions: u16,
}

impl HostileEngine {
    pub(super) fn new(world: Arc<Mutex<World>>) -> Self {
        let (life, partitions) = {
            let world = world.lock();
            (world.life, world.store.partitions())
        };
        Self { world, life, partitions }
    }

    fn enter(&self) -> Result<MutexGuard<'_, World>, EngineError> {
        let mut world = self.world.lock();
        world.enter(self.life)?;
        Ok(world)
    }

    fn read_world(&self) -> Result<MutexGuard<'_, World>, EngineError> {
        let mut world = self.world.lock();
        world.enter_read(self.life)?;
        Ok(world)
    }

    /// A point at which other calls may come between.
    async fn interleave(&self) {
        let others_first = {
            let mut world = self.world.lock();
            let percent = world.faults.interleaved;
            world.random.percent(percent)
        };
        if others_first {
            tokio::task::yield_now().await;
        }
    }

    /// Writes rows partition by partition, in any order; all of them unless the process crashes on the way.
    async fn apply_all(&self, parts: Vec<Vec<RowWrite>>) -> Result<(), EngineError> {
        for rows in parts {
            self.interleave().await;
            let mut world = self.world.lock();
            if world.life == self.life {
                world.apply(rows);
                continue;
            }
            match world.part() {
                Part::Now => world.apply(rows),
                Part::Later => world.later(Late::Commit(Partition(0), Vec::new(), rows)),
                Part::Never => {}
            }
        }
        if self.world.lock().life == self.life { Ok(()) } else { Err(unknown()) }
    }
}

/// The rows of a batch by partition, in an order that nobody promised.
fn torn(world: &mut World, batch: Batch) -> Vec<Vec<RowWrite>> {
    let mut parts: BTreeMap<(u8, Bytes), Vec<RowWrite>> = BTreeMap::new();
    for row in batch.rows {
        parts.entry((row.key.table.id, row.key.partition.clone())).or_default().push(row);
    }
    let mut parts: Vec<_> = parts.into_values().collect();
    for last in (1..parts.len()).rev() {
        let other = world.random.below(last as u64 + 1) as usize;
        parts.swap(last, other);
    }
    parts
}

/// Lets each partition's rows happen now, later or never.
fn scatter(world: &mut World, parts: Vec<Vec<RowWrite>>) {
    for rows in parts {
        match world.part() {
            Part::Now => world.apply(rows),
            Part::Later => world.later(Late::Commit(Partition(0), Vec::new(), rows)),
            Part::Never => {}
        }
    }
}

#[async_trait]
impl Tables for HostileEngine {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        check_write(&[], &batch)?;
        let parts = {
            let mut world = self.enter()?;
            let parts = torn(&mut world, batch);
            match world.fate() {
                Fate::Good => parts,
                Fate::Unavailable => return Err(unavailable()),
                Fate::Unknown => {
                    scatter(&mut world, parts);
                    return Err(unknown());
                }
            }
        };
        self.apply_all(parts).await
    }

    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, EngineError> {
        check_row_key(key)?;
        self.interleave().await;
        Ok(self.read_world()?.store.get(key))
    }

    async fn get_many(&self, keys: &[RowKey]) -> Result<Vec<Option<Bytes>>, EngineError> {
        keys.iter().try_for_each(check_row_key)?;
        drop(self.read_world()?);
        let mut values = Vec::with_capacity(keys.len());
        for key in keys {
            self.interleave().await;
            values.push(self.world.lock().store.get(key));
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
        self.interleave().await;
        Ok(self.read_world()?.store.scan(table, partition, range, order, limit))
    }

    async fn insert_unique(&self, key: RowKey, value: Bytes, token: u64) -> Result<Unique, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        self.interleave().await;
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Good => Ok(world.store.insert_unique(key, value, token)),
            Fate::Unavailable => Err(unavailable()),
            Fate::Unknown => {
                match world.part() {
                    Part::Now => drop(world.store.insert_unique(key, value, token)),
                    Part::Later => world.later(Late::Insert(key, value, token)),
                    Part::Never => {}
                }
                Err(unknown())
            }
        }
    }

    async fn replace_unique(&self, key: RowKey, value: Bytes, held: u64, new: u64) -> Result<Replaced, EngineError> {
        check_row_key(&key)?;
        check_value(&value)?;
        self.interleave().await;
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Good => Ok(world.store.replace_unique(key, value, held, new)),
            Fate::Unavailable => Err(unavailable()),
            Fate::Unknown => {
                match world.part() {
                    Part::Now => drop(world.store.replace_unique(key, value, held, new)),
                    Part::Later => world.later(Late::Replace(key, value, held, new)),
                    Part::Never => {}
                }
                Err(unknown())
            }
        }
    }

    async fn release_unique(&self, key: &RowKey, token: u64) -> Result<(), EngineError> {
        check_row_key(key)?;
        self.interleave().await;
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Good => {
                world.store.release_unique(key, token);
                Ok(())
            }
            Fate::Unavailable => Err(unavailable()),
            Fate::Unknown => {
                match world.part() {
                    Part::Now => world.store.release_unique(key, token),
                    Part::Later => world.later(Late::Release(key.clone(), token)),
                    Part::Never => {}
                }
                Err(unknown())
            }
        }
    }

    async fn forget(&self, tables: &[Table], upto: u64) -> Result<(), EngineError> {
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Unavailable => Err(unavailable()),
            fate => {
                world.forget(tables, upto);
                if fate == Fate::Good { Ok(()) } else { Err(unknown()) }
            }
        }
    }
}

/// A commit of which nobody knows what happens: some records, maybe twice; rows only after all records.
fn scatter_commit(world: &mut World, partition: Partition, records: Vec<Bytes>, parts: Vec<Vec<RowWrite>>) {
    match world.part() {
        Part::Now => {
            world.append(partition, records.clone());
            scatter(world, parts);
            if world.random.percent(50) {
                world.later(Late::Commit(partition, records, Vec::new()));
            }
        }
        Part::Later => {
            let torn = world.random.below(records.len() as u64 + 1) as usize;
            world.append(partition, records[..torn].to_vec());
            world.later(Late::Commit(partition, records, parts.concat()));
        }
        Part::Never => {}
    }
}

#[async_trait]
impl Journal for HostileEngine {
    fn partitions(&self) -> u16 {
        self.partitions
    }

    async fn commit(&self, partition: Partition, records: Vec<Bytes>, rows: Batch) -> Result<Offset, EngineError> {
        check_partition(partition, self.partitions)?;
        check_write(&records, &rows)?;
        self.interleave().await;
        let (first, parts) = {
            let mut world = self.enter()?;
            let parts = torn(&mut world, rows);
            match world.fate() {
                Fate::Good => {
                    let first = world.append(partition, records);
                    world.persist_checkpoints();
                    (first, parts)
                }
                Fate::Unavailable => return Err(unavailable()),
                Fate::Unknown => {
                    scatter_commit(&mut world, partition, records, parts);
                    return Err(unknown());
                }
            }
        };
        self.apply_all(parts).await?;
        Ok(first)
    }

    async fn read(&self, partition: Partition, from: Offset, limit: usize) -> Result<Vec<JournalRecord>, EngineError> {
        check_partition(partition, self.partitions)?;
        self.interleave().await;
        Ok(self.read_world()?.store.read(partition, from, limit))
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        check_partition(partition, self.partitions)?;
        Ok(self.read_world()?.store.bounds(partition))
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Offset) -> Result<(), EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions)?;
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Unavailable => return Err(unavailable()),
            Fate::Unknown if world.random.percent(50) => return Err(unknown()),
            Fate::Good | Fate::Unknown => {}
        }
        let kept = world.checkpoints.entry((consumer.to_owned(), partition)).or_default();
        *kept = next.max(*kept);
        Ok(())
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Offset, EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions)?;
        let world = self.read_world()?;
        let durable = world.store.checkpoint_of(consumer, partition);
        let pending = world.checkpoints.get(&(consumer.to_owned(), partition)).copied();
        Ok(pending.map_or(durable, |pending| pending.max(durable)))
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<u64, EngineError> {
        consumers.iter().try_for_each(|consumer| check_consumer(consumer))?;
        check_partition(partition, self.partitions)?;
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Good => Ok(world.store.trim(partition, bytes_max, consumers)),
            Fate::Unavailable => Err(unavailable()),
            Fate::Unknown => {
                if world.random.percent(50) {
                    world.store.trim(partition, bytes_max, consumers);
                }
                Err(unknown())
            }
        }
    }
}
