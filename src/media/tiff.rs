//! Metadata in TIFF pictures (TIFF 6.0).
//!
//! Pure. A TIFF is directories of tagged entries that point anywhere in the file. Entries that decoding does not need
//! leave their directory, and what they pointed at is overwritten; nothing else moves.

use std::collections::HashSet;

use super::blank::{Blanks, array};
use super::strip::Damage;

/// Directories looked at in one file, sub-directories included, and their entries; one with more is not understood.
const DIRECTORIES_MAX: usize = 10_000;
const ENTRIES_MAX: usize = 200_000;
const ENTRY_BYTES: usize = 12;
const TOO_MANY: Damage = Damage("its directories are too many, or go round in a circle");

/// Directories of their own that hold nothing but metadata: Exif, GPS, interoperability.
const METADATA_DIRECTORIES: [u16; 3] = [0x8769, 0x8825, 0xa005];
/// Tags of entries that decoding needs, or that say how a picture lies and what its colours mean (TIFF 6.0, its
/// supplements, and the TIFF/EP and JPEG entries that readers know). Every other entry goes: it may be anything.
const NEEDED: [u16; 63] = [
    0x00fe, 0x00ff, 0x0100, 0x0101, 0x0102, 0x0103, 0x0106, 0x0107, 0x0108, 0x0109, 0x010a, 0x0111, 0x0112, 0x0115,
    0x0116, 0x0117, 0x0118, 0x0119, 0x011a, 0x011b, 0x011c, 0x0120, 0x0121, 0x0122, 0x0123, 0x0124, 0x0125, 0x0128,
    0x0129, 0x012d, 0x013d, 0x013e, 0x013f, 0x0140, 0x0141, 0x0142, 0x0143, 0x0144, 0x0145, 0x0146, 0x0147, 0x0148,
    0x014a, 0x014c, 0x0150, 0x0151, 0x0152, 0x0153, 0x0154, 0x0155, 0x0156, 0x015b, 0x0200, 0x0201, 0x0202, 0x0203,
    0x0205, 0x0206, 0x0211, 0x0212, 0x0213, 0x0214, 0x8773,
];
/// Sub-directories with pictures of their own.
const SUB_DIRECTORIES: u16 = 0x014a;
/// The place of a map (GeoTIFF): it is what such a file is for, so it stays, and the uploader is told.
const GEOGRAPHIC: [u16; 5] = [0x830e, 0x8482, 0x8480, 0x85d8, 0x87af];
/// DNG's version, and the colours of a sensor: raw pictures need their makers' notes to be developed.
const DNG_VERSION: u16 = 0xc612;
const PHOTOMETRIC: u16 = 0x0106;
const SENSOR_COLOURS: [u32; 2] = [32_803, 34_892];

/// Whether `bytes` start as such files do.
pub fn is_one(bytes: &[u8]) -> bool {
    bytes.starts_with(b"II*\0") || bytes.starts_with(b"MM\0*")
}

/// Overwrites the metadata of a file, and answers true; an error, and nothing changed, when it is not understood to its
/// end, is a raw picture, or has a place that stays.
pub fn clean(bytes: &mut [u8]) -> Result<bool, Damage> {
    let mut scan = Scan {
        bytes,
        big_endian: bytes.starts_with(b"MM"),
        blanks: Blanks::of(bytes.len()),
        left: Vec::new(),
        seen: HashSet::new(),
        entries: 0,
        pictures: Vec::new(),
        metadata: Vec::new(),
    };
    scan.pictures.push(scan.u32(4)?);
    while let Some(directory) = scan.pictures.pop() {
        scan.directory(directory)?;
    }
    while let Some(directory) = scan.metadata.pop() {
        scan.blank_directory(directory)?;
    }
    let Scan { blanks, left, .. } = scan;
    blanks.apply(bytes);
    for (at, directory) in left {
        bytes[at..at + directory.len()].copy_from_slice(&directory);
    }
    Ok(true)
}

struct Scan<'a> {
    bytes: &'a [u8],
    big_endian: bool,
    blanks: Blanks,
    /// Directories as they are written back: where, and their bytes.
    left: Vec<(usize, Vec<u8>)>,
    seen: HashSet<u32>,
    /// Number of entries that were looked at.
    entries: usize,
    /// Directories still to be looked at: those of pictures, and those that go as a whole.
    pictures: Vec<u32>,
    metadata: Vec<u32>,
}

/// An entry: its tag, and where and how long its value is.
struct Entry {
    at: usize,
    tag: u16,
    value_at: u64,
    value_bytes: u64,
}

