//! The head of a frame: what its bits say, and which of them a client may set. And the mask, which is nothing but noise
//! on the way.

use super::{CONTROL_BYTES_MAX, Violation};

/// Bytes of a client's longest head: two, a length of eight, a mask of four.
pub(super) const HEAD_BYTES_MAX: usize = 14;

pub(super) const FIN: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;
/// Lengths up to this stand in the second byte itself.
pub(super) const LEN_7_MAX: usize = 125;
/// The second byte says with this that two bytes of length follow.
pub(super) const LEN_16: u8 = 126;
/// The second byte says with this that eight bytes of length follow.
pub(super) const LEN_64: u8 = 127;

/// Opcode: what a frame carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    fn from_bits(bits: u8) -> Result<Opcode, Violation> {
        Ok(match bits {
            0 => Opcode::Continuation,
            1 => Opcode::Text,
            2 => Opcode::Binary,
            8 => Opcode::Close,
            9 => Opcode::Ping,
            10 => Opcode::Pong,
            _ => return Err(Violation::ReservedOpcode),
        })
    }

    pub(super) fn is_control(self) -> bool {
        matches!(self, Opcode::Close | Opcode::Ping | Opcode::Pong)
    }
}

/// Rules that a head is checked against.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// A fragmented message is not finished.
    pub in_message: bool,
    /// Compression was agreed on.
    pub deflate: bool,
    /// Bytes that the message may still grow by.
    pub room: usize,
}

/// A client's frame without its payload.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    pub fin: bool,
    /// The message that begins here is compressed.
    pub compressed: bool,
    pub opcode: Opcode,
    pub mask: [u8; 4],
    /// Bytes of the payload.
    pub len: usize,
}

impl Head {
    /// The head that `bytes` begin with and how many of them it takes; `None` if they end before it does. What is
    /// wrong is found as soon as its byte is there, so that the answer does not depend on how the bytes were cut.
    pub(super) fn parse(bytes: &[u8], rules: Rules) -> Result<Option<(Head, usize)>, Violation> {
        let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
        let fin = first & FIN != 0;
        let compressed = first & RSV1 != 0;
        if first & RSV2_AND_3 != 0 || (compressed && !rules.deflate) {
            return Err(Violation::ReservedBit);
        }
        let opcode = Opcode::from_bits(first & 0x0f)?;
        // Only the first frame of a message says that it is compressed (RFC 7692, 6.1).
        if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(Violation::ReservedBit);
        }
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        let short = second & !MASKED;
        match opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !fin => return Err(Violation::FragmentedControl),
            Opcode::Close | Opcode::Ping | Opcode::Pong if usize::from(short) > CONTROL_BYTES_MAX => {
                return Err(Violation::LongControl);
            }
            Opcode::Continuation if !rules.in_message => return Err(Violation::NothingToContinue),
            Opcode::Text | Opcode::Binary if rules.in_message => return Err(Violation::Unfinished),
            _ => {}
        }
        let Some((len, rest)) = length(short, rest)? else { return Ok(None) };
        let len = usize::try_from(len).map_err(|_| Violation::TooBig)?;
        if !opcode.is_control() && len > rules.room {
            return Err(Violation::TooBig);
        }
        let Some((&mask, rest)) = rest.split_first_chunk() else { return Ok(None) };
        Ok(Some((Head { fin, compressed, opcode, mask, len }, bytes.len() - rest.len())))
    }
}

/// The length of a payload, and what follows it; `None` if `rest` ends before it does. Only the shortest form is right.
fn length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, Violation> {
    match short {
        LEN_16 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let len = u16::from_be_bytes(*bytes);
            if usize::from(len) <= LEN_7_MAX { Err(Violation::BadLength) } else { Ok(Some((len.into(), rest))) }
        }
        LEN_64 => {
            let Some((bytes, rest)) = rest.split_first_chunk() else { return Ok(None) };
            let len = u64::from_be_bytes(*bytes);
            let is_long = len > u64::from(u16::MAX) && len <= i64::MAX as u64;
            if is_long { Ok(Some((len, rest))) } else { Err(Violation::BadLength) }
        }
        len => Ok(Some((len.into(), rest))),
    }
}

/// Puts the mask on, or takes it off: both are the same. `offset` is the position of `bytes` in the payload.
pub(super) fn mask(bytes: &mut [u8], key: [u8; 4], offset: usize) {
    let key: [u8; 8] = std::array::from_fn(|i| key[(offset + i) % 4]);
    // Words of eight, which the compiler makes vectors of.
    let word = u64::from_ne_bytes(key);
    let (words, tail) = bytes.as_chunks_mut::<8>();
    for chunk in words {
        *chunk = (u64::from_ne_bytes(*chunk) ^ word).to_ne_bytes();
    }
    for (byte, key) in tail.iter_mut().zip(key) {
        *byte ^= key;
    }
}
