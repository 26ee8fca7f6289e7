//! Follower: tells views what is settled, which is durable with its rows written. On one node the owner hands over to
//! it directly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanfare_protocol::Id;

use crate::log::product::{Committed, Listener};

/// Id of the last record that every view has heard of. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Settled(Arc<AtomicU64>);

impl Settled {
    /// The id; 0 before the first record.
    #[must_use]
    pub fn get(&self) -> Id {
        Id(self.0.load(Ordering::Acquire))
    }
}

/// Views in the order in which they are told, on one thread: caches, the feed, delivery.
pub(super) struct Follower {
    listeners: Vec<Arc<dyn Listener>>,
    settled: Settled,
}

impl Follower {
    /// For views that were filled with everything up to `last`.
    pub(super) fn new(listeners: Vec<Arc<dyn Listener>>, last: Id) -> Self {
        Self { listeners, settled: Settled(Arc::new(AtomicU64::new(last.0))) }
    }

    /// Position that this follower moves on.
    pub(super) fn settled(&self) -> Settled {
        self.settled.clone()
    }

    /// Tells of records whose rows are written, in their order.
    pub(super) fn hear(&self, committed: &[Committed]) {
        let Some(last) = committed.last().map(|one| one.record.id) else { return };
        for listener in &self.listeners {
            // Of one partition, the last record is the horizon.
            listener.committed(committed, last);
        }
        self.settled.0.store(last.0, Ordering::Release);
    }
}
