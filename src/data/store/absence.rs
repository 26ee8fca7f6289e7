//! Absent people, read from rows, and what they add to the counts of others.

use std::sync::Arc;

use fanfare_engines::{KeyRange, Order, Row, Table};
use fanfare_protocol::Id;

use super::{Account, Store};
use crate::base::error::Result;
use crate::base::limits;
use crate::data::rows::{self, Counters, OfPost, PostRef, SuspensionRow, from_json};
use crate::data::tables;
use crate::data::uncounted::{Contribution, of_follow, of_like, of_post, of_repost};

/// Posts that are looked at before others get a turn.
const POSTS_TURN: usize = 64;

impl Store {
    /// Learns whose accounts are deleted and not yet cleared away, and who is suspended; to be called at the start.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load_absent(&self) -> Result<()> {
        let rows = self.scan(tables::PURGES, &tables::ONE, KeyRange::ALL, Order::Ascending, usize::MAX).await?;
        for person in rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)) {
            self.absent.departed(person);
        }
        let rows = self.scan(tables::SUSPENSIONS, &tables::ONE, KeyRange::ALL, Order::Ascending, usize::MAX).await?;
        for row in &rows {
            let Some(person) = Id::from_bytes(&row.clustering) else { continue };
            let suspension: SuspensionRow = from_json(&row.value)?;
            if suspension.holds(self.clock.now_ms()) {
                self.watch(person).await?;
                self.absent.suspend(person, suspension.until_ms);
            }
        }
        Ok(())
    }

    /// A person whom others see: the account exists, and is not suspended.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn seen_account(&self, id: Id) -> Result<Option<Arc<Account>>> {
        if self.absent.holds(id) { Ok(None) } else { self.account(id).await }
    }

    /// Learns what `person`, who will be absent at once, adds to the counts of others, so that all of it is taken off
    /// them in the same moment.
    ///
    /// # Errors
    /// When the engine fails; nothing is watched then.
    pub async fn watch(&self, person: Id) -> Result<()> {
        if !self.uncounted.watch(person) {
            return Ok(());
        }
        match self.contributions(person).await {
            Ok((own, through_others)) => {
                if !self.uncounted.loaded(person, own, through_others) {
                    tracing::warn!(%person, "too much of absent people is in counts; theirs stays in");
                }
                Ok(())
            }
            Err(error) => {
                self.uncounted.forget(person);
                Err(error)
            }
        }
    }

    /// `person` is absent no more.
    pub fn unwatch(&self, person: Id) {
        self.uncounted.forget(person);
    }

    /// Everything that the deleted account of `person` left behind is gone. They may have been suspended: what they
    /// added to counts was taken back by the purge, and is remembered no longer.
    pub fn cleared_away(&self, person: Id) {
        self.absent.cleared_away(person);
        self.unwatch(person);
    }

    /// Everything that `person` adds to the counts of others, as far as there is room for it; and what bare reposts of
    /// their posts add.
    async fn contributions(&self, person: Id) -> Result<(Vec<Contribution>, Vec<Contribution>)> {
        let mut found = Vec::new();
        let theirs = |pair: [(Id, Contribution); 2]| pair.into_iter().find(|(of, _)| *of == person).map(|(_, one)| one);
        for row in self.all_of(tables::FOLLOWS, person).await? {
            found.extend(Id::from_bytes(&row.clustering).and_then(|followee| theirs(of_follow(person, followee))));
        }
        for row in self.all_bucketed(tables::FOLLOWERS, person).await? {
            found.extend(Id::from_bytes(&row.value).and_then(|follower| theirs(of_follow(follower, person))));
        }
        for row in self.all_of(tables::LIKED, person).await? {
            found.extend(Id::from_bytes(&row.clustering).map(of_like));
        }
        let posts = self.all_bucketed(tables::AUTHOR_POSTS, person).await?;
        let through = self.reposts_of(person, &posts).await?;
        for row in posts {
            // Those that answer and pass on nothing are in nobody's counts.
            let Some(id) = Id::from_bytes(&row.clustering).filter(|_| !rows::is_plain(&row.value)) else { continue };
            if let Some(post) = self.post_or_gone(id).await?.filter(|post| !post.deleted) {
                let (parent, original) = (post.reply_to.map(|to| to.id), post.repost_of.map(|of| of.id));
                found.extend(of_post(id, parent, original));
            }
        }
        Ok((found, through))
    }

    /// Contributions of bare reposts of a person's `posts` to the counts of who made them; nothing where they are very
    /// many, and would take the room of everybody else's.
    async fn reposts_of(&self, person: Id, posts: &[Row]) -> Result<Vec<Contribution>> {
        let mut found = Vec::new();
        let ids: Vec<Id> = posts.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
        for turn in ids.chunks(POSTS_TURN) {
            tokio::task::yield_now().await;
            let keys: Vec<_> = turn.iter().map(|post| tables::by_id(tables::POST_COUNTERS, *post)).collect();
            for (post, counted) in turn.iter().zip(self.engines.tables.get_many(&keys).await?) {
                // Nearly all are passed on by nobody: that is one look for many of them, where each list would be a
                // scan.
                let counted = counted.map(|bytes| Counters::from_bytes(&bytes)).transpose()?;
                if counted.is_none_or(|counted| counted.values[OfPost::Reposts as usize] == 0) {
                    continue;
                }
                let room = limits::UNCOUNTED_REPOSTS_MAX - found.len();
                let rows = self.oldest(tables::REPOSTERS, *post, None, room + 1).await?;
                if rows.len() > room {
                    tracing::warn!(%person, "what absent people wrote was passed on very often; that stays in counts");
                    return Ok(Vec::new());
                }
                let original = PostRef { id: *post, author: person };
                found.extend(rows.iter().filter_map(|row| {
                    let (repost, by) = (Id::from_bytes(&row.clustering)?, Id::from_bytes(&row.value)?);
                    of_repost(repost, by, original).map(|(_, one)| one)
                }));
            }
        }
        Ok(found)
    }

    async fn all_of(&self, table: Table, of: Id) -> Result<Vec<Row>> {
        self.oldest(table, of, None, limits::UNCOUNTED_MAX).await
    }

    async fn all_bucketed(&self, table: Table, of: Id) -> Result<Vec<Row>> {
        Ok(self.newest_bucketed(table, of, Id(i64::MAX as u64), limits::UNCOUNTED_MAX).await?)
    }
}
