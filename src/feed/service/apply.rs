//! Changes in memory by each committed record. One thread calls it, in commit order; nothing here waits.

use std::sync::atomic::Ordering;

use fanfare_protocol::Id;

use super::{FeedCore, policy_name, policy_number};
use crate::base::id::{first_id_at, unix_ms_of};
use crate::base::slot_list::Slot;
use crate::data::rows::AuthorEntry;
use crate::feed::authors::RecentBounds;
use crate::feed::interner::UserIndex;
use crate::feed::item::{FeedItem, ItemNews};
use crate::feed::jobs::Job;
use crate::feed::relations::Change;
use crate::feed::ring::Entry;
use crate::feed::timelines::Changed;
use crate::log::events::{Event, Policy, Record};

impl<P: FeedItem> FeedCore<P> {
    pub(super) fn apply(&self, record: &Record) {
        match P::happened(record) {
            Some(ItemNews::Published { author, entry, policy }) => return self.published(author, entry, policy),
            Some(ItemNews::Deleted { author, id }) => {
                if let Some(author) = self.authors.get(author) {
                    self.authors.remove_recent(author, id.0);
                }
                return;
            }
            None => {}
        }
        match record.event.news() {
            Event::Followed { follower, followee, .. } => self.change(*follower, *followee, Change::Follow),
            Event::Unfollowed(ended) | Event::FollowRefused(ended) => {
                self.change(ended.follower, ended.followee, Change::Unfollow);
            }
            Event::Blocked { blocker, blocked, .. } => {
                // A timeline that was built since the block has what rows of the blocked person's partition said.
                let again = matches!(record.event, Event::Derived(_));
                for (one, other) in
                    [(*blocked, *blocker), (*blocker, *blocked)].into_iter().take(2 - usize::from(again))
                {
                    self.change(one, other, Change::Unfollow);
                    self.change(one, other, Change::Block);
                }
            }
            // The other direction may still be blocked, and only the tables know: both timelines are built again.
            Event::Unblocked { blocker, blocked } => {
                self.forget(*blocker);
                self.forget(*blocked);
            }
            Event::Muted { muter, muted } => self.change(*muter, *muted, Change::Mute),
            Event::Unmuted { muter, muted } => self.change(*muter, *muted, Change::Unmute),
            Event::UserDeleted { user } => {
                if let Some(user) = self.authors.get(user.id) {
                    self.authors.clear_recents(user);
                }
                self.forget(user.id);
            }
            // Suspensions are looked at by every read, and the rest is about no timeline.
            _ => {}
        }
    }

    /// Keeps a post among its author's recents; answers the author, the author's own timeline and the listeners.
    pub(super) fn add_recent(&self, author: Id, entry: AuthorEntry) -> (UserIndex, Option<Slot>, usize) {
        let author = self.authors.intern(author);
        let newest = self.newest.fetch_max(entry.id.0, Ordering::Relaxed).max(entry.id.0);
        let oldest = first_id_at(unix_ms_of(Id(newest)).saturating_sub(self.settings.recents_age_ms)).0;
        let bounds = RecentBounds { count_max: self.settings.recents_per_author, oldest };
        let (timeline, listeners) = self.authors.add_recent(author, self.recent(entry), bounds);
        (author, timeline, listeners)
    }

    fn published(&self, author: Id, entry: AuthorEntry, policy: Policy) {
        let (author, timeline, listeners) = self.add_recent(author, entry);
        let id = entry.id.0;
        // Authors see their own posts at once, whatever the policy and the queue.
        if let Some(slot) = timeline {
            self.timelines.push_own(slot, author, Entry { id, author });
        }
        let job = Job { author, id, policy, queued_us: self.uptime_us(), resume: None };
        let number = policy_number(policy);
        self.counters.posts[number].fetch_add(1, Ordering::Relaxed);
        metrics::counter!("fanfare_feed_posts_total", "source" => P::SOURCE, "policy" => policy_name(policy))
            .increment(1);
        self.costs.lock().record(author, listeners, self.started.elapsed().as_secs_f64());
        let horizon = self.horizon.load(Ordering::SeqCst);
        if policy == Policy::Pull {
            self.authors.must_pull(author, id, horizon);
        } else if !self.enqueue(job) {
            self.counters.overflowed.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("fanfare_feed_overflowed_total", "source" => P::SOURCE, "policy" => policy_name(policy))
                .increment(1);
            self.authors.must_pull(author, id, horizon);
        }
    }

    fn change(&self, reader: Id, other: Id, change: impl Fn(UserIndex) -> Change) {
        // Without an index there is no timeline: nothing to change.
        let Some(reader) = self.authors.get(reader) else { return };
        let _lock = self.reader_lock(reader);
        let Some(slot) = self.authors.timeline(reader) else { return };
        let other = self.authors.intern(other);
        let change = change(other);
        let changed = self.timelines.change(slot, reader, change);
        if changed == Changed::Nothing {
            return;
        }
        match change {
            Change::Follow(followee) => self.authors.subscribe(followee, slot),
            Change::Unfollow(followee) => self.authors.unsubscribe(followee, slot),
            Change::Block(_) | Change::Mute(_) | Change::Unmute(_) => {}
        }
        if changed == Changed::Stale {
            self.evict_locked(reader);
        }
    }

    /// The timeline, ready or being built, is no longer right: the next read builds it again.
    fn forget(&self, reader: Id) {
        let Some(reader) = self.authors.get(reader) else { return };
        let _lock = self.reader_lock(reader);
        if let Some(slot) = self.authors.timeline(reader) {
            self.timelines.mark_stale(slot, reader);
            self.evict_locked(reader);
        }
    }
}
