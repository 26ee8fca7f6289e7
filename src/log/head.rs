//! Head of a partition: the place in its log below which every row is written, as a row in META.
//!
//! It is written in the commit of later records, or alone once rows are durable, and never together with the rows that
//! it tells of: a write may tear. It holds JSON, which later versions add to.

use bytes::Bytes;
use fanfare_engines::{Batch, Offset, Partition, Position, RowKey, Table, Tables, Term};
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::limits::META_HEAD;
use crate::data::rows::{from_json, to_json};
use crate::data::tables;
use crate::log::taken::Consumed;

/// Format of the records above a head: they hold their outcomes.
pub const FORMAT: u32 = 2;

/// Position in a log below which every row is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    position: Position,
    taken: Consumed,
}

/// A head as it is stored.
#[derive(Serialize, Deserialize)]
struct Stored {
    /// Format of what stands above it.
    format: u32,
    offset: u64,
    /// Offset of the claim that holds there; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    /// Highest id of a record below it.
    last: Id,
    /// Number of the term's next record.
    #[serde(default)]
    number: u64,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    is_import: bool,
    /// Records of other partitions that were taken below it.
    #[serde(default, skip_serializing_if = "Consumed::is_empty")]
    consumed: Consumed,
}

impl Head {
    /// Everything below `position` has its rows.
    #[must_use]
    pub fn new(position: Position) -> Self {
        Self { position, taken: Consumed::default() }
    }

    /// The head, with what was `taken` of other partitions below it.
    #[must_use]
    pub fn having(self, taken: Consumed) -> Self {
        Self { taken, ..self }
    }

    /// Position of the first record whose rows may be missing.
    #[must_use]
    pub const fn position(&self) -> Position {
        self.position
    }

    /// Records of other partitions that were taken below it.
    #[must_use]
    pub const fn taken(&self) -> &Consumed {
        &self.taken
    }

    /// The head of `partition` as it is stored; that of an empty log when none is.
    ///
    /// # Errors
    /// When the engine fails, or a newer version wrote it.
    pub async fn read(tables: &dyn Tables, partition: Partition) -> Result<Self> {
        Self::read_from(tables, tables::META, partition).await
    }

    /// The head of `partition` as it is stored in a family's own `table`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) async fn read_from(tables: &dyn Tables, table: Table, partition: Partition) -> Result<Self> {
        let Some(bytes) = tables.get(&row_in(table, partition)).await? else { return Ok(Self::default()) };
        let Stored { format, offset, term, last, number, is_import, consumed } = from_json(&bytes)?;
        if format > FORMAT {
            return Err(Error::Internal(format!(
                "the log has format {format}, and this version knows formats up to {FORMAT}: use the newer fanfare"
            )));
        }
        let position = Position { offset: Offset(offset), term: term.map(Term), last_id: last.0, number, is_import };
        Ok(Self { position, taken: consumed })
    }

    /// Adds the row of `partition` to `batch`; a later head wins.
    ///
    /// # Errors
    /// When it does not encode.
    pub fn write(self, partition: Partition, batch: &mut Batch) -> Result<()> {
        self.write_to(tables::META, partition, batch)
    }

    /// Adds the row of `partition` in a family's own `table` to `batch`.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub(super) fn write_to(self, table: Table, partition: Partition, batch: &mut Batch) -> Result<()> {
        let Position { offset, term, last_id, number, is_import } = self.position;
        let consumed = self.taken;
        let term = term.map(|term| term.0);
        let (format, offset, last) = (FORMAT, offset.0, Id(last_id));
        let stored = Stored { format, offset, term, last, number, is_import, consumed };
        batch.put_versioned(row_in(table, partition), to_json(&stored)?, offset.max(1));
        Ok(())
    }
}

/// Row of a social partition's head.
#[must_use]
pub fn row(partition: Partition) -> RowKey {
    row_in(tables::META, partition)
}

fn row_in(table: Table, partition: Partition) -> RowKey {
    RowKey::new(table, tables::ONE, Bytes::from([META_HEAD, &partition.0.to_be_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::events::SourceRecord;

    #[tokio::test]
    async fn a_head_reads_back_bears_what_later_versions_add_and_refuses_a_newer_format() {
        let engines = fanfare_engines::memory::open(1).unwrap();
        let partition = Partition(0);
        assert_eq!(Head::read(&*engines.tables, partition).await.unwrap(), Head::default());
        let at = |offset, last_id| Position { offset: Offset(offset), term: Some(Term(5)), last_id, ..Position::START };
        let mut taken = Consumed::default();
        taken.take(&SourceRecord { partition: 4, id: Id(6), after: Id(0) }).unwrap();
        let head = Head::new(at(7, 9)).having(taken);
        let mut batch = Batch::default();
        head.clone().write(partition, &mut batch).unwrap();
        Head::new(at(6, 8)).write(partition, &mut batch).unwrap();
        engines.tables.write(batch).await.unwrap();
        assert_eq!(Head::read(&*engines.tables, partition).await.unwrap(), head, "the later one wins");
        for (json, good) in [
            (r#"{"format":2,"offset":8,"last":"9","consumed":{"3":"7"},"later":[3]}"#, true),
            (r#"{"format":3,"offset":8,"last":"9"}"#, false),
        ] {
            let mut batch = Batch::default();
            batch.put_versioned(row(partition), json, 8);
            engines.tables.write(batch).await.unwrap();
            assert_eq!(Head::read(&*engines.tables, partition).await.is_ok(), good, "{json}");
        }
    }
}
