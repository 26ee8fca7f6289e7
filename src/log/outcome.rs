//! Outcomes: what folding a record gave. Rows are made of a record and its outcome, and views hear both. Bytes without
//! behaviour, as those of records; they are not stored yet.

use fanfare_protocol::{Id, NotificationKind};
use smallvec::SmallVec;

use crate::data::rows::{Counters, GroupItem, GroupMemory, NotificationRow, NotificationState};
use crate::data::uncounted::Of;

/// Outcome of a record.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Counters that the record changed, as they are after it.
    pub counters: SmallVec<[Counted; 2]>,
    /// Posts that are gone and of which something is left to be done.
    pub unsettled: Vec<Id>,
    /// Lists of notifications that the record changed.
    pub lists: Vec<ListChange>,
}

/// Counters of a person or a post after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Owner of the counters.
    pub of: Of,
    /// After the record.
    pub counters: Counters,
}

/// Change of one person's list of notifications: what one entry in it, given or taken back, did to its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListChange {
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
    pub fn new(listing: Listing, state: NotificationState) -> Self {
        let (memory, item, group, place) = (None, None, None, None);
        Self { listing, state, memory, remembers_anew: false, item, group, place, rings: false, grew: false }
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

/// New value of a row, or its removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written<T> {
    /// The row is this now.
    Put(T),
    /// The row is gone.
    Removed,
}
