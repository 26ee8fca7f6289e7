//! Fair shares of what many use, so that none takes all of it: a queue in which each has its turn, a pool that always
//! keeps room for the next, and a rate for each. Pure; whom they tell apart (addresses, people) is their callers' to
//! say.

pub mod pace;
pub mod queue;
pub mod shares;

pub use pace::Paces;
pub use queue::{FairQueue, Pushed};
pub use shares::Shares;
