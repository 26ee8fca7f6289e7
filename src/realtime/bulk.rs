//! Followed posts that wait for one session: their ids only, never frames. Pure.
//!
//! The first one starts a timer; when it fires and the socket is writable, those that wait are rendered together, newest
//! first. Beyond a bound the oldest are dropped, and a gap tells of them.

use fanfare_protocol::Id;

use crate::limits::realtime::BULK_PENDING_MAX;

/// A post, or the deletion of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pending {
    /// The post, or the record of the deletion.
    pub id: Id,
    /// The post that is gone and its author, for a deletion.
    pub gone: Option<(Id, Id)>,
}

/// What had to make room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dropped {
    /// The lowest id.
    pub low: Id,
    /// The highest id.
    pub high: Id,
    /// How many.
    pub count: u64,
}

/// What waits.
#[derive(Debug, Default)]
pub struct Bulk {
    /// In order of ids.
    pending: Vec<Pending>,
    /// Lowest id of those being rendered.
    rendering: Option<Id>,
    /// Dropped since something was last taken.
    lost: Option<Dropped>,
    /// A timer runs.
    pub timed: bool,
    /// It fires at once.
    pub hurried: bool,
}

impl Bulk {
    /// Adds one; answers whether the oldest had to make room.
    pub fn add(&mut self, one: Pending) -> bool {
        let full = self.pending.len() >= BULK_PENDING_MAX;
        if full {
            let id = self.pending.remove(0).id;
            let before = self.lost.unwrap_or(Dropped { low: id, high: id, count: 0 });
            self.lost = Some(Dropped { low: before.low, high: id, count: before.count + 1 });
        }
        self.pending.push(one);
        full
    }

    /// What is to be rendered now, and what was dropped before it: everything older is in frames already. Nothing while
    /// something is being rendered.
    pub fn take(&mut self) -> Option<(Option<Dropped>, Vec<Pending>)> {
        if self.rendering.is_some() || self.pending.is_empty() {
            return None;
        }
        self.rendering = self.pending.first().map(|one| one.id);
        Some((self.lost.take(), std::mem::take(&mut self.pending)))
    }

    /// What was taken is back.
    pub fn rendered(&mut self) {
        self.rendering = None;
    }

    /// Drops what a replay has: everything up to `upto`.
    pub fn drop_upto(&mut self, upto: Id) {
        self.pending.retain(|one| one.id > upto);
        self.lost =
            self.lost.filter(|lost| lost.high > upto).map(|lost| Dropped { low: lost.low.max(Id(upto.0 + 1)), ..lost });
    }

    /// Nothing waits and nothing is being rendered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pending.is_empty() && self.rendering.is_none() && self.lost.is_none()
    }

    /// What was taken is not back yet.
    #[must_use]
    pub fn is_rendering(&self) -> bool {
        self.rendering.is_some()
    }

    /// One more, and the oldest must make room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.pending.len() >= BULK_PENDING_MAX
    }

    /// Something waits.
    #[must_use]
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The lowest id that is not in a frame yet.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        let lost = self.lost.map(|lost| lost.low);
        self.rendering.or(lost).or_else(|| self.pending.first().map(|one| one.id))
    }
}

/// How long followed posts are gathered: the setting, more while the machine cannot keep up.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    base_ms: u64,
    max_ms: u64,
    now_ms: u64,
}

impl Delay {
    /// Starts at `base_ms`, grows to `max_ms`.
    #[must_use]
    pub fn new(base_ms: u64, max_ms: u64) -> Self {
        Self { base_ms, max_ms: max_ms.max(base_ms), now_ms: base_ms }
    }

    /// Milliseconds now.
    #[must_use]
    pub fn ms(&self) -> u64 {
        self.now_ms
    }

    /// A timer was served `late_ms` after it was due: half as long again when that is much, a tenth less when it is not.
    pub fn served(&mut self, late_ms: u64) {
        let tolerable = (self.base_ms / 4).max(20);
        self.now_ms = if late_ms > tolerable {
            (self.now_ms + self.now_ms / 2 + 10).min(self.max_ms)
        } else {
            (self.now_ms - self.now_ms.saturating_sub(self.base_ms).div_ceil(10)).max(self.base_ms)
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(id: u64) -> Pending {
        Pending { id: Id(id), gone: None }
    }

    #[test]
    fn the_oldest_makes_room_and_the_watermark_waits_for_the_renderer() {
        let mut bulk = Bulk::default();
        for id in 1..=BULK_PENDING_MAX as u64 {
            assert!(!bulk.add(post(id)));
        }
        assert!(bulk.add(post(98)) && bulk.add(post(99)));
        assert_eq!(bulk.low(), Some(Id(1)), "the gap is not told of yet");
        let (lost, taken) = bulk.take().unwrap();
        assert_eq!(lost, Some(Dropped { low: Id(1), high: Id(2), count: 2 }));
        assert_eq!((taken.len(), taken[0].id), (BULK_PENDING_MAX, Id(3)));
        assert!(!bulk.add(post(100)));
        assert!(bulk.take().is_none() && bulk.low() == Some(Id(3)));
        bulk.rendered();
        assert_eq!(bulk.low(), Some(Id(100)));
        bulk.drop_upto(Id(100));
        assert!(bulk.is_empty());
    }

    #[test]
    fn the_delay_grows_under_load_and_comes_back() {
        let mut delay = Delay::new(1_000, 5_000);
        for _ in 0..20 {
            delay.served(900);
        }
        assert_eq!(delay.ms(), 5_000);
        for _ in 0..200 {
            delay.served(1);
        }
        assert_eq!(delay.ms(), 1_000);
        let mut none = Delay::new(0, 5_000);
        none.served(5);
        assert_eq!(none.ms(), 0);
    }
}
