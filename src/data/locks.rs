//! Striped locks: decisions that read rows and then commit a record are made one at a time per person or post.
//!
//! A stripe is held from the reading of the rows until the record is durable, so that of two equal requests the second
//! sees what the first did. All stripes of a decision are taken together, in order: no deadlock.

use std::hash::BuildHasher;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::base::limits;

/// Key of a lock: an area and up to two ids. One type for all: the same numbers of another width would be another
/// stripe.
pub type LockKey = (&'static str, u64, u64);

/// A set of striped locks.
#[derive(Clone)]
pub struct Locks {
    stripes: Arc<[Arc<Mutex<()>>]>,
    hasher: std::hash::RandomState,
}

/// Stripes that are held; dropping it lets them go.
pub struct Held {
    _guards: Vec<OwnedMutexGuard<()>>,
}

impl Default for Locks {
    fn default() -> Self {
        let stripes = (0..limits::LOCK_STRIPES).map(|_| Arc::new(Mutex::new(()))).collect();
        Self { stripes, hasher: std::hash::RandomState::new() }
    }
}

impl Locks {
    /// Waits for the stripes of all `keys`.
    pub async fn hold(&self, keys: &[LockKey]) -> Held {
        let mut indices: Vec<usize> =
            keys.iter().map(|key| self.hasher.hash_one(key) as usize % self.stripes.len()).collect();
        indices.sort_unstable();
        indices.dedup();
        let mut guards = Vec::with_capacity(indices.len());
        for index in indices {
            guards.push(Arc::clone(&self.stripes[index]).lock_owned().await);
        }
        Held { _guards: guards }
    }
}
