//! A bounded cache in front of rows that can change: a reader that was overtaken by a writer never leaves a stale
//! value.

use std::hash::{BuildHasher, Hash};
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;

const EPOCHS: usize = 256;

/// Values by key, bounded by count; the least used make room.
///
/// Writers call [`put`](Self::put) or [`forget`](Self::forget) after the row is durable. Readers that load a row note
/// the key's epoch first; a writer in between moves it, and what was loaded is then not kept.
pub struct Coherent<K, V> {
    cache: Cache<K, V>,
    epochs: Box<[AtomicU64]>,
    hasher: std::hash::RandomState,
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
        Self { cache: Cache::new(entries_max), epochs, hasher: std::hash::RandomState::new() }
    }

    fn slot(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % EPOCHS
    }

    /// The value, if it is here.
    pub fn get(&self, key: &K) -> Option<V> {
        self.cache.get(key)
    }

    /// Epoch to be taken before the row is read.
    pub fn epoch(&self, key: &K) -> Epoch {
        let slot = self.slot(key);
        Epoch { slot, at: self.epochs[slot].load(Ordering::SeqCst) }
    }

    /// Keeps what a reader loaded, unless a writer came since `epoch`.
    pub fn keep(&self, epoch: Epoch, key: &K, value: V) {
        if self.epochs[epoch.slot].load(Ordering::SeqCst) != epoch.at {
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

    /// A writer's new value, kept only where readers hold one already.
    pub fn refresh(&self, key: &K, value: V) {
        self.epochs[self.slot(key)].fetch_add(1, Ordering::SeqCst);
        if self.cache.remove(key).is_some() {
            self.cache.insert(key.clone(), value);
        }
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
}
