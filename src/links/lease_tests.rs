//! Numbers are given out once, through starts and restored copies.

use proptest::prelude::*;

use super::*;

const NOW_MS: u64 = 1_800_000_000_000;

/// Something that happens to a server and its folder.
#[derive(Debug, Clone)]
enum Step {
    /// So many creates are wanted.
    Create(u64),
    /// Time passes.
    Pass(u64),
    /// The server is killed and started.
    Restart,
    /// A copy of the folder is made.
    Copy,
    /// The copy is put back, and the server started on it.
    Restore,
    /// The row is written for no need.
    Mark,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..60_000).prop_map(Step::Create),
        4 => (1_u64..30_000).prop_map(Step::Pass),
        2 => Just(Step::Restart),
        1 => Just(Step::Copy),
        1 => Just(Step::Restore),
        1 => Just(Step::Mark),
    ];
    prop::collection::vec(step, 1..60)
}

/// Numbers given out, as ranges; a number that comes twice is a mistake.
#[derive(Default)]
struct Given(std::collections::BTreeMap<u64, u64>);

impl Given {
    fn take(&mut self, from: u64, end: u64) {
        let before = self.0.range(..end).next_back();
        assert!(before.is_none_or(|(_, given_end)| *given_end <= from), "{from}..{end} was given out: {before:?}");
        self.0.insert(from, end);
    }
}

fn run(steps: Vec<Step>) {
    let (mut now_ms, mut given) = (NOW_MS, Given::default());
    let (mut stored, mut copy) = (NumberLease::first(now_ms), NumberLease::first(now_ms));
    let mut block: LeasedNumbers = 0..0;
    let mut is_begun = true;
    for step in steps {
        match step {
            Step::Pass(ms) => now_ms += ms,
            Step::Copy => copy = stored,
            Step::Mark if is_begun => stored = stored.idle(now_ms),
            Step::Mark => {}
            Step::Restart | Step::Restore => {
                if matches!(step, Step::Restore) {
                    stored = copy;
                }
                (block, is_begun) = (0..0, false);
            }
            Step::Create(mut wanted) => {
                if !is_begun {
                    (stored, is_begun) = (stored.begun(now_ms), true);
                }
                while wanted > 0 {
                    if block.is_empty() {
                        let Some((row, leased)) = stored.leased(now_ms) else { break };
                        (stored, block) = (row, leased);
                    }
                    let end = block.end.min(block.start + wanted);
                    given.take(block.start, end);
                    wanted -= end - block.start;
                    block.start = end;
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_number_is_given_out_twice_whatever_is_restored(steps in steps()) {
        run(steps);
    }
}

#[test]
fn a_start_skips_what_could_have_been_given_out_since_and_no_more() {
    let row = NumberLease::first(NOW_MS).begun(NOW_MS);
    assert_eq!((row.next, row.room(NOW_MS)), (10 * 20_000, 0), "ten seconds beyond the row");
    assert_eq!(row.room(NOW_MS + 500), 10_000);
    let again = row.begun(NOW_MS + 1_000);
    assert_eq!(again.next, row.next + 20_000, "of a start soon after, only what has passed");
    let hour = row.begun(NOW_MS + 3_600_000);
    assert_eq!(hour.next, row.next + 72_000_000, "an hour is 8 % of the shortest codes");
}

#[test]
fn a_clock_that_went_back_leaves_the_length() {
    let row = NumberLease { next: 5_000, through_ms: NOW_MS };
    assert_eq!(row.begun(NOW_MS - AHEAD_MS).next, 5_000);
    assert_eq!(row.begun(NOW_MS - AHEAD_MS - 1).next, code::first_of(6));
    let longest = NumberLease { next: code::first_of(7), through_ms: NOW_MS }.begun(0);
    assert!(longest.is_used_up() && longest.leased(NOW_MS * 2).is_none());
    assert!(NumberLease { next: 0, through_ms: NOW_MS }.begun(u64::MAX).is_used_up(), "and never wraps round");
    let imported = NumberLease { next: 32_000, through_ms: 1_600 }.begun(NOW_MS);
    assert_eq!((imported.next, imported.through_ms), (232_000, NOW_MS + AHEAD_MS), "an import tells no time");
}

#[test]
fn numbers_come_no_faster_than_their_rate() {
    let (mut row, mut count) = (NumberLease::first(NOW_MS).begun(NOW_MS), 0);
    for now_ms in NOW_MS..NOW_MS + 60_000 {
        while let Some((leased, block)) = row.leased(now_ms) {
            (row, count) = (leased, count + block.end - block.start);
        }
    }
    assert!((1_190_000..=1_200_000).contains(&count), "{count} in a minute");
    let idle = row.idle(NOW_MS + 3_600_000);
    assert_eq!(idle.room(NOW_MS + 3_600_000), 200_000, "a burst of ten seconds, after however long");
}

#[test]
fn rows_read_back_as_they_were_written() {
    let row = NumberLease { next: 7, through_ms: NOW_MS };
    assert_eq!(NumberLease::from_bytes(&row.to_bytes()), Some(row));
    assert_eq!(NumberLease::from_bytes(&[0; 15]), None);
}
