//! Contributions of absent people to the counts of others: their likes, replies, reposts and follows stay in the stored
//! counters, and so do bare reposts of what they wrote; every read takes them off for as long as they are absent.
//! Rebuildable state in memory, kept true by records.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_engines::RowKey;
use fanfare_protocol::Id;
use parking_lot::RwLock;

use crate::base::limits::UNCOUNTED_MAX;
use crate::data::rows::{Counters, OfPost, OfUser, PostRef};
use crate::data::tables;

/// Owner of the counters that a contribution is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Of {
    /// A person's.
    User(Id),
    /// A post's.
    Post(Id),
}

impl Of {
    /// The row of the counters.
    #[must_use]
    pub fn row(self) -> RowKey {
        match self {
            Self::User(id) => tables::by_id(tables::USER_COUNTERS, id),
            Self::Post(id) => tables::by_id(tables::POST_COUNTERS, id),
        }
    }
}

/// Addition of one to a counter by somebody, until they take it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Contribution {
    /// Owner of the counters.
    pub of: Of,
    /// Place of the counter among the three.
    pub counter: usize,
    /// The post that counts; `Id(0)` where there is at most one.
    pub source: Id,
}

/// Contributions of an edge, each with whose it is: to the followers of one, and to whom the other follows.
#[must_use]
pub fn of_follow(follower: Id, followee: Id) -> [(Id, Contribution); 2] {
    let one = |of, counter| Contribution { of: Of::User(of), counter, source: Id(0) };
    [(follower, one(followee, OfUser::Followers as usize)), (followee, one(follower, OfUser::Following as usize))]
}

/// Contribution of a like.
#[must_use]
pub fn of_like(post: Id) -> Contribution {
    Contribution { of: Of::Post(post), counter: OfPost::Likes as usize, source: Id(0) }
}

/// Contributions of a post to those that it answers and passes on.
pub fn of_post(post: Id, reply_to: Option<Id>, repost_of: Option<Id>) -> impl Iterator<Item = Contribution> {
    let one = move |of, counter| Contribution { of: Of::Post(of), counter, source: post };
    let reply = reply_to.map(|parent| one(parent, OfPost::Replies as usize));
    reply.into_iter().chain(repost_of.map(|original| one(original, OfPost::Reposts as usize)))
}

/// Contribution of a bare repost, through whom it passes on, to the posts of who made it: it shows nothing while that
/// person is absent.
#[must_use]
pub fn of_repost(repost: Id, by: Id, original: PostRef) -> Option<(Id, Contribution)> {
    let one = Contribution { of: Of::User(by), counter: OfUser::Posts as usize, source: repost };
    (by != original.author).then_some((original.author, one))
}

/// Contributor, contribution, and whether it is added or taken back.
pub type CountChange = (Id, Contribution, bool);

/// A person whose contributions are known.
#[derive(Debug, Default)]
struct Watched {
    contributions: HashSet<Contribution>,
    /// Contributions that were taken back while rows are being read, which may say otherwise; `None` once they are.
    taken_back: Option<HashSet<Contribution>>,
}

#[derive(Debug, Default)]
struct State {
    people: HashMap<Id, Watched>,
    sums: HashMap<Of, HashMap<Id, [u64; 3]>>,
    total: usize,
}

impl State {
    fn add(&mut self, person: Id, one: Contribution) {
        let Some(watched) = self.people.get_mut(&person) else { return };
        if watched.contributions.insert(one) {
            self.total += 1;
            self.sums.entry(one.of).or_default().entry(person).or_default()[one.counter] += 1;
        }
    }

    fn remove(&mut self, person: Id, one: Contribution) {
        let known = self.people.get_mut(&person).is_some_and(|watched| watched.contributions.remove(&one));
        if known {
            self.take_off(person, one);
        }
    }

    fn take_off(&mut self, person: Id, one: Contribution) {
        self.total -= 1;
        let Some(people) = self.sums.get_mut(&one.of) else { return };
        if let Some(sums) = people.get_mut(&person) {
            sums[one.counter] = sums[one.counter].saturating_sub(1);
            if *sums == [0; 3] {
                people.remove(&person);
            }
        }
        if people.is_empty() {
            self.sums.remove(&one.of);
        }
    }

    fn forget(&mut self, person: Id) {
        let Some(watched) = self.people.remove(&person) else { return };
        for one in watched.contributions {
            self.take_off(person, one);
        }
    }
}

/// Contributions of people who are, were just, or will be at once absent; at most [`UNCOUNTED_MAX`] in all.
#[derive(Default)]
pub struct Uncounted {
    state: RwLock<State>,
    any: AtomicBool,
}

impl Uncounted {
    /// Listens to records about `person` from now on; false when their contributions are known already. Read them from
    /// rows after this, and hand them to [`loaded`](Self::loaded).
    pub fn watch(&self, person: Id) -> bool {
        let mut state = self.state.write();
        if state.people.contains_key(&person) {
            return false;
        }
        state.people.insert(person, Watched { taken_back: Some(HashSet::new()), ..Watched::default() });
        self.any.store(true, Ordering::Release);
        true
    }

    /// Takes what the rows of a person who is watched said, and what bare reposts of their posts add, where there is
    /// room for these too. False, and nothing of theirs is taken off any count, when there is none for their own.
    pub fn loaded(&self, person: Id, mut contributions: Vec<Contribution>, reposts: Vec<Contribution>) -> bool {
        let mut state = self.state.write();
        if state.total + contributions.len() + reposts.len() <= UNCOUNTED_MAX {
            contributions.extend(reposts);
        }
        if state.total + contributions.len() > UNCOUNTED_MAX {
            state.forget(person);
            self.any.store(!state.people.is_empty(), Ordering::Release);
            return false;
        }
        let taken_back = state.people.get_mut(&person).and_then(|watched| watched.taken_back.take());
        let taken_back = taken_back.unwrap_or_default();
        for one in contributions {
            if !taken_back.contains(&one) {
                state.add(person, one);
            }
        }
        true
    }

    /// `person` is absent no more.
    pub fn forget(&self, person: Id) {
        let mut state = self.state.write();
        state.forget(person);
        self.any.store(!state.people.is_empty(), Ordering::Release);
    }

    /// Takes in what a record adds (true) and takes back, each with whose contribution it is; called in commit order,
    /// and asks for `changes` only while anybody is watched.
    pub fn apply<I: Iterator<Item = CountChange>>(&self, changes: impl FnOnce() -> I) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut changes = changes().peekable();
        if changes.peek().is_none() {
            return;
        }
        let mut state = self.state.write();
        for (person, one, there) in changes {
            let Some(watched) = state.people.get_mut(&person) else { continue };
            if let Some(taken_back) = &mut watched.taken_back {
                if there {
                    taken_back.remove(&one);
                } else {
                    taken_back.insert(one);
                }
            }
            match there {
                true => state.add(person, one),
                false => state.remove(person, one),
            }
        }
    }

    /// Stored counters without what people add who are `absent`.
    #[must_use]
    pub fn corrected(&self, of: Of, stored: Counters, absent: impl Fn(Id) -> bool) -> Counters {
        if !self.any.load(Ordering::Acquire) {
            return stored;
        }
        let state = self.state.read();
        let Some(people) = state.sums.get(&of) else { return stored };
        let mut counters = stored;
        for (_, sums) in people.iter().filter(|(person, _)| absent(**person)) {
            for (value, less) in counters.values.iter_mut().zip(sums) {
                *value = value.saturating_sub(*less);
            }
        }
        counters
    }
}

#[cfg(test)]
#[path = "uncounted_tests.rs"]
mod tests;
