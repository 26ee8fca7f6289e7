//! Reads of notifications, the read marker, and the trimming of the oldest.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Row, RowKey};
use fanfare_protocol::{Id, Notification, NotificationPage, Timestamp};

use crate::core::{Core, Owners as _};
use crate::cursor::Scope;
use crate::error::Result;
use crate::id::unix_ms_of;
use crate::posts::service::Posts;
use crate::projection::Notified;
use crate::rows::{NotificationRow, from_json};
use crate::store::Hidden;
use crate::tables::{self, Marker, notification_key};

/// Notifications between two trims of a person's list.
const TRIM_EVERY: u64 = 64;

/// Notifications.
#[derive(Clone)]
pub struct Notifications {
    core: Core,
    posts: Posts,
    kept_max: usize,
}

impl Notifications {
    /// The service; at most `kept_max` notifications of a person are kept (and up to 64 more until the next trim).
    #[must_use]
    pub fn new(core: Core, posts: Posts, kept_max: usize) -> Self {
        Self { core, posts, kept_max }
    }

    async fn items(&self, user: Id, after: Id, before: Option<Id>, limit: usize) -> Result<Vec<Row>> {
        let to = match before {
            Some(before) => notification_key::item(before),
            None => Bytes::from_static(&[notification_key::ITEM + 1]),
        };
        let range = KeyRange { from: Some(notification_key::item(Id(after.0.saturating_add(1)))), to: Some(to) };
        let partition = tables::partition(user);
        let port = &self.core.store.engines.tables;
        Ok(port.scan(tables::NOTIFICATIONS, &partition, range, Order::Descending, limit).await?)
    }

    /// What concerns the caller, newest first. Hidden: what blocked, muted or suspended people did, and deleted
    /// posts.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn page(&self, caller: Id, limit: usize, cursor: Option<&str>) -> Result<NotificationPage> {
        let scope = Scope { list: "notifications", caller, subject: Id(0) };
        let mut before = self.core.cursors.open_id(scope, cursor)?;
        let marker = self.marker(caller).await?;
        let hidden = self.core.store.hidden(caller).await?;
        let unread_count = self.unread(caller, marker, &hidden).await?;
        let mut items: Vec<Notification> = Vec::new();
        loop {
            let rows = self.items(caller, Id(0), before, limit + 1).await?;
            for row in &rows {
                let Some(id) = row.clustering.get(1..).and_then(Id::from_bytes) else { continue };
                before = Some(id);
                if let Some(item) = self.render(caller, id, row, marker, &hidden).await? {
                    items.push(item);
                }
                if items.len() > limit {
                    items.truncate(limit);
                    let next_cursor = items.last().map(|last| self.core.cursors.seal_id(scope, last.id));
                    return Ok(NotificationPage { items, next_cursor, unread_count });
                }
            }
            if rows.len() <= limit {
                return Ok(NotificationPage { items, next_cursor: None, unread_count });
            }
        }
    }

    async fn render(
        &self,
        caller: Id,
        id: Id,
        row: &Row,
        marker: Id,
        hidden: &Arc<Hidden>,
    ) -> Result<Option<Notification>> {
        let stored: NotificationRow = from_json(&row.value)?;
        if hidden.hides(stored.actor) {
            return Ok(None);
        }
        let Some(actor) = self.posts.views().author(stored.actor).await? else { return Ok(None) };
        let post = match stored.post {
            Some(post) => match self.posts.get(Some(caller), post).await {
                Ok(post) => Some(post),
                Err(crate::error::Error::Refused(_)) => return Ok(None),
                Err(error) => return Err(error),
            },
            None => None,
        };
        let (created_at, read) = (Timestamp(unix_ms_of(id)), id <= marker);
        Ok(Some(Notification { id, kind: stored.kind, actor, post, count: stored.count, created_at, read }))
    }

    /// Notifications above the marker that the caller would see.
    async fn unread(&self, caller: Id, marker: Id, hidden: &Arc<Hidden>) -> Result<u64> {
        let rows = self.items(caller, marker, None, self.kept_max).await?;
        let mut count = 0;
        for row in &rows {
            let stored: NotificationRow = from_json(&row.value)?;
            let shown = !hidden.hides(stored.actor) && self.core.store.seen_account(stored.actor).await?.is_some();
            let alive = match stored.post {
                Some(post) => self.posts.visible(Some(caller), post).await.is_ok(),
                None => true,
            };
            count += u64::from(shown && alive);
        }
        Ok(count)
    }

    async fn marker(&self, caller: Id) -> Result<Id> {
        let row = tables::marker_row(caller, Marker::Notifications);
        Ok(self.core.store.get_id(&row).await?.unwrap_or_default())
    }

    /// Moves the read marker forward; answers the notifications still unread.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn read(&self, caller: Id, last_read: Id) -> Result<u64> {
        write_marker(&self.core, caller, Marker::Notifications, last_read).await?;
        let hidden = self.core.store.hidden(caller).await?;
        let marker = self.marker(caller).await?;
        self.unread(caller, marker, &hidden).await
    }

    /// Trims a person's list now and then; called for each notification that is made.
    pub async fn trim(&self, notified: Notified) -> Result<()> {
        if !notified.seq.is_multiple_of(TRIM_EVERY) {
            return Ok(());
        }
        let Some(upto) = notified.seq.checked_sub(self.kept_max as u64) else { return Ok(()) };
        let partition = tables::partition(notified.user);
        let range = KeyRange::prefix(&[notification_key::ITEM]);
        let port = &self.core.store.engines.tables;
        let step = 2 * TRIM_EVERY as usize;
        let rows = port.scan(tables::NOTIFICATIONS, &partition, range, Order::Ascending, step).await?;
        let mut batch = Batch::default();
        // Above every item's, at no moment of its own: an import's clock is ahead of what waits to be numbered.
        let version = self.core.sequencer.mint_at(0).0;
        for row in rows {
            let stored: NotificationRow = from_json(&row.value)?;
            if stored.seq > upto {
                break;
            }
            batch.delete_versioned(RowKey::new(tables::NOTIFICATIONS, partition.clone(), row.clustering), version);
        }
        Ok(port.write(batch).await?)
    }
}

/// Moves a read marker forward; a smaller id changes nothing, because the version is the id. An id beyond any that the
/// server has given out is taken as the newest one, or what comes later would count as read.
///
/// # Errors
/// When the engine fails.
pub async fn write_marker(core: &Core, caller: Id, which: Marker, last_read: Id) -> Result<()> {
    let newest = core.sequencer.mint();
    let last_read = last_read.min(newest);
    if last_read == Id(0) {
        return Ok(());
    }
    let _writing = core.writing(caller).await?;
    let mut batch = Batch::default();
    batch.put_versioned(tables::marker_row(caller, which), tables::partition(last_read), last_read.0);
    Ok(core.store.engines.tables.write(batch).await?)
}
