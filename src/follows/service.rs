//! Edges between people. Each decision reads the edge, commits a record if it changes something, and is made one at a
//! time per pair of people (and per follower, for the follow limit).

use std::sync::Arc;

use fanfare_engines::{KeyRange, Order, Table};
use fanfare_protocol::{Code, Id, Page, Relationship, User};

use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::rows::is_silent;
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::log::core::{Core, HearsBlocks, LockKey};
use crate::log::events::{EndedFollow, Event};
use crate::log::handle::Proposal;
use crate::users::service::Users;

/// Edges.
#[derive(Clone)]
pub struct Follows {
    core: Core,
    users: Users,
    follow_limit: u64,
    hears: Arc<dyn HearsBlocks>,
}

/// Lock of what is between two people, whichever way round.
#[must_use]
pub fn pair(one: Id, other: Id) -> LockKey {
    ("pair", one.0.min(other.0), one.0.max(other.0))
}

fn not_oneself(caller: Id, other: Id, what: &str) -> Result<()> {
    if caller == other {
        return Err(Error::field("id", format!("you cannot {what} yourself")));
    }
    Ok(())
}

impl Follows {
    /// The service; `follow_limit` is the most people one can follow, and `hears` knows of blocks before they are
    /// answered.
    #[must_use]
    pub fn new(core: Core, users: Users, follow_limit: u64, hears: Arc<dyn HearsBlocks>) -> Self {
        Self { core, users, follow_limit, hears }
    }

    /// `follower` follows `followee`; following twice changes nothing.
    ///
    /// # Errors
    /// 404 for nobody or who blocks the follower, 403 for whom the follower blocks, 422 for oneself or at the limit.
    pub async fn follow(&self, follower: Id, followee: Id) -> Result<Relationship> {
        self.follow_as(follower, followee, None).await?;
        self.core.store.relationship(follower, followee).await
    }

    /// Follows at a given moment, without news to the followee; for imports.
    ///
    /// # Errors
    /// As [`follow`](Self::follow).
    pub async fn follow_as(&self, follower: Id, followee: Id, imported_at_ms: Option<u64>) -> Result<()> {
        not_oneself(follower, followee, "follow")?;
        let guard = self.core.log.decide(follower, &[pair(follower, followee), ("follower", follower.0, 0)]).await?;
        self.core.account_for(Some(follower), followee).await?;
        if self.core.blocks(follower, followee).await? {
            return Err(Error::refused(Code::Forbidden, "you block this person; unblock them first"));
        }
        if self.core.store.get(&tables::pair(tables::FOLLOWS, follower, followee)).await?.is_some() {
            return Ok(());
        }
        let following = self.core.store.stored_counters(Of::User(follower)).await?.values[1];
        if following >= self.follow_limit {
            let limit = self.follow_limit;
            return Err(Error::field(
                "id",
                format!("you follow {following} people, and {limit} is the limit; unfollow somebody first"),
            ));
        }
        let event =
            Event::Followed { follower, followee, notify: imported_at_ms.is_none(), silent: imported_at_ms.is_some() };
        self.core.log.commit(&guard, Proposal { at_ms: imported_at_ms, ..event.into() }).await?;
        Ok(())
    }

    /// `follower` no longer follows `followee`.
    ///
    /// # Errors
    /// 404 for nobody.
    pub async fn unfollow(&self, follower: Id, followee: Id) -> Result<Relationship> {
        self.core.account(followee).await?;
        {
            let guard =
                self.core.log.decide(follower, &[pair(follower, followee), ("follower", follower.0, 0)]).await?;
            if let Some(edge) = self.edge(follower, followee).await? {
                self.core.log.commit(&guard, Event::Unfollowed(edge)).await?;
            }
        }
        self.core.store.relationship(follower, followee).await
    }

