//! Beginnings and ends of addresses in what people write.

use crate::posts::text::links_of;

#[test]
fn links_end_where_the_sentence_goes_on() {
    for (text, link) in [
        ("see https://example.com/a?b=c#d.", "https://example.com/a?b=c#d"),
        ("(https://example.com/a)", "https://example.com/a"),
        ("https://en.wikipedia.org/wiki/Rust_(fungus), yes", "https://en.wikipedia.org/wiki/Rust_(fungus)"),
        ("<https://example.com>", "https://example.com"),
        ("<https://example.com/a>b", "https://example.com/a"),
        ("“https://example.com/a”", "https://example.com/a"),
        ("“https://example.com”说", "https://example.com"),
        ("HTTP://Example.com!!!", "HTTP://Example.com"),
        ("请看https://example.com/a，谢谢", "https://example.com/a"),
        ("请看https://example.com，谢谢", "https://example.com"),
        ("链接：https://example.com/路径", "https://example.com/"),
        ("http://münchen.example/straße", "http://münchen.example/straße"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://[::1]", "http://[::1]"),
        ("http://localhost:7070/docs…", "http://localhost:7070/docs"),
        ("http://localhost:7070.", "http://localhost:7070"),
        ("https://a.example: yes", "https://a.example"),
        ("https://a.example:99999/x", "https://a.example"),
        ("https://a.example? yes", "https://a.example"),
        ("https://a.example?x=1", "https://a.example?x=1"),
        ("https://a.example/?", "https://a.example/"),
        ("https://a.example#1!", "https://a.example#1"),
        ("https://a.example—see", "https://a.example"),
        ("https://a.example/x👍🏽", "https://a.example/x"),
        ("https://a.example/❤️/x", "https://a.example/❤️/x"),
        ("https://a.example/a)b(c", "https://a.example/a"),
        ("https://a.example/.well-known/x", "https://a.example/.well-known/x"),
        ("_https://a.example_ or", "https://a.example"),
        ("https://a.example_/x", "https://a.example_/x"),
        ("https://a.example-", "https://a.example"),
        ("https://a.example./x", "https://a.example./x"),
        ("https://a.example...", "https://a.example"),
        ("https://fa.example/wiki/می\u{200c}خواهم", "https://fa.example/wiki/می\u{200c}خواهم"),
        ("https://a.example/x https://a.example/x", "https://a.example/x"),
    ] {
        assert_eq!(links_of(text), [link], "{text}");
    }
}

#[test]
fn an_address_begins_where_another_one_ended() {
    for between in
        ["+", ",", ";", "|", "❤", "👍", "、", "。", "…", "-", "_", ".", "…、", ")(", "](", "&", "=", "\n", "谢谢"]
    {
        let text = format!("https://a.example{between}https://b.example");
        assert_eq!(links_of(&text), ["https://a.example", "https://b.example"], "{text}");
    }
    assert_eq!(links_of("https://https://a.example"), ["https://a.example"]);
    assert_eq!(links_of("https://a.example/https://b.example"), ["https://a.example/https://b.example"]);
}

#[test]
fn what_only_looks_like_a_link_is_none() {
    for text in [
        "http://",
        "https://.",
        "xhttp://example.com",
        "x+https://example.com",
        "ftp://example.com",
        "javascript://example.com",
        "://a.example",
        "https://user@bank.example",
        "https://a..b",
        "https://-:x/",
        "http:///a",
        "http://[::1",
        "http://[::x]/",
        "https://a.example-/x",
        "https://1.2.3/x",
        "https:// a.example",
    ] {
        assert_eq!(links_of(text), Vec::<String>::new(), "{text}");
    }
}
