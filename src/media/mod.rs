//! Uploads: what bytes are, what is stored of them, and how they are served.
//!
//! `http` receives an upload; `service` has `process` look at it, which `strip`s metadata, and stores the result;
//! `serving` decides how it leaves again.

pub mod http;
pub mod process;
pub mod service;
pub mod serving;
mod strip;

pub use process::MediaLimits;
pub use service::{Media, MediaRow, MediaSettings, MediaTables, Upload, Variant};
