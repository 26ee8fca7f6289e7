//! From frames to what the application hears: repeats are dropped, the cursor is kept. Pure.

use std::sync::Arc;

use fanfare_protocol::{Drain, Gap, Hello, Id, Lane, Reply, Reset, ServerEvent, ServerFrame, Stream, Transport};
use parking_lot::Mutex;

use super::ladder::Ended;
use super::seen::Seen;

/// Event that the application hears.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A connection is open.
    Connected {
        /// Transport of the session.
        transport: Transport,
        /// Whether what was missed follows. If not, and a cursor was given, a [`Reset`](Event::Reset) follows.
        resumed: bool,
        /// The session, for operators.
        session_id: Option<Id>,
    },
    /// Posts, deletions, notifications, each once; read markers, presence, what operators publish.
    Frame(ServerEvent),
    /// Items that were not sent: [`Realtime::fill`](super::Realtime::fill) reads them.
    Gap(Gap),
    /// Streams to be forgotten and read anew: [`Realtime::reread`](super::Realtime::reread).
    Reset(Reset),
    /// The connection is gone; the client goes on by itself.
    Disconnected(Ended),
    /// The client has given up, for this reason: nothing follows.
    Stopped(String),
}

/// Meaning of a frame to the driver.
#[derive(Debug)]
pub enum Taken {
    /// The session has begun.
    Hello(Hello),
    /// The answer to a frame of ours.
    Reply(Reply),
    /// The server asks to come back later.
    Drain(Drain),
    /// Event for the application.
    Event(Event),
    /// All of it was seen before, or it only says that the connection lives.
    Nothing,
}

/// Memory across connections: what was seen, and where to resume.
#[derive(Debug, Default)]
pub struct Inbox {
    /// Keys that the application has seen, by frames or over HTTP.
    pub seen: Arc<Mutex<Seen>>,
    /// Cursor to resume from.
    pub cursor: Option<String>,
}

impl Inbox {
    /// Takes a frame in.
    ///
    /// # Errors
    /// When a known type does not carry what it must.
    pub fn take(&mut self, frame: &ServerFrame) -> Result<Taken, serde_json::Error> {
        let event = frame.event()?;
        if frame.id.is_some() {
            self.cursor.clone_from(&frame.id);
        }
        let mut seen = self.seen.lock();
        Ok(match event {
            ServerEvent::Hello(hello) => {
                self.cursor = Some(hello.cursor.clone());
                Taken::Hello(hello)
            }
            ServerEvent::Reply(reply) => Taken::Reply(*reply),
            ServerEvent::Drain(drain) => Taken::Drain(drain),
            ServerEvent::Pong(_) => Taken::Nothing,
            ServerEvent::Gap(gap) => Taken::Event(Event::Gap(gap)),
            ServerEvent::Reset(reset) => {
                for stream in &reset.streams {
                    seen.forget(*stream);
                }
                Taken::Event(Event::Reset(reset))
            }
            ServerEvent::FeedPosts(mut posts) => {
                // Oldest first into the memory, so that the newest are kept longest.
                let mut new: Vec<bool> =
                    posts.items.iter().rev().map(|item| seen.insert(Stream::Posts, &item.key)).collect();
                posts.items.retain(|_| new.pop().unwrap_or(true));
                if posts.items.is_empty() { Taken::Nothing } else { frame_of(ServerEvent::FeedPosts(posts)) }
            }
            ServerEvent::PostDeleted(deleted) => {
                let new = seen.insert(Stream::Posts, &deleted.key);
                if new { frame_of(ServerEvent::PostDeleted(deleted)) } else { Taken::Nothing }
            }
            ServerEvent::AuthorDeleted(deleted) => {
                let new = seen.insert(Stream::Posts, &deleted.key);
                if new { frame_of(ServerEvent::AuthorDeleted(deleted)) } else { Taken::Nothing }
            }
            ServerEvent::Notification(notification) => {
                let new = seen.insert(Stream::Notifications, &notification.key);
                if new { frame_of(ServerEvent::Notification(notification)) } else { Taken::Nothing }
            }
            other => {
                let key = match &other {
                    ServerEvent::Message(message) => Some(&message.key),
                    ServerEvent::MessageChanged(changed) => Some(&changed.key),
                    ServerEvent::MessageRecalled(recalled) => Some(&recalled.key),
                    _ => None,
                };
                // A frame of a conversation tells by its lane which of the two streams it belongs to.
                let stream = if frame.lane == Some(Lane::Urgent) { Stream::Direct } else { Stream::Group };
                let new = key.is_none_or(|key| seen.insert(stream, key));
                if new { frame_of(other) } else { Taken::Nothing }
            }
        })
    }
}

