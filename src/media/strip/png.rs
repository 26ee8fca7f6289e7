//! PNG, and animated PNG (third edition).

use std::borrow::Cow;
use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc, Decompress, FlushDecompress, Status};

use super::{Damage, Frames, Look, Refusal, Stripped, TRUNCATED, Walk, Work, profile_fits, sized, tiff_of};
use crate::base::limits::media::{DECODED_BYTES_PER_PIXEL, ICC_BYTES_MAX};

const SIGNATURE_BYTES: usize = 8;
const NOT_ZLIB: Damage = Damage("its pixels cannot be inflated");
const NO_PIXELS: Damage = Damage("a frame has no pixels");

/// Keeps pixels, colours and frames; of frames, what they need and no more.
pub fn png(bytes: &[u8], pixels_max: u64) -> Result<Stripped<'_>, Refusal> {
    let mut walk = Walk { bytes };
    let mut out = Writer { bytes: Vec::with_capacity(bytes.len()), sequence: 0 };
    out.bytes.extend_from_slice(walk.take(SIGNATURE_BYTES)?);
    let first = chunk(&mut walk)?;
    let header = Header::read(first, pixels_max)?;
    out.chunk(b"IHDR", &[first.payload]);
    let mut state = State {
        frames: Frames::of(header.size, pixels_max),
        inflated: Budget { taken: 0, most: pixels_max.saturating_mul(DECODED_BYTES_PER_PIXEL) },
        header,
        out,
        seen: Vec::new(),
        data: Vec::new(),
        pictured: false,
        frame_bytes: None,
        exif: None,
        profile: None,
        looks: Vec::new(),
    };
    loop {
        let next = chunk(&mut walk)?;
        state.take(next)?;
        if &next.kind == b"IEND" {
            state.end_of_pixels()?;
            break;
        }
    }
    if !state.pictured {
        return Err(Damage("it holds no picture").into());
    }
    let State { mut out, header, seen, exif, profile, looks, .. } = state;
    out.chunk(b"IEND", &[]);
    let samples = u64::from(header.size.0) * u64::from(header.size.1) * header.channels;
    let work = Work { samples, coarse_samples: samples };
    let animated = seen.contains(b"acTL");
    Ok(Stripped { bytes: out.bytes, animated, size: header.size, exif, profile, looks, work })
}

/// A PNG as an encoder wrote it, with what the picture that it was made of said of its looks; `is_on_its_side` where
/// lines became columns.
pub fn looking(encoded: &[u8], looks: &[Look<'_>], is_on_its_side: bool) -> Vec<u8> {
    /// Signature and header.
    const HEAD_BYTES: usize = SIGNATURE_BYTES + 25;
    let (head, rest) = encoded.split_at(HEAD_BYTES.min(encoded.len()));
    let mut out = Writer { bytes: head.to_vec(), sequence: 0 };
    for (kind, payload) in looks {
        match (kind, payload) {
            // Pixels that are not square: so many along a line, then so many down a column.
            (b"pHYs", [along @ .., d0, d1, d2, d3, unit]) if is_on_its_side => {
                out.chunk(kind, &[&[*d0, *d1, *d2, *d3], along, &[*unit]]);
            }
            _ => out.chunk(kind, &[payload]),
        }
    }
    out.bytes.extend_from_slice(rest);
    out.bytes
}

#[derive(Clone, Copy)]
struct Chunk<'a> {
    kind: [u8; 4],
    payload: &'a [u8],
    is_whole: bool,
}

fn chunk<'a>(walk: &mut Walk<'a>) -> Result<Chunk<'a>, Damage> {
    let length = u32::from_be_bytes(walk.array()?) as usize;
    let kind: [u8; 4] = walk.array()?;
    let payload = walk.take(length)?;
    let is_whole = u32::from_be_bytes(walk.array()?) == checksum(&kind, &[payload]);
    Ok(Chunk { kind, payload, is_whole })
}

fn checksum(kind: &[u8; 4], payload: &[&[u8]]) -> u32 {
    let mut crc = Crc::new();
    crc.update(kind);
    payload.iter().for_each(|part| crc.update(part));
    crc.sum()
}

struct Writer {
    bytes: Vec<u8>,
    /// The next number of a frame or its data, which count together.
    sequence: u32,
}

impl Writer {
    fn chunk(&mut self, kind: &[u8; 4], payload: &[&[u8]]) {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        // What is written is no longer than what was read, which had a length of 32 bits.
        self.bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
        self.bytes.extend_from_slice(kind);
        payload.iter().for_each(|part| self.bytes.extend_from_slice(part));
        self.bytes.extend_from_slice(&checksum(kind, payload).to_be_bytes());
    }

