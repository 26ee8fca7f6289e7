//! Live sessions: announced, live, over; in one order that changes with their state, on pages that agree with each
//! other.
//!
//! Nothing is stored of what a reader saw. A session remembers the record of each of its transitions (`state`), so the
//! order as of any id can be computed at any later moment (`order`), and a cursor is that id and a place. Sessions that
//! are open, or were so lately, are in memory and pulled (`queues`, `view`); replays are pushed by the engine of feeds
//! (`replays`).

pub mod fold;
pub mod http;
pub mod lately;
pub mod order;
pub mod queues;
pub mod replays;
pub mod service;
pub mod state;
pub mod stream;
pub mod view;
pub mod wire;

pub use service::{DueSettings, Live};
pub use view::{LiveListener, LiveView};
