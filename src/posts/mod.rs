//! Posts: their text, and (later) how they are published, read and deleted.

pub mod text;
pub mod service;
pub mod view;
