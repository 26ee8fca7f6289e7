//! People of the sample world and who follows whom, out of a seed. Pure.
//!
//! A person's index is also their rank: followings fall with it as `(rank + 2) ^ -0.75`, so that a few are stars and
//! most are ordinary, as in real graphs.

use std::collections::HashSet;

use fanfare_engines::random::Random;

use super::words::{TONGUES, Tongue};
use super::{DEMO_HANDLE, FRIEND_HANDLE};

/// Steepness with which followings fall with the rank.
const FALL: f64 = 0.75;
/// People whom nearly everybody follows, with the per cent of people who do.
const STARS: [u8; 3] = [90, 75, 62];
/// Per cent of the ordinary draws that cross languages.
const FOREIGN_PERCENT: u8 = 40;
/// Ordinary people who follow the demo person, and those who follow the friend.
const DEMO_FOLLOWERS: usize = 22;
const FRIEND_FOLLOWERS: usize = 24;
/// People whom the demo person follows: the first ones, every `n`th of the rest. Few enough that one can follow a feed
/// with the eye.
const DEMO_FOLLOWS_FIRST: usize = 12;
const DEMO_FOLLOWS_EVERY: usize = 12;
/// People whom the friend follows beside the demo person, at most.
const FRIEND_FOLLOWS: usize = 16;

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Unique name.
    pub handle: String,
    /// Name to show.
    pub name: String,
    /// A few words.
    pub bio: String,
    /// Index of the language.
    pub(super) tongue: usize,
}

impl Person {
    pub(super) fn tongue(&self) -> &'static Tongue {
        &TONGUES[self.tongue]
    }
}

/// Everybody, and who follows whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// People by rank; the last two are the friend and the demo person.
    pub people: Vec<Person>,
    /// Followed people of each person, by index.
    pub follows: Vec<Vec<usize>>,
}

/// Chooses a rank, the first ones most often.
pub(super) struct Ranks {
    sums: Vec<f64>,
}

impl Ranks {
    /// Ranks below `count`, which fall as `(rank + 2) ^ -fall`.
    pub(super) fn new(count: usize, fall: f64) -> Self {
        let mut sum = 0.0;
        let sums = (0..count).map(|rank| {
            sum += (rank as f64 + 2.0).powf(-fall);
            sum
        });
        Self { sums: sums.collect() }
    }

    pub(super) fn draw(&self, random: &mut Random) -> usize {
        let total = self.sums.last().copied().unwrap_or_default();
        let at = total * random.below(1 << 32) as f64 / (1_u64 << 32) as f64;
        self.sums.partition_point(|sum| *sum <= at).min(self.sums.len().saturating_sub(1))
    }
}

/// Chooses one of `choices`, which must not be empty.
pub(super) fn choose<'a, T>(random: &mut Random, choices: &'a [T]) -> &'a T {
    &choices[random.index(choices.len())]
}

fn shuffle<T>(random: &mut Random, items: &mut [T]) {
    for end in (1..items.len()).rev() {
        items.swap(end, random.below(end as u64 + 1) as usize);
    }
}

impl World {
    /// The world that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let people = people(&mut random);
        let follows = follows(&people, &mut random);
        Self { people, follows }
    }

    /// Index of the person whom a newcomer plays.
    #[must_use]
    pub fn demo(&self) -> usize {
        self.people.len() - 1
    }

    /// Index of the other person whom a newcomer plays.
    #[must_use]
    pub fn friend(&self) -> usize {
        self.people.len() - 2
    }

    /// Whether a newcomer plays this person.
    #[must_use]
    pub fn is_played(&self, index: usize) -> bool {
        index >= self.friend()
    }

    /// Followers of each person.
    #[must_use]
    pub fn followers(&self) -> Vec<usize> {
        let mut followers = vec![0; self.people.len()];
        for followee in self.follows.iter().flatten() {
            followers[*followee] += 1;
        }
        followers
    }
}

fn people(random: &mut Random) -> Vec<Person> {
    let mut tongues: Vec<usize> =
        TONGUES.iter().enumerate().flat_map(|(index, tongue)| std::iter::repeat_n(index, tongue.people)).collect();
    shuffle(random, &mut tongues);
    // One star of each language first.
    for tongue in 0..TONGUES.len() {
        if let Some(found) = tongues.iter().skip(tongue).position(|other| *other == tongue) {
            tongues.swap(tongue, tongue + found);
        }
    }
    let mut taken = HashSet::from([DEMO_HANDLE.to_owned(), FRIEND_HANDLE.to_owned()]);
    let mut names = HashSet::new();
    let mut people: Vec<Person> = Vec::with_capacity(tongues.len() + 1);
    while let Some(tongue) = tongues.get(people.len()).copied() {
        let words = &TONGUES[tongue];
        let (given, family) = (choose(random, words.given), choose(random, words.family));
        let name = match words.family_first {
            true => format!("{}{}", family.0, given.0),
            false => format!("{} {}", given.0, family.0),
        };
        let handle = match random.below(3) {
            0 => format!("{}_{}", given.1, family.1),
            1 => format!("{}{}", given.1, &family.1[..1]),
            _ => format!("{}{}", family.1, given.1),
        };
        // Names may meet when a language has few of them; handles may not.
        let crowded = names.len() > 200 && random.percent(50);
        if taken.contains(&handle) || (names.contains(&name) && !crowded) {
            continue;
        }
        taken.insert(handle.clone());
        names.insert(name.clone());
        people.push(Person { handle, name, bio: (*choose(random, words.bios)).to_owned(), tongue });
    }
    // In place of the last of the ordinary people, whom few miss.
    people.pop();
    people.push(played(FRIEND_HANDLE, "Ben", "The other account that a newcomer plays: what Ada does arrives here."));
    people.push(played(DEMO_HANDLE, "Ada", "The account that a newcomer plays. Everybody else here is invented."));
    people
}

