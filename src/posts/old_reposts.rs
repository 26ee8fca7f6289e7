//! Bare reposts that older versions made, and did not list by the post that they pass on: found once, in the public
//! timeline, and listed. Those whose original is gone are handed on to be deleted, as newer versions do.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, RowKey};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::limits;
use crate::data::rows::{EntryKind, kind_in};
use crate::data::tables;
use crate::log::core::Core;

/// Progress of the search, in the `meta` table: every post up to this id.
const META_OLD_REPOSTS: Bytes = Bytes::from_static(b"old_reposts");
/// Value when the search has ended: newer posts are listed when they are made.
const DONE: Id = Id(i64::MAX as u64);

/// Goes on with the search, to its end; nothing when it has ended before.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn list_all(core: &Core) -> Result<()> {
    let row = RowKey::new(tables::META, tables::ONE, META_OLD_REPOSTS);
    let done = core.store.get_id(&row).await?.unwrap_or_default();
    if done == DONE { Ok(()) } else { list_from(core, done).await }
}

/// Whether the search has ended: from then on rows are written by the records that make them.
///
/// # Errors
/// When storage fails.
pub async fn is_done(core: &Core) -> Result<bool> {
    let row = RowKey::new(tables::META, tables::ONE, META_OLD_REPOSTS);
    Ok(core.store.get_id(&row).await? == Some(DONE))
}

/// Searches what is above `done`.
///
/// # Errors
/// When storage fails.
pub async fn list_from(core: &Core, mut done: Id) -> Result<()> {
    let row = RowKey::new(tables::META, tables::ONE, META_OLD_REPOSTS);
    let store = &core.store;
    for bucket in store.buckets().await? {
        let partition = tables::timeline_partition(bucket);
        loop {
            let range = KeyRange { from: Some(tables::partition(Id(done.0 + 1))), to: None };
            let step = limits::OLD_REPOSTS_STEP_ROWS;
            let rows = store.scan(tables::TIMELINE, &partition, range, Order::Ascending, step).await?;
            let id = |row: &fanfare_engines::Row| Id::from_bytes(&row.clustering);
            let reposts = rows.iter().filter(|row| kind_in(&row.value) == Some(EntryKind::Repost));
            let mut found = Batch::default();
            for repost in reposts.filter_map(id) {
                list(core, repost, &mut found).await?;
            }
            store.write(found).await?;
            let Some(last) = rows.last().and_then(id) else { break };
            done = last;
            remember(core, &row, done).await?;
            if rows.len() < step {
                break;
            }
        }
    }
    remember(core, &row, DONE).await
}

async fn remember(core: &Core, row: &RowKey, done: Id) -> Result<()> {
    let mut batch = Batch::default();
    batch.put_versioned(row.clone(), tables::partition(done), done.0.max(1));
    Ok(core.store.write(batch).await?)
}

async fn list(core: &Core, repost: Id, batch: &mut Batch) -> Result<()> {
    let post = match core.store.post_or_gone(repost).await {
        Err(error) if error.is_of_storage() => return Err(error),
        // What does not decode is no repost that anybody could delete.
        Err(_) | Ok(None) => return Ok(()),
        Ok(Some(post)) => post,
    };
    let (Some(original), true) = (post.repost_of, post.is_bare_repost()) else { return Ok(()) };
    let row = tables::pair(tables::REPOSTERS, original.id, repost);
    // As the record that made it would have: a deletion meanwhile has a higher version.
    batch.put_versioned(row, tables::partition(post.author), repost.0);
    if core.store.post_or_gone(original.id).await?.is_some_and(|original| original.deleted) {
        batch.put(tables::unsettled_row(repost, original.id), Bytes::new());
    }
    Ok(())
}
