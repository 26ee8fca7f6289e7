//! Questions about links: sums, empty points, and what is refused.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;

use super::super::click::{Click, Visitor};
use super::super::rollup::places_of;
use super::*;

const KEPT: KeptLevels = KeptLevels { minutes_ms: 7 * DAY_MS, hours_ms: 90 * DAY_MS };
/// A day's noon.
const NOW_MS: u64 = 20_000 * DAY_MS + 12 * HOUR_MS;
const SUBJECT: Subject = Subject { link: Id(1), made_ms: NOW_MS - 40 * DAY_MS };

fn asked(from_ms: u64, to_ms: u64, interval: Interval) -> Question {
    Question { from: Some(Timestamp(from_ms)), to: Some(Timestamp(to_ms)), interval, bots: Bots::Include }
}

fn plan(question: Question) -> Result<StatsPlan, StatsRefusal> {
    StatsPlan::of(question, SUBJECT, NOW_MS, KEPT)
}

fn refusal(question: Question) -> (&'static str, String) {
    let refusal = plan(question).unwrap_err();
    (refusal.field, refusal.detail)
}

fn counted(clicks: &[Click<'_>]) -> HashMap<RowOf, RowTally> {
    let mut rows = HashMap::new();
    for click in clicks {
        for place in places_of(click.at_ms, NOW_MS, KEPT) {
            let row = RowOf { link: click.link, place };
            rows.entry(row).or_insert_with(|| RowTally::none(row.place)).numbers.add(click);
        }
    }
    rows
}

fn answer(question: Question, clicks: &[Click<'_>]) -> LinkStats {
    let (plan, rows) = (plan(question).unwrap(), counted(clicks));
    plan.answer(plan.rows().iter().map(|row| rows.get(row).cloned()).collect())
}

fn click(ago_ms: u64, is_bot: bool, referrer: u64) -> Click<'static> {
    Click {
        referrer: (referrer > 0).then(|| format!("r{referrer}.example").into()),
        is_bot,
        visitor: Some(Visitor(referrer)),
        ..Click::bare("code", Id(1), NOW_MS - ago_ms)
    }
}

fn sum(list: &[StatsName]) -> u64 {
    list.iter().map(|name| name.count).sum()
}

proptest! {
    /// Whole days: the series and every list sum to the total, or to the people; each point is a recount of its own.
    #[test]
    fn series_and_lists_sum_to_the_total_over_whole_days(
        clicks in proptest::collection::vec((0..3 * DAY_MS, any::<bool>(), 0_u64..5), 0..80),
        interval in prop_oneof![Just(Interval::Hour), Just(Interval::Day)],
        exclude in any::<bool>(),
    ) {
        let clicks: Vec<_> = clicks.into_iter().map(|(ago, bot, referrer)| click(ago, bot, referrer)).collect();
        let bots = if exclude { Bots::Exclude } else { Bots::Include };
        let to_ms = NOW_MS.div_ceil(DAY_MS) * DAY_MS;
        let stats = answer(Question { bots, ..asked(to_ms - 4 * DAY_MS, to_ms, interval) }, &clicks);
        let people = clicks.iter().filter(|click| !click.is_bot).count() as u64;
        let expected = if exclude { people } else { clicks.len() as u64 };
        prop_assert_eq!((stats.total, stats.bots), (clicks.len() as u64, clicks.len() as u64 - people));
        prop_assert_eq!(stats.series.iter().map(|point| point.count).sum::<u64>(), expected);
        for list in [&stats.referrers, &stats.countries, &stats.cities, &stats.devices, &stats.browsers, &stats.systems, &stats.languages] {
            prop_assert_eq!(sum(list), expected);
        }
        let mut points: BTreeMap<u64, u64> = BTreeMap::new();
        for click in clicks.iter().filter(|click| !(exclude && click.is_bot)) {
            *points.entry(click.at_ms / step_of(interval) * step_of(interval)).or_default() += 1;
        }
        for point in &stats.series {
            prop_assert_eq!(point.count, points.get(&point.at.0).copied().unwrap_or_default());
        }
        prop_assert!(stats.referrers.iter().take_while(|name| name.name != UNKNOWN).is_sorted_by(|a, b| a.count >= b.count));
    }

    #[test]
    fn no_question_makes_planning_panic(from in proptest::option::of(0..=Timestamp::MAX.0), to in proptest::option::of(0..=Timestamp::MAX.0), made in 0..=Timestamp::MAX.0) {
        for interval in [Interval::Minute, Interval::Hour, Interval::Day] {
            let question = Question { from: from.map(Timestamp), to: to.map(Timestamp), interval, bots: Bots::Include };
            let subject = Subject { link: Id(1), made_ms: made };
            if let Ok(plan) = StatsPlan::of(question, subject, NOW_MS, KEPT) {
                let stats = plan.answer(vec![None; plan.rows().len()]);
                prop_assert!((1..=POINTS_MAX as usize).contains(&stats.series.len()));
            }
        }
    }
}

#[test]
fn a_day_of_minutes_has_each_of_them_and_the_empty_ones_are_zero() {
    let clicks: Vec<_> = [0, 30_000, 90_000, 60 * MINUTE_MS].map(|ago| click(ago, false, 1)).to_vec();
    let stats = answer(Question { interval: Interval::Minute, ..Question::default() }, &clicks);
    assert_eq!(stats.series.len(), 1_441, "24 hours touch one minute more");
    assert_eq!((stats.total, stats.to), (4, Timestamp(NOW_MS + MINUTE_MS)));
    let some: Vec<(u64, u64)> =
        stats.series.iter().filter(|point| point.count > 0).map(|point| (NOW_MS - point.at.0, point.count)).collect();
    assert_eq!(some, [(60 * MINUTE_MS, 1), (2 * MINUTE_MS, 1), (MINUTE_MS, 1), (0, 1)]);
    let whole = answer(asked(NOW_MS - DAY_MS, NOW_MS, Interval::Minute), &clicks);
    assert_eq!((whole.series.len(), whole.total), (1_440, 3), "`to` itself is left out");
}

#[test]
fn without_a_time_the_days_since_the_link_was_made_are_answered() {
    let stats = answer(Question::default(), &[click(40 * DAY_MS, false, 1)]);
    assert_eq!((stats.series.len(), stats.total, stats.unique), (41, 1, 1));
    let old = Subject { made_ms: 5, ..SUBJECT };
    let plan = StatsPlan::of(Question::default(), old, NOW_MS, KEPT).unwrap();
    assert_eq!(plan.answer(Vec::new()).series.len() as u64, POINTS_MAX);
}

#[test]
fn what_is_refused_names_the_field_and_what_to_ask_for() {
    let (field, detail) = refusal(asked(NOW_MS, NOW_MS - 1, Interval::Day));
    assert_eq!((field, &*detail), ("from", "must not be after `to`"));
    let (field, detail) = refusal(asked(NOW_MS - 2 * DAY_MS, NOW_MS, Interval::Minute));
    assert_eq!(field, "interval");
    assert!(detail.contains("2880 points") && detail.ends_with("interval=hour"), "{detail}");
    let (_, detail) = refusal(asked(NOW_MS - 8 * DAY_MS, NOW_MS - 8 * DAY_MS + HOUR_MS, Interval::Minute));
    assert_eq!(detail, "minutes are kept for 7 days: ask for interval=hour");
    let (_, detail) = refusal(asked(NOW_MS - 91 * DAY_MS, NOW_MS - 91 * DAY_MS + HOUR_MS, Interval::Minute));
    assert_eq!(detail, "minutes are kept for 7 days: ask for interval=day");
    let (_, detail) = refusal(asked(NOW_MS - 91 * DAY_MS, NOW_MS - 90 * DAY_MS, Interval::Hour));
    assert_eq!(detail, "hours are kept for 90 days: ask for interval=day");
    let (_, detail) = refusal(asked(0, NOW_MS, Interval::Day));
    assert!(detail.ends_with("ask for a shorter time"), "{detail}");
    assert!(plan(asked(NOW_MS - 7 * DAY_MS, NOW_MS - 7 * DAY_MS + HOUR_MS, Interval::Minute)).is_ok());
    assert!(plan(asked(0, DAY_MS, Interval::Day)).is_ok(), "days are kept as long as the link");
}

#[test]
fn unique_is_the_sum_of_days_and_of_people_alone_where_bots_are_left_out() {
    let clicks = [click(0, false, 1), click(5, false, 1), click(9, true, 2), click(DAY_MS, false, 1)];
    assert_eq!(answer(Question::default(), &clicks).unique, 3);
    assert_eq!(answer(Question { bots: Bots::Exclude, ..Question::default() }, &clicks).unique, 2);
}

#[test]
fn a_long_list_ends_in_other() {
    let clicks: Vec<_> =
        (0..3).flat_map(|day| (1..=80).map(move |n| click(day * DAY_MS, false, day * 100 + n))).collect();
    let stats = answer(Question::default(), &clicks);
    assert_eq!(stats.referrers.len(), LISTED_MAX + 1);
    assert_eq!(stats.referrers.last().map(|name| (&*name.name, name.count)), Some((OTHER, 140)));
    assert_eq!(sum(&stats.referrers), 240);
}
