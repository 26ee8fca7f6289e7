//! Uploads: what bytes are, what is stored of them, and how they are served.
//!
//! `http` receives an upload; `service` has `process` look at it, which `strip`s metadata of pictures and overwrites
//! that of files (`isobmff`, `tiff`, by `blank`), and stores the result; `serving` decides how it leaves again.

mod blank;
pub mod http;
mod isobmff;
pub mod process;
mod room;
pub mod service;
pub mod serving;
pub mod strip;
mod tiff;

pub use process::MediaLimits;
pub use service::{MediaRow, MediaSettings, MediaTables, Upload, Uploads, Variant};

#[cfg(test)]
mod tests;
