//! Posts: published, read, liked and deleted; what their texts hold; how they look to whom.

pub mod entry;
pub mod fold;
pub mod http;
pub mod listener;
pub mod old_reposts;
pub mod public;
pub mod service;
pub mod settle;
pub mod stream;
pub mod text;
pub mod view;
pub mod visibility;
pub mod wire;
