//! Tokens of the operator's own backend: JWTs signed with HS256, RS256, ES256 or EdDSA.
//!
//! Pure: keys and the time come in as arguments (`jwt_keys.rs` has them from files, `jwks/` from an address). The
//! algorithm belongs to the key, never to the token, so that a token cannot choose `none`, nor pass a public key off as
//! an HMAC secret.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header, Validation, dangerous, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use crate::base::limits::auth::{JWT_BYTES_MAX, KEYS_MAX, LEEWAY_S, SECRET_BYTES_MIN, SUBJECT_CHARS_MAX};

/// Shortest RSA modulus, bytes: 2,048 bits, as RFC 7518 asks.
const RSA_MODULUS_BYTES_MIN: usize = 256;

/// Stands in the first line of every private key in PEM.
const PRIVATE_MARK: &[u8] = b"PRIVATE KEY";

/// Claims of the operator's backend about who is calling.
#[derive(Debug, Clone, PartialEq)]
pub struct Claims {
    /// Names the user, 1 to [`SUBJECT_CHARS_MAX`] characters.
    pub sub: String,
    /// Moment of issue, seconds since 1970; a token from before "log out everywhere" is not taken.
    pub iat: Option<u64>,
    /// End of the token, seconds since 1970.
    pub exp: u64,
    /// A name to show (`name`).
    pub name: Option<String>,
    /// A wish for a handle (`handle`, else `preferred_username`); not checked.
    pub handle: Option<String>,
}

/// Why a token was not taken. For logs; clients read only that it was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not a JWT.
    #[error("not a JWT")]
    Malformed,
    /// No key fits its `kid` and `alg`.
    #[error("no key fits the token's kid and alg")]
    UnknownKey,
    /// The signature is not that of any key that fits.
    #[error("the signature is wrong")]
    Signature,
    /// `exp` has passed.
    #[error("the token has expired")]
    Expired,
    /// `nbf` or `iat` is in the future.
    #[error("the token is not valid yet")]
    NotYet,
    /// Made by another issuer.
    #[error("iss is not the configured issuer")]
    Issuer,
    /// Made for another audience.
    #[error("aud does not name the configured audience")]
    Audience,
    /// Made for another app of the same backend.
    #[error("azp is not among the configured authorized parties")]
    Party,
    /// Key that may be new, while too many requests wait for newer keys already.
    #[error("too many requests wait for newer keys")]
    Busy,
    /// A claim is missing or not of its type.
    #[error("the claim {0} is missing or not of its type")]
    Claim(&'static str),
}

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not of a supported kind, or not parsable.
    #[error("not a key for HS256, RS256, ES256 or EdDSA: {0}")]
    Unusable(String),
    /// Not a document with keys.
    #[error("not a JWKS (`{{\"keys\": [...]}}`): {0}")]
    NoJwks(String),
    /// A secret in a document that everybody can read.
    #[error("a published key must not hold a secret")]
    Secret,
    /// Too short to be safe.
    #[error("the key is too short: {0}")]
    Weak(String),
}

/// Key; it verifies one algorithm only.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
}

impl VerifyingKey {
    /// An HS256 secret, at least [`SECRET_BYTES_MIN`] bytes.
    pub fn hs256(secret: &[u8]) -> Result<Self, KeyError> {
        Self::checked(None, Algorithm::HS256, DecodingKey::from_secret(secret), secret.len())
    }

    /// A public key in PEM: RSA (RS256), P-256 (ES256) or Ed25519 (EdDSA). A private key is refused: it must not leave
    /// its backend.
    pub fn pem(pem: &[u8]) -> Result<Self, KeyError> {
        if pem.windows(PRIVATE_MARK.len()).any(|window| window == PRIVATE_MARK) {
            return Err(KeyError::Unusable("this is a private key; give the public one".to_owned()));
        }
        let unusable = |cause: jsonwebtoken::errors::Error| KeyError::Unusable(cause.to_string());
        if let Ok(decoding) = DecodingKey::from_ed_pem(pem) {
            return Self::checked(None, Algorithm::EdDSA, decoding, 0);
        }
        if let Ok(decoding) = DecodingKey::from_ec_pem(pem) {
            return Self::checked(None, Algorithm::ES256, decoding, 0);
        }
        let decoding = DecodingKey::from_rsa_pem(pem).map_err(unusable)?;
        // The DER is the modulus and a few bytes more.
        let bytes = decoding.try_get_as_bytes().map_err(unusable)?.len();
        Self::checked(None, Algorithm::RS256, decoding, bytes)
    }

