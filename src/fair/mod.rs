//! What many share so that none takes all of it: a queue in which each has its turn, and a pool that always keeps room for
//! the next. Pure; whom they tell apart (addresses, people) is their callers' to say.

pub mod queue;
pub mod shares;

pub use queue::{FairQueue, Pushed};
pub use shares::Shares;
