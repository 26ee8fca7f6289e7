//! Rows of live sessions, made of records. Pure.
//!
//! The state is the session itself: whether a record changes it is decided here once more, so that what is proposed
//! twice, by two who did not know of each other, changes it once.

use std::sync::Arc;

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};

use super::state::{Decision, SessionDeed};
use crate::base::error::{Error, Result};
use crate::data::rows::{LiveRow, ReminderProgress, from_json, to_json};
use crate::data::tables;
use crate::data::uncounted::Of;
use crate::log::events::{Event, Record};
use crate::log::fold::{Fold, Keys, State};
use crate::log::outcome::{Outcome, OutcomePart};

/// Name of the part of outcomes.
const PART: &str = "l";

/// Part of an outcome: the session as the record left it. Of a record that changes nothing there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LiveOutcome(pub Arc<LiveRow>);

/// Live sessions.
pub struct LiveFold;

/// Session that a record is about, and what it does to it.
#[must_use]
pub fn deed_of(event: &Event) -> Option<(Id, SessionDeed<'_>)> {
    Some(match event {
        Event::LiveEdited { session, edit, .. } => (*session, SessionDeed::Edit(edit)),
        Event::LiveStarted { session, .. } => (*session, SessionDeed::Start),
        Event::LiveEnded { session, replay_url, .. } => {
            (*session, SessionDeed::End { replay_url: replay_url.as_deref() })
        }
        Event::LiveRemoved { session, .. } => (*session, SessionDeed::Remove),
        _ => return None,
    })
}

impl Fold for LiveFold {
    fn part(&self) -> Option<&'static str> {
        Some(PART)
    }

    fn keys(&self, record: &Record, keys: &mut Keys) {
        if let Some((session, _)) = deed_of(&record.event) {
            keys.own(tables::by_id(tables::LIVE, session));
        }
        // How its replay reaches followers is decided by their number.
        if let Event::LiveEnded { host, .. } = &record.event {
            keys.own(Of::User(*host).row());
        }
    }

    fn fold(&self, record: &Record, state: &State, outcome: &mut Outcome) -> Result<()> {
        let after = match &record.event {
            Event::LiveAnnounced { host, title, starts_at_ms } => {
                Some(LiveRow::announced(record.id, *host, title.clone(), *starts_at_ms))
            }
            event => match deed_of(event) {
                Some((session, deed)) => after(state.get(&tables::by_id(tables::LIVE, session)), deed, record.id)?,
                None => None,
            },
        };
        if let Some(after) = after {
            outcome.add(PART, Arc::new(LiveOutcome(Arc::new(after))));
        }
        Ok(())
    }

    fn read(&self, record: &Record, part: &str) -> Result<Arc<dyn OutcomePart>> {
        let read: serde_json::Result<LiveOutcome> = serde_json::from_str(part);
        let wrong = |error| Error::Internal(format!("the session in record {} does not decode: {error}", record.id));
        Ok(Arc::new(read.map_err(wrong)?))
    }

    fn rows(&self, record: &Record, outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        if let Event::LiveReminded { session, host, upto, .. } = &record.event {
            let progress = ReminderProgress { host: *host, last: *upto };
            put(tables::live_reminding_row(*session), progress.to_bytes(), record.id, batch);
        }
        outcome.part::<LiveOutcome>().map_or(Ok(()), |LiveOutcome(after)| rows_of(record, after, batch))
    }
}

/// The session after a deed, if that changes it.
fn after(stored: Option<&Bytes>, deed: SessionDeed<'_>, by: Id) -> Result<Option<LiveRow>> {
    let Some(stored) = stored else { return Ok(None) };
    let row: LiveRow = from_json(stored)?;
    Ok(match row.decide(deed, by) {
        Decision::Becomes(after) => Some(after),
        Decision::Same | Decision::Refused(_) => None,
    })
}

fn put(row: RowKey, value: impl Into<Bytes>, version: Id, batch: &mut Batch) {
    batch.put_versioned(row, value.into(), version.0);
}

/// Rows of a session that a record changed.
fn rows_of(record: &Record, after: &LiveRow, batch: &mut Batch) -> Result<()> {
    let (id, session, host, json) = (record.id, after.id, after.host, to_json(after)?);
    put(tables::by_id(tables::LIVE, session), json.clone(), id, batch);
    // What was over before is not among the open ones, or leaves them soon.
    if after.is_open() || after.ended == Some(id) {
        put(tables::live_open_row(host, session), json, id, batch);
    }
    match &record.event {
        Event::LiveAnnounced { .. } => put(tables::pair(tables::LIVE_OF_HOST, host, session), Bytes::new(), id, batch),
        Event::LiveStarted { .. } => {
            let progress = ReminderProgress { host, last: Id(0) };
            put(tables::live_reminding_row(session), progress.to_bytes(), id, batch);
        }
        Event::LiveEnded { .. } => {
            let session = tables::partition(session);
            put(tables::bucketed_row(tables::LIVE_REPLAYS, host, id), session.clone(), id, batch);
            put(tables::by_id(tables::LIVE_ENDS, id), session, id, batch);
            put(tables::live_timeline_row(id), tables::partition(host), id, batch);
        }
        Event::LiveRemoved { .. } => {
            batch.delete_versioned(tables::pair(tables::LIVE_OF_HOST, host, session), id.0);
            batch.delete_versioned(tables::live_open_row(host, session), id.0);
            match after.ended {
                Some(ended) => {
                    batch.delete_versioned(tables::bucketed_row(tables::LIVE_REPLAYS, host, ended), id.0);
                    batch.delete_versioned(tables::by_id(tables::LIVE_ENDS, ended), id.0);
                    batch.delete_versioned(tables::live_timeline_row(ended), id.0);
                }
                // Whoever wanted to be reminded is not, and the rows that say so go.
                None => {
                    let progress = ReminderProgress { host, last: Id(0) };
                    put(tables::live_reminding_row(session), progress.to_bytes(), id, batch);
                }
            }
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
#[path = "fold_tests.rs"]
mod tests;
