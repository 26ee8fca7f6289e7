//! The write path: facts, the place where they get ids and are committed, and the rows that are made of them.

pub mod core;
pub mod events;
pub mod idempotency;
pub mod living;
pub mod projection;
pub mod sequencer;
pub mod writers;
