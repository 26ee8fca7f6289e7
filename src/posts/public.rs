//! The rows of the public timeline, which hold what it shows and nothing else: so a page costs the same however many
//! replies and reposts were made meanwhile. Versions before listed every post in one table, which is still what recent
//! posts are warmed from; what they wrote is listed here once, in bounded steps, and until that is done pages are
//! filtered from the other table, as they were.

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Row, RowKey};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::limits;
use crate::data::rows::{EntryKind, kind_in};
use crate::data::store::Store;
use crate::data::tables;
use crate::log::core::Core;
use crate::log::events::PostRecord;

/// Progress of listing old posts, in the `meta` table: every post up to this id.
const META_PUBLIC: Bytes = Bytes::from_static(b"public_listed");
/// Value when all are: newer posts are listed when they are made.
const DONE: Id = Id(i64::MAX as u64);

/// Whether the public timeline shows such posts.
#[must_use]
pub fn belongs(is_reply: bool, is_bare_repost: bool) -> bool {
    !is_reply && !is_bare_repost
}

fn progress_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_PUBLIC)
}

async fn remember(store: &Store, done: Id) -> Result<()> {
    let mut batch = Batch::default();
    batch.put_versioned(progress_row(), tables::partition(done), done.0.max(1));
    Ok(store.write(batch).await?)
}

/// Whether what versions before wrote is listed.
///
/// # Errors
/// When storage fails.
pub async fn is_done(core: &Core) -> Result<bool> {
    Ok(core.store.get_id(&progress_row()).await? == Some(DONE))
}

/// Learns at the start how far it is, and the newest posts; a folder without posts has nothing to list.
///
/// # Errors
/// When storage fails.
pub async fn begin(store: &Store) -> Result<()> {
    let mut done = store.get_id(&progress_row()).await?;
    if done.is_none() && store.buckets().await?.is_empty() {
        remember(store, DONE).await?;
        done = Some(DONE);
    }
    store.public.set(done == Some(DONE));
    store.load_layout().await?;
    Ok(store.load_public().await?)
}

/// Goes on with listing, to its end; nothing when that was reached before.
///
/// # Errors
/// When storage fails; the next call goes on.
pub async fn list_all(core: &Core) -> Result<()> {
    let done = core.store.get_id(&progress_row()).await?.unwrap_or_default();
    if done == DONE { Ok(()) } else { list_from(core, done).await }
}

/// Lists what is above `done`.
///
/// # Errors
/// When storage fails.
pub async fn list_from(core: &Core, mut done: Id) -> Result<()> {
    let store = &core.store;
    for bucket in store.buckets().await? {
        let partition = tables::timeline_partition(bucket);
        loop {
            let range = KeyRange { from: Some(tables::partition(Id(done.0 + 1))), to: None };
            let step = limits::JANITOR_STEP_ROWS;
            let rows = store.scan(tables::TIMELINE, &partition, range, Order::Ascending, step).await?;
            let Some(last) = rows.last().and_then(|row| Id::from_bytes(&row.clustering)) else { break };
            let mut found = Batch::default();
            for row in &rows {
                list(core, &partition, row, &mut found).await?;
            }
            store.write(found).await?;
            done = last;
            remember(store, done).await?;
            if rows.len() < step {
                break;
            }
        }
    }
    remember(store, DONE).await?;
    core.store.public.set(true);
    Ok(())
}

async fn list(core: &Core, bucket: &Bytes, row: &Row, batch: &mut Batch) -> Result<()> {
    let Some(id) = Id::from_bytes(&row.clustering) else { return Ok(()) };
    let belongs = match kind_in(&row.value) {
        Some(EntryKind::Plain) => true,
        Some(EntryKind::Reply) => false,
        _ => match core.store.post_or_gone(id).await {
            Ok(post) => post.is_some_and(|post| shows(&post)),
            Err(error) if error.is_of_storage() => return Err(error),
            // What does not decode is shown nowhere.
            Err(_) => false,
        },
    };
    if belongs {
        // As the record that made it would have: a deletion meanwhile has a higher version.
        batch.put_versioned(RowKey::new(tables::PUBLIC, bucket.clone(), row.clustering.clone()), Bytes::new(), id.0);
    }
    Ok(())
}

/// Whether the public timeline shows this post.
#[must_use]
pub fn shows(post: &PostRecord) -> bool {
    belongs(post.reply_to.is_some(), post.is_bare_repost())
}
