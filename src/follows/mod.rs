//! Follows, blocks and mutes between people.

pub mod service;

pub use service::{Follows, relationship};
pub mod http;
