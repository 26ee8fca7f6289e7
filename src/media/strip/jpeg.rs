//! JPEG (ITU-T T.81), with JFIF, Adobe's segment and ICC profiles.

use super::{Damage, Refusal, Stripped, TRUNCATED, Walk, Work, profile_fits, sized, tiff_of};
use crate::base::limits::media::{CMYK_PROFILE_BYTES_MAX, JPEG_SCANS_MAX};

const ICC: &[u8] = b"ICC_PROFILE\0";
const SOS: u8 = 0xda;
const EOI: u8 = 0xd9;
const MISPLACED: Damage = Damage("a segment does not start where it should");

/// Keeps what decoding needs, the colour profile, and the JFIF and Adobe segments that say what colours mean.
pub fn jpeg(bytes: &[u8], pixels_max: u64) -> Result<Stripped<'_>, Refusal> {
    let mut walk = Walk { bytes };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(walk.take(2)?);
    let (mut frame, mut scans, mut samples, mut coarse_samples) = (None::<Frame>, 0_u32, 0, 0);
    let (mut exif, mut profile, mut profile_at) = (None, Profile::default(), None);
    while let Some(segment) = segment(&mut walk)? {
        let payload = segment.payload;
        match segment.marker {
            0xe0 if payload.starts_with(b"JFIF\0") && payload.len() >= 14 => {
                // Without its thumbnail, which may show what an editor has cut away.
                copy(&mut out, 0xe0, &[&payload[..12], &[0, 0]].concat());
            }
            0xe1 if payload.starts_with(b"Exif\0\0") && exif.is_none() => exif = Some(tiff_of(payload)),
            0xee if payload.starts_with(b"Adobe") && payload.len() >= 12 => copy(&mut out, 0xee, &payload[..12]),
            0xe2 if payload.starts_with(ICC) => {
                profile_at.get_or_insert(out.len());
                profile.add(&payload[ICC.len()..]);
            }
            // Tables, and what a restart interval is; an interval is two bytes.
            0xc4 | 0xdb => copy(&mut out, segment.marker, payload),
            0xdd if payload.len() == 2 => copy(&mut out, segment.marker, payload),
            0xc8 | 0xcc => {}
            0xc0..=0xcf if frame.is_some() => return Err(Damage("it holds more than one picture").into()),
            marker @ 0xc0..=0xcf => {
                let read = Frame::read(marker, payload, pixels_max)?;
                copy(&mut out, marker, payload);
                frame = Some(read);
            }
            SOS => {
                let frame = frame.as_mut().ok_or(Damage("a scan comes before its frame"))?;
                let coded = walk.take(entropy_coded_length(walk.bytes).ok_or(TRUNCATED)?)?;
                let Some(scan) = frame.scan(payload)? else { continue };
                scans += 1;
                if scans > JPEG_SCANS_MAX {
                    let (found, most) = (scans.into(), JPEG_SCANS_MAX.into());
                    return Err(Refusal::TooMuchWork { what: "scans", found, most });
                }
                samples += scan.samples;
                coarse_samples += if scan.is_coarse { scan.samples } else { 0 };
                copy(&mut out, SOS, payload);
                out.extend_from_slice(coded);
            }
            _ => {}
        }
    }
    let (Some(frame), 1..) = (frame, scans) else { return Err(Damage("it holds no picture").into()) };
    out.extend_from_slice(&[0xff, EOI]);
    let profile = profile.whole();
    if let (Some(profile), Some(at)) = (&profile, profile_at) {
        out.splice(at..at, profile_segments(profile));
    }
    let work = Work { samples, coarse_samples };
    Ok(Stripped { bytes: out, animated: false, size: frame.size, exif, profile, looks: Vec::new(), work })
}

