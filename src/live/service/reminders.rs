//! Reminders: who wants to be told when a session begins. Rows without records, for they are news to nobody; what is
//! told then follows from records of the host.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order, Row, RowKey};
use fanfare_protocol::{Code, Id, LiveSession, LiveState};
use parking_lot::Mutex;

use super::Live;
use crate::base::error::{Error, Result};
use crate::base::limits::JANITOR_STEP_ROWS;
use crate::base::limits::live::{
    AGAIN_S, REMINDED_AT_ONCE, REMINDERS_CACHE_MAX, REMINDERS_MAX, REMINDERS_OF_PERSON_MAX,
};
use crate::data::coherent::Coherent;
use crate::data::rows::ReminderProgress;
use crate::data::store::Store;
use crate::data::tables;
use crate::live::replays::session_of;
use crate::log::core::Owners as _;
use crate::log::events::Event;

/// Sessions of which a person wants to be reminded, ascending.
#[derive(Debug, Default)]
pub struct RemindersOf(Vec<Id>);

impl RemindersOf {
    /// Whether `session` is among them.
    pub fn contains(&self, session: &Id) -> bool {
        self.0.binary_search(session).is_ok()
    }
}

/// Reminders as far as memory holds them.
pub struct Reminders {
    store: Arc<Store>,
    of_people: Coherent<Id, Arc<RemindersOf>>,
    /// Number of reminders of a session, once somebody has counted them: of those that are upcoming.
    counts: Mutex<HashMap<Id, Arc<AtomicUsize>>>,
}

impl Reminders {
    /// Over the rows of `store`.
    pub fn new(store: Arc<Store>) -> Self {
        let of_people = Coherent::new(REMINDERS_CACHE_MAX);
        Self { store, of_people, counts: Mutex::default() }
    }

    /// Sessions of which `person` wants to be reminded.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn of(&self, person: Id) -> Result<Arc<RemindersOf>> {
        if let Some(found) = self.of_people.get(&person) {
            return Ok(found);
        }
        let epoch = self.of_people.epoch(&person);
        let found =
            Arc::new(RemindersOf(self.store.ids_of(tables::LIVE_REMINDERS_OF, person, REMINDERS_OF_PERSON_MAX).await?));
        self.of_people.keep(epoch, &person, Arc::clone(&found));
        Ok(found)
    }

    /// Number of people who want to be reminded of `session`, which is counted once and kept.
    async fn count(&self, session: Id) -> Result<Arc<AtomicUsize>> {
        if let Some(count) = self.counts.lock().get(&session) {
            return Ok(Arc::clone(count));
        }
        let mut counted = 0;
        let mut last = None;
        loop {
            let rows = self.store.oldest(tables::LIVE_REMINDERS, session, last, JANITOR_STEP_ROWS).await?;
            counted += rows.len();
            last = rows.last().and_then(|row| Id::from_bytes(&row.clustering));
            if rows.len() < JANITOR_STEP_ROWS || counted >= REMINDERS_MAX {
                break;
            }
        }
        // Whoever has counted meanwhile has counted the same: reminders of a session are made under its lock.
        Ok(Arc::clone(self.counts.lock().entry(session).or_insert_with(|| Arc::new(AtomicUsize::new(counted)))))
    }

    /// Nobody is to be reminded of `session` any more.
    fn forget(&self, session: Id) {
        self.counts.lock().remove(&session);
    }
}

/// Rows of one reminder.
fn rows(session: Id, person: Id) -> [RowKey; 2] {
    [tables::pair(tables::LIVE_REMINDERS, session, person), tables::pair(tables::LIVE_REMINDERS_OF, person, session)]
}

