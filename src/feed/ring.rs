//! The bounded ring of one timeline: (post, author) in order of arrival, twelve bytes an entry.
//!
//! Fan-out pushes blindly, reads copy out and sort. The ring promises one thing: every pushed entry above its floor is
//! in it. Trimming, merging and late arrivals move the floor, never the promise.

use super::interner::UserIndex;

/// A post in a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The post.
    pub id: u64,
    /// Author of the post.
    pub author: UserIndex,
}

type Packed = [u32; 3];

fn pack(entry: Entry) -> Packed {
    [entry.id as u32, (entry.id >> 32) as u32, entry.author]
}

fn id_of(packed: &Packed) -> u64 {
    u64::from(packed[1]) << 32 | u64::from(packed[0])
}

/// A bounded ring. 32 bytes, so that two headers share a cache line in the scatter loop.
#[derive(Debug, Default)]
pub struct Ring {
    /// The whole allocation. Places never written hold id 0, which is at or below every floor.
    entries: Box<[Packed]>,
    /// The place that the next push writes; at the end the ring grows or begins again.
    next: u32,
    /// Places written so far.
    len: u32,
    /// Id at and below which the ring claims nothing. `u64::MAX` while the slot is free: pushes are dropped.
    floor: u64,
}

impl Ring {
    /// A ring that takes nothing, for free slots.
    #[must_use]
    pub fn closed() -> Self {
        Self { floor: u64::MAX, ..Self::default() }
    }

    /// The ring is complete above this id, and claims nothing at or below it.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.floor
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.entries.len() * size_of::<Packed>()
    }

    /// Entries held, those at or below the floor included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Reads the cache lines that the next push writes (one entry in eight lies across two), so that misses of
    /// neighbouring rings overlap.
    #[inline]
    #[must_use]
    pub fn touch(&self) -> u32 {
        self.entries.get(self.next as usize).map_or(0, |entry| entry[0] ^ entry[2])
    }

    /// Adds an entry: a blind write. At `cap` entries the oldest arrival goes, and the floor rises to it. Answers the
    /// bytes by which the ring grew.
    #[inline]
    pub fn push(&mut self, entry: Entry, cap: u32) -> usize {
        if entry.id <= self.floor {
            return 0;
        }
        let grown = if self.next as usize == self.entries.len() { self.turn_over(cap) } else { 0 };
        if let Some(place) = self.entries.get_mut(self.next as usize) {
            // No question whether the place was used: the id 0 of a fresh one raises no floor.
            self.floor = self.floor.max(id_of(place));
            *place = pack(entry);
            self.next += 1;
            self.len = self.len.max(self.next);
        }
        grown
    }

    /// Goes on at the end of the places: more of them, or from the beginning again.
    #[cold]
    #[inline(never)]
    fn turn_over(&mut self, cap: u32) -> usize {
        if self.len >= cap {
            self.next = 0;
            return 0;
        }
        let before = self.heap_bytes();
        // By an eighth: the memory goal is 13 bytes an entry, all in.
        let capacity = (self.len + (self.len / 8).max(4)).min(cap) as usize;
        let mut grown = Vec::with_capacity(capacity);
        grown.extend_from_slice(&self.entries);
        grown.resize(capacity, [0; 3]);
        self.entries = grown.into_boxed_slice();
        self.next = self.len;
        self.heap_bytes() - before
    }

    /// Appends what is above the floor to `out`, last arrival first: nearly newest first, possibly with repeats.
    pub fn copy_into(&self, out: &mut Vec<Entry>) {
        let (newest, oldest) = self.entries[..self.len as usize].split_at(self.next.min(self.len) as usize);
        let arrivals = newest.iter().rev().chain(oldest.iter().rev());
        let floor = self.floor;
        out.reserve(self.len as usize);
        out.extend(
            arrivals.map(|packed| Entry { id: id_of(packed), author: packed[2] }).filter(|entry| entry.id > floor),
        );
    }

    /// Merges `extra` in, keeps the newest `cap` and sets the floor to at least `floor_min` and to the highest id left
    /// out. Answers by how many bytes the ring grew (negative: shrank).
    pub fn absorb(&mut self, extra: &[Entry], floor_min: u64, cap: u32) -> isize {
        let before = self.heap_bytes() as isize;
        let mut entries = Vec::with_capacity(self.len() + extra.len());
        self.copy_into(&mut entries);
        entries.extend_from_slice(extra);
        self.floor = newest_first(&mut entries, self.floor.max(floor_min), cap as usize);
        let mut packed: Vec<Packed> = Vec::with_capacity(entries.len());
        packed.extend(entries.iter().rev().map(|entry| pack(*entry)));
        self.len = packed.len() as u32;
        self.next = self.len;
        self.entries = packed.into_boxed_slice();
        self.heap_bytes() as isize - before
    }
}

