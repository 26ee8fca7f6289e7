//! Takes metadata out of images without touching their pixels: EXIF (with its GPS position), XMP, IPTC, comments.
//!
//! Pure, the second step of `process.rs`. Each container is walked from its first to its last byte, and only what is
//! known to be needed for showing the picture is copied; so what hides in unknown parts or after the end goes too. A walk
//! that does not reach the end finds truncation that lenient decoders overlook.

/// What is wrong with the structure of an image, in words for the uploader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage(pub &'static str);

const TRUNCATED: Damage = Damage("it ends too early");

/// An image without its metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stripped {
    /// The file.
    pub bytes: Vec<u8>,
    /// Whether it has, or may have, more than one frame.
    pub animated: bool,
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

/// Keeps what decoding needs, the colour profile, and the JFIF and Adobe segments that say what colours mean.
pub fn jpeg(bytes: &[u8]) -> Result<Stripped, Damage> {
    let mut walk = Walk { bytes };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(walk.take(2)?);
    let (mut frames, mut scans) = (0, 0);
    loop {
        let marker = jpeg_marker(&mut walk)?;
        match marker {
            0xd9 => break,
            // Restart markers and TEM stand alone; outside a scan they mean nothing.
            0x01 | 0xd0..=0xd7 => continue,
            0xd8 => return Err(Damage("a second image starts within it")),
            _ => {}
        }
        let length = walk.bytes.first_chunk::<2>().map(|length| usize::from(u16::from_be_bytes(*length)));
        let segment = walk.take(length.ok_or(TRUNCATED)?.max(2))?;
        let payload = &segment[2..];
        match marker {
            0xe0 if payload.starts_with(b"JFIF\0") && payload.len() >= 14 => {
                // Without its thumbnail, which may show what an editor has cut away.
                out.extend_from_slice(&[0xff, 0xe0, 0, 16]);
                out.extend_from_slice(&payload[..12]);
                out.extend_from_slice(&[0, 0]);
            }
            0xee if payload.starts_with(b"Adobe") && payload.len() >= 12 => {
                out.extend_from_slice(&[0xff, 0xee, 0, 14]);
                out.extend_from_slice(&payload[..12]);
            }
            0xe2 if !payload.starts_with(b"ICC_PROFILE\0") => {}
            0xc0..=0xcf | 0xda..=0xdf | 0xe2 => {
                out.extend_from_slice(&[0xff, marker]);
                out.extend_from_slice(segment);
            }
            _ => {}
        }
        frames += u32::from(matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc));
        if marker == 0xda {
            scans += 1;
            let length = entropy_coded_length(walk.bytes).ok_or(TRUNCATED)?;
            out.extend_from_slice(walk.take(length)?);
        }
    }
    if frames != 1 || scans == 0 {
        return Err(Damage("it holds no picture, or more than one"));
    }
    out.extend_from_slice(&[0xff, 0xd9]);
    Ok(Stripped { bytes: out, animated: false })
}

fn jpeg_marker(walk: &mut Walk<'_>) -> Result<u8, Damage> {
    if walk.byte()? != 0xff {
        return Err(Damage("a segment does not start where it should"));
    }
    loop {
        match walk.byte()? {
            0xff => {}
            0 => return Err(Damage("a segment does not start where it should")),
            marker => return Ok(marker),
        }
    }
}

/// Bytes up to the next marker that ends the scan.
fn entropy_coded_length(bytes: &[u8]) -> Option<usize> {
    let ends = |pair: &[u8]| pair[0] == 0xff && !matches!(pair[1], 0 | 0xd0..=0xd7 | 0xff);
    bytes.windows(2).position(ends)
}

/// Chunks that decide how a PNG, or an animated one, looks.
const PNG_CHUNKS: &[&[u8; 4]] = &[
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs",
    b"cICP", b"mDCV", b"cLLI", b"acTL", b"fcTL", b"fdAT",
];

/// Keeps the chunks of [`PNG_CHUNKS`]; their checksums are left to the decoder.
pub fn png(bytes: &[u8]) -> Result<Stripped, Damage> {
    const SIGNATURE_BYTES: usize = 8;
    let mut walk = Walk { bytes };
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(walk.take(SIGNATURE_BYTES)?);
    let mut animated = false;
    loop {
        let whole = walk.bytes;
        let length = u32::from_be_bytes(walk.array()?) as usize;
        let kind: [u8; 4] = walk.array()?;
        walk.take(length.checked_add(4).ok_or(TRUNCATED)?)?;
        if PNG_CHUNKS.contains(&&kind) {
            out.extend_from_slice(&whole[..whole.len() - walk.bytes.len()]);
        }
        animated |= &kind == b"acTL";
        if &kind == b"IEND" {
            return Ok(Stripped { bytes: out, animated });
        }
    }
}

