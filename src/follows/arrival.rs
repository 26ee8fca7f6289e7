//! Decisions about follows where an effect arrives: a block that comes from another partition ends the follow that it
//! finds, and a follow of somebody who was gone is given back.

use async_trait::async_trait;
use fanfare_engines::Tables;
use fanfare_protocol::Id;

use super::fold::FollowFold;
use super::service::pair;
use crate::base::error::Result;
use crate::data::locks::LockKey;
use crate::data::rows::{EndedFollow, is_silent};
use crate::data::tables;
use crate::log::events::Event;
use crate::log::takers::Arrival;

#[async_trait]
impl Arrival for FollowFold {
    fn locks(&self, effect: &Event) -> Vec<LockKey> {
        let (follower, followee) = match effect {
            Event::Blocked { blocker, blocked, .. } => (*blocked, *blocker),
            Event::FollowRefused(edge) => (edge.follower, edge.followee),
            _ => return Vec::new(),
        };
        // Those under which a follow is decided: it sees what this did, or this sees the follow.
        vec![pair(follower, followee), ("follower", follower.0, 0)]
    }

    async fn decide(&self, effect: Event, tables: &dyn Tables) -> Result<Option<Event>> {
        Ok(match effect {
            Event::Blocked { blocker, blocked, mut ended } => {
                ended.extend(edge(tables, blocked, blocker).await?);
                Some(Event::Blocked { blocker, blocked, ended })
            }
            Event::FollowRefused(refused) => {
                let stands = edge(tables, refused.follower, refused.followee).await?;
                stands.filter(|edge| edge.since == refused.since).map(|_| Event::FollowRefused(refused))
            }
            effect => Some(effect),
        })
    }
}

/// The follow of one person by another, if it stands.
async fn edge(port: &dyn Tables, follower: Id, followee: Id) -> Result<Option<EndedFollow>> {
    let row = port.get(&tables::pair(tables::FOLLOWS, follower, followee)).await?;
    Ok(row.and_then(|value| {
        let (since, silent) = (Id::from_bytes(&value)?, is_silent(&value));
        Some(EndedFollow { follower, followee, since, departed: None, silent })
    }))
}
