//! `fanfare bench`: the figures that the server promises, each beside what it is compared with, in one run.
//!
//! `report` holds the rows, `machine` says where they were measured, `svg` draws them. `feed`, `realtime`, `live`,
//! `links` and `chat` are the benches; each file in them measures one topic through the real code. Peers and load are
//! child processes that end with the bench.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod chat;
mod child;
mod feed;
mod links;
mod live;
mod load;
mod machine;
mod nginx;
pub mod realtime;
mod report;
mod serve;
mod svg;
mod world;

use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use fanfare::base::output;
use fanfare_engines::EngineError;
use tempfile::TempDir;

use self::feed::curves::Curves;
use self::report::Report;

/// Name of a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// Fan-out and feed pages
    Feed,
    /// Connections, broadcasts, lanes
    Realtime,
    /// Live sessions: pages, starts, memory
    Live,
    /// Redirects and codes of short links
    Links,
    /// Messages: sends, large groups, lists, pages
    Chat,
}

impl Name {
    /// Name as on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Feed => "feed",
            Self::Realtime => "realtime",
            Self::Live => "live",
            Self::Links => "links",
            Self::Chat => "chat",
        }
    }

    /// Title of its picture.
    fn title(self) -> &'static str {
        match self {
            Self::Feed => "Feeds",
            Self::Realtime => "Realtime delivery",
            Self::Live => "Live sessions",
            Self::Links => "Short links",
            Self::Chat => "Chat",
        }
    }
}

/// Choices of a run: what to measure and where to write it.
#[derive(Debug, Clone)]
pub struct Options {
    /// The bench.
    pub name: Name,
    /// Smaller sizes.
    pub quick: bool,
    /// File for the rows as JSON.
    pub json: Option<PathBuf>,
    /// File for the picture.
    pub svg: Option<PathBuf>,
    /// Folder on the storage that is measured; temporary folders are made in it.
    pub dir: PathBuf,
    /// Parts to measure; all of the bench when empty.
    pub only: Vec<Part>,
    /// Binaries of the versions that a part compares; this one when empty.
    pub servers: Vec<PathBuf>,
}

/// A topic of a bench.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// feed: bytes of a timeline, and of log-ins that do not come to an end
    Memory,
    /// feed: fan-out beside a bare loop, and the cost of a delivery by the number of timelines
    FanOut,
    /// feed: fan-out beside Redis
    Redis,
    /// feed: pages in process, and the cost of a read by the number of followees
    Pages,
    /// feed: an ordinary post beside a star's
    Late,
    /// feed: reads and a purge after very many rows died, beside the same before
    Dead,
    /// feed: the server over HTTP, beside nginx
    Http,
    /// feed: people in one, three and twelve partitions of one process; only where it is named
    Partitions,
    /// feed: posts and pages over HTTP, of several versions in turn; only where it is named
    Writes,
    /// realtime: memory and processor time of idle connections, beside Centrifugo
    Idle,
    /// realtime: one event to everybody, beside a bare writer and Centrifugo
    Broadcast,
    /// realtime: the urgent lane beside more followed posts than the machine carries
    Lanes,
    /// realtime: readers who stop reading, and the others
    Stalled,
    /// realtime: everybody moves to a successor process
    Drain,
    /// realtime: six servers full of connections for minutes; not with --quick
    Soak,
    /// live: pages in process, beside sorted sets in Redis
    LivePages,
    /// live: the server over HTTP, beside feed pages, and while sessions change state
    LiveHttp,
    /// live: a start until the last follower has it, beside a broadcast
    LiveStart,
    /// live: bytes of an open session and of cursors, and a start of the server with very many
    LiveMemory,
    /// links: redirects beside nginx, and posts beside them
    Redirects,
    /// links: visits of a link with a limit, creates, memory
    Visits,
    /// links: three ways to make codes, and unknown ones
    Codes,
    /// links: clicks written, counted and asked for
    Clicks,
    /// links: numbers of a million links with a hundred million clicks; only where it is named
    ManyClicks,
    /// chat: very many messages: rate of the owner, pages in process, disk
    ChatStored,
    /// chat: the same of ten million messages over a million conversations; only where it is named
    ChatMany,
    /// chat: lists of somebody with very many conversations, and a session that goes on
    ChatLists,
    /// chat: messages from frame to frame, as many as go and at an even rate, and over HTTP
    ChatSends,
    /// chat: pairs beside a large group and beside posts at full rate
    ChatBeside,
    /// chat: receipts of very many readers
    ChatReceipts,
    /// chat: the same pairs and groups through ejabberd with its archive on disk, and through Synapse on PostgreSQL
    ChatPeers,
}

