//! Tables and the list in ARCHITECTURE.md that says who writes their rows, and which version of a row stands.

use std::collections::BTreeSet;

use fanfare::data::tables;

use super::{assert_none, root};

/// Heading of the list.
const HEADING: &str = "## Who writes each row";

/// The cells of the rows of the first table below the heading: table, writer, version.
fn listed(document: &str) -> Vec<Vec<String>> {
    let (_, list) = document.split_once(HEADING).unwrap();
    let list = list.split("\n## ").next().unwrap_or_default();
    let rows = list.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").map(|cell| cell.trim_end_matches('`').to_owned()).collect()).collect()
}

#[test]
fn every_table_has_a_named_writer_and_version() {
    let rows = listed(&std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap());
    let all = tables::ALL.iter().chain(tables::chat::ALL);
    let mut missing: BTreeSet<&str> = all.map(|table| table.name).collect();
    let mut broken = Vec::new();
    for row in &rows {
        match &row[..] {
            [table, writer, version] if !writer.is_empty() && !version.is_empty() => {
                if !missing.remove(table.as_str()) {
                    broken.push(format!("`{table}` is no table, or stands in the list twice"));
                }
            }
            row => broken.push(format!("{row:?}: a table, who writes it, and the version of its rows")),
        }
    }
    broken.extend(missing.iter().map(|table| format!("`{table}` is missing from \"{HEADING}\" in ARCHITECTURE.md")));
    assert_none(&broken);
}
