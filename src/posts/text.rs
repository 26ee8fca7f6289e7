//! What a text says: its length, the people it names, the addresses it holds.
//!
//! Pure. Publishing a post parses its text here before anything is stored; handles found here are looked up afterwards.

use std::ops::Range;

use crate::limits::text::{LINK_BYTES_MAX, LINKS_MAX, MENTIONS_MAX};
use crate::users::handle::{HANDLE_CHARS_MAX, is_handle_byte, key_of};

/// A text fit to be stored, and what was found in it. Spans are byte ranges of `text`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParsedText {
    /// Trimmed, with `\n` as the only line end.
    pub text: String,
    /// People named, each once, in order, at most [`MENTIONS_MAX`].
    pub mentions: Vec<MentionSpan>,
    /// Addresses, each once, in order, at most [`LINKS_MAX`].
    pub links: Vec<LinkSpan>,
}

/// `@handle` in a text; whether such a person exists is for the caller to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MentionSpan {
    /// Lowercase key of the handle, without `@`.
    pub handle_key: String,
    /// Where it first stands, `@` included.
    pub span: Range<usize>,
}

/// An `http` or `https` address in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSpan {
    /// The address as written.
    pub url: String,
    /// Where it first stands.
    pub span: Range<usize>,
}

/// Why a text cannot be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Too many characters, counted as Unicode scalar values after trimming.
    #[error("has {chars} characters; at most {chars_max} are allowed")]
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many are allowed.
        chars_max: usize,
    },
    /// A control character other than newline and tab.
    #[error("holds the control character U+{0:04X}; only newline and tab are allowed")]
    Control(u32),
}

/// Normalises and checks `raw`, and finds mentions and links. An answer with an empty `text` is for the caller to judge.
///
/// Characters are Unicode scalar values: what every client can count, without tables that change with each Unicode
/// version. A family emoji of seven scalar values counts as seven.
pub fn parse(raw: &str, chars_max: usize) -> Result<ParsedText, TextError> {
    let text = normalise(raw, chars_max)?;
    let spans = link_spans(&text);
    let mentions = mentions(&text, &spans);
    let mut links: Vec<LinkSpan> = Vec::new();
    for span in spans.into_iter().filter(|span| span.len() <= LINK_BYTES_MAX) {
        let url = &text[span.clone()];
        if links.len() < LINKS_MAX && links.iter().all(|link| link.url != url) {
            links.push(LinkSpan { url: url.to_owned(), span });
        }
    }
    Ok(ParsedText { text, mentions, links })
}

