//! Lines of the journal: a record in JSON, and what folding it gave under `out`. Pure.
//!
//! Records of format 1 have no outcome; each later one has, if an empty one. In those, fields, words and parts that
//! this version does not know of are errors, wherever they stand: what is not understood is not skipped.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::base::error::{Error, Result};
use crate::data::rows::from_json;
use crate::log::events::Record;
use crate::log::fold::Folds;
use crate::log::outcome::Outcome;

/// Name of the counters in an outcome.
const COUNTERS: &str = "c";
/// Beginning of the outcome, behind the fields of the record.
const OUT: &[u8] = br#","out":"#;
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
    json.extend_from_slice(OUT);
    json.push(b'{');
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
    out: Option<&'a RawValue>,
}

/// The record of a line, and its outcome; `None` for a record of format 1.
///
/// # Errors
/// When the line is no record, or holds something that this version does not know.
pub fn decode(line: &[u8], folds: &Folds) -> Result<(Record, Option<Outcome>)> {
    let record: Record = from_json(line)?;
    let Rest { out } = from_json_borrowed(line)?;
    // Of format 1 nothing newer than this version is written, and what versions between wrote besides is left aside.
    let Some(out) = out else { return Ok((record, None)) };
    if let Some(unknown) = unknown(line, &record, out)? {
        let what = format!("record {} holds {unknown:?}, which this version does not know", record.id);
        return Err(Error::Internal(what));
    }
    let mut parts: BTreeMap<String, &RawValue> = from_json_borrowed(out.get().as_bytes())?;
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

/// Place of something in a line that is not in the record which was read from it: a field or a word of a later version.
/// Whoever decodes JSON skips the one, and takes the other for what stands for all that is unknown.
fn unknown(line: &[u8], record: &Record, out: &RawValue) -> Result<Option<String>> {
    let encoded = serde_json::to_vec(record).map_err(|error| not_json(&error))?;
    // Nearly always the line says what this version would say, byte for byte.
    let rest = encoded.split_last().and_then(|(_, fields)| line.strip_prefix(fields));
    let rest = rest.and_then(|rest| rest.strip_prefix(OUT)).and_then(|rest| rest.strip_prefix(out.get().as_bytes()));
    if rest == Some(b"}".as_slice()) {
        return Ok(None);
    }
    let (mut said, understood): (Value, Value) = (from_json_borrowed(line)?, from_json_borrowed(&encoded)?);
    if let Some(fields) = said.as_object_mut() {
        fields.remove("out");
    }
    Ok(beyond(&said, &understood))
}

/// Place in `said` of something that is not in `understood`; what is only in that one was left out for being as always.
fn beyond(said: &Value, understood: &Value) -> Option<String> {
    let below = |name: &str, place: String| if place.is_empty() { name.to_owned() } else { format!("{name}.{place}") };
    match (said, understood) {
        (Value::Object(said), Value::Object(understood)) => said.iter().find_map(|(name, value)| {
            let place = understood.get(name).map_or_else(|| Some(String::new()), |known| beyond(value, known));
            place.map(|place| below(name, place))
        }),
        (Value::Array(said), Value::Array(understood)) if said.len() == understood.len() => {
            said.iter().zip(understood).enumerate().find_map(|(index, (said, understood))| {
                beyond(said, understood).map(|place| below(&index.to_string(), place))
            })
        }
        // A number may be written in more than one way.
        (Value::Number(_), Value::Number(_)) => None,
        (said, understood) => (said != understood).then(String::new),
    }
}

fn from_json_borrowed<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T> {
    serde_json::from_slice(line).map_err(|error| not_json(&error))
}

fn not_json(error: &serde_json::Error) -> Error {
    Error::Internal(format!("a line of the journal does not decode: {error}"))
}
