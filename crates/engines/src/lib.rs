//! Ports and the engines behind them.
//!
//! A *port* (`ports/`) is a small trait that promises only what its weakest engine can keep: read its docs first. An
//! *engine* implements ports: `embedded/` (durable, on fjall), `memory/` (for tests and throw-away worlds), `hostile/`
//! (keeps the promises and nothing more: tears, delays, repeats), `objects/` (media as local files), `local/` (bus and
//! ephemeral state of one process). `conformance/` is the one suite that every engine passes;
//! `delegate.rs` lets a test step in front of an engine. No engine type appears
//! above this crate: code there holds [`Engines`].

#![cfg_attr(not(test), warn(unused_crate_dependencies))]
#![warn(missing_docs)]

pub mod admission;
pub mod claim;
pub mod conformance;
pub mod delegate;
pub mod embedded;
pub mod families;
pub mod hostile;
pub mod limits;
pub mod local;
pub mod memory;
pub mod objects;
pub mod ports;
pub mod random;
mod room;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

pub use families::{Families, FamilyPlace, NewFamily};
pub use ports::{
    Appended, BACKLOG_MAX, Batch, Bus, Claimant, EngineError, Ephemeral, Journal, JournalRecord, KeyRange, NewRecord,
    NewTerm, Object, ObjectMeta, Objects, Offset, Order, Page, Partition, Position, Replaced, Row, RowKey, RowWrite,
    Subscription, Table, Tables, Term, Trimmed, Turn, Unique,
};
pub use room::DiskRoom;

/// Engines that the server is built on, one behind each port.
#[derive(Clone)]
pub struct Engines {
    /// Rows: what is true.
    pub tables: Arc<dyn Tables>,
    /// Records: what happened.
    pub journal: Arc<dyn Journal>,
    /// Families of the journal's partitions and of the tables.
    pub families: Families,
    /// Media.
    pub objects: Arc<dyn Objects>,
    /// Signals between nodes.
    pub bus: Arc<dyn Bus>,
    /// State with a time to live.
    pub ephemeral: Arc<dyn Ephemeral>,
    /// Cost of scans, where the engine counts it.
    pub scans: Arc<Scans>,
    /// Room on the disk that the engine writes to.
    pub room: Arc<DiskRoom>,
}

/// Cost of scans since the engine was opened: for operators, and for tests that hold a read to what it answers.
#[derive(Debug, Default)]
pub struct Scans {
    /// Deleted rows that scans stepped over one by one.
    pub dead_rows_passed: AtomicU64,
    /// Rows that scans answered.
    pub rows_answered: AtomicU64,
    /// Scans that stepped over so many that they left their caller's thread.
    pub long: AtomicU64,
}
