//! The rows of the public timeline, which hold what it shows and nothing else: so a page costs the same however many
//! replies and reposts were made meanwhile. Versions before listed every post in one table, which is still what recent
//! posts are warmed from; what they wrote is listed here once, in bounded steps, and until that is done pages are
//! filtered from the other table, as they were.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use fanfare_engines::{Batch, Engines, KeyRange, Order, Row, RowKey, Table};
use fanfare_protocol::Id;

use crate::base::error::Result;
use crate::base::limits;
use crate::data::tables;
use crate::log::core::Core;
use crate::log::events::PostRecord;

/// Progress of listing old posts, in the `meta` table: every post up to this id.
const META_PUBLIC: Bytes = Bytes::from_static(b"public_listed");
/// Value when all are: newer posts are listed when they are made.
const DONE: Id = Id(i64::MAX as u64);
/// First byte of a row of the other table, for a post that points at nothing, and for a reply.
const PLAIN: u8 = 0;
const REPLY: u8 = 1;

/// Whether every post that belongs there is in the table.
#[derive(Debug, Default)]
pub struct Listed(AtomicBool);

impl Listed {
    /// The table that pages are read from.
    #[must_use]
    pub fn table(&self) -> Table {
        if self.0.load(Ordering::Acquire) { tables::PUBLIC } else { tables::TIMELINE }
    }
}

/// Whether the public timeline shows such posts.
#[must_use]
pub fn belongs(is_reply: bool, is_bare_repost: bool) -> bool {
    !is_reply && !is_bare_repost
}

fn progress_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, META_PUBLIC)
}

async fn remember(engines: &Engines, done: Id) -> Result<()> {
    let mut batch = Batch::default();
    batch.put_versioned(progress_row(), tables::partition(done), done.0.max(1));
    Ok(engines.tables.write(batch).await?)
}

/// Whether what versions before wrote is listed.
///
/// # Errors
/// When storage fails.
pub async fn is_done(core: &Core) -> Result<bool> {
    Ok(core.store.get_id(&progress_row()).await? == Some(DONE))
}

/// Learns at the start how far it is; a folder without posts has nothing to list.
///
/// # Errors
/// When storage fails.
pub async fn begin(engines: &Engines, listed: &Listed) -> Result<()> {
    let mut done = engines.tables.get(&progress_row()).await?.as_deref().and_then(Id::from_bytes);
    if done.is_none() {
        let buckets = engines.tables.scan(tables::BUCKETS, &tables::ONE, KeyRange::ALL, Order::Ascending, 1).await?;
        if buckets.is_empty() {
            remember(engines, DONE).await?;
            done = Some(DONE);
        }
    }
    listed.0.store(done == Some(DONE), Ordering::Release);
    Ok(())
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
    let engines = &core.store.engines;
    let port = &engines.tables;
    let every = usize::from(u16::MAX);
    for bucket in port.scan(tables::BUCKETS, &tables::ONE, KeyRange::ALL, Order::Ascending, every).await? {
        loop {
            let range = KeyRange { from: Some(tables::partition(Id(done.0 + 1))), to: None };
            let step = limits::JANITOR_STEP_ROWS;
            let rows = port.scan(tables::TIMELINE, &bucket.clustering, range, Order::Ascending, step).await?;
            let Some(last) = rows.last().and_then(|row| Id::from_bytes(&row.clustering)) else { break };
            let mut found = Batch::default();
            for row in &rows {
                list(core, &bucket.clustering, row, &mut found).await?;
            }
            port.write(found).await?;
            done = last;
            remember(engines, done).await?;
            if rows.len() < step {
                break;
            }
        }
    }
    remember(engines, DONE).await?;
    core.store.public.0.store(true, Ordering::Release);
    Ok(())
}

async fn list(core: &Core, bucket: &Bytes, row: &Row, batch: &mut Batch) -> Result<()> {
    let Some(id) = Id::from_bytes(&row.clustering) else { return Ok(()) };
    let belongs = match row.value.first() {
        Some(&PLAIN) => true,
        Some(&REPLY) => false,
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
