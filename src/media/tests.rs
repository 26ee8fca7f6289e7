//! Files whose metadata is overwritten in place: real ones of `tests/api/media`, and what is built or broken here.

use proptest::prelude::*;

use super::{isobmff, tiff};

const HEIC: &[u8] = include_bytes!("../../tests/api/media/place.heic");
const AVIF: &[u8] = include_bytes!("../../tests/api/media/place.avif");
const TIFF: &[u8] = include_bytes!("../../tests/api/media/place.tiff");
const MP4: &[u8] = include_bytes!("../../tests/api/media/place.mp4");
const MOV: &[u8] = include_bytes!("../../tests/api/media/place.mov");
const FRAGMENTS: &[u8] = include_bytes!("../../tests/api/media/fragments.mp4");
const ALL: [&[u8]; 6] = [HEIC, AVIF, TIFF, MP4, MOV, FRAGMENTS];

fn clean(bytes: &mut [u8]) -> bool {
    if tiff::is_one(bytes) { tiff::clean(bytes) } else { isobmff::clean(bytes) }.unwrap_or(false)
}

fn cleaned(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    assert!(clean(&mut bytes));
    bytes
}

fn holds(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

fn boxed(kind: &[u8; 4], payload: &[&[u8]]) -> Vec<u8> {
    let payload = payload.concat();
    [&u32::try_from(payload.len() + 8).unwrap().to_be_bytes()[..], kind, &payload].concat()
}

/// A track whose samples are the bytes `samples` of the file.
fn track(handler: &[u8; 4], samples: std::ops::Range<usize>) -> Vec<u8> {
    let number = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let one = number(1);
    let table = boxed(
        b"stbl",
        &[
            &boxed(b"stsc", &[&[0; 4], &one, &one, &number(2), &one]),
            &boxed(b"stsz", &[&[0; 8], &number(2), &number(3), &number(samples.len() - 3)]),
            &boxed(b"stco", &[&[0; 4], &one, &number(samples.start)]),
        ],
    );
    let handler = boxed(b"hdlr", &[&[0; 8], handler, &[0; 13]]);
    boxed(b"trak", &[&boxed(b"mdia", &[&handler, &boxed(b"minf", &[&table])])])
}

#[test]
fn nothing_of_the_place_is_left_and_nothing_else_moves() {
    // Degrees and minutes as rationals, in both orders of bytes.
    let degrees: [&[u8]; 2] =
        [b"\x34\0\0\0\x01\0\0\0\x1f\0\0\0\x01\0\0\0", b"\0\0\0\x34\0\0\0\x01\0\0\0\x1f\0\0\0\x01"];
    let mut found = 0;
    for file in ALL {
        let clean = cleaned(file);
        assert_eq!(clean.len(), file.len());
        let signs: Vec<&[u8]> =
            degrees.into_iter().chain([&b"Berlin"[..], b"SN-4711", b"+52.5200", b"Camera"]).collect();
        for sign in signs {
            found += usize::from(holds(file, sign));
            assert!(!holds(&clean, sign), "{sign:?}");
        }
        let changed = file.iter().zip(&clean).filter(|(before, after)| before != after).count();
        // Most of these small files is metadata.
        assert!(changed > 0 && changed < file.len() * 9 / 10, "{changed} of {}", file.len());
        assert_eq!(cleaned(&clean), clean, "a second time changes nothing");
    }
    assert!(found >= 15, "the files hold what is looked for: {found}");
}

#[test]
fn the_way_of_an_action_camera_goes_and_picture_and_sound_stay() {
    const WAY: &[u8] = b"GPS5 52.5200 13.4050";
    const SEEN: &[u8] = b"picture and sound!!!";
    let start = boxed(b"ftyp", &[b"isom\0\0\0\0"]);
    let at = start.len() + 8;
    let file = |hidden: &[u8; 4], more: &[u8]| {
        let media = boxed(b"mdat", &[WAY, SEEN]);
        let tracks = [track(b"vide", at + WAY.len()..at + 2 * WAY.len()), track(hidden, at..at + WAY.len())].concat();
        [&start[..], &media, &boxed(b"moov", &[&tracks]), more].concat()
    };
    for hidden in [b"meta", b"camm", b"gpmd"] {
        let clean = cleaned(&file(hidden, &[]));
        assert!(!holds(&clean, WAY) && !holds(&clean, b"GPS5") && holds(&clean, SEEN));
        assert!(!holds(&clean, hidden) && holds(&clean, b"vide"));
    }
    assert!(holds(&cleaned(&file(b"soun", &[])), WAY));
    // In fragments the samples are not found; the uploader is told.
    let mut fragmented = file(b"meta", &boxed(b"moof", &[]));
    let before = fragmented.clone();
    assert!(!clean(&mut fragmented) && fragmented == before);
}

#[test]
fn what_is_not_known_to_be_needed_goes_wherever_it_hides() {
    const WAY: &[u8] = b"+52.5200+013.4050/";
    let seen = track(b"vide", 0..8);
    let film = |movie: &[u8], more: &[u8]| {
        [&boxed(b"ftyp", &[b"isom\0\0\0\0"])[..], &boxed(b"moov", &[&seen, movie]), more].concat()
    };
    for kind in [b"gps ", b"udta", b"meta", b"uuid", b"zzzz"] {
        let hidden = boxed(kind, &[&[0; 4], WAY]);
        assert!(!holds(&cleaned(&film(&hidden, &[])), WAY), "{kind:?} in a film");
        if kind == b"meta" {
            continue;
        }
        assert!(!holds(&cleaned(&film(&[], &hidden)), WAY), "{kind:?} in a file");
        assert!(!holds(&cleaned(&[HEIC, &hidden].concat()), WAY), "{kind:?} beside a picture");
    }
    // The film of a motion photo.
    assert!(!holds(&cleaned(&[HEIC, &boxed(b"mpvd", &[&film(&boxed(b"udta", &[WAY]), &[])])].concat()), WAY));
    // What may tell a place and is needed: subtitles, compressed tracks. The uploader is told.
    for mut told in [film(&track(b"sbtl", 0..8), &[]), film(&boxed(b"cmov", &[WAY]), &[])] {
        assert!(!clean(&mut told));
    }
    // Every entry of a TIFF that is not known, inline or not.
    for tag in [0x8298_u16, 0x9286, 0x9c9d, 0x9c9e, 0x9c9f, 0xa430, 0xa480, 0xc634, 0xfffe] {
        let entry = [&tag.to_le_bytes()[..], &[2, 0], &18_u32.to_le_bytes(), &26_u32.to_le_bytes()].concat();
        let file = [&b"II*\0\x08\0\0\0\x01\0"[..], &entry, &[0; 4], WAY].concat();
        assert!(!holds(&cleaned(&file), WAY), "{tag:x}");
    }
}

#[test]
fn a_raw_picture_and_a_map_stay_as_they_came() {
    let tiff = |tag: u16, value: u32| {
        let entry = |tag: u16, value: u32| [&tag.to_le_bytes()[..], &[4, 0, 1, 0, 0, 0], &value.to_le_bytes()].concat();
        [&b"II*\0\x08\0\0\0\x02\0"[..], &entry(0x010f, 7), &entry(tag, value), &[0; 4]].concat()
    };
    for (tag, value, understood) in [(0x0100, 5, true), (0xc612, 1, false), (0x0106, 32_803, false), (0x8482, 1, false)]
    {
        let mut file = tiff(tag, value);
        let before = file.clone();
        assert_eq!(clean(&mut file), understood, "{tag:x}");
        assert_eq!(file == before, !understood, "{tag:x}");
    }
    let mut raw =
        [boxed(b"ftyp", &[b"crx \0\0\0\x01crx isom"]), boxed(b"moov", &[&boxed(b"uuid", &[&[7; 40]])])].concat();
    assert!(!clean(&mut raw));
}

#[test]
fn a_small_file_that_points_at_itself_without_end_costs_little() {
    // A directory that follows itself; 65,535 entries that all point at the same megabyte; items of 65,535 parts each.
    assert!(!clean(&mut b"II*\0\x08\0\0\0\0\0\x08\0\0\0".to_vec()));
    let entry = [&0x010f_u16.to_le_bytes()[..], &[1, 0, 0, 0, 0x10, 0], &[0; 4]].concat();
    let mut same = [&b"II*\0\x08\0\0\0\xff\xff"[..], &entry.repeat(65_535), &[0; 4], &vec![1; 1 << 20]].concat();
    assert!(clean(&mut same));
    // Entries that each name a thousand directories, all the same ones.
    let many = [&0x014a_u16.to_le_bytes()[..], &[4, 0], &300_000_u32.to_le_bytes(), &[8, 0, 0, 0]].concat();
    let head = b"II*\0\x08\0\0\0\x60\xea";
    assert!(!clean(&mut [&head[..], &many.repeat(60_000), &[0; 4], &vec![0; 1 << 20]].concat()));
    let item = |id: u16| [&id.to_be_bytes()[..], &[0, 0, 0xff, 0xff]].concat();
    let items: Vec<u8> = (0..50_000).flat_map(item).collect();
    let places = boxed(b"iloc", &[&[0; 4], &[0, 0], &50_000_u16.to_be_bytes(), &items]);
    let named = boxed(b"infe", &[&[2, 0, 0, 0, 0, 1, 0, 0], b"Exif\0"]);
    let meta = boxed(
        b"meta",
        &[
            &[0; 4],
            &boxed(b"hdlr", &[&[0; 8], b"pict", &[0; 13]]),
            &boxed(b"iinf", &[&[0, 0, 0, 0, 0, 1], &named]),
            &places,
        ],
    );
    assert!(!clean(&mut [boxed(b"ftyp", &[b"heic"]), meta].concat()));
}

proptest! {
    #[test]
    fn a_broken_file_keeps_its_length_and_what_is_not_understood_keeps_its_bytes(
        file in 0..ALL.len(), cut in 0.0..1.2_f64, edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut bytes = ALL[file].to_vec();
        bytes.truncate((bytes.len() as f64 * cut) as usize);
        for (at, value) in edits {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = value;
            }
        }
        let before = bytes.clone();
        let understood = clean(&mut bytes);
        prop_assert_eq!(bytes.len(), before.len());
        prop_assert!(understood || bytes == before);
    }
}
