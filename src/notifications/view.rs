//! View of a notification by a person: one decision for the list, the badge, live frames and replays.
//!
//! It asks about everybody who would show: who did it, who wrote the post that it is about, and who wrote the one that
//! this passes on. Of a group, somebody is named whom the person may see.

use std::sync::Arc;

use fanfare_protocol::Id;

use super::list::{self, Happened, ListEntry};
use crate::base::error::Result;
use crate::base::limits;
use crate::data::store::Account;
use crate::log::core::Core;
use crate::log::events::PostRecord;
use crate::posts::view::Views;
use crate::posts::visibility::{Place, Shown};

/// Looks at notifications for people. Clones share the caches.
#[derive(Clone)]
pub struct News {
    core: Core,
    views: Views,
}

/// A notification as a person sees it.
pub struct Seen {
    /// Person who did it; of many, the newest whom the person may see.
    pub actor: Arc<Account>,
    /// The post that it is about, and whether it shows with the one that it passes on.
    pub post: Option<(Arc<PostRecord>, Shown)>,
    /// Number of people who did it.
    pub count: u64,
    /// The newest of it that is news to the person: it is unread above the marker, and rings above what was told.
    pub as_of: Id,
}

impl News {
    /// Over the services' own views.
    #[must_use]
    pub fn new(core: Core, views: Views) -> Self {
        Self { core, views }
    }

    /// Notification as `viewer` sees it; `None`: nothing.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn seen(&self, viewer: Id, entry: &ListEntry) -> Result<Option<Seen>> {
        let hidden = self.core.store.hidden(viewer).await?;
        let is_hidden = |person: Id| hidden.hides(person) || self.core.store.absent.holds(person);
        let (item, subject) = match &entry.what {
            Happened::One { actor, post, count } if *count > 1 => {
                let still = list::still(&self.core.store, viewer, (entry.id, entry.kind), (*actor, *post)).await?;
                let Some(still) = still else {
                    return self.deed(viewer, (*actor, *post), (*count, entry.id)).await;
                };
                let seen = still.doers.iter().filter(|doer| !is_hidden(doer.actor));
                let count = if still.next.is_none() { (*count).min(seen.clone().count() as u64) } else { *count };
                for doer in seen {
                    let about = entry.post_of(post.unwrap_or_default(), doer);
                    let seen = self.deed(viewer, (doer.actor, about), (count, entry.id)).await?;
                    if seen.is_some() {
                        return Ok(seen);
                    }
                }
                return Ok(None);
            }
            Happened::One { actor, post, count } => {
                return self.deed(viewer, (*actor, *post), (*count, entry.id)).await;
            }
            Happened::Group { item, subject } => (item, *subject),
        };
        let told = (item.count(is_hidden), item.last_but(is_hidden));
        for doer in item.newest.iter().filter(|doer| !is_hidden(doer.actor)) {
            let seen = self.deed(viewer, (doer.actor, entry.post_of(subject, doer)), told).await?;
            if seen.is_some() {
                return Ok(seen);
            }
        }
        if !item.goes_beyond() {
            return Ok(None);
        }
        let mut before = None;
        for _ in 0..limits::GROUP_OTHERS_STEPS {
            let found = list::others(&self.core.store, viewer, (item.kind, subject), item.began, before).await?;
            for doer in found.doers.iter().filter(|doer| !is_hidden(doer.actor)) {
                let seen = self.deed(viewer, (doer.actor, entry.post_of(subject, doer)), told).await?;
                if seen.is_some() {
                    return Ok(seen);
                }
            }
            before = found.next;
            if before.is_none() {
                break;
            }
        }
        Ok(None)
    }

    /// Whether the viewer may see who did something, and what about; with how many did it, and since when that is news.
    async fn deed(
        &self,
        viewer: Id,
        (actor, post): (Id, Option<Id>),
        (count, as_of): (u64, Id),
    ) -> Result<Option<Seen>> {
        let Some(actor) = self.views.person(viewer, actor).await? else { return Ok(None) };
        let Some(post) = post else { return Ok(Some(Seen { actor, post: None, count, as_of })) };
        let Some(found) = self.core.store.posts(&[post]).await?.pop().flatten() else { return Ok(None) };
        Ok(match self.views.shown(Some(viewer), Place::Among, &found).await? {
            Shown::Nothing(_) => None,
            shown => Some(Seen { actor, post: Some((found, shown)), count, as_of }),
        })
    }
}
