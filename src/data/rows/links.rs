//! Values of rows of short links.

use bytes::Bytes;
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};

/// A link as it is stored, by its code. Once it is deleted the row stays without what it led to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkRow {
    /// The link. In a journal record of its making it is the record's id.
    pub id: Id,
    /// Person who made it.
    pub owner: Id,
    /// Target, as the parser writes it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub url: String,
    /// Whether browsers may remember it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
    /// End of the link in milliseconds; none is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Whether that end was asked for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub own_expiry: bool,
    /// Visits after which it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_visits: Option<u32>,
    /// Hash of the password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Mark of a deleted link.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// The link as it was made, of one that was changed while the request that made it may come again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Box<LinkAsMade>>,
}

/// Answer that whoever made a link got.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkAsMade {
    /// Target.
    pub url: String,
    /// Whether browsers may remember it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
    /// End of the link in milliseconds; none is never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_ms: Option<u64>,
    /// Visits after which it is used up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_visits: Option<u32>,
    /// Whether it has a password.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_password: bool,
}

impl From<&LinkRow> for LinkAsMade {
    /// Of a link that was made, and not changed yet.
    fn from(row: &LinkRow) -> Self {
        Self {
            url: row.url.clone(),
            permanent: row.permanent,
            expires_ms: row.expires_ms,
            max_visits: row.max_visits,
            has_password: row.password.is_some(),
        }
    }
}

impl LinkRow {
    /// The row of a link that was deleted.
    #[must_use]
    pub fn gone(id: Id, owner: Id) -> Self {
        Self { id, owner, deleted: true, ..Self::default() }
    }
}

/// Value of the row that says a code is taken: for the attempt `claim`, by `owner`.
#[must_use]
pub fn claim_value(claim: Id, owner: Id) -> Bytes {
    [claim.to_bytes(), owner.to_bytes()].concat().into()
}

/// Attempt and owner of a [`claim_value`].
#[must_use]
pub fn claim_in(value: &[u8]) -> Option<(Id, Id)> {
    Some((Id::from_bytes(value)?, Id::from_bytes(value.get(8..)?)?))
}

/// Value of a row of visits: how many, and the token under which it is held.
#[must_use]
pub fn slots_value(count: u32, token: u64) -> Bytes {
    [&count.to_be_bytes()[..], &token.to_be_bytes()].concat().into()
}

/// Token of a [`slots_value`].
#[must_use]
pub fn slots_token(value: &[u8]) -> Option<u64> {
    value.get(4..)?.first_chunk::<8>().map(|token| u64::from_be_bytes(*token))
}

/// The visit after the last of a row of visits, of its key and value.
#[must_use]
pub fn slots_end(clustering: &[u8], value: &[u8]) -> Option<u32> {
    let number = |bytes: &[u8]| bytes.first_chunk::<4>().map(|number| u32::from_be_bytes(*number));
    number(clustering)?.checked_add(number(value)?)
}

/// Value of the row of a person's number of links.
#[must_use]
pub fn link_count_value(count: u64) -> Bytes {
    Bytes::copy_from_slice(&count.to_be_bytes())
}

/// The number in a [`link_count_value`].
#[must_use]
pub fn link_count_in(value: &[u8]) -> Option<u64> {
    value.first_chunk::<8>().map(|count| u64::from_be_bytes(*count))
}
