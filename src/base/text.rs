//! Texts without markup: which characters show, which may stand, and the cleaning that posts, names, bios and captions
//! share. Pure.

use icu_properties::props::{
    BinaryProperty as _, DefaultIgnorableCodePoint, EnumeratedProperty as _, GeneralCategory,
    PrependedConcatenationMark,
};

/// Why a text cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many characters, counted as Unicode scalar values after trimming.
    #[error("has {chars} characters; at most {chars_max} are allowed")]
    TooLong {
        /// Number of characters found.
        chars: usize,
        /// Number of characters allowed.
        chars_max: usize,
    },
    /// A control character other than newline and tab.
    #[error("holds the control character U+{0:04X}; only newline and tab are allowed")]
    Control(u32),
    /// A character that breaks the line, turns the direction of the words around a name, or is hidden in it.
    #[error("holds U+{0:04X}; a name has no line ends, nothing that changes the direction of text, and nothing hidden")]
    NotInNames(u32),
}

/// Checks and cleans a text without markup, such as a bio or a caption: trimmed, one kind of line end, no control
/// characters, at most `chars_max` Unicode scalar values. A text in which nothing can be seen is empty.
pub fn normalise(raw: &str, chars_max: usize) -> Result<String, TextError> {
    let trimmed = raw.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}');
    if is_blank(trimmed) {
        return Ok(String::new());
    }
    let text =
        if trimmed.contains('\r') { trimmed.replace("\r\n", "\n").replace('\r', "\n") } else { trimmed.to_owned() };
    if let Some(control) = text.chars().find(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(TextError::Control(control.into()));
    }
    let chars = text.chars().count();
    if chars > chars_max {
        return Err(TextError::TooLong { chars, chars_max });
    }
    Ok(text)
}

/// Normalises a name, which stands within a line of others' words: no line ends of any kind, nothing that turns the
/// direction of what follows it, and nothing hidden that tells two names apart which look the same.
pub fn normalise_name(raw: &str, chars_max: usize) -> Result<String, TextError> {
    let name = normalise(raw, chars_max)?;
    match name.chars().find(|c| !fits_a_name(*c)) {
        Some(c) => Err(TextError::NotInNames(c.into())),
        None => Ok(name),
    }
}

/// Rest of a name that cannot be refused, since somebody else's program gives it.
pub fn name_from_elsewhere(raw: &str, chars_max: usize) -> Option<String> {
    let kept: String = raw.chars().filter(|c| fits_a_name(*c)).collect();
    let cut: String = kept.trim().chars().take(chars_max).collect();
    normalise_name(&cut, chars_max).ok().filter(|name| !name.is_empty())
}

/// Whether a character fits a name. Not: control characters, line and paragraph separators, what embeds, isolates or
/// overrides a direction, and what is hidden.
pub fn fits_a_name(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{2028}' | '\u{2029}')
        && !matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        && !is_hidden(c)
}

/// Whether a character takes no room, and nothing that is written needs it.
fn is_hidden(c: char) -> bool {
    is_ignorable(c) && !c.is_whitespace() && !shapes(c)
}

/// Whether an invisible character has a part in how what is around it looks: what joins and parts letters (Persian,
/// Indic scripts, emoji), marks of direction, the grapheme joiner, variation selectors, tags (flags of regions).
const fn shapes(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{61c}' | '\u{34f}' | '\u{180b}'..='\u{180d}' | '\u{180f}')
        || matches!(c, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' | '\u{e0020}'..='\u{e007f}')
}

/// Whether nothing of `text` can be seen.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(shows_nothing)
}

/// Whether a character draws nothing by itself.
///
/// Derived: white space, control characters, what Unicode calls ignorable by default, and format characters but for
/// those that are drawn (`Prepended_Concatenation_Mark`). To these come the few whose glyph is blank by its name alone.
fn shows_nothing(c: char) -> bool {
    if c.is_ascii() {
        return c <= ' ' || c == '\u{7f}';
    }
    c.is_whitespace() || c.is_control() || is_ignorable(c) || is_blank_by_name(c)
}

/// Whether a character is ignored where it is drawn.
fn is_ignorable(c: char) -> bool {
    DefaultIgnorableCodePoint::for_char(c)
        || (GeneralCategory::for_char(c) == GeneralCategory::Format && !PrependedConcatenationMark::for_char(c))
}

