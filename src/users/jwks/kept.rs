//! The last good set of published keys in the data folder: what a start goes by while the provider is away.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::base::data_dir;
use crate::base::limits::auth::JWKS_BYTES_MAX;
use crate::config::JwksUrl;
use crate::users::jwt::{Jwks, JwksReaders, parse_jwks};

/// Name of the file in the data folder.
const FILE_NAME: &str = "jwks.json";
/// Keys are public, but who could write the file could let anybody in: it is the owner's.
const MODE: u32 = 0o600;
/// Bytes around the keys, and what writing them anew may add.
const OVERHEAD_BYTES_MAX: u64 = 64 << 10;

/// The file.
#[derive(Debug, Clone)]
pub struct Kept {
    file: PathBuf,
    url: String,
}

#[derive(Serialize, Deserialize)]
struct Document {
    /// Keys of one address say nothing about another.
    url: String,
    keys: Vec<Value>,
}

impl Kept {
    /// The set of `url` in `data_dir`; nothing is read or made yet.
    #[must_use]
    pub fn new(data_dir: &Path, url: &JwksUrl) -> Self {
        Self { file: data_dir.join(FILE_NAME), url: url.0.to_string() }
    }

    /// The set, if there is one of this address with a usable key; what is broken counts as none, with a warning.
    #[must_use]
    pub fn load(&self) -> Option<Jwks> {
        match self.read() {
            Ok(set) => set,
            Err(cause) => {
                tracing::warn!(file = %self.file.display(), cause, "the kept JWKS cannot be used");
                None
            }
        }
    }

    fn read(&self) -> Result<Option<Jwks>, String> {
        let meta = match std::fs::metadata(&self.file) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.to_string()),
        };
        if meta.len() > JWKS_BYTES_MAX as u64 + OVERHEAD_BYTES_MAX {
            return Err("it is too large".to_owned());
        }
        let text = std::fs::read_to_string(&self.file).map_err(|error| error.to_string())?;
        let document: Document = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        if document.url != self.url {
            return Ok(None);
        }
        let set = parse_jwks(&text, JwksReaders::Everybody).map_err(|error| error.to_string())?;
        Ok(Some(set).filter(|set| !set.keys.is_empty()))
    }

    /// Writes the set: a crash leaves the one before, or this. Blocks until it is on disk.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn store(&self, keys: &[Value]) -> io::Result<()> {
        let document = Document { url: self.url.clone(), keys: keys.to_vec() };
        data_dir::write_new(&self.file, &serde_json::to_vec(&document)?, MODE)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use serde_json::json;

    use super::*;

    fn key(kid: &str) -> Value {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": kid, "x": x, "a member": ["nobody", "knows"] })
    }

    #[test]
    fn a_kept_set_comes_back_for_its_own_address_only_and_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let kept = |url: &str| Kept::new(folder.path(), &url.parse().unwrap());
        let (one, other) = (kept("https://id.example/jwks"), kept("https://other.example/jwks"));
        assert!(one.load().is_none(), "nothing was kept yet");
        // What a crash left, readable by all, does not lend its mode.
        std::fs::write(folder.path().join("jwks.new"), "half").unwrap();
        one.store(&[key("a"), key("b")]).unwrap();
        let file = folder.path().join(FILE_NAME);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(one.load().unwrap().keys.len(), 2);
        assert!(other.load().is_none());
        one.store(&[key("c")]).unwrap();
        assert_eq!(one.load().unwrap().sources, [key("c")]);
        assert!(!folder.path().join("jwks.new").exists());
        for broken in ["", "{", "[]", r#"{"url": "https://id.example/jwks", "keys": []}"#] {
            std::fs::write(&file, broken).unwrap();
            assert!(one.load().is_none(), "{broken}");
        }
    }
}
