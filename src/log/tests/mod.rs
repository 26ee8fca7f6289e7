//! Owners that sleep: two owners of one partition, of which one is stale and does not know, over a log that takes
//! everything and answers late, twice or not at all, with clocks an hour off, and crashes. In some histories the log
//! stamps what it takes by a clock of its own, and time leaps while appends are on their way: those come too late.
//!
//! Afterwards rows are those of a plain model that reads once what counts of the log. A history follows from its seed:
//! it runs on one thread, and time passes when nobody has anything to do.

mod among;
mod broken;
mod chat;
mod clients;
mod crossing;
mod ending;
mod history;
mod model;
mod onward;
pub(in crate::log) mod people;
mod tally;

use std::thread;

use parking_lot::Mutex;

use self::broken::Variant;
use self::history::replay;
use self::model::Course;

/// Histories of the code as it is, unless `FANFARE_TEST_RUNS` says how many; from `FANFARE_TEST_SEED` on.
const HISTORIES: u64 = 200;

/// Seeds of histories that show each variant's fault. Credentials without compare-and-set are caught beside their own
/// code (`src/data/store/credentials_tests.rs`).
const CAUGHT: [(Variant, [u64; 3]); 7] = [
    (Variant::NoTermCheck, [1, 2, 4]),
    (Variant::NoTimeCheck, [18, 28, 38]),
    (Variant::NoIdCheck, [0, 1, 2]),
    (Variant::ToldBeforeSettled, [0, 1, 2]),
    (Variant::RowsWithoutVersions, [4, 14, 22]),
    (Variant::MintBelowTheLastId, [0, 1, 2]),
    (Variant::HorizonPastTheUnsettled, [3, 6, 9]),
];

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|number| number.parse().ok())
}

#[test]
fn rows_and_views_are_those_of_the_log_whoever_sleeps() {
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    let runs = number("FANFARE_TEST_RUNS").unwrap_or(HISTORIES);
    let threads = thread::available_parallelism().map_or(1, |threads| threads.get() as u64);
    let course = Mutex::new(Course::default());
    thread::scope(|scope| {
        for thread in 0..threads {
            let course = &course;
            scope.spawn(move || {
                for seed in (first + thread..first + runs).step_by(threads as usize) {
                    match replay(seed, Variant::Right) {
                        Ok(one) => *course.lock() += one,
                        Err(wrong) => panic!("seed {seed}: {wrong}"),
                    }
                }
            });
        }
    });
    let Course { done, refused, unknown, of_others } = course.into_inner();
    println!("{runs} histories: {done} acts done, {refused} refused, {unknown} unknown; {of_others} heard of others");
    // Or they would show nothing. One of them may be short.
    let is_enough = |count: u64| count > runs || runs < HISTORIES;
    assert!([done, refused, unknown, of_others].into_iter().all(is_enough));
}

#[test]
fn a_history_is_the_same_for_the_same_seed() {
    for (variant, [seed, ..]) in CAUGHT {
        for variant in [variant, Variant::Right] {
            assert_eq!(replay(seed, variant), replay(seed, variant), "{variant:?}, seed {seed}");
        }
    }
}

#[test]
fn broken_variants_are_caught() {
    for (variant, seeds) in CAUGHT {
        for seed in seeds {
            assert!(replay(seed, variant).is_err(), "{variant:?} passes with seed {seed}");
        }
    }
}

/// Finds seeds for [`CAUGHT`] after a change of the histories.
#[test]
#[ignore = "a tool: cargo test -p fanfare-server --lib log::tests::seeds -- --ignored --nocapture"]
fn seeds_that_catch() {
    for (variant, _) in CAUGHT {
        let caught = (0..400).filter_map(|seed| Some((seed, replay(seed, variant).err()?)));
        println!("{variant:?}: {:#?}", caught.take(3).collect::<Vec<_>>());
    }
}
