//! Nodes: several servers over the same engines, each of which decides for its own partitions.
//!
//! What makes a node one of many is its *membership*: a roster that says who should own what, and a way to the others.
//! Requests find their owner (`peers.rs`, with `http::Forwarding`), owners tell how far they are settled (`signs.rs`),
//! what ends a token on one node ends it on all (`revocations.rs`), and who is connected to one is online on all
//! (`presence.rs`), and frames that no record tells of, or that another node answers, go between them (`frames.rs`). A
//! node that is alone has no membership, and none of this runs.

pub mod frames;
pub mod peers;
pub mod presence;
pub mod revocations;
pub mod roster;
mod signs;
pub mod whole;

use std::sync::Arc;

pub use self::signs::exchange;
use crate::http::Forwarding;
use crate::log::roster::Roster;

/// Part of a node in a whole of several.
#[derive(Clone)]
pub struct NodeMembership {
    /// Name of this node.
    pub name: Arc<str>,
    /// Names of the other nodes.
    pub others: Vec<Arc<str>>,
    /// Assignment of partitions to nodes.
    pub roster: Arc<dyn Roster>,
    /// Way to the others.
    pub peers: Arc<dyn Forwarding>,
}
