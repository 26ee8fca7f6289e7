//! Sessions of other nodes: frames that no record tells of reach them too, and a client's frame is answered by the node
//! that decides about it, or that has the session which it is of.
//!
//! What goes between nodes is `nodes`' to carry; a node that is alone has no others.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use fanfare_protocol::{ClientFrame, Code, Id, Lane, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::client_frames::{FrameTurn, FrameTypes};
use super::clients::{problem_of, too_many};
use super::deliver::{Audience, Deliver};
use super::frame::Frame;
use super::service::Realtime;
use super::session::SessionId;
use super::signals::{Command, Signal};
use crate::base::error::{Error, Result};

/// A frame that no record tells of, on its way to the sessions of other nodes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassingFrame {
    /// People whose sessions get it; everybody's without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub people: Option<Arc<[Id]>>,
    lane: Lane,
    text: String,
}

/// Reason why a frame goes to another node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hop {
    /// The other node decides about it.
    Decides,
    /// The other node has its session, and may send it on to the one that decides.
    HasSession,
    /// Question of a node, and no client's.
    Asks,
}

/// A client's frame on its way to another node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FrameElsewhere {
    /// Person who sent it.
    pub person: Id,
    /// Session that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Id>,
    /// Why it goes there.
    pub hop: Hop,
    /// The frame.
    pub frame: ClientFrame,
}

/// Way to the other nodes.
#[async_trait]
pub trait OtherNodes: Send + Sync + 'static {
    /// Tells sessions there, as far as they are reached now. Never waits.
    fn tell(&self, frame: PassingFrame);

    /// Reply of `node` to a client's frame. Frames of one session, or of one person without a session, begin there
    /// in the order in which they are handed over; the `turn` is passed when this one is.
    async fn answer(&self, node: &str, frame: FrameElsewhere, turn: FrameTurn) -> Result<Value, Problem>;

    /// The node that has a session, as far as it is known.
    async fn node_of(&self, session: Id) -> Option<Arc<str>>;
}

impl PassingFrame {
    /// A frame for these people, or for everybody.
    #[must_use]
    pub fn new(people: Option<Arc<[Id]>>, frame: &Frame) -> Self {
        Self { people, lane: frame.lane(), text: String::from_utf8_lossy(frame.text()).into_owned() }
    }

    /// Frame for some of its people.
    #[must_use]
    pub fn part(&self, people: &[Id]) -> Self {
        Self { people: Some(people.into()), ..self.clone() }
    }
}

impl FrameElsewhere {
    /// Number of the order in which it begins: that of its session, or of its person without one.
    #[must_use]
    pub fn order(&self) -> Id {
        self.session.unwrap_or(self.person)
    }
}

impl Realtime {
    /// From now on there are other nodes.
    pub fn put_others(&self, others: Arc<dyn OtherNodes>) {
        // Once; a server is one node.
        let _ = self.inner().shared.others.set(others);
    }

    /// Way to the other nodes, if there are any.
    #[must_use]
    pub fn others(&self) -> Option<&Arc<dyn OtherNodes>> {
        self.inner().shared.others.get()
    }

    /// Number of this start of the server, as it stands in the ids of its sessions.
    #[must_use]
    pub fn boot(&self) -> u16 {
        boot_of(Id(SessionId::new(self.inner().shared.boot, 0, 0, 0).0))
    }

    /// Hands a frame of another node to the sessions of this one.
    pub async fn heard_elsewhere(&self, passing: PassingFrame) {
        let PassingFrame { people, lane, text } = passing;
        let frame = Frame::passed_on(lane, &text);
        match people {
            Some(people) => {
                let deliver = Deliver::frame(Audience::Members(people), frame);
                self.signal(Signal::Deliver { deliver, sessions: None }).await;
            }
            None => {
                for shard in &self.inner().shards {
                    shard.send(Command::Broadcast { frame: frame.clone(), sessions: None }).await;
                }
            }
        }
    }

    /// Answers a client's frame for another node, in its `turn`.
    ///
    /// # Errors
    /// The problem that the reply carries.
    pub async fn answer_for(&self, asked: FrameElsewhere, turn: FrameTurn) -> Result<Value, Problem> {
        let FrameElsewhere { person, session, hop, frame } = asked;
        let bytes = frame.data.as_ref().map_or(0, |data| data.to_string().len());
        let Some(_permit) = self.under_way(bytes) else { return Err(too_many()) };
        let from = (person, session.map(|id| SessionId(id.0)));
        let types = self.types();
        match hop {
            Hop::Decides => return types.answer(self.clone(), from, frame, turn).await.map_err(problem_of),
            Hop::Asks => return types.answer_node(self.clone(), person, frame, turn).await.map_err(problem_of),
            Hop::HasSession => {}
        }
        let is_theirs = match session {
            Some(session) => self.whose(session).await.is_ok_and(|user| user == person),
            None => false,
        };
        if !is_theirs {
            return Err(Problem::new(Code::NotFound, "session not found"));
        }
        answer(types, self.clone(), from, frame, turn).await
    }
}

/// Number of the start of a server, of the id of one of its sessions.
#[must_use]
pub const fn boot_of(session: Id) -> u16 {
    (session.0 >> 48) as u16
}

/// Does what a frame asks for, here or on the node that decides about it.
///
/// # Errors
/// The problem that the reply carries.
pub async fn answer(
    types: &FrameTypes,
    realtime: Realtime,
    from: (Id, Option<SessionId>),
    frame: ClientFrame,
    turn: FrameTurn,
) -> Result<Value, Problem> {
    let Some(others) = realtime.others().cloned() else {
        return types.answer(realtime, from, frame, turn).await.map_err(problem_of);
    };
    let (person, session) = (from.0, from.1.map(|session| Id(session.0)));
    let asked = FrameElsewhere { person, session, hop: Hop::Decides, frame: frame.clone() };
    let (own, passed) = FrameTurn::new();
    // Whoever is refused because another node decides has not passed the turn: it goes there with the frame.
    let mut turn = Some(turn);
    let done = {
        let (mut work, mut passed) = (pin!(types.answer(realtime, from, frame, own)), pin!(passed));
        loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                _ = &mut passed, if turn.is_some() => turn = None,
            }
        }
    };
    match (done, turn) {
        (Err(Error::Elsewhere(node)), Some(turn)) => others.answer(&node, asked, turn).await,
        (done, _) => done.map_err(problem_of),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_server_is_in_the_ids_of_its_sessions() {
        for boot in [0_u16, 1, 2, 0x8001, u16::MAX] {
            let ids = [(0, 0, 0), (7, 3, 9), (255, u16::MAX, (1 << 24) - 1)];
            let boots = ids.map(|(shard, generation, key)| boot_of(Id(SessionId::new(boot, shard, generation, key).0)));
            assert_eq!(boots, [boot >> 1; 3]);
        }
    }

    #[test]
    fn a_frame_is_the_same_on_another_node() {
        let frame =
            Frame::passing("typing", Lane::Normal, 1_000, &serde_json::json!({ "user_id": "7", "x": "\u{e9}" }));
        let passing = PassingFrame::new(Some(Arc::from([Id(7)])), &frame);
        let read: PassingFrame = serde_json::from_str(&serde_json::to_string(&passing).unwrap()).unwrap();
        assert_eq!(read, passing);
        let there = Frame::passed_on(read.lane, &read.text);
        assert_eq!((there.text(), there.lane()), (frame.text(), frame.lane()));
    }
}
