//! Deletes that nothing needs any more leave the store when it compacts: a delete of a row without versions at once,
//! and one with a version when the caller has said that no write at or below it comes any more.
//!
//! Compactions see every row that they rewrite, so this costs no write of its own, and works on folders of earlier
//! versions. A cell is taken out only on its way into the last level, below which no older cell of its key can stand;
//! and it becomes the store's own tombstone, which the store drops there as soon as no open snapshot can tell the
//! difference.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::compaction::filter::{CompactionFilter, CompactionFilterResult, Context, Factory, ItemAccessor, Verdict};

use super::layout::{self, Cell};
use crate::ports::Table;

/// The name of the filter in the store's logs.
const NAME: &str = "forgotten deletes";

/// Versions, one a table, up to which deletes are forgotten.
#[derive(Debug)]
pub(super) struct Forgotten([AtomicU64; 256]);

impl Default for Forgotten {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }
}

impl Forgotten {
    /// Forgets deletes: nothing of `tables` is written any more with a version at or below `upto`.
    pub(super) fn forget(&self, tables: &[Table], upto: u64) {
        for table in tables {
            self.0[usize::from(table.id)].fetch_max(upto, Ordering::Relaxed);
        }
    }

    fn covers(&self, key: &[u8], cell: &[u8]) -> bool {
        let (Some(table), Some(Cell::Deleted(version))) = (layout::table_of(key), Cell::parse(cell)) else {
            return false;
        };
        version <= self.0[usize::from(table)].load(Ordering::Relaxed)
    }
}

/// Factory of the filter that each compaction of the rows runs.
pub(super) struct Forgetting(pub(super) Arc<Forgotten>);

impl Factory for Forgetting {
    fn name(&self) -> &str {
        NAME
    }

    fn make_filter(&self, _: &Context) -> Box<dyn CompactionFilter> {
        Box::new(Filter(Arc::clone(&self.0)))
    }
}

struct Filter(Arc<Forgotten>);

impl CompactionFilter for Filter {
    fn filter_item(&mut self, item: ItemAccessor<'_>, context: &Context) -> CompactionFilterResult {
        let forgotten = context.is_last_level && self.0.covers(item.key(), &item.value()?);
        Ok(if forgotten { Verdict::Remove } else { Verdict::Keep })
    }
}

#[cfg(test)]
#[path = "forget_tests.rs"]
mod tests;
