//! The data folder: its format version and the server's secret. The engine's own files are below it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Version of what the folder holds. A binary opens this one, and older ones that it knows how to bring up to date.
const FORMAT: u32 = 2;

const FORMAT_FILE: &str = "format";
const SECRET_FILE: &str = "secret.key";
const SECRET_BYTES: usize = 32;
/// Folder of the engine's files.
const STORE: &str = "store";
/// Bits of a mode that are for everybody on the machine, and for everybody but the owner.
const OTHERS: u32 = 0o007;
const NOT_OWNER: u32 = 0o077;

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The operating system says no.
    #[error("{path}: {source}; choose a folder you can write with --data-dir")]
    Io {
        /// File or folder that was touched.
        path: PathBuf,
        /// Answer of the operating system.
        source: io::Error,
    },
    /// A newer binary wrote the folder.
    #[error(
        "{path} has format {found}, and this binary knows formats up to {FORMAT}: use the newer fanfare that wrote it"
    )]
    Newer {
        /// The folder.
        path: PathBuf,
        /// Format of the folder.
        found: u32,
    },
    /// A file of the folder does not say what it should.
    #[error("{path} is damaged: {what}; restore it from a backup")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Fault of the file.
        what: &'static str,
    },
}

/// A folder that was opened.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
    secret: Vec<u8>,
    is_open_to_others: bool,
    format: u32,
}

impl DataDir {
    /// Opens the folder, or makes it.
    ///
    /// # Errors
    /// When it cannot be written, is damaged, or is of a newer format.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| DataDirError::Io { path, source }
        };
        // Tables hold password hashes: others on the machine have no business there. A folder that is there stays as it
        // is, for it may lie in a place that its owner has thought about; what is ours in it is closed.
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
        let is_open_to_others = fs::metadata(path).map_err(failed(path))?.permissions().mode() & OTHERS != 0;
        for (name, bits) in [(STORE, OTHERS), (SECRET_FILE, NOT_OWNER)] {
            close(&path.join(name), bits).map_err(failed(path))?;
        }
        let format_path = path.join(FORMAT_FILE);
        let format = match fs::read(&format_path) {
            Ok(text) => {
                let damaged =
                    || DataDirError::Damaged { path: format_path.clone(), what: "it holds no version number" };
                let text = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse().ok());
                let found: u32 = text.ok_or_else(damaged)?;
                if found > FORMAT {
                    return Err(DataDirError::Newer { path: path.to_owned(), found });
                }
                if found == 0 {
                    return Err(damaged());
                }
                found
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_new(&format_path, format!("{FORMAT}\n").as_bytes(), 0o644).map_err(failed(&format_path))?;
                FORMAT
            }
            Err(error) => return Err(failed(&format_path)(error)),
        };
        let secret_path = path.join(SECRET_FILE);
        let secret = match fs::read(&secret_path) {
            Ok(secret) if secret.len() == SECRET_BYTES => secret,
            Ok(_) => return Err(DataDirError::Damaged { path: secret_path, what: "a secret has 32 bytes" }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut secret = vec![0; SECRET_BYTES];
                getrandom::fill(&mut secret).map_err(|error| failed(&secret_path)(error.into()))?;
                write_new(&secret_path, &secret, 0o600).map_err(failed(&secret_path))?;
                secret
            }
            Err(error) => return Err(failed(&secret_path)(error)),
        };
        Ok(Self { path: path.to_owned(), secret, is_open_to_others, format })
    }

    /// Folder of the engine's files.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.path.join(STORE)
    }

    /// An earlier version wrote what is in the folder: it is to be brought up before anything is added to it.
    #[must_use]
    pub fn is_earlier(&self) -> bool {
        self.format < FORMAT
    }

    /// Says that what is in the folder was brought up: from now on earlier versions refuse it.
    ///
    /// # Errors
    /// When the folder cannot be written; it is then of the earlier format still.
    pub fn brought_up(&mut self) -> Result<(), DataDirError> {
        let path = self.path.join(FORMAT_FILE);
        let written = write_new(&path, format!("{FORMAT}\n").as_bytes(), 0o644);
        written.map_err(|source| DataDirError::Io { path, source })?;
        self.format = FORMAT;
        Ok(())
    }

    /// Whether everybody on this machine may look into the folder.
    #[must_use]
    pub fn is_open_to_others(&self) -> bool {
        self.is_open_to_others
    }

    /// Seals cursors; readable by the owner only.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        &self.secret
    }
}

/// Files and folders that this process makes from now on are its user's only, whatever the shell or the unit says.
pub fn close_what_is_made() {
    use rustix::fs::Mode;
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
}

/// Takes `bits` away from the mode of a file or folder, if it is there.
fn close(path: &Path, bits: u32) -> io::Result<()> {
    let mode = match fs::metadata(path) {
        Ok(found) => found.permissions().mode(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if mode & bits != 0 {
        tracing::warn!(path = %path.display(), "it could be read by others than its owner, and is closed now");
        fs::set_permissions(path, fs::Permissions::from_mode(mode & !bits))?;
    }
    Ok(())
}

/// Writes a file as a whole: a crash leaves the old one, or none. `mode` holds whatever lay there before.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let temporary = path.with_extension("new");
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(parent) = path.parent() {
        fs::File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_open_to_others_is_closed_and_the_folder_itself_is_told() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("made/here");
        let (store, secret) = (folder.join(STORE), folder.join(SECRET_FILE));
        let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert!(!DataDir::open(&folder).unwrap().is_open_to_others());
        fs::create_dir(&store).unwrap();
        for (before, told) in [(0o755, true), (0o750, false), (0o701, true)] {
            set(&folder, before);
            set(&store, before);
            set(&secret, 0o644);
            assert_eq!(DataDir::open(&folder).unwrap().is_open_to_others(), told, "{before:o}");
            assert_eq!((mode(&folder), mode(&store), mode(&secret)), (before, before & 0o770, 0o600));
        }
    }

    #[test]
    fn a_folder_of_a_newer_binary_is_refused_and_the_secret_stays() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataDir::open(folder.path()).unwrap();
        assert_eq!(DataDir::open(folder.path()).unwrap().secret(), first.secret());
        fs::write(folder.path().join(FORMAT_FILE), "3\n").unwrap();
        let refused = DataDir::open(folder.path()).unwrap_err();
        assert!(refused.to_string().contains("format 3"), "{refused}");
        for damaged in [&b"\xff\xfe\n"[..], b"", b"two\n", b"0\n"] {
            fs::write(folder.path().join(FORMAT_FILE), damaged).unwrap();
            let refused = DataDir::open(folder.path()).unwrap_err().to_string();
            assert!(refused.contains("/format is damaged") && refused.contains("restore it"), "{refused}");
        }
    }
}
