//! Followed posts that wait for one session: their ids only, never frames. Pure.
//!
//! The first one starts a timer; when it fires and the socket is writable, those that wait are rendered together, newest
//! first. Beyond a bound the oldest posts are dropped, and a gap tells of them; deletions are kept, for no list has them.

use std::collections::VecDeque;

use fanfare_protocol::Id;

use crate::base::limits::realtime::{BULK_PENDING_MAX, GAP_COUNT_MAX};

/// A post, or the deletion of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pending {
    /// The post, or the record of the deletion.
    pub id: Id,
    /// What is gone, for a deletion.
    pub gone: Option<Gone>,
}

/// What a deletion took away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// A post.
    Post { post: Id, author: Id },
    /// Everything of a person.
    Author(Id),
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
    /// In order of ids; a ring, so that the oldest makes room without moving the others.
    pending: VecDeque<Pending>,
    /// Lowest id of those being rendered.
    rendering: Option<Id>,
    /// Dropped since something was last taken.
    lost: Option<Dropped>,
    /// When the timer fires, in milliseconds of the shard; `None`: none runs.
    pub due_ms: Option<u64>,
}

impl Bulk {
    /// Adds one; answers whether something had to make room: the oldest post, or, where nothing else waits, the oldest
    /// deletion, for which no gap can stand: it counts as more than one can tell of.
    pub fn add(&mut self, one: Pending) -> bool {
        let full = self.pending.len() >= BULK_PENDING_MAX;
        if full {
            let oldest = self.pending.iter().position(|one| one.gone.is_none());
            let Some(gone) = self.pending.remove(oldest.unwrap_or(0)) else { return false };
            let before = self.lost.unwrap_or(Dropped { low: gone.id, high: gone.id, count: 0 });
            let counts = if gone.gone.is_none() { 1 } else { GAP_COUNT_MAX as u64 + 1 };
            let (low, high) = (before.low.min(gone.id), before.high.max(gone.id));
            self.lost = Some(Dropped { low, high, count: before.count + counts });
        }
        self.pending.push_back(one);
        full
    }

    /// What is to be rendered now, and what was dropped before it: everything older is in frames already. Nothing while
    /// something is being rendered.
    pub fn take(&mut self) -> Option<(Option<Dropped>, Vec<Pending>)> {
        if self.rendering.is_some() || self.pending.is_empty() {
            return None;
        }
        self.rendering = self.pending.front().map(|one| one.id);
        Some((self.lost.take(), Vec::from(std::mem::take(&mut self.pending))))
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
        let pending = self.pending.front().map(|one| one.id);
        [self.rendering, lost, pending].into_iter().flatten().min()
    }
}

/// How long followed posts are gathered: the setting, more while the machine cannot keep up.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    base_ms: u64,
    max_ms: u64,
    delay_ms: u64,
    /// How late a timer was served at worst since the last look.
    worst_ms: u64,
    look_at_ms: u64,
}

/// Milliseconds between two looks at how late timers are served.
const LOOK_MS: u64 = 250;

impl Delay {
    /// Starts at `base_ms`, grows to `max_ms`.
    #[must_use]
    pub fn new(base_ms: u64, max_ms: u64) -> Self {
        Self { base_ms, max_ms: max_ms.max(base_ms), delay_ms: base_ms, worst_ms: 0, look_at_ms: 0 }
    }

    /// Milliseconds now.
    #[must_use]
    pub fn ms(&self) -> u64 {
        self.delay_ms
    }

    /// A timer that was due at `due_ms` is served at `now_ms`. Now and then, when the worst was much too late, the delay
    /// grows by half; when it was not, it shrinks by a tenth of what it is above the setting.
    pub fn served(&mut self, due_ms: u64, now_ms: u64) {
        self.worst_ms = self.worst_ms.max(now_ms.saturating_sub(due_ms));
        if now_ms < self.look_at_ms {
            return;
        }
        let tolerable_ms = (self.base_ms / 4).max(20);
        self.delay_ms = if self.worst_ms > tolerable_ms {
            (self.delay_ms + self.delay_ms / 2 + 10).min(self.max_ms)
        } else {
            (self.delay_ms - self.delay_ms.saturating_sub(self.base_ms).div_ceil(10)).max(self.base_ms)
        };
        (self.worst_ms, self.look_at_ms) = (0, now_ms + LOOK_MS);
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
    fn deletions_do_not_make_room_while_a_post_waits() {
        let gone = |id: u64| Pending { id: Id(id), gone: Some(Gone::Post { post: Id(1), author: Id(2) }) };
        let mut bulk = Bulk::default();
        bulk.add(gone(1));
        bulk.add(post(2));
        for id in 3..=BULK_PENDING_MAX as u64 {
            bulk.add(gone(id));
        }
        assert!(bulk.add(gone(90)));
        assert_eq!(bulk.lost, Some(Dropped { low: Id(2), high: Id(2), count: 1 }));
        assert_eq!(bulk.low(), Some(Id(1)));
        assert!(bulk.add(gone(91)) && bulk.lost.is_some_and(|lost| lost.count > GAP_COUNT_MAX as u64));
    }

    #[test]
    fn the_delay_grows_under_load_and_comes_back() {
        let mut delay = Delay::new(1_000, 5_000);
        for look in 5..20 {
            delay.served(look * LOOK_MS - 900, look * LOOK_MS);
        }
        assert_eq!(delay.ms(), 5_000);
        for _ in 0..1_000 {
            delay.served(20 * LOOK_MS, 20 * LOOK_MS);
        }
        assert!(delay.ms() > 4_000, "many timers at once are one look");
        for look in 21..200 {
            delay.served(look * LOOK_MS, look * LOOK_MS);
        }
        assert_eq!(delay.ms(), 1_000);
        let mut none = Delay::new(0, 5_000);
        none.served(5, 9);
        assert_eq!(none.ms(), 0);
    }
}
