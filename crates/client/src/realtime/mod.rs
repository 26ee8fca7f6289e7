//! Realtime delivery as a client hears it, with the same behaviour as the TypeScript SDK.
//!
//! [`Realtime::connect`] starts a task that keeps a connection by the best transport that passes (WebSocket, then
//! server-sent events, long polls, short polls), falls back and climbs up by itself, resumes where it was, and drops
//! what came before. [`Realtime::next`] is what the application hears: each item once, in the order of its stream. An
//! application that does not ask is a slow reader: the client stops reading, and the server feels it.
//!
//! `ladder`, `inbox`, `seen` and `sse` decide, without I/O or a clock; `websocket`, `sse_link` and `poll` move bytes;
//! `driver` connects the two.

mod calls;
mod driver;
mod inbox;
mod ladder;
mod link;
mod options;
mod poll;
mod refetch;
mod seen;
mod sse;
mod sse_link;
mod websocket;

use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::{Id, Reply, Stream, Transport};
use parking_lot::Mutex;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::{Client, ClientError, Result};
use driver::{Command, Delivery, Driver};
use seen::Seen;

pub use inbox::Event;
pub use ladder::Ended;
pub use options::{Options, Pace, Renew};
pub use refetch::{Items, REREAD_MAX};
pub use seen::KEYS_MAX;

/// Events that wait for the application; then the client stops reading.
const EVENTS_MAX: usize = 64;
/// Longest wait for a reply.
const REPLY: Duration = Duration::from_secs(10);
/// Commands that wait for the driver; a further one waits.
const COMMANDS_MAX: usize = 16;

/// A client that listens. Dropping it ends the connection.
pub struct Realtime {
    client: Client,
    events: mpsc::Receiver<Delivery>,
    commands: mpsc::Sender<Command>,
    cursor: Option<String>,
    seen: Arc<Mutex<Seen>>,
}

impl Realtime {
    /// Begins to connect as `client` is: its server, its token. Must be called within a runtime of tokio.
    #[must_use]
    pub fn connect(client: &Client, options: Options) -> Self {
        let (to, events) = mpsc::channel(EVENTS_MAX);
        let (commands, from) = mpsc::channel(COMMANDS_MAX);
        let cursor = options.cursor.clone();
        let seen = Arc::default();
        tokio::spawn(Driver::new(client.clone(), options, to, from, Arc::clone(&seen)).run());
        Self { client: client.clone(), events, commands, cursor, seen }
    }

    /// The next event; `None` after [`Event::Stopped`]. May be given up and called again.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            let Delivery { event, cursor } = self.events.recv().await?;
            self.cursor = cursor;
            if let Some(Event::Reset(reset)) = &event {
                let mut seen = self.seen.lock();
                reset.streams.iter().for_each(|stream| seen.forgotten(*stream));
            }
            if event.is_some() {
                return event;
            }
        }
    }

    /// Cursor to resume from, by this client or another: after everything that [`next`](Self::next) has given.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Sends a frame, such as `presence.watch`, and waits for its reply.
    ///
    /// # Errors
    /// [`ClientError::Transport`] when the connection ends first, or nothing comes within 10 s (replies wait behind
    /// events that the application does not take): nobody knows whether it was done.
    pub async fn send(&self, kind: &str, data: Option<Value>) -> Result<Reply> {
        let (reply, answered) = oneshot::channel();
        let lost = || ClientError::Transport("the connection ended".to_owned());
        let command = Command::Send { kind: kind.to_owned(), data, reply };
        self.commands.send(command).await.map_err(|_| lost())?;
        timeout(REPLY, answered).await.map_err(|_| lost())?.map_err(|_| lost())?
    }

    /// Connects anew at once, by the best of these transports from now on (empty: all), and resumes.
    pub async fn allow(&self, transports: &[Transport]) {
        // A client that has stopped does not start again.
        let _ = self.commands.send(Command::Allow(transports.to_vec())).await;
    }

    /// For a machine that woke up or changed its network: finds out within 5 s whether the connection still lives.
    pub async fn probe(&self) {
        let _ = self.commands.send(Command::Probe).await;
    }

    /// Whether this item, read over HTTP, is new to the application; it is not from now on.
    fn is_new(&self, stream: Stream, key: Id) -> bool {
        self.seen.lock().insert_read(stream, &key.to_string())
    }
}
