//! Pictures that are small and become large: what an upload of one takes, and what is served of it.
//!
//! A program of its own, because its allocator counts: memory is told in bytes and not in time. The bombs are made
//! here.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "pictures/build.rs"]
mod build;

use std::io::Read as _;

use build::{Bits, PNG_START, jpeg_segment, png_chunk, png_header, png_with, riff_chunk, webp, zeros};
use bytes::Bytes;
use fanfare::media::process::{MediaError, MediaLimits, Processed, process};
use flate2::read::ZlibDecoder;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const LIMITS: MediaLimits =
    MediaLimits { image_pixels_max: 1_000_000, image_bytes_max: 32 << 20, file_bytes_max: 64 << 20 };
/// Bytes that a bomb grows to.
const GROWN: usize = 64 << 20;
/// Memory that a bomb may take for each of its own bytes, for each of its pixels, and in any case.
const BYTES_PER_BYTE: usize = 6;
const BYTES_PER_PIXEL: usize = 16;
const BYTES_ALWAYS: usize = 2 << 20;

/// Fate of a bomb, as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Stored, and no bomb any more.
    Defused,
    /// Refused as damaged.
    Broken,
    /// Refused for the work it is.
    Costly,
}
use Fate::{Broken, Costly, Defused};

struct Bomb {
    name: &'static str,
    bytes: Vec<u8>,
    pixels: usize,
    fate: Fate,
}

/// A grey PNG of 8 x 8 pixels with `before` and `after` around them, `pixels` in their place.
fn png(name: &'static str, fate: Fate, before: &[u8], pixels: &[u8], after: &[u8]) -> Bomb {
    Bomb { name, bytes: png_with(&png_header(8, 8, 0), before, pixels, after), pixels: 64, fate }
}

fn profile(inflated: usize, more: &[u8]) -> Vec<u8> {
    png_chunk(b"iCCP", &[&b"sRGB\0\0"[..], &zeros(inflated), more].concat())
}

fn pngs() -> Vec<Bomb> {
    const PIXELS: usize = 8 * 9;
    let pixels = || png_chunk(b"IDAT", &zeros(PIXELS));
    let text = |kind, head: &[u8]| png_chunk(kind, &[head, &zeros(GROWN)].concat());
    let surplus = [pixels(), png_chunk(b"IDAT", &zeros(GROWN)), png_chunk(b"IDAT", &zeros(GROWN))].concat();
    let frame = |number: u8, side: u32| {
        let sides = [side.to_be_bytes(), side.to_be_bytes(), [0; 4], [0; 4]].concat();
        png_chunk(b"fcTL", &[&[0, 0, 0, number][..], &sides, &[0, 1, 0, 10, 0, 0]].concat())
    };
    let animation = png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0]);
    let first = [animation.clone(), frame(0, 8)].concat();
    let second = [frame(1, 1), png_chunk(b"fdAT", &[&[0, 0, 0, 2][..], &zeros(GROWN)].concat())].concat();
    let film: Vec<u8> = (1..=200).flat_map(|_| frame(1, 1_000)).collect();
    let canvas = png_header(1_000, 1_000, 0);
    let canvas = png_with(&canvas, &animation, &png_chunk(b"IDAT", &zeros(1_000 * 1_001)), &film);
    let inflated_film: Vec<u8> = (0..20)
        .flat_map(|_| [frame(1, 1_000), png_chunk(b"fdAT", &[&[0; 4][..], &zeros(1_001_000)].concat())].concat())
        .collect();
    let inflated_film =
        png_with(&png_header(1_000, 1_000, 0), &animation, &png_chunk(b"IDAT", &zeros(1_000 * 1_001)), &inflated_film);
    vec![
        png("a profile", Defused, &profile(GROWN, b""), &pixels(), b""),
        png("a profile with something after it", Defused, &profile(1_000, &zeros(GROWN)), &pixels(), b""),
        png("two profiles", Defused, &[profile(1_000, b""), profile(GROWN, b"")].concat(), &pixels(), b""),
        png("a compressed text", Defused, &text(b"zTXt", b"Comment\0\0"), &pixels(), b""),
        png("a text in Unicode", Defused, &text(b"iTXt", b"XML:com.adobe.xmp\0\x01\0\0\0"), &pixels(), b""),
        png("a text at the end", Defused, b"", &pixels(), &text(b"zTXt", b"Comment\0\0")),
        png("pixels that go on", Defused, b"", &png_chunk(b"IDAT", &zeros(GROWN)), b""),
        png("pixels after the pixels", Defused, b"", &surplus, b""),
        png("a frame that goes on", Defused, &first, &pixels(), &second),
        Bomb { name: "a film of frames without pixels", bytes: canvas, pixels: 1_000_000, fate: Broken },
        Bomb { name: "a film of pixels", bytes: inflated_film, pixels: 1_000_000, fate: Costly },
        png("pixels that do not end", Broken, b"", &png_chunk(b"IDAT", &zeros(PIXELS)[..6]), b""),
    ]
}

