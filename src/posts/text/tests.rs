//! Properties of whole texts: what is found is what was written.

use proptest::prelude::*;

use super::*;
use crate::base::handle::key_of;
use crate::base::limits::text::MENTIONS_MAX;

fn found(text: &str) -> (Vec<String>, Vec<String>) {
    let parsed = parse(text, 100_000).unwrap();
    let mentions = parsed.mentions.into_iter().map(|mention| mention.handle_key).collect();
    (mentions, parsed.links.into_iter().map(|link| link.url).collect())
}

/// The addresses in a text.
pub(super) fn links_of(text: &str) -> Vec<String> {
    let mut links: Vec<String> = Vec::new();
    for span in link_spans(text) {
        if !links.iter().any(|link| *link == text[span.clone()]) {
            links.push(text[span].to_owned());
        }
    }
    links
}

#[test]
fn a_text_in_which_nothing_can_be_seen_is_empty() {
    for blank in ["", " \n\t", "\u{200b}\u{feff}", "\u{200d}", "\u{3164}\u{2060}", "\u{2800} \u{2800}", "\u{1d159}"] {
        assert_eq!(parse(blank, 10).unwrap(), ParsedText::default(), "{blank:?}");
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

/// Shapes that make parsers read the same again and again; 100,000 characters is the longest text a server can allow.
#[test]
fn hostile_repetitions_are_read_like_any_text() {
    for shape in [
        "https://-/",
        "https://",
        "http://[",
        "https://a.",
        "https://a,",
        "https://a(",
        "https://a/(",
        "https://a?",
        "https://a'",
        "https://例え。",
        "https://a\u{200b}",
        "@",
        "@a",
        "@a.",
        "@\u{200b}",
        "a@",
        "＠",
        "\u{200b}",
        "(",
        "https://a.example/?",
        "https://a.example|",
        "https://[::1]|",
        "://a@",
        "@a-",
        "@a你",
        "❤",
    ] {
        let text = shape.repeat(100_000 / shape.chars().count());
        let parsed = parse(&text, 100_000).unwrap();
        assert!(parsed.links.len() <= LINKS_MAX && parsed.mentions.len() <= MENTIONS_MAX);
    }
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
        "。",
        "/",
        ":",
        "(",
        ")",
        "[",
        "]",
        " ",
        "\n",
        "你",
        "é",
        "👍🏽",
        "\u{200d}",
        "\u{200b}",
        "\u{202e}",
        "example.com",
        "?",
        "#",
        "://",
        "\r",
        "\u{0}",
        "%",
        "'",
        "xn--",
        "-",
        "_",
        "한국",
        "ไทย",
        "م",
        "\u{301}",
        "443",
        "{",
        "<",
        ">",
        "，",
        "·",
        "❤",
        "．",
        "｡",
        "‿",
        "＿",
        "|",
        "\\",
        "[::1]",
        "、",
        "com",
        "@ann",
    ]);
    prop_oneof![prop::collection::vec(pieces, 0..40).prop_map(|pieces| pieces.concat()), any::<String>()]
}

/// A label of a host, of many scripts.
fn label() -> impl Strategy<Value = String> {
    let labels = vec![
        "a",
        "bank",
        "evil",
        "www",
        "x1",
        "r3---sn",
        "a_b",
        "例え",
        "中国",
        "한국",
        "みんな",
        "пример",
        "مثال",
        "דוגמה",
        "ไทย",
        "გე",
        "bücher",
        "straße",
        "paral·lel",
        "🌈",
        "i❤",
        "ａｂ",
        "उदाहरण",
        "日本・語",
    ];
    prop::sample::select(labels).prop_map(str::to_owned)
}

/// A host of two to four labels under a suffix that exists.
fn host() -> impl Strategy<Value = String> {
    let suffix = prop::sample::select(vec!["com", "co.uk", "example", "jp", "中国", "한국", "рф", "みんな", "გე"]);
    let host = (prop::collection::vec(label(), 1..4), suffix)
        .prop_map(|(labels, suffix)| format!("{}.{suffix}", labels.join(".")));
    // By the Bidi rule of UTS #46 there is no host with labels from right to left and others that begin or end in a
    // symbol.
    host.prop_filter("not by the Bidi rule", |host| !(host.contains(['م', 'ד']) && host.contains(['🌈', '❤'])))
}

