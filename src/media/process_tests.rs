//! Images made here, with metadata in every place where cameras and editors put it.

use image::codecs::gif::{GifEncoder, Repeat};
use image::{Delay, Frame, Rgba, RgbaImage};
use proptest::prelude::*;

use super::*;

#[path = "../../tests/pictures/build.rs"]
mod build;
use build::{jpeg_segment, png_chunk};

/// Stands wherever a place or a name could leak; must be in nothing that is served.
const SECRET: &[u8] = b"SECRET-52.5200N-13.4050E";

fn limits() -> MediaLimits {
    MediaLimits { image_pixels_max: 1_000_000, ..MediaLimits::default() }
}

fn processed(bytes: &[u8]) -> Processed {
    process(Bytes::copy_from_slice(bytes), &limits()).unwrap()
}

fn refused(bytes: &[u8]) -> MediaError {
    process(Bytes::copy_from_slice(bytes), &limits()).unwrap_err()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// Left half red, right half blue; `alpha` on the blue half.
fn halves(width: u32, height: u32, alpha: u8) -> RgbaImage {
    let colour = |x| if x < width / 2 { Rgba([255, 0, 0, 255]) } else { Rgba([0, 0, 255, alpha]) };
    RgbaImage::from_fn(width, height, |x, _| colour(x))
}

/// An EXIF block: orientation, and a GPS directory whose latitude holds [`SECRET`] (three rationals are 24 bytes).
fn exif(orientation: u16) -> Vec<u8> {
    let entry = |tag: u16, kind: u16, count: u32, value: u32| {
        [&tag.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes(), &value.to_le_bytes()].concat()
    };
    const GPS_AT: u32 = 8 + 2 + 2 * 12 + 4;
    const LATITUDE_AT: u32 = GPS_AT + 2 + 2 * 12 + 4;
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend(2_u16.to_le_bytes());
    tiff.extend(entry(0x0112, 3, 1, orientation.into()));
    tiff.extend(entry(0x8825, 4, 1, GPS_AT));
    tiff.extend(0_u32.to_le_bytes());
    tiff.extend(2_u16.to_le_bytes());
    tiff.extend(entry(1, 2, 2, u32::from(b'N')));
    tiff.extend(entry(2, 5, 3, LATITUDE_AT));
    tiff.extend(0_u32.to_le_bytes());
    tiff.extend(SECRET);
    tiff
}

/// A JPEG with EXIF, XMP, IPTC, a comment, a thumbnail of its own and something after its end.
fn jpeg(picture: &RgbaImage, orientation: u16) -> Vec<u8> {
    let mut plain = Vec::new();
    let rgb = DynamicImage::from(picture.clone()).into_rgb8();
    rgb.write_with_encoder(JpegEncoder::new_with_quality(&mut plain, 90)).unwrap();
    let mut out = vec![0xff, 0xd8];
    out.extend(jpeg_segment(0xe0, &[b"JFIF\0\x01\x01\0\0\x01\0\x01\x04\x02", SECRET].concat()));
    out.extend(jpeg_segment(0xe1, &[b"Exif\0\0", &exif(orientation)[..]].concat()));
    out.extend(jpeg_segment(0xe1, &[b"http://ns.adobe.com/xap/1.0/\0", SECRET].concat()));
    out.extend(jpeg_segment(0xe2, &[b"MPF\0", SECRET].concat()));
    out.extend(jpeg_segment(0xed, &[b"Photoshop 3.0\0", SECRET].concat()));
    out.extend(jpeg_segment(0xfe, SECRET));
    out.extend(&plain[2..]);
    out.extend(b"PK\x03\x04");
    out.extend(SECRET);
    out
}

const IHDR_END: usize = 8 + 25;

/// A PNG with EXIF, texts, a time, an unknown chunk and something after its end.
fn png(picture: &DynamicImage, orientation: u16) -> Vec<u8> {
    let mut plain = Vec::new();
    picture.write_with_encoder(PngEncoder::new(&mut plain)).unwrap();
    let mut out = plain[..IHDR_END].to_vec();
    out.extend(png_chunk(b"eXIf", &exif(orientation)));
    out.extend(png_chunk(b"tEXt", &[b"Author\0", SECRET].concat()));
    out.extend(png_chunk(b"iTXt", &[b"XML:com.adobe.xmp\0\0\0\0\0", SECRET].concat()));
    out.extend(png_chunk(b"tIME", &[7, 0xea, 1, 1, 0, 0, 0]));
    out.extend(png_chunk(b"prVt", SECRET));
    out.extend(&plain[IHDR_END..]);
    out.extend(SECRET);
    out
}

/// An animated GIF with a comment and an application's block.
fn gif() -> Vec<u8> {
    let mut plain = Vec::new();
    let mut encoder = GifEncoder::new(&mut plain);
    encoder.set_repeat(Repeat::Infinite).unwrap();
    for alpha in [255, 0] {
        let frame = Frame::from_parts(halves(20, 10, alpha), 0, 0, Delay::from_numer_denom_ms(100, 1));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    let palette = if plain[10] & 0x80 == 0 { 0 } else { 3 << ((plain[10] & 7) + 1) };
    let mut out = plain[..13 + palette].to_vec();
    let block = |head: &[u8]| [head, &[u8::try_from(SECRET.len()).unwrap()], SECRET, &[0]].concat();
    out.extend(block(b"\x21\xfe"));
    out.extend(block(b"\x21\xff\x0bXMP DataXMP"));
    out.extend(&plain[13 + palette..]);
    out.extend(SECRET);
    out
}

/// A WebP with EXIF and XMP and something after its end.
fn webp(picture: &RgbaImage, orientation: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = WebPEncoder::new_lossless(&mut out);
    encoder.set_exif_metadata(exif(orientation)).unwrap();
    picture.write_with_encoder(encoder).unwrap();
    out.extend(b"XMP ");
    out.extend(u32::try_from(SECRET.len()).unwrap().to_le_bytes());
    out.extend(SECRET);
    let length = u32::try_from(out.len() - 8).unwrap();
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out.extend(SECRET);
    out
}

/// Every kind of image, with its content type.
fn samples() -> Vec<(&'static str, Vec<u8>)> {
    let picture = halves(60, 30, 255);
    vec![
        ("image/jpeg", jpeg(&picture, 1)),
        ("image/png", png(&picture.clone().into(), 1)),
        ("image/gif", gif()),
        ("image/webp", webp(&picture, 1)),
    ]
}

#[test]
fn metadata_does_not_survive_and_pixels_do() {
    for (content_type, bytes) in samples() {
        assert!(contains(&bytes, SECRET));
        let result = processed(&bytes);
        assert_eq!((result.kind, result.content_type), (MediaKind::Image, content_type));
        let thumbnail = result.thumbnail.unwrap();
        for served in [&result.bytes, &thumbnail.bytes] {
            for trace in [SECRET, &SECRET[4..], b"Exif", b"EXIF", b"eXIf", b"XMP", b"Photoshop", b"II*\0"] {
                assert!(!contains(served, trace), "{content_type} keeps {:?}", String::from_utf8_lossy(trace));
            }
        }
        let (before, after) =
            (image::load_from_memory(&bytes).unwrap(), image::load_from_memory(&result.bytes).unwrap());
        assert_eq!(before.as_bytes(), after.as_bytes(), "{content_type} changed its pixels");
        assert_eq!(result.size, Some((after.width(), after.height())));
    }
}

#[test]
fn what_was_cleaned_stays_as_it_is() {
    for (content_type, bytes) in samples() {
        let once = processed(&bytes).bytes;
        assert_eq!(processed(&once).bytes, once, "{content_type}");
    }
}

#[test]
fn a_picture_that_lies_on_its_side_is_turned() {
    let picture = halves(60, 30, 255);
    for bytes in [jpeg(&picture, 6), png(&picture.clone().into(), 6), webp(&picture, 6)] {
        let result = processed(&bytes);
        assert_eq!(result.size, Some((30, 60)), "{}", result.content_type);
        assert_eq!(result.thumbnail.unwrap().size, (30, 60));
        assert!(!contains(&result.bytes, &SECRET[4..]));
        let turned = image::load_from_memory(&result.bytes).unwrap().into_rgb8();
        let (top, bottom) = (turned.get_pixel(15, 5).0, turned.get_pixel(15, 55).0);
        assert!(top[0] > 200 && top[2] < 50, "left was red, so the top is: {top:?}");
        assert!(bottom[2] > 200 && bottom[0] < 50, "right was blue, so the bottom is: {bottom:?}");
    }
}

#[test]
fn an_animation_keeps_its_frames_and_loops() {
    use image::AnimationDecoder;
    let result = processed(&gif());
    assert!(contains(&result.bytes, b"NETSCAPE2.0\x03\x01\0\0"));
    let decoder = image::codecs::gif::GifDecoder::new(Cursor::new(&result.bytes)).unwrap();
    assert_eq!(decoder.into_frames().count(), 2);
}

#[test]
fn a_thumbnail_fits_400_pixels_and_keeps_what_shows_through() {
    for (size, expected) in [
        ((1_000, 500), (400, 200)),
        ((300, 900), (133, 400)),
        ((1_200, 1), (400, 1)),
        ((400, 400), (400, 400)),
        ((7, 3), (7, 3)),
    ] {
        for (alpha, content_type) in [(255, "image/jpeg"), (0, "image/webp")] {
            let picture: DynamicImage = halves(size.0, size.1, alpha).into();
            let thumbnail = processed(&png(&picture, 1)).thumbnail.unwrap();
            assert_eq!((thumbnail.size, thumbnail.content_type), (expected, content_type), "{size:?}");
            let decoded = image::load_from_memory(&thumbnail.bytes).unwrap();
            assert_eq!((decoded.width(), decoded.height()), expected);
        }
    }
}

#[test]
fn pictures_of_every_depth_get_a_thumbnail() {
    let picture = DynamicImage::from(halves(500, 500, 100));
    for picture in [
        picture.to_luma8().into(),
        picture.to_luma_alpha8().into(),
        picture.to_luma16().into(),
        picture.to_luma_alpha16().into(),
        DynamicImage::from(picture.to_rgb16()),
        picture.to_rgba16().into(),
    ] {
        assert_eq!(processed(&png(&picture, 6)).thumbnail.unwrap().size, (400, 400));
    }
}

#[test]
fn too_many_pixels_are_refused_before_they_are_decoded() {
    let mut png = png(&halves(20, 10, 255).into(), 1);
    let header = [&60_000_u32.to_be_bytes()[..], &60_000_u32.to_be_bytes(), &png[24..29]].concat();
    png.splice(8..IHDR_END, png_chunk(b"IHDR", &header));
    let mut gif = gif();
    gif[6..10].copy_from_slice(&[0xff; 4]);
    let mut jpeg = jpeg(&halves(20, 10, 255), 1);
    let frame = jpeg.windows(4).position(|w| w[0] == 0xff && matches!(w[1], 0xc0..=0xc2) && w[2] == 0).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff; 4]);
    for bomb in [png, gif, jpeg] {
        assert!(matches!(refused(&bomb), MediaError::TooManyPixels { .. }), "{:?}", refused(&bomb));
    }
    // A frame larger than the canvas that the header announces.
    let mut frame = super::tests::gif();
    let at = frame.windows(5).rposition(|w| w == [0x2c, 0, 0, 0, 0]).unwrap();
    frame[at + 5..at + 9].copy_from_slice(&[0xff; 4]);
    assert!(matches!(refused(&frame), MediaError::Corrupt(_)));
}

