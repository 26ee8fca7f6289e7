//! Posts: published, read, liked and deleted; what their texts hold; how they look to whom.

pub mod http;
pub mod service;
pub mod text;
pub mod view;
pub mod wire;