/// A progressive JPEG of three colours whose scans each tell everything that scans can, in no bytes at all.
fn progressive(side: u16, scans: usize) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    let frame = jpeg_segment(0xc2, &[8, high, low, high, low, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0]);
    let table = jpeg_segment(0xdb, &[&[0][..], &[1; 64]].concat());
    let codes = jpeg_segment(0xc4, &[&[0, 1][..], &[0; 15], &[0]].concat());
    let scan = jpeg_segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 0, 0]);
    [&b"\xff\xd8"[..], &table, &codes, &frame, &scan.repeat(scans), b"\xff\xd9"].concat()
}

fn jpegs() -> Vec<Bomb> {
    let mut plain = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(64, 64).write_to(&mut plain, image::ImageFormat::Jpeg).unwrap();
    let plain = plain.into_inner();
    let pieces = |number: &dyn Fn(u8) -> u8| -> Vec<u8> {
        let piece = |at| jpeg_segment(0xe2, &[&b"ICC_PROFILE\0"[..], &[number(at), 255], &[7; 65_000]].concat());
        (1..=255).flat_map(piece).collect()
    };
    let with = |before: &[u8]| [&plain[..2], before, &plain[2..]].concat();
    let restarts = [&b"\xff\xdd\0\x04\0\x01"[..]].concat();
    let jpeg = |name, bytes, pixels, fate| Bomb { name, bytes, pixels, fate };
    vec![
        jpeg("a profile in 255 pieces", with(&pieces(&|at| at)), 4_096, Defused),
        jpeg("a profile of the same piece", with(&pieces(&|_| 1)), 4_096, Defused),
        jpeg("a restart a block", with(&restarts), 4_096, Defused),
        jpeg("two hundred scans", progressive(8, 200), 64, Costly),
        jpeg("scans of everything", progressive(1_000, 90), 1_000_000, Costly),
    ]
}

/// A lossless WebP of 4 x 4 pixels that asks for 65,536 groups of codes, each of 1,024 entries.
fn groups() -> Vec<u8> {
    let mut bits = Bits::default();
    for (value, count) in [(0x2f, 8), (3, 14), (3, 14), (0, 4), (0, 1), (0, 1), (1, 1), (0, 3), (0, 1)] {
        bits.put(value, count);
    }
    // Which group serves where: one pixel, whose red and green are 255.
    for (value, count) in [(255, 8), (255, 8), (0, 1), (0, 1), (0, 1)] {
        bits.put(1, 1);
        bits.put(0, 1);
        bits.put(u32::from(count == 8), 1);
        bits.put(value, count);
    }
    // Lengths 1 to 10 have codes of three and four bits; a code has one symbol of each, and two of the last.
    const CODES: [(u32, usize); 10] =
        [(0, 3), (4, 3), (2, 3), (6, 3), (1, 3), (5, 3), (3, 4), (11, 4), (7, 4), (15, 4)];
    for _ in 0..65_536 * 5 {
        bits.put(0, 1);
        bits.put(10, 4);
        for length in [0, 0, 0, 3, 3, 3, 3, 3, 0, 3, 4, 4, 4, 4] {
            bits.put(length, 3);
        }
        bits.put(1, 1);
        bits.put(1, 3);
        bits.put(9, 4);
        CODES.iter().chain([&CODES[9]]).for_each(|(code, count)| bits.put(*code, *count));
    }
    bits.put(0, 32);
    webp(&riff_chunk(b"VP8L", &bits.bytes))
}

