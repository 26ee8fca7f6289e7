//! Pages of sessions: the order as of an id, computed anew for each page, without what the reader may not see now.

use std::collections::HashSet;
use std::sync::Arc;

use fanfare_engines::EngineError;
use fanfare_protocol::{Code, Id};

use super::Live;
use crate::base::cursor::Scope;
use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::data::rows::LiveRow;
use crate::data::tables;
use crate::feed::UserIndex;
use crate::live::order::{Highest, LivePlace, LivePosition, highest};
use crate::live::queues::Queues;
use crate::live::replays::hears;
use crate::live::wire;

/// Bytes of a usual session, and of the rest of a page: what a body begins with.
const SESSION_BYTES: usize = 500;
const CURSOR_BYTES: usize = 256;

/// Sessions of a page, in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LivePage {
    /// Id as of which they are shown.
    pub t: Id,
    /// At most the limit; fewer only at the end.
    pub sessions: Vec<Arc<LiveRow>>,
    /// Point at which the next page goes on; `None` at the end.
    pub next: Option<LivePosition>,
}

impl LivePage {
    /// A page without sessions, and no next.
    const fn empty(t: Id) -> Self {
        Self { t, sessions: Vec::new(), next: None }
    }
}

type Placed = (LivePlace, Arc<LiveRow>);

impl Live {
    /// A page of what the reader's followees and the reader hold, as JSON, which reads as `Page<LiveSession>`.
    ///
    /// # Errors
    /// 400 for a foreign cursor, 410 for one whose pass has lasted too long.
    pub async fn feed_json(&self, reader: Id, limit: usize, cursor: Option<&str>) -> Result<Vec<u8>> {
        let scope = Scope { list: "live", caller: reader, subject: Id(0) };
        let page = self.feed(reader, limit, self.position(scope, cursor)?).await?;
        self.json(Some(reader), scope, page).await
    }

    /// A page of what one host holds, as JSON.
    ///
    /// # Errors
    /// 404 when the viewer may not see the host, else as [`feed_json`](Self::feed_json).
    pub async fn of_host_json(
        &self,
        viewer: Option<Id>,
        host: Id,
        limit: usize,
        cursor: Option<&str>,
    ) -> Result<Vec<u8>> {
        self.core.account_for(viewer, host).await?;
        let scope = Scope { list: "live_of", caller: Id(0), subject: host };
        let at = self.position(scope, cursor)?;
        // As with posts: whoever blocks somebody sees that they are there, and nothing of theirs.
        let page = match viewer {
            Some(viewer) if self.core.blocks(viewer, host).await? => LivePage::empty(self.horizon()),
            _ => self.of_host(host, limit, at).await?,
        };
        self.json(viewer, scope, page).await
    }

