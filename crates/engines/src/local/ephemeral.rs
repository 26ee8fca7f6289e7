//! A sharded map with expiry. Expired entries are invisible at once and swept a few at a time by later writes.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::limits::{check_ephemeral, check_ephemeral_key};
use crate::ports::{EngineError, Ephemeral};

/// Bytes that an engine's ephemeral store holds unless told otherwise.
pub const EPHEMERAL_BYTES_DEFAULT: usize = 128 * 1024 * 1024;

/// Locks that keys are spread over.
const SHARDS: usize = 16;
/// Expired entries that one write sweeps at most.
const SWEEP_MAX: usize = 8;
/// Rough bytes an entry costs beside its key (held twice) and value: two tree nodes' shares, map slot, headers.
const ENTRY_OVERHEAD_BYTES: usize = 160;

struct Entry {
    value: Bytes,
    expires: Instant,
}

#[derive(Default)]
struct Shard {
    entries: HashMap<Bytes, Entry>,
    by_expiry: BTreeSet<(Instant, Bytes)>,
    bytes: usize,
}

impl Shard {
    fn live(&self, key: &[u8], now: Instant) -> Option<&Entry> {
        self.entries.get(key).filter(|entry| entry.expires > now)
    }

    fn remove(&mut self, key: &[u8]) -> Option<Entry> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.bytes -= cost(&key, &entry.value);
        self.by_expiry.remove(&(entry.expires, key));
        Some(entry)
    }

    fn insert(&mut self, key: &[u8], value: Bytes, expires: Instant) {
        self.remove(key);
        let key = Bytes::copy_from_slice(key);
        self.bytes += cost(&key, &value);
        self.by_expiry.insert((expires, key.clone()));
        self.entries.insert(key, Entry { value, expires });
    }

    /// Sweeps some expired entries, then what expires soonest until the shard fits.
    fn tidy(&mut self, now: Instant, bytes_max: usize) {
        let mut swept = 0;
        while let Some((expires, key)) = self.by_expiry.first().cloned() {
            let expired = expires <= now && swept < SWEEP_MAX;
            if !expired && self.bytes <= bytes_max {
                break;
            }
            self.remove(&key);
            swept += 1;
        }
    }
}

fn cost(key: &[u8], value: &[u8]) -> usize {
    2 * key.len() + value.len() + ENTRY_OVERHEAD_BYTES
}

/// Ephemeral values inside one process.
pub struct LocalEphemeral {
    shards: Vec<Mutex<Shard>>,
    hasher: RandomState,
    shard_bytes_max: usize,
}

impl LocalEphemeral {
    /// A store that holds about `bytes_max` bytes; beyond, what expires soonest goes (within the shard that is full).
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { shards, hasher: RandomState::new(), shard_bytes_max: bytes_max / SHARDS }
    }

    fn with<T>(&self, key: &[u8], act: impl FnOnce(&mut Shard, Instant) -> T) -> T {
        let hash = self.hasher.hash_one(key);
        let mut shard = self.shards[hash as usize % SHARDS].lock();
        let now = Instant::now();
        let answer = act(&mut shard, now);
        shard.tidy(now, self.shard_bytes_max);
        answer
    }
}

#[async_trait]
impl Ephemeral for LocalEphemeral {
    async fn put(&self, key: &[u8], value: Bytes, ttl: Duration) -> Result<(), EngineError> {
        check_ephemeral(key, &value, ttl)?;
        self.with(key, |shard, now| shard.insert(key, value, now + ttl));
        Ok(())
    }

    async fn put_if_absent(&self, key: &[u8], value: Bytes, ttl: Duration) -> Result<bool, EngineError> {
        check_ephemeral(key, &value, ttl)?;
        Ok(self.with(key, |shard, now| {
            let free = shard.live(key, now).is_none();
            if free {
                shard.insert(key, value, now + ttl);
            }
            free
        }))
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        check_ephemeral_key(key)?;
        Ok(self.with(key, |shard, now| shard.live(key, now).map(|entry| entry.value.clone())))
    }

    async fn take(&self, key: &[u8]) -> Result<Option<Bytes>, EngineError> {
        check_ephemeral_key(key)?;
        Ok(self.with(key, |shard, now| shard.remove(key).filter(|entry| entry.expires > now).map(|entry| entry.value)))
    }

    async fn renew(&self, key: &[u8], expected: &[u8], ttl: Duration) -> Result<bool, EngineError> {
        check_ephemeral(key, expected, ttl)?;
        Ok(self.with(key, |shard, now| {
            let Some(value) = shard.live(key, now).map(|entry| entry.value.clone()) else { return false };
            let mine = value == expected;
            if mine {
                shard.insert(key, value, now + ttl);
            }
            mine
        }))
    }

    async fn add(&self, key: &[u8], amount: u64, ttl: Duration) -> Result<u64, EngineError> {
        check_ephemeral(key, &[], ttl)?;
        self.with(key, |shard, now| {
            let (sum, expires) = match shard.live(key, now) {
                None => (amount, now + ttl),
                Some(entry) => {
                    let Ok(sum) = <[u8; 8]>::try_from(entry.value.as_ref()) else {
                        return Err(EngineError::Limit("only a counter can be added to".into()));
                    };
                    (u64::from_be_bytes(sum).saturating_add(amount), entry.expires)
                }
            };
            shard.insert(key, Bytes::copy_from_slice(&sum.to_be_bytes()), expires);
            Ok(sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TTL: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn expired_entries_leave_memory_as_others_are_written() {
        let store = LocalEphemeral::new(EPHEMERAL_BYTES_DEFAULT);
        for key in 0..1_000_u32 {
            store.put(&key.to_be_bytes(), Bytes::from_static(b"value"), TTL).await.unwrap();
        }
        tokio::time::advance(TTL).await;
        for key in 0..1_000_u32 {
            store.put(&(key % 100).to_be_bytes(), Bytes::from_static(b"value"), TTL).await.unwrap();
        }
        let kept: usize = store.shards.iter().map(|shard| shard.lock().entries.len()).sum();
        assert_eq!(kept, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_lets_go_of_what_expires_soonest() {
        let store = LocalEphemeral::new(SHARDS * 100 * (ENTRY_OVERHEAD_BYTES + 16));
        store.put(b"long", Bytes::new(), 100 * TTL).await.unwrap();
        for key in 0..100_000_u64 {
            store.put(&key.to_be_bytes(), Bytes::new(), TTL).await.unwrap();
        }
        assert!(store.get(b"long").await.unwrap().is_some());
        for shard in &store.shards {
            let shard = shard.lock();
            assert!(shard.bytes <= store.shard_bytes_max);
            assert_eq!(shard.entries.len(), shard.by_expiry.len());
        }
    }
}
