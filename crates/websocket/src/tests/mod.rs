//! The codec against RFC 6455 and RFC 7692, rule by rule: the groups of the Autobahn suite, any cut of the input, and
//! tungstenite as the other side.

mod closing;
mod compression;
mod fragments;
mod framing;
mod opening;
mod peer;
mod properties;
mod text;

use std::ops::ControlFlow;

use proptest::prelude::ProptestConfig;

use super::{Inflater, Message, Reader, Violation};

/// Bytes of a message that the reader of these tests takes.
const BYTES_MAX: usize = 64 << 10;
const FIN: u8 = 0x80;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// `cases` of a property; one that fails prints its input, smallest form, and leaves no file.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A message that was read, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<(u16, String)>),
}

impl From<Message<'_>> for Got {
    fn from(message: Message<'_>) -> Self {
        match message {
            Message::Text(text) => Got::Text(text.to_owned()),
            Message::Binary(bytes) => Got::Binary(bytes.to_owned()),
            Message::Ping(bytes) => Got::Ping(bytes.to_owned()),
            Message::Pong(bytes) => Got::Pong(bytes.to_owned()),
            Message::Close(reason) => Got::Close(reason.map(|(code, reason)| (code, reason.to_owned()))),
        }
    }
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

/// A masked frame; `first` is the first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..65_536 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    out
}

/// Result of a reader of `bytes` that come in pieces of `sizes`, then all the rest; and what it held on to at the end.
fn read_in(
    bytes: &[u8],
    sizes: impl IntoIterator<Item = usize>,
    bytes_max: usize,
    deflate: bool,
) -> (Vec<Got>, Result<(), Violation>, usize) {
    let (mut reader, mut inflater) = (Reader::default(), Inflater::default());
    let (mut got, mut bytes) = (Vec::new(), bytes.to_owned());
    let (mut rest, mut outcome) = (&mut bytes[..], Ok(()));
    let mut sizes = sizes.into_iter();
    while !rest.is_empty() {
        let size = sizes.next().unwrap_or(usize::MAX).min(rest.len());
        let (piece, after) = rest.split_at_mut(size);
        let read = reader.feed(piece, bytes_max, deflate.then_some(&mut inflater), &mut |message| {
            got.push(message.into());
            ControlFlow::Continue(())
        });
        outcome = outcome.and(read);
        rest = after;
    }
    (got, outcome, reader.kept_bytes())
}

/// Result of a reader of the frames, which must not depend on whether they come at once or byte by byte.
fn read(frames: &[Vec<u8>]) -> (Vec<Got>, Result<(), Violation>) {
    let bytes = frames.concat();
    let (got, outcome, _) = read_in(&bytes, [], BYTES_MAX, false);
    let chopped = read_in(&bytes, std::iter::repeat(1), BYTES_MAX, false);
    assert_eq!((&got, outcome), (&chopped.0, chopped.1), "byte by byte");
    (got, outcome)
}

/// The frames break the protocol, after the messages `before`.
#[track_caller]
fn assert_violates(frames: &[Vec<u8>], before: &[Got], violation: Violation) {
    assert_eq!(read(frames), (before.to_vec(), Err(violation)));
}

/// The frames are read as `messages`.
#[track_caller]
fn assert_reads(frames: &[Vec<u8>], messages: &[Got]) {
    assert_eq!(read(frames), (messages.to_vec(), Ok(())));
}
