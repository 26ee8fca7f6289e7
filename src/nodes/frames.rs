//! Frames between nodes: what no record tells of reaches the sessions of all, and a client's frame is answered by the
//! node that decides about it, or that has its session.
//!
//! All of it goes over the bus, which may lose it. A frame that is lost to sessions was a current value. Of a question
//! or an answer that is lost its client hears that the outcome is not known, and sends the frame again: a message has
//! an id of the client's for that, and all other frames say where something stands. Which node has a session is in the
//! ephemeral state, by the number of the node's start, which its sessions have in their ids.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::{Bus, EngineError, Ephemeral, Subscription};
use fanfare_protocol::{Code, Id, Problem};
use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::base::error::Result;
use crate::base::limits::nodes::{
    FRAME_ANSWER_MS, FRAMES_ASKED_MAX, PASSING_WAITING_MAX, PEOPLE_IN_MESSAGE, ROUTE_EVERY_MS, ROUTE_MS,
};
use crate::base::token::attempt;
use crate::data::rows::{from_json, to_json};
use crate::realtime::{FrameElsewhere, FrameTurn, Orders, OtherNodes, PassingFrame, Realtime, boot_of};

/// Topic of frames for the sessions of all nodes.
const PASSING: &str = "frames/passing";

/// A passing frame and the node that it is of.
#[derive(Serialize, Deserialize)]
struct Passed {
    from: Arc<str>,
    frame: PassingFrame,
}

/// A client's frame that a node asks another to answer.
#[derive(Serialize, Deserialize)]
struct Asked {
    from: Arc<str>,
    number: u64,
    frame: FrameElsewhere,
}

/// Answer to one that was asked under this number.
#[derive(Serialize, Deserialize)]
struct Answered {
    number: u64,
    answer: Result<Value, Problem>,
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Result<Value, Problem>>>>;

/// Way of a node to the sessions of the others, and to those who answer frames there.
pub struct FramesBetween {
    name: Arc<str>,
    bus: Arc<dyn Bus>,
    ephemeral: Arc<dyn Ephemeral>,
    number: AtomicU64,
    waiting: Waiting,
    tells: mpsc::Sender<PassingFrame>,
}

fn asked_of(node: &str) -> String {
    format!("frames/asked/{node}")
}

fn answers_to(node: &str) -> String {
    format!("frames/answered/{node}")
}

fn route(boot: u16) -> Vec<u8> {
    [b"node of sessions ", &boot.to_be_bytes()[..]].concat()
}

fn unknown() -> Problem {
    Problem::new(Code::OutcomeUnknown, "whether it was done is not known; send it again")
}

impl FramesBetween {
    /// Of the node `name`; what it is to tell comes by the receiver, for [`run`](Self::run).
    ///
    /// # Errors
    /// Without randomness.
    pub fn new(
        name: Arc<str>,
        bus: Arc<dyn Bus>,
        ephemeral: Arc<dyn Ephemeral>,
    ) -> Result<(Arc<Self>, mpsc::Receiver<PassingFrame>)> {
        let (tells, told) = mpsc::channel(PASSING_WAITING_MAX);
        // An answer to an earlier life of this node is to nobody.
        let number = AtomicU64::new(attempt()?);
        Ok((Arc::new(Self { name, bus, ephemeral, number, waiting: Waiting::default(), tells }), told))
    }

    async fn publish(&self, topic: &str, message: &impl Serialize) -> Result<()> {
        Ok(self.bus.publish(topic, to_json(message)?).await?)
    }

