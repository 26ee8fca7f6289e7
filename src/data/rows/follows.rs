//! Values of rows about edges between people.

use bytes::Bytes;
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};

/// A follow edge that ended, with the id of the record that made it (the followers' rows are keyed by it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedFollow {
    /// Follower.
    pub follower: Id,
    /// Followee.
    pub followee: Id,
    /// Id of the `Followed` record.
    pub since: Id,
    /// The `UserDeleted` record of the followee, if that ended it: the follower must hear of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub departed: Option<Id>,
    /// The followee was not told of it when it began: it came with a graph that was imported.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
}

/// Value of a row of `follows` or `followers`: an id, and one byte more for a follow that the followee was not told of.
#[must_use]
pub fn follow_value(id: Id, silent: bool) -> Bytes {
    let mut bytes = id.to_bytes().to_vec();
    bytes.extend(silent.then_some(0));
    bytes.into()
}

/// Whether that value is of such a follow. Rows of earlier versions do not tell.
#[must_use]
pub fn is_silent(value: &[u8]) -> bool {
    value.len() > 8
}
