//! End of a link's address, character by character: the derivation from Unicode's character properties.
//!
//! The idea is that of UTS #58: a character ends an address (hard), ends it unless the address goes on behind it
//! (soft), opens or closes a bracket, or belongs to it. Three things differ from that draft, each because texts ask for
//! it: letters of the scripts that are written without spaces end an address, since a sentence follows it directly;
//! outside of ASCII all punctuation and all symbols are soft, so that `x✔` and `x՝` lead to `x`; `<` and `>` are hard,
//! as RFC 3986 has it.
//!
//! ASCII is a table, since most texts are; a test holds it to the derivation.

use icu_properties::props::{
    BidiMirroringGlyph, BidiPairedBracketType, BinaryProperty as _, DefaultIgnorableCodePoint, EastAsianWidth, Emoji,
    EnumeratedProperty as _, GeneralCategory, GeneralCategoryGroup, JoinControl, QuotationMark, Script,
    TerminalPunctuation, VariationSelector, WhiteSpace,
};

/// The version of Unicode that the properties are of; a test tells when the crate's data move on.
pub const UNICODE_VERSION: &str = "17.0";

/// Effect of a character on the address before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkEnd {
    /// Never part of an address.
    Hard,
    /// Part of it only if the address goes on.
    Soft,
    /// Opens a bracket that this character closes.
    Open(char),
    /// Closes a bracket; one that was not opened ends the address.
    Close,
    /// Part of it.
    Include,
}

/// Effect of `c` on an address that stands before it.
pub fn link_end(c: char) -> LinkEnd {
    u8::try_from(c).ok().filter(u8::is_ascii).map_or_else(|| derived(c), of_ascii)
}

const fn of_ascii(byte: u8) -> LinkEnd {
    match byte {
        0..=b' ' | b'<' | b'>' | 0x7f.. => LinkEnd::Hard,
        b'!' | b'"' | b'\'' | b',' | b'.' | b':' | b';' | b'?' => LinkEnd::Soft,
        b'(' => LinkEnd::Open(')'),
        b'[' => LinkEnd::Open(']'),
        b'{' => LinkEnd::Open('}'),
        b')' | b']' | b'}' => LinkEnd::Close,
        _ => LinkEnd::Include,
    }
}

/// The derivation itself, for every character.
fn derived(c: char) -> LinkEnd {
    let category = GeneralCategory::for_char(c);
    // What joins letters and chooses their shape is invisible, and belongs to the letters around it.
    let joins = JoinControl::for_char(c) || VariationSelector::for_char(c);
    if matches!(c, '<' | '>')
        || WhiteSpace::for_char(c)
        || matches!(category, GeneralCategory::Control | GeneralCategory::PrivateUse | GeneralCategory::Unassigned)
        || (DefaultIgnorableCodePoint::for_char(c) && !joins)
    {
        return LinkEnd::Hard;
    }
    if !c.is_ascii() && Emoji::for_char(c) {
        return LinkEnd::Soft;
    }
    if is_written_without_spaces(c) {
        return LinkEnd::Hard;
    }
    let bracket = BidiMirroringGlyph::for_char(c);
    match (bracket.paired_bracket_type, bracket.mirroring_glyph) {
        (BidiPairedBracketType::Open, Some(closing)) => return LinkEnd::Open(closing),
        (BidiPairedBracketType::Close, _) => return LinkEnd::Close,
        _ => {}
    }
    let mark = GeneralCategoryGroup::Punctuation.union(GeneralCategoryGroup::Symbol).contains(category);
    if joins || TerminalPunctuation::for_char(c) || QuotationMark::for_char(c) || (!c.is_ascii() && mark) {
        return LinkEnd::Soft;
    }
    LinkEnd::Include
}

/// Chinese, Japanese and Korean text with its punctuation, and what is as wide: a sentence that follows an address
/// without a space.
fn is_written_without_spaces(c: char) -> bool {
    matches!(EastAsianWidth::for_char(c), EastAsianWidth::Wide | EastAsianWidth::Fullwidth | EastAsianWidth::Halfwidth)
        || is_cjk(c)
}

/// A letter, mark or number of Han, Kana or Hangul.
pub fn is_cjk(c: char) -> bool {
    const SCRIPTS: &[Script] = &[Script::Han, Script::Hiragana, Script::Katakana, Script::Hangul, Script::Bopomofo];
    !c.is_ascii() && is_letter_mark_or_number(c) && is_of(c, SCRIPTS)
}

/// Whether `c` is used in one of `scripts`: marks that several share count for each.
pub fn is_of(c: char, scripts: &[Script]) -> bool {
    let of_it = icu_properties::script::ScriptWithExtensions::new();
    scripts.iter().any(|script| of_it.has_script(c, *script))
}

/// A letter, mark or number of any script.
pub fn is_letter_mark_or_number(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_alphanumeric();
    }
    GeneralCategoryGroup::Letter
        .union(GeneralCategoryGroup::Mark)
        .union(GeneralCategoryGroup::Number)
        .contains(GeneralCategory::for_char(c))
}

/// Punctuation of any script.
pub fn is_punctuation(c: char) -> bool {
    GeneralCategoryGroup::Punctuation.contains(GeneralCategory::for_char(c))
}

/// Punctuation that connects words, such as `_`.
pub fn is_connector(c: char) -> bool {
    c == '_' || (!c.is_ascii() && GeneralCategory::for_char(c) == GeneralCategory::ConnectorPunctuation)
}

/// Whether a character is drawn as nothing where it is not understood, and stands between characters unseen.
pub fn is_ignorable(c: char) -> bool {
    !c.is_ascii() && DefaultIgnorableCodePoint::for_char(c)
}

#[cfg(test)]
#[path = "ends_tests.rs"]
mod tests;
