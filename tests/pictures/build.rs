//! Parts that pictures are put together from. Compiled by the tests of uploads, too.
#![allow(dead_code, reason = "each test uses some")]

use std::io::Write as _;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

pub const PNG_START: &[u8] = b"\x89PNG\r\n\x1a\n";

pub fn png_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut crc = Crc::new();
    crc.update(kind);
    crc.update(payload);
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_be_bytes()[..], kind, payload, &crc.sum().to_be_bytes()].concat()
}

/// The header of a PNG of 8 bits a sample: grey 0, RGB 2, palette 3, grey and alpha 4, RGBA 6.
pub fn png_header(width: u32, height: u32, colour: u8) -> Vec<u8> {
    png_chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, colour, 0, 0, 0]].concat())
}

/// PNG with `header`, and with `before` and `after` around its pixels.
pub fn png_with(header: &[u8], before: &[u8], pixels: &[u8], after: &[u8]) -> Vec<u8> {
    [PNG_START, header, before, pixels, after, &png_chunk(b"IEND", b"")].concat()
}

/// `count` zeros, compressed.
pub fn zeros(count: usize) -> Vec<u8> {
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(5));
    let step = [0; 1 << 16];
    for from in (0..count).step_by(step.len()) {
        packed.write_all(&step[..step.len().min(count - from)]).unwrap();
    }
    packed.finish().unwrap()
}

pub fn jpeg_segment(marker: u8, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len() + 2).unwrap();
    [&[0xff, marker][..], &length.to_be_bytes(), payload].concat()
}

/// A chunk of a WebP.
pub fn riff_chunk(kind: &[u8; 4], payload: &[u8]) -> Vec<u8> {
    let padding: &[u8] = if payload.len() % 2 == 1 { &[0] } else { &[] };
    [kind, &u32::try_from(payload.len()).unwrap().to_le_bytes()[..], payload, padding].concat()
}

pub fn webp(chunks: &[u8]) -> Vec<u8> {
    [b"RIFF", &u32::try_from(chunks.len() + 4).unwrap().to_le_bytes()[..], b"WEBP", chunks].concat()
}

/// Bits from the lowest of each byte on, as lossless WebPs have them.
#[derive(Default)]
pub struct Bits {
    pub bytes: Vec<u8>,
    count: usize,
}

impl Bits {
    pub fn put(&mut self, value: u32, count: usize) {
        for bit in 0..count {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let set = u8::try_from(value >> bit & 1).unwrap();
            *self.bytes.last_mut().unwrap() |= set << (self.count % 8);
            self.count += 1;
        }
    }
}
