//! Watchers: which sessions hear of whose presence. Pure.

use std::collections::{HashMap, HashSet};

use fanfare_protocol::Id;

use crate::base::id_map::IdMap;
use crate::realtime::session::SessionId;

/// Watching sessions by person, and watched people by session. What a session changes costs as much as it watches,
/// however many others watch the same people.
#[derive(Debug, Default)]
pub struct Watchers {
    by_person: IdMap<u64, HashMap<SessionId, Id>>,
    by_session: HashMap<SessionId, HashSet<Id>>,
}

impl Watchers {
    /// `session` of `viewer` watches `people`, and nobody else any more.
    pub fn watch(&mut self, (session, viewer): (SessionId, Id), people: impl IntoIterator<Item = Id>) {
        for person in self.by_session.remove(&session).unwrap_or_default() {
            self.leave(session, person);
        }
        let people: HashSet<Id> = people.into_iter().collect();
        for person in &people {
            self.by_person.entry(person.0).or_default().insert(session, viewer);
        }
        if !people.is_empty() {
            self.by_session.insert(session, people);
        }
    }

    /// `session` does not watch `person` any more.
    pub fn forget(&mut self, session: SessionId, person: Id) {
        let Some(people) = self.by_session.get_mut(&session) else { return };
        if people.remove(&person) {
            if people.is_empty() {
                self.by_session.remove(&session);
            }
            self.leave(session, person);
        }
    }

    fn leave(&mut self, session: SessionId, person: Id) {
        if let Some(sessions) = self.by_person.get_mut(&person.0) {
            sessions.remove(&session);
            if sessions.is_empty() {
                self.by_person.remove(&person.0);
            }
        }
    }

    /// Sessions that watch `person`, with their people, in no order.
    pub fn of(&self, person: Id) -> impl Iterator<Item = (SessionId, Id)> + '_ {
        self.by_person.get(&person.0).into_iter().flatten().map(|(session, viewer)| (*session, *viewer))
    }

    /// Whether `session` watches `person`.
    pub fn watches(&self, session: SessionId, person: Id) -> bool {
        self.by_person.get(&person.0).is_some_and(|sessions| sessions.contains_key(&session))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(watchers: &Watchers, person: u64) -> Vec<u64> {
        let mut sessions: Vec<u64> = watchers.of(Id(person)).map(|(session, _)| session.0).collect();
        sessions.sort_unstable();
        sessions
    }

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one() {
        let mut watchers = Watchers::default();
        watchers.watch((SessionId(1), Id(100 + 1)), [Id(7), Id(8), Id(7)]);
        watchers.watch((SessionId(2), Id(100 + 2)), [Id(8)]);
        assert_eq!(of(&watchers, 8), [1, 2]);
        watchers.watch((SessionId(1), Id(100 + 1)), [Id(9)]);
        assert_eq!((of(&watchers, 7), of(&watchers, 8), of(&watchers, 9)), (vec![], vec![2], vec![1]));
        watchers.watch((SessionId(1), Id(100 + 1)), [Id(7), Id(8)]);
        watchers.forget(SessionId(1), Id(8));
        watchers.forget(SessionId(3), Id(8));
        assert_eq!((of(&watchers, 7), of(&watchers, 8)), (vec![1], vec![2]));
        watchers.watch((SessionId(1), Id(100 + 1)), []);
        watchers.watch((SessionId(2), Id(100 + 2)), []);
        assert!(watchers.by_person.is_empty() && watchers.by_session.is_empty());
    }

    /// Steps do not grow with watchers: where a change cost a look at all of them, this took ten thousand million.
    #[test]
    fn a_hundred_thousand_come_to_watch_one_person_and_go() {
        const WATCHERS: u64 = 100_000;
        let mut watchers = Watchers::default();
        for session in 0..WATCHERS {
            watchers.watch((SessionId(session), Id(session)), [Id(7)]);
        }
        assert_eq!(watchers.of(Id(7)).count() as u64, WATCHERS);
        for session in 0..WATCHERS {
            if session % 2 == 0 {
                watchers.forget(SessionId(session), Id(7));
            } else {
                watchers.watch((SessionId(session), Id(session)), []);
            }
        }
        assert!(watchers.by_person.is_empty() && watchers.by_session.is_empty());
    }
}
