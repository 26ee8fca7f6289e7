//! Numbers of a link as they are asked for: which rows answer a question, what is refused, and the answer. Pure.

use std::cmp::Reverse;

use fanfare_protocol::{Bots, Id, Interval, LinkStats, StatsName, StatsPoint, Timestamp};

use super::rollup::counts::Count;
use super::rollup::lists::{DayLists, List, NameCounts};
use super::rollup::{DAY_MS, HOUR_MS, KeptLevels, MINUTE_MS, RowNumbers, RowOf, RowPlace, RowTally};
use crate::base::limits::clicks::{LISTED_MAX, POINTS_MAX};

/// Name of what is not known.
pub const UNKNOWN: &str = "unknown";
/// Name of what found no place in a list.
pub const OTHER: &str = "other";

/// Question about a link.
#[derive(Debug, Clone, Copy, Default)]
pub struct Question {
    /// First moment; without it as much as fits, or since the link was made.
    pub from: Option<Timestamp>,
    /// Moment up to which is counted; without it now.
    pub to: Option<Timestamp>,
    /// Length of a point.
    pub interval: Interval,
    /// Whether programs count.
    pub bots: Bots,
}

/// Link that is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Subject {
    /// Id of the link.
    pub link: Id,
    /// Moment at which it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
}

/// Why a question is refused: the field, and the reason for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsRefusal {
    /// Field of the question.
    pub field: &'static str,
    /// Reason.
    pub detail: String,
}

const fn step_of(interval: Interval) -> u64 {
    match interval {
        Interval::Minute => MINUTE_MS,
        Interval::Hour => HOUR_MS,
        Interval::Day => DAY_MS,
    }
}

/// Rows that answer a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatsPlan {
    link: Id,
    interval: Interval,
    bots: Bots,
    from_ms: u64,
    to_ms: u64,
}

impl StatsPlan {
    /// Plans the answer as of `now_ms`.
    ///
    /// # Errors
    /// When the time is none, has too many points, or is not kept any more at that interval.
    pub fn of(question: Question, subject: Subject, now_ms: u64, kept: KeptLevels) -> Result<Self, StatsRefusal> {
        let step = step_of(question.interval);
        let refused = |field, detail| Err(StatsRefusal { field, detail });
        let asked_to = question.to.map_or(now_ms + 1, |to| to.0);
        let usual_from = match question.interval {
            Interval::Minute => asked_to.saturating_sub(DAY_MS),
            Interval::Hour => asked_to.saturating_sub(30 * DAY_MS),
            Interval::Day => subject.made_ms.min(asked_to).max(asked_to.saturating_sub((POINTS_MAX - 1) * DAY_MS)),
        };
        let asked_from = question.from.map_or(usual_from, |from| from.0);
        if asked_from > asked_to {
            return refused("from", "must not be after `to`".to_owned());
        }
        let from_ms = asked_from / step * step;
        let to_ms = asked_to.div_ceil(step).max(from_ms / step + 1) * step;
        let points = (to_ms - from_ms) / step;
        if points > POINTS_MAX {
            let longer = match question.interval {
                Interval::Minute if (to_ms - from_ms) / HOUR_MS <= POINTS_MAX => "ask for interval=hour",
                Interval::Minute | Interval::Hour if (to_ms - from_ms) / DAY_MS <= POINTS_MAX => "ask for interval=day",
                _ => "ask for a shorter time",
            };
            return refused("interval", format!("has {points} points here, and may have {POINTS_MAX}: {longer}"));
        }
        let (kept_ms, next) = match question.interval {
            Interval::Minute if kept.has_hours(from_ms, now_ms) => (kept.minutes_ms, "hour"),
            Interval::Minute => (kept.minutes_ms, "day"),
            Interval::Hour => (kept.hours_ms, "day"),
            Interval::Day => (u64::MAX, ""),
        };
        if from_ms.saturating_add(kept_ms) < now_ms / step * step {
            let (name, days) = (if step == MINUTE_MS { "minutes" } else { "hours" }, kept_ms / DAY_MS);
            return refused("interval", format!("{name} are kept for {days} days: ask for interval={next}"));
        }
        Ok(Self { link: subject.link, interval: question.interval, bots: question.bots, from_ms, to_ms })
    }

