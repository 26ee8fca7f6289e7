//! Bounds of wrong passwords that are let through: so many for one account from one network, and so many from a
//! network. Pure.
//!
//! Counted by account *and* network, guessing locks nobody out who comes from elsewhere. An attempt that is being
//! looked at may turn out wrong, so that it holds a place: many at once get no more guesses than one after the other.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::base::limits::auth::{ATTEMPTS_WAITING_MAX, WRONG_PASSWORDS_MAX};
use crate::base::network::Network;

/// Bounds of wrong passwords: how many, within what time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Wrong passwords for one account from one network.
    pub per_account: usize,
    /// Wrong passwords from one network.
    pub per_network: usize,
    /// Time for which one counts, in milliseconds.
    pub window_ms: u64,
}

/// An account by a hash of its handle, whether or not there is such an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct HandleHash(pub u64);

/// Verdict on an attempt that begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Look at the password, then [`Attempts::settle`].
    Go,
    /// Ask again once another attempt is settled: those under way may use up what is left.
    Wait,
    /// Do not look at it. In so many milliseconds there will be room.
    Refused {
        /// Above 0.
        retry_after_ms: u64,
    },
}

/// Outcome of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tried {
    /// The password; wrong ones for this account from this network are forgotten.
    Right,
    /// Not the password.
    Wrong,
    /// Nobody looked.
    Unknown,
}

/// Wrong passwords of one account and network, or of one network.
#[derive(Debug, Default)]
struct Side {
    /// Moments in milliseconds, oldest first.
    wrong: VecDeque<u64>,
    /// Attempts under way.
    pending: usize,
    /// Requests that wait for one of them; of a network only.
    waiting: usize,
}

impl Side {
    /// Milliseconds until there is room; `None` when there is.
    fn full_for(&self, bound: usize, now_ms: u64, window_ms: u64) -> Option<u64> {
        let first = self.wrong.len().checked_sub(bound)?;
        let at_ms = self.wrong.get(first).copied().unwrap_or(now_ms);
        Some((at_ms + window_ms).saturating_sub(now_ms).max(1))
    }
}

/// Wrong passwords of the last while; at most [`WRONG_PASSWORDS_MAX`].
#[derive(Debug)]
pub struct Attempts {
    bounds: Bounds,
    pairs: HashMap<(HandleHash, Network), Side>,
    networks: HashMap<Network, Side>,
    /// Every wrong one, oldest first: what expires next.
    log: VecDeque<(u64, HandleHash, Network)>,
    log_max: usize,
}

impl Attempts {
    /// No attempts yet.
    #[must_use]
    pub fn new(bounds: Bounds) -> Self {
        Self::remembering(bounds, WRONG_PASSWORDS_MAX)
    }

    fn remembering(bounds: Bounds, log_max: usize) -> Self {
        Self { bounds, pairs: HashMap::new(), networks: HashMap::new(), log: VecDeque::new(), log_max }
    }

    /// Whether a password for `account` from `network` is looked at.
    pub fn begin(&mut self, now_ms: u64, account: HandleHash, network: Network) -> Admission {
        let Bounds { per_account, per_network, window_ms } = self.bounds;
        while self.log.front().is_some_and(|(at_ms, ..)| at_ms + window_ms <= now_ms) {
            self.forget_oldest();
        }
        let key = (account, network);
        let full = [
            self.pairs.get(&key).and_then(|side| side.full_for(per_account, now_ms, window_ms)),
            self.networks.get(&network).and_then(|side| side.full_for(per_network, now_ms, window_ms)),
        ];
        if let Some(retry_after_ms) = full.into_iter().flatten().max() {
            return Admission::Refused { retry_after_ms };
        }
        // Looked at without being made: nobody gives an entry back for an attempt that was not let go on.
        let has_room = |side: Option<&Side>, bound| side.map_or(0, |side| side.wrong.len() + side.pending) < bound;
        if !(has_room(self.pairs.get(&key), per_account) && has_room(self.networks.get(&network), per_network)) {
            return Admission::Wait;
        }
        self.pairs.entry(key).or_default().pending += 1;
        self.networks.entry(network).or_default().pending += 1;
        Admission::Go
    }

    /// Settles an attempt that was let [`Go`](Admission::Go).
    pub fn settle(&mut self, now_ms: u64, account: HandleHash, network: Network, outcome: Tried) {
        // In order of moments, also where the clock went back.
        let now_ms = self.log.back().map_or(now_ms, |(last_ms, ..)| now_ms.max(*last_ms));
        if outcome == Tried::Wrong {
            while self.log.len() >= self.log_max {
                self.forget_oldest();
            }
            self.log.push_back((now_ms, account, network));
        }
        let settle = |side: &mut Side| {
            side.pending = side.pending.saturating_sub(1);
            if outcome == Tried::Wrong {
                side.wrong.push_back(now_ms);
            }
        };
        let pair = self.pairs.entry((account, network)).or_default();
        settle(pair);
        if outcome == Tried::Right {
            pair.wrong.clear();
        }
        settle(self.networks.entry(network).or_default());
        drop_empty(&mut self.pairs, &(account, network));
        drop_empty(&mut self.networks, &network);
    }

    /// Counts one more request of `network` that waits, as [`Admission::Wait`] tells it to; false when too many of it
    /// do already.
    pub fn wait(&mut self, network: Network) -> bool {
        let whole = self.networks.entry(network).or_default();
        let room = whole.waiting < ATTEMPTS_WAITING_MAX;
        whole.waiting += usize::from(room);
        drop_empty(&mut self.networks, &network);
        room
    }

    /// Ends the wait of one request.
    pub fn waited(&mut self, network: Network) {
        if let Some(whole) = self.networks.get_mut(&network) {
            whole.waiting = whole.waiting.saturating_sub(1);
        }
        drop_empty(&mut self.networks, &network);
    }

    fn forget_oldest(&mut self) {
        let Some((at_ms, account, network)) = self.log.pop_front() else { return };
        let forget = |side: &mut Side| {
            // Those of an account that were forgotten for a right password are gone already.
            if side.wrong.front() == Some(&at_ms) {
                side.wrong.pop_front();
            }
        };
        self.pairs.get_mut(&(account, network)).into_iter().for_each(forget);
        self.networks.get_mut(&network).into_iter().for_each(forget);
        drop_empty(&mut self.pairs, &(account, network));
        drop_empty(&mut self.networks, &network);
    }
}

fn drop_empty<K: Hash + Eq>(sides: &mut HashMap<K, Side>, key: &K) {
    if sides.get(key).is_some_and(|side| side.wrong.is_empty() && side.pending == 0 && side.waiting == 0) {
        sides.remove(key);
    }
}

#[cfg(test)]
#[path = "attempts_tests.rs"]
mod tests;
