//! Work in the background: what has expired, what deleted accounts left behind, what follows when posts are gone, and how
//! much of the journal is kept.
//!
//! Every step is bounded, can be cut off anywhere, and is begun again by the next round.

pub mod names;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Partition, RowKey, Table};
use fanfare_protocol::Id;

use crate::core::{Attachments, Core};
use crate::deletions;
use crate::error::Result;
use crate::events::{EndedFollow, Event, PostRef};
use crate::id::first_id_at;
use crate::limits;
use crate::posts::{old_reposts, settle};
use crate::rows::{SuspensionRow, TokenRow, from_json};
use crate::tables;
use crate::users::handle::reserved_until_ms;

const HOUR_MS: u64 = 3_600_000;
/// Key of the last hour that was swept, in the `meta` table.
const META_SWEPT_HOUR: Bytes = Bytes::from_static(b"swept_hour");

/// Cleans up.
pub struct Janitor {
    /// Rows and records.
    pub core: Core,
    /// Uploads of deleted accounts.
    pub media: Arc<dyn Attachments>,
    /// Bytes of journal to keep.
    pub journal_bytes_max: u64,
    /// Days for which a handle stays reserved after its account is deleted.
    pub handle_reserved_days: u32,
}

impl Janitor {
    /// Rounds until the task is aborted.
    pub async fn run(self) {
        let mut tick = tokio::time::interval(Duration::from_secs(limits::JANITOR_PERIOD_S));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                _ = tick.tick() => self.round().await,
                () = self.core.store.unsettled.notified() => settle::settle_all(&self.core).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "a round of the janitor failed; the next one goes on");
            }
        }
    }

    /// One round.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn round(&self) -> Result<()> {
        self.sweep().await?;
        self.forget_ended_suspensions().await;
        names::rekey(&self.core).await?;
        while let Some(user) = self.next_purge().await? {
            self.purge(user).await?;
        }
        old_reposts::list_all(&self.core).await?;
        deletions::bring_over(&self.core.store, self.core.sequencer.mint()).await?;
        settle::settle_all(&self.core).await?;
        let journal = &self.core.store.engines.journal;
        for partition in 0..journal.partitions() {
            journal.trim(Partition(partition), self.journal_bytes_max, &[crate::sequencer::PROJECTOR]).await?;
        }
        Ok(())
    }

    /// Lets go of what is in memory for suspensions that ended by the clock a while ago.
    async fn forget_ended_suspensions(&self) {
        let (store, then_ms) = (&self.core.store, self.core.clock.now_ms().saturating_sub(HOUR_MS));
        for person in store.absent.ended_before(then_ms) {
            let _held = self.core.locks.hold(&[("suspension", person.0, 0)]).await;
            if store.absent.forget_ended(person, then_ms) {
                store.unwatch(person);
            }
        }
    }

    /// Removes what expired in the hours that have passed since the last sweep.
    async fn sweep(&self) -> Result<()> {
        let row = RowKey::new(tables::META, tables::ONE, META_SWEPT_HOUR);
        let now = (self.core.clock.now_ms() / HOUR_MS) as u32;
        let stored = self.core.store.get(&row).await?;
        let swept = stored.and_then(|bytes| bytes.first_chunk::<4>().map(|hour| u32::from_be_bytes(*hour)));
        let from = swept.map_or(now, |hour| hour + 1);
        let upto = now.min(from.saturating_add(limits::JANITOR_HOURS_MAX));
        for hour in from..upto {
            while self.sweep_some(hour).await? {}
        }
        if swept.is_none() || upto > from {
            let done = upto.saturating_sub(1);
            let mut batch = Batch::default();
            batch.put_versioned(row, done.to_be_bytes().to_vec(), u64::from(done).max(1));
            self.core.store.engines.tables.write(batch).await?;
        }
        Ok(())
    }

    /// Removes some rows that expire in `hour`; true when there may be more.
    async fn sweep_some(&self, hour: u32) -> Result<bool> {
        let tables_port = &self.core.store.engines.tables;
        let partition = hour.to_be_bytes();
        let step = limits::JANITOR_STEP_ROWS;
        let rows = tables_port.scan(tables::EXPIRY, &partition, KeyRange::ALL, Order::Ascending, step).await?;
        if rows.is_empty() {
            return Ok(false);
        }
        // Expiry rows are written for the hour after the last one in which the row is needed: what was renewed since
        // has a higher version than this.
        let version = first_id_at(u64::from(hour.saturating_sub(1)) * HOUR_MS).0.max(1);
        let mut expired = Batch::default();
        let mut done = Batch::default();
        for row in &rows {
            match tables::expiring(&row.clustering) {
                Some(key) if key.table == tables::HANDLES => self.release_handle(&key).await?,
                Some(key) if !tables::keeps_versions(key.table) => expired.delete(key),
                Some(key) if !self.is_renewed(&key).await? => expired.delete_versioned(key, version),
                _ => {}
            }
            done.delete(RowKey::new(tables::EXPIRY, partition.to_vec(), row.clustering.clone()));
        }
        tables_port.write(expired).await?;
        tables_port.write(done).await?;
        Ok(rows.len() == step)
    }

    /// Gives a handle free whose account was deleted, once its days are over; until then it comes here again.
    async fn release_handle(&self, key: &RowKey) -> Result<()> {
        let Some(holder) = self.core.store.get_id(key).await? else { return Ok(()) };
        // Somebody else may have it by now.
        let Some(gone) = self.core.store.account_or_gone(holder).await?.filter(|account| account.row.deleted) else {
            return Ok(());
        };
        let until_ms = reserved_until_ms(gone.row.deleted_by, self.handle_reserved_days);
        if until_ms <= self.core.clock.now_ms() {
            return Ok(self.core.store.engines.tables.release_unique(key, holder.0).await?);
        }
        let mut again = Batch::default();
        again.put(tables::expiry_row((until_ms / HOUR_MS) as u32 + 1, key), Bytes::new());
        Ok(self.core.store.engines.tables.write(again).await?)
    }

    /// A token that a change of password gave a longer life, or a suspension that was made longer: it has another expiry
    /// row, or needs none.
    async fn is_renewed(&self, key: &RowKey) -> Result<bool> {
        if key.table != tables::TOKENS && key.table != tables::SUSPENSIONS {
            return Ok(false);
        }
        let Some(bytes) = self.core.store.get(key).await? else { return Ok(false) };
        let now_ms = self.core.clock.now_ms();
        if key.table == tables::SUSPENSIONS {
            return Ok(from_json::<SuspensionRow>(&bytes)?.holds(now_ms));
        }
        Ok(from_json::<TokenRow>(&bytes)?.expires_ms > now_ms)
    }

    async fn next_purge(&self) -> Result<Option<Id>> {
        let tables_port = &self.core.store.engines.tables;
        let rows = tables_port.scan(tables::PURGES, &tables::ONE, KeyRange::ALL, Order::Ascending, 1).await?;
        Ok(rows.first().and_then(|row| Id::from_bytes(&row.clustering)))
    }

    /// Removes what a deleted account left behind.
    async fn purge(&self, user: Id) -> Result<()> {
        self.purge_edges(user).await?;
        self.purge_posts(user).await?;
        self.purge_likes(user).await?;
        for table in [tables::NOTIFICATIONS, tables::MARKERS, tables::IDEMPOTENCY, tables::INTERACTIONS] {
            self.purge_partition(table, user).await?;
        }
        deletions::forget(&self.core, user).await?;
        self.media.forget_owner(user).await?;
        let mut batch = Batch::default();
        let row = RowKey::new(tables::PURGES, tables::ONE, tables::partition(user));
        batch.delete_versioned(row, self.core.sequencer.mint().0);
        self.core.store.engines.tables.write(batch).await?;
        self.core.store.absent.cleared_away(user);
        Ok(())
    }

    async fn pairs(&self, table: Table, of: Id) -> Result<Vec<(Id, Id)>> {
        let rows = self.core.store.oldest(table, of, None, limits::JANITOR_STEP_ROWS).await?;
        let pair = |row: &fanfare_engines::Row| Some((Id::from_bytes(&row.clustering)?, Id::from_bytes(&row.value)?));
        Ok(rows.iter().filter_map(pair).collect())
    }

    async fn commit_all(&self, events: Vec<Event>) -> Result<()> {
        let mut pending = Vec::with_capacity(events.len());
        for event in events {
            pending.push(self.core.sequencer.submit(event.into()).await?);
        }
        for one in pending {
            one.durable().await?;
        }
        Ok(())
    }

    async fn purge_edges(&self, user: Id) -> Result<()> {
        let departed = self.core.store.account_or_gone(user).await?.and_then(|gone| gone.row.deleted_by);
        loop {
            let followees = self.pairs(tables::FOLLOWS, user).await?;
            if followees.is_empty() {
                break;
            }
            let end =
                |(followee, since)| Event::Unfollowed(EndedFollow { follower: user, followee, since, departed: None });
            self.commit_all(followees.into_iter().map(end).collect()).await?;
        }
        loop {
            let newest = Id(i64::MAX as u64);
            let step = limits::JANITOR_STEP_ROWS;
            let rows = self.core.store.newest_bucketed(tables::FOLLOWERS, user, newest, step).await?;
            let end = |row: &fanfare_engines::Row| {
                let (since, follower) = (Id::from_bytes(&row.clustering)?, Id::from_bytes(&row.value)?);
                Some(Event::Unfollowed(EndedFollow { follower, followee: user, since, departed }))
            };
            let events: Vec<Event> = rows.iter().filter_map(end).collect();
            if events.is_empty() {
                break;
            }
            self.commit_all(events).await?;
        }
        for (table, event) in [
            (tables::BLOCKS, (|one, other| Event::Unblocked { blocker: one, blocked: other }) as fn(Id, Id) -> Event),
            (tables::BLOCKED_BY, |one, other| Event::Unblocked { blocker: other, blocked: one }),
            (tables::MUTES, |one, other| Event::Unmuted { muter: one, muted: other }),
        ] {
            loop {
                let others = self.pairs(table, user).await?;
                if others.is_empty() {
                    break;
                }
                self.commit_all(others.into_iter().map(|(other, _)| event(user, other)).collect()).await?;
            }
        }
        Ok(())
    }

    async fn purge_posts(&self, user: Id) -> Result<()> {
        loop {
            let newest = Id(i64::MAX as u64);
            let step = limits::JANITOR_STEP_ROWS;
            let rows = self.core.store.newest_bucketed(tables::AUTHOR_POSTS, user, newest, step).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let posts: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
            if settle::purge_standing(&self.core, &posts).await? == 0 {
                return Ok(());
            }
        }
    }

    async fn purge_likes(&self, user: Id) -> Result<()> {
        loop {
            let likes = self.pairs(tables::LIKED, user).await?;
            if likes.is_empty() {
                return Ok(());
            }
            let mut events = Vec::with_capacity(likes.len());
            for (post, since) in likes {
                let author = self.core.store.post_or_gone(post).await?.map_or(Id(0), |post| post.author);
                events.push(Event::Unliked { user, post: PostRef { id: post, author }, since });
            }
            self.commit_all(events).await?;
        }
    }

    async fn purge_partition(&self, table: Table, user: Id) -> Result<()> {
        let tables_port = &self.core.store.engines.tables;
        let partition = tables::partition(user);
        loop {
            let step = limits::JANITOR_STEP_ROWS;
            let rows = tables_port.scan(table, &partition, KeyRange::ALL, Order::Ascending, step).await?;
            if rows.is_empty() {
                return Ok(());
            }
            let mut batch = Batch::default();
            let version = self.core.sequencer.mint().0;
            for row in rows {
                batch.delete_versioned(RowKey::new(table, partition.clone(), row.clustering), version);
            }
            tables_port.write(batch).await?;
        }
    }
}
