//! WebSocket codec of a server (RFC 6455), with compression of messages (RFC 7692): bytes of a socket in, messages out,
//! and back. Pure: no I/O, no clock.
//!
//! [`accept`] decides over the head of a request. A [`Reader`] is what a connection keeps: the caller lends the bytes
//! it has just read, and between messages nothing is held, so that an idle connection costs no buffer. [`text`],
//! [`ping`], [`pong`] and [`close`] append frames to the caller's buffer. An [`Inflater`] and a [`Deflater`] serve
//! every connection of a thread, for no context is taken over from message to message.

#![cfg_attr(not(test), warn(unused_crate_dependencies))]

mod deflate;
mod handshake;
mod head;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use deflate::{Deflater, Inflater};
pub use handshake::{Accepted, Refusal, accept};
pub use read::Reader;
pub use write::{close, close_reply, ping, pong, text, text_compressed, text_header};

/// Bytes of a control frame's payload, at most (RFC 6455, 5.5).
pub const CONTROL_BYTES_MAX: usize = 125;
/// Bytes of the reason in a close frame, at most: the code takes two. A longer reason is cut.
pub const REASON_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

/// Close code: the endpoint goes away.
pub const CLOSE_AWAY: u16 = 1001;
/// Close code: a frame broke the protocol.
const CLOSE_PROTOCOL: u16 = 1002;
/// Close code: the bytes of a message are not what its type says.
const CLOSE_DATA: u16 = 1007;
/// Close code: a message is too big.
const CLOSE_TOO_BIG: u16 = 1009;

/// Message of a client, whole: fragments are joined, unmasked, inflated, and text is UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
    /// To be answered by [`pong`] with the same bytes, at most [`CONTROL_BYTES_MAX`].
    Ping(&'a [u8]),
    /// The answer to a ping, or a sign of life that nobody asked for.
    Pong(&'a [u8]),
    /// The last message; to be answered by [`close_reply`]. Code and reason, where the client gave one.
    Close(Option<(u16, &'a str)>),
}

/// Breach of the protocol by a client. The connection is closed with [`Violation::close_code`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A reserved bit is set, and no extension that was agreed on gives it a meaning there (5.2).
    #[error("a reserved bit is set")]
    ReservedBit,
    /// An opcode that nobody has defined (5.2).
    #[error("the opcode is reserved")]
    ReservedOpcode,
    /// A frame from the client without a mask (5.1).
    #[error("frames of clients must be masked")]
    Unmasked,
    /// The length stands in more bytes than it needs, or its highest bit is set (5.2).
    #[error("the length is not encoded as it must be")]
    BadLength,
    /// A control frame in fragments (5.5).
    #[error("control frames must not be fragmented")]
    FragmentedControl,
    /// A control frame with more than [`CONTROL_BYTES_MAX`] bytes (5.5).
    #[error("a control frame has more than 125 bytes")]
    LongControl,
    /// A continuation of no message (5.4).
    #[error("there is no message to continue")]
    NothingToContinue,
    /// A new message within a fragmented one (5.4).
    #[error("the message before is not finished")]
    Unfinished,
    /// A close frame of one byte, or with a code that must not be sent (5.5.1, 7.4).
    #[error("the close code is not valid")]
    BadCloseCode,
    /// Text, or the reason of a close, that is not UTF-8 (8.1).
    #[error("text is not UTF-8")]
    BadUtf8,
    /// A compressed message that does not inflate (RFC 7692, 7.2.2).
    #[error("the compressed message does not inflate")]
    BadDeflate,
    /// A message, compressed or inflated, with more bytes than the server takes.
    #[error("the message is too big")]
    TooBig,
}

impl Violation {
    /// The code that the connection is closed with; the reason is what `Display` says.
    pub fn close_code(self) -> u16 {
        match self {
            Violation::BadUtf8 | Violation::BadDeflate => CLOSE_DATA,
            Violation::TooBig => CLOSE_TOO_BIG,
            _ => CLOSE_PROTOCOL,
        }
    }
}
