//! From messages to the bytes of frames. A message is one frame, unmasked, as servers send them; the writers append to
//! the buffer that a shard is about to write from.

use super::deflate::DEFLATE_BYTES_MIN;
use super::head::{FIN, LEN_7_MAX, LEN_16, LEN_64, Opcode, RSV1};
use super::{CONTROL_BYTES_MAX, Deflater, REASON_BYTES_MAX};

/// Appends a text message, which is `parts` in a row; together they must be UTF-8.
pub fn text(out: &mut Vec<u8>, parts: &[&[u8]]) {
    let len = parts.iter().map(|part| part.len()).sum();
    out.reserve(len + 10);
    text_header(out, len);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends a text message, compressed if that makes it shorter, for a client that agreed on it.
pub fn text_compressed(out: &mut Vec<u8>, parts: &[&[u8]], deflater: &mut Deflater) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    if len >= DEFLATE_BYTES_MIN {
        let payload = deflater.deflate(parts);
        if payload.len() < len {
            header(out, FIN | RSV1 | Opcode::Text as u8, payload.len());
            return out.extend_from_slice(payload);
        }
    }
    text(out, parts);
}

/// Appends the header of a text message of `len` bytes, for a payload that is written from elsewhere.
pub fn text_header(out: &mut Vec<u8>, len: usize) {
    header(out, FIN | Opcode::Text as u8, len);
}

/// Appends a ping; of `payload` the first [`CONTROL_BYTES_MAX`] bytes.
pub fn ping(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Ping, payload);
}

/// Appends the answer to a ping: `payload` is the ping's.
pub fn pong(out: &mut Vec<u8>, payload: &[u8]) {
    control(out, Opcode::Pong, payload);
}

/// Appends a close. A reason longer than [`REASON_BYTES_MAX`] is cut between two characters.
pub fn close(out: &mut Vec<u8>, code: u16, reason: &str) {
    let reason = &reason[..reason.floor_char_boundary(REASON_BYTES_MAX)];
    header(out, FIN | Opcode::Close as u8, 2 + reason.len());
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Appends the answer to a client's close: the same code, or none where it gave none (5.5.1).
pub fn close_reply(out: &mut Vec<u8>, received: Option<(u16, &str)>) {
    match received {
        Some((code, _)) => close(out, code, ""),
        None => header(out, FIN | Opcode::Close as u8, 0),
    }
}

fn control(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    let payload = &payload[..payload.len().min(CONTROL_BYTES_MAX)];
    header(out, FIN | opcode as u8, payload.len());
    out.extend_from_slice(payload);
}

fn header(out: &mut Vec<u8>, first: u8, len: usize) {
    out.push(first);
    match u16::try_from(len) {
        Ok(short) if len <= LEN_7_MAX => out.push(short as u8),
        Ok(middle) => {
            out.push(LEN_16);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        Err(_) => {
            out.push(LEN_64);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}
