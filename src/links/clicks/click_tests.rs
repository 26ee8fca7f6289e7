//! Clicks as the spool has them, and as lines.

use proptest::prelude::*;

use super::*;

fn name() -> impl Strategy<Value = Option<Cow<'static, str>>> {
    proptest::option::of(proptest::collection::vec(any::<char>(), 1..15))
        .prop_map(|name| name.map(|chars| Cow::Owned(chars.into_iter().collect())))
}

prop_compose! {
    pub(in crate::links::clicks) fn click()(
        names in (name(), name(), name(), name(), name(), name(), name()),
        link in 0..i64::MAX as u64,
        at_ms in 0..Timestamp::MAX.0,
        is_bot in any::<bool>(),
        visitor in proptest::option::of(any::<u64>()),
    ) -> Click<'static> {
        let (country, city, referrer, device, browser, os, language) = names;
        let visitor = visitor.map(Visitor);
        let bare = Click::bare("x-Y_9", Id(link), at_ms);
        Click { country, city, referrer, device, browser, os, language, is_bot, visitor, ..bare }
    }
}

proptest! {
    #[test]
    fn a_click_is_the_same_after_spool_and_line(click in click(), source in any::<u64>(), place in any::<u64>()) {
        let mut bytes = Vec::new();
        click.encode(&mut bytes);
        prop_assert_eq!(Click::decode(&bytes), Some(click.clone()));
        let (origin, mut line) = (ClickOrigin { source, place }, Vec::new());
        write_line(origin, &click, &mut line).unwrap();
        prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        prop_assert_eq!(read_line(&line), Ok((origin, click)));
    }

    #[test]
    fn what_is_cut_off_or_longer_is_no_click(click in click(), keep in any::<proptest::sample::Index>()) {
        let mut bytes = Vec::new();
        click.encode(&mut bytes);
        prop_assert_eq!(Click::decode(&bytes[..keep.index(bytes.len())]), None);
        bytes.push(0);
        prop_assert_eq!(Click::decode(&bytes), None);
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = (Click::decode(&bytes), read_line(&bytes));
    }
}

/// Tools of others read lines: a change here breaks them.
#[test]
fn the_line_is_what_the_docs_say() {
    let click = Click {
        country: Some("GB".into()),
        referrer: Some("news.example".into()),
        device: Some("mobile".into()),
        browser: Some("Firefox".into()),
        os: Some("Android".into()),
        language: Some("en".into()),
        visitor: Some(Visitor(0xab)),
        ..Click::bare("aZ3", Id(7), 1_431_857_103_000)
    };
    let mut line = Vec::new();
    write_line(ClickOrigin { source: 0x1f, place: 64 }, &click, &mut line).unwrap();
    let expected = concat!(
        r#"{"id":"000000000000001f-64","at":"2015-05-17T10:05:03.000Z","code":"aZ3","link":"7","country":"GB","#,
        r#""city":null,"referrer":"news.example","device":"mobile","browser":"Firefox","os":"Android","#,
        r#""language":"en","bot":false,"visitor":"00000000000000ab"}"#,
        "\n"
    );
    assert_eq!(String::from_utf8(line).unwrap(), expected);
    let later = expected.replace("\"bot\"", "\"colour\":\"red\",\"bot\"");
    assert_eq!(read_line(later.as_bytes()).unwrap().1, click, "a field of a later version");
    assert!(read_line(expected.replace("1f-64", "1f").as_bytes()).is_err());
}

#[test]
fn names_are_cut_between_characters() {
    assert_eq!(cut("short"), "short");
    assert_eq!(cut(&"é".repeat(60)), "é".repeat(30));
    assert_eq!(cut(&format!("x{}", "é".repeat(60))).len(), 59);
}
