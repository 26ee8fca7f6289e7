//! Acts of the people of the demo: who does what next. Pure: given the same seed and the same acts that went well, it
//! goes on the same.

use std::collections::{HashSet, VecDeque};

use fanfare_engines::random::Random;

use super::world::{Ranks, World, choose};

/// Newest posts that people react to.
const RECENT_MAX: usize = 160;
/// Steepness with which the share of acts falls with the rank: stars post more, though not as much more as they are
/// followed.
const ACTIVITY_FALL: f64 = 0.35;
/// Candidates that somebody looks at before reacting to one.
const LOOKS: usize = 16;
/// Per cent of the reactions that go to what the newcomer said last.
const NEWCOMER_PERCENT: u8 = 5;
/// Remembered reactions, so that nobody likes or passes on the same post twice; beyond it all are forgotten, and the
/// server, which remembers them too, answers that nothing is new.
const REACTIONS_MAX: usize = 200_000;

/// Act of somebody. Posts are numbered from 0 in the order in which they were made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// Writes a post, sometimes with a picture that belongs to a seed.
    Post { text: String, picture: Option<u64> },
    /// Answers a post.
    Reply { to: usize, text: String },
    /// Passes a post on, with words or without.
    Repost { of: usize, text: String },
    /// Likes a post.
    Like { of: usize },
    /// Follows somebody, by index.
    Follow { whom: usize },
}

/// Somebody does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doing {
    /// Index of the person.
    pub actor: usize,
    /// Act itself.
    pub what: Deed,
}

/// A post that people may react to.
#[derive(Debug, Clone, Copy)]
struct Recent {
    number: usize,
    author: usize,
}

/// The world as it goes on.
pub struct Town {
    /// People and their graph.
    pub world: World,
    random: Random,
    ranks: Ranks,
    recent: VecDeque<Recent>,
    posts: usize,
    reactions: HashSet<(usize, usize, bool)>,
    follows: Vec<HashSet<usize>>,
    /// Template that each person used last: nobody says the same twice in a row.
    said: Vec<usize>,
    /// Whether those whom a newcomer plays act too: in the past yes, later that is the newcomer's part.
    pub played_act: bool,
    /// Whether posts may have pictures; they take longer to make than everything else.
    pub pictures: bool,
}

