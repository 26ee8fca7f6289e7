//! A process of connections: one thread, one epoll, up to as many sockets as the system lets it open.
//!
//! It shares the machine with what it measures, so it does little: a read a wake-up, a look at the type of a frame,
//! counters. The bench tells it on standard input what to do (`protocol`).

mod connection;
mod counts;
pub mod protocol;
pub mod talk;
pub mod wire;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

pub use self::connection::{CHANNEL, token};
use self::connection::{Connection, Next, Phase, Plan};
use self::counts::Counts;
pub use self::counts::now_ns;
use self::protocol::{Command, Connect, Report, Until};
use self::talk::Talking;

/// Connections that are being opened at once: fewer than a listener's backlog.
const OPENING_MAX: usize = 512;
/// Time for opening all.
const OPENING_TIME_MAX: Duration = Duration::from_secs(180);
/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;
/// Events of one look at epoll.
const EVENTS: usize = 4_096;
/// Longest sleep, so that timers and deadlines are seen.
const SLEEP_MAX: Duration = Duration::from_millis(20);
/// Pause after a look at epoll that found something: while it lasts, writing to a socket wakes nobody. Real clients are
/// elsewhere, and waking them is not the server's work.
const NAP: Duration = Duration::from_micros(300);
/// Pause before a lost connection is tried again, and how far it is spread.
const RETRY_MS: u64 = 200;
const RETRY_SPREAD_MS: u64 = 300;
/// Standard input; connections come after it.
const INPUT: Token = Token(0);

/// Obeys standard input until it ends.
///
/// # Errors
/// When epoll or standard input fail.
pub fn run() -> io::Result<()> {
    let mut client = Client::new()?;
    let mut events = Events::with_capacity(EVENTS);
    let input = io::stdin();
    let descriptor = input.as_raw_fd();
    client.poll.registry().register(&mut SourceFd(&descriptor), INPUT, Interest::READABLE)?;
    loop {
        if let Err(error) = client.poll.poll(&mut events, Some(client.sleep()))
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        for event in &events {
            if event.token() == INPUT {
                // The bench writes one whole line and waits for its answer.
                let mut line = String::new();
                if input.read_line(&mut line)? == 0 {
                    return Ok(());
                }
                client.take(serde_json::from_str(&line)?);
            } else {
                client.ready(event.token().0 - 1, event.is_writable(), event.is_read_closed());
            }
        }
        client.pass_time();
        client.answer()?;
        if !events.is_empty() {
            std::thread::sleep(NAP);
        }
    }
}

/// Event that the bench waits for.
enum Awaited {
    Opened,
    Counted(Until, u64),
    /// Everything that was sent has come.
    Talked,
    Nothing,
}

struct Client {
    poll: Poll,
    plans: Vec<Plan>,
    connections: Vec<Connection>,
    counts: Counts,
    to_open: VecDeque<usize>,
    opening: usize,
    /// Lost connections, and when they are tried again.
    retries: BinaryHeap<Reverse<(Instant, usize)>>,
    stalled: bool,
    awaited: Option<(Awaited, Instant)>,
    error: Option<String>,
    buffer: Vec<u8>,
}

impl Client {
    fn new() -> io::Result<Self> {
        Ok(Self {
            poll: Poll::new()?,
            plans: Vec::new(),
            connections: Vec::new(),
            counts: Counts::default(),
            to_open: VecDeque::new(),
            opening: 0,
            retries: BinaryHeap::new(),
            stalled: false,
            awaited: None,
            error: None,
            buffer: vec![0; READ_BYTES],
        })
    }

    fn sleep(&self) -> Duration {
        if self.opening < OPENING_MAX && !self.to_open.is_empty() {
            return Duration::ZERO;
        }
        let next = self.retries.peek().map(|Reverse((at, _))| at.saturating_duration_since(Instant::now()));
        let message = self.counts.talking.as_ref().map_or(SLEEP_MAX, |talk| Duration::from_nanos(talk.pause_ns()));
        next.unwrap_or(SLEEP_MAX).min(SLEEP_MAX).min(message)
    }

