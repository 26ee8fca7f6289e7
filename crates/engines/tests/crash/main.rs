//! Crashes of the embedded engine: killed processes, torn writes, lost power.

mod files;
mod killed;
mod torn;
mod workload;
