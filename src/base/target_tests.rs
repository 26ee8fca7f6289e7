//! Hostile addresses and plain ones.

use proptest::prelude::*;

use super::*;

fn rules() -> TargetRules {
    TargetRules {
        schemes: vec!["http".to_owned(), "https".to_owned()],
        allow_private: false,
        own_hosts: vec!["fan.example".to_owned(), "f.example".to_owned(), "203.0.113.9".to_owned()],
    }
}

fn refusal(text: &str) -> Forbidden {
    match check(text, &rules()) {
        Ok(target) => panic!("{text:?} is taken, as {}", target.url),
        Err(refusal) => refusal,
    }
}

const CHARACTERS: &[&str] = &[
    "http://exa\tmple.com",
    "ht\ntp://example.com",
    " https://example.com",
    "https://example.com ",
    "https://example.com/a b",
    "https://example.com/\u{0}",
    "https://example.com/\u{7f}",
    "https://example.com/\u{a0}",
    "https://example.com/\u{2028}",
    "https://example.com/\u{85}",
    "https://example.com/\r\nSet-Cookie: a=b",
    "\u{3000}https://example.com",
];
const NO_URLS: &[&str] =
    &["", "example.com", "/s/abc", "//example.com", "https://", "http://[::1", "http://1.2.3.4.5", "http://a%zz"];
const SCHEMES: &[&str] = &[
    "javascript:alert(1)",
    "JaVaScRiPt://example.com/%0aalert(1)",
    "data:text/html,hi",
    "file:///etc/passwd",
    "ftp://example.com",
    "vbscript:x",
    "blob:https://example.com/x",
    "mailto:ann@example.com",
    "intent://example.com#Intent;end",
    "about:blank",
    "view-source:https://example.com",
];
const CREDENTIALS: &[&str] = &[
    "https://ann@example.com",
    "https://ann:secret@example.com",
    "https://:secret@example.com",
    "https://example.com:x@evil.example",
    "https://example.com%40evil.example@evil.example/",
];
const OWN: &[&str] = &[
    "https://fan.example",
    "https://FAN.example/s/abc",
    "http://fan.example:8080/x",
    "https://fan.example./",
    "https://f.example/abc",
    "https://f%2eexample/",
    "https://f\u{3002}example/",
    "http://203.0.113.9/",
    "http://0xcb007109/",
    "http://[::ffff:203.0.113.9]/",
];

#[test]
fn every_rule_has_its_own_refusal() {
    let scheme = Forbidden::Scheme("http: or https:".to_owned());
    let table = [
        (CHARACTERS, Forbidden::Characters),
        (NO_URLS, Forbidden::NoUrl),
        (SCHEMES, scheme),
        (CREDENTIALS, Forbidden::Credentials),
        (OWN, Forbidden::Own),
    ];
    for (texts, wanted) in &table {
        for text in *texts {
            assert_eq!(refusal(text), *wanted, "{text:?}");
        }
    }
    let long = format!("https://example.com/{}", "a".repeat(TARGET_BYTES_MAX));
    let longer_when_written = format!("https://example.com/{}", "é".repeat(TARGET_BYTES_MAX / 4));
    assert_eq!((refusal(&long), refusal(&longer_when_written)), (Forbidden::Long, Forbidden::Long));
    let messages: std::collections::HashSet<String> = table.iter().map(|(_, refusal)| refusal.to_string()).collect();
    assert_eq!(messages.len(), table.len());
}

/// Spellings of hosts that lead to no public place.
const PRIVATE: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "2130706433",
    "0x7f000001",
    "0x7f.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.1.",
    "%31%32%37.0.0.1",
    "\u{ff11}27.0.0.1",
    "0.0.0.0",
    "0",
    "10.0.0.1",
    "10.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "0xa9fea9fe",
    "2852039166",
    "100.64.0.1",
    "100.127.255.255",
    "192.0.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "[::1]",
    "[::]",
    "[fc00::1]",
    "[fd12:3456::1]",
    "[fe80::1]",
    "[ff02::1]",
    "[fec0::1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:a9fe:a9fe]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b::10.0.0.1]",
    "[64:ff9b:1::1]",
    "[::127.0.0.1]",
    "[::ffff:0:127.0.0.1]",
    "[2002:7f00:1::]",
    "[2002:c0a8:0101::1]",
    "[2001:0:1::1]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "a.localhost",
    "a.b.localhost.",
    "printer.local",
    "vault.internal",
    "Vault.Internal.",
    "loc\u{ad}alhost",
    "\u{24db}ocalhost",
    "ｌｏｃａｌｈｏｓｔ",
];

#[test]
fn private_addresses_are_refused_in_every_spelling() {
    for spelling in PRIVATE {
        for address in [format!("http://{spelling}/"), format!("https://{spelling}:8443/a?b#c")] {
            assert_eq!(refusal(&address), Forbidden::Private, "{address}");
            let open = TargetRules { allow_private: true, ..rules() };
            assert!(check(&address, &open).is_ok(), "{address} where it is allowed");
        }
    }
    for spelling in ["http:127.0.0.1", "http:/127.0.0.1", "http:///127.0.0.1", "http:\\\\127.0.0.1\\x", "http:\\/127.1"]
    {
        assert_eq!(refusal(spelling), Forbidden::Private, "{spelling}");
    }
    let public = [
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.0.1",
        "172.32.0.1",
        "[2606:4700::1111]",
        "192.0.1.1",
        "[64:ff9b::1.1.1.1]",
        "mylocal",
        "local.example",
        "internal.example.com",
        "notlocalhost",
        "xn--bcher-kva.example",
    ];
    for host in public {
        assert!(check(&format!("http://{host}/"), &rules()).is_ok(), "{host}");
    }
}

