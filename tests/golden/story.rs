//! A story of golden pairs as text: one line a record, one line a row.

use bytes::Bytes;
use fanfare::data::tables;
use fanfare_engines::{RowKey, RowWrite};
use fanfare_protocol::Id;

/// First line of a story whose records and rows only earlier versions write: it is repaired, never committed. So are
/// all of format 1.
const EARLIER: &str = "of earlier versions";
/// First line of a story whose rows are in the layout for wide stores.
const WIDE: &str = "in the layout for wide stores";
/// The line of a pair whose record has no rows.
pub const NO_ROWS: &str = "no rows";

/// A record and its rows.
#[derive(Debug, Clone, Default)]
pub struct Pair {
    /// Name: what the pair shows.
    pub name: String,
    /// Rows that are there before.
    pub given: Vec<String>,
    /// The record's bytes in the journal.
    pub record: String,
    /// Rows of the record, one line each, ordered by key. Empty: not written yet.
    pub rows: Vec<String>,
}

/// Pairs in the order of their commits.
pub struct Story {
    /// Format of the records: from 2 on they hold their outcomes.
    pub format: u32,
    /// Partitions of people; the records are of the second, where there are several.
    pub partitions: u16,
    /// Lines above the first pair.
    head: Vec<String>,
    /// The pairs.
    pub pairs: Vec<Pair>,
}

impl Story {
    pub fn parse((format, partitions): (u32, u16), text: &str) -> Self {
        let mut story = Self { format, partitions, head: Vec::new(), pairs: Vec::new() };
        for line in text.lines() {
            let pair = story.pairs.last_mut();
            match (pair, line.split_once(' ').unwrap_or((line, ""))) {
                (_, ("==", name)) => story.pairs.push(Pair { name: name.to_owned(), ..Pair::default() }),
                (Some(pair), ("record", record)) => pair.record = record.to_owned(),
                (Some(pair), ("given", row)) => pair.given.push(row.to_owned()),
                (Some(_), ("", "")) => {}
                (Some(pair), _) => pair.rows.push(line.to_owned()),
                (None, _) => story.head.push(line.to_owned()),
            }
        }
        story
    }

    pub fn to_text(&self) -> String {
        let mut lines = self.head.clone();
        for pair in &self.pairs {
            lines.push(format!("== {}", pair.name));
            lines.extend(pair.given.iter().map(|row| format!("given {row}")));
            lines.push(format!("record {}", pair.record));
            lines.extend_from_slice(&pair.rows);
            lines.push(String::new());
        }
        lines.join("\n")
    }

    /// Id below which rows are in the layout of earlier versions: all, unless the story is of the one for wide stores.
    pub fn last_of_earlier_layout(&self) -> Id {
        if self.head.first().is_some_and(|line| line == WIDE) { Id(0) } else { Id(u64::MAX - 1) }
    }

    /// Whether today's version would write the records with other words.
    pub fn has_lines_of_earlier_versions(&self) -> bool {
        self.head.first().is_some_and(|line| line == EARLIER)
    }

    /// Whether today's version commits no such records.
    pub fn is_of_earlier_versions(&self) -> bool {
        self.format == 1 || self.has_lines_of_earlier_versions()
    }
}

/// The lines of a record's rows.
pub fn lines(mut rows: Vec<RowWrite>) -> Vec<String> {
    if rows.is_empty() {
        return vec![NO_ROWS.to_owned()];
    }
    // Writes of one key keep their order: the last one wins.
    rows.sort_by(|one, other| (one.key.table.id, &one.key).cmp(&(other.key.table.id, &other.key)));
    rows.iter().map(line).collect()
}

/// `put|delete TABLE PARTITION CLUSTERING vVERSION VALUE`: keys in hexadecimal, a value in JSON as it is, another one
/// in hexadecimal, `-` for no bytes.
fn line(row: &RowWrite) -> String {
    let verb = if row.value.is_some() { "put" } else { "delete" };
    let RowKey { table, partition, clustering } = &row.key;
    let (partition, clustering) = (hex(partition), hex(clustering));
    let mut line = format!("{verb} {} {partition} {clustering} v{}", table.name, row.version);
    if let Some(value) = &row.value {
        line.push(' ');
        match std::str::from_utf8(value) {
            Ok(json) if json.starts_with('{') && !json.contains('\n') => line.push_str(json),
            _ => line.push_str(&hex(value)),
        }
    }
    line
}

/// The row of a line.
pub fn row(line: &str) -> RowWrite {
    let mut words = line.splitn(6, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (verb, table, partition, clustering, version, value) = (word(), word(), word(), word(), word(), word());
    let table = tables::ALL.iter().find(|known| known.name == table).unwrap();
    let key = RowKey::new(*table, bytes(partition), bytes(clustering));
    let value = if value.starts_with('{') { value.as_bytes().to_vec().into() } else { bytes(value) };
    RowWrite { key, value: (verb == "put").then_some(value), version: version.trim_start_matches('v').parse().unwrap() }
}

fn hex(bytes: &[u8]) -> String {
    if bytes.is_empty() {
        return "-".to_owned();
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Bytes {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| (digit as char).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn a_line_reads_back_as_its_row() {
    for value in
        [Some(Bytes::from_static(b"{\"a b\":1}")), Some(Bytes::from_static(&[0, 255])), Some(Bytes::new()), None]
    {
        let row_write = RowWrite { key: RowKey::new(tables::META, "1", vec![7]), value, version: 12 };
        assert_eq!(row(&line(&row_write)), row_write);
    }
}
