//! Play of histories of nodes, each of which follows from its seed, and of variants that lack a precaution.

use std::future::pending;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use fanfare_engines::Partition;
use fanfare_engines::hostile::Faults;
use fanfare_protocol::{Id, NotificationKind};

use super::super::broken::Variant;
use super::super::clients::{Verdict, play};
use super::super::number;
use super::super::people::PEOPLE;
use super::{History, STEPS};
use crate::data::rows::PostRecord;
use crate::log::events::{Event, Notice};

/// Histories over so many partitions.
const HISTORIES: [(u16, u64); 3] = [(1, 80), (3, 70), (12, 50)];
/// Time of the wall clock in which a history ends on the slowest machine: none hangs a run.
const HISTORY_MAX: Duration = Duration::from_secs(120);

/// The code as it is, or without one of its precautions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lacks {
    Nothing,
    /// Views are told of what the log holds, settled or not.
    SettledSigns,
    /// The horizon is the highest id that was settled anywhere.
    LowestHorizon,
    /// Effects are told before their source is settled.
    SettledSources,
    /// Repeats are taken.
    Numbers,
    /// A precaution of the log.
    OfTheLog(Variant),
}

/// Seeds of histories over three partitions that show a variant's fault: the tool below finds them. What nodes cannot
/// show is caught where it can be: an append that comes too late, a mint that forgets and a horizon that passes what is
/// on its way by two owners (`super::super`), credentials without compare-and-set beside their own code.
const CAUGHT: [(Lacks, [u64; 3]); 8] = [
    (Lacks::SettledSigns, [120, 171, 229]),
    (Lacks::LowestHorizon, [0, 1, 2]),
    (Lacks::SettledSources, [4, 25, 34]),
    (Lacks::Numbers, [0, 1, 2]),
    (Lacks::OfTheLog(Variant::NoTermCheck), [21, 37, 43]),
    (Lacks::OfTheLog(Variant::NoIdCheck), [0, 1, 2]),
    (Lacks::OfTheLog(Variant::ToldBeforeSettled), [1, 3, 4]),
    (Lacks::OfTheLog(Variant::RowsWithoutVersions), [144, 146, 169]),
];

/// Histories that went wrong once, and the partitions of each: of one a sign of the last record was lost, of others
/// takers waited for each other, and a node did not start while another claimed.
const WENT_WRONG: [(u64, u16); 6] = [(35, 1), (228, 1), (128, 3), (263, 3), (159, 12), (185, 12)];

/// Result of a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Played {
    /// Records that views heard of.
    pub(super) heard: usize,
    /// Number of all that came about.
    pub(super) digest: u64,
}

/// Plays the history of `seed`; answers what it came to, or what was wrong.
fn replay(seed: u64, partitions: u16, lacks: Lacks) -> Verdict<Played> {
    let (tell, told) = mpsc::channel();
    let thread = thread::spawn(move || {
        let played = play(async {
            let mut history = History::new(seed, partitions, lacks);
            for _ in 0..STEPS {
                history.step().await;
            }
            history.end().await
        });
        let _ = tell.send(played);
    });
    match told.recv_timeout(HISTORY_MAX) {
        Ok(played) => played,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            panic!("seed {seed}, {partitions} partitions, without {lacks:?}: no end after {HISTORY_MAX:?}")
        }
        Err(mpsc::RecvTimeoutError::Disconnected) => {
            let why = thread.join().err().map(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default());
            Err(format!("it panics: {}", why.unwrap_or_default()))
        }
    }
}

fn all_pass(partitions: u16) {
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    let usual = HISTORIES.iter().find(|(of, _)| *of == partitions).map_or(0, |(_, usual)| *usual);
    let runs = number("FANFARE_TEST_RUNS").unwrap_or(usual);
    let (mut heard, mut wrong) = (0, Vec::new());
    for seed in first..first + runs {
        match replay(seed, partitions, Lacks::Nothing) {
            Ok(played) => heard += played.heard as u64,
            Err(why) => wrong.push(format!("seed {seed}, {partitions} partitions: {why}")),
        }
    }
    println!("{runs} histories over {partitions} partitions: views heard of {heard} records");
    assert!(wrong.is_empty(), "{} of {runs}:\n{}", wrong.len(), wrong.join("\n"));
    // Or they would show nothing.
    assert!(heard > 20 * runs, "{heard}");
}

#[test]
fn nodes_of_one_partition_tell_the_same() {
    all_pass(1);
}

#[test]
fn nodes_of_three_partitions_tell_the_same() {
    all_pass(3);
}

