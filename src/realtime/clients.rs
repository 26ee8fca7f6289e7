//! What clients ask for by frames: each is answered by one reply, whatever transport it came by.

use std::sync::Arc;

use fanfare_engines::EngineError;
use fanfare_protocol::{ClientFrame, Code, FeedRead, Id, PresenceList, PresenceWatch, Problem};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::frame::Frame;
use super::service::Realtime;
use super::session::SessionId;
use super::signals::{Command, FromClient, ShardHandle};
use crate::base::error::{Error, Result};
use crate::base::limits::realtime::CLIENT_FRAMES_MAX;
use crate::data::tables::Marker;
use crate::markers;

/// Frames worked on at once.
const WORKERS: usize = 16;

/// Answers frames.
pub struct Clients {
    realtime: Realtime,
    shards: Vec<ShardHandle>,
}

impl Clients {
    /// Over the service.
    #[must_use]
    pub fn new(realtime: Realtime, shards: Vec<ShardHandle>) -> Self {
        Self { realtime, shards }
    }

    /// Answers what shards hand on: each session's frames in their order, those of different sessions side by side.
    pub async fn run(self, mut frames: mpsc::Receiver<FromClient>) {
        let mut workers = JoinSet::new();
        let mut queues = Vec::with_capacity(WORKERS);
        let clients = Arc::new(self);
        for _ in 0..WORKERS {
            let (queue, frames) = mpsc::channel(CLIENT_FRAMES_MAX / WORKERS);
            queues.push(queue);
            workers.spawn(Arc::clone(&clients).work(frames));
        }
        while let Some(frame) = frames.recv().await {
            let queue = queues.get(frame.session.key() % WORKERS);
            if let Some(queue) = queue {
                // Full: the others wait too, and shards refuse what finds no room.
                let _ = queue.send(frame).await;
            }
        }
    }

    async fn work(self: Arc<Self>, mut frames: mpsc::Receiver<FromClient>) {
        while let Some(FromClient { session, user, frame }) = frames.recv().await {
            let now_ms = self.realtime.core.clock.now_ms();
            let reference = Some(frame.reference);
            let frame = match answer(&self.realtime, user, Some(session), frame).await {
                Ok(data) => Frame::reply(reference, Ok(&data), now_ms),
                Err(problem) => Frame::reply(reference, Err::<&Value, _>(&problem), now_ms),
            };
            if let Some(shard) = self.shards.get(session.shard()) {
                shard.send(Command::Reply { session, frame }).await;
            }
        }
    }
}

/// Does what a frame asks for.
///
/// # Errors
/// The problem that the reply carries.
pub async fn answer(
    realtime: &Realtime,
    user: Id,
    session: Option<SessionId>,
    frame: ClientFrame,
) -> Result<Value, Problem> {
    let done = act(realtime, user, session, frame).await;
    done.map_err(|error| match error {
        Error::Refused(problem) => *problem,
        Error::Overloaded { reason, .. } => Problem::new(Code::Overloaded, reason),
        Error::RateLimited { .. } => Problem::new(Code::RateLimited, "too many requests"),
        Error::Engine(EngineError::Unknown(cause)) => {
            tracing::warn!(%cause, "whether a client's frame was done is not known");
            Problem::new(Code::OutcomeUnknown, "whether it was done is not known; send it again")
        }
        Error::Engine(EngineError::Unavailable(_) | EngineError::Closed(_)) => {
            Problem::new(Code::Overloaded, "the storage is not available; try again later")
        }
        error @ (Error::Engine(_) | Error::Internal(_) | Error::Setting(_)) => {
            tracing::error!(%error, "a client's frame failed");
            Problem::new(Code::Internal, "the server failed")
        }
    })
}

async fn act(realtime: &Realtime, user: Id, session: Option<SessionId>, frame: ClientFrame) -> Result<Value> {
    match frame.kind.as_str() {
        "ping" => Ok(Value::Object(serde_json::Map::new())),
        "feed.read" => {
            let read: FeedRead = data(frame)?;
            markers::write(&realtime.core, user, Marker::Feed, read.last_read_id).await?;
            realtime.marker_moved(user, Marker::Feed).await?;
            Ok(Value::Object(serde_json::Map::new()))
        }
        "presence.watch" => {
            let watch: PresenceWatch = data(frame)?;
            let items = realtime.watch(user, session, &watch.user_ids).await?;
            serde_json::to_value(PresenceList { items }).map_err(|error| Error::Internal(error.to_string()))
        }
        // Conversations come with chat; until then there are none that a client could mean.
        "message.send" | "read" | "delivered" | "typing" => Err(Error::not_found("conversation")),
        other => {
            let known = "ping, feed.read, presence.watch, message.send, read, delivered or typing";
            let shown: String = other.chars().take(64).collect();
            Err(Error::field("type", format!("\"{shown}\" is unknown; it must be {known}")))
        }
    }
}

fn data<T: DeserializeOwned>(frame: ClientFrame) -> Result<T> {
    let value = frame.data.ok_or_else(|| Error::field("data", "is missing"))?;
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "data".to_owned() } else { format!("data.{path}") };
        Error::field(field, error.inner().to_string())
    })
}
