//! Histories of people who post, follow, block and delete, against a model made of the journal: whoever comes back is
//! told of exactly the deletions that concern them.

use std::collections::BTreeSet;

use fanfare::log::events::{Event, Record};
use fanfare_engines::Position;
use fanfare_engines::random::Random;
use fanfare_protocol::{Id, ServerEvent, ServerFrame};

use super::fast;
use crate::deletion::clean;
use crate::world::{Person, World, eventually};

/// Model of who must hear what, from the journal alone.
#[derive(Default)]
struct Model {
    follows: BTreeSet<(Id, Id)>,
    /// Deletions of posts: record, post, author.
    posts: Vec<(Id, Id, Id)>,
    /// Deletions of accounts: record, whose, who followed them then.
    accounts: Vec<(Id, Id, Vec<Id>)>,
    newest: Id,
}

/// Deletions that a reader is told of, by key: the post, or whose account.
type Told = BTreeSet<(Id, Id)>;

impl Model {
    async fn of(world: &World) -> Self {
        let core = world.app().core();
        let mut records: Vec<Record> = Vec::new();
        for partition in core.log.spread().partitions() {
            let mut next = Position::START;
            loop {
                let found = core.store.journal().read(partition, next, 1_000).await.unwrap();
                next = found.next;
                if found.records.is_empty() {
                    break;
                }
                records.extend(found.records.iter().map(|one| serde_json::from_slice::<Record>(&one.payload).unwrap()));
            }
        }
        // Nobody did two things at once: of all partitions together they are in the order of their ids.
        records.sort_by_key(|record| record.id);
        let mut model = Self::default();
        records.iter().for_each(|record| model.apply(record));
        model
    }

    fn apply(&mut self, record: &Record) {
        self.newest = self.newest.max(record.id);
        if let Event::Derived(_) = record.event {
            // What it says was said before, but for the follow that a block found there.
            if let Event::Blocked { ended, .. } = record.event.told() {
                for edge in ended {
                    self.follows.remove(&(edge.follower, edge.followee));
                }
            }
            return;
        }
        match &record.event {
            Event::Followed { follower, followee, .. } => drop(self.follows.insert((*follower, *followee))),
            Event::Unfollowed(edge) => drop(self.follows.remove(&(edge.follower, edge.followee))),
            Event::Blocked { ended, .. } => {
                for edge in ended {
                    self.follows.remove(&(edge.follower, edge.followee));
                }
            }
            Event::PostDeleted { post, author, purged: false, .. } => self.posts.push((record.id, *post, *author)),
            Event::UserDeleted { user } => {
                let followers = self.follows.iter().filter(|edge| edge.1 == user.id).map(|edge| edge.0).collect();
                self.accounts.push((record.id, user.id, followers));
            }
            _ => {}
        }
    }

    /// Deletions that `reader` is told of when back at `after`: the posts of those whom they follow now, and the
    /// accounts of those whom they followed then.
    fn told(&self, reader: Id, after: Id) -> Told {
        let follows = |author: Id| author == reader || self.follows.contains(&(reader, author));
        let posts = self.posts.iter().filter(|(id, _, author)| *id > after && follows(*author));
        let accounts = self.accounts.iter().filter(|(id, _, followers)| *id > after && followers.contains(&reader));
        let posts = posts.map(|(id, post, _)| (*id, *post));
        posts.chain(accounts.map(|(id, user, _)| (*id, *user))).collect()
    }
}

async fn replayed(world: &World, reader: Id, after: Id, upto: Id) -> Told {
    let missed = world.app().realtime().missed(reader, [after; 4], [upto; 4]).await.unwrap();
    let mut told = Told::new();
    for frame in &missed.frames {
        let frame: ServerFrame = serde_json::from_slice(&[b"{", frame.text()].concat()).unwrap();
        let one = match frame.event().unwrap() {
            ServerEvent::PostDeleted(gone) => (gone.key.parse().unwrap(), gone.id),
            ServerEvent::AuthorDeleted(gone) => (gone.key.parse().unwrap(), gone.user_id),
            ServerEvent::Reset(reset) => panic!("{reset:?}"),
            _ => continue,
        };
        assert!(told.insert(one), "told twice of {one:?}");
    }
    told
}

struct Town {
    world: World,
    people: Vec<Person>,
    posts: Vec<(Id, usize)>,
    born: u64,
    /// Moments to come back from.
    marks: Vec<Id>,
}

impl Town {
    async fn newcomer(&mut self) -> Person {
        self.born += 1;
        self.world.person(&format!("p{}", self.born)).await
    }

    async fn step(&mut self, dice: &mut Random) {
        let who = dice.below(self.people.len() as u64) as usize;
        let whom = dice.below(self.people.len() as u64) as usize;
        let (one, other) = (self.people[who].clone(), self.people[whom].id);
        let post = (!self.posts.is_empty()).then(|| dice.below(self.posts.len() as u64) as usize);
        // What is refused is a step that changes nothing.
        match dice.below(20) {
            0..=4 => {
                if let Ok(post) = one.say("words").await {
                    self.posts.push((post.id, who));
                }
            }
            5 | 6 => {
                if let Some((original, _)) = post.map(|at| self.posts[at])
                    && let Ok(repost) = one.repost(original, "").await
                {
                    self.posts.push((repost.id, who));
                }
            }
            7..=10 => {
                if let Some((post, author)) = post.map(|at| self.posts.swap_remove(at)) {
                    let _ = self.people[author].delete_post(post).await;
                }
            }
            11..=14 => drop(one.follow(other).await),
            15 => drop(one.unfollow(other).await),
            16 => drop(one.block(other).await),
            17 => {
                one.delete_account().await.unwrap();
                self.posts.retain(|(_, author)| *author != who);
                self.people[who] = self.newcomer().await;
            }
            18 => clean(&self.world).await,
            _ => {
                let mut people: Vec<&mut Person> = self.people.iter_mut().collect();
                self.world.restart(&mut people).await;
            }
        }
        self.marks.push(self.world.app().core().log.mint().await.unwrap());
    }
}

/// Whatever people do, in whatever state of the cleaning: who comes back at any moment is told of exactly what concerns
/// them.
async fn history(seed: u64) {
    let mut dice = Random::new(seed);
    let mut town = Town { world: World::with(fast).await, people: vec![], posts: vec![], born: 0, marks: vec![Id(0)] };
    for _ in 0..5 {
        let person = town.newcomer().await;
        town.people.push(person);
    }
    for step in 0..60 {
        town.step(&mut dice).await;
        if step % 6 != 5 {
            continue;
        }
        for _ in 0..10 {
            let reader = town.people[dice.below(town.people.len() as u64) as usize].id;
            let after = town.marks[dice.below(town.marks.len() as u64) as usize];
            // A server that was just started may be clearing up: what is told is that of one moment.
            let (model, told) = loop {
                let model = Model::of(&town.world).await;
                let log = &town.world.app().core().log;
                eventually("those in memory heard of it", async || (log.settled() >= model.newest).then_some(())).await;
                let told = replayed(&town.world, reader, after, model.newest).await;
                if Model::of(&town.world).await.newest == model.newest {
                    break (model, told);
                }
            };
            assert_eq!(told, model.told(reader, after), "seed {seed}, step {step}: {reader} from {after}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_back_is_told_of_exactly_the_deletions_that_concern_them() {
    for seed in crate::world::seeds(6) {
        history(seed).await;
    }
}