#[test]
fn targets_are_kept_as_the_parser_writes_them() {
    let written = |text: &str| check(text, &rules()).unwrap();
    let target = written("HTTPS://Bücher.Example:443/straße?q=ü#ä");
    assert_eq!(target.url, "https://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%BC#%C3%A4");
    assert_eq!(target.host, "xn--bcher-kva.example");
    assert_eq!(written("http://example.com").url, "http://example.com/");
    assert_eq!(written("http://0x1.1.1.1/").host, "1.1.1.1");
    assert_eq!(written("http://[2606:4700::1111]/").host, "2606:4700::1111");
}

#[test]
fn other_schemes_pass_where_the_operator_says_so_and_some_never_do() {
    let rules = TargetRules { schemes: ["myapp", "mailto", "javascript"].map(str::to_owned).to_vec(), ..rules() };
    assert_eq!(check("myapp://open/thing", &rules).unwrap().url, "myapp://open/thing");
    assert_eq!(
        check("https://example.com", &rules),
        Err(Forbidden::Scheme("myapp: or mailto: or javascript:".to_owned()))
    );
    assert_eq!(check("mailto:ann@example.com", &rules), Err(Forbidden::NoHost));
    assert!(matches!(check("javascript://example.com/", &rules), Err(Forbidden::Scheme(_))));
    for private in ["myapp://LOCALHOST/", "myapp://0x7f.1/", "myapp://127.0.0.1/", "myapp://[::1]/"] {
        assert_eq!(check(private, &rules), Err(Forbidden::Private), "{private}");
    }
}

#[test]
fn hosts_have_one_spelling() {
    for (given, key) in [
        ("Fan.Example", "fan.example"),
        ("fan.example.", "fan.example"),
        ("0x7f.1", "127.0.0.1"),
        ("::1", "::1"),
        ("[::1]", "::1"),
        ("::ffff:1.2.3.4", "1.2.3.4"),
        ("bücher.example", "xn--bcher-kva.example"),
    ] {
        assert_eq!(host_key(given).as_deref(), Some(key), "{given}");
    }
    for bad in ["", " ", ".", "a b", "a/b", "a:80"] {
        assert_eq!(host_key(bad), None, "{bad:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Targets that are taken once are taken again, unchanged, and can stand in a header.
    #[test]
    fn what_is_taken_is_ascii_and_stays_as_it_is(text in hostile()) {
        if let Ok(target) = check(&text, &rules()) {
            prop_assert!(target.url.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{}", target.url);
            prop_assert!(target.url.starts_with("http://") || target.url.starts_with("https://"));
            prop_assert_eq!(check(&target.url, &rules()), Ok(target));
        }
    }

    /// However an address of this machine is written, nobody is sent there.
    #[test]
    fn no_spelling_of_an_address_of_this_machine_is_taken(low in 0_u32..1 << 24, how in 0_usize..8, scheme in "(http|HTTPS):[/\\\\]{0,4}") {
        let address = 0x7f00_0000 | low;
        let [a, b, c, d] = address.to_be_bytes();
        let (high, bottom) = (address >> 16, address & 0xffff);
        let host = match how {
            0 => format!("{a}.{b}.{c}.{d}"),
            1 => format!("{address}"),
            2 => format!("{address:#x}"),
            3 => format!("0{address:o}"),
            4 => format!("{a:#x}.0{b:o}.{bottom}"),
            5 => format!("[::ffff:{high:x}:{bottom:x}]"),
            6 => format!("[64:ff9b::{high:x}:{bottom:x}]"),
            _ => format!("{a}.{}.", address & 0xff_ffff),
        };
        prop_assert_eq!(check(&format!("{scheme}{host}/x"), &rules()), Err(Forbidden::Private));
    }
}

/// Texts near to addresses.
fn hostile() -> impl Strategy<Value = String> {
    let scheme = prop_oneof![4 => Just("https:"), 3 => Just("http:"), 1 => Just("javascript:"), 1 => Just("")];
    let slashes = prop_oneof![4 => Just("//"), 1 => Just("/"), 1 => Just("\\\\"), 1 => Just("///"), 1 => Just("")];
    let host = prop_oneof![
        4 => "[a-z0-9.-]{1,20}", 1 => "\\PC{1,8}", 1 => "[0-9a-fx.]{1,12}", 1 => "\\[[0-9a-f:.]{2,20}\\]",
        1 => "[a-z]{1,5}[@%:][a-z0-9]{1,5}",
    ];
    let rest = prop_oneof![3 => "[/?#][!-~]{0,30}", 1 => "[/?#]\\PC{0,30}", 1 => ".{0,10}"];
    (scheme, slashes, host, rest).prop_map(|(scheme, slashes, host, rest)| format!("{scheme}{slashes}{host}{rest}"))
}

/// Addresses that people shortened, one a line, where the folder with them is.
#[test]
fn real_addresses_are_taken() {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/urls.txt.gz");
    let Ok(packed) = std::fs::File::open(&file) else {
        eprintln!("{} is not there: nothing is compared", file.display());
        return;
    };
    let text = std::io::read_to_string(flate2::read::GzDecoder::new(packed)).unwrap();
    let refused: Vec<_> = text.lines().filter(|line| check(line, &rules()).is_err()).collect();
    assert!(text.lines().count() > 30_000 && refused.is_empty(), "{refused:?}");
}
