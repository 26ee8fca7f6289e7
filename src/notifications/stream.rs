//! The stream `notifications`: each as a frame for its person's sessions, at once; what was missed, from the list.

use std::sync::{Arc, OnceLock, Weak};

use async_trait::async_trait;
use fanfare_protocol::{Author, Gap, Id, MessageReason, NotificationKind, Stream, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;

use super::fold::Notified;
use super::group::Doer;
use super::list::{self, Happened, ListEntry};
use super::view::News;
use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::base::limits::realtime::{GAP_COUNT_MAX, REPLAY_ITEMS_MAX};
use crate::data::tables::Marker;
use crate::log::core::Core;
use crate::markers::Markers;
use crate::posts::stream::shared_json;
use crate::posts::view::Views;
use crate::posts::visibility::{Absence, Shown};
use crate::realtime::{Deliver, Durable, Frame, ItemMaker, Missed, PersonalItem, Source};

/// Types of frames of this stream.
pub const TYPES: &[&str] = &["notification"];

/// Makes items of notifications, for sessions.
#[derive(Clone, Default)]
pub struct NotificationFeeder {
    /// Made when the services are there; before that nobody is connected. Weak, for the owner owns whoever hears of
    /// its records, and ends when no service holds it any more.
    stream: Arc<OnceLock<Weak<NotificationStream>>>,
}

/// The source of the stream.
pub struct NotificationStream {
    core: Core,
    views: Views,
    news: News,
    markers: Markers,
}

/// A notification on its way to its person.
struct Notice {
    stream: Arc<NotificationStream>,
    notified: Notified,
}

/// A notification as frames show it.
#[derive(Serialize)]
struct NotificationData<'a> {
    key: Id,
    id: Id,
    kind: NotificationKind,
    actor: &'a Author,
    #[serde(skip_serializing_if = "Option::is_none")]
    post: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation_id: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<MessageReason>,
    count: u64,
    created_at: Timestamp,
    read: bool,
}

impl NotificationFeeder {
    /// The source, with which notifications are rendered from now on.
    pub fn open(&self, core: Core, views: Views, markers: Markers) -> Arc<NotificationStream> {
        let news = News::new(core.clone(), views.clone());
        let stream = Arc::new(NotificationStream { core, views, news, markers });
        // Once; a second call would leave the first source in its place.
        let _ = self.stream.set(Arc::downgrade(&stream));
        stream
    }

    /// Item of a notification that somebody got.
    pub fn item(&self, notified: Notified) -> ItemMaker {
        let stream = Arc::clone(&self.stream);
        Box::new(move || {
            let (user, stream) = (notified.user, stream.get().and_then(Weak::upgrade)?);
            Some(Deliver::personal(user, Stream::Notifications, Arc::new(Notice { stream, notified })))
        })
    }
}

impl std::fmt::Debug for Notice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.notified.fmt(f)
    }
}

#[async_trait]
impl PersonalItem for Notice {
    fn key(&self) -> Id {
        self.notified.entry.id
    }

    /// Told even when it was taken back meanwhile: whoever does it again is listed under the same key, and is not told
    /// of then.
    async fn frame(&self, person: Id) -> Result<Option<Frame>> {
        let entry = &self.notified.entry;
        // Whom the person does not want to hear of rings for nobody else.
        if let Happened::Group { item, .. } = &entry.what
            && let Some(doer) = item.newest.first()
            && self.stream.views.person(person, doer.actor).await?.is_none()
        {
            return Ok(None);
        }
        self.stream.frame_of(person, entry, Id(0), Id(0)).await
    }
}

#[async_trait]
impl Source for NotificationStream {
    fn stream(&self) -> Stream {
        Stream::Notifications
    }

    async fn missed(&self, person: Id, after: Id, upto: Id) -> Result<Missed> {
        let mut missed = Missed::default();
        let limit = REPLAY_ITEMS_MAX + GAP_COUNT_MAX;
        let entries = list::newest(&self.core.store, person, after, Some(Id(upto.0 + 1)), limit).await?;
        let newest = entries.get(..entries.len().min(REPLAY_ITEMS_MAX)).unwrap_or_default();
        if entries.len() > REPLAY_ITEMS_MAX
            && let Some(last) = newest.last()
        {
            let count = (entries.len() - REPLAY_ITEMS_MAX).min(GAP_COUNT_MAX) as u64;
            let gap = Gap { stream: Stream::Notifications, after, before: last.id, count };
            missed.frames.push(Frame::gap(&gap, self.core.clock.now_ms()));
        }
        let marker = self.markers.last_read(person, Marker::Notifications).await?;
        for entry in newest.iter().rev() {
            missed.frames.extend(self.frame_of(person, entry, after, marker).await?);
        }
        for entry in &entries {
            missed.keys.push(entry.id);
            // A group stands for each event in it, which a session was told of one by one.
            if let Happened::Group { item, .. } = &entry.what {
                missed.keys.extend(item.newest.iter().map(Doer::as_of));
            }
        }
        Ok(missed)
    }
}

impl NotificationStream {
    /// The frame of an entry, if `user` may see it and it is news above `after`; read at and below `marker`.
    async fn frame_of(&self, user: Id, entry: &ListEntry, after: Id, marker: Id) -> Result<Option<Frame>> {
        let seen = self.news.seen(user, entry).await?.filter(|seen| seen.as_of > after && !seen.is_quiet());
        let Some(seen) = seen else { return Ok(None) };
        let mut post = None;
        if let Some((about, shown)) = &seen.post {
            let hides_original = *shown == Shown::WithoutOriginal(Absence::Hidden);
            let Some(json) = shared_json(&self.views, about, hides_original).await? else { return Ok(None) };
            post = Some(json);
        }
        let id = entry.id;
        let (conversation_id, reason) = seen.chat.unzip();
        let data = NotificationData {
            key: id,
            id,
            kind: entry.kind,
            actor: &seen.actor.author,
            post,
            conversation_id,
            reason,
            count: seen.count,
            created_at: Timestamp(unix_ms_of(id)),
            read: seen.as_of <= marker,
        };
        let durable = Durable::one(Stream::Notifications, id);
        Ok(Some(Frame::durable("notification", durable, self.core.clock.now_ms(), &data)))
    }
}
