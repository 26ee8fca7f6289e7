//! Items of the bulk stream that wait for one session: references only, never frames. Pure.
//!
//! The first one starts a timer; when it fires and the socket is writable, those that wait are rendered together,
//! newest first. Beyond a bound the oldest listed items are dropped, and a gap tells of them; deletions are kept, for
//! no list has them.

use std::collections::VecDeque;

use fanfare_protocol::Id;

use super::deliver::ItemRef;
use super::loss::Loss;
use crate::base::limits::realtime::BULK_PENDING_MAX;

/// References that wait.
#[derive(Debug, Default)]
pub struct Bulk {
    /// In order of keys; a ring, so that the oldest makes room without moving the others.
    waiting: VecDeque<ItemRef>,
    /// Lowest key of those being rendered.
    rendering: Option<Id>,
    /// Dropped since something was last taken.
    lost: Option<Loss>,
    /// Moment at which the timer fires, in milliseconds of the shard; `None`: none runs.
    pub due_ms: Option<u64>,
}

impl Bulk {
    /// Adds one; answers whether something had to make room: the oldest listed item, or, where nothing else waits, the
    /// oldest deletion, for which no gap can stand.
    pub fn add(&mut self, one: ItemRef) -> bool {
        let full = self.waiting.len() >= BULK_PENDING_MAX;
        if full {
            let oldest = self.waiting.iter().position(|one| one.listed);
            let Some(gone) = self.waiting.remove(oldest.unwrap_or(0)) else { return false };
            self.add_loss(Loss::one(gone.key, gone.listed));
        }
        match self.waiting.back() {
            // Committed later than a higher key.
            Some(last) if last.key > one.key => {
                let at = self.waiting.partition_point(|other| other.key < one.key);
                self.waiting.insert(at, one);
            }
            _ => self.waiting.push_back(one),
        }
        full
    }

    /// Items were shed before they came here. Older listed ones that wait are told of with them, for the gap says that
    /// everything before it was sent.
    pub fn lose(&mut self, mut loss: Loss) {
        let high = loss.high();
        self.waiting.retain(|one| {
            let covered = one.listed && one.key <= high;
            if covered {
                loss.add(Loss::one(one.key, true));
            }
            !covered
        });
        self.add_loss(loss);
    }

    fn add_loss(&mut self, loss: Loss) {
        match &mut self.lost {
            Some(lost) => lost.add(loss),
            None => self.lost = Some(loss),
        }
    }

    /// Items to render now, and those that were dropped before: everything older is in frames already. Nothing while
    /// something is being rendered.
    pub fn take(&mut self) -> Option<(Option<Loss>, Vec<ItemRef>)> {
        if self.rendering.is_some() || !self.has_waiting() {
            return None;
        }
        self.rendering = self.waiting.front().map(|one| one.key);
        Some((self.lost.take(), Vec::from(std::mem::take(&mut self.waiting))))
    }

    /// Marks what was taken as back.
    pub fn rendered(&mut self) {
        self.rendering = None;
    }

    /// Drops what a replay has, by its sorted keys.
    pub fn drop_keys(&mut self, keys: &[Id]) {
        self.waiting.retain(|one| keys.binary_search(&one.key).is_err());
        self.lost = self.lost.take().and_then(|lost| lost.without(keys));
    }

    /// Nothing waits and nothing is being rendered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rendering.is_none() && !self.has_waiting()
    }

    /// Whether what was taken is not back yet.
    #[must_use]
    pub fn is_rendering(&self) -> bool {
        self.rendering.is_some()
    }

    /// Whether with one more the oldest must make room.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= BULK_PENDING_MAX
    }

    /// Something waits, or is to be told of.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.lost.is_some()
    }

    /// The lowest key that is not in a frame yet.
    #[must_use]
    pub fn low(&self) -> Option<Id> {
        let lost = self.lost.as_ref().map(Loss::low);
        let waiting = self.waiting.front().map(|one| one.key);
        [self.rendering, lost, waiting].into_iter().flatten().min()
    }
}

/// Milliseconds over which references are gathered: the setting, more while the machine cannot keep up.
#[derive(Debug, Clone, Copy)]
pub struct Delay {
    base_ms: u64,
    max_ms: u64,
    delay_ms: u64,
    /// Worst lateness of a timer since the last look.
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

    /// A timer that was due at `due_ms` is served at `now_ms`. Now and then, when the worst was much too late, the
    /// delay grows by half; when it was not, it shrinks by a tenth of what it is above the setting.
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
    use fanfare_protocol::Stream;

    use super::*;

    fn item(key: u64, listed: bool) -> ItemRef {
        ItemRef { key: Id(key), kind: 0, listed, about: [Id(1), Id(2)] }
    }

    fn post(key: u64) -> ItemRef {
        item(key, true)
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
        assert_eq!(lost.map(|lost| lost.gap(Stream::Posts).count), Some(2));
        assert_eq!((taken.len(), taken[0].key), (BULK_PENDING_MAX, Id(3)));
        assert!(!bulk.add(post(100)));
        assert!(bulk.take().is_none() && bulk.low() == Some(Id(3)));
        bulk.rendered();
        assert_eq!(bulk.low(), Some(Id(100)));
        bulk.drop_keys(&[Id(100)]);
        assert!(bulk.is_empty());
    }

    #[test]
    fn deletions_do_not_make_room_while_a_post_waits() {
        let gone = |key: u64| item(key, false);
        let mut bulk = Bulk::default();
        bulk.add(gone(1));
        bulk.add(post(2));
        for id in 3..=BULK_PENDING_MAX as u64 {
            bulk.add(gone(id));
        }
        assert!(bulk.add(gone(90)));
        assert_eq!(bulk.lost, Some(Loss::one(Id(2), true)));
        assert_eq!(bulk.low(), Some(Id(1)));
        assert!(bulk.add(gone(91)) && bulk.lost.is_some_and(|lost| lost.is_too_much()));
    }

    #[test]
    fn what_was_shed_before_it_came_is_told_of_with_what_is_older() {
        let mut bulk = Bulk::default();
        bulk.add(post(3));
        bulk.add(item(4, false));
        bulk.lose(Loss::range(Id(5), Id(9), 5));
        bulk.add(post(12));
        assert_eq!(bulk.low(), Some(Id(3)));
        let (lost, taken) = bulk.take().unwrap();
        let gap = lost.unwrap().gap(Stream::Posts);
        assert_eq!((gap.after, gap.before, gap.count), (Id(2), Id(10), 6));
        assert_eq!(taken.iter().map(|one| one.key.0).collect::<Vec<_>>(), [4, 12]);
    }

    #[test]
    fn a_lower_key_that_comes_later_is_not_lost_to_a_replay_that_lacks_it() {
        let mut bulk = Bulk::default();
        for key in [7, 9, 8, 5] {
            bulk.add(post(key));
        }
        assert_eq!(bulk.low(), Some(Id(5)), "watermarks do not pass it");
        bulk.drop_keys(&[Id(7), Id(9)]);
        let keys: Vec<u64> = bulk.take().unwrap().1.iter().map(|one| one.key.0).collect();
        assert_eq!(keys, [5, 8]);
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
