//! Handles: the unique names that people choose, and what makes two of them the same.
//!
//! Pure. Registration checks and reserves by [`Handle::key`]; look-ups and mentions go by the same key.

use std::fmt;

use fanfare_protocol::Id;
use sha2::{Digest, Sha256};

use crate::base::id::unix_ms_of;

/// Most characters in a handle; all are ASCII, so bytes too.
pub const HANDLE_CHARS_MAX: usize = 30;
/// Characters of the suffix by which derived handles dodge taken ones.
const SUFFIX_CHARS: usize = 6;

const DAY_MS: u64 = 86_400_000;

/// Names that routes, the server itself or people who pose as it would use; sorted, lowercase.
const RESERVED: &[&str] = &[
    "about",
    "account",
    "admin",
    "administrator",
    "all",
    "anonymous",
    "api",
    "auth",
    "channel",
    "deleted",
    "everyone",
    "fanfare",
    "feed",
    "help",
    "here",
    "home",
    "live",
    "login",
    "logout",
    "me",
    "media",
    "mod",
    "moderator",
    "notifications",
    "null",
    "official",
    "operator",
    "owner",
    "posts",
    "privacy",
    "public",
    "register",
    "root",
    "search",
    "security",
    "settings",
    "signup",
    "staff",
    "support",
    "system",
    "terms",
    "undefined",
    "users",
    "webmaster",
    "www",
];

/// A valid handle as its owner writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(String);

/// Why a text is not a handle that one may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// No characters.
    #[error("must not be empty")]
    Empty,
    /// More than [`HANDLE_CHARS_MAX`].
    #[error("must have at most {HANDLE_CHARS_MAX} characters")]
    TooLong,
    /// Something other than letters, digits and underscore.
    #[error("may hold only the letters a-z and A-Z, digits and underscore")]
    Character,
    /// Kept for the server.
    #[error("is reserved; choose another one")]
    Reserved,
}

impl Handle {
    /// Checks the shape: 1 to 30 of `A-Z a-z 0-9 _`. Reserved names pass: this is for look-ups.
    pub fn parse(text: &str) -> Result<Self, HandleError> {
        if text.is_empty() {
            return Err(HandleError::Empty);
        }
        if !text.bytes().all(is_handle_byte) {
            return Err(HandleError::Character);
        }
        if text.len() > HANDLE_CHARS_MAX {
            return Err(HandleError::TooLong);
        }
        Ok(Self(text.to_owned()))
    }

    /// Parses a handle that somebody wants to take: reserved names are refused.
    pub fn parse_new(text: &str) -> Result<Self, HandleError> {
        let handle = Self::parse(text)?;
        if is_reserved(&handle.key()) { Err(HandleError::Reserved) } else { Ok(handle) }
    }

    /// Text as the owner writes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number by which locks tell handles apart: the same for all spellings of one.
    #[must_use]
    pub fn stripe(&self) -> u64 {
        Id::from_bytes(&Sha256::digest(self.key().as_bytes())).unwrap_or_default().0
    }

    /// Lowercase: two handles with the same key are the same handle.
    #[must_use]
    pub fn key(&self) -> String {
        key_of(&self.0)
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a byte may stand in a handle.
#[must_use]
pub const fn is_handle_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The key of a handle that is known to be one.
#[must_use]
pub fn key_of(handle: &str) -> String {
    handle.to_ascii_lowercase()
}

/// Moment (milliseconds since the Unix epoch) until which the handle of an account stays reserved that record
/// `deleted_by` deleted. Without the record, from before it was kept, it is free.
#[must_use]
pub fn reserved_until_ms(deleted_by: Option<Id>, reserved_days: u32) -> u64 {
    deleted_by.map_or(0, |record| unix_ms_of(record) + u64::from(reserved_days) * DAY_MS)
}

fn is_reserved(key: &str) -> bool {
    RESERVED.contains(&key)
}

/// A handle for a person whom a foreign token names by `subject`, from a `wish` such as the token's `handle` claim.
///
/// Attempt 0 is the wish itself as far as its characters allow; further attempts end in a suffix made from the subject
/// and the attempt, for when a handle is taken. The same input always gives the same handle.
#[must_use]
pub fn derive(wish: &str, subject: &str, attempt: u32) -> Handle {
    let base: String = wish.chars().map(|c| if c == '-' || c == '.' { '_' } else { c }).collect();
    let base: String = base.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(HANDLE_CHARS_MAX).collect();
    if attempt == 0
        && let Ok(handle) = Handle::parse_new(&base)
    {
        return handle;
    }
    let hash = Sha256::new().chain_update(subject.as_bytes()).chain_update(attempt.to_be_bytes()).finalize();
    let suffix: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let base = if base.is_empty() { "user" } else { &base[..base.len().min(HANDLE_CHARS_MAX - 1 - SUFFIX_CHARS)] };
    Handle(format!("{base}_{}", &suffix[..SUFFIX_CHARS]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_has_1_to_30_ascii_letters_digits_or_underscores() {
        for right in ["a", "_", "0", "Ann_9", "u123456789", &"x".repeat(30)] {
            assert_eq!(Handle::parse_new(right).unwrap().as_str(), right);
        }
        assert_eq!(Handle::parse(""), Err(HandleError::Empty));
        assert_eq!(Handle::parse(&"x".repeat(31)), Err(HandleError::TooLong));
        for wrong in ["@ann", "a b", "a-b", "a.b", "änn", "ann\n", "ann\0", "安娜", "\u{ff41}nn"] {
            assert_eq!(Handle::parse(wrong), Err(HandleError::Character), "{wrong:?}");
        }
    }

    #[test]
    fn case_does_not_make_another_handle() {
        assert_eq!(Handle::parse("AnN").unwrap().key(), Handle::parse("aNn").unwrap().key());
    }

    #[test]
    fn reserved_names_can_be_looked_up_and_not_taken_in_any_case() {
        for name in ["me", "Admin", "API", "fanfare"] {
            assert_eq!(Handle::parse_new(name), Err(HandleError::Reserved), "{name}");
            assert!(Handle::parse(name).is_ok());
        }
    }

    #[test]
    fn handles_derived_for_a_subject_are_valid_repeatable_and_differ_by_attempt() {
        for wish in ["", "Ann", "ann.lee-1", "me", "安娜", &"y".repeat(80), "auth0|5f7c"] {
            let handles: Vec<Handle> = (0..4).map(|attempt| derive(wish, "auth0|5f7c", attempt)).collect();
            for (index, handle) in handles.iter().enumerate() {
                assert_eq!(Handle::parse_new(handle.as_str()).as_ref(), Ok(handle));
                assert!(!handles[..index].contains(handle), "{wish}: attempt {index} repeats");
            }
        }
        assert_eq!(derive("ann.lee", "s", 0).as_str(), "ann_lee");
        assert_ne!(derive("ann", "s1", 1), derive("ann", "s2", 1));
    }
}