    /// Key of a JWKS. `kty` and `crv` decide the algorithm; `use`, `key_ops` and `alg` must allow it.
    pub fn jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => Algorithm::EdDSA,
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => Algorithm::ES256,
            AlgorithmParameters::OctetKey(_) => Algorithm::HS256,
            _ => return Err(KeyError::Unusable("kty or crv is not supported".to_owned())),
        };
        let common = &jwk.common;
        let signs = common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
        let verifies = |operations: &Vec<KeyOperations>| operations.contains(&KeyOperations::Verify);
        let same = common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm));
        if !signs || !same || !common.key_operations.as_ref().is_none_or(verifies) {
            return Err(KeyError::Unusable(format!("use, key_ops or alg do not allow {algorithm:?}")));
        }
        let decoding = DecodingKey::from_jwk(jwk).map_err(|cause| KeyError::Unusable(cause.to_string()))?;
        let bytes = match decoding.kind() {
            jsonwebtoken::DecodingKeyKind::SecretOrDer(bytes) => bytes.len(),
            jsonwebtoken::DecodingKeyKind::RsaModulusExponent { n, .. } => n.len(),
        };
        Self::checked(common.key_id.clone(), algorithm, decoding, bytes)
    }

    fn checked(
        kid: Option<String>,
        algorithm: Algorithm,
        decoding: DecodingKey,
        bytes: usize,
    ) -> Result<Self, KeyError> {
        let bytes_min = match algorithm {
            Algorithm::HS256 => SECRET_BYTES_MIN,
            Algorithm::RS256 => RSA_MODULUS_BYTES_MIN,
            _ => 0,
        };
        if bytes < bytes_min {
            return Err(KeyError::Weak(format!(
                "{algorithm:?} needs at least {bytes_min} bytes, this one has {bytes}"
            )));
        }
        // Verifies nothing, but builds the verifier: a broken key is found when it is loaded, not at the first request.
        jsonwebtoken::crypto::verify("", b"", &decoding, algorithm)
            .map_err(|cause| KeyError::Unusable(cause.to_string()))?;
        Ok(Self { kid, algorithm, decoding })
    }
}

/// Readers of a JWKS document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JwksReaders {
    /// The server only: secrets may be in it.
    Server,
    /// Everybody: a secret in it is none, so HMAC keys and private keys are left out.
    Everybody,
}

/// Content of a JWKS document.
#[derive(Debug, Default)]
pub struct Jwks {
    /// The keys that can verify, in their order, at most [`KEYS_MAX`].
    pub keys: Vec<VerifyingKey>,
    /// The keys as they stand in the document.
    pub sources: Vec<Value>,
    /// Number of keys left out: of another kind or use, broken, weak, secret, or too many.
    pub skipped: usize,
}

/// The usable keys of a JWKS document; `Err` when it is no JWKS. What is unknown in it is passed over.
pub fn parse_jwks(json: &str, readers: JwksReaders) -> Result<Jwks, KeyError> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document = serde_json::from_str(json).map_err(|cause| KeyError::NoJwks(cause.to_string()))?;
    let mut found = Jwks::default();
    for source in document.keys {
        match parse_jwk(&source, readers) {
            Ok(key) if found.keys.len() < KEYS_MAX => {
                found.keys.push(key);
                found.sources.push(source);
            }
            _ => found.skipped += 1,
        }
    }
    Ok(found)
}

fn parse_jwk(source: &Value, readers: JwksReaders) -> Result<VerifyingKey, KeyError> {
    // `k` is the secret of HMAC, `d` the private part of all others.
    if readers == JwksReaders::Everybody && (source["kty"] == "oct" || !source["k"].is_null() || !source["d"].is_null())
    {
        return Err(KeyError::Secret);
    }
    VerifyingKey::jwk(&Jwk::deserialize(source).map_err(|cause| KeyError::Unusable(cause.to_string()))?)
}

/// Claims of tokens that are taken.
#[derive(Debug, Clone)]
pub struct Expected {
    /// `iss` must be this, if given.
    pub issuer: Option<String>,
    /// `aud` must hold this, if given.
    pub audience: Option<String>,
    /// `azp`, where a token has it, must be one of these, if there are any.
    pub authorized_parties: Vec<String>,
    /// Seconds by which `iat` may be ahead.
    pub ahead_s: u32,
}

impl Default for Expected {
    fn default() -> Self {
        Self { issuer: None, audience: None, authorized_parties: Vec::new(), ahead_s: LEEWAY_S as u32 }
    }
}

