//! Fan-out beside Redis: the same posts into the same timelines as sorted sets and as lists, pipelined over a socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use super::child::{ChildProcess, installed};
use super::fan_out::{ROUNDS, scatter, thousands};
use super::graph::{MEAN_FOLLOWEES, Posts, seeded_feed};
use super::report::{Goal, Row};
use super::{Bench, BenchError, Result, machine, median};

/// Entries of a timeline.
const CAP: usize = 800;
/// Times as fast as Redis.
const RATIO_MIN: f64 = 20.0;
/// Bytes of commands written at a time.
const WRITTEN_BYTES: usize = 1 << 18;
/// Bytes of an entry in Redis: the post's id and its author, as in the feed's own rings.
const ENTRY_BYTES: usize = 12;
/// Entries of one command while the timelines are filled.
const FILLED_AT_ONCE: usize = 400;

/// Data type in which Redis keeps a timeline.
#[derive(Clone, Copy)]
enum Shape {
    SortedSet,
    List,
}

impl Shape {
    fn commands(self) -> &'static str {
        match self {
            Self::SortedSet => "ZADD + ZREMRANGEBYRANK",
            Self::List => "LPUSHX + LTRIM",
        }
    }
}

/// Rows of both shapes.
pub fn run(bench: &mut Bench) -> Result<()> {
    let timelines = bench.size(100_000, 5_000);
    bench.say(&format!("redis: seeding {timelines} timelines of the feed"));
    let (feed, slots) = seeded_feed(timelines, CAP)?;
    let mut ours = Posts::draw(&feed, &slots, timelines, bench.size(20_000_000, 4_000_000));
    let theirs = Posts::draw(&feed, &slots, timelines, bench.size(2_000_000, 150_000));
    let name = |shape: Shape| {
        let size = format!("{} timelines, {MEAN_FOLLOWEES} followees, rings of {CAP} full", thousands(timelines));
        format!("fan-out, one core: {size}, beside {}", shape.commands())
    };
    let goal = Goal::ratio(RATIO_MIN);
    let rate = |took: Duration, posts: &Posts| posts.deliveries() as f64 / took.as_secs_f64();
    for shape in [Shape::List, Shape::SortedSet] {
        let mut feeds = vec![rate(scatter(&feed, &mut ours)?, &ours)];
        let Some(program) = installed("redis-server") else {
            let row = Row::new(name(shape), median(&mut feeds), "deliveries/s").goal(goal);
            bench.report.add(row.without_peer("redis-server is not installed: scripts/peers installs it"));
            continue;
        };
        let mut redis = Redis::start(&program, bench.folder()?)?;
        bench.say(&format!("redis: filling {timelines} timelines for {}", shape.commands()));
        redis.fill(shape, timelines)?;
        let mut redis_rates = Vec::new();
        for round in 0..ROUNDS {
            feeds.push(rate(scatter(&feed, &mut ours)?, &ours));
            redis_rates.push(rate(redis.fan_out(shape, &theirs, round)?, &theirs));
        }
        let (feed_rate, redis_rate) = (median(&mut feeds), median(&mut redis_rates));
        let peer = format!("{}, pipelined", redis.version);
        bench.report.add(Row::new(name(shape), feed_rate, "deliveries/s").beside(peer, redis_rate).goal(goal));
    }
    Ok(())
}

/// A Redis without persistence, behind a Unix socket.
pub struct Redis {
    /// Name and version.
    pub version: String,
    stream: UnixStream,
    out: Vec<u8>,
    /// Process of the server.
    pub process: ChildProcess,
    _folder: TempDir,
}

impl Redis {
    /// Starts one in `folder`.
    pub fn start(program: &Path, folder: TempDir) -> Result<Self> {
        let socket = folder.path().join("s");
        let mut command = Command::new(program);
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--daemonize", "no", "--unixsocket"]);
        command.arg(&socket).arg("--dir").arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = ChildProcess::start(&mut command, None)?;
        let mut stream = None;
        process.wait_until("redis-server", || {
            stream = UnixStream::connect(&socket).ok();
            stream.is_some()
        })?;
        let stream = stream.ok_or_else(|| BenchError::Wrong("redis-server does not listen".to_owned()))?;
        let said = Command::new(program).arg("--version").output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        let version = said.split_whitespace().find_map(|word| word.strip_prefix("v=")).unwrap_or("").to_owned();
        Ok(Self { version: format!("Redis {version}"), stream, out: Vec::new(), process, _folder: folder })
    }

    /// Every timeline with [`CAP`] entries.
    fn fill(&mut self, shape: Shape, timelines: usize) -> Result<()> {
        let commands = timelines * CAP.div_ceil(FILLED_AT_ONCE);
        self.pipeline(commands, |number, out| {
            let (timeline, part) = (number / CAP.div_ceil(FILLED_AT_ONCE), number % CAP.div_ceil(FILLED_AT_ONCE));
            let entries = part * FILLED_AT_ONCE..CAP.min((part + 1) * FILLED_AT_ONCE);
            let words = if matches!(shape, Shape::List) { entries.len() } else { entries.len() * 2 };
            begin(out, words + 2);
            word(out, if matches!(shape, Shape::List) { b"LPUSH" } else { b"ZADD" });
            key(out, timeline as u32);
            for id in entries {
                if matches!(shape, Shape::SortedSet) {
                    word(out, id.to_string().as_bytes());
                }
                word(out, &entry(id as u64));
            }
        })
    }

