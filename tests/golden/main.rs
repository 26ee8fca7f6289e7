//! Golden pairs: records of the journal, and the rows that are written from each, byte for byte.
//!
//! `tests/fixtures/golden/*.golden` are stories: pairs in the order in which they were committed, each written by the
//! version that was current when it was added. They stay for ever. Every later version must write the same rows from
//! the same record, whether it commits the record or repairs rows from the journal; so a folder of any version before
//! stays what it is.
//!
//! To add a pair: a name and a `record` line without rows at the end of a story, and then
//! `cargo test --test golden -- --ignored`, which writes the record as the log stamps it, and its rows. Pairs
//! that have rows are never written again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "what is not as it was is a failed test")]

mod chat;
mod engine;
mod story;

use std::collections::BTreeSet;
use std::path::PathBuf;

use fanfare::app;
use fanfare::log::events::Event;
use fanfare::log::fold::Folds;
use fanfare::log::line;
use fanfare::log::spread::Spread;

use crate::story::{Pair, Story};

fn stories() -> Vec<(PathBuf, Story)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/golden");
    let mut found = Vec::new();
    let folders = [(1, 1, folder.clone()), (2, 1, folder.join("format-2")), (2, 3, folder.join("partitions-3"))];
    for (format, partitions, folder) in folders {
        let paths = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let mut paths: Vec<PathBuf> =
            paths.filter(|path| path.extension().is_some_and(|end| end == "golden")).collect();
        paths.sort();
        let read = |path: PathBuf| {
            (path.clone(), Story::parse((format, partitions), &std::fs::read_to_string(&path).unwrap()))
        };
        found.extend(paths.into_iter().map(read));
    }
    found
}

fn compare(how: &str, name: &str, expected: &[Pair], found: &[Pair]) {
    for (expected, found) in expected.iter().zip(found) {
        assert_eq!(expected.record, found.record, "{name}, {}: the record that is {how}", expected.name);
        assert_eq!(expected.rows, found.rows, "{name}, {}: the rows that are {how}", expected.name);
    }
    assert_eq!(expected.len(), found.len(), "{name}: the pairs that are {how}");
}

#[tokio::test]
async fn records_are_committed_with_the_rows_that_they_always_had() {
    for (path, story) in stories().into_iter().filter(|(_, story)| !story.is_of_earlier_versions()) {
        compare("committed", &path.display().to_string(), &story.pairs, &engine::committed(&story).await);
    }
}

/// A record finds those before it in the same commit as it would find them in the tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_that_are_committed_together_leave_the_same_rows() {
    let alone = |story: &Story| {
        let needs_others = !story.pairs.iter().all(|pair| pair.given.is_empty());
        !story.is_of_earlier_versions() && !needs_others && story.partitions == 1
    };
    let stories: Vec<_> = stories().into_iter().filter(|(_, story)| alone(story)).collect();
    assert!(stories.len() >= 3, "stories need no rows of others");
    for (path, story) in stories {
        let one_by_one = story.pairs.iter().flat_map(|pair| pair.rows.clone()).filter(|line| line != story::NO_ROWS);
        assert_eq!(engine::together(&story).await, engine::last_written(one_by_one), "{}", path.display());
    }
}

#[tokio::test]
async fn rows_are_repaired_from_the_journal_as_they_were_written() {
    for (path, story) in stories() {
        let found = if story.format == 1 { engine::brought_up(&story).await } else { engine::repaired(&story).await };
        compare("repaired", &path.display().to_string(), &story.pairs, &found);
    }
}

/// The kinds of events, by their names in the journal: a reader of an unknown one lists those that it knows.
fn kinds() -> BTreeSet<String> {
    let error = serde_json::from_str::<Event>(r#"{"type":"?"}"#).unwrap_err().to_string();
    let (_, known) = error.split_once("expected one of ").unwrap();
    known.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn every_kind_of_event_has_a_golden_pair() {
    let mut missing = kinds();
    assert!(missing.len() >= 16, "{missing:?}");
    for pair in stories().into_iter().flat_map(|(_, story)| story.pairs) {
        assert!(!pair.rows.is_empty(), "{} has no rows: see the head of this file", pair.name);
        let record: serde_json::Value = serde_json::from_str(&pair.record).unwrap();
        missing.remove(record["type"].as_str().unwrap());
        missing.remove(record["effect"]["type"].as_str().unwrap_or_default());
    }
    assert!(
        missing.is_empty(),
        "events without a golden pair (the head of this file says how to add one): {missing:?}"
    );
}

#[test]
fn a_record_reads_back_as_it_was_written() {
    for (path, story) in stories().into_iter().filter(|(_, story)| !story.has_lines_of_earlier_versions()) {
        let (products, _) = app::products_over(Spread::over(0, story.partitions), 3);
        let folds: Folds = products.into_iter().filter_map(|product| product.fold).collect();
        for pair in story.pairs {
            let (record, outcome) = line::decode(pair.record.as_bytes(), &folds).unwrap();
            assert_eq!(outcome.is_some(), story.format > 1, "{}: {}", path.display(), pair.name);
            let written = match outcome {
                Some(outcome) => line::encode(&record, &outcome, &folds).unwrap(),
                None => serde_json::to_vec(&record).unwrap().into(),
            };
            assert_eq!(String::from_utf8(written.to_vec()).unwrap(), pair.record, "{}: {}", path.display(), pair.name);
        }
    }
}

/// Writes the pairs that have no rows yet, and touches no other.
#[tokio::test]
#[ignore = "for whoever adds a record"]
async fn write_the_pairs_that_have_no_rows() {
    for (path, mut story) in stories() {
        let found = match story.is_of_earlier_versions() {
            true => engine::brought_up(&story).await,
            false => engine::committed(&story).await,
        };
        for (pair, found) in story.pairs.iter_mut().zip(found) {
            if pair.rows.is_empty() {
                *pair = Pair { given: std::mem::take(&mut pair.given), ..found };
            } else {
                assert_eq!(pair.rows, found.rows, "{}: a pair stays what it is", pair.name);
            }
        }
        std::fs::write(&path, story.to_text()).unwrap();
    }
}
