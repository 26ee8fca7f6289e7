//! Levels that are let go of, and numbers of deleted links.

use fanfare_engines::claim::Claim;
use fanfare_engines::{Claimant, Engines, NewRecord};

use super::super::click::{Click, Visitor};
use super::super::fold::{ClickFold, OpenRows};
use super::super::record::RecordWriter;
use super::*;
use crate::config::ClickForm;

const NOW_MS: u64 = 20_000 * DAY_MS + 6 * HOUR_MS;
const KEPT: KeptLevels = KeptLevels { minutes_ms: 7 * DAY_MS, hours_ms: 90 * DAY_MS };
const BOUNDS: ClickBounds = ClickBounds { kept: KEPT, records_ms: DAY_MS, records_bytes: 1 << 20 };
const PARTITION: Partition = Partition(0);
const LINKS: u64 = 100;

/// A log with a record of clicks on every link each day, `days` of them until now, counted and written.
async fn counted(engines: &Engines, days: u64) -> ClickFold {
    let claimant = Claimant { node: "test".to_owned(), is_import: true };
    let mut claim = Claim::take(Arc::clone(&engines.journal), PARTITION, claimant).await.unwrap();
    for day in (0..days).rev() {
        let (at_ms, mut clicks) = (NOW_MS - day * DAY_MS, RecordWriter::new(ClickForm::Packed, 1));
        for link in 1..=LINKS {
            let place = (days - day) * 1_000 + link;
            let visited = Click { visitor: Some(Visitor(link)), ..Click::bare("code", link_of(link), at_ms) };
            clicks.add(place, &visited).unwrap();
        }
        let record = NewRecord { id: first_id_at(at_ms).0, payload: clicks.finish().into() };
        claim.append(&[record], &Batch::default()).await.unwrap();
    }
    let (journal, tables) = (Arc::clone(&engines.journal), Arc::clone(&engines.tables));
    let mut fold = ClickFold::open(journal, tables, PARTITION, KEPT, Arc::new(OpenRows::default())).await.unwrap();
    while fold.step().await.unwrap() {}
    fold.flush_all().await.unwrap();
    fold
}

fn link_of(number: u64) -> Id {
    Id(first_id_at(NOW_MS - 100 * DAY_MS).0 + number)
}

async fn is_there(engines: &Engines, link: Id, place: RowPlace) -> bool {
    engines.tables.get(&key_of(RowOf { link, place })).await.unwrap().is_some()
}

#[tokio::test]
async fn minutes_go_after_a_week_hours_after_a_season_and_days_stay() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    counted(&engines, 12).await;
    let (hour, day) = ((NOW_MS / HOUR_MS) as u32, (NOW_MS / DAY_MS) as u32);
    let minutes = async |ago: u32| is_there(&engines, link_of(7), RowPlace::Minutes(hour - ago * 24)).await;
    let hours = async |ago: u32| is_there(&engines, link_of(7), RowPlace::Hours(day - ago)).await;
    assert!(minutes(0).await && minutes(11).await && hours(11).await);
    let_go(&*engines.tables, KEPT, NOW_MS).await.unwrap();
    assert!(minutes(0).await && minutes(7).await && !minutes(8).await && !minutes(11).await && hours(11).await);
    let_go(&*engines.tables, KEPT, NOW_MS + 85 * DAY_MS).await.unwrap();
    assert!(!minutes(0).await && hours(4).await && !hours(11).await);
    assert!(is_there(&engines, link_of(7), RowPlace::Day(day - 11)).await);
    let times = engines.tables.scan(tables::CLICK_TIMES, &tables::ONE, KeyRange::ALL, Order::Ascending, 100).await;
    assert_eq!(times.unwrap().len(), 7, "hours of the last seven days, and no minutes");
}

#[tokio::test]
async fn numbers_of_a_deleted_link_are_gone_and_those_of_others_stay() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    counted(&engines, 3).await;
    let (hour, day) = ((NOW_MS / HOUR_MS) as u32, (NOW_MS / DAY_MS) as u32);
    let places = [
        RowPlace::Total,
        RowPlace::Day(day),
        RowPlace::Day(day - 2),
        RowPlace::Hours(day - 1),
        RowPlace::Minutes(hour),
    ];
    forget_link(&*engines.tables, link_of(7), KEPT, NOW_MS).await.unwrap();
    for place in places {
        assert!(!is_there(&engines, link_of(7), place).await, "{place:?}");
        assert!(is_there(&engines, link_of(8), place).await, "{place:?}");
    }
    forget_link(&*engines.tables, link_of(7), KEPT, NOW_MS).await.unwrap();
}

#[tokio::test]
async fn records_that_are_counted_and_old_go_and_what_is_not_counted_never() {
    let engines = fanfare_engines::memory::open(1).unwrap();
    let fold = counted(&engines, 5).await;
    let (journal, counting) = (&engines.journal, Counting::default());
    let kept = async || journal.read(PARTITION, fanfare_engines::Position::START, 100).await.unwrap().records.len();
    journal.checkpoint(crate::log::owner::CONSUMER, PARTITION, fold.stored().next()).await.unwrap();
    assert!(!trim(journal, PARTITION, &counting, BOUNDS, NOW_MS).await.unwrap());
    assert_eq!(kept().await, 5, "nothing is said to be counted");
    *counting.stored.lock() = fold.stored().clone();
    trim(journal, PARTITION, &counting, BOUNDS, NOW_MS).await.unwrap();
    assert_eq!(kept().await, 5, "the counter has not said so to the log");
    let small = ClickBounds { records_bytes: 10, ..BOUNDS };
    assert!(trim(journal, PARTITION, &counting, small, NOW_MS).await.unwrap(), "more than may be, and not counted");
    journal.checkpoint(CONSUMER, PARTITION, fold.stored().next()).await.unwrap();
    trim(journal, PARTITION, &counting, BOUNDS, NOW_MS).await.unwrap();
    assert_eq!(kept().await, 2, "of today and of this hour yesterday");
    assert!(!trim(journal, PARTITION, &counting, small, NOW_MS).await.unwrap());
    assert_eq!(kept().await, 0);
}
