//! The contracts. Code above leans on these words and on nothing that one engine happens to do better.

mod bus;
mod ephemeral;
mod error;
mod journal;
mod objects;
mod tables;

pub use bus::{BACKLOG_MAX, Bus, Subscription};
pub use ephemeral::Ephemeral;
pub use error::EngineError;
pub use journal::{
    Appended, Claimant, Journal, JournalRecord, NewRecord, NewTerm, Offset, Page, Partition, Position, Term, Trimmed,
    Turn,
};
pub use objects::{Object, ObjectMeta, Objects};
pub use tables::{Batch, KeyRange, Order, Replaced, Row, RowKey, RowWrite, Table, Tables, Unique};
