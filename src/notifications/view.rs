//! View of a notification by a person: one decision for the list, the badge, live frames and replays.
//!
//! It asks about everybody who would show: who did it, who wrote the post that it is about, and who wrote the one that
//! this passes on. Of a group, somebody is named whom the person may see.

use std::sync::Arc;

use fanfare_protocol::{ConversationKind, Id, MessageReason};

use super::list::{self, Happened, ListEntry};
use crate::base::error::Result;
use crate::base::limits;
use crate::data::rows::chat::{Info, MemberRow, Membership};
use crate::data::rows::{ChatNews, from_json, in_row};
use crate::data::store::Account;
use crate::data::tables::chat;
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
    /// The conversation that it is about, and what became of the person there.
    pub chat: Option<(Id, MessageReason)>,
}

impl Seen {
    /// Whether it makes no sound and no badge: somebody asks, and was not answered yet.
    #[must_use]
    pub fn is_quiet(&self) -> bool {
        self.chat.is_some_and(|(_, reason)| reason != MessageReason::Added)
    }
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
            Happened::Chat { actor, news } => return self.approach(viewer, *actor, *news, entry.id).await,
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

    /// An approach in a conversation, as long as it holds: what was answered, or is over, is no news any more.
    async fn approach(&self, viewer: Id, actor: Id, news: ChatNews, as_of: Id) -> Result<Option<Seen>> {
        let Some(actor) = self.views.person(viewer, actor).await? else { return Ok(None) };
        let wanted = [chat::of_conversation(chat::INFOS, news.conversation), chat::member(news.conversation, viewer)];
        let mut rows = self.core.store.get_many(&wanted).await?.into_iter();
        let (info, member) = (rows.next().flatten(), rows.next().flatten());
        let info: Option<Info> = info.as_deref().map(from_json).transpose()?;
        let member = in_row(&wanted[1], member, MemberRow::from_bytes)?;
        let (Some(info), Some(member)) = (info, member) else { return Ok(None) };
        let reason = reason(&info, &member, viewer, news.record);
        Ok(reason.map(|reason| Seen { actor, post: None, count: 1, as_of, chat: Some((news.conversation, reason)) }))
    }

    /// Whether the viewer may see who did something, and what about; with how many did it, and since when that is news.
    async fn deed(
        &self,
        viewer: Id,
        (actor, post): (Id, Option<Id>),
        (count, as_of): (u64, Id),
    ) -> Result<Option<Seen>> {
        let Some(actor) = self.views.person(viewer, actor).await? else { return Ok(None) };
        let Some(post) = post else { return Ok(Some(Seen { actor, post: None, count, as_of, chat: None })) };
        let Some(found) = self.core.store.posts(&[post]).await?.pop().flatten() else { return Ok(None) };
        Ok(match self.views.shown(Some(viewer), Place::Among, &found).await? {
            Shown::Nothing(_) => None,
            shown => Some(Seen { actor, post: Some((found, shown)), count, as_of, chat: None }),
        })
    }
}

/// Standing of `viewer` in a conversation because of `record`; nothing if that is over, or something later brought them
/// there.
fn reason(info: &Info, member: &MemberRow, viewer: Id, record: Id) -> Option<MessageReason> {
    if member.joined != record {
        return None;
    }
    match (info.kind, member.presence) {
        (ConversationKind::Group, Membership::Invited) => Some(MessageReason::Invitation),
        (ConversationKind::Group, Membership::In) => Some(MessageReason::Added),
        (ConversationKind::Direct, Membership::In) if info.pending == Some(viewer) && !info.declined => {
            Some(MessageReason::Request)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::MemberRole;

    use super::*;

    #[test]
    fn an_approach_is_news_as_long_as_it_holds() {
        let member = |presence, joined| MemberRow {
            role: MemberRole::Member,
            presence,
            joined: Id(joined),
            visible_from: 1,
            counted: 0,
            left_seq: 0,
            sent_ms: 0,
            came_seq: 0,
        };
        let group = Info::new(ConversationKind::Group);
        let of_group = |presence, joined| reason(&group, &member(presence, joined), Id(1), Id(5));
        assert_eq!(of_group(Membership::In, 5), Some(MessageReason::Added));
        assert_eq!(of_group(Membership::Invited, 5), Some(MessageReason::Invitation));
        // Left, removed, declined; accepted, or added again since.
        let over = [(Membership::Left, 5), (Membership::Removed, 5), (Membership::In, 6), (Membership::Invited, 6)];
        assert!(over.iter().all(|(presence, joined)| of_group(*presence, *joined).is_none()));
        let asked = |pending, declined| Info { pending, declined, ..Info::new(ConversationKind::Direct) };
        let of_pair = |info: Info| reason(&info, &member(Membership::In, 5), Id(1), Id(5));
        assert_eq!(of_pair(asked(Some(Id(1)), false)), Some(MessageReason::Request));
        for over in [asked(Some(Id(1)), true), asked(None, false), asked(Some(Id(2)), false)] {
            assert_eq!(of_pair(over), None);
        }
    }
}
