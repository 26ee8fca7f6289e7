//! Rows of the people search that an earlier version wrote, brought under the keys of today.
//!
//! That version put a name into lower case and left its normal form; such a row is found by no search any more. Rows
//! cannot be listed across partitions, so every partition that could be there is looked at, once in the life of a
//! folder: one for each first character. It takes seconds, is done beside all else, and goes on where it was cut off.

use std::ops::RangeInclusive;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;
use icu_properties::props::{EnumeratedProperty as _, GeneralCategory};

use crate::base::error::Result;
use crate::base::limits;
use crate::data::rows::number_in;
use crate::data::store::Store;
use crate::data::tables;
use crate::log::core::Core;
use crate::users::names::{FIRST_OF_HANDLES, search_key, search_keys};

/// Key of the first character that is still to be looked at, in the `meta` table.
const META_KEYED_TO: Bytes = Bytes::from_static(b"names_keyed_to");
/// Mark that all characters were looked at.
const DONE: u32 = 1 + char::MAX as u32;

fn progress_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_KEYED_TO)
}

/// The first character that is still to be looked at; `None` if none ever was.
async fn progress(store: &Store) -> Result<Option<u32>> {
    store.get_as(&progress_row(), number_in).await
}

/// The version is the progress itself, which only grows: an id of now would be newer than what an import brings.
async fn remember(store: &Store, next: u32) -> Result<()> {
    let mut batch = Batch::default();
    batch.put_versioned(progress_row(), next.to_be_bytes().to_vec(), u64::from(next.max(1)));
    Ok(store.write(batch).await?)
}

/// Notes at the start that a folder without people has no rows of an earlier version.
///
/// # Errors
/// When the engine fails.
pub async fn begin(store: &Store) -> Result<()> {
    if progress(store).await?.is_some() {
        return Ok(());
    }
    if has_people(store).await? { Ok(()) } else { remember(store, DONE).await }
}

/// Whether there is any account.
pub(super) async fn has_people(store: &Store) -> Result<bool> {
    for first in FIRST_OF_HANDLES.chars() {
        let partition = tables::name_partition(&first.to_string());
        let rows = store.scan(tables::NAMES, &partition, KeyRange::ALL, Order::Ascending, 1).await?;
        if !rows.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Looks at all that was not looked at yet.
///
/// # Errors
/// When the engine fails; the next call goes on.
pub async fn rekey(core: &Core) -> Result<()> {
    let store = &core.store;
    let mut next = progress(store).await?.unwrap_or(0);
    while next < DONE {
        let last = next.saturating_add(limits::NAME_PARTITIONS_STEP - 1).min(DONE - 1);
        rekey_some(core, next..=last).await?;
        next = last + 1;
        remember(store, next).await?;
    }
    Ok(())
}

async fn rekey_some(core: &Core, firsts: RangeInclusive<u32>) -> Result<()> {
    for first in firsts.filter_map(char::from_u32) {
        // Nobody's name begins with what is no character.
        if GeneralCategory::for_char(first) == GeneralCategory::Unassigned {
            continue;
        }
        let partition = tables::name_partition(&first.to_string());
        let (mut from, step) = (None, limits::JANITOR_STEP_ROWS);
        loop {
            let range = KeyRange { from, to: None };
            let rows = core.store.scan(tables::NAMES, &partition, range, Order::Ascending, step).await?;
            for row in &rows {
                if let Some((name, user)) = tables::name_of(&row.clustering)
                    && search_key(name) != name
                {
                    move_row(core, RowKey::new(tables::NAMES, partition.clone(), row.clustering.clone()), name, user)
                        .await?;
                }
            }
            match rows.last() {
                Some(last) if rows.len() == step => from = Some([last.clustering.as_ref(), &[0]].concat().into()),
                _ => break,
            }
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Writes the row of a name that the person still has under its key, and then removes the old one.
async fn move_row(core: &Core, old: RowKey, name: &str, user: Id) -> Result<()> {
    // The name cannot change meanwhile.
    let _held = core.locks.hold(&[("profile", user.0, 0)]).await?;
    let key = search_key(name);
    let account = match core.store.account(user).await {
        Err(error) if !error.is_of_storage() => {
            tracing::warn!(%error, %user, "a row of the people search stays under its old key");
            return Ok(());
        }
        account => account?,
    };
    let has = |row: &crate::data::rows::UserRow| search_keys(&row.handle, row.display_name.as_deref()).contains(&key);
    let version = core.log.mint().await?.0;
    if account.is_some_and(|account| has(&account.row)) {
        let mut batch = Batch::default();
        batch.put_versioned(tables::name_row(&key, user), Bytes::new(), version);
        core.store.write(batch).await?;
    }
    let mut batch = Batch::default();
    batch.delete_versioned(old, version);
    Ok(core.store.write(batch).await?)
}
