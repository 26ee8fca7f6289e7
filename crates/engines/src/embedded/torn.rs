//! The store's write-ahead logs, looked through before the store opens them.
//!
//! The store itself takes the first bytes of a log that it cannot read for its end, and cuts the log off there,
//! whatever stands behind. So a log is read here first, batch by batch with their checksums, and this is the rule:
//!
//! - Batches are whole, and their sequence numbers rise, within a log and from one log to the next.
//! - What is not zero behind the last whole batch was torn by a kill or a power loss when it is the last that was
//!   written (later logs are empty) and holds no whole batch but of checkpoints alone. Only one batch that somebody
//!   waits for is under way at a time: the committer is the only writer, and begins the next when the last one is
//!   synced. Batches of checkpoints alone go out without an fsync, so several of them may wait before it, and a disk
//!   writes what was not synced in any order. It was never acknowledged: it is moved aside and cut off.
//! - Anything else is damage, and refused with file and offset; nothing is changed then.
//!
//! So damage is told from a torn write by what stands behind it. Two things cannot be told apart: damage from some byte
//! to the very end of the newest log looks as a power loss does, and is set aside as one; and a power loss that tore
//! checkpoints but not the write behind them looks as damage does, and is refused.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::Xxh3;

use super::layout;
use super::store::named;
use crate::ports::EngineError;

// The store's log (format 3): entries of a tag and fields, numbers little endian; zeros after the last one.
const TAG_START: u8 = 1;
const TAG_ITEM: u8 = 2;
const TAG_END: u8 = 3;
const MAGIC: &[u8] = b"FJL\x03";
/// Tag, count of items u32, sequence number u64.
const START_BYTES: usize = 13;
/// Tag, kind u8, compression u8, keyspace u64, key length u16, value length u32, stored value length u32.
const ITEM_HEAD_BYTES: usize = 21;
/// Tag, checksum u64, four magic bytes.
const END_BYTES: usize = 13;
/// Sequence numbers that are none: the store keeps their top bit for itself.
const SEQUENCE_END: u64 = 1 << 63;
/// Number that the keyspace `meta` has at least: it is the third that a store makes, and counting begins with 2 since
/// stores are moved into their place. Before, it was 3, which is the journal's now; none of its keys begins as a
/// checkpoint's does.
const META_MIN: u64 = 3;

/// Folders of the store: one of all keyspaces, and in that of each one of its sorted files.
const KEYSPACES_FOLDER: &str = "keyspaces";
const TABLES_FOLDER: &str = "tables";
/// The file of a keyspace that tells which of its sorted files count; it is there from its making on.
const CURRENT_FILE: &str = "current";

/// Ending of files that hold what was cut off.
const TORN_EXTENSION: &str = "torn";
/// Bytes that are read at once.
const READ_BYTES: usize = 256 * 1024;
static ZEROS: [u8; READ_BYTES] = [0; READ_BYTES];

/// Looks through the logs in `folder`; cuts off what a kill or a power loss tore.
pub(super) fn check(folder: &Path) -> Result<(), EngineError> {
    check_keyspaces(folder)?;
    let mut sequence = None;
    let mut torn: Option<Log> = None;
    let logs = logs(folder).map_err(|error| unavailable(folder, &error))?;
    if logs.is_empty() {
        // A store always has one, from its making on.
        return Err(named(folder, EngineError::Corrupt("its write-ahead log (a file *.jnl) is missing".to_owned())));
    }
    for path in logs {
        let log = Log::read(&path, &mut sequence).map_err(|error| unavailable(&path, &error))?;
        if let Some(torn) = torn.as_ref().filter(|_| log.used > 0) {
            return Err(torn.damaged(&format!("{} was written after it", path.display())));
        }
        torn = torn.or_else(|| (log.used > log.whole).then_some(log));
    }
    let Some(log) = torn else { return Ok(()) };
    match log.find_behind().map_err(|error| unavailable(&log.path, &error))? {
        Some(at) => Err(log.damaged(&format!("a whole write stands behind it, at byte {at}"))),
        None => log.cut_off().map_err(|error| unavailable(&log.path, &error)),
    }
}

/// Whether anything was ever written to the store in `folder`, whole or not: to a log, or to a sorted file.
pub(super) fn was_written(folder: &Path) -> io::Result<bool> {
    if !folder.try_exists()? {
        return Ok(false);
    }
    for log in logs(folder)? {
        if last_written(File::open(log)?, 0)? > 0 {
            return Ok(true);
        }
    }
    Ok(!written_keyspaces(folder)?.is_empty())
}