fn played(handle: &str, name: &str, bio: &str) -> Person {
    Person { handle: handle.to_owned(), name: name.to_owned(), bio: bio.to_owned(), tongue: 0 }
}

fn follows(people: &[Person], random: &mut Random) -> Vec<Vec<usize>> {
    let demo = people.len() - 1;
    let ranks = Ranks::new(demo, FALL);
    let mut follows = Vec::with_capacity(people.len());
    for (follower, person) in people.iter().enumerate().take(demo) {
        let mut chosen: Vec<usize> = Vec::new();
        let stars = STARS.iter().enumerate().filter(|(star, percent)| *star != follower && random.percent(**percent));
        chosen.extend(stars.map(|(star, _)| star));
        let curious = if random.percent(12) { random.below(90) } else { 0 };
        let wanted = chosen.len() + (6 + random.below(14) + curious) as usize;
        while chosen.len() < wanted {
            let followee = ranks.draw(random);
            let near = people[followee].tongue == person.tongue || random.percent(FOREIGN_PERCENT);
            if near && followee != follower && !chosen.contains(&followee) {
                chosen.push(followee);
            }
        }
        follows.push(chosen);
    }
    let friend = demo - 1;
    for (played, followers) in [(demo, DEMO_FOLLOWERS), (friend, FRIEND_FOLLOWERS)] {
        for _ in 0..followers {
            let follower = STARS.len() + random.below((friend - STARS.len()) as u64) as usize;
            if !follows[follower].contains(&played) {
                follows[follower].push(played);
            }
        }
    }
    follows[friend].truncate(FRIEND_FOLLOWS);
    follows[friend].push(demo);
    let rest = (DEMO_FOLLOWS_FIRST..friend).step_by(DEMO_FOLLOWS_EVERY);
    follows.push((0..DEMO_FOLLOWS_FIRST).chain(rest).chain([friend]).collect());
    follows
}

#[cfg(test)]
mod tests {
    use super::super::{PULL_ABOVE, PUSH_BELOW, SEED};
    use super::*;
    use crate::base::handle::Handle;

    #[test]
    fn a_seed_always_makes_the_same_world_and_another_seed_another_one() {
        assert_eq!(World::new(SEED), World::new(SEED));
        assert_ne!(World::new(SEED), World::new(SEED + 1));
    }

    #[test]
    fn followings_are_very_different_and_need_all_three_policies() {
        for seed in [SEED, 1, 2] {
            let followers = World::new(seed).followers();
            let between =
                |from: u64, to: u64| followers.iter().filter(|count| (from..to).contains(&(**count as u64))).count();
            assert!((2..=8).contains(&between(PULL_ABOVE + 1, u64::MAX)), "seed {seed}: {followers:?}");
            assert!((6..=40).contains(&between(PUSH_BELOW, PULL_ABOVE + 1)), "seed {seed}: {followers:?}");
            assert!(between(0, PUSH_BELOW) > 200, "seed {seed}: {followers:?}");
        }
    }

    #[test]
    fn the_two_whom_a_newcomer_plays_follow_each_other_and_are_followed() {
        for seed in [SEED, 1, 2] {
            let world = World::new(seed);
            let (demo, friend, followers) = (world.demo(), world.friend(), world.followers());
            assert!(world.follows[demo].contains(&friend) && world.follows[friend].contains(&demo), "seed {seed}");
            assert!(followers[demo] > 10 && followers[friend] > 10, "seed {seed}: {followers:?}");
            assert!((0..world.people.len()).filter(|index| world.is_played(*index)).eq([friend, demo]));
        }
    }

    #[test]
    fn everybody_has_a_handle_of_their_own_that_can_be_taken_and_follows_nobody_twice() {
        let world = World::new(SEED);
        assert_eq!(world.people.len(), TONGUES.iter().map(|tongue| tongue.people).sum::<usize>() + 1);
        let handles: HashSet<String> =
            world.people.iter().map(|person| Handle::parse_new(&person.handle).unwrap().key()).collect();
        assert_eq!(handles.len(), world.people.len());
        for (follower, followees) in world.follows.iter().enumerate() {
            let different: HashSet<&usize> = followees.iter().collect();
            assert!(different.len() == followees.len() && !different.contains(&follower), "{follower}");
        }
        assert!(world.people.iter().any(|person| !person.name.is_ascii() && person.tongue == 1));
    }
}
