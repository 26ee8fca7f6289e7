//! Items of a stream that a session will not be sent: what a `gap` tells of, or a `reset` where a gap cannot. Pure.

use fanfare_protocol::{Gap, Id, Stream};

use crate::base::limits::realtime::GAP_COUNT_MAX;

/// Items that are not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    low: Id,
    high: Id,
    count: u64,
    /// Something among them that no list over HTTP has, so that a gap cannot stand for it.
    unlisted: bool,
    /// Each item's key and whether a list has it; fewer than `count` where not all are known.
    keys: Vec<(Id, bool)>,
}

impl Loss {
    /// Loss of one item; `listed`: HTTP lists it.
    #[must_use]
    pub fn one(key: Id, listed: bool) -> Self {
        Self { low: key, high: key, count: 1, unlisted: !listed, keys: vec![(key, listed)] }
    }

    /// Listed items from `low` to `high`, whose keys are not known one by one.
    #[must_use]
    pub fn range(low: Id, high: Id, count: u64) -> Self {
        Self { low, high, count, unlisted: false, keys: Vec::new() }
    }

    /// Takes in others of the same stream.
    pub fn add(&mut self, other: Self) {
        (self.low, self.high) = (self.low.min(other.low), self.high.max(other.high));
        self.count = self.count.saturating_add(other.count);
        self.unlisted |= other.unlisted;
        if self.is_too_much() {
            self.keys = Vec::new();
        } else {
            self.keys.extend(other.keys);
        }
    }

    /// Rest of the loss for whoever got `keys` (sorted) meanwhile; where the items are not known one by one, all of it.
    #[must_use]
    pub fn without(self, keys: &[Id]) -> Option<Self> {
        if self.keys.len() as u64 != self.count {
            return Some(self);
        }
        let left = self.keys.into_iter().filter(|(key, _)| keys.binary_search(key).is_err());
        left.map(|(key, listed)| Self::one(key, listed)).reduce(|mut all, one| {
            all.add(one);
            all
        })
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
    fn a_deletion_that_the_replay_has_needs_no_reset() {
        let mut loss = Loss::one(Id(5), false);
        assert!(loss.is_too_much());
        assert_eq!(loss.clone().without(&[Id(5)]), None);
        loss.add(Loss::one(Id(6), true));
        assert!(loss.is_too_much() && loss.clone().without(&[Id(6)]).is_some_and(|left| left.is_too_much()));
    }
}
