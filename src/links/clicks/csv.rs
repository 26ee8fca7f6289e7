//! Tables for spreadsheets: RFC 4180, with cells that no spreadsheet takes for a formula. Pure.

use csv::{Terminator, Writer, WriterBuilder};
use fanfare_protocol::LinkStats;

/// First characters that make a spreadsheet compute.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell that is shown as it is.
#[must_use]
pub fn cell(text: &str) -> String {
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}

/// Table that is written row by row.
pub struct Table(Writer<Vec<u8>>);

impl Default for Table {
    fn default() -> Self {
        Self(WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()))
    }
}

impl Table {
    /// Adds a row; every one has as many cells.
    ///
    /// # Errors
    /// When it has another number of cells than the first.
    pub fn row<I: IntoIterator<Item = T>, T: AsRef<str>>(&mut self, cells: I) -> Result<(), csv::Error> {
        self.0.write_record(cells.into_iter().map(|text| cell(text.as_ref())))
    }

    /// The table.
    ///
    /// # Errors
    /// Never, in memory; the writer's type has them.
    pub fn finish(self) -> Result<Vec<u8>, csv::Error> {
        self.0.into_inner().map_err(|error| error.into_error().into())
    }
}

/// Numbers of a link as a table: what a row is about, its name or moment, and its count.
///
/// # Errors
/// As [`Table::row`].
pub fn of_stats(stats: &LinkStats) -> Result<Vec<u8>, csv::Error> {
    let mut table = Table::default();
    table.row(["kind", "name", "count"])?;
    for (kind, count) in [("total", stats.total), ("bots", stats.bots), ("unique", stats.unique)] {
        table.row([kind, "", &count.to_string()])?;
    }
    for point in &stats.series {
        table.row(["series", &point.at.to_string(), &point.count.to_string()])?;
    }
    let LinkStats { referrers, countries, cities, devices, browsers, systems, languages, .. } = stats;
    for (kind, list) in [
        ("referrer", referrers),
        ("country", countries),
        ("city", cities),
        ("device", devices),
        ("browser", browsers),
        ("system", systems),
        ("language", languages),
    ] {
        for name in list {
            table.row([kind, &name.name, &name.count.to_string()])?;
        }
    }
    table.finish()
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{StatsName, StatsPoint, Timestamp};

    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_no_formula_is_left() {
        let mut table = Table::default();
        table.row(["a", "b,c", "d\"e", "f\r\ng", ""]).unwrap();
        table.row(["=1+1", "+2", "-3", "@x", "\ty"]).unwrap();
        assert!(table.row(["one"]).is_err());
        let text = String::from_utf8(table.finish().unwrap()).unwrap();
        assert!(text.starts_with("a,\"b,c\",\"d\"\"e\",\"f\r\ng\",\r\n'=1+1,'+2,'-3,'@x,'\ty\r\n"), "{text:?}");
    }

    #[test]
    fn the_numbers_of_a_link_are_rows_of_kind_name_and_count() {
        let stats = LinkStats {
            total: 3,
            bots: 1,
            unique: 2,
            series: vec![StatsPoint { at: Timestamp(86_400_000), count: 3 }],
            referrers: vec![StatsName { name: "=cmd".to_owned(), count: 3 }],
            ..LinkStats::default()
        };
        let text = String::from_utf8(of_stats(&stats).unwrap()).unwrap();
        let expected = "kind,name,count\r\ntotal,,3\r\nbots,,1\r\nunique,,2\r\nseries,1970-01-02T00:00:00.000Z,3\r\nreferrer,'=cmd,3\r\n";
        assert_eq!(text, expected);
    }
}