/// The head of a JPEG of `side` x `side` pixels, of three colours, with `scans` scans of everything and nothing in
/// them.
fn scans(frame: u8, side: u16, scans: usize, orientation: u16) -> Vec<u8> {
    let [high, low] = side.to_be_bytes();
    let exif = jpeg_segment(0xe1, &[b"Exif\0\0", &exif(orientation)[..]].concat());
    let frame = jpeg_segment(frame, &[8, high, low, high, low, 3, 1, 0x22, 0, 2, 0x11, 0, 3, 0x11, 0]);
    let scan = jpeg_segment(0xda, &[3, 1, 0, 2, 0, 3, 0, 0, 0, 0]);
    [&b"\xff\xd8"[..], &exif, &frame, &scan.repeat(scans), b"\xff\xd9"].concat()
}

#[test]
fn work_is_pixels_times_scans_and_turning_counts() {
    // 1.5 samples a pixel and scan; 8 a pixel of the most allowed.
    const WHOLE: u16 = 992;
    for (scans_count, side, orientation, affordable) in [
        (5, WHOLE, 1, true),
        (6, WHOLE, 1, false),
        (3, WHOLE, 6, true),
        (4, WHOLE, 6, false),
        (90, 240, 1, true),
        (99, 320, 1, false),
    ] {
        let error = refused(&scans(0xc2, side, scans_count, orientation));
        let told = format!("{scans_count} scans of {side} pixels, {orientation}: {error:?}");
        assert_eq!(!matches!(error, MediaError::TooMuchWork { .. }), affordable, "{told}");
    }
    // Without progression a scan tells everything, and what tells it again goes.
    assert!(!matches!(refused(&scans(0xc0, WHOLE, 90, 6)), MediaError::TooMuchWork { .. }));
    let told = refused(&scans(0xc2, WHOLE, 6, 1)).to_string();
    assert!(told.contains("at most 8000000 are allowed"), "{told}");
}

