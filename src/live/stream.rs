//! `live.changed`: what a session is now, for its host's followers who are connected and for the host's own devices.
//! A current value: whoever was away for long reads the list anew. Whoever comes back soon, as those who poll do with
//! each request, is told of the newest changes in memory (`lately`).
//!
//! The frame is made once, of the session as a record left it; who mutes the host is left out slice by slice.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fanfare_protocol::{Id, Lane, LiveChanged};
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::lately::Lately;
use super::wire;
use crate::base::error::Result;
use crate::base::limits::live::{AGAIN_S, CHANGES_MAX, LATELY_LOOKED_AT, LATELY_MAX};
use crate::data::rows::LiveRow;
use crate::data::store::Store;
use crate::data::tables;
use crate::realtime::{CurrentValues, Deliver, Frame, Judge, Publisher};

/// Types of frames of live sessions.
pub const TYPES: &[&str] = &["live.changed"];

/// Changes of sessions on their way to whoever is connected; clones share them.
#[derive(Clone)]
pub struct LiveFeeder {
    publisher: Publisher,
    changes: Arc<Changes>,
}

struct Changes {
    waiting: Mutex<VecDeque<(Arc<LiveRow>, Id)>>,
    came: Notify,
    lately: Mutex<Lately>,
}

impl LiveFeeder {
    /// Tells by way of `publisher`.
    #[must_use]
    pub fn new(publisher: Publisher) -> Self {
        let lately = Mutex::new(Lately::new(LATELY_MAX));
        Self { publisher, changes: Arc::new(Changes { waiting: Mutex::default(), came: Notify::new(), lately }) }
    }

    /// The newest changes, for those who were not connected when they were told.
    #[must_use]
    pub fn values(&self, store: &Arc<Store>) -> Arc<dyn CurrentValues> {
        Arc::new(NewestChanges { changes: Arc::clone(&self.changes), store: Arc::clone(store) })
    }

    /// A record made this of a session. Never waits.
    pub fn changed(&self, row: Arc<LiveRow>, by: Id) {
        self.changes.lately.lock().changed(Arc::clone(&row), by);
        let mut waiting = self.changes.waiting.lock();
        if waiting.len() >= CHANGES_MAX {
            let before = waiting.len();
            keep_newest(&mut waiting);
            metrics::counter!("fanfare_shed_total", "what" => "live_changes")
                .increment((before - waiting.len()) as u64);
        }
        waiting.push_back((row, by));
        drop(waiting);
        self.changes.came.notify_one();
    }

    /// Tells of changes, in their order. Without end.
    pub async fn keep_telling(self, store: Arc<Store>) {
        let judge: Arc<dyn Judge> = Arc::new(Unseen(Arc::clone(&store)));
        loop {
            let next = self.changes.waiting.lock().pop_front();
            let Some((row, by)) = next else {
                self.changes.came.notified().await;
                continue;
            };
            match frame_of(&store, &row, by).await {
                Ok(Some(frame)) => self.publisher.send(Deliver::judged(row.host, frame, &judge)).await,
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(%error, "a change of a live session waits to be told");
                    self.changes.waiting.lock().push_front((row, by));
                    tokio::time::sleep(Duration::from_secs(AGAIN_S)).await;
                }
            }
        }
    }
}

/// Keeps the newest change of each session, and of these the newer half of the bound.
fn keep_newest(waiting: &mut VecDeque<(Arc<LiveRow>, Id)>) {
    let mut seen = HashSet::new();
    let mut kept: VecDeque<(Arc<LiveRow>, Id)> = VecDeque::new();
    while let Some((row, by)) = waiting.pop_back() {
        if kept.len() < CHANGES_MAX / 2 && seen.insert(row.id) {
            kept.push_front((row, by));
        }
    }
    *waiting = kept;
}

/// The frame of a change; `None` when the host is gone, of which everybody hears otherwise.
async fn frame_of(store: &Store, row: &LiveRow, by: Id) -> Result<Option<Frame>> {
    let Some(account) = store.account(row.host).await? else { return Ok(None) };
    let session = wire::session_now(row, account.author.clone());
    let data = LiveChanged { session, removed: row.removed.is_some(), version: by };
    Ok(Some(Frame::current("live.changed", Lane::Normal, store.clock().now_ms(), row.id, &data)))
}

/// Judges whether a follower sees a host: neither blocks the other, nor does the follower mute them, and no operator
/// hides them.
struct Unseen(Arc<Store>);

#[async_trait]
impl Judge for Unseen {
    async fn hides(&self, person: Id, from: Id) -> Result<bool> {
        Ok(person != from && (self.0.absent.holds(from) || self.0.hidden(person).await?.hides(from)))
    }
}

struct NewestChanges {
    changes: Arc<Changes>,
    store: Arc<Store>,
}

#[async_trait]
impl CurrentValues for NewestChanges {
    async fn changed(&self, person: Id, after: Id, upto: Id) -> Result<Vec<Frame>> {
        let changes = self.changes.lately.lock().between(after, upto, LATELY_LOOKED_AT);
        let (store, mut frames) = (&self.store, Vec::new());
        for (by, row) in changes.into_iter().rev() {
            let follows = tables::pair(tables::FOLLOWS, person, row.host);
            if (person == row.host || store.get(&follows).await?.is_some())
                && !Unseen(Arc::clone(store)).hides(person, row.host).await?
            {
                frames.extend(frame_of(store, &row, by).await?);
            }
        }
        Ok(frames)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn at_the_bound_the_newest_of_each_session_stay() {
        let row = |id: u64| Arc::new(LiveRow::announced(Id(id), Id(1), String::new(), 0));
        let mut waiting: VecDeque<_> = (0..100).map(|by| (row(by % 7), Id(by))).collect();
        keep_newest(&mut waiting);
        assert_eq!(waiting.iter().map(|(_, by)| by.0).collect::<Vec<_>>(), (93..100).collect::<Vec<_>>());
    }
}
