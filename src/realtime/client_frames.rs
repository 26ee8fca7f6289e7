//! Types of frames: which clients send and who answers them, which the server sends. Products enter theirs in one list
//! (`src/frames.rs`), as they enter their routes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_protocol::{ClientFrame, Id};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;

use super::service::Realtime;
use super::session::SessionId;
use crate::base::error::{Error, Result};

/// Characters of a type that an error shows.
const SHOWN_CHARS_MAX: usize = 64;

/// A client's frame on its way to whoever answers it.
pub struct ClientCall {
    /// Realtime delivery itself.
    pub realtime: Realtime,
    /// Person who sent it.
    pub person: Id,
    /// Session that sent it; none over HTTP, unless it is named.
    pub(super) session: Option<SessionId>,
    data: Option<Value>,
    turn: Turn,
}

/// Turn of a client's frame among those of its session: the next one begins when it is passed, or dropped.
pub struct Turn(#[allow(dead_code, reason = "dropping it tells the next")] Option<oneshot::Sender<()>>);

type Answering = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;
type Answerer = Box<dyn Fn(ClientCall) -> Answering + Send + Sync>;

/// Every type of frame.
#[derive(Clone, Default)]
pub struct FrameTypes(Arc<Lists>);

#[derive(Default)]
struct Lists {
    /// Types of clients, in the order of the list; without anybody who answers, what they are about does not exist yet.
    calls: Vec<(&'static str, Option<Answerer>)>,
    server: Vec<&'static str>,
}

impl std::fmt::Debug for FrameTypes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.calls.iter().map(|(kind, _)| kind)).entries(&self.0.server).finish()
    }
}

/// The list while it is written.
#[derive(Default)]
pub struct FrameList(Lists);

impl FrameList {
    /// No type yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A type that clients send, and what answers it.
    #[must_use]
    pub fn call<F, A>(mut self, kind: &'static str, answer: F) -> Self
    where
        F: Fn(ClientCall) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value>> + Send + 'static,
    {
        self.0.calls.push((kind, Some(Box::new(move |call| Box::pin(answer(call))))));
        self
    }

    /// Types that clients may send one day: what they are about is not found until then.
    #[must_use]
    pub fn calls_to_come(mut self, kinds: &[&'static str]) -> Self {
        self.0.calls.extend(kinds.iter().map(|kind| (*kind, None)));
        self
    }

    /// Types that the server sends, which no operator's event may have.
    #[must_use]
    pub fn server(mut self, kinds: &[&'static str]) -> Self {
        self.0.server.extend(kinds);
        self
    }

    /// The finished list.
    #[must_use]
    pub fn build(self) -> FrameTypes {
        FrameTypes(Arc::new(self.0))
    }
}

impl FrameTypes {
    /// Whether the server sends frames of this type.
    #[must_use]
    pub fn is_own(&self, kind: &str) -> bool {
        self.0.server.contains(&kind)
    }

    /// Does what a frame asks for.
    ///
    /// # Errors
    /// What the product that answers it says; 422 for an unknown type, 404 for one to come.
    pub async fn answer(
        &self,
        realtime: Realtime,
        (person, session): (Id, Option<SessionId>),
        frame: ClientFrame,
        turn: Turn,
    ) -> Result<Value> {
        match self.0.calls.iter().find(|(kind, _)| *kind == frame.kind) {
            Some((_, Some(answer))) => answer(ClientCall { realtime, person, session, data: frame.data, turn }).await,
            // Conversations come with chat; until then there are none that a client could mean.
            Some((_, None)) => Err(Error::not_found("conversation")),
            None => {
                let shown: String = frame.kind.chars().take(SHOWN_CHARS_MAX).collect();
                Err(Error::field("type", format!("\"{shown}\" is unknown; it must be {}", self.known())))
            }
        }
    }

    fn known(&self) -> String {
        let kinds: Vec<&str> = self.0.calls.iter().map(|(kind, _)| *kind).collect();
        match kinds.split_last() {
            Some((last, [])) => (*last).to_owned(),
            Some((last, others)) => format!("{} or {last}", others.join(", ")),
            None => "none".to_owned(),
        }
    }
}

impl ClientCall {
    /// Data of the frame.
    ///
    /// # Errors
    /// 422 where it is not what its type takes.
    pub fn data<T: DeserializeOwned>(&mut self) -> Result<T> {
        let value = self.data.take().ok_or_else(|| Error::field("data", "is missing"))?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let path = error.path().to_string();
            let field = if path == "." { "data".to_owned() } else { format!("data.{path}") };
            Error::field(field, error.inner().to_string())
        })
    }

    /// Lets the session's next frame begin before this one is answered, once nothing of this one depends on order any
    /// more; it is answered before the next one all the same.
    pub fn pass_turn(&mut self) {
        self.turn = Turn(None);
    }
}

impl Turn {
    /// A turn, and what tells when it has been passed.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (passed, next) = oneshot::channel();
        (Self(Some(passed)), next)
    }
}
