//! Keys of rows, a function a table, beside those that any table may have.

use bytes::Bytes;
use fanfare_engines::RowKey;
use fanfare_protocol::Id;
use sha2::{Digest, Sha256};

use super::{
    AUDIT, BUCKETS, DELETERS, HANDLES, IDEMPOTENCY, MARKERS, NAMES, ONE, PUBLIC, REPORTS, REPORTS_OF, REPORTS_OPEN,
    SUSPENSIONS, TIMELINE, TOKENS_OF, UNSETTLED, bucket_of, hour_partition, partition,
};
use crate::base::handle::key_of;

/// Row of what the public timeline shows.
#[must_use]
pub fn public_row(post: Id) -> RowKey {
    RowKey::new(PUBLIC, timeline_partition(bucket_of(post)), partition(post))
}

/// Row of every post, by age.
#[must_use]
pub fn timeline_row(post: Id) -> RowKey {
    RowKey::new(TIMELINE, timeline_partition(bucket_of(post)), partition(post))
}

/// Row that says a post of `author` was deleted in that hour.
#[must_use]
pub fn deleter_row(hour: u32, author: Id) -> RowKey {
    RowKey::new(DELETERS, hour_partition(hour), partition(author))
}

/// Row that says `record` left something to be done about `post`, which is gone.
#[must_use]
pub fn unsettled_row(record: Id, post: Id) -> RowKey {
    RowKey::new(UNSETTLED, ONE, [record.to_bytes(), post.to_bytes()].concat())
}

/// Record and post that an unsettled row names, if it is well formed.
#[must_use]
pub fn in_unsettled(clustering: &[u8]) -> Option<(Id, Id)> {
    Some((Id::from_bytes(clustering)?, Id::from_bytes(clustering.get(8..)?)?))
}

/// Row of a person's suspension.
#[must_use]
pub fn suspension_row(user: Id) -> RowKey {
    RowKey::new(SUSPENSIONS, ONE, partition(user))
}

/// Row of an operator's act.
#[must_use]
pub fn audit_row(record: Id) -> RowKey {
    RowKey::new(AUDIT, timeline_partition(bucket_of(record)), partition(record))
}

/// Row of a report.
#[must_use]
pub fn report_row(report: Id) -> RowKey {
    RowKey::new(REPORTS, timeline_partition(bucket_of(report)), partition(report))
}

/// Row that says a report is open.
#[must_use]
pub fn open_report_row(report: Id) -> RowKey {
    RowKey::new(REPORTS_OPEN, timeline_partition(bucket_of(report)), partition(report))
}

/// Row of the open report of a person about one thing.
#[must_use]
pub fn report_of_row(reporter: Id, kind: u8, target: Id) -> RowKey {
    let mut clustering = vec![kind];
    clustering.extend_from_slice(&target.to_bytes());
    RowKey::new(REPORTS_OF, partition(reporter), clustering)
}

/// Partition of one bucket of the public timeline, of deletions, or of operators' acts.
#[must_use]
pub fn timeline_partition(bucket: u16) -> Bytes {
    Bytes::copy_from_slice(&bucket.to_be_bytes())
}

/// Row that says a bucket of the public timeline holds posts.
#[must_use]
pub fn bucket_row(bucket: u16) -> RowKey {
    RowKey::new(BUCKETS, ONE, Bytes::copy_from_slice(&bucket.to_be_bytes()))
}

/// The bucket that a row of `BUCKETS` names, if it is well formed.
#[must_use]
pub fn bucket_in(clustering: &[u8]) -> Option<u16> {
    clustering.first_chunk::<2>().map(|bucket| u16::from_be_bytes(*bucket))
}

/// Row that says a person has a token.
#[must_use]
pub fn token_of_row(user: Id, token_hash: &[u8]) -> RowKey {
    RowKey::new(TOKENS_OF, partition(user), token_hash.to_vec())
}

/// Row that says whose a handle is, whatever its case.
#[must_use]
pub fn handle_row(handle: &str) -> RowKey {
    RowKey::single(HANDLES, key_of(handle).into_bytes())
}

/// The name and the person of a row of the people search.
#[must_use]
pub fn name_of(clustering: &[u8]) -> Option<(&str, Id)> {
    let (name, rest) = clustering.split_at_checked(clustering.len().checked_sub(9)?)?;
    Some((std::str::from_utf8(name).ok()?, Id::from_bytes(&rest[1..])?))
}

/// Row of a name in the people search; `name` is a key of it already.
#[must_use]
pub fn name_row(name: &str, user: Id) -> RowKey {
    let mut clustering = name.as_bytes().to_vec();
    clustering.push(0);
    clustering.extend_from_slice(&user.to_bytes());
    RowKey::new(NAMES, name_partition(name), clustering)
}

/// Partition of the people search in which names that begin like `name` stand.
#[must_use]
pub fn name_partition(name: &str) -> Bytes {
    let first: String = name.chars().take(1).collect();
    first.into_bytes().into()
}

/// Read marker of a user.
#[must_use]
pub fn marker_row(user: Id, which: Marker) -> RowKey {
    RowKey::new(MARKERS, partition(user), Bytes::copy_from_slice(&[which as u8]))
}

/// Stream that a read marker belongs to.
#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub enum Marker {
    /// The home feed.
    Feed = 1,
    /// The notifications.
    Notifications = 2,
}

/// Row of an idempotency key: the route and the key are hashed to a fixed size.
#[must_use]
pub fn idempotency_row(caller: Id, route: &str, key: &str) -> RowKey {
    let mut hash = Sha256::new();
    hash.update(route.as_bytes());
    hash.update([0]);
    hash.update(key.as_bytes());
    RowKey::new(IDEMPOTENCY, partition(caller), hash.finalize()[..16].to_vec())
}
