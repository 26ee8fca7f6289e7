//! Notifications: what others did that concerns a person. Rows are folded with the owner's records, and read for
//! the list, the badge, and sessions.

pub mod fold;
pub mod group;
pub mod list;
pub mod outcome;
pub mod packed;
pub mod service;
pub mod stream;
pub mod view;

pub use service::Notifications;
pub mod http;
