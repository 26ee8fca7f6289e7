//! From uploaded bytes to what is stored: the type found, the picture checked and cleaned, a thumbnail made.
//!
//! Pure and slow (about a second for the most that is taken): the service runs it on a blocking thread behind a gate.
//! The type comes from magic bytes, never from the client; what is no image is only ever served as a download, without
//! its metadata where the format is understood. Decoders get a picture only after `strip` has been through it, within a
//! bound of work.

use std::io::Cursor;

use bytes::Bytes;
use fanfare_protocol::MediaKind;
use fast_image_resize::Resizer;
use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::codecs::webp::WebPEncoder;
use image::error::ImageError;
use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageEncoder, ImageFormat, ImageReader, Limits};

use super::strip::{self, Damage, Refusal, Stripped};
use super::{isobmff, tiff};
use crate::base::limits::media::{
    DECODED_BYTES_PER_PIXEL, ICC_BYTES_MAX, SAMPLES_PER_PIXEL_MAX, SIDE_MAX, THUMBNAIL_SIDE_MAX, TURNING_SAMPLES,
};

/// Pixels a side of the blocks of a JPEG, of which each has a mean.
const JPEG_BLOCK_SIDE: u32 = 8;
/// Quality of JPEGs that had to be turned: more than most cameras use.
const TURNED_QUALITY: u8 = 92;
/// Quality of JPEG thumbnails.
const THUMBNAIL_QUALITY: u8 = 82;

/// Content type of a file when nothing better is known, or nothing better is safe.
pub const OCTET_STREAM: &str = "application/octet-stream";

/// Limits of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaLimits {
    /// Most pixels of an image, width times height.
    pub image_pixels_max: u64,
    /// Most bytes of an image.
    pub image_bytes_max: u64,
    /// Most bytes of any upload.
    pub file_bytes_max: u64,
}

impl Default for MediaLimits {
    fn default() -> Self {
        Self { image_pixels_max: 40_000_000, image_bytes_max: 20 << 20, file_bytes_max: 100 << 20 }
    }
}

/// Upload as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processed {
    /// Picture or file.
    pub kind: MediaKind,
    /// Found from the bytes.
    pub content_type: &'static str,
    /// The image without metadata and upright, or the file.
    pub bytes: Bytes,
    /// Width and height in pixels, for images.
    pub size: Option<(u32, u32)>,
    /// Small picture; for images.
    pub thumbnail: Option<Thumbnail>,
    /// Whether metadata, such as where a photo was taken, was removed.
    pub cleaned: bool,
}

/// A small picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Thumbnail {
    /// JPEG, or lossless WebP where something shows through.
    pub content_type: &'static str,
    /// The file.
    pub bytes: Bytes,
    /// Width and height in pixels, at most [`THUMBNAIL_SIDE_MAX`].
    pub size: (u32, u32),
}

/// Why an upload is refused; the text is for the uploader.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// No bytes.
    #[error("is empty")]
    Empty,
    /// 413.
    #[error("is larger than the {bytes_max} bytes allowed for {what}")]
    TooLarge {
        /// The limit that was passed.
        bytes_max: u64,
        /// Kind of upload that the limit is for.
        what: &'static str,
    },
    /// 422: decoding would cost too much.
    #[error("has {width} x {height} pixels; at most {pixels_max} in all and 65535 a side are allowed")]
    TooManyPixels {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
        /// The limit that was passed.
        pixels_max: u64,
    },
    /// 422: decoding it would cost too much, although it has few pixels.
    #[error("takes too much work to show: it has {found} {what}; at most {most} are allowed")]
    TooMuchWork {
        /// Unit of the work there is too much of.
        what: &'static str,
        /// Amount found.
        found: u64,
        /// The limit that was passed.
        most: u64,
    },
    /// 422: starts like an image and is none, or is damaged.
    #[error("is a damaged image: {0}")]
    Corrupt(String),
    /// 415: an image that uses a feature which cannot be decoded here.
    #[error("is an image of a kind that is not supported: {0}")]
    Unsupported(String),
}

impl From<Damage> for MediaError {
    fn from(damage: Damage) -> Self {
        Self::Corrupt(damage.0.to_owned())
    }
}

impl MediaError {
    fn of(refusal: Refusal, limits: &MediaLimits) -> Self {
        match refusal {
            Refusal::Damaged(damage) => damage.into(),
            Refusal::TooManyPixels { width, height } => {
                Self::TooManyPixels { width, height, pixels_max: limits.image_pixels_max }
            }
            Refusal::TooMuchWork { what, found, most } => Self::TooMuchWork { what, found, most },
        }
    }
}

