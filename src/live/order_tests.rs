//! The order of the published example, and that no pass repeats or misses a session.

use proptest::prelude::*;

use super::*;
use crate::base::id::{EPOCH_MS, first_id_at};

const MINUTE_MS: u64 = 60_000;

/// First id of a minute, from zero on.
fn minute(minute: u64) -> Id {
    first_id_at(EPOCH_MS + 86_400_000 + minute * MINUTE_MS)
}

fn ms(minute: u64) -> u64 {
    EPOCH_MS + 86_400_000 + minute * MINUTE_MS
}

/// The example's sessions: number, host, planned, started, ended.
const SESSIONS: [(u64, u64, u64, u64, u64); 5] =
    [(3, 13, 10, 10, 40), (5, 14, 45, 45, 75), (1, 11, 60, 61, 100), (4, 12, 80, 82, 95), (2, 11, 120, 120, 140)];

/// The sessions as they are at a minute.
fn sessions_at(now: u64) -> Vec<LiveRow> {
    let session = |(number, host, planned, started, ended): (u64, u64, u64, u64, u64)| {
        let past = |at: u64| (at <= now).then(|| minute(at));
        let announced = LiveRow::announced(Id(number), Id(host), format!("session {number}"), ms(planned));
        LiveRow { started: past(started), ended: past(ended), ..announced }
    };
    SESSIONS.into_iter().map(session).collect()
}

/// A page as words such as `3l`, and the position of the next one.
fn page(sessions: &[LiveRow], at: LivePosition, limit: usize) -> (Vec<String>, Option<LivePosition>) {
    let below = sessions.iter().filter_map(|row| Some((place_at(row, at.t)?, row)));
    let mut found: Vec<_> = below.filter(|(place, _)| *place < at.below).collect();
    highest(&mut found, limit + 1);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|(place, _)| LivePosition { t: at.t, below: *place });
    let word = |(_, row): &(LivePlace, &LiveRow)| {
        let state = match row.state_at(at.t) {
            Some(LiveState::Live) => 'l',
            Some(LiveState::Replay) => 'r',
            _ => 'u',
        };
        format!("{}{state}", row.id)
    };
    (found.iter().map(word).collect(), next)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_highest_of_what_is_offered_are_those_that_a_sort_has_first(
        offered in proptest::collection::vec((any::<bool>(), -9_i64..9), 0..90),
        max in prop_oneof![0_usize..12, 28_usize..40],
    ) {
        let mut highest = Highest::new(max);
        let mut sorted = Vec::new();
        for (number, (is_open, score)) in offered.into_iter().enumerate() {
            let id = Id(number as u64);
            let place = if is_open { LivePlace::Open { score, id } } else { LivePlace::Replay(id) };
            highest.offer(place, number);
            sorted.push((place, number));
        }
        sorted.sort_unstable_by(|one, other| other.cmp(one));
        sorted.truncate(max);
        prop_assert_eq!(highest.into_found(), sorted);
    }
}

fn first(t: u64) -> LivePosition {
    LivePosition { t: minute(t), below: LivePlace::Open { score: i64::MAX, id: Id(u64::MAX) } }
}

#[test]
fn first_pages_of_the_published_example() {
    for (t, order) in [(20, "3l 5u 1u 4u 2u"), (50, "5l 1u 4u 2u 3r"), (90, "4l 1l 2u 5r 3r"), (150, "2r 1r 4r 5r 3r")]
    {
        assert_eq!(page(&sessions_at(t), first(t), 10).0.join(" "), order, "T = {t}");
    }
}

#[test]
fn pages_two_and_three_agree_with_page_one_whatever_has_happened_since() {
    // Page one in its minute, all others at 150.
    let pass = |began: u64| {
        let (mut at, mut now, mut pages) = (first(began), began, Vec::new());
        loop {
            let (words, next) = page(&sessions_at(now), at, 2);
            pages.push(words.join(" "));
            let Some(next) = next else { return pages };
            // As a cursor has it.
            at = LivePosition::from_bytes(&next.to_bytes()).unwrap();
            now = 150;
        }
    };
    let (device, other) = (pass(20), pass(90));
    assert_eq!(device, ["3l 5u", "1u 4u", "2u"], "no session twice, none missing, none as a replay");
    assert_eq!(other, ["4l 1l", "2u 5r", "3r"]);
}

#[test]
fn what_is_equal_goes_by_the_session() {
    let row = |id: u64, planned: u64| LiveRow::announced(Id(id), Id(1), String::new(), planned);
    let mut rows = [row(1, 50), row(2, 50), row(3, 60)];
    let words = |rows: &[LiveRow]| page(rows, LivePosition { t: Id(u64::MAX >> 1), ..first(0) }, 9).0.join(" ");
    assert_eq!(words(&rows), "2u 1u 3u");
    // In one millisecond.
    for (row, sequence) in rows.iter_mut().zip([3, 1, 2]) {
        row.started = Some(Id(minute(1).0 + sequence));
    }
    assert_eq!(words(&rows), "3l 2l 1l");
    for (row, sequence) in rows.iter_mut().zip([3, 1, 2]) {
        row.ended = Some(Id(minute(2).0 + sequence));
    }
    assert_eq!(words(&rows), "1r 3r 2r", "replays by the record, which is never equal");
}

#[test]
fn positions_read_back_and_nothing_else_is_one() {
    for below in
        [LivePlace::Open { score: -5, id: Id(7) }, LivePlace::Open { score: 9, id: Id(1) }, LivePlace::Replay(Id(3))]
    {
        let at = LivePosition { t: Id(99), below };
        assert_eq!(LivePosition::from_bytes(&at.to_bytes()), Some(at));
        let bytes = at.to_bytes();
        assert!((0..bytes.len()).all(|length| LivePosition::from_bytes(&bytes[..length]).is_none()));
        assert_eq!(LivePosition::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }
    assert_eq!(LivePosition::from_bytes(&[9; 25]), None);
}
