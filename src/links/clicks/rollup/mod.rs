//! Rows of numbers: what clicks of a link come to in an hour, a day and in all. Pure.
//!
//! A row says up to which record it counts: what it has counted is not counted again when records are folded anew. The
//! order in which clicks come changes no counter, and no visitor can make a row grow beyond its bound.

pub mod counts;
pub mod lists;
mod visitors;

use fanfare_protocol::Id;

use self::counts::{Count, Slots};
use self::lists::DayLists;
use self::visitors::Visitors;
use super::click::{Click, Visitor};
use super::number::{read_number, read_u64, write_number};

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
    /// A day, with its lists and visitors.
    Day(u32),
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

/// Places in which a click is counted, in their order, when its record was made at `record_ms`. A click counts in its
/// own minute, however late it comes, as long as that level is kept.
pub fn places_of(at_ms: u64, record_ms: u64, kept: KeptLevels) -> impl Iterator<Item = RowPlace> {
    let (hour, day) = ((at_ms / HOUR_MS) as u32, (at_ms / DAY_MS) as u32);
    let places = [
        Some(RowPlace::Total),
        kept.has_minutes(at_ms, record_ms).then_some(RowPlace::Minutes(hour)),
        kept.has_hours(at_ms, record_ms).then_some(RowPlace::Hours(day)),
        Some(RowPlace::Day(day)),
    ];
    places.into_iter().flatten()
}

/// Latest day and hour of a link's clicks: there is no row of a later one. So whoever has the total need not look for
/// rows that a first click of the day, or of the hour, begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latest {
    day: u32,
    hour: u32,
}

impl Latest {
    /// Nothing was counted yet.
    const NEVER: Self = Self { day: 0, hour: 0 };
    /// Nobody knows: the total is of before it was told.
    const UNKNOWN: Self = Self { day: u32::MAX, hour: u32::MAX };

    /// Whether there may be a row.
    #[must_use]
    pub const fn may_have(self, place: RowPlace) -> bool {
        match place {
            RowPlace::Total => true,
            RowPlace::Minutes(hour) => hour <= self.hour,
            RowPlace::Hours(day) | RowPlace::Day(day) => day <= self.day,
        }
    }

    fn add(&mut self, at_ms: u64) {
        self.day = self.day.max((at_ms / DAY_MS) as u32);
        self.hour = self.hour.max((at_ms / HOUR_MS) as u32);
    }

    fn write(self, to: &mut Vec<u8>) {
        if self != Self::UNKNOWN {
            write_number(self.day.into(), to);
            write_number(self.hour.into(), to);
        }
    }

    fn read(from: &mut &[u8]) -> Option<Self> {
        if from.is_empty() {
            return Some(Self::UNKNOWN);
        }
        Some(Self { day: read_number(from)?.try_into().ok()?, hour: read_number(from)?.try_into().ok()? })
    }
}

/// Numbers of a day.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DayNumbers {
    /// Clicks.
    pub count: Count,
    /// Lists of names.
    pub lists: DayLists,
    /// Visitors.
    pub visitors: Visitors,
}

impl DayNumbers {
    /// Counts the visitor of a click: again changes nothing.
    pub fn see(&mut self, click: &Click<'_>) {
        if let Some(Visitor(visitor)) = click.visitor {
            self.visitors.add(visitor, click.is_bot);
        }
    }
}

/// Content of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum RowNumbers {
    /// Clicks, all of them.
    Total(Count, Latest),
    /// A count a minute of an hour, or an hour of a day.
    Slots(Slots),
    /// A day.
    Day(Box<DayNumbers>),
}

impl RowNumbers {
    /// Numbers of a row that nothing was counted in.
    #[must_use]
    pub fn none(place: RowPlace) -> Self {
        match place {
            RowPlace::Total => Self::Total(Count::default(), Latest::NEVER),
            RowPlace::Minutes(_) => Self::Slots(Slots::none(60)),
            RowPlace::Hours(_) => Self::Slots(Slots::none(24)),
            RowPlace::Day(_) => Self::Day(Box::default()),
        }
    }

    /// Counts a click.
    pub fn add(&mut self, click: &Click<'_>) {
        match self {
            Self::Total(count, latest) => {
                count.add(click.is_bot);
                latest.add(click.at_ms);
            }
            Self::Slots(slots) => {
                let step_ms = if slots.per() == 60 { MINUTE_MS } else { HOUR_MS };
                slots.add((click.at_ms / step_ms % u64::from(slots.per())) as u8, click.is_bot);
            }
            Self::Day(day) => {
                day.count.add(click.is_bot);
                day.lists.add(click);
                day.see(click);
            }
        }
    }

    /// The row as it is stored, of which records up to `upto` are counted.
    #[must_use]
    pub fn to_bytes(&self, upto: u64) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT);
        bytes.extend_from_slice(&upto.to_le_bytes());
        match self {
            Self::Total(count, latest) => {
                count.write(&mut bytes);
                latest.write(&mut bytes);
            }
            Self::Slots(slots) => slots.write(&mut bytes),
            Self::Day(day) => {
                day.count.write(&mut bytes);
                day.lists.write(&mut bytes);
                day.visitors.write(&mut bytes);
            }
        }
        bytes
    }

    /// Bytes in memory beside its own.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Total(..) => 0,
            Self::Slots(slots) => slots.bytes(),
            Self::Day(day) => size_of::<DayNumbers>() + day.lists.bytes() + day.visitors.bytes(),
        }
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
        let (upto, mut rest) = head_of(bytes)?;
        let mut numbers = RowNumbers::none(place);
        match &mut numbers {
            RowNumbers::Total(count, latest) => {
                *count = Count::read(&mut rest)?;
                *latest = Latest::read(&mut rest)?;
            }
            RowNumbers::Slots(slots) => *slots = Slots::read(slots.per(), &mut rest)?,
            RowNumbers::Day(day) => {
                day.count = Count::read(&mut rest)?;
                day.lists = DayLists::read(&mut rest)?;
                day.visitors = Visitors::read(&mut rest)?;
            }
        }
        rest.is_empty().then_some(Self { upto, numbers })
    }

    /// Reads a day of before its visitors stood in its row, from the two rows that it had then, either of which may be
    /// missing. They may count up to different records; visitors can be counted again, so only the day's matters.
    #[must_use]
    pub fn parse_split_day(day: Option<&[u8]>, visitors: Option<&[u8]>) -> Option<Self> {
        let (mut upto, mut numbers) = (0, DayNumbers::default());
        if let Some(bytes) = day {
            let (counted, mut rest) = head_of(bytes)?;
            upto = counted;
            numbers.count = Count::read(&mut rest)?;
            numbers.lists = DayLists::read(&mut rest).filter(|_| rest.is_empty())?;
        }
        if let Some(bytes) = visitors {
            let (_, mut rest) = head_of(bytes)?;
            numbers.visitors = Visitors::read(&mut rest).filter(|_| rest.is_empty())?;
        }
        Some(Self { upto, numbers: RowNumbers::Day(Box::new(numbers)) })
    }
}

/// Record up to which a row counts, and what is behind.
fn head_of(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut rest = bytes.strip_prefix(&[FORMAT])?;
    Some((read_u64(&mut rest)?, rest))
}

#[cfg(test)]
mod tests;
