//! The derivation of where addresses end, held to cases that were written apart from it.

use super::*;
use crate::posts::text::links_of;

/// Code point, class and name: read off Unicode's charts.
const CASES: &str = include_str!("testdata/link_ends.tsv");
const CASES_MIN: usize = 200;

fn cases() -> Vec<(char, &'static str, &'static str)> {
    let lines = CASES.lines().filter(|line| !line.starts_with('#'));
    let case = |line: &'static str| {
        let mut fields = line.split('\t');
        let c = char::from_u32(u32::from_str_radix(fields.next().unwrap(), 16).unwrap()).unwrap();
        (c, fields.next().unwrap(), fields.next().unwrap())
    };
    lines.map(case).collect()
}

#[test]
fn every_case_has_the_class_that_the_charts_give_it() {
    let cases = cases();
    assert!(cases.len() >= CASES_MIN, "{}", cases.len());
    for (c, class, name) in cases {
        let found = match link_end(c) {
            LinkEnd::Hard => "hard",
            LinkEnd::Soft => "soft",
            LinkEnd::Open(_) => "open",
            LinkEnd::Close => "close",
            LinkEnd::Include => "include",
        };
        assert_eq!(found, class, "U+{:04X} {name}", u32::from(c));
    }
}

#[test]
fn every_case_ends_an_address_as_its_class_says() {
    for (c, class, name) in cases() {
        let one = |text: &str| links_of(text).into_iter().next().unwrap_or_default();
        let (at_end, within) = (one(&format!("https://a.example/x{c} y")), one(&format!("https://a.example/x{c}y")));
        let expected = match class {
            "include" => (format!("https://a.example/x{c}"), format!("https://a.example/x{c}y")),
            "soft" | "open" => ("https://a.example/x".to_owned(), format!("https://a.example/x{c}y")),
            _ => ("https://a.example/x".to_owned(), "https://a.example/x".to_owned()),
        };
        assert_eq!((at_end, within), expected, "U+{:04X} {name}", u32::from(c));
    }
}

#[test]
fn the_table_of_ascii_is_what_the_derivation_gives() {
    for c in (0..128_u8).map(char::from) {
        assert_eq!(link_end(c), derived(c), "{c:?}");
    }
}

/// Characters of this version of Unicode have their properties; those of a later one have none yet.
#[test]
fn the_properties_are_of_the_version_that_is_named() {
    assert_eq!(UNICODE_VERSION, "17.0");
    // SAUDI RIYAL SIGN and TOLONG SIKI LETTER I came with 17.0.
    assert_eq!(derived('\u{20c1}'), LinkEnd::Soft);
    assert_eq!(derived('\u{11db0}'), LinkEnd::Include);
    let mut counts = [0_u32; 4];
    // All that is assigned is below plane 4, but for tags and private use.
    for c in '\0'..'\u{40000}' {
        match derived(c) {
            LinkEnd::Hard => {}
            LinkEnd::Soft => counts[0] += 1,
            LinkEnd::Open(_) => counts[1] += 1,
            LinkEnd::Close => counts[2] += 1,
            LinkEnd::Include => counts[3] += 1,
        }
    }
    assert_eq!(
        counts,
        [8_252, 47, 47, 25_881],
        "the crate's data moved on: look at what changed, and name its version"
    );
}