#[test]
fn nodes_of_twelve_partitions_tell_the_same() {
    all_pass(12);
}

#[test]
fn a_history_of_nodes_is_the_same_for_the_same_seed() {
    let histories = [1, 3, 12].into_iter().flat_map(|partitions| [(1, partitions), (2, partitions)]);
    for (seed, partitions) in histories {
        for lacks in [Lacks::Nothing, Lacks::OfTheLog(Variant::ToldBeforeSettled)] {
            let (one, other) = (replay(seed, partitions, lacks), replay(seed, partitions, lacks));
            assert_eq!(one, other, "seed {seed}, {partitions} partitions, without {lacks:?}");
        }
    }
}

#[test]
fn nodes_that_lack_a_precaution_are_caught() {
    for (lacks, seeds) in CAUGHT {
        for seed in seeds {
            assert!(replay(seed, 3, lacks).is_err(), "{lacks:?} passes with seed {seed}");
            let whole = replay(seed, 3, Lacks::Nothing);
            assert!(whole.is_ok(), "it is the seed {seed} that fails: {whole:?}");
        }
    }
}

#[test]
fn histories_that_went_wrong_once_are_right() {
    for (seed, partitions) in WENT_WRONG {
        let played = replay(seed, partitions, Lacks::Nothing);
        assert!(played.is_ok(), "seed {seed}, {partitions} partitions: {played:?}");
    }
}

/// A taker waited for one partition after another: the second came to its node meanwhile, nobody told it, and where its
/// new owner was waited for in turn all horizons stood for ever.
#[test]
fn a_partition_that_comes_to_a_node_is_told_while_another_has_no_owner() {
    play(async {
        let mut history = History::new(0, 3, Lacks::Nothing);
        history.world.set_faults(Faults::NONE);
        let everybody: Vec<Id> = (0..PEOPLE).map(|number| Id(1_000 + number * 7)).collect();
        let [author, one, other] = [0, 1, 2].map(|place| {
            let lives_there = |person: &&Id| history.spread.partition_of(**person) == Partition(place);
            *everybody.iter().find(lives_there).unwrap()
        });
        // Time passes when nobody has anything to do.
        let pass = async |seconds| drop(tokio::time::timeout(Duration::from_secs(seconds), pending::<()>()).await);
        let assign = |history: &History, place, node: Option<usize>| {
            let name = node.map(|node| &history.names[node]);
            history.rosters.iter().for_each(|roster| roster.assign(Partition(place), name));
        };
        [(0, Some(0)), (1, None), (2, None)].into_iter().for_each(|(place, node)| assign(&history, place, node));
        for node in [0, 1] {
            history.nodes[node] = Some(history.open(node).await.unwrap());
        }
        let post = PostRecord { author, text: "a".to_owned(), ..PostRecord::default() };
        let notify = [one, other].map(|user| Notice { user, kind: NotificationKind::Mention }).to_vec();
        let log = history.nodes[0].as_ref().unwrap().log.clone();
        let guard = log.decide(author, &[]).await.unwrap();
        let record = log.commit(&guard, Event::Posted { post, notify }).await.unwrap();
        pass(2).await;
        let taken = |history: &History| {
            let log = &history.nodes[1].as_ref().unwrap().log;
            [1, 2].map(|place| log.crossing(Partition(place)).unwrap().taken_of(0))
        };
        assert_eq!(taken(&history), [Id(0); 2]);
        assign(&history, 2, Some(1));
        pass(5).await;
        assert_eq!(taken(&history), [Id(0), record.id]);
        assign(&history, 1, Some(0));
        pass(5).await;
        assert_eq!(taken(&history), [record.id; 2]);
    });
}

/// Finds seeds that show each variant's fault, of the variants that `FANFARE_TEST_VARIANT` is a part of the name of.
#[test]
#[ignore = "a tool: cargo test -p fanfare-server --lib among::play::seeds -- --ignored --nocapture"]
fn seeds_that_catch() {
    let first = number("FANFARE_TEST_SEED").unwrap_or_default();
    let runs = number("FANFARE_TEST_RUNS").unwrap_or(100);
    let wanted = std::env::var("FANFARE_TEST_VARIANT").unwrap_or_default();
    for lacks in CAUGHT.map(|(lacks, _)| lacks).into_iter().filter(|lacks| format!("{lacks:?}").contains(&wanted)) {
        let caught = (first..first + runs).filter_map(|seed| Some((seed, replay(seed, 3, lacks).err()?)));
        println!("{lacks:?}: {:#?}", caught.take(3).collect::<Vec<_>>());
    }
}
