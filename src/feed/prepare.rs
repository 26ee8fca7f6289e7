//! Delivery policies, stamped on posts as they are committed: by the followers that the author has at that moment.

use super::Feed;
use crate::base::error::Result;
use crate::data::uncounted::Of;
use crate::log::counters;
use crate::log::events::{Event, Record};
use crate::log::fold::State;
use crate::log::product::Prepare;

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