/// Folders of keyspaces that have sorted files.
fn written_keyspaces(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let (keyspaces, mut written) = (folder.join(KEYSPACES_FOLDER), Vec::new());
    if !keyspaces.try_exists()? {
        return Ok(written);
    }
    for keyspace in fs::read_dir(keyspaces)? {
        let keyspace = keyspace?.path();
        let tables = keyspace.join(TABLES_FOLDER);
        if tables.try_exists()? && fs::read_dir(tables)?.next().is_some() {
            written.push(keyspace);
        }
    }
    Ok(written)
}

/// Refuses a keyspace that has sorted files and not the one that tells which of them count: the store would make it
/// anew, and remove them.
fn check_keyspaces(folder: &Path) -> Result<(), EngineError> {
    for keyspace in written_keyspaces(folder).map_err(|error| unavailable(folder, &error))? {
        let current = keyspace.join(CURRENT_FILE);
        if !current.try_exists().map_err(|error| unavailable(&current, &error))? {
            let what = format!("the file {} is missing", current.display());
            return Err(named(folder, EngineError::Corrupt(what)));
        }
    }
    Ok(())
}

fn unavailable(path: &Path, error: &io::Error) -> EngineError {
    EngineError::Unavailable(format!("{}: {error}", path.display()))
}

/// The logs, oldest first.
fn logs(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut logs = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_log = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.parse::<u64>().ok());
        logs.extend(number.filter(|_| is_log).map(|number| (number, path)));
    }
    logs.sort_unstable();
    Ok(logs.into_iter().map(|(_, path)| path).collect())
}

/// A log that was looked through.
struct Log {
    path: PathBuf,
    /// End of its last whole batch.
    whole: u64,
    /// End of what is not zero.
    used: u64,
}

impl Log {
    fn read(path: &Path, sequence: &mut Option<u64>) -> io::Result<Self> {
        let mut log = BufReader::with_capacity(READ_BYTES, File::open(path)?);
        let mut whole = 0;
        while let Some(batch) = read_batch(&mut log)?
            && batch.sequence < SEQUENCE_END
            && sequence.is_none_or(|before| before < batch.sequence)
        {
            *sequence = Some(batch.sequence);
            whole += batch.bytes;
        }
        let used = last_written(log.into_inner(), whole)?;
        Ok(Self { path: path.to_owned(), whole, used })
    }

    /// Offset of a whole batch behind the whole ones that is not of checkpoints alone.
    fn find_behind(&self) -> io::Result<Option<u64>> {
        let mut log = File::open(&self.path)?;
        let mut behind = BufReader::with_capacity(READ_BYTES, File::open(&self.path)?);
        let mut window = Vec::new();
        let mut from = self.whole;
        while from < self.used {
            log.seek(SeekFrom::Start(from))?;
            window.clear();
            (&mut log).take(READ_BYTES as u64).read_to_end(&mut window)?;
            if window.len() <= START_BYTES {
                break;
            }
            let starts = window.windows(START_BYTES + 1).enumerate();
            let starts = starts.filter(|(_, bytes)| bytes[0] == TAG_START && bytes[START_BYTES] == TAG_ITEM);
            for (at, _) in starts {
                behind.seek(SeekFrom::Start(from + at as u64))?;
                if read_batch(&mut behind)?.is_some_and(|batch| !batch.is_checkpoints) {
                    return Ok(Some(from + at as u64));
                }
            }
            from += (window.len() - START_BYTES) as u64;
        }
        Ok(None)
    }

    /// Moves what is behind the last whole batch into a file of its own.
    fn cut_off(&self) -> io::Result<()> {
        let (log, bytes) = (self.path.display(), self.used - self.whole);
        let aside = self.path.with_extension(TORN_EXTENSION);
        match self.copy(&aside) {
            Ok(()) => tracing::warn!(
                %log, bytes, aside = %aside.display(),
                "dropped a write that a kill or a power loss had torn; it was never acknowledged"
            ),
            // The server starts on a full disk, and what is cut off makes room.
            Err(error) if error.kind() == ErrorKind::StorageFull => {
                let _ = fs::remove_file(&aside);
                tracing::warn!(
                    %log, bytes,
                    "dropped a write that a kill or a power loss had torn; it was never acknowledged, and there is no \
                     room to keep it"
                );
            }
            Err(error) => return Err(error),
        }
        let log = OpenOptions::new().write(true).open(&self.path)?;
        log.set_len(self.whole)?;
        log.sync_all()
    }