/// Sorts entries newest first, drops repeats, what is at or below `floor`, and all but the newest `cap`. Answers the
/// new floor: the highest id left out, at least `floor`.
pub fn newest_first(entries: &mut Vec<Entry>, floor: u64, cap: usize) -> u64 {
    entries.retain(|entry| entry.id > floor);
    entries.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.id));
    entries.dedup_by_key(|entry| entry.id);
    let floor = entries.get(cap).map_or(floor, |left_out| left_out.id);
    entries.truncate(cap);
    floor
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn read(ring: &Ring) -> Vec<u64> {
        let mut entries = Vec::new();
        ring.copy_into(&mut entries);
        newest_first(&mut entries, ring.floor(), usize::MAX);
        entries.iter().map(|entry| entry.id).collect()
    }

    proptest! {
        #[test]
        fn a_ring_is_complete_above_its_floor(
            cap in 1_u32..12,
            steps in prop::collection::vec((1_u64..60, prop::option::of(prop::collection::vec(1_u64..60, 0..6)), 0_u64..20), 0..80),
        ) {
            let (mut ring, mut pushed, mut bytes) = (Ring::default(), BTreeSet::new(), 0);
            for (id, absorbed, floor_min) in steps {
                if let Some(ids) = absorbed {
                    let extra: Vec<Entry> = ids.iter().map(|id| Entry { id: *id, author: 0 }).collect();
                    bytes += ring.absorb(&extra, floor_min, cap);
                    pushed.extend(ids);
                } else {
                    bytes += ring.push(Entry { id, author: 0 }, cap) as isize;
                    pushed.insert(id);
                }
                let expected: Vec<u64> = pushed.iter().copied().filter(|id| *id > ring.floor()).rev().collect();
                prop_assert_eq!(read(&ring), expected);
                prop_assert!(ring.len() <= cap as usize);
                prop_assert_eq!(bytes, ring.heap_bytes() as isize);
            }
        }
    }

    #[test]
    fn in_order_arrivals_keep_the_newest_and_the_floor_is_the_last_one_dropped() {
        let mut ring = Ring::default();
        for id in 1..=10 {
            ring.push(Entry { id, author: 3 }, 4);
        }
        assert_eq!((read(&ring), ring.floor()), (vec![10, 9, 8, 7], 6));
    }

    #[test]
    fn a_free_slot_takes_nothing() {
        let mut ring = Ring::closed();
        assert_eq!(ring.push(Entry { id: 9, author: 3 }, 4), 0);
        assert_eq!((ring.len(), ring.heap_bytes()), (0, 0));
    }

    #[test]
    fn a_header_is_half_a_cache_line_and_growth_wastes_an_eighth() {
        assert_eq!(size_of::<Ring>(), 32);
        let mut ring = Ring::default();
        for id in 1..=700 {
            ring.push(Entry { id, author: 0 }, 800);
        }
        assert!(ring.heap_bytes() <= 700 * 12 * 9 / 8, "{} bytes", ring.heap_bytes());
    }
}
