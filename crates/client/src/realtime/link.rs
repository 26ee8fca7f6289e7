//! Connection, or chain of polls, as the driver sees it: a task that reads and a queue of what it read.

use std::sync::Arc;
use std::time::Duration;

use fanfare_protocol::{AUTHOR_DELETED, ClientFrame, PollAnswer, REALTIME_VERSION, ServerFrame, Transport};
use hyper::header::RETRY_AFTER;
use hyper::{HeaderMap, StatusCode};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::ladder::Ended;
use super::options::Options;
use super::{poll, sse_link, websocket};
use crate::{Answer, Client, ClientError};

/// Signals that wait for the driver; then the task stops reading, and the server feels it.
const SIGNALS_MAX: usize = 16;
/// Frames that wait to be sent; a further one waits.
const OUTGOING_MAX: usize = 16;
/// Heartbeats without a sign of life after which a connection counts as dead (`api.md`).
const SILENT_HEARTBEATS: f64 = 1.5;

/// Signal that a link reads.
#[derive(Debug)]
pub(super) enum Signal {
    /// A frame.
    Frame(Box<ServerFrame>),
    /// The answer of a poll.
    Answer(PollAnswer),
    /// End of the link: nothing follows.
    Ended(Ended),
}

/// Target of every link: server, token, cursor.
#[derive(Clone)]
pub(super) struct Target {
    pub client: Client,
    pub options: Arc<Options>,
    pub cursor: Option<String>,
}

impl Target {
    /// Path and query of a stream by `path`: with the cursor, unless a header carries it, and maybe a ticket.
    pub async fn path(&self, path: &str, cursor_in_query: bool) -> Result<String, Ended> {
        let mut query = format!("v={REALTIME_VERSION}&knows={AUTHOR_DELETED}");
        // Cursors and tickets are URL-safe (`api.md`).
        if let Some(cursor) = self.cursor.as_deref().filter(|_| cursor_in_query) {
            query.push_str(&format!("&cursor={cursor}"));
        }
        if self.options.tickets {
            let asked = timeout(self.options.first_byte, self.client.realtime_ticket()).await;
            let ticket = asked.map_err(|_| Ended::NoFirstByte)?.map_err(|error| refused(&error))?;
            query.push_str(&format!("&ticket={}", ticket.ticket));
        }
        Ok(format!("{path}?{query}"))
    }

    /// Longest silence of an open connection.
    pub fn silence(&self, heartbeat_s: u64) -> Duration {
        let default = Duration::from_secs(heartbeat_s.max(1)).mul_f64(SILENT_HEARTBEATS);
        self.options.silence.unwrap_or(default)
    }
}

/// A running link. Dropping it cuts the connection.
pub(super) struct Link {
    pub transport: Transport,
    pub signals: mpsc::Receiver<Signal>,
    /// Takes frames for the server, where the connection does.
    pub outgoing: Option<mpsc::Sender<ClientFrame>>,
    task: JoinHandle<()>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Link {
    /// Begins to connect.
    pub fn open(transport: Transport, target: Target) -> Self {
        let (to, signals) = mpsc::channel(SIGNALS_MAX);
        let (outgoing, frames) = mpsc::channel(OUTGOING_MAX);
        let task = tokio::spawn(async move {
            let ended = match transport {
                Transport::Websocket => websocket::run(&target, frames, &to).await,
                Transport::Sse => sse_link::run(&target, &to).await,
                Transport::LongPoll => poll::run(target, true, &to).await,
                Transport::ShortPoll => poll::run(target, false, &to).await,
            };
            // Nobody hears it when the driver is gone, and nobody needs to.
            let _ = to.send(Signal::Ended(ended)).await;
        });
        let outgoing = (transport == Transport::Websocket).then_some(outgoing);
        Self { transport, signals, outgoing, task }
    }
}

/// Reason in a status that is no success; `None` for one that this transport's answer never has.
pub(super) fn status_says(status: StatusCode, headers: &HeaderMap) -> Option<Ended> {
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok()).map(Duration::from_secs);
    match status {
        StatusCode::TOO_MANY_REQUESTS => Some(Ended::Crowded(after)),
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Some(Ended::Overloaded(after))
        }
        _ => None,
    }
}

/// Reason in an answer over HTTP that is no success. A proxy's refusal is no problem document, so another transport may
/// pass; the server's own is final.
pub(super) fn answer_says(answer: &Answer) -> Ended {
    let ours = answer.header("content-type") == fanfare_protocol::PROBLEM_JSON;
    match answer.status {
        StatusCode::UNAUTHORIZED if ours => Ended::Unauthenticated,
        StatusCode::FORBIDDEN if ours => Ended::Forbidden(String::from_utf8_lossy(&answer.body).into_owned()),
        status => status_says(status, &answer.headers).unwrap_or_else(|| Ended::NotSpoken(status.to_string())),
    }
}

/// Reason in a failed call.
pub(super) fn refused(error: &ClientError) -> Ended {
    match error {
        ClientError::Problem(problem) => match problem.status {
            401 => Ended::Unauthenticated,
            403 => Ended::Forbidden(problem.to_string()),
            429 => Ended::Crowded(None),
            502..=504 => Ended::Overloaded(None),
            _ => Ended::NotSpoken(problem.to_string()),
        },
        ClientError::Transport(why) => Ended::Unreachable(why.clone()),
        ClientError::Shape { .. } => Ended::NotSpoken(error.to_string()),
    }
}
