//! View of live sessions in memory: the open ones and those that ended lately, and the timelines of replays. Records
//! keep it true, before whoever wrote them is answered; a start reads it from rows.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, KeyRange, Order};
use fanfare_protocol::Id;
use parking_lot::{RwLock, RwLockReadGuard};
use tokio::sync::Notify;

use super::fold::LiveOutcome;
use super::queues::Queues;
use super::replays::{self, ReplaySource, session_of};
use super::stream::LiveFeeder;
use crate::base::error::Result;
use crate::base::id::first_id_at;
use crate::base::limits::WARM_STEP_ROWS;
use crate::base::limits::live::{FORGET_SLACK_MS, OPEN_PARTITIONS};
use crate::data::rows::{LiveRow, from_json};
use crate::data::store::Store;
use crate::data::tables;
use crate::feed::{Feed, FeedSettings};
use crate::log::events::Event;
use crate::log::product::{Committed, Listener};

/// The view; clones share it.
#[derive(Clone)]
pub struct LiveView {
    shared: Arc<Shared>,
}

struct Shared {
    queues: RwLock<Queues>,
    /// Timelines of replays, and whom their readers follow.
    feed: Feed<LiveRow>,
    source: Arc<ReplaySource>,
    store: Arc<Store>,
    /// Milliseconds for which a pass over pages may last.
    pages_ms: u64,
    /// A session began or was removed: its reminders are to be gone through.
    reminders_due: Notify,
}

impl LiveView {
    /// Nothing is known yet. Pages of one pass are read within `pages_ms`.
    #[must_use]
    pub fn new(settings: FeedSettings, store: &Arc<Store>, pages_ms: u64) -> Self {
        let (source, clock) = (Arc::new(ReplaySource::new(Arc::clone(store))), store.clock().clone());
        let feed = Feed::unranked(settings, source.clone(), move || clock.now_ms());
        let shared = Shared {
            queues: RwLock::default(),
            feed,
            source,
            store: Arc::clone(store),
            pages_ms,
            reminders_due: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Reads from rows what memory must hold before anybody asks; every record is at or below `newest`.
    ///
    /// # Errors
    /// When the engine fails.
    pub async fn load(&self, newest: Id, now_ms: u64) -> Result<()> {
        let Shared { feed, store, .. } = &*self.shared;
        feed.settle(newest);
        replays::warm_up(feed, store, newest, now_ms).await?;
        for number in 0..OPEN_PARTITIONS {
            let (partition, mut from) = (tables::live_open_key(number), None::<Bytes>);
            loop {
                let range = KeyRange { from: from.clone(), to: None };
                let rows = store.scan(tables::LIVE_OPEN, &partition, range, Order::Ascending, WARM_STEP_ROWS).await?;
                for row in &rows {
                    let mut session: LiveRow = from_json(&row.value)?;
                    if session.ended.is_some()
                        && let Some(now) = session_of(store, session.id).await?
                    {
                        // What is said of a replay changes in its own row alone.
                        session = now;
                    }
                    self.take_in(&Arc::new(session));
                }
                match rows.last() {
                    Some(last) if rows.len() == WARM_STEP_ROWS => {
                        from = Some([&last.clustering[..], &[0]].concat().into());
                    }
                    _ => break,
                }
            }
        }
        tracing::info!(sessions = self.queues().count(), "live sessions are in memory");
        Ok(())
    }

    /// Sessions that are open, or ended lately.
    pub fn queues(&self) -> RwLockReadGuard<'_, Queues> {
        self.shared.queues.read()
    }

    /// Timelines of replays.
    #[must_use]
    pub fn feed(&self) -> &Feed<LiveRow> {
        &self.shared.feed
    }

    /// Rows of replays.
    #[must_use]
    pub fn source(&self) -> &ReplaySource {
        &self.shared.source
    }

    /// Milliseconds for which a pass over pages may last.
    #[must_use]
    pub fn pages_ms(&self) -> u64 {
        self.shared.pages_ms
    }

    /// Notified when reminders are to be gone through.
    #[must_use]
    pub fn reminders_due(&self) -> &Notify {
        &self.shared.reminders_due
    }

    /// The session as it is now, if it is open or ended lately.
    #[must_use]
    pub fn session(&self, host: Id, session: Id) -> Option<Arc<LiveRow>> {
        self.queues().session(self.feed().index_of(host), session).cloned()
    }

    fn take_in(&self, row: &Arc<LiveRow>) {
        let host = self.feed().index_of(row.host);
        self.shared.queues.write().take_in(host, row);
    }

    /// Lets go of what ended so long ago that no page needs it, in memory and among the rows of open sessions.
    ///
    /// # Errors
    /// When the engine fails; the rows that stay are let go of after the next start.
    pub async fn forget_ended(&self, now_ms: u64) -> Result<()> {
        let bound = first_id_at(now_ms.saturating_sub(self.pages_ms() + FORGET_SLACK_MS));
        if !self.queues().has_ended_before(bound) {
            return Ok(());
        }
        let forgotten = self.shared.queues.write().forget_ended(bound);
        let mut batch = Batch::default();
        for (ended, row) in forgotten {
            // The next number after the record that wrote it.
            batch.delete_versioned(tables::live_open_row(row.host, row.id), ended.0 + 1);
        }
        if !batch.rows.is_empty() {
            self.shared.store.write(batch).await?;
        }
        Ok(())
    }
}

/// Listener of the view.
#[derive(Clone)]
pub struct LiveListener {
    /// The view.
    pub view: LiveView,
    /// Whoever is connected hears of changes.
    pub feeder: LiveFeeder,
}

impl Listener for LiveListener {
    fn committed(&self, committed: &[Committed], horizon: Id) {
        let feed = self.view.feed();
        for Committed { record, outcome } in committed {
            let Some(LiveOutcome(after)) = outcome.part::<LiveOutcome>() else {
                // Whatever is proposed of a session in vain has no outcome, and is no news to timelines.
                if !matches!(record.event, Event::LiveEnded { .. } | Event::LiveRemoved { .. }) {
                    feed.apply(record);
                }
                continue;
            };
            self.view.shared.source.changed(after);
            self.view.take_in(after);
            feed.apply(record);
            self.feeder.changed(Arc::clone(after), record.id);
            if matches!(record.event, Event::LiveStarted { .. } | Event::LiveRemoved { .. }) {
                self.view.shared.reminders_due.notify_one();
            }
        }
        feed.settle(horizon);
    }

    fn moved(&self, horizon: Id) {
        self.view.feed().settle(horizon);
    }
}
