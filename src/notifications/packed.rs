//! Lists of people and records in few characters, as lines of the journal hold them: bytes in base64. Pure.
//!
//! Numbers are in groups of seven bits, the lowest first. Of records that were made within an hour the distance from
//! the first says which they are; people are eight bytes each.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use fanfare_protocol::{Id, NotificationKind};

use crate::data::rows::{Doer, GroupItem, Known, Left};

/// A group; its kind is known from elsewhere.
#[must_use]
pub fn group(group: &GroupItem) -> String {
    let mut bytes = Vec::with_capacity(32 + 16 * group.newest.len() + 9 * group.known.len());
    id(&mut bytes, group.began);
    number(&mut bytes, group.seq);
    number(&mut bytes, group.more);
    from(&mut bytes, group.began, group.below);
    number(&mut bytes, group.newest.len() as u64);
    for doer in &group.newest {
        id(&mut bytes, doer.actor);
        from(&mut bytes, group.began, doer.record);
        number(&mut bytes, doer.earlier.is_some().into());
        if let Some(earlier) = doer.earlier {
            from(&mut bytes, group.began, earlier);
        }
    }
    for known in &group.known {
        id(&mut bytes, known.actor);
        number(&mut bytes, known.deeds);
    }
    STANDARD_NO_PAD.encode(bytes)
}

/// The group of `kind` that [`group`] made it of; `None` for anything else.
#[must_use]
pub fn read_group(packed: &str, kind: NotificationKind) -> Option<GroupItem> {
    let bytes = STANDARD_NO_PAD.decode(packed).ok()?;
    let mut rest = bytes.as_slice();
    let began = read_id(&mut rest)?;
    let (seq, more) = (read_number(&mut rest)?, read_number(&mut rest)?);
    let below = read_from(&mut rest, began)?;
    let mut item = GroupItem { seq, more, below, ..GroupItem::new(kind, began) };
    for _ in 0..read_number(&mut rest)? {
        let actor = read_id(&mut rest)?;
        let record = read_from(&mut rest, began)?;
        let earlier = if read_number(&mut rest)? == 1 { Some(read_from(&mut rest, began)?) } else { None };
        item.newest.push(Doer { actor, record, earlier });
    }
    while !rest.is_empty() {
        item.known.push(Known { actor: read_id(&mut rest)?, deeds: read_number(&mut rest)? });
    }
    Some(item)
}

/// People who took something back.
#[must_use]
pub fn left(left: &[Left]) -> String {
    let mut bytes = Vec::with_capacity(16 * left.len());
    for one in left {
        id(&mut bytes, one.actor);
        id(&mut bytes, one.first);
    }
    STANDARD_NO_PAD.encode(bytes)
}

/// The people that [`left`] made it of; `None` for anything else.
#[must_use]
pub fn read_left(packed: &str) -> Option<Vec<Left>> {
    let bytes = STANDARD_NO_PAD.decode(packed).ok()?;
    let mut rest = bytes.as_slice();
    let mut found = Vec::with_capacity(bytes.len() / 16);
    while !rest.is_empty() {
        found.push(Left { actor: read_id(&mut rest)?, first: read_id(&mut rest)? });
    }
    Some(found)
}

fn id(bytes: &mut Vec<u8>, id: Id) {
    bytes.extend_from_slice(&id.to_bytes());
}

fn read_id(rest: &mut &[u8]) -> Option<Id> {
    let (first, others) = rest.split_first_chunk::<8>()?;
    *rest = others;
    Some(Id(u64::from_be_bytes(*first)))
}

fn number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn read_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, others) = rest.split_first()?;
        *rest = others;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Distance between ids, which have 63 bits: near ones in either direction are small numbers.
fn zigzag(began: Id, other: Id) -> u64 {
    let distance = other.0.wrapping_sub(began.0) as i64;
    ((distance << 1) ^ (distance >> 63)) as u64
}

fn unzigzag(began: Id, number: u64) -> Id {
    let distance = (number >> 1) as i64 ^ -((number & 1) as i64);
    Id(began.0.wrapping_add(distance as u64))
}

fn from(bytes: &mut Vec<u8>, began: Id, other: Id) {
    number(bytes, zigzag(began, other));
}

fn read_from(rest: &mut &[u8], began: Id) -> Option<Id> {
    Some(unzigzag(began, read_number(rest)?))
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
        fn what_is_packed_is_what_is_read(item in groups(), people in prop::collection::vec((ids(), ids()), 0..64)) {
            prop_assert_eq!(read_group(&group(&item), item.kind), Some(item));
            let people: Vec<Left> = people.into_iter().map(|(actor, first)| Left { actor, first }).collect();
            prop_assert_eq!(read_left(&left(&people)), Some(people));
        }

        #[test]
        fn anything_else_is_refused_or_read(noise in prop::collection::vec(any::<u8>(), 0..64)) {
            let packed = STANDARD_NO_PAD.encode(noise);
            let _ = (read_group(&packed, NotificationKind::Like), read_left(&packed));
        }
    }
}
