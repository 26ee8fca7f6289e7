//! The public timeline as memory has it: which table it is read from (its own, once everything that belongs there is
//! listed in it), and its newest posts.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_engines::Table;
use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::base::limits::PUBLIC_IN_MEMORY;
use crate::data::tables;

/// Memory of the public timeline.
#[derive(Debug, Default)]
pub struct PublicTimeline {
    /// Whether every post that belongs there is in its table.
    all_listed: AtomicBool,
    newest: Mutex<Newest>,
}

/// The newest posts, every one from the floor up.
#[derive(Debug)]
struct Newest {
    floor: Id,
    /// Ascending.
    posts: VecDeque<Id>,
}

impl Default for Newest {
    fn default() -> Self {
        Self { floor: Id(u64::MAX), posts: VecDeque::new() }
    }
}

impl Newest {
    fn insert(&mut self, post: Id) {
        // Those of one partition come in their order, those of several nearly so.
        let later = self.posts.iter().rev().take_while(|known| **known > post).count();
        let place = self.posts.len() - later;
        if place.checked_sub(1).is_none_or(|before| self.posts[before] != post) {
            self.posts.insert(place, post);
        }
        if self.posts.len() > PUBLIC_IN_MEMORY
            && let Some(oldest) = self.posts.pop_front()
        {
            self.floor = self.floor.max(Id(oldest.0 + 1));
        }
    }
}

impl PublicTimeline {
    /// Says whether all are listed.
    pub fn set(&self, all: bool) {
        self.all_listed.store(all, Ordering::Release);
    }

    /// The table that pages are read from.
    #[must_use]
    pub fn table(&self) -> Table {
        if self.all_listed.load(Ordering::Acquire) { tables::PUBLIC } else { tables::TIMELINE }
    }

    /// Learns at the start that `posts` are the newest, newest first, and all from `floor` up. What was made meanwhile
    /// stays.
    pub fn load(&self, posts: &[Id], floor: Id) {
        let mut newest = self.newest.lock();
        newest.floor = floor;
        posts.iter().rev().for_each(|post| newest.insert(*post));
    }

    /// A post was made that belongs there.
    pub fn made(&self, post: Id) {
        self.newest.lock().insert(post);
    }

    /// A post is gone, if it was there.
    pub fn gone(&self, post: Id) {
        let mut newest = self.newest.lock();
        if let Ok(place) = newest.posts.binary_search(&post) {
            newest.posts.remove(place);
        }
    }

    /// At most `limit` posts below `before`, newest first, and the id below which the next ones are; `None` when memory
    /// does not know.
    #[must_use]
    pub fn below(&self, before: Id, limit: usize) -> Option<(Vec<Id>, Option<Id>)> {
        let newest = self.newest.lock();
        if before <= newest.floor {
            return None;
        }
        let end = newest.posts.partition_point(|post| *post < before);
        let known = newest.posts.range(..end).rev().take_while(|post| **post >= newest.floor);
        let posts: Vec<Id> = known.take(limit).copied().collect();
        let next = if posts.len() == limit { posts.last().copied() } else { Some(newest.floor) };
        Some((posts, next.filter(|next| *next > Id(0))))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fanfare_engines::random::Random;

    use super::*;

    /// Every post below `before`, as far as memory knows, and the floor that it stops at.
    fn all(public: &PublicTimeline, mut before: Id, limit: usize) -> (Vec<Id>, Option<Id>) {
        let mut found = Vec::new();
        while let Some((posts, next)) = public.below(before, limit) {
            found.extend(posts);
            match next {
                Some(next) => before = next,
                None => return (found, None),
            }
        }
        (found, Some(before))
    }

    #[test]
    fn memory_has_all_from_its_floor_up_whatever_comes_in_whichever_order() {
        for seed in 0..60 {
            let mut random = Random::new(seed);
            let (public, mut truth) = (PublicTimeline::default(), BTreeSet::new());
            assert_eq!(public.below(Id(u64::MAX), 5), None, "before the start has read anything");
            let stored = 1 + random.below(1_500);
            truth.extend((1..=stored).map(Id));
            let kept: Vec<Id> = truth.iter().rev().take(PUBLIC_IN_MEMORY).copied().collect();
            let floor = if kept.len() < PUBLIC_IN_MEMORY { Id(0) } else { *kept.last().unwrap() };
            // Made while the start reads: it is in what is read, or not.
            public.made(Id(stored));
            public.load(&kept, floor);
            for round in 0..random.below(1_500) {
                let near = Id(1 + (stored + round).saturating_sub(random.below(30)));
                if random.percent(20) {
                    public.gone(near);
                    truth.remove(&near);
                } else {
                    public.made(near);
                    truth.insert(near);
                }
            }
            let (found, floor) = all(&public, Id(u64::MAX), 1 + random.index(50));
            let expected: Vec<Id> =
                truth.iter().rev().filter(|post| floor.is_none_or(|floor| **post >= floor)).copied().collect();
            assert_eq!(found, expected, "seed {seed}, floor {floor:?}");
            assert!(found.len() >= truth.len().min(PUBLIC_IN_MEMORY / 2), "seed {seed}: {}", found.len());
        }
    }
}
