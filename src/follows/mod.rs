//! Follows, blocks and mutes between people.

pub mod listener;
pub mod service;

pub use service::Follows;
pub mod http;
