//! What others did that concerns a person. Rows are folded by `projection`; here they are read.

pub mod service;

pub use service::Notifications;
pub mod http;
