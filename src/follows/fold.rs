//! Rows of follows, blocks and mutes, made of records, and the counters of followers. Pure.

use fanfare_engines::Batch;
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::data::deletions;
use crate::data::rows::{OfUser, follow_value};
use crate::data::tables;
use crate::log::counters::Changes;
use crate::log::events::{EndedFollow, Event, Record};
use crate::log::fold::Fold;
use crate::log::outcome::Outcome;

/// Follows, blocks and mutes.
pub struct FollowFold;

impl Fold for FollowFold {
    fn counts(&self, event: &Event, changes: &mut Changes) {
        let mut edge = |follower: Id, followee: Id, by: i64| {
            changes.user(follower, OfUser::Following, by);
            changes.user(followee, OfUser::Followers, by);
        };
        match event {
            Event::Followed { follower, followee, .. } => edge(*follower, *followee, 1),
            Event::Unfollowed(ended) => edge(ended.follower, ended.followee, -1),
            Event::Blocked { ended, .. } => ended.iter().for_each(|ended| edge(ended.follower, ended.followee, -1)),
            _ => {}
        }
    }

    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        let (id, version) = (record.id, record.id.0);
        match &record.event {
            Event::Followed { follower, followee, silent, .. } => {
                let row = tables::pair(tables::FOLLOWS, *follower, *followee);
                batch.put_versioned(row, follow_value(id, *silent), version);
                let row = tables::bucketed_row(tables::FOLLOWERS, *followee, id);
                batch.put_versioned(row, follow_value(*follower, *silent), version);
            }
            Event::Unfollowed(edge) => end_follow(*edge, version, batch),
            Event::Blocked { blocker, blocked, ended } => {
                let row = tables::pair(tables::BLOCKS, *blocker, *blocked);
                batch.put_versioned(row, tables::partition(id), version);
                let row = tables::pair(tables::BLOCKED_BY, *blocked, *blocker);
                batch.put_versioned(row, tables::partition(id), version);
                ended.iter().for_each(|edge| end_follow(*edge, version, batch));
            }
            Event::Unblocked { blocker, blocked } => {
                batch.delete_versioned(tables::pair(tables::BLOCKS, *blocker, *blocked), version);
                batch.delete_versioned(tables::pair(tables::BLOCKED_BY, *blocked, *blocker), version);
            }
            Event::Muted { muter, muted } => {
                batch.put_versioned(tables::pair(tables::MUTES, *muter, *muted), tables::partition(id), version);
            }
            Event::Unmuted { muter, muted } => {
                batch.delete_versioned(tables::pair(tables::MUTES, *muter, *muted), version);
            }
            _ => {}
        }
        Ok(())
    }
}

fn end_follow(edge: EndedFollow, version: u64, batch: &mut Batch) {
    batch.delete_versioned(tables::pair(tables::FOLLOWS, edge.follower, edge.followee), version);
    batch.delete_versioned(tables::bucketed_row(tables::FOLLOWERS, edge.followee, edge.since), version);
    if let Some(departed) = edge.departed {
        deletions::keep_departure(edge.follower, (departed, edge.followee), Id(version), batch);
    }
}
