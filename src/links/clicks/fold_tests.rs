//! Histories of clicks that come again, over an engine that keeps its promises and nothing more.

use std::collections::{BTreeMap, HashMap, HashSet};

use fanfare_engines::claim::Claim;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{Claimant, Engines, NewRecord};

use super::super::click::{ClickOrigin, Visitor, read_lines, write_line};
use super::super::rollup::names::Count;
use super::super::rollup::{DAY_MS, HOUR_MS, MINUTE_MS, RowNumbers};
use super::*;
use crate::base::id::{following, unix_ms_of};

const PARTITION: Partition = Partition(0);
const NOW_MS: u64 = 1_800_000_000_000;
const KEPT: KeptLevels = KeptLevels { minutes_ms: 7 * DAY_MS, hours_ms: 90 * DAY_MS };
const LINKS: u64 = 4;

/// The click that a source has at a place: the same whenever it is asked for.
fn click_at(source: u64, place: u64) -> Click<'static> {
    let mixed = (source * 1_000 + place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let late_ms = [0, MINUTE_MS, 3 * HOUR_MS, 8 * DAY_MS, 91 * DAY_MS][(mixed >> 60) as usize % 5];
    Click {
        referrer: (!mixed.is_multiple_of(5)).then(|| format!("r{}", mixed % 9).into()),
        browser: Some(format!("b{}", mixed % 3).into()),
        is_bot: mixed.is_multiple_of(4),
        visitor: (!mixed.is_multiple_of(6)).then_some(Visitor(mixed >> 50)),
        ..Click::bare("code", Id(mixed % LINKS + 1), NOW_MS - late_ms + place * 700)
    }
}

fn block(source: u64, places: std::ops::Range<u64>) -> Vec<u8> {
    let mut payload = Vec::new();
    for place in places {
        write_line(ClickOrigin { source, place: place + 1 }, &click_at(source, place), &mut payload).unwrap();
    }
    payload
}

/// Mover of spools into the log: repeats what it is not sure of, and begins anew after a crash.
struct Shipper {
    claim: Option<Claim>,
    engines: Engines,
    last: fanfare_protocol::Id,
}

impl Shipper {
    fn of(engines: Engines, last: fanfare_protocol::Id) -> Self {
        Self { claim: None, engines, last }
    }

    /// Appends a block; false when its outcome stays unknown.
    async fn append(&mut self, payload: Vec<u8>, tries: u32) -> bool {
        self.last = following(self.last, NOW_MS, 0);
        let record = NewRecord { id: self.last.0, payload: payload.into() };
        for _ in 0..tries {
            let Some(claim) = &mut self.claim else {
                let claimant = Claimant { node: "shipper".to_owned(), is_import: false };
                self.claim = Claim::take(Arc::clone(&self.engines.journal), PARTITION, claimant).await.ok();
                continue;
            };
            match claim.append(std::slice::from_ref(&record), &Batch::default()).await {
                Ok(_) => return true,
                Err(EngineError::Fenced) => return self.give_up(),
                Err(_) => {}
            }
        }
        self.give_up()
    }

    fn give_up(&mut self) -> bool {
        self.claim = None;
        false
    }
}

async fn open(engines: &Engines) -> (ClickFold, Arc<OpenRows>) {
    let rows = Arc::new(OpenRows::default());
    loop {
        let (journal, tables) = (Arc::clone(&engines.journal), Arc::clone(&engines.tables));
        match ClickFold::open(journal, tables, PARTITION, KEPT, Arc::clone(&rows)).await {
            Ok(fold) => return (fold, rows),
            Err(FoldError::Engine(EngineError::Unavailable(_))) => {}
            Err(error) => panic!("{error}"),
        }
    }
}

/// Numbers of the distinct clicks of the log, counted without head and rows.
#[derive(Default)]
struct Recount {
    counts: HashMap<RowOf, Count>,
    slots: BTreeMap<(RowOf, usize), u64>,
    referrers: BTreeMap<(Id, u32, String), u64>,
    visitors: HashMap<(Id, u32), HashSet<u64>>,
    clicks: HashSet<ClickOrigin>,
}

fn recount(world: &Hostile) -> Recount {
    let mut all = Recount::default();
    for record in world.log(PARTITION).records {
        let made_ms = unix_ms_of(Id(record.id.unwrap()));
        for (origin, click) in read_lines(&record.payload).unwrap() {
            if !all.clicks.insert(origin) {
                continue;
            }
            let day = (click.at_ms / DAY_MS) as u32;
            for row in rows_of(&click, made_ms, KEPT) {
                all.counts.entry(row).or_default().add(click.is_bot);
                let at = match row.place {
                    RowPlace::Minutes(_) => click.at_ms / MINUTE_MS % 60,
                    RowPlace::Hours(_) => click.at_ms / HOUR_MS % 24,
                    _ => continue,
                };
                *all.slots.entry((row, at as usize)).or_default() += 1;
            }
            let referrer = click.referrer.as_deref().unwrap_or("-").to_owned();
            *all.referrers.entry((click.link, day, referrer)).or_default() += 1;
            if let Some(Visitor(visitor)) = click.visitor {
                all.visitors.entry((click.link, day)).or_default().insert(visitor);
            }
        }
    }
    all
}

