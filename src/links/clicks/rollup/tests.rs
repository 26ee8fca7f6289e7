//! Rows of numbers: bounds, bytes, and the order in which clicks come.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use fanfare_engines::random::Random;
use proptest::prelude::*;

use super::*;
use crate::base::limits::clicks::NAME_BYTES_MAX;

const KEPT: KeptLevels = KeptLevels { minutes_ms: 7 * DAY_MS, hours_ms: 90 * DAY_MS };
const AT_MS: u64 = 20_000 * DAY_MS + 5 * HOUR_MS + 7 * MINUTE_MS;

fn click(number: u64) -> Click<'static> {
    let name = |of: u64| (!number.is_multiple_of(of)).then(|| Cow::Owned(format!("name {}", number % of)));
    Click {
        country: name(7),
        city: name(5),
        referrer: name(150),
        device: name(3),
        browser: name(40),
        os: name(4),
        language: name(6),
        is_bot: number.is_multiple_of(3),
        visitor: Some(Visitor(number % 90)),
        ..Click::bare("code", Id(1), AT_MS + number * 13_000)
    }
}

fn folded(place: RowPlace, clicks: impl Iterator<Item = Click<'static>>) -> RowTally {
    let mut tally = RowTally { upto: 9, ..RowTally::none(place) };
    clicks.for_each(|click| tally.numbers.add(&click));
    tally
}

const PLACES: [RowPlace; 5] = [
    RowPlace::Total,
    RowPlace::Minutes(480_005),
    RowPlace::Hours(20_000),
    RowPlace::Day(20_000),
    RowPlace::Visitors(20_000),
];

proptest! {
    #[test]
    fn a_row_is_read_as_it_was_written_and_a_torn_one_is_none(
        numbers in proptest::collection::vec(0_u64..4_000, 0..700), cut in any::<proptest::sample::Index>(),
    ) {
        for place in PLACES {
            let tally = folded(place, numbers.iter().map(|number| click(*number)));
            let bytes = tally.to_bytes();
            let read = RowTally::parse(place, &bytes);
            prop_assert_eq!(read.as_ref(), Some(&tally));
            prop_assert_eq!(read.map(|read| read.to_bytes()), Some(bytes.clone()), "the same bytes");
            if let Some(read) = RowTally::parse(place, &bytes[..cut.index(bytes.len())]) {
                // Slots that are missing at the end are slots of nobody.
                prop_assert!(matches!(read.numbers, RowNumbers::Slots(_)));
            }
        }
    }

    #[test]
    fn no_bytes_make_reading_a_row_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for place in PLACES {
            let _ = RowTally::parse(place, &[&[FORMAT; 1], &bytes[..]].concat());
        }
    }

    #[test]
    fn the_order_changes_no_number(mut numbers in proptest::collection::vec(0_u64..300, 0..200)) {
        let of = |numbers: &[u64]| PLACES.map(|place| folded(place, numbers.iter().map(|number| click(*number))));
        let before = of(&numbers);
        numbers.reverse();
        for (before, after) in before.iter().zip(of(&numbers)) {
            match (&before.numbers, &after.numbers) {
                // Which referrers come first decides which have names; sums stay.
                (RowNumbers::Day(count, lists), RowNumbers::Day(other, others)) => {
                    prop_assert_eq!(count, other);
                    for (list, other) in lists.all().into_iter().zip(others.all()) {
                        prop_assert_eq!(list.sum(), other.sum());
                    }
                }
                (RowNumbers::Visitors(visitors), RowNumbers::Visitors(others)) => {
                    prop_assert_eq!(visitors.count(true), others.count(true));
                }
                (numbers, others) => prop_assert_eq!(numbers, others),
            }
        }
    }
}

