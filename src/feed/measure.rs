//! Counters of the feed: fan-out lag as a histogram, and the authors that cost most. Pure; time comes in.

use super::interner::UserIndex;
use super::settings::LagStats;

/// Authors in the list of the most expensive ones.
const COSTS_MAX: usize = 32;
/// Time constant of the averaged costs, in seconds.
const COST_AVERAGED_S: f64 = 600.0;

/// Sub-buckets a power of two: a percentile is at most an eighth too high.
const SUB_BITS: u32 = 3;
const BUCKETS: usize = (64 - SUB_BITS as usize + 1) << SUB_BITS;

/// A histogram of durations in microseconds, with buckets an eighth wide.
#[derive(Debug, Clone)]
pub struct LagHistogram {
    buckets: Box<[u64]>,
    max_us: u64,
}

impl Default for LagHistogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS].into_boxed_slice(), max_us: 0 }
    }
}

impl LagHistogram {
    /// Counts one duration.
    pub fn record(&mut self, us: u64) {
        if let Some(bucket) = self.buckets.get_mut(bucket_of(us)) {
            *bucket += 1;
        }
        self.max_us = self.max_us.max(us);
    }

    /// Figures of what was counted.
    #[must_use]
    pub fn stats(&self) -> LagStats {
        let jobs = self.buckets.iter().sum();
        LagStats { jobs, p50_us: self.percentile(jobs, 50), p99_us: self.percentile(jobs, 99), max_us: self.max_us }
    }

    fn percentile(&self, jobs: u64, percent: u64) -> u64 {
        let rank = (jobs * percent).div_ceil(100).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return highest_of(bucket).min(self.max_us);
            }
        }
        self.max_us
    }
}

/// Small values have a bucket each; above, the highest bit and the three bits after it choose.
fn bucket_of(us: u64) -> usize {
    if us < 1 << SUB_BITS {
        return us as usize;
    }
    let shift = us.ilog2() - SUB_BITS;
    ((shift as usize) << SUB_BITS) + (us >> shift) as usize
}

fn highest_of(bucket: usize) -> u64 {
    if bucket < 1 << SUB_BITS {
        return bucket as u64;
    }
    let shift = (bucket >> SUB_BITS) as u32 - 1;
    let low = (bucket & ((1 << SUB_BITS) - 1) | 1 << SUB_BITS) as u64;
    (low << shift) + ((1_u64 << shift) - 1)
}

/// The authors whose posts cost most, by the space-saving algorithm (Metwally et al., 2005) over weights that fade.
#[derive(Debug, Default)]
pub struct TopCosts {
    authors: Vec<(UserIndex, f64, f64)>,
}

impl TopCosts {
    /// A post of `author` had `listeners` materialised followers at `now_s`.
    pub fn record(&mut self, author: UserIndex, listeners: usize, now_s: f64) {
        if listeners == 0 {
            return;
        }
        let added = listeners as f64 / COST_AVERAGED_S;
        let faded = |weight: f64, at: f64| weight * (-(now_s - at).max(0.0) / COST_AVERAGED_S).exp();
        let known = self.authors.iter_mut().find(|known| known.0 == author);
        if let Some((_, weight, at)) = known {
            *weight = faded(*weight, *at) + added;
            *at = now_s;
        } else if self.authors.len() < COSTS_MAX {
            self.authors.push((author, added, now_s));
        } else if let Some(least) = self.authors.iter_mut().min_by(|a, b| faded(a.1, a.2).total_cmp(&faded(b.1, b.2))) {
            *least = (author, faded(least.1, least.2) + added, now_s);
        }
    }

    /// Authors with deliveries a second, dearest first.
    #[must_use]
    pub fn list(&self, now_s: f64) -> Vec<(UserIndex, f64)> {
        let faded = |(author, weight, at): &(UserIndex, f64, f64)| {
            (*author, weight * (-(now_s - at).max(0.0) / COST_AVERAGED_S).exp())
        };
        let mut list: Vec<(UserIndex, f64)> = self.authors.iter().map(faded).collect();
        list.sort_by(|a, b| b.1.total_cmp(&a.1));
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_an_eighth_too_high() {
        let mut histogram = LagHistogram::default();
        for us in 1..=10_000 {
            histogram.record(us);
        }
        let stats = histogram.stats();
        assert_eq!((stats.jobs, stats.max_us), (10_000, 10_000));
        assert!((5_000..=5_625).contains(&stats.p50_us), "{stats:?}");
        assert!((9_900..=10_000).contains(&stats.p99_us), "{stats:?}");
        for us in [0, 7, 8, 9, 1 << 40, u64::MAX] {
            assert!(highest_of(bucket_of(us)) >= us && bucket_of(us) < BUCKETS);
        }
    }

    #[test]
    fn the_dearest_authors_stand_first_and_fade() {
        let mut costs = TopCosts::default();
        for second in 0..3_000 {
            costs.record(7, 1_000, f64::from(second));
            costs.record(1_000 + second as u32, 3, f64::from(second));
        }
        let list = costs.list(3_000.0);
        assert_eq!((list[0].0, list.len()), (7, COSTS_MAX));
        assert!((900.0..1_100.0).contains(&list[0].1), "{list:?}");
        assert!(costs.list(3_600.0)[0].1 < 500.0);
    }
}
