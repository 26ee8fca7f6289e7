//! Chat: conversations, messages, people in them, and what stays whatever happens.

mod bad_input;
mod clients;
mod crowd;
mod edges;
mod emptied;
mod gone;
mod histories;
mod large;
mod list;
mod live;
pub mod matrix;
mod media;
mod messages;
mod missed;
mod notices;
mod people;
mod rates;
mod reactions;
mod strangers;
mod told;
mod upgrade;
mod wrong;

use fanfare_client::{MessagePlace, text_message};
use fanfare_protocol::{Id, Message, ServerEvent};

use crate::realtime::device::Device;
use crate::world::Person;

/// Says something in a conversation; each text is said once.
pub async fn say(person: &Person, conversation: Id, text: &str) -> Message {
    person.send_message(conversation, &text_message(text, text)).await.unwrap().value
}

/// Every message that a person sees of a conversation, oldest first, read by pages of `limit`.
pub async fn all_messages(person: &Person, conversation: Id, limit: u16) -> Vec<Message> {
    let (mut after, mut found) = (0, Vec::new());
    loop {
        let page = person.messages(conversation, MessagePlace::After(after), limit).await.unwrap();
        let Some(last) = page.items.last() else { return found };
        after = last.seq;
        found.extend(page.items);
    }
}

/// Event of the next frame of chat: that somebody was added is told by another stream, at a time of its own.
pub async fn chat_event(device: &mut Device) -> ServerEvent {
    loop {
        match device.event().await {
            ServerEvent::Notification(told) if told.notification.reason.is_some() => {}
            event => return event,
        }
    }
}

/// Fails if a device has heard of something by now, but that its person was added somewhere: the answer to a question
/// must be the next that comes.
pub async fn heard_nothing(device: &mut Device) {
    device.send(r#"{"ref": 9, "type": "ping"}"#).await;
    loop {
        let frame = device.frame().await;
        if frame.kind == "notification" && frame.data.as_ref().is_some_and(|data| data["reason"] == "added") {
            continue;
        }
        assert!(["reply", "pong"].contains(&frame.kind.as_str()), "{frame:?}");
        if frame.kind == "reply" {
            return;
        }
    }
}

/// Texts of messages.
pub fn texts(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.text.as_str()).collect()
}
