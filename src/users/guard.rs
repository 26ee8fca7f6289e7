//! The guard at the password: hands attempts to the pure count, waits where it says so, and settles each of them, also
//! one whose request was cut off.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::attempts::{Admission, Attempts, Bounds, HandleHash, Tried};
use crate::base::clock::Clock;
use crate::base::error::{Error, Result};
use crate::base::network::Network;

/// Shared by all log-ins; clones share it. It is in memory: a restart forgets.
#[derive(Clone)]
pub struct PasswordGuard(Arc<Inner>);

struct Inner {
    attempts: Mutex<Attempts>,
    settled: Notify,
    clock: Clock,
    /// Hasher with a key that nobody knows: handles that share a hash cannot be made.
    hasher: RandomState,
}

/// An attempt under way. Dropping it unsettled counts as nothing.
pub struct Attempt {
    guard: PasswordGuard,
    account: HandleHash,
    network: Network,
    outcome: Tried,
}

impl Attempt {
    /// Ends the attempt.
    pub fn was(mut self, right: bool) {
        self.outcome = if right { Tried::Right } else { Tried::Wrong };
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Inner { attempts, settled, clock, .. } = &*self.guard.0;
        attempts.lock().settle(clock.now_ms(), self.account, self.network, self.outcome);
        settled.notify_waiters();
    }
}

/// A request that waits for an attempt under way.
struct Waiting<'a> {
    attempts: &'a Mutex<Attempts>,
    network: Network,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.attempts.lock().waited(self.network);
    }
}

impl PasswordGuard {
    /// Nobody has tried yet.
    #[must_use]
    pub fn new(bounds: Bounds, clock: Clock) -> Self {
        let attempts = Mutex::new(Attempts::new(bounds));
        Self(Arc::new(Inner { attempts, settled: Notify::new(), clock, hasher: RandomState::new() }))
    }

    /// Lets an attempt at the password of `handle` through, whether or not there is such an account.
    ///
    /// # Errors
    /// 429 after too many wrong ones, and when too many requests wait for attempts of the same network.
    pub async fn attempt(&self, handle: &str, from: IpAddr) -> Result<Attempt> {
        let inner = &*self.0;
        let (account, network) = (HandleHash(inner.hasher.hash_one(handle.to_lowercase())), Network::from(from));
        let mut waiting = None;
        loop {
            let settled = inner.settled.notified();
            tokio::pin!(settled);
            // Before the look: what is settled after it wakes this one.
            settled.as_mut().enable();
            let entry = inner.attempts.lock().begin(inner.clock.now_ms(), account, network);
            match entry {
                Admission::Go => {
                    return Ok(Attempt { guard: self.clone(), account, network, outcome: Tried::Unknown });
                }
                Admission::Wait => {
                    if waiting.is_none() {
                        if !inner.attempts.lock().wait(network) {
                            metrics::counter!("fanfare_shed_total", "what" => "log_ins_of_address").increment(1);
                            return Err(Error::RateLimited { reason: "too many log-ins at once", retry_after_s: 1 });
                        }
                        waiting = Some(Waiting { attempts: &inner.attempts, network });
                    }
                    settled.await;
                }
                Admission::Refused { retry_after_ms } => {
                    let retry_after_s = u32::try_from(retry_after_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
                    return Err(Error::RateLimited { reason: "too many wrong passwords", retry_after_s });
                }
            }
        }
    }
}
