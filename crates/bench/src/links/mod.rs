//! `fanfare bench links`: redirects beside nginx, visits that are limited, creates, and what codes cost.

mod clicks;
mod codes;
mod redirects;
mod visits;

use super::{Bench, BenchError, Part, Result, child, load, machine, median, nginx, percentile, report, serve, svg};

/// Measures `parts`.
pub(super) fn run(bench: &mut Bench, parts: impl Iterator<Item = Part>) -> Result<()> {
    for part in parts {
        match part {
            Part::Redirects => redirects::run(bench)?,
            Part::Visits => visits::run(bench)?,
            Part::Codes => codes::run(bench)?,
            Part::Clicks => clicks::run(bench)?,
            Part::ManyClicks => clicks::run_many(bench)?,
            _ => {}
        }
    }
    Ok(())
}
