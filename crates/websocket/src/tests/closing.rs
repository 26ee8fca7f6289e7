//! Closes: codes, reasons, and what comes after; the close codes of violations (Autobahn 7); what the writers send.

use super::*;
use crate::{close, close_reply, ping, pong, text_header};

fn close_frame(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

#[test]
fn a_close_comes_with_its_code_and_reason() {
    assert_reads(&[frame(FIN | CLOSE, b"")], &[Got::Close(None)]);
    for reason in ["", "bye", &"*".repeat(123)] {
        assert_reads(&[close_frame(1000, reason.as_bytes())], &[Got::Close(Some((1000, reason.to_owned())))]);
    }
    assert_violates(&[close_frame(1000, &[b'*'; 124])], &[], Violation::LongControl);
}

#[test]
fn nothing_counts_after_a_close() {
    let after = [frame(FIN | CLOSE, b""), frame(FIN | TEXT, b"late"), frame(FIN | CLOSE, b""), vec![0xff; 20]];
    assert_reads(&after, &[Got::Close(None)]);
}

#[test]
fn half_a_code_ends_it() {
    assert_violates(&[frame(FIN | CLOSE, b"\x03")], &[], Violation::BadCloseCode);
}

#[test]
fn a_reason_that_is_not_utf_8_ends_it() {
    assert_violates(&[close_frame(1000, b"\xce\xba\xe1\xbd")], &[], Violation::BadUtf8);
}

#[test]
fn codes_that_mean_something_are_taken_and_the_others_end_it() {
    for code in (1000..=1003).chain(1007..=1014).chain([3000, 3999, 4000, 4999]) {
        assert_reads(&[close_frame(code, b"")], &[Got::Close(Some((code, String::new())))]);
    }
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
        assert_violates(&[close_frame(code, b"")], &[], Violation::BadCloseCode);
    }
}

#[test]
fn every_violation_has_its_close_code_and_a_reason_that_fits() {
    let all = [
        (Violation::ReservedBit, 1002),
        (Violation::ReservedOpcode, 1002),
        (Violation::Unmasked, 1002),
        (Violation::BadLength, 1002),
        (Violation::FragmentedControl, 1002),
        (Violation::LongControl, 1002),
        (Violation::NothingToContinue, 1002),
        (Violation::Unfinished, 1002),
        (Violation::BadCloseCode, 1002),
        (Violation::BadUtf8, 1007),
        (Violation::BadDeflate, 1007),
        (Violation::TooBig, 1009),
    ];
    for (violation, code) in all {
        assert_eq!(violation.close_code(), code);
        assert!(violation.to_string().len() <= crate::REASON_BYTES_MAX);
    }
}

/// The bytes that `write` appends.
fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    write(&mut out);
    out
}

#[test]
fn control_frames_are_written_as_the_rfc_shows_them() {
    assert_eq!(written(|out| ping(out, b"Hello")), b"\x89\x05Hello");
    assert_eq!(written(|out| pong(out, b"Hello")), b"\x8a\x05Hello");
    assert_eq!(written(|out| close(out, 1001, "drain")), b"\x88\x07\x03\xe9drain");
    assert_eq!(written(|out| close_reply(out, None)), b"\x88\x00");
    assert_eq!(written(|out| close_reply(out, Some((4000, "why")))), b"\x88\x02\x0f\xa0");
}

#[test]
fn control_frames_are_cut_to_what_they_hold() {
    assert_eq!(written(|out| pong(out, &[7; 200])).len(), 2 + 125);
    let reason = "é".repeat(100);
    let bytes = written(|out| close(out, 1000, &reason));
    assert_eq!(bytes.len(), 2 + 2 + 122, "122 bytes are 61 whole characters");
    assert!(std::str::from_utf8(&bytes[4..]).is_ok());
}

#[test]
fn messages_are_written_with_the_shortest_head() {
    assert_eq!(written(|out| crate::text(out, &[b"Hel", b"", b"lo"])), b"\x81\x05Hello");
    assert_eq!(written(|out| text_header(out, 125)), [0x81, 125]);
    assert_eq!(written(|out| text_header(out, 126)), [0x81, 126, 0, 126]);
    assert_eq!(written(|out| text_header(out, 65_535)), [0x81, 126, 0xff, 0xff]);
    assert_eq!(written(|out| text_header(out, 65_536)), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
}
