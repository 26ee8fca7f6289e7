//! Metadata in files of the ISO base media format (ISO/IEC 14496-12): HEIC, AVIF, MP4, MOV, 3GP, M4A.
//!
//! Pure. Such a file is a tree of boxes with absolute offsets in it, so nothing is moved: what tells of place, time and
//! device is overwritten, and its box renamed to `free`, which readers skip. A picture's Exif and XMP are items
//! (ISO/IEC 23008-12), found by their type; a film's are in `udta`, `meta` and `uuid`, and in tracks that are neither
//! seen nor heard, such as the way that an action camera took.

use std::collections::HashMap;
use std::ops::Range;

use super::blank::{Blanks, array};
use super::strip::Damage;

/// Boxes looked at in one file; one with more is not understood. An hour of fragments of a second has some 30,000.
const BOXES_MAX: usize = 200_000;
/// Extents of items looked at in one file; pictures in tiles have one each.
const EXTENTS_MAX: u64 = 100_000;
/// Entries of a list of samples or chunks; a hidden track with more is not understood. An hour of positions has some
/// 50,000.
const ENTRIES_MAX: usize = 500_000;
/// Tracks that people see or hear, and the time code.
const PERCEIVED: &[&[u8; 4]] = &[b"vide", b"soun", b"auxv", b"pict", b"tmcd"];
/// Tracks that people read. They stay, but drones write their way into subtitles, so that the uploader is told.
const READ: &[&[u8; 4]] = &[b"sbtl", b"subt", b"text", b"clcp", b"subp"];
/// Boxes that stay, by the box that they are in; every other one is overwritten, whatever it may be.
const IN_FILE: &[&[u8; 4]] =
    &[b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"meta", b"mfra", b"sidx", b"ssix", b"pdin"];
const IN_MOVIE: &[&[u8; 4]] = &[b"mvhd", b"trak", b"mvex", b"iods", b"pssh"];
const IN_FRAGMENT: &[&[u8; 4]] = &[b"mfhd", b"traf", b"pssh"];
const IN_TRACK_FRAGMENT: &[&[u8; 4]] =
    &[b"tfhd", b"tfdt", b"trun", b"subs", b"sbgp", b"sgpd", b"saiz", b"saio", b"senc"];
const IN_TRACK: &[&[u8; 4]] = &[b"tkhd", b"edts", b"mdia", b"tref", b"trgr", b"tapt", b"clip", b"matt", b"load"];
const IN_MEDIA: &[&[u8; 4]] = &[b"mdhd", b"hdlr", b"minf", b"elng"];
const IN_INFORMATION: &[&[u8; 4]] = &[b"vmhd", b"smhd", b"hmhd", b"nmhd", b"gmhd", b"sthd", b"hdlr", b"dinf", b"stbl"];
const IN_SAMPLE_TABLE: &[&[u8; 4]] = &[
    b"stsd", b"stts", b"ctts", b"cslg", b"stsc", b"stsz", b"stz2", b"stco", b"co64", b"stss", b"stps", b"stsh",
    b"sdtp", b"stdp", b"padb", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio",
];
const IN_PICTURE: &[&[u8; 4]] =
    &[b"hdlr", b"pitm", b"iloc", b"iinf", b"iprp", b"idat", b"iref", b"grpl", b"dinf", b"ipro"];