/// Keeps frames, their timing and the number of loops. A frame of more than `pixels_max` is refused.
pub fn gif(bytes: &[u8], pixels_max: u64) -> Result<Stripped, Damage> {
    const HEADER_BYTES: usize = 13;
    let mut walk = Walk { bytes };
    let mut out = Vec::with_capacity(bytes.len());
    let header = walk.take(HEADER_BYTES)?;
    out.extend_from_slice(header);
    out.extend_from_slice(walk.take(gif_palette_bytes(header[10]))?);
    let mut frames = 0_u32;
    loop {
        let whole = walk.bytes;
        match walk.byte()? {
            0x3b => break,
            0x2c => {
                let frame: [u8; 9] = walk.array()?;
                let side = |at: usize| u64::from(u16::from_le_bytes([frame[at], frame[at + 1]]));
                if side(4) * side(6) > pixels_max {
                    return Err(Damage("a frame has too many pixels"));
                }
                walk.take(gif_palette_bytes(frame[8]) + 1)?;
                skip_sub_blocks(&mut walk)?;
                out.extend_from_slice(&whole[..whole.len() - walk.bytes.len()]);
                frames += 1;
            }
            0x21 => {
                let label = walk.byte()?;
                let body = walk.bytes;
                skip_sub_blocks(&mut walk)?;
                let body = &body[..body.len() - walk.bytes.len()];
                match label {
                    0xf9 => {
                        out.extend_from_slice(&[0x21, 0xf9]);
                        out.extend_from_slice(body);
                    }
                    0xff => out.extend_from_slice(&gif_loop(body).unwrap_or_default()),
                    _ => {}
                }
            }
            _ => return Err(Damage("a block does not start where it should")),
        }
    }
    if frames == 0 {
        return Err(Damage("it holds no picture"));
    }
    out.push(0x3b);
    Ok(Stripped { bytes: out, animated: frames > 1 })
}

/// Bytes of the colour table that the packed field announces.
fn gif_palette_bytes(packed: u8) -> usize {
    if packed & 0x80 == 0 { 0 } else { 3 << ((packed & 7) + 1) }
}

fn skip_sub_blocks(walk: &mut Walk<'_>) -> Result<(), Damage> {
    loop {
        match walk.byte()? {
            0 => return Ok(()),
            length => walk.take(length.into())?,
        };
    }
}

/// The loop extension, written anew, if that is what `body` (from the length of the application's name on) is.
fn gif_loop(body: &[u8]) -> Option<Vec<u8>> {
    let rest = body.strip_prefix(b"\x0bNETSCAPE2.0").or_else(|| body.strip_prefix(b"\x0bANIMEXTS1.0"))?;
    let times = rest.strip_prefix(b"\x03\x01")?.first_chunk::<2>()?;
    Some([&b"\x21\xff\x0bNETSCAPE2.0\x03\x01"[..], times, &[0]].concat())
}

/// Keeps frames, alpha, animation and the colour profile.
pub fn webp(bytes: &[u8]) -> Result<Stripped, Damage> {
    const CHUNKS: &[&[u8; 4]] = &[b"VP8X", b"VP8 ", b"VP8L", b"ALPH", b"ANIM", b"ANMF", b"ICCP"];
    let mut walk = Walk { bytes };
    let _riff: [u8; 4] = walk.array()?;
    let length = u32::from_le_bytes(walk.array()?) as usize;
    let mut walk = Walk { bytes: walk.take(length)? };
    let mut out = b"RIFF\0\0\0\0".to_vec();
    out.extend_from_slice(walk.take(4)?);
    let kinds = webp_chunks(walk.bytes, CHUNKS, &mut out)?;
    let riff_length = u32::try_from(out.len() - 8).map_err(|_| Damage("it is too long"))?;
    out[4..8].copy_from_slice(&riff_length.to_le_bytes());
    Ok(Stripped { bytes: out, animated: kinds.contains(b"ANIM") || kinds.contains(b"ANMF") })
}

/// Copies the chunks of `wanted` and answers their kinds. Frames of an animation hold chunks of their own.
fn webp_chunks(bytes: &[u8], wanted: &[&[u8; 4]], out: &mut Vec<u8>) -> Result<Vec<[u8; 4]>, Damage> {
    const FRAME_HEADER_BYTES: usize = 16;
    const EXIF_AND_XMP_FLAGS: u8 = 0x0c;
    let mut walk = Walk { bytes };
    let mut kinds = Vec::new();
    while !walk.bytes.is_empty() {
        let kind: [u8; 4] = walk.array()?;
        let length = u32::from_le_bytes(walk.array()?) as usize;
        let payload = walk.take(length)?;
        // Some writers leave the padding of the last chunk out.
        walk.take((length % 2).min(walk.bytes.len()))?;
        if !wanted.contains(&&kind) {
            continue;
        }
        let mut kept = payload.to_vec();
        if &kind == b"VP8X" {
            *kept.first_mut().ok_or(TRUNCATED)? &= !EXIF_AND_XMP_FLAGS;
        }
        if &kind == b"ANMF" {
            let (header, chunks) = payload.split_at_checked(FRAME_HEADER_BYTES).ok_or(TRUNCATED)?;
            kept = header.to_vec();
            webp_chunks(chunks, &[b"VP8 ", b"VP8L", b"ALPH"], &mut kept)?;
        }
        kinds.push(kind);
        out.extend_from_slice(&kind);
        out.extend_from_slice(&u32::try_from(kept.len()).map_err(|_| TRUNCATED)?.to_le_bytes());
        out.append(&mut kept);
        if out.len() % 2 == 1 {
            out.push(0);
        }
    }
    Ok(kinds)
}
