//! Head of the fold: how far the clicks of a partition of the log are counted, and which of them come again. Pure.
//!
//! Blocks of clicks may come twice, since an append whose outcome is not known is repeated, and a repeat stands behind
//! its first copy. So the head knows the place that was reached in every source, and what is not beyond it was counted.
//! That is judged by the head alone, never by rows: it is written when all rows are, and after a crash everything since
//! is judged again, the same way.

use std::collections::BTreeMap;

use fanfare_engines::{JournalRecord, Offset, Position, Term};
use serde::{Deserialize, Serialize};

use super::record::ClickRecord;
use super::rollup::{DAY_MS, HOUR_MS};
use crate::base::id::{Id, unix_ms_of};
use crate::base::limits::clicks::{MARKS_MAX, SOURCE_DAYS};

/// Progress in a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Reached {
    /// Place up to which its clicks are counted.
    place: u64,
    /// Moment of the last record that had any of them.
    heard_ms: u64,
}

/// Position as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    offset: u64,
    term: Option<u64>,
    last_id: u64,
    number: u64,
    #[serde(default)]
    is_import: bool,
}

impl From<Position> for Stored {
    fn from(position: Position) -> Self {
        let Position { offset, term, last_id, number, is_import } = position;
        Self { offset: offset.0, term: term.map(|term| term.0), last_id, number, is_import }
    }
}

impl From<Stored> for Position {
    fn from(stored: Stored) -> Self {
        let Stored { offset, term, last_id, number, is_import } = stored;
        Self { offset: Offset(offset), term: term.map(Term), last_id, number, is_import }
    }
}

/// Head of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoldHead {
    next: Stored,
    sources: BTreeMap<u64, Reached>,
    /// First position of every hour in which there were records, the newest last: what is older can be let go of.
    marks: Vec<(u32, Stored)>,
}

impl Default for FoldHead {
    fn default() -> Self {
        Self { next: Position::START.into(), sources: BTreeMap::new(), marks: Vec::new() }
    }
}

impl FoldHead {
    /// Position of the next record to count.
    #[must_use]
    pub fn next(&self) -> Position {
        self.next.into()
    }

    /// Goes on to `next`, behind records that were [admitted](Self::admit).
    pub fn pass(&mut self, next: Position) {
        self.next = next.into();
    }

    /// The next record with those clicks that were not counted yet, and how many were; from now on all are. `before`
    /// is the position before it.
    ///
    /// # Errors
    /// When the record is none of clicks; then nothing has changed.
    pub fn admit<'a>(
        &mut self,
        record: &'a JournalRecord,
        before: Position,
    ) -> Result<(ClickRecord<'a>, usize), String> {
        let record_ms = record_ms(record);
        let mut news =
            ClickRecord::read(&record.payload).map_err(|why| format!("record {}: {why}", record.offset.0))?;
        let hour = (record_ms / HOUR_MS) as u32;
        if self.marks.last().is_none_or(|(last, _)| *last < hour) {
            self.marks.push((hour, before.into()));
            let over = self.marks.len().saturating_sub(MARKS_MAX);
            self.marks.drain(..over);
            self.sources.retain(|_, reached| reached.heard_ms.saturating_add(SOURCE_DAYS * DAY_MS) >= record_ms);
        }
        let (sources, all) = (&mut self.sources, news.clicks.len());
        news.clicks.retain(|click| {
            let reached = sources.entry(click.origin.source).or_insert(Reached { place: 0, heard_ms: record_ms });
            reached.heard_ms = record_ms;
            let is_news = click.origin.place > reached.place;
            reached.place = reached.place.max(click.origin.place);
            is_news
        });
        let repeated = all - news.clicks.len();
        Ok((news, repeated))
    }

    /// Position below which every record is older than `moment_ms`.
    #[must_use]
    pub fn older_than(&self, moment_ms: u64) -> Option<Position> {
        let hour = (moment_ms / HOUR_MS) as u32;
        self.marks.iter().rev().find(|(mark, _)| *mark <= hour).map(|(_, position)| (*position).into())
    }

    /// Place up to which a source is counted.
    #[must_use]
    pub fn reached(&self, source: u64) -> u64 {
        self.sources.get(&source).map_or(0, |reached| reached.place)
    }
}