    fn numbered(&mut self, kind: &[u8; 4], payload: &[u8]) {
        let number = self.sequence.to_be_bytes();
        self.sequence += 1;
        self.chunk(kind, &[&number, payload]);
    }
}

struct Header {
    size: (u32, u32),
    colour: Colour,
    channels: u64,
    pixel_bits: u64,
    is_interlaced: bool,
}

/// Colour type: what a pixel is made of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Colour {
    Grey,
    Rgb,
    Palette,
    GreyAlpha,
    Rgba,
}

impl Header {
    fn read(chunk: Chunk<'_>, pixels_max: u64) -> Result<Self, Refusal> {
        const WRONG: Damage = Damage("its header is not what it should be");
        let payload = Some(chunk.payload).filter(|_| &chunk.kind == b"IHDR" && chunk.is_whole).ok_or(WRONG)?;
        let payload: &[u8; 13] = payload.try_into().map_err(|_| WRONG)?;
        let [w0, w1, w2, w3, h0, h1, h2, h3, depth, colour, 0, 0, interlace @ 0..=1] = *payload else {
            return Err(WRONG.into());
        };
        let (colour, channels) = match (colour, depth) {
            (0, 1 | 2 | 4 | 8 | 16) => (Colour::Grey, 1),
            (2, 8 | 16) => (Colour::Rgb, 3),
            (3, 1 | 2 | 4 | 8) => (Colour::Palette, 1),
            (4, 8 | 16) => (Colour::GreyAlpha, 2),
            (6, 8 | 16) => (Colour::Rgba, 4),
            _ => return Err(WRONG.into()),
        };
        let size = sized(u32::from_be_bytes([w0, w1, w2, w3]), u32::from_be_bytes([h0, h1, h2, h3]), pixels_max)?;
        let pixel_bits = channels * u64::from(depth);
        Ok(Self { size, colour, channels, pixel_bits, is_interlaced: interlace == 1 })
    }

    /// Whether a chunk of this kind, which comes once and before the pixels, decides how the picture looks and is as
    /// long as it must be. One that is not is left out, as readers leave it out.
    fn needs(&self, kind: &[u8; 4], payload: &[u8]) -> bool {
        let lengths = match (kind, self.colour) {
            (b"sRGB", _) | (b"sBIT", Colour::Grey) | (b"bKGD", Colour::Palette) => 1..=1,
            (b"sBIT", Colour::GreyAlpha) | (b"bKGD", Colour::Grey | Colour::GreyAlpha) | (b"tRNS", Colour::Grey) => {
                2..=2
            }
            (b"sBIT", Colour::Rgb | Colour::Palette) => 3..=3,
            (b"gAMA" | b"cICP", _) | (b"sBIT", Colour::Rgba) => 4..=4,
            (b"bKGD", Colour::Rgb | Colour::Rgba) | (b"tRNS", Colour::Rgb) => 6..=6,
            (b"cLLI" | b"acTL", _) => 8..=8,
            (b"pHYs", _) => 9..=9,
            (b"mDCV", _) => 24..=24,
            (b"cHRM", _) => 32..=32,
            (b"tRNS", Colour::Palette) => 1..=256,
            (b"PLTE", Colour::Rgb | Colour::Palette | Colour::Rgba) => 3..=768,
            _ => return false,
        };
        let is_right = match kind {
            b"PLTE" => payload.len().is_multiple_of(3),
            // The colours of PNGs are RGB, in the full range or the narrow one.
            b"cICP" => matches!(payload, [_, _, 0, 0 | 1]),
            _ => true,
        };
        is_right && lengths.contains(&payload.len())
    }

    /// Bytes that the pixels of a frame inflate to: each line of each pass, and a byte before it that says how it is
    /// filtered.
    fn inflated_bytes(&self, (width, height): (u32, u32)) -> u64 {
        /// First column and line, and the steps between them (Adam7).
        const PASSES: [(u64, u64, u64, u64); 7] =
            [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)];
        let passes = if self.is_interlaced { &PASSES[..] } else { &[(0, 0, 1, 1)] };
        let of = |&(column, line, columns, lines): &(u64, u64, u64, u64)| {
            let across = u64::from(width).saturating_sub(column).div_ceil(columns);
            let down = u64::from(height).saturating_sub(line).div_ceil(lines);
            if across == 0 { 0 } else { down * (1 + (across * self.pixel_bits).div_ceil(8)) }
        };
        passes.iter().map(of).sum()
    }
}

