//! Items of several partitions in one order: each is handed out when the horizon has come to its key. Pure.
//!
//! Every partition's are told in their order, and whichever is first is first. At or below the horizon nothing can come
//! any more; so what is handed out as it moves on, lowest key first, is in the order of keys altogether. Pages end at
//! the horizon too: who is connected hears of nothing that a page would not show, and as soon as it does.
//!
//! The horizon stands for as long as a partition has something on its way, or has no owner. Beyond a bound all that
//! waits is dropped; whoever hears by it has to read what was missed from rows, once the horizon has passed that.

use fanfare_protocol::Id;

/// Items that wait for the horizon.
#[derive(Debug)]
pub struct NewsQueue<T> {
    /// Items as they came, those that were passed over in the order of keys.
    waiting: Vec<(Id, T)>,
    /// The lowest key among them.
    low: Option<Id>,
    /// The lowest and the highest key of what was dropped, and that the horizon has not passed.
    shed: Option<(Id, Id)>,
    max: usize,
}

/// Items that are due, and what was dropped before them.
#[derive(Debug)]
pub struct Due<T> {
    /// In the order of keys; of one key, as they came.
    pub items: Vec<(Id, T)>,
    /// The horizon has passed something that was dropped.
    pub passed_shed: bool,
}

impl<T> NewsQueue<T> {
    /// Nothing waits; at most `max` items will.
    #[must_use]
    pub const fn new(max: usize) -> Self {
        Self { waiting: Vec::new(), low: None, shed: None, max }
    }

    /// Adds an item. Where there is no room everything that waits is dropped, and this with it.
    pub fn add(&mut self, key: Id, item: T) {
        self.low = Some(self.low.map_or(key, |low| low.min(key)));
        self.waiting.push((key, item));
        if self.waiting.len() > self.max {
            let keys = self.waiting.drain(..).map(|(key, _)| (key, key));
            let range = |(low, high): (Id, Id), (one, other): (Id, Id)| (low.min(one), high.max(other));
            self.shed = keys.chain(self.shed).reduce(range);
            self.low = None;
        }
    }

    /// Takes what is at or below `horizon`, which nothing that is added later is.
    pub fn take(&mut self, horizon: Id) -> Due<T> {
        let passed_shed = self.shed.is_some_and(|(low, _)| low <= horizon);
        if passed_shed {
            self.shed = self.shed.filter(|(_, high)| *high > horizon).map(|(_, high)| (Id(horizon.0 + 1), high));
        }
        if self.low.is_none_or(|low| low > horizon) {
            return Due { items: Vec::new(), passed_shed };
        }
        self.waiting.sort_by_key(|(key, _)| *key);
        let due = self.waiting.partition_point(|(key, _)| *key <= horizon);
        let later = self.waiting.split_off(due);
        self.low = later.first().map(|(key, _)| *key);
        Due { items: std::mem::replace(&mut self.waiting, later), passed_shed }
    }

    /// The lowest key of what was not handed out, or was dropped and not passed.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        self.low.into_iter().chain(self.shed.map(|(low, _)| low)).min()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const PARTITIONS: usize = 4;

    /// Records of partitions that get their ids in one order, and settle a partition's in turn, in any order of
    /// partitions, while the horizon follows, sooner or later.
    #[derive(Debug, Default)]
    struct Model {
        next: u64,
        /// Ids that are on their way, by partition.
        on_their_way: [Vec<Id>; PARTITIONS],
        settled: BTreeSet<Id>,
        horizon: Id,
    }

    impl Model {
        fn number(&mut self, partition: usize) {
            self.next += 1;
            self.on_their_way[partition].push(Id(self.next));
        }

        fn settle(&mut self, partition: usize, most: usize) -> Vec<Id> {
            let ids = &mut self.on_their_way[partition];
            let settled: Vec<Id> = ids.drain(..most.min(ids.len())).collect();
            self.settled.extend(&settled);
            settled
        }

        fn below_what_is_on_its_way(&self) -> Id {
            let first = self.on_their_way.iter().filter_map(|ids| ids.first()).min();
            first.map_or(Id(self.next), |first| Id(first.0 - 1))
        }
    }

    #[derive(Debug, Clone, Copy)]
    enum Turn {
        Number(usize),
        /// So many of a partition, and whether the horizon is told with them.
        Settle(usize, usize, bool),
        MoveOn,
    }

