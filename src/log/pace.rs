//! Pace of ids over a log that stamps what it takes by a clock of its own.
//!
//! Such a log lets a record count only if its id is of the moment at which it came in, whatever this node's clock says.
//! So ids follow the log's time, which each answer tells anew; where the last id is ahead of it all the same (the log's
//! clock went back, or an earlier owner's was fast) the owner takes nothing until time has caught up. Logs that read
//! moments off ids (embedded, memory) tell nothing, and ids follow this node's clock.
//!
//! A node that stands by and has claimed nothing has not been told either, and others go on above all that it reserves.
//! So its clock is believed no further than what others stored: one that is fast would let nobody write until time had
//! caught up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use fanfare_engines::EngineError;
use fanfare_protocol::Id;

use super::folder::queue::Queue;
use super::patience::Patience;
use crate::base::clock::Clock;
use crate::base::id::unix_ms_of;
use crate::base::limits;
use crate::log::family::Family;
use crate::log::mint::Mint;

/// Lead of a log that has told no time.
const UNTOLD: i64 = i64::MIN;
/// Milliseconds between two looks at the time.
const LOOK_MS: u64 = 50;

/// Time of a log: its own, told by its answers and gone on by the running clock, or this node's. Clones share it.
#[derive(Debug, Clone)]
pub struct LogTime {
    clock: Clock,
    /// Milliseconds by which the log's time is ahead of the running clock.
    lead_ms: Arc<AtomicI64>,
    /// The least that it is ahead, by what others stored.
    stored_lead_ms: Arc<AtomicI64>,
    /// Standing by for some partition, as one node of several does.
    stands_by: Arc<AtomicBool>,
    /// The log took a claim of this node, and told its time then if it has one.
    has_claimed: Arc<AtomicBool>,
}

impl From<Clock> for LogTime {
    fn from(clock: Clock) -> Self {
        let untold = || Arc::new(AtomicI64::new(UNTOLD));
        Self {
            clock,
            lead_ms: untold(),
            stored_lead_ms: untold(),
            stands_by: Arc::default(),
            has_claimed: Arc::default(),
        }
    }
}

/// Moment of the running clock at which the log was asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked(u64);

impl LogTime {
    /// Clock of this node.
    pub(super) const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// The log is asked now.
    pub(super) fn asking(&self) -> Asked {
        Asked(self.clock.run_ms())
    }

    /// The log took something at `stamped_ms` by its own clock, at some moment since it was asked.
    pub(super) fn hear(&self, asked: Asked, stamped_ms: Option<u64>) {
        let Some(stamped_ms) = stamped_ms else { return };
        let lead = |run_ms: u64| (stamped_ms as i64).wrapping_sub(run_ms as i64);
        let (least, most) = (lead(self.clock.run_ms().max(asked.0)), lead(asked.0));
        // The lead is somewhere between: an answer that took long says less than those before.
        let known = self.lead_ms.load(Ordering::Relaxed);
        let heard = if known == UNTOLD { least } else { known.clamp(least, most) };
        self.lead_ms.store(heard, Ordering::Relaxed);
    }

    /// A partition is left to others: until a claim this node's clock is believed no further than what they stored.
    pub(super) fn stands_by(&self) {
        self.stands_by.store(true, Ordering::Relaxed);
    }

    /// The log took a claim of this node: if it has told no time by now, it has none.
    pub(super) fn claimed(&self) {
        self.has_claimed.store(true, Ordering::Relaxed);
    }

    /// Somebody stored something of the moment `at_ms`: it is not earlier now.
    pub(super) fn stored(&self, at_ms: u64) {
        let lead_ms = (at_ms as i64).wrapping_sub(self.clock.run_ms() as i64);
        self.stored_lead_ms.fetch_max(lead_ms, Ordering::Relaxed);
    }

    /// The latest that this node's clock is believed, while the log has told nothing; none in an empty log.
    fn believed_ms(&self) -> Option<u64> {
        let lead_ms = self.stored_lead_ms.load(Ordering::Relaxed);
        let waits = self.stands_by.load(Ordering::Relaxed) && !self.has_claimed.load(Ordering::Relaxed);
        (waits && lead_ms != UNTOLD).then(|| self.clock.run_ms().saturating_add_signed(lead_ms))
    }

    /// The log's own time, in milliseconds since the Unix epoch. An import's ids are of any time.
    fn told_ms(&self) -> Option<u64> {
        let lead_ms = self.lead_ms.load(Ordering::Relaxed);
        let is_told = lead_ms != UNTOLD && !self.clock.is_by_hand();
        is_told.then(|| self.clock.run_ms().saturating_add_signed(lead_ms))
    }

