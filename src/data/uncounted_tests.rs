//! Contributions taken off counts, against the counts of a journal without the absent.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::follows::fold::FollowFold;
use crate::log::counters::Changes;
use crate::log::events::{EndedFollow, Event, PostRecord, PostRef, Record};
use crate::log::fold::Fold as _;
use crate::posts::fold::PostFold;
use crate::{follows, posts};

const PEOPLE: u64 = 4;

/// Something that people do; what makes no sense at its moment is left out.
#[derive(Debug, Clone, Copy)]
enum Act {
    Follow(u64, u64),
    Unfollow(u64, u64),
    Block(u64, u64),
    Like(u64, usize),
    Unlike(u64, usize),
    Post(u64, Option<usize>, Option<usize>),
    Delete(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let person = || 1..=PEOPLE;
    let post = || 0..8_usize;
    prop_oneof![
        3 => (person(), person()).prop_map(|(one, other)| Act::Follow(one, other)),
        1 => (person(), person()).prop_map(|(one, other)| Act::Unfollow(one, other)),
        1 => (person(), person()).prop_map(|(one, other)| Act::Block(one, other)),
        2 => (person(), post()).prop_map(|(one, post)| Act::Like(one, post)),
        1 => (person(), post()).prop_map(|(one, post)| Act::Unlike(one, post)),
        3 => (person(), prop::option::of(post()), prop::option::of(post())).prop_map(|(a, b, c)| Act::Post(a, b, c)),
        1 => post().prop_map(Act::Delete),
    ]
}

/// World of a test: edges, likes and posts, with the records that say so.
#[derive(Default)]
struct World {
    follows: HashSet<(Id, Id)>,
    likes: HashSet<(Id, Id)>,
    posts: Vec<PostRecord>,
    next: u64,
}

impl World {
    fn event(&mut self, act: Act) -> Option<Event> {
        let edge = |one: Id, other: Id| EndedFollow {
            follower: one,
            followee: other,
            since: Id(1),
            departed: None,
            silent: false,
        };
        match act {
            Act::Follow(one, other) if one != other => {
                let (follower, followee) = (Id(one), Id(other));
                self.follows.insert((follower, followee)).then_some(Event::Followed {
                    follower,
                    followee,
                    notify: true,
                    silent: false,
                })
            }
            Act::Unfollow(one, other) => {
                let known = self.follows.remove(&(Id(one), Id(other)));
                known.then(|| Event::Unfollowed(edge(Id(one), Id(other))))
            }
            Act::Block(one, other) if one != other => {
                let (blocker, blocked) = (Id(one), Id(other));
                let both = [(blocker, blocked), (blocked, blocker)].into_iter();
                let ended = both.filter(|pair| self.follows.remove(pair)).map(|(a, b)| edge(a, b)).collect();
                Some(Event::Blocked { blocker, blocked, ended })
            }
            Act::Like(one, at) => {
                let post = self.reference(at)?;
                self.likes.insert((Id(one), post.id)).then_some(Event::Liked { user: Id(one), post })
            }
            Act::Unlike(one, at) => {
                let post = self.reference(at)?;
                let known = self.likes.remove(&(Id(one), post.id));
                known.then_some(Event::Unliked { user: Id(one), post, since: Id(1) })
            }
            Act::Post(author, to, of) => {
                let (reply_to, repost_of) =
                    (to.and_then(|at| self.reference(at)), of.and_then(|at| self.reference(at)));
                let id = Id(self.next);
                // Every other one has no words: a bare repost, if it passes something on and answers nothing.
                let text = if id.0.is_multiple_of(200) { String::new() } else { "x".to_owned() };
                let post = PostRecord { id, author: Id(author), text, reply_to, repost_of, ..PostRecord::default() };
                self.posts.push(post.clone());
                Some(Event::Posted { post, notify: Vec::new() })
            }
            Act::Delete(at) => {
                let at = at.checked_rem(self.posts.len())?;
                Some(crate::posts::service::deletion(&self.posts.remove(at), false))
            }
            Act::Follow(..) | Act::Block(..) => None,
        }
    }

    fn reference(&self, at: usize) -> Option<PostRef> {
        let at = at.checked_rem(self.posts.len())?;
        self.posts.get(at).map(|post| PostRef { id: post.id, author: post.author })
    }

    fn record(&mut self, act: Act) -> Option<Record> {
        self.next += 100;
        let event = self.event(act)?;
        Some(Record { id: Id(self.next), event, idempotency: None, import_line: None, audit: None })
    }

