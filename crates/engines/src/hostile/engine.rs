//! Tables and journal of a hostile world.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::{Mutex, MutexGuard};

use super::world::{Call, Fate, Late, Part, World, unavailable, unknown};
use crate::Families;
use crate::admission::unix_ms_of;
use crate::limits::{check_claimant, check_consumer, check_partition, check_partition_key, check_row_key};
use crate::limits::{check_value, check_write};
use crate::memory::store::Entry;
use crate::ports::{
    Appended, Batch, Claimant, EngineError, Journal, KeyRange, NewRecord, NewTerm, Offset, Order, Page, Partition,
    Position, Replaced, Row, RowKey, RowWrite, Table, Tables, Term, Trimmed, Turn, Unique,
};

/// Calls of others that an owner sleeps through, at most.
const SLEEP_CALLS_MAX: u64 = 60;
/// Turns of other tasks that it waits for them, at most: there may be none.
const SLEEP_TURNS_MAX: usize = 400;

/// The engine of one life of the process.
pub(super) struct HostileEngine {
    world: Arc<Mutex<World>>,
    life: u64,
    partitions: u16,
    families: Families,
}

impl HostileEngine {
    pub(super) fn new(world: Arc<Mutex<World>>) -> Self {
        let (life, families) = {
            let world = world.lock();
            (world.life, world.families.clone())
        };
        Self { world, life, partitions: families.partitions(), families }
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

    /// A point at which an owner may fall asleep, while others go on.
    async fn pause(&self) {
        self.interleave().await;
        let until = {
            let mut world = self.world.lock();
            let percent = world.faults.sleeps;
            if !world.random.percent(percent) {
                return;
            }
            world.calls + 1 + world.random.below(SLEEP_CALLS_MAX)
        };
        for _ in 0..SLEEP_TURNS_MAX {
            tokio::task::yield_now().await;
            if self.world.lock().calls >= until {
                break;
            }
        }
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

    /// The answer on its way to the caller, which may lose it, or be dead.
    fn reply(&self) -> Result<(), EngineError> {
        let mut world = self.world.lock();
        let percent = world.faults.lost_replies;
        let is_lost = world.random.percent(percent) || world.life != self.life;
        if is_lost { Err(unknown()) } else { Ok(()) }
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
                Part::Later => world.later(Late::Rows(rows)),
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
            Part::Later => world.later(Late::Rows(rows)),
            Part::Never => {}
        }
    }
}

#[async_trait]
impl Tables for HostileEngine {
    async fn write(&self, batch: Batch) -> Result<(), EngineError> {
        check_write(&[], &batch)?;
        self.families.of_batch(&batch)?;
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
fn scatter_commit(world: &mut World, call: Call, turn: Turn, entries: Vec<Entry>, parts: Vec<Vec<RowWrite>>) {
    if entries.is_empty() && !world.holds(call.partition, turn.term) {
        return;
    }
    match world.part() {
        Part::Now => {
            world.append(call, entries.clone());
            if world.stand(call, &entries) {
                scatter(world, parts);
            }
            if world.random.percent(50) {
                world.later(Late::Append(call, entries, Vec::new()));
            }
        }
        Part::Later => {
            let torn = world.random.below(entries.len() as u64 + 1) as usize;
            world.append(call, entries[..torn].to_vec());
            world.later(Late::Append(call, entries, parts.concat()));
        }
        Part::Never => {}
    }
}

/// Appends the records of a call, now and then twice.
///
/// # Errors
/// [`EngineError::Fenced`] when they do not count: they lie in the log all the same.
fn append_call(world: &mut World, call: Call, turn: Turn, entries: Vec<Entry>) -> Result<(), EngineError> {
    if entries.is_empty() {
        return if world.holds(call.partition, turn.term) { Ok(()) } else { Err(EngineError::Fenced) };
    }
    world.append(call, entries.clone());
    let stands = world.stand(call, &entries);
    let percent = world.faults.doubled;
    if world.random.percent(percent) {
        if world.random.percent(50) {
            world.append(call, entries);
        } else {
            world.later(Late::Append(call, entries, Vec::new()));
        }
    }
    world.persist_checkpoints();
    if stands { Ok(()) } else { Err(EngineError::Fenced) }
}

#[async_trait]
impl Journal for HostileEngine {
    fn partitions(&self) -> u16 {
        self.partitions
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        check_partition(partition, self.partitions)?;
        check_claimant(claimant)?;
        self.pause().await;
        let claimed = {
            let mut world = self.enter()?;
            let (entry, call) = (Entry::claim(claimant, 0), world.call(partition));
            match world.fate() {
                Fate::Good => {
                    let term = Term(world.store.end(partition).offset.0);
                    world.append(call, vec![entry]);
                    NewTerm { term, next: world.store.end(partition), appended_ms: world.clock_ms.unwrap_or(0) }
                }
                Fate::Unavailable => return Err(unavailable()),
                Fate::Unknown => {
                    match world.part() {
                        Part::Now => world.append(call, vec![entry]),
                        Part::Later => world.later(Late::Append(call, vec![entry], Vec::new())),
                        Part::Never => {}
                    }
                    return Err(unknown());
                }
            }
        };
        self.pause().await;
        self.reply()?;
        Ok(claimed)
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
        self.pause().await;
        let (appended, parts) = {
            let mut world = self.enter()?;
            let parts = torn(&mut world, rows.clone());
            let appended_ms = records.last().map_or(0, |last| world.clock_ms.unwrap_or_else(|| unix_ms_of(last.id)));
            let (entries, call) = (Entry::of_call(turn, records.to_vec()), world.call(partition));
            match world.fate() {
                Fate::Good => append_call(&mut world, call, turn, entries)?,
                Fate::Unavailable => return Err(unavailable()),
                Fate::Unknown => {
                    scatter_commit(&mut world, call, turn, entries, parts);
                    return Err(unknown());
                }
            }
            (Appended { next: world.store.end(partition), appended_ms }, parts)
        };
        self.pause().await;
        self.apply_all(parts).await?;
        self.pause().await;
        self.reply()?;
        Ok(appended)
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        check_partition(partition, self.partitions)?;
        self.interleave().await;
        Ok(self.read_world()?.store.read(partition, from, limit))
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        check_partition(partition, self.partitions)?;
        Ok(self.read_world()?.store.bounds(partition))
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions)?;
        let mut world = self.enter()?;
        match world.fate() {
            Fate::Unavailable => return Err(unavailable()),
            Fate::Unknown if world.random.percent(50) => return Err(unknown()),
            Fate::Good | Fate::Unknown => {}
        }
        let kept = world.checkpoints.entry((consumer.to_owned(), partition)).or_default();
        if next.offset > kept.offset {
            *kept = next;
        }
        Ok(())
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions)?;
        let world = self.read_world()?;
        let durable = world.store.checkpoint_of(consumer, partition);
        let pending = world.checkpoints.get(&(consumer.to_owned(), partition)).copied();
        Ok(pending.filter(|pending| pending.offset > durable.offset).unwrap_or(durable))
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
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
