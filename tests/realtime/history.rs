//! History of one run: what people did and were answered, and what each device's application heard, in one order.
//!
//! A tick is a number of that order: an act that was answered before another began has the smaller ticks. The checker
//! reads nothing else, so a history that was printed can be judged again.

use std::fmt;

use fanfare_protocol::{Gap, Id, NotificationKind, Reset, Stream, Transport};
use parking_lot::Mutex;

/// Position in the order of all that is recorded.
pub type Tick = u64;

/// A post that another one points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target {
    pub post: Id,
    pub author: usize,
}

/// Act of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    Post {
        reply_to: Option<Target>,
        repost_of: Option<Target>,
    },
    Delete(Id),
    Like(Target, bool),
    Follow(usize, bool),
    Mute(usize, bool),
    Block(usize, bool),
    /// Deletes their own account.
    Leave,
}

/// An act with its answer.
#[derive(Debug, Clone)]
pub struct Op {
    pub who: usize,
    pub act: Act,
    pub started: Tick,
    /// Tick at which it was known whether it happened: its answer, or a look at the server after the answer was lost.
    pub ended: Option<Tick>,
    pub happened: bool,
    /// The post that it made.
    pub made: Option<Id>,
}

/// Event that a device's application heard, or what was done to it that allows it to hear something.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Opened {
        transport: Transport,
        resumed: bool,
    },
    Closed(String),
    Post {
        id: Id,
        pushed: bool,
    },
    Deleted {
        key: String,
        post: Id,
    },
    /// An account is gone, with everything of it.
    Departed {
        key: String,
        user: Id,
    },
    Notice {
        id: Id,
        kind: NotificationKind,
        actor: Id,
        post: Option<Id>,
        pushed: bool,
    },
    Gap(Gap),
    Reset(Reset),
    /// The application was started again with what it had stored: its memory of keys is its own.
    Restarted,
    /// From here on a gap of the stream is no surprise: more was missed or held up than is replayed.
    MayGap(Stream),
    /// From here on a reset is no surprise: the cursor was spoiled, or the device reads too slowly.
    MayReset,
    /// Notifications that were listed when the device began; they are not sent.
    Before(Vec<Id>),
}

/// Entry of a history: an event on one device.
#[derive(Debug, Clone)]
pub struct Entry {
    pub device: usize,
    pub tick: Tick,
    pub heard: Heard,
}

/// A notification as `GET /v1/notifications` lists it in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    pub id: Id,
    pub actor: Id,
}

/// All of a run.
#[derive(Debug, Clone, Default)]
pub struct History {
    pub people: Vec<Id>,
    /// Owner of each device.
    pub owners: Vec<usize>,
    pub ops: Vec<Op>,
    pub heard: Vec<Entry>,
    /// Notifications that the server lists in the end, by person.
    pub notifications: Vec<Option<Vec<Listed>>>,
    pub feeds: Vec<Option<Vec<Id>>>,
    /// The last tick.
    pub next: Tick,
}

impl History {
    fn tick(&mut self) -> Tick {
        self.next += 1;
        self.next
    }

    /// Notes that somebody begins to do something; its number.
    pub fn begin(&mut self, who: usize, act: Act) -> usize {
        let started = self.tick();
        self.ops.push(Op { who, act, started, ended: None, happened: false, made: None });
        self.ops.len() - 1
    }

    /// Notes how it ended.
    pub fn end(&mut self, op: usize, happened: bool, made: Option<Id>) {
        let ended = self.tick();
        let op = &mut self.ops[op];
        (op.ended, op.happened, op.made) = (Some(ended), happened, made);
    }

    /// Notes what a device heard.
    pub fn hear(&mut self, device: usize, heard: Heard) {
        let tick = self.tick();
        self.heard.push(Entry { device, tick, heard });
    }

    /// Whether somebody deleted their account, or may have.
    pub fn has_left(&self, who: usize) -> bool {
        self.ops.iter().any(|op| op.who == who && op.act == Act::Leave && (op.happened || op.ended.is_none()))
    }

    /// Posts that are there and known, with their authors.
    pub fn posts_there(&self) -> Vec<Target> {
        let deleted: Vec<Id> =
            self.ops.iter().filter_map(|op| if let Act::Delete(id) = op.act { Some(id) } else { None }).collect();
        let made = self.ops.iter().filter_map(|op| op.made.map(|post| Target { post, author: op.who }));
        made.filter(|target| !deleted.contains(&target.post) && !self.has_left(target.author)).collect()
    }
}

/// Shared by those who act and those who listen.
pub type Shared = Mutex<History>;

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines: Vec<(Tick, String)> = Vec::new();
        for op in &self.ops {
            let what = format!("person {} {:?}", op.who, op.act);
            lines.push((op.started, format!("{what} …")));
            if let Some(ended) = op.ended {
                let made = op.made.map(|id| format!(" made {id}")).unwrap_or_default();
                lines.push((ended, format!("{what} happened={}{made} (since {})", op.happened, op.started)));
            }
        }
        for entry in &self.heard {
            let owner = self.owners[entry.device];
            lines.push((entry.tick, format!("    device {} of {owner}: {:?}", entry.device, entry.heard)));
        }
        lines.sort_by_key(|(tick, _)| *tick);
        writeln!(f, "people {:?}", self.people)?;
        for (tick, line) in lines {
            writeln!(f, "{tick:6} {line}")?;
        }
        for (person, listed) in self.notifications.iter().enumerate() {
            writeln!(f, "listed for {person}: {listed:?}; feed {:?}", self.feeds.get(person))?;
        }
        Ok(())
    }
}