#[test]
fn an_image_that_ends_too_early_is_refused_wherever_it_ends() {
    const SHORTEST_THAT_SHOWS_ITS_TYPE: usize = 16;
    for (content_type, bytes) in samples() {
        // Without what was put after the end.
        let whole = processed(&bytes).bytes;
        for length in SHORTEST_THAT_SHOWS_ITS_TYPE..whole.len() {
            let error = refused(&whole[..length]);
            assert!(matches!(error, MediaError::Corrupt(_)), "{content_type} of {length} bytes: {error:?}");
        }
    }
}

#[test]
fn what_can_run_or_is_unknown_is_a_plain_file() {
    for bytes in [
        &b"<!DOCTYPE html><script>alert(1)</script>"[..],
        b"<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"alert(1)\"/>",
        b"<?xml version=\"1.0\"?><html/>",
        b"#!/bin/sh\nrm -rf /",
        b"alert(1)",
        b"\x7fELF\x02\x01\x01\0",
        b"MZ\x90\0",
        b"x",
    ] {
        let result = processed(bytes);
        assert_eq!((result.kind, result.content_type), (MediaKind::File, OCTET_STREAM), "{bytes:?}");
        assert_eq!((&result.bytes[..], result.size, result.thumbnail), (bytes, None, None));
    }
    assert_eq!(processed(b"%PDF-1.7\n").content_type, "application/pdf");
}

#[test]
fn sizes_are_bounded_and_nothing_is_no_upload() {
    let small = MediaLimits { image_bytes_max: 100, file_bytes_max: 1_000, ..limits() };
    let check = |bytes: Vec<u8>| process(bytes.into(), &small).map(|result| result.kind);
    assert_eq!(check(vec![]), Err(MediaError::Empty));
    assert_eq!(check(vec![0; 1_000]), Ok(MediaKind::File));
    assert!(matches!(check(vec![0; 1_001]), Err(MediaError::TooLarge { bytes_max: 1_000, .. })));
    assert!(matches!(check(gif()), Err(MediaError::TooLarge { bytes_max: 100, .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn damage_is_an_answer_and_never_a_panic(which in 0_usize..4, hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = samples().swap_remove(which).1;
        for (at, value) in hits {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = process(bytes.into(), &limits());
    }

    #[test]
    fn junk_behind_magic_bytes_is_never_a_panic(magic in prop::sample::select(vec![&b"\xff\xd8\xff"[..], b"\x89PNG\r\n\x1a\n", b"GIF89a", b"RIFF\x40\0\0\0WEBPVP8X"]), junk in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = process([magic, &junk[..]].concat().into(), &limits());
    }
}
