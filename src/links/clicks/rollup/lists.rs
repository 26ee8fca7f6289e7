//! Lists of a day: names with a count each, of which only so many are kept apart. Pure.
//!
//! All lists of a day are one sequence, in the order of lists and names: most days of a link have a click or two, and
//! then one piece of memory holds what seven would.

use std::cmp::Ordering;

use smallvec::SmallVec;

use super::super::click::Click;
use super::super::number::{read_number, read_text, write_number};
use super::counts::Count;
use crate::base::limits::clicks::{BROWSERS_MAX, COUNTRIES_MAX, NAMES_MAX};

/// Bytes of an entry's key that need no memory of their own.
const INLINE_BYTES: usize = 16;

/// List of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Hosts of referring pages.
    Referrers,
    /// Countries.
    Countries,
    /// Cities.
    Cities,
    /// Kinds of device.
    Devices,
    /// Browsers.
    Browsers,
    /// Operating systems.
    Systems,
    /// Languages.
    Languages,
}

impl List {
    /// All lists, in the order in which they are stored.
    pub const ALL: [Self; 7] =
        [Self::Referrers, Self::Countries, Self::Cities, Self::Devices, Self::Browsers, Self::Systems, Self::Languages];

    /// Names that are kept apart.
    const fn bound(self) -> usize {
        match self {
            Self::Countries => COUNTRIES_MAX,
            Self::Referrers | Self::Cities | Self::Languages => NAMES_MAX,
            Self::Devices | Self::Browsers | Self::Systems => BROWSERS_MAX,
        }
    }

    fn name_of<'a>(self, click: &'a Click<'_>) -> Option<&'a str> {
        let name = match self {
            Self::Referrers => &click.referrer,
            Self::Countries => &click.country,
            Self::Cities => &click.city,
            Self::Devices => &click.device,
            Self::Browsers => &click.browser,
            Self::Systems => &click.os,
            Self::Languages => &click.language,
        };
        name.as_deref()
    }
}

/// Kind of an entry; of a list, in this order.
#[derive(Clone, Copy)]
enum Kind {
    /// Clicks of which it is not known.
    Unknown,
    /// Clicks of names that found no place.
    Other,
    Named,
}

/// List and kind of an entry as one number, in their order.
const fn slot(list: List, kind: Kind) -> u8 {
    ((list as u8) << 2) | kind as u8
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    /// Slot, and behind it the name.
    key: SmallVec<[u8; INLINE_BYTES]>,
    count: Count,
}

impl Entry {
    fn new(slot: u8, name: &[u8], count: Count) -> Self {
        let mut key = SmallVec::with_capacity(1 + name.len());
        key.push(slot);
        key.extend_from_slice(name);
        Self { key, count }
    }

    fn slot(&self) -> u8 {
        self.key.first().copied().unwrap_or_default()
    }

    fn name(&self) -> &[u8] {
        self.key.get(1..).unwrap_or_default()
    }

    fn order(&self, slot: u8, name: &[u8]) -> Ordering {
        self.slot().cmp(&slot).then_with(|| self.name().cmp(name))
    }

    /// Bytes beside its own.
    fn heap_bytes(&self) -> usize {
        if self.key.spilled() { self.key.capacity() } else { 0 }
    }
}

/// Lists of a day.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayLists {
    entries: Vec<Entry>,
    /// Bytes of names that are not in their entries.
    heap_bytes: usize,
}

/// Counts of a list: of names, in their order; of what is not known; and of what came when it was full.
#[derive(Debug, Clone, Copy)]
pub struct NameCounts<'a> {
    named: &'a [Entry],
    /// Clicks of which it is not known.
    pub unknown: Count,
    /// Clicks of names that found no place.
    pub other: Count,
}

impl<'a> NameCounts<'a> {
    /// Names with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Count)> + use<'a> {
        // They were texts.
        self.named.iter().map(|entry| (std::str::from_utf8(entry.name()).unwrap_or_default(), entry.count))
    }

    /// Everything that was counted.
    #[must_use]
    pub fn sum(&self) -> Count {
        let mut sum = self.unknown;
        sum.merge(self.other);
        self.named.iter().for_each(|entry| sum.merge(entry.count));
        sum
    }
}

