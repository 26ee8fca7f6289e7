//! The newest posts of one author, in memory: rebuilds and merges read these first and seldom need the tables.

use std::collections::VecDeque;

use super::interner::UserIndex;
use crate::data::rows::EntryKind;

/// Recent post. 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recent {
    /// The post.
    pub id: u64,
    /// Author of the post answered or passed on; unused for plain ones.
    pub related: UserIndex,
    /// Kind of post.
    pub kind: EntryKind,
}

/// Answer of [`Recents::supply`] and of whoever reads on in the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Older {
    /// No older ones.
    None,
    /// Maybe some below this id.
    Below(u64),
}

impl Older {
    /// The bound, 0 for none.
    #[must_use]
    pub fn bound(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Below(id) => id,
        }
    }
}

/// Recent posts, oldest first, complete above a floor.
#[derive(Debug, Default)]
pub struct Recents {
    entries: VecDeque<Recent>,
    /// Every post of the author above this id is here; 0: every post there ever was.
    floor: u64,
}

impl Recents {
    /// Adds a post, wherever its id belongs; then keeps the newest `count_max` that are not below `oldest`.
    pub fn insert(&mut self, recent: Recent, count_max: usize, oldest: u64) {
        if recent.id <= self.floor {
            return;
        }
        // Nearly all come in their order; a start fills in millions.
        let at = match self.entries.back() {
            Some(last) if last.id >= recent.id => self.entries.partition_point(|entry| entry.id < recent.id),
            _ => self.entries.len(),
        };
        if self.entries.get(at).is_none_or(|entry| entry.id != recent.id) {
            if self.entries.len() == self.entries.capacity() {
                self.entries.reserve_exact((self.entries.len() / 4).max(2));
            }
            self.entries.insert(at, recent);
        }
        while self.entries.len() > count_max || self.entries.front().is_some_and(|entry| entry.id < oldest) {
            if let Some(gone) = self.entries.pop_front() {
                self.floor = self.floor.max(gone.id);
            }
        }
    }

    /// Claims nothing at or below `floor` from now on.
    pub fn raise_floor(&mut self, floor: u64) {
        self.floor = self.floor.max(floor);
        while self.entries.front().is_some_and(|entry| entry.id <= floor) {
            self.entries.pop_front();
        }
    }

    /// A post was deleted. The floor stays: it speaks of posts that are not.
    pub fn remove(&mut self, id: u64) {
        if let Ok(at) = self.entries.binary_search_by_key(&id, |entry| entry.id) {
            self.entries.remove(at);
        }
    }

    /// Forgets all posts: they are gone with their author.
    pub fn clear(&mut self) {
        self.entries = VecDeque::new();
    }

    /// Appends up to `max` ids in `lower..before`, newest first, and tells what may be older. `None`: nothing of the
    /// range is known here, ask the tables.
    pub fn supply(&self, before: u64, lower: u64, max: usize, out: &mut Vec<u64>) -> Option<Older> {
        if before <= self.floor.saturating_add(1) {
            return None;
        }
        let end = self.entries.partition_point(|entry| entry.id < before);
        let before_them = out.len();
        for entry in self.entries.range(..end).rev().take_while(|entry| entry.id >= lower) {
            if out.len() - before_them == max {
                return Some(out.last().map_or(Older::Below(before), |last| Older::Below(*last)));
            }
            out.push(entry.id);
        }
        Some(if self.floor < lower.max(1) { Older::None } else { Older::Below(self.floor.saturating_add(1)) })
    }

    /// Up to `limit` entries below `before`, newest first; `None` when older ones that belong to them may be missing.
    #[must_use]
    pub fn newest(&self, before: u64, limit: usize) -> Option<Vec<Recent>> {
        let end = self.entries.partition_point(|entry| entry.id < before);
        let entries: Vec<Recent> = self.entries.range(..end).rev().take(limit).copied().collect();
        (entries.len() == limit || self.floor == 0).then_some(entries)
    }

    /// Posts held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Bytes on the heap.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Recent>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recents(ids: &[u64], max: usize) -> Recents {
        let mut recents = Recents::default();
        for id in ids {
            recents.insert(Recent { id: *id, related: 0, kind: EntryKind::Plain }, max, 0);
        }
        recents
    }

    fn supply(recents: &Recents, before: u64, lower: u64, max: usize) -> Option<(Vec<u64>, Older)> {
        let mut ids = Vec::new();
        recents.supply(before, lower, max, &mut ids).map(|older| (ids, older))
    }

    #[test]
    fn an_entry_is_sixteen_bytes() {
        assert_eq!(size_of::<Recent>(), 16);
    }

    #[test]
    fn what_was_cut_off_is_never_claimed() {
        let recents = recents(&[10, 20, 30, 40], 2);
        assert_eq!(supply(&recents, u64::MAX, 0, 9), Some((vec![40, 30], Older::Below(21))));
        assert_eq!(supply(&recents, u64::MAX, 21, 9), Some((vec![40, 30], Older::None)));
        assert_eq!(supply(&recents, 21, 0, 9), None);
        assert_eq!(supply(&recents, 22, 0, 9), Some((vec![], Older::Below(21))));
        assert_eq!(recents.newest(u64::MAX, 3), None);
        assert_eq!(recents.newest(u64::MAX, 2).map(|entries| entries.len()), Some(2));
    }

    #[test]
    fn a_whole_history_ends_without_asking() {
        let mut recents = recents(&[20, 10, 30, 20], 9);
        assert_eq!(supply(&recents, u64::MAX, 0, 2), Some((vec![30, 20], Older::Below(20))));
        assert_eq!(supply(&recents, 20, 0, 2), Some((vec![10], Older::None)));
        recents.remove(30);
        assert_eq!(supply(&recents, u64::MAX, 15, 9), Some((vec![20], Older::None)));
        recents.clear();
        assert_eq!(supply(&recents, u64::MAX, 0, 9), Some((vec![], Older::None)));
    }

    #[test]
    fn age_cuts_off_like_count() {
        let mut recents = recents(&[10, 20], 9);
        recents.insert(Recent { id: 50, related: 0, kind: EntryKind::Plain }, 9, 15);
        assert_eq!(supply(&recents, u64::MAX, 0, 9), Some((vec![50, 20], Older::Below(11))));
        recents.insert(Recent { id: 9, related: 0, kind: EntryKind::Plain }, 9, 0);
        assert_eq!(recents.len(), 2);
    }
}
