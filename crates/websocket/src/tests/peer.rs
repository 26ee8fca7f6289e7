//! tungstenite as the other side: what its client writes is read here, what is written here its client reads, and bytes
//! that are neither's are judged by both alike.

use std::io::{Cursor, Read, Write};

use proptest::collection::vec;
use proptest::prelude::*;
use tungstenite::error::{CapacityError, ProtocolError};
use tungstenite::protocol::{Role, WebSocketConfig};
use tungstenite::{Error, Message as Theirs, WebSocket};

use super::*;
use crate as ours;

/// A socket in memory: it reads what was put in, and remembers what is written.
#[derive(Default)]
struct Wire {
    input: Cursor<Vec<u8>>,
    output: Vec<u8>,
}

impl Read for Wire {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.input.read(buf)
    }
}

impl Write for Wire {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn theirs(role: Role, input: Vec<u8>) -> WebSocket<Wire> {
    let config = WebSocketConfig::default().max_message_size(Some(BYTES_MAX)).max_frame_size(Some(BYTES_MAX));
    WebSocket::from_raw_socket(Wire { input: Cursor::new(input), output: Vec::new() }, role, Some(config))
}

fn got(message: Theirs) -> Got {
    match message {
        Theirs::Text(text) => Got::Text(text.to_string()),
        Theirs::Binary(bytes) => Got::Binary(bytes.to_vec()),
        Theirs::Ping(bytes) => Got::Ping(bytes.to_vec()),
        Theirs::Pong(bytes) => Got::Pong(bytes.to_vec()),
        Theirs::Close(frame) => Got::Close(frame.map(|frame| (frame.code.into(), frame.reason.to_string()))),
        Theirs::Frame(_) => unreachable!("only writers use it"),
    }
}

/// All that their side reads, and the error that ended it, other than the end of the input.
fn their_read(socket: &mut WebSocket<Wire>) -> (Vec<Got>, Option<Error>) {
    let mut read = Vec::new();
    loop {
        match socket.read() {
            Ok(message) => read.push(got(message)),
            Err(Error::ConnectionClosed | Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return (read, None);
            }
            Err(error) => return (read, Some(error)),
        }
    }
}

/// Any message but a close.
fn message() -> impl Strategy<Value = Got> {
    prop_oneof![
        vec(any::<char>(), 0..300).prop_map(|chars| Got::Text(chars.into_iter().collect())),
        (0_usize..BYTES_MAX, any::<u8>()).prop_map(|(len, byte)| Got::Binary(vec![byte; len])),
        vec(any::<u8>(), 0..=125).prop_map(Got::Ping),
        vec(any::<u8>(), 0..=125).prop_map(Got::Pong),
    ]
}

proptest! {
    #![proptest_config(config(128))]

    #[test]
    fn what_their_client_writes_is_read_here(messages in vec(message(), 0..12), sizes in vec(1_usize..5_000, 0..40)) {
        let mut socket = theirs(Role::Client, Vec::new());
        for message in &messages {
            let message = match message.clone() {
                Got::Text(text) => Theirs::text(text),
                Got::Binary(bytes) => Theirs::binary(bytes),
                Got::Ping(bytes) => Theirs::Ping(bytes.into()),
                Got::Pong(bytes) => Theirs::Pong(bytes.into()),
                Got::Close(_) => Theirs::Close(None),
            };
            socket.send(message).unwrap();
        }
        let (read, outcome, kept) = read_in(&socket.get_ref().output, sizes, BYTES_MAX, false);
        prop_assert_eq!(read, messages);
        prop_assert_eq!((outcome, kept), (Ok(()), 0));
    }

    #[test]
    fn what_is_written_here_is_read_by_their_client(messages in vec(message(), 0..12), code in 3000_u16..5000) {
        let mut out = Vec::new();
        let mut expected = Vec::new();
        for message in messages {
            match &message {
                Got::Text(text) => ours::text(&mut out, &[text.as_bytes()]),
                Got::Ping(bytes) => ours::ping(&mut out, bytes),
                Got::Pong(bytes) => ours::pong(&mut out, bytes),
                Got::Binary(_) | Got::Close(_) => continue,
            }
            expected.push(message);
        }
        ours::close(&mut out, code, "enough");
        expected.push(Got::Close(Some((code, "enough".to_owned()))));
        let (read, error) = their_read(&mut theirs(Role::Client, out));
        prop_assert!(error.is_none(), "{:?}", error);
        prop_assert_eq!(read, expected);
    }

    /// Frames with any first byte: both sides read the same messages, and fail with the same kind of error or not at
    /// all. Where they differ on purpose, this side is the stricter one: see `is_stricter_here`.
    #[test]
    fn frames_of_any_kind_are_judged_alike(frames in vec((any_first(), vec(any::<u8>(), 0..200)), 1..12)) {
        let bytes: Vec<u8> = frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect();
        let (read, outcome, _) = read_in(&bytes, [], BYTES_MAX, false);
        let (their_read, error) = their_read(&mut theirs(Role::Server, bytes));
        match (outcome, error) {
            (Ok(()), None) => prop_assert_eq!(read, their_read),
            (Err(violation), None) => prop_assert!(is_stricter_here(violation), "{} passes there", violation),
            (Err(violation), Some(error)) => {
                prop_assert_eq!(read, their_read);
                let alike = violation.close_code() == their_code(&error) || is_stricter_here(violation);
                prop_assert!(alike, "{} and {}", violation, error);
            }
            (Ok(()), Some(error)) => prop_assert!(false, "{} there, nothing here", error),
        }
    }
}

/// First bytes, of which most mean something.
fn any_first() -> impl Strategy<Value = u8> {
    let opcode = prop::sample::select(vec![CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG]);
    prop_oneof![10 => (opcode, any::<bool>()).prop_map(|(opcode, fin)| if fin { FIN | opcode } else { opcode }), 1 => any::<u8>()]
}

/// Whether the peer takes, or takes note of, close codes that must not travel.
fn is_stricter_here(violation: Violation) -> bool {
    violation == Violation::BadCloseCode
}

fn their_code(error: &Error) -> u16 {
    match error {
        Error::Protocol(_) => 1002,
        Error::Utf8(_) => 1007,
        Error::Capacity(CapacityError::MessageTooLong { .. }) => 1009,
        other => panic!("{other} is no error of the protocol"),
    }
}
