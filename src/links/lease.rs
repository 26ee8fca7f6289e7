//! Numbers of codes are leased in blocks, by a row that tells how far they may be given out by when. Pure.
//!
//! A number is never given out twice, also not by a server that begins on a copy of its folder from an hour ago while
//! the numbers of that hour are on walls already. So numbers are given out no faster than [`NUMBERS_PER_MS`], and a
//! start skips what could have been given out since the row was written. The row holds a line, `next` at
//! `through_ms - AHEAD_MS`, that rises at that rate: no number above it is given out before its time. Leases move along
//! the line and idle time only lowers it; a start begins on the line, at the moment that it is by then. So whoever
//! begins on an older row begins above everything that came after it, however often there were starts between.

use crate::base::id::EPOCH_MS;
use crate::base::limits::links::{LEASE_NUMBERS, NUMBERS_PER_MS};
use crate::links::code;

/// Time that a start skips beyond what has passed since the row was written, in milliseconds.
pub const AHEAD_MS: u64 = 10_000;

/// The row, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NumberLease {
    /// The lowest number that nobody has leased.
    pub next: u64,
    /// Moment at which numbers from `next` on may be given out, and [`AHEAD_MS`] later than that of which this was true
    /// when the row was written, in milliseconds since the Unix epoch.
    pub through_ms: u64,
}

/// Numbers that were leased, from the first to below the end.
pub type LeasedNumbers = std::ops::Range<u64>;

impl NumberLease {
    /// Bytes of a row.
    const BYTES: usize = 16;

    /// The row of a folder without codes.
    #[must_use]
    pub const fn first(now_ms: u64) -> Self {
        Self { next: 0, through_ms: now_ms }
    }

    /// The row after a start at `now_ms`; whatever was given out since this row was written is below. Where the clock
    /// is earlier than when it was written nobody knows how long ago that was, and all codes of the length are left.
    #[must_use]
    pub fn begun(self, now_ms: u64) -> Self {
        let line_ms = now_ms.saturating_add(AHEAD_MS);
        if self.through_ms < EPOCH_MS {
            // Written by an import, into a folder that no server had before.
            return Self { next: self.next.saturating_add(AHEAD_MS * NUMBERS_PER_MS), through_ms: line_ms };
        }
        let next = match line_ms.checked_sub(self.through_ms) {
            Some(passed_ms) => self.next.saturating_add(passed_ms.saturating_mul(NUMBERS_PER_MS)).min(code::end()),
            None => code::next_length(self.next),
        };
        Self { next, through_ms: line_ms }
    }

    /// Numbers that may be leased at `now_ms`.
    #[must_use]
    pub fn room(self, now_ms: u64) -> u64 {
        let passed_ms = now_ms.saturating_add(AHEAD_MS).saturating_sub(self.through_ms).min(AHEAD_MS);
        passed_ms.saturating_mul(NUMBERS_PER_MS).min(code::end().saturating_sub(self.next))
    }

    /// The row with a block leased, as large as there is room at `now_ms` and at most [`LEASE_NUMBERS`]; `None` when
    /// there is no room.
    #[must_use]
    pub fn leased(self, now_ms: u64) -> Option<(Self, LeasedNumbers)> {
        let idle = self.idle(now_ms);
        let count = idle.room(now_ms).min(LEASE_NUMBERS);
        if count == 0 {
            return None;
        }
        let end = idle.next + count;
        let row = Self { next: end, through_ms: idle.through_ms + count.div_ceil(NUMBERS_PER_MS) };
        Some((row, idle.next..end))
    }

    /// The row once nobody needed more until `now_ms`: it lets what comes later skip less.
    #[must_use]
    pub fn idle(self, now_ms: u64) -> Self {
        Self { through_ms: self.through_ms.max(now_ms), ..self }
    }

    /// Whether every code is given out.
    #[must_use]
    pub fn is_used_up(self) -> bool {
        self.next >= code::end()
    }

    /// The row's bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(&self.next.to_be_bytes());
        bytes[8..].copy_from_slice(&self.through_ms.to_be_bytes());
        bytes
    }

    /// The row that `bytes` begin with.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |from: usize| bytes.get(from..)?.first_chunk::<8>().map(|word| u64::from_be_bytes(*word));
        Some(Self { next: word(0)?, through_ms: word(8)? })
    }
}

#[cfg(test)]
#[path = "lease_tests.rs"]
mod tests;
