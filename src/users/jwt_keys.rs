//! The keys of the operator's backend, from settings and files, kept fresh: the shell around `jwt.rs`.
//!
//! Authentication calls [`JwtVerifier::verify`] with every bearer token that is not one of ours. A JWKS file may change
//! while the server runs; the other keys are read once at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::{Mutex, RwLock};

use super::jwt::{self, Claims, Expected, JwtError, Key};
use crate::error::{Error, Result};
use crate::limits::auth::{JWKS_RELOAD_INTERVAL, KEY_FILE_BYTES_MAX, KEYS_MAX};

/// Where keys come from and what tokens must say; nothing set means that JWTs are not taken.
#[derive(Debug, Clone, Default)]
pub struct JwtSettings {
    /// Secret for HS256, at least 16 bytes; 32 are better.
    pub hs256_secret: Option<String>,
    /// PEM files with RSA (RS256) or Ed25519 (EdDSA) public keys.
    pub public_keys_files: Vec<PathBuf>,
    /// A JWKS document, read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// Required `iss` and `aud`.
    pub expected: Expected,
}

/// Verifies the operator's tokens. Shared by all requests.
#[derive(Debug)]
pub struct JwtVerifier {
    expected: Expected,
    fixed: Vec<Key>,
    jwks_file: Option<PathBuf>,
    /// `fixed` and those of the JWKS file.
    keys: RwLock<Arc<[Key]>>,
    looked: Mutex<Looked>,
}

/// What is known of the JWKS file.
#[derive(Debug)]
struct Looked {
    at: Instant,
    version: Option<FileVersion>,
}

/// Two files with the same version are taken for the same.
type FileVersion = (SystemTime, u64);

impl JwtVerifier {
    /// Reads all keys; [`Error::Internal`] names the file or setting that cannot be used.
    pub fn new(settings: JwtSettings) -> Result<Self> {
        let mut fixed = Vec::new();
        if let Some(secret) = &settings.hs256_secret {
            fixed.push(Key::hs256(secret.as_bytes()).map_err(|cause| invalid("the HS256 secret", cause))?);
        }
        for file in &settings.public_keys_files {
            fixed
                .push(Key::pem(read(file)?.0.as_bytes()).map_err(|cause| invalid(&file.display().to_string(), cause))?);
        }
        let mut version = None;
        let mut keys = fixed.clone();
        if let Some(file) = &settings.jwks_file {
            let (of_file, file_version) = load_jwks(file)?;
            keys.extend(of_file);
            version = Some(file_version);
        }
        if keys.len() > KEYS_MAX {
            return Err(Error::Internal(format!("JWT settings: {} keys; at most {KEYS_MAX} are taken", keys.len())));
        }
        let looked = Mutex::new(Looked { at: Instant::now(), version });
        let (expected, jwks_file) = (settings.expected, settings.jwks_file);
        Ok(Self { expected, fixed, jwks_file, keys: RwLock::new(keys.into()), looked })
    }

    /// Whether any key is or may become known; if not, no bearer token needs to be looked at as a JWT.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.jwks_file.is_some() || !self.fixed.is_empty()
    }

    /// Verifies `token` at `now_s`, seconds since 1970; see [`jwt::verify`].
    ///
    /// Looks at the JWKS file's change time at most every two seconds, and then reads it on this thread: it is local and
    /// small. A file that went missing or bad leaves the keys as they were, with a warning.
    pub fn verify(&self, token: &str, now_s: f64) -> Result<Claims, JwtError> {
        self.refresh(Instant::now());
        let keys = Arc::clone(&self.keys.read());
        jwt::verify(token, &keys, &self.expected, now_s)
    }

    fn refresh(&self, now: Instant) {
        let Some(file) = &self.jwks_file else { return };
        // Somebody else is looking: go on with the keys there are.
        let Some(mut looked) = self.looked.try_lock() else { return };
        if now.saturating_duration_since(looked.at) < JWKS_RELOAD_INTERVAL {
            return;
        }
        looked.at = now;
        let version = std::fs::metadata(file).ok().and_then(|meta| Some((meta.modified().ok()?, meta.len())));
        if version == looked.version {
            return;
        }
        looked.version = version;
        match load_jwks(file) {
            Ok((keys, version)) => {
                looked.version = Some(version);
                let all: Vec<Key> = self.fixed.iter().cloned().chain(keys).take(KEYS_MAX).collect();
                tracing::info!(file = %file.display(), keys = all.len(), "JWKS file read again");
                *self.keys.write() = all.into();
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "JWKS file not usable, keeping the keys known");
            }
        }
    }
}

