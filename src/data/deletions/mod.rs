//! Deletions of late, of posts by author and of accounts: what sessions that come back must hear of.
//!
//! A resume asks for the deletions of those whom a person follows, and of nobody else: rows are kept by author, and
//! memory knows who has deleted anything since, so that the others cost nothing. What an earlier version kept as one
//! list of everybody is moved here (`old`). Of a deleted account a row says to each of those who followed it what they
//! must drop, for the follow itself is gone by the time they come back (`departures`).

mod departures;
mod index;
mod old;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order};
use fanfare_protocol::Id;
use parking_lot::RwLock;

pub use self::departures::{Departure, forget, keep as keep_departure};
use self::index::Deleters;
pub use self::old::bring_over;
use crate::base::error::Result;
use crate::base::id::{first_id_at, hour_of};
use crate::base::limits;
use crate::base::limits::realtime::{CURSOR_DAYS_MAX, DELETERS_MAX};
use crate::data::store::Store;
use crate::data::tables::{self, bucket_of};

const HOUR_MS: u64 = 3_600_000;
/// Hours after which no cursor asks for a deletion any more.
const KEPT_HOURS: u32 = CURSOR_DAYS_MAX as u32 * 24;
/// Authors whose rows are asked before others get a turn.
const AUTHORS_TURN: usize = 64;

/// A post that is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deletion {
    /// The record that deleted it.
    pub id: Id,
    /// The post.
    pub post: Id,
    /// Author of the deleted post.
    pub author: Id,
}

/// Adds the rows of a deletion to `batch`, and those that end them.
pub fn keep(one: Deletion, batch: &mut Batch) {
    let hour = hour_of(one.id);
    let row = tables::bucketed_row(tables::AUTHOR_DELETIONS, one.author, one.id);
    let deleter = tables::deleter_row(hour, one.author);
    for key in [&row, &deleter] {
        batch.put(tables::expiry_row(hour + KEPT_HOURS + 2, key), Bytes::new());
    }
    batch.put(row, tables::partition(one.post));
    batch.put(deleter, Bytes::new());
}

/// Memory of deletions.
pub struct Deletions {
    deleters: RwLock<Deleters>,
    /// Rows of an earlier version may be there.
    has_old: AtomicBool,
}

impl Default for Deletions {
    fn default() -> Self {
        Self { deleters: RwLock::new(Deleters::new(DELETERS_MAX / 2)), has_old: AtomicBool::new(false) }
    }
}

impl Deletions {
    /// A post of `author` was deleted by the record `deletion`, whose rows are there.
    pub fn heard(&self, author: Id, deletion: Id) {
        self.deleters.write().heard(author, deletion);
    }

    /// Authors among `authors` who may have deleted something after `after`.
    fn deleters_after(&self, authors: &[Id], after: Id) -> Vec<Id> {
        let deleters = self.deleters.read();
        if !deleters.may_have_any(after) {
            return Vec::new();
        }
        authors.iter().copied().filter(|author| deleters.may_have(*author, after)).collect()
    }
}

/// The last id of an hour.
fn last_of(hour: u32) -> Id {
    Id(first_id_at((u64::from(hour) + 1) * HOUR_MS).0.saturating_sub(1))
}

impl Store {
    /// Learns who deleted posts lately; to be called at the start. No record is above `newest`.
    ///
    /// Reads back from the newest hour until everything is known that a cursor may ask for, or as much as memory holds.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load_deletions(&self, newest: Id) -> Result<()> {
        let oldest = hour_of(newest).saturating_sub(KEPT_HOURS + 1);
        let mut floor = Id(first_id_at(u64::from(oldest) * HOUR_MS).0.saturating_sub(1));
        let mut room = DELETERS_MAX / 2;
        for hour in (oldest..=hour_of(newest)).rev() {
            let known = self.load_deleters(hour, newest, room).await?;
            let Some(left) = known.and_then(|known| room.checked_sub(known)) else {
                floor = last_of(hour).min(newest);
                break;
            };
            room = left;
        }
        self.deletions.deleters.write().forget_upto(floor);
        let has_old = old::begin(&self.engines, newest).await?;
        self.deletions.has_old.store(has_old, Ordering::Release);
        Ok(())
    }

    /// Takes in who deleted posts in an hour; how many they are, `None` if more than `max`.
    async fn load_deleters(&self, hour: u32, newest: Id, max: usize) -> Result<Option<usize>> {
        let (mut from, mut count) = (None, 0);
        let partition = tables::hour_partition(hour);
        // Which deletion of the hour was the last is in no row: it may have been the last moment.
        let last = last_of(hour).min(newest);
        loop {
            let range = KeyRange { from, to: None };
            let step = limits::WARM_STEP_ROWS;
            let rows = self.engines.tables.scan(tables::DELETERS, &partition, range, Order::Ascending, step).await?;
            count += rows.len();
            if count > max {
                return Ok(None);
            }
            let authors = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering));
            authors.for_each(|author| self.deletions.heard(author, last));
            match rows.last().and_then(|row| Id::from_bytes(&row.clustering)) {
                Some(author) if rows.len() == step => from = Some(tables::partition(Id(author.0 + 1))),
                _ => return Ok(Some(count)),
            }
        }
    }

    /// Deletions of posts of `authors` (sorted) by records above `after` and up to `upto`, in their order; `None` when
    /// they are more than `max`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn deletions_of(&self, authors: &[Id], after: Id, upto: Id, max: usize) -> Result<Option<Vec<Deletion>>> {
        let mut found = Vec::new();
        // First: what is moved meanwhile is then found in its new place.
        if self.deletions.has_old.load(Ordering::Acquire) {
            let Some(old) = old::between(&self.engines, after, upto).await? else { return Ok(None) };
            found.extend(old.into_iter().filter(|one| authors.binary_search(&one.author).is_ok()));
        }
        let range =
            KeyRange { from: Some(tables::partition(Id(after.0 + 1))), to: Some(tables::partition(Id(upto.0 + 1))) };
        for (turn, author) in self.deletions.deleters_after(authors, after).into_iter().enumerate() {
            if turn % AUTHORS_TURN == AUTHORS_TURN - 1 {
                tokio::task::yield_now().await;
            }
            for bucket in bucket_of(after)..=bucket_of(upto) {
                let (partition, limit) = (tables::bucketed(author, bucket), max + 1);
                let port = &self.engines.tables;
                let rows =
                    port.scan(tables::AUTHOR_DELETIONS, &partition, range.clone(), Order::Ascending, limit).await?;
                found.extend(rows.iter().filter_map(|row| {
                    let (id, post) = (Id::from_bytes(&row.clustering)?, Id::from_bytes(&row.value)?);
                    Some(Deletion { id, post, author })
                }));
            }
            if found.len() > max {
                found.sort_unstable();
                found.dedup();
                if found.len() > max {
                    return Ok(None);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        Ok((found.len() <= max).then_some(found))
    }
}
