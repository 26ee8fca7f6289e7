//! Ranked pages come from one snapshot, so that page two agrees with page one. Bounded in count, bytes and time.

use std::collections::VecDeque;

use fanfare_protocol::Id;

use crate::base::id_map::IdMap;

/// Names a snapshot inside a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SnapshotId(pub u64);

/// Longest life of a snapshot, in milliseconds.
const SNAPSHOT_AGE_MS_MAX: u64 = 10 * 60 * 1_000;
/// Snapshots kept; the oldest goes when there are more.
pub const SNAPSHOTS_MAX: usize = 20_000;
/// Bytes of all snapshots; the oldest goes when there are more.
pub const SNAPSHOT_BYTES_MAX: usize = 64 << 20;
/// Bytes of a snapshot beside its ids.
const SNAPSHOT_OVERHEAD_BYTES: usize = 96;

#[derive(Debug)]
struct Snapshot {
    owner: Id,
    order: Box<[u64]>,
    continue_below: Id,
    made_ms: u64,
}

/// A part of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub struct Slice {
    /// Ids from the asked position on.
    pub ids: Vec<Id>,
    /// Id below which the pages go on in latest order, once the snapshot is used up.
    pub continue_below: Id,
    /// Ids in the whole snapshot.
    pub len: usize,
}

/// Snapshots, oldest first.
#[derive(Debug)]
pub struct Snapshots {
    by_id: IdMap<u64, Snapshot>,
    oldest_first: VecDeque<u64>,
    bytes: usize,
    count_max: usize,
    bytes_max: usize,
    next: u64,
}

impl Snapshots {
    /// No snapshots yet. Names start from the clock, so that a cursor from before a restart names nothing.
    #[must_use]
    pub fn new(now_ms: u64, count_max: usize, bytes_max: usize) -> Self {
        let (by_id, oldest_first) = (IdMap::default(), VecDeque::new());
        Self { by_id, oldest_first, bytes: 0, count_max, bytes_max, next: now_ms << 16 }
    }

    /// Keeps an order of ids for `owner`, dropping what is too old or too much.
    pub fn insert(&mut self, owner: Id, order: Box<[u64]>, continue_below: Id, now_ms: u64) -> SnapshotId {
        let id = self.next;
        self.next += 1;
        self.bytes += SNAPSHOT_OVERHEAD_BYTES + order.len() * size_of::<u64>();
        self.by_id.insert(id, Snapshot { owner, order, continue_below, made_ms: now_ms });
        self.oldest_first.push_back(id);
        self.trim(now_ms);
        SnapshotId(id)
    }

    /// Up to `limit` ids of `owner`'s snapshot from `position` on; `None` when it is gone or somebody else's.
    #[must_use]
    pub fn slice(&self, id: SnapshotId, owner: Id, position: usize, limit: usize, now_ms: u64) -> Option<Slice> {
        let snapshot = self.by_id.get(&id.0).filter(|snapshot| snapshot.owner == owner)?;
        if now_ms.saturating_sub(snapshot.made_ms) > SNAPSHOT_AGE_MS_MAX {
            return None;
        }
        let ids = snapshot.order.iter().skip(position).take(limit).map(|id| Id(*id)).collect();
        Some(Slice { ids, continue_below: snapshot.continue_below, len: snapshot.order.len() })
    }

    /// Snapshots kept.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    fn trim(&mut self, now_ms: u64) {
        while let Some(id) = self.oldest_first.front() {
            let too_old = self.by_id.get(id).is_none_or(|s| now_ms.saturating_sub(s.made_ms) > SNAPSHOT_AGE_MS_MAX);
            if !too_old && self.by_id.len() <= self.count_max && self.bytes <= self.bytes_max {
                return;
            }
            if let Some(gone) = self.by_id.remove(id) {
                self.bytes = self.bytes.saturating_sub(SNAPSHOT_OVERHEAD_BYTES + gone.order.len() * size_of::<u64>());
            }
            self.oldest_first.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(slice: Option<Slice>) -> Option<Vec<u64>> {
        slice.map(|slice| slice.ids.iter().map(|id| id.0).collect())
    }

    #[test]
    fn a_snapshot_is_its_owners_and_ends_by_age() {
        let mut snapshots = Snapshots::new(5, 10, 1 << 20);
        let id = snapshots.insert(Id(1), Box::new([30, 10, 20]), Id(10), 1_000);
        assert_eq!(ids(snapshots.slice(id, Id(1), 1, 5, 1_000)), Some(vec![10, 20]));
        assert_eq!(snapshots.slice(id, Id(2), 1, 5, 1_000), None);
        assert_eq!(snapshots.slice(id, Id(1), 0, 5, 1_001 + SNAPSHOT_AGE_MS_MAX), None);
        assert_eq!(ids(snapshots.slice(id, Id(1), 9, 5, 1_000)), Some(vec![]));
    }

    #[test]
    fn count_and_bytes_are_bounded_oldest_first() {
        let mut few = Snapshots::new(5, 2, 1 << 20);
        let made: Vec<SnapshotId> = (0..3).map(|n| few.insert(Id(1), Box::new([n]), Id(1), 1_000)).collect();
        assert_eq!(few.len(), 2);
        assert!(few.slice(made[0], Id(1), 0, 1, 1_000).is_none() && few.slice(made[2], Id(1), 0, 1, 1_000).is_some());
        let mut small = Snapshots::new(5, 100, 2 * SNAPSHOT_OVERHEAD_BYTES);
        for n in 0..5 {
            small.insert(Id(1), Box::new([n]), Id(1), 1_000);
        }
        assert_eq!(small.len(), 1);
    }

    #[test]
    fn names_do_not_come_again_after_a_restart() {
        let first = Snapshots::new(1_000, 2, 1 << 20).insert(Id(1), Box::new([1]), Id(1), 1_000);
        let second = Snapshots::new(2_000, 2, 1 << 20).insert(Id(1), Box::new([1]), Id(1), 2_000);
        assert_ne!(first, second);
    }
}
