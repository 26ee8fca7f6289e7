//! Which sessions watch whose presence. Pure.

use std::collections::HashMap;

use fanfare_protocol::Id;

use crate::base::id_map::IdMap;
use crate::realtime::session::SessionId;

/// Both ways round.
#[derive(Debug, Default)]
pub struct Watchers {
    by_person: IdMap<u64, Vec<SessionId>>,
    by_session: HashMap<SessionId, Vec<Id>>,
}

impl Watchers {
    /// `session` watches `people`, and nobody else any more.
    pub fn watch(&mut self, session: SessionId, people: Vec<Id>) {
        for person in self.by_session.remove(&session).unwrap_or_default() {
            if let Some(sessions) = self.by_person.get_mut(&person.0) {
                sessions.retain(|other| *other != session);
                if sessions.is_empty() {
                    self.by_person.remove(&person.0);
                }
            }
        }
        for person in &people {
            let sessions = self.by_person.entry(person.0).or_default();
            if !sessions.contains(&session) {
                sessions.push(session);
            }
        }
        if !people.is_empty() {
            self.by_session.insert(session, people);
        }
    }

    /// `session` does not watch `person` any more.
    pub fn forget(&mut self, session: SessionId, person: Id) {
        let Some(mut people) = self.by_session.get(&session).cloned() else { return };
        people.retain(|other| *other != person);
        self.watch(session, people);
    }

    /// Who watches `person`.
    #[must_use]
    pub fn of(&self, person: Id) -> &[SessionId] {
        self.by_person.get(&person.0).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_list_takes_the_place_of_the_old_one() {
        let mut watchers = Watchers::default();
        watchers.watch(SessionId(1), vec![Id(7), Id(8), Id(7)]);
        watchers.watch(SessionId(2), vec![Id(8)]);
        assert_eq!(watchers.of(Id(8)), [SessionId(1), SessionId(2)]);
        watchers.watch(SessionId(1), vec![Id(9)]);
        assert_eq!(
            (watchers.of(Id(7)).len(), watchers.of(Id(8)), watchers.of(Id(9)).len()),
            (0, &[SessionId(2)][..], 1)
        );
        watchers.watch(SessionId(1), vec![Id(7), Id(8)]);
        watchers.forget(SessionId(1), Id(8));
        watchers.forget(SessionId(3), Id(8));
        assert_eq!((watchers.of(Id(7)).len(), watchers.of(Id(8))), (1, &[SessionId(2)][..]));
        watchers.watch(SessionId(1), vec![]);
        watchers.watch(SessionId(2), vec![]);
        assert!(watchers.by_person.is_empty() && watchers.by_session.is_empty());
    }
}
