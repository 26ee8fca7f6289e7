//! Makes a timeline at the first read, and drops it again.
//!
//! Subscribe first, then query, then merge: what is posted during the query arrives by fan-out, what was posted before
//! is found by the query, and what comes twice is dropped as a repeat.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::walk::{Target, Walk};
use super::{EVICT_IDLE_MAX, FeedCore};
use crate::base::slot_list::Slot;
use crate::feed::authors::Absorbed;
use crate::feed::interner::UserIndex;
use crate::feed::item::FeedItem;
use crate::feed::relations::ReaderRelations;
use crate::feed::ring::Entry;
use crate::feed::timelines::{Lease, View};

/// Builds tried before a read gives up, when blocks keep ending while it builds.
const BUILD_TRIES_MAX: usize = 8;
/// Timelines evicted to make room for one.
const MAKE_ROOM_MAX: usize = 4;

/// A build that was begun; dropped before its end (an error, or the request was cancelled), it gives everything back.
struct Building<'a, P: FeedItem> {
    core: &'a FeedCore<P>,
    reader: UserIndex,
    lease: Lease,
    done: bool,
}

impl<P: FeedItem> Drop for Building<'_, P> {
    fn drop(&mut self) {
        if !self.done {
            let _lock = self.core.reader_lock(self.reader);
            if let Some(relations) = self.core.timelines.abandoned(self.lease) {
                self.core.release(self.reader, self.lease, &relations);
            }
        }
    }
}

/// A place in the line of one reader's builders.
struct Turn<'a, P: FeedItem> {
    core: &'a FeedCore<P>,
    reader: UserIndex,
    line: Arc<tokio::sync::Mutex<()>>,
}

impl<P: FeedItem> Drop for Turn<'_, P> {
    fn drop(&mut self) {
        let mut builders = self.core.builders.lock();
        // This one and the map's: nobody else stands in line.
        if Arc::strong_count(&self.line) == 2 {
            builders.remove(&self.reader);
        }
    }
}

impl<P: FeedItem> FeedCore<P> {
    /// The reader's timeline, built if need be. One build a reader at a time, a bounded number in all.
    pub(super) async fn materialise(&self, id: Id, reader: UserIndex) -> Result<View, EngineError> {
        let line = Arc::clone(self.builders.lock().entry(reader).or_default());
        let turn = Turn { core: self, reader, line };
        let _first = turn.line.lock().await;
        if let Some(view) = self.copy_view(reader) {
            return Ok(view);
        }
        let _permit = self.builds.acquire().await.map_err(|closed| EngineError::Closed(closed.to_string()))?;
        for _ in 0..BUILD_TRIES_MAX {
            self.make_room();
            if let Some(view) = self.build(id, reader).await? {
                self.counters.builds.fetch_add(1, Ordering::Relaxed);
                metrics::counter!("fanfare_feed_builds_total", "source" => P::SOURCE).increment(1);
                return Ok(view);
            }
        }
        Err(EngineError::Unavailable("the reader's blocks keep changing".into()))
    }

    /// A copy of the reader's timeline, if it is ready.
    pub(super) fn copy_view(&self, reader: UserIndex) -> Option<View> {
        self.timelines.view(self.authors.timeline(reader)?, reader, self.now_ms())
    }

    async fn build(&self, id: Id, reader: UserIndex) -> Result<Option<View>, EngineError> {
        let mut building = self.begin(reader);
        let loaded = self.source.relations(id).await?;
        let indexes = |ids: &[Id]| ids.iter().map(|id| self.authors.intern(*id)).collect();
        let blocked = indexes(&loaded.blocked_either_way);
        let loaded = ReaderRelations::new(reader, indexes(&loaded.followees), blocked, indexes(&loaded.muted));
        let Some(followees) = self.subscribe(&building, loaded) else { return Ok(None) };
        // Both before the query: what changes later is not covered by it. The id first, see `Authors::unabsorbed`.
        let id = self.horizon.load(Ordering::SeqCst);
        let absorbed = Absorbed { changes: self.authors.pull_changes(), id };
        let targets: Vec<UserIndex> = followees.iter().copied().chain([reader]).collect();
        let targets = targets.into_iter().map(|author| Target { author, before: u64::MAX, lower: 1 });
        let (entries, floor) = Walk::new(self, targets).collect(self.settings.timeline_cap.max(1)).await?;
        let view = self.timelines.finish(building.lease, &entries, floor, absorbed);
        building.done = view.is_some();
        Ok(view)
    }

