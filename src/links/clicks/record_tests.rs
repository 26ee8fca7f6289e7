//! Records in both forms.

use proptest::prelude::*;

use super::super::click::tests::click;
use super::*;

const FORMS: [ClickForm; 2] = [ClickForm::Packed, ClickForm::Lines];

fn written(form: ClickForm, source: u64, clicks: &[(u64, Click<'_>)]) -> Vec<u8> {
    let mut record = RecordWriter::new(form, source);
    clicks.iter().for_each(|(place, click)| record.add(*place, click).unwrap());
    assert_eq!(record.count(), clicks.len());
    record.finish()
}

fn read(bytes: &[u8]) -> Result<Vec<(ClickOrigin, Click<'static>)>, String> {
    let record = ClickRecord::read(bytes)?;
    let owned = |click: Click<'_>| {
        let mut bytes = Vec::new();
        click.encode(&mut bytes);
        let bytes: &'static [u8] = bytes.leak();
        Click::decode(bytes).unwrap()
    };
    Ok(record.clicks.iter().map(|click| (click.origin, owned(record.click(click)))).collect())
}

proptest! {
    #[test]
    fn a_record_is_read_as_it_was_written_in_either_form(
        clicks in proptest::collection::vec((any::<u64>(), click()), 0..30), source in any::<u64>(),
    ) {
        let origin = |place| ClickOrigin { source, place };
        let expected: Vec<_> = clicks.iter().map(|(place, click)| (origin(*place), click.clone())).collect();
        for form in FORMS {
            prop_assert_eq!(read(&written(form, source, &clicks)), Ok(expected.clone()));
        }
    }

    #[test]
    fn what_is_cut_off_or_longer_is_no_packed_record(
        clicks in proptest::collection::vec((any::<u64>(), click()), 1..5), keep in any::<proptest::sample::Index>(),
    ) {
        let mut bytes = written(ClickForm::Packed, 7, &clicks);
        prop_assert!(keep.index(bytes.len()) == 0 || read(&bytes[..keep.index(bytes.len())]).is_err());
        bytes.push(0);
        prop_assert!(read(&bytes).is_err());
    }

    #[test]
    fn no_bytes_make_reading_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = ClickRecord::read(&bytes);
        let _ = ClickRecord::read(&[&[FORMAT][..], &bytes].concat());
        let _ = ClickRecord::read(&[&[FORMAT, 0, 0, 0, 0, 0, 0, 0, 0][..], &bytes].concat());
    }
}

fn three() -> Vec<(u64, Click<'static>)> {
    let bare = Click::bare("aZ3", Id(7), 1_431_857_103_000);
    let first = Click {
        country: Some("GB".into()),
        referrer: Some("news.example".into()),
        browser: Some("Firefox".into()),
        visitor: Some(Visitor(0xab)),
        ..bare.clone()
    };
    let second = Click { at_ms: first.at_ms - 1, is_bot: true, country: Some("GB".into()), ..bare.clone() };
    vec![(64, first), (128, second), (300, Click::bare("b", Id(9), bare.at_ms + 5))]
}

/// Records are kept for a day and longer: bytes of today are read by later versions.
#[test]
fn stored_packed_records_are_read_as_what_they_were() {
    let bytes: Vec<u8> =
        (0..FROZEN.len()).step_by(2).map(|at| u8::from_str_radix(&FROZEN[at..at + 2], 16).unwrap()).collect();
    let expected: Vec<_> =
        three().into_iter().map(|(place, click)| (ClickOrigin { source: 0x1f, place }, click)).collect();
    assert_eq!(read(&bytes), Ok(expected));
    assert_eq!(written(ClickForm::Packed, 0x1f, &three()), bytes, "and written as they were");
}

const FROZEN: &str = concat!(
    "011f00000000000000030247420c6e6577732e6578616d706c650746697265666f78020700000000",
    "00000003615a330900000000000000016203028001b082ac95ac530001000200030000ab00000000",
    "00000001800101000100000000000000d8020c0100000000000000",
);

#[test]
fn a_line_that_is_no_click_is_told_by_its_number() {
    let lines = String::from_utf8(written(ClickForm::Lines, 0x1f, &three())).unwrap();
    let wrong = lines.replace("1f-128", "1f");
    assert!(ClickRecord::read(wrong.as_bytes()).unwrap_err().starts_with("line 2: "));
    assert!(ClickRecord::read(&[FORMAT + 1]).is_err(), "of a later version");
}

/// Words that a thousand clicks share are written once.
#[test]
fn a_packed_click_takes_a_fraction_of_its_line() {
    let clicks: Vec<(u64, Click<'_>)> = (0..1_000_u64)
        .map(|number| {
            let (_, like) = three().swap_remove(0);
            let (referrer, link) = (format!("www.site-{}.example", number % 40), Id(number % 600 + (1 << 50)));
            let (at_ms, visitor) =
                (like.at_ms + number * 997 % 60_000, Some(Visitor(number.wrapping_mul(u64::MAX / 7))));
            (number * 90, Click { referrer: Some(referrer.into()), link, at_ms, visitor, ..like })
        })
        .collect();
    let [packed, lines] = FORMS.map(|form| written(form, u64::MAX, &clicks).len());
    assert!(packed < 40 * clicks.len() && packed * 6 < lines, "{packed} of {lines}");
}