/// Properties of items that say how to show them.
const SHOWING: &[&[u8; 4]] = &[
    b"ispe", b"pixi", b"colr", b"pasp", b"irot", b"imir", b"clap", b"iscl", b"rloc", b"auxC", b"lsel", b"a1op",
    b"a1lx", b"hvcC", b"lhvC", b"av1C", b"avcC", b"vvcC", b"evcC", b"jpgC", b"j2kH", b"uncC", b"cmpd", b"clli",
    b"mdcv", b"cclv", b"amve", b"reve", b"ndwt", b"oinf", b"tols", b"rref", b"prfr", b"cicp",
];
/// Properties that tell something else: names, descriptions, times, where a camera stood.
const TELLING: &[&[u8; 4]] = &[b"udes", b"altt", b"crtt", b"mdft", b"itai", b"cmex", b"uuid", b"free", b"skip"];
/// Item types that hold or combine pixels; items of every other type are metadata.
const PIXEL_ITEMS: &[&[u8; 4]] = &[
    b"hvc1", b"hev1", b"lhv1", b"hvt1", b"av01", b"avc1", b"svc1", b"vvc1", b"vvs1", b"evc1", b"evs1", b"j2k1",
    b"jpeg", b"unci", b"mski", b"iden", b"grid", b"iovl", b"tmap",
];
/// Type of the box that says how a film lies on a sphere: needed to show it (Spherical Video V1), and without a place.
const SPHERICAL: [u8; 16] =
    [0xff, 0xcc, 0x82, 0x63, 0xf8, 0x55, 0x4a, 0x93, 0x88, 0x14, 0x58, 0x7a, 0x02, 0x52, 0x1f, 0xdd];
/// An Exif item that says nothing: no bytes before the TIFF header, a header, a directory without entries.
const EMPTY_EXIF: [u8; 18] = *b"\0\0\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0";

const NO_SIZES: Damage = Damage("a track has no sizes");

/// Whether `bytes` start as such files do.
pub fn is_one(bytes: &[u8]) -> bool {
    let kinds: [&[u8]; 6] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"];
    bytes.get(4..8).is_some_and(|kind| kinds.contains(&kind))
}

/// Overwrites the metadata of a file; false when something stays that may tell a place, too. An error, and nothing
/// changed, when it is not understood to its end.
pub fn clean(bytes: &mut [u8]) -> Result<bool, Damage> {
    let mut scan = Scan {
        bytes,
        blanks: Blanks::of(bytes.len()),
        renamed: Vec::new(),
        exif: Vec::new(),
        boxes: 0,
        has_words: false,
    };
    scan.file()?;
    let Scan { blanks, renamed, exif, has_words, .. } = scan;
    blanks.apply(bytes);
    for kind_at in renamed {
        bytes[kind_at..kind_at + 4].copy_from_slice(b"free");
    }
    for at in exif {
        bytes[at..at + EMPTY_EXIF.len()].copy_from_slice(&EMPTY_EXIF);
    }
    Ok(!has_words)
}

/// A box: its type, where the four bytes of the type stand, and its payload.
#[derive(Debug, Clone)]
struct BoxAt {
    kind: [u8; 4],
    kind_at: usize,
    payload: Range<usize>,
}

struct Scan<'a> {
    bytes: &'a [u8],
    blanks: Blanks,
    /// Places of the types of boxes that become `free`.
    renamed: Vec<usize>,
    /// Starts of the Exif items that are long enough for [`EMPTY_EXIF`].
    exif: Vec<usize>,
    boxes: usize,
    /// Whether there is a track of [`READ`].
    has_words: bool,
}

