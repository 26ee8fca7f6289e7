//! The keys of the operator's backend, from settings, files and an address, kept fresh: the shell around `jwt.rs`.
//!
//! Authentication calls [`JwtVerifier::verify`] with every bearer token that is not one of ours. A JWKS file may change
//! while the server runs, as may what the provider publishes (`jwks/`); the other keys are read once at the start.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use parking_lot::{Mutex, RwLock};

use super::jwks::fetch::Fetcher;
use super::jwks::kept::Kept;
use super::jwks::published::{Newer, Pace, PublishedKeys};
use super::jwt::{self, Claims, Expected, JwksReaders, JwtError, VerifyingKey};
use crate::base::error::{Error, Result};
use crate::base::limits::auth::{JWKS_RELOAD_INTERVAL, KEY_FILE_BYTES_MAX, KEYS_MAX};
use crate::config::{JwksUrl, Settings};

/// Sources of keys, and what tokens must say; nothing set means that JWTs are not taken.
#[derive(Debug, Clone, Default)]
pub struct JwtSettings {
    /// Secret for HS256, at least 32 bytes.
    pub hs256_secret: Option<String>,
    /// PEM files with RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA) public keys.
    pub public_keys_files: Vec<PathBuf>,
    /// A JWKS document, read again when it changes.
    pub jwks_file: Option<PathBuf>,
    /// A JWKS document that a provider publishes.
    pub published: Option<PublishedSettings>,
    /// Required `iss`, `aud` and `azp`.
    pub expected: Expected,
}

/// Keys that a provider publishes: where, and when to fetch them.
#[derive(Debug, Clone)]
pub struct PublishedSettings {
    /// The address.
    pub url: JwksUrl,
    /// Certificates that vouch for it; without it those that Mozilla trusts.
    pub ca_file: Option<PathBuf>,
    /// Folder where the last good set is kept.
    pub data_dir: PathBuf,
    /// Pace of fetching it.
    pub pace: Pace,
}

impl JwtSettings {
    /// Settings of JWTs, out of a server's.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let auth = &settings.auth;
        let published = auth.jwt_jwks_url.clone().map(|url| PublishedSettings {
            url,
            ca_file: auth.jwt_jwks_ca_file.clone(),
            data_dir: settings.server.data_dir.clone(),
            pace: Pace::default(),
        });
        Self {
            hs256_secret: auth.jwt_hs256_secret.as_ref().map(|secret| secret.0.clone()),
            public_keys_files: auth.jwt_public_key_files.clone(),
            jwks_file: auth.jwt_jwks_file.clone(),
            published,
            expected: Expected {
                issuer: auth.jwt_issuer.clone(),
                audience: auth.jwt_audience.clone(),
                authorized_parties: auth.jwt_authorized_parties.clone(),
                ahead_s: auth.jwt_ahead_s,
            },
        }
    }
}

/// Verifies the operator's tokens. Shared by all requests.
#[derive(Debug)]
pub struct JwtVerifier {
    expected: Expected,
    fixed: Vec<VerifyingKey>,
    jwks_file: Option<PathBuf>,
    /// `fixed` and those of the JWKS file.
    keys: RwLock<Arc<[VerifyingKey]>>,
    published: Option<Arc<PublishedKeys>>,
    looked: Mutex<Looked>,
}

/// Memory of the last look at the JWKS file.
#[derive(Debug)]
struct Looked {
    at: Instant,
    version: Option<FileVersion>,
}

/// Two files with the same version are taken for the same.
type FileVersion = (SystemTime, u64);

