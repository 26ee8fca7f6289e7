//! Operators: what they see, change and do while the server runs.

pub mod fold;
pub mod http;
pub mod running;
pub mod service;
