//! State with a time to live. An engine may lose it at any moment; these checks ask for one that does not just now.

use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;

use super::{Open, refused, sure, text};
use crate::Engines;
use crate::limits::{EPHEMERAL_KEY_BYTES_MAX, EPHEMERAL_TTL_MAX, EPHEMERAL_VALUE_BYTES_MAX};

const TTL: Duration = Duration::from_secs(2);

/// Checks the [`Ephemeral`](crate::Ephemeral) of an engine; `elapse` lets time pass for it.
pub async fn ephemeral(open: Open<'_>, elapse: impl AsyncFn(Duration)) {
    values_live_and_expire(open(), &elapse).await;
    leases_are_held_and_renewed(open(), &elapse).await;
    counters_add_up_and_expire(open(), &elapse).await;
    one_of_many_takes(open()).await;
    limits_are_refused(open()).await;
}

async fn get(engines: &Engines, key: &[u8]) -> Option<Bytes> {
    sure(|| engines.ephemeral.get(key)).await
}

async fn values_live_and_expire(engines: Engines, elapse: &impl AsyncFn(Duration)) {
    assert_eq!(get(&engines, b"key").await, None);
    sure(|| engines.ephemeral.put(b"key", text("value"), TTL)).await;
    elapse(TTL / 2).await;
    assert_eq!(get(&engines, b"key").await, Some(text("value")));
    sure(|| engines.ephemeral.put(b"key", text("newer"), TTL)).await;
    elapse(TTL / 2).await;
    assert_eq!(get(&engines, b"key").await, Some(text("newer")), "putting again starts the time anew");
    elapse(TTL).await;
    assert_eq!(get(&engines, b"key").await, None);
    assert_eq!(sure(|| engines.ephemeral.take(b"key")).await, None);
}

async fn leases_are_held_and_renewed(engines: Engines, elapse: &impl AsyncFn(Duration)) {
    let claim = async |owner: &str| sure(|| engines.ephemeral.put_if_absent(b"lease", text(owner), TTL)).await;
    let renew = async |owner: &str| sure(|| engines.ephemeral.renew(b"lease", owner.as_bytes(), TTL)).await;
    assert!(!renew("one").await);
    assert!(claim("one").await);
    assert!(!claim("two").await);
    elapse(TTL / 2).await;
    assert!(!renew("two").await);
    assert!(renew("one").await);
    elapse(TTL * 3 / 4).await;
    assert!(!claim("two").await, "a renewed lease ended early");
    elapse(TTL).await;
    assert!(!renew("one").await, "an expired lease was renewed");
    assert!(claim("two").await);
}

async fn counters_add_up_and_expire(engines: Engines, elapse: &impl AsyncFn(Duration)) {
    let add = async |amount: u64| sure(|| engines.ephemeral.add(b"count", amount, TTL)).await;
    assert_eq!(add(0).await, 0);
    assert_eq!(add(2).await, 2);
    elapse(TTL / 2).await;
    assert_eq!(add(3).await, 5);
    elapse(TTL / 2).await;
    assert_eq!(add(1).await, 1, "a counter lives from its first addition");
}

async fn one_of_many_takes(engines: Engines) {
    for _ in 0..20 {
        sure(|| engines.ephemeral.put(b"key", text("prize"), TTL)).await;
        let mut tasks = JoinSet::new();
        for _ in 0..8 {
            let engines = engines.clone();
            tasks.spawn(async move { sure(|| engines.ephemeral.take(b"key")).await });
        }
        let takers = tasks.join_all().await.into_iter().flatten().count();
        assert_eq!(takers, 1);
    }
}

async fn limits_are_refused(engines: Engines) {
    let long_key = vec![0; EPHEMERAL_KEY_BYTES_MAX + 1];
    let large = Bytes::from(vec![0; EPHEMERAL_VALUE_BYTES_MAX + 1]);
    for key in [b"".as_slice(), &long_key] {
        refused("a bad key", || engines.ephemeral.put(key, Bytes::new(), TTL)).await;
        refused("getting a bad key", || engines.ephemeral.get(key)).await;
        refused("taking a bad key", || engines.ephemeral.take(key)).await;
        refused("adding to a bad key", || engines.ephemeral.add(key, 1, TTL)).await;
    }
    refused("a large value", || engines.ephemeral.put(b"key", large.clone(), TTL)).await;
    for ttl in [Duration::ZERO, EPHEMERAL_TTL_MAX + Duration::from_millis(1)] {
        refused("a bad time to live", || engines.ephemeral.put(b"key", Bytes::new(), ttl)).await;
        refused("a bad lease", || engines.ephemeral.put_if_absent(b"key", Bytes::new(), ttl)).await;
    }
}
