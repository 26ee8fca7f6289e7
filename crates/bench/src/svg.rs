//! Draws pictures that can be read on light and on dark ground: panels of curves on logarithmic axes, and bars.

use std::fmt::Write as _;

use super::machine::Machine;
use super::report::figure;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 440.0;
/// Plot area of a panel, and where the panels begin.
const PLOT: (f64, f64) = (370.0, 280.0);
const LEFTS: [f64; 2] = [80.0, 560.0];
const TOP: f64 = 60.0;
/// Strong enough on white and on black.
const COLOURS: [&str; 3] = ["#2f7de1", "#e07b00", "#8a63d2"];
const GREY: &str = "#808890";

/// Curve.
pub struct Series<'a> {
    /// Name of what the curve is of.
    pub name: &'a str,
    /// Points of the curve.
    pub points: Vec<(f64, f64)>,
}

/// Curves over the same axes.
pub struct Panel<'a> {
    /// Title above the panel.
    pub title: &'a str,
    /// Label of the axis below, with the unit.
    pub x: &'a str,
    /// Label of the axis beside, with the unit.
    pub y: &'a str,
    /// At most three.
    pub series: Vec<Series<'a>>,
}

/// Panels of curves as SVG.
pub fn curves(panels: &[Panel<'_>], title: &str, from: &str) -> String {
    let mut out = begin(HEIGHT, title);
    for (panel, left) in panels.iter().zip(LEFTS) {
        draw_panel(&mut out, panel, left);
    }
    text(&mut out, (WIDTH / 2.0, HEIGHT - 10.0), "middle", from);
    out.push_str("</svg>\n");
    out
}

fn begin(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"13\" fill=\"{GREY}\" role=\"img\">\n<title>{title}</title>\n"
    )
}

/// A group of bars of one measure.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Title: what is measured, and its unit.
    pub title: String,
    /// Names and values; those of others than Fanfare are drawn grey.
    pub bars: Vec<(String, f64, bool)>,
}

impl Bars {
    /// A group of bars: names, values, and whether they are of what is measured.
    pub fn of(title: &str, bars: &[(&str, f64, bool)]) -> Self {
        let bars = bars.iter().map(|(name, value, is_ours)| ((*name).to_owned(), *value, *is_ours)).collect();
        Self { title: title.to_owned(), bars }
    }
}

/// Groups of bars of a bench as SVG, one below the other, each on its own linear scale.
pub fn bars(groups: &[Bars], (what, bench): (&str, &str), machine: &Machine) -> String {
    const ROW: f64 = 22.0;
    const NAME: f64 = 260.0;
    let rows: usize = groups.iter().map(|group| group.bars.len()).sum();
    let height = 30.0 + rows as f64 * ROW + groups.len() as f64 * 50.0;
    let mut out = begin(height, &format!("{what}: Fanfare beside its peers"));
    let mut y = 30.0;
    for group in groups {
        let _ = writeln!(out, "<g font-size=\"15\" font-weight=\"600\">");
        text(&mut out, (20.0, y), "start", &group.title);
        let _ = writeln!(out, "</g>");
        let most = group.bars.iter().map(|bar| bar.1).fold(f64::MIN_POSITIVE, f64::max);
        for (name, value, ours) in &group.bars {
            y += ROW;
            let colour = if *ours { COLOURS[0] } else { GREY };
            let width = (value / most * (WIDTH - NAME - 110.0)).max(1.0);
            text(&mut out, (NAME - 8.0, y + 4.0), "end", name);
            let _ = writeln!(
                out,
                "<rect x=\"{NAME}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/>",
                y - 8.0
            );
            text(&mut out, (NAME + width + 8.0, y + 4.0), "start", &figure(*value));
        }
        y += 48.0;
    }
    let from = format!("fanfare bench {bench} · {}", machine.short());
    text(&mut out, (WIDTH / 2.0, height - 10.0), "middle", &from);
    out.push_str("</svg>\n");
    out
}

