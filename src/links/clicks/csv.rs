//! Numbers of a link as a table for spreadsheets. Pure.

use fanfare_protocol::LinkStats;

use crate::links::csv::{Cell, line};

/// Numbers of a link as CSV: what a row is about, its name or moment, and its count.
#[must_use]
pub fn of_stats(stats: &LinkStats) -> String {
    let mut text = String::new();
    line(&mut text, &[Cell::Text("kind"), Cell::Text("name"), Cell::Text("count")]);
    let mut row = |kind: &str, name: &str, count: u64| {
        line(&mut text, &[Cell::Text(kind), Cell::Text(name), Cell::Number(count)]);
    };
    for (kind, count) in [("total", stats.total), ("bots", stats.bots), ("unique", stats.unique)] {
        row(kind, "", count);
    }
    for point in &stats.series {
        row("series", &point.at.to_string(), point.count);
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
        list.iter().for_each(|name| row(kind, &name.name, name.count));
    }
    text
}

#[cfg(test)]
mod tests {
    use fanfare_protocol::{StatsName, StatsPoint, Timestamp};

    use super::*;

    #[test]
    fn the_numbers_of_a_link_are_rows_of_kind_name_and_count() {
        let stats = LinkStats {
            total: 3,
            bots: 1,
            unique: 2,
            series: vec![StatsPoint { at: Timestamp(86_400_000), count: 3 }],
            referrers: vec![StatsName { name: "=cmd".to_owned(), count: 3 }],
            cities: vec![StatsName { name: "Washington, D.C.".to_owned(), count: 1 }],
            ..LinkStats::default()
        };
        let expected = [
            "kind,name,count",
            "total,,3",
            "bots,,1",
            "unique,,2",
            "series,1970-01-02T00:00:00.000Z,3",
            "referrer,'=cmd,3",
            "city,\"Washington, D.C.\",1",
            "",
        ];
        assert_eq!(of_stats(&stats), expected.join("\r\n"));
    }
}
