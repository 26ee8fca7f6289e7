//! State with a time to live: presence, leases, limits, routes, second-level caches.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::EngineError;

/// Short-lived values by key. May lose everything at any moment; nothing durable leans on it.
///
/// Each call is atomic. Keys are 1 to 256 bytes, values at most 64 KiB, times to live at most 24 h. When the engine is
/// full it lets go of what expires soonest.
#[async_trait]
pub trait Ephemeral: Send + Sync + 'static {
    /// Sets a value that lives for `ttl`.
    async fn put(&self, key: &[u8], value: Bytes, ttl: Duration) -> Result<(), EngineError>;

    /// Sets a value only if the key is free; true when it was set. A lease.
    async fn put_if_absent(&self, key: &[u8], value: Bytes, ttl: Duration) -> Result<bool, EngineError>;

    /// The value, unless it has expired.
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Removes and answers the value: of two takers one gets it.
    async fn take(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError>;

    /// Lets the value live for another `ttl` if it still is `expected`; true when it was. Renews a lease.
    async fn renew(&self, key: &[u8], expected: &[u8], ttl: Duration) -> Result<bool, EngineError>;

    /// Adds to a counter that starts at 0 and lives for `ttl` from its first addition; answers the sum. A key that
    /// [`put`](Self::put) set is no counter ([`Limit`](EngineError::Limit)).
    async fn add(&self, key: &[u8], amount: u64, ttl: Duration) -> Result<u64, EngineError>;
}
