//! A follow graph with the skew of real ones, timelines seeded from it, and the posts that are fanned out.

use std::sync::Arc;

use async_trait::async_trait;
use fanfare::base::id::BELOW_MS_BITS;
use fanfare::base::slot_list::Slot;
use fanfare::feed::{AuthorEntry, Engagement, Feed, FeedSettings, FeedSource, RankInputs, Relations};
use fanfare::log::events::PostRecord;
use fanfare_engines::EngineError;
use fanfare_engines::random::Random;
use fanfare_protocol::Id;

use super::{BenchError, Result, machine};

/// Followees of a reader, on average.
pub const MEAN_FOLLOWEES: usize = 200;
/// Followers fall with the rank of an author as rank^-0.784: the degree exponent 2.276 that Kwak et al. found ("What is
/// Twitter, a social network or a news media?", 2010) is 1 + 1/0.784.
const RANK_EXPONENT: f64 = 0.784;
/// Coprime to every number of users here: scatters ranks over indexes.
const SCATTER: usize = 1_000_003;
/// Draws again for a followee that was drawn before.
const DRAWS_AGAIN: usize = 4;
/// Ids of posts that are fanned out; seeded entries have lower ones.
const FIRST_POST: u64 = 1 << 40;

/// The user with this number.
pub fn user(number: usize) -> Id {
    Id((number as u64 + 1) << BELOW_MS_BITS)
}

/// Graph of who follows whom, drawn as it is asked for.
pub struct Graph {
    users: usize,
    random: Random,
    ranks: Vec<usize>,
}

impl Graph {
    /// A graph of `users`, or a part of one with a seed of its own.
    pub fn new(users: usize, seed: u64) -> Self {
        Self { users, random: Random::new(users as u64 + seed), ranks: Vec::new() }
    }

    /// Draws the followees of one more reader: many follow few, few follow many (exponential, mean
    /// [`MEAN_FOLLOWEES`]).
    pub fn followees(&mut self, out: &mut Vec<Id>) {
        let count = -(1.0 - self.random.unit()).ln() * MEAN_FOLLOWEES as f64;
        self.followees_of(count.round() as usize, out);
    }

    /// Draws `count` followees of one more reader.
    pub fn followees_of(&mut self, count: usize, out: &mut Vec<Id>) {
        let count = count.clamp(1, self.users / 2);
        self.ranks.clear();
        for _ in 0..DRAWS_AGAIN {
            for _ in self.ranks.len()..count {
                // The inverse of the distribution of ranks, with the sum over ranks taken as an integral.
                let rest = 1.0 - RANK_EXPONENT;
                let highest = (self.users as f64 + 1.0).powf(rest);
                let rank = (1.0 + self.random.unit() * (highest - 1.0)).powf(1.0 / rest);
                self.ranks.push((rank as usize).clamp(1, self.users) - 1);
            }
            self.ranks.sort_unstable();
            self.ranks.dedup();
            if self.ranks.len() == count {
                break;
            }
        }
        out.clear();
        out.extend(self.ranks.iter().map(|rank| user(rank * SCATTER % self.users)));
    }
}

/// A feed without tables.
struct NoTables;

#[async_trait]
impl FeedSource for NoTables {
    async fn author_entries(&self, _: Id, _: Id, _: usize) -> Result<Vec<AuthorEntry>, EngineError> {
        Ok(Vec::new())
    }

    async fn relations(&self, _: Id) -> Result<Relations, EngineError> {
        Ok(Relations::default())
    }

    async fn posts(&self, ids: &[Id]) -> Result<Vec<Option<Arc<PostRecord>>>, EngineError> {
        Ok(vec![None; ids.len()])
    }
}

#[async_trait]
impl RankInputs for NoTables {
    async fn engagement(&self, posts: &[Id]) -> Result<Vec<Engagement>, EngineError> {
        Ok(vec![Engagement::default(); posts.len()])
    }

    async fn interactions(&self, _: Id, authors: &[Id]) -> Result<Vec<u64>, EngineError> {
        Ok(vec![0; authors.len()])
    }
}

/// A feed whose rings hold `cap` entries and that knows `users`, in the order of their numbers; without timelines.
pub fn empty_feed(users: usize, cap: usize) -> Feed {
    let settings = FeedSettings {
        timeline_cap: cap,
        timelines_max: usize::MAX,
        timeline_bytes_max: u64::MAX,
        ..FeedSettings::default()
    };
    let tables = Arc::new(NoTables);
    let feed = Feed::new(settings, tables.clone(), tables, || 0);
    for number in 0..users {
        // Whoever is pinned is known from then on.
        feed.pin(user(number), None);
    }
    feed
}

/// Numbers of users in the order of their slots, which are dealt to shards: seeded like this, slot lists grow at their
/// end, which takes a fraction of the time.
pub fn seeding_order(users: usize) -> impl Iterator<Item = usize> {
    let shards = FeedSettings::default().timeline_shards;
    (0..shards).flat_map(move |shard| (shard..users).step_by(shards))
}

