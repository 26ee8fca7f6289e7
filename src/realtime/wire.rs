//! Frames as bytes, for each transport. Pure.

use fanfare_protocol::Transport;

use super::cursor::TEXT_CHARS;
use super::frame::Frame;
use fanfare_websocket::Deflater;

/// A cursor's text.
pub type CursorText = [u8; TEXT_CHARS];

/// The heartbeat of a stream of server-sent events: a comment.
pub const SSE_HEARTBEAT: &[u8] = b": hb\n\n";

/// Appends one frame; `id` is the session's cursor after it, for frames of durable streams, `deflater` that of a
/// WebSocket whose messages are compressed.
pub fn append(
    transport: Transport,
    deflater: Option<&mut Deflater>,
    out: &mut Vec<u8>,
    frame: &Frame,
    id: Option<&CursorText>,
) {
    match transport {
        Transport::Websocket => match id {
            Some(id) => message(out, &[b"{\"id\":\"", id, b"\",", frame.text()], deflater),
            None => message(out, &[b"{", frame.text()], deflater),
        },
        Transport::Sse => {
            if let Some(id) = id {
                sse_id(out, id);
            }
            out.extend_from_slice(b"data: ");
            object(out, frame, id);
            out.extend_from_slice(b"\n\n");
        }
        Transport::LongPoll | Transport::ShortPoll => object(out, frame, id),
    }
}

fn message(out: &mut Vec<u8>, parts: &[&[u8]], deflater: Option<&mut Deflater>) {
    match deflater {
        Some(deflater) => fanfare_websocket::text_compressed(out, parts, deflater),
        None => fanfare_websocket::text(out, parts),
    }
}

/// The cursor of the event that follows.
pub fn sse_id(out: &mut Vec<u8>, id: &CursorText) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id);
    out.push(b'\n');
}

fn object(out: &mut Vec<u8>, frame: &Frame, id: Option<&CursorText>) {
    out.push(b'{');
    if let Some(id) = id {
        out.extend_from_slice(b"\"id\":\"");
        out.extend_from_slice(id);
        out.extend_from_slice(b"\",");
    }
    // JSON escapes line ends, so that an event's data is one line.
    out.extend_from_slice(frame.text());
}

/// The body of a poll's answer. Every durable frame carries the cursor after all of them: the answer arrives whole.
pub fn poll_body(out: &mut Vec<u8>, frames: &[Frame], cursor: &CursorText) {
    out.extend_from_slice(b"{\"events\":[");
    for (at, frame) in frames.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        object(out, frame, frame.items().map(|_| cursor));
    }
    out.extend_from_slice(b"],\"cursor\":\"");
    out.extend_from_slice(cursor);
    out.extend_from_slice(b"\"}");
}

/// Head and body of a waiting poll's answer; `head` ends before `Content-Length`.
pub fn poll_answer(out: &mut Vec<u8>, head: &[u8], body: &[u8]) {
    out.extend_from_slice(head);
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
}
