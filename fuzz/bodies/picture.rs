//! Any picture: no panic, and what is left of it is the same when it is cleaned again. Compiled by the fuzz target and
//! by the test that replays the seeds, both of which have a `crate::strip`.

use crate::strip::{Refusal, Stripped, coarse, gif, jpeg, png, webp};

/// Pixels of a picture, at most.
const PIXELS_MAX: u64 = 10_000;

type Strip = fn(&[u8], u64) -> Result<Stripped<'_>, Refusal>;

pub fn run(data: &[u8]) {
    let strip: Strip = match data {
        [0xff, 0xd8, ..] => jpeg,
        [0x89, ..] => png,
        [b'G', ..] => gif,
        _ => webp,
    };
    let Ok(once) = strip(data, PIXELS_MAX) else { return };
    assert!(u64::from(once.size.0) * u64::from(once.size.1) <= PIXELS_MAX);
    let twice = strip(&once.bytes, PIXELS_MAX).unwrap();
    assert!(twice.bytes == once.bytes && twice.exif.is_none(), "cleaned again, it is another picture");
    assert_eq!((twice.size, &twice.profile, twice.work), (once.size, &once.profile, once.work));
    if data.starts_with(&[0xff, 0xd8]) {
        let means = coarse(&once.bytes).unwrap();
        assert!(means.len() <= once.bytes.len());
        // Scans with nothing but details leave nothing.
        if let Ok(means) = jpeg(&means, PIXELS_MAX) {
            assert_eq!(means.work.samples, once.work.coarse_samples);
        }
    }
}
