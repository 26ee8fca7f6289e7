//! People named in a text: `@handle`, where the whole of what stands there is that handle.

use std::ops::Range;

use icu_properties::props::Script;

use super::MentionSpan;
use super::ends::{is_cjk, is_connector, is_ignorable, is_letter_mark_or_number, is_of};
use super::hosts::ends_authority;
use crate::base::handle::{HANDLE_CHARS_MAX, is_handle_byte, key_of};
use crate::base::limits::text::MENTIONS_MAX;

/// Scripts in which words follow each other without spaces, so that one of their letters ends a handle, or stands right
/// before an `@`, and is no part of a longer name.
const SCRIPTS_WITHOUT_SPACES: &[Script] = &[
    Script::Han,
    Script::Hiragana,
    Script::Katakana,
    Script::Hangul,
    Script::Thai,
    Script::Lao,
    Script::Khmer,
    Script::Myanmar,
];

/// First byte of U+FF20, the `@` of Chinese and Japanese keyboards.
const WIDE_AT_SIGN_BYTE: u8 = 0xef;

/// People named outside `links`, which are in order.
pub(super) fn find(text: &str, links: &[Range<usize>]) -> Vec<MentionSpan> {
    let mut found: Vec<MentionSpan> = Vec::new();
    let mut links = links.iter().peekable();
    let mut linked_to = 0;
    let mut authority = Authority::default();
    for at in memchr::memchr2_iter(b'@', WIDE_AT_SIGN_BYTE, text.as_bytes()) {
        if found.len() == MENTIONS_MAX {
            break;
        }
        let Some(sign) = text[at..].chars().next().filter(|c| is_at_sign(*c)) else { continue };
        while let Some(link) = links.next_if(|link| link.end <= at) {
            linked_to = link.end;
        }
        let before = &text[..at];
        let in_authority = authority.at(before).is_some_and(|start| start >= linked_to);
        if links.peek().is_some_and(|link| link.contains(&at)) || belongs_to_a_word(before) {
            continue;
        }
        let start = at + sign.len_utf8();
        let length = text.as_bytes()[start..].iter().take_while(|byte| is_handle_byte(**byte)).count();
        let end = start + length;
        if length == 0 || length > HANDLE_CHARS_MAX || goes_on(&text[end..], is_set_off(before)) {
            continue;
        }
        // Behind the user name of an address nobody is meant, unless a clause ended, and no path follows.
        if in_authority && (!follows_a_clause(before) || text[end..].starts_with('/')) {
            continue;
        }
        let handle_key = key_of(&text[start..end]);
        if found.iter().all(|mention| mention.handle_key != handle_key) {
            found.push(MentionSpan { handle_key, span: at..end });
        }
    }
    found
}

/// `@`, also as Chinese and Japanese keyboards write it.
pub(super) const fn is_at_sign(c: char) -> bool {
    matches!(c, '@' | '\u{ff20}')
}

/// A letter, mark or number that would make a handle next to it a longer name.
fn is_of_a_word(c: char) -> bool {
    is_connector(c) || (is_letter_mark_or_number(c) && (c.is_ascii() || !is_of(c, SCRIPTS_WITHOUT_SPACES)))
}

/// Authority: where a URL parser reads user name, host and port, between `://` and the next `/`, `?`, `#`, `\` or white
/// space. Each part of a text is read once.
#[derive(Default)]
struct Authority {
    read_to: usize,
    start: Option<usize>,
}

impl Authority {
    /// Start of the authority that holds the end of `before`; each call has a longer one.
    fn at(&mut self, before: &str) -> Option<usize> {
        let piece = &before[self.read_to..];
        if let Some((end, c)) = piece.char_indices().rfind(|(_, c)| ends_authority(*c)) {
            self.start = piece[..end].ends_with(":/").then_some(self.read_to + end + c.len_utf8()).filter(|_| c == '/');
        }
        self.read_to = before.len();
        self.start
    }
}

/// Whether `before` ends in punctuation of Chinese or Japanese, which no space follows.
fn follows_a_clause(before: &str) -> bool {
    before.ends_with(['，', '、', '。', '！', '？', '；', '）', '」', '』', '】', '》', '…'])
}

/// Whether an `@` after `before` is set off from it, so that it cannot be that of a mail address.
fn is_set_off(before: &str) -> bool {
    let seen = before.trim_end_matches(is_ignorable);
    seen.is_empty() || seen.ends_with(char::is_whitespace) || follows_a_clause(seen)
}

/// Whether an `@` after `before` belongs to a mail address or a path: after a letter, after marks that only programs
/// put there, and after the marks that mail addresses may hold when those end a word.
fn belongs_to_a_word(before: &str) -> bool {
    let mut earlier = before.chars().rev().skip_while(|c| is_ignorable(*c));
    match earlier.next() {
        None => false,
        Some(c) if is_at_sign(c) || matches!(c, '_' | '/' | '=' | '&' | '#' | '$' | '%') => true,
        Some('+' | '-' | '*' | '~' | '^' | '|' | '\'' | '"' | '`' | '{' | '}') => {
            earlier.next().is_some_and(is_of_a_word)
        }
        Some(c) => is_of_a_word(c),
    }
}

