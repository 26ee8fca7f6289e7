//! Gates of links: while something is found out about the visits that a link has had, there are no further ones.
//!
//! A visit goes through with the gate of its code held open until it is counted. So whoever has shut a gate knows that
//! every visit before is told to whoever counts, and that there is none until the gate opens again.

use std::hash::{BuildHasher as _, RandomState};
use std::pin::pin;

use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

use super::hot::{CodeKey, key};

/// Parts of the gates, so that visits of different links do not meet.
const SHARDS: usize = 64;

/// Gates of all links; nearly always none is shut. Bounded by the requests that shut some.
pub struct Gates {
    shards: Box<[RwLock<Shard>]>,
    hasher: RandomState,
    opened: Notify,
}

/// Gates of some codes.
#[derive(Default)]
struct Shard {
    shut: Vec<CodeKey>,
    /// Times that one of them was shut.
    times_shut: u64,
}

/// Visit on its way through a gate, which stays open until this is dropped.
pub struct Passing<'a>(RwLockReadGuard<'a, Shard>);

/// Gate that is shut until this is dropped.
pub struct Shut<'a>(&'a Gates, CodeKey);

impl Default for Gates {
    fn default() -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, hasher: RandomState::new(), opened: Notify::new() }
    }
}

impl Gates {
    fn of(&self, code: &CodeKey) -> &RwLock<Shard> {
        &self.shards[self.hasher.hash_one(code) as usize % SHARDS]
    }

    /// A way through for a visit of `code`; `None` while its gate is shut.
    #[must_use]
    pub fn pass(&self, code: &str) -> Option<Passing<'_>> {
        let code = key(code);
        let shard = self.of(&code).read();
        if shard.shut.contains(&code) { None } else { Some(Passing(shard)) }
    }

    /// Number that differs once the gate of `code` was shut; that of others may make it differ too.
    #[must_use]
    pub fn times_shut(&self, code: &str) -> u64 {
        self.of(&key(code)).read().times_shut
    }

    /// Shuts the gate of `code`, which nobody else has shut. Whoever was on their way is through.
    #[must_use]
    pub fn shut(&self, code: &str) -> Shut<'_> {
        let code = key(code);
        let mut shard = self.of(&code).write();
        shard.shut.push(code.clone());
        shard.times_shut += 1;
        drop(shard);
        Shut(self, code)
    }

    /// Waits until the gate of `code` is open, or may be.
    pub async fn opened(&self, code: &str) {
        let mut opened = pin!(self.opened.notified());
        // From now on none is missed.
        opened.as_mut().enable();
        if self.pass(code).is_none() {
            opened.await;
        }
    }
}

impl Passing<'_> {
    /// Number of [`Gates::times_shut`].
    #[must_use]
    pub fn times_shut(&self) -> u64 {
        self.0.times_shut
    }
}

impl Drop for Shut<'_> {
    fn drop(&mut self) {
        self.0.of(&self.1).write().shut.retain(|code| *code != self.1);
        self.0.opened.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn whoever_passed_is_counted_before_a_gate_is_shut_and_nobody_passes_until_it_opens() {
        let (gates, counted) = (Arc::new(Gates::default()), Arc::new(parking_lot::Mutex::new(0)));
        let visitors: Vec<_> = (0..4)
            .map(|_| {
                let (gates, counted) = (Arc::clone(&gates), Arc::clone(&counted));
                tokio::spawn(async move {
                    for _ in 0..500 {
                        loop {
                            if let Some(_passing) = gates.pass("busy") {
                                std::thread::yield_now();
                                *counted.lock() += 1;
                                break;
                            }
                            gates.opened("busy").await;
                        }
                    }
                })
            })
            .collect();
        for _ in 0..50 {
            let shut = gates.shut("busy");
            let before = *counted.lock();
            tokio::task::yield_now().await;
            assert_eq!(*counted.lock(), before);
            drop(shut);
            tokio::task::yield_now().await;
        }
        for visitor in visitors {
            visitor.await.unwrap();
        }
        assert_eq!(*counted.lock(), 2_000);
        let _other = gates.shut("other");
        assert!(gates.pass("busy").is_some() && gates.pass("other").is_none());
    }
}
