//! Protocol between the bench and a process of connections: a line of JSON each.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::talk::{Talk, Talked};

/// Protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Fanfare's WebSocket.
    Websocket,
    /// Fanfare's server-sent events.
    Sse,
    /// Fanfare's long poll.
    LongPoll,
    /// Centrifugo's WebSocket, JSON.
    Centrifugo,
    /// Says nothing and reads WebSocket frames.
    Silent,
}

/// Opens connections.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connect {
    /// Address to connect to.
    pub address: SocketAddr,
    /// Protocol of the connections.
    pub kind: Kind,
    /// Number of connections; each is another person's.
    pub count: usize,
    /// Number of the first person.
    pub first_user: usize,
    /// Secret that tokens are signed with.
    pub secret: String,
    /// First of the eight addresses to connect from.
    pub source: Ipv4Addr,
    /// Every so manieth reads into a small buffer, and stops reading when told to; 0: none.
    pub slow_every: usize,
    /// Whether a connection that was lost is opened again with its cursor.
    pub comes_back: bool,
}

/// Command to a process of connections. Each is answered by one [`Report`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Command {
    /// Open these; answered when all are open or failed.
    Connect(Connect),
    /// Count from zero.
    Mark {
        /// Read the time of sending in events and notifications.
        timing: bool,
    },
    /// Answered when `count` is reached, or after `timeout_ms`.
    Wait {
        /// Kind of event that is counted.
        until: Until,
        /// Number of events, in all connections together.
        count: u64,
        /// Milliseconds.
        timeout_ms: u64,
    },
    /// Slow connections stop or begin to read.
    Stall {
        /// Stop.
        on: bool,
    },
    /// Send messages; answered when all that was sent has come to everybody, or this long after the last.
    Talk {
        /// Messages to send.
        talk: Talk,
        /// Milliseconds.
        timeout_ms: u64,
    },
    /// Close all connections.
    Close,
}

/// Kind of event that can be waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Events that were published.
    Events,
    /// First frames of connections.
    Hellos,
}

/// Counts since the mark; of connections since ever.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Report {
    /// Connections that are open now, and said hello.
    pub alive: u64,
    /// Connections that could not be opened or were lost.
    pub lost: u64,
    /// Events that were published, also from Centrifugo and the bare writer.
    pub events: u64,
    /// Connections that had at least one of them, or of the posts that say when they were sent.
    pub reached: u64,
    /// `feed.posts` frames, and the posts in them.
    pub post_frames: u64,
    /// Posts in them.
    pub posts: u64,
    /// `notification` frames.
    pub notifications: u64,
    /// `receipt` frames.
    pub receipts: u64,
    /// `gap` frames.
    pub gaps: u64,
    /// `reset` frames.
    pub resets: u64,
    /// `hello` frames.
    pub hellos: u64,
    /// Number of first frames which said that the session goes on.
    pub resumed: u64,
    /// `drain` frames.
    pub drains: u64,
    /// Bytes read.
    pub bytes: u64,
    /// Moment of the first event, nanoseconds since 1970.
    pub first_ns: u64,
    /// The last.
    pub last_ns: u64,
    /// Moment of the last hello, nanoseconds since 1970.
    pub last_hello_ns: u64,
    /// From sending to reading, microseconds: median, 95th and 99th percentile, most, and how many were timed.
    pub p50_us: f64,
    /// 95th percentile.
    pub p95_us: f64,
    /// 99th percentile.
    pub p99_us: f64,
    /// Most.
    pub max_us: f64,
    /// Number of events that were timed.
    pub timed: u64,
    /// Messages that were sent, and what came of them.
    pub talked: Talked,
    /// The first thing that went wrong.
    pub error: Option<String>,
}
