//! Realtime delivery: one session under four transports. It carries frames and knows no product.
//!
//! A product says what is for whom (`deliver`), reads what somebody missed (`source`), and enters its types of frames
//! in one list (`client_frames`). A request for a session is looked at in `http`; then its socket is taken from the
//! HTTP server and given to a `shard`, a thread with its own epoll, which keeps the `session` with its `lanes`, `bulk`
//! references and deadlines (`wheel`). The `dispatch`er hears of every commit, knows who is here and whom they follow,
//! and tells the shards whom an item concerns; a `frame` is made once for everybody who gets the same. A client comes
//! back with its `cursor`. `presence` knows who is online. `clients` answers what clients send, also where another node
//! decides about it (`elsewhere`).
//!
//! Pure: `announced`, `bulk`, `cursor`, `deliver`, `frame`, `news_queue`, `lanes`, `loss`, `presence`, `session`,
//! `wheel`, `wire`, `dispatch::outbox`, `dispatch::readers`, `dispatch::watchers`.

mod announced;
mod attach;
mod bulk;
mod client_frames;
mod clients;
mod codes;
mod cursor;
mod deliver;
mod dispatch;
mod elsewhere;
mod ended_tokens;
mod frame;
pub mod http;
mod lanes;
mod loss;
mod meter;
mod news_queue;
mod poll;
mod presence;
mod service;
mod session;
mod settings;
mod shard;
mod signals;
mod source;
mod start;
#[cfg(test)]
mod tests;
mod tickets;
mod tracks;
mod under_way;
mod wheel;
mod wire;

pub use client_frames::{ClientCall, FrameList, FrameTurn, FrameTypes};
pub use clients::Orders;
pub use cursor::Watermarks;
pub use deliver::{
    Audience, Covers, Deliver, Delivery, Item, ItemRef, Judge, Output, PersonalItem, Producer, SharedItem,
};
pub use elsewhere::{FrameElsewhere, OtherNodes, PassingFrame, boot_of};
pub use ended_tokens::SessionCloser;
pub use frame::{Durable, Frame};
pub use service::{Realtime, TYPES, ping, watch};
pub use session::SessionId;
pub use settings::RealtimeSettings;
pub use signals::{BulkJob, ItemMaker};
pub use source::{BulkJobs, BulkSource, CurrentValues, FolloweeSource, Missed, Source};
pub use start::{Publisher, RealtimeSetup, RealtimeThreads, Streams};
pub use tracks::Track;