impl Scan<'_> {
    fn u16(&self, at: usize) -> Result<u16, Damage> {
        let raw = array(self.bytes, at)?;
        Ok(if self.big_endian { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
    }

    fn u32(&self, at: usize) -> Result<u32, Damage> {
        let raw = array(self.bytes, at)?;
        Ok(if self.big_endian { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
    }

    fn entries(&mut self, directory: u32) -> Result<Vec<Entry>, Damage> {
        if !self.seen.insert(directory) || self.seen.len() > DIRECTORIES_MAX {
            return Err(TOO_MANY);
        }
        let directory = directory as usize;
        let count = usize::from(self.u16(directory)?);
        self.entries += count;
        if self.entries > ENTRIES_MAX {
            return Err(Damage("it has too many entries"));
        }
        let mut entries = Vec::new();
        for number in 0..count {
            let at = directory + 2 + number * ENTRY_BYTES;
            let (tag, kind, count) = (self.u16(at)?, self.u16(at + 2)?, self.u32(at + 4)?);
            let unit_bytes: u64 = match kind {
                3 | 8 => 2,
                4 | 9 | 11 | 13 => 4,
                5 | 10 | 12 => 8,
                _ => 1,
            };
            let value_bytes = u64::from(count) * unit_bytes;
            let value_at = if value_bytes <= 4 { at as u64 + 8 } else { u64::from(self.u32(at + 8)?) };
            entries.push(Entry { at, tag, value_at, value_bytes });
        }
        Ok(entries)
    }

    /// Takes the metadata out of a directory, and notes the directories that it leads to.
    fn directory(&mut self, directory: u32) -> Result<(), Damage> {
        if directory == 0 {
            return Ok(());
        }
        let entries = self.entries(directory)?;
        let start = directory as usize;
        let next_at = start + 2 + entries.len() * ENTRY_BYTES;
        self.pictures.push(self.u32(next_at)?);
        let mut kept = Vec::new();
        for entry in &entries {
            match entry.tag {
                DNG_VERSION => return Err(Damage("it is raw")),
                PHOTOMETRIC if SENSOR_COLOURS.contains(&u32::from(self.u16(entry.at + 8)?)) => {
                    return Err(Damage("it is raw"));
                }
                tag if GEOGRAPHIC.contains(&tag) => return Err(Damage("it is a map with its place")),
                tag if METADATA_DIRECTORIES.contains(&tag) => self.metadata.push(self.u32(entry.at + 8)?),
                SUB_DIRECTORIES => {
                    self.sub_directories(entry)?;
                    kept.push(entry.at);
                }
                tag if NEEDED.contains(&tag) => kept.push(entry.at),
                _ => self.blank_value(entry)?,
            }
        }
        let count = u16::try_from(kept.len()).unwrap_or(u16::MAX);
        let mut left = if self.big_endian { count.to_be_bytes() } else { count.to_le_bytes() }.to_vec();
        for at in kept {
            left.extend_from_slice(&array::<ENTRY_BYTES>(self.bytes, at)?);
        }
        left.extend_from_slice(&array::<4>(self.bytes, next_at)?);
        left.resize(next_at + 4 - start, 0);
        self.left.push((start, left));
        Ok(())
    }

    fn sub_directories(&mut self, entry: &Entry) -> Result<(), Damage> {
        // Before anything is noted: a small file can name the same pointers again and again.
        if entry.value_bytes / 4 + self.pictures.len() as u64 > DIRECTORIES_MAX as u64 {
            return Err(TOO_MANY);
        }
        let at = usize::try_from(entry.value_at).map_err(|_| Damage("it ends too early"))?;
        for number in 0..usize::try_from(entry.value_bytes / 4).unwrap_or(usize::MAX) {
            self.pictures.push(self.u32(at.saturating_add(number.saturating_mul(4)))?);
        }
        Ok(())
    }

    /// A directory that is metadata as a whole, with all that it points at.
    fn blank_directory(&mut self, directory: u32) -> Result<(), Damage> {
        let entries = self.entries(directory)?;
        for entry in &entries {
            if METADATA_DIRECTORIES.contains(&entry.tag) {
                self.metadata.push(self.u32(entry.at + 8)?);
            }
            self.blank_value(entry)?;
        }
        self.blanks.add(directory.into(), (2 + entries.len() * ENTRY_BYTES + 4) as u64)
    }

    fn blank_value(&mut self, entry: &Entry) -> Result<(), Damage> {
        self.blanks.add(entry.value_at, entry.value_bytes)
    }
}
