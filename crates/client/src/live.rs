//! Live sessions: the calls, and a first page that is kept by what the server says.

use std::collections::HashMap;

use fanfare_protocol::{
    EndLiveSession, Id, LiveChanged, LiveSession, LiveState, NewLiveSession, Page, PatchLiveSession, ServerEvent,
    Timestamp,
};
use hyper::Method;

use crate::realtime::Event;
use crate::{Client, Paging, Result};

/// Sessions of which a newer change is remembered than the page that is read shows; beyond, none is.
const VERSIONS_MAX: usize = 10_000;

impl Client {
    /// Announces a live session; with `key` it can be sent again until it is answered.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn announce_live(&self, title: &str, starts_at: Timestamp, key: Option<&str>) -> Result<LiveSession> {
        let new = NewLiveSession { title: title.to_owned(), starts_at };
        let headers: Vec<(&str, &str)> = key.map(|key| ("idempotency-key", key)).into_iter().collect();
        self.send_json(Method::POST, "/v1/live", &headers, Some(&new)).await?.accepted()?.json()
    }

    /// A live session as it is now.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn live_session(&self, id: Id) -> Result<LiveSession> {
        self.get(&format!("/v1/live/{id}")).await
    }

    /// Changes what is said of a session of the caller.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn patch_live(&self, id: Id, patch: &PatchLiveSession) -> Result<LiveSession> {
        self.call(Method::PATCH, &format!("/v1/live/{id}"), Some(patch)).await
    }

    /// Begins a session of the caller.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn start_live(&self, id: Id) -> Result<LiveSession> {
        self.call(Method::POST, &format!("/v1/live/{id}/start"), None::<&()>).await
    }

    /// Ends a session of the caller.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn end_live(&self, id: Id, replay_url: Option<&str>) -> Result<LiveSession> {
        let end = EndLiveSession { replay_url: replay_url.map(str::to_owned) };
        self.call(Method::POST, &format!("/v1/live/{id}/end"), Some(&end)).await
    }

    /// Cancels a session of the caller, or removes its replay; answers it as it was last.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn remove_live(&self, id: Id) -> Result<LiveSession> {
        self.call(Method::DELETE, &format!("/v1/live/{id}"), None::<&()>).await
    }

    /// A page of the sessions of the caller's followees and the caller.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn live_feed(&self, paging: Paging<'_>) -> Result<Page<LiveSession>> {
        self.get(&paging.onto("/v1/live/feed")).await
    }

    /// A page of the sessions of one person.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn live_of(&self, host: Id, paging: Paging<'_>) -> Result<Page<LiveSession>> {
        self.get(&paging.onto(&format!("/v1/users/{host}/live"))).await
    }

    /// The caller is to be notified when the session begins, or not.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn remind_of_live(&self, id: Id, reminder: bool) -> Result<LiveSession> {
        let method = if reminder { Method::PUT } else { Method::DELETE };
        self.call(method, &format!("/v1/live/{id}/reminder"), None::<&()>).await
    }

    /// Reads the first page of the live feed, and keeps it by what [`Realtime::next`](crate::realtime::Realtime::next)
    /// gives.
    ///
    /// # Errors
    /// As the server answers; see [`Client::send`].
    pub async fn watch_live(&self, limit: u16) -> Result<LiveWatch> {
        let page = self.live_feed(Paging::first(limit)).await?;
        Ok(LiveWatch { client: self.clone(), limit, kept: Kept::new(page, limit) })
    }
}

/// Effect of an event on a watched page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// Nothing.
    Same,
    /// The page is another one; pages below it go on in their pass.
    Changed,
    /// The page was read anew: what was read below it belongs to an earlier pass, and is to be read anew too.
    Anew,
}

/// First page of the live feed, kept as it is now.
#[derive(Debug)]
pub struct LiveWatch {
    client: Client,
    limit: u16,
    kept: Kept,
}

impl LiveWatch {
    /// The page.
    #[must_use]
    pub fn sessions(&self) -> &[LiveSession] {
        &self.kept.sessions
    }

    /// Cursor of the page below, of the pass that the page was read in.
    #[must_use]
    pub fn next_cursor(&self) -> Option<&str> {
        self.kept.next_cursor.as_deref()
    }

    /// Takes in an event; reads the page anew when frames alone do not keep it.
    ///
    /// # Errors
    /// When that read fails: the page stays as it was, and the next event tries again.
    pub async fn take(&mut self, event: &Event) -> Result<Watched> {
        let changed = match event {
            Event::Frame(ServerEvent::LiveChanged(changed)) => self.kept.take(changed),
            // Changes are current values: what happened while nobody listened is not told.
            Event::Connected { .. } => {
                self.kept.is_stale = true;
                false
            }
            _ => false,
        };
        if self.kept.is_stale {
            self.anew().await?;
            return Ok(Watched::Anew);
        }
        Ok(if changed { Watched::Changed } else { Watched::Same })
    }

    /// Reads the page anew: when whom one follows has changed, or a page below answers that its pass is over.
    ///
    /// # Errors
    /// As [`Client::live_feed`].
    pub async fn anew(&mut self) -> Result<()> {
        let page = self.client.live_feed(Paging::first(self.limit)).await?;
        self.kept.read(page);
        Ok(())
    }
}

/// A page and what is known of its sessions. Pure.
#[derive(Debug)]
struct Kept {
    sessions: Vec<LiveSession>,
    next_cursor: Option<String>,
    /// Whether there are sessions below the page.
    more: bool,
    limit: usize,
    /// Of each session the newest change that was heard of.
    versions: HashMap<Id, Id>,
    is_stale: bool,
}

