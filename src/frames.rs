//! Every type of realtime frame, in one list: what clients send and who answers it, what the server sends.

use crate::chat::service::Chat;
use crate::markers::Markers;
use crate::realtime::{self, Delivery, FrameList, FrameTypes};
use crate::{chat, markers, posts};

/// The types of frames; what the server sends for products is known to their deliveries.
#[must_use]
pub fn frames(markers: &Markers, chat: &Chat, deliveries: &[Delivery]) -> FrameTypes {
    let feed_read = markers.clone();
    let [sends, reads, delivers, types, bars] = [(); 5].map(|()| chat.clone());
    let list = FrameList::new()
        // What clients send.
        .call("ping", realtime::ping)
        .call("feed.read", move |call| markers::stream::feed_read(feed_read.clone(), call))
        .call("presence.watch", realtime::watch)
        .call("message.send", move |call| chat::stream::message_send(sends.clone(), call))
        .call("read", move |call| chat::stream::read(reads.clone(), call))
        .call("delivered", move |call| chat::stream::delivered(delivers.clone(), call))
        .call("typing", move |call| chat::stream::typing(types.clone(), call))
        // What nodes ask each other.
        .node(chat::stream::BARRED, move |call| chat::stream::barred(bars.clone(), call))
        // What the server sends.
        .server(realtime::TYPES)
        .novel(posts::stream::NOVEL.0, posts::stream::NOVEL.1)
        .server(markers::stream::TYPES)
        .server(chat::stream::TYPES);
    deliveries.iter().fold(list, |list, product| list.server(product.types)).build()
}