/// Checks and cleans a text without markup, such as a display name or a title: trimmed, one kind of line end, no control
/// characters, at most `chars_max` Unicode scalar values. A text in which nothing can be seen is empty.
pub fn normalise(raw: &str, chars_max: usize) -> Result<String, TextError> {
    let trimmed = raw.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}');
    if trimmed.chars().all(is_invisible) {
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

/// Spaces, joiners and fillers that draw nothing by themselves.
fn is_invisible(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{180e}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}')
        || matches!(c, '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

/// People named outside `links`.
fn mentions(text: &str, links: &[Range<usize>]) -> Vec<MentionSpan> {
    let mut found: Vec<MentionSpan> = Vec::new();
    for (at, sign) in text.char_indices().filter(|(_, c)| is_at_sign(*c)) {
        if found.len() == MENTIONS_MAX {
            break;
        }
        if links.iter().any(|link| link.contains(&at)) || text[..at].chars().next_back().is_some_and(joins_at_sign) {
            continue;
        }
        let start = at + sign.len_utf8();
        let length = text.as_bytes()[start..].iter().take_while(|byte| is_handle_byte(**byte)).count();
        let end = start + length;
        // `@name@host` is a person of another server.
        if length == 0 || length > HANDLE_CHARS_MAX || text[end..].chars().next().is_some_and(is_at_sign) {
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
const fn is_at_sign(c: char) -> bool {
    matches!(c, '@' | '\u{ff20}')
}

/// Whether an `@` after `before` belongs to an e-mail address or a path. Letters of scripts that put spaces between
/// words count, those of scripts that do not (Chinese, Japanese, Thai) do not: there a mention follows a letter.
fn joins_at_sign(before: char) -> bool {
    const FIRST_SCRIPT_AFTER_ARMENIAN: char = '\u{590}';
    is_at_sign(before)
        || (before < FIRST_SCRIPT_AFTER_ARMENIAN && before.is_alphanumeric())
        || matches!(before, '_' | '/' | '=' | '&' | '#' | '$' | '%')
}

/// Byte ranges of all addresses, in order, longer ones than [`LINK_BYTES_MAX`] too.
fn link_spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut from = 0;
    while let Some(separator) = text[from..].find("://").map(|at| from + at) {
        let after = separator + "://".len();
        from = after;
        let Some(start) = scheme_start(text, separator) else { continue };
        let stop = text[after..].find(ends_link).map_or(text.len(), |length| after + length);
        let end = after + without_trailing_punctuation(&text[after..stop]).len();
        if has_host(&text[after..end]) {
            spans.push(start..end);
            from = end;
        }
    }
    spans
}

/// Where `http` or `https` starts that ends at `separator`, if it stands alone.
fn scheme_start(text: &str, separator: usize) -> Option<usize> {
    let start = ["https", "http"].iter().find_map(|scheme| {
        let start = separator.checked_sub(scheme.len())?;
        text.get(start..separator)?.eq_ignore_ascii_case(scheme).then_some(start)
    })?;
    let alone = !text[..start].ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
    alone.then_some(start)
}

/// What cannot stand in an address as people type it: spaces, quotes and brackets that enclose it, and everything of
/// scripts written without spaces, in which words and punctuation follow an address directly. (Addresses with such
/// letters are found when they are percent-encoded, as browsers copy them.)
fn ends_link(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || is_invisible(c)
        || matches!(c, '<' | '>' | '"' | '`' | '{' | '}' | '|' | '\\' | '^')
        || matches!(c, '\u{ab}' | '\u{bb}' | '\u{b7}' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}')
        || matches!(c, '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{11ff}' | '\u{2e80}'..='\u{abff}')
        || matches!(c, '\u{ac00}'..='\u{d7ff}' | '\u{f900}'..='\u{faff}' | '\u{fe10}'..='\u{ffef}')
        || c >= '\u{1f000}'
}

/// Cuts what ends the sentence rather than the address; a closing bracket stays when it was opened within.
fn without_trailing_punctuation(mut rest: &str) -> &str {
    while let Some(last) = rest.chars().next_back() {
        let unopened = |open: char| rest.matches(last).count() > rest.matches(open).count();
        let cut = match last {
            '.' | ',' | ';' | ':' | '!' | '?' | '\'' | '*' | '~' | '_' => true,
            ')' => unopened('('),
            ']' => unopened('['),
            _ => false,
        };
        if !cut {
            break;
        }
        rest = &rest[..rest.len() - last.len_utf8()];
    }
    rest
}

/// Whether what follows `://` starts with a host. One with a user name before it is no link: it is mostly used to
/// deceive about where it leads.
fn has_host(rest: &str) -> bool {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = match authority.rfind(':') {
        Some(colon) if !authority.ends_with(']') => (&authority[..colon], &authority[colon + 1..]),
        _ => (authority, ""),
    };
    let host_ok = match host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            host.split('.').all(|label| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-'))
        }
    };
    host_ok && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(text: &str) -> (Vec<String>, Vec<String>) {
        let parsed = parse(text, 10_000).unwrap();
        let mentions = parsed.mentions.into_iter().map(|mention| mention.handle_key).collect();
        (mentions, parsed.links.into_iter().map(|link| link.url).collect())
    }

    fn mentions_of(text: &str) -> Vec<String> {
        found(text).0
    }

    fn links_of(text: &str) -> Vec<String> {
        found(text).1
    }

    #[test]
    fn a_text_is_trimmed_and_has_one_kind_of_line_end() {
        assert_eq!(parse(" \r\n a\r\nb\rc\t\u{3000}\n", 10).unwrap().text, "a\nb\nc");
        for blank in ["", " \n\t", "\u{200b}\u{feff}", "\u{200d}", "\u{3164}\u{2060}"] {
            assert_eq!(parse(blank, 10).unwrap().text, "", "{blank:?}");
        }
    }

    #[test]
    fn length_counts_unicode_scalar_values_after_trimming() {
        assert!(parse("  你好👋🏽  ", 4).is_ok());
        assert_eq!(parse("你好👋🏽!", 4), Err(TextError::TooLong { chars: 5, chars_max: 4 }));
    }

    #[test]
    fn control_characters_are_refused_but_newline_and_tab_are_not() {
        assert!(parse("a\n\tb", 10).is_ok());
        for control in ['\0', '\u{7}', '\u{1b}', '\u{7f}', '\u{85}', '\u{9b}'] {
            assert_eq!(parse(&format!("a{control}b"), 10), Err(TextError::Control(control.into())));
        }
    }

    #[test]
    fn mentions_are_found_where_people_write_them() {
        assert_eq!(mentions_of("@Ann, (@bob) and\n@carol: hi"), ["ann", "bob", "carol"]);
        assert_eq!(mentions_of(".@ann says - @bob! “@carol”"), ["ann", "bob", "carol"]);
        assert_eq!(mentions_of("你好@ann你好，＠bob。"), ["ann", "bob"]);
        assert_eq!(mentions_of("@ann @ANN @bob @Ann"), ["ann", "bob"]);
    }

    #[test]
    fn an_address_of_mail_or_web_or_another_server_is_no_mention() {
        for text in ["ann@example.com", "josé@example", "@@ann", "@ ann", "@", "@ann@example.com", "a_@bob", "x/@bob"]
        {
            assert_eq!(mentions_of(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(mentions_of(&format!("@{}", "x".repeat(31))), Vec::<String>::new());
        assert_eq!(mentions_of("https://social.example/@ann?by=@bob @carol"), ["carol"]);
    }

    #[test]
    fn links_end_where_the_sentence_goes_on() {
        for (text, link) in [
            ("see https://example.com/a?b=c#d.", "https://example.com/a?b=c#d"),
            ("(https://example.com/a)", "https://example.com/a"),
            ("https://en.wikipedia.org/wiki/Rust_(fungus), yes", "https://en.wikipedia.org/wiki/Rust_(fungus)"),
            ("<https://example.com>", "https://example.com"),
            ("“https://example.com/a”", "https://example.com/a"),
            ("HTTP://Example.com!!!", "HTTP://Example.com"),
            ("请看https://example.com/a，谢谢", "https://example.com/a"),
            ("链接：https://example.com/路径", "https://example.com/"),
            ("https://例え.jp and http://münchen.example/straße", "http://münchen.example/straße"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("http://localhost:7070/docs…", "http://localhost:7070/docs"),
            ("https://a.example/x👍", "https://a.example/x"),
        ] {
            assert_eq!(links_of(text), [link], "{text}");
        }
    }

    #[test]
    fn what_only_looks_like_a_link_is_none() {
        for text in [
            "http://",
            "https://.",
            "xhttp://example.com",
            "ftp://example.com",
            "javascript://example.com",
            "://a.example",
            "https://user@bank.example",
            "https://bank.example@evil.example/",
            "https://a..b",
            "https://-:x/",
            "http:///a",
        ] {
            assert_eq!(links_of(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn a_flood_of_mentions_and_links_is_cut() {
        let many: String = (0..200).map(|i| format!("@u{i} https://a.example/{i} ")).collect();
        let (mentions, links) = found(&many);
        assert_eq!((mentions.len(), links.len()), (MENTIONS_MAX, LINKS_MAX));
        let long = format!("https://a.example/{} @ann", "x".repeat(LINK_BYTES_MAX));
        assert_eq!(found(&long), (vec!["ann".to_owned()], vec![]));
    }

    fn noisy() -> impl Strategy<Value = String> {
        let pieces = prop::sample::select(vec![
            "@",
            "＠",
            "http://",
            "https://",
            "a",
            "Z9_",
            "ann",
            ".",
            "/",
            ":",
            "(",
            ")",
            "[",
            "]",
            " ",
            "\n",
            "你",
            "。",
            "é",
            "👍🏽",
            "\u{200d}",
            "example.com",
            "?",
            "#",
            "://",
            "\r",
            "\u{0}",
        ]);
        prop_oneof![prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat()), ".{0,80}"]
    }

    proptest! {
        #[test]
        fn spans_are_slices_of_the_text_that_say_what_was_found(raw in noisy()) {
            let Ok(parsed) = parse(&raw, 500) else { return Ok(()) };
            for mention in &parsed.mentions {
                let slice = parsed.text.get(mention.span.clone()).unwrap();
                prop_assert_eq!(key_of(slice.trim_start_matches(is_at_sign)), mention.handle_key.clone());
                prop_assert!(parsed.links.iter().all(|link| !link.span.contains(&mention.span.start)));
            }
            for link in &parsed.links {
                prop_assert_eq!(parsed.text.get(link.span.clone()).unwrap(), &link.url);
            }
        }

        #[test]
        fn parsing_what_was_parsed_changes_nothing(raw in noisy()) {
            let Ok(parsed) = parse(&raw, 500) else { return Ok(()) };
            prop_assert_eq!(parse(&parsed.text, 500).unwrap(), parsed);
        }
    }
}
