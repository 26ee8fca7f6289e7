//! Readers: the index from an author to the readers who are connected. Pure; the dispatcher owns it.
//!
//! A seat is a person with sessions, or one whose last session ended a moment ago. Whom a person follows is read from
//! the tables once a seat; follows and unfollows that are committed meanwhile are kept and done again over what was
//! read, so that the last one wins.

use fanfare_protocol::Id;
use slab::Slab;
use smallvec::SmallVec;

use crate::base::id_map::IdMap;
use crate::base::slot_list::SlotList;
use crate::realtime::cursor::Watermarks;
use crate::realtime::session::SessionId;

/// Number of a seat.
pub type SeatNumber = u32;

/// A session that waits for its person's follows to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// The session.
    pub session: SessionId,
    /// Watermarks of its client.
    pub from: Watermarks,
}

#[derive(Debug)]
enum FolloweeList {
    /// Being read; what was committed meanwhile: (author, follows).
    Loading { changes: Vec<(Id, bool)>, waiting: Vec<Waiting> },
    /// Numbers of authors, sorted.
    Known(Box<[u32]>),
}

#[derive(Debug)]
struct Seat {
    user: Id,
    sessions: SmallVec<[SessionId; 1]>,
    follows: FolloweeList,
}

#[derive(Debug)]
struct Author {
    id: Id,
    readers: SlotList,
}

/// Wait of a session that begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Join {
    /// The person is new here: read whom they follow.
    Load,
    /// Reading that is under way.
    Wait,
    /// Nothing.
    Ready,
}

/// Everybody who is here.
#[derive(Debug, Default)]
pub struct Readers {
    seats: Slab<Seat>,
    by_user: IdMap<u64, SeatNumber>,
    authors: Slab<Author>,
    by_author: IdMap<u64, u32>,
}

impl Readers {
    /// A session of `user` begins.
    pub fn join(&mut self, user: Id, waiting: Waiting) -> Join {
        if let Some(seat) = self.by_user.get(&user.0).and_then(|number| self.seats.get_mut(*number as usize)) {
            seat.sessions.push(waiting.session);
            return match &mut seat.follows {
                FolloweeList::Known(_) => Join::Ready,
                FolloweeList::Loading { waiting: others, .. } => {
                    others.push(waiting);
                    Join::Wait
                }
            };
        }
        let follows = FolloweeList::Loading { changes: Vec::new(), waiting: vec![waiting] };
        let number = self.seats.insert(Seat { user, sessions: SmallVec::from_buf([waiting.session]), follows });
        self.by_user.insert(user.0, number as SeatNumber);
        Join::Load
    }

    /// Takes the followees of `user` as they were read; answers the sessions that waited for it.
    pub fn loaded(&mut self, user: Id, followees: Vec<Id>) -> Vec<Waiting> {
        let Some(number) = self.by_user.get(&user.0).copied() else { return Vec::new() };
        let Some(seat) = self.seats.get_mut(number as usize) else { return Vec::new() };
        let FolloweeList::Loading { changes, waiting } = &mut seat.follows else { return Vec::new() };
        let (changes, waiting) = (std::mem::take(changes), std::mem::take(waiting));
        let mut all = followees;
        for (author, follows) in changes {
            all.retain(|other| *other != author);
            if follows {
                all.push(author);
            }
        }
        // Own posts come like those of followees.
        all.push(user);
        all.sort_unstable();
        all.dedup();
        let mut known: Vec<u32> = all.into_iter().map(|author| self.subscribe(author, number)).collect();
        known.sort_unstable();
        if let Some(seat) = self.seats.get_mut(number as usize) {
            seat.follows = FolloweeList::Known(known.into_boxed_slice());
        }
        waiting
    }

    /// A session ends; true when it was its person's last.
    pub fn leave(&mut self, user: Id, session: SessionId) -> bool {
        let Some(seat) = self.by_user.get(&user.0).and_then(|number| self.seats.get_mut(*number as usize)) else {
            return false;
        };
        let before = seat.sessions.len();
        seat.sessions.retain(|other| *other != session);
        if let FolloweeList::Loading { waiting, .. } = &mut seat.follows {
            waiting.retain(|other| other.session != session);
        }
        before > 0 && seat.sessions.is_empty()
    }

