//! permessage-deflate (RFC 7692) without context takeover: each message is compressed for itself, so that nothing is
//! kept for a connection. A shard owns one [`Inflater`] and one [`Deflater`] and lends them to all its sessions.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::Violation;

/// End of every flushed block, left out on the wire (7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Bytes of a message from which it is compressed; shorter ones gain nothing.
pub(super) const DEFLATE_BYTES_MIN: usize = 256;
/// Final blocks in one message, at most; more are refused. Each costs a new start, and a sender needs none of them.
const FINAL_BLOCKS_MAX: usize = 16;
/// Bytes that the output grows by.
const STEP_BYTES: usize = 4_096;
/// Bytes of output that are kept from one message to the next; what was more is given back.
const KEPT_BYTES_MAX: usize = 256 << 10;

/// Inflates messages, one after the other. About 50 KiB, and an output buffer of at most a message.
#[derive(Debug)]
pub struct Inflater {
    state: Decompress,
    out: Vec<u8>,
}

impl Default for Inflater {
    fn default() -> Self {
        Inflater { state: Decompress::new(false), out: Vec::new() }
    }
}

impl Inflater {
    /// The message that `payload` is the compressed form of, if it has at most `bytes_max` bytes: no more than that is
    /// inflated, however much `payload` promises.
    pub(super) fn inflate(&mut self, payload: &[u8], bytes_max: usize) -> Result<&[u8], Violation> {
        self.state.reset(false);
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES_MAX);
        let mut final_blocks = 0;
        for mut input in [payload, &TAIL] {
            loop {
                let taken = self.step(input, bytes_max)?;
                input = &input[taken.bytes..];
                if taken.ended {
                    // A final block is allowed, and whatever follows it begins anew (7.2.3.4).
                    final_blocks += 1;
                    if final_blocks > FINAL_BLOCKS_MAX {
                        return Err(Violation::BadDeflate);
                    }
                    self.state.reset(false);
                } else if input.is_empty() && !taken.full {
                    break;
                } else if taken.bytes == 0 && taken.written == 0 {
                    return Err(Violation::BadDeflate);
                }
            }
        }
        Ok(&self.out)
    }

    /// Inflates some of `input` into the room that the output has, or gets.
    fn step(&mut self, input: &[u8], bytes_max: usize) -> Result<Taken, Violation> {
        if self.out.len() == self.out.capacity() {
            // One byte past the bound, so that a message of just the bound can be told from a longer one.
            let room = self.out.len().max(STEP_BYTES).min(bytes_max.saturating_add(1).saturating_sub(self.out.len()));
            self.out.reserve_exact(room);
        }
        let (read, before) = (self.state.total_in(), self.out.len());
        let status = self.state.decompress_vec(input, &mut self.out, FlushDecompress::None);
        let status = status.map_err(|_| Violation::BadDeflate)?;
        if self.out.len() > bytes_max {
            return Err(Violation::TooBig);
        }
        Ok(Taken {
            bytes: (self.state.total_in() - read) as usize,
            ended: status == Status::StreamEnd,
            written: self.out.len() - before,
            full: self.out.len() == self.out.capacity(),
        })
    }
}

/// Result of one step of the inflater.
struct Taken {
    /// Bytes of the input that are done.
    bytes: usize,
    /// The final block is over.
    ended: bool,
    /// Bytes of the output that are new.
    written: usize,
    /// The output is full, and there may be more.
    full: bool,
}

/// Compresses messages, one after the other. About 300 KiB.
#[derive(Debug)]
pub struct Deflater {
    state: Compress,
    out: Vec<u8>,
}

impl Default for Deflater {
    fn default() -> Self {
        Deflater { state: Compress::new(Compression::fast(), false), out: Vec::new() }
    }
}

impl Deflater {
    /// The payload of the compressed message that is `parts` in a row.
    pub(super) fn deflate(&mut self, parts: &[&[u8]]) -> &[u8] {
        self.state.reset();
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES_MAX);
        for part in parts {
            self.run(part, FlushCompress::None);
        }
        self.run(&[], FlushCompress::Sync);
        self.out.strip_suffix(&TAIL).unwrap_or(&self.out)
    }

    fn run(&mut self, mut input: &[u8], flush: FlushCompress) {
        loop {
            self.out.reserve(STEP_BYTES);
            let before = self.state.total_in();
            // The states that fail are those of a stream that was finished; this one never is.
            let _ = self.state.compress_vec(input, &mut self.out, flush);
            input = &input[(self.state.total_in() - before) as usize..];
            // Room that is left over says that all is out.
            if input.is_empty() && self.out.len() < self.out.capacity() {
                return;
            }
        }
    }
}
