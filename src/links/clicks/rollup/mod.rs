//! Rows of numbers: what clicks of a link come to in an hour, a day and in all. Pure.
//!
//! A row says up to which record it counts: what it has counted is not counted again when records are folded anew. The
//! order in which clicks come changes no counter, and no visitor can make a row grow beyond its bound.

pub mod names;
pub mod visitors;

use fanfare_protocol::Id;

use self::names::{Count, NameCounts, Slots};
use self::visitors::Visitors;
use super::click::{Click, Visitor};
use crate::base::limits::clicks::{BROWSERS_MAX, COUNTRIES_MAX, NAMES_MAX};

/// Milliseconds of a minute, an hour and a day.
pub const MINUTE_MS: u64 = 60_000;
/// Milliseconds of an hour.
pub const HOUR_MS: u64 = 60 * MINUTE_MS;
/// Milliseconds of a day.
pub const DAY_MS: u64 = 24 * HOUR_MS;

/// First byte of a row.
const FORMAT: u8 = 1;

/// Row that clicks are counted in. Hours and days are counted from the Unix epoch, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowPlace {
    /// Everything ever.
    Total,
    /// Minutes of an hour.
    Minutes(u32),
    /// Hours of a day.
    Hours(u32),
    /// A day, with its lists.
    Day(u32),
    /// Visitors of a day.
    Visitors(u32),
}

/// Row of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowOf {
    /// The link.
    pub link: Id,
    /// Place of the row among its rows.
    pub place: RowPlace,
}

/// Time for which levels are kept, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptLevels {
    /// Minutes.
    pub minutes_ms: u64,
    /// Hours.
    pub hours_ms: u64,
}

impl KeptLevels {
    /// Whether minutes of that moment are still counted at `now_ms`.
    const fn has_minutes(self, at_ms: u64, now_ms: u64) -> bool {
        at_ms.saturating_add(self.minutes_ms) >= now_ms
    }

    /// Whether hours of that moment are still counted at `now_ms`.
    #[must_use]
    pub const fn has_hours(self, at_ms: u64, now_ms: u64) -> bool {
        at_ms.saturating_add(self.hours_ms) >= now_ms
    }
}

/// Rows that a click is counted in, when its record was made at `record_ms`. A click counts in its own minute, however
/// late it comes, as long as that level is kept.
pub fn rows_of(click: &Click<'_>, record_ms: u64, kept: KeptLevels) -> impl Iterator<Item = RowOf> {
    let (link, at_ms) = (click.link, click.at_ms);
    let (hour, day) = ((at_ms / HOUR_MS) as u32, (at_ms / DAY_MS) as u32);
    let places = [
        Some(RowPlace::Total),
        Some(RowPlace::Day(day)),
        click.visitor.map(|_| RowPlace::Visitors(day)),
        kept.has_hours(at_ms, record_ms).then_some(RowPlace::Hours(day)),
        kept.has_minutes(at_ms, record_ms).then_some(RowPlace::Minutes(hour)),
    ];
    places.into_iter().flatten().map(move |place| RowOf { link, place })
}

/// Lists of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayLists {
    /// Hosts of referring pages.
    pub referrers: NameCounts,
    /// Countries.
    pub countries: NameCounts,
    /// Cities.
    pub cities: NameCounts,
    /// Kinds of device.
    pub devices: NameCounts,
    /// Browsers.
    pub browsers: NameCounts,
    /// Operating systems.
    pub systems: NameCounts,
    /// Languages.
    pub languages: NameCounts,
}

impl DayLists {
    /// Number of the lists.
    const COUNT: usize = 7;
    const BOUNDS: [usize; Self::COUNT] =
        [NAMES_MAX, COUNTRIES_MAX, NAMES_MAX, BROWSERS_MAX, BROWSERS_MAX, BROWSERS_MAX, NAMES_MAX];

    fn all_mut(&mut self) -> [&mut NameCounts; Self::COUNT] {
        let Self { referrers, countries, cities, devices, browsers, systems, languages } = self;
        [referrers, countries, cities, devices, browsers, systems, languages]
    }

    fn all(&self) -> [&NameCounts; Self::COUNT] {
        let Self { referrers, countries, cities, devices, browsers, systems, languages } = self;
        [referrers, countries, cities, devices, browsers, systems, languages]
    }