    /// Every post into all its timelines, each trimmed to [`CAP`] at once. Answers processor time, as on the other
    /// side: what else runs on the machine, waiting for this client included, does not count.
    fn fan_out(&mut self, shape: Shape, posts: &Posts, round: usize) -> Result<Duration> {
        let first = CAP + round * posts.len();
        let mut deliveries = posts
            .lists()
            .enumerate()
            .flat_map(|(post, targets)| targets.iter().map(move |target| (first + post, *target)));
        let before = self.used();
        self.pipeline(posts.deliveries(), |_, out| {
            let Some((id, target)) = deliveries.next() else { return };
            match shape {
                Shape::List => {
                    begin(out, 3);
                    word(out, b"LPUSHX");
                    key(out, target);
                    word(out, &entry(id as u64));
                    begin(out, 4);
                    word(out, b"LTRIM");
                    key(out, target);
                    word(out, b"0");
                    word(out, b"799");
                }
                Shape::SortedSet => {
                    begin(out, 4);
                    word(out, b"ZADD");
                    key(out, target);
                    word(out, id.to_string().as_bytes());
                    word(out, &entry(id as u64));
                    begin(out, 4);
                    word(out, b"ZREMRANGEBYRANK");
                    key(out, target);
                    word(out, b"0");
                    word(out, b"-801");
                }
            }
        })?;
        Ok(self.used() - before)
    }

    /// Sorted sets with these members by score.
    pub fn fill_sets(&mut self, members: &[(String, f64, String)]) -> Result<()> {
        self.pipeline(members.len(), |number, out| {
            let (set, score, member) = &members[number];
            begin(out, 4);
            for part in ["ZADD", set, &score.to_string(), member] {
                word(out, part.as_bytes());
            }
        })
    }

    /// The highest `count` members of each of `sets`, all asked for at once; answers the processor time of Redis.
    pub fn highest(&mut self, sets: &[String], count: usize) -> Result<Duration> {
        let before = self.used();
        let last = (count - 1).to_string();
        self.pipeline(sets.len(), |number, out| {
            begin(out, 4);
            for part in ["ZREVRANGE", &sets[number], "0", &last] {
                word(out, part.as_bytes());
            }
        })?;
        Ok(self.used() - before)
    }

    fn used(&self) -> Duration {
        machine::cpu_time(self.process.id()).unwrap_or_default()
    }

    /// Writes what `command` makes of each number, while another thread takes the answers.
    fn pipeline(&mut self, count: usize, mut command: impl FnMut(usize, &mut Vec<u8>)) -> Result<()> {
        let answers = self.stream.try_clone()?;
        // The last command has an answer that nothing else gives.
        let reader = std::thread::spawn(move || take_answers(answers));
        self.out.clear();
        for number in 0..count {
            command(number, &mut self.out);
            if self.out.len() >= WRITTEN_BYTES {
                self.stream.write_all(&self.out)?;
                self.out.clear();
            }
        }
        begin(&mut self.out, 1);
        word(&mut self.out, b"PING");
        self.stream.write_all(&self.out)?;
        reader.join().map_err(|_| BenchError::Wrong("the thread that hears Redis panicked".to_owned()))?
    }
}

/// Reads answers of one line each until that of `PING`.
fn take_answers(mut stream: UnixStream) -> Result<()> {
    let mut chunk = vec![0; WRITTEN_BYTES];
    let mut line: Vec<u8> = Vec::new();
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(BenchError::Wrong("Redis closed the connection".to_owned()));
        }
        // Only the last line can be that of `PING`; an error can be anywhere, at the start of a line.
        let read = &chunk[..count];
        let starts_line = line.is_empty() || line.ends_with(b"\n");
        if starts_line && read.starts_with(b"-") || read.windows(2).any(|pair| pair == b"\n-") {
            return Err(BenchError::Wrong(format!("Redis answered {}", String::from_utf8_lossy(read))));
        }
        line.extend_from_slice(&read[count.saturating_sub(16)..]);
        line.drain(..line.len().saturating_sub(16));
        if line.ends_with(b"+PONG\r\n") {
            return Ok(());
        }
    }
}

fn begin(out: &mut Vec<u8>, words: usize) {
    out.push(b'*');
    number(out, words);
}

fn word(out: &mut Vec<u8>, word: &[u8]) {
    out.push(b'$');
    number(out, word.len());
    out.extend_from_slice(word);
    out.extend_from_slice(b"\r\n");
}

fn number(out: &mut Vec<u8>, number: usize) {
    let mut digits = [0; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
}

fn key(out: &mut Vec<u8>, timeline: u32) {
    let mut key = *b"t:0000";
    key[2..].copy_from_slice(&timeline.to_be_bytes());
    word(out, &key);
}

fn entry(id: u64) -> [u8; ENTRY_BYTES] {
    let mut entry = [0; ENTRY_BYTES];
    entry[..8].copy_from_slice(&id.to_be_bytes());
    entry[8..].copy_from_slice(&(id as u32).to_be_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_written_as_redis_reads_them() {
        let mut out = Vec::new();
        begin(&mut out, 2);
        word(&mut out, b"LTRIM");
        word(&mut out, b"-1000000000");
        assert_eq!(out, b"*2\r\n$5\r\nLTRIM\r\n$11\r\n-1000000000\r\n");
    }
}
