//! User ids as dense 32-bit indexes: rings, slot lists and follow sets hold four bytes a user instead of eight.
//!
//! First stop of every record and read: an id comes in, everything behind works on indexes.

use std::sync::atomic::{AtomicU32, Ordering};

use fanfare_protocol::Id;
use parking_lot::RwLock;

use crate::base::id_map::IdMap;

/// Dense index of a user, in order of first sight.
pub type UserIndex = u32;

/// Locks of the map; more than twice the cores, so that readers seldom meet.
const INTERNER_SHARDS: usize = 64;

/// Ids to indexes. Never forgets: about 20 bytes a user that was ever seen as author, reader or relation.
pub struct Interner {
    shards: Box<[RwLock<IdMap<u64, UserIndex>>]>,
    next: AtomicU32,
}

impl Interner {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { shards: (0..INTERNER_SHARDS).map(|_| RwLock::default()).collect(), next: AtomicU32::new(0) }
    }

    /// The index of `user`, if it was ever seen.
    #[must_use]
    pub fn get(&self, user: Id) -> Option<UserIndex> {
        self.shard(user).read().get(&user.0).copied()
    }

    /// The index of `user`; a new one is passed to `on_new` before anybody else can see it.
    pub fn intern(&self, user: Id, on_new: impl FnOnce(UserIndex)) -> UserIndex {
        if let Some(index) = self.get(user) {
            return index;
        }
        let mut map = self.shard(user).write();
        if let Some(index) = map.get(&user.0) {
            return *index;
        }
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        on_new(index);
        map.insert(user.0, index);
        index
    }

    /// Users seen so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.next.load(Ordering::Relaxed) as usize
    }

    fn shard(&self, user: Id) -> &RwLock<IdMap<u64, UserIndex>> {
        // High bits of another multiplier than the map's, so that one shard's keys still spread over its buckets.
        let spread = user.0.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 32;
        &self.shards[spread as usize % INTERNER_SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_keeps_the_first_index() {
        let interner = Interner::new();
        let mut seen = Vec::new();
        for user in [7, 9, 7, 1, 9] {
            interner.intern(Id(user), |index| seen.push((user, index)));
        }
        assert_eq!(seen, [(7, 0), (9, 1), (1, 2)]);
        assert_eq!((interner.get(Id(9)), interner.get(Id(8)), interner.len()), (Some(1), None, 3));
    }
}
