//! What is a host and what is none.

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