    /// Contributions of `person`, as rows would say.
    fn rows(&self, person: Id) -> Vec<Contribution> {
        let edges = self.follows.iter().flat_map(|(one, other)| of_follow(*one, *other));
        let mut found: Vec<Contribution> = edges.filter(|(of, _)| *of == person).map(|(_, one)| one).collect();
        found.extend(self.likes.iter().filter(|(of, _)| *of == person).map(|(_, post)| of_like(*post)));
        for post in self.posts.iter().filter(|post| post.author == person) {
            found.extend(of_post(post.id, post.reply_to.map(|to| to.id), post.repost_of.map(|of| of.id)));
        }
        for post in self.posts.iter().filter(|post| post.is_bare_repost()) {
            let through = post.repost_of.and_then(|original| of_repost(post.id, post.author, original));
            found.extend(through.filter(|(of, _)| *of == person).map(|(_, one)| one));
        }
        found
    }
}

/// Counts, by a plain look at what is there, of those who are present.
fn counts(world: &World, absent: &dyn Fn(Id) -> bool) -> BTreeMap<Of, [u64; 3]> {
    let mut found: BTreeMap<Of, [u64; 3]> = BTreeMap::new();
    for (one, other) in &world.follows {
        found.entry(Of::User(*other)).or_default()[0] += u64::from(!absent(*one));
        found.entry(Of::User(*one)).or_default()[1] += u64::from(!absent(*other));
    }
    for (fan, post) in &world.likes {
        found.entry(Of::Post(*post)).or_default()[0] += u64::from(!absent(*fan));
    }
    for post in &world.posts {
        // One's own posts, but for bare reposts of others who are absent: whoever is absent has no profile.
        let through = post.repost_of.filter(|original| post.is_bare_repost() && original.author != post.author);
        let shows = !through.is_some_and(|original| absent(original.author));
        found.entry(Of::User(post.author)).or_default()[2] += u64::from(shows);
        for (of, counter) in [(post.reply_to, 1), (post.repost_of, 2)] {
            if let Some(of) = of {
                found.entry(Of::Post(of.id)).or_default()[counter] += u64::from(!absent(post.author));
            }
        }
    }
    found
}

proptest! {
    #[test]
    fn counts_are_those_of_a_world_without_the_absent(
        before in prop::collection::vec(act(), 0..40),
        meanwhile in prop::collection::vec(act(), 0..15),
        after in prop::collection::vec(act(), 0..30),
        absent in prop::collection::hash_set(1..=PEOPLE, 0..3),
    ) {
        let (mut world, uncounted) = (World::default(), Uncounted::default());
        let is_absent = |person: Id| absent.contains(&person.0);
        let mut stored: BTreeMap<Of, [i64; 3]> = BTreeMap::new();
        let mut commit = |world: &mut World, acts: &[Act]| {
            for act in acts {
                let Some(record) = world.record(*act) else { continue };
                let mut changes = Changes::default();
                FollowFold::default().counts(&record.event, &mut changes);
                PostFold::default().counts(&record.event, &mut changes);
                for change in changes.iter() {
                    let values = stored.entry(change.of).or_default().iter_mut();
                    values.zip(change.by).for_each(|(value, by)| *value += by);
                }
                uncounted.apply(|| follows::listener::contributions(&record.event).chain(posts::listener::contributions(&record)));
            }
        };
        commit(&mut world, &before);
        // Rows are read while others go on: some of what they do is in them already.
        let watched: Vec<Id> = absent.iter().map(|person| Id(*person)).collect();
        watched.iter().for_each(|person| prop_assert_is(uncounted.watch(*person)));
        let (first, second) = meanwhile.split_at(meanwhile.len() / 2);
        commit(&mut world, first);
        let rows: Vec<_> = watched.iter().map(|person| (*person, world.rows(*person))).collect();
        commit(&mut world, second);
        rows.into_iter().for_each(|(person, rows)| prop_assert_is(uncounted.loaded(person, rows, vec![])));
        commit(&mut world, &after);
        for absent in [&is_absent as &dyn Fn(Id) -> bool, &|_| false] {
            let expected = counts(&world, absent);
            for (of, values) in &stored {
                let values = values.map(|value| value as u64);
                let corrected = uncounted.corrected(*of, Counters { values, ..Counters::default() }, absent);
                let expected = expected.get(of).copied().unwrap_or_default();
                prop_assert_eq!(corrected.values, expected, "{:?}", of);
            }
        }
        watched.iter().for_each(|person| uncounted.forget(*person));
        let state = uncounted.state.read();
        prop_assert!(state.total == 0 && state.sums.is_empty() && state.people.is_empty());
    }
}

fn prop_assert_is(is: bool) {
    assert!(is);
}
