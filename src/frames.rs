//! Every type of realtime frame, in one list: what clients send and who answers it, what the server sends.

use crate::markers::Markers;
use crate::realtime::{self, FrameList, FrameTypes};
use crate::{markers, notifications, posts};

/// The types of frames.
#[must_use]
pub fn frames(markers: &Markers) -> FrameTypes {
    let feed_read = markers.clone();
    FrameList::new()
        // What clients send.
        .call("ping", realtime::ping)
        .call("feed.read", move |call| markers::stream::feed_read(feed_read.clone(), call))
        .call("presence.watch", realtime::watch)
        .calls_to_come(&["message.send", "read", "delivered", "typing"])
        // What the server sends.
        .server(realtime::TYPES)
        .server(posts::stream::TYPES)
        .server(notifications::stream::TYPES)
        .server(markers::stream::TYPES)
        .server(&["message", "message.recalled", "receipt", "typing", "live.changed"])
        .build()
}
