//! The timeline and what is public, read over posts that are in two layouts.

use std::collections::BTreeMap;

use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Engines, memory};

use super::*;
use crate::base::clock::Clock;
use crate::base::id::{following, number_of};
use crate::data::layout::Layout;

/// Partitions of the journal.
const NUMBERS: u16 = 3;

/// Posts by id, and whether they are public.
type Posts = BTreeMap<Id, bool>;

struct World {
    engines: Engines,
    store: Store,
    random: Random,
    last: Id,
    now_ms: u64,
    posts: Posts,
}

impl World {
    fn new(seed: u64) -> Self {
        let engines = memory::open(NUMBERS).unwrap();
        let store = Store::new(engines.clone(), Clock::by_hand(0));
        store.public.set(true);
        let now_ms = 1_800_000_000_000;
        Self { engines, store, random: Random::new(seed), last: Id(0), now_ms, posts: Posts::new() }
    }

    fn id(&mut self, number: u16) -> Id {
        self.now_ms += match self.random.below(100) {
            0..3 => self.random.below(1 << 34),
            3..30 => self.random.below(1 << 25),
            _ => self.random.below(3),
        };
        self.last = following(self.last, self.now_ms, number);
        self.last
    }

    /// Writes or deletes the rows of a post as its products do, in a record of this id.
    async fn write(&mut self, record: Id, post: Id, is_public: bool, is_there: bool) {
        let mut batch = Batch::default();
        let rows = [(tables::timeline_row(post), true), (tables::public_row(post), is_public)];
        for (row, _) in rows.into_iter().filter(|(_, belongs)| *belongs) {
            if is_there {
                batch.put_versioned(row, Bytes::new(), record.0);
            } else {
                batch.delete_versioned(row, record.0);
            }
        }
        if is_there {
            batch.put(tables::bucket_row(bucket_of(post)), Bytes::new());
        }
        self.store.layout.place(record, &mut batch, 0);
        self.engines.tables.write(batch).await.unwrap();
    }

    async fn step(&mut self, number: u16) {
        if self.random.percent(20) && !self.posts.is_empty() {
            let post = *self.posts.keys().nth(self.random.index(self.posts.len())).unwrap();
            let is_public = self.posts.remove(&post).unwrap();
            let record = self.id(number);
            self.write(record, post, is_public, false).await;
            self.store.public.gone(post);
        } else {
            let (post, is_public) = (self.id(number), self.random.percent(70));
            self.write(post, post, is_public, true).await;
            self.posts.insert(post, is_public);
            if is_public {
                self.store.public.made(post);
            }
        }
    }

    /// The public timeline below `before`, page by page.
    async fn public(&mut self, before: Id, stored: bool) -> Vec<Id> {
        let (mut found, mut next) = (Vec::new(), Some(before));
        while let Some(before) = next {
            let limit = 1 + self.random.index(40);
            let page = match stored {
                true => self.store.public_stored_below(before, limit).await,
                false => self.store.public_below(before, limit).await,
            };
            let (rows, below) = page.unwrap();
            found.extend(rows.iter().filter_map(id_of));
            assert!(below.is_none_or(|below| below < before), "{before} goes on at {below:?}");
            next = below;
        }
        found
    }

    async fn check(&mut self, what: &str) {
        let some = self.posts.keys().nth(self.random.index(self.posts.len().max(1))).copied();
        for before in [Id(u64::MAX), some.unwrap_or(Id(1)), Id(self.store.layout.first().0.max(1)), Id(1)] {
            let expected: Vec<Id> =
                self.posts.range(..before).rev().filter(|(_, is_public)| **is_public).map(|(id, _)| *id).collect();
            assert_eq!(self.public(before, true).await, expected, "{what}: stored below {before}");
            assert_eq!(self.public(before, false).await, expected, "{what}: below {before}");
        }
        let floor = some.unwrap_or_default();
        let mut found = Vec::new();
        for partition in self.store.timeline_from(floor).await.unwrap() {
            let all = self.store.scan(tables::TIMELINE, &partition, KeyRange::ALL, Order::Ascending, 10_000).await;
            found.extend(all.unwrap().iter().filter_map(id_of).filter(|id| *id >= floor));
        }
        for number in [0, 1, 2, 7] {
            let of = |id: &&Id| number_of(**id) == number;
            let expected = self.posts.range(floor..).map(|(id, _)| id).filter(of);
            assert!(found.iter().filter(of).eq(expected), "{what}: of partition {number} from {floor}");
        }
        assert_eq!(found.len(), self.posts.range(floor..).count(), "{what}: nothing else");
    }
}

async fn story(seed: u64, posts: usize) {
    let mut world = World::new(seed);
    let what = format!("seed {seed}");
    world.check(&what).await;
    // As earlier versions wrote them; before there were partitions, ids had the node's number.
    for _ in 0..world.random.index(posts) {
        let number = if world.random.percent(50) { 0 } else { 7 };
        world.step(number).await;
    }
    world.check(&what).await;
    let last = world.last;
    world.store.layout.begin(&*world.engines.tables, last).await.unwrap();
    world.check(&what).await;
    for part in 0..3 {
        if world.random.percent(50) {
            world.store.load_public().await.unwrap();
        }
        for _ in 0..world.random.index(posts) {
            let number = world.random.below(u64::from(NUMBERS)) as u16;
            world.step(number).await;
        }
        world.check(&format!("{what}, part {part}")).await;
    }
    // A restart knows no more than what is stored.
    let store = Store::new(world.engines.clone(), Clock::by_hand(0));
    store.public.set(true);
    store.load_layout().await.unwrap();
    store.load_public().await.unwrap();
    assert_eq!(store.layout.first(), Id(last.0 + 1));
    world.store = store;
    world.check(&format!("{what}, after a restart")).await;
}

#[tokio::test]
async fn posts_of_both_layouts_are_read_as_one_timeline() {
    for seed in 0..60 {
        story(seed, 40).await;
    }
}

#[tokio::test]
async fn what_memory_does_not_hold_any_more_is_read_from_the_tables() {
    for seed in 100..103 {
        story(seed, 1_500).await;
    }
}

#[tokio::test]
async fn a_folder_of_an_earlier_layout_stays_under_its_keys() {
    let mut world = World::new(5);
    for _ in 0..20 {
        world.step(0).await;
    }
    let buckets = world.store.buckets().await.unwrap();
    world.store.layout.begin(&*world.engines.tables, world.last).await.unwrap();
    for _ in 0..20 {
        world.step(1).await;
    }
    assert_eq!(world.store.buckets().await.unwrap(), buckets, "no row of the earlier layout is added");
    let layout = Layout::default();
    layout.read(&*world.engines.tables).await.unwrap();
    assert_eq!(layout.first(), world.store.layout.first());
}
