//! Presence: pure state, told of sessions, heartbeats and the passing of time.
//!
//! A person is online from the first sign of life until so many seconds after the last one; while a session is open its
//! shard looks after signs of life. So a short loss of all connections is no transition, and nobody flickers.

use std::collections::{BTreeSet, HashMap, VecDeque};

use fanfare_protocol::{Id, Presence as PresenceView, Timestamp};

use crate::base::id_map::IdMap;

#[derive(Debug, Clone, Copy, Default)]
struct State {
    sessions: u32,
    seen_ms: u64,
    online: bool,
}

/// Everybody's presence.
#[derive(Debug)]
pub struct PresenceTable {
    offline_after_ms: u64,
    last_seen_max: usize,
    people: IdMap<u64, State>,
    /// Moments when people without a session count as offline, at the earliest: (moment, person).
    deadlines: BTreeSet<(u64, u64)>,
    /// People who went offline, oldest first, with the moment of their last sign of life: what is forgotten first.
    offline: VecDeque<(u64, u64)>,
}

impl PresenceTable {
    /// Nobody is online; people are offline `offline_after_ms` after their last sign of life, and of `last_seen_max`
    /// people who are offline that moment is kept.
    #[must_use]
    pub fn new(offline_after_ms: u64, last_seen_max: usize) -> Self {
        Self {
            offline_after_ms,
            last_seen_max,
            people: HashMap::default(),
            deadlines: BTreeSet::new(),
            offline: VecDeque::new(),
        }
    }

    fn online(&mut self, user: Id, now_ms: u64, sessions: u32) -> bool {
        let state = self.people.entry(user.0).or_default();
        self.deadlines.remove(&(state.seen_ms.saturating_add(self.offline_after_ms), user.0));
        let came = !state.online;
        *state = State { sessions: state.sessions + sessions, seen_ms: now_ms.max(state.seen_ms), online: true };
        if state.sessions == 0 {
            self.deadlines.insert((state.seen_ms.saturating_add(self.offline_after_ms), user.0));
        }
        came
    }

    /// A session of `user` begins; true when that brings them online.
    pub fn joined(&mut self, user: Id, now_ms: u64) -> bool {
        self.online(user, now_ms, 1)
    }

    /// A sign of life without a session; true when it brings them online.
    pub fn heartbeat(&mut self, user: Id, now_ms: u64) -> bool {
        self.online(user, now_ms, 0)
    }

    /// A session of `user` ends. They stay online for a while.
    pub fn left(&mut self, user: Id, now_ms: u64) {
        let Some(state) = self.people.get_mut(&user.0).filter(|state| state.sessions > 0) else { return };
        state.sessions -= 1;
        state.seen_ms = now_ms.max(state.seen_ms);
        if state.sessions == 0 {
            self.deadlines.insert((state.seen_ms.saturating_add(self.offline_after_ms), user.0));
        }
    }

    /// People who have gone offline by now.
    pub fn due(&mut self, now_ms: u64) -> Vec<Id> {
        let mut gone = Vec::new();
        while let Some((at, user)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now_ms) {
            self.deadlines.remove(&(at, user));
            let Some(state) = self.people.get_mut(&user).filter(|state| state.sessions == 0 && state.online) else {
                continue;
            };
            state.online = false;
            self.offline.push_back((state.seen_ms, user));
            gone.push(Id(user));
        }
        while self.offline.len() > self.last_seen_max {
            let Some((seen_ms, user)) = self.offline.pop_front() else { break };
            if self.people.get(&user).is_some_and(|state| !state.online && state.seen_ms == seen_ms) {
                self.people.remove(&user);
            }
        }
        gone
    }

    /// People with a session here.
    #[must_use]
    pub fn connected(&self) -> Vec<Id> {
        self.people.iter().filter(|(_, state)| state.sessions > 0).map(|(user, _)| Id(*user)).collect()
    }

    /// Presence of `user`.
    #[must_use]
    pub fn of(&self, user: Id, now_ms: u64) -> PresenceView {
        let state = self.people.get(&user.0).copied();
        let seen = |state: State| if state.sessions > 0 { now_ms } else { state.seen_ms };
        PresenceView {
            user_id: user,
            online: state.is_some_and(|state| state.online),
            last_seen_at: state.map(|state| Timestamp(seen(state))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_loss_of_all_devices_is_no_transition() {
        let mut presence = PresenceTable::new(90, 10);
        assert!(presence.joined(Id(1), 0) && !presence.joined(Id(1), 5));
        presence.left(Id(1), 10);
        presence.left(Id(1), 20);
        assert!(presence.due(109).is_empty() && !presence.joined(Id(1), 109));
        presence.left(Id(1), 120);
        assert_eq!(presence.due(210), [Id(1)]);
        assert!(!presence.of(Id(1), 210).online && presence.of(Id(2), 210).last_seen_at.is_none());
        assert!(presence.heartbeat(Id(1), 300));
    }

    proptest! {
        /// Against the definition: online while a session is open, or less than 90 after the last sign of life.
        #[test]
        fn presence_is_what_its_definition_says(steps in prop::collection::vec((0_u64..3, 0_u8..3, 0_u64..60), 1..100)) {
            let mut presence = PresenceTable::new(90, 1_000);
            let mut model: BTreeMap<u64, (u32, u64)> = BTreeMap::new();
            let mut now = 1_000;
            for (user, what, pause) in steps {
                now += pause;
                presence.due(now);
                let state = model.entry(user).or_insert((0, 0));
                let was = state.0 > 0 || (state.1 > 0 && now < state.1 + 90);
                match what {
                    0 => {
                        prop_assert_eq!(presence.joined(Id(user), now), !was);
                        *state = (state.0 + 1, now);
                    }
                    1 => {
                        prop_assert_eq!(presence.heartbeat(Id(user), now), !was);
                        state.1 = now;
                    }
                    _ if state.0 > 0 => {
                        presence.left(Id(user), now);
                        *state = (state.0 - 1, now);
                    }
                    _ => {}
                }
                for (user, (sessions, seen)) in &model {
                    let online = *sessions > 0 || (*seen > 0 && now < seen + 90);
                    prop_assert_eq!(presence.of(Id(*user), now).online, online);
                }
            }
        }
    }
}
