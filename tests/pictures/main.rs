//! Parts of pictures that stay, at their right length and at every other one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod build;

use build::{jpeg_segment, png_chunk, png_header, png_with, riff_chunk, webp, zeros};
use bytes::Bytes;
use fanfare::media::process::{MediaLimits, process};
use fanfare::media::strip;
use proptest::prelude::*;

const PIXELS_MAX: u64 = 1_000_000;

/// Chunks of a PNG that stay, for colours (grey 0, RGB 2, palette 3, grey and alpha 4, RGBA 6), and how long they must
/// be.
const PNG: &[(&[u8; 4], &[u8], usize)] = &[
    (b"gAMA", &[0, 2, 3, 4, 6], 4),
    (b"cHRM", &[0, 2, 3, 4, 6], 32),
    (b"sRGB", &[0, 2, 3, 4, 6], 1),
    (b"pHYs", &[0, 2, 3, 4, 6], 9),
    (b"cICP", &[0, 2, 3, 4, 6], 4),
    (b"mDCV", &[0, 2, 3, 4, 6], 24),
    (b"cLLI", &[0, 2, 3, 4, 6], 8),
    (b"acTL", &[0, 2, 3, 4, 6], 8),
    (b"sBIT", &[0], 1),
    (b"sBIT", &[2, 3], 3),
    (b"sBIT", &[4], 2),
    (b"sBIT", &[6], 4),
    (b"bKGD", &[3], 1),
    (b"bKGD", &[0, 4], 2),
    (b"bKGD", &[2, 6], 6),
    (b"tRNS", &[0], 2),
    (b"tRNS", &[2], 6),
];

/// A PNG of 4 x 4 pixels of `colour` with `more` before them.
fn png(colour: u8, more: &[u8]) -> Vec<u8> {
    let channels = [1, 0, 3, 1, 2, 0, 4][usize::from(colour)];
    let palette = if colour == 3 { png_chunk(b"PLTE", &[9; 6]) } else { Vec::new() };
    let pixels = png_chunk(b"IDAT", &zeros(4 * (1 + 4 * channels)));
    png_with(&png_header(4, 4, colour), &[&palette, more].concat(), &pixels, b"")
}

