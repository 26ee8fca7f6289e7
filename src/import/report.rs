//! Report of an import at its end.

use std::time::Duration;

use super::replay::Tally;
use crate::feed::{ByPolicy, FeedStats};

fn share(by: ByPolicy) -> String {
    let total = (by.push + by.push_late + by.pull).max(1) as f64;
    let percent = |count: u64| 100.0 * count as f64 / total;
    format!("push {:.2} %, push_late {:.2} %, pull {:.2} %", percent(by.push), percent(by.push_late), percent(by.pull))
}

/// The lines of the report; `took` is the time of the replay alone.
#[must_use]
pub fn lines(tally: Tally, stats: &FeedStats, took: Duration) -> Vec<String> {
    let seconds = took.as_secs_f64().max(1e-9);
    let deliveries = stats.deliveries.push + stats.deliveries.push_late;
    let timelines = stats.timelines.max(1);
    let lag = |name: &str, lag: crate::feed::LagStats| {
        format!(
            "fan-out latency, {name}: p50 {:.2} ms, p99 {:.2} ms, worst {:.2} ms, of {} posts",
            lag.p50_us as f64 / 1e3,
            lag.p99_us as f64 / 1e3,
            lag.max_us as f64 / 1e3,
            lag.jobs
        )
    };
    vec![
        format!("replayed: {} lines in {seconds:.1} s, {:.0} events/s", tally.lines, tally.lines as f64 / seconds),
        format!(
            "posts: {}, {:.0}/s; repeated reposts {}, refused lines {}",
            tally.posts,
            tally.posts as f64 / seconds,
            tally.repeated,
            tally.refused
        ),
        format!("feed pages read: {}, {:.0}/s", tally.reads, tally.reads as f64 / seconds),
        format!("deliveries: {deliveries}, {:.0}/s", deliveries as f64 / seconds),
        format!("posts by policy: {}", share(stats.posts)),
        format!("deliveries by policy: {}", share(stats.deliveries)),
        lag("push", stats.push_lag),
        lag("push_late", stats.late_lag),
        format!(
            "timelines: {} materialised, {:.1} entries and {} bytes each; {} built, {} dropped",
            stats.timelines,
            stats.timeline_entries as f64 / timelines as f64,
            stats.timeline_bytes / timelines,
            stats.builds,
            stats.evictions
        ),
        format!("recent posts in memory: {}, with slot lists {} bytes", stats.recents, stats.author_bytes),
    ]
}
