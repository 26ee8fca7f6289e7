//! Each author's last deletion, of those who deleted lately: bounded, and it says where it ends. Pure.

use fanfare_protocol::Id;

use crate::base::id_map::IdMap;

/// Authors of one stretch of time.
#[derive(Debug, Default)]
struct Generation {
    last: IdMap<u64, Id>,
    /// The highest in `last`.
    newest: Id,
}

/// Two generations: when the young one is full it becomes the old one, and the old one is forgotten at once, whatever
/// is in it.
#[derive(Debug)]
pub struct Deleters {
    generation_max: usize,
    young: Generation,
    old: Generation,
    /// Record above which everybody is known who deleted anything.
    floor: Id,
}

impl Deleters {
    /// Nobody has deleted anything, ever. Holds up to twice `generation_max` authors.
    #[must_use]
    pub fn new(generation_max: usize) -> Self {
        Self { generation_max, young: Generation::default(), old: Generation::default(), floor: Id(0) }
    }

    /// `author` deleted something by `deletion`; usually the newest, but it need not be.
    pub fn heard(&mut self, author: Id, deletion: Id) {
        if self.young.last.len() >= self.generation_max && !self.young.last.contains_key(&author.0) {
            self.floor = self.floor.max(self.old.newest);
            self.old = std::mem::take(&mut self.young);
        }
        let last = self.young.last.entry(author.0).or_default();
        *last = deletion.max(*last);
        self.young.newest = deletion.max(self.young.newest);
    }

    /// Marks what happened up to `floor` as not all known.
    pub fn forget_upto(&mut self, floor: Id) {
        self.floor = self.floor.max(floor);
    }

    /// Whether anybody may have deleted something after `after`.
    #[must_use]
    pub fn may_have_any(&self, after: Id) -> bool {
        after < self.floor || after < self.young.newest || after < self.old.newest
    }

    /// Whether `author` may have deleted something after `after`; never false when they have.
    #[must_use]
    pub fn may_have(&self, author: Id, after: Id) -> bool {
        let after_it = |generation: &Generation| generation.last.get(&author.0).is_some_and(|last| *last > after);
        after < self.floor || after_it(&self.young) || after_it(&self.old)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever is heard in whatever order: nobody who deleted is taken for one who has not, memory is bounded, and
        /// where nobody was forgotten nobody is asked in vain.
        #[test]
        fn who_deleted_is_never_passed_over(
            heard in prop::collection::vec((0_u64..12, 1_u64..100), 0..80),
            generation_max in 1_usize..8,
        ) {
            let mut deleters = Deleters::new(generation_max);
            let mut truth: BTreeMap<u64, u64> = BTreeMap::new();
            for (author, deletion) in heard {
                deleters.heard(Id(author), Id(deletion));
                let last = truth.entry(author).or_default();
                *last = deletion.max(*last);
                prop_assert!(deleters.young.last.len() + deleters.old.last.len() <= 2 * generation_max);
                for (author, after) in (0..12).flat_map(|author| [0, 20, 50, 99].map(|after| (author, after))) {
                    let has = truth.get(&author).is_some_and(|last| *last > after);
                    prop_assert!(!has || deleters.may_have(Id(author), Id(after)));
                    prop_assert!(!has || deleters.may_have_any(Id(after)));
                    if truth.len() <= generation_max {
                        prop_assert_eq!(deleters.may_have(Id(author), Id(after)), has);
                    }
                }
            }
        }
    }

    #[test]
    fn a_busy_hour_forgets_the_oldest_and_still_skips_who_deleted_nothing_since() {
        let mut deleters = Deleters::new(10);
        for moment in 1..=35 {
            deleters.heard(Id(1_000 + moment), Id(moment));
        }
        assert!(deleters.may_have(Id(1), Id(19)), "too long ago to know");
        assert!(!deleters.may_have(Id(1), Id(20)) && !deleters.may_have(Id(1_021), Id(21)));
        assert!(deleters.may_have(Id(1_022), Id(21)) && deleters.may_have(Id(1_035), Id(21)));
    }
}
