//! Lines of CSV (RFC 4180) that no spreadsheet takes for formulas. Pure.

use std::fmt::Write as _;

/// Cell of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cell<'a> {
    /// Text, from anybody.
    Text(&'a str),
    /// A number.
    Number(u64),
}

/// Adds a line with these cells to `text`.
///
/// A text that begins like a formula (`=`, `+`, `-`, `@`, a tab or a carriage return) gets a `'` before it (OWASP, "CSV
/// Injection"): spreadsheets show it without.
pub fn line(text: &mut String, cells: &[Cell<'_>]) {
    for (place, cell) in cells.iter().enumerate() {
        if place > 0 {
            text.push(',');
        }
        match cell {
            Cell::Number(number) => _ = write!(text, "{number}"),
            Cell::Text(cell) => quoted(text, cell),
        }
    }
    text.push_str("\r\n");
}

fn quoted(text: &mut String, cell: &str) {
    let guard = if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    if !cell.contains(['"', ',', '\r', '\n']) {
        text.push_str(guard);
        text.push_str(cell);
        return;
    }
    text.push('"');
    text.push_str(guard);
    for c in cell.chars() {
        if c == '"' {
            text.push('"');
        }
        text.push(c);
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be_and_none_is_a_formula() {
        let mut text = String::new();
        line(
            &mut text,
            &[Cell::Text("a"), Cell::Text(""), Cell::Number(7), Cell::Text("a,b"), Cell::Text("say \"hi\"")],
        );
        assert_eq!(text, "a,,7,\"a,b\",\"say \"\"hi\"\"\"\r\n");
        for (cell, written) in [
            ("=1+1", "'=1+1"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("\rx", "\"'\rx\""),
            ("=a,\"b\"", "\"'=a,\"\"b\"\"\""),
            ("a\nb", "\"a\nb\""),
            ("a=b", "a=b"),
        ] {
            let mut text = String::new();
            line(&mut text, &[Cell::Text(cell)]);
            assert_eq!(text, format!("{written}\r\n"), "{cell:?}");
        }
    }
}
