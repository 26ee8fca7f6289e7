//! Rows of a partition in memory, as the fold and whoever asks for numbers share them, and as they are stored.

use std::sync::atomic::AtomicU64;

use fanfare_engines::{EngineError, RowKey, Tables};
use fanfare_protocol::Id;
use parking_lot::RwLock;

use super::super::click::Click;
use super::super::rollup::{Latest, RowNumbers, RowOf, RowPlace, RowTally};
use crate::base::id_map::IdMap;
use crate::data::tables;

/// Rows of a link that is visited now: total, minutes, hours and day.
const LINK_ROWS: usize = 4;

/// Key under which the row is stored.
#[must_use]
pub fn key_of(row: RowOf) -> RowKey {
    match row.place {
        RowPlace::Total => tables::click_total_row(row.link),
        RowPlace::Minutes(hour) => tables::click_minutes_row(row.link, hour),
        RowPlace::Hours(day) => tables::click_hours_row(row.link, day),
        RowPlace::Day(day) => tables::click_day_row(row.link, day),
    }
}

/// Row in memory.
pub(super) struct Open {
    tally: RowTally,
    /// Id of the last record that was counted; the tally's own is that up to which it was read.
    touched: u64,
    /// Number of the flush after which it was touched last.
    pub(super) flush: u32,
    pub(super) is_dirty: bool,
}

impl Open {
    pub(super) const fn new(tally: RowTally, flush: u32) -> Self {
        Self { tally, touched: 0, flush, is_dirty: false }
    }

    /// Counts a click, unless it was counted before; answers how many bytes it grew by.
    pub(super) fn add(&mut self, click: &Click<'_>, record: u64, flush: u32) -> usize {
        let before = self.tally.numbers.bytes();
        if self.tally.upto < record {
            self.tally.numbers.add(click);
        } else if let RowNumbers::Day(day) = &mut self.tally.numbers {
            // A day of before its visitors stood in its row counts them up to another record.
            day.see(click);
        } else {
            return 0;
        }
        self.touched = record;
        self.is_dirty = true;
        self.flush = flush;
        self.tally.numbers.bytes().saturating_sub(before)
    }

    /// Version and content of the row as it is to be stored.
    pub(super) fn as_stored(&self) -> (u64, Vec<u8>) {
        (self.touched, self.tally.numbers.to_bytes(self.touched.max(self.tally.upto)))
    }

    /// Learns that the row is written as it was at a version.
    pub(super) const fn written(&mut self, version: u64) {
        if self.touched <= version {
            self.is_dirty = false;
        }
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> usize {
        size_of::<(RowPlace, Self)>() + self.tally.numbers.bytes()
    }
}

/// Rows of a link in the order of their places.
pub(super) type LinkRows = Vec<(RowPlace, Open)>;

pub(super) fn place_in(rows: &[(RowPlace, Open)], place: RowPlace) -> Result<usize, usize> {
    rows.binary_search_by_key(&place, |(place, _)| *place)
}

/// Latest row of a link, by its total; `None` while that is not in memory.
pub(super) fn latest_of(rows: &[(RowPlace, Open)]) -> Option<Latest> {
    let at = place_in(rows, RowPlace::Total).ok()?;
    if let RowNumbers::Total(_, latest) = rows[at].1.tally.numbers { Some(latest) } else { None }
}

/// Rows in memory by their link.
#[derive(Default)]
pub(super) struct Rows {
    pub(super) links: IdMap<Id, LinkRows>,
    pub(super) count: usize,
}

impl Rows {
    pub(super) fn of(&self, link: Id) -> &[(RowPlace, Open)] {
        self.links.get(&link).map_or(&[], Vec::as_slice)
    }

    pub(super) fn get(&self, row: RowOf) -> Option<&Open> {
        let rows = self.of(row.link);
        place_in(rows, row.place).ok().map(|at| &rows[at].1)
    }

    pub(super) fn get_mut(&mut self, row: RowOf) -> Option<&mut Open> {
        let rows = self.links.get_mut(&row.link)?;
        place_in(rows, row.place).ok().map(|at| &mut rows[at].1)
    }

    /// Adds a row that is not there; answers its bytes.
    pub(super) fn insert(&mut self, row: RowOf, open: Open) -> usize {
        let rows = self.links.entry(row.link).or_insert_with(|| Vec::with_capacity(LINK_ROWS));
        let Err(at) = place_in(rows, row.place) else { return 0 };
        let bytes = open.bytes();
        rows.insert(at, (row.place, open));
        self.count += 1;
        bytes
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RowOf, &Open)> {
        let of_link = |(link, rows): (&Id, _)| (*link, rows);
        self.links.iter().map(of_link).flat_map(|(link, rows): (Id, &LinkRows)| {
            rows.iter().map(move |(place, open)| (RowOf { link, place: *place }, open))
        })
    }

    pub(super) fn retain(&mut self, keeps: impl Fn(&Open) -> bool) {
        self.links.retain(|_, rows| {
            rows.retain(|(_, open)| keeps(open));
            !rows.is_empty()
        });
        self.count = self.links.values().map(Vec::len).sum();
    }
}

/// Rows in memory, as the fold and whoever asks for numbers share them.
#[derive(Default)]
pub struct OpenRows {
    pub(super) rows: RwLock<Rows>,
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
        let keys: Vec<RowOf> = missing.iter().map(|at| rows[*at]).collect();
        if !keys.is_empty() {
            for (at, tally) in missing.into_iter().zip(stored(tables, &keys).await?) {
                found[at] = tally;
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

/// Rows as they are stored.
pub(super) async fn stored(tables: &dyn Tables, rows: &[RowOf]) -> Result<Vec<Option<RowTally>>, EngineError> {
    let keys: Vec<RowKey> = rows.iter().map(|row| key_of(*row)).collect();
    let values = tables.get_many(&keys).await?;
    let mut found = Vec::with_capacity(rows.len());
    let mut split: Vec<(usize, RowOf)> = Vec::new();
    for (at, (row, value)) in rows.iter().zip(values).enumerate() {
        if value.is_none() && matches!(row.place, RowPlace::Day(_)) {
            split.push((at, *row));
        }
        found.push(value.map(|value| RowTally::parse(row.place, &value).ok_or_else(|| damaged(*row))).transpose()?);
    }
    let keys: Vec<RowKey> = split.iter().flat_map(|(_, row)| split_keys(*row)).collect();
    if keys.is_empty() {
        return Ok(found);
    }
    for ((at, row), values) in split.into_iter().zip(tables.get_many(&keys).await?.chunks_exact(2)) {
        if let [day, visitors] = values
            && (day.is_some() || visitors.is_some())
        {
            let read = RowTally::parse_split_day(day.as_deref(), visitors.as_deref());
            found[at] = Some(read.ok_or_else(|| damaged(row))?);
        }
    }
    Ok(found)
}

/// Keys of the two rows that a day had before its visitors stood in its row.
fn split_keys(row: RowOf) -> Vec<RowKey> {
    let RowPlace::Day(day) = row.place else { return Vec::new() };
    vec![tables::click_split_day_row(row.link, day), tables::click_visitors_row(row.link, day)]
}

fn damaged(row: RowOf) -> EngineError {
    EngineError::Corrupt(format!("a row of clicks: {row:?}"))
}