fn load_jwks(file: &Path) -> Result<(Vec<Key>, FileVersion)> {
    let (json, version) = read(file)?;
    let (keys, skipped) = jwt::parse_jwks(&json).map_err(|cause| invalid(&file.display().to_string(), cause))?;
    if skipped > 0 {
        tracing::warn!(file = %file.display(), skipped, "JWKS keys that are not for HS256, RS256 or EdDSA are left out");
    }
    Ok((keys, version))
}

fn read(file: &Path) -> Result<(String, FileVersion)> {
    let named = |cause: std::io::Error| invalid(&file.display().to_string(), cause);
    let meta = std::fs::metadata(file).map_err(named)?;
    if meta.len() > KEY_FILE_BYTES_MAX {
        return Err(invalid(&file.display().to_string(), format!("larger than {KEY_FILE_BYTES_MAX} bytes")));
    }
    // The version is taken before the content: a change in between is found at the next look.
    let version = (meta.modified().map_err(named)?, meta.len());
    Ok((std::fs::read_to_string(file).map_err(named)?, version))
}

fn invalid(what: &str, cause: impl std::fmt::Display) -> Error {
    Error::Internal(format!("JWT settings: {what}: {cause}"))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
    use serde_json::json;

    use super::*;

    const NOW_S: f64 = 1_800_000_000.0;

    fn oct_jwks(kid: &str, secret: &str) -> String {
        let k = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, secret);
        json!({ "keys": [{ "kty": "oct", "kid": kid, "k": k }, { "kty": "EC", "crv": "P-256", "x": "", "y": "" }] })
            .to_string()
    }

    fn token(kid: &str, secret: &str) -> String {
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::HS256) };
        encode(&header, &json!({ "sub": "ann", "exp": NOW_S + 60.0 }), &EncodingKey::from_secret(secret.as_bytes()))
            .unwrap()
    }

    #[test]
    fn a_jwks_file_that_changes_is_read_again_and_one_that_breaks_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        let (first, second) = ("first secret, 32 bytes long, yes", "second secret, also long enough!!!");
        std::fs::write(&file, oct_jwks("one", first)).unwrap();
        let settings = JwtSettings { jwks_file: Some(file.clone()), ..JwtSettings::default() };
        let verifier = JwtVerifier::new(settings).unwrap();
        let start = Instant::now();
        assert!(verifier.verify(&token("one", first), NOW_S).is_ok());

        std::fs::write(&file, oct_jwks("two", second)).unwrap();
        verifier.refresh(start);
        assert_eq!(verifier.verify(&token("two", second), NOW_S), Err(JwtError::UnknownKey), "looked too soon");
        verifier.refresh(start + JWKS_RELOAD_INTERVAL * 2);
        assert!(verifier.verify(&token("two", second), NOW_S).is_ok());
        assert_eq!(verifier.verify(&token("one", first), NOW_S), Err(JwtError::UnknownKey));

        for broken in [Some("{"), None] {
            match broken {
                Some(content) => std::fs::write(&file, content).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            verifier.refresh(start + JWKS_RELOAD_INTERVAL * if broken.is_some() { 4 } else { 6 });
            assert!(verifier.verify(&token("two", second), NOW_S).is_ok());
        }
    }

    #[test]
    fn settings_that_cannot_be_used_name_the_file() {
        let missing = JwtSettings { public_keys_files: vec!["/nowhere/key.pem".into()], ..JwtSettings::default() };
        assert!(JwtVerifier::new(missing).unwrap_err().to_string().contains("/nowhere/key.pem"));
        let short = JwtSettings { hs256_secret: Some("short".to_owned()), ..JwtSettings::default() };
        assert!(JwtVerifier::new(short).unwrap_err().to_string().contains("HS256 secret"));
        assert!(!JwtVerifier::new(JwtSettings::default()).unwrap().enabled());
    }
}
