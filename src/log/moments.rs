//! Moments that a folder remembers: up to where ids were reserved, and when somebody last ran here. They are one row,
//! which says at the next start what ids were given out and whether the clock can be believed.

use bytes::Bytes;
use fanfare_engines::{Batch, EngineError, RowKey, Tables};
use fanfare_protocol::{Id, Timestamp};

use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::{CLOCK_BEHIND_MS_MAX, SWEEP_AHEAD_MS, SWEEP_BELIEVE_MS};
use crate::data::rows::in_row;
use crate::data::tables;

/// The row of the clock, in the `meta` table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moments {
    /// Ids up to this one may have been given out, and none above it that stands in no record.
    pub reserved: Id,
    /// Last moment at which somebody ran here for an hour, in milliseconds since the Unix epoch.
    pub heartbeat_ms: u64,
    /// Moment of the highest id when the operator last accepted a clock that was behind: until the clock has passed it,
    /// ids say nothing about the time.
    pub accepted_ms: u64,
    /// Writes of this row, which is its version: an exact end is lower than what was reserved before.
    pub writes: u64,
}

impl Moments {
    pub(super) fn to_bytes(self) -> Vec<u8> {
        [self.reserved.0, self.heartbeat_ms, self.accepted_ms, self.writes].map(u64::to_be_bytes).concat()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut numbers = bytes.chunks_exact(8).filter_map(Id::from_bytes);
        let mut next = || numbers.next();
        let (reserved, heartbeat_ms, accepted_ms) = (next()?, next()?.0, next()?.0);
        Some(Self { reserved, heartbeat_ms, accepted_ms, writes: next()?.0 })
    }

    /// Moments as stored; the default in a folder that has none yet.
    ///
    /// # Errors
    /// When the engine fails, or the row is damaged.
    pub async fn read(tables: &dyn Tables) -> Result<Self, EngineError> {
        Ok(in_row(&row(), tables.get(&row()).await?, Self::from_bytes)?.unwrap_or_default())
    }

    /// The latest of each moment of both.
    #[must_use]
    pub fn latest(self, other: Self) -> Self {
        Self {
            reserved: self.reserved.max(other.reserved),
            heartbeat_ms: self.heartbeat_ms.max(other.heartbeat_ms),
            accepted_ms: self.accepted_ms.max(other.accepted_ms),
            writes: self.writes.max(other.writes),
        }
    }

    /// Adds the row to `batch`.
    pub fn write(self, batch: &mut Batch) {
        batch.put_versioned(row(), self.to_bytes(), self.writes);
    }

    /// The newest moment that is stored, where `last` is the highest id; 0 in an empty folder.
    #[must_use]
    pub fn newest_ms(self, last: Id) -> u64 {
        let of_ids = if last == Id(0) { 0 } else { unix_ms_of(last) };
        let tells = of_ids > self.accepted_ms.saturating_add(CLOCK_BEHIND_MS_MAX);
        if tells || self.accepted_ms == 0 { of_ids.max(self.heartbeat_ms) } else { self.heartbeat_ms }
    }

    /// Refuses a clock that is far behind what is stored.
    ///
    /// # Errors
    /// [`Error::Setting`], with what to do.
    pub fn believe(self, clock: &Clock, last: Id) -> Result<()> {
        let (newest_ms, now_ms) = (self.newest_ms(last), clock.now_ms());
        if clock.is_accepted() || newest_ms <= now_ms.saturating_add(CLOCK_BEHIND_MS_MAX) {
            return Ok(());
        }
        Err(Error::Setting(format!(
            "the clock shows {}, and the data folder was in use at {}, more than a day later: set the clock; or, if it is \
             right now and was wrong then, start once with --accept-clock",
            Timestamp(now_ms),
            Timestamp(newest_ms)
        )))
    }
}

fn row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, Bytes::from_static(b"clock"))
}

/// Time by which what has expired is removed: no clock that was set forward makes it run away.
#[derive(Debug)]
pub struct SweepTime {
    /// The newest stored moment at the start.
    stored_ms: u64,
    began_ms: u64,
}