/// A letter of one of the scripts that put spaces between words.
fn letter_of_a_spaced_script() -> impl Strategy<Value = char> {
    let ranges = [
        ('À', 'ʯ'),
        ('Α', 'ώ'),
        ('А', 'ԯ'),
        ('Ա', 'Ֆ'),
        ('א', 'ת'),
        ('ب', 'ي'),
        ('अ', 'ह'),
        ('ა', 'ჰ'),
        ('አ', 'ኰ'),
        ('𐐀', '𐑏'),
    ];
    prop::sample::select(ranges.to_vec())
        .prop_flat_map(|(first, last)| prop::char::range(first, last))
        .prop_filter("a letter", |c| c.is_alphabetic())
}

/// Whether the block of `c` is one of scripts that end a handle: by numbers, apart from the properties that the parser
/// asks.
fn is_in_a_block_without_spaces(c: char) -> bool {
    matches!(u32::from(c),
        0xe00..=0xeff | 0x1000..=0x109f | 0x1100..=0x11ff | 0x1780..=0x17ff | 0x19e0..=0x19ff | 0x2e80..=0x9fff | 0xa960..=0xa97f
        | 0xa9e0..=0xa9ff | 0xaa60..=0xaa7f | 0xac00..=0xd7ff | 0xf900..=0xfaff | 0xff66..=0xffdc | 0x116d0..=0x116ff
        | 0x16fe0..=0x18cff | 0x1aff0..=0x1b16f | 0x1f200..=0x1f2ff | 0x20000..=0x3ffff)
}

/// Characters that people write right behind an address.
fn behind() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        " ",
        "\n",
        ".",
        ",",
        ", and",
        "!",
        "?",
        "…",
        ")",
        "]",
        "\"",
        "'s",
        "」",
        "，谢谢",
        "、",
        "。",
        "؟",
        "։",
        "·",
        "❤",
        "👍🏽",
        "\u{200f} ",
        ">",
        ": yes",
        "*",
        "|",
        "&b",
        "=",
        "$",
    ])
}

