//! Head of a partition: the place in its log below which every row is written, as a row in META.
//!
//! It is written in the commit of later records, or alone once rows are durable, and never together with the rows that
//! it tells of: a write may tear. It holds JSON, which later versions add to.

use bytes::Bytes;
use fanfare_engines::{Batch, Offset, Partition, RowKey, Tables};
use fanfare_protocol::Id;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::limits::META_HEAD;
use crate::data::rows::{from_json, to_json};
use crate::data::tables;

/// Format of the records above a head: they hold their outcomes.
pub const FORMAT: u32 = 2;

/// Place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Format of what stands above it.
    format: u32,
    /// Offset of the first record whose rows may be missing.
    next: u64,
    /// Offset of the claim that holds there; 0 before the first.
    #[serde(default)]
    term: u64,
    /// Highest id of a record below it.
    last: Id,
}

impl Default for Head {
    fn default() -> Self {
        Self::new(Offset(0), Id(0))
    }
}

impl Head {
    /// Everything below `next` has its rows, and no id there is above `last`.
    #[must_use]
    pub fn new(next: Offset, last: Id) -> Self {
        Self { format: FORMAT, next: next.0, term: 0, last }
    }

    /// Offset of the first record whose rows may be missing.
    #[must_use]
    pub fn next(self) -> Offset {
        Offset(self.next)
    }

    /// Highest id of a record below it.
    #[must_use]
    pub fn last(self) -> Id {
        self.last
    }

    /// The head of `partition` as it is stored; that of an empty log when none is.
    ///
    /// # Errors
    /// When the engine fails, or a newer version wrote it.
    pub async fn read(tables: &dyn Tables, partition: Partition) -> Result<Self> {
        let Some(bytes) = tables.get(&row(partition)).await? else { return Ok(Self::default()) };
        let head: Self = from_json(&bytes)?;
        if head.format > FORMAT {
            let Self { format, .. } = head;
            return Err(Error::Internal(format!(
                "the log has format {format}, and this version knows formats up to {FORMAT}: use the newer fanfare"
            )));
        }
        Ok(head)
    }

    /// Adds the row of `partition` to `batch`; a later head wins.
    ///
    /// # Errors
    /// When it does not encode.
    pub fn write(self, partition: Partition, batch: &mut Batch) -> Result<()> {
        batch.put_versioned(row(partition), to_json(&self)?, self.next.max(1));
        Ok(())
    }
}

/// Row of a partition's head.
#[must_use]
pub fn row(partition: Partition) -> RowKey {
    RowKey::new(tables::META, tables::ONE, Bytes::from([META_HEAD, &partition.0.to_be_bytes()].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_head_reads_back_bears_what_later_versions_add_and_refuses_a_newer_format() {
        let engines = fanfare_engines::memory::open(1).unwrap();
        let partition = Partition(0);
        assert_eq!(Head::read(&*engines.tables, partition).await.unwrap(), Head::default());
        let head = Head::new(Offset(7), Id(9));
        let mut batch = Batch::default();
        head.write(partition, &mut batch).unwrap();
        Head::new(Offset(6), Id(8)).write(partition, &mut batch).unwrap();
        engines.tables.write(batch).await.unwrap();
        assert_eq!(Head::read(&*engines.tables, partition).await.unwrap(), head, "the later one wins");
        for (json, good) in [
            (r#"{"format":2,"next":8,"last":"9","consumed":[3]}"#, true),
            (r#"{"format":3,"next":8,"last":"9"}"#, false),
        ] {
            let mut batch = Batch::default();
            batch.put_versioned(row(partition), json, 8);
            engines.tables.write(batch).await.unwrap();
            assert_eq!(Head::read(&*engines.tables, partition).await.is_ok(), good, "{json}");
        }
    }
}
