//! Striped locks: decisions that read rows and then commit a record are made one at a time per person or post.
//!
//! A stripe is held from the reading of the rows until the record is durable, so that of two equal requests the second
//! sees what the first did. All stripes of a decision are taken together, in order: no deadlock. Who holds one may be
//! waiting for storage; nobody else waits for them while it is away.

use std::hash::BuildHasher;
use std::sync::Arc;

use tokio::sync::{Mutex, OwnedMutexGuard};

use super::storage::Storage;
use crate::base::error::Result;
use crate::base::limits;

/// Key of a lock: an area and up to two ids. One type for all: the same numbers of another width would be another
/// stripe.
pub type LockKey = (&'static str, u64, u64);

/// Hashes that tell which keys share a stripe, or whatever else is divided so.
#[cfg(not(test))]
pub(super) type Stripes = std::hash::RandomState;
/// Hashes that are the same in each process: histories of tests follow from their seeds.
#[cfg(test)]
pub(super) type Stripes = std::hash::BuildHasherDefault<std::hash::DefaultHasher>;

/// A set of striped locks.
#[derive(Clone)]
pub struct Locks {
    stripes: Arc<[Arc<Mutex<()>>]>,
    hasher: Stripes,
    storage: Storage,
}

/// Stripes that are held; dropping it lets them go.
pub struct Held {
    _guards: Vec<OwnedMutexGuard<()>>,
}

impl Locks {
    /// Locks of those who write to `storage`.
    #[must_use]
    pub fn new(storage: Storage) -> Self {
        let stripes = (0..limits::LOCK_STRIPES).map(|_| Arc::new(Mutex::new(()))).collect();
        Self { stripes, hasher: Stripes::default(), storage }
    }

    /// Set of its own, for those who take one lock before those of this set.
    #[must_use]
    pub fn outer(&self) -> Self {
        Self::new(self.storage.clone())
    }

    /// Waits for the stripes of all `keys`.
    ///
    /// # Errors
    /// 503 when they are held while storage is away, or has failed: nothing was begun.
    pub async fn hold(&self, keys: &[LockKey]) -> Result<Held> {
        Ok(self.storage.unless_away(self.take(keys)).await?)
    }

    async fn take(&self, keys: &[LockKey]) -> Held {
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

#[cfg(test)]
mod tests {
    use fanfare_engines::EngineError;
    use futures_util::FutureExt as _;

    use super::*;
    use crate::base::error::Error;
    use crate::data::storage::StoragePart;

    /// Strangers whose key shares a stripe with one that is held hung, and held what they had so far.
    #[tokio::test]
    async fn nobody_waits_for_locks_over_storage_that_is_away() {
        for waits_before in [true, false] {
            let storage = Storage::default();
            let locks = Locks::new(storage.clone());
            let held = locks.hold(&[("post", 2, 0)]).await.unwrap();
            let keys = [("post", 1, 0), ("post", 2, 0), ("post", 3, 0)];
            let mut waiting = Box::pin(locks.hold(&keys));
            if waits_before {
                assert!(waiting.as_mut().now_or_never().is_none());
            }
            storage.goes(StoragePart::Log, &"it hangs");
            assert!(matches!(waiting.await, Err(Error::Engine(EngineError::Unavailable(_)))), "{waits_before}");
            locks.hold(&keys[..1]).await.unwrap();
            storage.works(StoragePart::Log);
            let mut waiting = Box::pin(locks.hold(&keys));
            assert!(waiting.as_mut().now_or_never().is_none());
            drop(held);
            waiting.await.unwrap();
        }
    }
}
