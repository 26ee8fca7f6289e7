//! `fanfare bench realtime`: what connections cost, how fast they are told, and what happens to them when things go
//! wrong.
//!
//! `scene` makes the people, `fleet` starts processes of connections (`client` is their inside), `http` is for those
//! who publish. Each other file measures one topic on `fanfare serve` processes; `bare` and `centrifugo` are what they
//! are compared with.

pub(super) mod bare;
mod broadcast;
mod centrifugo;
pub mod client;
mod drain;
pub(super) mod fleet;
pub(super) mod http;
mod idle;
pub(super) mod lanes;
pub(super) mod publish;
pub(super) mod scene;
mod soak;
mod stalled;

use self::scene::Scene;
use super::{Bench, BenchError, Part, Result, machine};

/// Readers: as many as one process of connections holds well below its limit of open files.
const READERS: usize = 15_000;
const READERS_QUICK: usize = 2_000;
/// Open files without which the full sizes do not fit.
const FILES_MIN: u64 = 18_000;

/// Measures `parts`.
pub(super) fn run(bench: &mut Bench, parts: impl Iterator<Item = Part>) -> Result<()> {
    let files = machine::open_many_files();
    if files < FILES_MIN && !bench.quick {
        let why = format!("a process may open {files} files here; {FILES_MIN} are needed (ulimit -Hn), or --quick");
        return Err(BenchError::Wrong(why));
    }
    let scene = Scene::build(bench, bench.size(READERS, READERS_QUICK))?;
    for part in parts {
        match part {
            Part::Idle => idle::run(bench, &scene)?,
            Part::Broadcast => broadcast::run(bench, &scene)?,
            Part::Lanes => lanes::run(bench, &scene)?,
            Part::Stalled => stalled::run(bench, &scene)?,
            Part::Drain => drain::run(bench, &scene)?,
            Part::Soak => soak::run(bench, &scene)?,
            _ => {}
        }
    }
    Ok(())
}
