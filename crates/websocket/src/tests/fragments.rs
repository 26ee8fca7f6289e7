//! Messages in fragments, and control frames between them (Autobahn 5).

use super::*;

#[test]
fn fragments_are_joined() {
    let frames = [frame(TEXT, b"one "), frame(CONTINUATION, b"two "), frame(FIN, b"three")];
    assert_reads(&frames, &[text("one two three")]);
    assert_reads(&[frame(BINARY, &[1]), frame(FIN, &[2])], &[Got::Binary(vec![1, 2])]);
    let again = [frame(TEXT, b"a"), frame(FIN, b"b"), frame(BINARY, b"c"), frame(FIN, b"d"), frame(FIN | TEXT, b"e")];
    assert_reads(&again, &[text("ab"), Got::Binary(b"cd".to_vec()), text("e")]);
}

#[test]
fn fragments_may_be_empty() {
    assert_reads(&[frame(TEXT, b""), frame(CONTINUATION, b""), frame(FIN, b"")], &[text("")]);
    assert_reads(&[frame(TEXT, b""), frame(CONTINUATION, b"middle"), frame(FIN, b"")], &[text("middle")]);
}

#[test]
fn control_frames_come_at_once_between_fragments() {
    let frames = [
        frame(TEXT, b"first"),
        frame(FIN | PING, b"1"),
        frame(CONTINUATION, b"second"),
        frame(FIN | PONG, b"2"),
        frame(FIN, b"third"),
    ];
    assert_reads(&frames, &[Got::Ping(b"1".to_vec()), Got::Pong(b"2".to_vec()), text("firstsecondthird")]);
    let (got, outcome, kept) = read_in(&frames[..2].concat(), [], BYTES_MAX, false);
    assert_eq!((got, outcome), (vec![Got::Ping(b"1".to_vec())], Ok(())));
    assert!(kept > 0);
}

#[test]
fn a_close_between_fragments_is_the_end() {
    let frames = [frame(TEXT, b"first"), frame(FIN | CLOSE, b""), frame(FIN, b"second")];
    assert_reads(&frames, &[Got::Close(None)]);
    assert_eq!(read_in(&frames.concat(), [], BYTES_MAX, false).2, 0, "the first fragment is not kept");
}

#[test]
fn a_continuation_of_nothing_ends_it() {
    for first in [CONTINUATION, FIN] {
        assert_violates(&[frame(first, b"x")], &[], Violation::NothingToContinue);
        let frames = [frame(FIN | TEXT, b"whole"), frame(first, b"x")];
        assert_violates(&frames, &[text("whole")], Violation::NothingToContinue);
        let frames = [frame(TEXT, b"a"), frame(FIN, b"b"), frame(first, b"x")];
        assert_violates(&frames, &[text("ab")], Violation::NothingToContinue);
    }
}

#[test]
fn a_new_message_within_another_ends_it() {
    for first in [TEXT, FIN | TEXT, BINARY, FIN | BINARY] {
        assert_violates(&[frame(TEXT, b"a"), frame(first, b"b")], &[], Violation::Unfinished);
        let frames = [frame(TEXT, b"a"), frame(FIN | PING, b""), frame(first, b"b")];
        assert_violates(&frames, &[Got::Ping(vec![])], Violation::Unfinished);
    }
}

#[test]
fn fragments_count_together_against_the_bound() {
    let half = vec![b'*'; BYTES_MAX / 2];
    let whole = [frame(TEXT, &half), frame(FIN, &half)];
    assert_reads(&whole, &[text(&"*".repeat(BYTES_MAX))]);
    let over = [frame(TEXT, &half), frame(CONTINUATION, &half), frame(FIN, b"*")];
    assert_violates(&over, &[], Violation::TooBig);
    // The bound is the message's: the next one begins at nothing.
    let twice = [whole.concat(), whole.concat()];
    assert_reads(&twice, &[text(&"*".repeat(BYTES_MAX)), text(&"*".repeat(BYTES_MAX))]);
}

#[test]
fn many_small_fragments_are_joined_within_the_bound_of_memory() {
    let mut bytes = frame(BINARY, b"");
    (0..BYTES_MAX).for_each(|_| bytes.extend(frame(CONTINUATION, b"x")));
    let kept = read_in(&bytes, [], BYTES_MAX, false).2;
    assert!((BYTES_MAX..BYTES_MAX + 512).contains(&kept), "{kept} bytes");
    bytes.extend(frame(FIN, b""));
    assert_eq!(read_in(&bytes, [], BYTES_MAX, false).0, [Got::Binary(vec![b'x'; BYTES_MAX])]);
}
