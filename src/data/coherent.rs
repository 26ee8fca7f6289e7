//! A bounded cache in front of rows that can change: a reader that was overtaken by a writer never leaves a stale
//! value, and a change that may still come is never hidden by one.

use std::collections::HashSet;
use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::locks::Stripes;
use crate::base::limits::IN_DOUBT_MAX;

const EPOCHS: usize = 256;

/// Values by key, bounded by count; the least used make room.
///
/// Writers call [`put`](Self::put) or [`forget`](Self::forget) after the row is durable. Readers that load a row note
/// the key's epoch first; a writer in between moves it, and what was loaded is then not kept. A writer that was told
/// that nobody knows whether the row changed, or will, calls [`doubt`](Self::doubt).
pub struct Coherent<K, V> {
    cache: Cache<K, V>,
    epochs: Box<[AtomicU64]>,
    hasher: Stripes,
    /// Keys of rows of which a change may still come: read from the rows each time.
    in_doubt: Mutex<HashSet<K>>,
    /// Number of those in doubt, so that others need no lock.
    doubts: AtomicUsize,
}

/// Epoch of a key at the start of a load.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    slot: usize,
    at: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Coherent<K, V> {
    /// A cache of at most `entries_max` values.
    #[must_use]
    pub fn new(entries_max: usize) -> Self {
        let epochs = (0..EPOCHS).map(|_| AtomicU64::new(0)).collect();
        let (hasher, in_doubt, doubts) = (Stripes::default(), Mutex::default(), AtomicUsize::new(0));
        Self { cache: Cache::new(entries_max), epochs, hasher, in_doubt, doubts }
    }

    fn slot(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % EPOCHS
    }

    fn is_in_doubt(&self, key: &K) -> bool {
        let doubts = self.doubts.load(Ordering::SeqCst);
        doubts > 0 && (doubts >= IN_DOUBT_MAX || self.in_doubt.lock().contains(key))
    }

    /// A change of the row may have happened, or come at any time: nothing is kept of it until one is
    /// [`sure`](Self::sure).
    pub fn doubt(&self, key: &K) {
        self.change_doubts(|in_doubt| in_doubt.insert(key.clone()));
        self.forget(key);
    }

    /// The row is what the last change made it, and no earlier one can come any more.
    pub fn sure(&self, key: &K) {
        self.change_doubts(|in_doubt| in_doubt.remove(key));
        self.forget(key);
    }

    /// Once there are too many, everything is in doubt.
    fn change_doubts(&self, change: impl FnOnce(&mut HashSet<K>) -> bool) {
        let mut in_doubt = self.in_doubt.lock();
        if in_doubt.len() < IN_DOUBT_MAX {
            change(&mut in_doubt);
            self.doubts.store(in_doubt.len(), Ordering::SeqCst);
        }
    }

    /// The value, if it is here.
    pub fn get(&self, key: &K) -> Option<V> {
        self.cache.get(key).filter(|_| !self.is_in_doubt(key))
    }

    /// Epoch to be taken before the row is read.
    pub fn epoch(&self, key: &K) -> Epoch {
        let slot = self.slot(key);
        Epoch { slot, at: self.epochs[slot].load(Ordering::SeqCst) }
    }

    /// Keeps what a reader loaded, unless a writer came since `epoch`.
    pub fn keep(&self, epoch: Epoch, key: &K, value: V) {
        if self.epochs[epoch.slot].load(Ordering::SeqCst) != epoch.at || self.is_in_doubt(key) {
            return;
        }
        self.cache.insert(key.clone(), value);
        if self.epochs[epoch.slot].load(Ordering::SeqCst) != epoch.at {
            self.cache.remove(key);
        }
    }

    /// A writer's new value.
    pub fn put(&self, key: K, value: V) {
        self.epochs[self.slot(&key)].fetch_add(1, Ordering::SeqCst);
        self.cache.insert(key, value);
    }

    /// A writer's first value of a row, which readers may know already as later writers left it.
    pub fn put_first(&self, key: K, value: V) {
        self.epochs[self.slot(&key)].fetch_add(1, Ordering::SeqCst);
        if self.cache.peek(&key).is_none() {
            self.cache.insert(key, value);
        }
    }

    /// A writer's new value, kept only where readers hold one already.
    pub fn refresh(&self, key: &K, value: V) {
        self.epochs[self.slot(key)].fetch_add(1, Ordering::SeqCst);
        if self.cache.remove(key).is_some() {
            self.cache.insert(key.clone(), value);
        }
    }

    /// Any row may have changed: each is loaded by its next reader.
    pub fn forget_all(&self) {
        for epoch in &self.epochs {
            epoch.fetch_add(1, Ordering::SeqCst);
        }
        self.cache.clear();
    }

    /// The row changed; the next reader loads it.
    pub fn forget(&self, key: &K) {
        self.epochs[self.slot(key)].fetch_add(1, Ordering::SeqCst);
        self.cache.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_loaded_before_a_write_is_not_kept() {
        let cache: Coherent<u64, &str> = Coherent::new(16);
        let epoch = cache.epoch(&1);
        cache.forget(&1);
        cache.keep(epoch, &1, "stale");
        assert_eq!(cache.get(&1), None);
        cache.keep(cache.epoch(&1), &1, "fresh");
        assert_eq!(cache.get(&1), Some("fresh"));
    }

    #[test]
    fn a_first_value_takes_the_place_of_no_other() {
        let cache: Coherent<u64, &str> = Coherent::new(16);
        let epoch = cache.epoch(&1);
        cache.put_first(1, "first");
        cache.keep(epoch, &1, "nothing yet");
        assert_eq!(cache.get(&1), Some("first"), "what was loaded before it is not kept");
        cache.keep(cache.epoch(&2), &2, "later");
        cache.put_first(2, "first");
        assert_eq!(cache.get(&2), Some("later"));
    }

    #[test]
    fn what_a_reader_loaded_before_everything_was_forgotten_is_not_kept() {
        let cache: Coherent<u64, &str> = Coherent::new(16);
        cache.put(2, "known");
        let epoch = cache.epoch(&1);
        cache.forget_all();
        cache.keep(epoch, &1, "stale");
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None));
    }

    #[test]
    fn nothing_is_kept_of_a_row_of_which_a_change_may_come() {
        let cache: Coherent<u64, &str> = Coherent::new(16);
        let epoch = cache.epoch(&1);
        cache.put(1, "before");
        cache.put(2, "another's");
        cache.doubt(&1);
        for epoch in [epoch, cache.epoch(&1)] {
            cache.keep(epoch, &1, "read meanwhile");
            assert_eq!((cache.get(&1), cache.get(&2)), (None, Some("another's")));
        }
        cache.sure(&1);
        assert_eq!(cache.get(&1), None);
        cache.keep(cache.epoch(&1), &1, "after");
        assert_eq!(cache.get(&1), Some("after"));
        for key in 10..10 + IN_DOUBT_MAX as u64 {
            cache.doubt(&key);
        }
        assert_eq!((cache.get(&1), cache.get(&2)), (None, None), "of so many nobody keeps a list");
    }
}
