//! GIF (89a).

use super::{Damage, Frames, Refusal, Stripped, TRUNCATED, Walk, Work, sized};

/// Keeps frames, their timing and the number of loops.
pub fn gif(bytes: &[u8], pixels_max: u64) -> Result<Stripped<'_>, Refusal> {
    const HEADER_BYTES: usize = 13;
    let mut walk = Walk { bytes };
    let mut out = Vec::with_capacity(bytes.len());
    let header = walk.take(HEADER_BYTES)?;
    let side = |bytes: &[u8], at: usize| u32::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let size = sized(side(header, 6), side(header, 8), pixels_max)?;
    out.extend_from_slice(header);
    out.extend_from_slice(walk.take(palette_bytes(header[10]))?);
    let (mut count, mut frames) = (0_u32, Frames::of(size, pixels_max));
    loop {
        let whole = walk.bytes;
        match walk.byte()? {
            0x3b => break,
            0x2c => {
                let frame: [u8; 9] = walk.array()?;
                // Careless writers let frames hang over; viewers cut them.
                let frame_size = (side(&frame, 4), side(&frame, 6));
                if u64::from(frame_size.0) * u64::from(frame_size.1) > pixels_max {
                    return Err(Damage("a frame has too many pixels").into());
                }
                frames.count(frame_size)?;
                walk.take(palette_bytes(frame[8]) + 1)?;
                skip_sub_blocks(&mut walk)?;
                out.extend_from_slice(&whole[..whole.len() - walk.bytes.len()]);
                count += 1;
            }
            0x21 => {
                let label = walk.byte()?;
                let body = walk.bytes;
                skip_sub_blocks(&mut walk)?;
                let body = &body[..body.len() - walk.bytes.len()];
                out.extend_from_slice(&extension(label, body).unwrap_or_default());
            }
            _ => return Err(Damage("a block does not start where it should").into()),
        }
    }
    if count == 0 {
        return Err(Damage("it holds no picture").into());
    }
    out.push(0x3b);
    let samples = u64::from(size.0) * u64::from(size.1);
    let work = Work { samples, coarse_samples: samples };
    Ok(Stripped { bytes: out, animated: count > 1, size, exif: None, profile: None, looks: Vec::new(), work })
}

/// Bytes of the colour table that the packed field announces.
fn palette_bytes(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

fn skip_sub_blocks(walk: &mut Walk<'_>) -> Result<(), Damage> {
    loop {
        match walk.byte().map_err(|_| TRUNCATED)? {
            0 => return Ok(()),
            length => walk.take(length.into())?,
        };
    }
}

/// The extension written anew, if it says how long a frame shows or how often all do; `body` is what comes after the
/// label.
fn extension(label: u8, body: &[u8]) -> Option<Vec<u8>> {
    match label {
        0xf9 => {
            let control = body.strip_prefix(&[4])?.strip_suffix(&[0])?.first_chunk::<4>()?;
            (body.len() == 6).then(|| [&b"\x21\xf9\x04"[..], control, &[0]].concat())
        }
        0xff => {
            let rest = body.strip_prefix(b"\x0bNETSCAPE2.0").or_else(|| body.strip_prefix(b"\x0bANIMEXTS1.0"))?;
            let times = rest.strip_prefix(b"\x03\x01")?.first_chunk::<2>()?;
            Some([&b"\x21\xff\x0bNETSCAPE2.0\x03\x01"[..], times, &[0]].concat())
        }
        _ => None,
    }
}