impl Kept {
    fn new(page: Page<LiveSession>, limit: u16) -> Self {
        let (sessions, next_cursor) = (page.items, page.next_cursor);
        let more = next_cursor.is_some();
        Self { sessions, next_cursor, more, limit: limit.into(), versions: HashMap::new(), is_stale: false }
    }

    fn read(&mut self, page: Page<LiveSession>) {
        *self = Self { versions: std::mem::take(&mut self.versions), ..Self::new(page, self.limit as u16) };
    }

    /// Takes in a change; false when the page stays what it is.
    fn take(&mut self, changed: &LiveChanged) -> bool {
        let LiveChanged { session, removed, version } = changed;
        if self.versions.get(&session.id).is_some_and(|known| known >= version) {
            return false;
        }
        if self.versions.len() >= VERSIONS_MAX {
            self.versions.clear();
        }
        self.versions.insert(session.id, *version);
        let before = self.sessions.clone();
        let reminder = before.iter().find(|known| known.id == session.id).and_then(|known| known.reminder);
        self.sessions.retain(|known| known.id != session.id);
        let was_here = self.sessions.len() < before.len();
        if !removed {
            let place = self.sessions.partition_point(|known| place(known) > place(session));
            self.sessions.insert(place, LiveSession { reminder: reminder.or(Some(false)), ..session.clone() });
            // The last of a page that is not the last one: sessions below it may go before it.
            let is_last = place + 1 == self.sessions.len();
            if is_last && self.more && self.sessions.len() <= self.limit {
                self.is_stale = true;
            }
        }
        self.more |= self.sessions.len() > self.limit;
        self.sessions.truncate(self.limit);
        self.is_stale |= was_here && self.more && self.sessions.len() < self.limit;
        self.sessions != before
    }
}

/// Place in the order of the feed: live by its start, upcoming by its plan, replays by their end.
fn place(session: &LiveSession) -> (bool, i128, Id) {
    let moment = |at: Option<Timestamp>| i128::from(at.unwrap_or_default().0);
    match session.state {
        LiveState::Live => (true, moment(session.started_at), session.id),
        LiveState::Replay => (false, moment(session.ended_at), session.id),
        LiveState::Upcoming | LiveState::Unknown => (true, -moment(Some(session.starts_at)), session.id),
    }
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::Author;

    use super::*;

    fn session(id: u64, state: LiveState, at: u64) -> LiveSession {
        let host = Author { id: Id(1), handle: "ada".into(), display_name: "Ada".into(), avatar_url: None };
        LiveSession {
            id: Id(id),
            host,
            title: String::new(),
            state,
            starts_at: Timestamp(at),
            started_at: (state != LiveState::Upcoming).then_some(Timestamp(at)),
            ended_at: (state == LiveState::Replay).then_some(Timestamp(at)),
            replay_url: None,
            reminder: Some(false),
        }
    }

    fn kept(next: bool) -> Kept {
        use LiveState::{Live, Replay, Upcoming};
        let items =
            vec![session(1, Live, 50), session(2, Upcoming, 60), session(3, Upcoming, 70), session(4, Replay, 40)];
        Kept::new(Page { items, next_cursor: next.then(|| "more".to_owned()) }, 4)
    }

    fn changed(session: LiveSession, version: u64) -> LiveChanged {
        LiveChanged { session, removed: false, version: Id(version) }
    }

    fn ids(kept: &Kept) -> Vec<u64> {
        kept.sessions.iter().map(|session| session.id.0).collect()
    }

    #[test]
    fn a_session_goes_where_it_belongs() {
        let mut kept = kept(false);
        assert!(kept.take(&changed(session(3, LiveState::Live, 55), 10)));
        assert_eq!(ids(&kept), [3, 1, 2, 4]);
        assert!(!kept.take(&changed(session(3, LiveState::Upcoming, 70), 9)), "an older change came late");
        assert!(kept.take(&changed(session(1, LiveState::Replay, 57), 11)));
        assert_eq!(ids(&kept), [3, 2, 1, 4]);
        assert!(kept.take(&changed(session(5, LiveState::Upcoming, 58), 12)));
        assert_eq!(ids(&kept), [3, 5, 2, 1], "a page holds so many");
        let removed = LiveChanged { removed: true, ..changed(session(2, LiveState::Upcoming, 60), 13) };
        assert!(kept.take(&removed) && kept.is_stale, "one was pushed off the page");
        let removed = LiveChanged { removed: true, ..changed(session(2, LiveState::Upcoming, 60), 13) };
        let mut all = self::kept(false);
        assert!(all.take(&removed) && !all.is_stale, "there are no others");
    }

    #[test]
    fn a_page_that_lacks_what_is_below_it_begins_anew() {
        let mut moved = kept(true);
        moved.take(&changed(session(2, LiveState::Replay, 30), 10));
        assert!(moved.is_stale, "others may go before it");
        let mut gone = kept(true);
        gone.take(&LiveChanged { removed: true, ..changed(session(2, LiveState::Upcoming, 60), 10) });
        assert!(gone.is_stale, "the next one is unknown");
        let mut other = kept(true);
        assert!(!other.take(&changed(session(9, LiveState::Replay, 10), 10)));
        assert!(!other.is_stale && ids(&other) == [1, 2, 3, 4], "below the page nothing is asked for");
    }
}
