//! Requests that may come twice: a key is at work, was used before, or is fresh.
//!
//! What a key made is stored in the same batch as the thing itself; here the row is read, and two requests with one key
//! at the same time are kept apart.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::Batch;
use fanfare_protocol::{Code, Id};
use parking_lot::Mutex;

use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits;
use crate::data::rows::{IdempotencyRow, from_json, to_json};
use crate::data::store::Store;
use crate::data::tables;
use crate::log::events::{IdempotencyKey, Record};
use crate::log::fold::Fold;
use crate::log::outcome::Outcome;

const HOUR_MS: u64 = 3_600_000;

/// Caller, route and key.
type InFlight = (Id, String, String);

/// Keys of one kind of request; clones share what is at work.
#[derive(Clone)]
pub struct Idempotency {
    store: Arc<Store>,
    in_flight: Arc<Mutex<HashSet<InFlight>>>,
}

/// State of a key when a request claims it.
pub enum KeyUse {
    /// Nobody used it lately; hold this until the effect is durable.
    Fresh(Claimed),
    /// Used before, by an equal request.
    Repeat {
        /// Id of the thing that the request made, or found.
        made: Id,
        /// Moment of the first request, in milliseconds since the Unix epoch.
        at_ms: u64,
    },
}

/// A key at work; dropping it frees the key.
pub struct Claimed {
    set: Arc<Mutex<HashSet<InFlight>>>,
    key: InFlight,
}

impl Drop for Claimed {
    fn drop(&mut self) {
        self.set.lock().remove(&self.key);
    }
}

impl Idempotency {
    /// Keys over the rows of `store`.
    #[must_use]
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, in_flight: Arc::default() }
    }

    /// Claims a key at `now_ms`.
    ///
    /// # Errors
    /// 409 while another request with the key is at work, 422 when it was used with another body within 24 hours.
    pub async fn claim(&self, key: &IdempotencyKey, now_ms: u64) -> Result<KeyUse> {
        let name = (key.caller, key.route.clone(), key.key.clone());
        if !self.in_flight.lock().insert(name.clone()) {
            return Err(Error::refused(Code::Conflict, "a request with this Idempotency-Key is still at work"));
        }
        let claimed = Claimed { set: Arc::clone(&self.in_flight), key: name };
        let row = tables::idempotency_row(key.caller, &key.route, &key.key);
        let Some(bytes) = self.store.get(&row).await? else { return Ok(KeyUse::Fresh(claimed)) };
        let row: IdempotencyRow = from_json(&bytes)?;
        if row.at_ms + limits::IDEMPOTENCY_MS <= now_ms {
            return Ok(KeyUse::Fresh(claimed));
        }
        match row.body_hash == key.body_hash {
            true => Ok(KeyUse::Repeat { made: row.made, at_ms: row.at_ms }),
            false => Err(Error::field("Idempotency-Key", "was used with another body; take a new key")),
        }
    }
}

/// Rows of the keys that records carry.
pub struct IdempotencyFold;

impl Fold for IdempotencyFold {
    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        record.idempotency.as_ref().map_or(Ok(()), |key| remember(key, record.id, record.id, batch))
    }
}

/// Adds to `batch` that `key` made `made`, until it expires. `version` is an id of now.
///
/// # Errors
/// When the row does not encode.
pub fn remember(key: &IdempotencyKey, made: Id, version: Id, batch: &mut Batch) -> Result<()> {
    let row = tables::idempotency_row(key.caller, &key.route, &key.key);
    let at_ms = unix_ms_of(version);
    let value = IdempotencyRow { body_hash: key.body_hash.clone(), made, at_ms };
    let hour = (at_ms / HOUR_MS) as u32;
    batch.put(tables::expiry_row(hour + limits::IDEMPOTENCY_HOURS + 1, &row), Bytes::new());
    batch.put_versioned(row, to_json(&value)?, version.0);
    Ok(())
}
