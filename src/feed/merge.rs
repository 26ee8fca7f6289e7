//! Newest-first merge of many authors' posts that reads only as far as it is asked.
//!
//! Each source has some ids and, perhaps, a bound below which older ones may exist. Once the highest thing left is a
//! bound, that source must be read further before the merge can go on: so deep pages touch storage only for authors
//! whose recent posts were really used up. A pure state machine; the service does the reading.

use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;

/// Next step of the merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The next newest id, and the source it came from.
    Item { id: u64, source: u32 },
    /// Ask [`Merge::wanting`] which sources must be read further, and [`Merge::supply`] them.
    More,
    /// All sources are used up.
    End,
}

/// Answer of [`Merge::wanting`]: a source, and the id below which its older posts are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Want {
    /// The source.
    pub source: u32,
    /// Only ids below this one.
    pub before: u64,
}

/// Ids left in the arena, then the bound.
#[derive(Debug, Clone, Copy)]
struct Source {
    next: u32,
    end: u32,
    /// Older ids than this may exist; 0: none.
    below: u64,
}

impl Source {
    /// The highest id that the source can still yield, and whether it is in hand.
    fn head(&self, arena: &[u64]) -> Option<u64> {
        if self.next < self.end {
            arena.get(self.next as usize).copied()
        } else {
            self.below.checked_sub(1).filter(|id| *id > 0)
        }
    }
}

/// K-way merge, ids descending, repeats dropped.
#[derive(Debug, Default)]
pub struct Merge {
    sources: Vec<Source>,
    /// Ids of all sources, each source's descending and in one piece.
    arena: Vec<u64>,
    heap: BinaryHeap<(u64, u32)>,
    last: Option<u64>,
}

impl Merge {
    /// A merge that expects `sources` sources, all of which are still to be supplied.
    #[must_use]
    pub fn with_capacity(sources: usize) -> Self {
        Self { sources: Vec::with_capacity(sources), heap: BinaryHeap::with_capacity(sources), ..Self::default() }
    }

    /// Adds a source with `ids` (descending) in hand and possibly older ones below `below` (0: none). Answers its
    /// number: 0, 1, 2 …
    pub fn add(&mut self, ids: &[u64], below: u64) -> u32 {
        let source = self.sources.len() as u32;
        self.sources.push(Source { next: 0, end: 0, below: 0 });
        self.supply(source, ids, below);
        source
    }

    /// Gives a source that wanted more its next `ids` (descending), and the bound below them (0: none).
    pub fn supply(&mut self, source: u32, ids: &[u64], below: u64) {
        let next = self.arena.len() as u32;
        self.arena.extend_from_slice(ids);
        let Some(slot) = self.sources.get_mut(source as usize) else { return };
        *slot = Source { next, end: self.arena.len() as u32, below };
        if let Some(head) = slot.head(&self.arena) {
            self.heap.push((head, source));
        }
    }

    /// The next step.
    pub fn next(&mut self) -> Step {
        while let Some(mut top) = self.heap.peek_mut() {
            let (id, number) = *top;
            let source = &mut self.sources[number as usize];
            if source.next == source.end {
                return Step::More;
            }
            source.next += 1;
            match source.head(&self.arena) {
                Some(head) => *top = (head, number),
                None => drop(PeekMut::pop(top)),
            }
            if self.last != Some(id) {
                self.last = Some(id);
                return Step::Item { id, source: number };
            }
        }
        Step::End
    }

    /// After [`Step::More`]: up to `max` sources whose bound stands above everything in hand. They are out of the merge
    /// until supplied.
    pub fn wanting(&mut self, max: usize) -> Vec<Want> {
        let mut wants = Vec::new();
        while wants.len() < max {
            let Some(top) = self.heap.peek_mut() else { break };
            let number = top.1;
            let source = self.sources[number as usize];
            if source.next < source.end {
                break;
            }
            PeekMut::pop(top);
            wants.push(Want { source: number, before: source.below });
        }
        wants
    }

    /// No source has, or may have, anything left.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.heap.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_merge_equals_a_sort_whatever_is_in_hand(
            authors in prop::collection::vec((prop::collection::btree_set(1_u64..200, 0..12), 0_usize..4), 0..8),
            chunk in 1_usize..4,
            wants_max in 1_usize..4,
        ) {
            let lists: Vec<Vec<u64>> = authors.iter().map(|(ids, _)| ids.iter().rev().copied().collect()).collect();
            let mut merge = Merge::with_capacity(lists.len());
            for (list, (_, in_hand)) in lists.iter().zip(&authors) {
                let ids = &list[..list.len().min(*in_hand)];
                merge.add(ids, ids.last().copied().unwrap_or(u64::MAX));
            }
            let (mut got, mut supplied_for_nothing) = (Vec::new(), false);
            loop {
                match merge.next() {
                    Step::Item { id, source } => {
                        prop_assert!(lists[source as usize].contains(&id));
                        got.push(id);
                    }
                    Step::More => for want in merge.wanting(wants_max) {
                        // Whatever is read further, everything newer was already given out.
                        supplied_for_nothing |= got.last().is_some_and(|last| want.before > *last + 1 && want.before != u64::MAX);
                        let older: Vec<u64> = lists[want.source as usize].iter().copied().filter(|id| *id < want.before).take(chunk).collect();
                        let below = if older.len() < chunk { 0 } else { older[chunk - 1] };
                        merge.supply(want.source, &older, below);
                    },
                    Step::End => break,
                }
            }
            let expected: Vec<u64> = lists.iter().flatten().copied().collect::<BTreeSet<_>>().into_iter().rev().collect();
            prop_assert_eq!(got, expected);
            prop_assert!(!supplied_for_nothing && merge.is_done());
        }
    }

    #[test]
    fn a_source_is_read_further_only_when_its_bound_is_on_top() {
        let mut merge = Merge::default();
        merge.add(&[50, 40], 0);
        merge.add(&[45], 45);
        assert_eq!(merge.next(), Step::Item { id: 50, source: 0 });
        assert_eq!(merge.next(), Step::Item { id: 45, source: 1 });
        assert_eq!(merge.next(), Step::More);
        assert_eq!(merge.wanting(9), [Want { source: 1, before: 45 }]);
        merge.supply(1, &[], 0);
        assert_eq!(merge.next(), Step::Item { id: 40, source: 0 });
        assert_eq!(merge.next(), Step::End);
    }
}
