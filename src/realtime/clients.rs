//! Frames of clients and what they ask for: each is answered by one reply, whatever transport it came by.
//!
//! No worker waits for what a frame asks for: each frame is a task of its own, bounded in number by permits that shards
//! take before they hand it on. The frames of one session begin in their order, each when the one before has passed its
//! turn, and are answered in their order.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::sync::Arc;

use fanfare_engines::EngineError;
use fanfare_protocol::{ClientFrame, Code, Id, Problem};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use super::client_frames::{FrameTurn, FrameTypes};
use super::elsewhere;
use super::frame::Frame;
use super::service::Realtime;
use super::session::SessionId;
use super::signals::{Command, FromClient, ShardHandle};
use crate::base::error::Error;

/// Order of the frames of one session, or of one request: each waits for the one before.
#[derive(Default)]
pub struct FrameOrder {
    begun: Option<oneshot::Receiver<()>>,
    answered: Option<oneshot::Receiver<()>>,
}

/// Place of one frame in the order.
pub struct InOrder {
    before: FrameOrder,
    turn: FrameTurn,
    /// Dropped when it is answered.
    answered: oneshot::Sender<()>,
}

impl FrameOrder {
    /// The next frame.
    pub fn next(&mut self) -> InOrder {
        let ((turn, begun), (answered, is_answered)) = (FrameTurn::new(), oneshot::channel());
        let next = Self { begun: Some(begun), answered: Some(is_answered) };
        InOrder { before: std::mem::replace(self, next), turn, answered }
    }
}

impl InOrder {
    /// Does `act` in the frame's turn, and `answer` with what it gave after the frame before was answered.
    pub async fn run<T, A: Future<Output = T>, R: Future>(
        self,
        act: impl FnOnce(FrameTurn) -> A,
        answer: impl FnOnce(T) -> R,
    ) -> R::Output {
        let Self { before, turn, answered } = self;
        passed(before.begun).await;
        let done = act(turn).await;
        passed(before.answered).await;
        let out = answer(done).await;
        drop(answered);
        out
    }
}

/// Waits until the other end is dropped; nothing is ever sent.
async fn passed(before: Option<oneshot::Receiver<()>>) {
    if let Some(before) = before {
        let _ = before.await;
    }
}

/// Answers frames of sessions.
pub struct Clients {
    realtime: Realtime,
    types: FrameTypes,
    shards: Vec<ShardHandle>,
}

impl Clients {
    /// Over the service.
    #[must_use]
    pub fn new(realtime: Realtime, types: FrameTypes, shards: Vec<ShardHandle>) -> Self {
        Self { realtime, types, shards }
    }

    /// Answers what shards hand on, until there are no more.
    pub async fn run(self, frames: mpsc::Receiver<FromClient>) {
        let Self { realtime, types, shards } = self;
        let clock = realtime.clock().clone();
        let act = move |session, user, frame, turn| {
            let (types, realtime) = (types.clone(), realtime.clone());
            async move { elsewhere::answer(&types, realtime, (user, Some(session)), frame, turn).await }
        };
        let reply = move |session: SessionId, reference, done: Result<Value, Problem>| {
            let now_ms = clock.now_ms();
            let frame = match &done {
                Ok(data) => Frame::reply(reference, Ok(data), now_ms),
                Err(problem) => Frame::reply(reference, Err::<&Value, _>(problem), now_ms),
            };
            let shard = shards.get(session.shard()).cloned();
            async move {
                if let Some(shard) = shard {
                    shard.send(Command::Reply { session, frame }).await;
                }
            }
        };
        work(frames, act, reply).await;
    }
}

/// Has `act` done for each frame and `reply` for what it gave: each session's frames in their order, those of different
/// sessions side by side.
async fn work<T, A, R>(
    mut frames: mpsc::Receiver<FromClient>,
    act: impl Fn(SessionId, Id, ClientFrame, FrameTurn) -> A + Send + Sync + 'static,
    reply: impl Fn(SessionId, Option<u64>, T) -> R + Send + Sync + 'static,
) where
    T: Send + 'static,
    A: Future<Output = T> + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let (act, reply) = (Arc::new(act), Arc::new(reply));
    let mut acts = JoinSet::new();
    let mut orders = Orders::<SessionId>::default();
    loop {
        tokio::select! {
            biased;
            Some(ended) = acts.join_next(), if !acts.is_empty() => {
                if let Ok(session) = ended {
                    orders.ended(&session);
                }
            }
            frame = frames.recv() => {
                let Some(FromClient { session, user, frame, permit }) = frame else { return };
                let (order, act, reply) = (orders.next(session), Arc::clone(&act), Arc::clone(&reply));
                acts.spawn(async move {
                    let reference = Some(frame.reference);
                    order.run(|turn| act(session, user, frame, turn), |done| reply(session, reference, done)).await;
                    drop(permit);
                    session
                });
            }
        }
    }
}

/// Order of the frames of each of many sessions that have some under way, by what tells them apart.
pub struct Orders<K>(HashMap<K, (FrameOrder, usize)>);

impl<K> Default for Orders<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Orders<K> {
    /// The next frame of a session.
    pub fn next(&mut self, session: K) -> InOrder {
        let (order, under_way) = self.0.entry(session).or_default();
        *under_way += 1;
        order.next()
    }

    /// A frame of it has been answered.
    pub fn ended(&mut self, session: &K) {
        if let Some((_, under_way)) = self.0.get_mut(session) {
            *under_way -= 1;
            if *under_way == 0 {
                self.0.remove(session);
            }
        }
    }
}