fn frame_of(event: ServerEvent) -> Taken {
    Taken::Event(Event::Frame(event))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn frame(kind: &str, id: &str, data: &Value) -> ServerFrame {
        serde_json::from_value(json!({ "id": id, "type": kind, "at": "2026-01-01T00:00:00.000Z", "data": data }))
            .unwrap()
    }

    fn post(id: u64) -> Value {
        let author = json!({ "id": "1", "handle": "a", "display_name": "A", "avatar_url": null });
        json!({ "key": id.to_string(), "id": id.to_string(), "author": author, "text": "", "mentions": [], "links": [],
            "media": [], "reply_to": null, "repost_of": null, "like_count": 0, "reply_count": 0, "repost_count": 0,
            "created_at": "2026-01-01T00:00:00.000Z" })
    }

    fn keys(taken: &Taken) -> Vec<&str> {
        match taken {
            Taken::Event(Event::Frame(ServerEvent::FeedPosts(posts))) => {
                posts.items.iter().map(|item| item.key.as_str()).collect()
            }
            Taken::Nothing => Vec::new(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn of_an_overlap_only_what_is_new_is_handed_on_and_the_cursor_moves_all_the_same() {
        let mut inbox = Inbox::default();
        let first = inbox.take(&frame("feed.posts", "a", &json!({ "items": [post(3), post(1)] }))).unwrap();
        assert_eq!(keys(&first), ["3", "1"]);
        let second = inbox.take(&frame("feed.posts", "b", &json!({ "items": [post(4), post(3), post(2)] }))).unwrap();
        assert_eq!(keys(&second), ["4", "2"]);
        let third = inbox.take(&frame("feed.posts", "c", &json!({ "items": [post(4)] }))).unwrap();
        assert_eq!((keys(&third), inbox.cursor.as_deref()), (vec![], Some("c")));
    }

    #[test]
    fn a_reset_forgets_its_streams_only() {
        let mut inbox = Inbox::default();
        let departed = json!({ "key": "8", "user_id": "1" });
        assert!(matches!(inbox.take(&frame("author.deleted", "a", &departed)), Ok(Taken::Event(_))));
        assert!(matches!(inbox.take(&frame("author.deleted", "a", &departed)), Ok(Taken::Nothing)));
        let deleted = json!({ "key": "9", "id": "1", "author_id": "1" });
        assert!(matches!(inbox.take(&frame("post.deleted", "a", &deleted)), Ok(Taken::Event(_))));
        assert!(inbox.seen.lock().insert(Stream::Notifications, "5"));
        let reset = json!({ "streams": ["posts"], "reason": "of a newer server" });
        assert!(matches!(inbox.take(&frame("reset", "r", &reset)), Ok(Taken::Event(Event::Reset(_)))));
        assert!(matches!(inbox.take(&frame("post.deleted", "b", &deleted)), Ok(Taken::Event(_))));
        assert!(!inbox.seen.lock().insert(Stream::Notifications, "5"));
    }

    #[test]
    fn the_first_cursor_is_that_of_hello() {
        let mut inbox = Inbox::default();
        let hello =
            json!({ "session_id": "1", "heartbeat_s": 30, "resumed": false, "transport": "sse", "cursor": "h" });
        let hello: ServerFrame = serde_json::from_value(json!({ "type": "hello", "data": hello })).unwrap();
        assert!(matches!(inbox.take(&hello), Ok(Taken::Hello(_))));
        assert_eq!(inbox.cursor.as_deref(), Some("h"));
        assert!(inbox.take(&frame("gap", "x", &json!({}))).is_err());
    }
}
