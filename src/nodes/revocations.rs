//! Revocations: what ends tokens and sessions on one node, told to all.
//!
//! Tokens and credentials are rows that no record of the log tells of, and every node remembers some. So whoever ends
//! one says so over the bus, in numbered messages. The bus may lose them: a node that misses a number, or hears
//! nothing of another for long, forgets all that it remembers, and reads rows. What the log tells of (suspended people,
//! deleted accounts) is heard with the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use fanfare_engines::Bus;
use fanfare_protocol::Id;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::base::error::Result;
use crate::base::limits::nodes::{REVOCATIONS_WAITING_MAX, SIGN_OF_LIFE_MS, SILENT_MS};
use crate::base::token::{TokenHash, attempt};
use crate::data::rows::{from_json, to_json};
use crate::log::events::Event;
use crate::log::product::{Committed, Listener};
use crate::users::session_ender::SessionEnder;

const TOPIC: &str = "revocations";

/// End of something that other nodes remember.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Revocation {
    /// A token of a person.
    Token { user: Id, hash: [u8; 32] },
    /// All tokens of a person, but for one.
    All { user: Id, except: Option<[u8; 32]> },
    /// Credentials of a person as they were: a role, a password, the epoch of tokens.
    Credentials { user: Id },
}

/// Memory of tokens, credentials and sessions, which is told what ends.
#[async_trait]
pub trait Forgets: Send + Sync + 'static {
    /// Forgets it, and ends the sessions that stood on it.
    async fn ended(&self, ended: Revocation);

    /// Forgets everything that it remembers of tokens and credentials: some of it may have ended.
    fn forget_all(&self);

    /// Asks all sessions to come back, and show their token again: it may have ended.
    async fn come_back(&self);
}

/// Message of a node, by its number since the start. Without an end it is a sign of life.
#[derive(Debug, Serialize, Deserialize)]
struct Message {
    node: Arc<str>,
    /// Start of the node.
    boot: u64,
    number: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ended: Option<Revocation>,
}

/// Last message of each other node. Pure.
#[derive(Debug, Default)]
struct Heard(BTreeMap<Arc<str>, LastHeard>);

#[derive(Debug)]
struct LastHeard {
    boot: u64,
    number: u64,
    at_ms: u64,
}

/// Messages that may have been lost before one that was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Nothing,
    /// First one that was heard of that node, and not the first that it said: nobody knows when the others were.
    Earlier,
    Something,
}

impl Heard {
    /// Takes in the head of a message.
    fn take(&mut self, node: &Arc<str>, (boot, number): (u64, u64), now_ms: u64) -> Lost {
        let last = self.0.insert(Arc::clone(node), LastHeard { boot, number, at_ms: now_ms });
        match last {
            None if number == 0 => Lost::Nothing,
            None => Lost::Earlier,
            Some(last) if last.boot == boot && last.number + 1 == number => Lost::Nothing,
            // Of its earlier life the last ones may be missing.
            Some(_) => Lost::Something,
        }
    }

    /// Whether nothing was heard for long of one of `others`; `since_ms` is when somebody began to listen.
    fn is_silent(&self, others: &[Arc<str>], since_ms: u64, now_ms: u64) -> bool {
        let last_ms = |node: &Arc<str>| self.0.get(node).map_or(since_ms, |last| last.at_ms);
        others.iter().any(|node| last_ms(node) + SILENT_MS < now_ms)
    }
}

/// Mouth of a node; clones are the same.
#[derive(Clone)]
pub struct Revocations(Arc<Mouth>);

struct Mouth {
    says: mpsc::Sender<Revocation>,
    waiting: Mutex<Option<mpsc::Receiver<Revocation>>>,
    /// Whether there was no room for something: others are to notice.
    has_lost: AtomicBool,
}

impl Default for Revocations {
    fn default() -> Self {
        let (says, waiting) = mpsc::channel(REVOCATIONS_WAITING_MAX);
        Self(Arc::new(Mouth { says, waiting: Mutex::new(Some(waiting)), has_lost: AtomicBool::new(false) }))
    }
}

impl Revocations {
    /// Tells all other nodes. Never waits.
    pub fn say(&self, ended: Revocation) {
        if self.0.says.try_send(ended).is_err() {
            self.0.has_lost.store(true, Ordering::Release);
        }
    }

    /// Publishes what is said on the node `name`, and signs of life. Once a node; without end.
    ///
    /// # Errors
    /// Without randomness.
    pub async fn publish(self, name: Arc<str>, bus: Arc<dyn Bus>) -> Result<()> {
        let Some(mut waiting) = self.0.waiting.lock().take() else { return Ok(()) };
        let (boot, mut number) = (attempt()?, 0);
        loop {
            let pause = Duration::from_millis(SIGN_OF_LIFE_MS);
            let ended = tokio::time::timeout(pause, waiting.recv()).await.unwrap_or_default();
            if self.0.has_lost.swap(false, Ordering::AcqRel) {
                // The number of what nobody will hear.
                number += 1;
            }
            let told = match to_json(&Message { node: Arc::clone(&name), boot, number, ended }) {
                Ok(message) => bus.publish(TOPIC, message).await.map_err(|error| error.to_string()),
                Err(error) => Err(error.to_string()),
            };
            if let Err(error) = told {
                tracing::debug!(error, "other nodes do not hear what ended");
            }
            number += 1;
        }
    }
}

