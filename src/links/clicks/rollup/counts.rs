//! Counts, alone and by the minute of an hour or the hour of a day. Pure.

use super::super::number::{read_number, write_number};

/// Clicks, and how many of them were bots'.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Clicks.
    pub all: u64,
    /// Bots' clicks among them.
    pub bots: u64,
}

impl Count {
    /// Counts one.
    pub const fn add(&mut self, is_bot: bool) {
        self.all += 1;
        self.bots += is_bot as u64;
    }

    /// Adds others.
    pub const fn merge(&mut self, other: Self) {
        self.all += other.all;
        self.bots += other.bots;
    }

    /// All, or only people.
    #[must_use]
    pub const fn of(self, with_bots: bool) -> u64 {
        if with_bots { self.all } else { self.all.saturating_sub(self.bots) }
    }

    pub(super) fn write(self, to: &mut Vec<u8>) {
        write_number(self.all, to);
        write_number(self.bots, to);
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Self> {
        Some(Self { all: read_number(from)?, bots: read_number(from)? })
    }
}

/// Counts of the minutes of an hour, or the hours of a day: those that have any, in order. Most have few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots {
    /// Number of minutes or hours.
    per: u8,
    counted: Vec<(u8, Count)>,
}

impl Slots {
    /// Nothing in any of so many.
    #[must_use]
    pub(super) const fn none(per: u8) -> Self {
        Self { per, counted: Vec::new() }
    }

    /// Number of minutes or hours.
    pub(super) const fn per(&self) -> u8 {
        self.per
    }

    fn entry(&mut self, at: u8) -> &mut Count {
        let place = match self.counted.binary_search_by_key(&at, |(at, _)| *at) {
            Ok(place) => place,
            Err(place) => {
                if self.counted.is_empty() {
                    // Most have one.
                    self.counted.reserve_exact(1);
                }
                self.counted.insert(place, (at, Count::default()));
                place
            }
        };
        &mut self.counted[place].1
    }

    pub(super) fn add(&mut self, at: u8, is_bot: bool) {
        self.entry(at % self.per).add(is_bot);
    }

    /// Count of a minute or an hour.
    #[must_use]
    pub fn at(&self, at: u8) -> Count {
        let place = self.counted.binary_search_by_key(&at, |(at, _)| *at);
        place.map_or_else(|_| Count::default(), |place| self.counted[place].1)
    }

    /// Minutes or hours that have any, with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (u8, Count)> {
        self.counted.iter().copied()
    }

    pub(super) const fn bytes(&self) -> usize {
        self.counted.capacity() * size_of::<(u8, Count)>()
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        for (at, count) in &self.counted {
            to.push(*at);
            count.write(to);
        }
    }

    /// Reads the rest.
    pub(super) fn read(per: u8, from: &mut &[u8]) -> Option<Self> {
        let mut slots = Self::none(per);
        while let Some((&at, rest)) = from.split_first() {
            *from = rest;
            let count = Count::read(from)?;
            *slots.counted_at(at)? = count;
        }
        Some(slots)
    }

    fn counted_at(&mut self, at: u8) -> Option<&mut Count> {
        (at < self.per).then(|| self.entry(at))
    }
}
