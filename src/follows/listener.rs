//! Listener of the edges: the cache of whom readers do not see, and what absent people add to counts, follow the
//! commits.

use std::sync::Arc;

use fanfare_protocol::Id;

use crate::data::store::Store;
use crate::data::uncounted::{CountChange, of_follow};
use crate::log::events::{Event, Record};
use crate::log::product::{Committed, Listener};

/// Keeps what memory knows of edges true.
pub struct FollowListener(pub Arc<Store>);

impl Listener for FollowListener {
    fn committed(&self, committed: &[Committed], _horizon: Id) {
        committed.iter().for_each(|one| self.heard(&one.record));
    }
}

impl FollowListener {
    fn heard(&self, record: &Record) {
        match record.event.news() {
            Event::Followed { .. } | Event::Unfollowed(_) | Event::FollowRefused(_) => {}
            Event::Blocked { blocker, blocked, .. } | Event::Unblocked { blocker, blocked } => {
                self.0.hidden_changed(*blocker);
                self.0.hidden_changed(*blocked);
            }
            Event::Muted { muter, .. } | Event::Unmuted { muter, .. } => return self.0.hidden_changed(*muter),
            _ => return,
        }
        self.0.uncounted.apply(|| contributions(&record.event));
    }
}

/// Contributions to counts of people that an event adds and takes back.
pub fn contributions(event: &Event) -> impl Iterator<Item = CountChange> {
    let (made, ended) = match event.news() {
        Event::Followed { follower, followee, .. } => (Some((*follower, *followee)), None),
        Event::Unfollowed(edge) | Event::FollowRefused(edge) => (None, Some(*edge)),
        _ => (None, None),
    };
    let each = |(follower, followee): (Id, Id), there| {
        of_follow(follower, followee).into_iter().map(move |(person, one)| (person, one, there))
    };
    let made = made.into_iter().flat_map(move |edge| each(edge, true));
    let ended = ended.into_iter().chain(event.ended());
    made.chain(ended.flat_map(move |edge| each((edge.follower, edge.followee), false)))
}
