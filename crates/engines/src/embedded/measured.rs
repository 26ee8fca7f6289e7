//! Sizes of a folder's stores once nothing is left to compact, for whoever measures them. No server calls it.

use std::path::Path;

use super::store::fault;
use super::{Embedded, Settings};
use crate::ports::EngineError;

/// Bytes of a family's files, without what is written ahead.
#[derive(Debug, Clone, Copy)]
pub struct FamilyBytes {
    /// Name of the family.
    pub name: &'static str,
    /// Bytes of its rows.
    pub rows: u64,
    /// Bytes of its journal.
    pub journal: u64,
}

/// Compacts the stores in the folder `path`, which nobody has open, and answers how large they are then. Blocks for as
/// long as that takes.
///
/// # Errors
/// As [`open`](super::open).
pub fn compact(path: &Path, settings: &Settings) -> Result<Vec<FamilyBytes>, EngineError> {
    let embedded = Embedded::open(path, settings, 1)?;
    let mut found = Vec::new();
    for (place, family) in embedded.families.all().iter().enumerate() {
        let life = embedded.life(place)?;
        let (rows, journal) = (&life.store.rows, &life.store.journal);
        for keyspace in [rows, journal] {
            keyspace.rotate_memtable_and_wait().map_err(fault)?;
            keyspace.major_compact().map_err(fault)?;
        }
        found.push(FamilyBytes { name: family.name, rows: rows.disk_space(), journal: journal.disk_space() });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Batch, RowKey, Table};
    use crate::random::Random;

    #[tokio::test]
    async fn what_was_overwritten_takes_no_room_once_all_is_compacted() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings::default();
        let size_after = async |writes: u64| {
            let engines = super::super::open(folder.path(), &settings).unwrap();
            for write in 0..writes {
                let table = Table { id: 7, name: "sevens" };
                // Nothing that compression makes smaller.
                let mut random = Random::new(write + 1);
                let value: Vec<u8> = (0..50_000).map(|_| random.below(256) as u8).collect();
                let mut batch = Batch::default();
                batch.put_versioned(RowKey::single(table, vec![7]), value, write + 1);
                engines.tables.write(batch).await.unwrap();
            }
            drop(engines);
            compact(folder.path(), &settings).unwrap()[0]
        };
        let once = size_after(1).await.rows;
        assert!((50_000..80_000).contains(&once), "{once}");
        assert!(size_after(20).await.rows < 2 * once);
    }
}
