//! Every type of realtime frame, in one list: what clients send and who answers it, what the server sends.

use crate::markers::Markers;
use crate::realtime::{self, Delivery, FrameList, FrameTypes};
use crate::{markers, posts};

/// The types of frames; what the server sends for products is known to their deliveries.
#[must_use]
pub fn frames(markers: &Markers, deliveries: &[Delivery]) -> FrameTypes {
    let feed_read = markers.clone();
    let list = FrameList::new()
        // What clients send.
        .call("ping", realtime::ping)
        .call("feed.read", move |call| markers::stream::feed_read(feed_read.clone(), call))
        .call("presence.watch", realtime::watch)
        .calls_to_come("conversation", &["message.send", "read", "delivered", "typing"])
        // What the server sends.
        .server(realtime::TYPES)
        .novel(posts::stream::NOVEL.0, posts::stream::NOVEL.1)
        .server(markers::stream::TYPES)
        .server(&["message", "message.recalled", "receipt", "typing"]);
    deliveries.iter().fold(list, |list, product| list.server(product.types)).build()
}
