//! Table that the public timeline is read from: its own once everything that belongs there is listed in it.

use std::sync::atomic::{AtomicBool, Ordering};

use fanfare_engines::Table;

use crate::data::tables;

/// Whether every post that belongs there is in the table.
#[derive(Debug, Default)]
pub struct PublicTable(AtomicBool);

impl PublicTable {
    /// Says whether all are listed.
    pub fn set(&self, all: bool) {
        self.0.store(all, Ordering::Release);
    }

    /// The table that pages are read from.
    #[must_use]
    pub fn table(&self) -> Table {
        if self.0.load(Ordering::Acquire) { tables::PUBLIC } else { tables::TIMELINE }
    }
}
