//! Rows of figures, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use fanfare::base::output;
use serde::Serialize;

use super::machine::Machine;

/// Goal of a figure. All that is set must hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Goal {
    /// The value, at least.
    pub at_least: Option<f64>,
    /// The value, at most.
    pub at_most: Option<f64>,
    /// The value as a multiple of the baseline, at least.
    pub ratio_at_least: Option<f64>,
    /// The value as a multiple of the baseline, at most.
    pub ratio_at_most: Option<f64>,
}

impl Goal {
    /// At least `value`.
    pub fn at_least(value: f64) -> Self {
        Self { at_least: Some(value), ..Self::default() }
    }

    /// At most `value`.
    pub fn at_most(value: f64) -> Self {
        Self { at_most: Some(value), ..Self::default() }
    }

    /// At least `ratio` times the baseline.
    pub fn ratio(ratio: f64) -> Self {
        Self { ratio_at_least: Some(ratio), ..Self::default() }
    }

    fn text(self) -> String {
        let ratio = |sign: &str, ratio: f64| {
            let parts = 1.0 / ratio;
            match ratio {
                below if below < 1.0 && (parts - parts.round()).abs() < 0.01 => format!("{sign} 1/{parts:.0} of it"),
                _ => format!("{sign} {ratio}×"),
            }
        };
        let parts = [
            self.at_least.map(|value| format!("≥ {}", figure(value))),
            self.at_most.map(|value| format!("≤ {}", figure(value))),
            self.ratio_at_least.map(|value| ratio("≥", value)),
            self.ratio_at_most.map(|value| ratio("≤", value)),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" and ")
    }

    /// `None` while what it needs was not measured.
    fn is_met(self, value: f64, ratio: Option<f64>) -> Option<bool> {
        let enough = self.at_least.is_none_or(|goal| value >= goal) && self.at_most.is_none_or(|goal| value <= goal);
        if self.ratio_at_least.is_none() && self.ratio_at_most.is_none() {
            return Some(enough);
        }
        let ratio = ratio?;
        let far = self.ratio_at_least.is_none_or(|goal| ratio >= goal);
        Some(enough && far && self.ratio_at_most.is_none_or(|goal| ratio <= goal))
    }
}

/// Row: a figure, and what it is compared with.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Name: what was measured, with its sizes.
    pub name: String,
    /// The figure.
    pub value: f64,
    /// Unit of the figure and of the baseline.
    pub unit: &'static str,
    /// Name of what it is compared with.
    pub baseline: Option<String>,
    /// The figure of that, from the same run.
    baseline_value: Option<f64>,
    /// Value divided by baseline.
    pub ratio: Option<f64>,
    /// Goal in words.
    pub goal: Option<String>,
    /// Whether it is; `null` without a goal, or when what to compare with is not there.
    pub met: Option<bool>,
    #[serde(skip)]
    wanted: Option<Goal>,
}

impl Row {
    /// A figure without goal or comparison.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let name = name.into();
        Self {
            name,
            value,
            unit,
            baseline: None,
            baseline_value: None,
            ratio: None,
            goal: None,
            met: None,
            wanted: None,
        }
    }

    /// Compares.
    #[must_use]
    pub fn beside(mut self, baseline: impl Into<String>, value: f64) -> Self {
        (self.baseline, self.baseline_value) = (Some(baseline.into()), Some(value));
        self.ratio = (value > 0.0).then(|| self.value / value);
        self.judged()
    }

    /// Marks that what it should be compared with is not there; `why` says what to do.
    #[must_use]
    pub fn without_peer(mut self, why: impl Into<String>) -> Self {
        self.baseline = Some(why.into());
        self
    }

    /// Sets a goal.
    #[must_use]
    pub fn goal(mut self, goal: Goal) -> Self {
        (self.wanted, self.goal) = (Some(goal), Some(goal.text()));
        self.judged()
    }

    fn judged(mut self) -> Self {
        self.met = self.wanted.and_then(|goal| goal.is_met(self.value, self.ratio));
        self
    }
}

/// All figures of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    bench: &'static str,
    /// Machine that they were measured on.
    pub machine: Machine,
    rows: Vec<Row>,
}

impl Report {
    /// No figures yet.
    pub fn new(bench: &'static str, machine: Machine) -> Self {
        Self { bench, machine, rows: Vec::new() }
    }

    /// Adds a figure and says it on standard error.
    pub fn add(&mut self, row: Row) {
        let baseline = row.baseline_value.map_or_else(String::new, |value| format!(", baseline {}", figure(value)));
        let (name, value, unit) = (&row.name, figure(row.value), &row.unit);
        output::note(format_args!("           {name}: {value} {unit}{baseline}"));
        self.rows.push(row);
    }

    /// The rows as JSON, as `api.md` ends with.
    pub fn json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The rows as a Markdown table, aligned so that it reads on a terminal too.
    pub fn table(&self) -> String {
        let head = ["what", "value", "beside", "its value", "ratio", "goal", "met"].map(str::to_owned);
        let mut lines = vec![head];
        lines.extend(self.rows.iter().map(cells));
        let widths: [usize; 7] =
            std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
        let mut text = format!("{}\n\n", self.machine);
        for (number, line) in lines.iter().enumerate() {
            for (cell, width) in line.iter().zip(widths) {
                let _ = write!(text, "| {cell:width$} ");
            }
            text.push_str("|\n");
            if number == 0 {
                for width in widths {
                    let _ = write!(text, "|{}", "-".repeat(width + 2));
                }
                text.push_str("|\n");
            }
        }
        text
    }
}

fn cells(row: &Row) -> [String; 7] {
    let met = match row.met {
        Some(true) => "yes",
        Some(false) => "NO",
        None => "",
    };
    [
        row.name.clone(),
        format!("{} {}", figure(row.value), row.unit),
        row.baseline.clone().unwrap_or_default(),
        row.baseline_value.map(figure).unwrap_or_default(),
        row.ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
        row.goal.clone().unwrap_or_default(),
        met.to_owned(),
    ]
}

/// Three figures that count, with M for millions.
pub fn figure(value: f64) -> String {
    match value.abs() {
        millions if millions >= 1e6 => {
            let value = value / 1e6;
            if value >= 100.0 || value.fract() == 0.0 { format!("{value:.0} M") } else { format!("{value:.1} M") }
        }
        large if large >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        medium if medium >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_judged_by_value_and_by_ratio() {
        let both = Goal { at_least: Some(50.0), ratio_at_least: Some(0.5), ..Goal::default() };
        assert_eq!(Row::new("a", 60.0, "x").beside("b", 100.0).goal(both).met, Some(true));
        assert_eq!(Row::new("a", 40.0, "x").goal(both).beside("b", 10.0).met, Some(false));
        assert_eq!(Row::new("a", 60.0, "x").goal(both).beside("b", 200.0).met, Some(false));
        assert_eq!(Row::new("a", 60.0, "x").goal(both).without_peer("install b").met, None);
        assert_eq!(Row::new("a", 60.0, "x").met, None);
        let most = Goal { at_most: Some(70.0), ratio_at_most: Some(0.25), ..Goal::default() };
        assert_eq!(Row::new("a", 60.0, "x").beside("b", 240.0).goal(most).met, Some(true));
        assert_eq!(Row::new("a", 60.0, "x").beside("b", 200.0).goal(most).met, Some(false));
    }

    #[test]
    fn figures_are_short() {
        let figures = [123_456_789.0, 50e6, 7_123.4, 12.34, 0.456, 20.0].map(figure);
        assert_eq!(figures, ["123 M", "50 M", "7123", "12.3", "0.46", "20"]);
    }
}
