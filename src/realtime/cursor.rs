//! Cursor from which a session resumes: one watermark a stream, sealed for one person. Pure.
//!
//! A cursor says "everything up to here was sent, or told of by a gap". The server keeps nothing of it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use fanfare_protocol::{CURSOR_CHARS_MAX, Id, ResetReason, Stream};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::base::error::{Error, Result};
use crate::base::id::unix_ms_of;
use crate::base::limits::realtime::CURSOR_DAYS_MAX;

const VERSION: u8 = 2;
/// Version whose `told` stands in place of the digest of `direct`, in which nothing was sent then.
const EARLIER: u8 = 1;
const MAC_BYTES: usize = 8;
const STREAMS: usize = Stream::ALL.len();
/// Version, user, watermarks, digests.
const EARLIER_HEAD_BYTES: usize = 1 + 8 + 8 * STREAMS + 2 * STREAMS;
/// Head with `told`; the MAC follows.
const HEAD_BYTES: usize = EARLIER_HEAD_BYTES + 2;
/// Characters of a cursor's text.
pub const TEXT_CHARS: usize = ((HEAD_BYTES + MAC_BYTES) * 4).div_ceil(3);
const _: () = assert!(TEXT_CHARS <= CURSOR_CHARS_MAX);
/// Tells these seals from those of page cursors, which use the same secret.
const CONTEXT: &[u8] = b"realtime cursor";

/// Ids, one a stream: everything up to them was sent.
pub type Watermarks = [Id; STREAMS];

/// Index of a stream in [`Watermarks`].
#[must_use]
pub const fn stream_index(stream: Stream) -> usize {
    match stream {
        Stream::Notifications => 0,
        Stream::Direct => 1,
        Stream::Group => 2,
        Stream::Posts => 3,
    }
}

/// Content of a sealed cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCursor {
    /// Person whose cursor it is.
    pub user: Id,
    /// Watermarks, one a stream.
    pub marks: Watermarks,
    /// Digests of what was sent above each watermark, folded by [`digest`]; 0 where it was not kept.
    pub digests: [u16; STREAMS],
    /// Deletions of accounts above the watermark of posts of which a `reset` told, folded likewise.
    pub told: u16,
}

