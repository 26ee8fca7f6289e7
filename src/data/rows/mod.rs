//! Values of rows: JSON where people and upgrades meet them, fixed bytes where there are very many.

pub mod chat;
mod follows;
mod links;
mod live;
mod markers;
mod notifications;
mod posts;
mod purges;
mod reports;

use bytes::Bytes;
use fanfare_engines::{EngineError, RowKey, Table};
use fanfare_protocol::{Id, Media};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::follows::{EndedFollow, follow_value, is_silent};
pub use self::links::{
    LinkAsMade, LinkRow, claim_in, claim_value, link_count_in, link_count_value, slots_end, slots_token, slots_value,
};
pub use self::live::{LiveEdit, LiveRow, Planned, ReminderProgress};
pub use self::markers::MarkerRow;
pub use self::notifications::{
    ChatNews, Doer, GroupItem, GroupMemory, Known, Left, LeftPage, NotificationRow, NotificationState,
};
pub use self::posts::{
    AuthorEntry, Encoded, EntryKind, Policy, PostRecord, PostRef, entry, entry_value, is_plain, kind_in, kind_of,
    timeline_author, timeline_value,
};
pub use self::purges::PurgeProgress;
pub use self::reports::{ReportRow, ReportedUser, ResolvedRow};
use crate::base::error::{Error, Result};
use crate::base::id::first_id_at;
use crate::base::token::TokenHash;
use crate::data::tables;

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
    /// Mark of an id of which no account was made, and none ever will be: the handle that was reserved for it went to
    /// somebody else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub burnt: bool,
}

impl UserRow {
    /// The row of an id of which no account will be made.
    #[must_use]
    pub fn burnt(id: Id) -> Self {
        Self { id, deleted: true, burnt: true, ..Self::default() }
    }
}

/// Credentials that let a person in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialsRow {
    /// PHC string of argon2id; `None` for people who come by JWT or from an import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Minted at the last log-out everywhere: JWTs that do not say when they were issued and were first shown before
    /// have ended, and so have tokens of earlier versions with a lower `issued`.
    #[serde(default)]
    pub tokens_from: Id,
    /// Moment (milliseconds since the Unix epoch) up to which JWTs that say they were issued by then have ended too,
    /// beyond that of `tokens_from`: later by how far the clock of who issues them may have been ahead.
    #[serde(default, skip_serializing_if = "is_none")]
    pub jwts_upto_ms: u64,
    /// Moment of the last log-out everywhere by the clock, in milliseconds since the Unix epoch; rows of earlier
    /// versions have that of `tokens_from`, which may run ahead of it.
    #[serde(default, skip_serializing_if = "is_none")]
    pub ended_at_ms: u64,
    /// Member of the operators.
    #[serde(default)]
    pub admin: bool,
    /// Times that all tokens were ended: those of an earlier epoch have ended too. Counted, so that no clock decides.
    #[serde(default, skip_serializing_if = "is_none")]
    pub epoch: u64,
    /// The one token of an earlier epoch that goes on (its [hash](TokenHash::text)): of the session in which the
    /// password was changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spared: Option<String>,
    /// Number under which the row is held in the tables; each change takes another. 0 in rows of earlier versions,
    /// which were not held.
    #[serde(default, skip_serializing_if = "is_unheld")]
    pub held_by: Id,
}

impl CredentialsRow {
    /// Whether a token, found under `hash`, was ended by a log-out everywhere or a change of password.
    #[must_use]
    pub fn ended(&self, token: &TokenRow, hash: &TokenHash) -> bool {
        let of_before = match token.epoch {
            Some(epoch) => epoch < self.epoch,
            // Of an earlier version, which compared ids of both moments.
            None => self.epoch > 0 || token.issued < self.tokens_from,
        };
        of_before && self.spared.as_ref().is_none_or(|spared| *spared != hash.text())
    }
}

fn is_none(number: &u64) -> bool {
    *number == 0
}

