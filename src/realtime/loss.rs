//! Items of a stream that a session will not be sent: what a `gap` tells of, or a `reset` where a gap cannot. Pure.

use fanfare_protocol::{Gap, Id, Stream};

use super::frame::{Durable, Omission};
use crate::base::limits::realtime::{GAP_COUNT_MAX, LOSS_KEYS_MAX};

/// Items that are not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    low: Id,
    high: Id,
    count: u64,
    /// Something among them that no list over HTTP has, so that a gap cannot stand for it.
    unlisted: bool,
    /// Each item's key and whether a list has it, of two and more; fewer than `count` where not all are known.
    keys: Vec<(Id, bool)>,
}

impl Loss {
    /// Loss of one item; `listed`: HTTP lists it.
    #[must_use]
    pub fn one(key: Id, listed: bool) -> Self {
        Self { low: key, high: key, count: 1, unlisted: !listed, keys: Vec::new() }
    }

    /// Listed items from `low` to `high`, whose keys are not known one by one.
    #[must_use]
    pub fn range(low: Id, high: Id, count: u64) -> Self {
        Self { low, high, count, unlisted: false, keys: Vec::new() }
    }

    /// Loss of these items, each with whether HTTP lists it; `None` for none.
    #[must_use]
    pub fn each(items: impl IntoIterator<Item = (Id, bool)>) -> Option<Self> {
        items.into_iter().map(|(key, listed)| Self::one(key, listed)).reduce(|mut all, one| {
            all.add(one);
            all
        })
    }

    /// Loss of what a frame carries, or tells of by a gap; `None` for a reset, which is more than any gap tells of.
    #[must_use]
    pub fn of(items: &Durable) -> Option<Self> {
        match items.omission {
            Some(Omission::Gap { after, before, count }) => {
                let (low, high) = (Id(after.0.saturating_add(1)), Id(before.0.saturating_sub(1)));
                Some(Self::range(low, high, count))
            }
            Some(Omission::Reset { .. }) => None,
            None => Self::each(items.ids.iter().map(|id| (*id, items.listed))),
        }
    }

    /// Takes in others of the same stream. Keys are remembered up to [`LOSS_KEYS_MAX`], beyond it none: a reader who
    /// takes nothing for long would otherwise fill memory with what it lost.
    pub fn add(&mut self, other: Self) {
        let known = self.is_known() && other.is_known();
        if known && self.count + other.count <= LOSS_KEYS_MAX as u64 {
            let own = self.only();
            self.keys.extend(own);
            self.keys.extend(other.only());
            self.keys.extend(other.keys);
        } else {
            self.keys = Vec::new();
        }
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
        self.count = self.count.saturating_add(other.count);
        self.unlisted |= other.unlisted;
    }

    /// Rest of the loss for whoever got `keys` (sorted) meanwhile; where the items are not known one by one, all of it.
    #[must_use]
    pub fn without(self, keys: &[Id]) -> Option<Self> {
        if !self.is_known() {
            return Some(self);
        }
        Self::each(self.only().into_iter().chain(self.keys).filter(|(key, _)| keys.binary_search(key).is_err()))
    }

    /// Whether each item's key is known.
    fn is_known(&self) -> bool {
        self.only().is_some() || self.keys.len() as u64 == self.count
    }

    /// The item, where it is one whose key is known.
    fn only(&self) -> Option<(Id, bool)> {
        (self.count == 1 && self.low == self.high).then_some((self.low, !self.unlisted))
    }

    /// The lowest key.
    #[must_use]
    pub fn low(&self) -> Id {
        self.low
    }

    /// The highest key.
    #[must_use]
    pub fn high(&self) -> Id {
        self.high
    }

    /// Whether only a reset can tell of it.
    #[must_use]
    pub fn is_too_much(&self) -> bool {
        self.unlisted || self.count > GAP_COUNT_MAX as u64
    }

    /// The gap that tells of it.
    #[must_use]
    pub fn gap(&self, stream: Stream) -> Gap {
        let (after, before) = (Id(self.low.0.saturating_sub(1)), Id(self.high.0.saturating_add(1)));
        Gap { stream, after, before, count: self.count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_replay_has_is_not_lost_whatever_its_neighbours_are() {
        let mut loss = Loss::one(Id(5), true);
        loss.add(Loss::one(Id(9), true));
        loss.add(Loss::one(Id(7), true));
        assert_eq!(loss.clone().without(&[Id(5), Id(7), Id(9)]), None);
        let left = loss.clone().without(&[Id(9)]).unwrap();
        assert_eq!((left.low(), left.high(), left.count), (Id(5), Id(7), 2));
        loss.add(Loss::range(Id(1), Id(3), 2));
        assert_eq!(loss.clone().without(&[Id(5), Id(7), Id(9)]), Some(loss));
    }

    #[test]
    fn what_a_slow_reader_lost_takes_bounded_memory() {
        let mut loss = Loss::one(Id(1), true);
        for key in 2..=LOSS_KEYS_MAX as u64 {
            loss.add(Loss::one(Id(key), true));
        }
        assert_eq!(loss.keys.len(), LOSS_KEYS_MAX);
        assert_eq!(loss.clone().without(&[Id(1)]).map(|left| left.count), Some(LOSS_KEYS_MAX as u64 - 1));
        for key in LOSS_KEYS_MAX as u64 + 1..10_000 {
            loss.add(Loss::one(Id(key), true));
        }
        assert_eq!((loss.keys.capacity(), loss.count), (0, 9_999));
        assert_eq!(loss.clone().without(&[Id(1)]), Some(loss));
    }

    #[test]
    fn a_deletion_that_the_replay_has_needs_no_reset() {
        let mut loss = Loss::one(Id(5), false);
        assert!(loss.is_too_much());
        assert_eq!(loss.clone().without(&[Id(5)]), None);
        loss.add(Loss::one(Id(6), true));
        assert!(loss.is_too_much() && loss.clone().without(&[Id(6)]).is_some_and(|left| left.is_too_much()));
        assert_eq!(
            loss.clone().without(&[Id(5)]).map(|left| left.is_too_much()),
            Some(false),
            "what is left is listed"
        );
        assert_eq!(loss.without(&[Id(5), Id(6)]), None);
    }
}
