//! Frames, pings, reserved bits, opcodes, sizes (Autobahn 1, 2, 3, 4, 9).

use std::ops::ControlFlow;

use super::*;

#[test]
fn text_and_binary_of_every_length_of_head_are_read() {
    for len in [0, 1, 7, 8, 9, 125, 126, 127, 128, 65_535, BYTES_MAX] {
        let payload = "*".repeat(len);
        assert_reads(&[frame(FIN | TEXT, payload.as_bytes())], &[text(&payload)]);
        let bytes: Vec<u8> = (0..len).map(|at| at as u8).collect();
        assert_reads(&[frame(FIN | BINARY, &bytes)], &[Got::Binary(bytes)]);
    }
}

#[test]
fn pings_and_pongs_come_with_their_bytes() {
    for payload in [&b""[..], b"Hello", &[0, 0xff, 0xfe, 0xfd], &[0xfe; 125]] {
        assert_reads(&[frame(FIN | PING, payload)], &[Got::Ping(payload.to_owned())]);
        assert_reads(&[frame(FIN | PONG, payload)], &[Got::Pong(payload.to_owned())]);
    }
    let ten: Vec<Vec<u8>> = (0..10_u8).map(|n| frame(FIN | PING, &[n])).collect();
    assert_reads(&ten, &(0..10_u8).map(|n| Got::Ping(vec![n])).collect::<Vec<_>>());
}

#[test]
fn control_frames_have_at_most_125_bytes_and_no_fragments() {
    for opcode in [CLOSE, PING, PONG] {
        assert_violates(&[frame(FIN | opcode, &[0xfe; 126])], &[], Violation::LongControl);
        assert_violates(&[frame(FIN | opcode, &[0xfe; 65_536])], &[], Violation::LongControl);
        assert_violates(&[frame(opcode, b"x")], &[], Violation::FragmentedControl);
        assert_violates(&[frame(opcode, b"")], &[], Violation::FragmentedControl);
    }
}

#[test]
fn reserved_bits_end_it_after_what_came_before() {
    for bits in 1..8_u8 {
        for opcode in [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] {
            let bad = frame(FIN | bits << 4 | opcode, b"");
            let frames = [frame(FIN | TEXT, b"before"), bad, frame(FIN | TEXT, b"after")];
            assert_violates(&frames, &[text("before")], Violation::ReservedBit);
        }
    }
}

#[test]
fn opcodes_that_nobody_defined_end_it_after_what_came_before() {
    for opcode in (3..8).chain(11..16) {
        for first in [opcode, FIN | opcode] {
            for payload in [&b""[..], b"x"] {
                let frames = [frame(FIN | TEXT, b"before"), frame(first, payload), frame(FIN | PING, b"after")];
                assert_violates(&frames, &[text("before")], Violation::ReservedOpcode);
            }
        }
    }
}

#[test]
fn a_frame_without_a_mask_ends_it() {
    assert_violates(&[vec![FIN | TEXT, 2, b'h', b'i']], &[], Violation::Unmasked);
    assert_violates(&[vec![FIN | PING, 0]], &[], Violation::Unmasked);
}

#[test]
fn a_mask_of_zeros_and_any_other_mask_are_taken_off() {
    assert_reads(&[vec![FIN | TEXT, 0x82, 0, 0, 0, 0, b'h', b'i']], &[text("hi")]);
    for at in 0..32 {
        for cut in 0..=at {
            let key = [0x12, 0x34, 0x56, 0x78];
            let plain: Vec<u8> = (0..at as u8).collect();
            let mut masked: Vec<u8> = plain.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let (first, second) = masked.split_at_mut(cut);
            crate::head::mask(first, key, 0);
            crate::head::mask(second, key, cut);
            assert_eq!(masked, plain, "{at} bytes, cut at {cut}");
        }
    }
}

#[test]
fn lengths_stand_in_their_shortest_form() {
    let with_length = |second: u8, length: &[u8]| [&[FIN | BINARY, 0x80 | second], length, &[0; 4]].concat();
    for bad in [
        with_length(126, &[0, 0]),
        with_length(126, &[0, 125]),
        with_length(127, &[0, 0, 0, 0, 0, 0, 0, 5]),
        with_length(127, &[0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        with_length(127, &[0x80, 0, 0, 0, 0, 1, 0, 0]),
        with_length(127, &[0xff; 8]),
    ] {
        assert_violates(&[bad], &[], Violation::BadLength);
    }
}

#[test]
fn too_big_a_message_fails_at_its_head_before_a_byte_is_kept() {
    assert_violates(&[frame(FIN | TEXT, &vec![b'*'; BYTES_MAX + 1])], &[], Violation::TooBig);
    let head_only = [&[FIN | BINARY, 0x80 | 127][..], &(1_u64 << 62).to_be_bytes()].concat();
    assert_violates(&[head_only], &[], Violation::TooBig);
    assert_eq!(read_in(&frame(FIN | TEXT, b"four"), [], 4, false).0, [text("four")]);
    assert_eq!(read_in(&frame(FIN | TEXT, b"fives"), [], 4, false).1, Err(Violation::TooBig));
    assert_eq!(read_in(&frame(FIN | PING, b"not a message"), [], 4, false).1, Ok(()));
}

#[test]
fn a_handler_that_breaks_hears_nothing_more() {
    let mut reader = Reader::default();
    let mut heard = 0;
    for _ in 0..2 {
        let mut input = [frame(FIN | TEXT, b"1"), frame(FIN | TEXT, b"2"), vec![0xff]].concat();
        let read = reader.feed(&mut input, BYTES_MAX, None, &mut |_| {
            heard += 1;
            ControlFlow::Break(())
        });
        assert_eq!(read, Ok(()));
    }
    assert_eq!((heard, reader.kept_bytes()), (1, 0));
}

#[test]
fn after_a_violation_nothing_more_is_heard() {
    let mut reader = Reader::default();
    let mut on = |_: Message<'_>| -> ControlFlow<()> { panic!("nothing whole was sent") };
    assert_eq!(reader.feed(&mut [0xff], BYTES_MAX, None, &mut on), Ok(()), "one byte says too little");
    assert_eq!(reader.feed(&mut [0xff], BYTES_MAX, None, &mut on), Err(Violation::ReservedBit));
    assert_eq!(reader.feed(&mut frame(FIN | TEXT, b"late"), BYTES_MAX, None, &mut on), Ok(()));
    assert_eq!(reader.kept_bytes(), 0);
}

#[test]
fn a_reader_is_small_and_keeps_nothing_between_messages() {
    assert!(size_of::<Reader>() <= 16, "{} bytes a connection", size_of::<Reader>());
    let whole = frame(FIN | TEXT, b"whole");
    for cut in 1..whole.len() {
        let (_, _, kept) = read_in(&whole[..cut], [], BYTES_MAX, false);
        assert!(kept > 0, "the first {cut} bytes wait");
        let (got, _, kept) = read_in(&whole, [cut], BYTES_MAX, false);
        assert_eq!((got, kept), (vec![text("whole")], 0));
    }
}

#[test]
fn what_is_kept_stays_near_the_bound_and_grows_with_what_was_sent() {
    let big = frame(FIN | BINARY, &vec![7; BYTES_MAX]);
    assert!(read_in(&big[..64], [], BYTES_MAX, false).2 < 512, "a head that promises much brings little");
    for pieces in [1, 1_000, 40_000] {
        let kept = read_in(&big[..big.len() - 1], std::iter::repeat(pieces), BYTES_MAX, false).2;
        assert!((BYTES_MAX..BYTES_MAX + 512).contains(&kept), "{kept} bytes");
    }
}
