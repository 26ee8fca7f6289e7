//! Options of a realtime client: transports, times, where to begin.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::Transport;
use futures_util::future::BoxFuture;

/// Waits of the client; tests use shorter ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// First wait before connecting again; it doubles.
    pub backoff_min: Duration,
    /// Longest wait before connecting again.
    pub backoff_max: Duration,
    /// Least wait after the server said that it is too much.
    pub crowded: Duration,
    /// First wait before a better transport is tried; it doubles.
    pub climb_after: Duration,
    /// Longest wait before a better transport is tried.
    pub climb_max: Duration,
    /// Shortest life of a connection that counts as one that works.
    pub stable_after: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let secs = Duration::from_secs;
        Self {
            backoff_min: Duration::from_millis(500),
            backoff_max: secs(30),
            crowded: secs(30),
            climb_after: secs(30),
            climb_max: secs(600),
            stable_after: secs(30),
        }
    }
}

/// Gives a new token once the old one is refused; `None` when there is none to get.
pub type Renew = Arc<dyn Fn() -> BoxFuture<'static, Option<String>> + Send + Sync>;

/// Options of how a [`Realtime`](super::Realtime) connects.
#[derive(Clone)]
pub struct Options {
    /// Transports that may be used; empty means all.
    pub transports: Vec<Transport>,
    /// Cursor to resume from: one of an earlier session, by any transport.
    pub cursor: Option<String>,
    /// Enter with a ticket in place of the header, as browsers must.
    pub tickets: bool,
    /// Asked when the token is refused.
    pub renew: Option<Renew>,
    /// Longest wait for a connection's first frame (10 s).
    pub first_byte: Duration,
    /// Longest silence of an open connection; `None` is 1.5 heartbeats of the server.
    pub silence: Option<Duration>,
    /// Seconds that a long poll asks the server to wait, up to 60.
    pub poll_wait_s: u64,
    /// Time between two short polls (30 s).
    pub short_poll: Duration,
    /// Waits between connections.
    pub pace: Pace,
    /// Seed of the jitter; `None` is chance.
    pub seed: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transports: Vec::new(),
            cursor: None,
            tickets: false,
            renew: None,
            first_byte: Duration::from_secs(10),
            silence: None,
            poll_wait_s: 25,
            short_poll: Duration::from_secs(30),
            pace: Pace::default(),
            seed: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("transports", &self.transports)
            .field("cursor", &self.cursor)
            .finish_non_exhaustive()
    }
}