/// Verifies `token` at `now_s` (seconds since 1970) with the keys that fit its `kid` and `alg`.
///
/// `exp` is required; `exp` and `nbf` are checked with [`LEEWAY_S`]. A token that names a `kid` is verified by the
/// keys of that name, or else by keys without a name (those of the settings); one that names none by all.
pub fn verify<'a>(
    token: &str,
    keys: impl IntoIterator<Item = &'a VerifyingKey> + Clone,
    expected: &Expected,
    now_s: f64,
) -> Result<Claims, JwtError> {
    let header = header(token)?;
    let named = header.kid.is_some() && keys.clone().into_iter().any(|key| key.kid == header.kid);
    let of_name = |key: &&VerifyingKey| match (&header.kid, named) {
        (None, _) => true,
        (Some(_), true) => key.kid == header.kid,
        (Some(_), false) => key.kid.is_none(),
    };
    let fitting = keys.into_iter().filter(|key| key.algorithm == header.alg).filter(of_name).take(KEYS_MAX);
    let mut refusal = JwtError::UnknownKey;
    for key in fitting {
        match decode::<Value>(token, &key.decoding, &signature_only(key.algorithm)) {
            Ok(data) => return check(&data.claims, expected, now_s),
            Err(error) if matches!(error.kind(), ErrorKind::InvalidSignature) => refusal = JwtError::Signature,
            Err(_) => return Err(JwtError::Malformed),
        }
    }
    Err(refusal)
}

/// Whether newer keys than the `published` ones could take a `token` that these and all others have refused: it names a
/// key that is not among them, or none while one of them has no name either.
///
/// A token that would be refused all the same, whatever key signed it, needs no newer keys. Nothing is believed here:
/// the signature is not looked at.
pub fn may_fit_newer_keys(token: &str, published: &[VerifyingKey], expected: &Expected, now_s: f64) -> bool {
    let Ok(header) = header(token) else { return false };
    let unknown = match &header.kid {
        Some(_) => published.iter().all(|key| key.kid != header.kid),
        None => published.iter().any(|key| key.kid.is_none()),
    };
    let published_kind = matches!(header.alg, Algorithm::RS256 | Algorithm::ES256 | Algorithm::EdDSA);
    unknown
        && published_kind
        && dangerous::insecure_decode_claims::<Value>(token).is_ok_and(|claims| check(&claims, expected, now_s).is_ok())
}

fn header(token: &str) -> Result<Header, JwtError> {
    if token.len() > JWT_BYTES_MAX {
        return Err(JwtError::Malformed);
    }
    let header = decode_header(token).map_err(|_| JwtError::Malformed)?;
    // RFC 7515: extensions that one does not understand must not be ignored.
    if header.crit.is_some() { Err(JwtError::Malformed) } else { Ok(header) }
}

/// Claims are checked here, against a clock that tests can set.
fn signature_only(algorithm: Algorithm) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn check(claims: &Value, expected: &Expected, now_s: f64) -> Result<Claims, JwtError> {
    let exp = date(claims, "exp")?.ok_or(JwtError::Claim("exp"))?;
    let iat = date(claims, "iat")?;
    let nbf = date(claims, "nbf")?;
    if now_s >= exp + LEEWAY_S {
        return Err(JwtError::Expired);
    }
    let early = |from: Option<f64>, leeway_s: f64| from.is_some_and(|from| from > now_s + leeway_s);
    if early(nbf, LEEWAY_S) || early(iat, f64::from(expected.ahead_s)) {
        return Err(JwtError::NotYet);
    }
    if expected.issuer.as_deref().is_some_and(|issuer| claims["iss"] != issuer) {
        return Err(JwtError::Issuer);
    }
    if let Some(audience) = &expected.audience {
        let among = |aud: &Value| aud.as_array().is_some_and(|list| list.iter().any(|one| one == audience));
        if claims["aud"] != *audience && !among(&claims["aud"]) {
            return Err(JwtError::Audience);
        }
    }
    let parties = &expected.authorized_parties;
    if !parties.is_empty() && !claims["azp"].is_null() && parties.iter().all(|party| claims["azp"] != *party) {
        return Err(JwtError::Party);
    }
    let sub = text(claims, "sub").ok_or(JwtError::Claim("sub"))?;
    if sub.is_empty() || sub.chars().count() > SUBJECT_CHARS_MAX || sub.chars().any(char::is_control) {
        return Err(JwtError::Claim("sub"));
    }
    let handle = text(claims, "handle").or_else(|| text(claims, "preferred_username"));
    Ok(Claims { sub, iat: iat.map(|at| at as u64), exp: exp as u64, name: text(claims, "name"), handle })
}

/// A NumericDate: seconds since 1970, maybe with a fraction.
fn date(claims: &Value, name: &'static str) -> Result<Option<f64>, JwtError> {
    match &claims[name] {
        Value::Null => Ok(None),
        value => value.as_f64().filter(|at| at.is_finite() && *at >= 0.0).map(Some).ok_or(JwtError::Claim(name)),
    }
}

fn text(claims: &Value, name: &str) -> Option<String> {
    claims[name].as_str().map(str::to_owned)
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