fn draw_panel(out: &mut String, panel: &Panel<'_>, left: f64) {
    let all = || panel.series.iter().flat_map(|series| series.points.iter());
    if all().next().is_none() {
        return;
    }
    let (x, y) = (Axis::over(all().map(|point| point.0)), Axis::over(all().map(|point| point.1)));
    let at = |point: (f64, f64)| (left + x.place(point.0) * PLOT.0, TOP + (1.0 - y.place(point.1)) * PLOT.1);
    let _ = writeln!(out, "<g font-size=\"16\" font-weight=\"600\">");
    text(out, (left, TOP - 30.0), "start", panel.title);
    let _ = writeln!(out, "</g>");
    for tick in x.ticks() {
        let (px, _) = at((tick, y.low));
        line(out, (px, TOP), (px, TOP + PLOT.1));
        text(out, (px, TOP + PLOT.1 + 18.0), "middle", &label(tick));
    }
    for tick in y.ticks() {
        let (_, py) = at((x.low, tick));
        line(out, (left, py), (left + PLOT.0, py));
        text(out, (left - 8.0, py + 4.0), "end", &label(tick));
    }
    text(out, (left + PLOT.0 / 2.0, TOP + PLOT.1 + 42.0), "middle", panel.x);
    let (tx, ty) = (left - 52.0, TOP + PLOT.1 / 2.0);
    let _ = writeln!(out, "<g transform=\"rotate(-90 {tx:.0} {ty:.0})\">");
    text(out, (tx, ty), "middle", panel.y);
    let _ = writeln!(out, "</g>");
    for (number, (series, colour)) in panel.series.iter().zip(COLOURS).enumerate() {
        let points: Vec<String> =
            series.points.iter().map(|point| at(*point)).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2.5\"/>",
            points.join(" ")
        );
        for point in &series.points {
            let (x, y) = at(*point);
            let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>");
        }
        let from = left + 170.0 * number as f64;
        let _ =
            writeln!(out, "<rect x=\"{from:.0}\" y=\"{}\" width=\"14\" height=\"4\" fill=\"{colour}\"/>", TOP - 14.0);
        text(out, (from + 20.0, TOP - 8.0), "start", series.name);
    }
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

fn line(out: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{GREY}\" stroke-opacity=\"0.3\"/>"
    );
}

/// A logarithmic axis from one round number to another.
struct Axis {
    low: f64,
    high: f64,
}

/// Round numbers of a decade.
const ROUND: [f64; 3] = [1.0, 2.0, 5.0];

impl Axis {
    fn over(values: impl Iterator<Item = f64> + Clone) -> Self {
        let lowest = values.clone().fold(f64::MAX, f64::min).max(1e-3);
        let highest = values.fold(lowest, f64::max);
        let below = round_numbers().filter(|round| *round <= lowest * 1.001).last().unwrap_or(lowest);
        let above = round_numbers().find(|round| *round >= highest * 0.999).unwrap_or(highest);
        Self { low: below, high: if above > below { above } else { below * 10.0 } }
    }

    /// Place of `value` on the scale, 0 to 1.
    fn place(&self, value: f64) -> f64 {
        ((value.max(1e-3) / self.low).ln() / (self.high / self.low).ln()).clamp(0.0, 1.0)
    }

    fn ticks(&self) -> Vec<f64> {
        round_numbers().filter(|round| (self.low * 0.999..=self.high * 1.001).contains(round)).collect()
    }
}

fn round_numbers() -> impl Iterator<Item = f64> {
    (-3..=9).flat_map(|decade| ROUND.map(|digit| digit * 10_f64.powi(decade)))
}

fn label(value: f64) -> String {
    match value {
        millions if millions >= 1e6 => format!("{:.0} M", millions / 1e6),
        thousands if thousands >= 1e4 => format!("{:.0} k", thousands / 1e3),
        large if large >= 1.0 => format!("{large:.0}"),
        small => format!("{small}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_axis_ends_at_round_numbers_around_its_values() {
        let axis = Axis::over([30.0, 700.0].into_iter());
        assert_eq!((axis.low, axis.high), (20.0, 1_000.0));
        assert_eq!(axis.ticks(), [20.0, 50.0, 100.0, 200.0, 500.0, 1_000.0]);
        assert!((axis.place(20.0), axis.place(1_000.0)) == (0.0, 1.0));
    }
}
