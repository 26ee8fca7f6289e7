//! Points of the curves, which become rows and a picture.

use super::report::{Report, Row};

/// Points of what the parts measured by size.
#[derive(Debug, Default)]
pub struct Curves {
    /// Timelines, nanoseconds a delivery, and the bare loop's.
    pub deliveries: Vec<(f64, f64, f64)>,
    /// Followees, and the median and 99th percentile of a page in microseconds.
    pub reads: Vec<(f64, f64, f64)>,
    /// Reads where the timeline is built first.
    pub rebuilds: Vec<(f64, f64, f64)>,
}

impl Curves {
    /// Adds every point as a row.
    pub fn rows(&self, report: &mut Report) {
        for (timelines, feed, bare) in &self.deliveries {
            let name = format!("cost of a delivery, {timelines:.0} timelines");
            report.add(Row::new(name, *feed, "ns").beside("bare scatter loop", *bare));
        }
        for (what, points) in [("a page", &self.reads), ("a page with a cold rebuild", &self.rebuilds)] {
            for (followees, p50, p99) in points {
                report.add(Row::new(format!("cost of {what}, {followees:.0} followees: p50"), *p50, "µs"));
                report.add(Row::new(format!("cost of {what}, {followees:.0} followees: p99"), *p99, "µs"));
            }
        }
    }
}
