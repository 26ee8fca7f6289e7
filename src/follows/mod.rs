//! Who follows, blocks and mutes whom.

pub mod service;

pub use service::Follows;
pub mod http;
