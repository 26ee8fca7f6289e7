//! Part of the feed in the write path: the delivery policy of a post, by the followers that its author has at that
//! moment; and the records that the feed applies.

use super::Feed;
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::data::uncounted::Of;
use crate::log::counters;
use crate::log::events::{Event, Record};
use crate::log::fold::State;
use crate::log::product::{Committed, Listener, Prepare};

/// Stamp of delivery policies.
pub struct PolicyStamp(pub Feed);

impl Prepare for PolicyStamp {
    fn prepare(&self, record: &mut Record, state: &State) -> Result<()> {
        if let Event::Posted { post, .. } = &mut record.event {
            let [followers, ..] = counters::of(Of::User(post.author), state)?.values;
            post.policy = self.0.stamp(post.author, followers);
        }
        Ok(())
    }
}

/// Listener of the feed.
pub struct FeedListener(pub Feed);

impl Listener for FeedListener {
    fn committed(&self, committed: &[Committed], horizon: Id) {
        committed.iter().for_each(|one| self.0.apply(&one.record));
        self.0.settle(horizon);
    }

    fn moved(&self, horizon: Id) {
        self.0.settle(horizon);
    }
}
