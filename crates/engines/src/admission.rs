//! Admission: which entries of a partition's log count. Pure, and the same for every reader.
//!
//! A log that cannot refuse at the write holds what owners appended who were none any more: one slept between decision
//! and append, another repeated an append whose answer was lost. All of that lies in the log, and counts as if it had
//! never been written. Engines that can refuse ask here before they write.

use crate::ports::{Offset, Position, Term, Turn};

/// 2010-01-01T00:00:00Z in milliseconds since the Unix epoch, where ids begin to count.
pub const ID_EPOCH_MS: u64 = 1_262_304_000_000;
/// Bits of an id below its milliseconds.
pub const ID_BELOW_MS_BITS: u32 = 22;
/// Milliseconds that an id may lie before or after the append of its record.
pub const APPEND_DRIFT_MS_MAX: u64 = 5_000;

/// Milliseconds since the Unix epoch in which `id` was minted.
#[must_use]
pub const fn unix_ms_of(id: u64) -> u64 {
    (id >> ID_BELOW_MS_BITS) + ID_EPOCH_MS
}

/// Head of an entry of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header {
    /// Beginning of a term, named by the offset of this entry.
    Claim {
        /// Ids of the term may be of any time.
        is_import: bool,
    },
    /// Record of a term.
    Record {
        /// The term, and the record's number in it.
        turn: Turn,
        /// Id of the record.
        id: u64,
    },
    /// Record from before there were claims; it counts if there was none.
    Unclaimed,
}

/// Verdict on an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Entry that counts.
    Counts,
    /// Entry whose term is not the newest, or is over.
    OtherTerm,
    /// Entry that came before.
    Repeat,
    /// A record of the term before it is missing: the term is over.
    Hole,
    /// Entry whose id was minted too long before or after the append.
    OtherTime,
}

impl Position {
    /// Decides about the entry at `offset`, appended at `appended_ms` (Unix), and moves on behind it.
    ///
    /// A claim sets the term; a record counts only under the newest, with an id above the last, with the number that
    /// follows, and with an id whose milliseconds are near the append. What does not count takes no number, so what
    /// comes behind it in its term does not count either.
    pub fn admit(&mut self, offset: Offset, header: &Header, appended_ms: u64) -> Verdict {
        self.offset = Offset(offset.0 + 1);
        let (turn, id) = match header {
            Header::Claim { is_import } => {
                (self.term, self.number, self.is_import) = (Some(Term(offset.0)), 0, *is_import);
                return Verdict::Counts;
            }
            Header::Unclaimed if self.term.is_none() => return Verdict::Counts,
            Header::Unclaimed => return Verdict::OtherTerm,
            Header::Record { turn, id } => (turn, *id),
        };
        if self.term != Some(turn.term) || self.number == Self::ENDED {
            return Verdict::OtherTerm;
        }
        if id <= self.last_id || turn.number < self.number {
            return Verdict::Repeat;
        }
        if turn.number > self.number {
            self.number = Self::ENDED;
            return Verdict::Hole;
        }
        if !self.is_import && unix_ms_of(id).abs_diff(appended_ms) > APPEND_DRIFT_MS_MAX {
            return Verdict::OtherTime;
        }
        (self.last_id, self.number) = (id, self.number + 1);
        Verdict::Counts
    }

    /// Decides about a call where it can be refused: `Ok` is the position behind it when all of its records count,
    /// `Err` the one with which the log goes on without it.
    ///
    /// # Errors
    /// When one of them does not count.
    pub(crate) fn admit_call(self, turn: Turn, ids: impl Iterator<Item = u64>) -> Result<Self, Self> {
        if self.term != Some(turn.term) || self.number == Self::ENDED {
            return Err(self);
        }
        let mut next = self;
        for (number, id) in (turn.number..).zip(ids) {
            let header = Header::Record { turn: Turn { number, ..turn }, id };
            match next.admit(next.offset, &header, unix_ms_of(id)) {
                Verdict::Counts => {}
                Verdict::Hole => return Err(Self { number: Self::ENDED, ..self }),
                _ => return Err(self),
            }
        }
        Ok(next)
    }

    /// Moves on behind a record that was admitted when it was written.
    pub(crate) fn pass(&mut self, offset: Offset, id: Option<u64>) {
        self.offset = Offset(offset.0 + 1);
        if let Some(id) = id {
            (self.last_id, self.number) = (id, self.number.saturating_add(1));
        }
    }
}

#[cfg(test)]
#[path = "admission_tests.rs"]
mod tests;
