//! Text is UTF-8, over the whole message (Autobahn 6).

use super::*;

#[test]
fn text_of_every_plane_is_read() {
    let all = ["κόσμε", "\0", "\u{80}", "\u{7ff}", "\u{800}", "\u{d7ff}", "\u{e000}", "\u{fffd}", "\u{ffff}"];
    for good in all.into_iter().chain(["\u{10000}", "\u{10ffff}", "\u{feff}", "Hello-µ@ßöäüàá-UTF-8!!"]) {
        assert_reads(&[frame(FIN | TEXT, good.as_bytes())], &[text(good)]);
    }
}

#[test]
fn characters_may_be_cut_by_fragments() {
    let bytes = "Hello-µ@ßöäüàá-κόσμε-🎺".as_bytes();
    for cut in 0..=bytes.len() {
        let frames = [frame(TEXT, &bytes[..cut]), frame(FIN | PING, b"!"), frame(FIN, &bytes[cut..])];
        assert_reads(&frames, &[Got::Ping(b"!".to_vec()), text("Hello-µ@ßöäüàá-κόσμε-🎺")]);
    }
    let mut single = vec![frame(TEXT, b"")];
    single.extend(bytes.iter().map(|byte| frame(CONTINUATION, &[*byte])));
    single.push(frame(FIN, b""));
    assert_reads(&single, &[text("Hello-µ@ßöäüàá-κόσμε-🎺")]);
}

#[test]
fn what_is_not_utf_8_ends_it() {
    let bad: &[&[u8]] = &[
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited", // a surrogate
        b"\xf8\x88\x80\x80\x80",                                           // five bytes
        b"\xfc\x84\x80\x80\x80\x80",                                       // six bytes
        b"\xf7\xbf\xbf\xbf",                                               // past the last plane
        b"\xf4\x90\x80\x80",
        b"\x80", // a continuation of nothing
        b"\xbf\x80\xbf",
        b"\xc0 ", // a start without its continuation
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xce\xba\xe1\xbd", // the end is missing
        b"\xfe",
        b"\xff",
        b"\xc0\xaf", // longer than needed
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xed\xa0\x80", // surrogates, alone and in pairs
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
    ];
    for bytes in bad {
        assert_violates(&[frame(FIN | TEXT, bytes)], &[], Violation::BadUtf8);
        let (first, second) = bytes.split_at(bytes.len() / 2);
        assert_violates(&[frame(TEXT, first), frame(FIN, second)], &[], Violation::BadUtf8);
        assert_reads(&[frame(FIN | BINARY, bytes)], &[Got::Binary(bytes.to_vec())]);
    }
    assert_eq!(Violation::BadUtf8.close_code(), 1007);
}

#[test]
fn text_that_cannot_be_right_any_more_fails_before_its_end_is_here() {
    let good = "κόσμε".as_bytes();
    let open = [frame(TEXT, good), frame(CONTINUATION, &good[..1])];
    assert_reads(&open, &[]);
    assert_violates(&[frame(TEXT, good), frame(CONTINUATION, b"\xf4\x90")], &[], Violation::BadUtf8);
    let unfinished = frame(FIN | TEXT, &[good, b"\xff", good].concat());
    let (_, outcome, _) = read_in(&unfinished[..6 + good.len() + 1], [], BYTES_MAX, false);
    assert_eq!(outcome, Err(Violation::BadUtf8), "in the middle of a frame");
}
