//! Texts that are hosts and that are none.

use super::*;
use crate::posts::text::links_of;

#[test]
fn hosts_of_every_script_are_hosts() {
    for host in [
        "a.example",
        "A.EXAMPLE",
        "localhost",
        "a_b.example",
        "r3---sn-x.example",
        "xn--r8jz45g.jp",
        "127.0.0.1",
        "a.example.",
        "例え.jp",
        "www.例え.jp",
        "bücher.example",
        "straße.example",
        "bank.example.한국",
        "пример.рф",
        "مثال.إختبار",
        "דוגמה.טעסט",
        "ไทย.example",
        "საქართველო.გე",
        "उदाहरण.परीक्षा",
        "paral·lel.example",
        "日本・語.jp",
        "a🌈.st",
        "i❤️.ws",
        "ａ.example",
        "例え。jp",
        "kc512.みんな",
        "نامه\u{200c}ای.example",
    ] {
        assert!(is_host(host), "{host}");
    }
}

#[test]
fn what_browsers_refuse_or_read_as_something_else_is_no_host() {
    let long_label = format!("{}.example", "a".repeat(64));
    let long_name = format!("{}example", "a.".repeat(130));
    for host in [
        "",
        ".",
        "a..b",
        ".a",
        "-",
        "-a.example",
        "a-.example",
        "a.example..",
        "xn--a.example",
        "xn--",
        "1.2.3",
        "010.0.0.1",
        "256.1.1.1",
        "1.2.3.0x7f",
        "0x7f.1",
        "１２７.１",
        "a／b.example",
        "a：b.example",
        "a\u{202e}b.example",
        "a\u{e000}.example",
        "\u{301}a.example",
        "a\u{200d}b.example",
        "אa.example",
        "＄.example",
        &long_label,
        &long_name,
    ] {
        assert!(!is_host(host), "{host}");
    }
}

#[test]
fn text_after_a_public_suffix_ends_the_host_and_nothing_else_does() {
    for (text, link) in [
        ("https://example.com谢谢", "https://example.com"),
        ("https://example.comです", "https://example.com"),
        ("https://example.comテスト", "https://example.com"),
        ("https://example.com입니다", "https://example.com"),
        ("https://example.co.uk谢谢/再见", "https://example.co.uk"),
        ("https://a.example谢谢", "https://a.example"),
        ("https://localhost谢谢", "https://localhost"),
        ("https://example.com👍谢谢", "https://example.com"),
        ("看https://example.com。谢谢", "https://example.com"),
        ("https://example.com谢谢。再见", "https://example.com"),
        ("https://例え.jp。", "https://例え.jp"),
        // No suffix stands before, or a dot and a label follow: the whole is the host.
        ("https://example.notasuffix谢谢", "https://example.notasuffix谢谢"),
        ("https://example.com谢谢.中国/a", "https://example.com谢谢.中国/a"),
        ("https://example.com谢谢.example", "https://example.com谢谢.example"),
        ("https://kc512みんな", "https://kc512みんな"),
        ("https://shop。中国", "https://shop。中国"),
        ("https://bank.example。例え/login", "https://bank.example。例え/login"),
        ("https://example.comไทย", "https://example.comไทย"),
        ("https://bücher谢谢", "https://bücher谢谢"),
    ] {
        assert_eq!(links_of(text), [link], "{text}");
    }
}

#[test]
fn a_host_that_goes_on_unseen_is_no_link_to_its_beginning() {
    for text in [
        "https://bank.example@evil.example/",
        "https://bank.example:443@evil.example/",
        "https://bank.example,x@evil.example/",
        "https://bank.example&josé@evil.example/",
        "https://bank.example%2eevil.example/",
        "https://evil.example'.bank.example/",
        "https://evil.example՝.bank.example/",
        "https://evil.example\u{202e}.bank.example/",
        "https://evil.example\u{e0080}.bank.example/",
        "https://evil.example／.bank.example/",
        "https://[::1]@evil.example/",
        "https://[::1]:80@evil.example/",
        "https://[::1]evil.example",
        "https://[::1].evil.example/",
        "https://[::1]\u{200b}evil.example",
        "https://[::1]|x@evil.example",
        "https://[::1]%2eevil.example",
        "https://bank.example，@evil",
        "https://bank.example:80，x@evil.example",
        "https://bank.example谢谢，x@evil.example",
    ] {
        assert_eq!(links_of(text), Vec::<String>::new(), "{text}");
    }
    // Invisible characters that UTS #46 passes over do not end the host either.
    assert_eq!(links_of("https://evil.example\u{200b}.bank.example/"), ["https://evil.example\u{200b}.bank.example/"]);
    assert_eq!(
        links_of("https://a.example\u{200b} https://b.example\u{200f}, c"),
        ["https://a.example", "https://b.example"]
    );
}

#[test]
fn whatever_stands_between_a_host_and_an_at_sign_makes_it_a_user_name() {
    let marks = "|^`{}\"<>[]!$&'()*+,;=:%~\u{2024}\u{2025}\u{2026}\u{fe52}／：＠、，’（）「」❤\u{200b}\u{202e}";
    for mark in marks.chars() {
        for host in ["bank.example", "例え.jp", "[::1]", "bank.example:443"] {
            for text in [format!("https://{host}{mark}x@evil.example/"), format!("https://{host}{mark}@evil.example")] {
                assert_eq!(links_of(&text), Vec::<String>::new(), "{text}");
            }
        }
    }
}

#[test]
fn an_at_sign_beyond_the_authority_makes_no_user_name() {
    for (text, links) in [
        ("both https://a.example @ann", &["https://a.example"][..]),
        ("(https://a.example)(https://b.example) @ann", &["https://a.example", "https://b.example"]),
        ("https://a.example,https://b.example @ann", &["https://a.example", "https://b.example"]),
        ("https://a.example,https://u@b.example", &["https://a.example"]),
        ("https://a.example/x，@ann 你好", &["https://a.example/x"]),
        ("https://a.example/@ann", &["https://a.example/@ann"]),
        ("https://a.example?x@ann", &["https://a.example?x@ann"]),
        ("https://a.example\\@ann", &["https://a.example"]),
        ("https://a.example，＠ann 你好", &["https://a.example"]),
        ("https://a.example\u{3000}@ann", &["https://a.example"]),
        ("https://[::1], https://[::1]. @ann", &["https://[::1]"]),
        ("(https://[::1]:80)", &["https://[::1]:80"]),
    ] {
        assert_eq!(links_of(text), links, "{text}");
    }
}