/// Braille pattern blank, Khitan small script filler, Egyptian hieroglyph full and half blank, musical null notehead.
const fn is_blank_by_name(c: char) -> bool {
    matches!(c, '\u{2800}' | '\u{16fe4}' | '\u{13441}' | '\u{13442}' | '\u{1d159}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX: usize = 100;

    #[test]
    fn a_text_is_trimmed_and_has_one_kind_of_line_end() {
        assert_eq!(normalise(" \r\n a\r\nb\rc\t\u{3000}\n", 10).unwrap(), "a\nb\nc");
    }

    #[test]
    fn length_counts_unicode_scalar_values_after_trimming() {
        assert!(normalise("  你好👋🏽  ", 4).is_ok());
        assert_eq!(normalise("你好👋🏽!", 4), Err(TextError::TooLong { chars: 5, chars_max: 4 }));
        assert!(normalise("a\r\nb", 3).is_ok());
    }

    #[test]
    fn control_characters_are_refused_but_newline_and_tab_are_not() {
        assert!(normalise("a\n\tb", 10).is_ok());
        for control in ['\0', '\u{7}', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}'] {
            assert_eq!(normalise(&format!("a{control}b"), 10), Err(TextError::Control(control.into())));
        }
    }

    #[test]
    fn what_shows_nothing_is_blank_and_what_shows_something_is_not() {
        for blank in "\u{ad}\u{34f}\u{61c}\u{115f}\u{1160}\u{17b4}\u{180b}\u{180e}\u{200b}\u{200d}\u{202e}\u{2060}\u{2063}\u{206f}\u{2800}\u{3164}\u{fe0f}\u{feff}\u{ffa0}\u{fff9}\u{16fe4}\u{13441}\u{1bca0}\u{1d159}\u{1d173}\u{e0020}\u{e0100}\u{2028}\u{3000}".chars() {
            assert!(shows_nothing(blank), "U+{:04X}", u32::from(blank));
        }
        for seen in "a0.-é你👍\u{301}\u{600}\u{6dd}\u{fffd}\u{2801}\u{303f}\u{2422}".chars() {
            assert!(!shows_nothing(seen), "U+{:04X}", u32::from(seen));
        }
    }

    #[test]
    fn a_name_has_no_line_ends_and_turns_no_direction() {
        assert_eq!(normalise_name(" Ann\u{200f} ", MAX).unwrap(), "Ann\u{200f}");
        for c in "\n\t\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".chars()
        {
            let refused = normalise_name(&format!("Ann{c}nna"), MAX);
            assert_eq!(refused, Err(TextError::NotInNames(c.into())), "U+{:04X}", u32::from(c));
            assert_eq!(name_from_elsewhere(&format!("Ann{c}nna"), MAX).as_deref(), Some("Annnna"));
        }
        for hidden in
            "\u{ad}\u{115f}\u{180e}\u{200b}\u{2060}\u{2063}\u{206f}\u{3164}\u{feff}\u{ffa0}\u{fffb}\u{e0001}".chars()
        {
            let refused = normalise_name(&format!("Ann{hidden}nna"), MAX);
            assert_eq!(refused, Err(TextError::NotInNames(hidden.into())), "U+{:04X}", u32::from(hidden));
        }
        // What writing needs stands: letters apart and together, a family, a flag, a heart in colour.
        for needed in [
            "\u{645}\u{6cc}\u{200c}\u{62e}",
            "👩\u{200d}👧",
            "🏴\u{e0067}\u{e0062}\u{e007f}",
            "❤\u{fe0f}",
            "a\u{200f}b",
            "⠓\u{2800}⠊",
        ] {
            assert_eq!(normalise_name(needed, MAX).as_deref(), Ok(needed));
        }
        for blank in ["", " ", "\u{2800}", "\u{202e}", "\0"] {
            assert_eq!(name_from_elsewhere(blank, MAX), None, "{blank:?}");
        }
        assert_eq!(name_from_elsewhere(&"x".repeat(MAX + 1), MAX).map(|name| name.len()), Some(MAX));
    }

    proptest! {
        #[test]
        fn blank_stays_blank_whatever_invisible_is_added(places in prop::collection::vec((any::<char>(), any::<bool>()), 0..30)) {
            let blank: String = places.iter().map(|(c, _)| *c).filter(|c| shows_nothing(*c)).collect();
            prop_assert_eq!(normalise(&blank, MAX), Ok(String::new()));
            let seen: String = places.iter().map(|(c, _)| *c).filter(|c| !shows_nothing(*c)).collect();
            let text = format!("{blank}{seen}{blank}");
            match normalise(&text, MAX) {
                Ok(kept) => prop_assert_eq!(kept.is_empty(), seen.is_empty()),
                Err(TextError::Control(_)) => prop_assert!(blank.chars().any(char::is_control)),
                Err(error) => prop_assert!(false, "{error}"),
            }
        }

        #[test]
        fn cleaning_what_was_cleaned_changes_nothing(raw in any::<String>()) {
            let Ok(text) = normalise(&raw, 1_000) else { return Ok(()) };
            prop_assert_eq!(normalise(&text, 1_000), Ok(text));
        }
    }
}
