//! The journal over the store: records share the group commit with rows.

use async_trait::async_trait;
use bytes::Bytes;
use fjall::{Readable, Slice};

use super::Embedded;
use super::group::{Done, Trimmable, Work};
use super::store::{Store, Stored};
use super::{layout, tables};
use crate::admission::unix_ms_of;
use crate::limits::{READ_BYTES_MAX, check_claimant, check_consumer, check_partition, check_write};
use crate::ports::{
    Appended, Batch, Claimant, EngineError, Journal, JournalRecord, NewRecord, NewTerm, Offset, Page, Partition,
    Position, Trimmed, Turn,
};

/// Entries that one commit lets go of at most.
const TRIM_ENTRIES_MAX: usize = 1_024;

impl Embedded {
    /// Place of the family of a partition, which is checked.
    fn family_of(&self, partition: Partition) -> Result<usize, EngineError> {
        check_partition(partition, self.partitions())?;
        Ok(self.families.of_partition(partition))
    }

    /// Entries that a trim can let go of in one commit, and how many of them are records; `None` when there are none.
    fn next_trim(
        store: &Store,
        partition: Partition,
        bytes_max: u64,
        needed: Option<Offset>,
    ) -> Result<Option<(Trimmable, u64)>, EngineError> {
        let ends = store.tail(partition).load();
        let kept = ends.appended_bytes.saturating_sub(ends.trimmed_bytes);
        let end = needed.map_or(ends.next.offset, |needed| needed.min(ends.next.offset));
        if kept <= bytes_max || ends.first.offset >= end {
            return Ok(None);
        }
        let from = layout::entry_key(partition, ends.first.offset);
        let to = layout::entry_key(partition, end);
        let mut trim = Trimmable { from: ends.first, to: ends.first, keys: Vec::new(), bytes: 0 };
        let mut records = 0;
        for entry in store.journal.range(from..to).take(TRIM_ENTRIES_MAX) {
            if kept - trim.bytes <= bytes_max {
                break;
            }
            let (key, payload) = entry.into_inner().map_err(|error| store.fault(error))?;
            if trim.to.pass_stored(&key, &payload)?.is_some() {
                trim.bytes += payload.len() as u64;
                records += 1;
            }
            trim.keys.push(key);
        }
        Ok((!trim.keys.is_empty()).then_some((trim, records)))
    }

    fn checkpointed(store: &Store, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        match store.meta_value(layout::checkpoint_key(consumer, partition))? {
            Some(stored) => layout::parse_position(&stored).ok_or_else(|| store.corrupt("a checkpoint")),
            None => Ok(Position::START),
        }
    }
}

#[async_trait]
impl Journal for Embedded {
    fn partitions(&self) -> u16 {
        self.families.partitions()
    }

    async fn claim(&self, partition: Partition, claimant: &Claimant) -> Result<NewTerm, EngineError> {
        let family = self.family_of(partition)?;
        check_claimant(claimant)?;
        match self.door(family)?.submit(Work::Claim { partition, claimant: claimant.clone() }, 0).await? {
            Done::Claimed(term, next) => Ok(NewTerm { term, next, appended_ms: 0 }),
            other => Err(other.strange()),
        }
    }

    async fn commit(
        &self,
        partition: Partition,
        turn: Turn,
        records: &[NewRecord],
        rows: &Batch,
    ) -> Result<Appended, EngineError> {
        check_partition(partition, self.partitions())?;
        let bytes = check_write(records, rows)?;
        let family = self.families.of_commit(partition, rows)?;
        let appended_ms = records.last().map_or(0, |last| unix_ms_of(last.id));
        let stored = records.iter().map(|record| (record.id, Slice::from(record.payload.as_ref()))).collect();
        let work = Work::Commit { partition, turn, records: stored, rows: tables::stored_rows(rows) };
        match self.door(family)?.submit(work, bytes).await? {
            Done::Appended(next) => Ok(Appended { next, appended_ms }),
            Done::Fenced => Err(EngineError::Fenced),
            other => Err(other.strange()),
        }
    }

    async fn read(&self, partition: Partition, from: Position, limit: usize) -> Result<Page, EngineError> {
        let family = self.family_of(partition)?;
        // From the first kept entry on, so as not to wade through those that were deleted. A snapshot, because a
        // group that is being applied shows its records in any order.
        let life = self.life(family)?;
        let store = &life.store;
        let first = store.tail(partition).load().first;
        let mut next = if first.offset > from.offset { first } else { from };
        let low = layout::entry_key(partition, next.offset);
        let high = layout::entry_key(partition, Offset(u64::MAX));
        let mut records = Vec::new();
        let mut bytes = 0;
        for entry in store.db.snapshot().range(&store.journal, low..high) {
            let (key, payload) = entry.into_inner().map_err(|error| store.fault(error))?;
            let mut after = next;
            let Some(Stored { offset, id }) = after.pass_stored(&key, &payload)? else {
                next = after;
                continue;
            };
            bytes += payload.len();
            if records.len() >= limit || (bytes > READ_BYTES_MAX && !records.is_empty()) {
                break;
            }
            next = after;
            let payload = Bytes::copy_from_slice(&payload);
            records.push(JournalRecord { offset, id, payload, appended_ms: id.map_or(0, unix_ms_of) });
        }
        Ok(Page { records, next })
    }

    async fn bounds(&self, partition: Partition) -> Result<(Offset, Offset), EngineError> {
        let ends = self.life(self.family_of(partition)?)?.store.tail(partition).load();
        Ok((ends.first.offset, ends.next.offset))
    }

    async fn checkpoint(&self, consumer: &str, partition: Partition, next: Position) -> Result<(), EngineError> {
        check_consumer(consumer)?;
        let family = self.family_of(partition)?;
        let work = Work::Checkpoint { key: layout::checkpoint_key(consumer, partition), next };
        self.door(family)?.submit(work, 0).await.map(|_| ())
    }

    async fn checkpoint_of(&self, consumer: &str, partition: Partition) -> Result<Position, EngineError> {
        check_consumer(consumer)?;
        Self::checkpointed(&self.life(self.family_of(partition)?)?.store, consumer, partition)
    }

    async fn trim(&self, partition: Partition, bytes_max: u64, consumers: &[&str]) -> Result<Trimmed, EngineError> {
        let family = self.family_of(partition)?;
        let mut needed = None;
        for consumer in consumers {
            check_consumer(consumer)?;
            let next = Self::checkpointed(&self.life(family)?.store, consumer, partition)?.offset;
            needed = Some(needed.map_or(next, |lowest: Offset| lowest.min(next)));
        }
        let mut trimmed = 0;
        while let Some((trim, records)) = Self::next_trim(&self.life(family)?.store, partition, bytes_max, needed)? {
            match self.door(family)?.submit(Work::Trim { partition, trim }, 0).await? {
                Done::Trimmed(true) => trimmed += records,
                _ => break, // another trim is under way and does the rest
            }
        }
        let ends = self.life(family)?.store.tail(partition).load();
        Ok(Trimmed { records: trimmed, bytes_kept: ends.appended_bytes.saturating_sub(ends.trimmed_bytes) })
    }
}

#[cfg(test)]
#[path = "journal_tests.rs"]
mod tests;
