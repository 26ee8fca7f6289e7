//! Effects against a plain model: random histories over one, three and twelve partitions, told in any order between
//! partitions, in order within each, some of it twice. In the end rows say what a reader of the logs says.

use std::collections::BTreeMap;

use fanfare_engines::random::Random;
use fanfare_engines::{Batch, Partition};

use super::*;
use crate::app;
use crate::base::id::first_id_at;
use crate::data::rows::PostRecord;
use crate::data::tables;
use crate::log::fold::{Folds, Keys, State};
use crate::log::line;
use crate::log::tests::people::{self, Intent, Logs, Rows, edge};

const STEPS: usize = 160;
const SEEDS: u64 = 150;
const NOW_MS: u64 = 1_800_000_000_000;
const GROUP_AFTER: u64 = 2;

/// The code as it is, or without one of its precautions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variant {
    Right,
    /// A repeat is folded again.
    RepeatsCount,
    /// A block ends no follow that it finds elsewhere.
    BlocksEndNothing,
    /// Every row is written, whoever's it is.
    EverybodyIsHere,
}

/// Log of a partition.
#[derive(Default)]
struct Log {
    records: Vec<(Record, Outcome)>,
    /// Of each source: the last record that was taken.
    taken: BTreeMap<u16, Id>,
    last: Id,
}

struct World {
    variant: Variant,
    spread: Spread,
    folds: Folds,
    rows: Rows,
    logs: BTreeMap<u16, Log>,
    random: Random,
    now_ms: u64,
    posts: Vec<PostRecord>,
}

impl World {
    fn new(seed: u64, partitions: u16, variant: Variant) -> Self {
        let spread = Spread::over(0, partitions);
        let of_rows = if variant == Variant::EverybodyIsHere { Spread::ONE } else { spread };
        let (products, _) = app::products_over(of_rows, GROUP_AFTER);
        let folds = products.into_iter().filter_map(|product| product.fold).collect();
        let logs = spread.partitions().map(|one| (one.0, Log::default())).collect();
        let (rows, random) = (Rows::default(), Random::new(seed));
        Self { variant, spread, folds, rows, logs, random, now_ms: NOW_MS, posts: Vec::new() }
    }

    /// Id of the next record of a partition: its clock is a little off.
    fn mint(&mut self, partition: u16) -> Id {
        let at_ms = self.now_ms + self.random.below(40);
        let id = Id(first_id_at(at_ms).0 | u64::from(partition) << 12);
        let log = self.logs.get_mut(&partition).unwrap();
        log.last = if id > log.last { id } else { Id(log.last.0 + (1 << 22)) };
        log.last
    }

    fn append(&mut self, partition: Partition, event: Event) -> Id {
        let id = self.mint(partition.0);
        let mut record = Record { id, event, idempotency: None, import_line: None, audit: None };
        if let Event::Posted { post, notify } = &mut record.event {
            (post.id, post.told) = (id, notify.iter().map(|notice| notice.user).collect());
            self.posts.push(post.clone());
        }
        let (mut keys, mut state, mut batch) = (Keys::default(), State::default(), Batch::default());
        self.folds.keys(&record, &mut keys);
        for (key, own) in keys {
            state.load(key.clone(), self.rows.get(&key), own);
        }
        let outcome = self.folds.fold(&record, &mut state, &mut batch).unwrap();
        // The line tells all of it: rows that are written again from it are the same.
        let line = line::encode(&record, &outcome, &self.folds).unwrap();
        let (read, read_outcome) = line::decode(&line, &self.folds).unwrap();
        let mut again = Batch::default();
        self.folds.rows(&read, &read_outcome.unwrap(), &mut again).unwrap();
        assert_eq!((&read, &again.rows), (&record, &batch.rows));
        if self.variant == Variant::Right {
            self.look_at_owners(partition, &batch);
        }
        self.rows.write(batch);
        self.logs.get_mut(&partition.0).unwrap().records.push((record, outcome));
        id
    }

    /// Rows that name their person first are that partition's.
    fn look_at_owners(&self, partition: Partition, batch: &Batch) {
        let of_people = [
            tables::USERS,
            tables::FOLLOWS,
            tables::FOLLOWERS,
            tables::BLOCKS,
            tables::BLOCKED_BY,
            tables::MUTES,
            tables::AUTHOR_POSTS,
            tables::LIKED,
            tables::REPOSTED,
            tables::INTERACTIONS,
            tables::USER_COUNTERS,
            tables::NOTIFICATIONS,
        ];
        let of_posts = [tables::POSTS, tables::LIKERS, tables::REPLIES, tables::REPOSTERS, tables::POST_COUNTERS];
        for row in &batch.rows {
            let first = || Id::from_bytes(&row.key.partition[..8]).unwrap();
            let person = if of_people.contains(&row.key.table) {
                first()
            } else if of_posts.contains(&row.key.table) {
                self.posts.iter().find(|post| post.id == first()).unwrap().author
            } else {
                continue;
            };
            assert_eq!(self.spread.partition_of(person), partition, "{:?} of {person}", row.key.table);
        }
    }

