//! Types of frames: which clients send and who answers them, which the server sends. Products enter theirs in one list
//! (`src/frames.rs`), as they enter their routes.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fanfare_protocol::{ClientFrame, Id, ResetReason};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::oneshot;

use super::attach::Knows;
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
    turn: FrameTurn,
}

/// Turn of a client's frame among those of its session: the next one begins when it is passed, or dropped.
pub struct FrameTurn(#[allow(dead_code, reason = "dropping it tells the next")] Option<oneshot::Sender<()>>);

type Answering = Pin<Box<dyn Future<Output = Result<Value>> + Send>>;
type Answerer = Box<dyn Fn(ClientCall) -> Answering + Send + Sync>;

/// Every type of frame.
#[derive(Clone, Default)]
pub struct FrameTypes(Arc<Lists>);

#[derive(Default)]
struct Lists {
    /// Types of clients, in the order of the list.
    calls: Vec<(&'static str, Answerer)>,
    /// Types of nodes, which no client sends.
    of_nodes: Vec<(&'static str, Answerer)>,
    server: Vec<&'static str>,
    /// Types that not every client knows, and the reason of the reset that others get in their place.
    novel: Vec<(&'static str, ResetReason)>,
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
        self.0.calls.push((kind, Box::new(move |call| Box::pin(answer(call)))));
        self
    }

    /// A type that nodes send each other, and what answers it.
    #[must_use]
    pub fn node<F, A>(mut self, kind: &'static str, answer: F) -> Self
    where
        F: Fn(ClientCall) -> A + Send + Sync + 'static,
        A: Future<Output = Result<Value>> + Send + 'static,
    {
        self.0.of_nodes.push((kind, Box::new(move |call| Box::pin(answer(call)))));
        self
    }

    /// Types that the server sends, which no operator's event may have.
    #[must_use]
    pub fn server(mut self, kinds: &[&'static str]) -> Self {
        self.0.server.extend(kinds);
        self
    }

    /// A type that the server sends and not every client of version 1 knows: those that do not name it get a `reset` of
    /// its stream in its place, with `reason`, which is no other type's.
    #[must_use]
    pub fn novel(mut self, kind: &'static str, reason: ResetReason) -> Self {
        self.0.server.push(kind);
        self.0.novel.push((kind, reason));
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

    /// Newer types in a client's list with commas; what this server does not know either is passed over.
    #[must_use]
    pub fn known_in(&self, list: &str) -> Knows {
        let named = |kind: &str| list.split(',').any(|one| one.trim() == kind);
        let known = self.0.novel.iter().filter(|(kind, _)| named(kind));
        known.fold(Knows::default(), |knows, (_, reason)| knows.with(*reason))
    }

    /// Does what a frame asks for.
    ///
    /// # Errors
    /// What the product that answers it says; 422 for an unknown type.
    pub async fn answer(
        &self,
        realtime: Realtime,
        (person, session): (Id, Option<SessionId>),
        frame: ClientFrame,
        turn: FrameTurn,
    ) -> Result<Value> {
        match self.0.calls.iter().find(|(kind, _)| *kind == frame.kind) {
            Some((_, answer)) => answer(ClientCall { realtime, person, session, data: frame.data, turn }).await,
            None => {
                let shown: String = frame.kind.chars().take(SHOWN_CHARS_MAX).collect();
                Err(Error::field("type", format!("\"{shown}\" is unknown; it must be {}", self.known())))
            }
        }
    }

    /// Does what another node asks for on behalf of `person`.
    ///
    /// # Errors
    /// What the product that answers it says; 422 for an unknown type.
    pub async fn answer_node(
        &self,
        realtime: Realtime,
        person: Id,
        frame: ClientFrame,
        turn: FrameTurn,
    ) -> Result<Value> {
        let found = self.0.of_nodes.iter().find(|(kind, _)| *kind == frame.kind);
        let (_, answer) = found.ok_or_else(|| Error::field("type", "is one that this node does not know"))?;
        answer(ClientCall { realtime, person, session: None, data: frame.data, turn }).await
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
    /// Session that sent it, if one did.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        self.session
    }

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
        self.turn = FrameTurn(None);
    }
}

impl FrameTurn {
    /// A turn, and what tells when it has been passed.
    #[must_use]
    pub fn new() -> (Self, oneshot::Receiver<()>) {
        let (passed, next) = oneshot::channel();
        (Self(Some(passed)), next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_knows_stands_in_a_list() {
        let types = FrameList::new().novel("shop.sale", ResetReason::Slow).novel("x", ResetReason::Unknown).build();
        let knows = |list: &str| types.known_in(list).has(ResetReason::Slow);
        for list in ["shop.sale", "y,shop.sale", " shop.sale , later.on", "x,shop.sale"] {
            assert!(knows(list), "{list}");
        }
        for list in ["", "shop", "shop.sale.x", "SHOP.SALE", "x"] {
            assert!(!knows(list), "{list}");
        }
        assert!(types.is_own("x") && types.is_own("shop.sale") && !types.is_own("y"));
    }

    #[test]
    fn the_known_types_are_told_as_they_are_listed() {
        let [ping, read, typing] = ["ping", "read", "typing"];
        let answer = async |_: ClientCall| Ok(Value::Null);
        assert_eq!(FrameList::new().call(read, answer).build().known(), "read");
        let types = FrameList::new().call(ping, answer).call(read, answer).call(typing, answer).build();
        assert_eq!(types.known(), "ping, read or typing");
    }
}