/// Finds out what `bytes` are and what to store of them.
pub fn process(bytes: Bytes, limits: &MediaLimits) -> Result<Processed, MediaError> {
    if bytes.is_empty() {
        return Err(MediaError::Empty);
    }
    if bytes.len() as u64 > limits.file_bytes_max {
        return Err(MediaError::TooLarge { bytes_max: limits.file_bytes_max, what: "an upload" });
    }
    let found = infer::get(&bytes);
    let format = match found.map(|found| found.mime_type()) {
        Some("image/jpeg") => ImageFormat::Jpeg,
        Some("image/png") => ImageFormat::Png,
        Some("image/gif") => ImageFormat::Gif,
        Some("image/webp") => ImageFormat::WebP,
        other => return Ok(file(bytes, other)),
    };
    image(&bytes, format, limits)
}

/// A file as it is stored: as it came, but without the metadata of the formats that are understood here.
fn file(bytes: Bytes, found: Option<&'static str>) -> Processed {
    let content_type = found.filter(|name| is_passive(name)).unwrap_or(OCTET_STREAM);
    let (bytes, cleaned) = match content_type {
        // Canon's raw pictures are TIFFs by their first bytes.
        "image/tiff" if tiff::is_one(&bytes) => cleaned(bytes, tiff::clean),
        _ if isobmff::is_one(&bytes) => cleaned(bytes, isobmff::clean),
        _ => (bytes, false),
    };
    Processed { kind: MediaKind::File, content_type, bytes, size: None, thumbnail: None, cleaned }
}

/// The file after `clean`, and whether that took out everything; as it came, when it was not understood.
fn cleaned(bytes: Bytes, clean: impl Fn(&mut [u8]) -> Result<bool, Damage>) -> (Bytes, bool) {
    // Without a copy: nobody else holds an upload's bytes.
    let mut bytes = Vec::from(bytes);
    let cleaned = clean(&mut bytes).unwrap_or(false);
    (bytes.into(), cleaned)
}

/// Whether browsers only ever show or play this type; anything that may run or pull in more is an octet stream.
fn is_passive(content_type: &str) -> bool {
    let (class, name) = content_type.split_once('/').unwrap_or_default();
    match class {
        "image" => name != "svg+xml",
        "audio" | "video" | "font" => true,
        "application" => matches!(name, "pdf" | "zip" | "gzip" | "x-7z-compressed" | "epub+zip" | "ogg"),
        _ => false,
    }
}

fn image(bytes: &Bytes, format: ImageFormat, limits: &MediaLimits) -> Result<Processed, MediaError> {
    if bytes.len() as u64 > limits.image_bytes_max {
        return Err(MediaError::TooLarge { bytes_max: limits.image_bytes_max, what: "an image" });
    }
    let strip = match format {
        ImageFormat::Jpeg => strip::jpeg,
        ImageFormat::Png => strip::png,
        ImageFormat::Gif => strip::gif,
        _ => strip::webp,
    };
    let stripped = strip(bytes, limits.image_pixels_max).map_err(|refusal| MediaError::of(refusal, limits))?;
    let orientation = stripped.exif.and_then(Orientation::from_exif_chunk).unwrap_or(Orientation::NoTransforms);
    // Turning an animation would lose its frames; viewers turn none either.
    let turns = orientation != Orientation::NoTransforms && !stripped.animated;
    // What is made so much smaller needs no more of a block than its mean.
    let coarse = !turns && stripped.size.0.max(stripped.size.1) >= THUMBNAIL_SIDE_MAX * JPEG_BLOCK_SIDE;
    affordable(&stripped, turns, coarse, limits)?;
    let Stripped { bytes, size, profile, looks, .. } = stripped;
    let bytes = Bytes::from(bytes);
    let decoded = if coarse && format == ImageFormat::Jpeg { strip::coarse(&bytes)?.into() } else { bytes.clone() };
    let mut picture = DynamicImage::from_decoder(open(decoded, format, size, limits)?).map_err(refusal)?;
    if turns {
        picture.apply_orientation(orientation);
    }
    let profile = profile.filter(|profile| fits(profile, &picture));
    let bytes = if turns {
        let turned = encode(&picture, format, TURNED_QUALITY, profile.as_ref())?;
        if looks.is_empty() { turned } else { strip::looking(&turned, &looks, lies(orientation)).into() }
    } else {
        bytes
    };
    let size = (picture.width(), picture.height());
    let thumbnail = Some(thumbnail(picture, profile.as_ref())?);
    let content_type = format.to_mime_type();
    Ok(Processed { kind: MediaKind::Image, content_type, bytes, size: Some(size), thumbnail, cleaned: true })
}

