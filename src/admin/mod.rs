//! What operators see and change while the server runs.

pub mod http;
