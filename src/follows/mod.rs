//! Who follows, blocks and mutes whom.

pub mod service;

pub use service::{Follows, relationship};
pub mod http;
