//! Follows, blocks and mutes between people.

pub mod fold;
pub mod listener;
pub mod service;
pub mod stream;

pub use service::Follows;
pub mod http;
