//! Follows, blocks and mutes between people.

mod arrival;
pub mod fold;
pub mod listener;
pub mod service;
pub mod stream;

pub use service::Follows;
pub mod http;
