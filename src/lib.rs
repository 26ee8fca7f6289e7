//! Fanfare: a self-hosted social backend. Skeleton; the map is written as rooms are filled.

pub mod app;
pub mod clock;
pub mod coherent;
pub mod commands;
pub mod config;
pub mod core;
pub mod cursor;
pub mod error;
pub mod events;
pub mod feed;
pub mod follows;
pub mod gate;
pub mod http;
pub mod id;
pub mod limits;
pub mod locks;
pub mod logging;
pub mod media;
pub mod notifications;
pub mod posts;
pub mod projection;
pub mod rows;
pub mod sequencer;
pub mod store;
pub mod tables;
pub mod users;
