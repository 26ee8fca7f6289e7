//! The feed against a naive model: whatever happened before, after quiet every feed equals the plain pull query.
//!
//! `model` is the tables and the query, `harness` drives one feed by hand, `stories` are random histories (steps by
//! hand, found by proptest), `threads` the same with real concurrency, `cases` are kept and hand-written ones.

#![allow(clippy::expect_used)]

mod bench;
mod cases;
mod harness;
mod model;
mod stories;
mod threads;
