//! The picture of the curves.

use super::super::svg::{self, Panel, Series};
use super::curves::Curves;
use super::machine::Machine;

/// The cost of a delivery and of a read, by size, as SVG.
pub fn draw(curves: &Curves, machine: &Machine) -> String {
    let panels = [
        Panel {
            title: "Cost of a delivery",
            x: "materialised timelines (rings of 800, full)",
            y: "nanoseconds, one core",
            series: vec![
                Series { name: "Fanfare", points: curves.deliveries.iter().map(|point| (point.0, point.1)).collect() },
                Series {
                    name: "bare scatter loop",
                    points: curves.deliveries.iter().map(|point| (point.0, point.2)).collect(),
                },
            ],
        },
        Panel {
            title: "Cost of a feed page of 20",
            x: "followees of the reader",
            y: "microseconds, median",
            series: vec![
                Series {
                    name: "timeline at hand",
                    points: curves.reads.iter().map(|point| (point.0, point.1)).collect(),
                },
                Series {
                    name: "built for the page",
                    points: curves.rebuilds.iter().map(|point| (point.0, point.1)).collect(),
                },
            ],
        },
    ];
    let from = format!("fanfare bench feed · {}", machine.short());
    svg::curves(&panels, "Cost of a delivery and of a read, by size", &from)
}