/// The problem that a reply carries instead of an answer.
pub fn problem_of(error: Error) -> Problem {
    match error {
        Error::Refused(problem) => *problem,
        Error::Overloaded { reason, retry_after_s } => later(Problem::new(Code::Overloaded, reason), retry_after_s),
        Error::RateLimited { reason, retry_after_s } => {
            let detail = format!("{reason}; try again in {retry_after_s} s");
            later(Problem::new(Code::RateLimited, detail), retry_after_s)
        }
        Error::Elsewhere(_) => Problem::new(Code::Overloaded, "another node decides about this now; try again"),
        Error::Engine(EngineError::Unknown(cause)) => {
            tracing::warn!(%cause, "whether a client's frame was done is not known");
            Problem::new(Code::OutcomeUnknown, "whether it was done is not known; send it again")
        }
        Error::Engine(EngineError::Unavailable(_) | EngineError::Closed(_) | EngineError::Full(_)) => {
            Problem::new(Code::Overloaded, "the storage is not available; try again later")
        }
        error @ (Error::Engine(_) | Error::Internal(_) | Error::Setting(_)) => {
            tracing::error!(%error, "a client's frame failed");
            Problem::new(Code::Internal, "the server failed")
        }
    }
}

/// Answer to a frame for which there is no room: nothing was done.
pub fn too_many() -> Problem {
    metrics::counter!("fanfare_shed_total", "what" => "client_frames").increment(1);
    later(Problem::new(Code::Overloaded, "too many frames are under way; try again in a second"), 1)
}

/// The problem with the time of another try.
fn later(problem: Problem, retry_after_s: u32) -> Problem {
    Problem { retry_after_s: Some(retry_after_s), ..problem }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{Barrier, Notify};

    use super::*;
    use crate::realtime::under_way::UnderWay;

    /// Longest wait for what must happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    async fn hand_on(frames: &mpsc::Sender<FromClient>, permits: &UnderWay, session: u64, kind: &str, number: u64) {
        let frame = ClientFrame { reference: number, kind: kind.to_owned(), data: None };
        let permit = permits.take(1).unwrap();
        frames.send(FromClient { session: SessionId(session), user: Id(7), frame, permit }).await.unwrap();
    }

    /// Frames answered one after the other are committed one after the other: as many as wait for the same commit must
    /// be under way at once.
    #[tokio::test]
    async fn as_many_sessions_as_there_are_wait_for_one_commit() {
        const SESSIONS: usize = 200;
        let (frames, from_clients) = mpsc::channel(SESSIONS);
        let (commit, permits) = (Arc::new(Barrier::new(SESSIONS)), UnderWay::new(SESSIONS, SESSIONS));
        let (answered, mut answers) = mpsc::channel(SESSIONS);
        let act = move |_, _, _, turn| {
            let commit = Arc::clone(&commit);
            async move {
                commit.wait().await;
                drop(turn);
            }
        };
        let reply = move |session, _, ()| {
            let answered = answered.clone();
            async move { answered.send(session).await.unwrap() }
        };
        let working = tokio::spawn(work(from_clients, act, reply));
        for session in 0..SESSIONS as u64 {
            hand_on(&frames, &permits, session, "x", 1).await;
        }
        for _ in 0..SESSIONS {
            tokio::time::timeout(PATIENCE, answers.recv()).await.unwrap().unwrap();
        }
        drop(frames);
        working.await.unwrap();
        assert!(permits.take(SESSIONS).is_some(), "each is given back");
    }

    /// The first frame passes its turn and is done last: the second is begun before, and answered after it. The third
    /// holds its turn, so that the fourth does not begin before it is done.
    #[tokio::test]
    async fn frames_of_a_session_begin_in_their_turn_and_are_answered_in_order() {
        let (frames, from_clients) = mpsc::channel(8);
        let permits = UnderWay::new(8, 8);
        let (said, mut log) = mpsc::unbounded_channel::<String>();
        let first_may_end = Arc::new(Notify::new());
        let (done, ending) = (said.clone(), Arc::clone(&first_may_end));
        let act = move |_, _, frame: ClientFrame, turn: FrameTurn| {
            let (done, ending) = (done.clone(), Arc::clone(&ending));
            async move {
                done.send(format!("begin {}", frame.reference)).unwrap();
                match frame.kind.as_str() {
                    "passes" => {
                        drop(turn);
                        ending.notified().await;
                    }
                    _ => tokio::task::yield_now().await,
                }
                done.send(format!("end {}", frame.reference)).unwrap();
            }
        };
        let reply = move |_, reference: Option<u64>, ()| {
            let said = said.clone();
            async move { said.send(format!("reply {}", reference.unwrap())).unwrap() }
        };
        tokio::spawn(work(from_clients, act, reply));
        for (number, kind) in [(1, "passes"), (2, "holds"), (3, "holds"), (4, "holds")] {
            hand_on(&frames, &permits, 5, kind, number).await;
        }
        let mut heard = Vec::new();
        while heard.iter().filter(|line: &&String| line.starts_with("reply")).count() < 4 {
            let line = tokio::time::timeout(PATIENCE, log.recv()).await.unwrap().unwrap();
            if line == "end 4" {
                first_may_end.notify_one();
            }
            heard.push(line);
        }
        let at = |line: &str| heard.iter().position(|other| other == line).unwrap_or(usize::MAX);
        assert!(at("begin 2") < at("end 1"), "{heard:?}");
        assert!(at("end 3") < at("begin 4") && at("end 2") < at("begin 3"), "{heard:?}");
        let replies: Vec<&String> = heard.iter().filter(|line| line.starts_with("reply")).collect();
        assert_eq!(replies, ["reply 1", "reply 2", "reply 3", "reply 4"]);
    }
}
