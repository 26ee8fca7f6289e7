//! QR codes of short addresses, as SVG. Pure.

use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use crate::base::error::{Error, Result};

/// Pixels that a module of the code has at least.
const MODULE_PIXELS: u32 = 8;

/// The picture of `text`, with a quiet zone of four modules.
///
/// # Errors
/// When the text is too long for a QR code.
pub fn svg(text: &str) -> Result<String> {
    let code = QrCode::with_error_correction_level(text, EcLevel::M);
    let code = code.map_err(|error| Error::Internal(format!("no QR code of {} bytes: {error}", text.len())))?;
    Ok(code.render::<svg::Color<'_>>().module_dimensions(MODULE_PIXELS, MODULE_PIXELS).quiet_zone(true).build())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Modules of the path in the picture: the renderer draws `Mx yhWvH…` squares, in pixels.
    fn modules(svg: &str) -> (usize, Vec<(usize, usize)>) {
        let between = |text: &str, from: &str, to: &str| {
            let start = text.find(from).unwrap() + from.len();
            text[start..].split(to).next().unwrap().to_owned()
        };
        let pixels = MODULE_PIXELS as usize;
        let side = between(svg, "width=\"", "\"").parse::<usize>().unwrap() / pixels;
        let path = between(svg, " d=\"", "\"");
        let squares = path.split('M').skip(1).map(|square| {
            let numbers: Vec<usize> =
                square.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect();
            (numbers[0] / pixels, numbers[1] / pixels, numbers[2] / pixels)
        });
        let dark = squares.flat_map(|(x, y, width)| (x..x + width).map(move |x| (x, y))).collect();
        (side, dark)
    }

    #[test]
    fn a_reader_finds_the_address_in_the_picture() {
        for text in [
            "https://s.example/3x5pu",
            "https://example.org/s/aVeryLongAlias_with-64-characters_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        ] {
            let (side, dark) = modules(&svg(text).unwrap());
            assert!(dark.iter().all(|(x, y)| (4..side - 4).contains(x) && (4..side - 4).contains(y)), "the quiet zone");
            let inside = |x: usize, y: usize| dark.contains(&(x + 4, y + 4));
            let grid = rqrr::Grid::new(rqrr::SimpleGrid::from_func(side - 8, inside));
            let (meta, content) = grid.decode().unwrap();
            assert_eq!((content.as_str(), meta.ecc_level), (text, 0), "level M is written as 0");
        }
    }
}
