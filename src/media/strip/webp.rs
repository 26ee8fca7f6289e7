//! WebP (RFC 9649).

use super::{Damage, Frames, Refusal, Stripped, TRUNCATED, Walk, Work, profile_fits, sized, tiff_of, vp8l};

const WRONG: Damage = Damage("a part of it is not what it should be");
const HAS_PROFILE: u8 = 0x20;
const HAS_ALPHA: u8 = 0x10;
const HAS_ANIMATION: u8 = 0x02;

/// Keeps frames, alpha, animation and the colour profile.
pub fn webp(bytes: &[u8], pixels_max: u64) -> Result<Stripped<'_>, Refusal> {
    let mut walk = Walk { bytes };
    let _riff: [u8; 4] = walk.array()?;
    let length = u32::from_le_bytes(walk.array()?) as usize;
    let mut walk = Walk { bytes: walk.take(length)? };
    let _webp: [u8; 4] = walk.array()?;
    let chunks = chunks(walk.bytes)?;
    let first = |kind: &[u8; 4]| chunks.iter().find(|chunk| &chunk.kind == kind).map(|chunk| chunk.payload);
    let mut out = b"RIFF\0\0\0\0WEBP".to_vec();
    let exif = first(b"EXIF").map(tiff_of);
    let mut stripped = match chunks.first() {
        Some(Chunk { kind: [b'V', b'P', b'8', b'X'], payload }) => {
            let header: &[u8; 10] = (*payload).try_into().map_err(|_| WRONG)?;
            let flags = header[0] & (HAS_ALPHA | HAS_ANIMATION);
            let animated = flags & HAS_ANIMATION != 0;
            let size = sized(number(&header[4..7]) + 1, number(&header[7..10]) + 1, pixels_max)?;
            let profile = first(b"ICCP").filter(|profile| profile_fits(profile)).map(<[u8]>::to_vec);
            let shown = flags | if profile.is_some() { HAS_PROFILE } else { 0 };
            copy(&mut out, b"VP8X", &[&[shown, 0, 0, 0], &header[4..]].concat())?;
            if let Some(profile) = &profile {
                copy(&mut out, b"ICCP", profile)?;
            }
            if animated {
                animation(&chunks, size, pixels_max, &mut out)?;
            } else {
                still(&chunks, size, true, &mut out)?;
            }
            Stripped { bytes: out, animated, size, exif, profile, looks: Vec::new(), work: Work::default() }
        }
        Some(chunk @ Chunk { kind: [b'V', b'P', b'8', b' ' | b'L'], .. }) => {
            let (width, height) = frame_size(chunk)?;
            let size = sized(width, height, pixels_max)?;
            still(&chunks[..1], size, true, &mut out)?;
            Stripped {
                bytes: out,
                animated: false,
                size,
                exif,
                profile: None,
                looks: Vec::new(),
                work: Work::default(),
            }
        }
        _ => return Err(Damage("it holds no picture").into()),
    };
    let riff_length = u32::try_from(stripped.bytes.len() - 8).map_err(|_| Damage("it is too long"))?;
    stripped.bytes[4..8].copy_from_slice(&riff_length.to_le_bytes());
    let samples = u64::from(stripped.size.0) * u64::from(stripped.size.1) * 4;
    stripped.work = Work { samples, coarse_samples: samples };
    Ok(stripped)
}

#[derive(Clone, Copy)]
struct Chunk<'a> {
    kind: [u8; 4],
    payload: &'a [u8],
}

fn chunks(bytes: &[u8]) -> Result<Vec<Chunk<'_>>, Damage> {
    let mut walk = Walk { bytes };
    let mut found = Vec::new();
    while !walk.bytes.is_empty() {
        let kind: [u8; 4] = walk.array()?;
        let length = u32::from_le_bytes(walk.array()?) as usize;
        let payload = walk.take(length)?;
        // Some writers leave the padding of the last chunk out.
        walk.take((length % 2).min(walk.bytes.len()))?;
        found.push(Chunk { kind, payload });
    }
    Ok(found)
}

fn copy(out: &mut Vec<u8>, kind: &[u8; 4], payload: &[u8]) -> Result<(), Damage> {
    out.extend_from_slice(kind);
    out.extend_from_slice(&u32::try_from(payload.len()).map_err(|_| TRUNCATED)?.to_le_bytes());
    out.extend_from_slice(payload);
    if payload.len() % 2 == 1 {
        out.push(0);
    }
    Ok(())
}

/// A little-endian number.
fn number(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u32::from(*byte))
}

/// Writes one picture of `size`: the first that there is, and the first alpha plane before it. What `is_decoded` here
/// is looked at for what that takes.
fn still(chunks: &[Chunk<'_>], size: (u32, u32), is_decoded: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let at = chunks.iter().position(|chunk| matches!(&chunk.kind, b"VP8 " | b"VP8L"));
    let at = at.ok_or(Damage("it holds no picture"))?;
    let picture = &chunks[at];
    if frame_size(picture)? != size {
        return Err(Damage("a frame is not of the size that is told").into());
    }
    if &picture.kind == b"VP8L" {
        if is_decoded {
            vp8l::check(picture.payload)?;
        }
    } else if let Some(alpha) = chunks[..at].iter().find(|chunk| &chunk.kind == b"ALPH") {
        if is_decoded {
            vp8l::check_alpha(alpha.payload, size)?;
        }
        copy(out, b"ALPH", alpha.payload)?;
    }
    Ok(copy(out, &picture.kind, picture.payload)?)
}

fn animation(chunks: &[Chunk<'_>], size: (u32, u32), pixels_max: u64, out: &mut Vec<u8>) -> Result<(), Refusal> {
    const HEADER_BYTES: usize = 16;
    let control = chunks.iter().find(|chunk| &chunk.kind == b"ANIM" && chunk.payload.len() == 6);
    copy(out, b"ANIM", control.ok_or(WRONG)?.payload)?;
    let (mut frames, mut count) = (Frames::of(size, pixels_max), 0);
    for frame in chunks.iter().filter(|chunk| &chunk.kind == b"ANMF") {
        let (header, inner) = frame.payload.split_at_checked(HEADER_BYTES).ok_or(TRUNCATED)?;
        let size = (number(&header[6..9]) + 1, number(&header[9..12]) + 1);
        frames.add((number(&header[..3]) * 2, number(&header[3..6]) * 2), size)?;
        let mut kept = header.to_vec();
        still(&self::chunks(inner)?, size, count == 0, &mut kept)?;
        copy(out, b"ANMF", &kept)?;
        count += 1;
    }
    if count == 0 { Err(Damage("it holds no picture").into()) } else { Ok(()) }
}

/// Size of a frame, from its first bytes.
fn frame_size(frame: &Chunk<'_>) -> Result<(u32, u32), Damage> {
    const START: [u8; 3] = [0x9d, 0x01, 0x2a];
    if &frame.kind == b"VP8L" {
        let head = frame.payload.first_chunk::<5>().filter(|head| head[0] == 0x2f).ok_or(WRONG)?;
        let bits = number(&head[1..]);
        return Ok(((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1));
    }
    let head = frame.payload.first_chunk::<10>().filter(|head| head[3..6] == START).ok_or(WRONG)?;
    Ok((number(&head[6..8]) & 0x3fff, number(&head[8..10]) & 0x3fff))
}
