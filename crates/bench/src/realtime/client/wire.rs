//! Parts of WebSocket, server-sent events and frames that counting needs; pure.

/// First bytes of a frame in which its type stands.
const HEAD_BYTES: usize = 256;
/// Marks the time of sending in what is published.
pub const SENT: &str = "sent_ns=";

/// Operation codes of WebSocket that are looked at.
pub mod opcode {
    /// A text message.
    pub const TEXT: u8 = 1;
    /// The end.
    pub const CLOSE: u8 = 8;
    /// A ping.
    pub const PING: u8 = 9;
    /// Answer to a ping.
    pub const PONG: u8 = 10;
}

/// A WebSocket frame of a server: operation code, payload, and the bytes that it takes in all.
pub fn websocket_frame(bytes: &[u8]) -> Option<(u8, &[u8], usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (head, length): (usize, usize) = match second & 0x7f {
        126 => (4, usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?))),
        127 => (10, usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?)).ok()?),
        short => (2, usize::from(short)),
    };
    let whole = head.checked_add(length)?;
    Some((first & 0x0f, bytes.get(head..whole)?, whole))
}

/// A frame of a client with at most 125 bytes, masked with zeros.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = &payload[..payload.len().min(125)];
    let mut frame = vec![0x80 | opcode, 0x80 | payload.len() as u8, 0, 0, 0, 0];
    frame.extend_from_slice(payload);
    frame
}

/// A frame of a client with text of any length up to 64 KiB, masked with zeros.
pub fn masked_text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    if length <= 125 {
        return masked(opcode::TEXT, text.as_bytes());
    }
    let [high, low] = length.to_be_bytes();
    let mut frame = vec![0x80 | opcode::TEXT, 0x80 | 126, high, low, 0, 0, 0, 0];
    frame.extend_from_slice(&text.as_bytes()[..usize::from(length)]);
    frame
}

/// An unmasked text frame, as a server writes it.
pub fn text_frame(text: &[u8]) -> Vec<u8> {
    let mut frame = match u16::try_from(text.len()) {
        Ok(short) if short <= 125 => vec![0x80 | opcode::TEXT, short as u8],
        Ok(length) => [&[0x80 | opcode::TEXT, 126][..], &length.to_be_bytes()].concat(),
        Err(_) => [&[0x80 | opcode::TEXT, 127][..], &(text.len() as u64).to_be_bytes()].concat(),
    };
    frame.extend_from_slice(text);
    frame
}

/// A line without its end, and the bytes that it takes with it.
pub fn line(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), end + 1))
}

/// Status, length of the body if it is named, and bytes of the head, once it is whole.
pub fn head(bytes: &[u8]) -> Option<(u16, Option<usize>, usize)> {
    let end = find(bytes, b"\r\n\r\n")?;
    let text = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = text.get(9..12)?.parse().ok()?;
    let length = text.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((status, length, end + 4))
}

/// Frame as the bench sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// Published by an operator, or by Centrifugo's or the bare writer's.
    Event,
    /// `feed.posts`.
    Posts,
    /// `notification`.
    Notification,
    /// `gap`.
    Gap,
    /// `reset`.
    Reset,
    /// `hello`: whether the session goes on.
    Hello(bool),
    /// `drain`: milliseconds.
    Drain(u64),
    /// Centrifugo has let the connection in.
    Connected,
    /// Centrifugo asks for a sign of life.
    Ping,
    /// `message` of a conversation.
    Message,
    /// `receipt`.
    Receipt,
    /// Answer to a frame.
    Reply,
    /// Anything else.
    Other(&'a [u8]),
}

/// Kind of frame that `text` is.
pub fn classify(text: &[u8]) -> Frame<'_> {
    let head = &text[..text.len().min(HEAD_BYTES)];
    if head.is_empty() || head == b"{}" {
        return Frame::Ping;
    }
    if head.starts_with(b"{\"push\"") {
        return Frame::Event;
    }
    let Some(kind) = string_after(head, b"\"type\":\"") else {
        return if find(head, b"\"connect\":{").is_some() { Frame::Connected } else { Frame::Other(head) };
    };
    match kind {
        b"feed.posts" => Frame::Posts,
        b"notification" => Frame::Notification,
        b"gap" => Frame::Gap,
        b"reset" => Frame::Reset,
        b"hello" => Frame::Hello(find(text, b"\"resumed\":true").is_some()),
        b"drain" => Frame::Drain(number_after(text, b"\"reconnect_after_ms\":").unwrap_or(0)),
        b"live.changed" => Frame::Event,
        b"message" => Frame::Message,
        b"receipt" => Frame::Receipt,
        b"reply" => Frame::Reply,
        kind if kind.starts_with(b"bench.") => Frame::Event,
        kind => Frame::Other(kind),
    }
}

