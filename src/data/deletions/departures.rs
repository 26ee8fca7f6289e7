//! Departures: accounts that were deleted while a person followed them.
//!
//! The janitor ends the follows of a deleted account one by one, and each end leaves a row with its follower, in the
//! same commit. Until then the follow is there, and says the same.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;

use super::KEPT_HOURS;
use crate::base::error::Result;
use crate::base::id::hour_of;
use crate::base::limits;
use crate::data::absent::Standing;
use crate::data::store::Store;
use crate::data::tables;

/// An account that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Departure {
    /// The record that deleted it.
    pub id: Id,
    /// Person whose account it was.
    pub user: Id,
}

/// Adds the row that says to `follower` whose account was deleted by which record, `gone`; `now` is the record that
/// ends the follow.
pub fn keep(follower: Id, gone: (Id, Id), now: Id, batch: &mut Batch) {
    let (departed, user) = gone;
    let expires = hour_of(departed) + KEPT_HOURS + 2;
    // A purge that was held up for so long: no cursor asks for it any more, and the hour may have been swept.
    if expires <= hour_of(now) {
        return;
    }
    let row = tables::pair(tables::DEPARTURES, follower, departed);
    batch.put(tables::expiry_row(expires, &row), Bytes::new());
    batch.put(row, tables::partition(user));
}

impl Store {
    /// Accounts that were deleted by records above `after` and up to `upto` while `follower` followed them, in their
    /// order; `None` when they are more than `max`. `followees` are those whom the person followed a moment ago.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn departures_of(
        &self,
        follower: Id,
        followees: &[Id],
        (after, upto): (Id, Id),
        max: usize,
    ) -> Result<Option<Vec<Departure>>> {
        let mut found = Vec::new();
        for user in followees.iter().copied().filter(|user| self.absent.standing(*user) == Standing::Gone) {
            let gone = self.account_or_gone(user).await?.and_then(|account| account.row.deleted_by);
            found.extend(gone.filter(|id| *id > after && *id <= upto).map(|id| Departure { id, user }));
        }
        // After the follows: one that the janitor ends meanwhile has its row by now.
        let range =
            KeyRange { from: Some(tables::partition(Id(after.0 + 1))), to: Some(tables::partition(Id(upto.0 + 1))) };
        let (port, partition) = (&self.engines.tables, tables::partition(follower));
        let rows = port.scan(tables::DEPARTURES, &partition, range, Order::Ascending, max + 1).await?;
        found.extend(rows.iter().filter_map(|row| {
            Some(Departure { id: Id::from_bytes(&row.clustering)?, user: Id::from_bytes(&row.value)? })
        }));
        found.sort_unstable();
        found.dedup();
        Ok((found.len() <= max).then_some(found))
    }
}

/// Removes what is kept of the deletions of `user`, whose account is gone, and for them.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn forget(store: &Store, user: Id) -> Result<()> {
    loop {
        let newest = Id(i64::MAX as u64);
        let step = limits::JANITOR_STEP_ROWS;
        let deletions = store.newest_bucketed(tables::AUTHOR_DELETIONS, user, newest, step).await?;
        let departures = store.oldest(tables::DEPARTURES, user, None, step).await?;
        if deletions.is_empty() && departures.is_empty() {
            return Ok(());
        }
        let mut batch = Batch::default();
        for row in &deletions {
            let bucket = Id::from_bytes(&row.clustering).map_or(0, tables::bucket_of);
            batch.delete(RowKey::new(tables::AUTHOR_DELETIONS, tables::bucketed(user, bucket), row.clustering.clone()));
        }
        for row in departures {
            batch.delete(RowKey::new(tables::DEPARTURES, tables::partition(user), row.clustering));
        }
        store.engines.tables.write(batch).await?;
    }
}
