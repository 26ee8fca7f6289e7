//! Realtime delivery: one session under four transports.
//!
//! A request for a session is looked at in `http`; then its socket is taken from the HTTP server and given to a `shard`,
//! a thread with its own epoll, which keeps the `session` with its `lanes`, `bulk` posts and deadlines (`wheel`). The
//! `dispatch`er hears of every commit, knows who is here and whom they follow, and tells the shards whom a post or a
//! notification concerns; `render` makes `frame`s of them, once for everybody. What a client missed is read from rows
//! (`replay`), from where its `cursor` says. `presence` knows who is online. `clients` answers what clients send.
//!
//! Pure: `bulk`, `cursor`, `frame`, `lanes`, `presence`, `session`, `wheel`, `wire`, `dispatch::readers`.

mod attach;
mod bulk;
mod clients;
mod codes;
mod cursor;
mod dispatch;
mod ends;
mod frame;
pub mod http;
mod lanes;
mod meter;
mod presence;
mod render;
mod replay;
mod service;
mod session;
mod settings;
mod shard;
mod signals;
mod start;
mod told;
mod wheel;
mod wire;

pub use ends::Ender;
pub use service::{Realtime, check as check_event};
pub use settings::RealtimeSettings;
pub use start::{Foundation, RealtimeThreads, Tap};
