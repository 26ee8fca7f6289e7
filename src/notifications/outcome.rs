//! Outcome of a record for people's lists of notifications, and how the record's line says so. Pure.
//!
//! Who did what to whom follows from the event, and is not said again: a line has, for each list that changed, the
//! numbers after the record, which rows are written and removed, and the group if there is one.

use fanfare_protocol::{Id, NotificationKind};
use serde::{Deserialize, Serialize, Serializer};

use super::packed;
use crate::base::error::{Error, Result};
use crate::data::rows::{GroupItem, GroupMemory, NotificationRow, NotificationState};

/// Lists that a record changed: the part of this product in its outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lists(pub Vec<ListChange>);

/// Change of one person's list of notifications: what one entry in it, given or taken back, did to its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListChange {
    /// Place of the entry among those that the event gives or takes back.
    place_in_event: usize,
    /// The entry.
    pub listing: Listing,
    /// The list's state after the record.
    pub state: NotificationState,
    /// Memory of the hour, if it changed.
    pub memory: Option<GroupMemory>,
    /// The memory is new: its row expires with the hour.
    pub remembers_anew: bool,
    /// The row of an entry that is listed by itself, if it changed.
    pub item: Option<Written<NotificationRow>>,
    /// The row of the group, if it changed.
    pub group: Option<Written<GroupItem>>,
    /// The row that says where the group stands, if it is written or removed.
    pub place: Option<Written<()>>,
    /// News: the person's devices hear of it.
    pub rings: bool,
    /// The list is longer than before.
    pub grew: bool,
}

impl ListChange {
    /// A change that writes nothing but the list's state.
    #[must_use]
    pub fn new(place_in_event: usize, listing: Listing, state: NotificationState) -> Self {
        Self {
            place_in_event,
            listing,
            state,
            memory: None,
            remembers_anew: false,
            item: None,
            group: None,
            place: None,
            rings: false,
            grew: false,
        }
    }
}

/// Entry of a person's list of notifications, by what gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listing {
    /// Owner of the list.
    pub user: Id,
    /// Kind of event.
    pub kind: NotificationKind,
    /// Person who did it.
    pub actor: Id,
    /// Post that it is about.
    pub post: Option<Id>,
    /// Subject that floods are grouped by.
    pub subject: Id,
    /// The record that gave it.
    pub record: Id,
}

impl Listing {
    /// The row of the entry where it is listed by itself.
    #[must_use]
    pub fn row(&self, count: u64, seq: u64) -> NotificationRow {
        NotificationRow { kind: self.kind, actor: self.actor, post: self.post, count, seq }
    }
}

/// New value of a row, or its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<T> {
    /// The row is this now.
    Put(T),
    /// The row is gone.
    Removed,
}

/// Bits for all that is true of a change and has no number.
mod flag {
    pub const RINGS: u16 = 1;
    pub const GREW: u16 = 2;
    pub const REMEMBERS_ANEW: u16 = 4;
    pub const ITEM: u16 = 8;
    pub const ITEM_REMOVED: u16 = 16;
    pub const PLACE: u16 = 32;
    pub const PLACE_REMOVED: u16 = 64;
    pub const GROUP_REMOVED: u16 = 128;
    pub const MEMORY_FULL: u16 = 256;
}

/// A change as a line holds it. Its names stand in stored records.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// Place in the event, where it is not that of the line among the others.
    #[serde(rename = "d", default, skip_serializing_if = "Option::is_none")]
    place_in_event: Option<usize>,
    /// Items ever made.
    #[serde(rename = "s")]
    seq: u64,
    /// Bits of [`flag`].
    #[serde(rename = "f", default, skip_serializing_if = "is_none")]
    flags: u16,
    /// Events that the memory counts.
    #[serde(rename = "m", default, skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    /// People in the memory, packed.
    #[serde(rename = "l", default, skip_serializing_if = "String::is_empty")]
    left: String,
    /// Count and position of an item where they are not those of a new one.
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    item: Option<(u64, u64)>,
    /// The group, packed.
    #[serde(rename = "g", default, skip_serializing_if = "Option::is_none")]
    group: Option<String>,
}

