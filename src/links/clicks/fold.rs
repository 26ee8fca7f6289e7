//! Fold of a partition: reads clicks from the log, counts them in rows that it holds in memory, and writes those now
//! and then: rows first, the head last.
//!
//! A write for every click would cost more than the redirects do. So rows of what is visited now are *open*: they are
//! read once, counted in memory, and written when the fold has counted for a while or memory is short. Whoever asks for
//! numbers is shown open rows as they are. After a crash the fold starts at its head; a row skips what it has counted.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, Journal, Partition, Position, RowKey, Tables};
use fanfare_protocol::Id;
use parking_lot::RwLock;

use super::click::Click;
use super::head::{FoldHead, record_ms};
use super::rollup::{KeptLevels, RowOf, RowPlace, RowTally, rows_of};
use crate::base::id_map::IdMap;
use crate::base::limits::clicks::{FLUSH_BYTES, FLUSH_ROWS, FOLD_RECORDS, FOLD_SLICE, OPEN_BYTES_MAX, OPEN_ROWS_MAX};
use crate::data::tables::{self, TimeLevel};

/// Bytes that a click adds to rows in memory, roughly and at most; counted anew with every flush.
const CLICK_BYTES: usize = 64;

/// Key under which the row is stored.
#[must_use]
pub fn key_of(row: RowOf) -> RowKey {
    match row.place {
        RowPlace::Total => tables::click_total_row(row.link),
        RowPlace::Minutes(hour) => tables::click_minutes_row(row.link, hour),
        RowPlace::Hours(day) => tables::click_hours_row(row.link, day),
        RowPlace::Day(day) => tables::click_day_row(row.link, day),
        RowPlace::Visitors(day) => tables::click_visitors_row(row.link, day),
    }
}

/// Level and time of a row that is let go of after a while.
const fn time_of(place: RowPlace) -> Option<(TimeLevel, u32)> {
    match place {
        RowPlace::Minutes(hour) => Some((TimeLevel::Minutes, hour)),
        RowPlace::Hours(day) => Some((TimeLevel::Hours, day)),
        RowPlace::Total | RowPlace::Day(_) | RowPlace::Visitors(_) => None,
    }
}

/// Row in memory.
struct Open {
    tally: RowTally,
    /// Id of the last record that was counted; the tally's own is that up to which it was read.
    touched: u64,
    is_dirty: bool,
    /// Number of the flush after which it was touched last.
    flush: u64,
}

impl Open {
    fn add(&mut self, click: &Click<'_>, record: u64, flush: u64) {
        if self.tally.upto >= record {
            return;
        }
        self.touched = record;
        self.is_dirty = true;
        self.flush = flush;
        self.tally.numbers.add(click);
    }

    fn as_stored(&self) -> (u64, Vec<u8>) {
        let upto = self.touched.max(self.tally.upto);
        (upto, self.tally.numbers.to_bytes(upto))
    }
}

/// Rows in memory by their link: a click is counted in five of one.
#[derive(Default)]
struct Rows {
    /// In the order of their places.
    links: IdMap<Id, Vec<(RowPlace, Open)>>,
    count: usize,
}

impl Rows {
    fn of(&self, link: Id) -> &[(RowPlace, Open)] {
        self.links.get(&link).map_or(&[], Vec::as_slice)
    }

    fn get(&self, row: RowOf) -> Option<&Open> {
        let rows = self.of(row.link);
        place_in(rows, row.place).ok().map(|at| &rows[at].1)
    }

    fn insert(&mut self, row: RowOf, open: Open) {
        let rows = self.links.entry(row.link).or_default();
        if let Err(at) = place_in(rows, row.place) {
            rows.insert(at, (row.place, open));
            self.count += 1;
        }
    }

    fn iter(&self) -> impl Iterator<Item = (RowOf, &Open)> {
        let of_link = |(link, rows): (&Id, _)| (*link, rows);
        self.links.iter().map(of_link).flat_map(|(link, rows): (Id, &Vec<(RowPlace, Open)>)| {
            rows.iter().map(move |(place, open)| (RowOf { link, place: *place }, open))
        })
    }

