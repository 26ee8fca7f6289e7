//! Objects as local files: written aside, synced, then moved into place, so that one is whole or not there.
//!
//! `objects/ab/cd/<key>`, where `abcd` is a hash of the key, so that no folder grows large. A key's `/` is stored as
//! `+`, which no key has.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use crate::embedded::store::sync_folder;
use crate::limits::{check_object, check_object_key};
use crate::ports::{EngineError, Object, ObjectMeta, Objects};

/// Calls that use the disk at once; others wait.
const CALLS_MAX: usize = 32;
/// Folder of what is being written.
const ASIDE_FOLDER: &str = "aside";

/// Objects in a folder.
pub struct FileObjects {
    files: Arc<Files>,
    calls: Arc<Semaphore>,
}

impl FileObjects {
    /// Opens the folder `path`, which is made if it is missing, and clears what a crash left half-written.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] when the folder cannot be written.
    pub fn open(path: &Path) -> Result<Self, EngineError> {
        let files = Files { root: path.to_owned(), written: AtomicU64::new(0) };
        files.prepare().map_err(|error| EngineError::Unavailable(format!("{}: {error}", path.display())))?;
        Ok(Self { files: Arc::new(files), calls: Arc::new(Semaphore::new(CALLS_MAX)) })
    }

    /// Runs blocking work where it does not hold up other tasks.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Files) -> std::io::Result<T> + Send + 'static,
    ) -> Result<std::io::Result<T>, EngineError> {
        let closed = |what: &dyn std::fmt::Display| EngineError::Unknown(format!("work on files stopped: {what}"));
        let call = self.calls.clone().acquire_owned().await.map_err(|error| closed(&error))?;
        let files = self.files.clone();
        let work = move || {
            let _call = call; // held to the end of the work, even if the caller stops waiting
            work(&files)
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| closed(&error))
    }
}

#[async_trait]
impl Objects for FileObjects {
    async fn put(&self, key: &str, data: Bytes) -> Result<(), EngineError> {
        check_object_key(key)?;
        check_object(&data)?;
        let key = key.to_owned();
        self.blocking(move |files| files.put(&key, &data)).await?.map_err(|error| unknown(&error))
    }

    async fn get(&self, key: &str, range: Option<(u64, u64)>) -> Result<Option<Object>, EngineError> {
        check_object_key(key)?;
        let key = key.to_owned();
        self.blocking(move |files| found(files.get(&key, range))).await?.map_err(|error| unavailable(&error))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>, EngineError> {
        check_object_key(key)?;
        let key = key.to_owned();
        let bytes = move |files: &Files| found(files.place(&key).metadata().map(|meta| meta.len()));
        let bytes = self.blocking(bytes).await?.map_err(|error| unavailable(&error))?;
        Ok(bytes.map(|bytes| ObjectMeta { bytes }))
    }

    async fn delete(&self, key: &str) -> Result<(), EngineError> {
        check_object_key(key)?;
        let key = key.to_owned();
        self.blocking(move |files| files.delete(&key)).await?.map_err(|error| unknown(&error))
    }
}

fn unavailable(error: &std::io::Error) -> EngineError {
    EngineError::Unavailable(format!("objects: {error}"))
}

fn unknown(error: &std::io::Error) -> EngineError {
    EngineError::Unknown(format!("objects: {error}"))
}

fn found<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The blocking half.
struct Files {
    root: PathBuf,
    /// Numbers files that are being written.
    written: AtomicU64,
}

impl Files {
    fn prepare(&self) -> std::io::Result<()> {
        let aside = self.root.join(ASIDE_FOLDER);
        found(fs::remove_dir_all(&aside))?;
        fs::create_dir_all(&aside)?;
        sync_folder(&self.root)?;
        self.root.parent().map_or(Ok(()), sync_folder)
    }

    fn place(&self, key: &str) -> PathBuf {
        let [high, low] = fan_out(key);
        self.root.join(format!("{high:02x}")).join(format!("{low:02x}")).join(key.replace('/', "+"))
    }

    fn put(&self, key: &str, data: &[u8]) -> std::io::Result<()> {
        let aside = self.root.join(ASIDE_FOLDER).join(self.written.fetch_add(1, Ordering::Relaxed).to_string());
        let placed = self.write_aside(&aside, data).and_then(|()| self.move_in(&aside, &self.place(key)));
        if placed.is_err() {
            let _ = fs::remove_file(&aside); // what stays is cleared at the next open
        }
        placed
    }

    fn write_aside(&self, aside: &Path, data: &[u8]) -> std::io::Result<()> {
        let mut file = File::create(aside)?;
        file.write_all(data)?;
        file.sync_all()
    }

    fn move_in(&self, aside: &Path, place: &Path) -> std::io::Result<()> {
        let Some(folder) = place.parent() else { return Err(ErrorKind::InvalidInput.into()) };
        let moved = match fs::rename(aside, place) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                folder.parent().map_or(Ok(()), sync_folder)?;
                sync_folder(&self.root)?;
                fs::rename(aside, place)
            }
            moved => moved,
        };
        moved?;
        sync_folder(folder)
    }

    fn get(&self, key: &str, range: Option<(u64, u64)>) -> std::io::Result<Object> {
        let mut file = File::open(self.place(key))?;
        let bytes_total = file.metadata()?.len();
        let (from, to) = range.unwrap_or((0, bytes_total));
        let to = to.min(bytes_total);
        let from = from.min(to);
        file.seek(SeekFrom::Start(from))?;
        let mut data = Vec::with_capacity(usize::try_from(to - from).unwrap_or_default());
        file.take(to - from).read_to_end(&mut data)?;
        Ok(Object { bytes_total, data: data.into() })
    }

    fn delete(&self, key: &str) -> std::io::Result<()> {
        let place = self.place(key);
        match (found(fs::remove_file(&place))?, place.parent()) {
            (Some(()), Some(folder)) => sync_folder(folder),
            _ => Ok(()),
        }
    }
}

/// Two bytes that spread keys evenly: FNV-1a (Fowler, Noll, Vo), whose values never change.
fn fan_out(key: &str) -> [u8; 2] {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = key.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    let folded = hash ^ (hash >> 32);
    [(folded >> 8) as u8, folded as u8]
}
