//! Operators: what they see, change and do while the server runs.

pub mod audit;
pub mod http;
pub mod service;
