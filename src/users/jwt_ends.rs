//! Verdict on JWTs after a log-out everywhere: those that were issued before it end, by the clock of who issued them.
//!
//! Pure but for the memory in [`Leads`]. That clock may be ahead of ours by up to `auth.jwt_ahead_s`: its tokens then
//! name a moment that has not come yet. How far it is ahead is seen on the tokens themselves, since nobody shows one
//! before it was issued; a log-out ends what that clock had issued by then. Where no token was seen of late, nothing is
//! known of it, and the log-out ends everything within the lead that is taken at all.

use fanfare_protocol::Id;
use parking_lot::Mutex;

use crate::base::id::unix_ms_of;
use crate::data::rows::CredentialsRow;

/// Milliseconds after which what was seen of other clocks is forgotten: within twice of it.
const MEMORY_MS: u64 = 3_600_000;

/// A log-out everywhere, as far as JWTs are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOut {
    /// Moment of the log-out, in milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// Moment up to which tokens that say they were issued by then have ended; at or after `at_ms`.
    pub upto_ms: u64,
}

/// Verdict on a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Issued after the log-out.
    Good,
    /// Issued before.
    Ended,
    /// Issued by a clock that is further ahead than was known at the log-out: it may be from before, and so may be all
    /// that this clock had issued by then.
    Doubtful,
}

impl LogOut {
    /// The last log-out everywhere of these credentials, if there was one.
    #[must_use]
    pub fn of(credentials: &CredentialsRow) -> Option<Self> {
        let at_ms = match credentials.ended_at_ms {
            0 => unix_ms_of(credentials.tokens_from),
            at_ms => at_ms,
        };
        (credentials.tokens_from > Id(0)).then(|| Self { at_ms, upto_ms: credentials.jwts_upto_ms.max(at_ms) })
    }

    /// Verdict at `now_ms` on a token that says it was issued at `issued_ms`, where clocks may be ahead by `ahead_ms`.
    #[must_use]
    pub fn judge(self, issued_ms: u64, now_ms: u64, ahead_ms: u64) -> Verdict {
        if issued_ms <= self.upto_ms {
            return Verdict::Ended;
        }
        let lead_ms = issued_ms.saturating_sub(now_ms);
        let known_ms = self.upto_ms.saturating_sub(self.at_ms);
        // Whole seconds in tokens: a lead is known to the second.
        if lead_ms >= known_ms + 1_000 && issued_ms <= self.at_ms.saturating_add(ahead_ms) {
            return Verdict::Doubtful;
        }
        Verdict::Good
    }

    /// Seconds at `now_ms` until a right clock issues tokens that it did not end.
    #[must_use]
    pub fn wait_s(self, now_ms: u64) -> u64 {
        ((self.upto_ms / 1_000 + 1) * 1_000).saturating_sub(now_ms).div_ceil(1_000)
    }
}

/// Memory of how far the clocks of those who issue tokens were ahead of ours of late.
#[derive(Debug, Default)]
pub struct Leads(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    since_ms: u64,
    /// Highest lead since then, and in the stretch of time before; `None` where no token was seen.
    highest_ms: [Option<u64>; 2],
}

impl Leads {
    /// Notes that a token which says it was issued at `issued_ms` was shown at `now_ms`.
    pub fn note(&self, issued_ms: u64, now_ms: u64) {
        let lead_ms = issued_ms.saturating_sub(now_ms);
        let mut seen = self.0.lock();
        seen.go_on(now_ms);
        seen.highest_ms[0] = seen.highest_ms[0].max(Some(lead_ms));
    }

    /// The highest lead of late, at `now_ms`; `None` where no token was seen.
    #[must_use]
    pub fn highest_ms(&self, now_ms: u64) -> Option<u64> {
        let mut seen = self.0.lock();
        seen.go_on(now_ms);
        seen.highest_ms.into_iter().max().flatten()
    }
}

impl Seen {
    fn go_on(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.since_ms) / MEMORY_MS;
        if passed > 0 {
            self.highest_ms = [None, if passed == 1 { self.highest_ms[0] } else { None }];
            self.since_ms = now_ms;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T: u64 = 1_900_000_000_000;
    const AHEAD: u64 = 60_000;

    #[test]
    fn a_token_of_a_right_clock_ends_by_its_second_and_the_next_is_good() {
        let out = LogOut { at_ms: T, upto_ms: T };
        assert_eq!(out.judge(T, T + 10, AHEAD), Verdict::Ended);
        assert_eq!(out.judge(T + 1_000, T + 1_000, AHEAD), Verdict::Good);
        // A clock that is ahead by less than a second is none that is ahead.
        assert_eq!(out.judge(T + 1_000, T + 300, AHEAD), Verdict::Good);
    }

    #[test]
    fn a_clock_that_is_known_to_be_ahead_costs_nobody_a_needless_refusal() {
        let out = LogOut { at_ms: T, upto_ms: T + 40_000 };
        assert_eq!(out.judge(T + 40_000, T + 50_000, AHEAD), Verdict::Ended);
        assert_eq!(out.judge(T + 45_000, T + 5_000, AHEAD), Verdict::Good);
    }

    #[test]
    fn a_clock_that_shows_itself_ahead_only_after_the_log_out_is_in_doubt_until_the_leeway_has_passed() {
        let out = LogOut { at_ms: T, upto_ms: T };
        assert_eq!(out.judge(T + 40_000, T + 1_000, AHEAD), Verdict::Doubtful);
        assert_eq!(out.judge(T + 61_000, T + 21_000, AHEAD), Verdict::Good);
    }

    #[test]
    fn a_lead_is_forgotten_when_it_was_not_seen_for_a_while() {
        let leads = Leads::default();
        leads.note(T + 40_000, T);
        leads.note(T - 5, T);
        assert_eq!(leads.highest_ms(T + MEMORY_MS - 1), Some(40_000));
        assert_eq!(leads.highest_ms(T + MEMORY_MS), Some(40_000));
        assert_eq!(leads.highest_ms(T + 2 * MEMORY_MS), None, "nothing is known");
        leads.note(T - 5, T + 2 * MEMORY_MS);
        assert_eq!(leads.highest_ms(T + 2 * MEMORY_MS), Some(0), "it is right");
    }

    proptest! {
        /// Whatever the lead, once it was seen: no token from before a log-out is good after it, and every later one
        /// is.
        #[test]
        fn what_a_known_clock_issued_before_is_ended_and_what_it_issues_later_is_good(
            lead in 0..=60_u64, before in 0..5_000_u64, after in 1..5_000_u64, shown in 0..5_000_u64,
        ) {
            let lead_ms = lead * 1_000;
            let leads = Leads::default();
            leads.note(T + lead_ms, T);
            let out = LogOut { at_ms: T, upto_ms: T + leads.highest_ms(T).unwrap() };
            prop_assert_eq!(out.judge(T + lead_ms - before * 1_000, T + shown * 1_000, AHEAD), Verdict::Ended);
            let issued_at = T + after * 1_000;
            prop_assert_eq!(out.judge(issued_at + lead_ms, issued_at + shown * 1_000, AHEAD), Verdict::Good);
        }
    }
}
