//! Order of a person's list, and what of it changed: from minutes of activity and heads. Pure.
//!
//! A list stands in the order of last messages, and rows tell minutes of activity only, which are never before the
//! minute of the last message. So heads are read by falling minutes until nothing that was not read can be newer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fanfare_protocol::Id;

use crate::base::id::unix_ms_of;

/// Milliseconds of a minute.
const MINUTE_MS: u64 = 60_000;

/// A conversation in a person's list, with the minute in which something happened there last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// The conversation.
    pub conversation: Id,
    /// Minute since the Unix epoch.
    pub minute: u32,
    /// The person is in it no more.
    pub gone: bool,
}

/// Place in a list: pinned ones first, where that is asked for, then by the newest message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListPlace {
    /// Whether the conversation stands among those that come first.
    pub is_pinned: bool,
    /// The newest message.
    pub last_message: Id,
    /// The conversation.
    pub conversation: Id,
}

impl ListPlace {
    /// Bytes, as a cursor holds them.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [&self.last_message.to_bytes()[..], &self.conversation.to_bytes(), &[u8::from(self.is_pinned)]].concat()
    }

    /// The place in bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (last_message, conversation) = (Id::from_bytes(bytes)?, Id::from_bytes(bytes.get(8..)?)?);
        let is_pinned = match bytes.get(16..)? {
            // Of cursors that know nothing of pinned ones: one byte less.
            [] => false,
            [pinned @ 0..=1] => *pinned == 1,
            _ => return None,
        };
        Some(Self { is_pinned, last_message, conversation })
    }
}

/// Merge of a list in its order: asks for what has to be read next, and hands out what is final.
#[derive(Debug)]
pub struct ListMerge<T> {
    /// By falling minute, from the end: what was not read yet.
    rest: Vec<Listed>,
    read: BinaryHeap<(ListPlace, Reverse<usize>)>,
    values: Vec<Option<T>>,
}

impl<T> ListMerge<T> {
    /// Over conversations in any order.
    #[must_use]
    pub fn new(mut listed: Vec<Listed>) -> Self {
        listed.sort_unstable_by_key(|one| (one.minute, one.conversation));
        Self { rest: listed, read: BinaryHeap::new(), values: Vec::new() }
    }

    /// The conversations to read next, at most `count` of them; empty when all were read.
    pub fn ask(&mut self, count: usize) -> Vec<Listed> {
        let at = self.rest.len().saturating_sub(count);
        let mut asked = self.rest.split_off(at);
        asked.reverse();
        asked
    }

    /// Takes in what was read of a conversation.
    pub fn put(&mut self, place: ListPlace, value: T) {
        self.read.push((place, Reverse(self.values.len())));
        self.values.push(Some(value));
    }

    /// The next of the list, if it is known which one that is.
    pub fn pop(&mut self) -> Option<(ListPlace, T)> {
        let (place, _) = self.read.peek()?;
        if let Some(unread) = self.rest.last() {
            let end_ms = (u64::from(unread.minute) + 1) * MINUTE_MS;
            if unix_ms_of(place.last_message) < end_ms {
                return None;
            }
        }
        let (place, Reverse(at)) = self.read.pop()?;
        self.values.get_mut(at).and_then(Option::take).map(|value| (place, value))
    }
}

/// Whether something of this minute may have happened after `mark`.
#[must_use]
pub fn may_be_after(minute: u32, mark: Id) -> bool {
    (u64::from(minute) + 1) * MINUTE_MS > unix_ms_of(mark)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::id::{EPOCH_MS, first_id_at};

    proptest! {
        /// However little is read at once, the order is that of all heads, and no more is read than has to be.
        #[test]
        fn the_order_is_that_of_last_messages(
            talks in prop::collection::vec((0..20 * MINUTE_MS, 0..10u32), 0..60),
            step in 1..8usize,
            wanted in 0..60usize,
        ) {
            let places: Vec<(ListPlace, u32)> = (0u64..).zip(&talks).map(|(conversation, (ms, later))| {
                let last_message = first_id_at(EPOCH_MS + 7 * 86_400_000 + ms);
                let minute = (unix_ms_of(last_message) / MINUTE_MS) as u32 + later;
                (ListPlace { is_pinned: false, last_message, conversation: Id(conversation) }, minute)
            }).collect();
            let listed = places.iter().map(|(place, minute)| {
                Listed { conversation: place.conversation, minute: *minute, gone: false }
            }).collect();
            let mut merge = ListMerge::new(listed);
            let mut found = Vec::new();
            while found.len() < wanted {
                if let Some((place, ())) = merge.pop() {
                    found.push(place);
                    continue;
                }
                let asked = merge.ask(step);
                if asked.is_empty() {
                    break;
                }
                for one in asked {
                    merge.put(places[one.conversation.0 as usize].0, ());
                }
            }
            let mut expected: Vec<ListPlace> = places.iter().map(|(place, _)| *place).collect();
            expected.sort_unstable_by(|one, other| other.cmp(one));
            expected.truncate(wanted);
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_place_survives_its_bytes() {
        for is_pinned in [false, true] {
            let place = ListPlace { is_pinned, last_message: Id(7), conversation: Id(9) };
            assert_eq!(ListPlace::from_bytes(&place.to_bytes()), Some(place));
        }
        assert!(ListPlace::from_bytes(&[0; 16]).is_some_and(|place| !place.is_pinned));
        for wrong in [&[0; 15][..], &[2; 17], &[0; 18]] {
            assert_eq!(ListPlace::from_bytes(wrong), None);
        }
    }
}