/// Moment at which a record was made, in milliseconds since the Unix epoch.
#[must_use]
pub fn record_ms(record: &JournalRecord) -> u64 {
    record.id.map_or(record.appended_ms, |id| unix_ms_of(Id(id)))
}

#[cfg(test)]
mod tests {
    use super::super::click::{Click, ClickOrigin, write_line};
    use super::*;
    use crate::base::id::first_id_at;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn record(offset: u64, at_ms: u64, origins: &[(u64, u64)]) -> JournalRecord {
        let mut payload = Vec::new();
        for (source, place) in origins {
            let origin = ClickOrigin { source: *source, place: *place };
            write_line(origin, &Click::bare("c", fanfare_protocol::Id(*place), at_ms), &mut payload).unwrap();
        }
        let id = first_id_at(at_ms).0;
        JournalRecord { offset: Offset(offset), id: Some(id), payload: payload.into(), appended_ms: at_ms }
    }

    fn news(head: &mut FoldHead, record: &JournalRecord) -> Vec<u64> {
        let before = head.next();
        let (admitted, _) = head.admit(record, before).unwrap();
        let news = admitted.clicks.iter().map(|click| admitted.link(click).0).collect();
        head.pass(Position::at(Offset(record.offset.0 + 1)));
        news
    }

    #[test]
    fn what_comes_again_is_not_news_and_what_overlaps_is_cut() {
        let mut head = FoldHead::default();
        assert_eq!(news(&mut head, &record(0, NOW_MS, &[(1, 10), (1, 20), (2, 5)])), [10, 20, 5]);
        assert_eq!(news(&mut head, &record(1, NOW_MS, &[(1, 10), (1, 20), (2, 5)])), Vec::<u64>::new());
        assert_eq!(news(&mut head, &record(2, NOW_MS, &[(1, 20), (1, 30), (2, 6)])), [30, 6]);
        assert_eq!(news(&mut head, &record(3, NOW_MS, &[(3, 10)])), [10], "places are of their source");
    }

    #[test]
    fn a_source_that_is_quiet_for_a_week_leaves_and_one_that_is_heard_stays() {
        let mut head = FoldHead::default();
        news(&mut head, &record(0, NOW_MS, &[(1, 10), (2, 10)]));
        news(&mut head, &record(1, NOW_MS + 6 * DAY_MS, &[(2, 11)]));
        news(&mut head, &record(2, NOW_MS + 7 * DAY_MS + HOUR_MS, &[(3, 1)]));
        assert_eq!((head.reached(1), head.reached(2)), (0, 11));
    }

    #[test]
    fn the_head_knows_below_which_position_all_is_older() {
        let mut head = FoldHead::default();
        for (offset, hours) in [(0, 0), (5, 0), (7, 1), (9, 30)] {
            head.pass(Position::at(Offset(offset)));
            news(&mut head, &record(offset, NOW_MS + hours * HOUR_MS, &[(1, offset + 1)]));
        }
        let older = |hours: u64| head.older_than(NOW_MS + hours * HOUR_MS).map(|position| position.offset.0);
        assert_eq!((older(0), older(1), older(29), older(30)), (Some(0), Some(7), Some(7), Some(9)));
        assert_eq!(head.older_than(NOW_MS - HOUR_MS), None);
    }

    #[test]
    fn a_record_that_is_none_changes_nothing() {
        let mut head = FoldHead::default();
        let record = JournalRecord { payload: "{}\n".into(), ..record(4, NOW_MS, &[]) };
        assert!(head.admit(&record, Position::START).unwrap_err().starts_with("record 4: line 1: "));
        assert_eq!(head, FoldHead::default());
    }
}
