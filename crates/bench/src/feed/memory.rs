//! Memory of an active timeline: counted, and as the operating system sees it.

use std::hint::black_box;
use std::time::Duration;

use fanfare_engines::random::Random;
use fanfare_protocol::Id;

use super::graph::{Graph, MEAN_FOLLOWEES, empty_feed, seeding_order, user};
use super::report::{Goal, Row};
use super::{Bench, Result, machine};

/// Entries of a full timeline.
const CAP: usize = 800;
/// Goal: bytes an entry, and bytes of all the rest.
const ENTRY_BYTES_MAX: f64 = 13.0;
const REST_BYTES_MAX: f64 = 2_500.0;
/// The allocator gives freed memory back after a second, when it is next asked for some.
const GIVES_BACK: Duration = Duration::from_millis(1_500);
const ASKED_BYTES: usize = 1 << 20;
/// Stages of filling: mean entries of a timeline to reach. The last is beyond the cap, so that all are full.
const STAGES: [usize; 2] = [100, 1_000];

/// Rows of timelines that are filled by fan-out, so that their rings grow as they do in service.
pub fn run(bench: &mut Bench) -> Result<()> {
    let timelines = bench.size(50_000, 10_000);
    bench.say(&format!("memory: {timelines} timelines"));
    let feed = empty_feed(timelines, CAP);
    let (mut graph, mut random, mut followees) = (Graph::new(timelines, 0), Random::new(3), Vec::new());
    let before = machine::resident_bytes();
    for number in seeding_order(timelines) {
        graph.followees_of(MEAN_FOLLOWEES, &mut followees);
        feed.bench_seed(user(number), &followees, &[]);
    }
    let (mut scratch, mut id, mut delivered) = (Vec::new(), 1, 0);
    for stage in STAGES {
        while delivered < stage * timelines {
            id += 1;
            delivered += feed.bench_fan_out(user(random.index(timelines)), Id(id), &mut scratch);
        }
        settle();
        let resident = machine::resident_bytes().saturating_sub(before) as f64 / timelines as f64;
        let usages: Vec<_> = (0..timelines).filter_map(|number| feed.bench_usage(user(number))).collect();
        let mean = |sum: usize| sum as f64 / timelines as f64;
        let entries = mean(usages.iter().map(|usage| usage.entries).sum());
        let counted = mean(usages.iter().map(|usage| usage.bytes).sum());
        let goal = |row: Row| match stage {
            full if full > CAP => row.goal(Goal::at_most(ENTRY_BYTES_MAX * entries + REST_BYTES_MAX)),
            _ => row,
        };
        let name = format!("memory of a timeline, {MEAN_FOLLOWEES} followees, {entries:.0} entries");
        bench.report.add(goal(Row::new(format!("{name}: resident"), resident, "bytes")));
        bench.report.add(goal(Row::new(format!("{name}: counted"), counted, "bytes")));
    }
    Ok(())
}

/// Lets the allocator give back what is free.
pub fn settle() {
    std::thread::sleep(GIVES_BACK);
    drop(black_box(vec![1_u8; ASKED_BYTES]));
    std::thread::sleep(GIVES_BACK);
    drop(black_box(vec![1_u8; ASKED_BYTES]));
}