    /// First day that the time touches, and the one behind the last.
    fn days(&self) -> (u32, u32) {
        ((self.from_ms / DAY_MS) as u32, self.to_ms.div_ceil(DAY_MS) as u32)
    }

    /// Rows to read: of days, then of the series where it is finer.
    #[must_use]
    pub fn rows(&self) -> Vec<RowOf> {
        let (first, end) = self.days();
        let days = (first..end).map(RowPlace::Day);
        let row = |place| RowOf { link: self.link, place };
        let series: Vec<RowPlace> = match self.interval {
            Interval::Day => Vec::new(),
            Interval::Hour => (first..end).map(RowPlace::Hours).collect(),
            Interval::Minute => {
                let hours = (self.from_ms / HOUR_MS) as u32..self.to_ms.div_ceil(HOUR_MS) as u32;
                hours.map(RowPlace::Minutes).collect()
            }
        };
        days.chain(series).map(row).collect()
    }

    /// The answer, from the [`rows`](Self::rows) as they were found.
    #[must_use]
    pub fn answer(&self, found: Vec<Option<RowTally>>) -> LinkStats {
        let with_bots = self.bots == Bots::Include;
        let step = step_of(self.interval);
        let mut counts = vec![Count::default(); ((self.to_ms - self.from_ms) / step) as usize];
        let mut put = |at_ms: u64, count: Count| {
            if let Some(slot) = at_ms.checked_sub(self.from_ms).and_then(|at| counts.get_mut((at / step) as usize)) {
                slot.merge(count);
            }
        };
        let (mut lists, mut unique) = (Vec::new(), 0);
        for (row, tally) in self.rows().into_iter().zip(found) {
            let (begin_ms, slot_ms) = match row.place {
                RowPlace::Minutes(hour) => (u64::from(hour) * HOUR_MS, MINUTE_MS),
                RowPlace::Hours(day) => (u64::from(day) * DAY_MS, HOUR_MS),
                RowPlace::Day(day) => (u64::from(day) * DAY_MS, DAY_MS),
                RowPlace::Total => continue,
            };
            match tally.map(|tally| tally.numbers) {
                Some(RowNumbers::Slots(slots)) => {
                    slots.iter().for_each(|(at, count)| put(begin_ms + u64::from(at) * slot_ms, count));
                }
                Some(RowNumbers::Day(day)) => {
                    if self.interval == Interval::Day {
                        put(begin_ms, day.count);
                    }
                    unique += day.visitors.count(with_bots);
                    lists.push(day.lists);
                }
                Some(RowNumbers::Total(..)) | None => {}
            }
        }
        let lists = DayLists::together(lists);
        let listed = |list| listed(lists.of(list), with_bots);
        let mut sum = Count::default();
        counts.iter().for_each(|count| sum.merge(*count));
        let at = |at: usize| Timestamp(self.from_ms + at as u64 * step);
        let point = |(place, count): (usize, &Count)| StatsPoint { at: at(place), count: count.of(with_bots) };
        LinkStats {
            from: Timestamp(self.from_ms),
            to: Timestamp(self.to_ms),
            interval: self.interval,
            total: sum.all,
            bots: sum.bots,
            unique,
            series: counts.iter().enumerate().map(point).collect(),
            referrers: listed(List::Referrers),
            countries: listed(List::Countries),
            cities: listed(List::Cities),
            devices: listed(List::Devices),
            browsers: listed(List::Browsers),
            systems: listed(List::Systems),
            languages: listed(List::Languages),
        }
    }
}

/// A list as it is answered: the most frequent names first, then those that are none.
fn listed(names: NameCounts<'_>, with_bots: bool) -> Vec<StatsName> {
    let mut all: Vec<(&str, u64)> = names.iter().map(|(name, count)| (name, count.of(with_bots))).collect();
    all.sort_by_key(|(_, count)| Reverse(*count));
    let beyond: u64 = all.iter().skip(LISTED_MAX).map(|(_, count)| count).sum();
    all.truncate(LISTED_MAX);
    let rest = [(UNKNOWN, names.unknown.of(with_bots)), (OTHER, names.other.of(with_bots) + beyond)];
    let some = all.into_iter().chain(rest).filter(|(_, count)| *count > 0);
    some.map(|(name, count)| StatsName { name: name.to_owned(), count }).collect()
}

#[cfg(test)]
#[path = "stats_tests.rs"]
mod tests;
