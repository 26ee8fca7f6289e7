//! Rates: acts a second that each may do for long, and acts at once.

use std::collections::HashMap;
use std::hash::Hash;

/// Acts of each `K` at so many a second, after a burst (the generic cell rate algorithm, ITU-T I.371: one moment a
/// key).
///
/// Of at most `len_max` who were active lately something is remembered; when more are, further ones pass uncounted.
#[derive(Debug)]
pub struct Paces<K> {
    /// Moments, in microseconds, until which what each has done lasts at the steady rate.
    spent_until: HashMap<K, u64>,
    interval_us: u64,
    burst_us: u64,
    len_max: usize,
    /// Moment of the next look for those who have been quiet; looking takes a walk over all.
    sweep_us: u64,
}

/// Microseconds between two looks for those who have been quiet.
const SWEEP_US: u64 = 100_000;

impl<K: Copy + Eq + Hash> Paces<K> {
    /// `per_s` acts a second, `burst` at once.
    #[must_use]
    pub fn new(per_s: u32, burst: u32, len_max: usize) -> Self {
        Self::every(1_000_000 / u64::from(per_s.max(1)), burst, len_max)
    }

    /// `per_hour` acts an hour, as many at once.
    #[must_use]
    pub fn hourly(per_hour: u32, len_max: usize) -> Self {
        Self::every(3_600_000_000 / u64::from(per_hour.max(1)), per_hour.max(1), len_max)
    }

    fn every(interval_us: u64, burst: u32, len_max: usize) -> Self {
        Self {
            spent_until: HashMap::new(),
            interval_us,
            burst_us: interval_us * u64::from(burst),
            len_max,
            sweep_us: 0,
        }
    }

    /// Lets `of` do `count` acts together.
    ///
    /// # Errors
    /// In how many milliseconds it may do them; above 0.
    pub fn take(&mut self, of: K, now_ms: u64, count: u32) -> Result<(), u64> {
        let now_us = now_ms.saturating_mul(1_000);
        let latest_us = now_us.saturating_add(self.burst_us);
        // Not beyond the burst, also where the clock went back.
        let from_us = self.spent_until.get(&of).copied().unwrap_or(0).clamp(now_us, latest_us);
        let until_us = from_us.saturating_add(self.interval_us.saturating_mul(u64::from(count)));
        if until_us > latest_us {
            return Err((until_us - latest_us).div_ceil(1_000));
        }
        if self.spent_until.len() >= self.len_max && !self.spent_until.contains_key(&of) {
            // Also where the clock went back.
            if now_us >= self.sweep_us || self.sweep_us > now_us + SWEEP_US {
                self.spent_until.retain(|_, until_us| *until_us > now_us);
                self.sweep_us = now_us + SWEEP_US;
            }
            if self.spent_until.len() >= self.len_max {
                return Ok(());
            }
        }
        self.spent_until.insert(of, until_us);
        Ok(())
    }

    /// Gives back `count` acts of `of` that did not come about.
    pub fn give_back(&mut self, of: K, count: u32) {
        if let Some(until_us) = self.spent_until.get_mut(&of) {
            *until_us = until_us.saturating_sub(self.interval_us.saturating_mul(u64::from(count)));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PER_S: u32 = 10;
    const BURST: u32 = 25;

    proptest! {
        #[test]
        fn in_no_span_does_anybody_more_than_the_rate_and_a_burst(
            steps in prop::collection::vec((0..3_u8, 0..400_u64, 0..12_u32), 0..200),
        ) {
            let mut paces = Paces::new(PER_S, BURST, 100);
            let mut done: Vec<(u8, u64, u32)> = Vec::new();
            let mut now_ms = 5_000;
            for (of, pass_ms, count) in steps {
                now_ms += pass_ms;
                match paces.take(of, now_ms, count) {
                    Ok(()) => done.push((of, now_ms, count)),
                    Err(wait_ms) => {
                        prop_assert!(wait_ms > 0);
                        // Then it may, and not before.
                        prop_assert!(paces.take(of, now_ms + wait_ms - 1, count).is_err());
                        now_ms += wait_ms;
                        prop_assert_eq!(paces.take(of, now_ms, count), Ok(()));
                        done.push((of, now_ms, count));
                    }
                }
                for (_, from_ms, _) in &done {
                    let span = done.iter().filter(|one| one.0 == of && one.1 >= *from_ms);
                    let acts: u64 = span.map(|one| u64::from(one.2)).sum();
                    prop_assert!(acts * 1_000 <= u64::from(BURST) * 1_000 + (now_ms - from_ms) * u64::from(PER_S));
                }
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_stops_nobody_for_long() {
        let mut paces = Paces::new(PER_S, BURST, 100);
        paces.take('a', 1_000_000, BURST).unwrap();
        assert_eq!(paces.take('a', 0, 1), Err(100));
    }

    #[test]
    fn who_has_been_quiet_is_forgotten_and_when_all_are_active_newcomers_pass() {
        let mut paces = Paces::new(PER_S, BURST, 2);
        paces.take(1, 0, 1).unwrap();
        paces.take(2, 0, BURST).unwrap();
        paces.take(3, 0, BURST).unwrap();
        assert_eq!(paces.spent_until.len(), 2);
        paces.take(3, 200, 1).unwrap();
        assert!(paces.spent_until.len() == 2 && paces.take(2, 200, BURST).is_err());
    }

    #[test]
    fn a_crowd_of_newcomers_is_not_walked_over_for_each_of_them() {
        let mut paces = Paces::new(PER_S, BURST, 2);
        paces.take(1, 0, 1).unwrap();
        paces.take(2, 0, BURST).unwrap();
        for now_ms in 50..150 {
            paces.take(3, now_ms, 1).unwrap();
        }
        // Quiet since 100: not looked for again before 150.
        assert!(paces.spent_until.contains_key(&1));
        paces.take(3, 150, 1).unwrap();
        assert!(!paces.spent_until.contains_key(&1) && paces.spent_until.contains_key(&3));
    }
}
