//! Values of rows: JSON where people and upgrades meet them, fixed bytes where there are very many.

mod follows;
mod notifications;
mod posts;
mod purges;

use bytes::Bytes;
use fanfare_protocol::{Id, Media};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::follows::{EndedFollow, follow_value, is_silent};
pub use self::notifications::{Doer, GroupItem, GroupMemory, Known, Left, NotificationRow, NotificationState};
pub use self::posts::{
    AuthorEntry, Encoded, EntryKind, Policy, PostRecord, PostRef, entry, entry_value, is_plain, kind_in, kind_of,
    timeline_author, timeline_value,
};
pub use self::purges::PurgeProgress;
use crate::base::error::{Error, Result};

/// A profile as stored.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// The person.
    pub id: Id,
    /// Handle as the person writes it; empty once the account is gone.
    pub handle: String,
    /// Chosen name, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A few words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub bio: String,
    /// Picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<Media>,
    /// The account is gone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Record that deleted the account: from its time on the handle stays reserved. Rows of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deleted_by: Option<Id>,
}

/// Credentials that let a person in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsRow {
    /// PHC string of argon2id; `None` for people who come by JWT or from an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Tokens with a lower `issued` have ended.
    #[serde(default)]
    pub tokens_from: Id,
    /// Moment (milliseconds since the Unix epoch) up to which JWTs that say they were issued by then have ended too,
    /// beyond that of `tokens_from`: later by how far the clock of who issues them may have been ahead.
    #[serde(default, skip_serializing_if = "is_none")]
    pub jwts_upto_ms: u64,
    /// Member of the operators.
    #[serde(default)]
    pub admin: bool,
}

fn is_none(moment_ms: &u64) -> bool {
    *moment_ms == 0
}

/// A bearer token of the server's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRow {
    /// Person of the session.
    pub user: Id,
    /// Minted when it was issued.
    pub issued: Id,
    /// Milliseconds since the Unix epoch.
    pub expires_ms: u64,
}

/// A suspension.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuspensionRow {
    /// Why, for operators.
    pub reason: String,
    /// The record that made it.
    pub since: Id,
    /// End of the suspension, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_ms: Option<u64>,
}

impl SuspensionRow {
    /// Whether it holds at `now_ms`.
    #[must_use]
    pub fn holds(&self, now_ms: u64) -> bool {
        self.until_ms.is_none_or(|until_ms| now_ms < until_ms)
    }
}

/// The first result of a request that carried an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRow {
    /// SHA-256 of the first body, hexadecimal.
    pub body_hash: String,
    /// Id of what the request made.
    pub made: Id,
    /// Moment of the request, in milliseconds.
    pub at_ms: u64,
}

/// Place of a counter among the three of a person.
#[derive(Debug, Clone, Copy)]
pub enum OfUser {
    /// Followers.
    Followers = 0,
    /// Followees.
    Following = 1,
    /// Posts that they wrote.
    Posts = 2,
}

/// Place of a counter among the three of a post.
#[derive(Debug, Clone, Copy)]
pub enum OfPost {
    /// Likes.
    Likes = 0,
    /// Replies.
    Replies = 1,
    /// Reposts and quotes.
    Reposts = 2,
}

/// Three counters and the last record applied: 32 bytes, big-endian; and one more if what they count about is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Followers, following, posts; or likes, replies, reposts.
    pub values: [u64; 3],
    /// Records at or below this one are in the values already.
    pub applied: Id,
    /// The post was deleted: who answers or passes it on now came too late to know.
    pub gone: bool,
}

impl Counters {
    /// Bytes as stored.
    #[must_use]
    pub fn to_bytes(self) -> Bytes {
        let mut bytes = Vec::with_capacity(33);
        for value in self.values {
            bytes.extend_from_slice(&value.to_be_bytes());
        }
        bytes.extend_from_slice(&self.applied.to_bytes());
        if self.gone {
            bytes.push(1);
        }
        bytes.into()
    }

    /// Counters from stored bytes.
    ///
    /// # Errors
    /// [`Error::Internal`] when the length is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let gone = bytes.get(32) == Some(&1);
        let mut words = bytes.chunks_exact(8).filter_map(Id::from_bytes).map(|id| id.0);
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some(first), Some(second), Some(third), Some(applied)) => {
                Ok(Self { values: [first, second, third], applied: Id(applied), gone })
            }
            _ => Err(Error::Internal(format!("a counters row of {} bytes", bytes.len()))),
        }
    }
}

/// JSON bytes of a row.
///
/// # Errors
/// [`Error::Internal`]; does not happen for the types above.
pub fn to_json<T: Serialize>(value: &T) -> Result<Bytes> {
    serde_json::to_vec(value)
        .map(Bytes::from)
        .map_err(|error| Error::Internal(format!("a row does not encode: {error}")))
}

/// The row in JSON bytes.
///
/// # Errors
/// [`Error::Internal`] when stored bytes are not what was written.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::Internal(format!("a stored row does not decode: {error}")))
}

/// Number of four bytes, as rows of progress hold it.
#[must_use]
pub fn number_in(value: &[u8]) -> Option<u32> {
    value.first_chunk::<4>().map(|number| u32::from_be_bytes(*number))
}
