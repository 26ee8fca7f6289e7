//! Follows and blocks, for the dispatcher's index of who hears of whom.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::data::store::Store;
use crate::log::events::{Event, Record};
use crate::realtime::{FolloweeSource, Output, Producer};

/// Consequences of follows and blocks for who is connected.
pub struct FollowProducer;

impl Producer for FollowProducer {
    fn produce(&self, record: &Record, out: &mut Vec<Output>) {
        let change = |follower, followee, follows| Output::Follow { follower, followee, follows };
        match record.event.news() {
            Event::Followed { follower, followee, .. } => out.push(change(*follower, *followee, true)),
            Event::Unfollowed(edge) | Event::FollowRefused(edge) => {
                out.push(change(edge.follower, edge.followee, false));
            }
            Event::Blocked { blocker, blocked, .. } => {
                out.extend(record.event.ended().map(|edge| change(edge.follower, edge.followee, false)));
                out.push(Output::Apart(*blocker, *blocked));
            }
            _ => {}
        }
    }
}

/// Follows as the rows have them.
pub struct FollowRows(pub Arc<Store>);

#[async_trait]
impl FolloweeSource for FollowRows {
    async fn followees(&self, person: Id) -> Result<Vec<Id>> {
        Ok(self.0.followees_of(person).await?)
    }

    async fn lets_see(&self, person: Id, viewers: &[Id]) -> Result<Vec<bool>> {
        self.0.lets_see(&viewers.iter().map(|viewer| (person, *viewer)).collect::<Vec<_>>()).await
    }
}