/// Whether lines become columns.
fn lies(orientation: Orientation) -> bool {
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// Refuses a picture whose samples, over all scans that are decoded, are more than the server takes upon itself.
fn affordable(stripped: &Stripped<'_>, turns: bool, coarse: bool, limits: &MediaLimits) -> Result<(), MediaError> {
    let decoded = if coarse { stripped.work.coarse_samples } else { stripped.work.samples };
    let pixels = u64::from(stripped.size.0) * u64::from(stripped.size.1);
    let found = decoded.saturating_add(if turns { pixels * TURNING_SAMPLES } else { 0 });
    let most = limits.image_pixels_max.saturating_mul(SAMPLES_PER_PIXEL_MAX);
    let what = "samples to decode and encode";
    if found > most { Err(MediaError::TooMuchWork { what, found, most }) } else { Ok(()) }
}

/// A decoder of what has been stripped, with a bound on its memory.
fn open(
    bytes: Bytes,
    format: ImageFormat,
    size: (u32, u32),
    limits: &MediaLimits,
) -> Result<impl ImageDecoder, MediaError> {
    let decoded_bytes_max = limits.image_pixels_max.saturating_mul(DECODED_BYTES_PER_PIXEL);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allowed = Limits::default();
    (allowed.max_image_width, allowed.max_image_height) = (Some(SIDE_MAX), Some(SIDE_MAX));
    allowed.max_alloc = Some(decoded_bytes_max);
    reader.limits(allowed);
    let decoder = reader.into_decoder().map_err(refusal)?;
    if decoder.dimensions() != size || decoder.total_bytes() > decoded_bytes_max {
        return Err(MediaError::Corrupt("it is not of the size that is told".to_owned()));
    }
    Ok(decoder)
}

/// A picture of at most [`THUMBNAIL_SIDE_MAX`] a side; smaller ones keep their size.
fn thumbnail(picture: DynamicImage, profile: Option<&Vec<u8>>) -> Result<Thumbnail, MediaError> {
    let (width, height) = (picture.width(), picture.height());
    let size = thumbnail_size(width, height);
    let small = if size == (width, height) {
        picture
    } else {
        let mut small = DynamicImage::new(size.0, size.1, picture.color());
        let resized = Resizer::new().resize(&picture, &mut small, None);
        resized.map_err(|cause| MediaError::Unsupported(cause.to_string()))?;
        small
    };
    let shows_through = small.color().has_alpha();
    let rgba =
        if shows_through { Some(small.to_rgba8()).filter(|rgba| rgba.pixels().any(|p| p.0[3] < 255)) } else { None };
    let (small, format) = match rgba {
        Some(rgba) => (DynamicImage::from(rgba), ImageFormat::WebP),
        None if small.color().has_color() => (DynamicImage::from(small.into_rgb8()), ImageFormat::Jpeg),
        None => (DynamicImage::from(small.into_luma8()), ImageFormat::Jpeg),
    };
    let profile = profile.filter(|profile| fits(profile, &small));
    let bytes = encode(&small, format, THUMBNAIL_QUALITY, profile)?;
    Ok(Thumbnail { content_type: format.to_mime_type(), bytes, size })
}

fn thumbnail_size(width: u32, height: u32) -> (u32, u32) {
    let longest = width.max(height);
    if longest <= THUMBNAIL_SIDE_MAX {
        return (width, height);
    }
    let scaled = |side: u32| {
        let rounded = (u64::from(side) * u64::from(THUMBNAIL_SIDE_MAX) + u64::from(longest) / 2) / u64::from(longest);
        u32::try_from(rounded).unwrap_or(THUMBNAIL_SIDE_MAX).max(1)
    };
    (scaled(width), scaled(height))
}

/// Writes `picture` without metadata but the profile; `quality` counts for JPEG only.
fn encode(
    picture: &DynamicImage,
    format: ImageFormat,
    quality: u8,
    icc: Option<&Vec<u8>>,
) -> Result<Bytes, MediaError> {
    let mut out = Vec::new();
    match format {
        ImageFormat::Jpeg => write(picture, JpegEncoder::new_with_quality(&mut out, quality), icc)?,
        ImageFormat::WebP => write(picture, WebPEncoder::new_lossless(&mut out), icc)?,
        _ => write(picture, PngEncoder::new(&mut out), icc)?,
    }
    Ok(out.into())
}

fn write(picture: &DynamicImage, mut encoder: impl ImageEncoder, icc: Option<&Vec<u8>>) -> Result<(), MediaError> {
    if let Some(profile) = icc {
        // An encoder that cannot carry it shows slightly other colours, which is no reason to refuse a picture.
        let _ = encoder.set_icc_profile(profile.clone());
    }
    picture.write_with_encoder(encoder).map_err(refusal)
}

/// Whether the profile describes the decoded colours: decoders turn CMYK into RGB, and what is made of grey may have
/// colours.
fn fits(profile: &[u8], picture: &DynamicImage) -> bool {
    let space = if picture.color().has_color() { b"RGB " } else { b"GRAY" };
    profile.len() <= ICC_BYTES_MAX && profile.get(16..20) == Some(space)
}

fn refusal(error: ImageError) -> MediaError {
    match error {
        ImageError::Unsupported(cause) => MediaError::Unsupported(cause.to_string()),
        ImageError::Limits(_) => MediaError::Corrupt("decoding it takes too much memory".to_owned()),
        other => MediaError::Corrupt(other.to_string()),
    }
}

#[cfg(test)]
#[path = "process_tests.rs"]
mod tests;
