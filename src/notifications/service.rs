//! Reads of notifications, the read marker, and the trimming of the oldest.

use fanfare_protocol::{Id, Notification, NotificationPage, Timestamp};
use tokio::sync::mpsc;

use super::fold::Notified;
use super::list::{self, ListEntry};
use super::view::News;
use crate::base::cursor::Scope;
use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::data::tables::Marker;
use crate::log::core::Core;
use crate::markers::Markers;
use crate::posts::view::Views;
use crate::posts::visibility::Place;

/// Notifications between two trims of a person's list.
const TRIM_EVERY: u64 = 64;

/// Notifications.
#[derive(Clone)]
pub struct Notifications {
    core: Core,
    views: Views,
    news: News,
    markers: Markers,
    kept_max: usize,
}

impl Notifications {
    /// The service; at most `kept_max` notifications of a person are kept (and up to 64 more until the next trim).
    #[must_use]
    pub fn new(core: Core, views: Views, markers: Markers, kept_max: usize) -> Self {
        let news = News::new(core.clone(), views.clone());
        Self { core, views, news, markers, kept_max }
    }

    /// Notifications of the caller, newest first. Hidden: what blocked, muted or suspended people did, and deleted
    /// posts.
    ///
    /// # Errors
    /// 400 for a foreign cursor.
    pub async fn page(&self, caller: Id, limit: usize, cursor: Option<&str>) -> Result<NotificationPage> {
        let scope = Scope { list: "notifications", caller, subject: Id(0) };
        let mut before = self.core.cursors.open_id(scope, cursor)?;
        let marker = self.markers.last_read(caller, Marker::Notifications).await?;
        let unread_count = self.unread(caller, marker).await?;
        let mut items: Vec<Notification> = Vec::new();
        loop {
            let entries = list::newest(&self.core.store, caller, Id(0), before, limit + 1).await?;
            for entry in &entries {
                before = Some(entry.id);
                if let Some(item) = self.render(caller, entry, marker).await? {
                    items.push(item);
                }
                if items.len() > limit {
                    items.truncate(limit);
                    let next_cursor = items.last().map(|last| self.core.cursors.seal_id(scope, last.id));
                    return Ok(NotificationPage { items, next_cursor, unread_count });
                }
            }
            if entries.len() <= limit {
                return Ok(NotificationPage { items, next_cursor: None, unread_count });
            }
        }
    }

    async fn render(&self, caller: Id, entry: &ListEntry, marker: Id) -> Result<Option<Notification>> {
        let Some(seen) = self.news.seen(caller, entry).await? else { return Ok(None) };
        let post = match &seen.post {
            None => None,
            Some((post, _)) => match self.views.render_one(Some(caller), Place::Among, post).await? {
                None => return Ok(None),
                post => post,
            },
        };
        let (id, kind, count) = (entry.id, entry.kind, seen.count);
        let (created_at, read) = (Timestamp(unix_ms_of(id)), seen.as_of <= marker);
        let (conversation_id, reason) = seen.chat.unzip();
        let actor = seen.actor.author.clone();
        Ok(Some(Notification { id, kind, actor, post, conversation_id, reason, count, created_at, read }))
    }

    /// Notifications above the marker that the caller would see.
    async fn unread(&self, caller: Id, marker: Id) -> Result<u64> {
        let mut count = 0;
        for entry in list::newest(&self.core.store, caller, marker, None, self.kept_max).await? {
            let seen = self.news.seen(caller, &entry).await?;
            // A request makes no badge.
            count += u64::from(seen.is_some_and(|seen| seen.as_of > marker && !seen.is_quiet()));
        }
        Ok(count)
    }

    /// Moves the read marker forward and tells the person's devices; answers the notifications still unread.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn read(&self, caller: Id, last_read: Id) -> Result<u64> {
        self.markers.advance(caller, Marker::Notifications, last_read).await?;
        let marker = self.markers.last_read(caller, Marker::Notifications).await?;
        self.unread(caller, marker).await
    }

    /// Trims the lists of which `grown` tells, until nobody can tell any more.
    pub async fn trim_as_told(self, mut grown: mpsc::Receiver<Notified>) {
        while let Some(notified) = grown.recv().await {
            if let Err(error) = self.trim(&notified).await {
                tracing::warn!(%error, "old notifications were not trimmed; the next ones will be");
            }
        }
    }

    /// Trims a person's list now and then; called whenever it grew.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn trim(&self, notified: &Notified) -> Result<()> {
        if !notified.seq.is_multiple_of(TRIM_EVERY) {
            return Ok(());
        }
        let Some(upto) = notified.seq.checked_sub(self.kept_max as u64) else { return Ok(()) };
        let batch = list::without_oldest(&self.core.store, notified.user, upto, 2 * TRIM_EVERY as usize).await?;
        Ok(self.core.store.write(batch).await?)
    }
}