/// Folds the ids of items into a digest, in any order: polls know by it that what lies above the watermark is nothing
/// new.
#[must_use]
pub fn digest(ids: impl IntoIterator<Item = Id>) -> u16 {
    // Fibonacci hashing (Knuth, TAOCP 3, 6.4): the high bits of the product depend on all bits of the id.
    ids.into_iter()
        .map(|id| ((id.0 ^ (id.0 >> 29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16 | 1)
        .fold(0, u16::wrapping_add)
}

/// Whether a cursor is too old to be resumed from: `newest` is an id of now.
#[must_use]
pub fn is_too_old(cursor: &StreamCursor, newest: Id) -> bool {
    let oldest = cursor.marks.iter().min().copied().unwrap_or_default();
    unix_ms_of(newest).saturating_sub(unix_ms_of(oldest)) > CURSOR_DAYS_MAX * 86_400_000
}

/// Seals and opens cursors.
#[derive(Clone)]
pub struct CursorSeal {
    keyed: Hmac<Sha256>,
}

impl CursorSeal {
    /// With the server's secret; nodes that share data share it.
    ///
    /// # Errors
    /// When HMAC refuses the secret, which it does for no length.
    pub fn new(secret: &[u8]) -> Result<Self> {
        let mut keyed: Hmac<Sha256> =
            Hmac::new_from_slice(secret).map_err(|error| Error::Internal(error.to_string()))?;
        keyed.update(CONTEXT);
        Ok(Self { keyed })
    }

    fn mac(&self, bytes: &[u8]) -> [u8; MAC_BYTES] {
        let mut mac = self.keyed.clone();
        mac.update(bytes);
        let full = mac.finalize().into_bytes();
        std::array::from_fn(|at| full[at])
    }

    /// The text of `cursor`, [`TEXT_CHARS`] ASCII characters that are safe in URLs.
    #[must_use]
    pub fn seal(&self, cursor: &StreamCursor) -> [u8; TEXT_CHARS] {
        let mut bytes = [0; HEAD_BYTES + MAC_BYTES];
        let (head, mac) = bytes.split_at_mut(HEAD_BYTES);
        head[0] = VERSION;
        head[1..9].copy_from_slice(&cursor.user.to_bytes());
        for (slot, mark) in head[9..].chunks_exact_mut(8).zip(cursor.marks) {
            slot.copy_from_slice(&mark.to_bytes());
        }
        let folded = cursor.digests.into_iter().chain([cursor.told]);
        for (slot, digest) in head[9 + 8 * STREAMS..].chunks_exact_mut(2).zip(folded) {
            slot.copy_from_slice(&digest.to_be_bytes());
        }
        mac.copy_from_slice(&self.mac(head));
        let mut text = [b'A'; TEXT_CHARS];
        // The length fits by construction.
        let _ = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        text
    }

    /// The cursor in `text`, if it is `user`'s.
    ///
    /// # Errors
    /// [`ResetReason::Malformed`] for what is no cursor, [`ResetReason::Foreign`] for another person's or a forged one.
    pub fn open(&self, user: Id, text: &str) -> std::result::Result<StreamCursor, ResetReason> {
        if text.len() > TEXT_CHARS {
            return Err(ResetReason::Malformed);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| ResetReason::Malformed)?;
        let head_bytes = match bytes.first() {
            Some(&VERSION) => HEAD_BYTES,
            Some(&EARLIER) => EARLIER_HEAD_BYTES,
            _ => return Err(ResetReason::Malformed),
        };
        let (head, mac) = bytes.split_at_checked(head_bytes).ok_or(ResetReason::Malformed)?;
        if mac.len() != MAC_BYTES {
            return Err(ResetReason::Malformed);
        }
        if !bool::from(self.mac(head).ct_eq(mac)) {
            return Err(ResetReason::Foreign);
        }
        let id = |at: usize| head.get(at..).and_then(Id::from_bytes).ok_or(ResetReason::Malformed);
        if id(1)? != user {
            return Err(ResetReason::Foreign);
        }
        let mut cursor = StreamCursor { user, marks: [Id(0); STREAMS], digests: [0; STREAMS], told: 0 };
        let folded = |number: usize| {
            let at = 9 + 8 * STREAMS + 2 * number;
            head.get(at..at + 2).map_or(0, |bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
        };
        for stream in 0..STREAMS {
            cursor.marks[stream] = id(9 + 8 * stream)?;
            cursor.digests[stream] = folded(stream);
        }
        cursor.told = match head[0] {
            EARLIER => std::mem::take(&mut cursor.digests[stream_index(Stream::Direct)]),
            _ => folded(STREAMS),
        };
        Ok(cursor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seal() -> CursorSeal {
        CursorSeal::new(b"a secret").unwrap()
    }

    fn text(cursor: &StreamCursor) -> String {
        String::from_utf8(seal().seal(cursor).to_vec()).unwrap()
    }

    proptest! {
        #[test]
        fn a_cursor_opens_as_it_was_sealed(user: u64, marks: [u64; 4], digests: [u16; 4], told: u16) {
            let cursor = StreamCursor { user: Id(user), marks: marks.map(Id), digests, told };
            let text = text(&cursor);
            prop_assert!(text.len() <= CURSOR_CHARS_MAX);
            prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
            prop_assert_eq!(seal().open(Id(user), &text), Ok(cursor));
            prop_assert_eq!(seal().open(Id(user ^ 1), &text), Err(ResetReason::Foreign));
        }

        #[test]
        fn a_cursor_with_any_character_changed_is_refused(at in 0..TEXT_CHARS, to in "[A-Za-z0-9_-]") {
            let cursor = StreamCursor { user: Id(7), marks: [Id(1), Id(2), Id(3), Id(4)], digests: [1, 0, 3, 4], told: 2 };
            let good = text(&cursor);
            prop_assert_eq!(good.len(), TEXT_CHARS);
            let mut changed = good.clone();
            changed.replace_range(at..=at, &to);
            prop_assert!(changed == good || seal().open(Id(7), &changed).is_err());
        }

        #[test]
        fn whatever_comes_is_no_cursor(junk in ".{0,120}") {
            prop_assert!(seal().open(Id(7), &junk).is_err());
        }
    }

    /// Cursors of before live for days after the server that sealed them is gone.
    #[test]
    fn a_cursor_of_the_version_before_opens() {
        let mut bytes = vec![EARLIER];
        bytes.extend([7_u64, 1, 2, 3, 4].into_iter().flat_map(u64::to_be_bytes));
        bytes.extend([5_u16, 9, 6, 8].into_iter().flat_map(u16::to_be_bytes));
        bytes.extend(seal().mac(&bytes));
        let text = URL_SAFE_NO_PAD.encode(&bytes);
        let cursor = StreamCursor { user: Id(7), marks: [1, 2, 3, 4].map(Id), digests: [5, 0, 6, 8], told: 9 };
        assert_eq!((text.len(), seal().open(Id(7), &text)), (76, Ok(cursor)));
        bytes[0] = VERSION;
        assert!(seal().open(Id(7), &URL_SAFE_NO_PAD.encode(&bytes)).is_err());
    }

    #[test]
    fn a_digest_does_not_depend_on_the_order_and_tells_sets_apart() {
        let ids = [Id(2_235_236_504_953_683_968), Id(2_235_236_504_953_683_969), Id(5)];
        assert_eq!(digest(ids), digest([ids[2], ids[0], ids[1]]));
        assert_ne!(digest(ids), digest([ids[0], ids[1]]));
        assert_eq!(digest([]), 0);
        assert_ne!(digest([Id(9)]), 0);
    }
}
