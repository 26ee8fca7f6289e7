//! Lines of the journal: a record in JSON, and what folding it gave under `out`. Pure.
//!
//! Records of format 1 have no outcome; each later one has, if an empty one. Fields and parts that this version does
//! not know of are errors: what is not understood is not skipped.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::base::error::{Error, Result};
use crate::data::rows::from_json;
use crate::log::events::Record;
use crate::log::fold::Folds;
use crate::log::outcome::Outcome;

/// Name of the counters in an outcome.
const COUNTERS: &str = "c";
/// Bytes for which a line has room at once: of most it is enough.
const LINE_BYTES: usize = 512;

/// Line of a record and its outcome.
///
/// # Errors
/// When the record or a part does not encode.
pub fn encode(record: &Record, outcome: &Outcome, folds: &Folds) -> Result<Bytes> {
    let mut json = Vec::with_capacity(LINE_BYTES);
    serde_json::to_writer(&mut json, record)
        .map_err(|error| Error::Internal(format!("a record does not encode: {error}")))?;
    // The object goes on.
    json.pop();
    json.extend_from_slice(br#","out":{"#);
    let changes = folds.counts(&record.event);
    let mut is_first = changes.is_empty();
    if !changes.is_empty() {
        json.extend_from_slice(br#""c":"#);
        changes.write(outcome, &mut json);
    }
    for (name, part) in outcome.parts() {
        if !std::mem::take(&mut is_first) {
            json.push(b',');
        }
        json.push(b'"');
        json.extend_from_slice(name.as_bytes());
        json.extend_from_slice(br#"":"#);
        part.write(&mut json)?;
    }
    json.extend_from_slice(b"}}");
    Ok(json.into())
}

/// The part of a line that is no fact.
#[derive(Deserialize)]
struct Rest<'a> {
    #[serde(borrow, default)]
    out: Option<BTreeMap<String, &'a RawValue>>,
}

/// The record of a line, and its outcome; `None` for a record of format 1.
///
/// # Errors
/// When the line is no record, or holds something that this version does not know.
pub fn decode(line: &[u8], folds: &Folds) -> Result<(Record, Option<Outcome>)> {
    let record: Record = from_json(line)?;
    let Rest { out } = from_json_borrowed(line)?;
    let Some(mut parts) = out else { return Ok((record, None)) };
    let mut outcome = Outcome::default();
    if let Some(part) = parts.remove(COUNTERS) {
        outcome.counters = folds.counts(&record.event).read(record.id, part.get())?;
    }
    folds.read(&record, &mut outcome, |name| parts.remove(name).map(RawValue::get))?;
    if let Some(name) = parts.keys().next() {
        let what = format!("record {} holds a part {name:?}, which this version does not know", record.id);
        return Err(Error::Internal(what));
    }
    Ok((record, Some(outcome)))
}

fn from_json_borrowed<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T> {
    serde_json::from_slice(line)
        .map_err(|error| Error::Internal(format!("a line of the journal does not decode: {error}")))
}
