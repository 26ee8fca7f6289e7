//! Removal of what has expired, hour by hour. The time is one that no clock that was set forward makes run away
//! (`log/moments.rs`): what is removed does not come back with the right time.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey, RowWrite, Table};

use super::Janitor;
use crate::base::error::Result;
use crate::base::handle::reserved_until_ms;
use crate::base::id::first_id_at;
use crate::base::limits;
use crate::data::layout::expiry_partitions;
use crate::data::rows::{SuspensionRow, TokenRow, from_json, version_above};
use crate::data::swept::Swept;
use crate::data::tables;

const HOUR_MS: u64 = 3_600_000;

impl Janitor {
    /// Removes what expired in the hours that have passed since the last sweep.
    pub(super) async fn sweep(&self) -> Result<()> {
        let now = (self.core.log.sweep_ms() / HOUR_MS) as u32;
        let swept = self.core.store.swept().await?;
        let from = swept.map_or(now, |swept| swept.next(now));
        let upto = now.min(from.saturating_add(limits::JANITOR_HOURS_MAX));
        for hour in from..upto {
            for partition in expiry_partitions(hour) {
                let mut after = None;
                while let Some(last) = self.sweep_some(hour, &partition, after).await? {
                    after = Some(last);
                }
            }
        }
        if swept.is_none() || upto > from {
            let mut batch = Batch::default();
            Swept::write(upto.saturating_sub(1), swept, &mut batch);
            self.core.store.write(batch).await?;
        }
        Ok(())
    }

    /// Removes some rows that expire in `hour` and are named in `partition`, from the row behind `after` on; answers
    /// the last one if there may be more.
    async fn sweep_some(&self, hour: u32, partition: &Bytes, after: Option<Bytes>) -> Result<Option<Bytes>> {
        let store = &self.core.store;
        let step = limits::JANITOR_STEP_ROWS;
        let range = KeyRange { from: after.map(|last| [&last[..], &[0]].concat().into()), to: None };
        let rows = store.scan(tables::EXPIRY, partition, range, Order::Ascending, step).await?;
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
            done.delete(RowKey::new(tables::EXPIRY, partition.clone(), row.clustering.clone()));
        }
        store.write(expired).await?;
        store.write(done).await?;
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
        if until_ms <= self.core.log.sweep_ms() {
            return Ok(self.core.store.release_unique(key, holder.0).await?);
        }
        let mut again = Batch::default();
        again.put(tables::expiry_row((until_ms / HOUR_MS) as u32 + 1, key), Bytes::new());
        Ok(self.core.store.write(again).await?)
    }

    /// A token that a change of password gave a longer life (in an earlier version), or a suspension that was made
    /// longer: it has another expiry row, or needs none.
    fn is_renewed(&self, table: Table, value: &[u8]) -> Result<bool> {
        let now_ms = self.core.log.sweep_ms();
        Ok(match table {
            tables::SUSPENSIONS => from_json::<SuspensionRow>(value)?.holds(now_ms),
            tables::TOKENS | tables::TOKENS_OF => from_json::<TokenRow>(value)?.expires_ms > now_ms,
            _ => false,
        })
    }
}