    async fn edge(&self, follower: Id, followee: Id) -> Result<Option<EndedFollow>> {
        let row = self.core.store.get(&tables::pair(tables::FOLLOWS, follower, followee)).await?;
        Ok(row.and_then(|value| {
            let (since, silent) = (Id::from_bytes(&value)?, is_silent(&value));
            Some(EndedFollow { follower, followee, since, departed: None, silent })
        }))
    }

    /// `blocker` blocks `blocked`; follows end both ways.
    ///
    /// # Errors
    /// 404 for nobody, 422 for oneself or at the limit.
    pub async fn block(&self, blocker: Id, blocked: Id) -> Result<Relationship> {
        not_oneself(blocker, blocked, "block")?;
        self.core.account(blocked).await?;
        let source = {
            let keys = [pair(blocker, blocked), ("follower", blocker.0, 0), ("follower", blocked.0, 0)];
            let guard = self.core.log.decide(blocker, &keys).await?;
            if let Some(row) = self.core.store.get_id(&tables::pair(tables::BLOCKS, blocker, blocked)).await? {
                row
            } else {
                self.room(tables::BLOCKS, blocker).await?;
                let mut ended = Vec::new();
                ended.extend(self.edge(blocker, blocked).await?);
                // A follow is its follower's: elsewhere the block ends it when it arrives.
                if self.core.log.spread().partition_of(blocked) == self.core.log.spread().partition_of(blocker) {
                    ended.extend(self.edge(blocked, blocker).await?);
                }
                self.core.log.commit(&guard, Event::Blocked { blocker, blocked, ended }).await?.id
            }
        };
        self.hears.blocked(blocker, blocked, true, source).await?;
        // A follow that the block finds elsewhere ends there, and the blocker's count of followers after that.
        self.core.log.followed_back(source, blocked).await;
        self.core.store.relationship(blocker, blocked).await
    }

    /// `blocker` no longer blocks `blocked`; follows are not restored.
    ///
    /// # Errors
    /// 404 for nobody.
    pub async fn unblock(&self, blocker: Id, blocked: Id) -> Result<Relationship> {
        self.core.account(blocked).await?;
        let source = {
            let guard = self.core.log.decide(blocker, &[pair(blocker, blocked)]).await?;
            // Before the row is read: what is settled later says more.
            let read = self.core.log.horizon().now();
            if self.core.store.get(&tables::pair(tables::BLOCKS, blocker, blocked)).await?.is_some() {
                self.core.log.commit(&guard, Event::Unblocked { blocker, blocked }).await?.id
            } else {
                read
            }
        };
        self.hears.blocked(blocker, blocked, false, source).await?;
        self.core.store.relationship(blocker, blocked).await
    }

    /// `muter` mutes `muted`.
    ///
    /// # Errors
    /// 404 for nobody, 422 for oneself or at the limit.
    pub async fn mute(&self, muter: Id, muted: Id) -> Result<Relationship> {
        not_oneself(muter, muted, "mute")?;
        self.core.account_for(Some(muter), muted).await?;
        {
            let guard = self.core.log.decide(muter, &[pair(muter, muted)]).await?;
            if self.core.store.get(&tables::pair(tables::MUTES, muter, muted)).await?.is_none() {
                self.room(tables::MUTES, muter).await?;
                self.core.log.commit(&guard, Event::Muted { muter, muted }).await?;
            }
        }
        self.core.store.relationship(muter, muted).await
    }

    /// `muter` no longer mutes `muted`.
    ///
    /// # Errors
    /// 404 for nobody.
    pub async fn unmute(&self, muter: Id, muted: Id) -> Result<Relationship> {
        self.core.account(muted).await?;
        {
            let guard = self.core.log.decide(muter, &[pair(muter, muted)]).await?;
            if self.core.store.get(&tables::pair(tables::MUTES, muter, muted)).await?.is_some() {
                self.core.log.commit(&guard, Event::Unmuted { muter, muted }).await?;
            }
        }
        self.core.store.relationship(muter, muted).await
    }