/// A JPEG that [`jpeg`] wrote, without the scans that refine what is within blocks of 8 x 8 pixels: enough to make it
/// eight times smaller, for a fraction of the work. The same where it is not progressive.
pub fn coarse(stripped: &[u8]) -> Result<Vec<u8>, Damage> {
    let mut walk = Walk { bytes: stripped };
    let mut out = walk.take(2)?.to_vec();
    let mut progressive = false;
    while let Some(segment) = segment(&mut walk)? {
        progressive |= is_progressive(segment.marker);
        if segment.marker != SOS {
            copy(&mut out, segment.marker, segment.payload);
            continue;
        }
        let coded = walk.take(entropy_coded_length(walk.bytes).ok_or(TRUNCATED)?)?;
        if !progressive || spectral_start(segment.payload) == Some(0) {
            copy(&mut out, SOS, segment.payload);
            out.extend_from_slice(coded);
        }
    }
    out.extend_from_slice(&[0xff, EOI]);
    Ok(out)
}

struct Segment<'a> {
    marker: u8,
    payload: &'a [u8],
}

/// The next segment with a length; none at the end of the picture.
fn segment<'a>(walk: &mut Walk<'a>) -> Result<Option<Segment<'a>>, Damage> {
    loop {
        match marker(walk)? {
            EOI => return Ok(None),
            // Restart markers and TEM stand alone; outside a scan they mean nothing.
            0x01 | 0xd0..=0xd7 => {}
            0xd8 => return Err(Damage("a second image starts within it")),
            marker => {
                let length = usize::from(u16::from_be_bytes(walk.array()?));
                let payload = walk.take(length.checked_sub(2).ok_or(MISPLACED)?)?;
                return Ok(Some(Segment { marker, payload }));
            }
        }
    }
}

fn marker(walk: &mut Walk<'_>) -> Result<u8, Damage> {
    if walk.byte()? != 0xff {
        return Err(MISPLACED);
    }
    loop {
        match walk.byte()? {
            0xff => {}
            0 => return Err(MISPLACED),
            marker => return Ok(marker),
        }
    }
}

/// Bytes up to the next marker that ends the scan.
fn entropy_coded_length(bytes: &[u8]) -> Option<usize> {
    let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
    bytes.windows(2).position(ends)
}

fn copy(out: &mut Vec<u8>, marker: u8, payload: &[u8]) {
    out.extend_from_slice(&[0xff, marker]);
    // A payload came with a length of 16 bits, or is a shorter one.
    out.extend_from_slice(&u16::try_from(payload.len() + 2).unwrap_or(u16::MAX).to_be_bytes());
    out.extend_from_slice(payload);
}

fn is_progressive(marker: u8) -> bool {
    matches!(marker, 0xc2 | 0xc6 | 0xca | 0xce)
}

/// The first coefficient of blocks that a scan tells; 0 is their mean.
fn spectral_start(scan: &[u8]) -> Option<u8> {
    scan.get(scan.len().checked_sub(3)?).copied()
}

/// A colour of a frame.
struct Component {
    id: u8,
    /// Samples for one pass over it, padded to whole blocks.
    samples: u64,
    /// A scan has told it. In a frame that is not progressive one scan tells everything.
    told: bool,
}

struct Frame {
    size: (u32, u32),
    components: Vec<Component>,
    is_progressive: bool,
}

struct Scan {
    samples: u64,
    is_coarse: bool,
}

