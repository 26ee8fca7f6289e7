//! Servers whose clock is wrong: it is ahead or behind, jumps while they run, and is set right again.
//!
//! `turned` has the clock in its hand; `faked` is the binary itself, whose system is told another time.

mod faked;
mod turned;

/// Milliseconds of a day.
const DAY_MS: u64 = 86_400_000;
/// Milliseconds of an hour.
const HOUR_MS: u64 = 3_600_000;
