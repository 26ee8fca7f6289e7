//! `fanfare bench live`: pages of live sessions, starts, memory. `scene` makes hosts and sessions; each other file
//! measures one topic.

mod http;
mod memory;
mod pages;
mod scene;
mod start;

use super::{
    Bench, BenchError, Part, Result, child, feed, load, machine, median, percentile, realtime, report, serve, svg,
    world,
};

/// Sessions of a page.
const PAGE: usize = 10;

/// Measures `parts`.
pub(super) fn run(bench: &mut Bench, parts: impl Iterator<Item = Part>) -> Result<()> {
    for part in parts {
        match part {
            Part::LiveMemory => memory::run(bench)?,
            Part::LivePages => pages::run(bench)?,
            Part::LiveHttp => http::run(bench)?,
            Part::LiveStart => start::run(bench)?,
            _ => {}
        }
    }
    Ok(())
}
