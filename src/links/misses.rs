//! Bound of unknown codes that an address may ask for: whoever looks for links by trying codes is slowed down.

use std::num::NonZeroU32;
use std::sync::Arc;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::base::error::{Error, Result};
use crate::base::limits::links::MISSES_REMEMBERED_MAX;
use crate::base::network::Network;

/// Misses of everybody; clones share them.
#[derive(Clone)]
pub struct Misses(Option<Arc<DefaultKeyedRateLimiter<Network>>>);

impl Misses {
    /// At most `per_minute` of each network, as many at once; 0 counts nothing.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self(NonZeroU32::new(per_minute).map(|count| Arc::new(RateLimiter::keyed(Quota::per_minute(count)))))
    }

    /// Counts a miss.
    ///
    /// # Errors
    /// 429 when there were too many.
    pub fn count(&self, network: Network) -> Result<()> {
        let Some(limiter) = &self.0 else { return Ok(()) };
        if limiter.len() >= MISSES_REMEMBERED_MAX {
            // Those who could do all they may at once again are as those who never came.
            limiter.retain_recent();
        }
        let refused = |retry_after_s| Err(Error::RateLimited { reason: "too many unknown links", retry_after_s });
        if limiter.len() >= MISSES_REMEMBERED_MAX {
            return refused(1);
        }
        match limiter.check_key(&network) {
            Ok(()) => Ok(()),
            Err(until) => {
                let wait = until.wait_time_from(DefaultClock::default().now());
                refused(u32::try_from(wait.as_millis().div_ceil(1_000)).unwrap_or(u32::MAX).max(1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_pass_and_others_are_not_held_up_by_them() {
        let misses = Misses::new(60);
        let network = |last| Network::V4(std::net::Ipv4Addr::new(192, 0, 2, last));
        let passed = (0..200).filter(|_| misses.count(network(1)).is_ok()).count();
        // While they are counted another second may pass.
        assert!((60..=62).contains(&passed), "{passed}");
        assert!(misses.count(network(2)).is_ok());
        assert!(matches!(misses.count(network(1)), Err(Error::RateLimited { retry_after_s: 1, .. })));
        assert!((0..200).all(|_| Misses::new(0).count(network(1)).is_ok()));
    }

    #[test]
    fn memory_stays_flat_however_many_addresses_miss() {
        let misses = Misses::new(60);
        for number in 0..MISSES_REMEMBERED_MAX as u32 + 1_000 {
            let _ = misses.count(Network::V4(std::net::Ipv4Addr::from(number)));
        }
        assert!(misses.0.unwrap().len() <= MISSES_REMEMBERED_MAX);
    }
}
