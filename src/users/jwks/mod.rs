//! Keys that the operator's identity provider publishes: fetched, refreshed, and kept for starts without it.
//!
//! `fetch` makes one bounded request. `published` decides when, is asked by `jwt_keys.rs` when a token names an unknown
//! key, and lives through failures. `kept` is the last good set in the data folder.

pub mod fetch;
pub mod kept;
pub mod published;