    /// Something reaches a partition from another, if there is something: the next, or what was taken before.
    fn deliver(&mut self, from: u16, to: u16, again: bool) -> bool {
        let after = self.logs[&to].taken.get(&from).copied().unwrap_or_default();
        let records = &self.logs[&from].records;
        let next = records.partition_point(|(record, _)| record.id <= after);
        let start = next.saturating_sub(usize::from(again));
        for (record, outcome) in &records[start..] {
            let found = of(record, outcome, self.spread).into_iter().find(|(other, _)| other.0 == to);
            let Some((to, effect)) = found else { continue };
            let id = record.id;
            let origin = SourceRecord { partition: from, id, after };
            if id <= after && self.variant != Variant::RepeatsCount {
                return true; // dropped by its number
            }
            self.logs.get_mut(&to.0).unwrap().taken.insert(from, id.max(after));
            if let Some(effect) = self.arrive(effect) {
                self.append(to, derived(Some(effect), to, origin));
            }
            return true;
        }
        false
    }

    /// Decision about an effect where it arrives, by what is known there.
    fn arrive(&self, effect: Event) -> Option<Event> {
        match effect {
            Event::Blocked { blocker, blocked, mut ended } if self.variant != Variant::BlocksEndNothing => {
                ended.extend(self.edge(blocked, blocker));
                Some(Event::Blocked { blocker, blocked, ended })
            }
            Event::FollowRefused(edge) => Some(edge)
                .filter(|edge| self.edge(edge.follower, edge.followee) == Some(*edge))
                .map(Event::FollowRefused),
            effect => Some(effect),
        }
    }

    fn edge(&self, follower: Id, followee: Id) -> Option<EndedFollow> {
        edge(&|key| self.rows.get(key), follower, followee)
    }

    fn step(&mut self) {
        self.now_ms += self.random.below(30);
        if self.random.percent(1) {
            self.now_ms += 3_600_000;
        }
        let partitions: Vec<u16> = self.logs.keys().copied().collect();
        if self.random.percent(55) {
            let intent = Intent::random(&mut self.random, &self.posts);
            let event = intent.and_then(|intent| intent.event(self.spread, &|key| self.rows.get(key)));
            if let Some(event) = event {
                let actor = event.actor().unwrap();
                self.append(self.spread.partition_of(actor), event);
            }
        } else {
            let (from, to) =
                (partitions[self.random.index(partitions.len())], partitions[self.random.index(partitions.len())]);
            let again = self.random.percent(15);
            self.deliver(from, to, again);
        }
    }

    /// Everything that is on its way arrives.
    fn quiet(&mut self) {
        let partitions: Vec<u16> = self.logs.keys().copied().collect();
        let mut rounds = 0;
        loop {
            let mut any = false;
            for from in &partitions {
                for to in &partitions {
                    while self.deliver(*from, *to, false) {
                        any = true;
                    }
                }
            }
            rounds += 1;
            assert!(rounds <= 4, "effects have effects without end");
            if !any {
                return;
            }
        }
    }
}

fn replay(seed: u64, partitions: u16, variant: Variant) -> Result<(), String> {
    let mut world = World::new(seed, partitions, variant);
    for _ in 0..STEPS {
        world.step();
    }
    world.quiet();
    let logs: Logs = world.logs.into_iter().map(|(partition, log)| (partition, log.records)).collect();
    people::look(world.spread, &world.rows, &logs)
}

#[test]
fn rows_are_those_of_whoever_reads_the_logs_once() {
    for partitions in [1, 3, 12] {
        for seed in 0..SEEDS {
            if let Err(wrong) = replay(seed, partitions, Variant::Right) {
                panic!("seed {seed} over {partitions} partitions: {wrong}");
            }
        }
    }
}

#[test]
fn variants_that_lack_a_precaution_are_caught() {
    for variant in [Variant::RepeatsCount, Variant::BlocksEndNothing, Variant::EverybodyIsHere] {
        let caught = (0..SEEDS).filter(|seed| replay(*seed, 3, variant).is_err()).count();
        assert!(caught > 3, "{variant:?} is caught by {caught} seeds");
    }
}
