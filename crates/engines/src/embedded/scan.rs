//! Scan on its way through a partition: over live rows, past dead ones, across gaps that are known (`gaps.rs`).

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::Bytes;
use fjall::{Readable, Slice, Snapshot};

use super::gaps::{Moment, Stretch, successor};
use super::layout::{self, Cell, StoredRange};
use super::store::Store;
use crate::ports::{EngineError, KeyRange, Order, Row, Table};

/// Dead rows in a run that are worth a gap.
const GAP_DEAD_MIN: usize = 32;
/// Dead rows beside a gap that are worth making it longer.
const GAP_GROW_MIN: usize = 4;
/// Dead rows between two looks for a gap: after the first of a run, and then after so many.
const LOOK_EVERY: usize = 16;

/// State of a scan after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Everything that was asked for is found.
    Done,
    /// Limit of a turn reached: as many rows were passed as one turn may; it goes on from there.
    Long,
}

/// Rows that a scan passes at once, at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) dead: usize,
    pub(super) live: usize,
}

/// Dead rows (and gaps) that follow each other.
struct Run {
    low: Slice,
    high: Slice,
    /// `high` belongs to it.
    is_high_in: bool,
    /// Since something was learned.
    dead: usize,
    /// Since the last jump.
    since_jump: usize,
    touches_gap: bool,
}

/// A scan.
///
/// Its store is declared last: whoever waits until the store is let go of finds no view of it open then.
pub(super) struct Scan {
    snapshot: Snapshot,
    moment: Moment,
    prefix_bytes: usize,
    /// Keys that are left when it jumps.
    range: StoredRange,
    order: Order,
    limit: usize,
    rows: fjall::Iter,
    run: Option<Run>,
    found: Vec<Row>,
    store: Arc<Store>,
}

impl Scan {
    /// `None` when no key can be in the range.
    pub(super) fn new(
        store: &Arc<Store>,
        (table, partition): (Table, &[u8]),
        range: &KeyRange,
        order: Order,
        limit: usize,
    ) -> Option<Self> {
        let prefix = layout::row_prefix(table, partition);
        let range = layout::row_range(&prefix, range)?;
        let (moment, snapshot) = store.gaps.view(|| store.db.snapshot());
        let rows = snapshot.range(&store.rows, range.clone());
        let (store, prefix_bytes) = (Arc::clone(store), prefix.len());
        Some(Self { snapshot, moment, prefix_bytes, range, order, limit, rows, run: None, found: Vec::new(), store })
    }

    /// The rows that were found.
    pub(super) fn into_found(mut self) -> Vec<Row> {
        self.store.scans.rows_answered.fetch_add(self.found.len() as u64, Relaxed);
        std::mem::take(&mut self.found)
    }

    /// Counts it as one that is long.
    pub(super) fn is_long(&self) {
        self.store.scans.long.fetch_add(1, Relaxed);
    }

    /// Goes on until it is done, or has passed `most`.
    pub(super) fn go(&mut self, most: Most) -> Result<Progress, EngineError> {
        let (mut dead, begun) = (0, self.found.len());
        let progress = loop {
            if self.found.len() == self.limit {
                break Progress::Done;
            }
            if dead == most.dead || self.found.len() - begun == most.live {
                break Progress::Long;
            }
            let row = match self.order {
                Order::Ascending => self.rows.next(),
                Order::Descending => self.rows.next_back(),
            };
            let Some(row) = row else { break Progress::Done };
            let (key, stored) = row.into_inner().map_err(|error| self.store.fault(error))?;
            let cell = Cell::parse(&stored).ok_or_else(|| self.store.corrupt("a row"))?;
            if let Some(value) = cell.value() {
                self.learn();
                self.run = None;
                let clustering = Bytes::copy_from_slice(key.get(self.prefix_bytes..).unwrap_or_default());
                self.found.push(Row { clustering, value: Bytes::copy_from_slice(value) });
                continue;
            }
            dead += 1;
            if !self.pass(key) {
                break Progress::Done;
            }
        };
        self.learn();
        if dead > 0 {
            self.store.scans.dead_rows_passed.fetch_add(dead as u64, Relaxed);
        }
        Ok(progress)
    }

    /// Steps over a dead row, and over the gap that it lies in; false when nothing is left behind that.
    fn pass(&mut self, key: Slice) -> bool {
        let is_up = self.order == Order::Ascending;
        let run = self.run.get_or_insert_with(|| Run {
            low: key.clone(),
            high: key.clone(),
            is_high_in: true,
            dead: 0,
            since_jump: 0,
            touches_gap: false,
        });
        run.dead += 1;
        run.since_jump += 1;
        let gap = if run.since_jump % LOOK_EVERY == 1 { self.store.gaps.around(&key, self.moment) } else { None };
        if is_up {
            (run.high, run.is_high_in) = (key, true);
        } else {
            run.low = key;
        }
        let Some(Stretch { from, to }) = gap else { return true };
        run.touches_gap = true;
        run.since_jump = 0;
        if run.low > from {
            run.low = from.clone();
        }
        if run.high < to {
            (run.high, run.is_high_in) = (to.clone(), false);
        }
        if is_up {
            self.range.0 = Bound::Included(to.to_vec());
        } else {
            self.range.1 = Bound::Excluded(from.to_vec());
        }
        if layout::is_empty(&self.range) {
            return false;
        }
        self.rows = self.snapshot.range(&self.store.rows, self.range.clone());
        true
    }

    /// Makes a gap of the run, if it is worth one.
    fn learn(&mut self) {
        let Some(run) = &mut self.run else { return };
        let worth = if run.touches_gap { GAP_GROW_MIN } else { GAP_DEAD_MIN };
        if run.dead < worth {
            return;
        }
        let to = if run.is_high_in { successor(&run.high) } else { run.high.clone() };
        self.store.gaps.learn(Stretch { from: run.low.clone(), to }, self.moment);
        run.dead = 0;
        run.touches_gap = true;
    }
}
