//! Changes of lists of notifications in few characters, as lines of the journal hold them: bytes in base64. Pure.
//!
//! Numbers are in groups of seven bits, the lowest first. Ids of records are told by their distance from another one of
//! the same hour, which takes two to four bytes in a flood; people are eight bytes each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use fanfare_protocol::{Id, NotificationKind};

use crate::data::rows::{Doer, GroupItem, Known, Left, LeftPage};

/// Bits of an id below its milliseconds.
const LOW_BITS: u32 = 22;
/// Mask of the bits below milliseconds, which are alike in the records of a partition.
const LOW: u64 = (1 << LOW_BITS) - 1;

/// Entry that a change is about: what is near it is told by the distance.
#[derive(Debug, Clone, Copy)]
pub struct Near {
    /// Person who did it.
    pub actor: Id,
    /// The record that gave it.
    pub record: Id,
}

/// Bytes of a change as it is packed.
#[derive(Debug, Default)]
pub struct Packer(Vec<u8>);

impl Packer {
    /// The text.
    #[must_use]
    pub fn finish(self) -> String {
        STANDARD_NO_PAD.encode(self.0)
    }

    /// Adds a number.
    pub fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// Adds a person.
    fn person(&mut self, person: Id) {
        self.0.extend_from_slice(&person.to_bytes());
    }

    /// Adds the id of a record by its distance from `from`, under two bits of something else.
    fn record(&mut self, from: Id, id: Id, bits: u64) {
        let distance = zigzag(millis(id).wrapping_sub(millis(from)) as i64);
        let lower = zigzag(low(id).wrapping_sub(low(from)) as i64);
        self.number(distance << 3 | u64::from(lower != 0) << 2 | bits);
        if lower != 0 {
            self.number(lower);
        }
    }

    /// Adds a group of which the kind is known from elsewhere; `seq` is where it stands most of the time.
    pub fn group(&mut self, group: &GroupItem, near: Near, seq: u64) {
        let GroupItem { kind: _, seq: of_group, began, newest, known, more, below } = group;
        self.number(seq.wrapping_sub(*of_group));
        self.number(*more);
        self.record(near.record, *began, u64::from(*below != Id(0)));
        self.number(newest.len() as u64);
        let mut from = near.record;
        for doer in newest {
            let is_near = doer.actor == near.actor;
            self.record(from, doer.record, u64::from(is_near) | u64::from(doer.earlier.is_some()) << 1);
            if !is_near {
                self.person(doer.actor);
            }
            if let Some(earlier) = doer.earlier {
                self.record(doer.record, earlier, 0);
            }
            from = doer.record;
        }
        if *below != Id(0) {
            self.record(from, *below, 0);
        }
        self.number(known.len() as u64);
        for known in known {
            self.person(known.actor);
            self.number(known.deeds);
        }
    }

    /// Adds people who took something back.
    pub fn left(&mut self, left: &[Left], near: Near) {
        self.number(left.len() as u64);
        for one in left {
            self.person(one.actor);
            self.record(near.record, one.first, 0);
        }
    }
}

/// Bytes of a change as it is read: `None` is for what no [`Packer`] made.
#[derive(Debug)]
pub struct Unpacker<'a>(&'a [u8]);

/// Bytes of a text that [`Packer::finish`] made; `None` for anything else.
#[must_use]
pub fn bytes_of(packed: &str) -> Option<Vec<u8>> {
    STANDARD_NO_PAD.decode(packed).ok()
}