    fn take(&mut self, command: Command) {
        let now = Instant::now();
        let awaited = match command {
            Command::Connect(connect) => {
                self.plan(connect);
                (Awaited::Opened, now + OPENING_TIME_MAX)
            }
            Command::Mark { timing } => {
                self.counts.mark(timing);
                self.connections.iter_mut().for_each(|connection| connection.events = 0);
                (Awaited::Nothing, now)
            }
            Command::Wait { until, count, timeout_ms } => {
                (Awaited::Counted(until, count), now + Duration::from_millis(timeout_ms))
            }
            Command::Stall { on } => {
                self.stalled = on;
                // Their edges have passed.
                let slow = |number: &usize| self.connections[*number].slow;
                let missed: Vec<usize> = (0..self.connections.len()).filter(slow).collect();
                missed.into_iter().for_each(|number| self.read(number, true));
                (Awaited::Nothing, now)
            }
            Command::Talk { talk, timeout_ms } => {
                self.counts.mark(true);
                let deadline = now + Duration::from_millis(talk.time_ms + timeout_ms);
                match Talking::begin(talk, self.connections.len()) {
                    Ok(talking) => self.counts.talking = Some(talking),
                    Err(error) => self.error = Some(error.to_string()),
                }
                (Awaited::Talked, deadline)
            }
            Command::Close => {
                (self.connections, self.plans, self.opening) = (Vec::new(), Vec::new(), 0);
                (self.counts, self.error) = (Counts::default(), None);
                self.to_open.clear();
                self.retries.clear();
                (Awaited::Nothing, now)
            }
        };
        self.awaited = Some(awaited);
    }

    fn plan(&mut self, connect: Connect) {
        let plan = self.plans.len() as u16;
        for number in 0..connect.count {
            let slow = connect.slow_every > 0 && number % connect.slow_every == connect.slow_every / 2;
            self.to_open.push_back(self.connections.len());
            let place = self.connections.len();
            self.connections.push(Connection::new(plan, connect.first_user + number, place, slow));
        }
        self.plans.push(Plan::new(connect));
    }

    /// Opens what waits for it or for its time.
    fn pass_time(&mut self) {
        while self.opening < OPENING_MAX
            && let Some(number) = self.to_open.pop_front()
        {
            self.opening += 1;
            self.open(number);
        }
        let now = Instant::now();
        while let Some(Reverse((at, number))) = self.retries.peek().copied()
            && at <= now
        {
            self.retries.pop();
            self.open(number);
        }
        for (number, frame) in self.counts.talking.as_mut().map_or_else(Vec::new, Talking::due) {
            if let Err(error) = write(&mut self.connections[number], &frame) {
                self.lost(number, &error);
            }
        }
    }

