//! Messages on their way: one send in flight a conversation, in the order of writing, with the same `client_id` for
//! every try until an answer is known. Pure; in memory: what waits ends with the program.

use std::collections::BTreeMap;

use fanfare_protocol::{Id, Message, NewMessage, Problem};

use super::pause::Pause;

/// Messages that may wait at once; further ones are refused.
pub const WAITING_MAX: usize = 1_000;
/// Milliseconds after the first try for which a repeat is safe: the server knows sends for 7 days.
const REPEAT_MS: u64 = 6 * 24 * 3_600_000;

/// A message that is not known to have arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Conversation that it goes to.
    pub conversation: Id,
    /// The message, with the `client_id` of every try.
    pub message: NewMessage,
    /// Moment of the first try.
    pub(super) tried_at_ms: Option<u64>,
    /// End of the waiting: the server refused it, or it is too old to be tried again.
    pub failed: Option<Failure>,
}

/// Reason for which a message is not sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server refused it.
    Refused(Box<Problem>),
    /// No answer came for six days, and the server would not know a repeat: it may have arrived.
    Unknown,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, Outgoing>,
    in_flight: bool,
    pause: Pause,
}

#[derive(Debug, Default)]
pub(super) struct Outbox {
    queues: BTreeMap<Id, Queue>,
    written: u64,
    len: usize,
}

impl Outbox {
    pub const fn is_full(&self) -> bool {
        self.len >= WAITING_MAX
    }

    /// A new message, at the end of its conversation's.
    pub fn put(&mut self, conversation: Id, message: NewMessage) {
        self.written += 1;
        self.len += 1;
        let outgoing = Outgoing { conversation, message, tried_at_ms: None, failed: None };
        self.queues.entry(conversation).or_default().waiting.insert(self.written, outgoing);
    }

    /// Messages of a conversation in the order of writing.
    pub fn of(&self, conversation: Id) -> impl Iterator<Item = &Outgoing> {
        self.queues.get(&conversation).into_iter().flat_map(|queue| queue.waiting.values())
    }

    /// The next message to be sent, one a conversation; the answer goes to [`answered`](Self::answered).
    pub fn next(&mut self, now_ms: u64) -> Option<(Id, NewMessage)> {
        for (conversation, queue) in &mut self.queues {
            if queue.in_flight || queue.pause.is_on(now_ms) {
                continue;
            }
            for outgoing in queue.waiting.values_mut().filter(|outgoing| outgoing.failed.is_none()) {
                let tried_at_ms = *outgoing.tried_at_ms.get_or_insert(now_ms);
                if now_ms.saturating_sub(tried_at_ms) > REPEAT_MS {
                    outgoing.failed = Some(Failure::Unknown);
                    continue;
                }
                queue.in_flight = true;
                return Some((*conversation, outgoing.message.clone()));
            }
        }
        None
    }

    /// Moment at which a pause ends, if one is on.
    pub fn wakes_at_ms(&self) -> Option<u64> {
        let waiting = self.queues.values().filter(|queue| queue.waiting.values().any(|one| one.failed.is_none()));
        waiting.filter_map(|queue| queue.pause.until_ms()).min()
    }

    /// A send was answered for good or for now. A message that was seen meanwhile has left already.
    pub fn answered(&mut self, conversation: Id, client_id: &str, answer: Sent, now_ms: u64, dice: u64) {
        let Some(queue) = self.queues.get_mut(&conversation) else { return };
        queue.in_flight = false;
        match answer {
            Sent::Done => {
                queue.pause.reset();
                self.leave(conversation, client_id);
            }
            Sent::Refused(problem) => {
                queue.pause.reset();
                let of = queue.waiting.values_mut().find(|outgoing| outgoing.message.client_id == client_id);
                if let Some(outgoing) = of {
                    outgoing.failed = Some(Failure::Refused(problem));
                }
            }
            Sent::Unknown => queue.pause.begin(now_ms, dice),
        }
    }

    /// The message was seen: whatever becomes of the answer, it has arrived. Whether it was waited for.
    pub fn seen(&mut self, message: &Message) -> bool {
        self.leave(message.conversation_id, &message.client_id).is_some()
    }

    /// Takes out a message that failed or was not tried yet.
    pub fn discard(&mut self, conversation: Id, client_id: &str) -> Option<Outgoing> {
        let is_it = |one: &&Outgoing| one.message.client_id == client_id;
        let outgoing = self.of(conversation).find(is_it)?;
        let is_free = outgoing.failed.is_some() || outgoing.tried_at_ms.is_none();
        if is_free { self.leave(conversation, client_id) } else { None }
    }

    /// The network or the server is back: nothing waits any longer.
    pub fn kick(&mut self) {
        for queue in self.queues.values_mut() {
            queue.pause.reset();
        }
    }

    fn leave(&mut self, conversation: Id, client_id: &str) -> Option<Outgoing> {
        let queue = self.queues.get_mut(&conversation)?;
        let at = queue.waiting.iter().find(|(_, one)| one.message.client_id == client_id).map(|(at, _)| *at)?;
        let left = queue.waiting.remove(&at);
        self.len -= 1;
        if queue.waiting.is_empty() && !queue.in_flight {
            self.queues.remove(&conversation);
        }
        left
    }
}

/// Answer to a send.
#[derive(Debug)]
pub(super) enum Sent {
    /// The message arrived.
    Done,
    /// The server refused for good: a repeat changes nothing.
    Refused(Box<Problem>),
    /// Nobody knows, or it passes by itself.
    Unknown,
}
