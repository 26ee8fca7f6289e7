//! Fanfare: a self-hosted social backend. Skeleton; the map is written as rooms are filled.

pub mod config;
pub mod error;
pub mod events;
pub mod feed;
pub mod gate;
pub mod http;
pub mod id;
pub mod limits;
pub mod media;
pub mod posts;
pub mod users;
