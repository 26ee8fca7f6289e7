//! Format of a segment of the spool: a head, then clicks one after the other. Pure.
//!
//! ```text
//! head    magic 8 | format u32 | crc u32 of what follows | source u64 | start u64 | made_ms u64 | 0 u64        = 48
//!         shipped u64 | crc u32 of it                                                                          = 12
//!         zeros up to 64
//! click   length u32 | crc u32 of the body | body
//! ```
//! Numbers are little endian. A segment is zeros before it is written, so a length of 0 is the end, and so is what does
//! not match its checksum: a click whose writing was cut off, which nobody was answered for. `start` is the place in
//! the source at which the segment's clicks begin; the place of a click is where it ends, so that what was shipped up
//! to a place is said by that place alone.

/// Bytes of the head.
pub const HEAD_BYTES: u64 = 64;
/// Bytes before a click's body.
pub const FRAME_BYTES: usize = 8;
/// Most bytes of a click's body.
pub const BODY_BYTES_MAX: usize = 4_096;
/// Offset in the head of how much was shipped.
pub const SHIPPED_AT: u64 = 48;

const MAGIC: [u8; 8] = *b"ffclicks";
const FORMAT: u32 = 1;
const FIXED: usize = SHIPPED_AT as usize;

/// Head of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHead {
    /// Number of the source, drawn when its first segment is made.
    pub source: u64,
    /// Place in the source at which it begins.
    pub start: u64,
    /// Moment at which it was made, in milliseconds since the Unix epoch.
    pub made_ms: u64,
    /// Place up to which its clicks are in the log; at least `start`.
    pub shipped: u64,
}

impl SegmentHead {
    /// The head as it is written.
    #[must_use]
    pub fn to_bytes(self) -> [u8; HEAD_BYTES as usize] {
        let mut bytes = [0; HEAD_BYTES as usize];
        bytes[..8].copy_from_slice(&MAGIC);
        bytes[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        for (at, number) in [self.source, self.start, self.made_ms, 0].into_iter().enumerate() {
            bytes[16 + 8 * at..24 + 8 * at].copy_from_slice(&number.to_le_bytes());
        }
        let crc = crc32fast::hash(&bytes[16..FIXED]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        bytes[FIXED..FIXED + 12].copy_from_slice(&shipped_mark(self.shipped));
        bytes
    }

    /// Reads a head; `None` when it is none, or was never written whole. What was shipped counts as nothing where that
    /// is not whole: it comes again then, and is recognised.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.first_chunk::<{ HEAD_BYTES as usize }>()?;
        let crc = u32::from_le_bytes(*bytes[12..].first_chunk()?);
        if bytes[..8] != MAGIC || bytes[8..12] != FORMAT.to_le_bytes() || crc32fast::hash(&bytes[16..FIXED]) != crc {
            return None;
        }
        let number = |at: usize| bytes[at..].first_chunk().map(|number| u64::from_le_bytes(*number));
        let start = number(24)?;
        let shipped = number(FIXED).filter(|shipped| bytes[FIXED..FIXED + 12] == shipped_mark(*shipped));
        let shipped = shipped.unwrap_or(start).max(start);
        Some(Self { source: number(16)?, start, made_ms: number(32)?, shipped })
    }
}

/// Mark at [`SHIPPED_AT`].
#[must_use]
pub fn shipped_mark(place: u64) -> [u8; 12] {
    let mut mark = [0; 12];
    mark[..8].copy_from_slice(&place.to_le_bytes());
    let crc = crc32fast::hash(&mark[..8]);
    mark[8..].copy_from_slice(&crc.to_le_bytes());
    mark
}

/// Puts length and checksum before the body that stands in `framed` from [`FRAME_BYTES`] on.
pub fn frame(framed: &mut [u8]) {
    let Some((head, body)) = framed.split_first_chunk_mut::<FRAME_BYTES>() else { return };
    head[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
    head[4..].copy_from_slice(&crc32fast::hash(body).to_le_bytes());
}

/// The first body in `bytes`, and the bytes that it takes with its frame; `None` at the end.
fn next_body(bytes: &[u8]) -> Option<(&[u8], usize)> {
    let (head, rest) = bytes.split_first_chunk::<FRAME_BYTES>()?;
    let length = u32::from_le_bytes(*head.first_chunk()?) as usize;
    let crc = u32::from_le_bytes(*head[4..].first_chunk()?);
    if length == 0 || length > BODY_BYTES_MAX {
        return None;
    }
    let body = rest.get(..length)?;
    (crc32fast::hash(body) == crc).then_some((body, FRAME_BYTES + length))
}

/// Bodies that are whole, from the beginning of `bytes` on, with where each ends.
pub fn bodies(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let (body, taken) = next_body(&bytes[at..])?;
        at += taken;
        Some((body, at))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEAD: SegmentHead = SegmentHead { source: 7, start: 100, made_ms: 5, shipped: 130 };

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut all = Vec::new();
        for body in bodies {
            let from = all.len();
            all.extend_from_slice(&[0; FRAME_BYTES]);
            all.extend_from_slice(body);
            frame(&mut all[from..]);
        }
        all
    }

    fn some_bodies() -> impl Strategy<Value = Vec<Vec<u8>>> {
        proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..60), 0..12)
    }

    #[test]
    fn a_head_is_read_as_it_was_written_and_a_torn_one_is_none() {
        let bytes = HEAD.to_bytes();
        assert_eq!(SegmentHead::parse(&bytes), Some(HEAD));
        for torn in 0..bytes.len() {
            assert_eq!(SegmentHead::parse(&bytes[..torn]), None);
        }
        for at in 0..FIXED {
            let mut changed = bytes;
            changed[at] ^= 1;
            assert_eq!(SegmentHead::parse(&changed), None, "byte {at}");
        }
        let mut unmarked = bytes;
        unmarked[FIXED] ^= 1;
        assert_eq!(SegmentHead::parse(&unmarked), Some(SegmentHead { shipped: 100, ..HEAD }), "it comes again");
    }

    proptest! {
        /// Whatever a cut, zeros or a flipped bit leave: a prefix of what was written, never anything else.
        #[test]
        fn what_is_read_is_a_prefix_of_what_was_written(
            written in some_bodies(), keep in any::<proptest::sample::Index>(), zeros in 0_usize..20, flip in any::<Option<proptest::sample::Index>>(),
        ) {
            let all = framed(&written);
            let mut bytes = all[..keep.index(all.len() + 1)].to_vec();
            bytes.resize(bytes.len() + zeros, 0);
            if let Some(flip) = flip.filter(|_| !bytes.is_empty()) {
                let at = flip.index(bytes.len());
                bytes[at] ^= 0x10;
            }
            let read: Vec<Vec<u8>> = bodies(&bytes).map(|(body, _)| body.to_vec()).collect();
            prop_assert!(written.starts_with(&read), "{:?}", read);
            if flip.is_none() {
                let mut ends = 0;
                let whole = written.iter().take_while(|body| { ends += body.len() + FRAME_BYTES; ends <= bytes.len() - zeros }).count();
                // Zeros that were cut off are there again.
                prop_assert!(read.len() >= whole);
            }
        }
    }
}
