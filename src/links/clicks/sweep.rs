//! Janitor of clicks: lets go of minutes and hours that are kept no longer, of numbers whose link was deleted, and of
//! records that are counted and old.

use std::sync::Arc;

use fanfare_engines::{Batch, EngineError, Journal, KeyRange, Order, Partition, RowKey, Tables};
use fanfare_protocol::Id;

use super::counter::{CONSUMER, Counting};
use super::fold::key_of;
use super::rollup::{DAY_MS, HOUR_MS, KeptLevels, RowOf, RowPlace};
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::limits::clicks::{SWEEP_ROWS, TIME_SHARDS};
use crate::data::tables::{self, NEVER_AGAIN, TimeLevel};

/// Name of the checkpoint below which records are older than they are kept.
const AGE: &str = "clicks-age";

/// Bounds of what is kept.
#[derive(Debug, Clone, Copy)]
pub struct ClickBounds {
    /// Levels of numbers.
    pub kept: KeptLevels,
    /// Time for which records are kept.
    pub records_ms: u64,
    /// Bytes of records that are kept, at most.
    pub records_bytes: u64,
}

/// Removes hours and days that are kept no longer at `now_ms`.
///
/// # Errors
/// When the engine fails; the next round goes on.
pub async fn let_go(tables: &dyn Tables, kept: KeptLevels, now_ms: u64) -> Result<(), EngineError> {
    for (level, kept_ms, length_ms) in
        [(TimeLevel::Minutes, kept.minutes_ms, HOUR_MS), (TimeLevel::Hours, kept.hours_ms, DAY_MS)]
    {
        // One more, so that nobody who may still read it finds a part.
        let end = (now_ms.saturating_sub(kept_ms) / length_ms).saturating_sub(1) as u32;
        let range = KeyRange {
            from: Some(tables::click_time_row(level, 0).clustering),
            to: Some(tables::click_time_row(level, end).clustering),
        };
        let old = tables.scan(tables::CLICK_TIMES, &tables::ONE, range, Order::Ascending, SWEEP_ROWS).await?;
        for time in old.iter().filter_map(|row| tables::in_click_time(&row.clustering)) {
            for shard in 0..TIME_SHARDS {
                remove_all(tables, level, time, shard, first_id_at(now_ms).0).await?;
            }
            let mut batch = Batch::default();
            batch.delete(tables::click_time_row(level, time));
            tables.write(batch).await?;
        }
    }
    Ok(())
}

async fn remove_all(
    tables: &dyn Tables,
    level: TimeLevel,
    time: u32,
    shard: u8,
    version: u64,
) -> Result<(), EngineError> {
    let partition = tables::click_time(time, shard);
    loop {
        let rows = tables.scan(level.table(), &partition, KeyRange::ALL, Order::Ascending, SWEEP_ROWS).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for row in &rows {
            batch.delete_versioned(RowKey::new(level.table(), partition.clone(), row.clustering.clone()), version);
        }
        tables.write(batch).await?;
    }
}

/// Removes all numbers of a link that was made at its id's moment. Minutes and hours that come late go with their time.
///
/// # Errors
/// When the engine fails; again it does the rest.
pub async fn forget_link(tables: &dyn Tables, link: Id, kept: KeptLevels, now_ms: u64) -> Result<(), EngineError> {
    let mut batch = Batch::default();
    batch.delete_versioned(tables::click_total_row(link), NEVER_AGAIN);
    let today = (now_ms / DAY_MS) as u32;
    let mut day = ((unix_ms_of(link) / DAY_MS) as u32).saturating_sub(1);
    while day <= today + 1 {
        for table in [tables::CLICK_DAYS, tables::CLICK_VISITORS] {
            let partition = tables::click_days(link, day);
            let rows = tables.scan(table, &partition, KeyRange::ALL, Order::Ascending, SWEEP_ROWS).await?;
            for row in rows {
                batch.delete_versioned(RowKey::new(table, partition.clone(), row.clustering), NEVER_AGAIN);
            }
        }
        day = tables::click_days_after(day);
    }
    for late in [today.saturating_sub(1), today] {
        batch.delete_versioned(tables::click_day_row(link, late), NEVER_AGAIN);
    }
    let (hours, days) = ((kept.minutes_ms / HOUR_MS) as u32 + 1, (kept.hours_ms / DAY_MS) as u32 + 1);
    let hour = (now_ms / HOUR_MS) as u32;
    let finer = (hour.saturating_sub(hours)..=hour).map(RowPlace::Minutes);
    let finer = finer.chain((today.saturating_sub(days)..=today).map(RowPlace::Hours));
    let keys: Vec<RowKey> = finer.map(|place| key_of(RowOf { link, place })).collect();
    for (key, value) in keys.iter().zip(tables.get_many(&keys).await?) {
        if value.is_some() {
            batch.delete_versioned(key.clone(), NEVER_AGAIN);
        }
    }
    tables.write(batch).await
}

/// Lets go of records that are counted and older, or more, than is kept; answers whether more is left than may be, so
/// that nothing is to be shipped until it is counted.
///
/// # Errors
/// When the engine fails.
pub async fn trim(
    journal: &Arc<dyn Journal>,
    partition: Partition,
    counting: &Counting,
    bounds: ClickBounds,
    now_ms: u64,
) -> Result<bool, EngineError> {
    let owner = crate::log::owner::CONSUMER;
    let old = counting.stored.lock().older_than(now_ms.saturating_sub(bounds.records_ms));
    if let Some(old) = old {
        journal.checkpoint(AGE, partition, old).await?;
        journal.trim(partition, 0, &[owner, CONSUMER, AGE]).await?;
    }
    let trimmed = journal.trim(partition, bounds.records_bytes, &[owner, CONSUMER]).await?;
    Ok(trimmed.bytes_kept > bounds.records_bytes)
}

#[cfg(test)]
#[path = "sweep_tests.rs"]
mod tests;
