//! The tokens of whoever runs the server: made at the first start, each in a file of its own in the data folder,
//! readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Name of the admin token's file in the data folder.
pub const ADMIN_FILE: &str = "admin.token";
/// Name of the metrics token's file in the data folder.
pub const METRICS_FILE: &str = "metrics.token";
const MODE: u32 = 0o600;
const RANDOM_BYTES: usize = 32;
/// Shortest token taken from an existing file, in bytes: less is a slip, not a secret.
const BYTES_MIN: usize = 16;

/// Both tokens of a data folder.
#[derive(Debug)]
pub struct OperatorTokens {
    /// Opens `/v1/admin/*` and `/metrics`.
    pub admin: FileToken,
    /// Opens `/metrics` and nothing else, so that who only watches can change nothing.
    pub metrics: FileToken,
}

impl OperatorTokens {
    /// The tokens in `data_dir`; those that are not there are made. A file that others could read is closed to them.
    ///
    /// Errors: the folder cannot be written, or a file holds no token.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let admin = FileToken::open(&data_dir.join(ADMIN_FILE), "ffa_")?;
        let metrics = FileToken::open(&data_dir.join(METRICS_FILE), "ffm_")?;
        Ok(Self { admin, metrics })
    }
}

/// A secret that was read from a file.
pub struct FileToken(String);

impl FileToken {
    fn open(path: &Path, prefix: &str) -> io::Result<Self> {
        let token = match fs::read_to_string(path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(path, prefix)?,
            // It is looked at below, and holds none.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(error),
        };
        if token.len() < BYTES_MIN {
            let advice = format!("{} holds no token; remove it and start again", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, advice));
        }
        if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %path.display(), "the token was readable by others; it is closed to them now");
            fs::set_permissions(path, fs::Permissions::from_mode(MODE))?;
        }
        Ok(Self(token))
    }

    /// Whether `given` is the token; takes the same time whatever it shares with it.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for FileToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileToken")
    }
}

/// Writes a new token beside its place and moves it there, so that a crash leaves none or a whole one.
fn make(path: &Path, prefix: &str) -> io::Result<String> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let token = format!("{prefix}{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = path.with_extension("token.new");
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    fs::File::open(folder)?.sync_all()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_made_once_differ_and_only_their_owner_can_read_them() {
        let folder = tempfile::tempdir().unwrap();
        let first = OperatorTokens::open(folder.path()).unwrap();
        assert!(!first.admin.matches(&first.metrics.0));
        let of = |tokens: OperatorTokens| [(ADMIN_FILE, tokens.admin), (METRICS_FILE, tokens.metrics)];
        let first = of(first);
        for (file, _) in &first {
            let path = folder.path().join(file);
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE, "{file}");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        }
        let second = of(OperatorTokens::open(folder.path()).unwrap());
        for ((file, first), (_, second)) in first.iter().zip(&second) {
            let path = folder.path().join(file);
            assert!(second.matches(&first.0) && second.matches(fs::read_to_string(&path).unwrap().trim()), "{file}");
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE, "{file}");
            for wrong in ["", "ffa_", "ffm_", &first.0[1..], &format!("{}x", first.0)] {
                assert!(!first.matches(wrong), "{wrong} was taken for the token in {file}");
            }
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "a draft is left");
    }

    #[test]
    fn an_empty_file_is_no_token() {
        for file in [ADMIN_FILE, METRICS_FILE] {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join(file), "\n").unwrap();
            assert!(OperatorTokens::open(folder.path()).unwrap_err().to_string().contains("remove it"), "{file}");
        }
    }
}
