//! Keys of clicks' rows: numbers by link, or by time where a level is let go of after a while.

use bytes::Bytes;
use fanfare_engines::{RowKey, Table};
use fanfare_protocol::Id;

use super::{
    CLICK_DAYS, CLICK_HEADS, CLICK_HOURS, CLICK_MINUTES, CLICK_SALTS, CLICK_TIMES, CLICK_TOTALS, CLICK_VISITORS, ONE,
    partition,
};
use crate::base::limits::clicks::TIME_SHARDS;

/// Bits of a day's number below its bucket: about a year and a half.
const DAY_BITS: u32 = 9;

/// Row of how far clicks of a partition of the log are counted.
#[must_use]
pub fn click_head_row(log: u16) -> RowKey {
    RowKey::single(CLICK_HEADS, log.to_be_bytes().to_vec())
}

/// Row of all that was ever counted for a link.
#[must_use]
pub fn click_total_row(link: Id) -> RowKey {
    RowKey::single(CLICK_TOTALS, partition(link))
}

/// Partition in which a link's days stand that share a bucket with `day`.
#[must_use]
pub fn click_days(link: Id, day: u32) -> Bytes {
    [link.to_bytes().as_slice(), &((day >> DAY_BITS) as u16).to_be_bytes()].concat().into()
}

/// First day of the bucket after that of `day`.
#[must_use]
pub const fn click_days_after(day: u32) -> u32 {
    ((day >> DAY_BITS) + 1) << DAY_BITS
}

/// Stands behind the day in the key of a row that holds the day's visitors too.
const WITH_VISITORS: u8 = 1;

/// Row of a link's day.
#[must_use]
pub fn click_day_row(link: Id, day: u32) -> RowKey {
    RowKey::new(CLICK_DAYS, click_days(link, day), [&day.to_be_bytes()[..], &[WITH_VISITORS]].concat())
}

/// Row of a link's day of before its visitors stood in it. Nobody writes it any more.
#[must_use]
pub fn click_split_day_row(link: Id, day: u32) -> RowKey {
    RowKey::new(CLICK_DAYS, click_days(link, day), day.to_be_bytes().to_vec())
}

/// Row of a link's visitors on such a day. Nobody writes it any more.
#[must_use]
pub fn click_visitors_row(link: Id, day: u32) -> RowKey {
    RowKey::new(CLICK_VISITORS, click_days(link, day), day.to_be_bytes().to_vec())
}

/// Day that a row of days or visitors is about.
#[must_use]
pub fn in_click_day(clustering: &[u8]) -> Option<u32> {
    clustering.first_chunk::<4>().map(|day| u32::from_be_bytes(*day))
}

/// Partition of an hour's minutes or a day's hours.
#[must_use]
pub fn click_time(time: u32, shard: u8) -> Bytes {
    [time.to_be_bytes().as_slice(), &[shard]].concat().into()
}

fn shard_of(link: Id) -> u8 {
    // Most links have the sequence 0, so the milliseconds above it decide.
    ((link.0 ^ (link.0 >> 22)) % u64::from(TIME_SHARDS)) as u8
}

/// Row of a link's minutes in an hour.
#[must_use]
pub fn click_minutes_row(link: Id, hour: u32) -> RowKey {
    RowKey::new(CLICK_MINUTES, click_time(hour, shard_of(link)), partition(link))
}

/// Row of a link's hours in a day.
#[must_use]
pub fn click_hours_row(link: Id, day: u32) -> RowKey {
    RowKey::new(CLICK_HOURS, click_time(day, shard_of(link)), partition(link))
}

/// Row of the salt by which visitors of a day are told apart.
#[must_use]
pub fn click_salt_row(day: u32) -> RowKey {
    RowKey::new(CLICK_SALTS, ONE, day.to_be_bytes().to_vec())
}

/// Row that says there are minutes of an hour, or hours of a day.
#[must_use]
pub fn click_time_row(level: TimeLevel, time: u32) -> RowKey {
    RowKey::new(CLICK_TIMES, ONE, [&[level as u8], time.to_be_bytes().as_slice()].concat())
}

/// Time that such a row names.
#[must_use]
pub fn in_click_time(clustering: &[u8]) -> Option<u32> {
    in_click_day(clustering.get(1..)?)
}

/// Rows of numbers that are let go of after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TimeLevel {
    /// Minutes of an hour.
    Minutes = 1,
    /// Hours of a day.
    Hours = 2,
}

impl TimeLevel {
    /// Table of the rows.
    #[must_use]
    pub const fn table(self) -> Table {
        match self {
            Self::Minutes => CLICK_MINUTES,
            Self::Hours => CLICK_HOURS,
        }
    }
}
