//! Names as people search for them: which spellings are the same, and under which keys a person is found.
//!
//! Pure. `fold.rs` writes a row for each key, and the search looks for what begins like the key of its query.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};

use crate::base::limits;

/// First characters of handles: everybody who ever had an account here was found by one.
pub const FIRST_OF_HANDLES: &str = "0123456789_abcdefghijklmnopqrstuvwxyz";

/// Key that all spellings of a name share: canonical caseless matching of the Unicode Standard (D145), composed. So
/// `Jürgen` is found in either normal form and any case, and `STRASSE` finds `Straße`.
#[must_use]
pub fn search_key(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let decomposed = DecomposingNormalizerBorrowed::new_nfd().normalize(text);
    let folded = CaseMapper::new().fold_string(&decomposed);
    let mut key = composed(&folded).into_owned();
    key.truncate(key.floor_char_boundary(limits::NAME_KEY_BYTES_MAX));
    key
}

/// The text with each letter and its marks as one character where there is one (NFC).
#[must_use]
pub fn composed(text: &str) -> Cow<'_, str> {
    ComposingNormalizerBorrowed::new_nfc().normalize(text)
}

/// The keys by which a person is found, lowest first: of the handle, the display name, and each further word of it.
#[must_use]
pub fn search_keys(handle: &str, display_name: Option<&str>) -> Vec<String> {
    let mut found: Vec<String> = vec![search_key(handle)];
    if let Some(name) = display_name {
        let name = search_key(name);
        found.extend(name.split_whitespace().skip(1).take(limits::NAME_WORDS_MAX).map(str::to_owned));
        found.push(name);
    }
    found.retain(|name| !name.is_empty());
    found.sort_unstable();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn nfd(text: &str) -> String {
        DecomposingNormalizerBorrowed::new_nfd().normalize(text).into_owned()
    }

    #[test]
    fn spellings_of_the_same_name_have_the_same_key() {
        for (one, other) in [
            ("Jürgen", "ju\u{308}rgen"),
            ("김", "\u{1100}\u{1175}\u{11b7}"),
            ("Straße", "STRASSE"),
            ("ΣΊΣΥΦΟΣ", "σίσυφος"),
            ("Å", "\u{212b}"),
            ("ǅ", "ǆ"),
            ("ﬁ", "FI"),
            ("Ⴀ", "ⴀ"),
            ("\u{1e9}\u{323}", "\u{1e9}\u{323}"),
        ] {
            assert_eq!(search_key(one), search_key(other), "{one} and {other}");
        }
        assert_ne!(search_key("Ann"), search_key("Änn"));
        assert_eq!(search_key("Ann_9"), "ann_9");
    }

    #[test]
    fn a_key_is_bounded_whatever_a_letter_becomes() {
        // A note of one character and four bytes is three of twelve when it is taken apart, and stays so.
        let key = search_key(&"\u{1d160}".repeat(50));
        assert_eq!(key.len(), limits::NAME_KEY_BYTES_MAX);
        assert_eq!(search_key(&key), key);
    }

    #[test]
    fn a_person_is_found_by_handle_name_and_further_words() {
        assert_eq!(search_keys("Zoe", Some("Ann Maria  O\u{308}z")), ["ann maria  öz", "maria", "zoe", "öz"]);
        assert_eq!(search_keys("ann", Some("ANN")), ["ann"]);
    }

    proptest! {
        #[test]
        fn a_key_is_its_own_key_whatever_the_normal_form(text in any::<String>()) {
            let key = search_key(&text);
            prop_assert_eq!(search_key(&nfd(&text)), key.clone());
            prop_assert_eq!(search_key(&composed(&text)), key.clone());
            prop_assert_eq!(search_key(&nfd(&key)), key.clone());
            prop_assert_eq!(search_key(&key), key);
        }
    }
}
