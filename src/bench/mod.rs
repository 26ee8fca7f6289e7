//! `fanfare bench feed`: the figures that the feed promises, each beside what it is compared with, in one run.
//!
//! `report` holds the rows, `machine` says where they were measured, `graph` makes the follow graph; each other file
//! measures one topic through the real code. Peers (`redis`, `nginx`) are child processes that end with the bench.

mod bare;
mod child;
mod curves;
mod fan_out;
mod graph;
mod http;
mod late;
mod load;
mod machine;
mod memory;
mod nginx;
mod pages;
mod random;
mod redis;
mod report;
mod svg;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use fanfare_engines::EngineError;
use tempfile::TempDir;

use self::curves::Curves;
use self::report::Report;

/// Name of the bench on the command line.
pub const FEED: &str = "feed";

/// What to measure and where to write it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Smaller sizes.
    pub quick: bool,
    /// File for the rows as JSON.
    pub json: Option<PathBuf>,
    /// File for the picture of the curves.
    pub svg: Option<PathBuf>,
    /// Folder on the storage that is measured; temporary folders are made in it.
    pub dir: PathBuf,
    /// Parts to measure; all when empty.
    pub only: Vec<Part>,
}

/// A topic of the bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Bytes of a timeline
    Memory,
    /// Fan-out beside a bare loop, and the cost of a delivery by the number of timelines
    FanOut,
    /// Fan-out beside Redis
    Redis,
    /// Feed pages in process, and the cost of a read by the number of followees
    Pages,
    /// An ordinary post beside a star's
    Late,
    /// The server over HTTP, beside nginx
    Http,
}

impl Part {
    /// Memory first: later parts leave an allocator behind that has seen much.
    const ALL: [Self; 6] = [Self::Memory, Self::FanOut, Self::Redis, Self::Pages, Self::Late, Self::Http];
}

/// Why a bench could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The operating system says no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The server's own code failed.
    #[error(transparent)]
    Server(#[from] crate::error::Error),
    /// The tables failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something answered otherwise than it must.
    #[error("{0}")]
    Wrong(String),
}

type Result<T, E = BenchError> = std::result::Result<T, E>;

/// What the parts share.
struct Bench {
    quick: bool,
    /// Gone at the end, with everything below it.
    folder: TempDir,
    started: Instant,
    report: Report,
    curves: Curves,
}

impl Bench {
    /// A line about what goes on.
    fn say(&self, what: &str) {
        eprintln!("[{:6.1} s] {what}", self.started.elapsed().as_secs_f64());
    }

    /// The size for this run.
    fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A folder that is gone when it is dropped.
    fn folder(&self) -> Result<TempDir> {
        Ok(tempfile::tempdir_in(self.folder.path())?)
    }
}

/// Measures, prints the table, and writes the files that were asked for.
///
/// # Errors
/// When a folder or file cannot be written, or something that is measured fails.
pub fn run(options: &Options) -> Result<()> {
    let folder = tempfile::Builder::new().prefix("fanfare-bench-").tempdir_in(&options.dir)?;
    child::end_on_signals(folder.path().to_owned())?;
    let machine = machine::describe(folder.path())?;
    let mut bench = Bench {
        quick: options.quick,
        folder,
        started: Instant::now(),
        report: Report::new(FEED, machine),
        curves: Curves::default(),
    };
    bench.say(&bench.report.machine.to_string());
    for part in Part::ALL.into_iter().filter(|part| options.only.is_empty() || options.only.contains(part)) {
        match part {
            Part::Memory => memory::run(&mut bench)?,
            Part::FanOut => fan_out::run(&mut bench)?,
            Part::Redis => redis::run(&mut bench)?,
            Part::Pages => pages::run(&mut bench)?,
            Part::Late => late::run(&mut bench)?,
            Part::Http => http::run(&mut bench)?,
        }
    }
    bench.report.machine.note_load();
    let curves = std::mem::take(&mut bench.curves);
    curves.rows(&mut bench.report);
    println!("{}", bench.report.table());
    if let Some(file) = &options.json {
        std::fs::write(file, bench.report.json())?;
    }
    if let Some(file) = &options.svg {
        std::fs::write(file, svg::draw(&curves, &bench.report.machine))?;
    }
    Ok(())
}

/// The value that `percent` of `values` do not exceed; sorts them. 0 without values.
fn percentile(values: &mut [f64], percent: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() as f64 * percent / 100.0).ceil() as usize;
    values.get(rank.clamp(1, values.len().max(1)) - 1).copied().unwrap_or(0.0)
}

/// The middle of `values`; sorts them.
fn median(values: &mut [f64]) -> f64 {
    percentile(values, 50.0)
}
