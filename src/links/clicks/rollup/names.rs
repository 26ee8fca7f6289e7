//! Counts, and lists of names with a count each, of which only so many are kept apart. Pure.

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
        self.counted.len() * size_of::<(u8, Count)>()
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

/// Writes a number in seven bits a byte, the lowest first.
pub(super) fn write_number(mut number: u64, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

pub(super) fn read_number(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Names with their counts, in the order of the names; what is not known, and what came when the list was full, apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameCounts {
    named: Vec<(Box<str>, Count)>,
    /// Clicks of which it is not known.
    pub unknown: Count,
    /// Clicks of names that found no place.
    pub other: Count,
}

impl NameCounts {
    /// Counts a click; at `bound` names no further ones are taken in.
    pub fn add(&mut self, name: Option<&str>, is_bot: bool, bound: usize) {
        let Some(name) = name else { return self.unknown.add(is_bot) };
        match self.named.binary_search_by(|(known, _)| (**known).cmp(name)) {
            Ok(at) => self.named[at].1.add(is_bot),
            Err(_) if self.named.len() >= bound => self.other.add(is_bot),
            Err(at) => {
                let mut count = Count::default();
                count.add(is_bot);
                self.named.insert(at, (name.into(), count));
            }
        }
    }

    /// Adds another list, whatever comes of the number of names.
    pub fn merge(&mut self, other: &Self) {
        self.unknown.merge(other.unknown);
        self.other.merge(other.other);
        for (name, count) in &other.named {
            match self.named.binary_search_by(|(known, _)| known.cmp(name)) {
                Ok(at) => self.named[at].1.merge(*count),
                Err(at) => self.named.insert(at, (name.clone(), *count)),
            }
        }
    }

    /// Names with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Count)> {
        self.named.iter().map(|(name, count)| (&**name, *count))
    }

    /// Everything that was counted.
    #[must_use]
    pub fn sum(&self) -> Count {
        let mut sum = self.unknown;
        sum.merge(self.other);
        self.named.iter().for_each(|(_, count)| sum.merge(*count));
        sum
    }

    pub(super) fn bytes(&self) -> usize {
        self.named.iter().map(|(name, _)| name.len() + size_of::<(Box<str>, Count)>()).sum()
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        self.unknown.write(to);
        self.other.write(to);
        write_number(self.named.len() as u64, to);
        for (name, count) in &self.named {
            write_number(name.len() as u64, to);
            to.extend_from_slice(name.as_bytes());
            count.write(to);
        }
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Self> {
        let (unknown, other) = (Count::read(from)?, Count::read(from)?);
        let count = read_number(from)?;
        let mut named: Vec<(Box<str>, Count)> = Vec::new();
        for _ in 0..count {
            let length = usize::try_from(read_number(from)?).ok()?;
            let (name, rest) = from.split_at_checked(length)?;
            *from = rest;
            named.push((std::str::from_utf8(name).ok()?.into(), Count::read(from)?));
        }
        named.is_sorted_by(|a, b| a.0 < b.0).then_some(Self { named, unknown, other })
    }
}