/// State of reading a file: what has been read, and what of it is written.
struct State<'a> {
    header: Header,
    frames: Frames,
    out: Writer,
    /// Kinds that come once, and have come.
    seen: Vec<[u8; 4]>,
    /// Compressed pixels that came in a row: those of the picture first, later those of a frame.
    data: Vec<&'a [u8]>,
    /// The picture's own pixels are written.
    pictured: bool,
    /// Bytes that the pixels of the announced frame inflate to; nothing once they are written.
    frame_bytes: Option<u64>,
    /// Bytes that the pixels of further frames may inflate to.
    inflated: Budget,
    exif: Option<&'a [u8]>,
    profile: Option<Vec<u8>>,
    looks: Vec<Look<'a>>,
}

impl<'a> State<'a> {
    fn take(&mut self, chunk: Chunk<'a>) -> Result<(), Refusal> {
        let (kind, payload) = (chunk.kind, chunk.payload);
        if !chunk.is_whole {
            // Readers pass over what only helps; without the rest there is no picture.
            let is_needed = matches!(&kind, b"IDAT" | b"fdAT" | b"fcTL" | b"PLTE" | b"tRNS" | b"IEND");
            return if is_needed { Err(Damage("a part of it is not what was written").into()) } else { Ok(()) };
        }
        match &kind {
            b"IHDR" => return Err(Damage("it holds more than one picture").into()),
            b"IDAT" if !self.pictured => self.data.push(payload),
            b"fcTL" if self.seen.contains(b"acTL") => return self.frame(payload),
            b"fdAT" => {
                if !self.pictured {
                    self.end_of_pixels()?;
                }
                if self.pictured && self.frame_bytes.is_some() {
                    self.data.push(payload.get(4..).ok_or(TRUNCATED)?);
                }
            }
            _ if self.data.is_empty() && !self.pictured && !self.seen.contains(&kind) => {
                return self.head(&kind, payload);
            }
            _ => {}
        }
        Ok(())
    }

    /// Chunk that may come once and before the pixels.
    fn head(&mut self, kind: &[u8; 4], payload: &'a [u8]) -> Result<(), Refusal> {
        match kind {
            b"eXIf" => self.exif = Some(tiff_of(payload)),
            b"iCCP" => {
                self.profile = profile(payload);
                if let Some(profile) = &self.profile {
                    self.out.chunk(kind, &[b"icc\0\0", &deflated(profile)]);
                }
            }
            _ if self.header.needs(kind, payload) => {
                self.out.chunk(kind, &[payload]);
                if matches!(kind, b"cICP" | b"gAMA" | b"cHRM" | b"sRGB" | b"mDCV" | b"cLLI" | b"pHYs") {
                    self.looks.push((*kind, payload));
                }
            }
            b"PLTE" if self.header.colour == Colour::Palette => {
                return Err(Damage("its palette is not what it should be").into());
            }
            _ => return Ok(()),
        }
        self.seen.push(*kind);
        Ok(())
    }

    /// Announces a frame.
    fn frame(&mut self, payload: &'a [u8]) -> Result<(), Refusal> {
        self.end_of_pixels()?;
        let frame: &[u8; 26] = payload.try_into().map_err(|_| Damage("a frame is not what it should be"))?;
        let number = |at: usize| u32::from_be_bytes([frame[at], frame[at + 1], frame[at + 2], frame[at + 3]]);
        let size = (number(4), number(8));
        if size.0 == 0 || size.1 == 0 {
            return Err(NO_PIXELS.into());
        }
        self.frames.add((number(12), number(16)), size)?;
        self.frame_bytes = Some(self.header.inflated_bytes(size));
        self.out.numbered(b"fcTL", &frame[4..]);
        Ok(())
    }

    /// Writes the pixels that came, which must be there where a frame was announced.
    fn end_of_pixels(&mut self) -> Result<(), Refusal> {
        if self.data.is_empty() {
            return if self.frame_bytes.is_some() { Err(NO_PIXELS.into()) } else { Ok(()) };
        }
        let data = std::mem::take(&mut self.data);
        let frame_bytes = self.frame_bytes.take();
        if !self.pictured {
            self.pictured = true;
            let bytes = self.header.inflated_bytes(self.header.size);
            needed(&data, bytes)?.iter().for_each(|piece| self.out.chunk(b"IDAT", &[piece]));
        } else if let Some(bytes) = frame_bytes {
            self.inflated.take(bytes)?;
            needed(&data, bytes)?.iter().for_each(|piece| self.out.numbered(b"fdAT", piece));
        }
        Ok(())
    }
}

/// Bytes that all frames together may inflate to.
struct Budget {
    taken: u64,
    most: u64,
}

impl Budget {
    fn take(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.taken = self.taken.saturating_add(bytes);
        let (what, found, most) = ("bytes of pixels over all frames", self.taken, self.most);
        if found > most { Err(Refusal::TooMuchWork { what, found, most }) } else { Ok(()) }
    }
}

