//! Uploads: what bytes are, what is stored of them, and how they are served.

pub mod process;
mod strip;
