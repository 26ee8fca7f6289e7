//! Emoji that stand alone: what a reaction may be. Pure.

use icu_properties::props::{BinaryProperty as _, Emoji, EmojiModifier, RegionalIndicator};

use crate::base::limits::chat::EMOJI_BYTES_MAX;

const JOINER: char = '\u{200d}';
const PICTURE: char = '\u{fe0f}';
const KEYCAP: char = '\u{20e3}';

/// Whether `text` is one emoji, as Unicode TR 51 builds them: a picture with what modifies it, several joined, a flag,
/// or a keycap.
#[must_use]
pub fn is_one(text: &str) -> bool {
    if text.is_empty() || text.len() > EMOJI_BYTES_MAX {
        return false;
    }
    let chars: Vec<char> = text.chars().collect();
    match chars[..] {
        [one, other] if RegionalIndicator::for_char(one) => RegionalIndicator::for_char(other),
        ['0'..='9' | '#' | '*', KEYCAP] | ['0'..='9' | '#' | '*', PICTURE, KEYCAP] => true,
        _ => chars.split(|c| *c == JOINER).all(is_element),
    }
}

/// A picture, maybe with a tone of skin, a mark that it is a picture, and tags (flags of regions).
fn is_element(chars: &[char]) -> bool {
    let Some((first, rest)) = chars.split_first() else { return false };
    let is_picture = Emoji::for_char(*first) && !first.is_ascii() && !RegionalIndicator::for_char(*first);
    let (mut modified, mut tags) = (false, 0);
    let fits = rest.iter().all(|c| match c {
        &PICTURE => tags == 0 && !std::mem::replace(&mut modified, true),
        c if EmojiModifier::for_char(*c) => tags == 0 && !std::mem::replace(&mut modified, true),
        '\u{e0020}'..='\u{e007f}' => {
            tags += 1;
            true
        }
        _ => false,
    });
    let ends = tags == 0 || rest.last() == Some(&'\u{e007f}');
    is_picture && fits && ends
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_is_one_however_it_is_built() {
        let built = "👍 👍🏽 ❤️ ❤ 👩‍🚀 👩🏽‍🚀 👨‍👩‍👧‍👦 🇩🇪 1️⃣ #⃣ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏳️‍🌈 😀";
        for emoji in built.split(' ') {
            assert!(is_one(emoji), "{emoji}");
        }
        let others = ["", "👍 ", "\u{200d}", "\u{fe0f}", "🏴󠁧󠁢"];
        let more = "a 1 👍👍 ok :) 👍‍ 🇩 🇩🇪🇫 é 👍a #";
        for other in others.into_iter().chain(more.split(' ')) {
            assert!(!is_one(other), "{other:?}");
        }
        assert!(!is_one(&"👨‍👩‍👧‍👦".repeat(9)));
    }
}