/// The pieces of a zlib stream up to its end, or, if it goes on after `bytes` bytes of pixels, a new stream of those.
fn needed<'a>(pieces: &[&'a [u8]], bytes: u64) -> Result<Vec<Cow<'a, [u8]>>, Damage> {
    let mut inflate = Inflate::default();
    let mut kept = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let used = inflate.feed(piece, bytes, &mut |_| {})?;
        if inflate.bytes > bytes {
            return Ok(vec![repacked(pieces, bytes)?.into()]);
        }
        if used > 0 {
            kept.push(Cow::Borrowed(&piece[..used]));
        }
    }
    if inflate.bytes < bytes { Err(Damage("its pixels end too early")) } else { Ok(kept) }
}

/// A stream of the first `bytes` bytes that `pieces` inflate to.
fn repacked(pieces: &[&[u8]], bytes: u64) -> Result<Vec<u8>, Damage> {
    let mut inflate = Inflate::default();
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    let (mut left, mut failed) = (bytes, false);
    for piece in pieces {
        inflate.feed(piece, bytes, &mut |out| {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(out.len());
            failed |= packed.write_all(&out[..count]).is_err();
            left -= count as u64;
        })?;
        if inflate.bytes > bytes {
            break;
        }
    }
    packed.finish().ok().filter(|_| !failed).ok_or(NOT_ZLIB)
}

/// A zlib stream that is inflated through a small window, for how much comes out. Its checksum is not looked at:
/// readers do not agree on it.
struct Inflate {
    raw: Decompress,
    /// The two bytes before the data, as far as they came.
    head: Vec<u8>,
    ended: bool,
    /// Bytes of the checksum that came.
    tail: usize,
    /// Bytes that came out.
    bytes: u64,
}

impl Default for Inflate {
    fn default() -> Self {
        Self { raw: Decompress::new(false), head: Vec::new(), ended: false, tail: 0, bytes: 0 }
    }
}

impl Inflate {
    /// Inflates `piece` until more than `bytes_max` bytes came out in all; how much of it belongs to the stream.
    fn feed(&mut self, piece: &[u8], bytes_max: u64, sink: &mut impl FnMut(&[u8])) -> Result<usize, Damage> {
        const WINDOW_BYTES: usize = 32 << 10;
        const CHECKSUM_BYTES: usize = 4;
        let mut at = 0;
        while self.head.len() < 2 && at < piece.len() {
            self.head.push(piece[at]);
            at += 1;
            if let [method, flags] = self.head[..] {
                let is_right = method & 15 == 8 && flags & 0x20 == 0 && u16::from_be_bytes([method, flags]) % 31 == 0;
                is_right.then_some(()).ok_or(NOT_ZLIB)?;
            }
        }
        let mut window = [0; WINDOW_BYTES];
        while !self.ended && at < piece.len() && self.bytes <= bytes_max {
            let (before_in, before_out) = (self.raw.total_in(), self.raw.total_out());
            let status = self.raw.decompress(&piece[at..], &mut window, FlushDecompress::None).map_err(|_| NOT_ZLIB)?;
            let (read, came) = (self.raw.total_in() - before_in, self.raw.total_out() - before_out);
            at += usize::try_from(read).map_err(|_| NOT_ZLIB)?;
            sink(&window[..usize::try_from(came).map_err(|_| NOT_ZLIB)?]);
            self.bytes += came;
            self.ended = status == Status::StreamEnd;
            if read == 0 && came == 0 && !self.ended {
                return Err(NOT_ZLIB);
            }
        }
        if self.ended {
            let tail = (CHECKSUM_BYTES - self.tail).min(piece.len() - at);
            self.tail += tail;
            at += tail;
        }
        Ok(at)
    }
}

/// The profile of an iCCP chunk, if it is one and inflates to no more than may stay.
fn profile(payload: &[u8]) -> Option<Vec<u8>> {
    const NAME_BYTES_MAX: usize = 79;
    let name = payload.iter().position(|byte| *byte == 0).filter(|name| (1..=NAME_BYTES_MAX).contains(name))?;
    let compressed = payload[name + 1..].strip_prefix(&[0])?;
    let mut profile = Vec::new();
    let mut inflate = Inflate::default();
    inflate.feed(compressed, ICC_BYTES_MAX as u64, &mut |out| profile.extend_from_slice(out)).ok()?;
    (inflate.ended && profile_fits(&profile)).then_some(profile)
}

fn deflated(profile: &[u8]) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = packed.write_all(profile);
    packed.finish().unwrap_or_default()
}