/// Whether what stands before `after` is only the beginning of a name: of a longer one, of `@name@host`, or of the host
/// `name.tld` or `name-more.tld`. Where the `@` is not `set_off`, letters of scripts without spaces may be of a host
/// too.
fn goes_on(after: &str, set_off: bool) -> bool {
    let mut later = after.chars().filter(|c| !is_ignorable(*c)).peekable();
    if later.peek().is_some_and(|c| is_at_sign(*c) || is_of_a_word(*c)) {
        return true;
    }
    let any_script = !set_off || later.peek().is_some_and(|c| is_hyphen(*c));
    let mut ascii = true;
    while let Some(c) = later.next_if(|c| may_stand_in_a_label(*c) && (c.is_ascii() || any_script)) {
        ascii &= c.is_ascii();
    }
    match later.next() {
        Some(c) if is_at_sign(c) => ascii,
        Some('.' | '\u{2024}' | '\u{fe52}') => later.next().is_some_and(is_letter_mark_or_number),
        // They end a sentence too, which the next one follows without a space.
        Some('\u{3002}' | '\u{ff0e}' | '\u{ff61}') => {
            later.next().is_some_and(|c| is_letter_mark_or_number(c) && !is_cjk(c))
        }
        _ => false,
    }
}

fn may_stand_in_a_label(c: char) -> bool {
    is_hyphen(c) || is_connector(c) || is_letter_mark_or_number(c)
}

const fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{fe63}' | '\u{ff0d}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        find(text, &super::super::link_spans(text)).into_iter().map(|mention| mention.handle_key).collect()
    }

    #[test]
    fn people_are_found_where_people_write_them() {
        assert_eq!(named("@Ann, (@bob) and\n@carol: hi"), ["ann", "bob", "carol"]);
        assert_eq!(
            named(".@ann says - @bob! “@carol” '@dan' *@eve* -@fay"),
            ["ann", "bob", "carol", "dan", "eve", "fay"]
        );
        assert_eq!(named("你好@ann你好，＠bob。"), ["ann", "bob"]);
        assert_eq!(named("@ann @ANN @bob @Ann"), ["ann", "bob"]);
        assert_eq!(
            named("Thanks.@ann thanks!@bob… @carol's, @dan’s, @eve👍🏽 @fay... @gus."),
            ["ann", "bob", "carol", "dan", "eve", "fay", "gus"]
        );
    }

    #[test]
    fn scripts_without_spaces_end_a_handle() {
        for after in ["さん", "サン", "ｻﾝ", "ーん", "씨", "先生", "々", "ครับ", "ລາວ", "ខ្មែរ", "မြန်မာ", "๓"]
        {
            assert_eq!(named(&format!("@ann{after}")), ["ann"], "{after}");
            assert_eq!(named(&format!("{after}@ann")), ["ann"], "{after}");
        }
    }

    #[test]
    fn any_other_letter_mark_or_number_forbids_the_mention() {
        for after in [
            "ü", "é", "e\u{301}", "\u{301}", "а", "ω", "ß", "İ", "م", "ک", "क", "ि", "ა", "ն", "አ", "ཀ", "Ａ", "ﬁ",
            "٣", "५", "²", "ⅳ", "\u{20e3}", "ㄅ", "ꀀ",
        ] {
            assert_eq!(named(&format!("@ann{after}")), Vec::<String>::new(), "{after}");
            assert_eq!(named(&format!("@ann\u{200b}{after}")), Vec::<String>::new(), "hidden {after}");
            assert_eq!(named(&format!("{after}@ann")), Vec::<String>::new(), "before {after}");
        }
        assert_eq!(named("@ann\u{200b}a @bob\u{2060}b"), Vec::<String>::new());
        assert_eq!(named("@ann\u{200b} @bob\u{200b}さん"), ["ann", "bob"]);
    }

    #[test]
    fn an_address_of_mail_or_web_or_another_server_is_no_mention() {
        for text in [
            "ann@example.com",
            "josé@example",
            "@@ann",
            "@ ann",
            "@",
            "@ann@example.com",
            "@ann＠example",
            "@ann.example",
            "@ann.例え.jp",
            "@ann.\u{200b}example",
            "a_@bob",
            "x/@bob",
            "foo+@bob",
            "foo-@bob",
            "\"x y\"@bob",
            "foo\u{200b}@bob",
            "用户@example.com",
            "用户@ann-corp.com",
            "さとう@ann-mail.jp",
            "สมชาย@ann-mail.com",
            "김@ann-x.kr",
            "用户@ann例え.jp",
            "用户@ann‐x.jp",
            "foo.@ann-corp.com",
            "foo!@ann-corp.com",
            "💌@ann-x.com",
            "@ann-bücher.de",
            "@ann-例え.jp",
            "@ann-lee@example.com",
            "@ann．com",
            "@ann。com",
            "@ann｡com",
            "@ann․com",
            "@ann＿b",
            "@ann‿b",
            "@ann\u{200b}_b",
            "b‿@ann",
            "https://用户@ann/",
            "https://用户:！x@ann",
            "ssh://用户@ann",
            "https://用户，@ann/",
        ] {
            assert_eq!(named(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(named(&format!("@{}", "x".repeat(31))), Vec::<String>::new());
        assert_eq!(named("https://social.example/@ann?by=@bob @carol"), ["carol"]);
    }

    #[test]
    fn the_end_of_a_sentence_or_of_a_link_does_not_hide_a_mention() {
        for text in [
            "@ann",
            "@ann.",
            "@ann.\n谢谢",
            "@ann. x",
            "@ann...x",
            "@ann。",
            "@ann。谢谢",
            "@ann。ありがとう",
            "@ann．안녕",
            "@annさん。Hello",
            "@ann씨.안녕",
            "@annさん",
            "hello @ann-lee",
            "hello @ann-lee.",
            "@ann-",
            "https://a.example @ann",
            "https://a.example/x，@ann",
            "https://a.example，@ann 你好",
            "https://a.example，＠ann 你好",
            "https://a.example/ 用户@ann",
            "x://用户 你@ann",
            "a:/用户@ann",
        ] {
            assert_eq!(named(text), ["ann"], "{text}");
        }
        assert_eq!(named("@annさん@bobさん"), ["ann", "bob"]);
    }
}
