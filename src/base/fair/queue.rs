//! A bounded queue with a turn for each: who has one waiting is served as soon as who has fifty.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

/// Fate of a newcomer.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed<T> {
    /// Waiting, where there was room.
    Waits,
    /// Waiting in place of the newest of whoever had most.
    InPlaceOf(T),
    /// Nobody has two more than the newcomer's own: it does not wait.
    Full(T),
}

/// Items of many, each `K` served in its turn and its own in the order in which they came.
///
/// At most `len_max` wait. When it is full, whoever has most waiting loses their newest to a newcomer who has at least
/// two fewer: so a flood of one sheds the flood, and who has a single item waiting never loses it.
#[derive(Debug)]
pub struct FairQueue<K, T> {
    /// Never an empty one.
    waiting: HashMap<K, VecDeque<T>>,
    /// Everybody in `waiting` once; the first is served next.
    turns: VecDeque<K>,
    len: usize,
    len_max: usize,
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    /// Empty.
    #[must_use]
    pub fn new(len_max: usize) -> Self {
        Self { waiting: HashMap::new(), turns: VecDeque::new(), len: 0, len_max }
    }

    /// Number of items that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds an item of `of`.
    pub fn push(&mut self, of: K, item: T) -> Pushed<T> {
        let mut displaced = None;
        if self.len >= self.len_max {
            let own = self.waiting.get(&of).map_or(0, VecDeque::len);
            // A look at everybody, but only where something is shed anyway, and at most `len_max` of them.
            let most = self.turns.iter().copied().max_by_key(|key| self.waiting.get(key).map_or(0, VecDeque::len));
            let Some(most) = most.filter(|key| self.waiting.get(key).is_some_and(|queue| queue.len() >= own + 2))
            else {
                return Pushed::Full(item);
            };
            displaced = self.waiting.get_mut(&most).and_then(VecDeque::pop_back);
            self.len -= 1;
        }
        self.len += 1;
        let queue = self.waiting.entry(of).or_default();
        if queue.is_empty() {
            self.turns.push_back(of);
        }
        queue.push_back(item);
        displaced.map_or(Pushed::Waits, Pushed::InPlaceOf)
    }

    /// The next in turn.
    pub fn pop(&mut self) -> Option<T> {
        let of = self.turns.pop_front()?;
        let queue = self.waiting.get_mut(&of)?;
        let item = queue.pop_front();
        if queue.is_empty() {
            self.waiting.remove(&of);
        } else {
            self.turns.push_back(of);
        }
        self.len -= 1;
        item
    }

    /// Takes one of `of` out of turn: it does not wait any more.
    pub fn remove(&mut self, of: K, is_it: impl FnMut(&T) -> bool) -> Option<T> {
        let queue = self.waiting.get_mut(&of)?;
        let item = queue.remove(queue.iter().position(is_it)?);
        if queue.is_empty() {
            self.waiting.remove(&of);
            self.turns.retain(|key| *key != of);
        }
        self.len -= 1;
        item
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEN_MAX: usize = 12;

    #[derive(Debug, Clone)]
    enum Step {
        Push(u8),
        Pop,
        Leave(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            // One floods, the others come now and then.
            4 => Just(Step::Push(0)),
            3 => (1..6_u8).prop_map(Step::Push),
            3 => Just(Step::Pop),
            1 => (0..6_u8).prop_map(Step::Leave),
        ]
    }

    proptest! {
        /// A newcomer with none waiting gets in while anybody has two, is never pushed out again, and is served after
        /// at most as many turns as there were others.
        #[test]
        fn who_has_one_waiting_is_served_within_a_round_whatever_others_do(
            steps in prop::collection::vec(step(), 0..300),
        ) {
            let mut queue = FairQueue::new(LEN_MAX);
            let mut list: Vec<(u8, usize)> = Vec::new();
            // Of each key that has one waiting since it had none: the item, and the turns it may have to wait.
            let mut promised: HashMap<u8, (usize, usize)> = HashMap::new();
            for (number, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Push(of) => {
                        let count = |key| list.iter().filter(|one| one.0 == key).count();
                        let (own, most, others) = (count(of), (0..6).map(count).max().unwrap(), queue.turns.len());
                        match queue.push(of, (of, number)) {
                            Pushed::Waits => prop_assert!(list.len() < LEN_MAX),
                            Pushed::Full(item) => {
                                prop_assert_eq!(item, (of, number));
                                prop_assert!(list.len() == LEN_MAX && most < own + 2);
                                continue;
                            }
                            Pushed::InPlaceOf(lost) => {
                                prop_assert!(list.len() == LEN_MAX && most >= own + 2);
                                prop_assert_eq!(count(lost.0), most, "the one with most loses");
                                prop_assert!(promised.get(&lost.0).is_none_or(|(item, _)| *item != lost.1));
                                list.retain(|one| *one != lost);
                            }
                        }
                        list.push((of, number));
                        if own == 0 {
                            promised.insert(of, (number, others));
                        }
                    }
                    Step::Pop => {
                        let served = queue.pop();
                        prop_assert_eq!(served.is_some(), !list.is_empty());
                        let Some(served) = served else { continue };
                        // One's own come in their order.
                        prop_assert_eq!(list.iter().find(|one| one.0 == served.0), Some(&served));
                        list.retain(|one| *one != served);
                        promised.retain(|key, (item, _)| (*key, *item) != served);
                        for (item, left) in promised.values_mut() {
                            prop_assert!(*left > 0, "item {} waited longer than a round", item);
                            *left -= 1;
                        }
                    }
                    Step::Leave(of) => {
                        let wanted = list.iter().rev().find(|one| one.0 == of).copied();
                        prop_assert_eq!(queue.remove(of, |one| Some(*one) == wanted), wanted);
                        list.retain(|one| Some(*one) != wanted);
                        promised.retain(|key, (item, _)| Some((*key, *item)) != wanted);
                    }
                }
                // Nothing is kept of who waits for nothing.
                prop_assert_eq!(queue.len(), list.len());
                prop_assert!(queue.len() <= LEN_MAX && queue.turns.len() == queue.waiting.len());
                prop_assert!(queue.waiting.values().all(|own| !own.is_empty()));
            }
        }
    }

    #[test]
    fn a_queue_without_places_takes_nobody() {
        let mut queue = FairQueue::new(0);
        assert_eq!(queue.push(1, 'a'), Pushed::Full('a'));
        assert_eq!(queue.pop(), None);
    }
}
