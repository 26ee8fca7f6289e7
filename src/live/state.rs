//! A live session: what may be done with it when, and what it was at an id. Pure.
//!
//! The records of its transitions are all that a session remembers, so its state as of any id T is computed, now and at
//! any later moment alike: nobody stores what a reader saw.

use fanfare_protocol::{Id, LiveState};

use crate::base::limits::live::STARTS_AT_CHANGES_MAX;
use crate::data::rows::{LiveEdit, LiveRow, Planned};

/// Deed of a host, or of the clock, upon a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionDeed<'a> {
    /// Changes title, planned start or the recording's address.
    Edit(&'a LiveEdit),
    /// The session begins.
    Start,
    /// The session is over.
    End {
        /// Address of the recording, if there is one already.
        replay_url: Option<&'a str>,
    },
    /// The session is cancelled while upcoming, or its replay is removed.
    Remove,
}

/// Outcome of a deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The session is this from now on.
    Becomes(LiveRow),
    /// Nothing changes: it is so already.
    Same,
    /// Not now.
    Refused(SessionRefusal),
}

/// Why a deed is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionRefusal {
    /// Removed already.
    Removed,
    /// Not begun yet.
    NotBegun,
    /// Live now.
    IsLive,
    /// Over already.
    IsOver,
    /// Too late to change the planned start, for it has begun.
    TimeHasCome,
    /// Planned start that was changed as often as it can be.
    TimeChangedTooOften,
    /// Too early for a recording, for it is not over.
    NoReplayYet,
}

impl LiveRow {
    /// A session that record `id` of `host` announces.
    #[must_use]
    pub fn announced(id: Id, host: Id, title: String, starts_at_ms: u64) -> Self {
        let planned = vec![Planned { by: id, at_ms: starts_at_ms }];
        Self { id, host, title, planned, started: None, ended: None, replay_url: None, removed: None }
    }

    /// State now, also of one that was removed: what it was then.
    #[must_use]
    pub const fn state(&self) -> LiveState {
        match (self.started, self.ended) {
            (_, Some(_)) => LiveState::Replay,
            (Some(_), None) => LiveState::Live,
            (None, None) => LiveState::Upcoming,
        }
    }

