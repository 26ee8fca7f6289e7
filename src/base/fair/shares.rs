//! A pool that many draw from: who holds much of it gets no more while little is free.

use std::collections::HashMap;
use std::hash::Hash;

/// Shares of something (bytes) that is for all together; nobody holds more than one part of `part` of what is still
/// free.
///
/// The rule is that of shared-memory switches (Choudhury and Hahne 1998, dynamic thresholds). A single one gets
/// `1 / (part + 1)` of the pool, the next the same of the rest, and so on; as they give back, each of `n` comes to one
/// part in `part + n`. So there is always something left for who comes next, whatever the others hold, and no share has
/// to be set.
#[derive(Debug)]
pub struct Shares<K> {
    held: HashMap<K, u64>,
    used: u64,
    max: u64,
    part: u64,
}

impl<K: Copy + Eq + Hash> Shares<K> {
    /// Nobody holds anything of `max`.
    #[must_use]
    pub fn new(max: u64, part: u64) -> Self {
        Self { held: HashMap::new(), used: 0, max, part }
    }

    /// Sum of what all hold.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Gives `of` so much more, or nothing where that would be more than its part.
    pub fn take(&mut self, of: K, more: u64) -> bool {
        let held = self.held.get(&of).copied().unwrap_or_default().saturating_add(more);
        let used = self.used.saturating_add(more);
        if self.max.checked_sub(used).is_none_or(|free| held.saturating_mul(self.part) > free) {
            return false;
        }
        if more > 0 {
            self.held.insert(of, held);
            self.used = used;
        }
        true
    }

    /// Gives `of` so much more beyond its part, or nothing where less than `kept` of the pool would stay free.
    pub fn take_beyond(&mut self, of: K, more: u64, kept: u64) -> bool {
        let used = self.used.saturating_add(more);
        if self.max.checked_sub(used).is_none_or(|free| free < kept) {
            return false;
        }
        *self.held.entry(of).or_default() += more;
        self.used = used;
        true
    }

    /// Rest that `of` could take now.
    #[must_use]
    pub fn left_of(&self, of: K) -> u64 {
        let held = self.held.get(&of).copied().unwrap_or_default();
        ((self.max - self.used + held) / (self.part + 1)).saturating_sub(held)
    }

    /// Takes so much back from `of`.
    pub fn give_back(&mut self, of: K, less: u64) {
        let Some(held) = self.held.get_mut(&of) else { return };
        let less = less.min(*held);
        *held -= less;
        self.used -= less;
        if *held == 0 {
            self.held.remove(&of);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: u64 = 100_000;
    const HOLDERS: u8 = 5;

    proptest! {
        #[test]
        fn there_is_always_something_left_for_who_comes_next(
            part in 1..5_u64,
            steps in prop::collection::vec((0..HOLDERS, 0..40_000_u64, any::<bool>()), 0..200),
        ) {
            let mut shares = Shares::new(MAX, part);
            let mut list: HashMap<u8, u64> = HashMap::new();
            for (of, amount, gives) in steps {
                let (held, used) = (list.get(&of).copied().unwrap_or(0), list.values().sum::<u64>());
                if gives {
                    shares.give_back(of, amount);
                    list.insert(of, held - amount.min(held));
                } else {
                    let fits = used + amount <= MAX && (held + amount) * part <= MAX - used - amount;
                    prop_assert_eq!(shares.take(of, amount), fits);
                    list.insert(of, held + if fits { amount } else { 0 });
                }
                let used = list.values().sum::<u64>();
                prop_assert_eq!(shares.used(), used);
                let more = shares.left_of(of);
                prop_assert!(!shares.take(of, more + 1) && (more == 0 || shares.take(of, more)));
                shares.give_back(of, more);
                prop_assert!(shares.held.values().all(|held| *held > 0), "nothing is kept of who holds nothing");
                // Each of them found so many parts of what the others had left.
                let left = (0..HOLDERS).fold(MAX, |left, _| left * part / (part + 1));
                prop_assert!(MAX - used + u64::from(HOLDERS) >= left, "{} of {left} are left", MAX - used);
                let newcomer = (MAX - used) / (part + 1);
                prop_assert!(shares.take(9, newcomer));
                shares.give_back(9, MAX);
            }
        }
    }

    #[test]
    fn one_alone_gets_its_part_and_the_next_the_same_of_the_rest() {
        let mut shares = Shares::new(1_000, 1);
        assert!(shares.take('a', 500) && !shares.take('a', 1) && shares.take('b', 250) && !shares.take('b', 1));
        shares.give_back('a', 500);
        assert!(shares.take('b', 250) && !shares.take('b', 1));
        assert!(!shares.take('c', u64::MAX));
    }
}
