//! The write path: facts, the place where they get ids and are committed, and the rows that are made of them.

pub mod consumers;
pub mod core;
pub mod counters;
pub mod events;
pub mod family;
pub mod fold;
mod folder;
mod folding;
pub mod follower;
pub mod handle;
pub mod head;
pub mod horizon;
pub mod idempotency;
pub mod imports;
pub mod lease;
pub mod legacy;
pub mod line;
pub mod living;
pub mod mint;
pub mod moments;
pub mod outcome;
pub mod owner;
pub mod owners;
mod pace;
mod patience;
pub mod product;
mod records;
mod regain;
pub mod roster;
mod several;
mod social;
mod takeover;
#[cfg(test)]
mod tests;
pub mod writers;