proptest! {
    /// Every link holds a host that stands whole in the text: neither shorter nor longer than what was written.
    #[test]
    fn the_host_of_a_link_is_what_was_written(
        before in prop::sample::select(vec!["", "x ", "(", "“", "看", "[x](", "url="]),
        host in host(),
        path in prop::sample::select(vec!["", "/", "/x", "/x?y=z#w", ":8080", ":8080/x", "?x", "#x"]),
        behind in behind(),
    ) {
        let address = format!("https://{host}{path}");
        let text = format!("{before}{address}{behind}");
        let links = links_of(&text);
        prop_assert_eq!(links.len(), 1, "{} {:?}", &text, &links);
        let rest = links[0].strip_prefix("https://").unwrap();
        let end = rest.find([':', '/', '?', '#']).unwrap_or(rest.len());
        prop_assert_eq!(&rest[..end], host.as_str(), "{}", &text);
        prop_assert!(links[0].starts_with(&address) || path.is_empty() || behind.starts_with(['*', '|', '&', '=', '$', '\'']), "{}", text);
    }

    /// The one exception, and its neighbours: text behind a host ends it only behind an ASCII label under a public
    /// suffix.
    #[test]
    fn text_behind_a_host_ends_it_or_is_part_of_it(host in host(), text in prop::sample::select(vec!["谢谢", "です", "입니다", "ไทย", "ё"])) {
        let links = links_of(&format!("https://{host}{text} x"));
        let cuts = !matches!(text, "ไทย" | "ё") && host.rsplit('.').next().is_some_and(str::is_ascii);
        let expected = if cuts { format!("https://{host}") } else { format!("https://{host}{text}") };
        prop_assert!(links == [expected.clone()] || (links.is_empty() && !cuts), "{:?} is not {}", links, expected);
        let whole = format!("https://{host}{text}.example");
        let links = links_of(&format!("{whole}/x"));
        prop_assert!(links.is_empty() || links == [format!("{whole}/x")], "{:?} is not {}", links, whole);
    }

    /// Whoever is mentioned stands whole in the text: no letter, mark or digit that would make it a longer name touches
    /// it.
    #[test]
    fn whoever_is_mentioned_stands_whole_in_the_text(raw in noisy()) {
        let Ok(parsed) = parse(&raw, 500) else { return Ok(()) };
        for mention in &parsed.mentions {
            let (before, after) = (&parsed.text[..mention.span.start], &parsed.text[mention.span.end..]);
            let visible = |c: &char| !ends::is_ignorable(*c);
            let touches = |c: char| c.is_alphanumeric() && !is_in_a_block_without_spaces(c);
            prop_assert!(!before.chars().rev().find(visible).is_some_and(touches), "{}", &parsed.text);
            prop_assert!(!after.chars().find(visible).is_some_and(touches), "{}", &parsed.text);
            let dotted = after.strip_prefix('.').and_then(|rest| rest.chars().next()).is_some_and(char::is_alphanumeric);
            let host = after.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'));
            let wide = host.strip_prefix(['．', '。', '｡']).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
            let more = host.strip_prefix('.').is_some_and(|rest| rest.starts_with(char::is_alphanumeric));
            prop_assert!(!wide && !more && !after.starts_with(['_', '‿', '＿']), "{}", &parsed.text);
            prop_assert!(!dotted && !after.starts_with(['@', '＠']), "{}", &parsed.text);
        }
    }

    #[test]
    fn a_name_with_a_letter_more_is_nobody_with_a_shorter_one(handle in "[a-z0-9_]{1,20}", more in letter_of_a_spaced_script(), hidden in "[\u{200b}\u{200d}\u{2060}\u{fe0f}]{0,2}") {
        prop_assert_eq!(found(&format!("@{handle}{hidden}{more}")).0, Vec::<String>::new());
        prop_assert_eq!(found(&format!("{more}{hidden}@{handle}")).0, Vec::<String>::new());
        prop_assert_eq!(found(&format!("x @{handle}, y")).0, vec![handle]);
    }

    /// Whatever the script of its parts, and whatever its dots are.
    #[test]
    fn nobody_is_mentioned_out_of_a_mail_address(
        before in prop::sample::select(vec!["", "x ", "(", "<", "看", "https://", "mailto:"]),
        local in prop::sample::select(vec!["用户", "さとう", "สมชาย", "김", "josé", "foo.", "foo!", "💌", "你_", "a+b", "\"x y\""]),
        domain in "[a-z0-9]{1,5}(-[a-z0-9]{1,5}|-例え|-bücher|例え|你-x){0,2}[.．。｡](com|co\\.uk|jp)",
    ) {
        let text = format!("{before}{local}@{domain}");
        prop_assert_eq!(found(&text).0, Vec::<String>::new(), "{}", &text);
    }

    /// Links as URL parsers read them: what stands before an `@` in the authority is a user name, and no host.
    #[test]
    fn no_link_leads_to_what_is_a_user_name(raw in noisy(), host in host(), ipv6 in any::<bool>(), between in "[|^`{}\"<>،：，、（）「」…❤.\\[\\]]{0,3}(x|你)?") {
        let host = if ipv6 { "[::1]".to_owned() } else { host };
        let authority = format!("https://{host}{between}@evil.example/");
        prop_assert_eq!(links_of(&authority), Vec::<String>::new(), "{}", &authority);
        for text in [raw.clone(), format!("https://{host}{raw}"), format!("{raw}{authority}")] {
            for span in link_spans(&text) {
                let rest = text[span.start..].split_once("://").unwrap().1;
                let end = rest.find(|c: char| matches!(c, '/' | '?' | '#' | '\\') || c.is_whitespace()).unwrap_or(rest.len());
                prop_assert!(!rest[..end].contains('@'), "{}", &text);
            }
        }
    }

    #[test]
    fn spans_are_slices_of_the_text_that_say_what_was_found(raw in noisy()) {
        let Ok(parsed) = parse(&raw, 500) else { return Ok(()) };
        for mention in &parsed.mentions {
            let slice = parsed.text.get(mention.span.clone()).unwrap();
            prop_assert_eq!(key_of(slice.trim_start_matches(mentions::is_at_sign)), mention.handle_key.clone());
            prop_assert!(parsed.links.iter().all(|link| !link.span.contains(&mention.span.start)));
        }
        let mut end = 0;
        for link in &parsed.links {
            prop_assert!(link.span.start >= end, "{} overlaps", &link.url);
            end = link.span.end;
            prop_assert_eq!(parsed.text.get(link.span.clone()).unwrap(), &link.url);
        }
    }

    #[test]
    fn parsing_what_was_parsed_changes_nothing(raw in noisy()) {
        let Ok(parsed) = parse(&raw, 500) else { return Ok(()) };
        prop_assert_eq!(parse(&parsed.text, 500).unwrap(), parsed);
    }
}
