//! Aliases: codes that people choose. Pure.

use fanfare_protocol::FieldError;

use crate::base::limits::links::ALIAS_BYTES_MAX;

/// First segments of the server's own paths, without regard to case: as an alias on the short host they would look like
/// those. A test compares them with the list of routes.
pub const RESERVED: [&str; 9] = ["admin", "api", "demo", "docs", "healthz", "media", "metrics", "readyz", "v1"];

/// Whether a code of a request can be one at all.
#[must_use]
pub fn is_code(text: &str) -> bool {
    (1..=ALIAS_BYTES_MAX).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}

/// Takes an alias.
///
/// # Errors
/// 422 that says what is wrong with it.
pub fn check(alias: &str) -> Result<(), FieldError> {
    let wrong = |message: String| FieldError { field: "alias".to_owned(), message };
    if !is_code(alias) {
        return Err(wrong(format!("must be 1 to {ALIAS_BYTES_MAX} of A-Z a-z 0-9 _ -")));
    }
    if RESERVED.contains(&alias.to_ascii_lowercase().as_str()) || alias == "s" {
        return Err(wrong("is reserved for the server's own pages".to_owned()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_letters_digits_dashes_and_underscores_and_none_of_the_servers_own() {
        for good in ["a", "Spring-Sale_2027", "-", "rest", "S", "v2", &"x".repeat(64)] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é", "a.b", "%41", &"x".repeat(65)] {
            assert!(check(bad).is_err_and(|error| error.message.contains("64")), "{bad}");
        }
        for reserved in ["v1", "V1", "s", "healthz", "Docs"] {
            assert!(check(reserved).is_err_and(|error| error.message.contains("reserved")), "{reserved}");
        }
    }
}