impl SweepTime {
    /// From now on, where the newest stored moment is `stored_ms`, or 0 for none.
    #[must_use]
    pub fn begin(clock: &Clock, stored_ms: u64) -> Self {
        let accepted = stored_ms == 0 || clock.is_accepted();
        Self { stored_ms: if accepted { clock.now_ms() } else { stored_ms }, began_ms: clock.run_ms() }
    }

    /// Moment by which what has expired may be removed: the lower of the clock, and of the stored moment with the time
    /// that the server has run and a day. A server that has run for a week believes its clock: it was off for long, and
    /// whoever set that clock would have noticed.
    #[must_use]
    pub fn now_ms(&self, clock: &Clock) -> u64 {
        let (now_ms, run_ms) = (clock.now_ms(), clock.run_ms().saturating_sub(self.began_ms));
        if clock.is_by_hand() || run_ms >= SWEEP_BELIEVE_MS {
            return now_ms;
        }
        now_ms.min(self.stored_ms.saturating_add(run_ms).saturating_add(SWEEP_AHEAD_MS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::first_id_at;

    const NOW_MS: u64 = 1_800_000_000_000;
    const HOUR_MS: u64 = 3_600_000;
    const DAY_MS: u64 = 24 * HOUR_MS;

    #[test]
    fn any_age_is_ordinary_and_more_than_a_day_ahead_is_not() {
        let clock = Clock::stand_in(NOW_MS);
        let believed = |ms: u64| Moments::default().believe(&clock, first_id_at(ms)).is_ok();
        assert!(Moments::default().believe(&clock, Id(0)).is_ok(), "an empty folder");
        assert!(believed(NOW_MS - 4_000 * DAY_MS) && believed(NOW_MS + DAY_MS) && !believed(NOW_MS + DAY_MS + 1));
        let beaten = Moments { heartbeat_ms: NOW_MS + 2 * DAY_MS, ..Moments::default() };
        let refusal = beaten.believe(&clock, Id(0)).unwrap_err().to_string();
        assert!(refusal.contains("--accept-clock"), "{refusal}");
        assert!(beaten.believe(&Clock::by_hand(NOW_MS), Id(0)).is_ok(), "an import of old times");
    }

    #[test]
    fn what_was_accepted_is_not_asked_about_again_until_the_clock_has_passed_it() {
        let (clock, ahead_ms) = (Clock::stand_in(NOW_MS), NOW_MS + 250 * DAY_MS);
        let accepted = Moments { accepted_ms: ahead_ms, heartbeat_ms: NOW_MS, ..Moments::default() };
        assert!(accepted.believe(&clock, first_id_at(ahead_ms + 5_000)).is_ok(), "ids went on from there");
        assert!(accepted.believe(&clock, first_id_at(ahead_ms + 2 * DAY_MS)).is_err());
    }

    #[test]
    fn the_row_says_what_was_written() {
        let moments = Moments { reserved: Id(5), heartbeat_ms: 6, accepted_ms: 7, writes: 8 };
        assert_eq!(Moments::from_bytes(&moments.to_bytes()), Some(moments));
    }

    #[test]
    fn sweeping_goes_a_day_beyond_what_is_known_and_with_time_that_passes() {
        let clock = Clock::stand_in(NOW_MS + 60 * DAY_MS);
        let sweep = SweepTime::begin(&clock, NOW_MS);
        assert_eq!(sweep.now_ms(&clock), NOW_MS + DAY_MS);
        clock.pass(HOUR_MS);
        assert_eq!(sweep.now_ms(&clock), NOW_MS + DAY_MS + HOUR_MS);
        clock.step(-61 * DAY_MS as i64);
        assert_eq!(sweep.now_ms(&clock), NOW_MS - DAY_MS + HOUR_MS, "nor beyond the clock");
        clock.step(61 * DAY_MS as i64);
        clock.pass(SWEEP_BELIEVE_MS);
        assert_eq!(sweep.now_ms(&clock), clock.now_ms());
        let empty = SweepTime::begin(&clock, 0);
        assert_eq!(empty.now_ms(&clock), clock.now_ms());
    }
}
