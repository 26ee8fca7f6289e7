//! Posts: their text, and (later) how they are published, read and deleted.

pub mod http;
pub mod service;
pub mod text;
pub mod view;