impl Frame {
    fn read(marker: u8, payload: &[u8], pixels_max: u64) -> Result<Self, Refusal> {
        const WRONG: Damage = Damage("its frame is not what it should be");
        let (head, listed) = payload.split_first_chunk::<6>().ok_or(TRUNCATED)?;
        let side = |at: usize| u32::from(u16::from_be_bytes([head[at], head[at + 1]]));
        let (height, width) = (side(1), side(3));
        let factors = |sampling: u8| (u64::from(sampling >> 4), u64::from(sampling & 15));
        let listed: Vec<&[u8]> = listed.chunks(3).collect();
        let is_right = |one: &&[u8]| one.len() == 3 && matches!((one[1] >> 4, one[1] & 15), (1..=4, 1..=4));
        if listed.len() != usize::from(head[5]) || !(1..=4).contains(&listed.len()) || !listed.iter().all(is_right) {
            return Err(WRONG.into());
        }
        let size = sized(width, height, pixels_max)?;
        let most = |of: fn((u64, u64)) -> u64| listed.iter().map(|one| of(factors(one[1]))).max().unwrap_or(1);
        let (across, down) = (most(|it| it.0), most(|it| it.1));
        let (units_across, units_down) = (u64::from(width).div_ceil(8 * across), u64::from(height).div_ceil(8 * down));
        let component = |one: &&[u8]| {
            let (horizontal, vertical) = factors(one[1]);
            let samples = units_across * horizontal * units_down * vertical * 64;
            Component { id: one[0], samples, told: false }
        };
        let components = listed.iter().map(component).collect();
        Ok(Self { size, components, is_progressive: is_progressive(marker) })
    }

    /// Samples that a scan adds; nothing when it tells again what has been told.
    fn scan(&mut self, payload: &[u8]) -> Result<Option<Scan>, Damage> {
        const WRONG: Damage = Damage("a scan is not what it should be");
        let count = usize::from(*payload.first().ok_or(TRUNCATED)?);
        if !(1..=4).contains(&count) || payload.len() != 1 + 2 * count + 3 {
            return Err(WRONG);
        }
        let is_coarse = !self.is_progressive || spectral_start(payload) == Some(0);
        let mut scan = Scan { samples: 0, is_coarse };
        let mut again = false;
        for told in payload[1..=2 * count].chunks_exact(2) {
            let component = self.components.iter_mut().find(|one| one.id == told[0]).ok_or(WRONG)?;
            scan.samples += component.samples;
            again |= !self.is_progressive && std::mem::replace(&mut component.told, true);
        }
        Ok((!again).then_some(scan))
    }
}

/// A colour profile in pieces, each with its number and how many there are.
#[derive(Default)]
struct Profile<'a> {
    pieces: Vec<Option<&'a [u8]>>,
    broken: bool,
}

impl<'a> Profile<'a> {
    /// `piece` starts with its number, from 1 on, and their count.
    fn add(&mut self, piece: &'a [u8]) {
        let Some((&[number, count], data)) = piece.split_first_chunk::<2>() else {
            self.broken = true;
            return;
        };
        if self.pieces.is_empty() {
            self.pieces = vec![None; count.into()];
        }
        self.broken |= self.pieces.len() != usize::from(count);
        match usize::from(number).checked_sub(1).and_then(|at| self.pieces.get_mut(at)) {
            Some(place @ None) => *place = Some(data),
            _ => self.broken = true,
        }
    }

    /// Whole profile, in order; nothing when a piece is missing, comes twice, or it is too large.
    fn whole(self) -> Option<Vec<u8>> {
        let pieces = self.pieces.into_iter().collect::<Option<Vec<_>>>().filter(|_| !self.broken)?;
        let whole = pieces.concat();
        // Presses have large profiles; without them print colours look wrong.
        let for_print = whole.get(16..20) == Some(b"CMYK") && whole.len() <= CMYK_PROFILE_BYTES_MAX;
        (for_print || profile_fits(&whole)).then_some(whole)
    }
}

/// The segments that carry a profile.
fn profile_segments(profile: &[u8]) -> Vec<u8> {
    const PIECE_BYTES: usize = 65_533 - ICC.len() - 2;
    let count = u8::try_from(profile.len().div_ceil(PIECE_BYTES)).unwrap_or(u8::MAX);
    let mut out = Vec::with_capacity(profile.len() + 64);
    for (number, piece) in (1_u8..).zip(profile.chunks(PIECE_BYTES)) {
        copy(&mut out, 0xe2, &[ICC, &[number, count], piece].concat());
    }
    out
}
