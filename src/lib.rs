//! Fanfare: a self-hosted social backend. Skeleton; the map is written as rooms are filled.

pub mod error;
pub mod events;
pub mod feed;
pub mod id;