/// Hears what ended on other nodes than `name`, of which `others` should be heard now and then. Without end.
pub async fn hear(name: Arc<str>, others: Vec<Arc<str>>, bus: Arc<dyn Bus>, forgets: Arc<dyn Forgets>) {
    let began = Instant::now();
    let now_ms = || began.elapsed().as_millis() as u64;
    let mut heard = Heard::default();
    let pause = Duration::from_millis(SIGN_OF_LIFE_MS);
    loop {
        let subscription = bus.subscribe(TOPIC).await;
        if let Err(error) = &subscription {
            tracing::debug!(%error, "nothing is heard of what ends on other nodes");
            tokio::time::sleep(pause).await;
        }
        // What was said before is not heard.
        forgets.forget_all();
        let Ok(mut subscription) = subscription else { continue };
        loop {
            let Ok(message) = tokio::time::timeout(pause, subscription.messages.recv()).await else {
                if heard.is_silent(&others, 0, now_ms()) {
                    forgets.forget_all();
                }
                continue;
            };
            let Some(message) = message else { break };
            if let Some(Message { node, boot, number, ended }) = understood(&message).filter(|one| one.node != name) {
                let lost = heard.take(&node, (boot, number), now_ms());
                if lost != Lost::Nothing {
                    forgets.forget_all();
                }
                if lost == Lost::Something {
                    tracing::warn!(node = &*node, "something that ended there may not have been heard");
                    forgets.come_back().await;
                }
                if let Some(ended) = ended {
                    forgets.ended(ended).await;
                }
            }
            if heard.is_silent(&others, 0, now_ms()) {
                forgets.forget_all();
            }
        }
    }
}

fn understood(message: &Bytes) -> Option<Message> {
    let read = from_json(message);
    read.inspect_err(|error| tracing::warn!(%error, "what another node says has ended is not understood")).ok()
}

/// Ender of sessions on all nodes: here first, then elsewhere.
pub struct EnderOfAll {
    /// Ender of the sessions that are here.
    pub here: Arc<dyn SessionEnder>,
    /// Way to the others.
    pub others: Revocations,
}

#[async_trait]
impl SessionEnder for EnderOfAll {
    async fn token_ended(&self, user: Id, token: TokenHash) {
        self.here.token_ended(user, token).await;
        self.others.say(Revocation::Token { user, hash: token.0 });
    }

    async fn all_ended(&self, user: Id, except: Option<TokenHash>) {
        self.here.all_ended(user, except).await;
        self.others.say(Revocation::All { user, except: except.map(|token| token.0) });
    }

    async fn suspended(&self, user: Id) {
        // Elsewhere it is heard with the log, when nobody lets the person in any more.
        self.here.suspended(user).await;
    }
}

/// Listener that ends sessions of whoever other nodes suspend or delete.
pub struct AbsenceListener {
    heard: mpsc::Sender<Absence>,
    has_lost: Arc<AtomicBool>,
}

/// Absences that were heard of.
pub struct AbsentPeople {
    heard: mpsc::Receiver<Absence>,
    /// Whether there was no room for one.
    has_lost: Arc<AtomicBool>,
}

/// Absence of a person that the log told of.
#[derive(Debug, Clone, Copy)]
enum Absence {
    /// Suspended.
    Suspended(Id),
    /// Deleted.
    Deleted(Id),
}

impl AbsenceListener {
    /// A listener, and what it hears: to be [ended](end_absent).
    #[must_use]
    pub fn new() -> (Self, AbsentPeople) {
        let (sender, heard) = mpsc::channel(REVOCATIONS_WAITING_MAX);
        let has_lost = Arc::new(AtomicBool::new(false));
        (Self { heard: sender, has_lost: Arc::clone(&has_lost) }, AbsentPeople { heard, has_lost })
    }
}

impl Listener for AbsenceListener {
    fn committed(&self, committed: &[Committed], _horizon: Id) {
        for one in committed {
            let absence = match &one.record.event {
                Event::Suspended { user, .. } => Absence::Suspended(*user),
                Event::UserDeleted { user } => Absence::Deleted(user.id),
                _ => continue,
            };
            if self.heard.try_send(absence).is_err() {
                self.has_lost.store(true, Ordering::Release);
            }
        }
    }
}

/// Ends sessions of who is absent. Without end.
pub async fn end_absent(mut absent: AbsentPeople, forgets: Arc<dyn Forgets>, here: Arc<dyn SessionEnder>) {
    while let Some(absence) = absent.heard.recv().await {
        match absence {
            Absence::Suspended(user) => here.suspended(user).await,
            Absence::Deleted(user) => here.all_ended(user, None).await,
        }
        if absent.has_lost.swap(false, Ordering::AcqRel) {
            forgets.come_back().await;
        }
    }
}

#[cfg(test)]
#[path = "revocations_tests.rs"]
mod tests;
