//! Clicks: from the request that was redirected to the numbers of its link.
//!
//! A click is reduced to what is counted, written to the spool before its visitor is answered, moved to the log of its
//! partition a block at a time, and counted there by a fold whose rows are what is asked for.

pub mod agent;
pub mod click;
pub mod counter;
pub mod csv;
pub mod fold;
pub mod geo;
pub mod head;
pub mod http;
pub mod log;
mod number;
pub mod record;
pub mod rollup;
pub mod salts;
pub mod service;
pub mod shipper;
pub mod sink;
pub mod spool;
pub mod stats;
pub mod sweep;
pub mod visitor;