    /// The person's seat is given up; false when a session is left, or their follows are just being read: what is read
    /// must not meet a later seat.
    pub fn vacate(&mut self, user: Id) -> bool {
        let Some(number) = self.by_user.get(&user.0).copied() else { return true };
        let in_use = |seat: &Seat| !seat.sessions.is_empty() || matches!(seat.follows, FolloweeList::Loading { .. });
        if self.seats.get(number as usize).is_some_and(in_use) {
            return false;
        }
        self.by_user.remove(&user.0);
        if let FolloweeList::Known(known) = self.seats.remove(number as usize).follows {
            for author in &known {
                self.unsubscribe(*author, number);
            }
        }
        true
    }

    /// A follow was committed, or its end.
    pub fn changed(&mut self, reader: Id, author: Id, follows: bool) {
        let Some(number) = self.by_user.get(&reader.0).copied() else { return };
        let Some(seat) = self.seats.get_mut(number as usize) else { return };
        match &mut seat.follows {
            FolloweeList::Loading { changes, .. } => changes.push((author, follows)),
            FolloweeList::Known(known) => {
                let mut list = std::mem::take(known).into_vec();
                let author = if follows {
                    self.subscribe(author, number)
                } else {
                    self.by_author.get(&author.0).copied().unwrap_or(u32::MAX)
                };
                match (list.binary_search(&author), follows) {
                    (Err(at), true) => list.insert(at, author),
                    (Ok(at), false) => {
                        list.remove(at);
                        self.unsubscribe(author, number);
                    }
                    _ => {}
                }
                if let Some(seat) = self.seats.get_mut(number as usize) {
                    seat.follows = FolloweeList::Known(list.into_boxed_slice());
                }
            }
        }
    }

    /// Appends up to `max` seats above `after` whose people follow `author`, or are that person.
    pub fn audience(&self, author: Id, after: Option<SeatNumber>, max: usize, out: &mut Vec<SeatNumber>) -> usize {
        let author = self.by_author.get(&author.0).and_then(|number| self.authors.get(*number as usize));
        author.map_or(0, |author| author.readers.copy_from(after, max, out))
    }

    /// The person of a seat, and their sessions.
    #[must_use]
    pub fn seat(&self, number: SeatNumber) -> Option<(Id, &[SessionId])> {
        self.seats.get(number as usize).map(|seat| (seat.user, seat.sessions.as_slice()))
    }

    fn follows(&self, number: SeatNumber, author: Id) -> bool {
        let Some(author) = self.by_author.get(&author.0) else { return false };
        match self.seats.get(number as usize).map(|seat| &seat.follows) {
            Some(FolloweeList::Known(known)) => known.binary_search(author).is_ok(),
            _ => false,
        }
    }

    /// Whether the person of this seat hears of what concerns `with` too: follows them, or is them.
    #[must_use]
    pub fn hears(&self, number: SeatNumber, with: Option<Id>) -> bool {
        let Some(with) = with else { return true };
        self.seats.get(number as usize).is_some_and(|seat| seat.user == with) || self.follows(number, with)
    }

    /// The seat of a person.
    #[must_use]
    pub fn seat_of(&self, user: Id) -> Option<SeatNumber> {
        self.by_user.get(&user.0).copied()
    }

