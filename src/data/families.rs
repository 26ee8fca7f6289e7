//! The catalogue of families: which tables are kept together with which partitions of the log, apart from all others.
//!
//! A batch never spans families, so a record's rows are of the family that it is a record of. Each has a store and a
//! committer of its own in the embedded engine, and its owner's head in a table of its own.

use fanfare_engines::{NewFamily, Table};

use super::tables;

/// People and what they post.
pub const SOCIAL: NewFamily =
    NewFamily { name: "social", partitions: None, tables: |_| true, own_table: Some(tables::META) };
/// Conversations.
pub const CHAT: NewFamily = NewFamily {
    name: "chat",
    partitions: None,
    tables: |id| id == tables::CHAT_META.id || (100..=139).contains(&id),
    own_table: Some(tables::CHAT_META),
};
/// Clicks on links.
pub const CLICKS: NewFamily = NewFamily {
    name: "clicks",
    partitions: None,
    tables: |id| id == tables::CLICKS_META.id || (90..=99).contains(&id),
    own_table: Some(tables::CLICKS_META),
};

/// Families beside the first that products write to. Add one here when its product is there: a folder that is opened
/// gets what it lacks.
const OTHERS: &[NewFamily] = &[CHAT, CLICKS];

/// Families that a data folder is opened with; `partitions` are those of the first, as the operator wants them.
#[must_use]
pub fn families(partitions: u16) -> Vec<NewFamily> {
    let first = NewFamily { partitions: Some(partitions), ..SOCIAL };
    std::iter::once(first).chain(OTHERS.iter().copied()).collect()
}

/// Whether records of a family are kept by a bound of its own, and not by `storage.journal_bytes_max`.
#[must_use]
pub fn has_own_bound(family: &str) -> bool {
    family == CLICKS.name
}

/// Consumer of chat's log that has told people of requests and invitations.
pub const NOTICES: &str = "notices";

/// Consumer that has told others what follows from a family's records: nothing is let go of before.
#[must_use]
pub fn tells_as(family: &str) -> Option<&'static str> {
    (family == CHAT.name).then_some(NOTICES)
}

/// Whether owners keep few rows for themselves in `table`.
#[must_use]
pub fn is_own_table(table: Table) -> bool {
    [SOCIAL, CHAT, CLICKS].iter().any(|family| family.own_table == Some(table))
}
