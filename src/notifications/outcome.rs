//! Outcome of a record for people's lists of notifications, and how the record's line says so. Pure.
//!
//! Who did what to whom follows from the event, and is not said again: a line has, for each list that changed, the
//! numbers after the record, which rows are written and removed, and the group if there is one. All of it is packed
//! (`packed.rs`): a group stands in the record of each event in it, so its bytes are what a flood costs.

use fanfare_protocol::{Id, NotificationKind};
use serde::{Serialize, Serializer};

use super::packed::{self, Near, Packer, Unpacker};
use crate::base::error::{Error, Result};
use crate::data::rows::{ChatNews, GroupItem, GroupMemory, LeftPage, NotificationRow, NotificationState};

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
    /// The page of those who took it back, and which it is, if it changed.
    pub page: Option<(usize, LeftPage)>,
    /// The row of an entry that is listed by itself, if it changed.
    pub item: Option<RowChange<NotificationRow>>,
    /// The row of the group, if it changed.
    pub group: Option<RowChange<GroupItem>>,
    /// The row that says where the group stands, if it is written or removed.
    pub place: Option<RowChange<()>>,
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
            page: None,
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
    /// Conversation that it is about.
    pub chat: Option<ChatNews>,
}

impl Listing {
    /// The row of the entry where it is listed by itself.
    #[must_use]
    pub fn row(&self, count: u64, seq: u64) -> NotificationRow {
        NotificationRow { kind: self.kind, actor: self.actor, post: self.post, count, seq, chat: self.chat }
    }
}

/// New value of a row, or its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowChange<T> {
    /// The row is this now.
    Put(T),
    /// The row is gone.
    Removed,
}

impl<T> RowChange<T> {
    const fn is_put(&self) -> bool {
        matches!(self, Self::Put(_))
    }
}

/// Bits for all that is true of a change and has no number. They stand in stored records.
mod flag {
    pub const RINGS: u64 = 1;
    pub const GREW: u64 = 1 << 1;
    pub const REMEMBERS_ANEW: u64 = 1 << 2;
    pub const ITEM: u64 = 1 << 3;
    pub const ITEM_REMOVED: u64 = 1 << 4;
    pub const GROUP: u64 = 1 << 5;
    pub const MEMORY: u64 = 1 << 6;
    pub const PLACE: u64 = 1 << 7;
    pub const PLACE_REMOVED: u64 = 1 << 8;
    pub const GROUP_REMOVED: u64 = 1 << 9;
    pub const MEMORY_FULL: u64 = 1 << 10;
    pub const PAGE: u64 = 1 << 11;
    /// Count and position of an item are not those of a new one.
    pub const ITEM_OF_MANY: u64 = 1 << 12;
    /// The entry is at another place in the event than the change is among the others.
    pub const PLACED: u64 = 1 << 13;
    /// The memory is of format 1, and holds people.
    pub const MEMORY_OF_FORMAT_1: u64 = 1 << 14;
    pub const ALL: u64 = (1 << 15) - 1;
}

impl Serialize for Lists {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().enumerate().map(|(index, change)| change.pack(index)))
    }
}

impl Listing {
    const fn near(&self) -> Near {
        Near { actor: self.actor, record: self.record }
    }
}

impl ListChange {
    fn flags(&self, index: usize) -> u64 {
        let is_put = |written: Option<bool>| (written == Some(true), written == Some(false));
        let (group, group_removed) = is_put(self.group.as_ref().map(RowChange::is_put));
        let (place, place_removed) = is_put(self.place.as_ref().map(RowChange::is_put));
        let (item, item_removed) = is_put(self.item.as_ref().map(RowChange::is_put));
        let memory = self.memory.as_ref();
        let all = [
            (flag::RINGS, self.rings),
            (flag::GREW, self.grew),
            (flag::REMEMBERS_ANEW, self.remembers_anew),
            (flag::ITEM, item),
            (flag::ITEM_REMOVED, item_removed),
            (flag::GROUP, group),
            (flag::GROUP_REMOVED, group_removed),
            (flag::PLACE, place),
            (flag::PLACE_REMOVED, place_removed),
            (flag::MEMORY, memory.is_some()),
            (flag::MEMORY_FULL, memory.is_some_and(|memory| memory.full)),
            (flag::MEMORY_OF_FORMAT_1, memory.is_some_and(|memory| !memory.left.is_empty())),
            (flag::PAGE, self.page.is_some()),
            (flag::ITEM_OF_MANY, item && self.item != Some(RowChange::Put(self.listing.row(1, self.state.seq)))),
            (flag::PLACED, self.place_in_event != index),
        ];
        all.iter().map(|(flag, holds)| if *holds { *flag } else { 0 }).sum()
    }