    /// All seats.
    pub fn seats(&self) -> impl Iterator<Item = SeatNumber> + '_ {
        self.seats.iter().map(|(number, _)| number as SeatNumber)
    }

    /// The sessions of a person.
    #[must_use]
    pub fn sessions_of(&self, user: Id) -> &[SessionId] {
        let seat = self.by_user.get(&user.0).and_then(|number| self.seats.get(*number as usize));
        seat.map_or(&[], |seat| seat.sessions.as_slice())
    }

    /// People who are here.
    #[must_use]
    pub fn len(&self) -> usize {
        self.seats.len()
    }

    fn subscribe(&mut self, author: Id, seat: SeatNumber) -> u32 {
        let number = match self.by_author.get(&author.0) {
            Some(number) => *number,
            None => {
                let number = self.authors.insert(Author { id: author, readers: SlotList::default() }) as u32;
                self.by_author.insert(author.0, number);
                number
            }
        };
        if let Some(author) = self.authors.get_mut(number as usize) {
            author.readers.insert(seat);
        }
        number
    }

    /// An author whom nobody here follows any more is forgotten.
    fn unsubscribe(&mut self, author: u32, seat: SeatNumber) {
        let Some(entry) = self.authors.get_mut(author as usize) else { return };
        entry.readers.remove(seat);
        if entry.readers.is_empty() {
            let gone = self.authors.remove(author as usize);
            self.by_author.remove(&gone.id.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    fn waiting(session: u64) -> Waiting {
        Waiting { session: SessionId(session), from: [Id(0); 4] }
    }

    fn audience(readers: &Readers, author: u64) -> BTreeSet<u64> {
        let (mut seats, mut after) = (Vec::new(), None);
        while readers.audience(Id(author), after, 2, &mut seats) > 0 {
            after = seats.last().copied();
        }
        seats.into_iter().map(|seat| readers.seat(seat).unwrap().0.0).collect()
    }

    #[derive(Debug, Clone)]
    enum Step {
        Join(u64, u64),
        Load(u64),
        Leave(u64, u64),
        Vacate(u64),
        Change(u64, u64, bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        let user = 1_u64..5;
        prop_oneof![
            (user.clone(), 0_u64..3).prop_map(|(user, session)| Step::Join(user, session)),
            user.clone().prop_map(Step::Load),
            (user.clone(), 0_u64..3).prop_map(|(user, session)| Step::Leave(user, session)),
            user.clone().prop_map(Step::Vacate),
            (user.clone(), user, any::<bool>())
                .prop_map(|(reader, author, follows)| Step::Change(reader, author, follows)),
        ]
    }

    proptest! {
        /// The tables are the truth at every moment; a load sees some state between the join and its end.
        #[test]
        fn the_index_is_what_the_tables_say_of_those_who_are_here(steps in prop::collection::vec(step(), 1..80), early: bool) {
            let mut readers = Readers::default();
            let mut follows: BTreeSet<(u64, u64)> = BTreeSet::new();
            let mut sessions: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
            let mut loading: BTreeMap<u64, Vec<Id>> = BTreeMap::new();
            let mut known: BTreeSet<u64> = BTreeSet::new();
            let read = |follows: &BTreeSet<(u64, u64)>, user: u64| {
                follows.iter().filter(|edge| edge.0 == user).map(|edge| Id(edge.1)).collect::<Vec<_>>()
            };
            for step in steps {
                match step {
                    Step::Join(user, session) => {
                        if sessions.entry(user).or_default().insert(session) {
                            let joined = readers.join(Id(user), waiting(user * 10 + session));
                            prop_assert_eq!(joined == Join::Ready, known.contains(&user));
                            if joined == Join::Load {
                                loading.insert(user, read(&follows, user));
                            }
                        }
                    }
                    Step::Load(user) => if let Some(seen) = loading.remove(&user) {
                        let seen = if early { seen } else { read(&follows, user) };
                        readers.loaded(Id(user), seen);
                        known.insert(user);
                    }
                    Step::Leave(user, session) => {
                        let had = sessions.entry(user).or_default().remove(&session);
                        let last = readers.leave(Id(user), SessionId(user * 10 + session));
                        prop_assert_eq!(last, had && sessions[&user].is_empty());
                    }
                    Step::Vacate(user) => if !loading.contains_key(&user) {
                        let empty = sessions.get(&user).is_none_or(BTreeSet::is_empty);
                        prop_assert_eq!(readers.vacate(Id(user)), empty);
                        if empty {
                            known.remove(&user);
                        }
                    }
                    Step::Change(reader, author, add) => if reader != author {
                        if add { follows.insert((reader, author)); } else { follows.remove(&(reader, author)); }
                        readers.changed(Id(reader), Id(author), add);
                    }
                }
                for author in 1..5 {
                    let expected: BTreeSet<u64> = known.iter().copied()
                        .filter(|reader| *reader == author || follows.contains(&(*reader, author))).collect();
                    prop_assert_eq!(audience(&readers, author), expected);
                }
            }
        }
    }
}
