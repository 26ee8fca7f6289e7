//! Spread of people over the social partitions, and whose rows a record writes. Pure.
//!
//! A row is written from one partition only: that of the person whose it is, the *actor* of a record or somebody whom
//! it is about. So each product asks, of every row and every count, whether its person is *here*: in the partition of
//! the record that is folded. With one partition everybody is.

use fanfare_engines::{Families, Partition};
use fanfare_protocol::Id;

use crate::base::error::{Error, Result};
use crate::data::families::SOCIAL;
use crate::log::events::Event;

/// Partitions of a family: the first, and how many. It never changes, for people do not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    first: u16,
    count: u16,
}

impl Default for Spread {
    fn default() -> Self {
        Self::ONE
    }
}

impl Spread {
    /// Everybody in a single partition.
    pub const ONE: Self = Self { first: 0, count: 1 };

    /// Over `count` partitions from `first` on.
    #[must_use]
    pub const fn over(first: u16, count: u16) -> Self {
        Self { first, count: if count == 0 { 1 } else { count } }
    }

    /// Over the partitions of people that the engines have.
    ///
    /// # Errors
    /// When they have no such family.
    pub fn of(families: &Families) -> Result<Self> {
        let unknown = || Error::Internal("the engines have no social family".to_owned());
        let family = families.get(SOCIAL.name).ok_or_else(unknown)?;
        Ok(Self::over(family.first.0, family.count))
    }

    /// Whether everybody is in the same partition.
    #[must_use]
    pub const fn is_one(self) -> bool {
        self.count == 1
    }

    /// Partitions, the lowest first.
    pub fn partitions(self) -> impl Iterator<Item = Partition> {
        (self.first..self.first.saturating_add(self.count)).map(Partition)
    }

    /// Partition of a person. Stored rows stand and fall with it: it is never changed.
    #[must_use]
    pub const fn partition_of(self, person: Id) -> Partition {
        Partition(self.first + place_of(person, self.count))
    }

    /// Share that the partition of an event has in what it changes.
    #[must_use]
    pub fn share(self, event: &Event) -> Share {
        let partition = match event {
            Event::Derived(derived) => Some(Partition(derived.to)),
            _ if self.is_one() => None,
            event => event.actor().map(|actor| self.partition_of(actor)),
        };
        Share { spread: self, partition: partition.unwrap_or(Partition(self.first)) }
    }
}

/// Place of an id among so many partitions: by a hash of it, for ids of one moment, or of one node, have much in
/// common.
const fn place_of(id: Id, count: u16) -> u16 {
    if count == 1 {
        return 0;
    }
    // The finaliser of SplitMix64; then the upper bits, scaled.
    let mut hash = id.0;
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^= hash >> 31;
    ((hash as u128 * count as u128) >> 64) as u16
}

/// Share of a partition in what an event changes: rows of the people who are in it.
#[derive(Debug, Clone, Copy)]
pub struct Share {
    spread: Spread,
    partition: Partition,
}

impl Share {
    /// The partition.
    #[must_use]
    pub const fn partition(&self) -> Partition {
        self.partition
    }

    /// Whether rows of `person` are written by the record that is folded. Nobody's are nobody's, where there are
    /// several partitions.
    #[must_use]
    pub const fn holds(&self, person: Id) -> bool {
        self.spread.is_one() || person.0 != 0 && self.spread.partition_of(person).0 == self.partition.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::first_id_at;

    #[test]
    fn people_stay_where_they_are_and_no_partition_is_empty() {
        // Stored: these answers never change.
        let of = |count, person| Spread::over(0, count).partition_of(Id(person)).0;
        let places = |count| [1, 2, 3, 1_000, u64::MAX].map(|id| of(count, id));
        assert_eq!((places(1), places(3), places(12)), PLACES);
        assert_eq!([1, 2, 3, 1_000, u64::MAX].map(|id| of(996, id)), [336, 855, 117, 753, 703]);
        // Ids of one node, of a second in which many came.
        let start = first_id_at(1_800_000_000_000).0;
        let ids = (0..12_000).map(|number| start + (((number / 12) << 22) | (1_000 << 12) | (number % 12)));
        let mut people = [0; 12];
        ids.for_each(|id| people[usize::from(of(12, id))] += 1);
        assert!(people.iter().all(|count| (900..1_100).contains(count)), "{people:?}");
        assert_eq!(Spread::over(40, 3).partitions().collect::<Vec<_>>(), [Partition(40), Partition(41), Partition(42)]);
    }

    const PLACES: ([u16; 5], [u16; 5], [u16; 5]) = ([0; 5], [1, 2, 0, 2, 2], [4, 10, 1, 9, 8]);
}
