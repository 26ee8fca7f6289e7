//! Opening after a power loss in the middle of a write.
//!
//! The store drops a last batch of which only the beginning reached the disk. But a disk may also write the end of a
//! batch and lose its middle; then the checksum fails, and the store refuses to open. Between two fsyncs is at most one
//! batch that somebody waits for (the committer is the only writer), so the last batch of the newest log can be torn,
//! and it was never acknowledged: it is moved aside. Damage anywhere else is reported, also where a batch of
//! checkpoints alone, which goes out without an fsync, was torn before it.

use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::ports::EngineError;

// The store's log (format 3): entries of a tag and fields, numbers little endian; zeros after the last one.
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
/// Tag, count of items u32, sequence number u64.
const START_BYTES: usize = 13;
/// Tag, kind u8, compression u8, keyspace u64, key length u16, value length u32, stored value length u32.
const ITEM_HEAD_BYTES: usize = 21;
/// Tag, checksum u64, four magic bytes.
const END_BYTES: usize = 13;
/// Ending of files that hold what was cut off.
const TORN_EXTENSION: &str = "torn";

/// Moves the last batch of the newest log aside and opens again; undoes that when it does not help.
pub(super) fn cut_off<T>(
    folder: &Path,
    cause: &dyn Display,
    reopen: impl FnOnce() -> Result<T, EngineError>,
) -> Result<T, EngineError> {
    let hopeless = |why: &dyn Display| {
        EngineError::Corrupt(format!("{}: the write-ahead log is damaged ({cause}; {why})", folder.display()))
    };
    let log = newest_log(folder).map_err(|error| hopeless(&error))?.ok_or_else(|| hopeless(&"there is no log"))?;
    let bytes = fs::read(&log).map_err(|error| hopeless(&error))?;
    let start = last_batch(&bytes).ok_or_else(|| hopeless(&"it has no last batch"))?;
    let used = bytes.iter().rposition(|&byte| byte != 0).map_or(start, |last| last + 1);
    let aside = log.with_extension(TORN_EXTENSION);
    set_aside(&log, &aside, start, &bytes[start..used]).map_err(|error| hopeless(&error))?;
    match reopen() {
        Ok(opened) => {
            tracing::warn!(
                log = %log.display(), bytes = used - start, aside = %aside.display(),
                "dropped a write that a power loss had torn; it was never acknowledged"
            );
            Ok(opened)
        }
        Err(error) => {
            put_back(&log, start, &bytes[start..used]).map_err(|error| hopeless(&error))?;
            Err(hopeless(&error))
        }
    }
}

fn newest_log(folder: &Path) -> std::io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        if path.extension().is_some_and(|extension| extension == "jnl") {
            newest = newest.max(number.map(|number| (number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

fn set_aside(log: &Path, aside: &Path, start: usize, torn: &[u8]) -> std::io::Result<()> {
    let mut copy = File::create(aside)?;
    copy.write_all(torn)?;
    copy.sync_all()?;
    let log = OpenOptions::new().write(true).open(log)?;
    log.set_len(start as u64)?;
    log.sync_all()
}

fn put_back(log: &Path, start: usize, torn: &[u8]) -> std::io::Result<()> {
    let mut log = OpenOptions::new().write(true).open(log)?;
    log.seek(SeekFrom::Start(start as u64))?;
    log.write_all(torn)?;
    log.sync_all()
}

/// Offset at which the last batch starts.
fn last_batch(log: &[u8]) -> Option<usize> {
    let mut position = 0;
    let mut start = None;
    while let Some(&tag) = log.get(position) {
        position += match tag {
            TAG_START => {
                start = Some(position);
                START_BYTES
            }
            TAG_ITEM => {
                let Some(head) = log.get(position..position + ITEM_HEAD_BYTES) else { break };
                let key = u16::from_le_bytes([head[11], head[12]]);
                let value = u32::from_le_bytes([head[17], head[18], head[19], head[20]]);
                ITEM_HEAD_BYTES + usize::from(key) + value as usize
            }
            TAG_END => END_BYTES,
            _ => break,
        };
    }
    start
}