fn has(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_chunk_of_a_png_stays_at_its_own_length_once_and_before_the_pixels() {
    for (kind, colours, right) in PNG {
        for colour in *colours {
            for length in (0..70).chain([right * 2, 65_536]) {
                let chunk = png_chunk(kind, &vec![0; length]);
                let bytes = png(*colour, &chunk);
                let stripped = strip::png(&bytes, PIXELS_MAX).unwrap();
                assert_eq!(has(&stripped.bytes, *kind), length == *right, "{kind:?} of {length} for {colour}");
                assert_eq!(stripped.animated, *kind == b"acTL" && length == *right);
                // What is dropped leaves nothing, what stays changes nothing.
                let expected = if length == *right { bytes.clone() } else { png(*colour, b"") };
                assert_eq!(stripped.bytes, expected, "{kind:?} of {length}");
                let decoded = process(Bytes::from(expected), &MediaLimits::default());
                assert!(decoded.is_ok(), "{kind:?} for {colour}: {decoded:?}");
            }
            let (one, other) =
                (png_chunk(kind, &vec![0; *right]), png_chunk(kind, &[vec![0; right - 1], vec![1]].concat()));
            let twice = png(*colour, &[&one[..], &other].concat());
            assert_eq!(strip::png(&twice, PIXELS_MAX).unwrap().bytes, png(*colour, &one), "{kind:?} twice");
            let mut late = png(*colour, b"");
            late.splice(late.len() - 12..late.len() - 12, one.clone());
            assert_eq!(strip::png(&late, PIXELS_MAX).unwrap().bytes, png(*colour, b""), "{kind:?} after the pixels");
            let mut broken = one;
            *broken.last_mut().unwrap() ^= 1;
            let broken = png(*colour, &broken);
            let found = strip::png(&broken, PIXELS_MAX).map(|stripped| stripped.bytes);
            let expected = if *kind == b"tRNS" { None } else { Some(png(*colour, b"")) };
            assert_eq!(found.ok(), expected, "{kind:?} with a wrong checksum");
        }
    }
}

#[test]
fn a_palette_and_a_frame_of_another_length_are_damage() {
    for length in 0..100 {
        let palette = png_chunk(b"PLTE", &vec![1; length]);
        let bytes = png_with(&png_header(4, 4, 3), &palette, &png_chunk(b"IDAT", &zeros(20)), b"");
        assert_eq!(strip::png(&bytes, PIXELS_MAX).is_ok(), length > 0 && length % 3 == 0, "{length}");
        let mut control = frame((4, 4), 0);
        control.resize(length, 0);
        let frame = [png_chunk(b"acTL", &[0, 0, 0, 1, 0, 0, 0, 0]), png_chunk(b"fcTL", &control)].concat();
        assert_eq!(strip::png(&png(0, &frame), PIXELS_MAX).is_ok(), length == 26, "{length}");
    }
}

/// Chunk that announces a frame of a PNG, whose first column is at `x`.
fn frame((width, height): (u32, u32), x: u32) -> Vec<u8> {
    let numbers = [0, width, height, x, 0].map(u32::to_be_bytes).concat();
    [&numbers[..], &[0, 1, 0, 10, 0, 0]].concat()
}

#[test]
fn a_frame_of_a_png_has_pixels_within_the_picture() {
    let taken = |first: &[u8], later: &[Vec<u8>]| {
        let before = [&png_chunk(b"acTL", &[0, 0, 0, 2, 0, 0, 0, 0])[..], first].concat();
        let pixels = png_chunk(b"IDAT", &zeros(20));
        let bytes = png_with(&png_header(4, 4, 0), &before, &pixels, &later.concat());
        strip::png(&bytes, PIXELS_MAX).is_ok()
    };
    let control = |size, x| png_chunk(b"fcTL", &frame(size, x));
    let data = |count| png_chunk(b"fdAT", &[&[0; 4][..], &zeros(count)].concat());
    let whole = control((4, 4), 0);
    assert!(taken(&whole, &[]));
    assert!(taken(&whole, &[control((2, 3), 2), data(9)]));
    assert!(taken(b"", &[control((2, 3), 2), data(9), control((1, 1), 0), data(2)]));
    // No viewer shows one that hangs over, other than with GIFs.
    assert!(!taken(&whole, &[control((2, 3), 3), data(9)]));
    for size in [(0, 3), (3, 0), (0, 0)] {
        assert!(!taken(&whole, &[control(size, 0), data(9)]), "{size:?}");
    }
    assert!(!taken(&whole, &[control((2, 3), 2)]), "no pixels at the end");
    assert!(!taken(&whole, &[control((2, 3), 2), control((1, 1), 0), data(2)]), "no pixels before another");
    assert!(!taken(&[&whole[..], &whole].concat(), &[]), "two for the same pixels");
}

/// Header as [`png_header`] makes it, of 16 bits a sample.
fn deep(width: u32, height: u32, colour: u8) -> Vec<u8> {
    png_chunk(b"IHDR", &[&width.to_be_bytes()[..], &height.to_be_bytes(), &[16, colour, 0, 0, 0]].concat())
}

/// EXIF that says which side is up, and no more.
fn exif(orientation: u8) -> Vec<u8> {
    png_chunk(
        b"eXIf",
        &[&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat(),
    )
}

#[test]
fn a_png_of_as_many_pixels_as_are_allowed_is_taken_however_deep_it_is() {
    const WIDTH: u32 = 160;
    const HEIGHT: u32 = 100;
    let limits = MediaLimits { image_pixels_max: u64::from(WIDTH * HEIGHT), ..MediaLimits::default() };
    for (colour, channels) in [(0, 1), (2, 3), (4, 2), (6, 4)] {
        let pixels = png_chunk(b"IDAT", &zeros((HEIGHT * (1 + WIDTH * 2 * channels)) as usize));
        for orientation in [1, 6] {
            let bytes = png_with(&deep(WIDTH, HEIGHT, colour), &exif(orientation), &pixels, b"");
            let size = process(Bytes::from(bytes), &limits).map(|processed| processed.size);
            let expected = if orientation == 1 { (WIDTH, HEIGHT) } else { (HEIGHT, WIDTH) };
            assert_eq!(size, Ok(Some(expected)), "colour {colour}, turned {orientation}");
        }
    }
}

#[test]
fn a_png_that_is_turned_looks_as_it_did() {
    let chunk = |kind: &[u8; 4], length: u8| png_chunk(kind, &(0..length).collect::<Vec<u8>>());
    let cicp = png_chunk(b"cICP", &[9, 16, 0, 1]);
    let same = [cicp, chunk(b"gAMA", 4), chunk(b"cHRM", 32), chunk(b"mDCV", 24), chunk(b"cLLI", 8)].concat();
    let dots = chunk(b"pHYs", 9);
    let swapped = png_chunk(b"pHYs", &[4, 5, 6, 7, 0, 1, 2, 3, 8]);
    for (orientation, expected) in [(1, &dots), (3, &dots), (6, &swapped), (8, &swapped), (5, &swapped)] {
        for colour in [0, 2, 3, 6] {
            let bytes = png(colour, &[&same[..], &dots, &exif(orientation)].concat());
            let found = process(Bytes::from(bytes), &MediaLimits::default()).unwrap().bytes;
            assert!(has(&found, &[&same[..], expected].concat()), "colour {colour}, turned {orientation}");
            assert!(strip::png(&found, PIXELS_MAX).unwrap().bytes == found, "colour {colour}, turned {orientation}");
        }
    }
}

#[test]
fn a_grey_picture_keeps_the_profile_of_its_greys() {
    let grey = profile(3_000, b"GRAY");
    let picture = image::GrayImage::new(16, 16);
    for (format, with) in
        [(image::ImageFormat::Jpeg, true), (image::ImageFormat::Png, true), (image::ImageFormat::Png, false)]
    {
        let mut plain = std::io::Cursor::new(Vec::new());
        picture.write_to(&mut plain, format).unwrap();
        let plain = plain.into_inner();
        let bytes = if format == image::ImageFormat::Jpeg {
            let exif = jpeg_segment(0xe1, &[b"Exif\0\0", &exif(6)[8..34]].concat());
            [&plain[..2], &exif, &profile_pieces(&grey, 65_000, |at| at), &plain[2..]].concat()
        } else {
            let mut packed = flate2::write::ZlibEncoder::new(b"grey\0\0".to_vec(), flate2::Compression::best());
            std::io::Write::write_all(&mut packed, if with { &grey } else { &grey[1..] }).unwrap();
            let profile = png_chunk(b"iCCP", &packed.finish().unwrap());
            [&plain[..33], &exif(6), &profile, &plain[33..]].concat()
        };
        let found = process(Bytes::from(bytes), &MediaLimits::default()).unwrap();
        let strip = if format == image::ImageFormat::Jpeg { strip::jpeg } else { strip::png };
        let expected = with.then_some(&grey);
        assert_eq!(strip(&found.bytes, PIXELS_MAX).unwrap().profile.as_ref(), expected, "{format:?}");
        let small = found.thumbnail.unwrap();
        assert_eq!(strip::jpeg(&small.bytes, PIXELS_MAX).unwrap().profile.as_ref(), expected, "{format:?}, small");
    }
}

/// A profile of `length` bytes that decoders take.
fn profile(length: usize, space: &[u8; 4]) -> Vec<u8> {
    let mut profile: Vec<u8> = (0..length).map(|at| (at * at) as u8).collect();
    profile[16..20].copy_from_slice(space);
    profile
}

fn profile_pieces(profile: &[u8], step: usize, order: impl Fn(usize) -> usize) -> Vec<u8> {
    let pieces: Vec<&[u8]> = profile.chunks(step).collect();
    let piece = |at: usize| {
        let (number, count) = (u8::try_from(at + 1).unwrap(), u8::try_from(pieces.len()).unwrap());
        jpeg_segment(0xe2, &[&b"ICC_PROFILE\0"[..], &[number, count], pieces[at]].concat())
    };
    (0..pieces.len()).flat_map(|at| piece(order(at))).collect()
}

fn plain(format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::RgbImage::new(16, 16).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn a_profile_of_a_jpeg_stays_whole_in_order_and_up_to_its_bound() {
    let plain = plain(image::ImageFormat::Jpeg);
    let kept = |segments: &[u8]| {
        let bytes = [&plain[..2], segments, &plain[2..]].concat();
        let stripped = strip::jpeg(&bytes, PIXELS_MAX).unwrap();
        assert_eq!(stripped.profile.is_some(), has(&stripped.bytes, b"ICC_PROFILE"));
        stripped.profile
    };
    for (length, space, stays) in [
        (3_000, b"RGB ", true),
        (65_536, b"RGB ", true),
        (65_537, b"RGB ", false),
        (65_537, b"CMYK", true),
        (600_000, b"CMYK", true),
        ((1 << 20) + 1, b"CMYK", false),
    ] {
        let profile = profile(length, space);
        let expected = stays.then(|| profile.clone());
        assert_eq!(kept(&profile_pieces(&profile, 65_000, |at| at)), expected, "{length}");
    }
    let profile = profile(3_000, b"RGB ");
    let pieces = profile_pieces(&profile, 1_000, |at| at);
    assert_eq!(kept(&profile_pieces(&profile, 1_000, |at| 2 - at)), Some(profile.clone()), "in another order");
    assert_eq!(kept(&pieces[..pieces.len() - 1_018]), None, "a piece is missing");
    assert_eq!(kept(&[&pieces[..], &pieces[..1_018]].concat()), None, "a piece comes twice");
    assert_eq!(kept(&profile_pieces(&profile, 1_000, |_| 0)), None, "the same piece");
    assert_eq!(kept(&jpeg_segment(0xe2, b"ICC_PROFILE\0")), None);
    assert_eq!(kept(&jpeg_segment(0xe2, b"ICC_PROFILE\0\0\0")), None);
}

#[test]
fn a_profile_of_a_webp_and_of_a_png_stays_up_to_its_bound() {
    let picture = plain(image::ImageFormat::WebP)[12..].to_vec();
    for (length, stays) in [(100, true), (65_536, true), (65_537, false)] {
        let profile = profile(length, b"RGB ");
        let header = riff_chunk(b"VP8X", &[0x20, 0, 0, 0, 15, 0, 0, 15, 0, 0]);
        let bytes = webp(&[header, riff_chunk(b"ICCP", &profile), picture.clone()].concat());
        let stripped = strip::webp(&bytes, PIXELS_MAX).unwrap();
        assert_eq!((has(&stripped.bytes, b"ICCP"), stripped.bytes[20] & 0x20 != 0), (stays, stays));
        assert_eq!(stripped.profile, stays.then(|| profile.clone()));
        assert!(process(Bytes::from(bytes), &MediaLimits::default()).is_ok());

        let mut packed = flate2::write::ZlibEncoder::new(b"a monitor of Ann\0\0".to_vec(), flate2::Compression::best());
        std::io::Write::write_all(&mut packed, &profile).unwrap();
        let bytes = png(2, &png_chunk(b"iCCP", &packed.finish().unwrap()));
        let stripped = strip::png(&bytes, PIXELS_MAX).unwrap();
        assert_eq!(stripped.profile, stays.then_some(profile));
        assert!(!has(&stripped.bytes, b"Ann"), "the profile's name tells nothing");
        assert_eq!(has(&stripped.bytes, b"iCCP"), stays);
    }
}

#[test]
fn parts_of_a_webp_have_their_own_length() {
    let picture = plain(image::ImageFormat::WebP)[12..].to_vec();
    for length in 0..40 {
        let mut header = vec![0; length];
        if length >= 10 {
            (header[4], header[7]) = (15, 15);
        }
        let bytes = webp(&[riff_chunk(b"VP8X", &header), picture.clone()].concat());
        assert_eq!(strip::webp(&bytes, PIXELS_MAX).is_ok(), length == 10, "{length}");
        let header = riff_chunk(b"VP8X", &[2, 0, 0, 0, 15, 0, 0, 15, 0, 0]);
        let frame = riff_chunk(b"ANMF", &[&[0; 6][..], &[15, 0, 0, 15, 0, 0, 0, 0, 0, 0], &picture].concat());
        let bytes = webp(&[header, riff_chunk(b"ANIM", &vec![0; length]), frame].concat());
        assert_eq!(strip::webp(&bytes, PIXELS_MAX).is_ok(), length == 6, "{length}");
    }
}

#[test]
fn a_control_of_a_gif_has_four_bytes_and_nothing_behind_them() {
    let gif = |control: &[u8]| {
        let picture = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";
        [&b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff"[..], control, picture].concat()
    };
    let kept = |control: &[u8]| {
        let bytes = gif(control);
        strip::gif(&bytes, PIXELS_MAX).unwrap().bytes == bytes
    };
    assert!(kept(b"\x21\xf9\x04\0\0\0\0\0"));
    for control in
        [&b"\x21\xf9\x03\0\0\0\0"[..], b"\x21\xf9\x05\0\0\0\0\0\0", b"\x21\xf9\x04\0\0\0\0\x03abc\0", b"\x21\xf9\0"]
    {
        assert!(!kept(control), "{control:?}");
    }
}

#[test]
fn a_frame_of_a_gif_may_hang_over_and_may_not_be_larger_than_a_picture() {
    let gif = |width: u16, height: u16| {
        let [w, h] = [width.to_le_bytes(), height.to_le_bytes()];
        let frame = [&b"\x2c\0\0\0\0"[..], &w, &h, b"\0\x02\x02\x44\x01\0\x3b"].concat();
        [&b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff"[..], &frame].concat()
    };
    assert!(strip::gif(&gif(2, 3), PIXELS_MAX).is_ok());
    assert!(strip::gif(&gif(1_001, 1_000), PIXELS_MAX).is_err());
}

#[test]
fn lossless_pictures_of_every_kind_are_read_through() {
    for bytes in [
        &include_bytes!("../api/media/lossless.webp")[..],
        include_bytes!("../api/media/through.webp"),
        include_bytes!("../api/media/place.webp"),
        &plain(image::ImageFormat::WebP),
    ] {
        let stripped = strip::webp(bytes, PIXELS_MAX).unwrap();
        let (before, after) =
            (image::load_from_memory(bytes).unwrap(), image::load_from_memory(&stripped.bytes).unwrap());
        assert_eq!(before.as_bytes(), after.as_bytes());
    }
}

#[test]
fn a_wide_progressive_picture_is_decoded_from_its_means() {
    let bytes = include_bytes!("../api/media/wide.jpg");
    let stripped = strip::jpeg(bytes, PIXELS_MAX).unwrap();
    let coarse = strip::coarse(&stripped.bytes).unwrap();
    assert!(coarse.len() * 2 < stripped.bytes.len(), "{} of {}", coarse.len(), stripped.bytes.len());
    assert!(stripped.work.coarse_samples * 2 <= stripped.work.samples, "{:?}", stripped.work);
    let small = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().thumbnail_exact(400, 15).into_rgb8();
    let (whole, means) = (small(&stripped.bytes), small(&coarse));
    let apart: u64 = whole.iter().zip(means.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(apart / (whole.len() as u64) < 4, "the small picture is another one: {apart}");
    let result = process(Bytes::from_static(bytes), &MediaLimits::default()).unwrap();
    assert_eq!((&result.bytes[..], result.size), (&stripped.bytes[..], Some((3_300, 120))));
    let thumbnail = image::load_from_memory(&result.thumbnail.unwrap().bytes).unwrap().into_rgb8();
    let apart: u64 = whole.iter().zip(thumbnail.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(apart / (whole.len() as u64) < 8, "the thumbnail is another one: {apart}");
}

proptest! {
    /// Lengths that are cut, doubled and oversized, anywhere.
    #[test]
    fn whatever_a_png_says_of_its_parts_what_is_kept_is_right(
        kind in 0..PNG.len(), colour in prop::sample::select(vec![0_u8, 2, 3, 4, 6]), told in any::<u32>(), length in 0_usize..80,
    ) {
        let mut chunk = png_chunk(PNG[kind].0, &vec![7; length]);
        chunk[..4].copy_from_slice(&told.to_be_bytes());
        let bytes = png(colour, &chunk);
        if let Ok(stripped) = strip::png(&bytes, PIXELS_MAX) {
            prop_assert!(stripped.bytes.len() <= bytes.len());
            prop_assert_eq!(&strip::png(&stripped.bytes, PIXELS_MAX).unwrap().bytes, &stripped.bytes);
        }
    }
}
