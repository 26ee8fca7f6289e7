//! Fold of a partition: reads clicks from the log, counts them in rows that it holds in memory, and writes those now
//! and then: rows first, the head last.
//!
//! A write for every click would cost more than the redirects do. So rows of what is visited now are *open*: they are
//! read once, counted in memory, and written when the fold has counted for a while or memory is short. Whoever asks for
//! numbers is shown open rows as they are. After a crash the fold starts at its head; a row skips what it has counted.
//!
//! Most first clicks of a day or an hour begin a row, which need not be looked for: the link's total knows the latest
//! day and hour. It is as old as the last whole flush at least, like every row; so of what it does not know nothing was
//! counted before the head, and all that came since is folded again.

mod rows;

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, Journal, Partition, Position, Tables};
use fanfare_protocol::Id;
use futures_util::future::join;

use self::rows::{LinkRows, Open, Rows, latest_of, place_in, stored};
pub use self::rows::{OpenRows, key_of};
use super::head::{FoldHead, record_ms};
use super::record::ClickRecord;
use super::rollup::{KeptLevels, RowOf, RowPlace, RowTally, places_of};
use crate::base::limits::clicks::{FLUSH_BYTES, FLUSH_ROWS, FOLD_RECORDS, FOLD_SLICE, OPEN_BYTES_MAX, OPEN_ROWS_MAX};
use crate::data::tables::{self, TimeLevel};

/// Level and time of a row that is let go of after a while.
const fn time_of(place: RowPlace) -> Option<(TimeLevel, u32)> {
    match place {
        RowPlace::Minutes(hour) => Some((TimeLevel::Minutes, hour)),
        RowPlace::Hours(day) => Some((TimeLevel::Hours, day)),
        RowPlace::Total | RowPlace::Day(_) => None,
    }
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

/// Record whose clicks are to be counted.
struct News<'a> {
    record: u64,
    made_ms: u64,
    clicks: ClickRecord<'a>,
}

/// Click among the news: of a link they are counted together, in the order in which they came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    link: Id,
    record: u32,
    click: u32,
}

