//! The subscription index: for one author, the sorted slots of the materialised timelines that follow them.
//!
//! Fan-out copies slices of it; follows, unfollows, builds and evictions edit it. Most authors have a few slots: one
//! sorted vector. A star has millions: sorted chunks under a directory, so that an insert moves a few kilobytes.

/// Slot of a materialised timeline: shard in the high bits, place in the shard in the low ones.
pub type Slot = u32;

/// Entries of a chunk before it is split; also where one vector becomes chunks. 4 KiB.
const CHUNK_MAX: usize = 1_024;
/// A chunk below this is merged with a neighbour when both fit [`CHUNK_MERGED_MAX`].
const CHUNK_MIN: usize = 256;
/// Entries of a merged chunk; below the maximum, so that the next insert does not split it again.
const CHUNK_MERGED_MAX: usize = 768;

/// Sorted set of slots.
#[derive(Debug, Clone)]
pub enum SlotList {
    /// Up to `CHUNK_MAX` entries.
    Small(Vec<Slot>),
    /// Non-empty chunks, in order.
    Large(Box<Chunks>),
}

/// Sorted chunks with the number of entries over all.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    chunks: Vec<Vec<Slot>>,
    len: usize,
}

impl Default for SlotList {
    fn default() -> Self {
        Self::Small(Vec::new())
    }
}

impl SlotList {
    /// Number of slots.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Small(slots) => slots.len(),
            Self::Large(large) => large.len,
        }
    }

    /// Whether the list is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether `slot` is in it.
    #[cfg(test)]
    pub fn contains(&self, slot: Slot) -> bool {
        match self {
            Self::Small(slots) => slots.binary_search(&slot).is_ok(),
            Self::Large(large) => large.chunks[large.chunk_of(slot)].binary_search(&slot).is_ok(),
        }
    }

    /// Adds `slot`; false when it was there.
    pub fn insert(&mut self, slot: Slot) -> bool {
        match self {
            Self::Small(slots) => {
                if !insert_sorted(slots, slot) {
                    return false;
                }
                if slots.len() > CHUNK_MAX {
                    let upper = slots.split_off(slots.len() / 2);
                    let lower = std::mem::take(slots);
                    let len = lower.len() + upper.len();
                    *self = Self::Large(Box::new(Chunks { chunks: vec![lower, upper], len }));
                }
                true
            }
            Self::Large(large) => large.insert(slot),
        }
    }

    /// Takes `slot` out; false when it was not there.
    pub fn remove(&mut self, slot: Slot) -> bool {
        match self {
            Self::Small(slots) => remove_sorted(slots, slot),
            Self::Large(large) => {
                let removed = large.remove(slot);
                if large.chunks.len() <= 1 {
                    *self = Self::Small(large.chunks.pop().unwrap_or_default());
                }
                removed
            }
        }
    }

    /// Appends up to `max` slots above `after` (all for `None`) to `out`, ascending, and answers how many. A slice
    /// resumes by the value of the last slot, so that inserts and removes in between skip nobody.
    pub fn copy_from(&self, after: Option<Slot>, max: usize, out: &mut Vec<Slot>) -> usize {
        let before = out.len();
        let from = match after.map(|after| after.checked_add(1)) {
            None => 0,
            Some(Some(from)) => from,
            Some(None) => return 0,
        };
        match self {
            Self::Small(slots) => copy_some(slots, from, max, out),
            Self::Large(large) => {
                for chunk in &large.chunks[large.chunk_of(from)..] {
                    let wanted = max - (out.len() - before);
                    if wanted == 0 {
                        break;
                    }
                    copy_some(chunk, from, wanted, out);
                }
            }
        }
        out.len() - before
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        match self {
            Self::Small(slots) => slots.capacity() * size_of::<Slot>(),
            Self::Large(large) => {
                let directory = size_of::<Chunks>() + large.chunks.capacity() * size_of::<Vec<Slot>>();
                directory + large.chunks.iter().map(|chunk| chunk.capacity() * size_of::<Slot>()).sum::<usize>()
            }
        }
    }
}

impl Chunks {
    /// The chunk that holds `slot`, or would: the last one that starts at or below it.
    fn chunk_of(&self, slot: Slot) -> usize {
        self.chunks.partition_point(|chunk| chunk.first().is_some_and(|first| *first <= slot)).saturating_sub(1)
    }