    fn add(&mut self, click: &Click<'_>) {
        let names =
            [&click.referrer, &click.country, &click.city, &click.device, &click.browser, &click.os, &click.language];
        for ((list, name), bound) in self.all_mut().into_iter().zip(names).zip(Self::BOUNDS) {
            list.add(name.as_deref(), click.is_bot, bound);
        }
    }

    /// Adds the lists of another day.
    pub fn merge(&mut self, other: &Self) {
        for (list, more) in self.all_mut().into_iter().zip(other.all()) {
            list.merge(more);
        }
    }
}

/// Content of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowNumbers {
    /// Clicks, all of them.
    Total(Count),
    /// A count a minute of an hour, or an hour of a day.
    Slots(Slots),
    /// A day.
    Day(Count, Box<DayLists>),
    /// Visitors of a day.
    Visitors(Visitors),
}

impl RowNumbers {
    /// Numbers of a row that nothing was counted in.
    #[must_use]
    pub fn none(place: RowPlace) -> Self {
        match place {
            RowPlace::Total => Self::Total(Count::default()),
            RowPlace::Minutes(_) => Self::Slots(Slots::none(60)),
            RowPlace::Hours(_) => Self::Slots(Slots::none(24)),
            RowPlace::Day(_) => Self::Day(Count::default(), Box::default()),
            RowPlace::Visitors(_) => Self::Visitors(Visitors::default()),
        }
    }

    /// Counts a click.
    pub fn add(&mut self, click: &Click<'_>) {
        match self {
            Self::Total(count) => count.add(click.is_bot),
            Self::Slots(slots) => {
                let step_ms = if slots.per() == 60 { MINUTE_MS } else { HOUR_MS };
                slots.add((click.at_ms / step_ms % u64::from(slots.per())) as u8, click.is_bot);
            }
            Self::Day(count, lists) => {
                count.add(click.is_bot);
                lists.add(click);
            }
            Self::Visitors(visitors) => {
                if let Some(Visitor(visitor)) = click.visitor {
                    visitors.add(visitor, click.is_bot);
                }
            }
        }
    }

    /// The row as it is stored, of which records up to `upto` are counted.
    #[must_use]
    pub fn to_bytes(&self, upto: u64) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(&upto.to_le_bytes());
        match self {
            Self::Total(count) => count.write(&mut bytes),
            Self::Slots(slots) => slots.write(&mut bytes),
            Self::Day(count, lists) => {
                count.write(&mut bytes);
                lists.all().into_iter().for_each(|list| list.write(&mut bytes));
            }
            Self::Visitors(visitors) => visitors.write(&mut bytes),
        }
        bytes
    }

    /// Bytes in memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let more = match self {
            Self::Total(_) => 0,
            Self::Slots(slots) => slots.bytes(),
            Self::Day(_, lists) => size_of::<DayLists>() + lists.all().iter().map(|list| list.bytes()).sum::<usize>(),
            Self::Visitors(visitors) => visitors.bytes(),
        };
        more + 64
    }
}

/// A row: its numbers, and up to which record they count.
#[derive(Debug, Clone, PartialEq)]
pub struct RowTally {
    /// Id of the last record that is counted; 0 for none.
    pub upto: u64,
    /// Numbers of the row.
    pub numbers: RowNumbers,
}

impl RowTally {
    /// A row that nothing was counted in.
    #[must_use]
    pub fn none(place: RowPlace) -> Self {
        Self { upto: 0, numbers: RowNumbers::none(place) }
    }

    /// The row as it is stored.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.numbers.to_bytes(self.upto)
    }

    /// Reads a row of `place`; `None` when it is none.
    #[must_use]
    pub fn parse(place: RowPlace, bytes: &[u8]) -> Option<Self> {
        let (&format, rest) = bytes.split_first()?;
        let (upto, mut rest) = rest.split_first_chunk::<8>()?;
        let mut numbers = RowNumbers::none(place);
        match &mut numbers {
            RowNumbers::Total(count) => *count = Count::read(&mut rest)?,
            RowNumbers::Slots(slots) => *slots = Slots::read(slots.per(), &mut rest)?,
            RowNumbers::Day(count, lists) => {
                *count = Count::read(&mut rest)?;
                for list in lists.all_mut() {
                    *list = NameCounts::read(&mut rest)?;
                }
            }
            RowNumbers::Visitors(visitors) => *visitors = Visitors::read(&mut rest)?,
        }
        (format == FORMAT && rest.is_empty()).then_some(Self { upto: u64::from_le_bytes(*upto), numbers })
    }
}

#[cfg(test)]
mod tests;
