//! A live session: what may be done with it when, and what it was at an id. Pure.
//!
//! The records of its transitions are all that a session remembers, so its state as of any id T is computed, now and at
//! any later moment alike: nobody stores what a reader saw.

use fanfare_protocol::{Id, LiveState};

use crate::base::limits::live::STARTS_AT_CHANGES_MAX;
use crate::data::rows::{LiveEdit, LiveRow, Planned};

/// Deed of a host, or of the clock, upon a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed<'a> {
    /// Changes title, planned start or the recording's address.
    Edit(&'a LiveEdit),
    /// It begins.
    Start,
    /// It is over.
    End {
        /// Address of the recording, if there is one already.
        replay_url: Option<&'a str>,
    },
    /// It is cancelled while upcoming, or its replay is removed.
    Remove,
}

/// What comes of a deed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// The session is this from now on.
    Becomes(LiveRow),
    /// It is so already.
    Same,
    /// Not now.
    Refused(Refusal),
}

/// Why a deed is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// It was removed.
    Removed,
    /// It has not begun.
    NotBegun,
    /// It is live.
    IsLive,
    /// It is over.
    IsOver,
    /// Its planned start cannot be changed any more, for it has begun.
    TimeHasCome,
    /// Its planned start was changed as often as it can be.
    TimeChangedTooOften,
    /// It has no recording before it is over.
    NoReplayYet,
}

impl LiveRow {
    /// A session that record `id` of `host` announces.
    #[must_use]
    pub fn announced(id: Id, host: Id, title: String, starts_at_ms: u64) -> Self {
        let planned = vec![Planned { by: id, at_ms: starts_at_ms }];
        Self { id, host, title, planned, started: None, ended: None, replay_url: None, removed: None }
    }

    /// Its state now, also of one that was removed: what it was then.
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

    /// Its state as of `t`; `None` if there was none yet, or it was removed at any time.
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

    /// Its planned start as of `t`, in milliseconds since the Unix epoch.
    #[must_use]
    pub fn planned_ms_at(&self, t: Id) -> u64 {
        let decided = self.planned.iter().rev().find(|planned| planned.by <= t).or(self.planned.first());
        decided.map_or(0, |planned| planned.at_ms)
    }

    /// Its planned start now.
    #[must_use]
    pub fn planned_ms(&self) -> u64 {
        self.planned.last().map_or(0, |planned| planned.at_ms)
    }

    /// Decides about a deed, which record `by` would do.
    #[must_use]
    pub fn decide(&self, deed: Deed<'_>, by: Id) -> Decision {
        use Decision::{Becomes, Refused, Same};
        if self.removed.is_some() {
            return if deed == Deed::Remove { Same } else { Refused(Refusal::Removed) };
        }
        match (deed, self.state()) {
            (Deed::Edit(edit), state) => self.edited(edit, state, by),
            (Deed::Start, LiveState::Upcoming) => Becomes(Self { started: Some(by), ..self.clone() }),
            (Deed::Start, LiveState::Live) | (Deed::End { .. }, LiveState::Replay) => Same,
            (Deed::Start, _) => Refused(Refusal::IsOver),
            (Deed::End { replay_url }, LiveState::Live) => {
                Becomes(Self { ended: Some(by), replay_url: replay_url.map(str::to_owned), ..self.clone() })
            }
            (Deed::End { .. }, _) => Refused(Refusal::NotBegun),
            (Deed::Remove, LiveState::Live) => Refused(Refusal::IsLive),
            (Deed::Remove, _) => Becomes(Self { removed: Some(by), ..self.clone() }),
        }
    }

    fn edited(&self, edit: &LiveEdit, state: LiveState, by: Id) -> Decision {
        let mut after = self.clone();
        if let Some(title) = &edit.title {
            after.title.clone_from(title);
        }
        if let Some(at_ms) = edit.starts_at_ms.filter(|at_ms| *at_ms != self.planned_ms()) {
            if state != LiveState::Upcoming {
                return Decision::Refused(Refusal::TimeHasCome);
            }
            if self.planned.len() > STARTS_AT_CHANGES_MAX {
                return Decision::Refused(Refusal::TimeChangedTooOften);
            }
            after.planned.push(Planned { by, at_ms });
        }
        if let Some(replay_url) = &edit.replay_url {
            if state != LiveState::Replay {
                return Decision::Refused(Refusal::NoReplayYet);
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

    fn becomes(row: &LiveRow, deed: Deed<'_>, by: u64) -> LiveRow {
        match row.decide(deed, Id(by)) {
            Decision::Becomes(after) => after,
            other => panic!("{deed:?}: {other:?}"),
        }
    }

    #[test]
    fn a_session_is_announced_begins_and_is_over_in_that_order_alone() {
        let upcoming = upcoming();
        let end = Deed::End { replay_url: Some("https://example.org/1") };
        assert_eq!(upcoming.decide(end, Id(11)), Decision::Refused(Refusal::NotBegun));
        let live = becomes(&upcoming, Deed::Start, 20);
        assert_eq!(live.decide(Deed::Start, Id(21)), Decision::Same);
        assert_eq!(live.decide(Deed::Remove, Id(21)), Decision::Refused(Refusal::IsLive));
        let replay = becomes(&live, end, 30);
        assert_eq!(replay.decide(Deed::End { replay_url: Some("https://example.org/2") }, Id(31)), Decision::Same);
        assert_eq!(replay.decide(Deed::Start, Id(31)), Decision::Refused(Refusal::IsOver));
        let removed = becomes(&replay, Deed::Remove, 40);
        assert_eq!(removed.decide(Deed::Remove, Id(41)), Decision::Same);
        assert_eq!(removed.decide(Deed::Start, Id(41)), Decision::Refused(Refusal::Removed));
        let at = |row: &LiveRow, t: u64| row.state_at(Id(t));
        let (upcoming, live, replayed) = (Some(LiveState::Upcoming), Some(LiveState::Live), Some(LiveState::Replay));
        assert_eq!([9, 10, 19, 20, 29, 30].map(|t| at(&replay, t)), [None, upcoming, upcoming, live, live, replayed]);
        assert_eq!([9, 10, 30, 40].map(|t| at(&removed, t)), [None; 4], "whatever T says");
    }

    #[test]
    fn the_planned_start_moves_while_it_is_upcoming_and_not_for_ever() {
        let mut row = upcoming();
        let edit = |at_ms| LiveEdit { starts_at_ms: Some(at_ms), ..LiveEdit::default() };
        assert_eq!(row.decide(Deed::Edit(&edit(5_000)), Id(11)), Decision::Same);
        for change in 0..STARTS_AT_CHANGES_MAX as u64 {
            row = becomes(&row, Deed::Edit(&edit(6_000 + change)), 11 + change);
        }
        assert_eq!(row.decide(Deed::Edit(&edit(1)), Id(99)), Decision::Refused(Refusal::TimeChangedTooOften));
        assert_eq!([10, 11, 12].map(|t| row.planned_ms_at(Id(t))), [5_000, 6_000, 6_001]);
        let live = becomes(&row, Deed::Start, 100);
        assert_eq!(live.decide(Deed::Edit(&edit(1)), Id(101)), Decision::Refused(Refusal::TimeHasCome));
        let url = LiveEdit { replay_url: Some(Some("https://example.org".into())), ..LiveEdit::default() };
        assert_eq!(live.decide(Deed::Edit(&url), Id(101)), Decision::Refused(Refusal::NoReplayYet));
        let title = LiveEdit { title: Some("go".into()), ..LiveEdit::default() };
        assert_eq!(becomes(&live, Deed::Edit(&title), 101).title, "go");
    }
}