    fn retain(&mut self, keeps: impl Fn(&Open) -> bool) {
        self.links.retain(|_, rows| {
            rows.retain(|(_, open)| keeps(open));
            !rows.is_empty()
        });
        self.count = self.links.values().map(Vec::len).sum();
    }
}

fn place_in(rows: &[(RowPlace, Open)], place: RowPlace) -> Result<usize, usize> {
    rows.binary_search_by_key(&place, |(place, _)| *place)
}

/// Rows in memory, as the fold and whoever asks for numbers share them.
#[derive(Default)]
pub struct OpenRows {
    rows: RwLock<Rows>,
    /// Clicks that were counted since the start.
    pub counted: AtomicU64,
    /// Clicks that had come before.
    pub repeated: AtomicU64,
}

impl OpenRows {
    /// Rows as they are now, whether they are open or stored.
    ///
    /// # Errors
    /// When the engine fails, or a row is damaged.
    pub async fn read(&self, tables: &dyn Tables, rows: &[RowOf]) -> Result<Vec<Option<RowTally>>, EngineError> {
        let mut found: Vec<Option<RowTally>> = {
            let open = self.rows.read();
            rows.iter().map(|row| open.get(*row).map(|open| open.tally.clone())).collect()
        };
        let missing: Vec<usize> = (0..rows.len()).filter(|at| found[*at].is_none()).collect();
        let keys: Vec<RowKey> = missing.iter().map(|at| key_of(rows[*at])).collect();
        if !keys.is_empty() {
            for (at, value) in missing.into_iter().zip(tables.get_many(&keys).await?) {
                found[at] = value.map(|value| parse(rows[at], &value)).transpose()?;
            }
        }
        Ok(found)
    }

    /// Lets go of all rows of a link, which is deleted.
    pub fn forget(&self, link: Id) {
        let mut rows = self.rows.write();
        let gone = rows.links.remove(&link).map_or(0, |rows| rows.len());
        rows.count -= gone;
    }
}

fn parse(row: RowOf, value: &[u8]) -> Result<RowTally, EngineError> {
    RowTally::parse(row.place, value).ok_or_else(|| EngineError::Corrupt(format!("a row of clicks: {row:?}")))
}

/// Why a fold does not go on.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// The engine did not do what was asked; the same step may succeed later.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A record is none of clicks, or the head is none: nothing is skipped.
    #[error("clicks are not counted any further: {0}")]
    Unreadable(String),
}

/// Rows that are being written, and the head behind them.
struct Flush {
    head: FoldHead,
    rows: Vec<RowOf>,
}

/// Fold of a partition of the log.
pub struct ClickFold {
    journal: Arc<dyn Journal>,
    tables: Arc<dyn Tables>,
    partition: Partition,
    kept: KeptLevels,
    head: FoldHead,
    /// The head as it is stored.
    stored: FoldHead,
    open: Arc<OpenRows>,
    bytes: usize,
    flush: Option<Flush>,
    flushes: u64,
    /// Hours and days that are known to have a row which says so.
    times: HashSet<(TimeLevel, u32)>,
}