    /// A page of the sessions of the reader's followees and of the reader: of a new pass, or from `at` on.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn feed(&self, reader: Id, limit: usize, at: Option<LivePosition>) -> Result<LivePage> {
        // Before anything is read: whatever is at or below it is there then.
        let t = at.map_or_else(|| self.horizon(), |at| at.t);
        let below = at.map(|at| at.below);
        // Entries of a timeline are copied for those pages alone that reach down to them.
        let (reading, relations) = match self.view.feed().relations_now(reader) {
            Some(relations) => (None, relations),
            None => {
                let reading = self.view.feed().reading(reader).await?;
                let relations = Arc::clone(reading.relations());
                (Some(reading), relations)
            }
        };
        let hosts = relations.followees.iter().copied().filter(|host| hears(&relations, *host));
        let mut found = self.lately(hosts.chain([relations.me]), t, below, limit + 1);
        if found.len() <= limit {
            let reading = match reading {
                Some(reading) => reading,
                None => self.view.feed().reading(reader).await?,
            };
            let open = found.iter().filter(|(place, _)| matches!(place, LivePlace::Open { .. })).count();
            let entries = reading.entries(replays_before(t, below), limit + 1 - open).await?;
            add_replays(&mut found, entries.into_iter().map(|entry| entry.post), limit + 1);
        }
        Ok(page(t, found, limit))
    }

    /// A page of the sessions of one host: of a new pass, or from `at` on.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn of_host(&self, host: Id, limit: usize, at: Option<LivePosition>) -> Result<LivePage> {
        let t = at.map_or_else(|| self.horizon(), |at| at.t);
        let below = at.map(|at| at.below);
        let index = self.view.feed().index_of(host);
        let mut found = self.lately([index].into_iter(), t, below, limit + 1);
        if found.len() <= limit {
            let before = replays_before(t, below);
            let ended = match self.view.feed().recent_entries(host, before, limit + 1) {
                Some(entries) => entries.into_iter().map(|entry| entry.id).collect(),
                None => self.replays_of(host, before, limit + 1).await?,
            };
            let mut replays = Vec::with_capacity(ended.len());
            for ended in ended {
                replays.extend(self.view.source().replay(ended).await?.filter(|row| row.removed.is_none()));
            }
            add_replays(&mut found, replays.into_iter(), limit + 1);
        }
        Ok(page(t, found, limit))
    }

    async fn replays_of(&self, host: Id, before: Id, limit: usize) -> Result<Vec<Id>, EngineError> {
        let rows = self.core.store.newest_bucketed(tables::LIVE_REPLAYS, host, before, limit).await?;
        Ok(rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect())
    }

    /// The highest sessions of these hosts that are open, or ended lately: so a replay is there as soon as the session
    /// is over, before it has reached the timelines.
    fn lately(
        &self,
        hosts: impl Iterator<Item = UserIndex>,
        t: Id,
        below: Option<LivePlace>,
        max: usize,
    ) -> Vec<Placed> {
        let queues = self.view.queues();
        let absent = &self.core.store.absent;
        let mut found = Highest::new(max);
        for host in hosts.filter(|host| queues.has_any(*host)) {
            let sessions = queues.of_host(host);
            if sessions.first().is_some_and(|row| !absent.holds(row.host)) {
                Queues::offer_at(sessions, t, below, &mut found);
            }
        }
        found.into_found().into_iter().map(|(place, row)| (place, Arc::clone(row))).collect()
    }

    /// Id at or below which nothing can settle any more.
    fn horizon(&self) -> Id {
        self.core.log.horizon().now()
    }

    /// Point at which a cursor goes on.
    fn position(&self, scope: Scope<'_>, cursor: Option<&str>) -> Result<Option<LivePosition>> {
        let Some(cursor) = cursor else { return Ok(None) };
        let at = LivePosition::from_bytes(&self.core.cursors.open(scope, cursor)?).ok_or_else(Error::bad_cursor)?;
        let is_old = unix_ms_of(at.t) + self.view.pages_ms() < self.core.clock.now_ms();
        // Of a folder that was restored from a backup: nothing that it saw then is known here.
        let is_ahead = at.t > self.horizon();
        if is_old || is_ahead {
            let detail = "the pass that this cursor belongs to has lasted too long; start again without a cursor";
            return Err(Error::refused(Code::SnapshotExpired, detail));
        }
        Ok(Some(at))
    }

    async fn json(&self, viewer: Option<Id>, scope: Scope<'_>, page: LivePage) -> Result<Vec<u8>> {
        let reminders = match viewer {
            Some(viewer) => Some(self.reminders.of(viewer).await?),
            None => None,
        };
        let mut out = Vec::with_capacity(page.sessions.len() * SESSION_BYTES + CURSOR_BYTES);
        out.extend_from_slice(b"{\"items\":[");
        let mut is_first = true;
        for row in &page.sessions {
            let Some(host) = self.core.store.account(row.host).await? else { continue };
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            let reminder = reminders.as_ref().map(|reminders| reminders.contains(&row.id));
            wire::write_as_of(&mut out, row, page.t, &host.author_json, reminder)?;
        }
        out.extend_from_slice(b"],\"next_cursor\":");
        match page.next {
            Some(next) => {
                // Of characters that need no escapes.
                let cursor = self.core.cursors.seal(scope, &next.to_bytes());
                out.extend_from_slice(format!("\"{cursor}\"}}").as_bytes());
            }
            None => out.extend_from_slice(b"null}"),
        }
        Ok(out)
    }
}

/// Id below which the replays of a page begin.
fn replays_before(t: Id, below: Option<LivePlace>) -> Id {
    match below {
        Some(LivePlace::Replay(ended)) => ended,
        _ => Id(t.0 + 1),
    }
}

/// Adds replays to what was found, some of which is there already.
fn add_replays(found: &mut Vec<Placed>, replays: impl Iterator<Item = Arc<LiveRow>>, max: usize) {
    let known: HashSet<LivePlace> = found.iter().map(|(place, _)| *place).collect();
    let placed = replays.filter_map(|row| Some((LivePlace::Replay(row.ended?), row)));
    found.extend(placed.filter(|(place, _)| !known.contains(place)));
    highest(found, max);
}

fn page(t: Id, mut found: Vec<Placed>, limit: usize) -> LivePage {
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(below, _)| LivePosition { t, below: *below });
    LivePage { t, sessions: found.into_iter().map(|(_, row)| row).collect(), next }
}
