//! Verdict on JWTs after a log-out everywhere. Pure.
//!
//! A token names the moment of its issue by the clock of who issued it, and that clock may be ahead of ours. How far it
//! is ahead stands in no token: one that names a moment shortly after a log-out was issued then by a right clock, or
//! before it by one that is ahead. So a log-out ends everything that says it was issued by then, or within the lead
//! that is taken at all (`auth.jwt_ahead_s`). Whoever logs in again gets in with a token that says it was issued later
//! than that.

use fanfare_protocol::Id;

use crate::base::id::unix_ms_of;
use crate::data::rows::CredentialsRow;

/// A log-out everywhere, as far as JWTs are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOut {
    /// Moment of the log-out, in milliseconds since the Unix epoch.
    pub at_ms: u64,
}

impl LogOut {
    /// The last log-out everywhere of these credentials, if there was one.
    #[must_use]
    pub fn of(credentials: &CredentialsRow) -> Option<Self> {
        (credentials.tokens_from > Id(0)).then(|| Self { at_ms: unix_ms_of(credentials.tokens_from) })
    }

    /// Whether it ended a token that says it was issued in the second `issued_s`, where clocks may be ahead by
    /// `ahead_s`.
    #[must_use]
    pub fn ended(self, issued_s: u64, ahead_s: u32) -> bool {
        issued_s.saturating_mul(1_000) <= self.at_ms.saturating_add(u64::from(ahead_s) * 1_000)
    }

    /// Seconds at `now_ms` until a right clock issues tokens that it did not end.
    #[must_use]
    pub fn wait_s(self, ahead_s: u32, now_ms: u64) -> u64 {
        let first_s = self.at_ms.saturating_add(u64::from(ahead_s) * 1_000) / 1_000 + 1;
        (first_s * 1_000).saturating_sub(now_ms).div_ceil(1_000)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn without_any_lead_a_token_ends_by_its_second_and_the_next_is_good() {
        let out = LogOut { at_ms: 1_900_000_000_400 };
        assert!(out.ended(1_900_000_000, 0) && !out.ended(1_900_000_001, 0));
        assert_eq!((out.wait_s(0, out.at_ms), out.wait_s(0, 1_900_000_001_000)), (1, 0));
    }

    proptest! {
        /// Whatever the lead of the clock that issues, and whenever its tokens are shown.
        #[test]
        fn nothing_from_before_a_log_out_is_good_after_it_and_after_the_wait_everything_is(
            at_ms in 1_900_000_000_000..1_900_000_010_000_u64, ahead_s in 0..=60_u32,
            lead_ms in 0..=60_000_u64, before_ms in 0..5_000_u64, later_s in 0..5_000_u64,
        ) {
            let (out, lead_ms) = (LogOut { at_ms }, lead_ms.min(u64::from(ahead_s) * 1_000));
            prop_assert!(out.ended((at_ms - before_ms + lead_ms) / 1_000, ahead_s));
            let again_ms = at_ms + out.wait_s(ahead_s, at_ms) * 1_000;
            prop_assert!(!out.ended((again_ms + lead_ms) / 1_000 + later_s, ahead_s));
        }
    }
}