impl DayLists {
    /// Counts of a list.
    #[must_use]
    pub fn of(&self, list: List) -> NameCounts<'_> {
        let single = |kind| {
            let found = self.entries.binary_search_by(|entry| entry.order(slot(list, kind), &[]));
            found.map_or_else(|_| Count::default(), |at| self.entries[at].count)
        };
        let named = &self.entries[self.named(list)];
        NameCounts { named, unknown: single(Kind::Unknown), other: single(Kind::Other) }
    }

    /// Entries of a list's names.
    fn named(&self, list: List) -> std::ops::Range<usize> {
        let slot = slot(list, Kind::Named);
        let from = self.entries.partition_point(|entry| entry.slot() < slot);
        from..from + self.entries[from..].partition_point(|entry| entry.slot() == slot)
    }

    /// Counts a click; where a list is full no further names are taken in.
    pub(super) fn add(&mut self, click: &Click<'_>) {
        if self.entries.is_empty() {
            self.entries.reserve_exact(List::ALL.len());
        }
        // Each list lies behind the one before.
        let mut from = 0;
        for list in List::ALL {
            from = match list.name_of(click) {
                Some(name) => self.count(from, list, Kind::Named, name.as_bytes(), click.is_bot),
                None => self.count(from, list, Kind::Unknown, &[], click.is_bot),
            };
        }
    }

    /// Counts in an entry, which lies at `from` or behind; answers where.
    fn count(&mut self, from: usize, list: List, kind: Kind, name: &[u8], is_bot: bool) -> usize {
        let slot = slot(list, kind);
        match self.entries[from..].binary_search_by(|entry| entry.order(slot, name)) {
            Ok(at) => {
                self.entries[from + at].count.add(is_bot);
                from + at
            }
            Err(_) if matches!(kind, Kind::Named) && self.is_full(list) => {
                self.count(from, list, Kind::Other, &[], is_bot)
            }
            Err(at) => {
                let mut count = Count::default();
                count.add(is_bot);
                let entry = Entry::new(slot, name, count);
                self.heap_bytes += entry.heap_bytes();
                self.entries.insert(from + at, entry);
                from + at
            }
        }
    }

    fn is_full(&self, list: List) -> bool {
        self.entries.len() >= list.bound() && self.named(list).len() >= list.bound()
    }

    /// Lists of several days together, whatever comes of the number of names.
    #[must_use]
    pub fn together(days: Vec<Self>) -> Self {
        let mut entries: Vec<Entry> = days.into_iter().flat_map(|day| day.entries).collect();
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        entries.dedup_by(|next, kept| {
            let is_same = next.key == kept.key;
            if is_same {
                kept.count.merge(next.count);
            }
            is_same
        });
        let heap_bytes = entries.iter().map(Entry::heap_bytes).sum();
        Self { entries, heap_bytes }
    }

    /// Bytes in memory beside its own.
    pub(super) const fn bytes(&self) -> usize {
        self.entries.capacity() * size_of::<Entry>() + self.heap_bytes
    }

    pub(super) fn write(&self, to: &mut Vec<u8>) {
        for list in List::ALL {
            let counts = self.of(list);
            counts.unknown.write(to);
            counts.other.write(to);
            write_number(counts.named.len() as u64, to);
            for entry in counts.named {
                write_number(entry.name().len() as u64, to);
                to.extend_from_slice(entry.name());
                entry.count.write(to);
            }
        }
    }

    pub(super) fn read(from: &mut &[u8]) -> Option<Self> {
        let mut lists = Self::default();
        for list in List::ALL {
            for kind in [Kind::Unknown, Kind::Other] {
                let count = Count::read(from)?;
                if count != Count::default() {
                    lists.entries.push(Entry::new(slot(list, kind), &[], count));
                }
            }
            for _ in 0..read_number(from)? {
                let name = read_text(from)?;
                let entry = Entry::new(slot(list, Kind::Named), name.as_bytes(), Count::read(from)?);
                lists.heap_bytes += entry.heap_bytes();
                lists.entries.push(entry);
            }
        }
        lists.entries.is_sorted_by(|a, b| a.key < b.key).then_some(lists)
    }
}
