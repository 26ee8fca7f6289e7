//! Frames of clients: messages, marks, and that somebody writes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fanfare_protocol::{Id, SendMessage, Typing, Watermark};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::base::error::{Error, Result};
use crate::base::limits::chat::TYPISTS_MAX;
use crate::chat::service::Chat;
use crate::log::core::HearsBlocks as _;
use crate::realtime::ClientCall;

/// Least time between two words that the same person writes in the same conversation.
const TYPING_PAUSE: Duration = Duration::from_secs(3);

fn json(value: &impl serde::Serialize) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| Error::Internal(format!("an answer does not encode: {error}")))
}

/// Answers `message.send`: the message, as the call over HTTP does. The session's next frame begins once this one has
/// its place in the queue.
///
/// # Errors
/// As the call over HTTP.
pub async fn message_send(chat: Chat, mut call: ClientCall) -> Result<Value> {
    let (conversation, new) = call.data::<SendMessage>()?.into_parts();
    let sending = chat.hand_in(call.person, conversation, new, call.session()).await?;
    // In the order of frames from here on: the owner takes them in that order.
    call.pass_turn();
    json(&chat.sent(sending).await?.value)
}

fn of_conversation(mark: Watermark) -> Result<(Id, u64)> {
    let conversation = mark.conversation_id.ok_or_else(|| Error::field("data.conversation_id", "is missing"))?;
    Ok((conversation, mark.seq))
}

/// Answers `read`.
///
/// # Errors
/// As the call over HTTP.
pub async fn read(chat: Chat, mut call: ClientCall) -> Result<Value> {
    let (conversation, seq) = of_conversation(call.data()?)?;
    // Marks only rise.
    call.pass_turn();
    json(&chat.read(call.person, conversation, seq).await?)
}

/// Answers `delivered`.
///
/// # Errors
/// As the call over HTTP.
pub async fn delivered(chat: Chat, mut call: ClientCall) -> Result<Value> {
    let (conversation, seq) = of_conversation(call.data()?)?;
    call.pass_turn();
    json(&chat.delivered(call.person, conversation, seq).await?)
}

/// Type by which a node tells another of a block.
pub const BARRED: &str = "node.barred";

/// Block of a person's, or its end, on its way to the node that decides about the two people's conversation.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct BarredElsewhere {
    /// Person who is blocked.
    pub other: Id,
    /// Whether it holds.
    pub on: bool,
    /// The social record that said it.
    pub source: Id,
}

/// Answers [`BARRED`]: the conversation of the two knows of it.
///
/// # Errors
/// When another node decides about it by now, or the log takes nothing.
pub async fn barred(chat: Chat, mut call: ClientCall) -> Result<Value> {
    let BarredElsewhere { other, on, source } = call.data()?;
    chat.blocked(call.person, other, on, source).await?;
    Ok(Value::Object(Map::new()))
}

/// Answers `typing`: tells the others, at most every three seconds.
///
/// # Errors
/// 404 for whoever is not in the conversation.
pub async fn typing(chat: Chat, mut call: ClientCall) -> Result<Value> {
    let typing: Typing = call.data()?;
    call.pass_turn();
    chat.typing(call.person, typing.conversation_id).await?;
    Ok(Value::Object(Map::new()))
}

/// People who have written lately, so that it is not told too often; clones share it.
#[derive(Clone, Default)]
pub struct Typists(Arc<Mutex<HashMap<(Id, Id), Instant>>>);

impl Typists {
    /// Whether it is to be told that `person` writes. Beyond the bound it is not: it is a current value.
    #[must_use]
    pub fn tells(&self, conversation: Id, person: Id, now: Instant) -> bool {
        let mut last = self.0.lock();
        if last.len() >= TYPISTS_MAX {
            last.retain(|_, told| now.duration_since(*told) < TYPING_PAUSE);
        }
        let is_full = last.len() >= TYPISTS_MAX;
        match last.get_mut(&(conversation, person)) {
            Some(told) if now.duration_since(*told) < TYPING_PAUSE => false,
            Some(told) => {
                *told = now;
                true
            }
            None if is_full => false,
            None => {
                last.insert((conversation, person), now);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_writes_on_is_told_every_three_seconds() {
        let (typists, now) = (Typists::default(), Instant::now());
        assert!(typists.tells(Id(1), Id(7), now));
        assert!(!typists.tells(Id(1), Id(7), now + Duration::from_secs(2)));
        assert!(typists.tells(Id(2), Id(7), now));
        assert!(typists.tells(Id(1), Id(7), now + TYPING_PAUSE));
    }
}
