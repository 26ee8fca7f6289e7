//! The codec against RFC 6455 and RFC 7692, rule by rule: the groups of the Autobahn suite, any cut of the input, and
//! tungstenite as the other side.

mod closing;
mod compression;
mod fragments;
mod frames;
mod framing;
mod opening;
mod peer;
mod properties;
mod text;

use std::ops::ControlFlow;

use proptest::prelude::ProptestConfig;

use self::frames::{BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, frame};
use super::{Inflater, Message, Reader, Violation};

/// Bytes of a message that the reader of these tests takes.
const BYTES_MAX: usize = 64 << 10;

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
