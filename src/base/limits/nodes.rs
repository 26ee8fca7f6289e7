//! Nodes that tell each other what they know.

/// Milliseconds after which an owner says again how far it is, though nothing happened.
pub const SIGNS_PAUSE_MS: u64 = 100;
/// Partitions of which one message tells; of more there are several.
pub const SIGNS_IN_MESSAGE: usize = 256;
/// Revocations that wait to be told; where there is no room for one, other nodes notice that something is missing, and
/// forget all that they remember.
pub const REVOCATIONS_WAITING_MAX: usize = 1_024;
/// Milliseconds between two signs of life.
pub const SIGN_OF_LIFE_MS: u64 = 200;
/// Milliseconds without a sign of life of another node after which nothing is remembered of tokens and credentials.
pub const SILENT_MS: u64 = 2_000;
/// Milliseconds between two words of a node of who is connected to it.
pub const HERE_PAUSE_MS: u64 = 1_000;
/// Words of which one tells of everybody: three of these come within the time after which people count as offline.
pub const HERE_EVERY: u64 = 30;
/// People of whom one message tells; of more there are several.
pub const PEOPLE_IN_MESSAGE: usize = 2_000;
/// Heartbeats without a session that wait to be told; where there is no room the person's next one is.
pub const HEARTBEATS_WAITING_MAX: usize = 4_096;
/// Ids that are minted at most for one that is of a partition of this node, where others own some: with an even share
/// of a third it is missed once in 10^11.
pub const PERSON_IDS_MAX: usize = 64;
/// Milliseconds that must be left of a request for it to be sent on to another node.
pub const FORWARD_MS_MIN: u64 = 20;
/// Frames that wait to be told to the sessions of other nodes; beyond it the newest are lost, as current values may be.
pub const PASSING_WAITING_MAX: usize = 4_096;
/// Clients' frames that other nodes are asked to answer at once.
pub const FRAMES_ASKED_MAX: usize = 8_192;
/// Milliseconds after which the outcome of a frame that another node was asked to answer counts as unknown.
pub const FRAME_ANSWER_MS: u64 = 10_000;
/// Milliseconds between two words of which sessions are on a node.
pub const ROUTE_EVERY_MS: u64 = 20_000;
/// Milliseconds for which such a word holds.
pub const ROUTE_MS: u64 = 90_000;
