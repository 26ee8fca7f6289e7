//! Values of rows about edges between people.

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
}