/// Timelines of `users`, full rings of `cap`, seeded by all cores; answers their slots too.
pub fn seeded_feed(users: usize, cap: usize) -> Result<(Feed, Vec<Slot>)> {
    let feed = empty_feed(users, cap);
    let shards = FeedSettings::default().timeline_shards;
    let each = shards.div_ceil(machine::cores()).max(1);
    let mut slots = Vec::with_capacity(users);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..shards)
            .step_by(each)
            .map(|first| (first..shards.min(first + each), feed.clone()))
            .map(|(part, feed)| {
                scope.spawn(move || part.flat_map(|shard| seed_shard(&feed, users, cap, shard)).collect())
            })
            .collect();
        for thread in threads {
            let seeded: Vec<Slot> =
                thread.join().map_err(|_| BenchError::Wrong("a thread that seeds panicked".to_owned()))?;
            slots.extend(seeded);
        }
        Ok::<(), BenchError>(())
    })?;
    Ok((feed, slots))
}

fn seed_shard(feed: &Feed, users: usize, cap: usize, shard: usize) -> Vec<Slot> {
    let mut graph = Graph::new(users, shard as u64);
    let mut followees = Vec::new();
    let mut entries: Vec<(Id, Id)> = (1..=cap as u64).map(|id| (Id(id), Id(0))).collect();
    let readers = (shard..users).step_by(FeedSettings::default().timeline_shards);
    let seeded = readers.map(|number| {
        graph.followees(&mut followees);
        for entry in &mut entries {
            entry.1 = followees[0];
        }
        feed.bench_seed(user(number), &followees, &entries)
    });
    seeded.collect()
}

/// Posts of authors drawn evenly, and the timelines that follow each of them.
pub struct Posts {
    authors: Vec<usize>,
    /// Dense numbers of the timelines, a list for each author who posts.
    lists: Vec<Vec<u32>>,
    deliveries: usize,
    next_id: u64,
}

impl Posts {
    /// Posts with at least `deliveries` in all. `slots` are those of all timelines.
    pub fn draw(feed: &Feed, slots: &[Slot], users: usize, deliveries: usize) -> Self {
        let mut random = Random::new(7);
        let numbers = DenseNumbers::new(slots);
        let mut posts =
            Self { authors: Vec::new(), lists: vec![Vec::new(); users], deliveries: 0, next_id: FIRST_POST };
        let mut found = Vec::new();
        while posts.deliveries < deliveries {
            let author = random.index(users);
            let list = &mut posts.lists[author];
            if list.is_empty() {
                found.clear();
                feed.bench_slots(user(author), &mut found);
                *list = found.iter().map(|slot| numbers.of(*slot)).collect();
            }
            posts.deliveries += list.len();
            posts.authors.push(author);
        }
        posts
    }

    /// Posts in all.
    pub fn len(&self) -> usize {
        self.authors.len()
    }

    /// Deliveries of all posts.
    pub fn deliveries(&self) -> usize {
        self.deliveries
    }

    /// Author of the post with this number.
    pub fn author(&self, post: usize) -> Id {
        user(self.authors[post])
    }

    /// An id for a post, above all before.
    pub fn mint(&mut self) -> Id {
        self.next_id += 1;
        Id(self.next_id)
    }

    /// The timelines of each post.
    pub fn lists(&self) -> impl Iterator<Item = &[u32]> {
        self.authors.iter().map(|author| self.lists[*author].as_slice())
    }
}

/// Slots (shard in the high bits, place in the low ones) as numbers without gaps, in the same order.
struct DenseNumbers {
    /// First slot of each run without gaps, and its number.
    runs: Vec<(Slot, u32)>,
}

impl DenseNumbers {
    fn new(slots: &[Slot]) -> Self {
        let mut sorted = slots.to_vec();
        sorted.sort_unstable();
        let mut runs: Vec<(Slot, u32)> = Vec::new();
        let mut expected = None;
        for (number, slot) in sorted.into_iter().enumerate() {
            if expected != Some(slot) {
                runs.push((slot, number as u32));
            }
            expected = slot.checked_add(1);
        }
        Self { runs }
    }

    fn of(&self, slot: Slot) -> u32 {
        let run = self.runs.partition_point(|(first, _)| *first <= slot).saturating_sub(1);
        self.runs.get(run).map_or(0, |(first, number)| slot - first + number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_graph_has_the_mean_and_the_skew_it_says() {
        const USERS: usize = 20_000;
        let (mut graph, mut followees) = (Graph::new(USERS, 0), Vec::new());
        let mut followers = vec![0_usize; USERS];
        let mut edges = 0;
        for _ in 0..USERS {
            graph.followees(&mut followees);
            edges += followees.len();
            for followee in &followees {
                followers[(followee.0 >> BELOW_MS_BITS) as usize - 1] += 1;
            }
        }
        let mean = edges / USERS;
        assert!((MEAN_FOLLOWEES * 9 / 10..=MEAN_FOLLOWEES * 11 / 10).contains(&mean), "mean {mean}");
        followers.sort_unstable();
        assert!(followers[USERS - 1] > USERS / 2, "the first of all has {}", followers[USERS - 1]);
        assert!(followers[USERS / 2] < MEAN_FOLLOWEES, "the median is {}", followers[USERS / 2]);
    }

    #[test]
    fn slots_become_numbers_without_gaps() {
        let numbers = DenseNumbers::new(&[1 << 28, 0, 1, 2, (1 << 28) + 1, 3 << 28]);
        let dense = [0, 1, 2, 1 << 28, (1 << 28) + 1, 3 << 28].map(|slot| numbers.of(slot));
        assert_eq!(dense, [0, 1, 2, 3, 4, 5]);
    }
}
