//! Removal of what has expired, hour by hour. The time is one that no clock that was set forward makes run away
//! (`log/moments.rs`): what is removed does not come back with the right time.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey, RowWrite, Table};

use super::Janitor;
use crate::base::error::Result;
use crate::base::handle::reserved_until_ms;
use crate::base::id::first_id_at;
use crate::base::limits;
use crate::data::rows::{SuspensionRow, TokenRow, from_json, number_in, version_above};
use crate::data::tables;

const HOUR_MS: u64 = 3_600_000;
/// Key of the last hour that was swept, and of how often that was written, in the `meta` table.
const META_SWEPT: Bytes = Bytes::from_static(b"swept");
/// Key of the last hour that an earlier version swept.
const META_SWEPT_HOUR: Bytes = Bytes::from_static(b"swept_hour");

/// The last hour that was swept, as stored.
#[derive(Debug, Clone, Copy)]
struct Swept {
    hour: u32,
    /// Version of the row: the hour can go back.
    writes: u32,
}

impl Swept {
    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self { hour: number_in(bytes)?, writes: number_in(bytes.get(4..)?)? })
    }

    /// The hour to go on with at the hour `now`. Whoever swept the future, by a clock that was fast, has passed over
    /// what was written since for the hours between.
    fn next(self, now: u32) -> u32 {
        match self.hour.checked_sub(now) {
            Some(ahead) if ahead > limits::SWEPT_AHEAD_HOURS_MAX => now.saturating_sub(limits::SWEEP_AGAIN_HOURS),
            _ => self.hour + 1,
        }
    }
}

impl Janitor {
    /// Removes what expired in the hours that have passed since the last sweep.
    pub(super) async fn sweep(&self) -> Result<()> {
        let row = RowKey::new(tables::META, tables::ONE, META_SWEPT);
        let now = (self.core.log.sweep_ms() / HOUR_MS) as u32;
        let mut swept = self.core.store.get(&row).await?.as_deref().and_then(Swept::from_bytes);
        if swept.is_none() {
            let old = self.core.store.get(&RowKey::new(tables::META, tables::ONE, META_SWEPT_HOUR)).await?;
            swept = old.as_deref().and_then(number_in).map(|hour| Swept { hour, writes: 0 });
        }
        let from = swept.map_or(now, |swept| swept.next(now));
        let upto = now.min(from.saturating_add(limits::JANITOR_HOURS_MAX));
        for hour in from..upto {
            let mut after = None;
            while let Some(last) = self.sweep_some(hour, after).await? {
                after = Some(last);
            }
        }
        if swept.is_none() || upto > from {
            let (done, writes) = (upto.saturating_sub(1), swept.map_or(0, |swept| swept.writes) + 1);
            let mut batch = Batch::default();
            batch.put_versioned(row, [done, writes].map(u32::to_be_bytes).concat(), u64::from(writes));
            self.core.store.write(batch).await?;
        }
        Ok(())
    }

    /// Removes some rows that expire in `hour`, from the row behind `after` on; answers the last one if there may be
    /// more.
    async fn sweep_some(&self, hour: u32, after: Option<Bytes>) -> Result<Option<Bytes>> {
        let store = &self.core.store;
        let partition = hour.to_be_bytes();
        let step = limits::JANITOR_STEP_ROWS;
        let range = KeyRange { from: after.map(|last| [&last[..], &[0]].concat().into()), to: None };
        let rows = store.scan(tables::EXPIRY, &partition, range, Order::Ascending, step).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_swept_the_future_sweeps_again_what_was_written_since() {
        let at = |hour| Swept { hour, writes: 1 }.next(500_000);
        assert_eq!((at(499_990), at(499_999), at(500_010)), (499_991, 500_000, 500_011));
        assert_eq!(at(500_000 + 60 * 24), 500_000 - limits::SWEEP_AGAIN_HOURS);
    }
}