    fn copy(&self, aside: &Path) -> io::Result<()> {
        let mut log = File::open(&self.path)?;
        log.seek(SeekFrom::Start(self.whole))?;
        let mut copy = File::create(aside)?;
        io::copy(&mut log.take(self.used - self.whole), &mut copy)?;
        copy.sync_all()
    }

    fn damaged(&self, why: &str) -> EngineError {
        EngineError::Corrupt(format!(
            "{}: the write-ahead log is damaged at byte {} ({why}), nothing was changed: restore all folders from one \
             backup",
            self.path.display(),
            self.whole
        ))
    }
}

/// End of what is not zero in a file behind `from`; `from` when there is nothing.
fn last_written(mut file: File, from: u64) -> io::Result<u64> {
    let (mut last, mut at) = (from, from);
    let mut bytes = vec![0; READ_BYTES];
    loop {
        // A log is made long with a hole, which needs no reading where the file system tells of it.
        match rustix::fs::seek(&file, rustix::fs::SeekFrom::Data(at)) {
            Ok(data) => at = data,
            Err(rustix::io::Errno::NXIO) => return Ok(last),
            Err(_) => at = file.seek(SeekFrom::Start(at))?,
        }
        let read = file.read(&mut bytes)?;
        if read == 0 {
            return Ok(last);
        }
        if bytes[..read] != ZEROS[..read] {
            let end = bytes[..read].iter().rposition(|&byte| byte != 0).map_or(0, |place| place + 1);
            last = at + end as u64;
        }
        at += read as u64;
    }
}

/// A whole batch of a log.
struct Batch {
    bytes: u64,
    sequence: u64,
    /// Whether it goes out without an fsync.
    is_checkpoints: bool,
}

/// Reads a batch; `None` when what stands there is none, or not whole.
fn read_batch(log: &mut impl BufRead) -> io::Result<Option<Batch>> {
    let Some([TAG_START, c0, c1, c2, c3, sequence @ ..]) = read_array::<START_BYTES>(log)? else { return Ok(None) };
    let count = u32::from_le_bytes([c0, c1, c2, c3]);
    let mut batch =
        Batch { bytes: (START_BYTES + END_BYTES) as u64, sequence: u64::from_le_bytes(sequence), is_checkpoints: true };
    let mut sum = Xxh3::new();
    for _ in 0..count {
        if !read_item(log, &mut sum, &mut batch)? {
            return Ok(None);
        }
    }
    let end = [&[TAG_END], sum.digest().to_le_bytes().as_slice(), MAGIC].concat();
    let is_whole = count > 0 && read_array::<END_BYTES>(log)?.is_some_and(|bytes| bytes[..] == end[..]);
    Ok(is_whole.then_some(batch))
}

/// Reads an item into its batch; `false` when what stands there is none, or not whole.
fn read_item(log: &mut impl BufRead, sum: &mut Xxh3, batch: &mut Batch) -> io::Result<bool> {
    let Some(head) = read_array::<ITEM_HEAD_BYTES>(log)?.filter(|head| head[0] == TAG_ITEM) else { return Ok(false) };
    let [_, _kind, _compression, keyspace @ .., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
    let key_bytes = u64::from(u16::from_le_bytes([k0, k1]));
    let value_bytes = u64::from(u32::from_le_bytes([v0, v1, v2, v3]));
    sum.update(&head);
    let mut key = Vec::new();
    log.by_ref().take(key_bytes).read_to_end(&mut key)?;
    sum.update(&key);
    let mut left = value_bytes;
    while left > 0 {
        let bytes = match log.fill_buf() {
            Ok([]) => return Ok(false),
            Ok(bytes) => &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))],
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        sum.update(bytes);
        let read = bytes.len();
        log.consume(read);
        left -= read as u64;
    }
    batch.bytes += ITEM_HEAD_BYTES as u64 + key_bytes + value_bytes;
    batch.is_checkpoints &= u64::from_le_bytes(keyspace) >= META_MIN && layout::is_checkpoint_key(&key);
    Ok(key.len() as u64 == key_bytes)
}

fn read_array<const N: usize>(log: &mut impl Read) -> io::Result<Option<[u8; N]>> {
    let mut bytes = [0; N];
    match log.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}
