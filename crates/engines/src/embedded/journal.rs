//! The journal over the store: records share the group commit with rows.

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Readable, Slice};

use super::Embedded;
use super::group::{Done, Work};
use super::store::{Store, corrupt, fault};
use super::{layout, tables};
use crate::limits::{READ_BYTES_MAX, check_consumer, check_partition, check_write};
use crate::ports::{Batch, EngineError, Journal, JournalRecord, Offset, Partition};

/// Records that one commit lets go of at most.
const TRIM_RECORDS_MAX: usize = 1_024;

/// Records that a trim can let go of in one commit.
struct Trimmable {
    from: Offset,
    to: Offset,
    bytes: u64,
}

impl Embedded {
    fn next_trim(
        store: &Store,
        partition: Partition,
        bytes_max: u64,
        needed: Option<u64>,
    ) -> Result<Trimmable, EngineError> {
        let ends = store.tail(partition).load();
        let kept = ends.appended_bytes.saturating_sub(ends.trimmed_bytes);
        let end = needed.map_or(ends.next, |needed| needed.min(ends.next));
        let mut trim = Trimmable { from: Offset(ends.first), to: Offset(ends.first), bytes: 0 };
        if kept <= bytes_max || ends.first >= end {
            return Ok(trim);
        }
        let from = layout::record_key(partition, Offset(ends.first));
        let to = layout::record_key(partition, Offset(end));
        for record in store.journal.range(from..to).take(TRIM_RECORDS_MAX) {
            if kept - trim.bytes <= bytes_max {
                break;
            }
            let (key, payload) = record.into_inner().map_err(fault)?;
            let offset = layout::record_offset(&key).ok_or_else(|| corrupt("a journal key"))?;
            trim.to = Offset(offset.0 + 1);
            trim.bytes += payload.len() as u64;
        }
        Ok(trim)
    }

    fn checkpointed(store: &Store, consumer: &str, partition: Partition) -> Result<Offset, EngineError> {
        match store.meta.get(layout::checkpoint_key(consumer, partition)).map_err(fault)? {
            Some(stored) => layout::number(&stored).map(Offset).ok_or_else(|| corrupt("a checkpoint")),
            None => Ok(Offset(0)),
        }
    }
}

#[async_trait]
impl Journal for Embedded {
    fn partitions(&self) -> u16 {
        self.keeper.partitions()
    }

    async fn commit(&self, partition: Partition, records: Vec<Bytes>, rows: Batch) -> Result<Offset, EngineError> {
        check_partition(partition, self.partitions())?;
        let bytes = check_write(&records, &rows)?;
        let stored = records.iter().map(|record| Slice::from(record.as_ref())).collect();
        let work = Work::Commit { partition, records: stored, rows: tables::stored_rows(&rows) };
        drop((records, rows));
        match self.door()?.submit(work, bytes).await? {
            Done::Appended(first) => Ok(first),
            other => Err(EngineError::Unknown(format!("the committer answered {other:?}"))),
        }
    }

    async fn read(&self, partition: Partition, from: Offset, limit: usize) -> Result<Vec<JournalRecord>, EngineError> {
        check_partition(partition, self.partitions())?;
        // From the first kept record on, so as not to wade through those that were deleted. A snapshot, because a
        // group that is being applied shows its records in any order.
        let life = self.life()?;
        let store = &life.store;
        let from = from.0.max(store.tail(partition).load().first);
        let from = layout::record_key(partition, Offset(from));
        let to = layout::record_key(partition, Offset(u64::MAX));
        let mut found = Vec::new();
        let mut bytes = 0;
        for record in store.db.snapshot().range(&store.journal, from..to).take(limit) {
            let (key, payload) = record.into_inner().map_err(fault)?;
            bytes += payload.len();
            if bytes > READ_BYTES_MAX && !found.is_empty() {
                break;
            }
            let offset = layout::record_offset(&key).ok_or_else(|| corrupt("a journal key"))?;
            found.push(JournalRecord { offset, payload: Bytes::copy_from_slice(&payload) });
        }
        Ok(found)
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        check_partition(partition, self.partitions())?;
        let ends = self.life()?.store.tail(partition).load();
        Ok((Offset(ends.first), Offset(ends.next)))
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Offset) -> Result<(), EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions())?;
        let work = Work::Checkpoint { key: layout::checkpoint_key(consumer, partition), next };
        self.door()?.submit(work, 0).await.map(|_| ())
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Offset, EngineError> {
        check_consumer(consumer)?;
        check_partition(partition, self.partitions())?;
        Self::checkpointed(&self.life()?.store, consumer, partition)
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<u64, EngineError> {
        check_partition(partition, self.partitions())?;
        let mut needed = None;
        for consumer in consumers {
            check_consumer(consumer)?;
            let next = Self::checkpointed(&self.life()?.store, consumer, partition)?.0;
            needed = Some(needed.map_or(next, |lowest: u64| lowest.min(next)));
        }
        let mut trimmed = 0;
        loop {
            let Trimmable { from, to, bytes } = Self::next_trim(&self.life()?.store, partition, bytes_max, needed)?;
            if from == to {
                return Ok(trimmed);
            }
            match self.door()?.submit(Work::Trim { partition, from, to, bytes }, 0).await? {
                Done::Trimmed(true) => trimmed += to.0 - from.0,
                _ => return Ok(trimmed), // another trim is under way and does the rest
            }
        }
    }
}
