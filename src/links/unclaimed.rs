//! Codes that nobody has, known without a look at any row: their numbers were not given out yet, and they are nobody's
//! alias.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

use super::code::Codes;
use crate::base::limits::links::ALIASES_ABOVE_MAX;

/// Knowledge of what was not given out. Only where one node leases all numbers; until it is opened nothing is known.
#[derive(Debug, Default)]
pub struct Unclaimed {
    codes: OnceLock<Codes>,
    /// The lowest number that was not leased.
    next: AtomicU64,
    aliases: RwLock<Aliases>,
}

/// Numbers whose codes are aliases; those that were leased meanwhile may be among them.
#[derive(Debug, Default)]
struct Aliases {
    numbers: HashSet<u64>,
    /// More than can be kept.
    is_full: bool,
}

impl Unclaimed {
    /// From now on numbers from `next` on count as free, but for the aliases that were told.
    pub fn open(&self, codes: Codes, next: u64) {
        self.next.fetch_max(next, Ordering::AcqRel);
        // It is opened once.
        let _ = self.codes.set(codes);
    }

    /// Numbers below `next` are leased, or will be.
    pub fn leased(&self, next: u64) {
        self.next.fetch_max(next, Ordering::AcqRel);
    }

    /// The code of `number` is somebody's alias.
    pub fn taken(&self, number: u64) {
        let mut aliases = self.aliases.write();
        if number < self.next.load(Ordering::Acquire) || aliases.is_full {
            return;
        }
        if aliases.numbers.len() < ALIASES_ABOVE_MAX {
            aliases.numbers.insert(number);
        } else {
            *aliases = Aliases { is_full: true, ..Aliases::default() };
            tracing::warn!("there are too many aliases that look like codes: unknown codes are looked for in rows");
        }
    }

    /// Whether nobody has `code`.
    #[must_use]
    pub fn has(&self, code: &str) -> bool {
        let Some(codes) = self.codes.get() else { return false };
        let next = self.next.load(Ordering::Acquire);
        let Some(number) = codes.number(code).filter(|number| *number >= next) else { return false };
        let aliases = self.aliases.read();
        !aliases.is_full && !aliases.numbers.contains(&number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_neither_leased_nor_chosen_is_free_and_nothing_before_that_is_known() {
        let (codes, unclaimed) = (Codes::new(&[9; 16]), Unclaimed::default());
        let has = |number| unclaimed.has(&codes.code(number).unwrap());
        unclaimed.taken(500);
        assert!(!has(1_000), "nothing is known yet");
        unclaimed.open(codes.clone(), 100);
        assert_eq!([99, 100, 499, 500, 501].map(has), [false, true, true, false, true]);
        unclaimed.leased(200);
        unclaimed.leased(150);
        unclaimed.taken(300);
        assert_eq!([199, 200, 300, 500].map(has), [false, true, false, false]);
        assert!(!unclaimed.has("spring-sale") && !unclaimed.has("abc"), "these have no number");
    }
}
