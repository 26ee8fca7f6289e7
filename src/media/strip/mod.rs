//! Takes metadata out of images without touching their pixels: EXIF (with its GPS position), XMP, IPTC, comments.
//!
//! Pure, the step of `process.rs` before anything is decoded: decoders see only what this lets through. Each container
//! is walked from its first to its last byte, and only what is known to be needed for showing the picture is copied, as
//! long as its kind must be and no longer; so what hides in unknown parts, in known ones that are too long, or after
//! the end goes too. A walk that does not reach the end finds truncation that lenient decoders overlook. What inflates
//! is inflated here within bounds, so that nothing that is served grows beyond them in who shows it.

mod gif;
mod jpeg;
mod png;
mod vp8l;
mod webp;

use crate::base::limits::media::{ANIMATION_PIXELS_FACTOR, ICC_BYTES_MAX, SIDE_MAX};

pub use gif::gif;
pub use jpeg::{coarse, jpeg};
pub use png::{looking, png};
pub use webp::webp;

/// Fault in the structure of an image, in words for the uploader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage(pub &'static str);

const TRUNCATED: Damage = Damage("it ends too early");

/// Why an image is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// No image, or a damaged one.
    Damaged(Damage),
    /// Showing it would cost too much.
    TooManyPixels {
        /// Pixels.
        width: u32,
        /// Pixels.
        height: u32,
    },
    /// Showing it would cost too much, although it has few pixels.
    TooMuchWork {
        /// Unit of the work there is too much of.
        what: &'static str,
        /// Amount found, or found when looking on was given up.
        found: u64,
        /// Most that is taken.
        most: u64,
    },
}

impl From<Damage> for Refusal {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

/// An image without its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped<'a> {
    /// The file.
    pub bytes: Vec<u8>,
    /// Whether it has, or may have, more than one frame.
    pub animated: bool,
    /// Pixels a line, and lines.
    pub size: (u32, u32),
    /// The EXIF block that was taken out, from its TIFF header on: it says which side is up.
    pub exif: Option<&'a [u8]>,
    /// The colour profile as it stayed in the file, inflated.
    pub profile: Option<Vec<u8>>,
    /// Chunks that say how the pixels look, whatever they are stored as; only PNGs have them.
    pub looks: Vec<Look<'a>>,
    /// Work of decoding.
    pub work: Work,
}

/// A chunk of a PNG: its kind, and what is in it.
pub type Look<'a> = ([u8; 4], &'a [u8]);

/// Samples that a decoder goes through, over all scans. Only JPEGs have more than one a colour and pixel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Work {
    /// Samples of the whole file.
    pub samples: u64,
    /// Samples in what [`coarse`] leaves of it; the same where it leaves everything.
    pub coarse_samples: u64,
}

/// Width and height, if an image may have so many of them.
fn sized(width: u32, height: u32, pixels_max: u64) -> Result<(u32, u32), Refusal> {
    if width == 0 || height == 0 {
        return Err(Damage("it has no pixels").into());
    }
    if width.max(height) > SIDE_MAX || u64::from(width) * u64::from(height) > pixels_max {
        return Err(Refusal::TooManyPixels { width, height });
    }
    Ok((width, height))
}

/// Counts what the frames of an animation add up to.
struct Frames {
    size: (u32, u32),
    pixels: u64,
    pixels_max: u64,
}

impl Frames {
    fn of(size: (u32, u32), pixels_max: u64) -> Self {
        Self { size, pixels: 0, pixels_max: pixels_max.saturating_mul(ANIMATION_PIXELS_FACTOR) }
    }

    /// Adds a frame of `width` and `height` whose corner is at `x` and `y`.
    fn add(&mut self, (x, y): (u32, u32), (width, height): (u32, u32)) -> Result<(), Refusal> {
        let inside = |from: u32, length: u32, whole: u32| from.checked_add(length).is_some_and(|end| end <= whole);
        if !inside(x, width, self.size.0) || !inside(y, height, self.size.1) {
            return Err(Damage("a frame does not lie within the picture").into());
        }
        self.count((width, height))
    }

    /// Adds a frame wherever it lies.
    fn count(&mut self, (width, height): (u32, u32)) -> Result<(), Refusal> {
        self.pixels = self.pixels.saturating_add(u64::from(width) * u64::from(height));
        if self.pixels > self.pixels_max {
            let (what, found, most) = ("pixels over all frames", self.pixels, self.pixels_max);
            return Err(Refusal::TooMuchWork { what, found, most });
        }
        Ok(())
    }
}

/// An EXIF block from its TIFF header on; some writers put the JPEG segment's name before it.
fn tiff_of(exif: &[u8]) -> &[u8] {
    exif.strip_prefix(b"Exif\0\0").unwrap_or(exif)
}

/// Whether a profile of this length stays.
fn profile_fits(profile: &[u8]) -> bool {
    (1..=ICC_BYTES_MAX).contains(&profile.len())
}

/// Reads forward and never past the end.
struct Walk<'a> {
    bytes: &'a [u8],
}

impl<'a> Walk<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Damage> {
        let (head, rest) = self.bytes.split_at_checked(count).ok_or(TRUNCATED)?;
        self.bytes = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Damage> {
        let (head, rest) = self.bytes.split_first_chunk::<N>().ok_or(TRUNCATED)?;
        self.bytes = rest;
        Ok(*head)
    }

    fn byte(&mut self) -> Result<u8, Damage> {
        self.array::<1>().map(|[byte]| byte)
    }
}
