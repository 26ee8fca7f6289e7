//! Bearer tokens of our own: opaque, random, stored only as a hash.
//!
//! Made at log-in, looked up by hash at every request. A reader of the tables cannot use what it finds there.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::base::error::{Error, Result};

/// Prefix of every token: tells it from a JWT, and lets scanners of leaked secrets find it.
const TOKEN_PREFIX: &str = "ff_";
/// Random bytes in a token.
const SECRET_BYTES: usize = 32;
/// Characters of 32 bytes in base64url without padding.
const SECRET_CHARS: usize = 43;

/// SHA-256 of a whole token: the key under which a session is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub [u8; 32]);

impl TokenHash {
    /// The hash as text, in base64url.
    #[must_use]
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }
}

/// A number that names one attempt at a unique row and its retries, and no other attempt ever: 63 random bits, so that
/// no clock, restart or node repeats it. Never 0.
pub fn attempt() -> Result<u64> {
    let number = getrandom::u64().map_err(|cause| Error::Internal(format!("no randomness: {cause}")))?;
    Ok((number >> 1).max(1))
}

/// A token and its hash; the token is shown to the client once and kept nowhere.
#[derive(Clone)]
pub struct NewToken {
    /// Token as the client sends it, 46 ASCII characters.
    pub token: String,
    /// Hash that is stored.
    pub hash: TokenHash,
}

/// A fresh token from the system's random source; [`Error::Internal`] when that fails.
pub fn generate() -> Result<NewToken> {
    let mut secret = [0_u8; SECRET_BYTES];
    getrandom::fill(&mut secret).map_err(|cause| Error::Internal(format!("no randomness: {cause}")))?;
    let token = format!("{TOKEN_PREFIX}{}", URL_SAFE_NO_PAD.encode(secret));
    let hash = digest(&token);
    Ok(NewToken { token, hash })
}

/// The hash under which `token` would be stored; `None` when it cannot be one of ours, so that no look-up is needed.
///
/// The hash needs no salt: the secret has 256 random bits. Looking it up by equality leaks nothing useful in time,
/// because what is compared is the hash.
#[must_use]
pub fn hash_of(token: &str) -> Option<TokenHash> {
    let secret = token.strip_prefix(TOKEN_PREFIX)?;
    let shaped =
        secret.len() == SECRET_CHARS && secret.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    shaped.then(|| digest(token))
}

/// SHA-256 of any token.
#[must_use]
pub fn digest(token: &str) -> TokenHash {
    TokenHash(Sha256::digest(token.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_again_by_its_hash_and_no_two_are_the_same() {
        let (first, second) = (generate().unwrap(), generate().unwrap());
        assert_eq!(first.token.len(), TOKEN_PREFIX.len() + SECRET_CHARS);
        assert_eq!(hash_of(&first.token), Some(first.hash));
        assert_ne!(first.token, second.token);
        assert_ne!(first.hash, second.hash);
    }

    #[test]
    fn what_is_not_shaped_like_a_token_needs_no_look_up() {
        let token = generate().unwrap().token;
        let cut = &token[..token.len() - 1];
        let foreign = token.replacen("ff_", "gg_", 1);
        let padded = format!("{token}=");
        for wrong in
            ["", "ff_", cut, &foreign, &padded, &format!("ff_{}", "ä".repeat(22)), &format!("ff_{}", "!".repeat(43))]
        {
            assert_eq!(hash_of(wrong), None, "{wrong} was hashed");
        }
    }
}