impl Live {
    /// `person` is to be reminded when the session begins; again it changes nothing.
    ///
    /// # Errors
    /// 404 and 410 as [`get`](Self::get); 409 once it has begun, and at the bounds.
    pub async fn remind(&self, person: Id, session: Id) -> Result<LiveSession> {
        let row = self.visible(Some(person), session).await?;
        {
            // Of the session, so that no reminder comes behind its start; of the person, so that none is counted twice.
            let keys = [super::session_key(session), ("live_reminders", person.0, 0)];
            let _held = self.core.locks.hold(&keys).await?;
            let now = self.stored(session).await?;
            if now.removed.is_some() {
                return Err(Error::gone("live session"));
            }
            if now.state() != LiveState::Upcoming {
                return Err(Error::refused(
                    Code::Conflict,
                    "the session has begun; there is nothing to be reminded of",
                ));
            }
            let mine = self.reminders.of(person).await?;
            if !mine.contains(&session) {
                let count = self.reminders.count(session).await?;
                let full = |bound: usize, whose: &str| {
                    Error::refused(Code::Conflict, format!("{bound} reminders {whose} are the most"))
                };
                if count.load(Ordering::Relaxed) >= REMINDERS_MAX {
                    return Err(full(REMINDERS_MAX, "of a session"));
                }
                if mine.0.len() >= REMINDERS_OF_PERSON_MAX {
                    return Err(full(REMINDERS_OF_PERSON_MAX, "of one person"));
                }
                self.write_reminder(person, session, true).await?;
                count.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.rendered(Some(person), &row).await
    }

    /// `person` is not to be reminded; where there was no reminder nothing changes.
    ///
    /// # Errors
    /// 404 and 410 as [`get`](Self::get).
    pub async fn no_reminder(&self, person: Id, session: Id) -> Result<LiveSession> {
        let row = self.visible(Some(person), session).await?;
        {
            let keys = [super::session_key(session), ("live_reminders", person.0, 0)];
            let _held = self.core.locks.hold(&keys).await?;
            if self.reminders.of(person).await?.contains(&session) {
                self.write_reminder(person, session, false).await?;
                if let Some(count) = self.reminders.counts.lock().get(&session) {
                    count.fetch_sub(1, Ordering::Relaxed);
                }
            }
        }
        self.rendered(Some(person), &row).await
    }

    async fn write_reminder(&self, person: Id, session: Id, is_there: bool) -> Result<()> {
        let _writing = self.core.writing(person).await?;
        let (mut batch, version) = (Batch::default(), self.core.log.mint().await?.0);
        for row in rows(session, person) {
            match is_there {
                true => batch.put_versioned(row, Bytes::new(), version),
                false => batch.delete_versioned(row, version),
            }
        }
        let written = self.core.store.write(batch).await;
        self.reminders.of_people.forget(&person);
        Ok(written?)
    }

    /// Reminds of what has begun and clears away reminders of what was removed, as it comes. Without end.
    pub async fn keep_reminding(self) {
        loop {
            if let Err(error) = self.remind_all().await {
                tracing::warn!(%error, "reminders of live sessions wait; they are gone on with");
                tokio::time::sleep(Duration::from_secs(AGAIN_S)).await;
                continue;
            }
            self.view.reminders_due().notified().await;
        }
    }

    /// Goes through the reminders of every session that has begun or was removed.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on where this one ended.
    async fn remind_all(&self) -> Result<()> {
        loop {
            let port = &self.core.store;
            let all = KeyRange::ALL;
            let rows =
                port.scan(tables::LIVE_REMINDING, &tables::ONE, all, Order::Ascending, JANITOR_STEP_ROWS).await?;
            if rows.is_empty() {
                return Ok(());
            }
            for row in &rows {
                self.remind_of(row).await?;
            }
        }
    }

    /// Goes through the reminders of one session: each step is one record, with the people whom it reminds, their
    /// notifications, and the place up to which everybody was.
    async fn remind_of(&self, row: &Row) -> Result<()> {
        let (Some(session), Some(progress)) =
            (Id::from_bytes(&row.clustering), ReminderProgress::from_bytes(&row.value))
        else {
            return Ok(());
        };
        let ReminderProgress { host, mut last } = progress;
        let stored = session_of(&self.core.store, session).await?;
        let is_on = stored.is_some_and(|row| row.removed.is_none());
        self.reminders.forget(session);
        loop {
            let after = Some(last).filter(|last| last.0 > 0);
            let store = &self.core.store;
            let rows = store.oldest(tables::LIVE_REMINDERS, session, after, REMINDED_AT_ONCE).await?;
            let people: Vec<Id> = rows.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
            let Some(upto) = people.last().copied().filter(|_| is_on) else { break };
            let reminded = self.who_hears(&people, host).await?;
            let guard = self.core.log.decide(host, &[]).await?;
            self.core.log.commit(&guard, Event::LiveReminded { session, host, people: reminded, upto }).await?;
            last = upto;
        }
        // Only now: until here they tell who was gone through.
        self.clear_reminders(session).await
    }

    /// People of `people` who hear of a session of `host`: whose account is there, and who see the host.
    async fn who_hears(&self, people: &[Id], host: Id) -> Result<Vec<Id>> {
        let store = &self.core.store;
        let mut hear = Vec::with_capacity(people.len());
        if store.absent.holds(host) {
            return Ok(hear);
        }
        for person in people {
            let is_there = store.account(*person).await?.is_some();
            if is_there && !store.hidden(*person).await?.hides(host) && *person != host {
                hear.push(*person);
            }
        }
        Ok(hear)
    }

    /// Removes the reminders of a session, all of which were gone through, and then the row that says so.
    async fn clear_reminders(&self, session: Id) -> Result<()> {
        loop {
            let rows_left = self.core.store.oldest(tables::LIVE_REMINDERS, session, None, JANITOR_STEP_ROWS).await?;
            let people: Vec<Id> = rows_left.iter().filter_map(|row| Id::from_bytes(&row.clustering)).collect();
            // Above every record.
            let (mut batch, version) = (Batch::default(), self.core.log.mint().await?.0);
            for row in people.iter().flat_map(|person| rows(session, *person)) {
                batch.delete_versioned(row, version);
            }
            if people.is_empty() {
                batch.delete_versioned(tables::live_reminding_row(session), version);
            }
            self.core.store.write(batch).await?;
            people.iter().for_each(|person| self.reminders.of_people.forget(person));
            if people.is_empty() {
                return Ok(());
            }
        }
    }
}