fn is_unheld(number: &Id) -> bool {
    *number == Id(0)
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
    /// [Epoch](CredentialsRow::epoch) of the credentials that it was issued for. Tokens of earlier versions have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<u64>,
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

/// Stored value of `key` as `read` takes it, if there is one: damage is told of, and never taken for a row that is not
/// there.
///
/// # Errors
/// [`EngineError::Corrupt`] that names the row, when there is a value and `read` makes nothing of it.
pub fn in_row<T>(
    key: &RowKey,
    value: Option<Bytes>,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<Option<T>, EngineError> {
    let Some(value) = value else { return Ok(None) };
    read(&value).map(Some).ok_or_else(|| damaged(key, &value))
}

/// Error that names the row of `key`, whose `value` does not decode.
#[must_use]
pub fn damaged(key: &RowKey, value: &[u8]) -> EngineError {
    let (table, of, row, bytes) = (key.table.name, &key.partition, &key.clustering, value.len());
    let what = format!("the row {row:?} of {of:?} in {table}, of {bytes} bytes, does not decode");
    EngineError::Corrupt(format!("{what}: restore the folder from a backup"))
}

/// Number of four bytes, as rows of progress hold it.
#[must_use]
pub fn number_in(value: &[u8]) -> Option<u32> {
    value.first_chunk::<4>().map(|number| u32::from_be_bytes(*number))
}

/// A version that what replaces a row may have, as far as the row's value tells with which one it was written: above
/// that one, and below whatever is written at a later moment. `None` when the value does not tell.
///
/// # Errors
/// [`Error::Internal`] when the value does not decode.
pub fn version_above(table: Table, value: &[u8]) -> Result<Option<u64>> {
    let above = |id: Id| Some(id.0 + 1);
    Ok(match table {
        // The row of a session that ended is that of a secret nobody knows any more.
        tables::TOKENS | tables::TOKENS_OF => Some(tables::NEVER_AGAIN),
        tables::SUSPENSIONS => above(from_json::<SuspensionRow>(value)?.since),
        tables::IDEMPOTENCY => Some(first_id_at(from_json::<IdempotencyRow>(value)?.at_ms + 1).0),
        tables::FIRST_SHOWN => Id::from_bytes(value).and_then(above),
        tables::REPORTS => above(from_json::<ReportRow>(value)?.version),
        tables::MARKERS => MarkerRow::from_bytes(value).map(|row| row.version + 1),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_damaged_row_is_named_and_no_row_is_none() {
        let key = RowKey::new(tables::META, tables::ONE, Bytes::from_static(b"names_keyed_to"));
        assert_eq!(in_row(&key, None, number_in).unwrap(), None);
        assert_eq!(in_row(&key, Some(Bytes::from_static(&[0, 0, 0, 7])), number_in).unwrap(), Some(7));
        let error = in_row(&key, Some(Bytes::from_static(b"7")), number_in).unwrap_err();
        let EngineError::Corrupt(cause) = error else { panic!("{error}") };
        assert!(cause.contains("names_keyed_to") && cause.contains("meta") && cause.contains("1 bytes"), "{cause}");
        // What a start reads.
        for name in ["clock", "forgotten"] {
            let engines = fanfare_engines::memory::open(1).unwrap();
            let mut batch = fanfare_engines::Batch::default();
            batch.put(RowKey::new(tables::META, tables::ONE, name.as_bytes().to_vec()), Bytes::from_static(b"damaged"));
            engines.tables.write(batch).await.unwrap();
            let error = match name {
                "clock" => crate::log::moments::Moments::read(&*engines.tables).await.unwrap_err(),
                _ => crate::data::forgotten::Forgotten::read(&*engines.tables).await.unwrap_err(),
            };
            assert!(matches!(&error, EngineError::Corrupt(cause) if cause.contains(name)), "{name}: {error}");
        }
    }

    #[test]
    fn what_replaces_a_row_is_above_the_version_that_its_value_tells() {
        let since = Id(77);
        let suspension = SuspensionRow { reason: String::new(), since, until_ms: None };
        let version = |table, value: &[u8]| version_above(table, value).unwrap();
        assert_eq!(version(tables::SUSPENSIONS, &to_json(&suspension).unwrap()), Some(78));
        let made = Id(1 << 40);
        let key = IdempotencyRow { body_hash: String::new(), made, at_ms: crate::base::id::unix_ms_of(made) };
        let above = version(tables::IDEMPOTENCY, &to_json(&key).unwrap()).unwrap();
        assert!(above > made.0 && above - made.0 <= 1 << 22, "no id of another millisecond is skipped");
        assert_eq!(version(tables::FIRST_SHOWN, &Id(5).to_bytes()), Some(6));
        assert_eq!(version(tables::MARKERS, &MarkerRow { last_read: Id(5), version: 9 }.to_bytes()), Some(10));
        assert_eq!(version(tables::FOLLOWS, b""), None);
        assert!(version_above(tables::SUSPENSIONS, b"?").is_err());
    }
}