    /// Tells passing frames, answers what others ask, and says where the sessions of this node are. Without end.
    pub async fn run(self: Arc<Self>, realtime: Realtime, mut told: mpsc::Receiver<PassingFrame>) {
        let pause = Duration::from_millis(ROUTE_EVERY_MS);
        loop {
            let (passing, asked, answered) = match self.ears().await {
                Ok(ears) => ears,
                Err(error) => {
                    tracing::debug!(%error, "no frames of other nodes are heard yet");
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
            };
            // It ends with the ears that it hears by.
            let mut answering = JoinSet::new();
            answering.spawn(Arc::clone(&self).answer_all(asked, realtime.clone()));
            let (mut passing, mut answered) = (passing.messages, answered.messages);
            let mut again = tokio::time::interval(pause);
            loop {
                tokio::select! {
                    _ = again.tick() => self.say_where(realtime.boot()).await,
                    frame = told.recv() => {
                        let Some(frame) = frame else { return };
                        self.pass(frame).await;
                    }
                    message = passing.recv() => {
                        let Some(message) = message else { break };
                        if let Some(Passed { frame, .. }) = understood::<Passed>(&message).filter(|one| one.from != self.name) {
                            realtime.heard_elsewhere(frame).await;
                        }
                    }
                    message = answered.recv() => {
                        let Some(message) = message else { break };
                        if let Some(Answered { number, answer }) = understood(&message)
                            && let Some(waits) = self.waiting.lock().remove(&number)
                        {
                            let _ = waits.send(answer); // whoever asked may be gone
                        }
                    }
                }
            }
        }
    }

    async fn ears(&self) -> Result<(Subscription, Subscription, Subscription), EngineError> {
        let (asked, answered) = (asked_of(&self.name), answers_to(&self.name));
        Ok((
            self.bus.subscribe(PASSING).await?,
            self.bus.subscribe(&asked).await?,
            self.bus.subscribe(&answered).await?,
        ))
    }

    /// Says that sessions of this start of the server are here.
    async fn say_where(&self, boot: u16) {
        let name = Bytes::copy_from_slice(self.name.as_bytes());
        if let Err(error) = self.ephemeral.put(&route(boot), name, Duration::from_millis(ROUTE_MS)).await {
            tracing::debug!(%error, "other nodes do not know which sessions are here");
        }
    }

    async fn pass(&self, frame: PassingFrame) {
        let slices: Vec<PassingFrame> = match &frame.people {
            Some(people) => people.chunks(PEOPLE_IN_MESSAGE).map(|people| frame.part(people)).collect(),
            None => vec![frame],
        };
        for frame in slices {
            if let Err(error) = self.publish(PASSING, &Passed { from: Arc::clone(&self.name), frame }).await {
                tracing::warn!(%error, "sessions of other nodes do not hear of something");
            }
        }
    }

    /// Answers frames of other nodes: those of one session in their order, others beside each other.
    async fn answer_all(self: Arc<Self>, mut asked: Subscription, realtime: Realtime) {
        let mut answers = JoinSet::new();
        let mut orders = Orders::<(Arc<str>, Id)>::default();
        loop {
            tokio::select! {
                biased;
                Some(ended) = answers.join_next(), if !answers.is_empty() => {
                    if let Ok(order) = ended {
                        orders.ended(&order);
                    }
                }
                message = asked.messages.recv() => {
                    let Some(message) = message else { return };
                    let Some(Asked { from, number, frame }) = understood(&message) else { continue };
                    let order = (Arc::clone(&from), frame.order());
                    let (in_order, realtime, own) = (orders.next(order.clone()), realtime.clone(), Arc::clone(&self));
                    answers.spawn(async move {
                        let act = async |turn| realtime.answer_for(frame, turn).await;
                        in_order.run(act, async |answer| own.reply(&from, Answered { number, answer }).await).await;
                        order
                    });
                }
            }
        }
    }

    async fn reply(&self, node: &str, answered: Answered) {
        let topic = answers_to(node);
        let Err(error) = self.publish(&topic, &answered).await else { return };
        tracing::warn!(%error, "an answer to a frame of another node is not told");
        let instead = Answered { answer: Err(unknown()), ..answered };
        let _ = self.publish(&topic, &instead).await; // whoever asked stops waiting some day
    }
}

/// Place of an answer that is waited for.
struct Wait<'a>(&'a Waiting, u64);

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

#[async_trait]
impl OtherNodes for FramesBetween {
    fn tell(&self, frame: PassingFrame) {
        if self.tells.try_send(frame).is_err() {
            metrics::counter!("fanfare_shed_total", "what" => "frames_between_nodes").increment(1);
        }
    }

    async fn answer(&self, node: &str, frame: FrameElsewhere, turn: FrameTurn) -> Result<Value, Problem> {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        let (waits, answer) = oneshot::channel();
        {
            let mut waiting = self.waiting.lock();
            if waiting.len() >= FRAMES_ASKED_MAX {
                return Err(Problem::new(Code::Overloaded, "too many frames wait for other nodes; try again"));
            }
            waiting.insert(number, waits);
        }
        let _wait = Wait(&self.waiting, number);
        let asked = Asked { from: Arc::clone(&self.name), number, frame };
        if let Err(error) = self.publish(&asked_of(node), &asked).await {
            tracing::debug!(%error, node, "a frame is not handed over");
            return Err(Problem::new(Code::Overloaded, "the node that decides about this is not reached; try again"));
        }
        // The bus keeps the order from here on.
        drop(turn);
        let answered = tokio::time::timeout(Duration::from_millis(FRAME_ANSWER_MS), answer).await;
        answered.ok().and_then(Result::ok).unwrap_or_else(|| Err(unknown()))
    }

    async fn node_of(&self, session: Id) -> Option<Arc<str>> {
        let name = self.ephemeral.get(&route(boot_of(session))).await.ok().flatten()?;
        let name = str::from_utf8(&name).ok()?;
        (name != &*self.name).then(|| name.into())
    }
}

fn understood<T: DeserializeOwned>(message: &Bytes) -> Option<T> {
    let read = from_json(message);
    read.inspect_err(|error| tracing::warn!(%error, "a frame of another node is not understood")).ok()
}