impl JwtVerifier {
    /// Reads all keys, and fetches those that are published.
    ///
    /// # Errors
    /// [`Error::Setting`] names the setting or file that cannot be used.
    pub async fn open(settings: JwtSettings) -> Result<Self> {
        let mut fixed = Vec::new();
        if let Some(secret) = &settings.hs256_secret {
            fixed
                .push(VerifyingKey::hs256(secret.as_bytes()).map_err(|cause| invalid("auth.jwt_hs256_secret", cause))?);
        }
        for file in &settings.public_keys_files {
            let named = format!("auth.jwt_public_key_files: {}", file.display());
            let (pem, _) = read(file).map_err(|cause| invalid(&named, cause))?;
            fixed.push(VerifyingKey::pem(pem.as_bytes()).map_err(|cause| invalid(&named, cause))?);
        }
        if fixed.len() > KEYS_MAX {
            let many = format!("{} keys; at most {KEYS_MAX} are taken", fixed.len());
            return Err(invalid("auth.jwt_public_key_files", many));
        }
        let mut version = None;
        let mut keys = fixed.clone();
        if let Some(file) = &settings.jwks_file {
            let named = |cause| invalid(&format!("auth.jwt_jwks_file: {}", file.display()), cause);
            let (of_file, file_version) = load_jwks(file).map_err(named)?;
            keys.extend(of_file);
            version = Some(file_version);
        }
        let published = match settings.published {
            Some(published) => Some(Arc::new(open_published(published).await?)),
            None => None,
        };
        let looked = Mutex::new(Looked { at: Instant::now(), version });
        let (expected, jwks_file) = (settings.expected, settings.jwks_file);
        Ok(Self { expected, fixed, jwks_file, keys: RwLock::new(keys.into()), published, looked })
    }

    /// Whether any key is or may become known; if not, no bearer token needs to be looked at as a JWT.
    #[must_use]
    pub fn enabled(&self) -> bool {
        self.jwks_file.is_some() || self.published.is_some() || !self.fixed.is_empty()
    }

    /// Milliseconds by which the clock of who issues tokens may be ahead.
    #[must_use]
    pub fn ahead_ms(&self) -> u64 {
        u64::from(self.expected.ahead_s) * 1_000
    }

    /// Remarks on these settings for an operator, a sentence each: nothing is wrong enough to stop.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        let Some(published) = &self.published else { return Vec::new() };
        let mut remarks = Vec::new();
        if let Some(trouble) = published.trouble() {
            remarks.push(format!(
                "auth.jwt_jwks_url cannot be fetched now: {trouble}; the keys kept in the data folder serve"
            ));
        }
        if self.expected.issuer.is_none() && self.expected.audience.is_none() {
            remarks.push(
                "auth.jwt_jwks_url without auth.jwt_issuer or auth.jwt_audience: every token that the provider signs is \
                 taken, also those that it makes for others"
                    .to_owned(),
            );
        }
        remarks
    }

    /// The work of keeping published keys fresh, if there are any: runs until it is dropped.
    pub fn refreshing(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.published.clone().map(PublishedKeys::run)
    }

    /// Verifies `token` at `now_s`, seconds since 1970; see [`jwt::verify`].
    ///
    /// Looks at the JWKS file's change time at most every two seconds, and then reads it on this thread: it is local
    /// and small. A file that went missing or bad leaves the keys as they were, with a warning. A token that newer
    /// published keys could verify waits until they are fetched, if the pace allows that.
    ///
    /// # Errors
    /// See [`JwtError`].
    pub async fn verify(&self, token: &str, now_s: f64) -> Result<Claims, JwtError> {
        self.refresh(Instant::now());
        let Some(published) = &self.published else { return self.verify_with(&[], token, now_s) };
        let mut seen = published.ended();
        let mut keys = published.keys();
        let mut verdict = self.verify_with(&keys, token, now_s);
        // Twice: the first fetch may have begun before the key was made.
        for _ in 0..2 {
            let refused = matches!(verdict, Err(JwtError::UnknownKey | JwtError::Signature));
            if !refused || !jwt::may_fit_newer_keys(token, &keys, &self.expected, now_s) {
                break;
            }
            match published.newer(seen).await {
                Newer::Look => {}
                Newer::None => break,
                Newer::Full => return Err(JwtError::Busy),
            }
            seen = published.ended();
            keys = published.keys();
            verdict = self.verify_with(&keys, token, now_s);
        }
        verdict
    }

    fn verify_with(&self, published: &[VerifyingKey], token: &str, now_s: f64) -> Result<Claims, JwtError> {
        let keys = Arc::clone(&self.keys.read());
        jwt::verify(token, keys.iter().chain(published), &self.expected, now_s)
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
                let all: Vec<VerifyingKey> = self.fixed.iter().cloned().chain(keys).collect();
                tracing::info!(file = %file.display(), keys = all.len(), "JWKS file read again");
                *self.keys.write() = all.into();
            }
            Err(error) => {
                tracing::warn!(file = %file.display(), %error, "JWKS file not usable, keeping the keys known");
            }
        }
    }
}

