//! Lines of a conversation as a screen shows them: messages that arrived, without a hole, and behind them own ones on
//! their way. Pure.

use std::collections::HashSet;

use fanfare_protocol::{Id, Message};

use super::conversation::State;
use super::derive::{progress, quoted};
use super::outbox::Outgoing;

/// Way of an own message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Not tried yet.
    Queued,
    /// Tried, and no answer is known.
    Sending,
    /// Given up; its [`Outgoing`] says why.
    Failed,
    /// The server has it.
    Sent,
    /// A device of every other member has it.
    Delivered,
    /// Every other member has read it.
    Read,
}

/// Line of a conversation.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// A message that arrived; with its way if it is the person's own.
    Arrived(Box<Message>, Option<Way>),
    /// An own message on its way, or one that failed.
    Outgoing(Outgoing, Way),
}

impl Line {
    /// The message, if it arrived.
    #[must_use]
    pub const fn message(&self) -> Option<&Message> {
        match self {
            Self::Arrived(message, _) => Some(message),
            Self::Outgoing(..) => None,
        }
    }

    /// Way of an own message.
    #[must_use]
    pub const fn way(&self) -> Option<Way> {
        match self {
            Self::Arrived(_, way) => *way,
            Self::Outgoing(_, way) => Some(*way),
        }
    }
}

/// Lines of a conversation. `ahead` are own messages that were answered while something before them is missing: they
/// stay at the end.
pub(super) fn of<'a>(
    me: Id,
    state: Option<&State>,
    ahead: &[Message],
    waiting: impl Iterator<Item = &'a Outgoing>,
) -> Vec<Line> {
    let arrived = |message: Message| {
        let is_own = message.sender.id == me && !message.client_id.is_empty();
        let receipts = state.into_iter().flat_map(|state| state.receipts.values());
        let way = is_own.then(|| progress(&message, receipts));
        Line::Arrived(Box::new(message), way)
    };
    let mut lines: Vec<Line> =
        state.into_iter().flat_map(|state| state.window.messages()).map(|message| arrived(message.clone())).collect();
    let to = state.map_or(0, |state| state.window.to());
    let agreeing = |message: &Message| {
        let beside = message.reply_to.as_ref().and_then(|quote| ahead.iter().find(|one| one.seq == quote.seq));
        let reply_to = beside.map(quoted).or_else(|| message.reply_to.clone());
        let message = Message { reply_to, ..message.clone() };
        state.map_or_else(|| message.clone(), |state| state.window.agreeing(message.clone()))
    };
    lines.extend(ahead.iter().filter(|message| message.seq > to).map(|message| arrived(agreeing(message))));
    let shown: HashSet<&str> = ahead.iter().map(|message| message.client_id.as_str()).collect();
    for outgoing in waiting.filter(|outgoing| !shown.contains(outgoing.message.client_id.as_str())) {
        let way = match (&outgoing.failed, outgoing.tried_at_ms) {
            (Some(_), _) => Way::Failed,
            (None, Some(_)) => Way::Sending,
            (None, None) => Way::Queued,
        };
        lines.push(Line::Outgoing(outgoing.clone(), way));
    }
    lines
}
