//! Live sessions as people hold and read them: announced, begun, over; the lists of them; reminders.

mod due;
mod pages;
mod reminders;

use std::sync::Arc;

use fanfare_protocol::{
    Code, FieldError, Id, LiveSession, LiveState, NewLiveSession, PatchLiveSession, Problem, Timestamp,
};

pub use self::due::DueSettings;
use self::reminders::Reminders;
use super::fold::deed_of;
use super::replays::session_of;
use super::state::{Decision, SessionDeed, SessionRefusal};
use super::view::LiveView;
use super::wire;
use crate::base::error::{Error, Result};
use crate::base::limits::live::{
    OPEN_MAX, STARTS_AT_AHEAD_MS_MAX, STARTS_AT_CHANGES_MAX, STARTS_AT_PAST_MS_MAX, TITLE_CHARS_MAX,
};
use crate::base::target::{self, TargetRules};
use crate::base::text;
use crate::data::rows::{LiveEdit, LiveRow};
use crate::log::core::{Core, LockKey};
use crate::log::events::{Event, IdempotencyKey, Policy};
use crate::log::handle::Proposal;
use crate::log::idempotency::{Idempotency, KeyUse};

/// Live sessions; clones share them.
#[derive(Clone)]
pub struct Live {
    core: Core,
    view: LiveView,
    idempotency: Idempotency,
    reminders: Arc<Reminders>,
    /// Rules about addresses of recordings.
    targets: Arc<TargetRules>,
    due: DueSettings,
}

/// Answer to announcing a session.
#[derive(Debug)]
pub enum Announced {
    /// The session was made.
    New(LiveSession),
    /// Session that an earlier request with the same key made, as it was then.
    Replayed(LiveSession),
}

/// Lock of decisions about a session.
const fn session_key(session: Id) -> LockKey {
    ("live", session.0, 0)
}

impl Live {
    /// The service over the view; addresses of recordings keep to `targets`.
    #[must_use]
    pub fn new(core: Core, view: LiveView, targets: TargetRules, due: DueSettings) -> Self {
        let idempotency = Idempotency::new(Arc::clone(&core.store));
        let reminders = Arc::new(Reminders::new(Arc::clone(&core.store)));
        Self { core, view, idempotency, reminders, targets: Arc::new(targets), due }
    }

    /// View of sessions in memory.
    #[must_use]
    pub fn view(&self) -> &LiveView {
        &self.view
    }

    /// Announces a session, once per idempotency key.
    ///
    /// # Errors
    /// 422 for what is malformed or a key that was used with another body, 409 while the same key is at work or when
    /// the host has as many open sessions as one can have.
    pub async fn announce(&self, host: Id, new: NewLiveSession, key: Option<IdempotencyKey>) -> Result<Announced> {
        let mut errors = Vec::new();
        let title = clean_title(&new.title, &mut errors);
        let starts_at_ms = self.clean_start(new.starts_at, &mut errors);
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        let _claimed = match &key {
            None => None,
            Some(key) => match self.idempotency.claim(key, self.core.clock.now_ms()).await? {
                KeyUse::Fresh(claimed) => Some(claimed),
                KeyUse::Repeat { made, .. } => return self.first_result(host, made).await,
            },
        };
        let guard = self.core.log.decide(host, &[("live_host", host.0, 0)]).await?;
        let open = self.view.queues().open_count(self.view.feed().index_of(host));
        if open >= OPEN_MAX {
            let detail = format!("{open} of your sessions are upcoming or live, and {OPEN_MAX} is the limit");
            return Err(Error::refused(Code::Conflict, detail));
        }
        let event = Event::LiveAnnounced { host, title: title.clone(), starts_at_ms };
        let record = self.core.log.commit(&guard, Proposal { idempotency: key, ..event.into() }).await?;
        let row = LiveRow::announced(record.id, host, title, starts_at_ms);
        Ok(Announced::New(self.rendered(Some(host), &row).await?))
    }

    /// Answer to the first request with a key: the session as it was when it was announced.
    async fn first_result(&self, host: Id, made: Id) -> Result<Announced> {
        let row = session_of(&self.core.store, made).await?.ok_or_else(|| Error::not_found("live session"))?;
        if row.removed.is_some() {
            return Err(Error::gone("live session"));
        }
        let first = LiveRow::announced(row.id, row.host, row.title.clone(), row.planned_ms_at(row.id));
        Ok(Announced::Replayed(self.rendered(Some(host), &first).await?))
    }