    /// A ready timeline out of nothing, for benchmarks.
    pub(super) fn seed(&self, reader: UserIndex, relations: ReaderRelations, entries: &[Entry]) -> Slot {
        let mut building = self.begin(reader);
        if self.subscribe(&building, relations).is_some() {
            building.done = self.timelines.finish(building.lease, entries, 0, Absorbed::default()).is_some();
        }
        building.lease.slot
    }

    fn begin(&self, reader: UserIndex) -> Building<'_, P> {
        let _lock = self.reader_lock(reader);
        let lease = self.timelines.allocate(reader, self.now_ms());
        self.authors.set_timeline(reader, Some(lease.slot));
        Building { core: self, reader, lease, done: false }
    }

    /// Replays what changed during the load and subscribes the slot; `None`: start again.
    fn subscribe(&self, building: &Building<'_, P>, loaded: ReaderRelations) -> Option<Box<[UserIndex]>> {
        let _lock = self.reader_lock(building.reader);
        let relations = self.timelines.replay(building.lease, loaded)?;
        for followee in &relations.followees {
            self.authors.subscribe(*followee, building.lease.slot);
        }
        let followees = relations.followees.clone();
        self.timelines.subscribed(building.lease, relations);
        Some(followees)
    }

    /// Drops the reader's ready timeline.
    pub(super) fn evict(&self, reader: UserIndex) -> bool {
        let _lock = self.reader_lock(reader);
        self.evict_locked(reader)
    }

    /// Evicts the reader's timeline, under the reader's lock.
    pub(super) fn evict_locked(&self, reader: UserIndex) -> bool {
        let ready = self.authors.timeline(reader).and_then(|slot| self.timelines.ready(slot, reader));
        let Some((lease, relations)) = ready else { return false };
        self.release(reader, lease, &relations);
        self.counters.evictions.fetch_add(1, Ordering::Relaxed);
        metrics::counter!("fanfare_feed_evictions_total", "source" => P::SOURCE).increment(1);
        true
    }

    /// Unsubscribes the slot from everybody, and only then frees it: the next owner's subscriptions stay untouched.
    fn release(&self, reader: UserIndex, lease: Lease, relations: &ReaderRelations) {
        for followee in &relations.followees {
            self.authors.unsubscribe(*followee, lease.slot);
        }
        self.authors.set_timeline(reader, None);
        self.timelines.free(lease);
    }

    fn make_room(&self) {
        for _ in 0..MAKE_ROOM_MAX {
            let is_full = self.timelines.count() >= self.settings.timelines_max.max(1);
            if !(is_full || self.is_too_big()) {
                return;
            }
            let Some((reader, _)) = self.timelines.victim() else { return };
            self.evict(reader);
        }
    }

    fn is_too_big(&self) -> bool {
        self.timelines.bytes() as u64 > self.settings.timeline_bytes_max
    }

    pub(super) fn evict_idle(&self, now_ms: u64) -> usize {
        let mut evicted = 0;
        for (reader, _) in self.timelines.idle(now_ms.saturating_sub(self.settings.idle_ms), EVICT_IDLE_MAX) {
            evicted += usize::from(self.evict(reader));
        }
        while evicted < EVICT_IDLE_MAX
            && (self.timelines.count() > self.settings.timelines_max || self.is_too_big())
            && let Some((reader, _)) = self.timelines.victim()
        {
            evicted += usize::from(self.evict(reader));
        }
        metrics::gauge!("fanfare_feed_timelines", "source" => P::SOURCE).set(self.timelines.count() as f64);
        metrics::gauge!("fanfare_feed_timeline_bytes", "source" => P::SOURCE).set(self.timelines.bytes() as f64);
        evicted
    }
}
