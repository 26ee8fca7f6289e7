//! Order of live sessions as of an id T: what is live by its start, what is upcoming by its plan, one descending order
//! of a signed score for both; below them the replays by their end. Pure.
//!
//! The order at T can be computed at any later moment, so a cursor is `(T, place)`, and page two agrees with page one
//! whatever has happened between.

use fanfare_protocol::{Id, LiveState};

use crate::base::id::unix_ms_of;
use crate::data::rows::LiveRow;

/// Place in the order; pages go down from the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LivePlace {
    /// A replay, by the record that ended the session.
    Replay(Id),
    /// A session that is live or upcoming.
    Open {
        /// Minus the planned start while it is upcoming, plus the actual start while it is live, in milliseconds.
        score: i64,
        /// The session: of equal scores the one that was announced last goes first.
        id: Id,
    },
}

/// Point at which a page goes on: below `place`, in the order as of `t`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LivePosition {
    /// Id as of which everything is shown.
    pub t: Id,
    /// Place of the last session that was shown.
    pub below: LivePlace,
}

const REPLAY: u8 = 0;
const OPEN: u8 = 1;

impl LivePosition {
    /// Bytes of a cursor.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        let (tag, score, id) = match self.below {
            LivePlace::Replay(ended) => (REPLAY, 0, ended),
            LivePlace::Open { score, id } => (OPEN, score, id),
        };
        [&self.t.to_bytes()[..], &[tag], &score.to_be_bytes(), &id.to_bytes()].concat()
    }

    /// Position in the bytes of a cursor.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (t, rest) = bytes.split_first_chunk::<8>()?;
        let (tag, rest) = rest.split_first()?;
        let (score, id) = rest.split_first_chunk::<8>()?;
        let (t, id) = (Id::from_bytes(t)?, Id::from_bytes(id.first_chunk::<8>().filter(|all| all.len() == id.len())?)?);
        let below = match *tag {
            REPLAY => LivePlace::Replay(id),
            OPEN => LivePlace::Open { score: i64::from_be_bytes(*score), id },
            _ => return None,
        };
        Some(Self { t, below })
    }
}

/// Moment as a score.
fn score(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}

/// Place of a session in the order as of `t`; `None` if it is in none.
#[must_use]
pub fn place_at(row: &LiveRow, t: Id) -> Option<LivePlace> {
    Some(match row.state_at(t)? {
        LiveState::Live => LivePlace::Open { score: score(unix_ms_of(row.started?)), id: row.id },
        LiveState::Replay => LivePlace::Replay(row.ended?),
        _ => LivePlace::Open { score: -score(row.planned_ms_at(t)), id: row.id },
    })
}

/// Length up to which the highest are kept in order while they come: a page of the usual size.
const IN_ORDER_MAX: usize = 32;

/// The highest of what is offered.
#[derive(Debug)]
pub struct Highest<T> {
    max: usize,
    found: Vec<(LivePlace, T)>,
}

impl<T> Highest<T> {
    /// Nothing yet; `max` are kept.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, found: Vec::with_capacity(max.min(IN_ORDER_MAX)) }
    }

    /// Takes one in, if it is among the highest.
    pub fn offer(&mut self, place: LivePlace, value: T) {
        if self.max > IN_ORDER_MAX {
            return self.found.push((place, value));
        }
        if self.found.len() == self.max {
            match self.found.last() {
                Some((lowest, _)) if *lowest < place => self.found.pop(),
                _ => return,
            };
        }
        let at = self.found.iter().rposition(|(other, _)| *other > place).map_or(0, |at| at + 1);
        self.found.insert(at, (place, value));
    }

    /// Those that are kept, in order.
    #[must_use]
    pub fn into_found(mut self) -> Vec<(LivePlace, T)> {
        if self.max > IN_ORDER_MAX {
            highest(&mut self.found, self.max);
        }
        self.found
    }
}

/// Keeps the `max` highest of `found`, in order.
pub fn highest<T>(found: &mut Vec<(LivePlace, T)>, max: usize) {
    if max == 0 {
        found.clear();
        return;
    }
    let descending = |one: &(LivePlace, T), other: &(LivePlace, T)| other.0.cmp(&one.0);
    if found.len() > max {
        found.select_nth_unstable_by(max - 1, descending);
        found.truncate(max);
    }
    found.sort_unstable_by(descending);
}

#[cfg(test)]
#[path = "order_tests.rs"]
mod tests;