    /// The session, as far as `viewer` may know of it.
    ///
    /// # Errors
    /// 404 when there is none, or its host is away or blocks the viewer; 410 once it was removed.
    pub async fn get(&self, viewer: Option<Id>, session: Id) -> Result<LiveSession> {
        let row = self.visible(viewer, session).await?;
        self.rendered(viewer, &row).await
    }

    /// The session, not removed, of a host whom `viewer` may see.
    async fn visible(&self, viewer: Option<Id>, session: Id) -> Result<LiveRow> {
        let row = self.stored(session).await?;
        let host = self.core.account_for(viewer, row.host).await;
        host.map_err(|error| error.refused_as(Error::not_found("live session")))?;
        if row.removed.is_some() { Err(Error::gone("live session")) } else { Ok(row) }
    }

    async fn stored(&self, session: Id) -> Result<LiveRow> {
        session_of(&self.core.store, session).await?.ok_or_else(|| Error::not_found("live session"))
    }

    /// Changes what is said of a session: its title, its planned start while it is upcoming, the address of its
    /// recording once it is over.
    ///
    /// # Errors
    /// 422 for what is malformed, 409 when it is not the time for it, 410 once it was removed; 403 and 404 as
    /// [`start`](Self::start).
    pub async fn edit(&self, host: Id, session: Id, patch: PatchLiveSession) -> Result<LiveSession> {
        let mut errors = Vec::new();
        let edit = LiveEdit {
            title: patch.title.map(|title| clean_title(&title, &mut errors)),
            starts_at_ms: patch.starts_at.map(|at| self.clean_start(at, &mut errors)),
            replay_url: patch.replay_url.map(|url| url.and_then(|url| self.clean_url(&url, &mut errors))),
        };
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        self.act(host, session, Event::LiveEdited { session, host, edit }).await
    }

    /// The session begins, whatever was planned; again it changes nothing.
    ///
    /// # Errors
    /// 404 when there is none, or somebody blocks the other; 403 for somebody else's; 409 when it is over or removed.
    pub async fn start(&self, host: Id, session: Id) -> Result<LiveSession> {
        self.act(host, session, Event::LiveStarted { session, host }).await
    }

    /// The session is over; again it changes nothing.
    ///
    /// # Errors
    /// 422 for an address that nobody is sent to, 409 before it has begun; else as [`start`](Self::start).
    pub async fn end(&self, host: Id, session: Id, replay_url: Option<&str>) -> Result<LiveSession> {
        let mut errors = Vec::new();
        let replay_url = replay_url.and_then(|url| self.clean_url(url, &mut errors));
        if !errors.is_empty() {
            return Err(Error::fields(errors));
        }
        self.act(host, session, Event::LiveEnded { session, host, replay_url, policy: Policy::default() }).await
    }

    /// Cancels what is upcoming, or removes a replay; again it changes nothing. Answers the session as it was last.
    ///
    /// # Errors
    /// 409 while it is live; else as [`start`](Self::start).
    pub async fn remove(&self, host: Id, session: Id) -> Result<LiveSession> {
        self.act(host, session, Event::LiveRemoved { session, host, ended: None }).await
    }

    /// Does what `event` says with a session of `host`, if it is the time for it.
    async fn act(&self, host: Id, session: Id, event: Event) -> Result<LiveSession> {
        let guard = self.core.log.decide(host, &[session_key(session)]).await?;
        let row = self.own(host, session).await?;
        let event = completed(event, &row);
        let Some((_, deed)) = deed_of(&event) else { return self.rendered(Some(host), &row).await };
        let after = match row.decide(deed, Id(0)) {
            Decision::Becomes(_) => {
                let record = self.core.log.commit(&guard, event).await?;
                match deed_of(&record.event).map(|(_, deed)| row.decide(deed, record.id)) {
                    Some(Decision::Becomes(after)) => after,
                    _ => row,
                }
            }
            Decision::Same => row,
            Decision::Refused(why) => return Err(refused(why, deed)),
        };
        drop(guard);
        self.rendered(Some(host), &after).await
    }

    /// The session, which is the caller's.
    async fn own(&self, caller: Id, session: Id) -> Result<LiveRow> {
        let row = self.stored(session).await?;
        if row.host == caller {
            return Ok(row);
        }
        // Whoever may not see it learns no more than that.
        let missing = || Error::not_found("live session");
        if self.core.store.hidden(caller).await?.blocks(row.host) {
            return Err(missing());
        }
        self.core.account_for(Some(caller), row.host).await.map_err(|error| error.refused_as(missing()))?;
        if row.removed.is_some() {
            return Err(Error::gone("live session"));
        }
        Err(Error::refused(Code::Forbidden, "only its host can do this with a live session"))
    }

