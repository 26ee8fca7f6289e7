//! Chooses how an author's posts reach followers: `push`, `push_late` or `pull`. Pure; the owner stamps the answer
//! on each post, so that every later reader of the record knows what happened.

use crate::log::events::Policy;

/// An author leaves a tier only after crossing its threshold by this many per cent.
const HYSTERESIS_PERCENT: u64 = 10;

/// Followers at which the tiers begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds {
    /// Followers below which posts are pushed: `push`.
    pub push_below: u64,
    /// Followers above which posts are pulled: `pull`. In between: `push_late`.
    pub pull_above: u64,
}

/// Memory of an author's policy.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolicyState {
    current: Option<Policy>,
    pinned: Option<Policy>,
    flipped_at_ms: u64,
}

impl PolicyState {
    /// The policy of the next post. A flip comes at most every `flip_interval_ms`; a pinned policy always wins. The
    /// flag tells whether this was a flip.
    pub fn stamp(
        &mut self,
        followers: u64,
        thresholds: Thresholds,
        now_ms: u64,
        flip_interval_ms: u64,
    ) -> (Policy, bool) {
        let chosen = self.pinned.unwrap_or_else(|| choose(self.current, followers, thresholds));
        let Some(current) = self.current else {
            self.current = Some(chosen);
            return (chosen, false);
        };
        let too_soon = self.flipped_at_ms != 0 && now_ms.saturating_sub(self.flipped_at_ms) < flip_interval_ms;
        if chosen == current || (too_soon && self.pinned.is_none()) {
            return (current, false);
        }
        self.current = Some(chosen);
        self.flipped_at_ms = now_ms;
        (chosen, true)
    }

    /// The policy of the last post.
    #[must_use]
    pub fn current(&self) -> Option<Policy> {
        self.current
    }

    /// Holds the policy, or lets it go again.
    pub fn pin(&mut self, policy: Option<Policy>) {
        self.pinned = policy;
    }
}

/// Chooses how a post of this author reaches followers.
///
/// Hysteresis: an author leaves a tier only after crossing its threshold by [`HYSTERESIS_PERCENT`], so that a following
/// that wavers around 10,000 does not flip with each follow. Without a current policy the plain thresholds decide.
#[must_use]
pub fn choose(current: Option<Policy>, followers: u64, thresholds: Thresholds) -> Policy {
    // Per cent of the threshold that must be reached: more from below, less from above.
    let percent = |is_above: Option<bool>| match is_above {
        None => 100,
        Some(false) => 100 + HYSTERESIS_PERCENT,
        Some(true) => 100 - HYSTERESIS_PERCENT,
    };
    let scaled = |threshold: u64, percent: u64| u128::from(threshold) * u128::from(percent);
    let followers = u128::from(followers) * 100;
    let pulled = percent(current.map(|current| current == Policy::Pull));
    let late = percent(current.map(|current| current != Policy::Push));
    if followers > scaled(thresholds.pull_above, pulled) {
        Policy::Pull
    } else if followers >= scaled(thresholds.push_below, late) {
        Policy::PushLate
    } else {
        Policy::Push
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Thresholds = Thresholds { push_below: 10_000, pull_above: 1_000_000 };

    #[test]
    fn the_first_choice_follows_the_plain_thresholds() {
        assert_eq!(choose(None, 9_999, T), Policy::Push);
        assert_eq!(choose(None, 10_000, T), Policy::PushLate);
        assert_eq!(choose(None, 1_000_000, T), Policy::PushLate);
        assert_eq!(choose(None, 1_000_001, T), Policy::Pull);
    }

    #[test]
    fn an_author_who_wavers_around_the_threshold_keeps_the_policy() {
        for followers in 9_001..=10_999 {
            assert_eq!(choose(Some(Policy::Push), followers, T), Policy::Push);
            assert_eq!(choose(Some(Policy::PushLate), followers, T), Policy::PushLate);
        }
        assert_eq!(choose(Some(Policy::Push), 11_000, T), Policy::PushLate);
        assert_eq!(choose(Some(Policy::PushLate), 8_999, T), Policy::Push);
        assert_eq!(choose(Some(Policy::PushLate), 1_100_001, T), Policy::Pull);
        assert_eq!(choose(Some(Policy::Pull), 900_001, T), Policy::Pull);
        assert_eq!(choose(Some(Policy::Pull), 900_000, T), Policy::PushLate);
        assert_eq!(choose(Some(Policy::Pull), 3, T), Policy::Push);
    }

    #[test]
    fn flips_are_rate_limited_and_a_pin_is_not() {
        let mut state = PolicyState::default();
        assert_eq!(state.stamp(5, T, 1_000, 60_000), (Policy::Push, false));
        assert_eq!(state.stamp(20_000, T, 1_001, 60_000), (Policy::PushLate, true));
        assert_eq!(state.stamp(5, T, 2_000, 60_000), (Policy::PushLate, false));
        state.pin(Some(Policy::Pull));
        assert_eq!(state.stamp(5, T, 2_001, 60_000), (Policy::Pull, true));
        state.pin(None);
        assert_eq!(state.stamp(5, T, 2_002, 60_000), (Policy::Pull, false));
        assert_eq!(state.stamp(5, T, 62_001, 60_000), (Policy::Push, true));
    }

    #[test]
    fn thresholds_that_cross_still_choose() {
        let crossed = Thresholds { push_below: 100, pull_above: 10 };
        assert_eq!(choose(None, 50, crossed), Policy::Pull);
        assert_eq!(choose(None, 5, crossed), Policy::Push);
        assert_eq!(
            choose(Some(Policy::Push), u64::MAX, Thresholds { push_below: u64::MAX, pull_above: u64::MAX }),
            Policy::Push
        );
    }
}
