//! Seeds that the fuzz targets run, on stable and without libFuzzer: every seed, each of its beginnings, and each with
//! one bit changed. `scripts/fuzz` goes on from the same seeds; an input that it finds becomes one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what a body cannot stand is a failed test")]

use std::path::Path;

use fanfare::media::strip;
use fanfare::posts::text;
use fanfare_engines::random::Random;

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

/// Random changes of the seeds of pictures, several at a time: `FANFARE_TEST_RUNS=1200` makes 1,200 times a thousand of
/// them.
#[test]
fn pictures_stand_random_changes_of_their_seeds() {
    let number = |name: &str| std::env::var(name).ok().and_then(|number| number.parse::<u64>().ok());
    let (first, runs) = (number("FANFARE_TEST_SEED").unwrap_or_default(), number("FANFARE_TEST_RUNS").unwrap_or(2));
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/picture");
    let mut paths: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let seeds: Vec<Vec<u8>> = paths.iter().map(|path| std::fs::read(path).unwrap()).collect();
    for run in first..first + runs {
        let mut dice = Random::new(run);
        for _ in 0..1_000 {
            let mut data = seeds[dice.below(seeds.len() as u64) as usize].clone();
            for _ in 0..=dice.below(6) {
                change(&mut data, &seeds, &mut dice);
            }
            let kept = data.clone();
            if std::panic::catch_unwind(|| picture::run(&data)).is_err() {
                let broken = std::env::temp_dir().join(format!("fanfare-picture-{run}"));
                std::fs::write(&broken, kept).unwrap();
                panic!("run {run}: {} breaks it", broken.display());
            }
        }
    }
}

/// Changes some bytes: others, fewer, more, or a part of another seed.
fn change(data: &mut Vec<u8>, seeds: &[Vec<u8>], dice: &mut Random) {
    if data.is_empty() {
        return data.push(0xff);
    }
    let at = dice.below(data.len() as u64) as usize;
    match dice.below(6) {
        0 => data[at] ^= 1 << dice.below(8),
        1 => data[at] = dice.below(256) as u8,
        2 => data.truncate(at),
        3 => {
            let end = (at + 1 + dice.below(16) as usize).min(data.len());
            drop(data.drain(at..end));
        }
        4 => {
            let end = (at + 1 + dice.below(64) as usize).min(data.len());
            let part = data[at..end].to_vec();
            drop(data.splice(at..at, part));
        }
        _ => {
            let other = &seeds[dice.below(seeds.len() as u64) as usize];
            let from = dice.below(other.len().max(1) as u64) as usize;
            let to = (from + 1 + dice.below(64) as usize).min(other.len());
            drop(data.splice(at..at, other.get(from..to).unwrap_or_default().to_vec()));
        }
    }
}
