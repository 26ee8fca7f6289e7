//! Disks that fail under the embedded engine while it runs: it says what it does not know, opens its store again by
//! itself, and has everything that it acknowledged.

#![allow(clippy::unwrap_used, reason = "what cannot be set up is a failed test")]

mod disks;
mod life;
mod limits;
#[path = "../crash/workload.rs"]
#[allow(dead_code, reason = "shared with the crash tests")]
mod workload;
