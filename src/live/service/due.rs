//! Deeds of time alone: a session that nobody started is cancelled, one that nobody ended is ended, and what
//! ended long ago leaves memory. Proposed like everything else: the session says whether it still is the time for it.

use std::time::Duration;

use fanfare_protocol::{Id, LiveState};

use super::{Live, session_key};
use crate::base::error::Result;
use crate::base::id::unix_ms_of;
use crate::base::limits::live::{DUE_AT_ONCE, DUE_PERIOD_MS};
use crate::data::rows::LiveRow;
use crate::live::replays::session_of;
use crate::live::state::{Decision, SessionDeed};
use crate::log::events::{Event, Policy};

/// Times after which sessions are cancelled and ended.
#[derive(Debug, Clone, Copy)]
pub struct DueSettings {
    /// Milliseconds after the planned start at which one that has not begun is cancelled.
    pub overdue_ms: u64,
    /// Milliseconds after its start at which one that is live is ended.
    pub lasts_ms_max: u64,
}

impl DueSettings {
    /// Event that is due for a session at `now_ms`, if any. Pure.
    #[must_use]
    pub fn due(self, row: &LiveRow, now_ms: u64) -> Option<Event> {
        let (session, host) = (row.id, row.host);
        match (row.is_open(), row.state(), row.started) {
            (true, LiveState::Upcoming, _) if row.planned_ms() + self.overdue_ms <= now_ms => {
                Some(Event::LiveRemoved { session, host, ended: None })
            }
            (true, LiveState::Live, Some(started)) if unix_ms_of(started) + self.lasts_ms_max <= now_ms => {
                Some(Event::LiveEnded { session, host, replay_url: None, policy: Policy::default() })
            }
            _ => None,
        }
    }
}

impl Live {
    /// Does what is due, every second. Without end.
    pub async fn keep_time(self) {
        let mut tick = tokio::time::interval(Duration::from_millis(DUE_PERIOD_MS));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if let Err(error) = self.do_due().await {
                tracing::warn!(%error, "what is due of live sessions waits; the next look goes on");
            }
        }
    }

    /// Does what is due now, some of it.
    ///
    /// # Errors
    /// When the engine fails; the next call goes on.
    pub async fn do_due(&self) -> Result<()> {
        let now_ms = self.core.clock.now_ms();
        self.view.forget_ended(now_ms).await?;
        let due: Vec<(Id, Id)> = {
            let queues = self.view.queues();
            let due = queues.iter().filter(|row| self.due.due(row, now_ms).is_some());
            due.take(DUE_AT_ONCE).map(|row| (row.host, row.id)).collect()
        };
        for (host, session) in due {
            let guard = self.core.log.decide(host, &[session_key(session)]).await?;
            // As it is now that nobody else decides about it.
            let Some(row) = session_of(&self.core.store, session).await? else { continue };
            let Some(event) = self.due.due(&row, now_ms) else { continue };
            let deed = match &event {
                Event::LiveEnded { .. } => SessionDeed::End { replay_url: None },
                _ => SessionDeed::Remove,
            };
            if matches!(row.decide(deed, Id(0)), Decision::Becomes(_)) {
                self.core.log.commit(&guard, event).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::first_id_at;

    #[test]
    fn what_nobody_started_is_cancelled_and_what_nobody_ended_is_ended() {
        const HOUR_MS: u64 = 3_600_000;
        let settings = DueSettings { overdue_ms: 24 * HOUR_MS, lasts_ms_max: 12 * HOUR_MS };
        let planned_ms = 1_800_000_000_000;
        let upcoming = LiveRow::announced(first_id_at(planned_ms - HOUR_MS), Id(1), String::new(), planned_ms);
        assert_eq!(settings.due(&upcoming, planned_ms + 24 * HOUR_MS - 1), None);
        let cancelled = settings.due(&upcoming, planned_ms + 24 * HOUR_MS);
        assert!(matches!(cancelled, Some(Event::LiveRemoved { ended: None, .. })), "{cancelled:?}");
        let live = LiveRow { started: Some(first_id_at(planned_ms)), ..upcoming };
        assert_eq!(settings.due(&live, planned_ms + 12 * HOUR_MS - 1), None);
        let ended = settings.due(&live, planned_ms + 12 * HOUR_MS);
        assert!(matches!(ended, Some(Event::LiveEnded { replay_url: None, .. })), "{ended:?}");
        for over in [
            LiveRow { ended: Some(first_id_at(planned_ms + 1)), ..live.clone() },
            LiveRow { removed: Some(first_id_at(planned_ms + 1)), ..live },
        ] {
            assert_eq!(settings.due(&over, u64::MAX / 2), None);
        }
    }
}
