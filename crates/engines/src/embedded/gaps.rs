//! Gaps: stretches of stored keys in which nothing lives, learned by the scans that waded through them, so that the
//! next scan steps over each at once and a read pays only for what died since the one before it.
//!
//! A gap is true from the commit at which it was proven for as long as no row comes to life in it. The committer cuts
//! gaps before what it writes can be seen; a scan uses only gaps that were proven no later than its own moment; and
//! what came to life while a scan was under way is remembered, so that the scan does not declare it dead. Nothing here
//! is stored: a restart learns again. [`Gaps`] is pure; [`GapIndex`] shares it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};

use fjall::Slice;
use parking_lot::RwLock;

/// Gaps that are known at once: about 5 MB. Beyond, one is let go of for each that comes.
const GAPS_MAX: usize = 32_768;
/// Keys that came to life lately; a scan during which more did learns nothing.
const RECENT_MAX: usize = 8_192;

/// Between which commits a scan's view lies: it shows everything up to `earliest`, and nothing after `latest`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) earliest: u64,
    pub(super) latest: u64,
}

/// A stretch of keys, the end left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) from: Slice,
    pub(super) to: Slice,
}

#[derive(Debug)]
struct Gap {
    to: Slice,
    /// The commit at which it was proven that nothing lives here.
    proven: u64,
}

/// Known gaps: stretches of keys in which nothing lives.
#[derive(Debug)]
pub(super) struct Gaps {
    by_start: BTreeMap<Slice, Gap>,
    /// Keys that came to life, with the commit that brought them, oldest first.
    recent: VecDeque<(u64, Slice)>,
    /// The last commit of which `recent` may lack keys.
    forgotten: u64,
    /// Place from which the next gap is let go of when there are too many.
    hand: Slice,
    gaps_max: usize,
    recent_max: usize,
}

impl Gaps {
    pub(super) fn new(gaps_max: usize, recent_max: usize) -> Self {
        Self {
            by_start: BTreeMap::new(),
            recent: VecDeque::new(),
            forgotten: 0,
            hand: Slice::from(&[][..]),
            gaps_max: gaps_max.max(1),
            recent_max,
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_start.len()
    }

    /// A row comes to life at `key` with this commit, which nobody sees yet.
    pub(super) fn lives(&mut self, commit: u64, key: &Slice) {
        if let Some((start, gap)) = self.containing(key) {
            let (start, gap) = (start.clone(), Gap { to: gap.to.clone(), proven: gap.proven });
            self.by_start.remove(&start);
            let after = successor(key);
            if after < gap.to {
                self.by_start.insert(after, Gap { to: gap.to, proven: gap.proven });
            }
            if start < *key {
                self.by_start.insert(start, Gap { to: key.clone(), proven: gap.proven });
            }
            self.make_room(self.gaps_max);
        }
        self.recent.push_back((commit, key.clone()));
        while self.recent.len() > self.recent_max {
            if let Some((commit, _)) = self.recent.pop_front() {
                self.forgotten = commit;
            }
        }
    }

    fn containing(&self, key: &[u8]) -> Option<(&Slice, &Gap)> {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.by_start.range::<[u8], _>(upto).next_back().filter(|(_, gap)| *gap.to > *key)
    }

    /// The gap around `key`, if a scan of this moment may use it.
    pub(super) fn around(&self, key: &[u8], moment: Moment) -> Option<Stretch> {
        let (start, gap) = self.containing(key)?;
        (gap.proven <= moment.earliest).then(|| Stretch { from: start.clone(), to: gap.to.clone() })
    }

    /// A scan of this moment found nothing alive in `stretch`. False when something may have come to life since.
    pub(super) fn learn(&mut self, stretch: Stretch, moment: Moment) -> bool {
        let Stretch { mut from, mut to } = stretch;
        if from >= to || self.forgotten > moment.earliest {
            return false;
        }
        let since = self.recent.iter().rev().take_while(|(commit, _)| *commit > moment.earliest);
        if since.map(|(_, key)| key).any(|key| *key >= from && *key < to) {
            return false;
        }
        let mut proven = moment.latest;
        // Those that it overlaps or touches become one with it.
        while let Some((start, gap)) = self.touching(&from, &to) {
            if start <= from && gap.to >= to && gap.proven <= moment.latest {
                return true;
            }
            proven = proven.max(gap.proven);
            from = from.min(start.clone());
            to = to.max(gap.to);
            self.by_start.remove(&start);
        }
        self.make_room(self.gaps_max - 1);
        self.by_start.insert(from, Gap { to, proven });
        true
    }

    fn touching(&self, from: &Slice, to: &Slice) -> Option<(Slice, Gap)> {
        let upto = (Bound::Unbounded, Bound::Included(to.as_ref()));
        let (start, gap) = self.by_start.range::<[u8], _>(upto).next_back()?;
        (gap.to >= *from).then(|| (start.clone(), Gap { to: gap.to.clone(), proven: gap.proven }))
    }

    /// Lets go of gaps, each time of the next one in the order of keys, until `max` are left.
    fn make_room(&mut self, max: usize) {
        while self.by_start.len() > max {
            let after = (Bound::Excluded(self.hand.as_ref()), Bound::Unbounded);
            let next = self.by_start.range::<[u8], _>(after).next().or_else(|| self.by_start.iter().next());
            let Some(start) = next.map(|(start, _)| start.clone()) else { return };
            self.by_start.remove(&start);
            self.hand = start;
        }
    }
}

/// The lowest key above `key`.
pub(super) fn successor(key: &[u8]) -> Slice {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.extend_from_slice(key);
    bytes.push(0);
    Slice::from(bytes)
}

/// Gaps as the committer and scans share them.
#[derive(Debug)]
pub(super) struct GapIndex {
    gaps: RwLock<Gaps>,
    /// The last commit that was begun, and the last that everybody sees.
    begun: AtomicU64,
    visible: AtomicU64,
}

impl Default for GapIndex {
    fn default() -> Self {
        let gaps = RwLock::new(Gaps::new(GAPS_MAX, RECENT_MAX));
        Self { gaps, begun: AtomicU64::new(0), visible: AtomicU64::new(0) }
    }
}

impl GapIndex {
    /// Called by the committer alone, before rows with these keys come to life. Answers the commit's number.
    pub(super) fn begin<'a>(&self, live: impl Iterator<Item = &'a Slice>) -> u64 {
        let mut gaps = self.gaps.write();
        let commit = self.begun.load(Ordering::SeqCst) + 1;
        live.for_each(|key| gaps.lives(commit, key));
        self.begun.store(commit, Ordering::SeqCst);
        commit
    }

    /// Called by the committer alone, when everybody sees what it wrote.
    pub(super) fn committed(&self, commit: u64) {
        self.visible.store(commit, Ordering::SeqCst);
    }

    /// A view of the store, and between which commits it lies.
    pub(super) fn view<T>(&self, open: impl FnOnce() -> T) -> (Moment, T) {
        let earliest = self.visible.load(Ordering::SeqCst);
        let view = open();
        let latest = self.begun.load(Ordering::SeqCst);
        (Moment { earliest, latest }, view)
    }

    /// See [`Gaps::around`].
    pub(super) fn around(&self, key: &[u8], moment: Moment) -> Option<Stretch> {
        self.gaps.read().around(key, moment)
    }

    /// See [`Gaps::learn`].
    pub(super) fn learn(&self, stretch: Stretch, moment: Moment) -> bool {
        self.gaps.write().learn(stretch, moment)
    }
}

#[cfg(test)]
#[path = "gaps_tests.rs"]
mod tests;