    fn insert(&mut self, slot: Slot) -> bool {
        let at = self.chunk_of(slot);
        let chunk = &mut self.chunks[at];
        if !insert_sorted(chunk, slot) {
            return false;
        }
        self.len += 1;
        if chunk.len() > CHUNK_MAX {
            // A list that grows at its end keeps full chunks; elsewhere half and half.
            let grows_at_end = chunk.last() == Some(&slot);
            let upper = chunk.split_off(if grows_at_end { CHUNK_MAX } else { CHUNK_MAX / 2 });
            chunk.shrink_to(CHUNK_MAX);
            self.chunks.insert(at + 1, upper);
        }
        true
    }

    fn remove(&mut self, slot: Slot) -> bool {
        let at = self.chunk_of(slot);
        if !remove_sorted(&mut self.chunks[at], slot) {
            return false;
        }
        self.len -= 1;
        let len = self.chunks[at].len();
        if len == 0 {
            self.chunks.remove(at);
        } else if len < CHUNK_MIN {
            let lower = if at + 1 < self.chunks.len() { at } else { at.saturating_sub(1) };
            if lower + 1 < self.chunks.len()
                && self.chunks[lower].len() + self.chunks[lower + 1].len() <= CHUNK_MERGED_MAX
            {
                let upper = self.chunks.remove(lower + 1);
                self.chunks[lower].extend_from_slice(&upper);
            }
        }
        true
    }
}

fn insert_sorted(slots: &mut Vec<Slot>, slot: Slot) -> bool {
    let Err(at) = slots.binary_search(&slot) else { return false };
    if slots.len() == slots.capacity() {
        // Gently, by an eighth: millions of lists, and doubling would waste a quarter of the memory on average.
        slots.reserve_exact((slots.len() / 8).max(2));
    }
    slots.insert(at, slot);
    true
}

fn remove_sorted(slots: &mut Vec<Slot>, slot: Slot) -> bool {
    let Ok(at) = slots.binary_search(&slot) else { return false };
    slots.remove(at);
    if slots.capacity() > 8 && slots.len() < slots.capacity() / 2 {
        slots.shrink_to(slots.len() + slots.len() / 8);
    }
    true
}

fn copy_some(slots: &[Slot], from: Slot, max: usize, out: &mut Vec<Slot>) {
    let start = slots.partition_point(|slot| *slot < from);
    let end = slots.len().min(start.saturating_add(max));
    out.extend_from_slice(&slots[start..end]);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn all(list: &SlotList, slice: usize) -> Vec<Slot> {
        let mut slots = Vec::new();
        while list.copy_from(slots.last().copied(), slice, &mut slots) > 0 {}
        slots
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_slot_list_is_a_sorted_set(
            grow in 1_000_usize..6_000,
            edits in prop::collection::vec((any::<bool>(), 0_u32..8_000), 0..4_000),
            slice in 1_usize..3_000,
        ) {
            let (mut list, mut model) = (SlotList::default(), BTreeSet::new());
            for step in 0..grow as u32 {
                let slot = step.wrapping_mul(2_654_435_761) % 8_000;
                prop_assert_eq!(list.insert(slot), model.insert(slot));
            }
            for (insert, slot) in edits {
                if insert {
                    prop_assert_eq!(list.insert(slot), model.insert(slot));
                } else {
                    prop_assert_eq!(list.remove(slot), model.remove(&slot));
                }
                prop_assert_eq!(list.contains(slot), insert);
            }
            prop_assert_eq!(list.len(), model.len());
            prop_assert_eq!(all(&list, slice), model.iter().copied().collect::<Vec<_>>());
            for slot in model {
                prop_assert!(list.remove(slot));
            }
            prop_assert_eq!((list.len(), all(&list, slice).len()), (0, 0));
        }
    }

    #[test]
    fn the_highest_slot_ends_the_copy() {
        let mut list = SlotList::default();
        list.insert(Slot::MAX);
        assert_eq!(all(&list, 1), [Slot::MAX]);
    }

    #[test]
    fn small_lists_waste_at_most_an_eighth() {
        let mut list = SlotList::default();
        for slot in 0..200 {
            list.insert(slot);
        }
        assert!(list.heap_bytes() <= 200 * 4 * 9 / 8, "{} bytes", list.heap_bytes());
    }
}