    /// Time that ids follow, in milliseconds since the Unix epoch.
    pub(super) fn now_ms(&self) -> u64 {
        let own_ms = || self.clock.now_ms().min(self.believed_ms().unwrap_or(u64::MAX));
        self.told_ms().unwrap_or_else(own_ms)
    }

    /// Milliseconds until the log takes an id of the moment of `last`; nothing if it does now.
    pub(super) fn ahead_ms(&self, last: impl FnOnce() -> Id) -> Option<u64> {
        let near_ms = self.told_ms()?.saturating_add(limits::LOG_AHEAD_MS_MAX);
        unix_ms_of(last()).checked_sub(near_ms).filter(|ahead_ms| *ahead_ms > 0)
    }
}

/// Waits while ids are ahead of the log's time, and refuses what waits, or comes meanwhile. Everybody hears that
/// storage is away, and that it is back.
pub(super) async fn keep<F: Family>(queue: &mut Queue<F>, mint: &Mint, patience: &Patience) {
    let mut was_ahead = false;
    while let Some(ahead_ms) = mint.ahead_ms() {
        was_ahead = true;
        let cause = format!("the last id is ahead of the log's time; it takes more in {ahead_ms} ms");
        patience.log().goes(&cause);
        for late in queue.drain() {
            let _ = late.answer.send(Err(EngineError::Unavailable(cause.clone()).into()));
        }
        if patience.is_over() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(ahead_ms.min(LOOK_MS))).await;
    }
    if was_ahead {
        patience.log().works();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::id::first_id_at;

    const NOW_MS: u64 = 1_800_000_000_000;

    #[test]
    fn time_is_this_nodes_until_the_log_tells_its_own_which_goes_on_by_itself() {
        let clock = Clock::stand_in(NOW_MS);
        let time = LogTime::from(clock.clone());
        let last = || first_id_at(NOW_MS + 3_600_000);
        time.hear(time.asking(), None);
        assert_eq!((time.now_ms(), time.ahead_ms(last)), (NOW_MS, None));
        time.hear(time.asking(), Some(NOW_MS - 60_000));
        clock.pass(7);
        assert_eq!(time.now_ms(), NOW_MS - 60_000 + 7);
        assert_eq!(time.ahead_ms(last), Some(3_660_000 - limits::LOG_AHEAD_MS_MAX - 7));
        clock.pass(3_660_000 - limits::LOG_AHEAD_MS_MAX - 7);
        assert_eq!(time.ahead_ms(last), None);
    }

    #[test]
    fn a_fast_clock_is_believed_no_further_than_what_others_stored_until_the_log_takes_a_claim() {
        let clock = Clock::stand_in(NOW_MS);
        let time = LogTime::from(clock.clone());
        time.stored(NOW_MS - 60_000);
        assert_eq!(time.now_ms(), NOW_MS, "it is about to claim");
        time.stands_by();
        clock.pass(5);
        assert_eq!(time.now_ms(), NOW_MS - 60_000 + 5);
        time.stored(NOW_MS - 30_000);
        time.stored(NOW_MS - 40_000);
        assert_eq!(time.now_ms(), NOW_MS - 30_000);
        time.claimed();
        assert_eq!(time.now_ms(), NOW_MS + 5, "the log has no time of its own");
        let slow = LogTime::from(clock);
        slow.stands_by();
        slow.stored(NOW_MS + 60_000);
        assert_eq!(slow.now_ms(), NOW_MS + 5, "and a slow one is none of what was stored");
    }

    #[test]
    fn an_answer_that_took_long_says_less() {
        let clock = Clock::stand_in(NOW_MS);
        let time = LogTime::from(clock.clone());
        time.hear(time.asking(), Some(NOW_MS));
        let asked = time.asking();
        clock.pass(10_000);
        time.hear(asked, Some(NOW_MS + 3_000));
        assert_eq!(time.now_ms(), NOW_MS + 10_000, "nothing speaks against what was known");
        let asked = time.asking();
        clock.pass(1_000);
        time.hear(asked, Some(NOW_MS));
        assert_eq!(time.now_ms(), NOW_MS + 1_000, "the log's clock went back");
    }

    #[test]
    fn an_imports_ids_are_never_ahead() {
        let time = LogTime::from(Clock::by_hand(NOW_MS));
        time.hear(time.asking(), Some(NOW_MS - 60_000));
        assert_eq!((time.now_ms(), time.ahead_ms(|| first_id_at(NOW_MS))), (NOW_MS, None));
    }
}
