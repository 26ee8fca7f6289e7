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
use crate::log::spread::{Share, Spread};

/// Follows, blocks and mutes.
#[derive(Debug, Default, Clone, Copy)]
pub struct FollowFold {
    /// Partitions of people.
    pub spread: Spread,
}

impl Fold for FollowFold {
    fn counts(&self, event: &Event, changes: &mut Changes) {
        let share = self.spread.share(event);
        let edge = |changes: &mut Changes, follower: Id, followee: Id, by: i64| {
            if share.holds(follower) {
                changes.user(follower, OfUser::Following, by);
            }
            if share.holds(followee) {
                changes.user(followee, OfUser::Followers, by);
            }
        };
        match event.told() {
            Event::Followed { follower, followee, .. } => edge(changes, *follower, *followee, 1),
            Event::Unfollowed(ended) => edge(changes, ended.follower, ended.followee, -1),
            // Of whom is gone nobody was counted.
            Event::FollowRefused(refused) if share.holds(refused.follower) => {
                changes.user(refused.follower, OfUser::Following, -1);
            }
            Event::Blocked { ended, .. } => {
                ended.iter().for_each(|ended| edge(changes, ended.follower, ended.followee, -1));
            }
            _ => {}
        }
    }

    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        let (id, version) = (record.known_as(), record.id.0);
        let share = self.spread.share(&record.event);
        match record.event.told() {
            Event::Followed { follower, followee, silent, .. } => {
                if share.holds(*follower) {
                    let row = tables::pair(tables::FOLLOWS, *follower, *followee);
                    batch.put_versioned(row, follow_value(id, *silent), version);
                }
                if share.holds(*followee) {
                    let row = tables::bucketed_row(tables::FOLLOWERS, *followee, id);
                    batch.put_versioned(row, follow_value(*follower, *silent), version);
                }
            }
            Event::Unfollowed(edge) | Event::FollowRefused(edge) => end_follow(*edge, share, version, batch),
            Event::Blocked { blocker, blocked, ended } => {
                if share.holds(*blocker) {
                    let row = tables::pair(tables::BLOCKS, *blocker, *blocked);
                    batch.put_versioned(row, tables::partition(id), version);
                }
                if share.holds(*blocked) {
                    let row = tables::pair(tables::BLOCKED_BY, *blocked, *blocker);
                    batch.put_versioned(row, tables::partition(id), version);
                }
                ended.iter().for_each(|edge| end_follow(*edge, share, version, batch));
            }
            Event::Unblocked { blocker, blocked } => {
                if share.holds(*blocker) {
                    batch.delete_versioned(tables::pair(tables::BLOCKS, *blocker, *blocked), version);
                }
                if share.holds(*blocked) {
                    batch.delete_versioned(tables::pair(tables::BLOCKED_BY, *blocked, *blocker), version);
                }
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

fn end_follow(edge: EndedFollow, share: Share, version: u64, batch: &mut Batch) {
    if share.holds(edge.follower) {
        batch.delete_versioned(tables::pair(tables::FOLLOWS, edge.follower, edge.followee), version);
    }
    if share.holds(edge.followee) {
        batch.delete_versioned(tables::bucketed_row(tables::FOLLOWERS, edge.followee, edge.since), version);
    }
    if let Some(departed) = edge.departed.filter(|_| share.holds(edge.follower)) {
        deletions::keep_departure(edge.follower, (departed, edge.followee), Id(version), batch);
    }
}
