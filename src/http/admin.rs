//! The admin token: made at the first start, in the data folder, readable by its owner only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

/// Name of the file in the data folder.
pub const FILE_NAME: &str = "admin.token";
const MODE: u32 = 0o600;
const RANDOM_BYTES: usize = 32;
/// Shortest token taken from an existing file, in bytes: less is a slip, not a secret.
const BYTES_MIN: usize = 16;

/// What the operator shows for `/v1/admin/*` and, from afar, `/metrics`.
pub struct AdminToken(String);

impl AdminToken {
    /// The token in `data_dir`, made when there is none. A file that others could read is closed to them.
    ///
    /// Errors: the folder cannot be written, or the file holds no token.
    pub fn open(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(FILE_NAME);
        let token = match fs::read_to_string(&path) {
            Ok(text) => text.trim().to_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => make(data_dir)?,
            Err(error) => return Err(error),
        };
        if token.len() < BYTES_MIN {
            let advice = format!("{} holds no token; remove it and start again", path.display());
            return Err(io::Error::new(io::ErrorKind::InvalidData, advice));
        }
        if fs::metadata(&path)?.permissions().mode() & 0o077 != 0 {
            tracing::warn!(file = %path.display(), "the admin token was readable by others; it is closed to them now");
            fs::set_permissions(&path, fs::Permissions::from_mode(MODE))?;
        }
        Ok(Self(token))
    }

    /// Whether `given` is the token; takes the same time whatever it shares with it.
    #[must_use]
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl std::fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AdminToken")
    }
}

/// Writes a new token beside its place and moves it there, so that a crash leaves none or a whole one.
fn make(data_dir: &Path) -> io::Result<String> {
    let mut random = [0; RANDOM_BYTES];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    let token = format!("ffa_{}", BASE64_URL_SAFE_NO_PAD.encode(random));
    fs::create_dir_all(data_dir)?;
    let draft = data_dir.join(format!("{FILE_NAME}.new"));
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(&draft)?;
    writeln!(file, "{token}")?;
    file.sync_all()?;
    fs::rename(&draft, data_dir.join(FILE_NAME))?;
    fs::File::open(data_dir)?.sync_all()?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_made_once_and_only_its_owner_can_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let first = AdminToken::open(folder.path()).unwrap();
        let path = folder.path().join(FILE_NAME);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let second = AdminToken::open(folder.path()).unwrap();
        assert!(second.matches(&first.0) && second.matches(fs::read_to_string(&path).unwrap().trim()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        for wrong in ["", "ffa_", &first.0[1..], &format!("{}x", first.0)] {
            assert!(!first.matches(wrong), "{wrong} was taken for the token");
        }
    }

    #[test]
    fn an_empty_file_is_no_token() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "\n").unwrap();
        assert!(AdminToken::open(folder.path()).unwrap_err().to_string().contains("remove it"));
    }
}
