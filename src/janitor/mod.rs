//! Work in the background: what has expired, what deleted accounts left behind, what follows when posts are gone, and
//! how much of the journal is kept.
//!
//! Every step is bounded, can be cut off anywhere, and is begun again by the next round.

pub mod credentials;
pub mod forget;
pub mod names;
mod purge;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Partition, RowKey, RowWrite, Table};

use crate::base::error::Result;
use crate::base::handle::reserved_until_ms;
use crate::base::id::first_id_at;
use crate::base::limits;
use crate::data::deletions;
use crate::data::rows::{SuspensionRow, TokenRow, from_json, number_in, version_above};
use crate::data::tables;
use crate::log::core::{Attachments, Core};
use crate::posts::{old_reposts, public, settle};

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
                // What the account added to the counts of others is in them until this is done.
                () = self.core.store.absent.to_clear.notified() => self.purge_all().await,
                () = self.core.store.unsettled.notified() => settle::settle_all(&self.core).await,
            };
            if let Err(error) = done {
                tracing::warn!(%error, "a round of the janitor failed; the next one goes on");
            }
        }
    }

    /// Does one round.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn round(&self) -> Result<()> {
        self.forget_ended_suspensions().await;
        self.count();
        // Not minted: an import that has not begun looks for ids that are later than its own.
        let now = self.core.log.newest().max(first_id_at(self.core.clock.now_ms()));
        // What one of them stumbles over stops none of the others.
        let done = [
            self.purge_all().await,
            self.sweep().await,
            credentials::move_all(&self.core).await,
            names::rekey(&self.core).await,
            old_reposts::list_all(&self.core).await,
            deletions::bring_over(&self.core.store, now).await,
            public::list_all(&self.core).await,
            settle::settle_all(&self.core).await,
            forget::forget(&self.core).await,
            self.trim_journal().await,
        ];
        done.into_iter().collect()
    }

    /// Tells operators what scans cost.
    fn count(&self) {
        let scans = self.core.store.scans();
        metrics::counter!("fanfare_storage_dead_rows_passed_total").absolute(scans.dead_rows_passed.load(Relaxed));
        metrics::counter!("fanfare_storage_long_scans_total").absolute(scans.long.load(Relaxed));
    }

    async fn trim_journal(&self) -> Result<()> {
        let journal = self.core.store.journal();
        for partition in 0..journal.partitions() {
            journal.trim(Partition(partition), self.journal_bytes_max, &[crate::log::owner::CONSUMER]).await?;
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
        let swept = stored.as_deref().and_then(number_in);
        let from = swept.map_or(now, |hour| hour + 1);
        let upto = now.min(from.saturating_add(limits::JANITOR_HOURS_MAX));
        for hour in from..upto {
            let mut after = None;
            while let Some(last) = self.sweep_some(hour, after).await? {
                after = Some(last);
            }
        }
        if swept.is_none() || upto > from {
            let done = upto.saturating_sub(1);
            let mut batch = Batch::default();
            batch.put_versioned(row, done.to_be_bytes().to_vec(), u64::from(done).max(1));
            self.core.store.write(batch).await?;
        }
        Ok(())
    }

    /// Removes some rows that expire in `hour`, from the row behind `after` on; answers the last one if there may be
    /// more.
    async fn sweep_some(&self, hour: u32, after: Option<Bytes>) -> Result<Option<Bytes>> {
        let tables_port = &self.core.store;
        let partition = hour.to_be_bytes();
        let step = limits::JANITOR_STEP_ROWS;
        let range = KeyRange { from: after.map(|last| [&last[..], &[0]].concat().into()), to: None };
        let rows = tables_port.scan(tables::EXPIRY, &partition, range, Order::Ascending, step).await?;
        let Some(last) = rows.last().map(|row| row.clustering.clone()) else { return Ok(None) };
        // Expiry rows are written for the hour after the last one in which the row is needed.
        let version = first_id_at(u64::from(hour.saturating_sub(1)) * HOUR_MS).0.max(1);
        let mut expired = Batch::default();
        let mut done = Batch::default();
        for row in &rows {
            if let Some(key) = tables::expiring(&row.clustering) {
                match self.end_of(&key, version).await {
                    Ok(Some(version)) => expired.rows.push(RowWrite { key, value: None, version }),
                    Ok(None) => {}
                    Err(error) if error.is_of_storage() => return Err(error),
                    Err(error) => tracing::warn!(%error, table = key.table.name, "what should expire is left as it is"),
                }
            }
            done.delete(RowKey::new(tables::EXPIRY, partition.to_vec(), row.clustering.clone()));
        }
        tables_port.write(expired).await?;
        tables_port.write(done).await?;
        Ok((rows.len() == step).then_some(last))
    }

    /// The version with which a row whose hour has come is deleted, 0 for one without versions; `None` if it stays.
    ///
    /// Ids may run ahead of the clock, so `of_hour`, the moment up to which the row was needed, may be below the row's
    /// version, and above that of what is written to its place. A row that tells its version goes by that.
    async fn end_of(&self, key: &RowKey, of_hour: u64) -> Result<Option<u64>> {
        if key.table == tables::HANDLES {
            self.release_handle(key).await?;
            return Ok(None);
        }
        if !tables::keeps_versions(key.table) {
            return Ok(Some(0));
        }
        // A person's list of tokens holds what the tokens themselves hold.
        let token = (key.table == tables::TOKENS_OF).then(|| RowKey::single(tables::TOKENS, key.clustering.clone()));
        let Some(value) = self.core.store.get(token.as_ref().unwrap_or(key)).await? else {
            return Ok(token.map_or(Some(of_hour), |_| Some(tables::NEVER_AGAIN)));
        };
        if self.is_renewed(key.table, &value)? {
            return Ok(None);
        }
        Ok(version_above(key.table, &value)?.or(Some(of_hour)))
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
            return Ok(self.core.store.release_unique(key, holder.0).await?);
        }
        let mut again = Batch::default();
        again.put(tables::expiry_row((until_ms / HOUR_MS) as u32 + 1, key), Bytes::new());
        Ok(self.core.store.write(again).await?)
    }

    /// A token that a change of password gave a longer life (in an earlier version), or a suspension that was made
    /// longer: it has another expiry row, or needs none.
    fn is_renewed(&self, table: Table, value: &[u8]) -> Result<bool> {
        let now_ms = self.core.clock.now_ms();
        Ok(match table {
            tables::SUSPENSIONS => from_json::<SuspensionRow>(value)?.holds(now_ms),
            tables::TOKENS | tables::TOKENS_OF => from_json::<TokenRow>(value)?.expires_ms > now_ms,
            _ => false,
        })
    }
}