    /// Ends, cancels and removes sessions of a host, whatever they are; false when there was nothing to do.
    ///
    /// # Errors
    /// When the engine fails; what was done stays done.
    pub async fn purge(core: &Core, host: Id, sessions: &[Id]) -> Result<bool> {
        let mut any = false;
        for session in sessions {
            let guard = core.log.decide(host, &[session_key(*session)]).await?;
            let Some(row) = session_of(&core.store, *session).await?.filter(|row| row.removed.is_none()) else {
                continue;
            };
            let mut ended = row.ended;
            if row.state() == LiveState::Live {
                let event = Event::LiveEnded { session: *session, host, replay_url: None, policy: Policy::default() };
                ended = Some(core.log.commit(&guard, event).await?.id);
            }
            core.log.commit(&guard, Event::LiveRemoved { session: *session, host, ended }).await?;
            any = true;
        }
        Ok(any)
    }

    fn clean_start(&self, at: Timestamp, errors: &mut Vec<FieldError>) -> u64 {
        let now_ms = self.core.clock.now_ms();
        let mut wrong = |message: &str| errors.push(FieldError { field: "starts_at".into(), message: message.into() });
        if at.0 + STARTS_AT_PAST_MS_MAX < now_ms {
            wrong("is past; a session can be announced up to a minute after it was to begin");
        } else if at.0 > now_ms + STARTS_AT_AHEAD_MS_MAX {
            wrong("is more than a year ahead");
        }
        at.0
    }

    fn clean_url(&self, url: &str, errors: &mut Vec<FieldError>) -> Option<String> {
        match target::check(url, &self.targets) {
            Ok(target) => Some(target.url),
            Err(why) => {
                errors.push(FieldError { field: "replay_url".into(), message: why.to_string() });
                None
            }
        }
    }

    /// The session as it is now.
    async fn rendered(&self, viewer: Option<Id>, row: &LiveRow) -> Result<LiveSession> {
        let account = self.core.store.account(row.host).await?.ok_or_else(|| Error::not_found("live session"))?;
        let reminder = match viewer {
            Some(viewer) => Some(self.reminders.of(viewer).await?.contains(&row.id)),
            None => None,
        };
        Ok(LiveSession { reminder, ..wire::session_now(row, account.author.clone()) })
    }
}

/// The event with what only the stored session tells.
fn completed(event: Event, row: &LiveRow) -> Event {
    match event {
        Event::LiveRemoved { session, host, .. } => Event::LiveRemoved { session, host, ended: row.ended },
        event => event,
    }
}

fn clean_title(title: &str, errors: &mut Vec<FieldError>) -> String {
    let clean = text::normalise_name(title, TITLE_CHARS_MAX);
    match clean {
        Ok(title) if !title.is_empty() => return title,
        Ok(_) => errors.push(FieldError { field: "title".into(), message: "must not be empty".into() }),
        Err(error) => errors.push(FieldError { field: "title".into(), message: error.to_string() }),
    }
    String::new()
}

/// Why a deed is refused, for people.
fn refused(why: SessionRefusal, deed: SessionDeed<'_>) -> Error {
    let conflict = |detail: &str| Error::refused(Code::Conflict, detail);
    let of_field = |field: &str, detail: &str| {
        let errors = vec![FieldError { field: field.into(), message: detail.into() }];
        Error::Refused(Box::new(Problem { errors, ..Problem::new(Code::Conflict, format!("{field}: {detail}")) }))
    };
    match (why, deed) {
        (SessionRefusal::Removed, SessionDeed::Edit(_)) => Error::gone("live session"),
        (SessionRefusal::Removed, _) => conflict("the session was removed"),
        (SessionRefusal::NotBegun, _) => {
            conflict("the session has not begun; start it first, or delete it to cancel it")
        }
        (SessionRefusal::IsLive, _) => conflict("the session is live; end it first"),
        (SessionRefusal::IsOver, _) => conflict("the session is over; announce another one"),
        (SessionRefusal::TimeHasCome, _) => of_field("starts_at", "the session has begun, so its planned start stays"),
        (SessionRefusal::NoReplayYet, _) => {
            of_field("replay_url", "the session is not over, so there is no replay yet")
        }
        (SessionRefusal::TimeChangedTooOften, _) => {
            let message = format!("was changed {STARTS_AT_CHANGES_MAX} times, which is the most; announce another one");
            Error::field("starts_at", message)
        }
    }
}