/// Moment of sending that `text` tells.
pub fn sent_ns(text: &[u8]) -> Option<u64> {
    number_after(text, SENT.as_bytes())
}

/// Conversation and number of the message that a frame or an answer holds.
pub fn placed(text: &[u8]) -> Option<(u64, u64)> {
    Some((number_after(text, b"\"conversation_id\":\"")?, number_after(text, b"\"seq\":")?))
}

/// Whether an answer is a good one.
pub fn is_ok(text: &[u8]) -> bool {
    find(text, b"\"ok\":true").is_some()
}

/// Cursor at which a session can go on after this frame.
pub fn cursor(text: &[u8]) -> Option<&str> {
    let found = match text.strip_prefix(b"{\"id\":\"") {
        Some(rest) => rest.split(|byte| *byte == b'"').next(),
        None => string_after(text, b"\"cursor\":\""),
    };
    std::str::from_utf8(found?).ok()
}

/// Number of posts in a `feed.posts` frame: each has one key.
pub fn posts(text: &[u8]) -> u64 {
    memchr::memmem::find_iter(text, b"\"key\":\"").count() as u64
}

fn string_after<'a>(text: &'a [u8], mark: &[u8]) -> Option<&'a [u8]> {
    let rest = &text[find(text, mark)? + mark.len()..];
    Some(&rest[..rest.iter().position(|byte| *byte == b'"')?])
}

fn number_after(text: &[u8], mark: &[u8]) -> Option<u64> {
    let rest = &text[find(text, mark)? + mark.len()..];
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).take(20);
    digits.fold(None, |number: Option<u64>, digit| {
        number.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    })
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_every_length_are_read_once_they_are_whole() {
        for length in [0, 5, 125, 126, 65_535, 65_536] {
            let frame = text_frame(&vec![b'x'; length]);
            let (code, payload, whole) = websocket_frame(&frame).unwrap();
            assert_eq!((code, payload.len(), whole), (opcode::TEXT, length, frame.len()));
            assert!(websocket_frame(&frame[..frame.len() - 1]).is_none());
        }
    }

    #[test]
    fn frames_are_told_apart() {
        assert_eq!(classify(br#"{"type":"bench.event","at":"x","data":{}}"#), Frame::Event);
        assert_eq!(classify(br#"{"id":"AAAA","type":"feed.posts","lane":"bulk"}"#), Frame::Posts);
        assert_eq!(classify(br#"{"type":"hello","data":{"resumed":true}}"#), Frame::Hello(true));
        assert_eq!(classify(br#"{"type":"hello","data":{"resumed":false}}"#), Frame::Hello(false));
        assert_eq!(classify(br#"{"type":"drain","data":{"reconnect_after_ms":250}}"#), Frame::Drain(250));
        assert_eq!(classify(br#"{"push":{"channel":"news","pub":{"data":{}}}}"#), Frame::Event);
        assert_eq!(classify(br#"{"id":1,"connect":{"client":"x"}}"#), Frame::Connected);
        assert_eq!(classify(br#"{"id":"AAAA","type":"message","lane":"urgent"}"#), Frame::Message);
        assert_eq!(classify(br#"{"type":"reply","ref":7,"ok":true}"#), Frame::Reply);
        assert_eq!(classify(b"{}"), Frame::Ping);
    }

    #[test]
    fn cursor_and_time_of_sending_are_found() {
        assert_eq!(cursor(br#"{"id":"Ab_-","type":"gap"}"#), Some("Ab_-"));
        assert_eq!(cursor(br#"{"type":"hello","data":{"cursor":"Cd"}}"#), Some("Cd"));
        assert_eq!(sent_ns(br#"{"text":"sent_ns=1234 and more"}"#), Some(1_234));
        assert_eq!(sent_ns(b"nothing"), None);
    }

    #[test]
    fn a_head_is_read_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{";
        assert_eq!(head(text), Some((200, Some(12), text.len() - 1)));
        assert_eq!(head(&text[..20]), None);
        assert_eq!(line(b": hb\n\n"), Some((&b": hb"[..], 5)));
    }
}