impl Town {
    /// A world in which nothing was said yet.
    #[must_use]
    pub fn new(world: World, seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            ranks: Ranks::new(world.people.len(), ACTIVITY_FALL),
            recent: VecDeque::new(),
            posts: 0,
            reactions: HashSet::new(),
            follows: world.follows.iter().map(|followees| followees.iter().copied().collect()).collect(),
            said: vec![usize::MAX; world.people.len()],
            world,
            played_act: true,
            pictures: true,
        }
    }

    /// A post of `author` is there; answers its number.
    pub fn posted(&mut self, author: usize) -> usize {
        let number = self.posts;
        self.posts += 1;
        self.recent.push_back(Recent { number, author });
        if self.recent.len() > RECENT_MAX {
            self.recent.pop_front();
        }
        number
    }

    /// A post cannot be reacted to any more.
    pub fn lost(&mut self, number: usize) {
        self.recent.retain(|post| post.number != number);
    }

    /// A reader, for timelines that are read.
    pub fn reader(&mut self) -> usize {
        self.random.index(self.world.people.len())
    }

    /// A number below `end`, from the same seed.
    pub fn below(&mut self, end: u64) -> u64 {
        self.random.below(end)
    }

    /// The next act. The caller tells of posts with [`posted`](Self::posted), once they are made.
    pub fn act(&mut self) -> Doing {
        let actor = self.actor();
        let what = match self.random.below(100) {
            0..24 => self.post(actor),
            24..36 => self.reply(actor),
            36..45 => self.repost(actor),
            45..46 => self.follow(actor),
            _ => self.like(actor),
        };
        Doing { actor, what: what.unwrap_or_else(|| self.plain(actor)) }
    }

    /// An act of this person that is a post.
    pub fn post_of(&mut self, actor: usize) -> Doing {
        Doing { actor, what: self.plain(actor) }
    }

    fn actor(&mut self) -> usize {
        loop {
            let actor = self.ranks.draw(&mut self.random);
            if self.played_act || !self.world.is_played(actor) {
                return actor;
            }
        }
    }

    fn fill(&mut self, template: &str, actor: usize, who: Option<usize>) -> String {
        let things = self.world.people[actor].tongue().things;
        let thing = *choose(&mut self.random, things);
        let mut text = template.replace("{thing}", thing);
        text = text.replace("{n}", &(2 + self.random.below(40)).to_string());
        if let Some(who) = who {
            text = text.replace("{who}", &self.world.people[who].handle);
        }
        // A template may begin with its thing.
        let mut letters = text.chars();
        match letters.next() {
            Some(first) => first.to_uppercase().chain(letters).collect(),
            None => text,
        }
    }

    fn plain(&mut self, actor: usize) -> Deed {
        let templates = self.world.people[actor].tongue().posts;
        let mut chosen = self.random.index(templates.len());
        if chosen == self.said[actor] {
            chosen = (chosen + 1) % templates.len();
        }
        self.said[actor] = chosen;
        let template = templates[chosen];
        Deed::Post { text: self.fill(template, actor, None), picture: None }
    }

    fn post(&mut self, actor: usize) -> Option<Deed> {
        let tongue = self.world.people[actor].tongue();
        match self.random.below(100) {
            0..7 if self.pictures => {
                let caption = *choose(&mut self.random, tongue.captions);
                let picture = Some(self.random.next());
                Some(Deed::Post { text: self.fill(caption, actor, None), picture })
            }
            7..25 => {
                let mention = *choose(&mut self.random, tongue.mentions);
                let who = match self.random.percent(8) {
                    true => self.world.demo(),
                    false => *choose(&mut self.random, self.world.follows.get(actor).filter(|all| !all.is_empty())?),
                };
                (who != actor).then(|| Deed::Post { text: self.fill(mention, actor, Some(who)), picture: None })
            }
            _ => None,
        }
    }

    /// A recent post of somebody else that `actor` would have seen: rather of followees and in the same language, now
    /// and then of a newcomer.
    fn target(&mut self, actor: usize) -> Option<Recent> {
        let world = &self.world;
        if self.random.percent(NEWCOMER_PERCENT)
            && let Some(post) =
                self.recent.iter().rev().find(|post| world.is_played(post.author) && actor != post.author)
        {
            return Some(*post);
        }
        let mut found = None;
        for _ in 0..LOOKS {
            let post = *self.recent.get(self.random.index(self.recent.len().max(1)))?;
            if post.author != actor {
                found = Some(post);
                let people = &self.world.people;
                if self.follows[actor].contains(&post.author) && people[actor].tongue == people[post.author].tongue {
                    break;
                }
            }
        }
        found
    }

    fn reply(&mut self, actor: usize) -> Option<Deed> {
        let to = self.target(actor)?.number;
        let template = *choose(&mut self.random, self.world.people[actor].tongue().replies);
        Some(Deed::Reply { to, text: self.fill(template, actor, None) })
    }

    /// Whether `actor` reacts to this post in this way for the first time.
    fn is_first(&mut self, actor: usize, number: usize, is_like: bool) -> bool {
        if self.reactions.len() >= REACTIONS_MAX {
            self.reactions.clear();
        }
        self.reactions.insert((actor, number, is_like))
    }

    fn repost(&mut self, actor: usize) -> Option<Deed> {
        let of = self.target(actor)?.number;
        let text = match self.random.percent(25) {
            true => {
                let template = *choose(&mut self.random, self.world.people[actor].tongue().replies);
                self.fill(template, actor, None)
            }
            false => String::new(),
        };
        self.is_first(actor, of, false).then_some(Deed::Repost { of, text })
    }

    fn like(&mut self, actor: usize) -> Option<Deed> {
        for _ in 0..LOOKS {
            let of = self.target(actor)?.number;
            if self.is_first(actor, of, true) {
                return Some(Deed::Like { of });
            }
        }
        None
    }

    fn follow(&mut self, actor: usize) -> Option<Deed> {
        let whom = match self.random.percent(25) {
            true => self.world.demo(),
            false => self.ranks.draw(&mut self.random),
        };
        (whom != actor && self.follows[actor].insert(whom)).then_some(Deed::Follow { whom })
    }
}

#[cfg(test)]
mod tests {
    use super::super::SEED;
    use super::*;

    fn acts(count: usize) -> Vec<Doing> {
        let mut town = Town::new(World::new(SEED), SEED);
        let mut acts = Vec::new();
        for _ in 0..count {
            let act = town.act();
            if matches!(act.what, Deed::Post { .. } | Deed::Reply { .. } | Deed::Repost { .. }) {
                town.posted(act.actor);
            }
            acts.push(act);
        }
        acts
    }

    #[test]
    fn everything_that_people_do_happens_and_the_same_again_for_the_same_seed() {
        let acts = acts(4_000);
        assert_eq!(acts, super::tests::acts(4_000));
        let count = |is: fn(&Deed) -> bool| acts.iter().filter(|act| is(&act.what)).count();
        assert!(count(|what| matches!(what, Deed::Post { picture: Some(_), .. })) > 20);
        assert!(count(|what| matches!(what, Deed::Post { text, .. } if text.contains('@'))) > 50);
        assert!(count(|what| matches!(what, Deed::Post { text, .. } if text.contains("https://"))) > 20);
        assert!(count(|what| matches!(what, Deed::Reply { .. })) > 200);
        assert!(count(|what| matches!(what, Deed::Repost { text, .. } if text.is_empty())) > 100);
        assert!(count(|what| matches!(what, Deed::Like { .. })) > 1_000);
        assert!(count(|what| matches!(what, Deed::Follow { .. })) > 10);
        assert!(!acts.iter().any(|act| format!("{act:?}").contains(['{', '}']) && text_of(act).contains('{')));
    }

    fn text_of(act: &Doing) -> &str {
        match &act.what {
            Deed::Post { text, .. } | Deed::Reply { text, .. } | Deed::Repost { text, .. } => text,
            Deed::Like { .. } | Deed::Follow { .. } => "",
        }
    }

    #[test]
    fn a_post_that_was_lost_is_left_alone() {
        let mut town = Town::new(World::new(SEED), 1);
        let lost = town.posted(0);
        town.lost(lost);
        for _ in 0..500 {
            assert!(matches!(town.act().what, Deed::Post { .. } | Deed::Follow { .. }));
        }
    }
}
