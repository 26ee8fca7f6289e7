//! Credentials that an earlier version wrote, moved to the table in which they are held.
//!
//! Rows cannot be listed across partitions, so people are found by the first characters of their handles, as the people
//! search finds them. Each step is bounded; a move that was cut off goes on with the character that it was at. Until
//! all were moved, log-ins read both tables. A row that does not decode stops nobody else's, but is not left behind
//! either: until it is mended, its person is not let in.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;
use futures_util::future::try_join_all;

use super::names::has_people;
use crate::base::error::{Error, Result};
use crate::base::limits;
use crate::data::rows::number_in;
use crate::data::store::Store;
use crate::data::tables;
use crate::log::core::{Core, Owners as _};
use crate::users::names::FIRST_OF_HANDLES;

/// Key of the number of first characters whose people were moved, in the `meta` table.
const META_MOVED: Bytes = Bytes::from_static(b"credentials_moved");

fn progress_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_MOVED)
}

async fn progress(store: &Store) -> Result<Option<u32>> {
    store.get_as(&progress_row(), number_in).await
}

/// The version is the progress itself, which only grows.
async fn remember(store: &Store, done: u32) -> Result<()> {
    let mut batch = Batch::default();
    batch.put_versioned(progress_row(), done.to_be_bytes().to_vec(), u64::from(done.max(1)));
    Ok(store.write(batch).await?)
}

fn all() -> u32 {
    FIRST_OF_HANDLES.len() as u32
}

/// Learns at the start whether rows of an earlier version may be there; a folder without people has none.
///
/// # Errors
/// When the engine fails.
pub async fn begin(store: &Store) -> Result<()> {
    let mut done = progress(store).await?;
    if done.is_none() && !has_people(store).await? {
        remember(store, all()).await?;
        done = Some(all());
    }
    if done == Some(all()) {
        store.credentials_were_moved();
    }
    Ok(())
}

/// Moves all that was not moved yet; nothing when that was done before.
///
/// # Errors
/// When the engine fails, or a row does not decode; the next call goes on.
pub async fn move_all(core: &Core) -> Result<()> {
    let store = &core.store;
    let mut done = progress(store).await?.unwrap_or(0);
    let mut left = 0;
    for first in FIRST_OF_HANDLES.chars().skip(done as usize) {
        left += move_of(core, first).await?;
        if left == 0 {
            done += 1;
            remember(store, done).await?;
        }
    }
    if left > 0 {
        return Err(Error::Internal(format!("credentials of {left} people, of an earlier version, do not decode")));
    }
    store.credentials_were_moved();
    Ok(())
}

/// Moves the rows of everybody whose handle, or another name, begins with `first`; answers how many it could not.
async fn move_of(core: &Core, first: char) -> Result<usize> {
    let partition = tables::name_partition(&first.to_string());
    let (mut from, mut left, step) = (None, 0, limits::JANITOR_STEP_ROWS);
    loop {
        let range = KeyRange { from, to: None };
        let rows = core.store.scan(tables::NAMES, &partition, range, Order::Ascending, step).await?;
        let people: Vec<Id> = rows.iter().filter_map(|row| Some(tables::name_of(&row.clustering)?.1)).collect();
        // Together, because a commit of the engine takes all that wait for it.
        for some in people.chunks(limits::CREDENTIALS_MOVED_AT_ONCE) {
            let moved = try_join_all(some.iter().map(|person| move_one(core, *person))).await?;
            left += moved.iter().filter(|moved| !**moved).count();
        }
        match rows.last() {
            Some(last) if rows.len() == step => from = Some([last.clustering.as_ref(), &[0]].concat().into()),
            _ => return Ok(left),
        }
    }
}

/// Moves the row of a person; false when it does not decode.
async fn move_one(core: &Core, person: Id) -> Result<bool> {
    let _writing = match core.writing(person).await {
        Ok(writing) => writing,
        Err(error) if error.is_of_storage() => return Err(error),
        // The purge of a deleted account removes its row.
        Err(_) => return Ok(true),
    };
    match core.store.move_credentials(person).await {
        Err(error) if !error.is_of_storage() => {
            tracing::warn!(%error, %person, "credentials of an earlier version stay where they are");
            Ok(false)
        }
        moved => moved.map(|()| true),
    }
}
