//! The row of the last line that an import has replayed, made of records that carry one. Pure.

use bytes::Bytes;
use fanfare_engines::{Batch, RowKey};

use crate::base::error::Result;
use crate::base::limits;
use crate::data::tables;
use crate::log::events::Record;
use crate::log::fold::Fold;
use crate::log::outcome::Outcome;

/// Progress of an import.
pub struct ImportFold;

impl Fold for ImportFold {
    fn rows(&self, record: &Record, _outcome: &Outcome, batch: &mut Batch) -> Result<()> {
        if let Some(line) = record.import_line {
            batch.put_versioned(line_row(), Bytes::copy_from_slice(&line.to_be_bytes()), line);
        }
        Ok(())
    }
}

/// Row of the last line.
#[must_use]
pub fn line_row() -> RowKey {
    RowKey::new(tables::META, tables::ONE, limits::META_IMPORT_LINE)
}