    /// Refuses another block or mute when there are as many as are read.
    async fn room(&self, table: Table, of: Id) -> Result<()> {
        let many = self.core.store.newest(table, of, None, limits::HIDDEN_MAX).await?.len();
        if many >= limits::HIDDEN_MAX {
            return Err(Error::field("id", format!("{} is the most; end some first", limits::HIDDEN_MAX)));
        }
        Ok(())
    }

    /// People who follow `user`, latest first.
    ///
    /// # Errors
    /// 404 when the viewer may not see the user, 400 for a foreign cursor.
    pub async fn followers(
        &self,
        viewer: Option<Id>,
        user: Id,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<User>> {
        self.core.account_for(viewer, user).await?;
        let scope = Scope { list: "followers", caller: Id(0), subject: user };
        let mut before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(i64::MAX as u64));
        let mut items = Vec::new();
        loop {
            let rows = self.core.store.newest_bucketed(tables::FOLLOWERS, user, before, limit + 1).await?;
            for row in &rows {
                let (Some(at), Some(id)) = (Id::from_bytes(&row.clustering), Id::from_bytes(&row.value)) else {
                    continue;
                };
                if items.len() == limit {
                    return Ok(Page { items, next_cursor: Some(self.core.cursors.seal_id(scope, before)) });
                }
                before = at;
                items.extend(self.visible(viewer, id).await?);
            }
            if rows.len() <= limit {
                return Ok(Page { items, next_cursor: None });
            }
        }
    }

    /// The profile of `id`, unless the viewer may not see it or it is gone.
    async fn visible(&self, viewer: Option<Id>, id: Id) -> Result<Option<User>> {
        match self.core.account_for(viewer, id).await {
            Ok(account) => Ok(Some(self.users.render(&account, viewer).await?)),
            Err(Error::Refused(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// People whom `user` follows, latest first.
    ///
    /// # Errors
    /// 404 when the viewer may not see the user, 400 for a foreign cursor.
    pub async fn following(
        &self,
        viewer: Option<Id>,
        user: Id,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<User>> {
        self.core.account_for(viewer, user).await?;
        let scope = Scope { list: "following", caller: Id(0), subject: user };
        self.edges(viewer, tables::FOLLOWS, user, scope, limit, cursor).await
    }

    /// People whom the caller blocks, latest first.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn blocks(&self, caller: Id, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        let scope = Scope { list: "blocks", caller, subject: Id(0) };
        self.edges(None, tables::BLOCKS, caller, scope, limit, cursor).await
    }

    /// People whom the caller mutes, latest first.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn mutes(&self, caller: Id, limit: usize, cursor: Option<&str>) -> Result<Page<User>> {
        let scope = Scope { list: "mutes", caller, subject: Id(0) };
        self.edges(None, tables::MUTES, caller, scope, limit, cursor).await
    }

    /// A bounded set of edges, whose rows are keyed by the other person, in the order in which they were made.
    async fn edges(
        &self,
        viewer: Option<Id>,
        table: Table,
        of: Id,
        scope: Scope<'_>,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Page<User>> {
        let before = self.core.cursors.open_id(scope, cursor)?.unwrap_or(Id(u64::MAX));
        let partition = tables::partition(of);
        let tables_port = &self.core.store;
        let rows =
            tables_port.scan(table, &partition, KeyRange::ALL, Order::Ascending, limits::FOLLOWS_READ_MAX).await?;
        let edge = |row: &fanfare_engines::Row| Some((Id::from_bytes(&row.value)?, Id::from_bytes(&row.clustering)?));
        let mut edges: Vec<(Id, Id)> = rows.iter().filter_map(edge).filter(|(at, _)| *at < before).collect();
        edges.sort_unstable_by(|one, other| other.cmp(one));
        let mut items = Vec::new();
        let mut last = before;
        for (at, id) in edges {
            if items.len() == limit {
                return Ok(Page { items, next_cursor: Some(self.core.cursors.seal_id(scope, last)) });
            }
            last = at;
            items.extend(self.visible(viewer, id).await?);
        }
        Ok(Page { items, next_cursor: None })
    }
}
