//! Any bytes of a client, cut anywhere: no panic, the same messages as uncut, bounded memory; and what was read reads
//! the same again. Compiled by the fuzz target and by the test that replays the seeds.
//!
//! The first byte of the input chooses: bit 0 compression, bit 1 whether the rest is the bytes of a socket or a list of
//! frames (first byte, length, payload) that are given a right head and mask, bits 2.. where the input is cut.

use std::ops::ControlFlow;

use fanfare_websocket::{self as websocket, Deflater, Inflater, Message, Reader, Violation};

/// Bytes of a message, at most: small enough to be reached.
const BYTES_MAX: usize = 1_000;
/// Bytes that a reader may hold beside the message: a head, a control frame, and itself.
const OVERHEAD_BYTES: usize = 512;

/// Bytes of a text above which its compressed form is looked at too.
const COMPRESSED_BYTES_MIN: usize = 300;

type Read = (Vec<(u8, Vec<u8>)>, Option<Violation>);

pub fn run(data: &[u8]) {
    let Some((&choice, rest)) = data.split_first() else { return };
    let deflate = choice & 1 != 0;
    let bytes = if choice & 2 != 0 { frames(rest) } else { rest.to_vec() };
    let whole = read(&bytes, usize::MAX, deflate);
    let cut = read(&bytes, 1 + usize::from(choice >> 2), deflate);
    assert!(whole == cut, "cut or not, the same is read");
    for (_, payload) in &whole.0 {
        assert!(payload.len() <= BYTES_MAX);
    }
    let again: Vec<u8> = whole.0.iter().flat_map(|(opcode, payload)| frame(0x80 | opcode, payload)).collect();
    assert!(read(&again, usize::MAX, false) == (whole.0.clone(), None), "what was read is right");
    write(&whole);
}

/// Messages as opcode and payload, and the violation that ended them.
fn read(bytes: &[u8], piece: usize, deflate: bool) -> Read {
    let (mut reader, mut inflater) = (Reader::default(), Inflater::default());
    let (mut messages, mut violation) = (Vec::new(), None);
    for piece in bytes.to_vec().chunks_mut(piece.min(bytes.len().max(1))) {
        let fed = reader.feed(piece, BYTES_MAX, deflate.then_some(&mut inflater), &mut |message| {
            messages.push(match message {
                Message::Text(text) => (1, text.as_bytes().to_vec()),
                Message::Binary(bytes) => (2, bytes.to_vec()),
                Message::Close(None) => (8, Vec::new()),
                Message::Close(Some((code, reason))) => (8, [&code.to_be_bytes(), reason.as_bytes()].concat()),
                Message::Ping(bytes) => (9, bytes.to_vec()),
                Message::Pong(bytes) => (10, bytes.to_vec()),
            });
            ControlFlow::Continue(())
        });
        assert!(reader.kept_bytes() <= BYTES_MAX + OVERHEAD_BYTES);
        violation = violation.or(fed.err());
    }
    (messages, violation)
}

/// Frames with right heads and masks: a first byte, a byte of length (times eight from 128 on), a payload.
fn frames(mut rest: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let [first, len, after @ ..] = rest {
        let len = if *len < 128 { usize::from(*len) } else { usize::from(*len - 127) * 8 };
        let (payload, after) = after.split_at(len.min(after.len()));
        out.extend(frame(*first, payload));
        rest = after;
    }
    out
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    websocket::text_header(&mut out, payload.len());
    (out[0], out[1]) = (first, out[1] | 0x80);
    let mask = [0xa5, 0x5a, 0x01, 0xff];
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// The writers take whatever was read; what they compress inflates to what it was.
fn write((messages, violation): &Read) {
    let mut out = Vec::new();
    for (opcode, payload) in messages {
        match opcode {
            1 => websocket::text(&mut out, &[payload, b""]),
            9 => websocket::pong(&mut out, payload),
            _ => websocket::ping(&mut out, payload),
        }
    }
    if let Some(violation) = violation {
        websocket::close(&mut out, violation.close_code(), &violation.to_string());
    }
    if let Some((_, text)) =
        messages.iter().find(|(opcode, payload)| *opcode == 1 && payload.len() > COMPRESSED_BYTES_MIN)
    {
        let mut out = Vec::new();
        websocket::text_compressed(&mut out, &[text], &mut Deflater::default());
        let head = if out[1] < 126 { 2 } else { 4 };
        let read = read(&frame(out[0], &out[head..]), usize::MAX, true);
        assert!(read == (vec![(1, text.clone())], None), "compressed and back");
    }
}
