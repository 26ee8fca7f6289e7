//! Processes of connections, seen from the bench.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ChildStdin, ChildStdout, Command as Program};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::super::child::ChildProcess;
use super::client::protocol::{Command, Connect, Kind, Report, Until};
use super::client::talk::Talk;
use super::scene::SECRET;
use super::{BenchError, Result};

/// Every set of connections comes from addresses of its own: ports of closed ones stay taken for a minute.
static NEXT_SOURCE: AtomicU32 = AtomicU32::new(0);
/// The first of them; each set has 16, of which eight are used.
const FIRST_SOURCE: Ipv4Addr = Ipv4Addr::new(127, 1, 0, 16);

/// Process that holds connections.
pub struct Fleet {
    process: ChildProcess,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

/// Connections to open.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    /// Address to connect to.
    pub address: SocketAddr,
    /// Kind of connection.
    pub kind: Kind,
    /// Number of connections.
    pub count: usize,
    /// Number of the first person.
    pub first_user: usize,
    /// Every so manieth can be stalled; 0: none.
    pub slow_every: usize,
    /// Whether they come back when they are lost.
    pub comes_back: bool,
}

impl Wanted {
    /// `count` connections of the first people.
    pub fn new(address: SocketAddr, kind: Kind, count: usize) -> Self {
        Self { address, kind, count, first_user: 0, slow_every: 0, comes_back: false }
    }
}

impl Fleet {
    /// Starts a process.
    pub fn start() -> Result<Self> {
        let mut program = Program::new(std::env::current_exe()?);
        program.arg("bench-client");
        let process = ChildProcess::start_talking(&mut program)?;
        let silent = || BenchError::Wrong("a process of connections has no pipes".to_owned());
        let input = process.stdin().ok_or_else(silent)?;
        let output = BufReader::new(process.stdout().ok_or_else(silent)?);
        Ok(Self { process, input, output })
    }

    /// Starts a process and opens connections; fails unless all of them are open.
    pub fn connected(wanted: &Wanted) -> Result<Self> {
        let mut fleet = Self::start()?;
        let report = fleet.open(wanted)?;
        let missing = wanted.count as u64 - report.alive.min(wanted.count as u64);
        if missing == 0 {
            return Ok(fleet);
        }
        let why = report.error.unwrap_or_else(|| "they did not come alive in time".to_owned());
        Err(BenchError::Wrong(format!("{missing} of {} connections were not opened: {why}", wanted.count)))
    }

    fn open(&mut self, wanted: &Wanted) -> Result<Report> {
        let source = FIRST_SOURCE.to_bits() + 16 * NEXT_SOURCE.fetch_add(1, Ordering::Relaxed);
        let Wanted { address, kind, count, first_user, slow_every, comes_back } = *wanted;
        self.ask(&Command::Connect(Connect {
            address,
            kind,
            count,
            first_user,
            secret: SECRET.to_owned(),
            source: Ipv4Addr::from_bits(source),
            slow_every,
            comes_back,
        }))
    }

    /// Tells, and waits for the answer.
    pub fn ask(&mut self, command: &Command) -> Result<Report> {
        self.tell(command)?;
        self.hear()
    }

    /// Begins to count from zero.
    pub fn mark(&mut self, timing: bool) -> Result<Report> {
        self.ask(&Command::Mark { timing })
    }

    /// Figures of what has been counted.
    pub fn report(&mut self) -> Result<Report> {
        self.wait(Until::Events, 0, Duration::ZERO)
    }

    /// Waits until `count` have come, or the time is over.
    pub fn wait(&mut self, until: Until, count: u64, time: Duration) -> Result<Report> {
        self.ask(&Command::Wait { until, count, timeout_ms: time.as_millis() as u64 })
    }

    /// Sends messages; answers when all of them are with everybody, or `late` after the last.
    pub fn talk(&mut self, talk: &Talk, late: Duration) -> Result<Report> {
        self.begin_talk(talk, late)?;
        self.talked()
    }

    /// Begins to send messages.
    pub fn begin_talk(&mut self, talk: &Talk, late: Duration) -> Result<()> {
        self.tell(&Command::Talk { talk: talk.clone(), timeout_ms: late.as_millis() as u64 })
    }

    /// Report about the messages, once they are with everybody.
    pub fn talked(&mut self) -> Result<Report> {
        self.hear()
    }

    /// Slow connections stop reading, or begin again.
    pub fn stall(&mut self, on: bool) -> Result<()> {
        self.ask(&Command::Stall { on })?;
        Ok(())
    }

    fn tell(&mut self, command: &Command) -> Result<()> {
        let line = serde_json::to_string(command).map_err(|error| BenchError::Wrong(error.to_string()))?;
        Ok(writeln!(self.input, "{line}")?)
    }

    fn hear(&mut self) -> Result<Report> {
        let mut line = String::new();
        if self.output.read_line(&mut line)? == 0 {
            return Err(BenchError::Wrong(format!("the process of connections {} ended", self.process.id())));
        }
        serde_json::from_str(&line).map_err(|error| BenchError::Wrong(format!("{error} in {line}")))
    }
}