async fn open_published(settings: PublishedSettings) -> Result<PublishedKeys> {
    let PublishedSettings { url, ca_file, data_dir, pace } = settings;
    let kept = Kept::new(&data_dir, &url);
    let address = url.0.to_string();
    let fetcher =
        Fetcher::new(url, ca_file.as_deref(), pace.fetch).map_err(|cause| invalid("auth.jwt_jwks_ca_file", cause))?;
    PublishedKeys::open(fetcher, kept, pace).await.map_err(|trouble| {
        let advice = format!(
            "{address}: {trouble}; no keys were kept in {} before, so nobody could be let in",
            data_dir.display()
        );
        invalid("auth.jwt_jwks_url", advice)
    })
}

fn load_jwks(file: &Path) -> Result<(Vec<VerifyingKey>, FileVersion), String> {
    let (json, version) = read(file)?;
    let set = jwt::parse_jwks(&json, JwksReaders::Server).map_err(|cause| cause.to_string())?;
    if set.skipped > 0 {
        tracing::warn!(file = %file.display(), set.skipped, "JWKS keys that are not for HS256, RS256, ES256 or EdDSA are left out");
    }
    Ok((set.keys, version))
}

fn read(file: &Path) -> Result<(String, FileVersion), String> {
    let words = |cause: std::io::Error| cause.to_string();
    let meta = std::fs::metadata(file).map_err(words)?;
    if meta.len() > KEY_FILE_BYTES_MAX {
        return Err(format!("larger than {KEY_FILE_BYTES_MAX} bytes"));
    }
    // The version is taken before the content: a change in between is found at the next look.
    let version = (meta.modified().map_err(words)?, meta.len());
    Ok((std::fs::read_to_string(file).map_err(words)?, version))
}

fn invalid(what: &str, cause: impl std::fmt::Display) -> Error {
    Error::Setting(format!("{what}: {cause}"))
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

    #[tokio::test]
    async fn a_jwks_file_that_changes_is_read_again_and_one_that_breaks_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("jwks.json");
        let (first, second) = ("first secret, 32 bytes long, yes", "second secret, also long enough!!!");
        std::fs::write(&file, oct_jwks("one", first)).unwrap();
        let settings = JwtSettings { jwks_file: Some(file.clone()), ..JwtSettings::default() };
        let verifier = JwtVerifier::open(settings).await.unwrap();
        let start = Instant::now();
        assert!(verifier.verify(&token("one", first), NOW_S).await.is_ok());

        std::fs::write(&file, oct_jwks("two", second)).unwrap();
        verifier.refresh(start);
        assert_eq!(verifier.verify(&token("two", second), NOW_S).await, Err(JwtError::UnknownKey), "looked too soon");
        verifier.refresh(start + JWKS_RELOAD_INTERVAL * 2);
        assert!(verifier.verify(&token("two", second), NOW_S).await.is_ok());
        assert_eq!(verifier.verify(&token("one", first), NOW_S).await, Err(JwtError::UnknownKey));

        for broken in [Some("{"), None] {
            match broken {
                Some(content) => std::fs::write(&file, content).unwrap(),
                None => std::fs::remove_file(&file).unwrap(),
            }
            verifier.refresh(start + JWKS_RELOAD_INTERVAL * if broken.is_some() { 4 } else { 6 });
            assert!(verifier.verify(&token("two", second), NOW_S).await.is_ok());
        }
    }

    #[tokio::test]
    async fn settings_that_cannot_be_used_name_the_file() {
        let missing = JwtSettings { public_keys_files: vec!["/nowhere/key.pem".into()], ..JwtSettings::default() };
        assert!(JwtVerifier::open(missing).await.unwrap_err().to_string().contains("/nowhere/key.pem"));
        let short = JwtSettings { hs256_secret: Some("short".to_owned()), ..JwtSettings::default() };
        assert!(JwtVerifier::open(short).await.unwrap_err().to_string().contains("auth.jwt_hs256_secret"));
        assert!(!JwtVerifier::open(JwtSettings::default()).await.unwrap().enabled());
    }
}
