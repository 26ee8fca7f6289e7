//! Rows of numbers: bounds, bytes, and the order in which clicks come.

use std::borrow::Cow;
use std::collections::BTreeMap;

use fanfare_engines::random::Random;
use proptest::prelude::*;

use super::lists::List;
use super::*;
use crate::base::limits::clicks::{BROWSERS_MAX, NAME_BYTES_MAX, NAMES_MAX};

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

const PLACES: [RowPlace; 4] =
    [RowPlace::Total, RowPlace::Minutes(480_005), RowPlace::Hours(20_000), RowPlace::Day(20_000)];

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
                // Slots that are missing at the end are slots of nobody, and totals of before knew no latest day.
                prop_assert!(matches!(read.numbers, RowNumbers::Slots(_) | RowNumbers::Total(_, Latest::UNKNOWN)));
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
                (RowNumbers::Day(day), RowNumbers::Day(other)) => {
                    prop_assert_eq!(day.count, other.count);
                    prop_assert_eq!(day.visitors.count(true), other.visitors.count(true));
                    for list in List::ALL {
                        prop_assert_eq!(day.lists.of(list).sum(), other.lists.of(list).sum());
                    }
                }
                (numbers, others) => prop_assert_eq!(numbers, others),
            }
        }
    }
}

#[test]
fn lists_sum_to_all_that_was_counted_and_name_what_came_first() {
    let tally = folded(RowPlace::Day(20_000), (0..5_000).map(click));
    let RowNumbers::Day(day) = tally.numbers else { panic!("a day") };
    assert_eq!((day.count.all, day.count.of(false)), (5_000, 5_000 - day.count.bots));
    for list in List::ALL {
        assert_eq!(day.lists.of(list).sum(), day.count);
    }
    let [referrers, browsers, cities] = [List::Referrers, List::Browsers, List::Cities].map(|list| day.lists.of(list));
    assert_eq!(referrers.iter().count(), NAMES_MAX);
    assert_eq!(browsers.iter().count(), BROWSERS_MAX);
    assert!(referrers.other.all > 0 && cities.other.all == 0 && cities.unknown.all == 1_000);
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

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Day of five visitors, one of them a bot.
fn five() -> DayNumbers {
    let mut day = DayNumbers::default();
    for number in 0..5 {
        let country = (number < 3).then_some(Cow::Borrowed("GB"));
        let bare = Click::bare("code", Id(1), AT_MS);
        let click = Click { visitor: Some(Visitor(number)), is_bot: number == 4, country, ..bare };
        day.count.add(click.is_bot);
        day.lists.add(&click);
        day.see(&click);
    }
    day
}

/// Rows of days stay for years: bytes of today are read for ever.
#[test]
fn stored_rows_of_days_are_read_as_what_they_were() {
    let tally = RowTally { upto: 3, numbers: RowNumbers::Day(Box::new(five())) };
    assert_eq!(hex(&tally.to_bytes()), FROZEN_DAY);
    assert_eq!(RowTally::parse(RowPlace::Day(20_000), &bytes_of(FROZEN_DAY)), Some(tally));
    let total = RowTally {
        upto: 3,
        numbers: RowNumbers::Total(Count { all: 300, bots: 1 }, Latest { day: 20_000, hour: 480_005 }),
    };
    assert_eq!(hex(&total.to_bytes()), FROZEN_TOTAL);
    assert_eq!(RowTally::parse(RowPlace::Total, &bytes_of(FROZEN_TOTAL)), Some(total));
}

const FROZEN_DAY: &str = concat!(
    "01030000000000000005010501000000020100000102474203000501000000050100000005010000",
    "00050100000005010000000501010000004100000081000000c1000000000404000000000000",
);
const FROZEN_TOTAL: &str = "010300000000000000ac0201a09c0185a61d";

/// The two rows that a day had before its visitors stood in it.
#[test]
fn stored_rows_of_before_are_read_as_what_they_were() {
    let (day, visitors) = (bytes_of(FROZEN_SPLIT_DAY), bytes_of(FROZEN_VISITORS));
    let whole = RowTally { upto: 4, numbers: RowNumbers::Day(Box::new(five())) };
    assert_eq!(RowTally::parse_split_day(Some(&day), Some(&visitors)), Some(whole));
    let alone = RowTally::parse_split_day(None, Some(&visitors)).unwrap();
    assert_eq!(alone.upto, 0, "nothing is counted but visitors, which can be again");
    let RowNumbers::Day(unseen) = RowTally::parse_split_day(Some(&day), None).unwrap().numbers else { panic!("a day") };
    assert_eq!((unseen.count.all, unseen.visitors.count(true)), (5, 0));
    assert_eq!(RowTally::parse_split_day(Some(&day[1..]), Some(&visitors)), None);
    assert_eq!(RowTally::parse_split_day(Some(&day), Some(&visitors[..20])), None);
    let total = RowTally::parse(RowPlace::Total, &bytes_of("010300000000000000ac0201")).unwrap();
    assert_eq!(total.numbers, RowNumbers::Total(Count { all: 300, bots: 1 }, Latest::UNKNOWN));
}

const FROZEN_SPLIT_DAY: &str = concat!(
    "01040000000000000005010501000000020100000102474203000501000000050100000005010000",
    "0005010000000501000000",
);
const FROZEN_VISITORS: &str = "0103000000000000000501010000004100000081000000c1000000000404000000000000";

#[test]
fn a_total_knows_of_which_days_and_hours_there_is_no_row() {
    let mut total = RowNumbers::none(RowPlace::Total);
    let may_have = |total: &RowNumbers, place| {
        let RowNumbers::Total(_, latest) = total else { panic!("a total") };
        latest.may_have(place)
    };
    let (hour, day) = ((AT_MS / HOUR_MS) as u32, (AT_MS / DAY_MS) as u32);
    assert!(!may_have(&total, RowPlace::Day(day)) && may_have(&total, RowPlace::Total));
    total.add(&Click::bare("code", Id(1), AT_MS));
    total.add(&Click::bare("code", Id(1), AT_MS - 3 * DAY_MS));
    for (place, expected) in [
        (RowPlace::Minutes(hour), true),
        (RowPlace::Minutes(hour - 1), true),
        (RowPlace::Minutes(hour + 1), false),
        (RowPlace::Hours(day), true),
        (RowPlace::Hours(day + 1), false),
        (RowPlace::Day(day), true),
        (RowPlace::Day(day + 1), false),
    ] {
        assert_eq!(may_have(&total, place), expected, "{place:?}");
    }
}

#[test]
fn a_click_counts_in_its_own_minute_as_long_as_that_is_kept_and_in_its_day_always() {
    let places = |late_ms: u64| places_of(AT_MS, AT_MS + late_ms, KEPT).collect::<Vec<_>>();
    let [total, minutes, hours, day] = PLACES;
    assert_eq!(places(0), [total, minutes, hours, day]);
    assert_eq!(places(7 * DAY_MS), places(0));
    assert_eq!(places(7 * DAY_MS + 1), [total, hours, day]);
    assert_eq!(places(90 * DAY_MS + 1), [total, day]);
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
