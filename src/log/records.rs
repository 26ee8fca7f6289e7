//! Records as they are read from the journal. One that this version cannot read ends the partition: what follows it
//! counts on it.

use fanfare_engines::{EngineError, JournalRecord, Partition};
use fanfare_protocol::Id;
use serde::Deserialize;

use crate::base::error::{Error, Result};
use crate::log::events::Record;
use crate::log::fold::Folds;
use crate::log::line;
use crate::log::outcome::Outcome;

/// Parts of a record that are there whatever its kind.
#[derive(Deserialize)]
struct Outline {
    id: Id,
    #[serde(rename = "type")]
    kind: String,
}

/// The record at a place of the journal, and its outcome.
///
/// # Errors
/// [`EngineError::Corrupt`] with the offset: an unknown kind, fields or parts of the outcome that this version does not
/// understand, no outcome, or bytes that are no record.
pub(super) fn read(partition: Partition, one: &JournalRecord, folds: &Folds) -> Result<(Record, Outcome)> {
    line::decode(&one.payload, folds).and_then(with_outcome).map_err(|cause| {
        let what = match serde_json::from_slice::<Outline>(&one.payload) {
            Ok(Outline { kind, .. }) => format!(
                "a record of the kind {:?} that this version cannot read ({cause}): start the version that wrote it",
                kind.chars().take(64).collect::<String>()
            ),
            Err(_) => format!("damaged ({cause}): restore the folder from a backup"),
        };
        let Partition(partition) = partition;
        Error::Engine(EngineError::Corrupt(format!("journal partition {partition}, offset {}: {what}", one.offset.0)))
    })
}

fn with_outcome((record, outcome): (Record, Option<Outcome>)) -> Result<(Record, Outcome)> {
    let outcome = outcome.ok_or_else(|| Error::Internal("it is of format 1, among those of format 2".to_owned()))?;
    Ok((record, outcome))
}

/// Id of a record of which nothing else may be readable.
pub(super) fn id(one: &JournalRecord) -> Option<Id> {
    one.id.map(Id).or_else(|| serde_json::from_slice::<Outline>(&one.payload).ok().map(|outline| outline.id))
}

#[cfg(test)]
mod tests {
    use fanfare_engines::Offset;
    use serde_json::Value;

    use super::*;

    fn refused(payload: &str) -> String {
        let one = JournalRecord { offset: Offset(7), id: None, payload: payload.to_owned().into(), appended_ms: 0 };
        match read(Partition(3), &one, &Folds::default()) {
            Err(Error::Engine(EngineError::Corrupt(cause))) => cause,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_place() {
        let unknown = refused(r#"{"id":"9","type":"teleported","user":"1"}"#);
        assert!(unknown.starts_with("journal partition 3, offset 7: ") && unknown.contains("teleported"), "{unknown}");
        let newer = refused(r#"{"id":"9","type":"unblocked","blocker":"1"}"#);
        assert!(newer.contains("start the version that wrote it") && newer.contains("blocked"), "{newer}");
        let earlier = refused(r#"{"id":"9","type":"unblocked","blocker":"1","blocked":"2"}"#);
        assert!(earlier.contains("format 1"), "{earlier}");
        for damaged in ["", "\u{0}\u{0}", r#"{"id":"9","ty"#, "[]"] {
            assert!(refused(damaged).contains("damaged"), "{damaged:?}");
        }
        let payload = r#"{"id":"9","type":"teleported"}"#.into();
        let one = JournalRecord { offset: Offset(7), id: None, payload, appended_ms: 0 };
        assert_eq!(id(&one), Some(Id(9)));
        assert_eq!(id(&JournalRecord { id: Some(8), ..one }), Some(Id(8)));
    }

    /// `line` with `field` added wherever there is an object, one at a time; each with the place of the field.
    fn extended(line: &Value, field: &str) -> Vec<(String, Value)> {
        let mut found = Vec::new();
        match line {
            Value::Object(fields) => {
                let mut here = fields.clone();
                here.insert(field.to_owned(), Value::from(1));
                found.push((field.to_owned(), Value::Object(here)));
                for (name, value) in fields {
                    for (place, value) in extended(value, field) {
                        let mut here = fields.clone();
                        here.insert(name.clone(), value);
                        found.push((format!("{name}.{place}"), Value::Object(here)));
                    }
                }
            }
            Value::Array(values) => {
                for (index, value) in values.iter().enumerate() {
                    for (place, value) in extended(value, field) {
                        let mut here = values.clone();
                        here[index] = value;
                        found.push((format!("{index}.{place}"), Value::Array(here)));
                    }
                }
            }
            _ => {}
        }
        found
    }

    #[test]
    fn a_field_of_a_later_version_is_named_wherever_it_stands() {
        let folds: Folds = crate::app::products(3).0.into_iter().filter_map(|product| product.fold).collect();
        let lines = [
            r#"{"id":"9","type":"operated","audit":{"actor":"admin.token","address":"::1","action":"user.suspend",
                "target":"users/1"},"out":{}}"#,
            r#"{"id":"9","type":"posted","post":{"id":"9","author":"1","text":"a","reply_to":{"id":"5","author":"2"},
                "mentions":[{"id":"2","handle":"bob"}]},"notify":[{"user":"2","kind":"reply"}],
                "idempotency":{"caller":"1","route":"r","key":"k","body_hash":"b"},
                "out":{"c":[[1],[0,1]]}}"#,
            r#"{"id":"9","type":"blocked","blocker":"1","blocked":"2",
                "ended":[{"follower":"1","followee":"2","since":"3"}],"out":{"c":[0,0]}}"#,
            r#"{"id":"9","type":"unfollowed","follower":"1","followee":"2","since":"3","out":{"c":[0,0]}}"#,
            r#"{"id":"9","type":"user_created","user":{"id":"7","handle":"ann"},"out":{}}"#,
        ];
        let read = |line: &Value| {
            let payload = line.to_string().into();
            super::read(Partition(3), &JournalRecord { offset: Offset(7), id: None, payload, appended_ms: 0 }, &folds)
        };
        for line in lines {
            let line: Value = serde_json::from_str(line).unwrap();
            read(&line).unwrap();
            let extended = extended(&line, "teleports");
            assert!(extended.len() >= 2, "{line}");
            for (place, line) in extended {
                let error = read(&line).map(|(record, _)| record).unwrap_err().to_string();
                // Below `out` a part says what it can of where.
                let named = if place.starts_with("out.") { "teleports" } else { place.as_str() };
                assert!(error.contains(named) && error.contains("start the version that wrote it"), "{place}: {error}");
            }
        }
        // A word that stands for all that is unknown is not what was written.
        let notice = r#"{"id":"9","type":"posted","post":{"id":"9","author":"1"},
            "notify":[{"user":"2","kind":"poll_ended"}],"out":{"c":[[0,0,1]]}}"#;
        let error = read(&serde_json::from_str(notice).unwrap()).map(|(record, _)| record).unwrap_err().to_string();
        assert!(error.contains("notify.0.kind"), "{error}");
    }
}
