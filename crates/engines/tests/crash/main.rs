//! Crashes of the embedded engine: killed processes, torn writes, lost power.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod files;
mod killed;
mod power;
mod torn;
mod workload;
