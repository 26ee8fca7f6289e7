//! Keys of live sessions.

use bytes::Bytes;
use fanfare_engines::RowKey;
use fanfare_protocol::Id;

use super::{LIVE_OPEN, LIVE_REMINDING, LIVE_TIMELINE, ONE, bucket_of, partition, timeline_partition};
use crate::base::limits::live::OPEN_PARTITIONS;

/// Partition of the open sessions of `host`.
#[must_use]
pub fn live_open_partition(host: Id) -> u64 {
    (host.0.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % OPEN_PARTITIONS
}

/// Key of a partition of the open sessions.
#[must_use]
pub fn live_open_key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&[number as u8])
}

/// Row of a session among the open ones.
#[must_use]
pub fn live_open_row(host: Id, session: Id) -> RowKey {
    let clustering = [host.to_bytes(), session.to_bytes()].concat();
    RowKey::new(LIVE_OPEN, live_open_key(live_open_partition(host)), clustering)
}

/// Row of a replay among all by age.
#[must_use]
pub fn live_timeline_row(ended: Id) -> RowKey {
    RowKey::new(LIVE_TIMELINE, timeline_partition(bucket_of(ended)), partition(ended))
}

/// Row that says the reminders of a session are to be gone through.
#[must_use]
pub fn live_reminding_row(session: Id) -> RowKey {
    RowKey::new(LIVE_REMINDING, ONE, partition(session))
}
