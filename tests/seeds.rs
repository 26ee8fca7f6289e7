//! Seeds that the fuzz targets run, on stable and without libFuzzer: every seed, each of its beginnings, and each with
//! one bit changed. `scripts/fuzz` goes on from the same seeds; an input that it finds becomes one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what a body cannot stand is a failed test")]

use std::path::Path;

use fanfare::media::strip;
use fanfare::posts::text;

#[path = "../fuzz/bodies/client_frame.rs"]
mod client_frame;
#[path = "../fuzz/bodies/opening.rs"]
mod opening;
#[path = "../fuzz/bodies/picture.rs"]
mod picture;
#[path = "../fuzz/bodies/text.rs"]
mod text_body;
#[path = "../fuzz/bodies/websocket.rs"]
mod websocket_body;

/// Seeds of more bytes are run as they are, and not changed.
const CHANGED_BYTES_MAX: usize = 400;

/// Runs `body` over the seeds of `target` and what is near them.
fn replay(target: &str, body: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut seeds = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let mut seed = std::fs::read(&path).unwrap();
        seeds += 1;
        println!("{}", path.display());
        body(&seed);
        if seed.len() > CHANGED_BYTES_MAX {
            continue;
        }
        (0..seed.len()).for_each(|end| body(&seed[..end]));
        for bit in 0..seed.len() * 8 {
            seed[bit / 8] ^= 1 << (bit % 8);
            body(&seed);
            seed[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert!(seeds > 0, "{} has no seeds", folder.display());
}

#[test]
fn the_codec_stands_its_seeds_and_what_is_near_them() {
    replay("websocket", websocket_body::run);
}

#[test]
fn the_opening_stands_its_seeds_and_what_is_near_them() {
    replay("opening", opening::run);
}

#[test]
fn client_frames_stand_their_seeds_and_what_is_near_them() {
    replay("client_frame", client_frame::run);
}

#[test]
fn texts_stand_their_seeds_and_what_is_near_them() {
    replay("text", text_body::run);
}

#[test]
fn pictures_stand_their_seeds_and_what_is_near_them() {
    replay("picture", picture::run);
}