fn check(world: &Hostile, seed: u64) -> usize {
    let expected = recount(world);
    for (row, count) in &expected.counts {
        let stored = world.row(&key_of(*row)).unwrap_or_else(|| panic!("seed {seed}: no {row:?}"));
        match parse(*row, &stored).unwrap().numbers {
            RowNumbers::Total(total) => assert_eq!(total, *count, "seed {seed}: {row:?}"),
            RowNumbers::Slots(slots) => {
                for at in 0..60_u8 {
                    let count = expected.slots.get(&(*row, at.into())).copied().unwrap_or_default();
                    assert_eq!(slots.at(at).all, count, "seed {seed}: {row:?} at {at}");
                }
            }
            RowNumbers::Day(total, lists) => {
                assert_eq!(total, *count, "seed {seed}: {row:?}");
                let RowPlace::Day(day) = row.place else { panic!("a day") };
                let of = |name: &str| expected.referrers.get(&(row.link, day, name.to_owned())).copied().unwrap_or(0);
                for (name, named) in lists.referrers.iter() {
                    assert_eq!(named.all, of(name), "seed {seed}: {row:?} {name}");
                }
                assert_eq!(lists.referrers.unknown.all, of("-"), "seed {seed}: {row:?}");
                assert_eq!(lists.referrers.sum(), total, "seed {seed}: {row:?}");
            }
            RowNumbers::Visitors(visitors) => {
                let RowPlace::Visitors(day) = row.place else { panic!("visitors") };
                assert_eq!(visitors.count(true), expected.visitors[&(row.link, day)].len() as u64, "seed {seed}");
            }
        }
    }
    expected.clicks.len()
}

/// A history: blocks that repeat and overlap, folds that are killed anywhere, an engine that only keeps its promises.
async fn history(seed: u64) -> usize {
    let mut random = Random::new(seed);
    let world = Hostile::new(seed, 1, Faults::SOME).unwrap();
    let mut engines = world.engines();
    let mut shipper = Shipper::of(engines.clone(), Id(0));
    let (mut fold, _) = open(&engines).await;
    // Per source: the place up to which it was acknowledged.
    let mut reached = [0_u64; 3];
    for _ in 0..random.below(90) + 10 {
        match random.below(20) {
            0..=6 => {
                let source = random.below(3);
                let done = &mut reached[source as usize];
                let from = done.saturating_sub(random.below(6));
                let to = *done + random.below(5) + 1;
                if shipper.append(block(source + 1, from..to), 4).await {
                    *done = to;
                }
            }
            7..=12 => drop(fold.step().await),
            13 => fold.begin_flush(),
            14..=17 => drop(fold.flush_some().await),
            // The fold alone is killed: what it had in memory is gone, and what it wrote may come late.
            18 => fold = open(&engines).await.0,
            _ => {
                world.crash();
                engines = world.engines();
                shipper = Shipper::of(engines.clone(), shipper.last);
                fold = open(&engines).await.0;
            }
        }
    }
    world.set_faults(Faults::NONE);
    while fold.step().await.unwrap() {}
    fold.flush_all().await.unwrap();
    world.settle();
    let clicks = check(&world, seed);
    let acknowledged: u64 = reached.iter().sum();
    assert!(clicks as u64 >= acknowledged, "seed {seed}: {clicks} of {acknowledged}");
    clicks
}

#[tokio::test]
async fn every_distinct_click_of_the_log_is_counted_once_whatever_fails() {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let runs = std::env::var("HISTORIES").ok().and_then(|runs| runs.parse().ok()).unwrap_or(300);
    let mut clicks = 0;
    for seed in first..first + runs {
        clicks += history(seed).await;
    }
    assert!(clicks as u64 > runs * 5, "{clicks} clicks in {runs} histories");
}

#[tokio::test]
async fn open_rows_are_shown_and_stored_ones_when_they_are_closed() {
    let world = Hostile::new(1, 1, Faults::NONE).unwrap();
    let engines = world.engines();
    let mut shipper = Shipper::of(engines.clone(), Id(0));
    assert!(shipper.append(block(1, 0..50), 9).await);
    let (mut fold, rows) = open(&engines).await;
    while fold.step().await.unwrap() {}
    let totals: Vec<RowOf> = (1..=LINKS).map(|link| RowOf { link: Id(link), place: RowPlace::Total }).collect();
    let sum = |found: Vec<Option<RowTally>>| -> u64 {
        let all = |tally: RowTally| if let RowNumbers::Total(count) = tally.numbers { count.all } else { 0 };
        found.into_iter().flatten().map(all).sum()
    };
    let tables = &*engines.tables;
    assert_eq!(sum(rows.read(tables, &totals).await.unwrap()), 50, "open");
    assert_eq!(sum(OpenRows::default().read(tables, &totals).await.unwrap()), 0, "nothing is stored yet");
    fold.flush_all().await.unwrap();
    assert_eq!(sum(OpenRows::default().read(tables, &totals).await.unwrap()), 50, "stored");
    fold.flush_all().await.unwrap();
    assert!(!fold.is_full());
    assert_eq!(rows.counted.load(Ordering::Relaxed), 50);
}

#[tokio::test]
async fn what_is_no_click_stops_the_fold_and_nothing_is_skipped() {
    let world = Hostile::new(1, 1, Faults::NONE).unwrap();
    let engines = world.engines();
    let mut shipper = Shipper::of(engines.clone(), Id(0));
    assert!(shipper.append(b"{}\n".to_vec(), 9).await);
    assert!(shipper.append(block(1, 0..5), 9).await);
    let (mut fold, rows) = open(&engines).await;
    for _ in 0..2 {
        let stopped = loop {
            match fold.step().await {
                Ok(true) => {}
                Ok(false) => panic!("the fold passed it"),
                Err(error) => break error,
            }
        };
        assert!(matches!(stopped, FoldError::Unreadable(_)), "{stopped}");
    }
    assert_eq!(rows.counted.load(Ordering::Relaxed), 0);
}