    /// Whether it is upcoming or live now.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.removed.is_none() && self.ended.is_none()
    }

    /// State as of `t`; `None` if there was none yet, or it was removed at any time.
    #[must_use]
    pub fn state_at(&self, t: Id) -> Option<LiveState> {
        if self.removed.is_some() || self.id > t {
            return None;
        }
        let is_past = |record: Option<Id>| record.is_some_and(|record| record <= t);
        Some(match (is_past(self.started), is_past(self.ended)) {
            (_, true) => LiveState::Replay,
            (true, false) => LiveState::Live,
            (false, false) => LiveState::Upcoming,
        })
    }

    /// Planned start as of `t`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn planned_ms_at(&self, t: Id) -> u64 {
        let decided = self.planned.iter().rev().find(|planned| planned.by <= t).or(self.planned.first());
        decided.map_or(0, |planned| planned.at_ms)
    }

    /// Planned start now.
    #[must_use]
    pub fn planned_ms(&self) -> u64 {
        self.planned.last().map_or(0, |planned| planned.at_ms)
    }

    /// Decides about a deed, which record `by` would do.
    #[must_use]
    pub fn decide(&self, deed: SessionDeed<'_>, by: Id) -> Decision {
        use Decision::{Becomes, Refused, Same};
        if self.removed.is_some() {
            return if deed == SessionDeed::Remove { Same } else { Refused(SessionRefusal::Removed) };
        }
        match (deed, self.state()) {
            (SessionDeed::Edit(edit), state) => self.edited(edit, state, by),
            (SessionDeed::Start, LiveState::Upcoming) => Becomes(Self { started: Some(by), ..self.clone() }),
            (SessionDeed::Start, LiveState::Live) | (SessionDeed::End { .. }, LiveState::Replay) => Same,
            (SessionDeed::Start, _) => Refused(SessionRefusal::IsOver),
            (SessionDeed::End { replay_url }, LiveState::Live) => {
                Becomes(Self { ended: Some(by), replay_url: replay_url.map(str::to_owned), ..self.clone() })
            }
            (SessionDeed::End { .. }, _) => Refused(SessionRefusal::NotBegun),
            (SessionDeed::Remove, LiveState::Live) => Refused(SessionRefusal::IsLive),
            (SessionDeed::Remove, _) => Becomes(Self { removed: Some(by), ..self.clone() }),
        }
    }

    fn edited(&self, edit: &LiveEdit, state: LiveState, by: Id) -> Decision {
        let mut after = self.clone();
        if let Some(title) = &edit.title {
            after.title.clone_from(title);
        }
        if let Some(at_ms) = edit.starts_at_ms.filter(|at_ms| *at_ms != self.planned_ms()) {
            if state != LiveState::Upcoming {
                return Decision::Refused(SessionRefusal::TimeHasCome);
            }
            if self.planned.len() > STARTS_AT_CHANGES_MAX {
                return Decision::Refused(SessionRefusal::TimeChangedTooOften);
            }
            after.planned.push(Planned { by, at_ms });
        }
        if let Some(replay_url) = &edit.replay_url {
            if state != LiveState::Replay {
                return Decision::Refused(SessionRefusal::NoReplayYet);
            }
            after.replay_url.clone_from(replay_url);
        }
        if after == *self { Decision::Same } else { Decision::Becomes(after) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upcoming() -> LiveRow {
        LiveRow::announced(Id(10), Id(1), "chess".into(), 5_000)
    }

    fn becomes(row: &LiveRow, deed: SessionDeed<'_>, by: u64) -> LiveRow {
        match row.decide(deed, Id(by)) {
            Decision::Becomes(after) => after,
            other => panic!("{deed:?}: {other:?}"),
        }
    }

    #[test]
    fn a_session_is_announced_begins_and_is_over_in_that_order_alone() {
        let upcoming = upcoming();
        let end = SessionDeed::End { replay_url: Some("https://example.org/1") };
        assert_eq!(upcoming.decide(end, Id(11)), Decision::Refused(SessionRefusal::NotBegun));
        let live = becomes(&upcoming, SessionDeed::Start, 20);
        assert_eq!(live.decide(SessionDeed::Start, Id(21)), Decision::Same);
        assert_eq!(live.decide(SessionDeed::Remove, Id(21)), Decision::Refused(SessionRefusal::IsLive));
        let replay = becomes(&live, end, 30);
        assert_eq!(
            replay.decide(SessionDeed::End { replay_url: Some("https://example.org/2") }, Id(31)),
            Decision::Same
        );
        assert_eq!(replay.decide(SessionDeed::Start, Id(31)), Decision::Refused(SessionRefusal::IsOver));
        let removed = becomes(&replay, SessionDeed::Remove, 40);
        assert_eq!(removed.decide(SessionDeed::Remove, Id(41)), Decision::Same);
        assert_eq!(removed.decide(SessionDeed::Start, Id(41)), Decision::Refused(SessionRefusal::Removed));
        let at = |row: &LiveRow, t: u64| row.state_at(Id(t));
        let (upcoming, live, replayed) = (Some(LiveState::Upcoming), Some(LiveState::Live), Some(LiveState::Replay));
        assert_eq!([9, 10, 19, 20, 29, 30].map(|t| at(&replay, t)), [None, upcoming, upcoming, live, live, replayed]);
        assert_eq!([9, 10, 30, 40].map(|t| at(&removed, t)), [None; 4], "whatever T says");
    }

    #[test]
    fn the_planned_start_moves_while_it_is_upcoming_and_not_for_ever() {
        let mut row = upcoming();
        let edit = |at_ms| LiveEdit { starts_at_ms: Some(at_ms), ..LiveEdit::default() };
        assert_eq!(row.decide(SessionDeed::Edit(&edit(5_000)), Id(11)), Decision::Same);
        for change in 0..STARTS_AT_CHANGES_MAX as u64 {
            row = becomes(&row, SessionDeed::Edit(&edit(6_000 + change)), 11 + change);
        }
        assert_eq!(
            row.decide(SessionDeed::Edit(&edit(1)), Id(99)),
            Decision::Refused(SessionRefusal::TimeChangedTooOften)
        );
        assert_eq!([10, 11, 12].map(|t| row.planned_ms_at(Id(t))), [5_000, 6_000, 6_001]);
        let live = becomes(&row, SessionDeed::Start, 100);
        assert_eq!(live.decide(SessionDeed::Edit(&edit(1)), Id(101)), Decision::Refused(SessionRefusal::TimeHasCome));
        let url = LiveEdit { replay_url: Some(Some("https://example.org".into())), ..LiveEdit::default() };
        assert_eq!(live.decide(SessionDeed::Edit(&url), Id(101)), Decision::Refused(SessionRefusal::NoReplayYet));
        let title = LiveEdit { title: Some("go".into()), ..LiveEdit::default() };
        assert_eq!(becomes(&live, SessionDeed::Edit(&title), 101).title, "go");
    }
}