impl Scan<'_> {
    fn file(&mut self) -> Result<(), Damage> {
        let all = self.children(0..self.bytes.len())?;
        let (mut hidden_tracks, mut fragmented) = (false, false);
        for part in all {
            match &part.kind {
                // Canon's raw pictures keep in a `uuid` what decoding needs.
                b"ftyp" if self.bytes[part.payload.clone()].starts_with(b"crx ") => return Err(Damage("it is raw")),
                b"moov" => hidden_tracks |= self.movie(part.payload)?,
                b"moof" => {
                    fragmented = true;
                    self.fragment(part.payload)?;
                }
                b"meta" => self.meta(&part)?,
                _ => self.free_unless(&part, IN_FILE)?,
            }
        }
        // Where the samples of fragments lie is told by each fragment; those of hidden tracks are not looked for.
        if hidden_tracks && fragmented { Err(Damage("it has a hidden track in fragments")) } else { Ok(()) }
    }

    /// The boxes in a range, which they must fill.
    fn children(&mut self, range: Range<usize>) -> Result<Vec<BoxAt>, Damage> {
        let mut found = Vec::new();
        let mut at = range.start;
        while at < range.end {
            // QuickTime ends some lists with four bytes of zero.
            if range.end - at < 8 && self.bytes[at..range.end].iter().all(|byte| *byte == 0) {
                break;
            }
            self.boxes += 1;
            if self.boxes > BOXES_MAX {
                return Err(Damage("it has too many boxes"));
            }
            let kind = array(self.bytes, at + 4)?;
            let (header, size) = match u32::from_be_bytes(array(self.bytes, at)?) {
                0 => (8, range.end - at),
                1 => (16, usize::try_from(u64::from_be_bytes(array(self.bytes, at + 8)?)).unwrap_or(usize::MAX)),
                size => (8, size as usize),
            };
            let end = at.checked_add(size).filter(|end| *end <= range.end && size >= header);
            let end = end.ok_or(Damage("a box does not end where it should"))?;
            found.push(BoxAt { kind, kind_at: at + 4, payload: at + header..end });
            at = end;
        }
        Ok(found)
    }

    fn free(&mut self, part: &BoxAt) -> Result<(), Damage> {
        self.renamed.push(part.kind_at);
        self.zero(part.payload.clone())
    }

    /// Overwrites a box whose kind is not among those that stay.
    fn free_unless(&mut self, part: &BoxAt, stay: &[&[u8; 4]]) -> Result<(), Damage> {
        if stay.contains(&&part.kind) { Ok(()) } else { self.free(part) }
    }

    fn zero(&mut self, range: Range<usize>) -> Result<(), Damage> {
        self.blanks.add(range.start as u64, range.len() as u64)
    }

    /// True when it had a track that nobody sees or hears.
    fn movie(&mut self, range: Range<usize>) -> Result<bool, Damage> {
        let mut hidden = false;
        for part in self.children(range)? {
            match &part.kind {
                b"mvhd" => self.times(&part)?,
                b"trak" => hidden |= self.track(&part)?,
                b"cmov" => return Err(Damage("its tracks are compressed")),
                _ => self.free_unless(&part, IN_MOVIE)?,
            }
        }
        Ok(hidden)
    }

    fn fragment(&mut self, range: Range<usize>) -> Result<(), Damage> {
        for part in self.children(range)? {
            self.free_unless(&part, IN_FRAGMENT)?;
            if &part.kind == b"traf" {
                for inner in self.children(part.payload)? {
                    self.free_unless(&inner, IN_TRACK_FRAGMENT)?;
                }
            }
        }
        Ok(())
    }

    /// Overwrites when it was made and changed: the first two fields of `mvhd`, `tkhd` and `mdhd`.
    fn times(&mut self, part: &BoxAt) -> Result<(), Damage> {
        let [version] = array::<1>(self.bytes, part.payload.start)?;
        let length = if version == 1 { 16 } else { 8 };
        let start = part.payload.start + 4;
        if start + length > part.payload.end {
            return Err(Damage("a box is too short"));
        }
        self.zero(start..start + length)
    }

    /// True when it is of a kind that nobody sees or hears; it is overwritten then, and so is what it points at.
    fn track(&mut self, track: &BoxAt) -> Result<bool, Damage> {
        let parts = self.children(track.payload.clone())?;
        let media = parts.iter().find(|part| &part.kind == b"mdia").ok_or(Damage("a track has no media"))?;
        let media = self.children(media.payload.clone())?;
        let handler = media.iter().find(|part| &part.kind == b"hdlr").ok_or(Damage("a track has no handler"))?;
        let kind: [u8; 4] = array(self.bytes, handler.payload.start + 8)?;
        let information = media.iter().find(|part| &part.kind == b"minf").map(|part| part.payload.clone());
        let information = self.children(information.unwrap_or_default())?;
        let table = information.iter().find(|part| &part.kind == b"stbl").map(|part| part.payload.clone());
        let table = table.unwrap_or_default();
        self.has_words |= READ.contains(&&kind);
        if !PERCEIVED.contains(&&kind) && !READ.contains(&&kind) {
            self.samples(table)?;
            self.free(track)?;
            return Ok(true);
        }
        for part in self.children(table)? {
            self.free_unless(&part, IN_SAMPLE_TABLE)?;
        }
        for part in &information {
            self.free_unless(part, IN_INFORMATION)?;
        }
        for part in &media {
            match &part.kind {
                b"mdhd" => self.times(part)?,
                _ => self.free_unless(part, IN_MEDIA)?,
            }
        }
        for part in &parts {
            match &part.kind {
                b"tkhd" => self.times(part)?,
                b"uuid" if self.bytes[part.payload.clone()].starts_with(&SPHERICAL) => {}
                _ => self.free_unless(part, IN_TRACK)?,
            }
        }
        Ok(false)
    }

    /// Overwrites all samples of a track: chunk by chunk, as many as `stsc` says, each as long as `stsz` says.
    fn samples(&mut self, table: Range<usize>) -> Result<(), Damage> {
        let parts = self.children(table)?;
        let payload = |kind: &[u8; 4]| parts.iter().find(|part| &part.kind == kind).map(|part| part.payload.clone());
        let chunks = match (payload(b"stco"), payload(b"co64")) {
            (Some(list), _) => self.list(list, 4, 4)?.map(|at| at.0).collect::<Vec<_>>(),
            (None, Some(list)) => self.list(list, 4, 8)?.map(|at| at.0).collect(),
            (None, None) => return Ok(()),
        };
        let runs: Vec<(u64, u64)> = self.list(payload(b"stsc").ok_or(NO_SIZES)?, 4, 12)?.collect();
        let sizes = payload(b"stsz").ok_or(NO_SIZES)?;
        let same = u64::from(u32::from_be_bytes(array(self.bytes, sizes.start + 4)?));
        let sizes: Vec<u64> = match same {
            0 => self.list(sizes, 8, 4)?.map(|size| size.0).collect(),
            _ => Vec::new(),
        };
        let (mut sample, mut run) = (0_usize, 0_usize);
        for (number, chunk) in (1_u64..).zip(chunks) {
            while runs.get(run + 1).is_some_and(|next| next.0 <= number) {
                run += 1;
            }
            let count = runs.get(run).map_or(0, |run| run.1);
            let bytes = match same {
                0 => {
                    let from = sample.min(sizes.len());
                    let to = from.saturating_add(usize::try_from(count).unwrap_or(usize::MAX)).min(sizes.len());
                    sample = to;
                    sizes[from..to].iter().sum()
                }
                _ => same.saturating_mul(count),
            };
            self.blanks.add(chunk, bytes)?;
        }
        Ok(())
    }

    /// The entries of a box that is a list with its length, 32 bits, at `count_at`: of each the first number, and the
    /// second where it has one.
    fn list(
        &self,
        payload: Range<usize>,
        count_at: usize,
        entry_bytes: usize,
    ) -> Result<impl Iterator<Item = (u64, u64)>, Damage> {
        let payload = &self.bytes[payload];
        let count = u32::from_be_bytes(array(payload, count_at)?) as usize;
        if count > ENTRIES_MAX {
            return Err(Damage("a list is too long"));
        }
        let bytes = count.checked_mul(entry_bytes).and_then(|length| payload.get(count_at + 4..)?.get(..length));
        let entries = bytes.ok_or(Damage("a list ends too early"))?.chunks_exact(entry_bytes);
        Ok(entries.map(move |entry| match entry_bytes {
            8 => (number(entry), 0),
            _ => (number(&entry[..4]), entry.get(4..8).map_or(0, number)),
        }))
    }

    /// The `meta` of a file: that of a picture loses its metadata items, every other one goes.
    fn meta(&mut self, meta: &BoxAt) -> Result<(), Damage> {
        let inner = meta.payload.start + 4..meta.payload.end;
        if inner.start > inner.end {
            return Err(Damage("a box is too short"));
        }
        let parts = self.children(inner)?;
        let handler = parts.iter().find(|part| &part.kind == b"hdlr");
        let is_picture = match handler {
            Some(handler) => array(self.bytes, handler.payload.start + 8)? == *b"pict",
            None => false,
        };
        if !is_picture {
            return self.free(meta);
        }
        let mut kinds = HashMap::new();
        for part in &parts {
            match &part.kind {
                b"iinf" => kinds = self.item_kinds(part.payload.clone())?,
                b"iprp" => self.properties(part.payload.clone())?,
                _ => self.free_unless(part, IN_PICTURE)?,
            }
        }
        kinds.retain(|_, kind| !PIXEL_ITEMS.contains(&&*kind));
        if kinds.is_empty() {
            return Ok(());
        }
        let data = parts.iter().find(|part| &part.kind == b"idat").map(|part| part.payload.start);
        let places = parts.iter().find(|part| &part.kind == b"iloc").ok_or(Damage("its items are nowhere"))?;
        self.items(places.payload.clone(), data, &kinds)
    }

    /// Names, descriptions and times that are properties of items; the others say how to show them.
    fn properties(&mut self, range: Range<usize>) -> Result<(), Damage> {
        for part in self.children(range)? {
            match &part.kind {
                b"ipma" => continue,
                b"ipco" => {}
                _ => {
                    self.free(&part)?;
                    continue;
                }
            }
            for property in self.children(part.payload)? {
                if TELLING.contains(&&property.kind) {
                    self.free(&property)?;
                } else if !SHOWING.contains(&&property.kind) {
                    // An item may be no picture without it.
                    return Err(Damage("it has a property that is not known"));
                }
            }
        }
        Ok(())
    }

    /// Item id → type.
    fn item_kinds(&mut self, range: Range<usize>) -> Result<HashMap<u64, [u8; 4]>, Damage> {
        let [version] = array::<1>(self.bytes, range.start)?;
        let entries = range.start + if version == 0 { 6 } else { 8 };
        let mut kinds = HashMap::new();
        for entry in self.children(entries.min(range.end)..range.end)? {
            let at = entry.payload.start;
            let [version] = array::<1>(self.bytes, at)?;
            let (id, after) = match version {
                2 => (number(&array::<2>(self.bytes, at + 4)?), at + 6),
                3 => (number(&array::<4>(self.bytes, at + 4)?), at + 8),
                _ => return Err(Damage("its items have no types")),
            };
            kinds.insert(id, array(self.bytes, after + 2)?);
        }
        Ok(kinds)
    }

    /// Overwrites the items in `kinds`, wherever `iloc` says that they lie.
    fn items(&mut self, range: Range<usize>, data: Option<usize>, kinds: &HashMap<u64, [u8; 4]>) -> Result<(), Damage> {
        let mut at = range.start;
        let mut take = |bytes: usize| -> Result<u64, Damage> {
            let found = self.bytes.get(at..at.saturating_add(bytes)).filter(|_| at + bytes <= range.end);
            at += bytes;
            found.map(number).ok_or(Damage("a list ends too early"))
        };
        let version = take(1)?;
        take(3)?;
        let (sizes, more_sizes) = (take(1)? as usize, take(1)? as usize);
        let index_bytes = if version == 0 { 0 } else { more_sizes & 15 };
        let id_bytes = if version < 2 { 2 } else { 4 };
        let (mut places, mut extents) = (Vec::new(), 0);
        for _ in 0..take(id_bytes)? {
            let id = take(id_bytes)?;
            let method = if version == 0 { 0 } else { take(2)? & 15 };
            let elsewhere = take(2)? != 0;
            let base = take(more_sizes >> 4)?;
            let count = take(2)?;
            extents += count;
            if extents > EXTENTS_MAX {
                return Err(Damage("its items have too many parts"));
            }
            for extent in 0..count {
                take(index_bytes)?;
                let (offset, length) = (take(sizes >> 4)?, take(sizes & 15)?);
                if let Some(kind) = kinds.get(&id).filter(|_| !elsewhere) {
                    places.push((*kind, extent, method, base.saturating_add(offset), length));
                }
            }
        }
        for (kind, extent, method, offset, length) in places {
            let start = match (method, data) {
                (0, _) => offset,
                (1, Some(data)) => offset.saturating_add(data as u64),
                _ => return Err(Damage("an item is put together from others")),
            };
            // A length of zero stands for everything to the end, which would be the picture too.
            if length == 0 {
                return Err(Damage("an item has no length"));
            }
            self.blanks.add(start, length)?;
            if &kind == b"Exif" && extent == 0 && length >= EMPTY_EXIF.len() as u64 {
                self.exif.extend(usize::try_from(start));
            }
        }
        Ok(())
    }
}

/// A big-endian number of up to 8 bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}
