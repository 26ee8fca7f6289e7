//! What operators see, change and do while the server runs.

pub mod http;
pub mod live;
pub mod service;