impl ClickFold {
    /// The fold as it was left.
    ///
    /// # Errors
    /// When the engine fails, or the head is damaged.
    pub async fn open(
        journal: Arc<dyn Journal>,
        tables: Arc<dyn Tables>,
        partition: Partition,
        kept: KeptLevels,
        open: Arc<OpenRows>,
    ) -> Result<Self, FoldError> {
        let stored = tables.get(&tables::click_head_row(partition.0)).await?;
        let head: FoldHead = match stored {
            Some(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| FoldError::Unreadable(format!("its head: {error}")))?
            }
            None => FoldHead::default(),
        };
        let stored = head.clone();
        Ok(Self {
            journal,
            tables,
            partition,
            kept,
            head,
            stored,
            open,
            bytes: 0,
            flush: None,
            flushes: 0,
            times: HashSet::new(),
        })
    }

    /// Head as it is in memory.
    #[must_use]
    pub const fn head(&self) -> &FoldHead {
        &self.head
    }

    /// Head as it is stored.
    #[must_use]
    pub const fn stored(&self) -> &FoldHead {
        &self.stored
    }

    /// Counts the next records; answers whether there were any.
    ///
    /// # Errors
    /// When the engine fails: nothing was counted, and the same step may be tried again.
    pub async fn step(&mut self) -> Result<bool, FoldError> {
        let page = self.journal.read(self.partition, self.head.next(), FOLD_RECORDS).await?;
        if page.records.is_empty() {
            let moved = page.next.offset > self.head.next().offset;
            self.head.pass(page.next);
            return Ok(moved);
        }
        let mut head = self.head.clone();
        let (mut news, mut lines) = (Vec::new(), 0);
        let mut before = self.head.next();
        for record in &page.records {
            before = Position { offset: record.offset, ..before };
            let clicks = head.admit(record, before).map_err(FoldError::Unreadable)?;
            lines += record.payload.iter().filter(|byte| **byte == b'\n').count() as u64;
            news.push((record.id.unwrap_or(record.offset.0), record_ms(record), clicks));
        }
        self.load(&news).await?;
        // From here on nothing can fail: a record is counted whole, once.
        let mut counted = 0;
        for (record, record_ms, clicks) in &news {
            counted += clicks.len() as u64;
            self.count(*record, *record_ms, clicks);
        }
        head.pass(page.next);
        self.head = head;
        self.open.counted.fetch_add(counted, Ordering::Relaxed);
        self.open.repeated.fetch_add(lines.saturating_sub(counted), Ordering::Relaxed);
        Ok(true)
    }

    /// Reads the rows that clicks are counted in, as far as they are not in memory.
    async fn load(&mut self, news: &[(u64, u64, Vec<Click<'_>>)]) -> Result<(), FoldError> {
        let mut missing: Vec<RowOf> = Vec::new();
        {
            let open = self.open.rows.read();
            for (_, at_ms, clicks) in news {
                for click in clicks {
                    let rows = open.of(click.link);
                    missing.extend(rows_of(click, *at_ms, self.kept).filter(|row| place_in(rows, row.place).is_err()));
                }
            }
        }
        missing.sort_unstable();
        missing.dedup();
        let keys: Vec<RowKey> = missing.iter().map(|row| key_of(*row)).collect();
        let mut loaded = Vec::with_capacity(keys.len());
        for (row, value) in missing.into_iter().zip(self.tables.get_many(&keys).await?) {
            loaded.push((row, value.map_or_else(|| Ok(RowTally::none(row.place)), |value| parse(row, &value))?));
        }
        let mut open = self.open.rows.write();
        for (row, tally) in loaded {
            self.bytes += tally.numbers.bytes();
            open.insert(row, Open { tally, touched: 0, is_dirty: false, flush: self.flushes });
        }
        Ok(())
    }

    fn count(&mut self, record: u64, record_ms: u64, clicks: &[Click<'_>]) {
        for slice in clicks.chunks(FOLD_SLICE) {
            let mut open = self.open.rows.write();
            for click in slice {
                // There are none any more when the link was deleted.
                let Some(rows) = open.links.get_mut(&click.link) else { continue };
                for row in rows_of(click, record_ms, self.kept) {
                    if let Ok(at) = place_in(rows, row.place) {
                        rows[at].1.add(click, record, self.flushes);
                    }
                }
            }
            parking_lot::RwLockWriteGuard::unlock_fair(open);
            self.bytes += slice.len() * CLICK_BYTES;
        }
    }

    /// Whether memory is short, so that rows are to be written before more is counted.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.open.rows.read().count >= OPEN_ROWS_MAX || self.bytes >= OPEN_BYTES_MAX
    }

    /// Begins to write what was counted so far; does nothing while that is done already, or where there is nothing.
    pub fn begin_flush(&mut self) {
        if self.flush.is_none() && self.head != self.stored {
            let open = self.open.rows.read();
            let mut rows: Vec<RowOf> = open.iter().filter(|(_, open)| open.is_dirty).map(|(row, _)| row).collect();
            drop(open);
            // Rows of one partition go together.
            rows.sort_unstable_by(|a, b| b.cmp(a));
            self.flushes += 1;
            self.flush = Some(Flush { head: self.head.clone(), rows });
        }
    }

    /// Writes some of the rows, or the head behind the last; answers whether there is more to write. Between two calls
    /// more may be counted: a row says up to where it counts, and the head is as old as the beginning.
    ///
    /// # Errors
    /// When the engine fails: the same is written again with the next call.
    pub async fn flush_some(&mut self) -> Result<bool, FoldError> {
        let Some(flush) = &self.flush else { return Ok(false) };
        let (mut batch, mut bytes, mut taken) = (Batch::default(), 0, 0);
        let mut written: Vec<(RowOf, u64)> = Vec::new();
        let mut new_times: HashSet<(TimeLevel, u32)> = HashSet::new();
        {
            let open = self.open.rows.read();
            for row in flush.rows.iter().rev().take(FLUSH_ROWS) {
                if bytes >= FLUSH_BYTES {
                    break;
                }
                taken += 1;
                // It is not there any more when its link was deleted.
                let Some(open) = open.get(*row) else { continue };
                let (upto, value) = open.as_stored();
                bytes += value.len();
                batch.put_versioned(key_of(*row), value, upto);
                written.push((*row, upto));
                // Written before the rows that it tells of: the janitor finds those by it.
                new_times.extend(time_of(row.place).filter(|time| !self.times.contains(time)));
            }
        }
        if taken == 0 {
            return self.end_flush().await.map(|()| false);
        }
        if !new_times.is_empty() {
            let mut batch = Batch::default();
            new_times.iter().for_each(|(level, time)| batch.put(tables::click_time_row(*level, *time), Bytes::new()));
            self.tables.write(batch).await?;
        }
        self.tables.write(batch).await?;
        self.times.extend(new_times);
        let mut open = self.open.rows.write();
        for (row, upto) in written {
            let Some(rows) = open.links.get_mut(&row.link) else { continue };
            if let Ok(at) = place_in(rows, row.place)
                && rows[at].1.touched <= upto
            {
                rows[at].1.is_dirty = false;
            }
        }
        drop(open);
        if let Some(flush) = &mut self.flush {
            flush.rows.truncate(flush.rows.len() - taken);
        }
        Ok(true)
    }

    /// Writes the head, behind all rows, and lets go of rows that nothing was counted in since.
    async fn end_flush(&mut self) -> Result<(), FoldError> {
        let Some(flush) = &self.flush else { return Ok(()) };
        let value = serde_json::to_vec(&flush.head).map_err(|error| FoldError::Unreadable(error.to_string()))?;
        let mut batch = Batch::default();
        batch.put_versioned(tables::click_head_row(self.partition.0), value, flush.head.next().offset.0);
        self.tables.write(batch).await?;
        let mut open = self.open.rows.write();
        open.retain(|open| open.is_dirty || open.flush >= self.flushes);
        self.bytes = open.iter().map(|(_, open)| open.tally.numbers.bytes()).sum();
        drop(open);
        if let Some(flush) = self.flush.take() {
            self.stored = flush.head;
        }
        // Those of long ago may have been removed meanwhile, and are told of again with the next row.
        self.times.clear();
        Ok(())
    }

    /// Writes everything that was counted.
    ///
    /// # Errors
    /// When the engine fails; what is not written is counted again by the next fold.
    pub async fn flush_all(&mut self) -> Result<(), FoldError> {
        loop {
            self.begin_flush();
            if self.flush.is_none() {
                return Ok(());
            }
            while self.flush_some().await? {}
        }
    }
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
