//! Keys of rows of short links.

use bytes::Bytes;
use fanfare_engines::RowKey;
use fanfare_protocol::Id;

use super::{
    LINK_ALIASES, LINK_CLAIMS, LINK_COUNTS, LINK_KEEPER, LINK_SLOTS, LINK_STRETCHES, LINKS, LINKS_OF, ONE,
    bucketed_row, by_id,
};

/// Row of a link.
#[must_use]
pub fn link_row(code: &str) -> RowKey {
    RowKey::single(LINKS, code.as_bytes().to_vec())
}

/// Row that says for whom a code is taken.
#[must_use]
pub fn link_claim_row(code: &str) -> RowKey {
    RowKey::single(LINK_CLAIMS, code.as_bytes().to_vec())
}

/// Row of a link in the list of its owner's.
#[must_use]
pub fn link_of_row(owner: Id, link: Id) -> RowKey {
    bucketed_row(LINKS_OF, owner, link)
}

/// Row of the number of a person's links.
#[must_use]
pub fn link_count_row(owner: Id) -> RowKey {
    by_id(LINK_COUNTS, owner)
}

/// Row that says the code of a number is somebody's alias.
#[must_use]
pub fn link_alias_row(number: u64) -> RowKey {
    RowKey::new(LINK_ALIASES, ONE, link_alias_key(number))
}

/// The number of an alias as a clustering key.
#[must_use]
pub fn link_alias_key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

/// The number that an alias row names, if it is well formed.
#[must_use]
pub fn in_link_alias(clustering: &[u8]) -> Option<u64> {
    clustering.first_chunk::<8>().map(|number| u64::from_be_bytes(*number))
}

/// Row of what codes are made by, under a short name.
#[must_use]
pub fn link_keeper_row(name: &'static [u8]) -> RowKey {
    RowKey::new(LINK_KEEPER, ONE, name)
}

/// Row that says codes of a stretch of numbers are given out.
#[must_use]
pub fn link_stretch_row(stretch: u64) -> RowKey {
    RowKey::single(LINK_STRETCHES, stretch.to_be_bytes().to_vec())
}

/// Row of visits of a link with a limit, from the visit `first` on.
#[must_use]
pub fn link_slots_row(code: &str, first: u32) -> RowKey {
    RowKey::new(LINK_SLOTS, code.as_bytes().to_vec(), first.to_be_bytes().to_vec())
}