/// Clicks of all records by their link.
fn by_link(news: &[News<'_>]) -> Vec<Place> {
    let mut places = Vec::with_capacity(news.iter().map(|news| news.clicks.clicks.len()).sum());
    for (record, news) in news.iter().enumerate() {
        let place = |(at, click)| Place { link: news.clicks.link(click), record: record as u32, click: at as u32 };
        places.extend(news.clicks.clicks.iter().enumerate().map(place));
    }
    places.sort_unstable();
    places
}

/// Rows that are being written, and the head behind them.
struct Flush {
    head: FoldHead,
    /// The next is the last.
    rows: Vec<RowOf>,
    /// The next of them, made ready while those before were written.
    ready: Option<Ready>,
}

/// Rows that are ready to be written, as they were then.
#[derive(Default)]
struct Ready {
    /// Number of the flush's rows that are passed, with those that are gone.
    taken: usize,
    batch: Batch,
    versions: Vec<(RowOf, u64)>,
    /// Hours and days that no row tells of yet.
    times: HashSet<(TimeLevel, u32)>,
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
    flushes: u32,
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
        let (mut news, mut counted, mut repeated) = (Vec::with_capacity(page.records.len()), 0, 0);
        let mut before = self.head.next();
        for record in &page.records {
            before = Position { offset: record.offset, ..before };
            let (clicks, again) = head.admit(record, before).map_err(FoldError::Unreadable)?;
            counted += clicks.clicks.len() as u64;
            repeated += again as u64;
            let made_ms = record_ms(record);
            news.push(News { record: record.id.unwrap_or(record.offset.0), made_ms, clicks });
        }
        let places = by_link(&news);
        self.load(&news, &places).await?;
        // From here on nothing can fail: a record is counted whole, once.
        self.count(&news, &places);
        head.pass(page.next);
        self.head = head;
        self.open.counted.fetch_add(counted, Ordering::Relaxed);
        self.open.repeated.fetch_add(repeated, Ordering::Relaxed);
        Ok(true)
    }

    /// Reads the rows that clicks are counted in, as far as they are not in memory and may be there.
    async fn load(&mut self, news: &[News<'_>], places: &[Place]) -> Result<(), FoldError> {
        let mut totals: Vec<RowOf> = Vec::new();
        {
            let open = self.open.rows.read();
            for of_link in places.chunk_by(|a, b| a.link == b.link) {
                let link = of_link[0].link;
                if latest_of(open.of(link)).is_none() {
                    totals.push(RowOf { link, place: RowPlace::Total });
                }
            }
        }
        self.load_rows(totals).await?;
        let mut missing: Vec<RowOf> = Vec::new();
        {
            let open = self.open.rows.read();
            for of_link in places.chunk_by(|a, b| a.link == b.link) {
                let link = of_link[0].link;
                let rows = open.of(link);
                // There is none any more when the link was deleted.
                let Some(latest) = latest_of(rows) else { continue };
                for at in of_link {
                    let News { made_ms, clicks, .. } = &news[at.record as usize];
                    let click = &clicks.clicks[at.click as usize];
                    let may_be = |place: &RowPlace| latest.may_have(*place) && place_in(rows, *place).is_err();
                    let places = places_of(click.at_ms, *made_ms, self.kept).filter(may_be);
                    missing.extend(places.map(|place| RowOf { link, place }));
                }
            }
        }
        missing.sort_unstable_by_key(|row| (row.place, row.link));
        missing.dedup();
        self.load_rows(missing).await
    }

    async fn load_rows(&mut self, rows: Vec<RowOf>) -> Result<(), FoldError> {
        if rows.is_empty() {
            return Ok(());
        }
        let found = stored(&*self.tables, &rows).await?;
        let mut open = self.open.rows.write();
        for (row, tally) in rows.into_iter().zip(found) {
            let tally = tally.unwrap_or_else(|| RowTally::none(row.place));
            self.bytes += open.insert(row, Open::new(tally, self.flushes));
        }
        Ok(())
    }

    fn count(&mut self, news: &[News<'_>], places: &[Place]) {
        for slice in places.chunks(FOLD_SLICE) {
            let mut open = self.open.rows.write();
            let Rows { links, count } = &mut *open;
            for of_link in slice.chunk_by(|a, b| a.link == b.link) {
                // There are none any more when the link was deleted.
                let Some(rows) = links.get_mut(&of_link[0].link) else { continue };
                let before = rows.len();
                for at in of_link {
                    self.bytes += count_in(rows, &news[at.record as usize], at.click, (self.kept, self.flushes));
                }
                *count += rows.len() - before;
            }
            parking_lot::RwLockWriteGuard::unlock_fair(open);
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
            // Rows that are stored beside each other are written together.
            rows.sort_unstable_by_key(|row| Reverse((row.place, row.link)));
            self.flushes += 1;
            self.flush = Some(Flush { head: self.head.clone(), rows, ready: None });
        }
    }

    /// Rows to write behind `skipped` others, as they are now.
    fn make_ready(&self, skipped: usize) -> Ready {
        let (mut ready, mut bytes) = (Ready::default(), 0);
        let rows = self.flush.as_ref().map_or(&[][..], |flush| &flush.rows[..flush.rows.len() - skipped]);
        let open = self.open.rows.read();
        for row in rows.iter().rev().take(FLUSH_ROWS) {
            if bytes >= FLUSH_BYTES {
                break;
            }
            ready.taken += 1;
            // It is not there any more when its link was deleted.
            let Some(open) = open.get(*row) else { continue };
            let (version, value) = open.as_stored();
            bytes += value.len();
            ready.batch.put_versioned(key_of(*row), value, version);
            ready.versions.push((*row, version));
            ready.times.extend(time_of(row.place).filter(|time| !self.times.contains(time)));
        }
        ready
    }

    /// Writes some of the rows, or the head behind the last; answers whether there is more to write. Between two calls
    /// more may be counted: a row says up to where it counts, and the head is as old as the beginning.
    ///
    /// # Errors
    /// When the engine fails: the same is written again with the next call.
    pub async fn flush_some(&mut self) -> Result<bool, FoldError> {
        let Some(flush) = &mut self.flush else { return Ok(false) };
        let ready = flush.ready.take();
        let Ready { taken, batch, versions, times } = ready.unwrap_or_else(|| self.make_ready(0));
        if taken == 0 {
            return self.end_flush().await.map(|()| false);
        }
        if !times.is_empty() {
            // Written before the rows that it tells of: the janitor finds those by it.
            let mut batch = Batch::default();
            times.iter().for_each(|(level, time)| batch.put(tables::click_time_row(*level, *time), Bytes::new()));
            self.tables.write(batch).await?;
            self.times.extend(times);
        }
        // The next are made ready while the disk is busy with these.
        let (written, next) = join(self.tables.write(batch), async { self.make_ready(taken) }).await;
        written?;
        let mut open = self.open.rows.write();
        for (row, version) in versions {
            if let Some(open) = open.get_mut(row) {
                open.written(version);
            }
        }
        drop(open);
        if let Some(flush) = &mut self.flush {
            flush.rows.truncate(flush.rows.len() - taken);
            flush.ready = Some(next);
        }
        Ok(true)
    }

    /// Writes the head, behind all rows, and lets go of rows that nothing was counted in for a while.
    async fn end_flush(&mut self) -> Result<(), FoldError> {
        let Some(flush) = &self.flush else { return Ok(()) };
        let value = serde_json::to_vec(&flush.head).map_err(|error| FoldError::Unreadable(error.to_string()))?;
        let mut batch = Batch::default();
        batch.put_versioned(tables::click_head_row(self.partition.0), value, flush.head.next().offset.0);
        self.tables.write(batch).await?;
        let is_short = self.bytes >= OPEN_BYTES_MAX / 2 || self.open.rows.read().count >= OPEN_ROWS_MAX / 2;
        // While there is room, what was visited since the flush before stays: it is likely to be visited again.
        let since = if is_short { self.flushes } else { self.flushes.saturating_sub(1) };
        let mut open = self.open.rows.write();
        open.retain(|open| open.is_dirty || open.flush >= since);
        self.bytes = open.iter().map(|(_, open)| open.bytes()).sum();
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

/// Counts a click of a record in the rows of its link; answers how many bytes they grew by.
fn count_in(rows: &mut LinkRows, news: &News<'_>, click: u32, (kept, flushes): (KeptLevels, u32)) -> usize {
    let click = news.clicks.click(&news.clicks.clicks[click as usize]);
    let mut grown = 0;
    for place in places_of(click.at_ms, news.made_ms, kept) {
        let at = place_in(rows, place).unwrap_or_else(|at| {
            // It was looked for, unless nothing of it was ever counted.
            let open = Open::new(RowTally::none(place), flushes);
            grown += open.bytes();
            rows.insert(at, (place, open));
            at
        });
        grown += rows[at].1.add(&click, news.record, flushes);
    }
    grown
}

#[cfg(test)]
mod tests;