    /// The change, which is the one at `index` of its record.
    fn pack(&self, index: usize) -> String {
        let (mut packer, near) = (Packer::default(), self.listing.near());
        let flags = self.flags(index);
        packer.number(flags);
        packer.number(self.state.seq);
        if flags & flag::PLACED != 0 {
            packer.number(self.place_in_event as u64);
        }
        if let Some(RowChange::Put(row)) = &self.item
            && flags & flag::ITEM_OF_MANY != 0
        {
            packer.number(row.count);
            packer.number(row.seq);
        }
        if let Some(memory) = &self.memory {
            packer.number(memory.events);
            packer.number(memory.paged as u64);
            if !memory.left.is_empty() {
                packer.left(&memory.left, near);
            }
        }
        if let Some((at, page)) = &self.page {
            packer.number(*at as u64);
            packer.left(&page.left, near);
        }
        if let Some(RowChange::Put(group)) = &self.group {
            packer.group(group, near, self.state.seq);
        }
        packer.finish()
    }

    /// The change at `index` of the record `by`, whose event gives or takes back `listings`; `None` for what is none.
    fn unpack(packed: &str, index: usize, by: Id, listings: &[Listing]) -> Option<Self> {
        let bytes = packed::bytes_of(packed)?;
        let mut rest = Unpacker::new(&bytes);
        let flags = rest.number().filter(|flags| flags & !flag::ALL == 0)?;
        let is = |flag: u64| flags & flag != 0;
        let seq = rest.number()?;
        let place_in_event = if is(flag::PLACED) { usize::try_from(rest.number()?).ok()? } else { index };
        let listing = *listings.get(place_in_event)?;
        let near = listing.near();
        let mut change = Self::new(place_in_event, listing, NotificationState { seq, applied: by });
        change.item = if is(flag::ITEM_OF_MANY) {
            Some(RowChange::Put(listing.row(rest.number()?, rest.number()?)))
        } else if is(flag::ITEM) {
            Some(RowChange::Put(listing.row(1, seq)))
        } else {
            is(flag::ITEM_REMOVED).then_some(RowChange::Removed)
        };
        if is(flag::MEMORY) {
            let (events, paged) = (rest.number()?, usize::try_from(rest.number()?).ok()?);
            let left = if is(flag::MEMORY_OF_FORMAT_1) { rest.left(near)? } else { Vec::new() };
            change.memory = Some(GroupMemory { events, left, paged, full: is(flag::MEMORY_FULL) });
        }
        if is(flag::PAGE) {
            change.page = Some((usize::try_from(rest.number()?).ok()?, rest.page(near)?));
        }
        change.group = if is(flag::GROUP) {
            Some(RowChange::Put(rest.group(listing.kind, near, seq)?))
        } else {
            is(flag::GROUP_REMOVED).then_some(RowChange::Removed)
        };
        change.place = match (is(flag::PLACE), is(flag::PLACE_REMOVED)) {
            (true, _) => Some(RowChange::Put(())),
            (false, true) => Some(RowChange::Removed),
            (false, false) => None,
        };
        change.remembers_anew = is(flag::REMEMBERS_ANEW);
        change.rings = is(flag::RINGS);
        change.grew = is(flag::GREW);
        rest.is_done().then_some(change)
    }
}

impl Lists {
    /// The changes by the record `by`, whose event gives or takes back `listings`, from their JSON.
    ///
    /// # Errors
    /// When they are not those of such a record.
    pub fn read(json: &str, by: Id, listings: &[Listing]) -> Result<Self> {
        let wrong = |why: &str| Error::Internal(format!("notifications of record {by} do not decode: {why}"));
        let changes: Vec<String> = serde_json::from_str(json).map_err(|error| wrong(&error.to_string()))?;
        let read = |(index, packed): (usize, String)| {
            let change = ListChange::unpack(&packed, index, by, listings);
            change.ok_or_else(|| wrong("they are damaged, or more than the event gives"))
        };
        Ok(Self(changes.into_iter().enumerate().map(read).collect::<Result<_>>()?))
    }
}