fn webps() -> Vec<Bomb> {
    let mut plain = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(64, 64).write_to(&mut plain, image::ImageFormat::WebP).unwrap();
    let picture = plain.into_inner()[12..].to_vec();
    let header = |flags: u8, side: u8| riff_chunk(b"VP8X", &[flags, 0, 0, 0, side, 0, 0, side, 0, 0]);
    let large = webp(&[header(0x20, 63), riff_chunk(b"ICCP", &vec![7; 8 << 20]), picture.clone()].concat());
    let again = webp(&[header(0, 63), picture.clone(), picture.repeat(10_000)].concat());
    let frame = riff_chunk(b"ANMF", &[&[0; 6][..], &[63, 0, 0, 63, 0, 0, 0, 0, 0, 0], &picture].concat());
    let film = webp(&[header(2, 63), riff_chunk(b"ANIM", &[0; 6]), frame.repeat(25_000_000 / 4_096 + 1)].concat());
    let webp = |name, bytes, pixels, fate| Bomb { name, bytes, pixels, fate };
    vec![
        webp("a large profile", large, 4_096, Defused),
        webp("the same picture again", again, 4_096, Defused),
        webp("a film", film, 4_096, Costly),
        webp("65,536 groups of codes", groups(), 16, Broken),
    ]
}

fn gifs() -> Vec<Bomb> {
    let canvas = b"GIF89a\xe8\x03\xe8\x03\x80\0\0\0\0\0\xff\xff\xff";
    let frame = b"\x2c\0\0\0\0\xe8\x03\xe8\x03\0\x02\x02\x44\x01\0";
    vec![Bomb {
        name: "a film of frames",
        bytes: [&canvas[..], &frame.repeat(26), b"\x3b"].concat(),
        pixels: 1_000_000,
        fate: Costly,
    }]
}

fn processed(bytes: Vec<u8>) -> (Result<Processed, MediaError>, usize) {
    let bytes = Bytes::from(bytes);
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let result = process(bytes, &LIMITS);
    (result, ALLOCATOR.peak_usage().saturating_sub(before))
}

/// Sizes that the compressed parts of a served PNG inflate to.
fn inflated(png: &[u8]) -> Vec<(String, u64)> {
    let mut rest = &png[PNG_START.len()..];
    let (mut found, mut pixels) = (Vec::new(), Vec::new());
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let (kind, payload) = (String::from_utf8_lossy(&more[..4]).into_owned(), &more[4..4 + length]);
        let count =
            |packed: &[u8]| std::io::copy(&mut ZlibDecoder::new(packed).take(GROWN as u64), &mut std::io::sink());
        match &*kind {
            "IDAT" => pixels.extend_from_slice(payload),
            "fdAT" => found.push((kind, count(&payload[4..]).unwrap())),
            "iCCP" => found.push((kind, count(&payload[5..]).unwrap())),
            _ => found.push((kind, length as u64)),
        }
        rest = &more[4 + length + 4..];
    }
    let mut packed = ZlibDecoder::new(&pixels[..]);
    found
        .push(("IDAT".to_owned(), std::io::copy(&mut (&mut packed).take(GROWN as u64), &mut std::io::sink()).unwrap()));
    assert_eq!(packed.total_in(), pixels.len() as u64, "something lies behind the pixels");
    found
}

/// Alone in its file, so that nothing else allocates meanwhile.
#[test]
fn what_becomes_large_takes_no_memory_and_is_not_served() {
    for Bomb { name, bytes, pixels, fate } in [pngs(), jpegs(), webps(), gifs()].into_iter().flatten() {
        let length = bytes.len();
        let (result, peak) = processed(bytes);
        let allowed = BYTES_ALWAYS + BYTES_PER_BYTE * length + BYTES_PER_PIXEL * pixels;
        assert!(peak <= allowed, "{name}: {length} bytes took {peak} bytes of memory, {allowed} at most");
        let found = match &result {
            Ok(_) => Defused,
            Err(MediaError::TooMuchWork { .. }) => Costly,
            Err(MediaError::Corrupt(_)) => Broken,
            Err(other) => panic!("{name}: {other}"),
        };
        assert_eq!(found, fate, "{name}: {:?}", result.err());
        let Ok(served) = result else { continue };
        if served.content_type == "image/png" {
            for (kind, bytes) in inflated(&served.bytes) {
                assert!(bytes <= 65_536, "{name}: {kind} is served and inflates to {bytes} bytes");
            }
        } else {
            assert!(served.bytes.len() <= 65_536, "{name}: {} bytes are served", served.bytes.len());
        }
        assert!(image::load_from_memory(&served.bytes).is_ok(), "{name}: what is served is no picture");
        let again = process(served.bytes.clone(), &LIMITS).unwrap();
        assert_eq!(again.bytes, served.bytes, "{name}: cleaned again, it is another file");
    }
}
