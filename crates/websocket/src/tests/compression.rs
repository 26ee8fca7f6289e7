//! Compressed messages: the examples of RFC 7692, bounds, and what does not inflate (Autobahn 12, 13).

use flate2::{Compress, Compression, FlushCompress};

use super::*;
use crate::{Deflater, text_compressed};

const RSV1: u8 = 0x40;

/// Reading as [`super::read`], with compression agreed on.
fn read(frames: &[Vec<u8>]) -> (Vec<Got>, Result<(), Violation>) {
    let bytes = frames.concat();
    let (got, outcome, _) = read_in(&bytes, [], BYTES_MAX, true);
    let chopped = read_in(&bytes, std::iter::repeat(1), BYTES_MAX, true);
    assert_eq!((&got, outcome), (&chopped.0, chopped.1), "byte by byte");
    (got, outcome)
}

/// A message's payload as a client with any level would compress it.
fn compressed(bytes: &[u8], level: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() * 2 + 1_024);
    let mut state = Compress::new(Compression::new(level), false);
    state.compress_vec(bytes, &mut out, FlushCompress::Sync).unwrap();
    assert!(out.len() < out.capacity());
    out.strip_suffix(&[0, 0, 0xff, 0xff]).unwrap().to_owned()
}

#[test]
fn the_examples_of_the_rfc_inflate() {
    let one_block = b"\xf2\x48\xcd\xc9\xc9\x07\x00";
    assert_eq!(read(&[frame(FIN | RSV1 | TEXT, one_block)]), (vec![text("Hello")], Ok(())));
    let frames = [frame(RSV1 | TEXT, &one_block[..3]), frame(FIN, &one_block[3..])];
    assert_eq!(read(&frames), (vec![text("Hello")], Ok(())), "fragmented");
    let stored = b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00";
    assert_eq!(read(&[frame(FIN | RSV1 | TEXT, stored)]), (vec![text("Hello")], Ok(())), "stored");
    let last = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00";
    assert_eq!(read(&[frame(FIN | RSV1 | TEXT, last)]), (vec![text("Hello")], Ok(())), "a final block");
    let two = b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00";
    assert_eq!(read(&[frame(FIN | RSV1 | TEXT, two)]), (vec![text("Hello")], Ok(())), "two blocks");
    assert_eq!(read(&[frame(FIN | RSV1 | TEXT, b"\x00")]), (vec![text("")], Ok(())), "empty");
}

#[test]
fn plain_messages_pass_beside_compressed_ones() {
    let frames = [
        frame(FIN | TEXT, b"plain"),
        frame(RSV1 | BINARY, &compressed(b"squeezed", 9)),
        frame(FIN | PING, b"!"),
        frame(FIN, b""),
        frame(TEXT, b"pl"),
        frame(FIN, b"ain"),
    ];
    let got = vec![text("plain"), Got::Ping(b"!".to_vec()), Got::Binary(b"squeezed".to_vec()), text("plain")];
    assert_eq!(read(&frames), (got, Ok(())));
}

#[test]
fn messages_of_all_sizes_and_levels_inflate_each_for_itself() {
    for level in [0, 1, 6, 9] {
        let sizes = [0, 1, 16, 64, 256, 1_024, 4_095, 4_096, 4_097, 32_768, BYTES_MAX - 64];
        let payloads: Vec<Vec<u8>> = sizes.map(|len| (0..len).map(|at| (at * at / 7) as u8).collect()).to_vec();
        let frames: Vec<Vec<u8>> =
            payloads.iter().map(|bytes| frame(FIN | RSV1 | BINARY, &compressed(bytes, level))).collect();
        assert_eq!(read(&frames), (payloads.into_iter().map(Got::Binary).collect(), Ok(())), "level {level}");
    }
}

#[test]
fn a_bomb_stops_at_the_bound() {
    let bomb = compressed(&vec![0; BYTES_MAX + 1], 9);
    assert!(bomb.len() < 200);
    assert_eq!(read(&[frame(FIN | RSV1 | BINARY, &bomb)]), (vec![], Err(Violation::TooBig)));
    let full = compressed(&vec![0; BYTES_MAX], 9);
    assert_eq!(read(&[frame(FIN | RSV1 | BINARY, &full)]), (vec![Got::Binary(vec![0; BYTES_MAX])], Ok(())));
    let mut inflater = Inflater::default();
    let big = compressed(&vec![0; 60 << 20], 9);
    assert_eq!(inflater.inflate(&big, BYTES_MAX), Err(Violation::TooBig));
    assert_eq!(inflater.inflate(&compressed(b"next", 1), BYTES_MAX), Ok(&b"next"[..]), "it serves the next one");
}

#[test]
fn what_does_not_inflate_ends_it() {
    for bad in [&b"\xff\xff\xff\xff"[..], b"\x07", b"\x00\x05\x00\x00\x00Hello"] {
        assert_eq!(read(&[frame(FIN | RSV1 | TEXT, bad)]), (vec![], Err(Violation::BadDeflate)), "{bad:?}");
    }
    // A few final blocks are fine, one after the other without end is not: each is a new start.
    let blocks = |count: usize| frame(FIN | RSV1 | TEXT, &b"\x03\x00".repeat(count));
    assert_eq!(read(&[blocks(8)]).0, [text("")]);
    assert_eq!(read(&[blocks(5_000)]), (vec![], Err(Violation::BadDeflate)));
}

#[test]
fn inflated_text_must_be_utf_8_too() {
    let frames = [frame(FIN | RSV1 | TEXT, &compressed(b"\xff", 1))];
    assert_eq!(read(&frames), (vec![], Err(Violation::BadUtf8)));
}

#[test]
fn only_the_first_frame_of_a_message_says_that_it_is_compressed() {
    let bytes = compressed(b"Hello", 1);
    let frames = [frame(RSV1 | TEXT, &bytes[..2]), frame(FIN | RSV1, &bytes[2..])];
    assert_eq!(read(&frames), (vec![], Err(Violation::ReservedBit)));
    for control in [CLOSE, PING, PONG] {
        assert_eq!(read(&[frame(FIN | RSV1 | control, b"")]), (vec![], Err(Violation::ReservedBit)));
    }
}

#[test]
fn what_is_written_compressed_inflates_to_what_it_was() {
    let (mut deflater, mut inflater) = (Deflater::default(), Inflater::default());
    for len in [0, 10, 255, 256, 4_096, 70_000, 1_000_000] {
        let whole: String = (0..len).map(|at| char::from(b'a' + (at / 3 % 20) as u8)).collect();
        let (first, second) = whole.split_at(len / 3);
        let mut out = Vec::new();
        text_compressed(&mut out, &[first.as_bytes(), b"", second.as_bytes()], &mut deflater);
        let head = if out[1] < 126 {
            2
        } else if out[1] == 126 {
            4
        } else {
            10
        };
        if len < 256 {
            assert_eq!((out[0], &out[head..]), (FIN | TEXT, whole.as_bytes()), "short ones are not worth it");
        } else {
            assert_eq!(out[0], FIN | RSV1 | TEXT);
            assert!(out.len() < len, "{} of {len} bytes", out.len());
            assert!(inflater.inflate(&out[head..], len) == Ok(whole.as_bytes()), "{len} bytes");
        }
    }
}

#[test]
fn what_gets_no_shorter_is_written_plain() {
    let mut state = 1_u64;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    })
    .take(2_000)
    .collect();
    let mut out = Vec::new();
    text_compressed(&mut out, &[&noise], &mut Deflater::default());
    assert_eq!((out[0], out.len()), (FIN | TEXT, 4 + noise.len()));
}