impl<'a> Unpacker<'a> {
    /// Of [`bytes_of`] a text.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether everything was read.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.0.is_empty()
    }

    /// A number.
    pub fn number(&mut self) -> Option<u64> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let (first, others) = self.0.split_first()?;
            self.0 = others;
            number |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn person(&mut self) -> Option<Id> {
        let (first, others) = self.0.split_first_chunk::<8>()?;
        self.0 = others;
        Some(Id(u64::from_be_bytes(*first)))
    }

    fn record(&mut self, from: Id) -> Option<(Id, u64)> {
        let number = self.number()?;
        let millis = millis(from).wrapping_add(unzigzag(number >> 3) as u64);
        let lower = if number & 4 == 0 { 0 } else { unzigzag(self.number()?) };
        let low = low(from).wrapping_add(lower as u64) & LOW;
        Some((Id(millis << LOW_BITS | low), number & 3))
    }

    /// The group of `kind` that [`Packer::group`] added.
    pub fn group(&mut self, kind: NotificationKind, near: Near, seq: u64) -> Option<GroupItem> {
        let (of_group, more) = (seq.wrapping_sub(self.number()?), self.number()?);
        let (began, has_below) = self.record(near.record)?;
        let mut item = GroupItem { seq: of_group, more, ..GroupItem::new(kind, began) };
        let mut from = near.record;
        for _ in 0..self.number()? {
            let (record, bits) = self.record(from)?;
            let actor = if bits & 1 == 1 { near.actor } else { self.person()? };
            let earlier = if bits & 2 == 2 { Some(self.record(record)?.0) } else { None };
            item.newest.push(Doer { actor, record, earlier });
            from = record;
        }
        if has_below == 1 {
            item.below = self.record(from)?.0;
        }
        for _ in 0..self.number()? {
            item.known.push(Known { actor: self.person()?, deeds: self.number()? });
        }
        Some(item)
    }

    /// The people whom [`Packer::left`] added.
    pub fn left(&mut self, near: Near) -> Option<Vec<Left>> {
        let mut found = Vec::new();
        for _ in 0..self.number()? {
            found.push(Left { actor: self.person()?, first: self.record(near.record)?.0 });
        }
        Some(found)
    }

    /// The page of those whom [`Packer::left`] added.
    pub fn page(&mut self, near: Near) -> Option<LeftPage> {
        Some(LeftPage { left: self.left(near)? })
    }
}

const fn millis(id: Id) -> u64 {
    id.0 >> LOW_BITS
}

const fn low(id: Id) -> u64 {
    id.0 & LOW
}

/// Distances in either direction as numbers, near ones as small ones.
const fn zigzag(distance: i64) -> u64 {
    ((distance << 1) ^ (distance >> 63)) as u64
}

const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ids() -> impl Strategy<Value = Id> {
        prop_oneof![Just(0), 1..1_000_u64, (1_u64 << 60)..(1 << 60) + (1 << 44), Just(i64::MAX as u64)].prop_map(Id)
    }

    fn groups() -> impl Strategy<Value = GroupItem> {
        let doer = (ids(), ids(), prop::option::of(ids()));
        let doer = doer.prop_map(|(actor, record, earlier)| Doer { actor, record, earlier });
        let doers = prop::collection::vec(doer, 0..17);
        let known = (ids(), 0..u64::MAX).prop_map(|(actor, deeds)| Known { actor, deeds });
        let numbers = (0..u64::MAX, 0..300_u64, ids());
        (numbers, ids(), doers, prop::collection::vec(known, 0..128)).prop_map(
            |((seq, more, began), below, newest, known)| GroupItem {
                kind: NotificationKind::Reply,
                seq,
                began,
                newest,
                known,
                more,
                below,
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_packed_is_what_is_read(
            item in groups(),
            (actor, record) in (ids(), ids()),
            seq in any::<u64>(),
            people in prop::collection::vec((ids(), ids()), 0..64),
        ) {
            let near = Near { actor, record };
            let people: Vec<Left> = people.into_iter().map(|(actor, first)| Left { actor, first }).collect();
            let mut packer = Packer::default();
            packer.group(&item, near, seq);
            packer.left(&people, near);
            packer.number(seq);
            let bytes = bytes_of(&packer.finish()).unwrap();
            let mut unpacker = Unpacker::new(&bytes);
            prop_assert_eq!(unpacker.group(item.kind, near, seq), Some(item));
            prop_assert_eq!(unpacker.left(near), Some(people));
            prop_assert_eq!(unpacker.number(), Some(seq));
            prop_assert!(unpacker.is_done());
        }

        #[test]
        fn anything_else_is_refused_or_read(noise in prop::collection::vec(any::<u8>(), 0..64)) {
            let near = Near { actor: Id(1), record: Id(2) };
            let _ = Unpacker::new(&noise).group(NotificationKind::Like, near, 1);
            let _ = Unpacker::new(&noise).left(near);
        }
    }
}
