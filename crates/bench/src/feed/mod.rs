//! `fanfare bench feed`: fan-out, pages and posts. `graph` makes the follow graph; `curves` and `picture` keep and draw
//! what depends on size.

mod bare;
pub(super) mod curves;
mod dead;
mod fan_out;
pub(super) mod graph;
mod http;
mod late;
pub(super) mod memory;
mod pages;
mod partitions;
pub(super) mod picture;
pub(super) mod redis;
mod unfinished;
mod writes;

pub(super) use self::fan_out::MEMORY_MAX;
use super::{Bench, BenchError, Part, Result, child, load, machine, median, nginx, percentile, report, serve, world};

/// Measures `parts`, and adds the curves as rows.
pub(super) fn run(bench: &mut Bench, parts: impl Iterator<Item = Part>) -> Result<()> {
    for part in parts {
        match part {
            Part::Memory => {
                memory::run(bench)?;
                unfinished::run(bench)?;
            }
            Part::FanOut => fan_out::run(bench)?,
            Part::Redis => redis::run(bench)?,
            Part::Pages => pages::run(bench)?,
            Part::Late => late::run(bench)?,
            Part::Dead => dead::run(bench)?,
            Part::Http => http::run(bench)?,
            Part::Partitions => partitions::run(bench)?,
            Part::Writes => writes::run(bench)?,
            _ => {}
        }
    }
    let curves = std::mem::take(&mut bench.curves);
    curves.rows(&mut bench.report);
    bench.curves = curves;
    Ok(())
}