#[test]
fn lists_sum_to_all_that_was_counted_and_name_what_came_first() {
    let tally = folded(RowPlace::Day(20_000), (0..5_000).map(click));
    let RowNumbers::Day(count, lists) = tally.numbers else { panic!("a day") };
    assert_eq!((count.all, count.of(false)), (5_000, 5_000 - count.bots));
    for list in lists.all() {
        assert_eq!(list.sum(), count);
    }
    assert_eq!(lists.referrers.iter().count(), NAMES_MAX);
    assert_eq!(lists.browsers.iter().count(), BROWSERS_MAX);
    assert!(lists.referrers.other.all > 0 && lists.cities.other.all == 0 && lists.cities.unknown.all == 1_000);
}

#[test]
fn a_hundred_thousand_referrers_leave_a_row_below_16_kib() {
    let long = "x".repeat(200);
    let mut tally = RowTally::none(RowPlace::Day(20_000));
    for number in 0..100_000_u64 {
        let host = format!("{number}.{long}");
        let letters = [b'a' + (number % 26) as u8, b'a' + (number / 26 % 26) as u8, b'a' + (number / 676 % 26) as u8];
        let click = Click {
            referrer: Some(super::super::click::cut(&host).to_owned().into()),
            language: Some(String::from_utf8_lossy(&letters).into_owned().into()),
            browser: Some(format!("browser {number}").into()),
            country: Some("GB".into()),
            city: Some("London".into()),
            ..click(number)
        };
        assert!(click.referrer.as_ref().unwrap().len() <= NAME_BYTES_MAX);
        tally.numbers.add(&click);
    }
    let bytes = tally.to_bytes().len();
    assert!(bytes < 16 << 10, "{bytes}");
}

#[test]
fn visitors_are_exact_when_few_and_within_five_percent_when_many() {
    for (count, off) in [(1_u64, 0.0), (100, 0.0), (10_000, 0.05), (200_000, 0.05)] {
        let mut visitors = Visitors::default();
        for number in 0..count * 2 {
            visitors.add(Random::new(number % count).next(), false);
        }
        visitors.add(7, true);
        let found = visitors.count(false);
        assert!((found as f64 - count as f64).abs() <= off * count as f64, "{found} of {count}");
        assert_eq!(visitors.count(true), found + 1);
    }
}

/// Rows of days stay for years: bytes of today are read for ever.
#[test]
fn stored_rows_of_visitors_are_read_as_what_they_were() {
    let mut visitors = Visitors::default();
    (0..5).for_each(|number| visitors.add(number, number == 4));
    let bytes = RowTally { upto: 3, numbers: RowNumbers::Visitors(visitors) }.to_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, FROZEN);
}

const FROZEN: &str = "0103000000000000000501010000004100000081000000c1000000000404000000000000";

#[test]
fn a_click_counts_in_its_own_minute_as_long_as_that_is_kept_and_in_its_day_always() {
    let places = |late_ms: u64| -> HashSet<RowPlace> {
        rows_of(&click(0), AT_MS + late_ms, KEPT).map(|row| row.place).collect()
    };
    let [total, minutes, hours, day, visitors] = PLACES;
    assert_eq!(places(0), HashSet::from([total, minutes, hours, day, visitors]));
    assert_eq!(places(7 * DAY_MS), places(0));
    assert_eq!(places(7 * DAY_MS + 1), HashSet::from([total, hours, day, visitors]));
    assert_eq!(places(90 * DAY_MS + 1), HashSet::from([total, day, visitors]));
    let unseen = Click { visitor: None, ..click(0) };
    assert_eq!(rows_of(&unseen, AT_MS, KEPT).count(), 4);
}

#[test]
fn minutes_and_hours_are_where_they_belong() {
    let tally = folded(RowPlace::Minutes(480_005), (0..200).map(click));
    let RowNumbers::Slots(slots) = tally.numbers else { panic!("slots") };
    let mut expected: BTreeMap<usize, u64> = BTreeMap::new();
    for number in 0..200 {
        *expected.entry((click(number).at_ms / MINUTE_MS % 60) as usize).or_default() += 1;
    }
    for at in 0..60_u8 {
        assert_eq!(slots.at(at).all, expected.get(&usize::from(at)).copied().unwrap_or_default());
    }
}
