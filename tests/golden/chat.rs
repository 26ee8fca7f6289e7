//! Golden pairs of chat: lines of its log, and the rows that are written from each.
//!
//! A line without `out` is one that is to be added: the writer of pairs folds it. All others are folded anew, and must
//! give what they hold.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use bytes::Bytes;
use fanfare::chat::fold::outcome::ChatOutcome;
use fanfare::chat::fold::record::{ChatAct, ChatRecord};
use fanfare::chat::fold::state::ChatState;
use fanfare::chat::fold::{self, line, needs};
use fanfare_engines::{Batch, RowKey};

use crate::story::{Pair, Story, lines};

fn path() -> PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden/chat/conversations.golden")
}

fn story() -> Story {
    Story::parse((2, 1), &std::fs::read_to_string(path()).unwrap())
}

/// Conversations, as an owner folds them one record after the other.
#[derive(Default)]
struct Folder {
    state: ChatState,
    rows: HashMap<RowKey, (u64, Option<Bytes>)>,
}

impl Folder {
    /// Outcome of a record, and its rows.
    fn fold(&mut self, record: &ChatRecord) -> (ChatOutcome, Batch) {
        for key in needs(record) {
            let value = self.rows.get(&key).and_then(|(_, value)| value.clone());
            self.state.rows.insert(key, value);
        }
        let mut batch = Batch::default();
        let outcome = fold::apply(&mut self.state, record, &mut batch).unwrap();
        for row in &batch.rows {
            let stored = self.rows.entry(row.key.clone()).or_default();
            if row.version >= stored.0 {
                *stored = (row.version, row.value.clone());
            }
        }
        (ChatOutcome { audience: None, ..outcome }, batch)
    }
}

fn text(record: &ChatRecord, outcome: &ChatOutcome) -> String {
    String::from_utf8(line::encode(record, outcome).unwrap().to_vec()).unwrap()
}

#[test]
fn records_of_chat_give_what_they_always_gave() {
    let mut folder = Folder::default();
    for pair in story().pairs {
        assert!(!pair.rows.is_empty(), "{} has no rows: see the head of this file", pair.name);
        let (record, outcome) = line::decode(pair.record.as_bytes()).unwrap();
        // As a takeover repairs them.
        let mut repaired = Batch::default();
        fold::rows::rows(&record, &outcome, &mut repaired).unwrap();
        assert_eq!(lines(repaired.rows), pair.rows, "{}: the rows that are repaired", pair.name);
        let (folded, batch) = folder.fold(&record);
        assert_eq!(text(&record, &folded), pair.record, "{}: the record that is folded", pair.name);
        assert_eq!(lines(batch.rows), pair.rows, "{}: the rows that are folded", pair.name);
    }
}

/// Kinds of acts, by their names in the log: a reader of an unknown one lists those that it knows.
#[test]
fn every_kind_of_act_has_a_golden_pair() {
    let error = serde_json::from_str::<ChatAct>(r#"{"type":"?"}"#).unwrap_err().to_string();
    let (_, known) = error.split_once("expected one of ").unwrap();
    let mut missing: BTreeSet<String> = known.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert!(missing.len() >= 18, "{missing:?}");
    for pair in story().pairs {
        let line: serde_json::Value = serde_json::from_str(&pair.record).unwrap();
        missing.remove(line["record"]["act"]["type"].as_str().unwrap());
    }
    assert!(missing.is_empty(), "acts without a golden pair (the head of this file says how to add one): {missing:?}");
}

#[test]
fn a_record_of_a_later_version_is_refused_with_words_that_say_so() {
    let later = story().pairs[0].record.replacen("\"v\":1", "\"v\":9", 1);
    let error = line::decode(later.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("version 9") && error.contains("start the version that wrote it"), "{error}");
}

/// Writes the pairs that have no rows yet, and touches no other.
#[test]
#[ignore = "for whoever adds a record"]
fn write_the_pairs_of_chat_that_have_no_rows() {
    let (mut story, mut folder) = (story(), Folder::default());
    for pair in &mut story.pairs {
        if pair.rows.is_empty() {
            let record: ChatRecord = serde_json::from_str(&pair.record).unwrap();
            let (outcome, batch) = folder.fold(&record);
            let given = std::mem::take(&mut pair.given);
            *pair = Pair { name: pair.name.clone(), given, record: text(&record, &outcome), rows: lines(batch.rows) };
        } else {
            folder.fold(&line::decode(pair.record.as_bytes()).unwrap().0);
        }
    }
    std::fs::write(path(), story.to_text()).unwrap();
}
