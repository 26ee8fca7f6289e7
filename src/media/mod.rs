//! Uploads: what bytes are, what is stored of them, and how they are served.
//!
//! `http` receives an upload; `service` has `process` look at it, which `strip`s metadata of pictures and overwrites
//! that of files (`isobmff`, `tiff`, by `blank`), and stores the result; `serving` decides how it leaves again.
//! `private` are those for messages: who may attach one, and when it goes; `addresses` signs where they are.

pub mod addresses;
mod blank;
mod deletion;
pub mod http;
mod isobmff;
pub mod private;
pub mod process;
mod room;
pub mod service;
pub mod serving;
pub mod strip;
mod tiff;

pub use addresses::Addresses;
pub use private::ForMessages;
pub use process::MediaLimits;
pub use service::{MediaRow, MediaSettings, MediaTables, Upload, Uploads, Variant};

#[cfg(test)]
mod private_tests;
#[cfg(test)]
mod tests;
