//! Histories of clicks that come again, over an engine that keeps its promises and nothing more.

use std::collections::{BTreeMap, HashMap, HashSet};

use fanfare_engines::claim::Claim;
use fanfare_engines::hostile::{Faults, Hostile};
use fanfare_engines::random::Random;
use fanfare_engines::{Claimant, Engines, NewRecord};

use super::super::click::{Click, ClickOrigin, Visitor};
use super::super::number::write_number;
use super::super::record::{RecordClick, RecordWriter};
use super::super::rollup::counts::Count;
use super::super::rollup::lists::List;
use super::super::rollup::{DAY_MS, DayNumbers, HOUR_MS, MINUTE_MS, RowNumbers};
use super::*;
use crate::base::id::{following, unix_ms_of};
use crate::config::ClickForm;

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
    // As different versions and settings left them.
    let form = if places.start.is_multiple_of(3) { ClickForm::Lines } else { ClickForm::Packed };
    let mut record = RecordWriter::new(form, source);
    for place in places {
        record.add(place + 1, &click_at(source, place)).unwrap();
    }
    record.finish()
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
        let read = ClickRecord::read(&record.payload).unwrap();
        for (origin, click) in read.clicks.iter().map(|click| (click.origin, read.click(click))) {
            if !all.clicks.insert(origin) {
                continue;
            }
            let day = (click.at_ms / DAY_MS) as u32;
            for row in places_of(click.at_ms, made_ms, KEPT).map(|place| RowOf { link: click.link, place }) {
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

async fn check(world: &Hostile, seed: u64) -> usize {
    let expected = recount(world);
    let rows: Vec<RowOf> = expected.counts.keys().copied().collect();
    let found = stored(&*world.engines().tables, &rows).await.unwrap();
    for (row, tally) in rows.iter().zip(found) {
        let count = &expected.counts[row];
        match tally.unwrap_or_else(|| panic!("seed {seed}: no {row:?}")).numbers {
            RowNumbers::Total(total, _) => assert_eq!(total, *count, "seed {seed}: {row:?}"),
            RowNumbers::Slots(slots) => {
                for at in 0..60_u8 {
                    let count = expected.slots.get(&(*row, at.into())).copied().unwrap_or_default();
                    assert_eq!(slots.at(at).all, count, "seed {seed}: {row:?} at {at}");
                }
            }
            RowNumbers::Day(numbers) => {
                let referrers = numbers.lists.of(List::Referrers);
                assert_eq!(numbers.count, *count, "seed {seed}: {row:?}");
                let RowPlace::Day(day) = row.place else { panic!("a day") };
                let of = |name: &str| expected.referrers.get(&(row.link, day, name.to_owned())).copied().unwrap_or(0);
                for (name, named) in referrers.iter() {
                    assert_eq!(named.all, of(name), "seed {seed}: {row:?} {name}");
                }
                assert_eq!(referrers.unknown.all, of("-"), "seed {seed}: {row:?}");
                assert_eq!(referrers.sum(), numbers.count, "seed {seed}: {row:?}");
                let visitors = expected.visitors.get(&(row.link, day)).map_or(0, HashSet::len);
                assert_eq!(numbers.visitors.count(true), visitors as u64, "seed {seed}: {row:?}");
            }
        }
    }
    expected.clicks.len()
}

/// Clicks of a record that were not counted before it: its id, its moment, and they.
type Counted = (u64, u64, Vec<Click<'static>>);

/// Heads before each record of the log, and behind the last; and what is news in each.
async fn read_log(world: &Hostile) -> (Vec<FoldHead>, Vec<Counted>) {
    let (mut heads, mut news) = (vec![FoldHead::default()], Vec::new());
    loop {
        let mut head = heads[heads.len() - 1].clone();
        let page = world.engines().journal.read(PARTITION, head.next(), 1).await.unwrap();
        let Some(record) = page.records.first() else { return (heads, news) };
        let before = Position { offset: record.offset, ..head.next() };
        let (admitted, _) = head.admit(record, before).unwrap();
        let click = |click: &RecordClick| click_at(click.origin.source, click.origin.place - 1);
        news.push((record.id.unwrap(), record_ms(record), admitted.clicks.iter().map(click).collect()));
        head.pass(page.next);
        heads.push(head);
    }
}

/// Writes rows of before days knew their visitors and totals the latest day, as a fold left them that was killed
/// while it wrote them: of each row, some records beyond the head are counted.
async fn split_rows(world: &Hostile, random: &mut Random) {
    let (heads, news) = read_log(world).await;
    let written = random.below(heads.len() as u64) as usize;
    let ahead = (heads.len() - written) as u64;
    let mut batch = Batch::default();
    let mut put = |key, value: Vec<u8>| {
        let upto = u64::from_le_bytes(*value[1..].first_chunk().unwrap());
        batch.put_versioned(key, value, upto);
    };
    let places = news.iter().flat_map(|(_, made_ms, clicks)| {
        let rows = |click: &Click<'_>| {
            let link = click.link;
            places_of(click.at_ms, *made_ms, KEPT).map(move |place| RowOf { link, place })
        };
        clicks.iter().flat_map(rows).collect::<Vec<_>>()
    });
    for row in places.collect::<HashSet<RowOf>>() {
        // Each row of a day is written apart, and may be of another moment.
        let mut tally_at = || {
            let mut tally = RowTally::none(row.place);
            for (record, made_ms, clicks) in &news[..written + random.below(ahead) as usize] {
                let is_its = |click: &&Click<'_>| {
                    click.link == row.link && places_of(click.at_ms, *made_ms, KEPT).any(|place| place == row.place)
                };
                for click in clicks.iter().filter(is_its) {
                    tally.numbers.add(click);
                    tally.upto = *record;
                }
            }
            (tally.upto > 0).then_some(tally)
        };
        let Some(tally) = tally_at() else { continue };
        let mut bytes = tally.to_bytes();
        match (&tally.numbers, row.place) {
            (RowNumbers::Total(count, _), _) => {
                bytes.truncate(9);
                write_number(count.all, &mut bytes);
                write_number(count.bots, &mut bytes);
                put(key_of(row), bytes);
            }
            (RowNumbers::Slots(_), _) => put(key_of(row), bytes),
            (RowNumbers::Day(numbers), RowPlace::Day(day)) => {
                let sketches = |numbers: &DayNumbers| {
                    let of = |numbers| RowNumbers::Day(Box::new(numbers)).to_bytes(0);
                    let seen = of(DayNumbers { visitors: numbers.visitors.clone(), ..DayNumbers::default() });
                    seen[of(DayNumbers::default()).len() - EMPTY_SKETCHES..].to_vec()
                };
                bytes.truncate(bytes.len() - sketches(numbers).len());
                put(tables::click_split_day_row(row.link, day), bytes);
                if let Some(RowTally { upto, numbers: RowNumbers::Day(numbers) }) = tally_at() {
                    let bytes = [&[1][..], &upto.to_le_bytes(), &sketches(&numbers)].concat();
                    put(tables::click_visitors_row(row.link, day), bytes);
                }
            }
            (RowNumbers::Day(_), _) => panic!("a day"),
        }
    }
    let head = serde_json::to_vec(&heads[written]).unwrap();
    batch.put_versioned(tables::click_head_row(PARTITION.0), head, heads[written].next().offset.0);
    world.engines().tables.write(batch).await.unwrap();
}

/// Bytes of two sketches of nobody.
const EMPTY_SKETCHES: usize = 18;

#[tokio::test]
async fn rows_of_an_earlier_version_are_counted_on_from_wherever_its_end_left_them() {
    for seed in 1..80 {
        let mut random = Random::new(seed);
        let world = Hostile::new(seed, 1, Faults::NONE).unwrap();
        let mut shipper = Shipper::of(world.engines(), Id(0));
        let mut ship = async |from: u64, random: &mut Random| {
            for source in 1..3 {
                let (from, to) = (from.saturating_sub(random.below(4)), from + random.below(9) + 1);
                assert!(shipper.append(block(source, from..to), 9).await);
            }
        };
        for turn in 0..4 {
            ship(turn * 9, &mut random).await;
        }
        split_rows(&world, &mut random).await;
        world.set_faults(Faults::SOME);
        let (mut fold, _) = open(&world.engines()).await;
        for turn in 0..30 {
            match random.below(8) {
                0..=2 => drop(fold.step().await),
                3 => fold.begin_flush(),
                4..=6 => drop(fold.flush_some().await),
                _ => fold = open(&world.engines()).await.0,
            }
            if turn % 10 == 9 {
                world.set_faults(Faults::NONE);
                ship(40 + turn, &mut random).await;
                world.set_faults(Faults::SOME);
            }
        }
        world.set_faults(Faults::NONE);
        while fold.step().await.unwrap() {}
        fold.flush_all().await.unwrap();
        world.settle();
        check(&world, seed).await;
    }
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
    let clicks = check(&world, seed).await;
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
        let all = |tally: RowTally| if let RowNumbers::Total(count, _) = tally.numbers { count.all } else { 0 };
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