    fn turns() -> impl Strategy<Value = Vec<Turn>> {
        let turn = prop_oneof![
            4 => (0..PARTITIONS).prop_map(Turn::Number),
            3 => (0..PARTITIONS, 1..4_usize, any::<bool>()).prop_map(|(one, most, with)| Turn::Settle(one, most, with)),
            1 => Just(Turn::MoveOn),
        ];
        prop::collection::vec(turn, 0..120)
    }

    proptest! {
        /// The order is that of ids; nothing is lost or comes twice; nothing waits that the horizon has come to, and
        /// nothing comes before; at most so many wait, and of what is dropped it is said when the horizon passes it.
        #[test]
        fn what_partitions_settle_comes_in_the_order_of_ids(turns in turns(), max in prop_oneof![3..9_usize, Just(999)]) {
            let (mut model, mut waiting) = (Model::default(), NewsQueue::new(max));
            let (mut came, mut dropped, mut last) = (BTreeSet::new(), BTreeSet::new(), Id(0));
            let all = (0..PARTITIONS).map(|one| Turn::Settle(one, usize::MAX, true));
            for turn in turns.into_iter().chain(all) {
                let mut moves = true;
                match turn {
                    Turn::Number(partition) => {
                        model.number(partition);
                        continue;
                    }
                    Turn::Settle(partition, most, with) => {
                        for id in model.settle(partition, most) {
                            let held: Vec<Id> = waiting.waiting.iter().map(|(key, _)| *key).collect();
                            waiting.add(id, id.0);
                            prop_assert!(waiting.waiting.len() <= max);
                            if held.len() == max {
                                dropped.extend(held.into_iter().chain([id]));
                            }
                        }
                        moves = with;
                    }
                    Turn::MoveOn => {}
                }
                if moves {
                    model.horizon = model.below_what_is_on_its_way();
                }
                let due = waiting.take(model.horizon);
                let passes: BTreeSet<Id> = dropped.extract_if(..=model.horizon, |_| true).collect();
                // Some of it may have been passed before, while the rest was above.
                prop_assert!(due.passed_shed || passes.is_empty());
                for (key, item) in due.items {
                    prop_assert!(last < key && key <= model.horizon && item == key.0, "{key} comes after {last}");
                    last = key;
                    came.insert(key);
                }
                came.extend(passes);
                let lacks = model.settled.iter().find(|id| !came.contains(id)).copied();
                prop_assert!(lacks.is_none_or(|low| low > model.horizon), "{lacks:?} is at or below the horizon");
                prop_assert!(lacks.is_none_or(|lacks| waiting.low().is_some_and(|low| low <= lacks)));
                prop_assert!(waiting.low().is_none_or(|low| low > model.horizon));
            }
            prop_assert_eq!((came, waiting.low()), (model.settled, None));
        }

        /// Of one partition each is at or below the horizon that is told with it, and none waits.
        #[test]
        fn of_one_partition_nothing_waits(groups in prop::collection::vec(1..5_u64, 0..20)) {
            let (mut waiting, mut next) = (NewsQueue::new(4), 0);
            for group in groups {
                let ids: Vec<Id> = (next + 1..=next + group).map(Id).collect();
                next += group;
                ids.iter().for_each(|id| waiting.add(*id, ()));
                let due = waiting.take(Id(next));
                prop_assert!(!due.passed_shed && waiting.low().is_none());
                prop_assert_eq!(due.items.into_iter().map(|(key, ())| key).collect::<Vec<_>>(), ids);
            }
        }
    }

    #[test]
    fn what_is_dropped_is_said_each_time_that_the_horizon_passes_some_of_it() {
        let mut waiting = NewsQueue::new(2);
        for id in [5, 9, 7] {
            waiting.add(Id(id), id);
        }
        assert_eq!(waiting.low(), Some(Id(5)));
        assert!(!waiting.take(Id(4)).passed_shed);
        waiting.add(Id(8), 8);
        let due = waiting.take(Id(7));
        assert!(due.passed_shed && due.items.is_empty());
        assert_eq!(waiting.low(), Some(Id(8)));
        let due = waiting.take(Id(9));
        assert!(due.passed_shed && due.items == [(Id(8), 8)] && waiting.low().is_none());
        assert!(!waiting.take(Id(20)).passed_shed);
    }
}