    fn open(&mut self, number: usize) {
        let connection = &mut self.connections[number];
        connection.turns += 1;
        connection.phase = Phase::Connecting;
        let opened = self.plans[usize::from(connection.plan)].open(number + connection.turns, connection.slow);
        let registered = opened.and_then(|mut stream| {
            let interests = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(number + 1), interests)?;
            Ok(stream)
        });
        match registered {
            Ok(stream) => connection.stream = Some(stream),
            Err(error) => self.lost(number, &error.to_string()),
        }
    }

    fn ready(&mut self, number: usize, writable: bool, ended: bool) {
        // It may have been closed by an earlier command.
        let Some(connection) = self.connections.get_mut(number) else { return };
        if writable && connection.phase == Phase::Connecting {
            let Some(stream) = &connection.stream else { return };
            if let Ok(Some(error)) | Err(error) = stream.take_error() {
                return self.lost(number, &error.to_string());
            }
            if stream.peer_addr().is_err() {
                return;
            }
            let was_alive = connection.alive;
            let greeting = connection.greet(&self.plans[usize::from(connection.plan)]);
            let written = greeting.and_then(|greeting| write(connection, &greeting));
            if let Err(error) = written {
                return self.lost(number, &error);
            }
            self.note(number, was_alive);
        }
        self.read(number, ended);
    }

    /// Reads until there is nothing left: a short read has emptied the socket, and epoll tells of more; but not of an
    /// end that it has told of already.
    fn read(&mut self, number: usize, ended: bool) {
        let mut answer = Vec::new();
        loop {
            let connection = &mut self.connections[number];
            if self.stalled && connection.slow {
                return;
            }
            let Some(stream) = &mut connection.stream else { return };
            let count = match stream.read(&mut self.buffer) {
                Ok(0) => return self.lost(number, "the server ended it"),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return self.lost(number, &error.to_string()),
            };
            self.counts.report.bytes += count as u64;
            let (plan, was_alive) = (&self.plans[usize::from(connection.plan)], connection.alive);
            let next = connection.take(&self.buffer[..count], plan, &mut self.counts, now_ns(), &mut answer);
            self.note(number, was_alive);
            let connection = &mut self.connections[number];
            if !answer.is_empty() {
                if let Err(error) = write(connection, &answer) {
                    return self.lost(number, &error);
                }
                answer.clear();
            }
            match next {
                Next::Read => {}
                Next::Again => {
                    connection.stream = None;
                    return self.open(number);
                }
                Next::Lost(why) => return self.lost(number, &why),
            }
            if count < READ_BYTES && !ended {
                return;
            }
        }
    }

    /// Counts a connection that has come alive.
    fn note(&mut self, number: usize, was_alive: bool) {
        let connection = &mut self.connections[number];
        if connection.alive && !was_alive {
            self.counts.report.alive += 1;
            if std::mem::take(&mut connection.opening) {
                self.opening -= 1;
            }
        }
    }

    fn lost(&mut self, number: usize, why: &str) {
        let connection = &mut self.connections[number];
        (connection.stream, connection.phase) = (None, Phase::Closed);
        if std::mem::take(&mut connection.alive) {
            self.counts.report.alive -= 1;
        }
        let connect = &self.plans[usize::from(connection.plan)].connect;
        if connect.comes_back && !connection.opening {
            let spread = Duration::from_millis(RETRY_MS + number as u64 * 7 % RETRY_SPREAD_MS);
            let at = connection.back_at.take().unwrap_or_else(|| Instant::now() + spread);
            self.retries.push(Reverse((at, number)));
            return;
        }
        if std::mem::take(&mut connection.opening) {
            self.opening -= 1;
        }
        self.counts.report.lost += 1;
        self.error.get_or_insert_with(|| why.to_owned());
    }

    /// Reports when what is awaited has come, or its time is over.
    fn answer(&mut self) -> io::Result<()> {
        let Some((awaited, deadline)) = &self.awaited else { return Ok(()) };
        let report = &self.counts.report;
        let has_come = match awaited {
            Awaited::Opened => self.to_open.is_empty() && self.opening == 0,
            Awaited::Counted(Until::Events, count) => report.events >= *count,
            Awaited::Counted(Until::Hellos, count) => report.hellos >= *count,
            Awaited::Talked => self.counts.talking.as_ref().is_none_or(|talk| talk.is_whole(report.events)),
            Awaited::Nothing => true,
        };
        if !has_come && Instant::now() < *deadline {
            return Ok(());
        }
        self.awaited = None;
        let report = Report { error: self.error.clone(), ..self.counts.report() };
        let mut output = io::stdout().lock();
        serde_json::to_writer(&mut output, &report)?;
        output.write_all(b"\n")?;
        output.flush()
    }
}

/// Writes a few bytes, for which a socket that nobody else writes to has room.
fn write(connection: &mut Connection, bytes: &[u8]) -> Result<(), String> {
    let Some(stream) = &mut connection.stream else { return Ok(()) };
    match stream.write(bytes) {
        Ok(count) if count == bytes.len() => Ok(()),
        Ok(_) => Err("the socket took only a part".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
