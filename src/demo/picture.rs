//! Small pictures for the demo: an evening over hills, different for every seed. Pure.

use std::io::Cursor;

use bytes::Bytes;
use fanfare_engines::random::Random;
use image::{ImageFormat, Rgb, RgbImage};

use crate::base::error::{Error, Result};

/// Width in pixels.
const WIDTH: u32 = 480;
/// Height in pixels.
const HEIGHT: u32 = 300;
/// Ranges of hills, from the far one to the near one.
const RANGES: u32 = 4;

/// Skies: the colour above and the colour at the horizon.
const SKIES: [([f32; 3], [f32; 3]); 5] = [
    ([38.0, 44.0, 92.0], [248.0, 168.0, 112.0]),
    ([24.0, 58.0, 104.0], [250.0, 204.0, 140.0]),
    ([70.0, 40.0, 88.0], [244.0, 132.0, 120.0]),
    ([92.0, 152.0, 200.0], [240.0, 232.0, 208.0]),
    ([16.0, 24.0, 56.0], [120.0, 140.0, 190.0]),
];

/// Alternative text of these pictures, for those who cannot see them.
pub const ALT: &str = "A drawn evening sky above rolling hills";

fn mix(from: [f32; 3], to: [f32; 3], share: f32) -> [f32; 3] {
    std::array::from_fn(|index| from[index] + (to[index] - from[index]) * share)
}

fn pixel(colour: [f32; 3]) -> Rgb<u8> {
    Rgb(colour.map(|value| value.clamp(0.0, 255.0) as u8))
}

/// A picture as PNG, the same for the same seed.
///
/// # Errors
/// When it cannot be encoded.
pub fn evening(seed: u64) -> Result<Bytes> {
    let mut random = Random::new(seed);
    let mut share = |least: f32, most: f32| least + (most - least) * random.below(1_000) as f32 / 1_000.0;
    let (above, horizon) = SKIES[(seed % SKIES.len() as u64) as usize];
    let (sun_x, sun_y, sun_radius) = (share(0.2, 0.8), share(0.35, 0.6), share(14.0, 30.0));
    let waves: Vec<[f32; 4]> =
        (0..RANGES).map(|_| [share(0.006, 0.016), share(0.0, 6.3), share(0.02, 0.05), share(0.0, 6.3)]).collect();
    let picture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        let (across, down) = (x as f32, y as f32 / HEIGHT as f32);
        // The nearest range that reaches up to here hides what is behind it.
        for (range, [slow, slow_at, quick, quick_at]) in waves.iter().enumerate().rev() {
            let height = (across * slow + slow_at).sin() * 0.06 + (across * quick + quick_at).sin() * 0.015;
            if down > 0.55 + 0.11 * range as f32 + height {
                let near = (range as f32 + 1.0) / RANGES as f32;
                return pixel(mix(mix(above, horizon, 0.5), [18.0, 30.0, 40.0], near));
            }
        }
        let (from_x, from_y) = (across - sun_x * WIDTH as f32, (down - sun_y) * HEIGHT as f32);
        if from_x.hypot(from_y) < sun_radius {
            return pixel([255.0, 240.0, 208.0]);
        }
        pixel(mix(above, horizon, (down / 0.7).min(1.0)))
    });
    let mut bytes = Cursor::new(Vec::new());
    let encoded = picture.write_to(&mut bytes, ImageFormat::Png);
    encoded.map_err(|cause| Error::Internal(format!("a demo picture: {cause}")))?;
    Ok(bytes.into_inner().into())
}