fn is_none(flags: &u16) -> bool {
    *flags == 0
}

impl Serialize for Lists {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().enumerate().map(|(index, change)| Line::of(index, change)))
    }
}

impl Line {
    fn of(index: usize, change: &ListChange) -> Self {
        let is_new = change.listing.row(1, change.state.seq);
        let (mut flags, mut item) = (0, None);
        let mut set = |flag: u16, holds: bool| flags |= if holds { flag } else { 0 };
        set(flag::RINGS, change.rings);
        set(flag::GREW, change.grew);
        set(flag::REMEMBERS_ANEW, change.remembers_anew);
        set(flag::PLACE, change.place == Some(Written::Put(())));
        set(flag::PLACE_REMOVED, change.place == Some(Written::Removed));
        set(flag::GROUP_REMOVED, change.group == Some(Written::Removed));
        set(flag::MEMORY_FULL, change.memory.as_ref().is_some_and(|memory| memory.full));
        match &change.item {
            Some(Written::Put(row)) if *row == is_new => set(flag::ITEM, true),
            Some(Written::Put(row)) => item = Some((row.count, row.seq)),
            Some(Written::Removed) => set(flag::ITEM_REMOVED, true),
            None => {}
        }
        let group = match &change.group {
            Some(Written::Put(group)) => Some(packed::group(group)),
            _ => None,
        };
        Self {
            place_in_event: (change.place_in_event != index).then_some(change.place_in_event),
            seq: change.state.seq,
            flags,
            events: change.memory.as_ref().map(|memory| memory.events),
            left: change.memory.as_ref().map_or_else(String::new, |memory| packed::left(&memory.left)),
            item,
            group,
        }
    }

    /// The change of the entry `listing` by the record `by`.
    fn read(self, place_in_event: usize, listing: Listing, by: Id) -> Option<ListChange> {
        let is = |flag: u16| self.flags & flag != 0;
        let written = |put: u16, removed: u16| match () {
            () if is(put) => Some(Written::Put(())),
            () if is(removed) => Some(Written::Removed),
            () => None,
        };
        let memory = match self.events {
            Some(events) => {
                Some(GroupMemory { events, left: packed::read_left(&self.left)?, full: is(flag::MEMORY_FULL) })
            }
            None => None,
        };
        let item = match (self.item, written(flag::ITEM, flag::ITEM_REMOVED)) {
            (Some((count, seq)), _) => Some(Written::Put(listing.row(count, seq))),
            (None, Some(Written::Put(()))) => Some(Written::Put(listing.row(1, self.seq))),
            (None, Some(Written::Removed)) => Some(Written::Removed),
            (None, None) => None,
        };
        let group = match self.group {
            Some(group) => Some(Written::Put(packed::read_group(&group, listing.kind)?)),
            None => is(flag::GROUP_REMOVED).then_some(Written::Removed),
        };
        Some(ListChange {
            place_in_event,
            listing,
            state: NotificationState { seq: self.seq, applied: by },
            memory,
            remembers_anew: is(flag::REMEMBERS_ANEW),
            item,
            group,
            place: written(flag::PLACE, flag::PLACE_REMOVED),
            rings: is(flag::RINGS),
            grew: is(flag::GREW),
        })
    }
}

impl Lists {
    /// The changes by the record `by`, whose event gives or takes back `listings`, from their JSON.
    ///
    /// # Errors
    /// When they are not those of such a record.
    pub fn read(json: &str, by: Id, listings: &[Listing]) -> Result<Self> {
        let wrong = |why: &str| Error::Internal(format!("notifications of record {by} do not decode: {why}"));
        let lines: Vec<Line> = serde_json::from_str(json).map_err(|error| wrong(&error.to_string()))?;
        let read = |(index, line): (usize, Line)| {
            let place = line.place_in_event.unwrap_or(index);
            let listing = listings.get(place).ok_or_else(|| wrong("there are more than the event gives"))?;
            line.read(place, *listing, by).ok_or_else(|| wrong("what is packed is damaged"))
        };
        Ok(Self(lines.into_iter().enumerate().map(read).collect::<Result<_>>()?))
    }
}