impl Part {
    /// Parts in the order of their run. Memory first: later parts leave an allocator behind that has seen much.
    const ALL: [Self; 31] = [
        Self::LiveMemory,
        Self::LivePages,
        Self::LiveHttp,
        Self::LiveStart,
        Self::Memory,
        Self::FanOut,
        Self::Redis,
        Self::Pages,
        Self::Late,
        Self::Dead,
        Self::Http,
        Self::Partitions,
        Self::Writes,
        Self::Idle,
        Self::Broadcast,
        Self::Lanes,
        Self::Stalled,
        Self::Drain,
        Self::Soak,
        Self::Redirects,
        Self::Visits,
        Self::Codes,
        Self::Clicks,
        Self::ManyClicks,
        Self::ChatStored,
        Self::ChatMany,
        Self::ChatLists,
        Self::ChatSends,
        Self::ChatBeside,
        Self::ChatReceipts,
        Self::ChatPeers,
    ];

    /// The bench that it belongs to.
    #[must_use]
    pub fn bench(self) -> Name {
        match self {
            Self::Memory
            | Self::FanOut
            | Self::Redis
            | Self::Pages
            | Self::Late
            | Self::Dead
            | Self::Http
            | Self::Partitions
            | Self::Writes => Name::Feed,
            Self::LivePages | Self::LiveHttp | Self::LiveStart | Self::LiveMemory => Name::Live,
            Self::Redirects | Self::Visits | Self::Codes | Self::Clicks | Self::ManyClicks => Name::Links,
            Self::ChatStored
            | Self::ChatMany
            | Self::ChatLists
            | Self::ChatSends
            | Self::ChatBeside
            | Self::ChatReceipts
            | Self::ChatPeers => Name::Chat,
            _ => Name::Realtime,
        }
    }
}

/// Why a bench could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The operating system says no.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// The server's own code failed.
    #[error(transparent)]
    Server(#[from] fanfare::base::error::Error),
    /// The tables failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Something answered otherwise than it must.
    #[error("{0}")]
    Wrong(String),
}

type Result<T, E = BenchError> = std::result::Result<T, E>;

/// Bench as its parts share it.
struct Bench {
    quick: bool,
    /// Binaries that are compared.
    servers: Vec<PathBuf>,
    /// Gone at the end, with everything below it.
    folder: TempDir,
    started: Instant,
    report: Report,
    /// Curves of the feed.
    curves: Curves,
    /// Bars of realtime, and of partitions.
    bars: Vec<svg::Bars>,
}

impl Bench {
    /// A line about what goes on.
    fn say(&self, what: &str) {
        output::note(format_args!("[{:6.1} s] {what}", self.started.elapsed().as_secs_f64()));
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
        servers: options.servers.clone(),
        folder,
        started: Instant::now(),
        report: Report::new(options.name.word(), machine),
        curves: Curves::default(),
        bars: Vec::new(),
    };
    bench.say(&bench.report.machine.to_string());
    let wanted = |part: &Part| match options.only.is_empty() {
        true => {
            let is_extra = matches!(part, Part::Partitions | Part::Writes | Part::ManyClicks | Part::ChatMany)
                || (options.quick && *part == Part::Soak);
            part.bench() == options.name && !is_extra
        }
        false => options.only.contains(part),
    };
    let parts = Part::ALL.into_iter().filter(wanted);
    match options.name {
        Name::Feed => feed::run(&mut bench, parts)?,
        Name::Realtime => realtime::run(&mut bench, parts)?,
        Name::Live => live::run(&mut bench, parts)?,
        Name::Links => links::run(&mut bench, parts)?,
        Name::Chat => chat::run(&mut bench, parts)?,
    }
    bench.report.machine.note_load();
    output::say(bench.report.table())?;
    if let Some(file) = &options.json {
        std::fs::write(file, bench.report.json())?;
    }
    if let Some(file) = &options.svg {
        let picture = match options.name {
            Name::Feed if bench.bars.is_empty() => feed::picture::draw(&bench.curves, &bench.report.machine),
            name => svg::bars(&bench.bars, (name.title(), name.word()), &bench.report.machine),
        };
        std::fs::write(file, picture)?;
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
