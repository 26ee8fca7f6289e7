//! Rows whose deletion leaves nothing behind: the store holds them mixed with a pad, and the pad is a file of its own.
//!
//! A store keeps the bytes of deleted rows until it compacts, and its log until that is full, which may be never on a
//! quiet server. What it keeps of these rows says nothing without their pads (a one-time pad each: as many random bytes
//! as the value has), and a pad is overwritten and removed as soon as its row is. A row of before there were pads has
//! none, and is read as it is.
//!
//! For rows of `insert_unique` alone, which are few and small: nobody else writes to their tables.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use bytes::Bytes;
use parking_lot::Mutex;

use super::store::sync_folder;
use crate::ports::{Batch, EngineError, RowKey, Table};

/// Folder of the pads within the engine's.
const FOLDER: &str = "pads";
/// Ending of a pad that is not whole yet.
const UNFINISHED: &str = "new";

/// Bytes of `value` and `pad`, added to each other bit by bit.
fn mix(value: &[u8], pad: &[u8]) -> Bytes {
    value.iter().zip(pad.iter().chain(std::iter::repeat(&0))).map(|(value, pad)| value ^ pad).collect()
}

#[allow(clippy::needless_pass_by_value, reason = "it is handed to map_err")]
fn fault(error: io::Error) -> EngineError {
    EngineError::Unavailable(format!("a pad: {error}"))
}

/// Pads of the rows of some tables, a file each, named by the key of its row.
pub(super) struct Pads {
    folder: PathBuf,
    tables: &'static [Table],
    /// Held while one is made, so that a row has one.
    making: Mutex<()>,
}

impl Pads {
    /// Pads of the engine in the folder `path`, for rows of `tables`.
    pub(super) fn new(path: &Path, tables: &'static [Table]) -> Self {
        Self { folder: path.join(FOLDER), tables, making: Mutex::default() }
    }

    /// Whether rows of this table have pads.
    pub(super) fn covers(&self, table: Table) -> bool {
        self.tables.contains(&table)
    }

    /// What is stored of a row, as it was given; what was given of one that is there, as it is stored.
    pub(super) fn mixed(&self, key: &RowKey, value: Bytes) -> Result<Bytes, EngineError> {
        Ok(match self.read(key).map_err(fault)? {
            Some(pad) => mix(&value, &pad),
            None => value,
        })
    }

    /// What is to be stored of a new row.
    pub(super) fn mixed_anew(&self, key: &RowKey, value: &[u8]) -> Result<Bytes, EngineError> {
        Ok(mix(value, &self.made(key, value.len()).map_err(fault)?))
    }

    /// The row is gone.
    pub(super) fn shred(&self, key: &RowKey) -> Result<(), EngineError> {
        self.remove(key).map_err(fault)
    }

    /// Removes the pads whose rows are gone: a kill came between the two.
    pub(super) fn shred_left(
        &self,
        is_there: impl Fn(&RowKey) -> Result<bool, EngineError>,
    ) -> Result<(), EngineError> {
        for key in self.keys().map_err(fault)? {
            if !is_there(&key)? {
                self.shred(&key)?;
            }
        }
        Ok(())
    }

    /// Refuses what would write such rows in another way: two values under one pad would tell of each other.
    pub(super) fn check(&self, key: &RowKey) -> Result<(), EngineError> {
        match self.covers(key.table) {
            true => Err(EngineError::Limit(format!("rows of {} are inserted and released alone", key.table.name))),
            false => Ok(()),
        }
    }

    /// Refuses batches with such rows.
    pub(super) fn check_batch(&self, batch: &Batch) -> Result<(), EngineError> {
        batch.rows.iter().try_for_each(|row| self.check(&row.key))
    }

    fn path(&self, key: &RowKey) -> PathBuf {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        self.folder.join(format!("{}-{}-{}", key.table.id, hex(&key.partition), hex(&key.clustering)))
    }

    /// Keys of the pads that are there; what was not finished is removed.
    fn keys(&self) -> io::Result<Vec<RowKey>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut keys = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == UNFINISHED) {
                fs::remove_file(path)?;
            } else if let Some(name) = path.file_name().and_then(|name| name.to_str()) {
                keys.extend(key_of(name, self.tables));
            }
        }
        Ok(keys)
    }

    fn read(&self, key: &RowKey) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(key)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some),
        }
    }

    /// The pad of a row of so many bytes; durable before the row is.
    fn made(&self, key: &RowKey, len: usize) -> io::Result<Vec<u8>> {
        let _making = self.making.lock();
        if let Some(pad) = self.read(key)?.filter(|pad| pad.len() >= len) {
            return Ok(pad);
        }
        let mut pad = vec![0; len];
        getrandom::fill(&mut pad).map_err(|error| io::Error::other(error.to_string()))?;
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder)?;
            self.folder.parent().map_or(Ok(()), sync_folder)?;
        }
        let (path, mut unfinished) = (self.path(key), self.path(key));
        unfinished.set_extension(UNFINISHED);
        let mut file = File::create(&unfinished)?;
        file.write_all(&pad)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_folder(&self.folder)?;
        Ok(pad)
    }

    /// Overwrites a pad, and removes it.
    fn remove(&self, key: &RowKey) -> io::Result<()> {
        let _making = self.making.lock();
        let path = self.path(key);
        let mut file = match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file?,
        };
        let len = usize::try_from(file.metadata()?.len()).unwrap_or_default();
        file.write_all(&vec![0; len])?;
        file.sync_all()?;
        fs::remove_file(path)?;
        sync_folder(&self.folder)
    }
}

/// Key of the row whose pad has this name.
fn key_of(name: &str, tables: &[Table]) -> Option<RowKey> {
    let mut parts = name.split('-');
    let id: u16 = parts.next()?.parse().ok()?;
    let table = tables.iter().find(|table| u16::from(table.id) == id)?;
    let mut bytes = || -> Option<Vec<u8>> {
        let hex = parts.next()?;
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
    };
    Some(RowKey::new(*table, bytes()?, bytes()?))
}

#[cfg(test)]
#[path = "shred_tests.rs"]
mod tests;
